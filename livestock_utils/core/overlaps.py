"""Overlaps of boxes that lie in the same image, for whole tables at once, without a loop."""

import numpy as np
import pandas as pd

from livestock_utils.core.arrays import Floats, Places
from livestock_utils.core.boxes import XYXY, area, share, shared_area


def image_codes(*columns: pd.Series) -> tuple[Places, ...]:
    """One integer an image, the same in all columns of image ids, rising with the id as text."""
    ids = np.concatenate([np.asarray(column, dtype=object) for column in columns])
    codes = pd.factorize(ids, sort=True)[0].astype(np.intp)
    return tuple(np.split(codes, np.cumsum([len(column) for column in columns])[:-1]))


def same_image(first_image: Places, second_image: Places) -> tuple[Places, Places]:
    """Every pair of rows of one image (codes from `image_codes`) -> two index arrays, by first and
    then second row."""
    order = np.argsort(second_image, kind="stable")
    ordered = second_image[order]
    start = np.searchsorted(ordered, first_image, "left")
    count = np.searchsorted(ordered, first_image, "right") - start
    first = np.repeat(np.arange(len(first_image)), count)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return first, order[np.repeat(start, count) + offset]


def overlaps(
    first_xyxy: Floats, second_xyxy: Floats, first: Places, second: Places
) -> tuple[Floats, Floats, Floats]:
    """(IoU, share of the first inside the second, of the second inside the first) per pair."""
    sides = [column[first] for column in first_xyxy.T], [column[second] for column in second_xyxy.T]
    shared = shared_area(*sides)
    one, other = area(first_xyxy)[first], area(second_xyxy)[second]
    return share(shared, one + other - shared), share(shared, one), share(shared, other)


def near(
    first_xyxy: Floats, second_xyxy: Floats, least_iou: float
) -> tuple[Places, Places, Floats]:
    """(rows of the first, of the second, IoU) of the pairs of boxes of one image that overlap by at
    least `least_iou`. Such boxes begin side by side, within what that leaves of their width: sorted
    by x_min few pairs are looked at, and memory follows these."""
    order, one = np.argsort(second_xyxy[:, 0]), np.ascontiguousarray(first_xyxy.T)
    other = np.ascontiguousarray(second_xyxy[order].T)
    reach = np.maximum(one[2:] - one[:2], 1) * (1.001 - least_iou)
    low, high = (
        one[:2] - reach / max(least_iou, 1e-9),
        one[:2] + (reach if least_iou > 0 else np.inf),
    )
    start = other[0].searchsorted(low[0])
    count = np.maximum(other[0].searchsorted(high[0]) - start, 0)
    place = np.arange(count.sum()) + np.repeat(start - np.cumsum(count) + count, count)
    y_min = other[1].take(place)
    there = (y_min >= np.repeat(low[1], count)) & (y_min <= np.repeat(high[1], count))
    row, place = np.repeat(np.arange(len(first_xyxy)), count)[there], place[there]
    iou = overlaps(first_xyxy, other.T, row, place)[0]
    there = iou >= least_iou
    return row[there], order[place[there]], iou[there]


def pairs(first: pd.DataFrame, second: pd.DataFrame) -> tuple[Places, Places, Floats]:
    """Every pair of a box of `first` and one of `second` in the same image: their rows, and IoU."""
    one, other = same_image(*image_codes(first["image_id"], second["image_id"]))
    sides = first[XYXY].to_numpy(float), second[XYXY].to_numpy(float)
    return one, other, overlaps(*sides, one, other)[0]


def sums(values: Floats, row: Places, n_rows: int) -> Floats:
    """The sum of each row's values -> (n_rows,)."""
    return np.bincount(row, values, n_rows).astype(np.float64)


def largest(values: Floats, row: Places, n_rows: int) -> Floats:
    """The largest value of each row, 0 where it has none -> (n_rows,); values are 0 or more."""
    result = np.zeros(n_rows)
    np.maximum.at(result, row, values)
    return result
