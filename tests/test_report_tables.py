"""Small tables and sentences of notebooks 05 to 09 against values known by hand."""

import math

import pandas as pd
import pytest

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import LivestockError, TrainingError
from livestock_utils.core.photos import Photos
from livestock_utils.detect import settings
from livestock_utils.detect.predict import passes
from livestock_utils.detect.search import genes
from livestock_utils.detect.search import trials as search_table
from livestock_utils.evaluate.labels import report
from livestock_utils.show.displays import labels as displays
from livestock_utils.show.words import silver

GENES = """
genes:
  lr0: {gain: 1, low: 0.001, high: 0.1, log: true}
  momentum: {gain: 0.3, low: 0.6, high: 0.98}
groups: {rate: [lr0], both: [momentum, lr0]}
"""


@pytest.mark.parametrize(
    ("groups", "rows"),
    [
        ("rate", [("rate", "lr0", 0.001, 0.1, True, 1.0)]),
        (
            "both, rate",
            [
                ("both", "momentum", 0.6, 0.98, False, 0.3),
                ("both", "lr0", 0.001, 0.1, True, 1.0),
                ("rate", "lr0", 0.001, 0.1, True, 1.0),
            ],
        ),
    ],
)
def test_the_genes_of_groups(tmp_path, groups, rows):
    (tmp_path / "groups.yaml").write_text(GENES)
    table = genes.groups_table(groups, tmp_path / "groups.yaml")
    assert table.columns.tolist() == ["group", "gene", "low", "high", "log_scale", "gain"]
    assert list(table.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize("groups", ["", "rate,colour"])
def test_an_unknown_group_of_genes_is_told(tmp_path, groups):
    (tmp_path / "groups.yaml").write_text(GENES)
    with pytest.raises(
        TrainingError, match=r"unknown group of genes '(colour)?'; known are rate, both"
    ):
        genes.groups_table(groups, tmp_path / "groups.yaml")


def trials(*scores):
    return pd.DataFrame(
        {
            "trial": range(len(scores)),
            "state": ["failed" if s is None else "complete" for s in scores],
            "score": scores,
            "worker": 0,
            "retry_of": None,
            "reason": "",
        }
    )


@pytest.mark.parametrize(
    ("scores", "n", "expected"),
    [
        ((), 2, []),
        ((None,), 2, []),
        ((0.1, 0.4, None, 0.3), 1, [1, 0]),
        ((0.5, 0.4), 1, [0]),
        ((0.2, 0.2), 2, [0, 1]),
    ],
)
def test_the_best_trials_and_the_base(scores, n, expected):
    best = search_table.best_trials(trials(*scores), n)
    assert best["trial"].tolist() == expected and best.columns.tolist() == ["trial", "score"]


@pytest.mark.parametrize(
    ("schedule", "epoch", "factor"),
    [
        ("linear", 0, 1.0),
        ("linear", 5, 0.55),
        ("linear", 10, 0.1),
        ("linear-v6.0", 0, 1.0),
        ("linear-v6.0", 9, 0.1),
        ("cosine", 0, 1.0),
        ("cosine", 5, 0.55),
        ("cosine", 10, 0.1),
        ("cosine", 2.5, 0.1 + 0.45 * (1 + math.sqrt(0.5))),
    ],
)
def test_the_learning_rate_falls_to_its_last_share(schedule, epoch, factor):
    assert settings.learning_rate_factor(schedule, 0.1, 10)(epoch) == pytest.approx(factor)


def test_one_epoch_of_the_older_schedule_divides_by_nothing():
    assert settings.learning_rate_factor("linear-v6.0", 0.1, 1)(0) == 1.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", (1.0, False)),
        ("flip", (1.0, True)),
        ("x0.83", (0.83, False)),
        ("x1.2-flip", (1.2, True)),
        ("x2", (2.0, False)),
        ("x4", (4.0, False)),
        ("x.1", (0.1, False)),
    ],
)
def test_passes_are_read(name, expected):
    assert passes.parse_pass(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "x0",
        "x0.09",
        "x4.1",
        "x-1",
        "x1e0",
        "xinf",
        "flop",
        "x2-flop",
        "flip-x2",
        "plain-flip",
        "x1.2.3",
    ],
)
def test_other_passes_are_refused(name):
    with pytest.raises(LivestockError, match="pass must be 'plain', 'flip', or a scale of"):
        passes.parse_pass(name)


