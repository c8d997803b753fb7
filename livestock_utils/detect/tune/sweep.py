"""Tune post-processing: many settings, one set of candidates, AP75. NMS and soft-NMS flow from
higher to lower confidence only, and the contest matches each detection by itself: one suppression
at the lowest threshold serves all higher ones as a cut."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.arrays import Flags
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.progress import progress
from livestock_utils.detect.predict import postprocess
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.postprocess import Detections, PostprocessSettings
from livestock_utils.evaluate.scoring import intervals, matching, metrics

WRITE_UP = PostprocessSettings()
"""The write-up's setting: NMS, IoU .68, confidence .001."""
IOU_THRESHOLDS = (0.45, 0.5, 0.55, 0.6, 0.65, 0.68, 0.7, 0.75, 0.8, 0.85)
_CONFIDENCE_THRESHOLDS = (
    *(0.0005, 0.0007, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05),
    *(0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
)
"""The default grid: 10 IoUs x 21 confidences = 210 settings, the write-up's among them."""


def grid(
    base: PostprocessSettings = WRITE_UP, **values: Sequence[Any]
) -> list[PostprocessSettings]:
    """All combinations of the values over `base`, by default of IoU and confidence."""
    values = values or {
        "iou_threshold": IOU_THRESHOLDS,
        "confidence_threshold": _CONFIDENCE_THRESHOLDS,
    }
    return [
        dataclasses.replace(base, **dict(zip(values, row, strict=True)))
        for row in itertools.product(*values.values())
    ]


def random_settings(
    n: int, base: PostprocessSettings = WRITE_UP, seed: int = 0, **values: Sequence[Any]
) -> list[PostprocessSettings]:
    """`n` settings drawn by `seed`: from a list, or from a range (low, high), of confidences
    log-uniform. It takes fewer tries than a grid where only some settings matter (Bergstra & Bengio
    2012)."""
    rng = np.random.default_rng(seed)

    def draw(name: str, choice: Sequence[Any]) -> Any:
        if not (isinstance(choice, tuple) and len(choice) == 2):
            return choice[int(rng.integers(len(choice)))]
        is_log = name == "confidence_threshold"
        low, high = np.log(choice) if is_log else map(float, choice)
        value = rng.uniform(low, high)
        return float(f"{np.exp(value) if is_log else value:.3g}")  # enough, and readable

    return [
        dataclasses.replace(base, **{name: draw(name, choice) for name, choice in values.items()})
        for _ in range(n)
    ]


def evaluate(
    candidates: Candidates,
    boxes: pd.DataFrame,
    settings: Sequence[PostprocessSettings] | None = None,
) -> pd.DataFrame:
    """Score every setting on labelled images -> one row a setting: settings (the object), ap75
    (contest's definition, mean over classes), ap75_<class>, detections_per_image. DatasetError for
    labelled images that were not predicted."""
    listed = grid() if settings is None else list(settings)
    rows: list[dict[str, Any]] = [{} for _ in listed]
    groups: dict[str, list[int]] = {}
    for position, setting in enumerate(listed):
        groups.setdefault(_shared(setting), []).append(position)
    truth = Truth(candidates, boxes)
    for members in progress([*groups.values()], desc="post-processing", unit="run"):
        found = _detections(candidates, [listed[position] for position in members])
        matches = truth.match(found)
        for position in members:
            kept = _cut(candidates, found, listed[position])
            per_class = metrics.average_precisions(matches, 0.75, kept=kept[matches.row])
            rows[position] = {
                "ap75": float(np.mean(list(per_class.values()))),
                **{f"ap75_{label}": value for label, value in per_class.items()},
                "detections_per_image": float(kept.sum()) / max(len(candidates.images), 1),
            }
    table = pd.DataFrame({"settings": pd.Series(listed, dtype=object)})
    return pd.concat([table, pd.DataFrame(rows)], axis=1)


def ranked(tried: pd.DataFrame, objective: str = "ap75") -> pd.DataFrame:
    """The rows of `evaluate` by falling objective; of equals the fewest detections first."""
    score = -tried[objective].round(9)
    return tried.iloc[np.lexsort((tried["detections_per_image"], score))]


def best(tried: pd.DataFrame, objective: str = "ap75") -> PostprocessSettings:
    """The setting of the highest objective; of equals the fewest detections."""
    return ranked(tried, objective)["settings"].iloc[0]


def best_per_class(tried: pd.DataFrame, method: str = "nms") -> PostprocessSettings:
    """The best IoU and confidence threshold of each class among those tried with `method`. Classes
    do not touch each other in class-wise NMS, so their best thresholds combine; evaluate the
    result, as the limit of detections is shared."""
    usable = tried[
        [s.method == method and not s.class_agnostic and s.is_plain for s in tried["settings"]]
    ]
    chosen = {
        name: best(usable, f"ap75_{name}" if f"ap75_{name}" in tried else "ap75")
        for name in species.names()
    }
    values: dict[str, Any] = {
        field: {name: getattr(setting, field) for name, setting in chosen.items()}
        for field in ("iou_threshold", "confidence_threshold")
    }
    return dataclasses.replace(best(usable), **values)


def compare(
    candidates: Candidates,
    boxes: pd.DataFrame,
    settings: dict[str, PostprocessSettings],
    reference: PostprocessSettings = WRITE_UP,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Bootstrap intervals over images of named settings, and of their paired gain over `reference`:
    value, low, high, gain, gain_low, gain_high, better (share of draws above the reference, ties
    half). A gain whose interval holds 0 is noise. The best of many tries is a little too good on
    the images that chose it."""
    truth = Truth(candidates, boxes)
    draws = intervals.draw_images(len(truth.image_ids), n_resamples, seed)
    values, samples = {}, {}
    for name, setting in {"": reference, **settings}.items():
        found = _detections(candidates, [setting])
        matches = truth.match(found)
        mask = _cut(candidates, found, setting)[matches.row]
        per_class = metrics.average_precisions(matches, 0.75, kept=mask)
        values[name] = float(np.mean(list(per_class.values())))
        samples[name] = intervals.resampled(matches, draws, (0.75,), mask)["all"].to_numpy()
    rows = []
    for name in settings:
        gain = intervals.of_gains(samples[name] - samples[""])
        difference = values[name] - values[""]
        limits = intervals.limits(samples[name])
        rows.append([values[name], *limits, difference, *gain.values()])
    columns = ["value", "low", "high", "gain", "gain_low", "gain_high", "better"]
    table = pd.DataFrame(rows, pd.Index(list(settings), name="setting"), columns)
    table.attrs = {"level": 0.95, "reference": values[""]}
    return table


class Truth:
    """The labels as arrays, sorted once, to match detections of the same images."""

    def __init__(self, candidates: Candidates, boxes: pd.DataFrame) -> None:
        """Check that every labelled image was predicted, and every label's species is known."""
        known = pd.Index(candidates.images["image_id"])
        self.image_ids = np.unique(boxes["image_id"].to_numpy(dtype=str))
        if len(absent := pd.Index(self.image_ids).difference(known)):
            raise DatasetError(
                f"{len(absent)} labelled images were not predicted, first {absent[0]!r}; predict "
                "them, or leave their boxes out"
            )
        if boxes.empty:
            raise DatasetError(
                "there are no labelled boxes to tune on; give the boxes of the validation images"
            )
        labels = species.class_index()
        unknown = boxes.loc[~boxes["species"].isin(labels), "species"]
        if len(unknown):
            raise DatasetError(
                f"{len(unknown)} boxes are of an unknown species, first {unknown.iloc[0]!r}; "
                f"expected {list(labels)}"
            )
        self.answers: Any = (
            boxes["species"].map(labels).to_numpy(dtype=np.intp),
            pd.Index(self.image_ids).get_indexer(boxes["image_id"]),
            boxes[XYXY].to_numpy(dtype=float),
        )
        # Detections on images without a label cost nothing in the contest: image -1, left out.
        self.image_of = pd.Index(self.image_ids).get_indexer(known)
        self.class_of = np.array([labels.get(name, -1) for name in candidates.names], dtype=np.intp)

    def match(self, found: Detections) -> matching.Matches:
        """Every detection with the label it overlaps best; `row` is its place in `found`."""
        detections: Any = (
            self.class_of[found.class_index],
            self.image_of[found.image_index],
            found.xyxy.astype(float),
            found.confidence.astype(float),
        )
        return matching.match_best(
            matching.sort_sides(species.names(), self.image_ids, self.answers, detections)
        )


def _shared(setting: PostprocessSettings) -> str:
    """Equal for settings that one suppression serves: threshold and limit are cuts."""
    by_class = isinstance(setting.confidence_threshold, dict)
    exact = _is_cut(setting) and not (setting.class_agnostic and by_class)
    confidence = 0.0 if exact else setting.confidence_threshold
    return repr(dataclasses.replace(setting, max_detections=1, confidence_threshold=confidence))


def _is_cut(setting: PostprocessSettings) -> bool:
    """Whether the threshold cuts final confidences: fusion and re-scoring change them after it."""
    return setting.method != "fusion" and setting.rescorer is None


def _detections(candidates: Candidates, members: Sequence[PostprocessSettings]) -> Detections:
    """Detections at the lowest confidence thresholds of settings that one suppression serves."""
    limits = [postprocess.confidence_limits(candidates, setting) for setting in members]
    lowest = dict(zip(candidates.names, np.min(limits, axis=0).tolist(), strict=True))
    most = max(setting.max_detections for setting in members)
    widest = dataclasses.replace(members[0], confidence_threshold=lowest, max_detections=most)
    return postprocess.detections(candidates, widest)


def _cut(candidates: Candidates, found: Detections, setting: PostprocessSettings) -> Flags:
    """Which detections (n,) a setting keeps: above its threshold, within its limit."""
    kept = np.ones(len(found.confidence), dtype=bool)
    if _is_cut(setting):
        limits = postprocess.confidence_limits(candidates, setting).astype(np.float32)
        kept = found.confidence >= limits[found.class_index]
    rows = np.flatnonzero(kept)
    if len(rows) and np.bincount(found.image_index[rows]).max() > setting.max_detections:
        inside = postprocess.limit_detections(
            found.image_index[rows], found.confidence[rows], setting.max_detections
        )
        kept[:] = False
        kept[rows[inside]] = True
    return kept
