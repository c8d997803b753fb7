"""The steps of notebook 11: weights by default, the choice, quality by image, submission and
score."""

import dataclasses
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from detections import answers_from_boxes
from made_candidates import RESCORER, made
from made_network import write_network, write_photos
from sklearn.linear_model import LogisticRegression

from livestock_utils.core import files, tables
from livestock_utils.core.errors import ArchiveError, CheckpointError, LivestockError, NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import engine, out_of_fold, postprocess
from livestock_utils.detect.predict.postprocess import LOOKING, PostprocessSettings
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.tune import answers, front, quality, rescore, steps, sweep, tuning
from livestock_utils.detect.tune import choice as tuning_choice
from livestock_utils.evaluate.scoring import matching, metrics
from livestock_utils.show import displays
from livestock_utils.show.plots.sweep import sweep_gains, sweep_heat_map
from livestock_utils.show.words import tuning as words

DRAWN = {"nms", "soft_nms_linear", "soft_nms_gaussian", "fusion"}
METHODS = DRAWN | {"diou_nms"}


@pytest.fixture(scope="module")
def chosen():
    found, boxes = made(n_images=30, passes=2)
    return found, boxes, tuning_choice.choose(found, boxes, n_random=3, n_resamples=50)


def a_tuning(out, tested, labelled, choice=None, data=None, options=None, weights="w.pt", **asked):
    """A `Tuning` of candidates that are there already."""
    settings = tuning.TuneSettings(**{"check_images": 0, "n_resamples": 20, "n_random": 0, **asked})
    of = tuning.Tuning(
        settings,
        labelled.photos,
        data or out,
        out,
        (Path(weights),),
        (Path(weights),),
        options or {},
    )
    row = {"passes": "+".join(labelled.candidates.passes), "ms": 1.0, "chosen": True}
    known = {"tested": tested, "labelled": labelled, "front": pd.DataFrame([row])}
    if choice is None:
        known["choice"] = tuning_choice.choose(labelled.candidates.of_images([]), pd.DataFrame())
    else:
        known["choice"] = choice
    of.__dict__.update(known)
    return of


def weights_of(out, run):
    path = out / "training" / run / "weights" / "best.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"w")
    return path


def test_weights_default_to_the_full_training_then_the_split_one(tmp_path):
    with pytest.raises(
        NotebookError, match=r"no trained weights below .*run notebook 05 or 08 first"
    ):
        steps.find_weights(tmp_path)
    split = weights_of(tmp_path, "multilabel_split")
    assert steps.find_weights(tmp_path) == (split,)
    full = weights_of(tmp_path, "full")
    assert steps.find_weights(tmp_path) == (full,)
    assert steps.find_weights(tmp_path, runs=("multilabel_split",)) == (split,)
    assert steps.find_weights(tmp_path, f"{split}, {full}") == (split, full)
    with pytest.raises(NotebookError, match=r"weights file not found: nowhere.pt"):
        steps.find_weights(tmp_path, "nowhere.pt")


def test_the_choice_is_the_best_of_all_tried_and_never_below_the_write_up(chosen):
    _, _, choice = chosen
    assert choice.settings == choice.tried["settings"].iloc[0]
    assert choice.tried["ap75"].iloc[0] == choice.tried["ap75"].max()
    write_up = choice.tried[[s == sweep.WRITE_UP for s in choice.tried["settings"]]]
    assert len(write_up) == 1 and choice.compared["gain"].iloc[0] == pytest.approx(
        choice.tried["ap75"].max() - write_up["ap75"].iloc[0]
    )
    assert {s.method for s in choice.tried["settings"]} == METHODS
    assert len(choice.compared) == 5 and choice.compared["value"].round(6).is_unique
    assert words.chosen(choice).startswith(f"Chosen: {tuning_choice.describe(choice.settings)}.")


def test_the_table_of_settings_ends_with_the_write_up(chosen):
    table = tuning_choice.tried_table(chosen[2], 4)
    assert len(table) == 5 and table["rank"].is_monotonic_increasing
    assert table["setting"].iloc[-1] == "NMS, IoU 0.68, confidence 0.001 (write-up)"


