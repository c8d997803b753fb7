"""Notebook 14: what the others found, a row a question, from metrics.json and the run folders."""

import json

import pandas as pd
import pytest
import yaml
from test_comparison import write_run

import livestock_utils as lu
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.project import PACKAGE
from livestock_utils.show.pipeline import notebook_files

FULL = "08_train_full"
GAIN = {"difference": 0.001, "low": -0.03, "high": 0.04}
BY_08 = {
    "difference": [{"class": "all", "first": 0.7, "second": 0.701, **GAIN}],
    "per_class": [{"class": "all", "images": 23}],
}
ROW = {"setting": "full", "against": "split", "pairs": 3, "images": 23, "low": 0.05, "high": 0.2}
BY_12 = {
    "weights": "last",
    "tables": {"training_data": [{"setting": "full", "mAP75": 0.65, "images": 23}]},
    "differences": {"training_data": [ROW | {"difference": 0.109}]},
}
EXPORT = {"export": "onnx", "image_size": 320, "AP75": 0.7, "difference": 0.0, "low": 0.0}
BY_13 = {
    "recommended": "onnx",
    "recommended_image_size": 320,
    "images": 30,
    "weights": "full/best.pt",
    "table": [
        EXPORT | {"high": 0.0},
        EXPORT | {"high": 0.0, "image_size": 256, "difference": -0.1},
        EXPORT | {"high": 0.0, "export": "pytorch"},
    ],
}


def concluded(out, **metrics):
    numbers = {{"n08": FULL, "n12": "12_compare_runs"}.get(k, k): v for k, v in metrics.items()}
    (out / "metrics.json").write_text(json.dumps(numbers))
    return lu.conclude(out)


def answers(found, number):
    table = found.questions
    return table.loc[table["notebook"] == number, "answer"].tolist()


def test_a_folder_without_results_is_told_row_by_row(tmp_path):
    found = lu.conclude(tmp_path)
    said = found.questions["answer"].tolist()
    assert said[0] == "Not told: 01_eda has not run here."
    assert all(text.startswith("Not told: ") for text in said)
    assert len(found.scores) == 0 and found.notes == []
    shown = lu.displays.conclusions(found)
    assert shown[0].metrics["answered"] == 0 and shown[0].metrics["missing"] == len(said)
    assert shown[1].plot().texts[0].get_text() == "nothing was compared"


def test_the_notebooks_asked_are_those_that_are_there():
    asked = yaml.safe_load((PACKAGE / "assets" / "conclusions.yaml").read_text(encoding="utf-8"))
    names = [found.name for found in notebook_files.find()]
    assert [name for name in asked if name != "notes"] == names


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        (
            FULL,
            BY_08,
            "Trained on nearly all photos instead of the split, best epochs: +0.001 mAP75, within "
            "noise.",
        ),
        (
            "10_train_expanded",  # without a truth file no answers are known to be complete
            GAIN | {"answers": "as labelled", "images": 85},
            "Training with silver instead of without, judged by labels as labelled: +0.001 mAP75, "
            "within noise.",
        ),
        (
            "07_hyperparameter_search",
            {"trials_complete": 4, "trials_better": 0, "best_score": 0.2664, "base_score": 0.2664},
            "Of 4 short trials (the start is one) 0 beat the start: 0.266 at best, 0.266 the start"
            "; single runs, no interval.",
        ),
        (FULL, {}, f"Not told: {FULL} is not finished, or of another version."),
        (FULL, {"difference": None}, f"Not told: {FULL} is not finished, or of another version."),
        (
            "12_compare_runs",
            BY_12,
            "“full” instead of “split”, last epochs: +0.109 mAP75, significant.",
        ),
        (
            "12_compare_runs",
            {"weights": "last", "tables": {}, "differences": {}},
            "Not told; no two runs here differ in one thing alone.",
        ),
        (
            "13_edge_export",
            BY_13,
            "The export onnx instead of the weights, both at 320 px: +0.000 mAP75, no difference.",
        ),
        ("13_edge_export", BY_13 | {"recommended": None}, "No export fits the budgets."),
        (
            "13_edge_export",
            BY_13 | {"table": [EXPORT | {"high": 0.0, "border_difference": None}]},
            "The export onnx instead of the weights, both at 320 px: +0.000 mAP75, no difference.",
        ),
        (
            "09_silver_dataset",
            {"silver_precision": None, "silver_boxes": 1234, "silver_images": 9},
            "1,234 silver boxes; without a truth file nobody knows.",
        ),
    ],
)
def test_answers_are_sentences(tmp_path, name, numbers, expected):
    assert answers(concluded(tmp_path, **{name: numbers}), name[:2])[0] == expected


