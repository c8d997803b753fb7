"""Copies of a run in a second folder: in the background, checked, never in its way."""

import contextlib
import hashlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from livestock_utils.core.files import sha256
from livestock_utils.core.locks import BEAT_S, LOCK, NOTE, Note

log = logging.getLogger(__name__)

TRIES, FIRST_WAIT_S = 3, 1.0
"""Attempts to copy a file, and the pause before the second, doubled for the next."""
_NOT_COPIED = frozenset({LOCK, NOTE})
"""Files that belong to their place."""

T = TypeVar("T")


def retried(action: Callable[[], T]) -> T:
    """The result of `action`, tried again after a pause on OSError; the last one is raised."""
    for attempt in range(TRIES - 1):
        try:
            return action()
        except OSError as error:
            log.warning("%s, attempt %d of %d", error, attempt + 1, TRIES)
            time.sleep(FIRST_WAIT_S * 2**attempt)
    return action()


def copy_checked(source: Path, target: Path) -> None:
    """Copy a file under a temporary name, compare size and SHA-256, rename; else OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    try:
        digest = hashlib.sha256()
        with open(source, "rb") as reader, open(temporary, "wb") as writer:
            while block := reader.read(1 << 20):  # read once: it may lie on Drive
                digest.update(block)
                writer.write(block)
            writer.flush()
            os.fsync(writer.fileno())
            size = os.fstat(reader.fileno()).st_size
        if temporary.stat().st_size != size or sha256(temporary) != digest.hexdigest():
            raise OSError(f"the copy of {source.name} differs from it")
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def whole_files(folder: Path) -> list[Path]:
    """The whole files of a run folder or mirror, run.json last: then all else has arrived."""
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".part" and path.name not in _NOT_COPIED
    ]
    return sorted(found, key=lambda path: (path.name == "run.json", path))


def restore_missing(
    folder: Path,
    mirror: Path,
    replace: bool = False,
    leave: Callable[[Path], bool] = lambda path: False,
) -> list[str]:
    """Copy what `folder` lacks (with `replace`: all), but not `leave`'s, from its mirror; returns
    the names. OSError while the mirror cannot be read."""
    names = [path.relative_to(mirror) for path in whole_files(mirror) if not leave(path)]
    back = [name for name in names if replace or not (folder / name).exists()]
    for name in back:
        copy_checked(mirror / name, folder / name)
    return [name.as_posix() for name in back]


def sweep(folder: Path) -> None:
    """Delete the temporary files that killed writers left in a folder that nobody else uses."""
    for left in list(folder.rglob(".*.part")):
        left.unlink(missing_ok=True)


class Mirror:
    """A background copier from `folder` to `target`; only the newest request waits."""

    def __init__(self, folder: Path, target: Path) -> None:
        """Start the copying thread."""
        self.folder, self.target = folder, target
        self.note = Note(target)
        self.failures, self.last_failure = 0, ""  # the last request's, "" when it got through
        self._waiting: queue.Queue[tuple[list[Path], list[str]] | None] = queue.Queue()
        self._idle = threading.Condition()
        self._busy = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def request(self, paths: Iterable[Path], remove: Iterable[str] = ()) -> None:
        """Copy these files soon, then delete the mirror's that match `remove` and are not here."""
        with self._idle:
            with contextlib.suppress(queue.Empty):
                self._waiting.get_nowait()  # an older request that has not begun is overtaken
            self._waiting.put((list(paths), list(remove)))
            self._busy = True

    def wait(self, timeout_s: float = 600) -> str | None:
        """Wait for all requests; one line if the last did not get through, or None."""
        with self._idle:
            if not self._idle.wait_for(lambda: not self._busy, timeout_s):
                self._failed(f"it did not answer for {timeout_s:.0f} s")
        if not self.last_failure:
            return None
        return (
            f"the mirror {self.target} failed {self.failures} times (last: {self.last_failure}); "
            "copy the run folder there by hand, or start the same training again when it is back"
        )

    def close(self) -> None:
        """End the thread and take the note away; a copy under way ends with its current file."""
        self._stop.set()
        self._waiting.put(None)
        self._thread.join(5)
        with contextlib.suppress(OSError):
            self.note.remove()

    def _work(self) -> None:
        while True:
            try:
                job = self._waiting.get(timeout=BEAT_S)
            except queue.Empty:
                self._other()
                continue
            if job is None:
                return
            self.last_failure = ""
            if other := self._other():
                self._failed(f"it is in use by {other}")
            elif all(map(self._copy, job[0])):  # after a failure the others wait for the next one
                self._remove(job[1])
            with self._idle:
                self._busy = not self._waiting.empty()
                self._idle.notify_all()

    def _other(self) -> str | None:
        """Renew the note, or tell who has taken the mirror over meanwhile."""
        with contextlib.suppress(OSError):  # copying tells
            if other := self.note.other():
                return other
            self.note.renew()
        return None

    def _failed(self, problem: str) -> None:
        self.failures, self.last_failure = self.failures + 1, problem
        log.warning(
            f"no copy in the mirror {self.target} ({problem}); the training goes on, the next "
            "epoch tries again"
        )

    def _copy(self, path: Path) -> bool:
        """Copy one file, again after a pause if it fails; False when it did not get through."""
        target, problem = self.target / path.relative_to(self.folder), ""
        for attempt in range(TRIES):
            try:
                copy_checked(path, target)
                return True
            except OSError as error:
                if not path.exists():
                    return False  # a newer one has taken its place; the next request brings it
                problem = f"{path.name}: {error}"
            if attempt < TRIES - 1 and self._stop.wait(FIRST_WAIT_S * 2**attempt):
                break
        self._failed(problem)
        return False

    def _remove(self, patterns: list[str]) -> None:
        with contextlib.suppress(OSError):
            for pattern in patterns:
                for old in self.target.glob(pattern):
                    if not (self.folder / old.relative_to(self.target)).exists():
                        os.truncate(old, 0)  # what Drive keeps in its bin counts against the quota
                        old.unlink(missing_ok=True)
