"""The steps of notebook 11: weights by default, the choice, quality by image, submission and score."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from made_candidates import made
from made_network import write_network, write_photos

from livestock_utils import plots, postprocess, scoring, sweep, tuning
from livestock_utils.errors import ArchiveError, NotebookError
from livestock_utils.postprocess import Settings


@pytest.fixture(scope="module")
def chosen():
    found, boxes = made(n_images=30, passes=2)
    return found, boxes, tuning.choose(found, boxes, n_random=3, n_resamples=50)


def weights_of(out, run):
    path = out / "training" / run / "weights" / "best.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"w")
    return path


def test_weights_default_to_the_full_training_then_the_split_one(tmp_path):
    with pytest.raises(NotebookError, match=r"no trained weights below .*run notebook 05 or 08 first"):
        tuning.find_weights(tmp_path)
    split = weights_of(tmp_path, "multilabel_split")
    assert tuning.find_weights(tmp_path) == split
    full = weights_of(tmp_path, "full")
    assert tuning.find_weights(tmp_path) == full
    assert tuning.find_weights(tmp_path, runs=tuning.TUNING_RUNS) == split
    assert tuning.find_weights(tmp_path, str(split)) == split
    with pytest.raises(NotebookError, match=r"weights file not found: nowhere.pt"):
        tuning.find_weights(tmp_path, "nowhere.pt")


def test_the_choice_is_the_best_of_all_tried_and_never_below_the_write_up(chosen):
    _, _, choice = chosen
    assert choice.settings == choice.tried["settings"].iloc[0]
    assert choice.tried["ap75"].iloc[0] == choice.tried["ap75"].max()
    write_up = choice.tried[[s == sweep.WRITE_UP for s in choice.tried["settings"]]]
    assert len(write_up) == 1 and choice.compared["gain"].iloc[0] == pytest.approx(
        choice.tried["ap75"].max() - write_up["ap75"].iloc[0])
    assert {s.method for s in choice.tried["settings"]} == set(postprocess.METHODS)
    assert len(choice.compared) == 5 and choice.compared["value"].round(6).is_unique
    assert choice.sentence.startswith(f"Chosen: {tuning.describe(choice.settings)}.")


def test_the_table_of_settings_ends_with_the_write_up(chosen):
    table = tuning.tried_table(chosen[2], 4)
    assert len(table) == 5 and table["rank"].is_monotonic_increasing
    assert table["setting"].iloc[-1] == "NMS, IoU 0.68, confidence 0.001 (write-up)"


def test_settings_are_saved_with_how_they_were_chosen(chosen, tmp_path):
    found, _, choice = chosen
    path = tuning.save(tmp_path, choice, found, True)
    assert path == tmp_path / "predictions" / "settings.yaml"
    assert postprocess.load_settings(path) == choice.settings
    note = yaml.safe_load(path.read_text())["chosen"]
    assert note["images"] == 30 and note["all_images"] is True and note["settings_tried"] == len(choice.tried)
    json.dumps(note)


@pytest.mark.parametrize(("setting", "words"), [
    (Settings(), "NMS, IoU 0.68, confidence 0.001"),
    (Settings(method="soft_nms_gaussian", sigma=0.3), "gaussian soft-NMS, sigma 0.3, confidence 0.001"),
    (Settings(iou_threshold={"pig": 0.5, "cow": 0.7}, multi_label=False),
     "NMS, IoU pig 0.5 / cow 0.7, confidence 0.001, best class only"),
    (Settings(method="fusion", passes=("plain", "flip")),
     "fusion, IoU 0.68, confidence 0.001, avg confidence, plain+flip"),
])
def test_settings_in_words(setting, words):
    assert tuning.describe(setting) == words


def test_images_from_best_to_worst():
    box = {"x_min": 0.0, "y_min": 0.0, "x_max": 10.0, "y_max": 10.0}
    far = {"x_min": 50.0, "y_min": 50.0, "x_max": 60.0, "y_max": 60.0}
    boxes = pd.DataFrame([{"image_id": i, "species": "pig", **box} for i in "abc"])
    predictions = pd.DataFrame([
        {"image_id": "a", "species": "pig", **box, "confidence": 0.9},
        {"image_id": "b", "species": "pig", **box, "confidence": 0.9},
        {"image_id": "b", "species": "cow", **far, "confidence": 0.5},
        {"image_id": "c", "species": "pig", **box, "confidence": 0.1},
        {"image_id": "d", "species": "pig", **far, "confidence": 0.8}])
    images = pd.DataFrame({"image_id": list("abcde"), "width_px": 100, "height_px": 100})
    table = tuning.image_quality(boxes, predictions, images)
    assert table["image_id"].tolist() == ["a", "b", "c", "d"]
    assert table["f1"].tolist() == pytest.approx([1, 2 / 3, 0, 0])
    assert table["false_alarms"].tolist() == [0, 1, 0, 1]
    assert tuning.best_median_worst(table) == ["a", "c", "d"]
    assert tuning.best_median_worst(table.iloc[:0]) == []


def test_the_validation_fold_stands_in_where_there_are_no_test_archives(tmp_path):
    valid = pd.DataFrame({"image_id": ["a"]})
    for _ in range(2):
        images, folder, sentence = tuning.test_images(tmp_path, valid, tmp_path / "valid")
        assert images["image_id"].tolist() == ["a"] and folder == tmp_path / "valid"
        assert "validation fold" in sentence
        (tmp_path / "data_test").mkdir(exist_ok=True)
    (tmp_path / "data_test" / "[원천]소_bbox.zip").write_bytes(b"no zip")
    with pytest.raises(ArchiveError):
        tuning.test_images(tmp_path, valid, tmp_path / "valid")


def test_shards_give_their_share_and_the_last_one_the_whole(tmp_path):
    weights, images = write_network(tmp_path / "w.pt"), write_photos(tmp_path / "in")
    options = {"image_size": 96, "batch_size": 1, "part_images": 1}
    share, complete = tuning.collect(weights, images, tmp_path / "in", "test", tmp_path, shard="1/2", **options)
    assert not complete and 0 < len(share.images) < 5
    assert "others are still to be run" in tuning.collected_sentence(share, complete)
    assert "no submission is written" in tuning.submit(tmp_path, postprocess.apply(share), images, weights, complete)
    assert not (tmp_path / "submission.csv").exists()
    whole, complete = tuning.collect(weights, images, tmp_path / "in", "test", tmp_path, shard="2/2", **options)
    assert complete and len(whole.images) == 5
    sentence = tuning.submit(tmp_path, postprocess.apply(whole), images, weights, complete)
    assert "of 5 images; checked: 0 errors" in sentence
    assert (tmp_path / "submission.csv").is_file()


def test_the_test_score_is_the_contests_and_absent_without_answers(tmp_path):
    found, boxes = made(n_images=20)
    predictions = postprocess.apply(found)
    assert tuning.test_scores(tmp_path, predictions, found.images).empty
    answers = scoring.answers_from_boxes(boxes, found.images, normaliser="image")
    answers.to_csv(tmp_path / "answer.csv", index=False)
    table = tuning.test_scores(tmp_path, predictions, found.images, "image", n_resamples=50)
    mean, per_class = scoring.contest_score(answers, predictions, normaliser="image", images=found.images)
    assert table.loc["all", "AP75"] == pytest.approx(mean)
    assert table.loc["cow", "AP75"] == pytest.approx(per_class["cow"])
    assert table.loc["all", "low"] <= mean <= table.loc["all", "high"] and table.loc["all", "AP50"] > mean
    assert tuning.test_scores(tmp_path, predictions, found.images.assign(image_id="x"), "image").empty


def test_metrics_are_plain_numbers(chosen):
    found, _, choice = chosen
    scores = pd.DataFrame({"AP75": [0.5, 0.4, 0.6], "low": 0.3, "high": 0.7, "AP50": 0.8}, index=["all", "pig", "cow"])
    values = tuning.metrics(choice, found, postprocess.apply(found), scores)
    assert values["mAP75"] == 0.5 and values["mAP75_cow"] == 0.6 and values["settings_tried"] == len(choice.tried)
    assert "mAP75" not in tuning.metrics(choice, found, postprocess.apply(found), scores.iloc[:0])


def test_the_figures_show_every_cell_and_every_gain(chosen):
    choice = chosen[2]
    ax = plots.sweep_heat_map(choice.tried)
    assert ax.collections[0].get_array().size == 210
    assert "write-up: 0.68 / 0.001" in [text.get_text() for text in ax.get_legend().get_texts()]
    gains = plots.sweep_gains(choice.compared)
    assert [label.get_text() for label in gains.get_yticklabels()] == list(choice.compared.index)
    own = plt.subplots()[1]
    assert plots.sweep_heat_map(choice.tried.iloc[:0], ax=own) is own
    assert plots.sweep_gains(choice.compared.iloc[:0], ax=plt.subplots()[1]).texts
    assert np.isfinite(gains.get_xlim()).all()
    plt.close("all")


def test_answers_without_ids_are_told(tmp_path):
    (tmp_path / "answer.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NotebookError, match=r"answer.csv has no column ImageID: expected ImageID, .*, got a, b"):
        tuning.test_scores(tmp_path, pd.DataFrame(), pd.DataFrame({"image_id": ["a"]}))