def test_settings_are_saved_with_how_they_were_chosen(chosen, tmp_path):
    found, _, choice = chosen
    path = tuning_choice.save(tmp_path, choice, found, PostprocessSettings(voting_iou=0.7))
    assert path == tmp_path / "predictions" / "settings.yaml"
    saved = postprocess.load_settings(path)
    assert (
        saved.passes == ("plain", "x1.1")
        and dataclasses.replace(saved, passes=None) == choice.settings
    )
    looking = postprocess.load_settings(path, "looking")
    assert looking == dataclasses.replace(LOOKING, passes=("plain", "x1.1"))
    assert postprocess.load_settings(path, "one_pass") == PostprocessSettings(voting_iou=0.7)
    note = yaml.safe_load(path.read_text())["chosen"]
    assert note["images"] == 30 and note["settings_tried"] == len(choice.tried)
    json.dumps(note)


def test_without_images_nothing_is_chosen_and_nothing_written(tmp_path):
    found, boxes = made()
    nothing = found.of_images([])
    choice = tuning_choice.choose(nothing, boxes)
    assert choice.settings == sweep.WRITE_UP and choice.tried.empty
    assert words.chosen(choice).startswith("Nothing is chosen yet")
    assert words.band(choice) == "No settings were tried yet."
    assert tuning_choice.save(tmp_path, choice, nothing) is None and list(tmp_path.iterdir()) == []
    assert tuning_choice.tried_table(choice).empty
    waiting = steps.Collected(Photos(nothing.images, boxes), nothing, 3, 8)
    whole = steps.Collected(Photos(found.images, boxes), found, 2, 2)
    assert a_tuning(tmp_path, whole, waiting, choice).metrics == {
        "images_to_tune_on": "3 of 8 parts are there",
        "test_images": "2 of 2 parts are there",
        "complete": False,
        "weights": "w.pt",
    }


def test_random_settings_reach_every_kind(chosen):
    found, _, _ = chosen
    drawn = tuning_choice.random_settings(found, 60, PostprocessSettings(), seed=1)
    assert len(drawn) == 60 and {s.method for s in drawn} == DRAWN
    for name, values in {
        "max_detections": {100, 300, 1000},
        "multi_label": {True, False},
        "class_agnostic": {True, False},
        "fusion_confidence": {"avg", "max"},
        "passes": {None, ("plain",)},
    }.items():
        assert {getattr(s, name) for s in drawn} == values, name
    assert drawn == tuning_choice.random_settings(found, 60, PostprocessSettings(), seed=1)
    assert "fusion" not in {
        s.method for s in tuning_choice.random_settings(made()[0], 60, PostprocessSettings())
    }
    assert tuning_choice.random_settings(found, 0, PostprocessSettings()) == []


def test_the_band_of_good_settings_is_told(chosen):
    band = tuning_choice.good_band(chosen[2], within=1)
    assert (band["settings"], band["of"], band["within"]) == (210, 210, 1)
    assert (band["iou_threshold_low"], band["iou_threshold_high"]) == (0.45, 0.85)
    near = tuning_choice.good_band(chosen[2])
    assert words.band(chosen[2]).startswith(f"{near['settings']} of 210 settings of hard NMS come")


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (PostprocessSettings(), "NMS, IoU 0.68, confidence 0.001"),
        (
            PostprocessSettings(method="soft_nms_gaussian", sigma=0.3),
            "gaussian soft-NMS, sigma 0.3, confidence 0.001",
        ),
        (
            PostprocessSettings(iou_threshold={"pig": 0.5, "cow": 0.7}, multi_label=False),
            "NMS, IoU pig 0.5 / cow 0.7, confidence 0.001, best class only",
        ),
        (
            PostprocessSettings(method="fusion", passes=("plain", "flip")),
            "fusion, IoU 0.68, confidence 0.001, avg confidence, plain+flip",
        ),
        (
            PostprocessSettings(max_detections=1000),
            "NMS, IoU 0.68, confidence 0.001, at most 1,000 boxes",
        ),
        (
            PostprocessSettings(method="fusion", fusion_nms=0.7),
            "fusion, IoU 0.68, confidence 0.001, avg confidence, NMS 0.7 first",
        ),
    ],
)
def test_settings_in_words(setting, named):
    assert tuning_choice.describe(setting) == named


