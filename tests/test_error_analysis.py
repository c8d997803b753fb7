"""Groups of errors, calibration, worst cases and their figures: known answers, empty input, one
line for bad input."""

import io
import zipfile

import matplotlib
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import livestock_utils as lu
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.errors import breakdowns, types
from livestock_utils.evaluate.errors import cases as error_cases
from livestock_utils.show.plots import errors
from livestock_utils.show.words import errors as words

matplotlib.use("Agg")
COLUMNS = ["image_id", "species", *XYXY]
IMAGES = pd.DataFrame(
    {
        "image_id": ["a", "b", "c"],
        "species": ["cow", "cow", "pig"],
        "width_px": [300, 300, 200],
        "height_px": [200, 200, 200],
        "archive": "p.zip",
        "member": ["a.jpg", "b.jpg", "c.jpg"],
    }
)
BOXES = pd.DataFrame(
    [
        ("a", "cow", 100, 70, 180, 130),
        ("a", "cow", 0, 0, 60, 40),
        ("b", "cow", 20, 30, 80, 60),
        ("b", "cow", 50, 30, 110, 60),
        ("c", "pig", 60, 60, 90, 120),
    ],
    columns=COLUMNS,
)
PREDICTIONS = pd.DataFrame(
    [
        ("a", "cow", 100, 70, 180, 130, 0.9),
        ("a", "cow", 0, 0, 60, 25, 0.8),
        ("b", "cow", 200, 100, 260, 160, 0.7),
        ("b", "pig", 20, 30, 80, 60, 0.6),
        ("c", "pig", 60, 60, 90, 120, 0.95),
    ],
    columns=[*COLUMNS, "confidence"],
)


@pytest.fixture
def folder(tmp_path):
    """A folder with the three photos in an archive, dark, middling and bright."""
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for row, grey in zip(IMAGES.to_dict("records"), (10, 120, 240), strict=True):
            data = io.BytesIO()
            Image.new("RGB", (row["width_px"], row["height_px"]), (grey,) * 3).save(data, "JPEG")
            archive.writestr(row["member"], data.getvalue())
    return tmp_path


def classified():
    return types.classify(BOXES, PREDICTIONS)


def test_brightness(folder):
    light = breakdowns.brightness(Photos(IMAGES, BOXES, folder))
    assert light.round(2).tolist() == pytest.approx([0.04, 0.47, 0.94], abs=0.01)
    groups = breakdowns.attributes(BOXES, IMAGES, light=light)
    assert groups["light"].tolist() == ["dark third"] * 2 + ["middle third"] * 2 + ["bright third"]


def test_attributes():
    groups = breakdowns.attributes(BOXES, IMAGES)
    assert groups["crowding"].tolist() == ["alone", "alone", "overlapped", "overlapped", "alone"]
    assert groups["place"].tolist() == ["middle", "cut by the frame", "outer", "outer", "middle"]
    assert groups["frame"].tolist() == ["300 × 200"] * 4 + ["200 × 200"]
    assert groups["shape"].tolist() == [
        "square",
        "horizontal",
        "horizontal",
        "horizontal",
        "vertical",
    ]
    assert breakdowns.attributes(BOXES.iloc[:0], IMAGES).empty


def test_states_and_breakdown():
    detections, labels = classified()
    assert breakdowns.label_states(labels).tolist() == [
        "found",
        "loose or swapped",
        "loose or swapped",
        "missed",
        "found",
    ]
    assert breakdowns.detection_states(detections).value_counts().to_dict() == {
        "right": 2,
        "loose or swapped": 2,
        "false": 1,
    }
    table = breakdowns.breakdown(
        breakdowns.attributes(labels, IMAGES), breakdowns.label_states(labels)
    )
    assert table[list(breakdowns.LABEL_STATES)].sum(axis=1).to_numpy() == pytest.approx(1)
    species = table[table["grouping"] == "species"].set_index("group")
    assert species.loc["cow", ["n", "found", "missed"]].tolist() == [4, 0.25, 0.25]
    said = words.groups(breakdowns.gaps(table, "found", least=1), "found")
    assert (
        "100 % not found where it is “outer” (n = 2) against 0 % where it is “middle” (n = 2)"
        in said
    )
    assert "too few groups" in words.groups(breakdowns.gaps(table, "found", 99), "found", 99)


