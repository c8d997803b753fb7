"""Box arithmetic on arrays: `xyxy` = x_min, y_min, x_max, y_max in px, half-open; `xywhn` = centre
x, centre y, width, height as shares of the frame, as in YOLO's labels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from livestock_utils.core.arrays import Array, Floats
from livestock_utils.core.errors import DatasetError

XYXY = ["x_min", "y_min", "x_max", "y_max"]
"""Column names of a box in the tables."""

Boxes = Floats
Columns = Sequence[Array] | Array


def area(xyxy: npt.ArrayLike) -> Boxes:
    """Areas in px2 of (n, 4) boxes -> (n,); boxes turned inside out count 0."""
    boxes = _as_boxes(xyxy)
    return np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None)


def shared_area(first: Columns, second: Columns) -> Array:
    """Shared area in px2 of boxes given as four arrays each (x_min, y_min, x_max, y_max) that
    broadcast: column by column less memory is in flight than with (pairs, 4)."""
    width = np.minimum(first[2], second[2]) - np.maximum(first[0], second[0])
    height = np.minimum(first[3], second[3]) - np.maximum(first[1], second[1])
    return np.maximum(width, 0) * np.maximum(height, 0)


def shared_matrix(first_xyxy: npt.ArrayLike, second_xyxy: npt.ArrayLike) -> Boxes:
    """Shared area in px2 of every pair, (n, 4) x (m, 4) -> (n, m)."""
    first, second = _as_boxes(first_xyxy).T, _as_boxes(second_xyxy).T
    return shared_area(first[:, :, None], second[:, None, :])


def share(part: Array, whole: Array) -> Array:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def iou_matrix(first_xyxy: npt.ArrayLike, second_xyxy: npt.ArrayLike) -> Boxes:
    """Intersection over union, (n, 4) x (m, 4) -> (n, m), in [0, 1]; 0 for two empty boxes."""
    shared = shared_matrix(first_xyxy, second_xyxy)
    return share(shared, area(first_xyxy)[:, None] + area(second_xyxy)[None, :] - shared)


def clip_to_frame(xyxy: npt.ArrayLike, width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    """Move the corners of (n, 4) boxes into the frame; sizes are numbers or (n,) arrays."""
    return np.clip(_as_boxes(xyxy), 0, np.tile(_size(width_px, height_px), 2))


def xyxy_to_xywhn(xyxy: npt.ArrayLike, width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    """Pixel corners (n, 4) -> centre and size as shares (n, 4); sizes are numbers or (n,)."""
    boxes = _as_boxes(xyxy)
    size = np.tile(_known_size(width_px, height_px), 2)
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]]) / size


def xywhn_to_xyxy(xywhn: npt.ArrayLike, width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    """YOLO shares (n, 4) -> pixel corners (n, 4), the inverse of `xyxy_to_xywhn`."""
    boxes = _as_boxes(xywhn)
    size = _known_size(width_px, height_px)
    centre, half = boxes[:, :2] * size, boxes[:, 2:] * size / 2
    return np.hstack([centre - half, centre + half])


def _as_boxes(values: npt.ArrayLike) -> Boxes:
    return np.asarray(values, dtype=float).reshape(-1, 4)


def _size(width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    """Frame sizes in px as (n, 2), or (1, 2) for one of all."""
    return np.hstack([np.asarray(px, dtype=float).reshape(-1, 1) for px in (width_px, height_px)])


def _known_size(width_px: npt.ArrayLike, height_px: npt.ArrayLike) -> Boxes:
    size = _size(width_px, height_px)
    if (size <= 0).any():
        raise DatasetError("frame sizes must be above 0 px; drop images of unknown size first")
    return size