def test_images_from_best_to_worst():
    box = {"x_min": 0.0, "y_min": 0.0, "x_max": 10.0, "y_max": 10.0}
    far = {"x_min": 50.0, "y_min": 50.0, "x_max": 60.0, "y_max": 60.0}
    boxes = pd.DataFrame([{"image_id": i, "species": "pig", **box} for i in "abc"])
    predictions = pd.DataFrame(
        [
            {"image_id": "a", "species": "pig", **box, "confidence": 0.9},
            {"image_id": "b", "species": "pig", **box, "confidence": 0.9},
            {"image_id": "b", "species": "cow", **far, "confidence": 0.5},
            {"image_id": "d", "species": "pig", **far, "confidence": 0.8},
        ]
    )
    images = pd.DataFrame({"image_id": list("abcde"), "width_px": 100, "height_px": 100})
    table = quality.image_quality(boxes, predictions, images)
    assert table["image_id"].tolist() == ["a", "b", "c", "d"]
    assert table["f1"].tolist() == pytest.approx([1, 2 / 3, 0, 0])
    assert table["false_alarms"].tolist() == [0, 1, 0, 1]
    assert quality.best_median_worst(table) == ["a", "c", "d"]
    assert quality.best_median_worst(table.iloc[:0]) == []


def test_the_validation_fold_stands_in_where_there_are_no_test_archives(tmp_path):
    valid = Photos(pd.DataFrame({"image_id": ["a"]}), folder=tmp_path / "valid")
    for _ in range(2):
        photos, lacking = steps.test_photos(tmp_path, valid)
        assert photos is valid and lacking == "there are no test photos"
        instead = steps.Collected(photos, made(1)[0], 1, 1, lacking=lacking)
        assert "validation fold are predicted instead" in words.tested(instead)
        (tmp_path / "data_test").mkdir(exist_ok=True)
    (tmp_path / "data_test" / "[원천]소_bbox.zip").write_bytes(b"no zip")
    with pytest.raises(ArchiveError):
        steps.test_photos(tmp_path, valid)


def test_shards_give_their_share_and_the_last_one_the_whole(tmp_path):
    weights, images = write_network(tmp_path / "w.pt"), write_photos(tmp_path / "in")
    options = {"image_size": 96, "batch_size": 1, "part_images": 1}
    share = steps.collect(
        weights, Photos(images, folder=tmp_path / "in"), "test", tmp_path, shard="1/2", **options
    )
    assert (
        not share.complete
        and share.candidates.images.empty
        and (share.there, share.total) == (3, 5)
    )
    assert words.collected(share).startswith("3 of 5 parts are there: run the other shards")
    assert share.seen().images.empty
    waiting = a_tuning(tmp_path, share, share, weights=weights)
    assert waiting.photos.images.empty and "No submission" in words.submitted(waiting.submit())
    assert not (tmp_path / "submission.csv").exists()
    whole = steps.collect(
        weights, Photos(images, folder=tmp_path / "in"), "test", tmp_path, shard="2/2", **options
    )
    assert whole.complete and len(whole.candidates.images) == 5
    seen = whole.seen().images
    assert seen.columns.tolist() == images.columns.tolist() or "width_px" not in images
    done = a_tuning(tmp_path, whole, whole, weights=weights).submit()
    assert "of 5 images; checked: 0 errors" in words.submitted(done)
    assert (tmp_path / "submission.csv").is_file()


@pytest.mark.parametrize("passes", [("plain",), ("plain", "flip")])
def test_more_shards_than_parts_leave_some_without_work(tmp_path, passes):
    weights, images = write_network(tmp_path / "w.pt"), write_photos(tmp_path / "in")
    options = {"image_size": 96, "batch_size": 2, "passes": passes}  # one part
    idle = steps.collect(
        weights, Photos(images, folder=tmp_path / "in"), "test", tmp_path, shard="3/3", **options
    )
    assert not idle.complete
    assert words.collected(idle).startswith("no part is there yet: run the other shards")
    done = steps.collect(
        weights, Photos(images, folder=tmp_path / "in"), "test", tmp_path, shard="1/3", **options
    )
    assert done.complete and len(done.candidates.images) == 5
    again = steps.collect(
        weights, Photos(images, folder=tmp_path / "in"), "test", tmp_path, shard="3/3", **options
    )
    assert again.complete and len(again.candidates) == len(done.candidates)