def test_a_large_sure_gap_beats_a_wider_one_of_few_boxes():
    table = pd.DataFrame(
        [
            ("species", "pig", 1000, 0.9),
            ("species", "cow", 1000, 0.6),
            ("size", "small", 20, 0.5),
            ("size", "large", 20, 0.9),
        ],
        columns=["grouping", "group", "n", "found"],
    )
    gaps = breakdowns.gaps(table, "found")
    assert gaps["grouping"].tolist() == ["species", "size"]
    assert gaps[["gap", "gap_low", "gap_high"]].round(2).to_numpy().tolist()[0] == [0.3, 0.26, 0.34]
    assert words.groups(gaps, "found") == (
        "The clearest difference is by species: 40 % not found where it is “cow” (n = 1,000) "
        "against 10 % where it is “pig” (n = 1,000), 30 points apart (95 % interval 26 to 34)."
    )
    few = words.groups(breakdowns.gaps(table.assign(n=5), "found", least=1), "found", 1)
    assert few.startswith("No difference between groups is significant; the nearest to it is by")


@pytest.mark.parametrize(
    ("box", "crowding"),
    [
        ((170, 70, 250, 130), "touching"),  # IoU .07 with one label: a false box beside an animal
        ((150, 70, 230, 130), "overlapped"),  # IoU .23
        ((105, 70, 185, 130), "alone"),  # IoU .88: it is that label's own
        ((200, 140, 260, 180), "alone"),
    ],
)
def test_a_false_box_beside_one_label_is_not_alone(box, crowding):
    found = pd.DataFrame([("a", "cow", *box)], columns=COLUMNS)
    assert breakdowns.attributes(found, IMAGES, BOXES)["crowding"].tolist() == [crowding]


def test_boxes_of_unknown_images_get_one_line():
    strange = BOXES.assign(image_id="z")
    with pytest.raises(
        ScoringError, match=r"5 boxes are of images that are not in the images table.*'z'"
    ):
        breakdowns.attributes(strange, IMAGES)
    with pytest.raises(ScoringError, match=r"1 boxes are of images .*'c'"):
        breakdowns.attributes(BOXES, IMAGES, light=pd.Series({"a": 0.1, "b": 0.5}))


def test_calibration():
    detections = pd.DataFrame(
        {
            "species": "cow",
            "confidence": [0.92, 0.94, 0.12, 0.18],
            "error": ["correct", "background", "background", "correct"],
        }
    )
    table = breakdowns.calibration(detections)
    assert (table["low"] < table["right"]).all() and (table["right"] < table["high"]).all()
    assert table[["right", "n"]].to_numpy().tolist() == [[0.5, 2], [0.5, 2]]
    assert breakdowns.calibration(detections, least_confidence=0.15)["n"].tolist() == [1, 2]
    assert table["error"].tolist() == pytest.approx([(0.35 + 0.43) / 2] * 2)
    assert table["lean"].tolist() == pytest.approx([0.04] * 2)
    assert words.calibration(table) == (
        "Cow confidences are too high in some bins and too low in others, 39.0 points on average."
    )
    sure = breakdowns.calibration(detections.assign(confidence=0.9))
    assert words.calibration(sure) == (
        "Cow confidences are 40.0 points too high on average (expected calibration error 0.400)."
    )
    empty = breakdowns.calibration(detections.iloc[:0])
    assert words.calibration(empty) == "There are no detections."


@pytest.mark.parametrize(
    ("kind", "image_ids"), [("false", ["b"]), ("loose", ["a"]), ("missed", ["b"])]
)
def test_worst_cases(kind, image_ids):
    detections, labels = classified()
    cases = error_cases.worst(detections, labels, kind)
    assert cases["image_id"].tolist() == image_ids
    assert words.worst(cases.iloc[:0], "such boxes") == "There are no such boxes: nothing to show."


def test_worst_cases_are_counted_in_all():
    predictions = pd.DataFrame(
        [("b", "cow", 200, 100 + 8 * step, 260, 105 + 8 * step, 0.7) for step in range(5)],
        columns=[*COLUMNS, "confidence"],
    )
    unlabelled = predictions.iloc[[1, 3]][COLUMNS]
    cases = error_cases.worst(*types.classify(BOXES, predictions), "false", 4, unlabelled)
    assert len(cases) == 2  # at most two of an image
    assert words.worst(cases, "false alarms") == (
        "False alarms: 5 in all (5 cow), the worst 2 shown. By the truth **2 of the 5** lie on an "
        "animal that nobody labelled: the label is at fault, not the model."
    )
    with pytest.raises(ScoringError, match="kind must be one of false, loose, missed, got 'all'"):
        error_cases.worst(*classified(), "all")


