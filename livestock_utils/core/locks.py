"""One training at a time: a lock on its run folder, a dated note in its mirror.

The lock (`.lock`) goes with its process, however that ends. The note (`in_use.json`) is removed at
the end; one that a lost machine left counts until it is FRESH_S old, or deleted by hand.
"""

import contextlib
import datetime
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil

from livestock_utils.core import files
from livestock_utils.core.errors import TrainingError

LOCK, NOTE = ".lock", "in_use.json"
BEAT_S, FRESH_S = 120, 600
"""How often a note is renewed, and how old one may be that still keeps others out."""

_held: set[IO[Any]] = set()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; TrainingError with process and host if another has it. Without
    effect where the disk knows no locks or the folder cannot be written."""
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(open(folder / LOCK, "a+", encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        except BlockingIOError as error:
            file.seek(0)
            raise TrainingError(
                f"{folder} is being trained by {file.read() or 'another process'}; wait for its "
                "end or stop it, or name another run folder"
            ) from error
        except OSError:
            yield
            return
        _held.add(file)
        opened.callback(_held.discard, file)
        yield


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process at a time is in this block with `folder`, made if absent; others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        # A file system without locks: each still writes whole files.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _let_go() -> None:
    for file in _held:  # the training's alone: workers outlive a killed one for some seconds
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


class Note:
    """The note of this process in a mirror; OSError while the disk does not answer."""

    def __init__(self, mirror: Path) -> None:
        """Nothing is read or written yet."""
        self.path = mirror / NOTE
        self.mine = {"host": socket.gethostname(), "pid": os.getpid()}

    def other(self) -> str | None:
        """Who else uses the mirror, by a note that is still fresh, in words; None for nobody."""
        found, age_s = self._read()
        if not found or age_s > FRESH_S or found == self.mine:
            return None
        pid, host = found["pid"], found["host"]
        if host == self.mine["host"] and not psutil.pid_exists(pid):
            return None
        return f"process {pid} on {host} (seen {max(age_s, 0) / 60:.0f} minutes ago)"

    def renew(self) -> None:
        """Write the note with the time of now."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        files.write_json(self.path, {**self.mine, "time": now})

    def remove(self) -> None:
        """Delete the note if it is ours."""
        if self._read()[0] == self.mine:
            self.path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, Any], float]:
        """The note and its age in seconds; an empty one if there is none that can be understood."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(
                found["time"]
            )
            return {"host": str(found["host"]), "pid": int(found["pid"])}, age.total_seconds()
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return {}, 0.0