def test_passes_are_read_from_a_parameter():
    assert steps.pass_names("plain") == ("plain",)
    assert steps.pass_names(" plain, flip ,x0.83-flip") == ("plain", "flip", "x0.83-flip")
    with pytest.raises(NotebookError, match="passes must name at least one pass"):
        steps.pass_names(" , ")
    with pytest.raises(LivestockError, match="pass must be 'plain', 'flip', or a scale"):
        steps.pass_names("plain, upside-down")


def test_both_weights_are_opened_before_anything_is_predicted(tmp_path):
    good, other = (
        write_network(tmp_path / "w.pt"),
        write_network(tmp_path / "coco.pt", names=("sheep", "horse")),
    )
    assert steps.both_weights(tmp_path, good, good) == ((good,), (good,))
    with pytest.raises(NotebookError, match="weights are 2 files, tuning_weights 1: an ensemble"):
        steps.both_weights(tmp_path, f"{good},{good}", good)
    with pytest.raises(CheckpointError, match=r"classes \['sheep', 'horse'\]"):
        steps.both_weights(tmp_path, other, good)
    with pytest.raises(CheckpointError, match=r"classes \['sheep', 'horse'\]"):
        steps.both_weights(tmp_path, good, other)
    with pytest.raises(NotebookError, match="run notebook 05"):
        steps.both_weights(tmp_path, good)


def test_out_of_fold_each_image_is_judged_by_the_model_that_has_not_seen_it(tmp_path):
    images, data = write_photos(tmp_path / "data" / "data"), tmp_path / "data"
    weights = {
        number: write_network(
            tmp_path / "training" / f"oof_fold{number}" / "weights" / "last.pt", seed=number
        )
        for number in (0, 1)
    }
    boxes = pd.DataFrame(
        {
            "image_id": images["image_id"],
            "species": "pig",
            "x_min": 1.0,
            "y_min": 1.0,
            "x_max": 30.0,
            "y_max": 30.0,
        }
    )
    folds = pd.Series([0, 1, 2, 3, 0], index=pd.Index(images["image_id"], name="image_id"))
    tables.write_tables(tmp_path / "tables", images, boxes)
    tables.write_folds(tmp_path / "datasets" / "folds.csv", folds)
    valid = Photos(images.iloc[:2], boxes.iloc[:2], data / "data")
    asked = {"weights": weights[0], "tuning_weights": weights[0], "image_size": 96}
    asked |= {"n_random": 0, "n_resamples": 20, "tune_on": "out_of_fold", "passes": "plain"}
    options = {"image_size": 96, "batch_size": 1, "part_images": 1}

    def tuned(**more):
        return tuning.tune(valid, data, tmp_path, asked | more, batch_size=1, part_images=1)

    instead = tuned().labelled
    assert instead.name == "validation" and len(instead.candidates.images) == 2
    said = words.tuned_on(instead)
    assert said.startswith("Validation is used in place of the folds (") and "notebook 06" in said
    out_of_fold.predict_out_of_fold(
        Photos(images, boxes, data / "data"),
        folds,
        tmp_path,
        TrainSettings(image_size=96),
        n_folds=2,
        fold_weights=weights,
    )
    share = tuned(shard="1/2").labelled
    assert not share.complete and share.candidates.images.empty
    found = tuned().labelled
    assert found.complete
    assert words.tuned_on(found).startswith("Tuned on 2 folds, each by the model")
    together, made_with = found.candidates, found.candidates.made_with
    assert together.images["image_id"].tolist() == images["image_id"].tolist()
    assert made_with["weights"] == [files.sha256(weights[number]) for number in (0, 1)]
    _, of_image = out_of_fold.trained(tmp_path, images, folds)
    mine = images[images["image_id"].map(of_image) == 1]
    alone = engine.collect_candidates(
        weights[1], Photos(mine, folder=data / "data"), image_size=96, batch_size=1
    )
    part = together.of_images(mine["image_id"])
    assert np.array_equal(part.confidence, alone.confidence) and np.array_equal(
        part.xyxy, alone.xyxy
    )
    choice = tuning_choice.choose(
        together.of_images(mine["image_id"]), boxes, n_random=0, n_resamples=20
    )
    used = mine["image_id"]

    def checked(of, used, n, out=tmp_path):
        """The check of a choice by the images `used`, on at most `n` others."""
        part = steps.Collected(Photos(images, boxes), of.of_images(used), 1, 1)
        return a_tuning(out, part, part, choice, data, options, check_images=n).checked

    check = checked(together, used, 1000)
    others = [name for name in images["image_id"] if name not in set(used)]
    expected = sweep.compare(
        together.of_images(others),
        boxes[boxes["image_id"].isin(others)],
        {tuning_choice.describe(choice.settings): choice.settings},
        n_resamples=20,
    )
    pd.testing.assert_frame_equal(check.table, expected)
    assert words.checked(check).startswith(f"On {len(others)} images that did not choose it")
    for used_then, n, told in (
        (images["image_id"], 9, "0 labelled images are left"),
        (used, 0, "check_images is 0"),
        (used, 2, "On 2 images"),
        (used, 1, "1 labelled images are left"),
    ):
        assert told in words.checked(checked(together, used_then, n))
    check = checked(together, used, 1000, tmp_path / "absent")
    assert check.table.empty and words.checked(check).startswith("Nothing is checked: ")
    with pytest.raises(
        NotebookError, match="tune_on must be one of validation, out_of_fold, got 'train'"
    ):
        tuned(tune_on="train")