@pytest.mark.parametrize(
    ("boxes", "predictions", "error", "message"),
    [
        (BOXES, PREDICTIONS.iloc[:0], ScoringError, "there are no predictions"),
        (
            BOXES,
            PREDICTIONS.drop(columns="confidence"),
            ScoringError,
            "the column .confidence. is lacking",
        ),
        (BOXES, PREDICTIONS.drop(columns="x_min"), ScoringError, "the column .x_min. is lacking"),
        (
            BOXES,
            PREDICTIONS.assign(x_min=np.nan),
            ScoringError,
            "row 0 .* corners that are no finite numbers",
        ),
        (
            BOXES,
            PREDICTIONS.assign(image_id="z"),
            ScoringError,
            "not in the images table, the first is 'z'",
        ),
        (BOXES[BOXES["species"] == "cow"], PREDICTIONS, DatasetError, "not a single label of pig"),
    ],
)
def test_bad_input_gets_one_line(boxes, predictions, error, message):
    with pytest.raises(error, match=message) as caught:
        lu.error_types(Photos(IMAGES, boxes), predictions)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("none", ["", np.nan])
def test_a_photo_without_boxes_may_have_no_species(none):
    images = pd.concat([IMAGES, IMAGES.iloc[:1].assign(image_id="empty", species=none)])
    costs = [lu.error_types(Photos(rows, BOXES), PREDICTIONS).costs for rows in (images, IMAGES)]
    pd.testing.assert_frame_equal(*costs)


def test_parts():
    counts = breakdowns.counts_by_part(
        {"train": Photos(IMAGES, BOXES), "valid": Photos(IMAGES.iloc[:1], BOXES)}
    )
    assert counts["boxes"].tolist() == [2, 2, 1, 2]
    assert breakdowns.parts_table(counts).loc[
        0, ["part", "species", "images", "boxes"]
    ].tolist() == ["train", "cow", 2, 4]
    ax = errors.boxes_by_part(counts)
    assert [tick.get_text() for tick in ax.get_yticklabels()][-1] == "cow, valid (n = 1)"


def test_figure_of_costs_names_every_type():
    ax = errors.error_costs(types.ap_lost(*classified()))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "Missed",
        "Background",
        "Duplicate",
        "Both",
        "Localisation",
        "Classification",
    ]
    empty = types.ap_lost(*types.classify(BOXES.iloc[:0], PREDICTIONS.iloc[:0]))
    assert errors.error_costs(empty).texts[0].get_text() == "no errors"
    right = PREDICTIONS.iloc[[0, 4]]
    perfect = types.ap_lost(*types.classify(BOXES.iloc[[0, 4]], right))
    assert errors.error_costs(perfect).texts[0].get_text() == "no errors"


@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_texts_and_axes_name_the_threshold_that_was_used(threshold):
    detections, labels = types.classify(BOXES, PREDICTIONS, threshold)
    costs = types.ap_lost(detections, labels)
    assert errors.error_costs(costs).get_xlabel() == f"AP lost at IoU {threshold:g} (share of 1)"
    assert (
        f"IoU {threshold:g}," in errors.calibration(breakdowns.calibration(detections)).get_ylabel()
    )


def test_figures_of_groups_and_calibration():
    detections, labels = classified()
    table = breakdowns.breakdown(
        breakdowns.attributes(labels, IMAGES), breakdowns.label_states(labels)
    )
    for few in (table, table[:0]):
        assert errors.error_groups(few).texts[0].get_text() == "no group of 20 boxes"
    ax = errors.error_groups(table.assign(n=20))
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert len(names) == 8 < len(table) and all(name.endswith(", n = 20") for name in names)
    shown = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "o"]
    assert shown == sorted((1 - table["found"]).tolist())[-8:]
    ax = errors.calibration(breakdowns.calibration(detections))
    assert ax.get_xlabel() and ax.get_ylabel()
    assert ax.texts[0].get_text() == "fewer than 10 detections in every bin"
    many = pd.concat([detections.iloc[[0, 2]]] * 10 + [detections.iloc[[4]]])
    drawn = errors.calibration(breakdowns.calibration(many))
    assert len(drawn.patches) == 2  # the lone pig box makes no bar
    assert [text.get_text() for text in drawn.texts] == ["10", "10"]
    assert (
        errors.calibration(breakdowns.calibration(detections.iloc[:0])).texts[0].get_text()
        == "no detections"
    )


