"""Groups of errors, calibration, worst cases and their figures: known answers, empty input, one line for bad input."""

import io
import zipfile

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from livestock_utils import error_analysis, error_types, plots
from livestock_utils.boxes import XYXY
from livestock_utils.errors import DatasetError, ScoringError

matplotlib.use("Agg")
COLUMNS = ["image_id", "species", *XYXY]
IMAGES = pd.DataFrame({"image_id": ["a", "b", "c"], "species": ["cow", "cow", "pig"], "width_px": [300, 300, 200],
                       "height_px": [200, 200, 200], "archive": "p.zip", "member": ["a.jpg", "b.jpg", "c.jpg"]})
BOXES = pd.DataFrame([("a", "cow", 100, 70, 180, 130), ("a", "cow", 0, 0, 60, 40), ("b", "cow", 20, 30, 80, 60),
                      ("b", "cow", 50, 30, 110, 60), ("c", "pig", 60, 60, 90, 120)], columns=COLUMNS)
PREDICTIONS = pd.DataFrame([("a", "cow", 100, 70, 180, 130, 0.9), ("a", "cow", 0, 0, 60, 25, 0.8),
                            ("b", "cow", 200, 100, 260, 160, 0.7), ("b", "pig", 20, 30, 80, 60, 0.6),
                            ("c", "pig", 60, 60, 90, 120, 0.95)], columns=[*COLUMNS, "confidence"])


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
    return error_types.classify(BOXES, PREDICTIONS)


def test_brightness(folder):
    light = error_analysis.brightness(IMAGES, folder)
    assert light.round(2).tolist() == pytest.approx([0.04, 0.47, 0.94], abs=0.01)
    groups = error_analysis.attributes(BOXES, IMAGES, light=light)
    assert groups["light"].tolist() == ["dark third"] * 2 + ["middle third"] * 2 + ["bright third"]


def test_attributes():
    groups = error_analysis.attributes(BOXES, IMAGES)
    assert groups["crowding"].tolist() == ["alone", "alone", "overlapped", "overlapped", "alone"]
    assert groups["place"].tolist() == ["middle", "cut by the frame", "outer", "outer", "middle"]
    assert groups["frame"].tolist() == ["300 × 200"] * 4 + ["200 × 200"]
    assert groups["shape"].tolist() == ["square", "horizontal", "horizontal", "horizontal", "vertical"]
    assert error_analysis.attributes(BOXES.iloc[:0], IMAGES).empty


def test_states_and_breakdown():
    detections, labels = classified()
    assert error_analysis.label_states(labels).tolist() == ["found", "loose or swapped", "loose or swapped", "missed",
                                                            "found"]
    assert error_analysis.detection_states(detections).value_counts().to_dict() == {
        "right": 2, "loose or swapped": 2, "false": 1}
    table = error_analysis.breakdown(error_analysis.attributes(labels, IMAGES), error_analysis.label_states(labels))
    assert table[list(error_analysis.LABEL_STATES)].sum(axis=1).to_numpy() == pytest.approx(1)
    species = table[table["grouping"] == "species"].set_index("group")
    assert species.loc["cow", ["n", "found", "missed"]].tolist() == [4, 0.25, 0.25]
    assert "100 % found" in error_analysis.breakdown_sentence(table, "found", least=1) or "against 100 %" in (
        error_analysis.breakdown_sentence(table, "found", least=1))
    assert "too few groups" in error_analysis.breakdown_sentence(table, "found", least=99)


def test_calibration():
    detections = pd.DataFrame({"species": "cow", "confidence": [0.92, 0.94, 0.12, 0.18],
                               "error": ["correct", "background", "background", "correct"]})
    table = error_analysis.calibration(detections)
    assert table[["right", "n"]].to_numpy().tolist() == [[0.5, 2], [0.5, 2]]
    assert error_analysis.calibration(detections, least_confidence=0.15)["n"].tolist() == [1, 2]
    assert table.attrs["error"]["cow"] == pytest.approx((0.35 + 0.43) / 2)
    assert "cow confidences promise too much".casefold() in error_analysis.calibration_sentence(table).casefold()
    empty = error_analysis.calibration(detections.iloc[:0])
    assert error_analysis.calibration_sentence(empty) == "There are no detections."


@pytest.mark.parametrize(("kind", "image_ids"), [("false", ["b"]), ("loose", ["a"]), ("missed", ["b"])])
def test_worst_cases(kind, image_ids):
    detections, labels = classified()
    cases = error_analysis.worst(detections, labels, kind)
    assert cases["image_id"].tolist() == image_ids
    assert error_analysis.worst_sentence(cases.iloc[:0], "such boxes") == "There are no such boxes: nothing to show."


