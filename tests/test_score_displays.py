"""Displays of scores: numbers, figure, words and metrics of one set of predictions."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import livestock_utils as lu
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ScoringError


def labelled(n=8):
    boxes = pd.DataFrame(
        [[f"i{i}", "cow" if i % 2 else "pig", 0.0, 0.0, 90.0, 90.0] for i in range(n)],
        columns=["image_id", "species", *XYXY],
    )
    images = boxes[["image_id", "species"]].assign(width_px=100, height_px=100)
    return lu.Photos(images.assign(archive="", member="x"), boxes)


PHOTOS = labelled()
FOUND = PHOTOS.boxes.assign(confidence=0.9).iloc[:6]
DISPLAYS = {
    "class_scores": lambda: lu.displays.class_scores(PHOTOS, FOUND),
    "precision_recall": lambda: lu.displays.precision_recall(PHOTOS, FOUND),
    "score_definitions": lambda: lu.displays.score_definitions(PHOTOS, FOUND),
    "scores": lambda: lu.displays.score_table(PHOTOS, FOUND),
    "complete_scores": lambda: lu.displays.complete_scores(PHOTOS, FOUND, "nowhere"),
    "scores_by_group": lambda: lu.displays.scores_by_group(PHOTOS, FOUND, None),
    "run_scores_by_class": lambda: lu.displays.run_scores_by_class(PHOTOS, {"one": FOUND}),
    "run_difference": lambda: lu.displays.run_difference(
        PHOTOS, {"one": FOUND, "two": FOUND.iloc[:3]}
    ),
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_a_display_has_numbers_words_and_perhaps_a_figure(name):
    display = DISPLAYS[name]()
    assert display.name == name and display.caption
    assert display.draw is not None or display.shows_table or display.verdict
    if display.draw is not None:
        _, ax = plt.subplots()
        assert display.plot(ax) is ax
        plt.close("all")


def test_class_scores_record_what_the_table_says():
    display = lu.displays.class_scores(PHOTOS, FOUND)
    assert display.metrics["mAP75"] == display.table.loc["all", "mAP75"]
    assert list(display.metrics)[:4] == ["P", "R", "mAP50", "mAP75"]
    assert "per_class" in display.metrics


def test_a_difference_names_both_runs():
    display = DISPLAYS["run_difference"]()
    assert display.table.loc["all", "difference"] < 0
    assert "Two scores" in display.verdict and "below one" in display.verdict
    assert display.caption.startswith("AP75 and its difference, two minus one")
    assert display.table.columns[:2].tolist() == ["one", "two"]


def test_score_equals_the_contests_number():
    table = lu.score(PHOTOS, FOUND, iou_threshold=0.9)
    assert list(table.columns)[2:] == ["P", "R", "mAP50", "mAP75", "mAP50-95", "mAP90"]
    sizes = {"XMin": "x_min", "XMax": "x_max", "YMin": "y_min", "YMax": "y_max"}
    answers = pd.DataFrame(
        {
            "ImageID": PHOTOS.boxes["image_id"] + ".jpg",
            "LabelName": PHOTOS.boxes["species"],
            **{name: PHOTOS.boxes[column] / 100 for name, column in sizes.items()},
        }
    )
    mean, by_class = lu.contest_score(answers, FOUND, 0.9, "image", PHOTOS.images)
    assert table.loc["all", "mAP90"] == pytest.approx(mean)
    assert table["mAP90"].drop("all").to_dict() == pytest.approx(by_class)
    with pytest.raises(ScoringError, match="iou_threshold"):
        lu.score(PHOTOS, FOUND, iou_threshold=1.5)
