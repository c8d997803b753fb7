"""Box arithmetic on arrays: corner-corner pixels (`xyxy`, half-open, float) and YOLO's `xywhn`
shares.

Names carry the format, as in the field: `xyxy` = x_min, y_min, x_max, y_max in pixels; `xywhn` =
centre x, centre y, width, height as shares of the frame.
"""

import numpy as np
import numpy.typing as npt

XYXY = ["x_min", "y_min", "x_max", "y_max"]
"""Column names of a box in the tables."""

Boxes = npt.NDArray[np.float64]


def area(xyxy: npt.ArrayLike) -> Boxes:
    """Areas in px2 of (n, 4) boxes -> (n,); boxes turned inside out count 0."""
    boxes = _as_boxes(xyxy)
    return np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None)


def iou_matrix(first_xyxy: npt.ArrayLike, second_xyxy: npt.ArrayLike) -> Boxes:
    """Intersection over union of every pair, (n, 4) x (m, 4) -> (n, m), in [0, 1]; 0 where both
    boxes are empty."""
    first, second = _as_boxes(first_xyxy), _as_boxes(second_xyxy)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=2)
    union = area(first)[:, None] + area(second)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def clip_to_frame(xyxy: npt.ArrayLike, width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    """Move the corners of (n, 4) boxes into [0, width] x [0, height]; sizes are numbers or (n,)
    arrays."""
    boxes = _as_boxes(xyxy).copy()
    boxes[:, [0, 2]] = np.clip(
        boxes[:, [0, 2]], 0, np.asarray(width_px, dtype=float).reshape(-1, 1)
    )
    boxes[:, [1, 3]] = np.clip(
        boxes[:, [1, 3]], 0, np.asarray(height_px, dtype=float).reshape(-1, 1)
    )
    return boxes


def xyxy_to_xywhn(xyxy: npt.ArrayLike, width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    """Pixel corners (n, 4) -> YOLO centre and size as shares of the frame (n, 4); sizes are numbers
    or (n,) arrays."""
    boxes = _as_boxes(xyxy)
    size = _size(width_px, height_px)
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]]) / np.hstack(
        [size, size]
    )


def xywhn_to_xyxy(xywhn: npt.ArrayLike, width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    """YOLO shares (n, 4) -> pixel corners (n, 4), the inverse of `xyxy_to_xywhn`."""
    boxes = _as_boxes(xywhn)
    size = _size(width_px, height_px)
    centre, half = boxes[:, :2] * size, boxes[:, 2:] * size / 2
    return np.hstack([centre - half, centre + half])


def _as_boxes(values: npt.ArrayLike) -> Boxes:
    boxes = np.asarray(values, dtype=float)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must have the shape (n, 4), got {boxes.shape}")
    return boxes


def _size(width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    width, height = (
        np.asarray(width_px, dtype=float).reshape(-1, 1),
        np.asarray(height_px, dtype=float).reshape(-1, 1),
    )
    if (width <= 0).any() or (height <= 0).any():
        raise ValueError("frame sizes must be above 0 px; drop images of unknown size first")
    return np.hstack([width, height])
