"""Silver labels: the three modes, their audit against a truth, what is refused."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from data_sets import write_archives

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import silver_sources
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.evaluate.silver import audit, making
from livestock_utils.evaluate.silver.making import SilverSettings
from livestock_utils.show.displays import silver as displays
from livestock_utils.show.words import silver

NO_FOLDS = pd.Series(dtype=int)
A, B, PIG = "livestock_cow_bbox_000001", "livestock_cow_bbox_000002", "livestock_pig_bbox_000001"
IMAGES = pd.DataFrame(
    [
        (A, "cow", 400, 300, "c.zip", "a.jpg"),
        (B, "cow", 400, 300, "c.zip", "b.jpg"),
        (PIG, "pig", 400, 300, "p.zip", "p.jpg"),
    ],
    columns=["image_id", "species", "width_px", "height_px", "archive", "member"],
)
BOXES = pd.DataFrame(
    [
        (A, "cow", 0, 0, 50, 50),
        (A, "cow", 100, 0, 150, 50),
        (B, "cow", 0, 0, 50, 50),
        (PIG, "pig", 0, 0, 50, 50),
    ],
    columns=["image_id", "species", *XYXY],
)
HIDDEN = pd.DataFrame(
    [(A, "cow", 200, 0, 250, 50), (A, "cow", 300, 0, 350, 50), (B, "cow", 200, 100, 250, 150)],
    columns=BOXES.columns,
)
TRUTH = pd.concat([BOXES, HIDDEN]).sort_values("image_id", kind="stable", ignore_index=True)
PREDICTIONS = pd.DataFrame(
    [
        (A, "cow", 0.9, 2, 0, 52, 50),  # a labelled animal
        (A, "cow", 0.8, 200, 0, 250, 52),  # an unlabelled one
        (A, "cow", 0.7, 200, 0, 250, 50),  # the same again: suppressed
        (A, "cow", 0.6, 0, 200, 60, 260),  # nothing
        (A, "cow", 0.2, 300, 0, 350, 50),  # unlabelled, unsure
        (A, "cow", 0.3, 90, 0, 160, 60),  # around a label: the same animal
        (A, "pig", 0.9, 350, 200, 390, 290),  # of a species that this image does not show
        (B, "cow", 0.5, 0, 0, 48, 50),
        (PIG, "pig", 0.9, 200, 0, 250, 50),
    ],
    columns=["image_id", "species", "confidence", *XYXY],
)
PHOTOS, COMPLETE = Photos(IMAGES, BOXES), Photos(IMAGES, TRUTH)
MERGE = SilverSettings("merge", 0.4, min_boxes=1, ignore_threshold=0.1)


def three_modes(original: SilverSettings) -> dict[str, making.Silver]:
    """{mode: silver set}, "duplicate" and "replace" by `original`, "merge" by MERGE."""
    settings = {mode: dataclasses.replace(original, mode=mode) for mode in making.MODES[:2]}
    return {
        mode: making.make_silver(PHOTOS, PREDICTIONS, each)
        for mode, each in (settings | {"merge": MERGE}).items()
    }


def origins(made: making.Silver) -> dict[str, list[tuple[str, float]]]:
    """{image_id: [(origin, x_min), ...]} in the order of the labels."""
    rows = made.labels.groupby("image_id")
    return {str(name): list(zip(part["origin"], part["x_min"], strict=True)) for name, part in rows}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            SilverSettings(min_boxes=4),
            {
                f"plus_{A}": [
                    ("silver", 2),
                    ("silver", 200),
                    ("silver", 0),
                    ("silver", 90),
                    ("silver", 300),
                ]
            },
        ),
        (
            SilverSettings("replace", 0.5, min_boxes=1),
            {
                f"plus_{A}": [("silver", 2), ("silver", 200), ("silver", 0)],
                f"plus_{B}": [("silver", 0)],
            },
        ),
        (SilverSettings("duplicate", 0.85, min_boxes=0), {f"plus_{A}": [("silver", 2)]}),
        (
            SilverSettings("merge", 0.4, min_boxes=1),
            {f"plus_{A}": [("gold", 0), ("gold", 100), ("silver", 200), ("silver", 0)]},
        ),
        (
            MERGE,
            {
                f"plus_{A}": [
                    ("gold", 0),
                    ("gold", 100),
                    ("silver", 200),
                    ("silver", 0),
                    ("ignored", 300),
                ]
            },
        ),
        (
            dataclasses.replace(MERGE, max_ignored_share=0.02),
            {f"plus_{A}": [("gold", 0), ("gold", 100), ("silver", 200), ("silver", 0)]},
        ),
        (SilverSettings("merge", 0.65, min_boxes=4, ignore_threshold=0.1), None),
        (
            SilverSettings("duplicate", 0.5, min_boxes=1, species=("pig",)),
            {f"plus_{PIG}": [("silver", 200)]},
        ),
        (
            SilverSettings("duplicate", 0.05, iou_threshold=1.0, min_boxes=6),
            {
                f"plus_{A}": [
                    ("silver", 2),
                    ("silver", 200),
                    ("silver", 200),
                    ("silver", 0),
                    ("silver", 90),
                    ("silver", 300),
                ]
            },
        ),
    ],
)
def test_modes(settings, expected):
    if expected is None:
        with pytest.raises(
            DatasetError, match="of 2 cow images the fullest has 3 boxes, min_boxes is 4; lower"
        ):
            making.make_silver(PHOTOS, PREDICTIONS, settings)
        return
    made = making.make_silver(PHOTOS, PREDICTIONS, settings)
    assert origins(made) == expected
    assert (made.images["image_id"] == "plus_" + made.images["source_id"]).all()
    assert set(expected) <= set(made.images["image_id"])
    assert len(made.boxes) == (made.labels["origin"] != "ignored").sum()


def test_a_silver_image_without_boxes_is_kept_only_if_asked_for():
    made = making.make_silver(PHOTOS, PREDICTIONS, SilverSettings("duplicate", 0.85, min_boxes=0))
    assert made.images["source_id"].tolist() == [A, B]
    assert made.boxes["image_id"].tolist() == [f"plus_{A}"]


def test_the_tables_are_left_as_they_were():
    before = IMAGES.copy(), BOXES.copy(), PREDICTIONS.copy()
    three_modes(SilverSettings(min_boxes=1))
    for table, copy in zip((IMAGES, BOXES, PREDICTIONS), before, strict=True):
        pd.testing.assert_frame_equal(table, copy)


@pytest.mark.parametrize(
    ("columns", "source", "expected"),
    [
        ({}, "best.pt", "best.pt"),
        ({"fold": 2}, "best.pt", "out of fold 2"),
        ({"fold": 2, "source": "run/last.pt"}, "", "run/last.pt"),
    ],
)
def test_provenance_names_the_model(columns, source, expected):
    made = making.make_silver(PHOTOS, PREDICTIONS.assign(**columns), MERGE, source)
    of_origin = made.labels.groupby("origin")["source"].unique().map(list).to_dict()
    assert of_origin == {"gold": ["labels"], "silver": [expected], "ignored": [expected]}
    confidence = made.labels.set_index("origin")["confidence"]
    assert confidence.loc["gold"].isna().all()
    assert (confidence.loc["silver"] >= 0.4).all()
    assert confidence.loc[["ignored"]].between(0.1, 0.4, inclusive="left").all()


def test_a_copy_stays_in_the_fold_of_its_source():
    made = making.make_silver(PHOTOS, PREDICTIONS, SilverSettings("replace", 0.5, min_boxes=1))
    folds = made.folds(pd.Series({A: 3, B: 1, PIG: 0}))
    assert folds.to_dict() == {f"plus_{A}": 3, f"plus_{B}": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "double"}, "mode must be one of duplicate, replace, merge, got 'double'"),
        (
            {"confidence_threshold": 0.0},
            "confidence_threshold must be above 0, got 0.0",
        ),
        ({"iou_threshold": 1.5}, "iou_threshold must be a number of at most 1, got 1.5"),
        ({"max_ignored_share": 0}, "max_ignored_share must be above 0, got 0"),
        ({"same_animal_overlap": 0}, "same_animal_overlap must be above 0, got 0"),
        ({"min_boxes": -1}, "min_boxes must be a whole number of at least 0, got -1"),
        ({"species": ()}, "species is empty: name at least one of pig, cow"),
        ({"species": ("goat",)}, r"unknown species 'goat': expected one of \['pig', 'cow'\]"),
        (
            {"mode": "merge", "ignore_threshold": 0.05},
            "ignore_threshold must lie between 0 and confidence_threshold",
        ),
        (
            {"confidence_threshold": 0.5, "ignore_threshold": 0.1},
            "ignored regions exist in mode 'merge' only",
        ),
    ],
)
def test_settings_refused(options, message):
    with pytest.raises(LivestockError, match=message):
        SilverSettings(**options)


@pytest.mark.parametrize(
    ("images", "predictions", "message"),
    [
        (
            IMAGES,
            PREDICTIONS.iloc[:0],
            "there are no predictions to make silver labels from; predict first",
        ),
        (
            IMAGES,
            PREDICTIONS.assign(image_id="x"),
            "predictions are of 1 images that the tables lack, the first is 'x'",
        ),
        (
            IMAGES,
            PREDICTIONS.drop(columns="confidence"),
            "predictions: the column 'confidence' is lacking; .*; silver needs boxes in pixels",
        ),
        (
            IMAGES,
            PREDICTIONS.drop(columns=["x_max", "y_max"]),
            "predictions: columns .'x_max', 'y_max'. are lacking; .*; silver needs",
        ),
        (
            IMAGES,
            PREDICTIONS.assign(confidence=[0.5, np.nan] + [0.5] * 7),
            "predictions: row 1 has no confidence",
        ),
        (
            IMAGES,
            PREDICTIONS.assign(confidence=0.01),
            "of 2 cow images the fullest has 0 boxes, min_boxes is 4",
        ),
        (
            IMAGES.assign(image_id="plus_" + IMAGES["image_id"]),
            PREDICTIONS,
            r"hold silver copies \(plus_...\) already",
        ),
        (
            IMAGES[IMAGES["species"] == "pig"],
            PREDICTIONS[PREDICTIONS["image_id"] == PIG],
            "of 0 cow images the fullest",
        ),
    ],
)
def test_predictions_refused(images, predictions, message):
    with pytest.raises(DatasetError, match=message) as error:
        making.make_silver(Photos(images, BOXES), predictions)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.6, [0, 3]), (0.9, [0, 1, 3]), (1.0, [0, 1, 2, 3])]
)
def test_each_animal_is_added_once(share, expected):
    corners = [
        (0, 0, 100, 100),
        (20, 0, 120, 100),
        (30, 5, 125, 95),
        (300, 0, 350, 50),
        (500, 0, 550, 50),
    ]
    found = pd.DataFrame(corners, columns=XYXY).assign(
        image_id=A, confidence=[0.9, 0.8, 0.7, 0.6, 0.5]
    )
    gold = pd.DataFrame([(A, 505, 0, 545, 50)], columns=["image_id", *XYXY])
    new = making.additions(found, gold, share)
    assert new["x_min"].tolist() == [corners[row][0] for row in expected]


def test_audit_by_hand():
    row = (
        audit.audit(making.make_silver(PHOTOS, PREDICTIONS, MERGE), PHOTOS, COMPLETE)
        .iloc[-1]
        .to_dict()
    )
    assert row | {"mean_iou": round(row["mean_iou"], 4)} == {
        "species": "cow",
        "images": 1,
        "animals": 4,
        "gold": 2,
        "silver": 2,
        "ignored": 1,
        "precision": 0.5,
        "mean_iou": round(50 / 52, 4),
        "recall_before": 0.5,
        "recall": 0.75,
        "unlabelled": 2,
        "unlabelled_found": 0.5,
        "ignored_right": 1.0,
    }


def test_audit_of_perfect_predictions_and_of_both_species():
    made = making.make_silver(
        PHOTOS,
        TRUTH.assign(confidence=0.9),
        SilverSettings("replace", min_boxes=0, species=("pig", "cow")),
    )
    table = audit.audit(made, PHOTOS, COMPLETE).set_index("species")
    assert table.index.tolist() == ["pig", "cow", "all"]
    assert table.loc["all", ["images", "animals", "silver", "unlabelled"]].tolist() == [3, 7, 7, 3]
    assert (table[["precision", "recall", "mean_iou"]] == 1).all(axis=None)
    assert (
        np.isnan(table.loc["pig", "unlabelled_found"]) and table.loc["cow", "unlabelled_found"] == 1
    )


def test_audit_of_wrong_boxes_and_a_class_without_a_label():
    wrong = PREDICTIONS.assign(x_min=1, y_min=200, x_max=40, y_max=290)
    made = making.make_silver(Photos(IMAGES, BOXES.iloc[:0]), wrong, SilverSettings(min_boxes=1))
    row = audit.audit(made, Photos(IMAGES, BOXES.iloc[:0]), COMPLETE).iloc[-1]
    assert (row["precision"], row["recall_before"], row["recall"], row["gold"]) == (0, 0, 0, 0)
    assert np.isnan(row["mean_iou"])
    none = audit.audit(made, Photos(IMAGES, BOXES.iloc[:0]), Photos(IMAGES, TRUTH.iloc[:0])).iloc[
        -1
    ]
    assert none["animals"] == 0 and none["precision"] == 0 and np.isnan(none["recall"])


def random_tables(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(images, labels, truth, predictions): a third of the animals without a label, shifted boxes
    and inventions."""
    random = np.random.default_rng(seed)
    images = pd.DataFrame(
        {
            "image_id": [f"cow_{i}" for i in range(8)],
            "species": "cow",
            "width_px": 900,
            "height_px": 600,
            "archive": "c.zip",
            "member": [f"{i}.jpg" for i in range(8)],
        }
    )
    truth = pd.DataFrame({"image_id": random.choice(images["image_id"], 50), "species": "cow"})
    corner = np.c_[random.uniform(0, 700, 50), random.uniform(0, 400, 50)]
    truth[XYXY] = np.c_[corner, corner + random.uniform(40, 160, (50, 2))].round(2)
    truth = truth.sort_values("image_id", ignore_index=True)
    found = truth.sample(frac=1.6, replace=True, random_state=seed).reset_index(drop=True)
    found[XYXY] += random.normal(0, 8, (len(found), 4))
    found["confidence"] = random.random(len(found)).round(4)
    return (
        images,
        truth.sample(frac=0.66, random_state=seed).sort_index(ignore_index=True),
        truth,
        found,
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_says_what_an_audit_says(seed):
    images, boxes, truth, found = random_tables(seed)
    curve = audit.threshold_curve(Photos(images, boxes), found, Photos(images, truth))
    unlabelled = None
    for row in curve.iloc[[1, 6, 11, 15]].to_dict("records"):
        made = making.make_silver(
            Photos(images, boxes),
            found,
            SilverSettings("merge", row["confidence_threshold"], min_boxes=0),
        )
        # An audit looks at the images of its set only, a curve at all of them: the count of right
        # boxes is the same.
        table = audit.audit(made, Photos(images, boxes), Photos(images, truth)).iloc[-1]
        assert table["silver"] == row["added"]
        assert round(table["precision"] * table["silver"]) == row["right"]
        assert row["found"] == pytest.approx(row["right"] / curve.attrs["unlabelled"])
        unlabelled = max(unlabelled or 0, table["unlabelled"])
    assert 0 < unlabelled <= curve.attrs["unlabelled"]
    assert curve["added"].is_monotonic_decreasing and curve["found"].is_monotonic_decreasing


@pytest.mark.parametrize(
    ("threshold", "expected", "told"),
    [
        (
            0.9,
            (1.0, 1),
            "100 % of the 1 box that the teachers give a confidence of 0.9 or a little more match "
            "a label;",
        ),
        (0.55, (0.0, 1), "^0 % of .*too weak for silver labels"),
        (0.45, (1.0, 1), "^100 % of"),
        (0.95, (None, 0), "nothing can be said"),
    ],
)
def test_the_labels_tell_whether_the_teachers_can_be_trusted(threshold, expected, told):
    settings = dataclasses.replace(MERGE, confidence_threshold=threshold)
    share, near = audit.trust(PHOTOS, PREDICTIONS, settings)
    assert near == expected[1] and (
        np.isnan(share) if expected[0] is None else share == expected[0]
    )
    assert re.search(told, silver.trust(share, near, threshold))


def test_the_curve_without_anything_unlabelled():
    curve = audit.threshold_curve(PHOTOS, PREDICTIONS, PHOTOS)
    assert (
        curve.attrs["unlabelled"] == 0 and curve["found"].isna().all() and (curve["f1"] == 0).all()
    )
    assert silver.curve({"out of fold": curve}, 0.4, True).startswith(
        "No animal is unlabelled here"
    )


def test_without_a_truth_file_nothing_is_drawn_or_judged_that_needs_one(tmp_path):
    made = three_modes(SilverSettings(min_boxes=1))
    settings = {name: each.settings for name, each in made.items()}
    sources = silver_sources.SilverSources({"out of fold": PREDICTIONS}, False)
    shown = displays.silver_thresholds(sources, PHOTOS, settings, tmp_path)
    assert shown.draw is None and shown.verdict.startswith("Without a truth file")
    table = displays.silver_audit(made, PHOTOS, tmp_path, "merge").table.set_index("mode")
    untold = {"duplicate": False, "replace": False, "merge": True}
    assert table["precision"].isna().to_dict() == untold
    TRUTH.to_csv(tmp_path / "truth.csv", index=False)
    assert displays.silver_thresholds(sources, PHOTOS, settings, tmp_path).plot().lines
    table = displays.silver_audit(made, PHOTOS, tmp_path, "merge").table
    assert table["precision"].gt(0).all()


def test_boxes_by_image_before_and_after():
    made = three_modes(SilverSettings(min_boxes=1))
    before, after = making.count_boxes(PHOTOS, made)
    assert before.to_dict() == {A: 2, B: 1, PIG: 1}
    assert {name: counts.to_dict() for name, counts in after.items()} == {
        "duplicate": {A: 5, B: 1},
        "replace": {A: 5, B: 1},
        "merge": {A: 4},
    }


def test_sentences_of_an_audit():
    made = three_modes(SilverSettings(min_boxes=4))
    counts = audit.audit(made["merge"], PHOTOS, COMPLETE).iloc[-1]
    assert counts[["images", "gold", "silver", "ignored"]].tolist() == [1, 2, 2, 1]
    audits = {
        name: audit.audit(each, PHOTOS, COMPLETE)
        for name, each in made.items()
        if name != "replace"
    }
    rows = {name: table.iloc[-1] for name, table in audits.items()}
    shares = ["precision", "unlabelled_found", "recall", "recall_before"]
    assert rows["duplicate"][shares].tolist() == [0.8, 1.0, 1.0, 0.5]
    assert rows["merge"][[*shares, "ignored_right"]].tolist() == [0.5, 0.5, 0.75, 0.5, 1.0]
    assert silver.audit(audits, True).startswith("The right silver boxes overlap their animals by")
    assert "the precision is a lower bound" in silver.audit(audits, False)
    table = displays.silver_provenance(made["merge"]).table.set_index("origin")
    assert table["boxes"].to_dict() == {"gold": 2, "ignored": 1, "silver": 2}
    assert silver.metrics(audits["merge"])["silver_precision"] == 0.5
    untold = silver.metrics(audits["merge"], has_truth=False)
    assert (
        untold["silver_precision"] is None
        and untold["recall"] is None
        and untold["silver_boxes"] >= 1
    )


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return folder, *write_archives(folder, 12)


def test_given_predictions(archives, tmp_path):
    from livestock_utils.detect.predict import out_of_fold

    folder, images, boxes = archives
    path = out_of_fold.write(
        tmp_path / "p.csv.gz", boxes.assign(confidence=0.5, fold=1)[out_of_fold.COLUMNS]
    )
    some = images[images["species"] == "cow"]
    found = silver_sources.predict_for_silver(
        Photos(some, boxes, folder), NO_FOLDS, tmp_path, TrainSettings(), str(path)
    )
    assert found.name == "given" and set(found.predictions["species"]) == {"cow"}
    assert list(found.tables) == ["given"] and found.saw_validation is None
    with pytest.raises(DatasetError, match=r"none of which is among the 1 training images"):
        silver_sources.predict_for_silver(
            Photos(images.head(1).assign(image_id="x"), boxes, folder),
            NO_FOLDS,
            tmp_path,
            TrainSettings(),
            str(path),
        )


def test_teachers_together_predict_all_photos(archives, tmp_path, monkeypatch):
    folder, images, boxes = archives
    found, asked = boxes.assign(confidence=0.5), []
    teachers = {0: tmp_path / "a.pt", 1: tmp_path / "b.pt"}
    places = silver_sources.out_of_fold, silver_sources.engine
    monkeypatch.setattr(places[0], "predict_out_of_fold", lambda *_, **__: found.assign(fold=0))
    monkeypatch.setattr(places[0], "trained", lambda *_: (teachers, None))
    monkeypatch.setattr(
        places[1], "predict", lambda weights, *_, **__: asked.append(weights) or found
    )
    photos = Photos(images, boxes, folder)
    asked_for = photos, NO_FOLDS, tmp_path, TrainSettings(), "ensemble"
    sources = silver_sources.predict_for_silver(*asked_for)
    assert list(sources.tables) == ["teachers together", "out of fold"]
    assert asked == [list(teachers.values())] and sources.saw_validation is False
    assert set(sources.predictions["source"]) == {"teachers together"}


EXTRA = HIDDEN.iloc[:1].assign(confidence=0.8)
ALL_MET, ONE_MET = (BOXES.head(n).assign(confidence=0.9) for n in (4, 1))


@pytest.mark.parametrize(
    ("rounds", "by_round", "n_labels", "names"),
    [
        (1, [ALL_MET], [4], ["out of fold"]),
        (2, [ALL_MET], [4], ["out of fold"]),  # nothing to add
        (
            2,
            [pd.concat([ONE_MET, EXTRA]), ALL_MET],
            [4, 5],
            ["out of fold, round 2", "out of fold"],
        ),
        (
            3,
            [pd.concat([ALL_MET, EXTRA]), ONE_MET],
            [4, 5],
            ["out of fold", "out of fold, round 2"],
        ),
    ],
)
def test_rounds_go_on_while_they_gain(tmp_path, monkeypatch, rounds, by_round, n_labels, names):
    given = []

    def predicted(photos, *_, **__):
        given.append(len(photos.boxes))
        return by_round[len(given) - 1].assign(fold=0)

    monkeypatch.setattr(silver_sources.out_of_fold, "predict_out_of_fold", predicted)
    asked = PHOTOS, NO_FOLDS, tmp_path, TrainSettings()
    sources = silver_sources.predict_for_silver(*asked, rounds=rounds)
    assert (given, list(sources.tables)) == (n_labels, names)


@pytest.mark.parametrize("rounds", [0, -1, "two", 1.5, True])
def test_rounds_are_a_whole_number(tmp_path, rounds):
    asked = PHOTOS, NO_FOLDS, tmp_path, TrainSettings()
    with pytest.raises(DatasetError, match=r"rounds must be a whole number from 1 on, got "):
        silver_sources.predict_for_silver(*asked, rounds=rounds)


def test_in_sample_needs_weights(archives, tmp_path):
    folder, images, boxes = archives
    assert silver_sources.default_weights(tmp_path) is None
    assert silver_sources.default_weights(tmp_path, "mine.pt").name == "mine.pt"
    with pytest.raises(
        DatasetError, match="in-sample predictions need weights: run notebook 05 or 08 first"
    ):
        silver_sources.predict_for_silver(
            Photos(images, boxes, folder), NO_FOLDS, tmp_path, TrainSettings(), "in_sample"
        )


@pytest.mark.parametrize(
    ("honest", "seen", "start"),
    [
        (
            0.8,
            0.5,
            "The model that has seen the labels is the worse judge of what they lack: F1 0.80 out "
            "of fold, 0.50 in",
        ),
        (0.5, 0.8, "Here the model that has seen the labels is the better judge"),
        (0.5, 0.5, "Here it makes no difference"),
    ],
)
def test_sentence_on_in_sample_predictions(honest, seen, start):
    curves = {}
    for name, value in (("out of fold", honest), ("in sample", seen)):
        curves[name] = pd.DataFrame({"f1": [0.1, value]})
        curves[name].attrs["unlabelled"] = 5
    assert silver.in_sample(curves).startswith(start)
    assert silver.in_sample({"in sample": curves["in sample"]}).startswith(
        "There are no two sources"
    )


def test_settings_of_all_modes_from_a_notebooks_parameters():
    parameters = {
        **{"species": "cow pig", "mode": "merge", "confidence_threshold": 0.05, "min_boxes": 4},
        **{"merge_confidence": 0.4, "merge_ignore_confidence": 0, "merge_min_boxes": 1},
    }
    settings = SilverSettings.of_modes(parameters)
    assert {name: each.mode for name, each in settings.items()} == {n: n for n in making.MODES}
    merge, original = settings["merge"], settings["duplicate"]
    assert merge.species == original.species == ("cow", "pig")
    assert (merge.confidence_threshold, merge.min_boxes, merge.ignore_threshold) == (0.4, 1, None)
    assert (original.confidence_threshold, original.min_boxes) == (0.05, 4)
