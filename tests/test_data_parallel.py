"""Several processes: torchrun's variables, its command, and two CPU processes that train one model."""

import os
import subprocess
import sys

import pytest
from training_sets import write_set

from livestock_utils import data_parallel, training
from livestock_utils.errors import TrainingError


@pytest.mark.parametrize(("variables", "expected"), [
    ({}, data_parallel.Ranks(-1, -1, 1)),
    ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}, data_parallel.Ranks(-1, -1, 1)),
    ({"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}, data_parallel.Ranks(3, 1, 4)),
])
def test_ranks_come_from_torchruns_variables(monkeypatch, variables, expected):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert data_parallel.ranks() == expected
    assert data_parallel.ranks().leads is (expected.rank != 3)


def test_half_set_variables_are_told(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(TrainingError, match="LOCAL_RANK, WORLD_SIZE not set"):
        data_parallel.ranks()


def test_the_command_for_one_machine():
    settings = {"batch_size": 20, "init_weights": "a.pt", "hyp": None}
    assert data_parallel.torchrun_command(2, "data.yaml", "runs/two", settings) == [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "livestock_utils",
        "train", "data.yaml", "runs/two", "--batch-size", "20", "--init-weights", "a.pt"]


def test_the_command_for_two_machines():
    command = data_parallel.torchrun_command(4, "d", "r", n_machines=2, machine=1, leader="host:29500")
    assert command[3:13] == ["--nnodes", "2", "--node_rank", "1", "--rdzv_backend", "c10d", "--rdzv_endpoint",
                             "host:29500", "--nproc_per_node", "4"]


@pytest.mark.parametrize(("arguments", "message"), [
    ({"n_processes": 3, "settings": {"batch_size": 16}}, "batch_size must be a multiple of the 3 processes, got 16"),
    ({"n_processes": 0}, "cannot start 0 processes"),
    ({"n_processes": 1, "n_machines": 2}, "the leader as host:port"),
])
def test_what_cannot_start_is_told(arguments, message):
    with pytest.raises(TrainingError, match=message):
        data_parallel.torchrun_command(data_yaml="d", run_folder="r", **arguments)


@pytest.mark.slow
def test_two_processes_train_one_model_and_go_on(tmp_path):
    data = write_set(tmp_path / "set")
    command = data_parallel.torchrun_command(2, data, tmp_path / "run", {
        "epochs": 2, "image_size": 64, "batch_size": 4, "warmup_min_iterations": 2, "device": "cpu"})
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    run = training.Run(tmp_path / "run")
    assert run.finished and len(run.results) == 2 and run.best.is_file()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr[-3000:]