@pytest.mark.parametrize(("boxes", "predictions", "error", "message"), [
    (BOXES, PREDICTIONS.iloc[:0], ScoringError, "there are no predictions"),
    (BOXES, PREDICTIONS.drop(columns="confidence"), ScoringError, "without a confidence"),
    (BOXES, PREDICTIONS.assign(image_id="z"), ScoringError, "not in the images table, the first is 'z'"),
    (BOXES[BOXES["species"] == "cow"], PREDICTIONS, DatasetError, "not a single label of pig"),
])
def test_bad_input_gets_one_line(boxes, predictions, error, message):
    with pytest.raises(error, match=message) as caught:
        error_analysis.check(IMAGES, boxes, predictions)
    assert "\n" not in str(caught.value)


def test_parts():
    counts = error_analysis.counts_by_part({"train": (IMAGES, BOXES), "valid": (IMAGES.iloc[:1], BOXES)})
    assert counts["boxes"].tolist() == [2, 2, 1, 2]
    assert error_analysis.parts_table(counts).loc[0, ["part", "species", "images", "boxes"]].tolist() == [
        "train", "cow", 2, 4]
    assert error_analysis.parts_sentence(counts).startswith("On average cow images hold 2.0 boxes in train against")
    ax = plots.boxes_by_part(counts)
    assert [tick.get_text() for tick in ax.get_yticklabels()][-1] == "cow, valid (n = 1)"


def test_figure_of_costs_names_every_type():
    ax = plots.error_costs(error_types.ap_lost(*classified()))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "Missed", "Background", "Duplicate", "Both", "Localisation", "Classification"]
    assert "costliest error is **" in error_analysis.costs_sentence(error_types.ap_lost(*classified()))
    empty = error_types.ap_lost(*error_types.classify(BOXES.iloc[:0], PREDICTIONS.iloc[:0]))
    assert plots.error_costs(empty).texts[0].get_text() == "no errors"


def test_figures_of_groups_and_calibration():
    detections, labels = classified()
    table = error_analysis.breakdown(error_analysis.attributes(labels, IMAGES), error_analysis.label_states(labels))
    axes = plots.error_groups(table)
    assert [ax.get_title() or ax.get_title(loc="left") for ax in axes.flat][:2] == ["species", "box size"]
    ax = plots.calibration(error_analysis.calibration(detections))
    assert ax.get_xlabel() and ax.get_ylabel()
    assert plots.calibration(error_analysis.calibration(detections.iloc[:0])).texts[0].get_text() == "no detections"


def test_gallery_shows_cases_and_says_when_there_are_none(folder):
    cases = error_analysis.worst(*classified(), "false")
    axes = plots.error_gallery(cases, IMAGES, BOXES, PREDICTIONS, folder)
    assert axes.shape == (1, 4)
    assert "b\nlabels" in axes[0, 0].get_title() + axes[0, 0].get_title(loc="left")
    none = plots.error_gallery(cases.iloc[:0], IMAGES, BOXES, PREDICTIONS, folder, nothing="no false alarms")
    assert none[0, 0].texts[0].get_text() == "no false alarms"


def test_figure_of_rankings():
    curves = pd.DataFrame({"ranking": ["ours"] * 2 + ["peer"] * 2, "recall": [1.0, 0.0] * 2,
                           "precision": [0.5, 1.0, 0.1, 1.0], "average_precision": [0.8] * 2 + [0.3] * 2})
    ax = plots.missing_curves(curves)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours: AP 0.800", "peer: AP 0.300"]
    assert "no missing label" in plots.missing_curves(curves.iloc[:0]).texts[0].get_text()
    assert np.isclose(ax.get_xlim()[1], 1)


def test_a_damaged_photo_has_no_brightness_and_no_group(folder, caplog):
    with zipfile.ZipFile(folder / "p.zip") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "p.zip", "w") as archive:
        for name, data in (content | {"b.jpg": b"\xff\xd8broken"}).items():
            archive.writestr(name, data)
    light = error_analysis.brightness(IMAGES, folder)
    assert light.isna().tolist() == [False, True, False]
    assert "1 images cannot be decoded and have no brightness, the first is b" in caplog.text
    groups = error_analysis.attributes(BOXES, IMAGES, light=light)
    assert groups["light"].isna().tolist() == [False, False, True, True, False]
    states = pd.Series(pd.Categorical(["found"] * 5, categories=["found"]))
    table = error_analysis.breakdown(groups, states)
    assert table.loc[table["grouping"] == "light", "n"].sum() == 3
    none = error_analysis.attributes(BOXES, IMAGES, light=light * np.nan)
    assert none["light"].isna().all() and "light" not in set(error_analysis.breakdown(none, states)["grouping"])
