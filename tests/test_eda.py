"""Counts of the exploratory notebook, on tables small enough to count by hand and on AI Hub's
strata."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tables import AIHUB_STRATA, aihub_tables

from livestock_utils.core import tables
from livestock_utils.core import text as text_module
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data.eda import counts as count_tables
from livestock_utils.show.displays import eda as displays
from livestock_utils.show.words import eda

IMAGES = pd.DataFrame(
    [
        ("a", "pig", 1280, 960),
        ("b", "pig", 1920, 1080),
        ("c", "cow", 1920, 1080),
        ("d", "cow", 1920, 1080),
    ],
    columns=["image_id", "species", "width_px", "height_px"],
).assign(archive="x.zip", member="m.jpg")
BOXES = pd.DataFrame(
    [
        ("a", "pig", 0.0, 0.0, 60.0, 20.0),
        ("a", "pig", 0.0, 0.0, 100.0, 100.0),
        ("b", "pig", 5.0, 5.0, 45.0, 45.0),
        ("c", "cow", 0.0, 0.0, 400.0, 300.0),
    ],
    columns=["image_id", "species", "x_min", "y_min", "x_max", "y_max"],
)
PHOTOS = Photos(IMAGES, BOXES)
NO_IMAGES, NO_BOXES = IMAGES.iloc[:0], BOXES.iloc[:0]


def box_of_area(area_px2: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ["a"],
            "species": ["pig"],
            "x_min": [0.0],
            "y_min": [0.0],
            "x_max": [area_px2],
            "y_max": [1.0],
        }
    )


@pytest.mark.parametrize(
    "count, columns",
    [
        (
            lambda: count_tables.size_counts(NO_IMAGES),
            ["species", "size", "width_px", "height_px", "images", "share"],
        ),
        (
            lambda: count_tables.boxes_per_image(NO_IMAGES, NO_BOXES),
            ["image_id", "species", "boxes"],
        ),
        (lambda: count_tables.count_histogram(NO_IMAGES, NO_BOXES), ["species", "boxes", "images"]),
        (
            lambda: count_tables.count_bin_table(NO_IMAGES, NO_BOXES),
            ["species", "bin", "boxes", "images", "share"],
        ),
        (lambda: count_tables.ratio_table(NO_BOXES), ["species", "bin", "boxes", "share"]),
        (lambda: count_tables.area_table(NO_BOXES), ["species", "bin", "boxes", "share"]),
        (lambda: count_tables.small_box_table(NO_BOXES), ["species", "bin", "boxes", "share"]),
        (lambda: count_tables.below_area(NO_BOXES), ["species", "boxes", "share"]),
        (lambda: count_tables.empty_images(NO_IMAGES, NO_BOXES), list(IMAGES.columns)),
        (
            lambda: count_tables.completeness_hints(NO_IMAGES, NO_BOXES),
            ["image_id", "species", "boxes", "local_median", "suspect"],
        ),
        (
            lambda: count_tables.completeness_table(NO_IMAGES, NO_BOXES),
            ["species", "images", "no_box", "one_box", "suspect", "suspect_share"],
        ),
    ],
)
def test_no_data_gives_an_empty_table_with_its_columns(count, columns):
    table = count()
    assert list(table.columns) == columns and len(table) == 0


def test_species_counts_of_nothing_is_one_row_of_zeros():
    assert (
        count_tables.species_counts(NO_IMAGES, NO_BOXES).drop(columns="species").to_numpy().sum()
        == 0
    )


def test_species_counts_keep_images_without_a_box():
    table = count_tables.species_counts(IMAGES, BOXES).set_index("species")
    assert table.index.tolist() == ["pig", "cow", "all"]
    assert table["images"].tolist() == [2, 2, 4]
    assert table["boxes"].tolist() == [3, 1, 4]
    assert table["empty_images"].tolist() == [0, 1, 1]
    assert table["mean_boxes"].tolist() == [1.5, 0.5, 1.0]
    assert table["boxes_share"].tolist() == [0.75, 0.25, 1.0]


def test_count_bins_have_their_true_names_at_ai_hubs_counts():
    table = count_tables.count_bin_table(*aihub_tables()).set_index(["species", "bin"])["images"]
    for species, (little, medium, many) in AIHUB_STRATA.items():
        assert (table[species, "little"], table[species, "medium"], table[species, "many"]) == (
            little,
            medium,
            many,
        )


def test_count_histogram_has_a_row_for_every_count_and_adds_up():
    images, boxes = aihub_tables(0.05)
    table = count_tables.count_histogram(images, boxes)
    assert table["images"].sum() == len(images)
    assert (table["boxes"] * table["images"]).sum() == len(boxes)
    assert (
        table.groupby("species")["boxes"]
        .apply(lambda counts: counts.tolist() == list(range(len(counts))))
        .all()
    )


@pytest.mark.parametrize(
    "top, expected",
    [
        (5, [("1280 x 960", 1), ("1920 x 1080", 1)]),
        (0, [("2 other sizes", 2)]),
    ],
)
def test_rare_sizes_are_gathered_beyond_the_top(top, expected):
    table = count_tables.size_counts(IMAGES, top)
    pigs = table[table["species"] == "pig"]
    assert list(zip(pigs["size"], pigs["images"], strict=True)) == expected


def test_bins_of_ratio_and_area_count_every_box_once():
    ratios, areas = count_tables.ratio_table(BOXES), count_tables.area_table(BOXES)
    found = {(r.species, r.bin): r.boxes for r in ratios.itertuples()}
    assert found == {
        ("pig", "horizontal"): 1,
        ("pig", "square"): 2,
        ("pig", "vertical"): 0,
        ("cow", "horizontal"): 0,
        ("cow", "square"): 1,
        ("cow", "vertical"): 0,
    }
    assert areas["boxes"].sum() == len(BOXES)
    assert areas.groupby("species")["share"].sum().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("area_px2, expected", [(999, 0), (1000, 1), (3999, 1), (4000, 0)])
def test_boxes_under_4000_are_counted_from_1000_up(area_px2, expected):
    assert count_tables.below_area(box_of_area(area_px2))["boxes"].tolist() == [expected]


@pytest.mark.parametrize(
    "area_px2, expected",
    [(999, None), (1000, "1-2k"), (2000, "2-4k"), (9999, "8-10k"), (10000, None)],
)
def test_small_boxes_fall_into_the_bin_that_holds_their_lower_edge(area_px2, expected):
    table = count_tables.small_box_table(box_of_area(area_px2))
    assert table.loc[table["boxes"] > 0, "bin"].tolist() == ([expected] if expected else [])


def test_empty_images_are_those_without_a_box():
    assert count_tables.empty_images(IMAGES, BOXES)["image_id"].tolist() == ["d"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 1) for _ in range(4)]), max_size=6))
def test_coverage_counts_the_boxes_over_each_cells_centre(corners):
    xyxy = np.array(
        [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]
    ).reshape(-1, 4)
    xyxy *= [1920, 1080, 1920, 1080]
    boxes = pd.DataFrame(xyxy, columns=["x_min", "y_min", "x_max", "y_max"]).assign(
        image_id="c", species="cow"
    )
    x, y = (np.arange(16) + 0.5) / 16 * 1920, (np.arange(9) + 0.5) / 9 * 1080
    expected = (
        sum(
            (((x >= x0) & (x < x1))[None, :] & ((y >= y0) & (y < y1))[:, None]).astype(float)
            for x0, y0, x1, y1 in xyxy
        )
        if len(xyxy)
        else np.zeros((9, 16))
    )
    assert np.array_equal(
        count_tables.coverage_map(IMAGES[IMAGES["image_id"] == "c"], boxes, 16, 9), expected
    )


@pytest.mark.parametrize(
    "median, highest", [(0, -1), (1, -1), (2, 0), (3, 1), (4, 2), (5, 2), (5.5, 2), (11, 5)]
)
def test_a_count_is_suspect_from_half_the_median_and_two_fewer(median, highest):
    assert count_tables.highest_suspect_count([median]).tolist() == [highest]


def test_an_image_with_a_sudden_drop_is_suspect_and_ranked_first():
    counts = [6] * 40
    counts[10], counts[30] = 3, 1
    ids = [f"cow_{i:03d}" for i in range(40)]
    images = pd.DataFrame({"image_id": ids, "species": "cow", "width_px": 100, "height_px": 100})
    boxes = pd.DataFrame({"image_id": np.repeat(ids, counts)}).assign(
        species="cow", x_min=0.0, y_min=0.0, x_max=9.0, y_max=9.0
    )
    hints = count_tables.completeness_hints(images, boxes)
    assert hints.loc[hints["suspect"], "image_id"].tolist() == ["cow_010", "cow_030"]
    assert count_tables.most_suspect(hints, 1) == ["cow_030"]
    gone = pd.DataFrame({"image_id": ["cow_002", "cow_010", "cow_010"]})
    said = "By the truth 1 of the 2 suspects lack a label; in all 2 photos do."
    assert eda.suspects(hints, gone) == said
    assert eda.suspects(hints, None) == ""  # real data has no truth
    assert count_tables.completeness_table(images, boxes)[["no_box", "one_box", "suspect"]].iloc[
        0
    ].tolist() == [0, 1, 2]


def test_the_write_ups_counts_stand_beside_ours():
    images, boxes = aihub_tables()
    assert count_tables.is_aihub_size(images) and not count_tables.is_aihub_size(images.iloc[:5000])
    table = count_tables.beside_write_up(images, boxes).set_index(["species", "what"])
    assert table.loc[("pig", "images with medium boxes")].tolist() == [2749, 2749, 0]
    assert table.loc[("cow", "images"), "write_up"] == 12152
    assert (table["difference"] == table["here"] - table["write_up"]).all()


def test_tables_come_back_from_disk_bit_for_bit(tmp_path):
    images, boxes = aihub_tables(0.01)
    tables.write_tables(tmp_path, images, boxes)
    again = tables.read_tables(tmp_path)
    pd.testing.assert_frame_equal(again[0], images[tables.IMAGE_COLUMNS])
    pd.testing.assert_frame_equal(again[1], boxes[tables.BOX_COLUMNS], check_exact=True)


def test_empty_tables_come_back_from_disk(tmp_path):
    tables.write_tables(tmp_path, NO_IMAGES, NO_BOXES)
    images, boxes = tables.read_tables(tmp_path)
    assert len(images) == len(boxes) == 0 and list(boxes.columns) == tables.BOX_COLUMNS


@pytest.mark.parametrize(
    "damage, message",
    [
        (
            lambda folder: (folder / "boxes.csv").unlink(),
            "boxes.csv is missing: notebook 01_eda writes it",
        ),
        (
            lambda folder: (folder / "images.csv").write_text("image_id\na\n"),
            "images.csv: columns ['species', 'width_px', 'height_px', 'archive', 'member'] are "
            "lacking",
        ),
        (
            lambda folder: (folder / "images.csv").write_text(
                f"{','.join(tables.IMAGE_COLUMNS)}\na,cow,9,9,z,m\nb,cow,wide,9,z,m"
            ),
            "images.csv, line 3: width_px is 'wide', expected a whole number",
        ),
        (
            lambda folder: (folder / "boxes.csv").write_text(
                f"{','.join(tables.BOX_COLUMNS)}\na,cow,0,0,left,1\n"
            ),
            "boxes.csv, line 2: x_max is 'left', expected a number",
        ),
    ],
)
def test_faulty_tables_are_told_in_one_line(tmp_path, damage, message):
    tables.write_tables(tmp_path, IMAGES, BOXES)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=re.escape(message)) as caught:
        tables.read_tables(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "share, text",
    [
        (0, "0 %"),
        (0.0018, "0.18 %"),
        (0.0305, "3.0 %"),
        (0.0996, "10 %"),
        (0.7385, "74 %"),
        (1, "100 %"),
    ],
)
def test_percent_keeps_two_digits_of_small_shares(share, text):
    assert text_module.percent(share) == text


@pytest.mark.parametrize(
    "sentence, expected",
    [
        (lambda: eda.empty_images(NO_IMAGES), "Every image has at least one box."),
        (
            lambda: eda.empty_images(count_tables.empty_images(IMAGES, BOXES)),
            "1 image has no box (1 cow): `d`.",
        ),
    ],
)
def test_sentences_say_what_the_tables_hold(sentence, expected):
    assert sentence() == expected


def test_coverage_of_a_box_without_its_image_is_told():
    with pytest.raises(
        DatasetError, match="1 boxes are of images that the images table lacks, the first of 'zz'"
    ):
        count_tables.coverage_map(IMAGES, BOXES.iloc[:1].assign(image_id="zz"))


def test_displays_of_no_photos_are_empty_and_draw():
    photos = Photos(NO_IMAGES, NO_BOXES)
    for name in ("species", "image_sizes", "boxes_per_image", "box_ratios", "completeness"):
        display = getattr(displays, name)(photos)
        assert display.plot() is not None and display.name == name


def test_numbers_that_sentences_gave_stand_in_the_tables():
    medians = displays.box_sizes(PHOTOS).table.set_index("species")["median_area_px2"]
    assert medians.to_dict() == {"pig": 1600.0, "cow": 120000.0}
    sizes = displays.image_sizes(PHOTOS).table
    assert sizes["size"].tolist() == ["1280 x 960", "1920 x 1080", "1920 x 1080"]
    ratios = displays.box_ratios(PHOTOS).table.set_index(["species", "bin"])["share"]
    assert ratios["cow", "square"] == 1 and round(ratios["pig", "square"], 2) == 0.67
