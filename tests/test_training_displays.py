"""Trainings on photos, and what their displays say."""

import numpy as np
import pandas as pd
import pytest
from data_sets import write_archives

import livestock_utils as lu
from livestock_utils.core.errors import DatasetError, TrainingError
from livestock_utils.data.sets import reading, writing
from livestock_utils.detect.train.data import list_files, read_data
from livestock_utils.show.words import training as words


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return lu.Photos(*write_archives(folder, 12), folder)


@pytest.fixture(scope="module")
def sets(archives, tmp_path_factory):
    """The same photos as two set folders, opened."""
    parts = []
    for name, ids in (("train", slice(0, 8)), ("valid", slice(8, None))):
        part = archives.select(archives.images["image_id"][ids])
        folder = tmp_path_factory.mktemp("sets") / name
        writing.write_set(folder, part)
        parts.append(lu.Photos(*reading.read_tables(folder), folder))
    return parts


@pytest.fixture(scope="module")
def run(sets, tmp_path_factory):
    settings = lu.TrainSettings(
        epochs=2, image_size=64, batch_size=4, warmup_min_iterations=2, loggers="none"
    )
    folder = tmp_path_factory.mktemp("runs") / "first"
    return lu.train(*sets, folder, settings, tags={"question": "first"})


def test_photos_of_set_folders_train_there_as_by_data_yaml(sets, run, tmp_path):
    data_yaml = writing.write_data_yaml(tmp_path / "data.yaml", *(photos.folder for photos in sets))
    settings = lu.TrainSettings(
        epochs=2, image_size=64, batch_size=4, warmup_min_iterations=2, loggers="none"
    )
    again = lu.train(data_yaml, None, run.folder, settings)
    assert again.status.startswith("The run had finished before")
    assert run.record["tags"] == {"question": "first"}
    assert {path.name for path in run.folder.glob("*.png")} >= {"losses.png", "metrics.png"}
    assert not run.folder.with_name("first_data").exists()


def test_photos_of_archives_are_written_once(archives, tmp_path, monkeypatch):
    train, valid = archives.sample(6), archives.sample(3, seed=1)
    found = read_data(train, valid, tmp_path / "data")
    assert [len(part.files) for part in (found.train, found.valid)] == [6, 3]
    assert found.train.n_boxes == len(train.boxes)
    monkeypatch.setattr(writing, "write_set", lambda *_, **__: pytest.fail("written again"))
    assert read_data(train, valid, tmp_path / "data").sha256 == found.sha256
    monkeypatch.undo()
    other = train.with_boxes(train.boxes.iloc[1:])
    assert read_data(other, valid, tmp_path / "data").train.n_boxes == len(train.boxes) - 1


def test_a_part_of_a_set_folder_is_used_there_but_not_with_other_labels(sets, tmp_path):
    part = sets[0].sample(3)
    _, files = list_files(part, sets[1], tmp_path)
    assert len(files["train"]) == 3 and files["train"][0].startswith(str(sets[0].folder))
    other = part.with_boxes(part.boxes.iloc[1:])
    _, files = list_files(other, sets[1], tmp_path)
    assert len(files["train"]) == 3 and files["train"][0].startswith(str(tmp_path))


def test_set_folders_and_lists_are_taken_as_well(sets, tmp_path):
    folder, valid = sets[0].folder, sets[1]
    images = sorted(str(path) for path in (folder / "images").iterdir())
    (tmp_path / "list.txt").write_text("\n".join(images[:4]))
    assert list_files(folder, valid)[1]["train"] == images
    assert list_files(tmp_path / "list.txt", valid)[1]["train"] == images[:4]
    assert list_files([folder, valid.folder], valid)[1]["train"][:8] == images
    with pytest.raises(DatasetError, match="nothing to validate on"):
        read_data(folder)


def test_empty_values_mean_none():
    settings = lu.TrainSettings.of(
        {"init_weights": "", "hyp": "", "augmentation": "", "batch_size": 0, "cache": "none"}
    )
    assert settings == lu.TrainSettings(batch_size="auto", cache=None)
    assert settings.init_weights is settings.hyp is settings.augmentation is None
    assert lu.TrainSettings.table().set_index("name").loc["image_size", "unit"] == "px"


