"""Training: equal to plain yolov5, goes on exactly where it stopped, refuses what changed, tells
what went wrong."""

import contextlib
import errno
import io
import json
import multiprocessing
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from training_sets import train, write_image, write_set

from livestock_utils.core import files, locks
from livestock_utils.core.errors import CheckpointError, DatasetError, TrainingError
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect import settings as training_settings
from livestock_utils.detect.train import cache, state
from livestock_utils.detect.train import run as training_run

QUICK = {"epochs": 3, "image_size": 64, "batch_size": 4, "warmup_min_iterations": 2, "loggers": ()}
FAST = {**QUICK, "final_evaluation": False}
CLOCKS = ["seconds/train", "seconds/valid"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """An uninterrupted run with everything that a run leaves."""
    return train(
        data, tmp_path_factory.mktemp("runs") / "whole", **QUICK | {"loggers": ("tensorboard",)}
    )


@pytest.fixture(scope="module")
def whole_of(data, tmp_path_factory, whole):
    """The same by whether it was evaluated at its end, which the weights then tell of."""
    fast = train(data, tmp_path_factory.mktemp("runs") / "fast", **FAST)
    return {True: whole, False: fast}


class Interrupted(Exception):
    """Stands in for a lost session."""


def interrupt_after(*epochs):
    def on_epoch(epoch, row):
        if epoch in epochs:
            raise Interrupted

    return on_epoch


def numbers(run):
    return run.results.drop(columns=CLOCKS)


# ---- equal to plain yolov5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        pytest.param(
            {"optimizer": "Adam", "schedule": "cosine", "batch_size": 3},
            {"optimizer": "Adam", "cos_lr": True, "batch_size": 3},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"optimizer": "AdamW", "freeze": 5, "seed": 7},
            {"optimizer": "AdamW", "freeze": [5], "seed": 7},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"model": "yolov5n6", "image_size": 128, "hyp": "v1"},
            {"cfg": "yolov5n6", "imgsz": 128, "hyp": "v1"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_losses_and_metrics_equal_plain_yolov5(data, tmp_path, ours, theirs, monkeypatch):
    named = {
        "v1": str(training_settings.hyp_file("experiment_hyp_v1")),
        None: str(training_settings.hyp_file(None)),
    }
    run = train(
        data,
        tmp_path / "ours",
        best_metric="fitness",
        **{
            **FAST,
            "cache": None,
            "warmup_min_iterations": 100,
            **ours,
            "hyp": named[ours.get("hyp")],
        },
    )
    absolute = {**yaml.safe_load(data.read_text()), "path": str(data.parent)}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(absolute))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with yolov5.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        plain = y5.module("train")
    with yolov5.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        cfg = y5.model_file(theirs.pop("cfg", "yolov5n"))
        hyp = named[theirs.pop("hyp", None)]
        plain.run(
            **{
                "data": str(tmp_path / "data.yaml"),
                "weights": "",
                "cfg": cfg,
                "hyp": hyp,
                "epochs": 3,
                "imgsz": 64,
                "batch_size": 4,
                "workers": 0,
                "device": "cpu",
                "project": str(tmp_path),
                "name": "plain",
                "noplots": True,
                **theirs,
            }
        )
    expected = pd.read_csv(tmp_path / "plain" / "results.csv", skipinitialspace=True).rename(
        columns=str.strip
    )
    columns = [name for name in run.results if name in expected]
    assert len(columns) == 14  # epoch, 3 + 3 losses, 4 metrics, 3 learning rates
    np.testing.assert_allclose(
        run.results[columns], expected[columns], rtol=2e-4, atol=1e-8
    )  # it writes 5 digits


