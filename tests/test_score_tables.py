"""Sentences and tables on scores say what the numbers say."""

import pandas as pd
import pytest

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.scoring import metrics
from livestock_utils.evaluate.scoring import tables as score_tables
from livestock_utils.show.words import scores as words

COLUMNS = ["images", "labels", *score_tables.SCORES]


def photos_of(boxes):
    images = boxes[["image_id", "species"]].drop_duplicates("image_id", ignore_index=True)
    return Photos(images, boxes)


def by_class(**rows):
    table = pd.DataFrame(rows, index=COLUMNS).T
    table.loc["all"] = table.mean() if len(table) else 0.0
    return table


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "Only no class has labels"),
        ({"cow": [1, 1, 1, 1, 1, 1, 1]}, "Only cow has labels"),
        (
            {"pig": [1, 1, 1, 1, 0.9, 0.8, 0.5], "cow": [1, 1, 1, 1, 0.9, 0.8, 0.5]},
            "stand level at mAP75: pig 0.800 and cow 0.800",
        ),
        (
            {"pig": [1, 1, 1, 1, 0.9, 0.8, 0.5], "cow": [1, 1, 1, 1, 0.9, 0.797, 0.5]},
            "stand level at mAP75: cow 0.797 and pig 0.800",
        ),
        (
            {"pig": [1, 1, 1, 1, 0.95, 0.6, 0.5], "cow": [1, 1, 1, 1, 0.9, 0.8, 0.5]},
            "Pig is the harder .* 0.050 ahead: what it loses are loose boxes",
        ),
        (
            {"pig": [1, 1, 1, 1, 0.9, 0.8, 0.5], "cow": [1, 1, 1, 1, 0.9, 0.5, 0.5]},
            "Cow is the harder .* loose boxes",
        ),
        (
            {"pig": [1, 1, 1, 1, 0.4, 0.3, 0.2], "cow": [1, 1, 1, 1, 0.9, 0.8, 0.5]},
            "Pig is the harder .* are missed",
        ),
    ],
)
def test_the_class_sentence(rows, said):
    assert pd.Series([words.harder_class(by_class(**rows))]).str.contains(said).all()


def test_metrics_name_the_classes():
    table = by_class(pig=[1, 2, 0.1, 0.2, 0.9, 0.8, 0.5], cow=[1, 2, 0.3, 0.4, 0.7, 0.6, 0.3])
    assert score_tables.score_metrics(table) == pytest.approx(
        {
            "P": 0.2,
            "R": 0.3,
            "mAP50": 0.8,
            "mAP75": 0.7,
            "mAP50-95": 0.4,
            "mAP75_pig": 0.8,
            "mAP75_cow": 0.6,
        }
    )


def test_one_set_of_predictions_by_every_definition():
    boxes = pd.DataFrame(
        [["a", "cow", 0.0, 0.0, 90.0, 90.0]], columns=["image_id", "species", *XYXY]
    )
    table = score_tables.definitions_table(photos_of(boxes), boxes.assign(confidence=0.9))
    assert set(table["definition"]) == {"contest", "coco", "yolov5"}
    assert table.loc[table["class"] == "cow", "mAP75"].to_numpy() == pytest.approx(
        [1, 1, 1], abs=0.01
    )


def test_the_definitions_sentence_tells_the_second_pass_apart():
    boxes = pd.DataFrame(
        [["a", "cow", 0.0, 0.0, 90.0, 90.0]], columns=["image_id", "species", *XYXY]
    )
    logged = by_class(cow=[1, 1, 1, 1, 1, 0.9, 0.9])
    alone = score_tables.definitions_table(photos_of(boxes), boxes.assign(confidence=0.9))
    assert "another pass" not in words.definitions(alone)
    table = score_tables.definitions_table(
        photos_of(boxes), boxes.assign(confidence=0.9), logged=logged
    )
    moved = 0.9 - alone.loc[alone["definition"] == "yolov5", "mAP75"].iloc[0]
    said = words.definitions(table)
    assert (
        "another pass of the same weights" in said and f"moved its mAP75 by {moved:+.3f}." in said
    )