def test_displays_of_a_run(run, sets):
    plan = lu.plan(lu.TrainSettings(image_size=64), 8, timed=False)
    assert lu.displays.plan(plan).table.index.tolist() == ["P100", "T4"]
    done = lu.displays.training_time(run, plan)
    assert done.verdict == f"There is no estimate to compare with yet. {run.status}"
    assert len(lu.displays.losses(run).plot()) == 3
    assert lu.displays.metrics(run).plot().get_xlabel() == "epoch"
    assert lu.displays.metrics(run).verdict.startswith("Best mAP75: ")
    shown = lu.displays.augmentation(sets[0], lu.TrainSettings(image_size=64), n=2)
    assert shown.table["size"].tolist() == [2, 2, 2] and shown.plot().shape == (3, 2)
    assert shown.verdict.endswith("the middle row is an example.")


def test_a_preflight_that_stops_is_shown_first(sets, tmp_path):
    display = lu.displays.preflight(*sets, lu.TrainSettings(hyp="absent"), tmp_path)
    assert display.table.iloc[0]["check"] == "hyperparameters"
    step = lu.Step("05_train", tmp_path, tmp_path)
    with pytest.raises(TrainingError, match="preflight: hyperparameters: absent"):
        step.show(display)
    with pytest.raises(TrainingError, match="preflight: hyperparameters: absent"):
        lu.preflight(*sets, lu.TrainSettings(hyp="absent"), tmp_path)
    assert "data set" in set(lu.preflight(*sets, folder=tmp_path)["check"])


def results(scores, losses=None):
    """As a run has them: epochs counted from 0."""
    losses = losses or [0.1] * len(scores)
    return pd.DataFrame(
        {"epoch": range(len(scores)), "metrics/mAP_0.75": scores}
        | {f"{part}/{name}_loss": losses for part in ("train", "val") for name in NAMES}
    )


NAMES = ("box", "obj", "cls")


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([], "No epoch has been trained."),
        ([0.5], "Best mAP75: 0.500, in epoch 1 of 1; one epoch says nothing about the trend."),
        ([0.4, 0.6], "in epoch 2 of 2; the score was still rising at the end"),
        ([0.4, 0.7, 0.6], "0.700, in epoch 2 of 3; the last epoch is 0.100 below it."),
        ([0.7, 0.7, 0.6], "in epoch 2 of 3"),
        ([0.6, 0.3, 0.7], "No epoch fell below half of an earlier one."),
        ([0.6, 0.02, 0.01, 0.7], "Epoch 2 collapsed to 0.020, less than half of an earlier one"),
    ],
)
def test_the_best_epoch_and_the_trend(scores, said):
    assert said in words.metrics(results(scores))


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([], "No epoch"),
        ([0.4, 0.2], "No validation loss rose again"),
        ([0.1, 0.2, 0.3, 0.4], "losses for box and objectness and class rose again"),
        ([0.1, 0.1, 0.1, 0.1049], "No validation loss rose again"),
        ([0.1, 0.2, 0.3, 0.1], "No validation loss rose again"),
        ([0.2, 0.1, 0.4], "No validation loss rose again"),
    ],
)
def test_validation_losses_that_rise_again(losses, said):
    table = results(np.full(len(losses), 0.5), losses)
    assert said in words.losses(table)
    if said.startswith("losses"):
        one = table.assign(**{"val/obj_loss": 0.1, "val/cls_loss": 0.1})
        assert "validation loss for box rose again" in words.losses(one)


def test_pairs_of_trainings_say_what_they_were_trained_on(sets, tmp_path, monkeypatch):
    asked = []

    def train(data, valid, folder, settings, **others):
        asked.append((folder.name, settings.seed, others["tags"]))
        masked.append((settings.negatives, others.get("teacher") is regions))
        return lu.Run(folder)

    regions, masked = pd.DataFrame({"image_id": ["a"]}), []

    monkeypatch.setattr("livestock_utils.detect.train.run.train", train)
    runs = lu.train_pairs(*sets, sets[1], lambda name: (tmp_path / name, None), [3, 4], name="plus")
    assert [run.folder.name for run in runs["expanded"]] == ["plus", "plus_seed4"]
    assert asked[0] == ("plus_gold", 3, {"trained_on": "without silver", "variant": "plus"})
    assert asked[3] == ("plus_seed4", 4, {"trained_on": "with silver", "variant": "plus"})
    folder_of = lambda name: (tmp_path / name, None)  # noqa: E731
    for given, settings, expected in (
        (regions, lu.TrainSettings(), [("plain", False), ("masked", True)]),
        (regions.iloc[:0], lu.TrainSettings(), [(None, False)] * 2),
        (regions, lu.TrainSettings(negatives="doubted"), [("doubted", False)] * 2),
    ):
        lu.train_pairs(*sets, sets[1], folder_of, [3], settings, regions=given)
        assert masked[-2:] == expected
