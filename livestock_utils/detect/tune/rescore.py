"""Fit the re-scorer on labelled photos, and say whether it pays."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core.arrays import Array, Flags
from livestock_utils.detect.predict import postprocess, rescoring
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.postprocess import Detections, PostprocessSettings
from livestock_utils.detect.tune import sweep
from livestock_utils.evaluate.scoring import intervals, matching, metrics

_FOLDS = 5
_SURE_ENOUGH = 0.5
"""Share of the draws in which the re-scored boxes must be better to be taken: on real photos it was
better on each of four folds, in one pass and in four (benchmarks/bench_postprocess.py)."""
_BINS = np.linspace(0, 1, 11)


@dataclasses.dataclass(frozen=True)
class Rescored:
    """Settings with the re-scorer where it paid; `table`: one row, AP75 of the boxes as they are
    (`before`) and re-scored by a function that has not seen their photo, gain, low, high, better;
    `bins`: confidence, right and n of both, by tenth."""

    settings: PostprocessSettings
    table: pd.DataFrame
    bins: pd.DataFrame


def rescored(
    candidates: Candidates,
    boxes: pd.DataFrame,
    settings: PostprocessSettings,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Rescored:
    """Fit on all labelled photos; taken where a five-fold check on them says that it is better in
    most draws of photos. Folds are runs of image ids: frames of one camera stay together."""
    nothing = Rescored(settings, pd.DataFrame(), pd.DataFrame())
    ids = sorted(set(boxes["image_id"]) & set(candidates.images["image_id"]))
    if len(ids) < 2 * _FOLDS or settings.method == "fusion":
        return nothing
    truth, found, matches, values, is_right = _learned_from(candidates, boxes, ids, settings)
    fold = found.image_index * _FOLDS // len(ids)
    names = candidates.names
    anew = found.confidence.astype(float)
    for number in range(_FOLDS):
        mine = fold == number
        if len(np.unique(is_right[~mine])) < 2:
            return nothing
        others = _fit(values[~mine], found.class_index[~mine], is_right[~mine], names)
        for code, name in enumerate(names):
            rows = mine & (found.class_index == code)
            anew[rows] = rescoring.probability(values[rows], others, name)
    other = dataclasses.replace(found, confidence=anew.astype(np.float32))
    draws = intervals.draw_images(len(truth.image_ids), n_resamples, seed)
    both = [matches, truth.match(other)]
    before, after = (float(np.mean([*metrics.average_precisions(m).values()])) for m in both)
    samples = [intervals.resampled(m, draws)["all"].to_numpy() for m in both]
    gain = intervals.of_gains(samples[1] - samples[0])
    row = {"before": before, "after": after, "gain": after - before}
    row |= {"gain_low": gain["low"], "gain_high": gain["high"], "better": gain["second_better"]}
    pays = gain["second_better"] >= _SURE_ENOUGH
    known = {"as predicted": found.confidence, "re-scored": anew}
    bins = pd.concat([_bins(p, is_right).assign(boxes=name) for name, p in known.items()])
    if pays:
        settings = dataclasses.replace(settings, rescorer=fitted(candidates, boxes, settings))
    return Rescored(settings, pd.DataFrame([row | {"taken": pays}]), bins)


def fitted(
    candidates: Candidates, boxes: pd.DataFrame, settings: PostprocessSettings
) -> dict[str, Any]:
    """A re-scorer fitted on all labelled photos, for `PostprocessSettings.rescorer`."""
    ids = sorted(set(boxes["image_id"]) & set(candidates.images["image_id"]))
    _, found, _, values, is_right = _learned_from(candidates, boxes, ids, settings)
    return _fit(values, found.class_index, is_right, candidates.names)


def _learned_from(
    candidates: Candidates, boxes: pd.DataFrame, ids: list[str], settings: PostprocessSettings
) -> tuple[sweep.Truth, Detections, matching.Matches, Array, Flags]:
    """The labels, the detections, their matches, features, and which are right at IoU .75."""
    boxes, images = boxes[boxes["image_id"].isin(ids)], candidates.of_images(ids)
    found = postprocess.detections(images, settings)
    sides = found.image_index, found.confidence, settings.max_detections
    found = found.take(postprocess.limit_detections(*sides))
    truth = sweep.Truth(images, boxes)
    matches = truth.match(found)
    is_right = np.zeros(len(found.confidence), dtype=bool)
    is_right[matches.row] = matching.hits(matches, 0.75)
    return truth, found, matches, postprocess.box_features(found, images, settings), is_right


def _fit(
    values: Array, class_index: Array, is_right: Flags, names: tuple[str, ...]
) -> dict[str, Any]:
    """Numbers of a logistic regression (scikit-learn's) on standardised features, a bias a class;
    the scaling is folded into them."""
    from sklearn.linear_model import LogisticRegression

    middle, scale = values.mean(axis=0), values.std(axis=0) + 1e-9
    label = (class_index[:, None] == np.arange(1, len(names))).astype(float)
    model = LogisticRegression(max_iter=500)
    model.fit(np.hstack([(values - middle) / scale, label]), is_right)
    weights, classes = np.split(model.coef_[0], [values.shape[1]])
    weights = weights / scale
    base = float(model.intercept_[0] - weights @ middle)
    bias = [base, *(base + classes)]
    return {
        "features": list(rescoring.FEATURES),
        "weights": weights.tolist(),
        "bias": {name: float(one) for name, one in zip(names, bias, strict=True)},
    }


def _bins(confidence: Array, is_right: Flags) -> pd.DataFrame:
    """Mean confidence, share right and number of boxes by tenth."""
    table = pd.DataFrame({"confidence": confidence.astype(float), "right": is_right})
    tenth = np.digitize(table["confidence"], _BINS[1:-1])
    grouped = table.groupby(tenth)
    return grouped.agg(
        confidence=("confidence", "mean"), right=("right", "mean"), n=("right", "size")
    ).reset_index(drop=True)


def calibration_error(bins: pd.DataFrame) -> float:
    """Mean distance of confidence and share right over the boxes above the lowest tenth (expected
    calibration error, Guo et al. 2017; the faint ones would drown all others)."""
    sure = bins[bins["confidence"] > _BINS[1]]
    return float(np.average((sure["confidence"] - sure["right"]).abs(), weights=sure["n"]))