def test_after_the_warm_up_a_run_from_weights_equals_plain_yolov5_too(tmp_path, monkeypatch):
    data = write_set(tmp_path / "set", n_train=40)
    hyp = {**training_settings.read_hyp(None), "warmup_epochs": 0.5}
    weights = checkpoints.find_weights("yolov5n_sample.pt")
    common = {
        "epochs": 4,
        "batch_size": 8,
    }  # 20 iterations, 2 of warm-up; then a step is made of 8 batches
    run = train(
        data,
        tmp_path / "ours",
        best_metric="fitness",
        hyp=hyp,
        init_weights=weights,
        **{**FAST, **common, "cache": None, "warmup_min_iterations": 1},
    )
    absolute = {**yaml.safe_load(data.read_text()), "path": str(data.parent)}
    files.write_text(tmp_path / "data.yaml", yaml.safe_dump(absolute))
    files.write_text(tmp_path / "hyp.yaml", yaml.safe_dump(hyp))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with yolov5.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        plain = y5.module("train")

        def without_floor(*values):
            return max(value for value in values if value != 100)  # of the warm-up

        monkeypatch.setattr(plain, "max", without_floor, raising=False)
        plain.run(
            data=str(tmp_path / "data.yaml"),
            weights=str(weights),
            cfg=y5.model_file("yolov5n"),
            hyp=str(tmp_path / "hyp.yaml"),
            imgsz=64,
            workers=0,
            device="cpu",
            project=str(tmp_path),
            name="plain",
            noplots=True,
            **common,
        )
    expected = pd.read_csv(tmp_path / "plain" / "results.csv", skipinitialspace=True).rename(
        columns=str.strip
    )
    columns = [name for name in run.results if name in expected]
    assert len(columns) == 14 and len(expected) == 4
    np.testing.assert_allclose(run.results[columns], expected[columns], rtol=2e-4, atol=1e-8)
    theirs = checkpoints.read_weights(tmp_path / "plain" / "weights" / "last.pt").state
    for name, tensor in checkpoints.read_weights(run.last).state.items():
        np.testing.assert_allclose(tensor, theirs[name], atol=1e-6, err_msg=name)


# ---- what a run leaves


def test_a_run_folder_tells_all_about_its_run(whole, data):
    assert whole.finished and whole.warnings == []
    names = {
        path.relative_to(whole.folder).as_posix()
        for path in whole.folder.rglob("*")
        if path.is_file()
    }
    assert {
        "settings.yaml",
        "hyp.yaml",
        "run.json",
        "results.csv",
        "per_class.csv",
        "weights/best.pt",
        "weights/last.pt",
        "losses.png",
        "metrics.png",
        "confusion_matrix.png",
        "PR_curve.png",
        "train_batch0.jpg",
        "val_batch0_labels.jpg",
        "val_batch0_pred.jpg",
    } <= names
    assert any(name.startswith("tensorboard/events") for name in names)
    assert not any(name.startswith("resume") for name in names)
    assert whole.record["versions"]["yolov5"] == "7.0.14" and whole.record["train_images"] == 8
    assert list(whole.results["epoch"]) == [0, 1, 2]
    trained_on = (whole.folder / "train_images.txt").read_text().splitlines()
    assert len(trained_on) == 8 and all(
        (data.parent / "train" / "images" / f"{name}.jpg").is_file() for name in trained_on
    )
    labels = [data.parent / "train" / "labels" / f"{name}.txt" for name in trained_on]
    classes = [line[0] for path in labels for line in path.read_text().splitlines()]
    noted = checkpoints.read_weights(whole.best).notes["trained_on"]
    assert noted["photos"] == 8
    assert noted["boxes"] == {"pig": classes.count("0"), "cow": classes.count("1")}
    settings = yaml.safe_load((whole.folder / "settings.yaml").read_text())
    assert settings["seed"] == 0 and len(settings["data"]) == 64
    table = whole.per_class
    assert list(table.index) == ["all", "pig", "cow"]
    pd.testing.assert_frame_equal(
        table, training_run.evaluate(whole.best, data, image_size=64, batch_size=8), atol=1e-4
    )


def test_photos_of_many_shapes_are_scored_whatever_the_batch(data, tmp_path, whole):
    rng = np.random.default_rng(3)
    for index, size_px in enumerate(
        [(128, 48), (96, 48), (96, 96), (64, 96), (48, 128), (96, 64), (48, 96)]
    ):
        write_image(tmp_path / "valid", f"livestock_cow_bbox_{index:06d}", rng, size_px)
    mixed = tmp_path / "data.yaml"
    mixed.write_text(
        yaml.safe_dump(
            {
                "train": str(data.parent / "train" / "images"),
                "val": "valid/images",
                "names": {0: "pig", 1: "cow"},
            }
        )
    )
    labels = {
        batch: int(
            training_run.evaluate(whole.best, mixed, image_size=64, batch_size=batch).loc[
                "all", "labels"
            ]
        )
        for batch in (1, 2, 3, 16)
    }
    assert len(set(labels.values())) == 1 and labels[1] >= 14


