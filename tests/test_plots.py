"""Figures: what stands on the axes and in the bars, not how it looks to the pixel."""

import itertools
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from data_sets import write_archives
from detections import answers_from_boxes
from made_tables import aihub_tables
from matplotlib.colors import to_hex, to_rgb

from livestock_utils.core import species
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.data.eda import counts as count_tables
from livestock_utils.data.split import folds
from livestock_utils.evaluate.scoring import metrics
from livestock_utils.show.plots import eda, gallery, scores, split, style, training
from livestock_utils.show.words import eda as eda_words

IMAGES, BOXES = aihub_tables(0.1)
FOLDS = folds.stratified_folds(Photos(IMAGES, BOXES))
NO_IMAGES, NO_BOXES = IMAGES.iloc[:0], BOXES.iloc[:0]
RESULTS = pd.DataFrame(
    {"epoch": range(4)}
    | {
        f"  {part}/{loss}_loss": [0.4, 0.3, 0.2, 0.1]
        for part in ("train", "val")
        for loss in ("box", "obj", "cls")
    }
    | {
        "metrics/precision": [0.1, 0.4, 0.5, 0.6],
        "metrics/recall": [0.2, 0.4, 0.5, 0.6],
        "metrics/mAP_0.5": [0.1, 0.5, 0.6, 0.7],
        "metrics/mAP_0.75": [0.1, 0.6, 0.6, 0.5],
        "metrics/fitness": [0.1, 0.2, 0.3, 0.7],
        "metrics/mAP_0.5:0.95": [0.1, 0.2, 0.5, 0.4],
    }
)
NEAREST = IMAGES[["image_id"]].assign(distance=np.arange(len(IMAGES)) % 21)
SETS = pd.DataFrame(
    {"set": ["train", "train", "valid"], "species": ["pig", "cow", "cow"], "images": [30, 90, 20]}
)


def predictions_like(boxes: pd.DataFrame) -> pd.DataFrame:
    """Most boxes, some moved so far that they miss, with confidences."""
    random = np.random.default_rng(0)
    found = boxes.sample(frac=0.9, random_state=0).assign(
        confidence=lambda t: random.random(len(t))
    )
    found.loc[found.index[::4], ["x_min", "x_max"]] += 500
    return found


