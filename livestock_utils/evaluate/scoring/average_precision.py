"""Average precision from a ranked list of hits, by three definitions.

The three read the same curve differently, so a number is only comparable with its definition beside
it:

- "contest": area under the precision envelope at every recall step (PASCAL VOC 2010 on; map-boxes);
- "coco": mean of the envelope at recall 0, .01, ..., 1, taken at the first point that reaches the
  recall;
- "yolov5": trapezoids through the envelope interpolated linearly at the same recalls, from
  precision 1 at recall 0 down to 0 at recall 1 (its val.py). It differs from both by up to a few
  points on short lists.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from livestock_utils.core.arrays import Flags, Floats

_RECALL_POINTS: Floats = np.linspace(0.0, 1.0, 101)


def precision_recall(is_hit: npt.ArrayLike, n_answers: int) -> tuple[Floats, Floats]:
    """Precision and recall (n,) after each detection of a list by falling confidence."""
    if n_answers <= 0:
        raise ValueError(
            f"n_answers must be above 0, got {n_answers}: recall has no meaning without answers"
        )
    hits = np.cumsum(np.asarray(is_hit, dtype=bool), dtype=float)
    return hits / np.arange(1, len(hits) + 1), hits / n_answers


def envelope(precision: Floats) -> Floats:
    """The highest precision at this recall or any later one, (n,) -> (n,)."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def _all_points(precision: Floats, recall: Floats) -> float:
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope(precision)))


def _coco_101(precision: Floats, recall: Floats) -> float:
    heights = np.append(envelope(precision), 0.0)  # 0 where the recall is never reached
    return float(heights[np.searchsorted(recall, _RECALL_POINTS, side="left")].mean())


def _yolov5_101(precision: Floats, recall: Floats) -> float:
    if not len(precision):
        return 0.0
    heights = envelope(np.concatenate([[1.0], precision, [0.0]]))
    curve = np.interp(_RECALL_POINTS, np.concatenate([[0.0], recall, [1.0]]), heights)
    return float(np.sum((curve[1:] + curve[:-1]) / 2 * np.diff(_RECALL_POINTS)))


DEFINITIONS = {"contest": _all_points, "coco": _coco_101, "yolov5": _yolov5_101}


def average_precision(is_hit: npt.ArrayLike, n_answers: int, definition: str = "contest") -> float:
    """AP in [0, 1] of a class at one IoU: `is_hit` (n,) by falling confidence."""
    if definition not in DEFINITIONS:
        raise ValueError(f"definition must be one of {list(DEFINITIONS)}, got {definition!r}")
    return DEFINITIONS[definition](*precision_recall(is_hit, n_answers))


def best_f1(curves: Mapping[str, tuple[Floats, Flags, int]]) -> tuple[float, dict[str, tuple]]:
    """The confidence of the highest mean F1, and each class's (precision, recall) there. `curves`:
    class -> confidences (n,) falling, hits (n,), number of answers. As yolov5's val.py does it:
    1,000 confidences from 0 to 1, the mean F1 smoothed by a box of 10 %."""
    grid = np.linspace(0, 1, 1000)
    precisions, recalls = np.zeros((len(curves), 1000)), np.zeros((len(curves), 1000))
    for row, (confidence, is_hit, n_answers) in enumerate(curves.values()):
        if len(confidence):
            precision, recall = precision_recall(is_hit, n_answers)
            precisions[row] = np.interp(-grid, -confidence, precision, left=1)
            recalls[row] = np.interp(-grid, -confidence, recall, left=0)
    f1 = 2 * precisions * recalls / (precisions + recalls + 1e-16)
    best = int(_smooth(f1.mean(axis=0), 0.1).argmax()) if len(curves) else 0
    return float(grid[best]), {
        name: (float(precisions[row, best]), float(recalls[row, best]))
        for row, name in enumerate(curves)
    }


def _smooth(values: Floats, share: float) -> Floats:
    """Mean over a window of `share` of the length, the ends repeated."""
    width = round(len(values) * share * 2) // 2 + 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")