def test_a_test_image_without_readable_header_stays_to_the_end(tmp_path):
    weights, images = write_network(tmp_path / "w.pt"), write_photos(tmp_path / "in")
    for name, content in (("garbage", b"no image"), ("empty", b"")):
        (tmp_path / "in" / f"{name}.jpg").write_bytes(content)
        row = {
            "image_id": name,
            "archive": "",
            "member": f"{name}.jpg",
            "width_px": 0,
            "height_px": 0,
        }
        images = pd.concat([images, pd.DataFrame([row])], ignore_index=True)
    collected = steps.collect(
        weights,
        Photos(images, folder=tmp_path / "in"),
        "test",
        tmp_path,
        image_size=96,
        batch_size=2,
    )
    assert collected.candidates.unreadable == ["empty", "garbage"]
    said = words.collected(collected)
    assert "2 images could not be read and will have no boxes" in said
    said = words.submitted(a_tuning(tmp_path, collected, collected, weights=weights).submit())
    assert "of 7 images; checked: 0 errors, 2 notes; test image without a detection" in said


def test_the_test_score_is_the_contests_and_absent_without_answers(tmp_path):
    found, boxes = made(n_images=20)
    predictions = postprocess.apply(found)
    assert answers.test_scores(tmp_path, predictions, found.images).empty
    truth = answers_from_boxes(boxes, found.images, normaliser="image")
    truth.to_csv(tmp_path / "answer.csv", index=False)
    table = answers.test_scores(tmp_path, predictions, found.images, "image", n_resamples=50)
    mean, per_class = metrics.contest_score(
        truth, predictions, normaliser="image", images=found.images
    )
    assert table.loc["all", "AP75"] == pytest.approx(mean)
    assert table.loc["cow", "AP75"] == pytest.approx(per_class["cow"])
    assert (
        table.loc["all", "low"] <= mean <= table.loc["all", "high"]
        and table.loc["all", "AP50"] > mean
    )
    assert answers.test_scores(
        tmp_path, predictions, found.images.assign(image_id="x"), "image"
    ).empty


