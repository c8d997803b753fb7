"""P(IoU >= .75) of a box from how the candidates around it agree: numbers in a settings file, no
pickle, applied by numpy alone.

A detector's confidence says that an animal is there; AP75 asks whether its outline is right. After
contextual rescoring (Pato et al. 2020), with one logistic function in place of their network. Every
feature of a box looks at itself, at its voters and at surer boxes only, so that a higher confidence
threshold leaves the boxes above it as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from livestock_utils.core import overlaps
from livestock_utils.core.arrays import Array
from livestock_utils.core.boxes import iou_matrix, share
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.suppression import VOTE_SHARE

FEATURES = (
    *("logit_confidence", "log_voters", "log_votes", "mean_iou", "widest_edge", "mean_edge"),
    *("log_area", "log_ratio", "at_border", "surer_overlap", "log_surer"),
)
"""What `features` gives, in this order."""
_NEAR_IOU = 0.6
_BORDER = 0.005
"""Nearer to an edge of the frame, as a share of its side, a box counts as cut off."""


def features(
    xyxy: Array, confidence: Array, voters_xyxy: Array, voters: Array, size_px: Sequence[float]
) -> Array:
    """FEATURES of the kept boxes of an image and class (n, 4), with all its candidates (m, 4) and
    their confidences `voters`; `size_px` is (width, height) of the frame -> (n, 11)."""
    boxes, others = xyxy.astype(float), voters_xyxy.astype(float)
    own = confidence.astype(float)
    row, column, iou = overlaps.near(boxes, others, _NEAR_IOU)
    voting = voters[column] >= np.float32(VOTE_SHARE) * confidence[row]
    row, column, iou = row[voting], column[voting], iou[voting]
    weight = voters[column].astype(float)

    def add(values: Array) -> Array:
        return overlaps.sums(values, row, len(boxes))

    total = add(weight) + 1e-9
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    apart = [add(weight * (others[column, e] - boxes[row, e]) ** 2) for e in range(4)]
    spread = np.sqrt(np.stack(apart, axis=1) / total[:, None]) / np.tile(sides, 2)
    frame = np.tile(np.asarray(size_px, dtype=float), 2)
    edges = boxes / frame
    surer = own[None] > own[:, None]
    probability = own.clip(1e-4, 1 - 1e-4)
    columns = [
        np.log(probability / (1 - probability)),
        np.log1p(add(np.ones(len(row)))),
        np.log(total),
        add(weight * iou) / total,
        np.log(spread.max(axis=1) + 0.01),
        np.log(spread.mean(axis=1) + 0.01),
        np.log(share(sides.prod(axis=1), np.full(len(sides), frame[0] * frame[1])) + 1e-9),
        np.log(sides[:, 0] / sides[:, 1]),
        (edges[:, :2] < _BORDER).any(axis=1) | (edges[:, 2:] > 1 - _BORDER).any(axis=1),
        (iou_matrix(boxes, boxes) * surer).max(axis=1, initial=0),
        np.log1p(surer.sum(axis=1)),
    ]
    return np.column_stack([np.asarray(column, dtype=float) for column in columns])


def probability(values: Array, rescorer: Mapping[str, Any], name: str) -> Array:
    """P(IoU >= .75) of boxes of class `name` from their features (n, 11)."""
    weights = np.asarray(rescorer["weights"], dtype=float)
    return 1 / (1 + np.exp(-(values @ weights + rescorer["bias"][name])))


def check(rescorer: Mapping[str, Any]) -> None:
    """LivestockError for a re-scorer of other features than these."""
    known = rescorer if isinstance(rescorer, Mapping) else {}
    told, weights = known.get("features"), known.get("weights")
    if (
        told != list(FEATURES)
        or not isinstance(weights, list | tuple)
        or len(weights) != len(FEATURES)
    ):
        raise LivestockError(
            f"the re-scorer was trained on the features {told}, this release gives "
            f"{list(FEATURES)}: tune again"
        )
