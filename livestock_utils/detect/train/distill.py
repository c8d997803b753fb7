"""Knowledge distillation into a small YOLOv5 from any teacher that gives a predictions table.

The teacher's boxes travel through yolov5's augmentations as labels whose class number also holds
the confidence. The loss takes them out again as soft targets (after Hinton et al. 2015 and, for
detectors, Chen et al. 2017); cells without a teacher's box are left to the labels.
"""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import TrainingError
from livestock_utils.core.reading import read_csv
from livestock_utils.core.tables import BOX_COLUMNS, require_columns
from livestock_utils.detect.train.data import Data

_BINS = 50
"""Steps of confidence that a class number can hold: .02 each."""


def with_teacher(
    data: Data, predictions: pd.DataFrame | str | os.PathLike, confidence_threshold: float = 0.1
) -> Data:
    """`data` with the teacher's boxes on its training images as coded labels (or TrainingError).
    predictions: a table (BOX_COLUMNS px, confidence) or a CSV of one; the teacher should not have
    trained on labels that the student may not see."""
    if isinstance(predictions, pd.DataFrame):
        table, where = predictions, "the teacher's table"
    elif Path(predictions).is_file():
        table = read_csv(predictions, TrainingError, dtype={"image_id": str})
        where = str(predictions)
    else:
        raise TrainingError(
            f"teacher's predictions not found: {predictions}; write them with predictions.to_csv"
        )
    require_columns(table, (*BOX_COLUMNS, "confidence"), where, TrainingError)
    table = table[table["confidence"] >= confidence_threshold]
    if unknown := sorted(set(table["species"]) - set(data.names)):
        raise TrainingError(
            f"{where}: the teacher finds {unknown[0]!r}, the data have {', '.join(data.names)}"
        )
    classes = len(data.names)
    code = pd.Index(data.names).get_indexer(pd.Index(table["species"])).astype(float)
    steps = np.clip((table["confidence"].to_numpy(float) * _BINS).astype(int), 0, _BINS - 1)
    rows = np.column_stack([code + classes * (1 + steps), table[XYXY].to_numpy(float)])
    found = {str(name): places for name, places in table.groupby("image_id").indices.items()}
    labels, digest, part = [], hashlib.sha256(data.sha256.encode()), data.train
    for file, own, size in zip(part.files, part.labels, part.sizes_px, strict=True):
        mine = rows[found.get(Path(file).stem, [])]
        extra = _as_labels(mine, size)
        if n := int(((mine[:, 3:] < 0) | (mine[:, 1:3] > size)).any(axis=1).sum()):
            raise TrainingError(
                f"{where}: {n} boxes of {Path(file).stem} lie outside its frame of {size[0]} x "
                f"{size[1]} px: they are of other photos"
            )
        digest.update(extra.tobytes())
        labels.append(np.concatenate([own.reshape(-1, 5), extra]))
    if sum(map(len, labels)) == part.n_boxes:
        raise TrainingError(
            f"{where}: no box of confidence {confidence_threshold} or more on any training image; "
            "predict the training images with the teacher first"
        )
    taught_part = dataclasses.replace(part, labels=tuple(labels))
    return dataclasses.replace(data, train=taught_part, sha256=digest.hexdigest())


def labels_only(targets: Any, classes: int) -> Any:
    """The rows (n, 6) of a batch's targets that are labels, without the teacher's."""
    return targets[targets[:, 1] < classes]


def confidence_of(codes: Any, classes: int) -> Any:
    """The confidences that class numbers of the teacher's boxes hold."""
    return ((codes // classes - 1).float() + 0.5) / _BINS


class TeachingLoss:
    """yolov5's ComputeLoss on the labels, plus `weight` times the teacher's term."""

    def __init__(self, base: Any, weight: float, classes: int, box_iou: Any) -> None:
        """`base`: yolov5's ComputeLoss, `box_iou`: its bbox_iou."""
        self.base, self.weight, self.classes, self.box_iou = base, weight, classes, box_iou

    def __call__(self, heads: Any, targets: Any) -> tuple[Any, Any]:
        """Loss to minimise (times batch size), and its parts of the labels alone."""
        loss, parts = self.base(heads, labels_only(targets, self.classes))
        taught = targets[targets[:, 1] >= self.classes]
        if len(taught):
            loss = loss + self.weight * self._term(heads, taught) * heads[0].shape[0]
        return loss, parts

    def _term(self, heads: Any, taught: Any) -> Any:
        import torch
        from torch.nn import functional

        entropy = functional.binary_cross_entropy_with_logits
        targets = self.base.build_targets(heads, taught)
        box = objectness = class_ = heads[0].sum() * 0
        for head, coded, wanted, (image, anchor, row, column), size in zip(
            heads, *targets, strict=True
        ):
            if not len(coded):
                continue
            label, confidence = coded % self.classes, confidence_of(coded, self.classes)
            confidence = confidence.to(head.dtype)
            raw = head[image, anchor, row, column]
            centre = raw[:, :2].sigmoid() * 2 - 0.5
            extent = (raw[:, 2:4].sigmoid() * 2) ** 2 * size
            iou = self.box_iou(torch.cat([centre, extent], 1), wanted, CIoU=True).squeeze(-1)
            share = confidence / confidence.sum()
            box = box + ((1 - iou) * share).sum()
            objectness = objectness + entropy(raw[:, 4], confidence)
            if self.classes > 1:
                one_hot = functional.one_hot(label.long(), self.classes).to(head.dtype)
                each = entropy(raw[:, 5:], one_hot, reduction="none").mean(1)
                class_ = class_ + (each * share).sum()
        hyp = self.base.hyp
        return hyp["box"] * box + hyp["obj"] * objectness + hyp["cls"] * class_


def _as_labels(rows: np.ndarray, size_px: np.ndarray) -> np.ndarray:
    """Rows of code and xyxy px -> rows of code and xywhn inside the frame; empty boxes go."""
    frame = np.tile(size_px, 2).astype(float)
    xyxy = np.clip(rows[:, 1:] / frame, 0, 1)
    low, high = xyxy[:, :2], xyxy[:, 2:]
    kept = ((high - low) > 0).all(axis=1)
    return np.column_stack([rows[:, 0], (low + high) / 2, high - low])[kept].astype(np.float32)