def test_the_weights_are_yolov5s_own_form(whole):
    with yolov5.yolov5() as y5:
        assert y5.module("models.experimental").attempt_load(str(whole.best)).names == {
            0: "pig",
            1: "cow",
        }
    assert checkpoints.load(whole.last).nc == 2


# ---- going on


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(data, tmp_path, workers):
    options = {**FAST, "epochs": 4, "workers": workers, "augmentation": "light"}
    expected = train(data, tmp_path / "whole", **options)
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(data, tmp_path / "cut", **options, on_epoch=interrupt_after(0, 2))
    run = train(data, tmp_path / "cut", **options)
    pd.testing.assert_frame_equal(numbers(run), numbers(expected), check_exact=True)
    assert run.record["weights_sha256"] == expected.record["weights_sha256"]


@pytest.mark.parametrize("final_evaluation", [False, True])
def test_a_run_cut_after_its_last_epoch_is_finished_by_the_next_call(
    data, tmp_path, whole_of, final_evaluation
):
    whole = whole_of[final_evaluation]
    options = {**FAST, "final_evaluation": final_evaluation}
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run", **options, on_epoch=interrupt_after(2))
    run = train(data, tmp_path / "run", **options)
    assert run.finished and run.status == "The run was continued after epoch 3."
    assert run.record["weights_sha256"] == whole.record["weights_sha256"]
    assert (
        checkpoints.read_weights(run.best).names
        == checkpoints.read_weights(run.last).names
        == ("pig", "cow")
    )


def test_workers_can_be_had_whatever_way_python_starts_processes(data, tmp_path):
    method = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        assert train(data, tmp_path / "run", **FAST | {"epochs": 1, "workers": 1}).finished
    finally:
        multiprocessing.set_start_method(method, force=True)


def test_a_run_is_trained_by_one_process_at_a_time(data, tmp_path):
    (tmp_path / "run").mkdir()
    with (
        locks.held(tmp_path / "run"),
        pytest.raises(
            TrainingError,
            match=rf"run is being trained by process {os.getpid()} on .+; wait for its end or stop "
            r"it",
        ),
    ):
        train(data, tmp_path / "run", **FAST)
    assert (
        train(data, tmp_path / "run", **FAST | {"epochs": 1}).status
        == "The model was trained in this run."
    )


def test_what_earlier_sessions_recorded_is_kept(data, tmp_path):
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run", **FAST, on_epoch=interrupt_after(1))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    before = {"versions": {"torch": "1.7"}, "git_revision": None}
    files.write_json(tmp_path / "run" / "run.json", {**record, **before, "warnings": ["seen then"]})
    settings = yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())
    del settings["nominal_batch"]  # as a library would leave it that did not know the setting
    files.write_text(tmp_path / "run" / "settings.yaml", yaml.safe_dump(settings))
    run = train(data, tmp_path / "run", **FAST)
    assert run.warnings == ["seen then"] and run.record["earlier"] == [before]
    assert run.record["versions"] == record["versions"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("settings.yaml", "", "is damaged .*; delete it and start the same training again"),
        ("settings.yaml", "a: [", "is damaged .*; delete it and start the same training again"),
        (
            "run.json",
            "",
            "is damaged .*; bring it back from a copy or the mirror; delete it only if the run had "
            "not fin",
        ),
        ("run.json", '{"finished"', "is damaged .*; bring it back from a copy or the mirror"),
    ],
)
def test_a_damaged_record_is_told_in_one_line(whole, data, tmp_path, name, content, told):
    shutil.copytree(whole.folder, tmp_path / "run")
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(TrainingError, match=rf"^.*run/{name} {told}.*$"):
        train(data, tmp_path / "run", **QUICK)


def test_a_finished_run_needs_its_weights_but_not_what_it_started_from(data, tmp_path, whole):
    start_from = tmp_path / "start.pt"
    shutil.copy(whole.last, start_from)
    options = {**FAST, "epochs": 1, "init_weights": start_from}
    train(data, tmp_path / "run", **options)
    start_from.unlink()
    again = train(data, tmp_path / "run", **options)
    assert (
        again.finished and again.status == "The run had finished before: nothing was trained now."
    )
    again.last.unlink()
    with pytest.raises(
        TrainingError, match=r"run has finished, but weights/last\.pt is gone; bring it back"
    ):
        train(data, tmp_path / "run", **options)
    with pytest.raises(CheckpointError, match="weights file not found"):
        train(data, tmp_path / "other", **options)


