"""The write-up's bins at and beside their edges."""

import numpy as np
import pandas as pd
import pytest

from livestock_utils.core.errors import LivestockError
from livestock_utils.data.eda import bins


def boxes_of(*sizes: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [(5.0, 7.0, 5.0 + w, 7.0 + h) for w, h in sizes],
        columns=["x_min", "y_min", "x_max", "y_max"],
    )


@pytest.mark.parametrize("of_box", [bins.ratio_bin, bins.area_bin, bins.small_bin])
def test_no_boxes_give_no_bins_but_all_categories(of_box):
    empty = of_box(boxes_of())
    assert len(empty) == 0
    assert len(empty.value_counts()) in (3, 5, 6)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((0, 0), "square"),
        ((3, 2), "horizontal"),
        ((2, 3), "vertical"),
        ((2.99, 2), "square"),
        ((2, 2.99), "square"),
        ((1, 0), "horizontal"),
        ((0.3, 0.2), "horizontal"),
    ],
)
def test_ratio_bin(size, expected):
    assert bins.ratio_bin(boxes_of(size)).tolist() == [expected]


@pytest.mark.parametrize(
    ("area", "expected", "detail"),
    [
        (0, "out", None),
        (99, "out", None),
        (100, "very small", None),
        (999, "very small", None),
        (1_000, "small", "1-2k"),
        (1_999, "small", "1-2k"),
        (2_000, "small", "2-4k"),
        (9_999, "small", "8-10k"),
        (10_000, "medium", None),
        (50_000, "large", None),
        (99_999, "large", None),
        (100_000, "very large", None),
    ],
)
def test_area_bins_hold_their_lower_edge(area, expected, detail):
    boxes = boxes_of((area, 1))
    assert bins.area_bin(boxes).tolist() == [expected]
    assert bins.small_bin(boxes).astype(object).where(lambda s: s.notna(), None).tolist() == [
        detail
    ]


@pytest.mark.parametrize(
    ("species", "expected"),
    [
        ("cow", ["little"] * 4 + ["medium"] * 2 + ["many"] * 8),
        ("pig", ["little"] * 8 + ["medium"] * 5 + ["many"]),
    ],
)
def test_count_bins_by_species(species, expected):
    index = np.arange(14) + 3
    found = bins.count_bin(pd.Series([species] * 14, index=index), range(14))
    assert found.tolist() == expected
    assert found.index.tolist() == index.tolist()


def test_count_bin_of_nothing():
    assert bins.count_bin([], []).tolist() == []


def test_count_bin_of_an_unknown_species():
    with pytest.raises(LivestockError, match="unknown species 'goat'"):
        bins.count_bin(["goat"], [1])
