"""Preflight and planner: the worst line first, the published epoch comes back, recipes by data
size."""

import re
import sys
import types

import numpy as np
import pandas as pd
import pytest
import torch
from training_sets import write_set

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.settings import TrainSettings, read_hyp
from livestock_utils.detect.train import planner, preflight
from livestock_utils.show.displays import training as displays
from livestock_utils.show.words import training as words

CU128 = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
T4 = preflight.Gpu("Tesla T4", 15_800_000_000, (7, 5), CU128)
P100 = preflight.Gpu("Tesla P100-PCIE-16GB", 17_000_000_000, (6, 0), CU128)


@pytest.fixture(autouse=True)
def _a_gpu_that_fits(monkeypatch):
    monkeypatch.setattr(preflight, "gpus", lambda: [T4])


def plan_of(model, image_size, batch_size, n_images, epochs, seconds_here=None, nominal_batch=64):
    settings = TrainSettings(
        model=model,
        image_size=image_size,
        batch_size=batch_size,
        epochs=epochs,
        nominal_batch=nominal_batch,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "time_steps", lambda *_: seconds_here)
        return planner.plan(settings, n_images)


@pytest.mark.parametrize(
    ("capability", "kernels", "runs"),
    [
        ((6, 0), CU128, False),
        ((6, 0), ("sm_60", "sm_70"), True),
        ((6, 1), ("sm_60",), True),
        ((6, 0), ("sm_61",), False),
        ((8, 9), CU128, True),
        ((12, 1), ("sm_90", "compute_90"), True),
        ((9, 0), ("sm_90a",), True),
        ((7, 5), (), False),
    ],
)
def test_kernels_of_a_build_against_a_gpu(capability, kernels, runs):
    assert preflight.Gpu("x", 0, capability, kernels).has_kernels is runs


def test_a_p100_on_a_build_without_its_kernels_is_stopped_with_what_to_do(monkeypatch):
    fine = preflight.checks()
    monkeypatch.setattr(preflight, "gpus", lambda: [P100])
    table = preflight.checks()
    assert table.iloc[0][["check", "state"]].tolist() == ["GPU", "stop"]
    told = (
        r"preflight: GPU: Tesla P100.* no kernels for sm_60; choose another GPU .*T4.*CUDA 12\.6 "
        r"or older: pip "
        r"install torch torchvision --index-url https://download\.pytorch\.org/whl/cu126, then "
        r"restart the runtime"
    )
    with pytest.raises(TrainingError, match=told):
        preflight.require(table)
    assert preflight.require(fine) is fine
    assert fine.loc[fine["check"] == "GPU", "found"].item() == "Tesla T4, 16 GB, sm_75"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            [],
            r"^GPU: none, \d+ CPU cores \(fine .*; on Colab choose Runtime > Change runtime type > "
            r"T4 GPU\)\.$",
        ),
        ([T4], r"^GPU: Tesla T4, 16 GB, sm_75\.$"),
    ],
)
def test_one_sentence_about_the_gpu(monkeypatch, found, told):
    monkeypatch.setattr(preflight, "gpus", lambda: found)
    assert re.search(told, preflight.gpu_sentence())


def test_the_sentence_about_a_gpu_without_kernels_is_an_error(monkeypatch):
    monkeypatch.setattr(preflight, "gpus", lambda: [P100])
    with pytest.raises(
        TrainingError,
        match=r"^preflight: GPU: Tesla P100.* no kernels for sm_60; choose another GPU",
    ):
        preflight.gpu_sentence()


def test_everything_about_the_data_and_weights_is_looked_at(tmp_path):
    data = write_set(tmp_path / "set")
    next((tmp_path / "set" / "train" / "labels").iterdir()).unlink()
    settings = TrainSettings(model="yolov5x6", init_weights=tmp_path / "absent.pt", hyp="absent")
    table = preflight.checks(data, settings=settings)
    states = table.set_index("check")["state"]
    assert states[["init weights", "hyperparameters"]].tolist() == ["stop", "stop"]
    assert states[["data set", "weights budget"]].tolist() == ["look", "look"]
    assert states["class order"] == "ok"
    assert list(table["state"]) == sorted(table["state"], key=preflight._STATES.index)
    with pytest.raises(TrainingError, match=r"^preflight: .*\(1 more\)$"):
        preflight.require(table)
    data.write_text(data.read_text().replace("0: pig", "0: cow").replace("1: cow", "1: pig"))
    row = preflight.checks(data).iloc[0]
    assert (
        row[["check", "state"]].tolist() == ["class order", "stop"]
        and "expected pig, cow" in row["what_to_do"]
    )
    assert preflight.checks(tmp_path / "absent.yaml").iloc[0]["check"] == "data set"


@pytest.mark.parametrize(
    ("hyp", "state", "told"),
    [
        (None, "ok", ""),
        ("few_epochs", "ok", ""),
        (read_hyp(None), "ok", ""),
        ("lr0: 5\n", "stop", "lacks lrf"),
        ("lr0: [1\n x: :", "stop", "not YAML"),
        ({**read_hyp(None), "lr0": 5}, "stop", "hyp: lr0 must be a number from 0 to 1, got 5"),
    ],
)
def test_hyperparameters_are_read_not_only_found(tmp_path, hyp, state, told):
    if isinstance(hyp, str) and "\n" in hyp:
        (tmp_path / "h.yaml").write_text(hyp)
        hyp = tmp_path / "h.yaml"
    row = (
        preflight.checks(settings=TrainSettings(hyp=hyp)).set_index("check").loc["hyperparameters"]
    )
    assert row["state"] == state and told in row["what_to_do"]