def test_a_finished_run_is_returned_at_once(whole, data, monkeypatch):
    monkeypatch.setattr(yolov5, "modules", lambda: pytest.fail("the network was touched"))
    before = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")}
    again = train(data, whole.folder, **QUICK | {"loggers": ("tensorboard",)})
    assert again.finished and before == {
        path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")
    }


def test_the_same_training_that_is_done_elsewhere_is_copied(whole, data, tmp_path, monkeypatch):
    class Trained(Exception):
        pass

    def touched():
        raise Trained

    def start(name, twin, **changes):
        asked = QUICK | {"recipe": "yolov5", "loggers": ("tensorboard",)} | changes
        settings = training_settings.TrainSettings(**asked)
        return training_run.train(data, None, tmp_path / name, settings, tags=tags, twin=twin)

    tags = {"trained_on": "without silver"}
    monkeypatch.setattr(yolov5, "modules", touched)
    shutil.copytree(whole.folder, tmp_path / "cut")
    record = json.loads((tmp_path / "cut" / "run.json").read_text())
    (tmp_path / "cut" / "run.json").write_text(json.dumps(record | {"finished": False}))
    for name, twin, changes in (
        ("no folder", tmp_path / "none", {}),
        ("not finished", tmp_path / "cut", {}),
        ("other settings", whole.folder, {"seed": 1}),
    ):
        with pytest.raises(Trained):
            start(name, twin, **changes)
    run = start("copy", whole.folder)
    assert run.status == "The same training as whole: taken from there."
    assert run.finished and run.record["tags"] == tags and whole.record.get("tags") != tags
    for path in whole.folder.rglob("*"):
        if path.is_file() and path.name != "run.json":
            assert (run.folder / path.relative_to(whole.folder)).read_bytes() == path.read_bytes()
    assert start("copy", whole.folder).status.startswith("The run had finished before")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs": 5}, "epochs: 3 -> 5"),
        ({"hyp": {**training_settings.read_hyp(None), "lr0": 0.5}}, r"hyp\.lr0: 0\.01 -> 0\.5"),
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"augmentation": "barn_night"}, "augmentation: None -> "),
    ],
)
def test_changed_settings_are_refused_with_the_difference(whole, data, change, told):
    with pytest.raises(
        TrainingError, match=rf"was started with other settings \(.*{told}.*name another run folder"
    ):
        train(data, whole.folder, **QUICK | change)


def test_a_refused_setting_can_be_put_right_in_the_same_folder(data, tmp_path):
    with pytest.raises(TrainingError, match="take 128"):
        train(data, tmp_path / "run", **QUICK | {"image_size": 100})
    run = train(data, tmp_path / "run", **QUICK | {"epochs": 1})
    assert (
        run.finished
        and f"image_size: {QUICK['image_size']}\n" in (run.folder / "settings.yaml").read_text()
    )


def test_what_does_not_change_the_result_may_change(whole, data):
    assert train(
        data, whole.folder, **QUICK | {"loggers": (), "workers": 1, "cache": None}
    ).finished


def add_a_box(part):
    label = next((part / "labels").glob("*.txt"))
    label.write_text(label.read_text() + "1 0.5 0.5 0.1 0.1\n")


def change_the_pixels(part):
    image = next((part / "images").glob("*.jpg"))
    cv2.imwrite(str(image), np.zeros_like(cv2.imread(str(image))))


@pytest.mark.parametrize("change", [add_a_box, change_the_pixels])
def test_a_changed_data_set_is_refused(tmp_path, change):
    data = write_set(tmp_path / "set")
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run", **FAST, on_epoch=interrupt_after(0))
    change(tmp_path / "set" / "train")
    with pytest.raises(TrainingError, match=r"other settings \(data: \w{12}\.\.\. -> "):
        train(data, tmp_path / "run", **FAST)


