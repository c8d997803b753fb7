"""Labels that look wrong beside confident predictions: loose boxes, swapped species, animals
labelled twice."""

import numpy as np
import pandas as pd

from livestock_utils.core import overlaps
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.labels.missing import check

FAULTS = {
    "loose": "a confident prediction overlaps the label, yet not tightly",
    "swapped": "the best box on the label is of another species; as the class comes from the "
    "archive, that is the model's mistake, or a photo in the wrong archive",
    "duplicate": "two labels lie on one animal",
}
_COLUMNS = [
    "fault",
    "image_id",
    "species",
    *XYXY,
    "label",
    "score",
    "iou",
    "suggested_species",
    *[f"suggested_{name}" for name in XYXY],
]


def find(
    photos: Photos,
    predictions: pd.DataFrame,
    *,
    matched_iou: float = 0.5,
    loose_iou: float = 0.75,
    duplicate_iou: float = 0.8,
    least_score: float = 0.3,
) -> pd.DataFrame:
    """Labels to look at, worst first within a fault; give it out-of-fold predictions.

    "loose": the best prediction of its species has an IoU in [matched_iou, loose_iou), and below
    what predictions of that species usually reach; score = confidence x (distance from the median
    in robust standard deviations) / 4, at most 1. "swapped": score = confidence of the best
    prediction of another species (IoU >= matched_iou), less that of its own. "duplicate": a label
    that overlaps an earlier one with IoU >= duplicate_iou; score = IoU. Rows below `least_score`
    are left out. `label` is the row of the labels, `suggested_*` what stands there instead
    (for a duplicate: the label that stays). Raises as `missing.score` does.
    """
    check(photos, predictions)
    labels, found = photos.boxes.reset_index(drop=True), predictions.reset_index(drop=True)
    of_label, of_found = overlaps.image_codes(labels["image_id"], found["image_id"])
    label, row = overlaps.same_image(of_label, of_found)
    iou = overlaps.overlaps(labels[XYXY].to_numpy(float), found[XYXY].to_numpy(float), label, row)[
        0
    ]
    pairs = pd.DataFrame({"label": label, "row": row, "iou": iou})[iou >= matched_iou]
    pairs["confidence"] = found["confidence"].to_numpy(float)[pairs["row"]]
    pairs["same"] = (
        labels["species"].to_numpy(object)[pairs["label"]]
        == found["species"].to_numpy(object)[pairs["row"]]
    )
    best = pairs.sort_values(["confidence", "iou"], ascending=False, kind="stable").drop_duplicates(
        ["label", "same"]
    )
    own, other = best[best["same"]], best[~best["same"]]
    by_species = own["iou"].groupby(labels["species"].to_numpy(object)[own["label"]])
    middle = by_species.transform("median")
    spread = 1.4826 * (own["iou"] - middle).abs().groupby(
        labels["species"].to_numpy(object)[own["label"]]
    ).transform("median").clip(lower=0.02)
    loose = own.assign(
        fault="loose", score=(own["confidence"] * (middle - own["iou"]) / spread / 4).clip(upper=1)
    )
    loose = loose[loose["iou"] < loose_iou]
    own_confidence = other["label"].map(own.set_index("label")["confidence"]).fillna(0.0)
    swapped = other.assign(fault="swapped", score=other["confidence"] - own_confidence)
    faults = pd.concat(
        [_described(part[part["score"] >= least_score], labels, found) for part in (loose, swapped)]
        + [_duplicates(labels, of_label, duplicate_iou)],
        ignore_index=True,
    )
    order = faults.assign(place=faults["fault"].map(list(FAULTS).index))
    order = order.sort_values(
        ["place", "score", "label"], ascending=[True, False, True], kind="stable"
    )
    return faults.loc[order.index, _COLUMNS].reset_index(drop=True)


def _described(part: pd.DataFrame, labels: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The label and the box suggested in its place, in _COLUMNS; `part` has label, row, fault,
    score, iou."""
    mine = labels.iloc[part["label"].to_numpy()].reset_index(drop=True)
    instead = (
        found.iloc[part["row"].to_numpy()][["species", *XYXY]]
        .reset_index(drop=True)
        .add_prefix("suggested_")
    )
    numbers = part[["fault", "label", "score", "iou"]].reset_index(drop=True)
    return pd.concat([mine[["image_id", "species", *XYXY]], instead, numbers], axis=1)[_COLUMNS]


def _duplicates(
    labels: pd.DataFrame, of_label: overlaps.Ints, duplicate_iou: float
) -> pd.DataFrame:
    """Each label that lies on an earlier one of its image, once, with the one that it overlaps
    most."""
    first, second = overlaps.same_image(of_label, of_label)
    earlier = second < first
    first, second = first[earlier], second[earlier]
    xyxy = labels[XYXY].to_numpy(float)
    iou = overlaps.overlaps(xyxy, xyxy, first, second)[0]
    pairs = pd.DataFrame(
        {"label": first, "row": second, "iou": iou, "score": iou, "fault": "duplicate"}
    )
    pairs = pairs[np.asarray(iou >= duplicate_iou)].sort_values(
        "iou", ascending=False, kind="stable"
    )
    return _described(pairs.drop_duplicates("label"), labels, labels)
