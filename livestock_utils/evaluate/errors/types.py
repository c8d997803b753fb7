"""Error types of detections and their cost in AP, by TIDE (Bolya et al. 2020, arXiv:2008.08115).

Every detection is correct or has one of five faults, and every label may be missed:

- classification: IoU >= the threshold with a label of another species;
- localisation: right species, best IoU between the background's and the threshold;
- both: neither species nor place is right, yet some label is overlapped;
- duplicate: would be right if a more confident detection had not taken the label;
- background: overlaps no label;
- missed: a label that no detection, repaired or not, accounts for.

AP lost by a fault = AP (101 points, mean of species) after repairing just that fault, minus AP
before. Equal to the package `tidecv` on the same input (its COCO-like matching, not the contest's;
see `lu.contest_score` for the contest's number).
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from livestock_utils.core import boxes as box_arithmetic
from livestock_utils.core import overlaps, tables
from livestock_utils.core.boxes import XYXY, Boxes
from livestock_utils.core.errors import DatasetError, ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.errors import inputs
from livestock_utils.evaluate.errors.breakdowns import brightness
from livestock_utils.evaluate.scoring import metrics

FAULTS = ("classification", "localisation", "both", "duplicate", "background")
"""Faults of detections, in TIDE's order; labels add "missed"."""
_BACKGROUND_IOU = 0.1
_CODES = ("background", "correct", "classification", "localisation", "both", "duplicate")


@dataclasses.dataclass(frozen=True, eq=False)
class Errors:
    """What `error_types` found: the tables of `classify` for all predictions, and for the `sure`
    ones from `confidence` on."""

    photos: Photos
    predictions: pd.DataFrame
    confidence: float
    detections: pd.DataFrame
    labels: pd.DataFrame
    sure: pd.DataFrame
    sure_labels: pd.DataFrame

    @functools.cached_property
    def costs(self) -> pd.DataFrame:
        """AP that each type of error costs: error, count (of the sure ones), ap_lost (of 1)."""
        among_sure = ap_lost(self.sure, self.sure_labels)["count"]
        return ap_lost(self.detections, self.labels).assign(count=among_sure)

    @functools.cached_property
    def light(self) -> pd.Series:
        """Brightness of each photo in [0, 1], decoded when it is first asked for."""
        return brightness(self.photos)


def error_types(
    photos: Photos,
    predictions: pd.DataFrame,
    iou_threshold: float = 0.75,
    confidence: float | None = None,
) -> Errors:
    """The type of error of each prediction, and the labels that none accounts for (TIDE's).

        errors = lu.error_types(valid, lu.predict(run.best, valid))
        errors.costs  # AP lost by localisation, background, missed, ...

    Args:
        photos: the labelled photos that were predicted.
        predictions: image_id, species, x_min, y_min, x_max, y_max in px, confidence in [0, 1].
        iou_threshold: from this IoU on a prediction is right, in (.1, 1].
        confidence: from here on a prediction is sure; by default that of the best F1 at IoU .5.

    Returns:
        Errors: `.detections` and `.labels` with their errors, `.costs`, and the same of the sure
        predictions.

    Raises:
        ScoringError: without predictions, for ones of other photos or without numbers.
        DatasetError: for a species that has photos and not one label.
    """
    if predictions.empty:
        raise ScoringError(
            "there are no predictions: check the weights, or lower the confidence threshold"
        )
    inputs.require_predictions(predictions, photos.images)
    without = sorted(set(photos.images["species"].dropna()) - set(photos.boxes["species"]) - {""})
    if without:
        raise DatasetError(
            f"there is not a single label of {without[0]}: nothing to compare predictions with; "
            "label some, or leave its images out"
        )
    if confidence is None:
        table = metrics.per_class_table(photos.boxes, predictions, photos.images)
        confidence = float(table.attrs["confidence_at_best_f1"])
    sure = predictions[predictions["confidence"] >= confidence]
    found = classify(photos.boxes, predictions, iou_threshold)
    of_sure = classify(photos.boxes, sure, iou_threshold)
    return Errors(photos, predictions, confidence, *found, *of_sure)