def test_gallery_shows_cases_and_says_when_there_are_none(folder):
    cases = error_cases.worst(*classified(), "false")
    axes = errors.error_gallery(cases, Photos(IMAGES, BOXES, folder), PREDICTIONS)
    assert axes.shape == (1, 2)
    assert "b: labels" in axes[0, 0].get_title() + axes[0, 0].get_title(loc="left")
    none = errors.error_gallery(
        cases.iloc[:0], Photos(IMAGES, BOXES, folder), PREDICTIONS, nothing="no false alarms"
    )
    assert none[0, 0].texts[0].get_text() == "no false alarms"


def test_figure_of_rankings():
    curves = pd.DataFrame(
        {
            "ranking": ["ours"] * 2 + ["peer"] * 2,
            "recall": [1.0, 0.0] * 2,
            "precision": [0.5, 1.0, 0.1, 1.0],
            "average_precision": [0.8] * 2 + [0.3] * 2,
        }
    )
    ax = errors.missing_curves(curves)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "ours: AP 0.800",
        "peer: AP 0.300",
    ]
    assert "no missing label" in errors.missing_curves(curves.iloc[:0]).texts[0].get_text()
    assert np.isclose(ax.get_xlim()[1], 1)


def test_a_damaged_photo_has_no_brightness_and_no_group(folder, caplog):
    with zipfile.ZipFile(folder / "p.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "p.zip", "w") as archive:
        for name, data in (content | {"b.jpg": b"\xff\xd8broken"}).items():
            archive.writestr(name, data)
    light = breakdowns.brightness(Photos(IMAGES, BOXES, folder))
    assert light.isna().tolist() == [False, True, False]
    assert "1 images cannot be decoded and have no brightness, the first is b" in caplog.text
    groups = breakdowns.attributes(BOXES, IMAGES, light=light)
    assert groups["light"].isna().tolist() == [False, False, True, True, False]
    states = pd.Series(pd.Categorical(["found"] * 5, categories=["found"]))
    table = breakdowns.breakdown(groups, states)
    assert table.loc[table["grouping"] == "light", "n"].sum() == 3
    none = breakdowns.attributes(BOXES, IMAGES, light=light * np.nan)
    assert none["light"].isna().all() and "light" not in set(
        breakdowns.breakdown(none, states)["grouping"]
    )


def test_displays_of_errors(folder):
    found = lu.error_types(Photos(IMAGES, BOXES, folder), PREDICTIONS, confidence=0.5)
    assert len(found.sure) == len(found.detections) == 5
    assert found.costs.equals(types.ap_lost(*classified()))
    costs = lu.displays.error_costs(found)
    assert costs.metrics["ap_lost"].to_dict() == found.costs.set_index("error")["ap_lost"].to_dict()
    labels = lu.displays.labels_by_group(found)
    assert {"grouping", "group", "n", "found", "missed", "gap_low"} <= set(labels.table.columns)
    assert set(labels.table["grouping"]) == set(breakdowns.GROUPINGS)
    assert "right" in lu.displays.predictions_by_group(found).table
    assert set(lu.displays.calibration(found).metrics["calibration_error"].index) == {"cow", "pig"}
    parts = lu.displays.boxes_by_part({"train": found.photos, "valid": found.photos})
    assert parts.shows_table and "train and valid" in parts.table_caption
    cases = [lu.displays.worst_cases(found, kind) for kind in ("false", "missed", "loose")]
    assert [display.name for display in cases] == ["false_alarms", "misses", "loose_boxes"]
    assert [display.table["image_id"].tolist() for display in cases] == [["b"], ["b"], ["a"]]
    for display in (costs, labels, parts, *cases):
        assert display.plot() is not None
    for display in (labels, *cases):
        assert display.verdict.endswith(".")
    matplotlib.pyplot.close("all")


def test_sure_is_what_the_best_f1_says_unless_told():
    photos = Photos(IMAGES, BOXES)
    found = lu.error_types(photos, PREDICTIONS)
    assert found.confidence == lu.score(photos, PREDICTIONS).attrs["confidence_at_best_f1"]
