"""Box formats: centre and size as shares of the frame, and back; known by hand."""

import numpy as np
import pytest

from livestock_utils.core import boxes

CASES = [
    ([], [], 100, 50),
    ([[0, 0, 100, 50]], [[0.5, 0.5, 1, 1]], 100, 50),
    ([[10, 20, 30, 25]], [[0.2, 0.45, 0.2, 0.1]], 100, 50),
    (
        [[0, 0, 20, 20], [0, 0, 20, 20]],
        [[0.1, 0.2, 0.2, 0.4], [0.25, 0.1, 0.5, 0.2]],
        [100, 40],
        [50, 100],
    ),
    ([[-10, 0, 10, 10]], [[0, 0.1, 0.2, 0.2]], 100, 50),
]


@pytest.mark.parametrize(("xyxy", "xywhn", "width", "height"), CASES)
def test_corners_and_shares_are_each_others_inverse(xyxy, xywhn, width, height):
    assert boxes.xyxy_to_xywhn(xyxy, width, height) == pytest.approx(np.reshape(xywhn, (-1, 4)))
    assert boxes.xywhn_to_xyxy(xywhn, width, height) == pytest.approx(np.reshape(xyxy, (-1, 4)))


@pytest.mark.parametrize("convert", [boxes.xyxy_to_xywhn, boxes.xywhn_to_xyxy])
@pytest.mark.parametrize(
    ("values", "size", "message"),
    [
        ([[1, 2, 3, 4]], (0, 9), "frame sizes must be above 0 px"),
        ([[1, 2, 3, 4]], (9, -1), "frame sizes must be above 0 px"),
    ],
)
def test_frames_without_a_size_are_refused(convert, values, size, message):
    with pytest.raises(ValueError, match=message):
        convert(values, *size)
