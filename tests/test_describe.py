"""Sentences of notebook 01 and small words, against tables known by hand."""

import pandas as pd
import pytest

from livestock_utils.core import text as text_module
from livestock_utils.core.boxes import XYXY
from livestock_utils.show.words import eda

IMAGES = pd.DataFrame(
    {"image_id": ["a", "b"], "species": ["cow", "pig"], "width_px": 96, "height_px": 54}
)


def boxes(*rows):
    return pd.DataFrame(rows, columns=["image_id", "species", *XYXY])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (boxes(), "There is nothing to count."),
        (
            boxes(("a", "cow", 95, 53, 96, 54)),
            "Cow boxes are densest at 99 % of the width and 99 % of the height, and 100 % of the "
            "frame sees less than a tenth of that.",
        ),
        (
            boxes(("a", "cow", 0, 0, 48, 54), ("b", "pig", 0, 0, 96, 54)),
            "Cow boxes are densest at 0.52 % of the width and 0.93 % of the height, and 50 % of "
            "the frame sees less than a tenth of that; pig boxes are densest at 0.52 % of the "
            "width and 0.93 % of the height, and 0 % of the frame sees less than a tenth of that.",
        ),
    ],
)
def test_where_boxes_are_densest(table, said):
    found = eda.positions(IMAGES, table)
    assert sorted(found.lower().rstrip(".").split("; ")) == sorted(
        said.lower().rstrip(".").split("; ")
    )
    assert found[0].isupper() and found.endswith(".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("pig", "Pig"), ("AP75 of pigs", "AP75 of pigs"), ("yOLO", "YOLO")],
)
def test_only_the_first_letter_is_raised(text, expected):
    assert text_module.first_up(text) == expected
