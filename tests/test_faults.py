"""A few real kills of real work; `make faults` does it many times and prints a table."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from training_sets import train, write_set

from livestock_utils.detect.train import run

sys.path.insert(0, str(Path(__file__).parent / "faults"))
import everywhere  # found by the line above
import harness
import jobs


@pytest.mark.parametrize(
    ("kills", "in_finish"), [(1, 1), pytest.param(4, 4, marks=pytest.mark.slow)]
)
def test_a_killed_training_ends_as_if_nothing_had_happened(tmp_path, kills, in_finish, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # another number of threads adds up in another order
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data, epochs = write_set(tmp_path / "set"), 4 + 4 * kills
    done = harness.torture(data, tmp_path, kills, epochs, kills_in_finish=in_finish)
    expected = train(
        data,
        tmp_path / "whole",
        recipe="auto",
        close_mosaic=0.3,
        ema_epochs=1.0,
        epochs=epochs,
        image_size=64,
        batch_size=4,
        warmup_min_iterations=2,
        loggers=(),
        augmentation="light",
    )
    torch.set_num_threads(threads)
    results = pd.read_csv(tmp_path / "killed" / "results.csv")
    pd.testing.assert_frame_equal(
        results.drop(columns=harness.CLOCKS),
        expected.results.drop(columns=harness.CLOCKS),
        check_exact=False,
        atol=1e-4,
    )
    killed = run.Run(tmp_path / "killed")
    assert killed.record["weights_sha256"] == expected.record["weights_sha256"]
    assert run.Run(tmp_path / "mirror").record == killed.record
    assert harness.repeated(tmp_path / "killed") <= harness.damaged(done)


@pytest.mark.slow
@pytest.mark.parametrize("job", ["conversion", "extraction", "silver", "report"])
def test_a_killed_command_given_again_leaves_the_same_bytes(job):
    done = subprocess.run(
        [sys.executable, everywhere.__file__, "--kills=3", "--kills-of-slow=2", f"--job={job}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.splitlines()[-1].removeprefix(job).split()[0]) >= 2


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_harness_finds_what_is_left_half_done(tmp_path, is_whole):
    def do(shared, out, variant):
        if is_whole or not (out / "first.txt").exists():
            (out / "first.txt").write_text("first")
            (out / "second.txt").write_text("second")

    outcome = everywhere.torture(jobs.Job("own", lambda shared: None, do), tmp_path, kills=12)
    assert outcome.kills >= 12 and bool(outcome.differences) == (not is_whole)