CURVES = metrics.pr_curves(BOXES, predictions_like(BOXES), IMAGES)
FULL = {
    "species_overview": lambda: eda.species_overview(count_tables.species_counts(IMAGES, BOXES)),
    "image_sizes": lambda: eda.image_sizes(count_tables.size_counts(IMAGES)),
    "boxes_per_image": lambda: eda.boxes_per_image(count_tables.count_histogram(IMAGES, BOXES)),
    "box_ratios": lambda: eda.box_ratios(count_tables.ratio_table(BOXES)),
    "box_areas": lambda: eda.box_areas(count_tables.area_table(BOXES)),
    "box_sizes": lambda: eda.box_sizes(BOXES),
    "box_positions": lambda: eda.box_positions(IMAGES, BOXES),
    "completeness": lambda: eda.completeness(count_tables.completeness_hints(IMAGES, BOXES)),
    "split_balance": lambda: split.split_balance(folds.balance_table(Photos(IMAGES, BOXES), FOLDS)),
    "fold_balance": lambda: split.fold_balance(folds.fold_table(Photos(IMAGES, BOXES), FOLDS)),
    "leakage": lambda: split.leakage({"as used": NEAREST, "before": NEAREST}, IMAGES, 8),
    "set_sizes": lambda: split.set_sizes(SETS),
    "precision_recall": lambda: scores.precision_recall(CURVES),
    "class_scores": lambda: scores.class_scores(
        metrics.per_class_table(BOXES, predictions_like(BOXES), IMAGES)
    ),
    "loss_curves": lambda: training.loss_curves(RESULTS),
    "metric_curves": lambda: training.metric_curves(RESULTS),
    "compare_runs": lambda: training.compare_runs({"default": RESULTS, "tuned": RESULTS.iloc[:2]}),
}
MULTIPLES = {
    "species_overview",
    "boxes_per_image",
    "box_positions",
    "completeness",
    "leakage",
    "loss_curves",
}
EMPTY = {
    "species_overview": lambda: eda.species_overview(
        count_tables.species_counts(NO_IMAGES, NO_BOXES)
    ),
    "image_sizes": lambda: eda.image_sizes(count_tables.size_counts(NO_IMAGES)),
    "boxes_per_image": lambda: eda.boxes_per_image(
        count_tables.count_histogram(NO_IMAGES, NO_BOXES)
    ),
    "box_ratios": lambda: eda.box_ratios(count_tables.ratio_table(NO_BOXES)),
    "box_areas": lambda: eda.box_areas(count_tables.area_table(NO_BOXES)),
    "box_sizes": lambda: eda.box_sizes(NO_BOXES),
    "box_positions": lambda: eda.box_positions(NO_IMAGES, NO_BOXES),
    "box_positions, images without boxes": lambda: eda.box_positions(IMAGES, NO_BOXES),
    "completeness": lambda: eda.completeness(count_tables.completeness_hints(NO_IMAGES, NO_BOXES)),
    "split_balance": lambda: split.split_balance(
        folds.balance_table(Photos(IMAGES, BOXES), FOLDS).iloc[:0]
    ),
    "fold_balance": lambda: split.fold_balance(
        folds.fold_table(Photos(IMAGES, BOXES), FOLDS).iloc[:0]
    ),
    "leakage": lambda: split.leakage({"as used": NEAREST.iloc[:0]}, IMAGES, 8),
    "set_sizes": lambda: split.set_sizes(SETS.iloc[:0]),
    "precision_recall": lambda: scores.precision_recall(CURVES.iloc[:0]),
    "class_scores": lambda: scores.class_scores(
        pd.DataFrame(columns=["mAP50", "mAP75", "mAP50-95"])
    ),
    "loss_curves": lambda: training.loss_curves(RESULTS.iloc[:0]),
    "metric_curves": lambda: training.metric_curves(RESULTS.iloc[:0]),
    "compare_runs": lambda: training.compare_runs({}),
}


@pytest.fixture(autouse=True)
def _theme():
    with matplotlib.rc_context():
        style.theme()
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return (folder, *write_archives(folder))


def axes_of(drawn) -> list:
    return [ax for ax in np.ravel(np.asarray(drawn, dtype=object)) if ax.axison]