def test_sentences_on_the_curves():
    truth = frame(*[(f"i{i}", "cow", 0.0, 0.0, 90.0, 90.0, 1.0) for i in range(4)])
    found = frame(
        ("i0", "cow", 0.0, 0.0, 90.0, 90.0, 0.9),
        ("i1", "cow", 0.0, 0.0, 90.0, 60.0, 0.8),
        ("i2", "cow", 200.0, 0.0, 290.0, 90.0, 0.7),
        ("i3", "cow", 0.0, 0.0, 90.0, 90.0, 0.1),
    )
    curves = metrics.pr_curves(truth, found, truth)
    said = words.at_confidence(score_tables.at_confidence(curves, {"cow": 0.25}))
    assert (
        "at IoU 0.5: cow from confidence 0.25 up, 50% of the labelled animals are found, 33% of "
        "the boxes" in said
    )
    assert "0% of the labelled animals are found, 0% of" in words.at_confidence(
        score_tables.at_confidence(curves, {"cow": 0.95})
    )
    nothing = score_tables.at_confidence(curves.iloc[:0], {})
    assert "no labels to score" in words.at_confidence(nothing)


def test_labels_are_completed_only_where_the_truth_is_known(tmp_path):
    columns = ["image_id", "species", *XYXY]
    images = pd.DataFrame({"image_id": ["a"]})
    boxes = pd.DataFrame([["a", "cow", 0.0, 0.0, 9.0, 9.0]], columns=columns)
    assert Photos(images, boxes).complete(tmp_path).boxes.equals(boxes)
    rows = [
        ["a", "cow", 0.0, 0.0, 9.0, 9.0, True],
        ["a", "cow", 20.0, 0.0, 30.0, 9.0, False],
        ["b", "pig", 0.0, 0.0, 9.0, 9.0, True],
    ]
    pd.DataFrame(rows, columns=[*columns, "labelled"]).to_csv(tmp_path / "truth.csv", index=False)
    completed = Photos(images, boxes).complete(tmp_path).boxes
    assert list(completed["x_min"]) == [0, 20]


def frame(*rows):
    columns = ["image_id", "species", *XYXY, "confidence"]
    return pd.DataFrame(rows, columns=columns)


def test_runs_side_by_side_and_their_paired_difference():
    truth = frame(*[(f"i{i}", "cow", 0.0, 0.0, 90.0, 90.0, 1.0) for i in range(8)])
    good, half = truth.assign(confidence=0.9), truth.assign(confidence=0.9).iloc[:4]
    table = score_tables.runs_table(photos_of(truth), {"half": half, "good": good})
    assert table.loc[table["class"] == "all", "mAP75"].to_numpy() == pytest.approx([0.5, 1.0])
    difference = score_tables.paired_difference(photos_of(truth), half, good)
    assert difference.loc["all", "difference"] == pytest.approx(0.5)
    assert "scores 0.500 above half in AP75" in words.difference(difference, "good", "half")
    assert ": significant, as the interval" in words.difference(difference, "good", "half")
    same = score_tables.paired_difference(photos_of(truth), good, good)
    assert "level with good" in words.difference(same, "good", "good")
    assert "within noise" in words.difference(same, "good", "good")


def test_no_runs_give_an_empty_table():
    assert score_tables.runs_table(photos_of(frame()), {}).empty


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, []),
        ({f"i{i}": i for i in range(8)}, []),
        (
            {f"i{i}": "left" if i < 4 else "right" for i in range(8)},
            [("left", 4, 1.0), ("right", 4, 0.5)],
        ),
    ],
)
def test_scores_by_group(groups, expected):
    truth = frame(*[(f"i{i}", "cow", 0.0, 0.0, 90.0, 90.0, 0.9) for i in range(8)])
    table = score_tables.group_table(
        photos_of(truth), truth.iloc[:6], groups if groups is None else pd.Series(groups), 2
    )
    assert [(row.group, row.images, row.mAP75) for row in table.itertuples()] == expected
    assert ("no groups to compare" in words.groups(table)) is not bool(expected)


def test_a_group_without_a_prediction_scores_0_and_strangers_are_still_told():
    truth = frame(*[(f"i{i}", "cow", 0.0, 0.0, 90.0, 90.0, 0.9) for i in range(4)])
    groups = pd.Series({f"i{i}": "seen" if i < 2 else "unseen" for i in range(4)})
    table = score_tables.group_table(photos_of(truth), truth.iloc[:2], groups)
    assert table.set_index("group")["mAP75"].to_dict() == {"seen": 1.0, "unseen": 0.0}
    with pytest.raises(ScoringError, match="answers and predictions are of different sets"):
        score_tables.group_table(
            photos_of(truth), truth.assign(image_id="x" + truth["image_id"]), groups
        )