BOXES = pd.DataFrame([("a", "cow", 0.0, 0.0, 50.0, 50.0)], columns=["image_id", "species", *XYXY])
IMAGES = pd.DataFrame({"image_id": ["a"], "species": ["cow"], "width_px": 300, "height_px": 200})


@pytest.mark.parametrize(
    ("truth", "suggested", "said"),
    [
        (False, [], "only a person can tell here: there is no file of the truth"),
        (True, [], "No suggestion was made; 2 labels left unlabelled on purpose"),
        (
            True,
            [(100, 0, 150, 50), (0, 100, 50, 150), (0, 0, 50, 50)],
            "Of 3 suggestions, 33 % lie on an unlabelled animal; they cover 50 % of the 2 that are "
            "known",
        ),
    ],
)
def test_suggestions_against_a_sample_s_truth(tmp_path, truth, suggested, said):
    if truth:
        rows = [
            ("a", "cow", 0, 0, 50, 50, True),
            ("a", "cow", 100, 0, 150, 50, False),
            ("a", "cow", 200, 100, 250, 150, False),
            ("elsewhere", "cow", 0, 0, 9, 9, False),
        ]
        table = pd.DataFrame(rows, columns=["image_id", "species", *XYXY, "labelled"])
        table.to_csv(tmp_path / "truth.csv", index=False)
    suggestions = pd.DataFrame(
        [("a", "cow", *map(float, box)) for box in suggested], columns=BOXES.columns
    )
    suggestions = suggestions.assign(predicted_species="cow", score=0.9)
    photos = Photos(IMAGES, BOXES)
    found = report.MissingLabels(photos, suggestions, suggestions, suggestions, tmp_path)
    assert said in displays.images_to_check(found).verdict


@pytest.mark.parametrize(
    ("n", "why"),
    [
        (0, []),
        (3, ["loose, 0.90", "swapped, 0.80: pig?", "loose, 0.70"]),
        (9, ["loose, 0.90", "swapped, 0.80: pig?", "loose, 0.70", "loose, 0.60"]),
    ],
)
def test_suspicious_labels_come_the_faults_in_turn(n, why):
    rows = [
        ("loose", 0.9, "cow"),
        ("loose", 0.7, "cow"),
        ("loose", 0.6, "cow"),
        ("swapped", 0.8, "pig"),
    ]
    faults = pd.DataFrame(rows, columns=["fault", "score", "suggested_species"])
    assert report.fault_cases(faults, n)["why"].tolist() == why


def test_audits_of_modes_stand_in_one_table():
    one, two = (
        pd.DataFrame({"threshold": [0.1, 0.2], "mean_iou": [0.7, iou]}) for iou in (0.8, 0.9)
    )
    table = silver.by_name({"ignore": one, "duplicate": two}, "mode")
    assert table.columns.tolist() == ["mode", "threshold", "mean_iou"] and table.index.tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert table["mode"].tolist() == ["ignore"] * 2 + ["duplicate"] * 2
    assert table["mean_iou"].tolist() == [0.7, 0.8, 0.7, 0.9]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({}, "No silver box is right"),
        ({"ignore": math.nan}, "No silver box is right"),
        (
            {"ignore": math.nan, "duplicate": 0.876},
            "overlap their animals by 0.88 (“duplicate”) on average; the contest counts a box from "
            "0.75 on",
        ),
        ({"ignore": 0.8, "duplicate": 0.9}, "by 0.80 (“ignore”) and 0.90 (“duplicate”) on average"),
    ],
)
def test_how_tight_silver_boxes_sit(last, said):
    tables = {name: pd.DataFrame({"mean_iou": [0.5, value]}) for name, value in last.items()}
    assert said in silver.audit(tables, True)
