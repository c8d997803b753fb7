"""Labels that look wrong beside predictions: loose boxes, swapped species, doubles."""

import pandas as pd

from livestock_utils.core import overlaps, tables
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.labels.features import MATCHED_IOU
from livestock_utils.evaluate.labels.missing import check

FAULTS = {
    "loose": "a confident prediction overlaps the label, yet not tightly",
    "swapped": "the best box on the label is of another species; as the class comes from the "
    "archive, that is the model's mistake, or a photo in the wrong archive",
    "duplicate": "two labels lie on one animal",
}
_SUGGESTED = [f"suggested_{name}" for name in ("species", *XYXY)]
_COLUMNS = ["fault", *tables.BOX_COLUMNS, "label", "score", "iou", *_SUGGESTED]
_LOOSE_IOU, _DOUBLE_IOU, _LEAST_SCORE = 0.75, 0.8, 0.3


def find(photos: Photos, predictions: pd.DataFrame) -> pd.DataFrame:
    """Labels to look at, worst first within a fault; give it out-of-fold predictions. "loose": the
    best prediction of its species overlaps less than predictions of that species usually do; score
    = confidence x (distance from the median in robust standard deviations) / 4, at most 1.
    "swapped": score = confidence of the best prediction of another species, less that of its own.
    "duplicate": score = IoU with an earlier label. `label` is the row of the labels, `suggested_*`
    what stands there instead (for a duplicate: the label that stays)."""
    check(photos, predictions)
    labels, found = photos.boxes.reset_index(drop=True), predictions.reset_index(drop=True)
    names = labels["species"].to_numpy(object)
    label, row, iou = overlaps.pairs(labels, found)
    pairs = pd.DataFrame({"label": label, "row": row, "iou": iou})[iou >= MATCHED_IOU]
    pairs["confidence"] = found["confidence"].to_numpy(float)[pairs["row"]]
    pairs["same"] = names[pairs["label"]] == found["species"].to_numpy(object)[pairs["row"]]
    best = pairs.sort_values(["confidence", "iou"], ascending=False, kind="stable")
    best = best.drop_duplicates(["label", "same"])
    own, other = best[best["same"]], best[~best["same"]]
    of_species = names[own["label"]]
    middle = own["iou"].groupby(of_species).transform("median")
    off = (own["iou"] - middle).abs().groupby(of_species).transform("median")
    score = own["confidence"] * (middle - own["iou"]) / (1.4826 * off.clip(lower=0.02)) / 4
    loose = own.assign(fault="loose", score=score.clip(upper=1))
    loose = loose[loose["iou"] < _LOOSE_IOU]
    own_confidence = other["label"].map(own.set_index("label")["confidence"]).fillna(0.0)
    swapped = other.assign(fault="swapped", score=other["confidence"] - own_confidence)
    sure = [part[part["score"] >= _LEAST_SCORE] for part in (loose, swapped)]
    described = [*(_described(part, labels, found) for part in sure), _duplicates(labels)]
    faults = pd.concat(described, ignore_index=True)
    faults["place"] = faults["fault"].map(list(FAULTS).index)
    by, rising = ["place", "score", "label"], [True, False, True]
    return faults.sort_values(by, ascending=rising, kind="stable", ignore_index=True)[_COLUMNS]


def _described(part: pd.DataFrame, labels: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The label and the box suggested in its place; `part` has label, row, fault, score, iou."""
    mine = labels.iloc[part["label"]][tables.BOX_COLUMNS].reset_index(drop=True)
    instead = found.iloc[part["row"]][["species", *XYXY]].reset_index(drop=True)
    numbers = part[["fault", "label", "score", "iou"]].reset_index(drop=True)
    return pd.concat([mine, instead.set_axis(_SUGGESTED, axis=1), numbers], axis=1)[_COLUMNS]


def _duplicates(labels: pd.DataFrame) -> pd.DataFrame:
    """Each label that lies on an earlier one of its image, with the one it overlaps most."""
    label, row, iou = overlaps.pairs(labels, labels)
    pairs = pd.DataFrame({"label": label, "row": row, "iou": iou, "score": iou})
    pairs = pairs[(row < label) & (iou >= _DOUBLE_IOU)].assign(fault="duplicate")
    pairs = pairs.sort_values("iou", ascending=False, kind="stable")
    return _described(pairs.drop_duplicates("label"), labels, labels)
