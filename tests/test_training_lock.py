"""The lock of a run folder goes with its process; the note in a mirror counts while fresh and its
writer alive."""

import datetime
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from livestock_utils.core import locks
from livestock_utils.core.errors import TrainingError

KILLED_WITH_A_WORKER = """
import os, pathlib, signal, sys
from livestock_utils.core import locks as training_lock
with training_lock.held(pathlib.Path(sys.argv[1])):
    if os.fork() == 0:
        print("worker", flush=True)
        sys.stdin.read()
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_keeps_others_out_while_it_is_held(tmp_path):
    with (
        locks.held(tmp_path),
        pytest.raises(TrainingError, match="is being trained by process"),
        locks.held(tmp_path),
    ):
        pytest.fail("held twice")
    with locks.held(tmp_path):
        assert str(os.getpid()) in (tmp_path / locks.LOCK).read_text()


def test_a_killed_process_has_no_lock_even_if_its_worker_still_runs(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_WITH_A_WORKER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "worker\n" and process.wait() == -signal.SIGKILL
    with locks.held(tmp_path):
        process.stdin.close()
        process.stdout.close()


def test_a_folder_that_cannot_be_locked_is_no_obstacle(tmp_path):
    (tmp_path / locks.LOCK).mkdir()
    with locks.held(tmp_path):
        pass


HERE = socket.gethostname()
NO_PID = 99_999_999  # beyond what systems give


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (None, None),
        ("", None),
        ("[]", None),
        ({"host": "elsewhere"}, None),
        (
            {"host": "elsewhere", "pid": 7, "age_s": 61},
            "process 7 on elsewhere (seen 1 minutes ago)",
        ),
        (
            {"host": "elsewhere", "pid": 7, "age_s": -99},
            "process 7 on elsewhere (seen 0 minutes ago)",
        ),
        ({"host": "elsewhere", "pid": 7, "age_s": locks.FRESH_S + 5}, None),
        ({"host": HERE, "pid": os.getpid(), "age_s": 0}, None),
        ({"host": HERE, "pid": NO_PID, "age_s": 0}, None),
        (
            {"host": HERE, "pid": os.getppid(), "age_s": 0},
            f"process {os.getppid()} on {HERE} (seen 0 minutes ago)",
        ),
    ],
)
def test_whose_note_counts(tmp_path, note, told):
    if isinstance(note, dict):
        time = datetime.datetime.now(datetime.UTC) - datetime.timedelta(
            seconds=note.pop("age_s", 0)
        )
        note = json.dumps({**note, "time": time.isoformat()})
    if note is not None:
        (tmp_path / locks.NOTE).write_text(note)
    assert locks.Note(tmp_path).other() == told


def test_only_the_own_note_is_removed(tmp_path):
    mine, theirs = locks.Note(tmp_path), locks.Note(tmp_path)
    theirs.mine = {"host": "elsewhere", "pid": 7}
    theirs.renew()
    mine.remove()
    assert theirs.path.is_file()
    mine.renew()
    mine.remove()
    assert not mine.path.exists()
