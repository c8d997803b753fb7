"""Where boxes lie, and small words, against tables known by hand."""

import pandas as pd
import pytest

from livestock_utils.core import text as text_module
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.photos import Photos
from livestock_utils.show.displays import eda

IMAGES = pd.DataFrame(
    {"image_id": ["a", "b"], "species": ["cow", "pig"], "width_px": 96, "height_px": 54}
)


def boxes(*rows):
    return pd.DataFrame(rows, columns=["image_id", "species", *XYXY])


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        (boxes(), []),
        (boxes(("a", "cow", 95, 53, 96, 54)), [("cow", 0.9948, 0.9907, 0.9998)]),
        (
            boxes(("a", "cow", 0, 0, 48, 54), ("b", "pig", 0, 0, 96, 54)),
            [("pig", 0.0052, 0.0093, 0.0), ("cow", 0.0052, 0.0093, 0.5)],
        ),
    ],
)
def test_where_boxes_are_densest(table, rows):
    found = eda.box_positions(Photos(IMAGES, table)).table.round(4)
    assert list(found.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("pig", "Pig"), ("AP75 of pigs", "AP75 of pigs"), ("yOLO", "YOLO")],
)
def test_only_the_first_letter_is_raised(text, expected):
    assert text_module.first_up(text) == expected
