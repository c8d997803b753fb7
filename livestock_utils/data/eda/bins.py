"""The bins of the write-up's EDA as ordered categoricals, so that a group-by lists empty ones too.

Source of the edges: the original's notebook EDA/EDA.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import boxes as box_arithmetic
from livestock_utils.core import species as classes

RATIO_BINS = ("horizontal", "square", "vertical")
"""Horizontal: w / (w + h) >= 0.6; vertical: h / (w + h) >= 0.6; square: the rest."""
_RATIO_EDGE = 0.6

AREA_BINS = ("out", "very small", "small", "medium", "large", "very large")
"""Area bins from small to large; a bin holds its lower edge."""
AREA_EDGES_PX2 = (100, 1_000, 10_000, 50_000, 100_000)

SMALL_BINS = ("1-2k", "2-4k", "4-6k", "6-8k", "8-10k")
"""The bin "small" (1,000 to 10,000 px2) in detail; a bin holds its lower edge."""
_SMALL_EDGES_PX2 = (1_000, 2_000, 4_000, 6_000, 8_000, 10_000)

NO_SPECIES = "none"
"""What tables call the photos of no species, those without animals."""
COUNT_BINS = ("little", "medium", "many")
"""Boxes an image; the edges depend on the species (species.yaml, `count_bins`)."""


def ratio_bin(boxes: pd.DataFrame) -> pd.Series:
    """Ratio bin of each box, a categorical with the table's index; see RATIO_BINS."""
    width = (boxes["x_max"] - boxes["x_min"]).to_numpy(dtype=float)
    height = (boxes["y_max"] - boxes["y_min"]).to_numpy(dtype=float)
    # No division: a box without extent is "square". The hair of tolerance keeps 0.6 exactly
    # (3 px x 2 px) on its side of the edge whatever the rounding.
    edge = _RATIO_EDGE * (width + height) * (1 - 1e-12)
    is_wide, is_high = (width >= edge) & (width > height), (height >= edge) & (height > width)
    code = np.select([is_wide, is_high], [0, 2], 1)
    return _categorical(code, RATIO_BINS, boxes.index)


def area_bin(boxes: pd.DataFrame) -> pd.Series:
    """Area bin (px2) of each box, a categorical with the table's index; see AREA_BINS."""
    area = box_arithmetic.area(boxes[box_arithmetic.XYXY].to_numpy(dtype=float))
    return _categorical(np.searchsorted(AREA_EDGES_PX2, area, side="right"), AREA_BINS, boxes.index)


def small_bin(boxes: pd.DataFrame) -> pd.Series:
    """Detail bin of each small box (1,000 to 10,000 px2), missing for others; see SMALL_BINS."""
    area = box_arithmetic.area(boxes[box_arithmetic.XYXY].to_numpy(dtype=float))
    code = np.searchsorted(_SMALL_EDGES_PX2, area, side="right") - 1
    return _categorical(np.where(code < len(SMALL_BINS), code, -1), SMALL_BINS, boxes.index)


def count_bin(species: Iterable[str], counts: npt.ArrayLike) -> pd.Series:
    """Count bin of images by species (whose index stays) and number of boxes; see COUNT_BINS."""
    index = species.index if isinstance(species, pd.Series) else None
    names, numbers = pd.Series(species, dtype=object), np.asarray(counts)
    code = np.zeros(len(names), dtype=int)
    for name in set(pd.unique(names)) - {""}:  # "": no animals, so little
        of_species = (names == name).to_numpy()
        code[of_species] = np.searchsorted(
            classes.by_name(name).count_bins, numbers[of_species], side="right"
        )
    return _categorical(code, COUNT_BINS, pd.RangeIndex(len(names)) if index is None else index)


def _categorical(code: npt.NDArray[np.int_], names: tuple[str, ...], index: pd.Index) -> pd.Series:
    return pd.Series(
        pd.Categorical.from_codes(code.astype(np.int64), pd.Index(names), ordered=True), index=index
    )