def test_metrics_are_plain_numbers(chosen, tmp_path):
    found, _, choice = chosen
    scores = pd.DataFrame(
        {"AP75": [0.5, 0.4, 0.6], "low": 0.3, "high": 0.7, "AP50": 0.8}, index=["all", "pig", "cow"]
    )
    photos = Photos(found.images, chosen[1])
    whole = steps.Collected(photos, found, 1, 1)
    of = a_tuning(tmp_path, whole, whole, choice)
    of.__dict__["scores"] = scores
    values = of.metrics
    assert (
        values["mAP75"] == 0.5
        and values["mAP75_cow"] == 0.6
        and values["settings_tried"] == len(choice.tried)
    )
    numbers = [key for key, value in values.items() if isinstance(value, (int, float))]
    assert numbers[:3] == ["mAP75", "mAP50", "valid_gain_over_write_up"]
    assert list(values["headline"]) == ["test mAP75", "test mAP50"]
    of.__dict__["scores"] = scores.iloc[:0]
    unscored = of.metrics
    assert "mAP75" not in unscored and "mAP75 on validation" in unscored["headline"]


def test_displays_join_numbers_figures_and_verdicts(chosen, tmp_path):
    found, boxes, choice = chosen
    whole = steps.Collected(Photos(found.images, boxes), found, 1, 1, "validation")
    of = a_tuning(tmp_path, dataclasses.replace(whole, lacking="no archives"), whole, choice)
    for name in ("heat_map", "gains"):
        display = getattr(displays, name)(of)
        assert display.name == name and len(display.table) and display.verdict
    assert displays.candidates(of.labelled).verdict.startswith("Tuned on validation: 30 images")
    own = plt.subplots()[1]
    assert displays.gains(of).plot(own) is own
    assert len(displays.best_median_worst(of).table) and displays.test_examples(of).verdict
    assert (
        displays.choice_check(of).verdict
        == "Nothing is checked: check_images is 0, or no single network."
    )
    assert displays.test_scores(of).table.empty
    plt.close("all")


def test_the_figures_show_every_cell_and_every_gain(chosen):
    choice = chosen[2]
    ax = sweep_heat_map(choice.tried)
    assert ax.collections[0].get_array().size == 210
    assert "write-up: 0.68 / 0.001" in [text.get_text() for text in ax.get_legend().get_texts()]
    gains = sweep_gains(choice.compared)
    assert [label.get_text().replace("\n", " ") for label in gains.get_yticklabels()] == list(
        choice.compared.index
    )
    assert [text.get_text() for text in gains.get_legend().get_texts()] == [
        "beyond noise",
        "may be noise",
        "chosen",
    ]
    low = ax.collections[0].get_clim()[0]
    at_write_up = choice.tried[
        [s in sweep.grid(iou_threshold=sweep.IOU_THRESHOLDS) for s in choice.tried["settings"]]
    ]
    assert low <= at_write_up["ap75"].min()  # no row of IoUs is hidden below the scale
    own = plt.subplots()[1]
    assert sweep_heat_map(choice.tried.iloc[:0], ax=own) is own
    assert sweep_gains(choice.compared.iloc[:0], ax=plt.subplots()[1]).texts
    assert np.isfinite(gains.get_xlim()).all()
    plt.close("all")


def test_answers_without_ids_are_told(tmp_path):
    (tmp_path / "answer.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        NotebookError,
        match=r"answer.csv: the column 'ImageID' is lacking; expected .*, got .'a', 'b'.",
    ):
        answers.test_scores(tmp_path, pd.DataFrame(), pd.DataFrame({"image_id": ["a"]}))


def test_sets_of_passes_grow_by_the_one_that_helps_most():
    found, boxes = made(n_images=30, passes=3)
    ms = {"plain": 10.0, "x1.1": 12.0, "x1.2": 15.0}
    table = front.front(found, boxes, ms, n_resamples=20)
    assert len(table) == 6 and table["ms"].is_monotonic_increasing and table["chosen"].sum() == 1
    assert table.loc[table["passes"].str.count("[+]") == 2, "ms"].tolist() == [37.0]
    on = table[table["on_front"]]
    assert on["ap75"].is_monotonic_increasing and on["chosen"].iloc[-1]
    assert on["gain"].notna().all() and table.loc[~table["on_front"], "gain"].isna().all()
    for row in table.to_dict("records"):
        alone = sweep.evaluate(found, boxes, [row["settings"]])["ap75"].iloc[0]
        assert row["ap75"] == alone and row["settings"].passes == row["names"]
    cheap = front.front(found, boxes, ms, budget_ms=12.0, n_resamples=20)
    assert cheap.loc[cheap["chosen"], "ms"].iloc[0] <= 12
    nothing_fits = front.front(found, boxes, ms, budget_ms=1.0, n_resamples=20)
    assert nothing_fits.loc[nothing_fits["chosen"], "passes"].tolist() == ["plain"]