def test_a_damaged_resume_file_falls_back_to_the_one_before(data, tmp_path, whole, caplog):
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run", **FAST, on_epoch=interrupt_after(1))
    newest = max((tmp_path / "run" / "resume").glob("resume-e*.pt"))
    assert newest.name.startswith("resume-e0002-")
    newest.write_bytes(newest.read_bytes()[:-1000])
    later = [newest.with_name(f"resume-e000{epoch}-{'f' * 16}.pt") for epoch in (7, 8)]
    for path in later:
        path.write_bytes(b"bad")
    assert state.newest(newest.parent).name.startswith("resume-e0001-")
    assert "is damaged (its bytes do not fit its name) and is passed over" in caplog.text
    run = train(data, tmp_path / "run", **FAST)
    assert run.warnings == [
        f"{path.name} was damaged (its bytes did not fit its name) and has been deleted"
        for path in (*later[::-1], newest)
    ]
    pd.testing.assert_frame_equal(numbers(run), numbers(whole), check_exact=True)


def test_a_callback_may_end_a_run(data, tmp_path, monkeypatch):
    def interrupted(*_):
        raise Interrupted

    monkeypatch.setattr("livestock_utils.detect.train.folder.RunFolder.finish", interrupted)
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run", **FAST, on_epoch=lambda epoch, row: epoch == 1)
    monkeypatch.undo()
    run = train(data, tmp_path / "run", **FAST)
    assert run.finished and len(run.results) == 2
    assert run.warnings == ["ended after epoch 2 by the caller"]
    assert train(data, tmp_path / "run", **FAST).finished


def test_patience_survives_an_interruption(data, tmp_path):
    options = {
        **FAST,
        "epochs": 6,
        "patience": 2,
        "hyp": {**training_settings.read_hyp(None), "lr0": 0.0},
    }
    expected = train(data, tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        train(data, tmp_path / "cut", **options, on_epoch=interrupt_after(1))
    assert len(train(data, tmp_path / "cut", **options).results) == len(expected.results)


# ---- the mirror


def test_a_run_goes_on_from_its_mirror_alone(data, tmp_path, whole):
    with pytest.raises(Interrupted):
        train(
            data, tmp_path / "here", mirror=tmp_path / "drive", **FAST, on_epoch=interrupt_after(1)
        )
    (tmp_path / "drive" / "resume" / ".resume-e0001-0123456789abcdef.pt.part").write_bytes(
        b"left by a kill"
    )
    run = train(
        data, tmp_path / "fresh machine", mirror=tmp_path / "drive", **FAST | {"batch_size": "auto"}
    )
    assert run.status == "The run was continued after epoch 2."
    pd.testing.assert_frame_equal(numbers(run), numbers(whole), check_exact=True)
    assert (tmp_path / "drive" / "weights" / "best.pt").read_bytes() == run.best.read_bytes()
    assert not list((tmp_path / "drive").rglob("*resume-*")) and not list(
        (tmp_path / "drive").rglob("in_use.json")
    )
    again = train(data, tmp_path / "third machine", mirror=tmp_path / "drive", **FAST)
    assert again.finished and again.best.is_file()


def test_a_mirror_that_is_gone_does_not_stop_a_training(data, tmp_path, monkeypatch):
    monkeypatch.setattr("livestock_utils.core.mirror.FIRST_WAIT_S", 0)
    (tmp_path / "drive").write_text("a file where a folder should be")
    run = train(data, tmp_path / "run", mirror=tmp_path / "drive", **FAST)
    assert run.finished
    assert len(run.warnings) == 1
    assert re.match(
        r"the mirror .*drive failed \d times \(last: .*exists.*; copy the run folder",
        run.warnings[0],
    )
    (tmp_path / "drive").unlink()
    run = train(data, tmp_path / "run", mirror=tmp_path / "drive", **FAST)
    assert run.status.startswith("The run had finished before") and run.warnings == []
    assert contents(tmp_path / "drive") == contents(tmp_path / "run")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != locks.LOCK
    }


def test_a_run_that_has_finished_in_its_mirror_is_taken_from_there(data, tmp_path, whole):
    shutil.copytree(whole.folder, tmp_path / "drive")
    with pytest.raises(Interrupted):
        train(data, tmp_path / "older", **FAST, on_epoch=interrupt_after(0))
    shutil.copytree(whole.folder, tmp_path / "without weights")
    shutil.rmtree(tmp_path / "without weights" / "weights")
    for name in ("older", "without weights"):
        run = train(
            data,
            tmp_path / name,
            mirror=tmp_path / "drive",
            **FAST,
            on_epoch=lambda epoch, row: pytest.fail("trained again"),
        )
        assert run.finished and contents(run.folder) == contents(whole.folder) == contents(
            tmp_path / "drive"
        )