def test_the_disk_is_named_by_the_last_folders_that_exist(tmp_path):
    row = preflight.checks(folder=tmp_path / "a" / "b").set_index("check").loc["disk"]
    assert row["found"].endswith(f"GB free for {tmp_path.parent.name}/{tmp_path.name}")


def test_an_untested_python_gets_a_look(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert preflight.checks().set_index("check").loc["Python", "state"] == "look"


def test_the_published_epoch_comes_back():
    plan = plan_of("yolov5m6", 1280, 10, 13_164, 20)
    assert plan.loc["P100", "epoch_minutes"] == pytest.approx(50)
    assert plan.loc["P100", "total_hours"] == pytest.approx(16.7, abs=0.1)
    assert plan.loc["P100", "fits"] and plan.loc["P100", "epochs_a_session"] == 14
    assert planner.weights_bytes("yolov5m6", 2) / 1e6 == pytest.approx(
        71.6, abs=1
    )  # the write-up's file


def test_a_batch_that_is_too_large_is_replaced_by_accumulation():
    plan = plan_of("yolov5x6", 1280, 16, 1000, 1)
    assert not plan["fits"].any() and (plan["largest_batch"] >= 1).all()
    assert (plan["accumulate"] * plan["largest_batch"]).between(48, 80).all()


def test_this_machine_is_timed():
    seconds = planner.time_steps("yolov5n", 64, 2, n_steps=1)
    plan = plan_of("yolov5n", 64, 2, 100, 3, seconds)
    assert plan.loc["this machine", "epoch_minutes"] == pytest.approx(seconds * 100 / 60)
    with pytest.raises(TrainingError, match="unknown model 'yolov9'"):
        plan_of("yolov9", 64, 2, 100, 3)


@pytest.mark.parametrize(
    ("free_gb", "times", "fits", "largest"),
    [(100, 1, True, 64), (100, 2, True, 64), (0.5, 1, False, 0)],
)
def test_the_memory_of_this_machine_is_looked_at(monkeypatch, free_gb, times, fits, largest):
    monkeypatch.setattr(planner, "memory_here", lambda: (free_gb, times))
    row = plan_of("yolov5n", 640, 16, 100, 3, 0.05).loc["this machine"]
    assert row["fits"] == fits and row["largest_batch"] == largest
    per_image, fixed = planner.memory_gb("yolov5n", 640)
    assert row["memory_gb"] == pytest.approx(fixed + 16 * per_image * times)


def test_free_memory_is_that_of_the_computer_where_there_is_no_gpu():
    assert planner.memory_here()[0] > 0.1 and planner.memory_here()[1] == (
        1.0 if torch.cuda.is_available() else 2.0
    )


@pytest.mark.parametrize(
    ("fitting", "tried", "seconds"), [(2, [2], 2.0), (1, [2, 1], 1.0), (0, [2, 1], None)]
)
def test_a_batch_that_does_not_fit_is_halved_until_it_does(monkeypatch, fitting, tried, seconds):
    seen = []

    def step_seconds(device, model, image_size, batch_size, n_steps, limit_s):
        seen.append(batch_size)
        if batch_size > fitting:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return float(batch_size)

    monkeypatch.setattr(planner, "_step_seconds", step_seconds)
    assert planner.time_steps("yolov5n", 64, 8) == seconds and seen == tried


@pytest.mark.parametrize("took", [[9.0, 0.5, 30.0, 0.4, 12.0], [0.4, 30.0, 30.0, 30.0, 30.0]])
def test_a_step_that_another_program_held_up_makes_no_estimate(monkeypatch, took):
    ticks = iter(np.cumsum([0.0, *(part for seconds in took for part in (seconds, 0.0))]))
    monkeypatch.setattr(planner, "time", types.SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert planner.time_steps("yolov5n", 64, 2, n_steps=4, limit_s=99) == pytest.approx(0.2)


def test_the_steps_that_are_timed_end_in_time():
    assert planner.time_steps("yolov5n", 64, 2, n_steps=10**6, limit_s=0.5) > 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.6, "10 s"),
        (89, "89 s"),
        (90, "1.5 min"),
        (3000, "50 min"),
        (60_000, "16.7 h"),
        (90_000, "25 h"),
    ],
)
def test_durations_have_digits_and_a_unit(seconds, text):
    assert words.duration(seconds) == text


def test_a_plan_to_be_read_and_to_be_held_against_the_run():
    plan = plan_of("yolov5n", 64, 2, 100, 3, 0.05, nominal_batch=4)
    table = displays.plan(plan).table
    assert table.loc["this machine", ["accumulate", "an_epoch", "all_epochs"]].tolist() == [
        1,
        "5.0 s",
        "15 s",
    ]
    assert table.loc["T4", "memory"].endswith(" GB") and table.loc["T4", "fits"]
    results = pd.DataFrame({"seconds/train": [4.0, 6.0, 9.0], "seconds/valid": [1.0, 1.0, 2.0]})
    assert words.measured(plan, results).startswith(
        "We estimated 5.0 s per epoch; it took 6.0 s for training, and 1.0 s for validation"
    )
    for nothing in ((plan, results.iloc[:0]), (plan.drop(index="this machine"), results)):
        assert "no estimate" in words.measured(*nothing)


def test_the_hyp_files_say_what_they_claim():
    table, run = read_hyp("experiment_hyp_v1"), read_hyp("experiment_hyp_v1_as_run")
    assert read_hyp("default") == read_hyp(None)
    assert {name: (table[name], run[name]) for name in table if table[name] != run[name]} == {
        "flipud": (0.0095, 0),
        "fliplr": (0.1, 0.5),
    }
    some = ("lr0", "lrf", "momentum", "weight_decay", "warmup_epochs", "box", "obj", "hsv_v")
    assert [table[name] for name in some] == [0.009, 0.08, 0.94, 0.001, 0.11, 0.02, 0.2, 0.9]
