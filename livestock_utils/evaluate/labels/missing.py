"""Animals that nobody labelled: every prediction scored, suggestions to go through, images ranked.

A fifth of the labels is hidden at a time, and a logistic regression learns to tell predictions on
hidden labels from others that fit no label (positive and unlabelled data, Elkan and Noto 2008)."""

import logging

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import overlaps, tables
from livestock_utils.core.errors import DatasetError, ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.errors import inputs
from livestock_utils.evaluate.labels.features import MATCHED_IOU, Neighbours, compare, features

log = logging.getLogger(__name__)

_HIDDEN_PARTS = 5
"""Labels are hidden in so many parts, one at a time."""
_GROUPS = 5  # images are scored by a regression that was fitted on other images
_MOST_ROWS = 200_000
_CONFIDENCE_FLOOR = 0.001


def score(photos: Photos, predictions: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Score out-of-fold predictions as "an animal nobody labelled": columns `score`, `label_iou`.
    `score` in [0, 1] is the probability that the box lies on an unlabelled animal if a fifth of the
    animals had no label: right for ranking, too high where fewer are missing. It is 0 for boxes
    that match a label (IoU >= .5) and for the faintest. All boxes of one animal score high;
    `suggest` keeps one. Same input, same scores."""
    check(photos, predictions)
    label_iou = best_iou(predictions, photos.boxes)
    result = predictions.assign(score=0.0, label_iou=label_iou)
    kept = np.flatnonzero((predictions["confidence"] >= _CONFIDENCE_FLOOR).to_numpy())
    found = predictions.iloc[kept].reset_index(drop=True)
    if found.empty:
        log.warning("no prediction reaches %g: nothing is scored", _CONFIDENCE_FLOOR)
        return result
    rng = np.random.default_rng(seed)
    (image,) = overlaps.image_codes(found["image_id"])
    group = rng.permutation(int(image.max()) + 1)[image] % _GROUPS
    neighbours = compare(found)
    table, target, of_group = _hidden(photos.boxes, found, neighbours, group, rng)
    here = features(photos.boxes, found, neighbours).to_numpy()
    scores = np.zeros(len(found))
    for number in range(_GROUPS):
        if (mine := group == number).any():
            rows = of_group != number
            if len(np.unique(target[rows])) < 2:  # they alone say too little
                rows[:] = True
            scores[mine] = _fit_and_score(table[rows], target[rows], here[mine])
    values = np.zeros(len(predictions))
    values[kept] = np.where(label_iou[kept] >= MATCHED_IOU, 0.0, scores)
    return result.assign(score=values)


def suggest(scored: pd.DataFrame, images: pd.DataFrame, threshold: float = 0.5) -> pd.DataFrame:
    """The boxes to show a person: score >= `threshold`, one an animal; sorted by falling score. Of
    boxes that overlap, of either species, the most confident stays, as a rule the best placed, with
    the highest of their scores. `species` is that of the image, the model's word is
    `predicted_species`: to drop boxes of the other name before scoring costs average precision."""
    wanted = [*tables.PREDICTION_COLUMNS, "score"]
    tables.require_columns(scored, wanted, "scored predictions", ScoringError)
    inputs.require_known(scored["image_id"], images["image_id"], "scored predictions")
    high = scored[scored["score"] >= threshold]
    high = high.sort_values("confidence", ascending=False, kind="stable")
    score = high["score"].to_numpy(float)
    first, second, iou = overlaps.pairs(high, high)
    near = iou >= MATCHED_IOU
    best = np.ones(len(high), dtype=bool)
    best[first[near & (second < first)]] = False
    of_image = high["image_id"].map(images.set_index("image_id")["species"]).fillna("")
    of_image = of_image.where(of_image != "", high["species"])  # of a photo without boxes
    high = high.assign(
        score=overlaps.largest(score[second[near]], first[near], len(high)),
        species=of_image,
        predicted_species=high["species"],
    )[best]
    return high.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def rank_images(photos: Photos, suggestions: pd.DataFrame) -> pd.DataFrame:
    """Images with suggestions, those with the most expected animals first: image_id, species,
    labels, suggestions, expected (sum of the scores), highest (score)."""
    images, boxes = photos.images, photos.boxes
    table = images.loc[images["image_id"].isin(suggestions["image_id"]), ["image_id", "species"]]
    by_image = suggestions.groupby("image_id")["score"]
    table = table.assign(
        labels=table["image_id"].map(boxes["image_id"].value_counts()).fillna(0).astype(int),
        suggestions=table["image_id"].map(by_image.size()).astype(int),
        expected=table["image_id"].map(by_image.sum()).astype(float),
        highest=table["image_id"].map(by_image.max()).astype(float),
    )
    by, rising = ["expected", "image_id"], [False, True]
    return table.sort_values(by, ascending=rising, kind="stable", ignore_index=True)


def is_missing(
    predictions: pd.DataFrame, kept: pd.DataFrame, removed: pd.DataFrame
) -> npt.NDArray[np.bool_]:
    """The truth of a ranking: IoU >= .5 with a removed label and with no kept one, (n,) bool."""
    on_removed = best_iou(predictions, removed) >= MATCHED_IOU
    return on_removed & (best_iou(predictions, kept) < MATCHED_IOU)


def best_iou(predictions: pd.DataFrame, boxes: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Largest IoU of each prediction with a box of its image, of any species, (n,)."""
    first, _, iou = overlaps.pairs(predictions, boxes)
    return overlaps.largest(iou, first, len(predictions))


def check(photos: Photos, predictions: pd.DataFrame) -> None:
    """Raise for tables that do not belong together; warn of a species without a label."""
    if predictions.empty:
        raise ScoringError(
            "there are no predictions: lower the confidence threshold, or check the weights"
        )
    inputs.require_predictions(predictions, photos.images)
    if photos.boxes.empty:
        raise DatasetError("there are no labels: nothing can be learnt about missing ones")
    for name in sorted(set(predictions["species"]) - set(photos.boxes["species"])):
        log.warning(
            "%s has predictions but not a single label: its scores rest on the other species", name
        )


def _hidden(
    boxes: pd.DataFrame,
    found: pd.DataFrame,
    neighbours: Neighbours,
    group: npt.NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """Features of predictions that fit no label while a part is hidden, target, group."""
    part = rng.permutation(len(boxes)) % _HIDDEN_PARTS
    # Enough rows to fit some twenty numbers; whole images, so that nothing bends.
    if len(found) * _HIDDEN_PARTS > _MOST_ROWS:
        (image,) = overlaps.image_codes(found["image_id"])
        share = _MOST_ROWS / (len(found) * _HIDDEN_PARTS)
        chosen = (rng.random(int(image.max()) + 1) < share)[image]
        found, group = found[chosen].reset_index(drop=True), group[chosen]
        mine = boxes["image_id"].isin(found["image_id"]).to_numpy()
        boxes, part, neighbours = boxes[mine], part[mine], compare(found)
    tables, targets, groups = [], [], []
    for number in range(_HIDDEN_PARTS):
        table = features(boxes[part != number], found, neighbours)
        free = (table["iou"] < MATCHED_IOU).to_numpy()
        tables.append(table[free].to_numpy())
        targets.append((best_iou(found, boxes[part == number]) >= MATCHED_IOU)[free])
        groups.append(group[free])
    return np.concatenate(tables), np.concatenate(targets), np.concatenate(groups)


def _fit_and_score(
    table: npt.NDArray, target: npt.NDArray, here: npt.NDArray
) -> npt.NDArray[np.float64]:
    """Probabilities for `here` of a regression on the rows of `table`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(target)) < 2:
        raise ScoringError(
            f"{int(target.sum())} of {len(target)} predictions find a label that was hidden: "
            "nothing can be learnt; train longer"
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(table, target).predict_proba(here)[:, 1]