@pytest.mark.parametrize(
    ("name", "numbers", "truth", "expected"),
    [
        (
            "01_eda",
            {"images": 200, "suspect_images": 30},
            {"suspects_right": 3},
            "by the truth only 3 of these lack a label",
        ),
        (
            "02_make_dataset_multilabel",
            {"largest_error_points": 17.5, "largest_error_images": 1.4},
            {"furthest_stratum": "pig-little"},
            "The furthest is pig-little, 17.5 points off",
        ),
        (
            "06_error_analysis",
            {"suggestions": 67, "suspicious_labels": 78},
            {"right_labels": 78},
            "by the truth 78 of these 78 are right",
        ),
    ],
)
def test_an_answer_says_the_truth_where_it_is_known(tmp_path, name, numbers, truth, expected):
    number = name[:2]
    assert expected in answers(concluded(tmp_path, **{name: numbers | truth}), number)[1]
    alone = answers(concluded(tmp_path, **{name: numbers}), number)[1]
    assert expected not in alone and not alone.startswith("Not told")


def test_an_unfinished_inference_gives_rows_that_say_so(tmp_path):
    numbers = {"complete": False, "test_images": "3 of 8 parts are there"}
    said = answers(concluded(tmp_path, **{"11_inference": numbers}), "11")
    assert said == ["Not told: 11_inference is not finished, or of another version."] * 3


def test_numbers_of_one_name_are_told_apart_and_contradictions_resolved(tmp_path):
    write_run(tmp_path / "training" / "full", tags={"trained_on": "full"})
    record = tmp_path / "training" / "full" / "run.json"
    known = json.loads(record.read_text()) | {"best_value": 0.8, "valid_images": 23}
    record.write_text(json.dumps(known))
    found = concluded(tmp_path, n08=BY_08, n12=BY_12, **{"13_edge_export": BY_13})
    rows = found.scores.set_index("mAP75")
    assert sorted(zip(found.scores["mAP75"], found.scores["notebook"], strict=True)) == [
        (0.65, "12"),
        (0.7, "08"),
        (0.7, "13"),
        (0.701, "08"),
        (0.8, "log"),
    ]
    assert rows.loc[0.8, "boxes"] == "yolov5's own pass"
    assert rows.loc[0.65, ["weights", "images"]].tolist() == ["full, last.pt", "23 validation"]
    (note,) = found.notes
    assert note.startswith("Full against split: notebook 08 says +0.001, notebook 12 +0.109.")
    gains = found.questions.dropna(subset=["difference"])
    assert gains["seeds"].tolist() == [1, 3, 1] and gains["images"].tolist() == [23, 23, 30]
    answered, differences, numbers = lu.displays.conclusions(found)
    assert "-0.030 to +0.040" in answered.table["95 % interval"].tolist()
    ticks = [tick.get_text() for tick in differences.plot().get_yticklabels()]
    assert ticks == ["08  full, best epochs", "12  full, last epochs", "13  onnx, 320 px"]
    assert numbers.verdict.startswith("The mAP75s lie between 0.650 and 0.800: compare only")
    assert numbers.table["mAP75"].is_monotonic_decreasing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"metrics\.json, line 1: not JSON .*delete it and run again"),
        ("[1]", r"metrics\.json: expected numbers by notebook; delete it and run again"),
    ],
)
def test_a_bent_file_is_refused(tmp_path, text, message):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(NotebookError, match=message):
        lu.conclude(tmp_path)


def test_the_tables_are_of_numbers(tmp_path):
    found = concluded(tmp_path, n08=BY_08)
    numbers = found.questions[["difference", "low", "high", "seeds", "images"]]
    assert set(numbers.dtypes) == {pd.Series([0.0]).dtype}


def test_a_file_that_pads_otherwise_is_no_gain_of_the_model(tmp_path):
    padded = EXPORT | {"high": 0.02, "low": 0.005, "difference": 0.014, "border_difference": 0.014}
    found = concluded(tmp_path, **{"13_edge_export": BY_13 | {"table": [padded]}})
    assert "of which its wider borders alone give +0.014" in answers(found, "13")[0]
    assert found.questions["difference"].isna().all()
    assert lu.displays.conclusions(found)[1].verdict == ""


def test_the_verdict_names_the_differences_that_stand_out(tmp_path):
    found = concluded(tmp_path, n08=BY_08, n12=BY_12)
    said = "1 of 2 differences in mAP75 is significant: full, last epochs +0.109."
    assert lu.displays.conclusions(found)[1].verdict == said
