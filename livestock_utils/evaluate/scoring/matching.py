"""Which detection found which answer: the contest's rule and COCO's, without a loop.

The contest tries a detection only against the answer that it overlaps best, whatever the others do:
`match_best` is computed once, and a cut or a suppression is a mask over `Matches`. COCO lets a
detection go on to the next best answer, so it has to walk (`match_coco`).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from livestock_utils.core.arrays import Array, Flags, Places
from livestock_utils.core.boxes import share, shared_area


@dataclasses.dataclass(frozen=True)
class Sides:
    """Answers and detections of one evaluation, in an order that no order of table rows changes.
    Answers go by class, image, x_min, x_max, y_min, y_max; detections by class, falling confidence,
    then as answers. `*_class` and `*_image` index `classes` and `image_ids` (sorted); `row` is the
    detection's position in its table."""

    classes: tuple[str, ...]
    image_ids: Array
    answer_class: Places
    answer_image: Places
    answer_xyxy: Array
    detection_class: Places
    detection_image: Places
    detection_xyxy: Array
    confidence: Array
    row: Places


@dataclasses.dataclass(frozen=True)
class Matches:
    """Detections in the order of `Sides` with the answer each overlaps best (-1: none). `n_answers`
    is (classes, images): how many answers each image holds."""

    classes: tuple[str, ...]
    image_ids: Array
    n_answers: Places
    detection_class: Places
    detection_image: Places
    confidence: Array
    row: Places
    best_answer: Places
    best_iou: Array


def sort_sides(
    classes: Sequence[str],
    image_ids: Array,
    answers: tuple[Places, Places, Array],
    detections: tuple[Places, Places, Array, Array],
) -> Sides:
    """Unsorted class, image, xyxy (n, 4) and, of detections, confidence in the order of `Sides`.
    Detections whose class or image is -1 (unknown to the answers) are left out: they cost
    nothing."""
    a_class, a_image, a_xyxy = answers
    a_order = np.lexsort((*a_xyxy.T[[3, 1, 2, 0]], a_image, a_class))
    d_class, d_image, d_xyxy, confidence = detections
    rows = np.flatnonzero((d_class >= 0) & (d_image >= 0))
    order = rows[np.argsort(-confidence[rows])]
    # With 16 bits numpy counts, in linear time.
    order = order[np.argsort(d_class[order].astype(np.int16), kind="stable")]
    # Sorting by seven keys is slow: only rows of equal confidence are looked at again.
    equal = (np.diff(confidence[order]) == 0) & (np.diff(d_class[order]) == 0)
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    some = order[tied]
    keys = *d_xyxy[some].T[[3, 1, 2, 0]], d_image[some], -confidence[some], d_class[some]
    order[tied] = some[np.lexsort(keys)]
    ranked: list[Any] = [column[a_order] for column in answers]
    ranked += [*(column[order] for column in detections), order]
    return Sides(tuple(classes), image_ids, *ranked)


def match_best(sides: Sides, epsilon: float = 0.0) -> Matches:
    """The answer of its image and class that each detection overlaps best, without a pair table;
    `epsilon` is added to the union (yolov5 adds 1e-7)."""
    first, count = _answers_of(sides)
    # Fullest images first, so that detections with an answer left to try are a leading slice.
    order = np.argsort(-count, kind="stable")
    first, descending = first[order], -count[order]
    answer, found = _columns(sides.answer_xyxy), _columns(sides.detection_xyxy[order])
    iou_in_order = np.zeros(len(order), dtype=sides.detection_xyxy.dtype)
    answer_in_order = np.full(len(order), -1, dtype=np.intp)
    for rank in range(int(count.max(initial=0))):
        active = slice(0, int(np.searchsorted(descending, -rank)))
        tried = first[active] + rank
        iou = _pair_iou([c[active] for c in found], [c[tried] for c in answer], epsilon)
        better = iou > iou_in_order[active]
        np.copyto(iou_in_order[active], iou, where=better)
        np.copyto(answer_in_order[active], tried, where=better)
    best_iou, best_answer = np.empty_like(iou_in_order), np.empty_like(answer_in_order)
    best_iou[order], best_answer[order] = iou_in_order, answer_in_order
    n_answers = np.zeros((len(sides.classes), len(sides.image_ids)), dtype=np.intp)
    np.add.at(n_answers, (sides.answer_class, sides.answer_image), 1)
    detections = sides.detection_class, sides.detection_image, sides.confidence, sides.row
    return Matches(sides.classes, sides.image_ids, n_answers, *detections, best_answer, best_iou)