def test_a_mirror_in_use_elsewhere_stops_a_training_until_its_note_is_old_or_deleted(
    data, tmp_path
):
    note = locks.Note(tmp_path / "drive")
    note.mine = {"host": "elsewhere", "pid": 7}
    note.renew()
    with pytest.raises(
        TrainingError,
        match=r"drive is in use by process 7 on elsewhere \(seen 0 minutes ago\); if "
        r"that has ended, wait 10 minutes or delete .*in_use\.json, and start",
    ):
        train(data, tmp_path / "run", mirror=tmp_path / "drive", **FAST)
    note.path.unlink()
    assert train(data, tmp_path / "run", mirror=tmp_path / "drive", **FAST | {"epochs": 1}).finished
    assert not note.path.exists()


def test_a_mirror_that_does_not_answer_at_the_start(data, tmp_path, monkeypatch):
    monkeypatch.setattr("livestock_utils.core.mirror.FIRST_WAIT_S", 0)
    drive, listdir = tmp_path / "drive", os.listdir
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run", mirror=drive, **FAST, on_epoch=interrupt_after(0))

    def dropped(path="."):
        if Path(path) == drive:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", dropped)
    with pytest.raises(
        TrainingError, match=r"drive does not answer \(.*not connected.*\) and may hold this run; m"
    ):
        train(data, tmp_path / "fresh machine", mirror=drive, **FAST)
    run = train(data, tmp_path / "run", mirror=drive, **FAST)
    assert run.status == "The run was continued after epoch 1." and len(run.warnings) == 1
    assert re.match(
        r"the mirror .* did not answer at the start \(.*\); went on with what is in",
        run.warnings[0],
    )


