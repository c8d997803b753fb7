"""Post-processing on plain arrays: NMS by IoU or DIoU, soft-NMS, box voting, weighted boxes fusion.

All take `xyxy` (n, 4) and `confidence` (n,), float32 and sorted by descending confidence. NMS is
torchvision's, the others our own numpy: equal to ensemble-boxes, 2 to 3 times as fast, no numba.
"""

import numpy as np

from livestock_utils.core import overlaps
from livestock_utils.core.arrays import Flags, Float32s
from livestock_utils.core.boxes import Boxes, share, shared_area

VOTE_SHARE = 0.1
"""Candidates of less than this share of a kept box's confidence have no vote on its edges."""


def nms(xyxy: Float32s, confidence: Float32s, iou_threshold: float) -> Flags:
    """Greedy non-maximum suppression, torchvision.ops.nms -> kept (n,). It flows only downwards in
    confidence: cutting the result at a higher one equals running on the boxes above it."""
    import torch
    import torchvision  # noqa: F401 - registers the operator

    kept = np.zeros(len(confidence), dtype=bool)
    if len(kept):
        boxes, scores = (torch.from_numpy(np.ascontiguousarray(a)) for a in (xyxy, confidence))
        kept[torch.ops.torchvision.nms(boxes, scores, float(iou_threshold)).numpy()] = True
    return kept


def diou_nms(
    xyxy: Float32s, confidence: Float32s, iou_threshold: float, most: int | None = None
) -> Flags:
    """Greedy suppression by DIoU = IoU - (distance of centres / diagonal of the box around both)^2
    (Zheng et al. 2020) -> kept (n,), the first `most`: neighbours whose centres lie apart
    survive."""
    kept = np.zeros(len(confidence), dtype=bool)
    boxes = xyxy.astype(np.float64)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    rows, left = np.arange(len(boxes)), len(boxes) if most is None else most
    while len(rows) and left:
        at, rows, left = rows[0], rows[1:], left - 1
        kept[at] = True
        corner = np.minimum(boxes[at, :2], boxes[rows, :2])
        diagonal = ((np.maximum(boxes[at, 2:], boxes[rows, 2:]) - corner) ** 2).sum(axis=1)
        apart = share(((centres[at] - centres[rows]) ** 2).sum(axis=1), diagonal)
        iou = _iou_with(boxes[at], areas[at], boxes[rows], areas[rows])
        rows = rows[iou - apart <= iou_threshold]
    return kept


def soft_nms(
    xyxy: Float32s,
    confidence: Float32s,
    iou_threshold: float,
    *,
    sigma: float = 0.5,
    method: str = "gaussian",
    floor: float = 0.001,
    most: int | None = None,
) -> Float32s:
    """Soft-NMS (Bodla et al. 2017) -> confidences (n,) after decay; 0 below `floor`. "linear": x (1
    - IoU) where the IoU is above `iou_threshold`; "gaussian": x exp(-IoU^2 / sigma). Picks never
    rise, so `most` of them are the surest."""
    scores = confidence.astype(np.float64)
    result, left = np.zeros(len(scores)), len(scores) if most is None else min(most, len(scores))
    # Sorted by x_min, what can overlap a box enough lies side by side: views, no copies.
    order = np.argsort(xyxy[:, 0], kind="stable")
    low, high = np.split(np.ascontiguousarray(xyxy[order].T, dtype=np.float64), 2)
    areas, place = (high - low).prod(axis=0), np.argsort(order)
    first = np.searchsorted(np.maximum.accumulate(high[0]), low[0], "right")
    last = np.searchsorted(low[0], high[0])
    if method == "linear":
        limit, width = max(iou_threshold, 1e-9), (high - low)[0] * 1.001 + 1e-3
        first = np.maximum(first, np.searchsorted(low[0], low[0] - width * (1 / limit - 1)))
        last = np.minimum(last, np.searchsorted(low[0], low[0] + width * (1 - limit), "right"))
    while left:
        best = int(np.argmax(scores))
        if scores[best] < floor or scores[best] <= 0:
            break
        left, at = left - 1, place[best]
        result[best], scores[best] = scores[best], -1
        part, rows = slice(first[at], last[at]), order[first[at] : last[at]]
        sides = (
            np.maximum(low[:, part], low[:, at : at + 1]),
            np.minimum(high[:, part], high[:, at : at + 1]),
        )
        shared = np.maximum(sides[1] - sides[0], 0).prod(axis=0)
        iou = share(shared, areas[part] + areas[at] - shared)
        if method == "linear":
            scores[rows] *= 1 - iou * (iou > iou_threshold)
        else:
            scores[rows] *= np.exp(-(iou**2) / sigma)
    return result.astype(np.float32)


