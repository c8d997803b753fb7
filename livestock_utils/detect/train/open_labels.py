"""Losses that know what nobody labelled: yolov5's objectness, where an absent label is not
believed everywhere.

- "doubted": a background cell weighs (1 - p)^2, p the network's own objectness, once a fifth of the
  epochs is over; after soft sampling (Wu et al. 2019) and background recalibration (Zhang et al.
  2020), which do so for detectors of their time. Needs no teacher.
- "masked": no objectness loss inside a teacher's boxes, in place of painting them over (as
  Efficient Teacher, Xu et al. 2023, does in YOLOv5).
- "soft": a teacher's boxes are targets of as much objectness as their confidence.

A teacher's boxes travel through mosaic and augmentation as coded labels, see `distill`.
"""

import copy
from typing import Any

import numpy as np

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.train.data import Data
from livestock_utils.detect.train.distill import confidence_of

_EXPONENT = 2.0
_TRUSTED_FROM = 0.2
"""Share of the epochs in which the network is too young to doubt a label."""
_MOST_MASKED = 0.9
_GRID = 32


class OpenLoss:
    """yolov5's ComputeLoss with weights on its background cells; equal to it without any."""

    def __init__(self, base: Any, negatives: str, classes: int) -> None:
        """`base`: yolov5's ComputeLoss, whose objectness term is taken over."""
        self.base, self.negatives, self.classes = base, negatives, classes
        self.hyp, self.build_targets = base.hyp, base.build_targets
        self.plain, self.each = base.BCEobj, copy.copy(base.BCEobj)
        self.each.reduction = "none"
        base.BCEobj = self._objectness
        self.share = 0.0
        """How much of the epochs is over; the training tells it."""
        self.level = 0
        self.taught: Any = None
        self.soft: Any = None

    def __call__(self, heads: Any, targets: Any) -> tuple[Any, Any]:
        """Loss to minimise (times batch size), and its parts."""
        is_taught = targets[:, 1] >= self.classes
        self.level, self.taught = 0, targets[is_taught]
        self.soft = self.build_targets(heads, self.taught) if self.negatives == "soft" else None
        return self.base(heads, targets[~is_taught])

    def _objectness(self, logits: Any, target: Any) -> Any:
        """The objectness term of the next level: logits and targets (images, anchors, rows,
        columns)."""
        import torch

        level, self.level = self.level, self.level + 1
        if not logits.requires_grad:  # a validation
            return self.plain(logits, target)
        if self.negatives == "doubted":
            is_plain = self.share < _TRUSTED_FROM
        else:
            is_plain = not len(self.taught)
        if is_plain:
            return self.plain(logits, target)
        is_background = target == 0
        if self.soft is not None:
            codes, _, places, _ = (each[level] for each in self.soft)
            free = is_background[places]
            confidence = confidence_of(codes, self.classes).to(target.dtype)[free]
            target = target.index_put(tuple(index[free] for index in places), confidence)
            return self.plain(logits, target)
        if self.negatives == "masked":
            weight = (~_inside(self.taught, logits.shape)[:, None]).to(target.dtype)
        else:
            weight = (1 - logits.detach().float().sigmoid()).to(target.dtype) ** _EXPONENT
        weight = torch.where(is_background, weight, torch.ones_like(weight))
        return (self.each(logits, target) * weight).mean()


def check_masks(data: Data) -> None:
    """TrainingError for a teacher's boxes that leave no background to learn from."""
    classes, covered = len(data.names), []
    middle = (np.arange(_GRID) + 0.5) / _GRID
    for labels in data.train.labels:
        x, y, width, height = labels[labels[:, 0] >= classes, 1:].T[..., None]
        across, down = abs(middle - x) <= width / 2, abs(middle - y) <= height / 2
        covered.append((down[:, :, None] & across[:, None]).any(axis=0).mean())
    if (share := float(np.mean(covered))) > _MOST_MASKED:
        raise TrainingError(
            f"the teacher's boxes cover {share:.0%} of the training photos: no background is left "
            "to learn from; give surer boxes alone"
        )


def _inside(boxes: Any, shape: Any) -> Any:
    """Whether the centre of each cell lies in a box (n, 6: image, class, xywhn) of its image ->
    (images, rows, columns)."""
    import torch

    images, _, rows, columns = shape[:4]
    x, y, width, height = boxes[:, 2:].T[..., None]
    across = (((torch.arange(columns, device=boxes.device) + 0.5) / columns - x).abs()) <= width / 2
    down = (((torch.arange(rows, device=boxes.device) + 0.5) / rows - y).abs()) <= height / 2
    hidden = torch.zeros((images, rows, columns), device=boxes.device)
    hidden.index_add_(0, boxes[:, 0].long(), (down[:, :, None] & across[:, None]).float())
    return hidden > 0