def classify(
    boxes: pd.DataFrame, predictions: pd.DataFrame, iou_threshold: float = 0.75
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(detections, labels): every detection with its error type, every label with its state.
    `detections` are by image and falling confidence, with `error` ("correct" or one of FAULTS),
    `iou` with the best label of its species, `label` (row of `labels` it is matched or compared
    with, -1 for none) and `repairs` (it is the best of those that could be mended onto its label);
    `labels` have `found` (matched) and `missed` (nothing accounts for it)."""
    if not _BACKGROUND_IOU < iou_threshold <= 1:
        raise ScoringError(
            f"iou_threshold must be above {_BACKGROUND_IOU} and at most 1, got {iou_threshold}"
        )
    tables.require_columns(boxes, tables.BOX_COLUMNS, "labels", ScoringError)
    inputs.require_boxes(boxes, "labels")
    inputs.require_predictions(predictions)
    labels = boxes.sort_values("image_id", kind="stable", ignore_index=True)
    (image,) = overlaps.image_codes(predictions["image_id"])
    detections = predictions.iloc[np.lexsort((-predictions["confidence"].to_numpy(float), image))]
    detections = detections.reset_index(drop=True)
    codes = overlaps.image_codes(detections["image_id"], labels["image_id"])
    kinds = overlaps.image_codes(detections["species"], labels["species"])
    xyxy, label_xyxy = detections[XYXY].to_numpy(float), labels[XYXY].to_numpy(float)
    error = np.zeros(len(detections), dtype=np.int8)
    best_iou = np.zeros(len(detections))
    label_of = np.full(len(detections), -1)
    repairs = np.zeros(len(detections), dtype=bool)
    found = np.zeros(len(labels), dtype=bool)
    usable = np.zeros(len(labels), dtype=bool)
    for ours, theirs in _image_rows(*codes):
        sides = xyxy[ours], label_xyxy[theirs], kinds[0][ours], kinds[1][theirs]
        result = _classify_image(*sides, iou_threshold)
        error[ours], best_iou[ours], local, repairs[ours], found[theirs], usable[theirs] = result
        label_of[ours] = np.where(local >= 0, local + theirs.start, -1)
    names = np.array(_CODES, dtype=object)[error]
    detections = detections.assign(error=names, iou=best_iou, label=label_of, repairs=repairs)
    labels = labels.assign(found=found, missed=~found & ~usable)
    for table in (detections, labels):
        table.attrs["iou_threshold"] = iou_threshold
    return detections, labels


def ap_lost(detections: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """AP that each error type costs, as a share of 1 (tidecv prints percent), and its `count`. Rows
    are FAULTS, "missed" and TIDE's two sums; `attrs["ap"]` is the AP before any repair."""
    # Sorted once: every AP below sorts what is sorted already, in one pass.
    order = np.argsort(-detections["confidence"].to_numpy(float), kind="stable")
    detections = detections.iloc[order]
    confidence = detections["confidence"].to_numpy(float)
    species = detections["species"].to_numpy(str)
    error = detections["error"].to_numpy(str)
    label_species = labels["species"].to_numpy(str)
    correct, repairs = error == "correct", detections["repairs"].to_numpy(bool)
    names = sorted({*species, *label_species})
    counts = {name: int((label_species == name).sum()) for name in names}
    base = _mean_ap(species, confidence, correct, counts)
    rows = []
    for fault in FAULTS:
        faulty = error == fault
        keep, fixed = ~faulty | repairs, faulty & repairs
        called = species.copy()
        if fault == "classification" and fixed.any():
            called[fixed] = label_species[detections["label"].to_numpy()[fixed]]
        after = _mean_ap(called[keep], confidence[keep], (correct | fixed)[keep], counts)
        rows.append((fault, int(faulty.sum()), max(after - base, 0.0)))
    missed, found = labels["missed"].to_numpy(bool), labels["found"].to_numpy(bool)

    def among(chosen: np.ndarray) -> float:
        """AP if there were only the chosen labels."""
        fewer = {name: int((chosen & (label_species == name)).sum()) for name in counts}
        return _mean_ap(species, confidence, correct, fewer)

    precise = _mean_ap(species, correct.astype(float), correct, counts)
    rows += [
        ("missed", int(missed.sum()), max(among(~missed) - base, 0.0)),
        ("false positives", int((~correct).sum()), precise - base),
        ("false negatives", int((~found).sum()), among(found) - base),
    ]
    table = pd.DataFrame(rows, columns=["error", "count", "ap_lost"])
    table.attrs = {"ap": base, "iou_threshold": labels.attrs.get("iou_threshold")}
    return table


def _ap_101(confidence: np.ndarray, correct: np.ndarray, n_labels: int) -> float:
    """AP of one species at 101 recalls, precision made monotone (COCO's rule); 0 without labels."""
    if n_labels <= 0 or len(confidence) == 0:
        return 0.0
    hits = correct[np.argsort(-confidence, kind="stable")]
    found = np.cumsum(hits)
    precision = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    index = np.searchsorted(found / n_labels, np.arange(101) / 100, side="left")
    heights = precision[np.minimum(index, len(hits) - 1)]
    return float(np.where(index < len(hits), heights, 0).sum() / 101)


def _mean_ap(
    species: np.ndarray, confidence: np.ndarray, correct: np.ndarray, counts: dict[str, int]
) -> float:
    """Mean of `_ap_101` over the species that have a label or a detection."""
    values = []
    for name, count in counts.items():
        mine = species == name
        if count > 0 or mine.any():
            values.append(_ap_101(confidence[mine], correct[mine], count))
    return float(np.mean(values)) if values else 0.0


def _classify_image(
    xyxy: Boxes,
    label_xyxy: Boxes,
    species: np.ndarray,
    label_species: np.ndarray,
    iou_threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One image's detections, by falling confidence, against its labels; indices are local."""
    iou = box_arithmetic.iou_matrix(xyxy, label_xyxy)
    same = species[:, None] == label_species[None, :]
    same_iou, other_iou = iou * same, iou * ~same
    label_of = np.full(len(xyxy), -1)
    used = np.zeros(len(label_xyxy), dtype=bool)
    for row in np.flatnonzero((same_iou >= iou_threshold).any(axis=1)):
        free = np.where(used, 0, same_iou[row])
        best = int(free.argmax())
        if free[best] >= iou_threshold:
            label_of[row], used[best] = best, True
    correct = label_of >= 0
    nearest_same, nearest_other = same_iou.argmax(axis=1), other_iou.argmax(axis=1)
    best_same = same_iou.max(axis=1)
    localisation = ~correct & (best_same >= _BACKGROUND_IOU) & (best_same <= iou_threshold)
    rest = ~correct & ~localisation
    classification = rest & (other_iou.max(axis=1) >= iou_threshold)
    duplicate = rest & ~classification & ((same_iou * used).max(axis=1) >= iou_threshold)
    # The first that holds, in TIDE's order.
    kinds = {"correct": correct, "localisation": localisation, "classification": classification}
    kinds |= {"duplicate": duplicate, "background": iou.max(axis=1) <= _BACKGROUND_IOU}
    codes = [_CODES.index(name) for name in kinds]
    error = np.select(list(kinds.values()), codes, _CODES.index("both")).astype(np.int8)
    mendable = localisation | classification
    target = np.where(classification, nearest_other, nearest_same)
    label_of = np.where(mendable, target, label_of)
    label_of = np.where(duplicate, (same_iou * used).argmax(axis=1), label_of)
    repairs, usable = np.zeros(len(xyxy), dtype=bool), np.zeros_like(used)
    # Only the most confident candidate, the first, mends a free label.
    for row in np.flatnonzero(mendable & ~used[target]):
        if not usable[target[row]]:
            repairs[row], usable[target[row]] = True, True
    return error, best_same, label_of, repairs, used, usable


def _image_rows(ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Slices of both sorted columns of image codes, a pair an image that both have."""
    images = np.intersect1d(ours, theirs)
    bounds = []
    for side in (ours, theirs):
        bounds.append(np.searchsorted(side, images, "left").tolist())
        bounds.append(np.searchsorted(side, images, "right").tolist())
    for start, stop, label_start, label_stop in zip(*bounds, strict=True):
        yield slice(start, stop), slice(label_start, label_stop)