def fuse(
    xyxy: Float32s,
    confidence: Float32s,
    iou_threshold: float,
    *,
    n_passes: int = 1,
    confidence_type: str = "avg",
) -> tuple[Float32s, Float32s]:
    """Weighted boxes fusion (Solovyev et al. 2021) -> (m, 4) boxes, (m,) confidences, sorted. A box
    joins the cluster whose fused box (the weighted mean) it overlaps most, if above
    `iou_threshold`. Confidence: "avg" (mean x min(passes, boxes) / passes) or "max". Boxes without
    area are left out."""
    keep = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    boxes, scores = xyxy[keep].astype(np.float64), confidence[keep].astype(np.float64)
    n = len(scores)
    fused, sums, weight = np.zeros((n, 4)), np.zeros((n, 4)), np.zeros(n)
    count, top, areas = np.zeros(n, dtype=int), np.zeros(n), np.zeros(n)
    clusters = 0
    for box, score in zip(boxes, scores, strict=True):
        at = clusters
        if clusters:
            area = (box[2] - box[0]) * (box[3] - box[1])
            iou = _iou_with(box, area, fused[:clusters], areas[:clusters])
            if iou.max() > iou_threshold:
                at = int(iou.argmax())
        clusters = max(clusters, at + 1)
        sums[at] += score * box
        weight[at] += score
        count[at] += 1
        top[at] = max(top[at], score)
        fused[at] = sums[at] / weight[at] if weight[at] > 0 else box
        areas[at] = (fused[at, 2] - fused[at, 0]) * (fused[at, 3] - fused[at, 1])
    final, count = top[:clusters], count[:clusters]
    if confidence_type == "avg":
        final = weight[:clusters] / count * np.minimum(n_passes, count) / n_passes
    order = np.argsort(-final, kind="stable")
    return fused[:clusters][order].astype(np.float32), final[order].astype(np.float32)


def vote(
    xyxy: Float32s,
    confidence: Float32s,
    voters_xyxy: Float32s,
    voters: Float32s,
    iou_threshold: float,
    by_iou: bool = True,
) -> Float32s:
    """Box voting (Gidaris & Komodakis 2015): each kept box becomes the mean of the voters that
    overlap it by at least `iou_threshold`, weighted by their confidence (x IoU) -> (n, 4). At the
    threshold of the suppression itself that is weighted NMS, and yolov5's merge-NMS not `by_iou`.
    `voters` (m,) are confidences; those below VOTE_SHARE of the box's own have no vote, so that a
    higher confidence threshold leaves the boxes above it as they are."""
    boxes, others = xyxy.astype(np.float64), voters_xyxy.astype(np.float64)
    row, column, iou = overlaps.near(boxes, others, iou_threshold)
    weight = (iou if by_iou else 1.0) * voters[column].astype(np.float64)
    weight *= voters[column] >= np.float32(VOTE_SHARE) * confidence[row]
    total = overlaps.sums(weight, row, len(boxes))
    moved = [overlaps.sums(weight * others[column, e], row, len(boxes)) for e in range(4)]
    where = total[:, None] > 0
    return np.divide(np.stack(moved, axis=1), total[:, None], out=boxes, where=where).astype("f4")


def _iou_with(box: Boxes, area: float, others: Boxes, areas: Boxes) -> Boxes:
    """IoU of one box with (n, 4) others -> (n,); 0 where the union is empty."""
    shared = shared_area(box, others.T)
    return share(shared, area + areas - shared)