def test_passes_are_timed_one_by_one(tmp_path):
    weights, images = write_network(tmp_path / "w.pt"), write_photos(tmp_path / "in")
    photos = Photos(images, folder=tmp_path / "in")
    spent = front.milliseconds((weights,), photos, ("plain", "x1.34"), image_size=96)
    assert list(spent) == ["plain", "x1.34"] and min(spent.values()) > 0


def test_the_chosen_passes_are_those_that_the_test_photos_get(tmp_path):
    weights, images = write_network(tmp_path / "w.pt"), write_photos(tmp_path / "in")
    boxes = images[["image_id"]].assign(species="pig", x_min=1.0, y_min=1.0, x_max=40, y_max=40)
    valid = Photos(images, boxes, tmp_path / "in")
    asked = {"weights": weights, "tuning_weights": weights, "image_size": 96}
    asked |= {"n_random": 0, "n_resamples": 20, "passes": "plain, flip, x1.34"}
    tuned = tuning.tune(valid, tmp_path, tmp_path / "out", asked, batch_size=1)
    assert len(tuned.front) == 6 and set(tuned.passes) <= {"plain", "flip", "x1.34"}
    assert tuned.tested.candidates.passes == tuned.passes == tuned.candidates.passes
    assert postprocess.load_settings(
        tuned.choice and tmp_path / "out" / "predictions" / "settings.yaml"
    ).passes
    shown = displays.pass_front(tuned)
    assert "ms per image" in shown.verdict and shown.plot().get_ylabel() == "AP75"
    share = tuning.tune(
        valid, tmp_path, tmp_path / "b", asked | {"shard": "1/2"}, batch_size=1, part_images=1
    )
    assert share.front.empty and share.tested.candidates.passes == ("plain", "flip", "x1.34")
    assert displays.pass_front(share).verdict == "No passes are chosen yet."
    assert displays.pass_front(share).plot().texts


def test_the_re_scorer_is_scikit_learns_logistic_regression_in_numbers():
    found, boxes = made(n_images=40, seed=3)
    setting = PostprocessSettings(voting_iou=0.7)
    anew = rescore.rescored(found, boxes, setting, n_resamples=50)
    row = anew.table.iloc[0]
    assert row["gain"] == pytest.approx(row["after"] - row["before"])
    assert row["before"] == pytest.approx(sweep.evaluate(found, boxes, [setting])["ap75"].iloc[0])
    assert row["taken"] == (row["better"] >= 0.9) == (anew.settings.rescorer is not None)
    numbers = rescore.fitted(found, boxes, setting)
    json.dumps(numbers)
    labelled = found.of_images(set(boxes["image_id"]))
    before = postprocess.detections(labelled, setting)
    values = postprocess.box_features(before, labelled, setting)
    truth = sweep.Truth(labelled, boxes).match(before)
    is_right = np.zeros(len(before.confidence), bool)
    is_right[truth.row] = matching.hits(truth, 0.75)
    inputs = np.hstack([values, (before.class_index == 1)[:, None]])
    scaled = (inputs - inputs.mean(0)) / inputs.std(0)
    scaled[:, -1] = inputs[:, -1]
    model = LogisticRegression(max_iter=500).fit(scaled, is_right)
    after = postprocess.detections(labelled, dataclasses.replace(setting, rescorer=numbers))
    np.testing.assert_allclose(after.confidence, model.predict_proba(scaled)[:, 1], atol=1e-6)


