"""Runs compared: only like with like, at equal epochs; seeds, intervals and the write-up's numbers; said in words."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from data_sets import jpeg, write_archives
from detections import scene

from livestock_utils import comparison, comparison_text, dataset, detector, plots, run_folders, training_settings
from livestock_utils.errors import NotebookError

HYP = training_settings.read_hyp("default")


def write_run(folder, *, hyp=HYP, epochs=2, done=None, finished=True, **settings):
    """A run folder as a training leaves it, without a training."""
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "last.pt").write_bytes(str(folder).encode())
    recorded = {"model": "yolov5n", "init_weights": "abc", "optimizer": "SGD", "schedule": "linear", "image_size": 64,
                "batch_size": 4, "data": "d0", "augmentation": None, "freeze": 0, "nominal_batch": 64, "seed": 0,
                **settings}
    (folder / "settings.yaml").write_text(yaml.safe_dump(recorded | {"hyp": hyp, "epochs": epochs}))
    (folder / "run.json").write_text(json.dumps({"finished": finished, "train_images": 8, "weights_bytes": 4_000_000}))
    done = epochs if done is None else done
    pd.DataFrame({"epoch": range(done), "metrics/mAP_0.75": np.linspace(0.1, 0.3, done)}).to_csv(
        folder / "results.csv", index=False)
    return folder


def optimiser_runs(out):
    for name, kind in (("sgd", "SGD"), ("adamw", "AdamW")):
        for seed in range(2):
            write_run(out / "runs" / f"{name}-{seed}" / "training" / "multilabel_split", optimizer=kind, seed=seed)


def asked(out):
    return {question: [group["name"].tolist() for group in groups]
            for question, groups in run_folders.questions(run_folders.find(out)).items()}


# ---- run folders ----------------------------------------------------------------------------------------------------


def test_no_runs(tmp_path):
    runs = run_folders.find(tmp_path)
    assert runs.empty and run_folders.questions(runs) == {}
    assert comparison_text.left_out(runs) == "There is no run folder yet: notebooks 05, 08, 10 and `batch` write them."
    assert comparison.answer_all(runs, tmp_path, tmp_path) == []
    assert list(run_folders.shown(runs)[:0].columns)[:3] == ["name", "trained_on", "seed"]


def test_a_folder_tells_its_recipe(tmp_path):
    write_run(tmp_path / "training" / "full", init_weights=None, hyp=training_settings.read_hyp("experiment_hyp_v1"))
    write_run(tmp_path / "training" / "expanded_gold_seed1", hyp=HYP | {"lr0": 0.0123}, epochs=3, done=1,
              finished=False)
    gold, full = run_folders.find(tmp_path).to_dict("records")
    assert (full["name"], full["trained_on"], full["start"], full["hyp"]) == ("full", "full", "scratch",
                                                                             "experiment_hyp_v1")
    assert (gold["trained_on"], gold["epochs"], gold["epochs_done"]) == ("without silver", 3, 1)
    assert not gold["finished"]
    assert gold["hyp"].startswith("own ") and full["weights_mb"] == 4.0


def test_a_broken_folder_is_named(tmp_path):
    write_run(tmp_path / "training" / "full")
    (tmp_path / "training" / "full" / "settings.yaml").write_text("hyp: 3")
    (tmp_path / "training" / "full" / "run.json").write_text("{")
    with pytest.raises(NotebookError, match=r"training/full is no whole run folder .*train it again"):
        run_folders.find(tmp_path)


@pytest.mark.parametrize(("second", "expected"), [
    ({}, {}),
    ({"seed": 1}, {}),
    ({"model": "yolov5s"}, {"models": [["a", "b"]]}),
    ({"init_weights": None}, {"models": [["a", "b"]]}),
    ({"optimizer": "AdamW"}, {"optimisers": [["a", "b"]]}),
    ({"optimizer": "AdamW", "hyp": HYP | {"lr0": 0.001}}, {"optimisers": [["a", "b"]]}),
    ({"hyp": HYP | {"lr0": 0.001}}, {"hyperparameters": [["a", "b"]]}),
    ({"data": "d1"}, {"training data": [["a", "b"]]}),
    ({"epochs": 4}, {"epochs": [["a", "b"]]}),
    ({"epochs": 4, "optimizer": "AdamW"}, {}),
    ({"model": "yolov5s", "optimizer": "AdamW"}, {}),
    ({"model": "yolov5s", "finished": False}, {}),
])
def test_only_runs_that_differ_in_one_thing_share_a_table(tmp_path, second, expected):
    write_run(tmp_path / "training" / "a")
    write_run(tmp_path / "training" / "b", **second)
    assert asked(tmp_path) == expected
    said = comparison_text.left_out(run_folders.find(tmp_path))
    assert said.startswith(f"{2 if expected else 0} of 2 runs are compared")
    assert ("not finished: b" in said) == ("finished" in second)


def test_runs_of_a_batch_are_found_by_the_batchs_names(tmp_path):
    optimiser_runs(tmp_path)
    assert asked(tmp_path) == {"optimisers": [[f"{name}-{seed}/multilabel_split" for name in ("adamw", "sgd")
                                               for seed in range(2)]]}


# ---- scores ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def judged(tmp_path):
    """(runs of SGD and AdamW, a judge, predictions in which SGD is better)."""
    optimiser_runs(tmp_path)
    images, boxes, found = scene(3, n_images=12, n_answers=40, n_detections=200)
    images["archive"], images["member"] = "images", images["image_id"] + ".jpg"
    runs = run_folders.find(tmp_path)
    predictions = {name: found.sample(frac=0.9 if "sgd" in name else 0.4, random_state=place)
                   for place, name in enumerate(runs["name"])}
    return runs, comparison.Judge("Valid_Dataset", tmp_path, images, boxes), predictions


def test_a_table_has_means_spread_and_the_write_ups_numbers(judged):
    runs, on, predictions = judged
    scores = comparison.run_scores(runs, predictions, on, "optimisers")
    assert scores["setting"].tolist() == ["SGD, default"] * 2 + ["AdamW, default"] * 2
    table = comparison.question_table(scores, "optimisers").set_index("setting")
    assert table["runs"].tolist() == [2, 2] and table["epochs"].tolist() == ["2", "2"]
    sgd = scores.loc[scores["setting"] == "SGD, default", "mAP75"]
    assert table.loc["SGD, default", "mAP75"] == pytest.approx(sgd.mean())
    assert table.loc["SGD, default", ["mAP75_lowest", "mAP75_highest"]].tolist() == pytest.approx(sorted(sgd))
    assert table.loc["AdamW, default", "write_up_mAP50"] == 0.9804


def test_differences_are_paired_by_seed(judged):
    runs, on, predictions = judged
    scores = comparison.run_scores(runs, predictions, on, "optimisers")
    row = comparison.differences(scores, predictions, on).iloc[0]
    means = scores.groupby("setting")["mAP75"].mean()
    assert (row["setting"], row["against"], row["pairs"]) == ("AdamW, default", "SGD, default", 2)
    assert row["difference"] == pytest.approx(means["AdamW, default"] - means["SGD, default"])
    assert row["low"] <= row["difference"] <= row["high"] and row["lowest_run"] <= row["highest_run"]
    assert comparison.differences(scores.assign(seed=range(4)), predictions, on).empty


def test_predictions_are_made_once_on_images_that_no_run_was_trained_on(tmp_path, monkeypatch):
    images, boxes = write_archives(tmp_path / "archives")
    dataset.write_tar(tmp_path / "datasets" / "Valid_Dataset.tar", images, boxes, tmp_path / "archives")
    dataset.write_tar(tmp_path / "prepared" / "datasets" / "Valid_Dataset_Full.tar", images[:6],
                      boxes[boxes["image_id"].isin(images["image_id"][:6])], tmp_path / "archives")
    write_run(tmp_path / "training" / "multilabel_split", data="a")
    write_run(tmp_path / "training" / "expanded", data="b")
    calls = []

    def predict(weights, shown, folder, **settings):
        calls.append((weights.name, len(shown), settings["image_size"]))
        return boxes[boxes["image_id"].isin(shown["image_id"])].assign(confidence=0.5)

    monkeypatch.setattr(detector, "predict", predict, raising=False)
    runs = run_folders.find(tmp_path)
    for _ in range(2):
        answers = comparison.answer_all(runs, tmp_path, tmp_path / "local")
    assert calls == [("last.pt", 12, 64)] * 2
    assert answers[0].question == "training data" and answers[0].table["mAP75"].tolist() == [1.0, 1.0]
    write_run(tmp_path / "training" / "full", data="c")
    answers = comparison.answer_all(run_folders.find(tmp_path), tmp_path, tmp_path / "local")
    assert calls[2:] == [("last.pt", 6, 64)] * 3 and answers[0].judge.name == "Valid_Dataset_Full"
    assert comparison.key_numbers(answers)["mAP75 training_data: full"] == 1.0


def test_what_is_missing_is_named(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / "training" / name, data=name)
    with pytest.raises(NotebookError, match=r"Valid_Dataset.tar is missing: notebook 02 writes it"):
        comparison.answer_all(run_folders.find(tmp_path), tmp_path, tmp_path)


# ---- words and figures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epochs", "words"), [
    ([3, 3], "All 2 runs were trained for 3 epochs."), ([2, 3, 5], "trained for 2, 3 and 5 epochs, or patience ended")])
def test_epochs_are_equal_or_said(epochs, words):
    assert words in comparison_text.epochs(pd.DataFrame({"epochs": epochs}))


def test_differences_in_words():
    table = pd.DataFrame({"setting": ["b", "c"], "against": "a", "pairs": [1, 1], "difference": [0.1, -0.2],
                          "low": [-0.1, -0.3], "high": [0.3, -0.1], "lowest_run": 0.0, "highest_run": 0.0})
    said = comparison_text.differences(table)
    assert "b against a: +0.100 mAP75 (-0.100 to +0.300: no proof" in said
    assert "c against a: -0.200 mAP75 (-0.300 to -0.100: more than luck" in said
    assert said.endswith("One seed each: another seed may turn the order.")
    assert comparison_text.differences(table[:0]) == "No two settings share a seed: there is nothing to pair."


@pytest.mark.parametrize(("sgd", "adamw", "words"), [
    (None, None, "no pair of such runs is at hand: `python -m livestock_utils batch notebooks/batches/optimisers.yaml"),
    ([0.5], [0.4], r"+0.100 between single runs, which another seed may turn"),
    ([0.50, 0.51, 0.52], [0.3, 0.31, 0.32], "which leaves 0 out"),
    ([0.3, 0.7], [0.2, 0.6], "which holds 0: these seeds do not tell them apart"),
])
def test_the_optimisers_paragraph_comes_from_the_seeds(sgd, adamw, words):
    scores = None if sgd is None else pd.DataFrame({
        "setting": ["SGD, default"] * len(sgd) + ["AdamW, default"] * len(adamw) + ["AdamW, bad"],
        "mAP75": [*sgd, *adamw, 0.0]})
    said = comparison_text.optimisers(scores)
    assert words in said and "Wilson et al. (2017" in said and "0.0146 mAP50-95 above AdamW" in said


def test_welchs_interval_is_scipys_own_confidence():
    low, high = comparison_text.welch_interval(np.array([1.0, 2, 3]), np.array([1.0, 2, 3]))
    assert low == pytest.approx(-high) and high == pytest.approx(2.776 * np.sqrt(2 / 3), rel=1e-3)
    assert comparison_text.welch_interval(np.array([2.0, 2]), np.array([1.0, 1])) == (1.0, 1.0)


def test_figures_name_settings_and_intervals(judged):
    runs, on, predictions = judged
    scores = comparison.run_scores(runs, predictions, on, "optimisers")
    ax = plots.run_scores(scores)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["AdamW, default", "SGD, default"]
    ax = plots.run_differences(comparison.differences(scores, predictions, on))
    assert "mAP75 minus that of SGD, default" in ax.get_xlabel()
    results = {name: run_folders.results(folder) for name, folder in zip(runs["name"], runs["folder"], strict=True)}
    assert {text.get_text() for text in plots.setting_curves(scores, results).texts} == {
        "SGD, default (2 seeds)", "AdamW, default (2 seeds)"}
    assert plots.run_scores(scores[:0]).texts[0].get_text() == "no runs to compare"
    assert plots.run_differences(pd.DataFrame()).texts[0].get_text() == "no pair of runs with the same seed"


def test_other_photos_under_the_same_ids_are_predicted_anew(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(detector, "predict", lambda weights, images, *a, **k: calls.append(weights) or images[
        ["image_id", "species"]], raising=False)
    write_run(tmp_path / "training" / "multilabel_split", data="a")
    runs = run_folders.find(tmp_path)
    images, boxes = write_archives(tmp_path / "archives")
    on = comparison.Judge("valid", tmp_path / "archives", images, boxes)
    for number in (1, 1, 2):
        if number == 2:
            pigs = images.loc[images["archive"] == "pig.zip", "member"]
            with zipfile.ZipFile(tmp_path / "archives" / "pig.zip", "w") as archive:
                for seed, member in enumerate(pigs):
                    archive.writestr(member, jpeg(100 + seed))
        comparison.predictions(runs, on, tmp_path / "kept")
        assert len(calls) == number
