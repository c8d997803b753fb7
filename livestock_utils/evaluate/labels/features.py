"""Numbers that tell a prediction on an unlabelled animal from others."""

import dataclasses

import numpy as np
import pandas as pd

from livestock_utils.core import overlaps, species
from livestock_utils.core.arrays import Floats, Places
from livestock_utils.core.boxes import XYXY, area, shared_matrix

MATCHED_IOU = 0.5
"""From this IoU on a prediction counts as the labelled animal itself."""
_SAME_ANIMAL_IOU = 0.45
"""A little below what suppression leaves of one animal's boxes (.6 of one species)."""
_NEAR_IOU = 0.3


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What predictions are to each other, whatever the labels: columns of `features`, and the
    pairs, by row, with an IoU of .3 or more."""

    numbers: dict[str, Floats]
    one: Places
    other: Places


def features(
    boxes: pd.DataFrame, predictions: pd.DataFrame, neighbours: Neighbours
) -> pd.DataFrame:
    """One row of numbers a prediction, with the index of `predictions`; all finite.

    By the prediction alone: confidence (logit), size (log area in standard deviations of the
    species' labels), shape. Against labels: `inside` and `around` are the largest share of the
    prediction in one label and the reverse, `covered` the share in labels, summed. Against other
    predictions (`neighbours`, of the same ones, by `compare`): `support` by overlapping ones,
    `explained` (best of them that fits a label), overlap with better ones. Of the image:
    `crowding`, `labels_confidence` (how surely its labels are found: in a hard photo a faint
    prediction means more).
    """
    images, of_label = overlaps.image_codes(predictions["image_id"], boxes["image_id"])
    xyxy, label_xyxy = predictions[XYXY].to_numpy(float), boxes[XYXY].to_numpy(float)
    confidence = predictions["confidence"].to_numpy(float)
    n, n_images = len(predictions), int(max(images.max(initial=-1), of_label.max(initial=-1))) + 1
    found: dict[str, Floats] = {}
    safe = confidence.clip(1e-4, 1 - 1e-4)
    logit = np.log(safe / (1 - safe))
    for name in species.names():
        mine = (predictions["species"] == name).to_numpy()
        found[f"confidence_{name}"] = np.where(mine, logit, 0.0)
        found[f"is_{name}"] = mine.astype(float)
    found["size"] = _relative_size(boxes, predictions)
    width, height = (xyxy[:, 2:] - xyxy[:, :2]).clip(1).T
    found["shape"] = np.log(width / height)

    row, label = overlaps.same_image(images, of_label)
    iou, inside, around = overlaps.overlaps(xyxy, label_xyxy, row, label)
    same = predictions["species"].to_numpy(object)[row] == boxes["species"].to_numpy(object)[label]
    found["iou"] = overlaps.largest(iou, row, n)
    found["iou_same_species"] = overlaps.largest(iou * same, row, n)
    found["inside"] = overlaps.largest(inside, row, n)
    found["around"] = overlaps.largest(around, row, n)
    found["covered"] = np.bincount(row, inside, n).clip(max=1.5)

    found |= neighbours.numbers
    fits = confidence[neighbours.other] * found["iou"][neighbours.other]
    found["explained"] = overlaps.largest(fits, neighbours.one, n)

    labels = np.bincount(of_label, minlength=n_images)
    found["crowding"] = np.log1p(labels)[images]
    hit = iou >= MATCHED_IOU
    sure = overlaps.largest(confidence[row[hit]], label[hit], len(boxes))
    typical = float(sure.mean()) if len(sure) else 0.0
    # One label of average confidence is added to each image: no extremes where there are few.
    of_image = (np.bincount(of_label, sure, n_images) + typical) / (labels + 1)
    found["labels_confidence"] = of_image[images]
    return pd.DataFrame(found, index=predictions.index)


def compare(predictions: pd.DataFrame) -> Neighbours:
    """Compare each prediction with the others of its image, an image at a time."""
    (images,) = overlaps.image_codes(predictions["image_id"])
    xyxy, confidence = predictions[XYXY].to_numpy(float), predictions["confidence"].to_numpy(float)
    names = "support", "inside_better", "around_better", "iou_better"
    numbers = {name: np.zeros(len(images)) for name in names}
    ones, others = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    order = np.argsort(images, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(images[order])) + 1):
        mine, sure = xyxy[rows], confidence[rows]
        size = area(mine)
        shared = shared_matrix(mine, mine)
        iou = shared / np.maximum(size[:, None] + size[None, :] - shared, 1e-9)
        np.fill_diagonal(iou, 0)
        better = shared * (sure[None, :] > sure[:, None])
        numbers["support"][rows] = np.log1p((iou >= _SAME_ANIMAL_IOU) @ sure)
        for name, of in (("inside_better", size[:, None]), ("around_better", size[None, :])):
            numbers[name][rows] = (better / np.maximum(of, 1e-9)).max(axis=1, initial=0)
        numbers["iou_better"][rows] = np.where(better > 0, iou, 0).max(axis=1, initial=0)
        one, other = np.nonzero(iou >= _NEAR_IOU)
        ones.append(rows[one])
        others.append(rows[other])
    highest = overlaps.largest(confidence, images, int(images.max(initial=-1)) + 1)
    numbers["relative_confidence"] = confidence / highest[images].clip(1e-9)
    return Neighbours(numbers, np.concatenate(ones), np.concatenate(others))


def _relative_size(boxes: pd.DataFrame, predictions: pd.DataFrame) -> Floats:
    """Log area in standard deviations of the species' labels; 0 for fewer than two labels."""
    logs = [np.log(area(table[XYXY].to_numpy(float)).clip(1)) for table in (boxes, predictions)]
    of_labels = pd.Series(logs[0]).groupby(boxes["species"].to_numpy(object))
    names = pd.Series(predictions["species"].to_numpy(object))
    off = pd.Series(logs[1]) - names.map(of_labels.median())
    relative = (off / names.map(of_labels.std().clip(lower=0.1))).astype(float)
    return np.asarray(relative.fillna(0.0).clip(-6, 6), dtype=np.float64)