def test_nothing_is_re_scored_without_photos_to_learn_from():
    found, boxes = made(n_images=4)
    anew = rescore.rescored(found, boxes, PostprocessSettings())
    assert anew.table.empty and anew.settings == PostprocessSettings()
    assert words.rescored(anew.table, anew.bins).startswith("Nothing was re-scored")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": ["area"]}, r"the re-scorer was trained on the features \['area'\]"),
        ({"bias": {"ox": 0.0}}, r"the re-scorer knows the classes \['ox'\], the network"),
    ],
)
def test_a_re_scorer_of_other_features_or_classes_is_refused(changed, message):
    found, _ = made()
    with pytest.raises(LivestockError, match=message):
        postprocess.apply(found, PostprocessSettings(rescorer=RESCORER | changed))


def test_the_re_scorers_display_tells_whether_it_is_taken(chosen):
    found, boxes, choice = chosen
    whole = steps.Collected(Photos(found.images, boxes), found, 1, 1)
    anew = rescore.rescored(found, boxes, PostprocessSettings(), n_resamples=30)
    of = a_tuning(Path(), whole, whole, dataclasses.replace(choice, rescored=anew))
    shown = displays.rescored(of)
    assert "Confidences were off by" in shown.verdict and "taken" in shown.verdict
    assert shown.plot().get_xlabel() == "confidence (mean of the bin)"


def test_networks_of_an_ensemble_are_passes_of_one(tmp_path):
    weights = [write_network(tmp_path / f"w{seed}.pt", seed=seed) for seed in (0, 1)]
    images = write_photos(tmp_path / "in")
    boxes = images[["image_id"]].assign(species="pig", x_min=1.0, y_min=1.0, x_max=40, y_max=40)
    valid = Photos(images, boxes, tmp_path / "in")
    both = engine.collect_candidates(weights, valid, image_size=96)
    assert both.passes == ("plain", "plain@2") and len(both.made_with["weights"]) == 2
    for name, one in zip(both.passes, weights, strict=True):
        alone = engine.collect_candidates(one, valid, image_size=96)
        assert np.array_equal(both.of_passes((name,)).confidence, alone.confidence)
    text = ", ".join(map(str, weights))
    asked = {"weights": text, "tuning_weights": text, "image_size": 96, "passes": "plain"}
    asked |= {"n_random": 0, "n_resamples": 20}
    tuned = tuning.tune(valid, tmp_path, tmp_path / "out", asked, batch_size=1)
    assert set(tuned.front["passes"]) >= {"plain", "plain@2"}
    assert tuned.tested.candidates.passes == tuned.passes
    assert "no single network" in tuned.checked.why
    notes = tuned.submit().findings["problem"].tolist()
    assert any("2 weights, " in note and "more than one file is open" in note for note in notes)
    found = engine.predict(weights, valid, image_size=96, settings=PostprocessSettings())
    pd.testing.assert_frame_equal(found, postprocess.apply(both, PostprocessSettings()))
    for alone in (weights[:1], weights[0]):
        with pytest.raises(LivestockError, match="the pass 'plain@2', but 1 weights are given"):
            engine.predict(alone, valid, settings=PostprocessSettings(passes=("plain@2",)))


def test_other_detectors_predictions_are_tuned_like_ours(tmp_path):
    found, boxes = made(n_images=20)
    photos = Photos(found.images, boxes)
    table = postprocess.apply(found, PostprocessSettings(iou_threshold=0.9))
    for name in ("one", "two"):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    files = f"{tmp_path / 'one.csv'}, {tmp_path / 'two.csv'}"
    asked = {"predictions": files, "tuning_predictions": files, "n_random": 0, "n_resamples": 20}
    tuned = tuning.tune(photos, tmp_path, tmp_path / "out", asked)
    assert tuned.labelled.candidates.passes == ("one", "two")
    assert "What the detectors cost is not known here" in displays.pass_front(tuned).verdict
    assert tuned.choice.settings.passes or tuned.passes == ("one",)
    assert tuned.submit().path.is_file() and tuned.metrics["complete"]
    with pytest.raises(NotebookError, match="predictions and tuning_predictions go together"):
        tuning.tune(photos, tmp_path, tmp_path / "out", asked | {"predictions": ""})