# ---- errors


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs": -1}, "epochs must be a whole number of at least 1, got -1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1, got 2.5"),
        ({"optimizer": "adam"}, "optimizer must be one of SGD, Adam, AdamW, got 'adam'"),
        (
            {"schedule": "step"},
            "schedule must be one of linear, cosine, linear-v6.0, cosine-v6.0, got 'step'",
        ),
        (
            {"best_metric": "ap"},
            "best_metric must be one of ap75, map50, map50-95, fitness, got 'ap'",
        ),
        ({"cache": "disc"}, "cache must be one of ram, disk, None, got 'disc'"),
        ({"loggers": ("comet",)}, "unknown logger 'comet'"),
        (
            {"loggers": "comet"},
            "unknown logger 'comet': expected some of tensorboard, wandb, mlflow",
        ),
        ({"seed": "a"}, "seed must be a whole number from 0 to 2147483647, got 'a'"),
        ({"seed": -5}, "seed must be a whole number from 0 to 2147483647, got -5"),
        ({"seed": 2**40}, "seed must be a whole number from 0 to 2147483647, got 1099511627776"),
        ({"device": "0"}, "device must be cpu, cuda, or cuda:0 and so on, got '0'"),
        (
            {"freeze": 100},
            "freeze must leave a layer of yolov5n to train, at most 24, got 100; 10 is the "
            "backbone",
        ),
        ({"freeze": [0, 1]}, "freeze must be a whole number of at least 0, got [0, 1]"),
        ({"amp": "x"}, "amp must be True or False, got 'x'"),
        ({"autoanchor": 1}, "autoanchor must be True or False, got 1"),
        (
            {"image_size": 100},
            "image_size must be a multiple of 32 and at least 64 for yolov5n, got 100; take 128",
        ),
        ({"model": "yolov9"}, "unknown model 'yolov9': expected one of yolov5l, "),
        ({"hyp": {"lr0": 0.1}}, "hyp: lacks lrf, momentum"),
        (
            {"hyp": {**training_settings.read_hyp(None), "lr": 0.1}},
            "hyp: unknown hyperparameter 'lr'; known are lr0, lrf",
        ),
        (
            {"hyp": {**training_settings.read_hyp(None), "mosaic": 2}},
            "hyp: mosaic must be a number from 0 to 1, got 2",
        ),
        (
            {"hyp": "absent.yaml"},
            "hyperparameter file not found: absent.yaml; give a path or one of default",
        ),
        (
            {"augmentation": "absent"},
            "augmentation not found: absent; give a path or one of none, light, barn_night",
        ),
        ({"init_weights": "absent.pt"}, "weights file not found: absent.pt; give a path"),
        ({"mirror": "run"}, "mirror "),
        ({"mirror": "run/inner"}, "mirror "),
        ({"mirror": "."}, "mirror "),
    ],
)
def test_bad_settings_are_told_in_one_line(data, tmp_path, change, told, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        train(data, tmp_path / "run", **FAST | change)
    assert str(caught.value).startswith(told) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "content", "told"),
    [
        ("hyp", b"lr0: [1\n  x: :", "bad.yaml, line 2: not YAML"),
        ("hyp", b"\xff\xfe\x00", "bad.yaml, line 1: not UTF-8"),
        ("hyp", b"- 1\n", "bad.yaml: expected names and numbers, one a line, got list"),
        ("hyp", b"lr0: 5\n", "bad.yaml: lacks lrf, momentum"),
        ("augmentation", b"lr0: [1\n  x: :", "bad.yaml, line 2: not YAML"),
        ("augmentation", b"\xff\xfe\x00", "bad.yaml, line 1: not UTF-8"),
        ("augmentation", b"- 1\n", "bad.yaml: albumentations 2.0.8 cannot read it"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(data, tmp_path, setting, content, told):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        train(data, tmp_path / "run", **FAST, **{setting: tmp_path / "bad.yaml"})
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_only_hyperparameter_files_are_offered(data, tmp_path):
    with pytest.raises(TrainingError) as caught:
        training_settings.hyp_file("absent")
    offered = str(caught.value).partition("one of ")[2].split(", ")
    assert {"default", "few_epochs", "experiment_hyp_v1"} <= {*offered}
    for name in offered:
        training_settings.read_hyp(name)


def test_a_cache_without_room_is_a_warning_of_the_run(data, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARE", 0)
    run = train(data, tmp_path / "run", **FAST | {"epochs": 1})
    assert len(run.warnings) == 1 and run.warnings[0].endswith(
        "every epoch decodes the images anew"
    )


def test_release_weights_are_fetched_once_and_a_lost_network_is_told(
    data, tmp_path, monkeypatch, whole
):
    fetched = []

    def fetch(url, target, progress):
        fetched.append(url)
        if len(fetched) == 1:
            raise OSError("no network")
        shutil.copy(whole.best, target)

    monkeypatch.setattr(checkpoints, "DOWNLOADS", tmp_path / "downloads")
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(
        CheckpointError, match=r"could not download https://.*yolov5n\.pt \(no network\); fetch"
    ):
        train(data, tmp_path / "a", init_weights="yolov5n.pt", **FAST)
    for folder in ("a", "b"):
        train(data, tmp_path / folder, init_weights="yolov5n.pt", **FAST | {"epochs": 1})
    assert fetched == [f"{checkpoints.RELEASE_URL}/yolov5n.pt"] * 2


def test_an_unknown_setting_is_refused(data, tmp_path):
    with pytest.raises(TypeError, match="'imgsz'"):
        train(data, tmp_path / "run", imgsz=64)


def test_weights_of_another_model_are_refused(data, tmp_path, whole):
    with pytest.raises(
        CheckpointError, match=r"best\.pt: only \d+% of its tensors fit yolov5s; give the model"
    ):
        train(data, tmp_path / "run", **FAST | {"model": "yolov5s", "init_weights": whole.best})


def test_compiling_raises_torchs_limit_for_its_own_calls_only(data, tmp_path, monkeypatch):
    usual, inside, between = torch._dynamo.config.recompile_limit, [], []

    def compiled(network):
        def call(images):
            inside.append(torch._dynamo.config.recompile_limit)
            return network(images)

        return call

    def noted(*_):
        between.append(torch._dynamo.config.recompile_limit)

    monkeypatch.setattr(torch, "compile", compiled)
    train(data, tmp_path / "run", **FAST, compile=True, on_epoch=noted)
    assert usual < 64 and set(inside) == {64} and between == [usual] * FAST["epochs"]
    assert torch._dynamo.config.recompile_limit == usual


def test_a_loss_that_is_no_number_stops_with_the_epoch(data, tmp_path, monkeypatch):
    import torch

    from livestock_utils.detect.train import loop

    start = loop.start

    def poisoned(*arguments, **options):
        trainer = start(*arguments, **options)
        loss = trainer.compute_loss
        nothing = torch.tensor([float("nan")]), torch.zeros(3)
        trainer.compute_loss = lambda p, t: loss(p, t) if trainer.epoch < 1 else nothing
        return trainer

    monkeypatch.setattr(loop, "start", poisoned)
    with pytest.raises(
        TrainingError, match=r"the loss is nan in epoch 2, batch 1 .*lower lr0.*before is kept"
    ):
        train(data, tmp_path / "run", **FAST)
    monkeypatch.undo()
    assert len(train(data, tmp_path / "run", **FAST).results) == 3


@pytest.mark.parametrize(
    ("name", "after_bytes", "told"),
    [
        ("resume.pt", 0, "could not save epoch 2 in .*No space left.*goes on after epoch 1"),
        (
            "resume.pt",
            5_000_000,
            "could not save epoch 2 in .*No space left.*goes on after epoch 1",
        ),
        ("results.csv", 0, "could not save epoch 2 in .*No space left.*goes on after epoch 2"),
        ("best.pt", 1_000_000, "could not save epoch 2 in .*No space left.*goes on after epoch 2"),
        (
            "last.pt",
            1_000_000,
            "could not finish the run in .*No space left.*goes on after epoch 3",
        ),
        ("run.json", 10, "could not finish the run in .*No space left.*goes on after epoch 3"),
    ],
)
def test_a_full_disk_stops_with_what_to_do_and_loses_nothing(
    data, tmp_path, monkeypatch, whole_of, name, after_bytes, told
):
    real = files.whole_file

    class Full:
        def __init__(self, file):
            self.file, self.left = file, after_bytes

        def write(self, piece):
            self.left -= len(piece)
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(piece)

        def flush(self):
            self.file.flush()

    @contextlib.contextmanager
    def limited(path, *arguments, **options):
        with real(path, *arguments, **options) as file:
            yield Full(file) if Path(path).name == name else file

    def fill(epoch, row):
        for module in (files, state, checkpoints):
            monkeypatch.setattr(module, "whole_file", limited)

    with pytest.raises(TrainingError, match=told):
        train(data, tmp_path / "run", **FAST, on_epoch=fill)
    assert not list((tmp_path / "run").rglob("*.part"))
    monkeypatch.undo()
    run = train(data, tmp_path / "run", **FAST)
    pd.testing.assert_frame_equal(numbers(run), numbers(whole_of[False]), check_exact=True)
    assert run.record["weights_sha256"] == whole_of[False].record["weights_sha256"]


def test_findings_of_the_data_are_counted_warnings(tmp_path):
    data = write_set(tmp_path / "set")
    images = sorted((tmp_path / "set" / "train" / "images").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:200])
    Path(str(images[1]).replace("images", "labels")).with_suffix(".txt").unlink()
    run = train(data, tmp_path / "run", **FAST | {"epochs": 1})
    assert run.warnings == [
        f"1 of the images: damaged image, left out (first: {images[0].name})",
        f"1 of the images: no label file, background (first: {images[1].name})",
    ]
    assert json.loads((run.folder / "run.json").read_text())["train_images"] == 7


def test_reversed_classes_are_refused(tmp_path):
    data = write_set(tmp_path / "set")
    data.write_text(data.read_text().replace("0: pig", "0: cow").replace("1: cow", "1: pig"))
    with pytest.raises(
        CheckpointError, match=r"data\.yaml: classes \['cow', 'pig'\].*expected \['pig', 'cow'\]"
    ):
        train(data, tmp_path / "run", **FAST)


def test_evaluate_tells_weights_of_other_classes(tmp_path, data, whole):
    other = write_set(tmp_path / "set")
    other.write_text(other.read_text().replace("1: cow", "1: goat"))
    with pytest.raises(
        CheckpointError, match=r"best\.pt: classes \['pig', 'cow'\].*expected \['pig', 'goat'\]"
    ):
        training_run.evaluate(whole.best, other, image_size=64)
    with pytest.raises(DatasetError, match="data file not found"):
        training_run.evaluate(whole.best, tmp_path / "absent.yaml")