def hits(matches: Matches, iou_threshold: float, kept: npt.ArrayLike | None = None) -> Flags:
    """Which detections count as found, (n,): best overlap enough, first at its answer; what `kept`
    (n,) masks away is no hit and takes no answer."""
    good = (matches.best_iou >= iou_threshold) & (matches.best_answer >= 0)
    if kept is not None:
        good &= np.asarray(kept, dtype=bool)
    candidates = np.flatnonzero(good)
    first = np.full(int(matches.n_answers.sum()), -1, dtype=np.intp)
    backwards = candidates[::-1]  # the last write wins: the most confident one
    first[matches.best_answer[backwards]] = backwards
    found = np.zeros(len(good), dtype=bool)
    found[first[first >= 0]] = True
    return found


def match_coco(sides: Sides, thresholds: Sequence[float]) -> tuple[Flags, Flags]:
    """COCO's rule: by falling confidence, the best answer still free, the last of equals. Returns
    `found` (thresholds, n) and `counted` (n,): the 100 most confident of each image and class; the
    others are not looked at, as in pycocotools."""
    group = sides.detection_class * len(sides.image_ids) + sides.detection_image
    counted = _rank(group) < 100
    found = np.zeros((len(thresholds), len(group)), dtype=bool)
    least = min(thresholds, default=1.0)
    detection, answer, iou = _overlapping_pairs(sides, np.flatnonzero(counted), least)
    if not detection.size:
        return found, counted
    # Detections of an image and class walk one after the other, images and classes side by side.
    unique = np.unique(detection)
    turn = np.zeros(len(group), dtype=np.intp)
    turn[unique] = _rank(group[unique])
    order = np.lexsort((answer, iou, detection, turn[detection]))
    detection, answer, iou = detection[order], answer[order], iou[order]
    bounds = np.searchsorted(turn[detection], np.arange(turn.max() + 2))
    taken = np.zeros((len(thresholds), len(sides.answer_class)), dtype=bool)
    choice = np.empty(len(group), dtype=np.intp)
    for start, stop in itertools.pairwise(bounds):
        for level, threshold in enumerate(thresholds):
            near = iou[start:stop] >= min(threshold, 1 - 1e-10)
            pairs = start + np.flatnonzero(near & ~taken[level, answer[start:stop]])
            # Pairs rise with IoU and the last write wins: the best free answer.
            choice[detection[pairs]] = pairs
            chosen = choice[detection[pairs]]
            found[level, detection[pairs]] = True
            taken[level, answer[chosen]] = True
    return found, counted


def _overlapping_pairs(
    sides: Sides, active: Places, least_iou: float
) -> tuple[Places, Places, Array]:
    """Pairs of detection and answer (image, class) with IoU >= `least_iou`: indices and IoU."""
    first, count = _answers_of(sides)
    answer, found = _columns(sides.answer_xyxy), _columns(sides.detection_xyxy)
    none = np.zeros(0, dtype=np.intp)
    parts: list[tuple[Places, Places, Array]] = [(none, none, np.zeros(0))]
    active, rank = active[count[active] > 0], 0
    while active.size:
        tried = first[active] + rank
        iou = _pair_iou([c[active] for c in found], [c[tried] for c in answer], 0.0)
        near = iou >= min(least_iou, 1 - 1e-10)
        parts.append((active[near], tried[near], iou[near]))
        rank += 1
        active = active[count[active] > rank]
    detections, answers, ious = zip(*parts, strict=True)
    return np.concatenate(detections), np.concatenate(answers), np.concatenate(ious)


def _answers_of(sides: Sides) -> tuple[Places, Places]:
    """For each detection: where the answers of its image and class begin, and how many."""
    images = len(sides.image_ids)
    of_answer = sides.answer_class * images + sides.answer_image
    counts = np.bincount(of_answer, minlength=len(sides.classes) * images)
    group = sides.detection_class * images + sides.detection_image
    return (np.cumsum(counts) - counts)[group], counts[group]


def _columns(xyxy: Array) -> list[Array]:
    """x_min, y_min, x_max, y_max and the area as contiguous arrays."""
    x_min, y_min, x_max, y_max = np.ascontiguousarray(xyxy.T)
    return [x_min, y_min, x_max, y_max, (x_max - x_min) * (y_max - y_min)]


def _pair_iou(first: list[Array], second: list[Array], epsilon: float) -> Array:
    """IoU of paired boxes given as `_columns`; the order of operations is map-boxes'."""
    shared = shared_area(first, second)
    union = first[4] + second[4] - shared
    if epsilon:
        union = union + np.asarray(epsilon, dtype=union.dtype)
    return share(shared, union)


def _rank(group: Array) -> Places:
    """Position of each element among those of its group: [5, 7, 5] -> [0, 0, 1]."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    rank = np.empty(len(group), dtype=np.intp)
    rank[order] = np.arange(len(group)) - np.searchsorted(ordered, ordered, "left")
    return rank
