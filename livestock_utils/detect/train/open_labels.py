"""Losses that know what nobody labelled: yolov5's objectness, where an absent label is not
believed everywhere.

- "doubted" (no teacher): a background cell weighs (1 - p)^2, p the network's own objectness, once
  a fifth of the epochs is over; after soft sampling (Wu et al. 2019) and focal recalibration
  (Zhang et al. 2020), which do so for detectors with anchors.
- "masked": no objectness loss in regions that are given as "nobody knows", instead of painting them
  over (as Efficient Teacher and MMYOLO do for YOLOv5).
- "soft": uncertain boxes, with a confidence, are targets of so much objectness.

Regions and uncertain boxes travel through mosaic and augmentation as labels whose class number
holds what they are (`distill`).
"""

import copy
from typing import Any

from livestock_utils.detect.train.distill import BINS, confidence_of

NEGATIVES = ("plain", "masked", "soft", "doubted")
_EXPONENT = 2.0
_TRUST_NEAR = False
_TRUSTED_FROM = 0.2
"""Share of the epochs in which the network is too young to doubt a label."""


def region_code(classes: int) -> int:
    """Class number of a region that nobody labelled, beyond the teacher's."""
    return classes * (1 + BINS)


class OpenLoss:
    """yolov5's ComputeLoss with weights on its background cells; equal to it without any."""

    def __init__(self, base: Any, negatives: str, classes: int) -> None:
        """`base`: yolov5's ComputeLoss, whose objectness term is taken over."""
        self.base, self.negatives, self.classes = base, negatives, classes
        self.plain = base.BCEobj
        self.each = copy.copy(base.BCEobj)
        self.each.reduction = "none"
        self.share = 0.0
        """How much of the epochs is over; the training tells it."""
        self.level = 0
        self.coded: Any = None
        base.BCEobj = self._objectness

    @property
    def hyp(self) -> Any:
        """yolov5's hyperparameters."""
        return self.base.hyp

    def build_targets(self, heads: Any, targets: Any) -> Any:
        """yolov5's."""
        return self.base.build_targets(heads, targets)

    def __call__(self, heads: Any, targets: Any) -> tuple[Any, Any]:
        """Loss to minimise (times batch size), and its parts."""
        is_coded = targets[:, 1] >= self.classes
        self.level, self.coded = 0, targets[is_coded]
        self.heads, self.soft = heads, None
        if self.negatives == "soft" and len(self.coded):
            known = self.coded[self.coded[:, 1] < region_code(self.classes)]
            self.soft = self.base.build_targets(heads, known)
        self.labels = targets[~is_coded]
        return self.base(heads, self.labels)

    def _objectness(self, logits: Any, target: Any) -> Any:
        """The objectness term of the next level: logits and targets (images, anchors, rows,
        columns)."""
        import torch

        level, self.level = self.level, self.level + 1
        if not logits.requires_grad:  # a validation
            return self.plain(logits, target)
        is_background = target == 0
        if self.soft is not None:
            codes, _, (image, anchor, row, column), _ = (each[level] for each in self.soft)
            confidence = confidence_of(codes, self.classes).to(target.dtype)
            free = is_background[image, anchor, row, column]
            places = [index[free] for index in (image, anchor, row, column)]
            target = target.index_put(tuple(places), confidence[free])
            return self.plain(logits, target)
        weight = torch.ones_like(target)
        if self.negatives == "masked" and self.coded is not None and len(self.coded):
            hidden = _inside(self.coded, logits.shape)
            weight = torch.where(is_background & hidden[:, None], 0.0, weight)
        elif self.negatives == "doubted" and self.share >= _TRUSTED_FROM:
            if _TRUST_NEAR:
                is_background = is_background & ~_inside(self.labels, logits.shape)[:, None]
            doubt = (1 - logits.detach().float().sigmoid()).to(weight.dtype) ** _EXPONENT
            weight = torch.where(is_background, doubt, weight)
        else:
            return self.plain(logits, target)
        return (self.each(logits, target) * weight).mean()


def _inside(boxes: Any, shape: Any) -> Any:
    """Whether the centre of each cell lies in a box (n, 6: image, class, xywhn) of its image ->
    (images, rows, columns)."""
    import torch

    images, _, rows, columns = shape
    low, high = boxes[:, 2:4] - boxes[:, 4:6] / 2, boxes[:, 2:4] + boxes[:, 4:6] / 2
    x = (torch.arange(columns, device=boxes.device) + 0.5) / columns
    y = (torch.arange(rows, device=boxes.device) + 0.5) / rows
    across = (x >= low[:, :1]) & (x <= high[:, :1])
    down = (y >= low[:, 1:]) & (y <= high[:, 1:])
    hidden = torch.zeros((images, rows, columns), dtype=torch.bool, device=boxes.device)
    for image, row, column in zip(boxes[:, 0].long().tolist(), down, across, strict=True):
        hidden[image] |= row[:, None] & column[None]
    return hidden
