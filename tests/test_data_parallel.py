"""Several processes: torchrun's variables, and two CPU processes that train one model."""

import dataclasses
import inspect
import os
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from training_sets import write_set

import livestock_utils as lu
from livestock_utils.cli import cli
from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.train import parallel
from livestock_utils.detect.train import run as training_run


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, parallel.Ranks(-1, -1, 1)),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}, parallel.Ranks(-1, -1, 1)),
        ({"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}, parallel.Ranks(3, 1, 4)),
    ],
)
def test_ranks_come_from_torchruns_variables(monkeypatch, variables, expected):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert parallel.ranks() == expected
    assert parallel.ranks().leads is (expected.rank != 3)


def test_half_set_variables_are_told(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(TrainingError, match="LOCAL_RANK, WORLD_SIZE not set"):
        parallel.ranks()


def words(given):
    """Settings as words of the command line, but for those that are as usual."""
    usual = vars(lu.TrainSettings()) | {"teacher": None, "mirror": None, "trust": False}
    for name, value in given.items():
        option = name.replace("_", "-")
        if value == usual.get(name, ...):
            continue
        if isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        elif isinstance(value, tuple):
            yield from (f"--{option}", ",".join(value))
        else:
            yield from (f"--{option}", "none" if value is None else str(value))


GIVEN = {
    "recipe": "yolov5",
    "minutes": None,
    "head": "fresh",
    "close_mosaic": 0.25,
    "ema_epochs": 1.0,
    "negatives": "doubted",
    "missing_share": 0.25,
    "blend": 0.2,
    "compile": True,
    "model": "yolov5s",
    "init_weights": "a.pt",
    "hyp": "few_epochs",
    "epochs": 3,
    "image_size": 320,
    "batch_size": 20,
    "optimizer": "AdamW",
    "schedule": "cosine",
    "freeze": 10,
    "seed": 4,
    "workers": 2,
    "cache": "disk",
    "augmentation": "light",
    "patience": 7,
    "best_metric": "fitness",
    "warmup_min_iterations": 20,
    "nominal_batch": 16,
    "autoanchor": False,
    "amp": False,
    "teacher": "t.csv",
    "teacher_weight": 0.5,
    "mirror": "m",
    "device": "cpu",
    "trust": True,
    "loggers": "wandb,mlflow",
    "final_evaluation": False,
}
OTHER = {
    "batch_size": "auto",
    "cache": None,
    "loggers": ("tensorboard", "mlflow"),
    "hyp": None,
    "amp": True,
    "trust": False,
}


@pytest.mark.parametrize("given", [{}, GIVEN, OTHER])
def test_every_setting_of_train_arrives_through_the_command(tmp_path, monkeypatch, given):
    known = {field.name for field in dataclasses.fields(lu.TrainSettings)}
    beside = set(inspect.signature(lu.train).parameters) - {
        *("train", "valid", "folder", "settings", "on_epoch", "tags")
    }
    assert {*GIVEN} == known | beside
    (tmp_path / "d.yaml").touch()
    got = {}

    def train(data_yaml, valid, folder, settings, **others):
        got.update(settings=settings, **others)
        return training_run.Run(tmp_path)

    monkeypatch.setattr("livestock_utils.show.training.train", train)
    monkeypatch.setattr(training_run.Run, "results", [])
    settings = lu.TrainSettings(**{name: given[name] for name in known & {*given}})
    others = {name: given[name] for name in beside & {*given}}
    command = ["train", str(tmp_path / "d.yaml"), str(tmp_path / "run"), *words(given)]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert got.pop("settings") == settings
    assert {**got, "mirror": got["mirror"] and str(got["mirror"])}.items() >= others.items()


@pytest.mark.parametrize("name", GIVEN)
def test_the_commands_defaults_are_those_of_train(name):
    option = {option.name: option for option in cli.commands["train"].params}[name]
    parameters = inspect.signature(lu.train).parameters
    default = (
        parameters[name].default
        if name in parameters
        else {field.name: field.default for field in dataclasses.fields(lu.TrainSettings)}[name]
    )
    assert option.to_info_dict()["default"] == default


@pytest.mark.parametrize("name", ["epoch", "on_epoch"])
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(TypeError, match=name):
        lu.TrainSettings(**{name: 3})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0", "device must be cpu, cuda, or cuda:0 and so on, got '0'"),
        ("gpu", "device must be cpu, cuda, or cuda:0 and so on, got 'gpu'"),
        ("cuda", "device 'cuda' is not here, torch sees 0 GPUs; take cpu, or leave device out"),
        ("cuda:3", "device 'cuda:3' is not here, torch sees 0 GPUs"),
    ],
)
def test_a_device_that_is_not_there_is_told(monkeypatch, name, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(parallel.device_of(None)) == str(parallel.device_of("cpu")) == "cpu"
    with pytest.raises(TrainingError, match=message):
        parallel.device_of(name)


@pytest.mark.slow
def test_two_processes_train_one_model_and_go_on(tmp_path):
    data = write_set(tmp_path / "set")
    settings = {"epochs": 2, "image_size": 64, "batch_size": 4, "warmup_min_iterations": 2}
    launcher = "-m torch.distributed.run --standalone --nproc_per_node 2 -m livestock_utils train"
    command = [sys.executable, *launcher.split(), str(data), str(tmp_path / "run")]
    command += words(settings | {"device": "cpu"})
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = training_run.Run(tmp_path / "run")
    assert run.finished and len(run.results) == 2 and run.best.is_file()
    again = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert again.returncode == 0, again.stderr[-3000:]