def shown_labels(axis) -> list:
    """Tick labels within the axis limits: the others exist, but are not drawn."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1 for tick in ticks if tick.label1.get_visible()]


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_to_show_gives_drawable_axes_and_no_error(name):
    drawn = EMPTY[name]()
    style.figure_of(drawn).canvas.draw()
    assert axes_of(drawn)


@pytest.mark.parametrize("name", FULL)
def test_every_figure_names_its_axes(name):
    axes = axes_of(FULL[name]())
    figure = style.figure_of(axes[0])
    shared = figure._supxlabel.get_text() if figure._supxlabel else ""
    assert any(ax.get_xlabel() for ax in axes) or shared
    assert axes[0].get_ylabel() or all(label.get_text() for label in axes[0].get_yticklabels())


@pytest.mark.parametrize("name", FULL)
def test_no_text_lies_on_another_or_beyond_the_figure(name):
    drawn = FULL[name]()
    figure = style.figure_of(drawn)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for ax in axes_of(drawn):
        for texts in (
            shown_labels(ax.xaxis),
            shown_labels(ax.yaxis),
            [ax._left_title, ax.xaxis.label, ax.yaxis.label],
        ):
            spans = [text.get_window_extent(renderer) for text in texts if text.get_text()]
            for box in spans:
                assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, (
                    f"{name}: text beyond the figure"
                )
            for first, second in itertools.pairwise(spans):
                assert not first.padded(-1).overlaps(second.padded(-1)), f"{name}: labels overlap"


@pytest.mark.parametrize("name", sorted(set(FULL) - MULTIPLES))
def test_single_figures_return_one_axes_of_a_new_figure(name):
    ax = FULL[name]()
    assert isinstance(ax, matplotlib.axes.Axes) and plt.get_fignums() == [ax.figure.number]


def test_a_given_axes_is_drawn_on_and_returned():
    _, ax = plt.subplots()
    assert eda.box_ratios(count_tables.ratio_table(BOXES), ax=ax) is ax
    assert plt.get_fignums() == [ax.figure.number]


def test_bar_lengths_and_colours_are_the_tables():
    counts = count_tables.species_counts(IMAGES, BOXES)
    for ax, what in zip(eda.species_overview(counts), ("images", "boxes"), strict=True):
        for bar, name in zip(ax.patches, reversed(species.names()), strict=True):
            assert bar.get_width() == counts.set_index("species").loc[name, what]
            assert to_hex(bar.get_facecolor()) == species.colours()[name].lower()


def test_histogram_bars_are_the_images_of_each_count_and_the_bins_their_sums():
    table = count_tables.count_histogram(IMAGES, BOXES)
    bins = count_tables.count_bin_table(IMAGES, BOXES)
    for ax, name in zip(eda.boxes_per_image(table), ("pig", "cow"), strict=True):
        assert [bar.get_height() for bar in ax.patches] == table.loc[
            table["species"] == name, "images"
        ].tolist()
        texts = [text.get_text() for text in ax.texts]
        for row in bins[bins["species"] == name].itertuples():
            assert texts[texts.index(row.bin) + 1] == f"{row.images:,}"


@pytest.mark.parametrize(
    "draw, count",
    [
        (eda.box_ratios, count_tables.ratio_table),
        (eda.box_areas, count_tables.area_table),
    ],
)
def test_grouped_bars_show_shares_and_write_the_number_of_boxes(draw, count):
    table = count(BOXES)
    ax = draw(table)
    assert [bar.get_height() for bar in ax.patches] == table["share"].tolist()
    assert [text.get_text() for text in ax.texts] == [f"{n:,}" for n in table["boxes"]]


def test_the_heat_maps_panels_share_one_scale():
    grids = []
    for ax, name in zip(eda.box_positions(IMAGES, BOXES), ("pig", "cow"), strict=True):
        grid = count_tables.coverage_map(
            IMAGES[IMAGES["species"] == name], BOXES[BOXES["species"] == name], 16, 9
        )
        assert np.allclose(ax.images[0].get_array(), grid)
        grids.append(grid)
    for ax in eda.box_positions(IMAGES, BOXES):
        assert ax.images[0].get_clim() == (0, np.max(grids))


def test_split_balance_puts_a_dot_at_each_share():
    table = folds.balance_table(Photos(IMAGES, BOXES), FOLDS)
    ax = split.split_balance(table)
    assert ax.collections[-1].get_offsets()[:, 0].tolist() == table["share_in_train"].tolist()


@pytest.mark.parametrize("without_boxes", [[], ["pig"]])
def test_leakage_says_how_many_images_have_a_look_alike(without_boxes):
    images = IMAGES.assign(species=IMAGES["species"].replace(without_boxes, ""))
    other, ax = split.leakage({"before": NEAREST[:0], "as used": NEAREST}, images, 8).flat
    assert other.texts[0].get_text() == "no validation images"
    close = int((NEAREST["distance"] <= 8).sum())
    assert f"as used: {close:,} of {len(NEAREST):,} have" in ax.get_title(loc="left")
    assert sum(bar.get_height() for bar in ax.patches) == len(NEAREST)


def test_fold_balance_leaves_out_labels_that_cannot_spread():
    table = folds.fold_table(Photos(IMAGES, BOXES), FOLDS)
    one = [1, 0, 0, 0, 0]
    rare = pd.DataFrame(
        {"kind": "area", "label": "out", "fold": range(5), "images": one, "share": one}
    )
    ax = split.fold_balance(table)
    assert len(split.fold_balance(pd.concat([table, rare])).get_yticks()) == len(ax.get_yticks())
    shares = [float(text.get_text().split()[0]) for text in ax.texts]
    rows = np.reshape(shares, (len(ax.get_yticks()), -1))
    assert np.allclose(rows.sum(axis=1), 100, atol=3)
    assert ax.get_xticklabels()[0].get_text() == "0 (validation)"


def test_the_fold_furthest_from_an_even_share_is_named():
    table = pd.DataFrame(
        {
            "kind": "stratum",
            "label": ["pig-little", "pig-little", "pig-many", "pig-many"],
            "fold": [0, 1, 0, 1],
            "images": [3, 1, 1, 0],
            "share": [0.75, 0.25, 1.0, 0.0],
        }
    )
    said = eda_words.folds(pd.Series([0, 0, 0, 0, 1]), table)
    assert said.startswith("5 images in 2 folds of 1 to 4 images each. Furthest from an even share")
    assert said.endswith("50 %: pig-little in fold 0, with 75 % of 4 images.")
    assert eda_words.folds(pd.Series([0, 1]), table[:0]).endswith("of 1 images each.")


def test_precision_recall_writes_the_ap_of_the_contests_definition():
    found = predictions_like(BOXES)
    _, ap = metrics.contest_score(answers_from_boxes(BOXES, IMAGES), found, 0.75)
    labels = [text.get_text() for text in scores.precision_recall(CURVES).get_legend().get_texts()]
    for name in species.names():
        assert f"{name}, IoU 0.75: AP {ap[name]:.3f}" in labels


@pytest.mark.parametrize(
    ("best", "marked", "height"),
    [
        (
            "metrics/mAP_0.75",
            "best, epoch 3",
            0.6,
        ),  # the later of equal ones, as the training takes it
        ("metrics/mAP_0.5:0.95", "best, epoch 3", 0.5),
        ("metrics/mAP_0.5", "best, epoch 4", 0.7),
        ("metrics/fitness", "best, epoch 4", 0.4),  # not drawn: marked on the lowest line
        ("absent", None, None),
    ],
)
def test_metric_curves_mark_the_epoch_that_was_chosen(best, marked, height):
    ax = training.metric_curves(RESULTS, best=best)
    texts = [text.get_text() for text in ax.texts]
    assert [text for text in texts if text.startswith("best")] == ([marked] if marked else [])
    assert "mAP50 0.700" in texts
    assert [offsets.get_offsets()[0, 1] for offsets in ax.collections] == (
        [height] if marked else []
    )


def test_epochs_count_from_1():
    lines = [
        ax.lines[0]
        for ax in (
            training.loss_curves(RESULTS)[0],
            training.metric_curves(RESULTS),
            training.compare_runs({"a": RESULTS}),
        )
    ]
    assert all(line.get_xdata().tolist() == [1, 2, 3, 4] for line in lines)


def contrast(tone):
    rgb = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(tone)
    ]
    return 1.05 / (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2] + 0.05)


def test_text_in_a_lines_colour_can_be_read_on_white():
    assert style.ink("#332288") == "#332288"
    table = metrics.per_class_table(BOXES, predictions_like(BOXES), IMAGES)
    drawn = [
        training.metric_curves(RESULTS),
        scores.class_scores(table),
        scores.precision_recall(CURVES),
        eda.box_sizes(BOXES),
    ]
    texts = [
        text
        for ax in drawn
        for text in [*ax.texts, *(ax.get_legend().get_texts() if ax.get_legend() else [])]
    ]
    assert len(texts) > 20 and min(contrast(text.get_color()) for text in texts) >= 4.5
    assert (
        to_hex(drawn[0].lines[3].get_color()) == style.LINES[3].lower()
    )  # the line keeps its colour


def test_loss_curves_draw_train_and_valid_of_each_loss():
    for ax in training.loss_curves(RESULTS):
        assert [text.get_text() for text in ax.texts] == ["train", "valid"] and len(ax.lines) == 2


def test_examples_draw_the_boxes_where_the_table_says(photos):
    folder, images, boxes = photos
    wanted = boxes["image_id"].value_counts().index[:2].tolist()
    for ax, image_id in zip(
        axes_of(gallery.examples(Photos(images, boxes, folder), wanted)), wanted, strict=True
    ):
        mine = boxes[boxes["image_id"] == image_id]
        corners = [
            (*patch.get_xy(), patch.get_x() + patch.get_width(), patch.get_y() + patch.get_height())
            for patch in ax.patches
        ]
        assert np.allclose(corners, mine[["x_min", "y_min", "x_max", "y_max"]])
        tone = species.colours()[mine["species"].iloc[0]].lower()
        assert {to_hex(patch.get_edgecolor()) for patch in ax.patches} == {tone}
        assert image_id in ax.get_title(loc="left")


def test_examples_of_no_images_are_an_empty_panel(photos):
    folder, images, boxes = photos
    assert len(axes_of(gallery.examples(Photos(images.iloc[:0], boxes, folder)))) == 1


def test_drawn_examples_share_the_species_evenly_and_repeat_with_the_seed(photos):
    _, images, _ = photos
    drawn = gallery.draw(images, 6, seed=1)
    assert drawn == gallery.draw(images, 6, seed=1) != gallery.draw(images, 6, seed=2)
    assert images.set_index("image_id").loc[drawn, "species"].value_counts().tolist() == [3, 3]


def test_predictions_stand_beside_the_truth(photos):
    folder, images, boxes = photos
    image_id = boxes["image_id"].value_counts().index[0]
    found = boxes.assign(confidence=0.1)
    found.loc[found[found["image_id"] == image_id].index[0], "confidence"] = 0.9
    sure = found[found["confidence"] > 0.5]
    left, right = gallery.truth_beside_prediction(Photos(images, boxes, folder), sure, [image_id])[
        0
    ]
    assert len(left.patches) == (boxes["image_id"] == image_id).sum() and len(right.patches) == 1
    assert [text.get_text() for text in right.texts] == ["0.90"]


def test_pairs_name_both_sides_and_their_distance(photos):
    folder, images, _ = photos
    first, second = images["image_id"].iloc[:2]
    table = pd.DataFrame({"image_id": [first], "train_id": [second], "distance": [4]})
    left, right = gallery.pairs(table, Photos(images, folder=folder))[0]
    assert left.get_title(loc="left") == f"valid: {first}"
    assert right.get_title(loc="left") == f"train: {second}, 4 bits apart"


def test_a_photo_is_read_as_rgb_of_its_shape_and_at_most_the_wanted_size(photos):
    folder, images, _ = photos
    with ImageReader(folder) as reader:
        assert gallery.read_photo(reader, images["archive"][0], images["member"][0]).shape == (
            64,
            96,
            3,
        )
        assert gallery.read_photo(
            reader, images["archive"][0], images["member"][0], longest_px=48
        ).shape == (32, 48, 3)


def test_an_unknown_id_and_a_member_that_is_no_image_are_told_in_one_line(photos, tmp_path):
    folder, images, boxes = photos
    with pytest.raises(LivestockError, match=re.escape("image 'nope' is not in the images table")):
        gallery.examples(Photos(images, boxes, folder), ["nope"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jpg").write_bytes(b"no picture")
    with (
        ImageReader(tmp_path) as reader,
        pytest.raises(LivestockError, match="not a readable image"),
    ):
        gallery.read_photo(reader, "set", "a.jpg")


def test_theme_twice_is_theme_once():
    once = dict(matplotlib.rcParams)
    style.theme()
    assert dict(matplotlib.rcParams) == once


def test_confidences_of_near_boxes_do_not_cover_each_other():
    boxes = pd.DataFrame(
        [
            {
                "species": "pig",
                "x_min": 200.0 + shift,
                "y_min": 200.0 + shift,
                "x_max": 400.0 + shift,
                "y_max": 350.0 + shift,
                "confidence": 0.3 + shift / 100,
            }
            for shift in range(8)
        ]
    )
    ax = gallery.photo(np.zeros((48, 64, 3), np.uint8), 640, 480, boxes)
    ax.figure.canvas.draw()
    texts = [text for text in ax.texts if text.get_text()]
    assert texts[0].get_text() == "0.37"  # the most confident keeps its place
    assert 2 <= len(texts) < len(boxes) and len(ax.patches) == len(boxes)
    extents = [text.get_window_extent() for text in texts]
    assert not any(first.overlaps(second) for first, second in itertools.combinations(extents, 2))
    plt.close("all")
