"""Copies of a run in a second folder (Google Drive): in the background, checked, never in the training's way."""

import contextlib
import logging
import os
import queue
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from livestock_utils.files import sha256

log = logging.getLogger(__name__)

TRIES, FIRST_WAIT_S = 3, 1.0
"""Attempts to copy a file, and the pause before the second, doubled for the next."""


def copy_checked(source: Path, target: Path) -> None:
    """Copy one file under a temporary name, compare size and SHA-256, rename; raises OSError if they differ."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    try:
        with open(source, "rb") as reader, open(temporary, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
            size = os.fstat(reader.fileno()).st_size
            reader.seek(0)
        if temporary.stat().st_size != size or sha256(temporary) != sha256(source):
            raise OSError(f"the copy of {source.name} differs from it")
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def restore_missing(folder: Path, mirror: Path) -> list[str]:
    """Copy the files that `folder` lacks back from its mirror; returns their names. An unreadable mirror gives none."""
    try:
        names = sorted(path.relative_to(mirror).as_posix() for path in mirror.rglob("*")
                       if path.is_file() and not path.name.endswith((".part", ".new")))
    except OSError as error:
        log.warning("the mirror %s cannot be read (%s): going on without it", mirror, error)
        return []
    missing = [name for name in names if not (folder / name).exists()]
    for name in missing:
        copy_checked(mirror / name, folder / name)
    return missing


class Mirror:
    """A background copier of files below `folder` to the same names below `target`; only the newest request waits."""

    def __init__(self, folder: Path, target: Path) -> None:
        """Start the copying thread."""
        self.folder, self.target = folder, target
        self.failures = 0
        self.last_failure = ""
        self._waiting: queue.Queue[tuple[list[Path], list[str]] | None] = queue.Queue()
        self._idle = threading.Condition()
        self._busy = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self._thread.start()

    def request(self, paths: Iterable[Path], remove: Iterable[str] = ()) -> None:
        """Copy these files soon, then delete the mirror's files that match a pattern of `remove` and are not here."""
        with self._idle:
            with contextlib.suppress(queue.Empty):
                self._waiting.get_nowait()  # an older request that has not begun is overtaken
            self._waiting.put((list(paths), list(remove)))
            self._busy = True

    def wait(self, timeout_s: float = 600) -> str | None:
        """Wait until all requests are done; returns one line about what did not get through, or None."""
        with self._idle:
            if not self._idle.wait_for(lambda: not self._busy, timeout_s):
                self.failures, self.last_failure = self.failures + 1, f"it did not answer for {timeout_s:.0f} s"
        if not self.failures:
            return None
        return (f"the mirror {self.target} failed {self.failures} times (last: {self.last_failure}); "
                "copy the run folder there by hand, or start the same training again when it is back")

    def close(self) -> None:
        """End the thread; a copy that is under way is given up after its current file."""
        self._stop.set()
        self._waiting.put(None)
        self._thread.join(5)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            paths, remove = job
            if all(self._copy(path) for path in paths):  # after one that failed the others wait for the next request
                self._remove(remove)
            with self._idle:
                self._busy = not self._waiting.empty()
                self._idle.notify_all()

    def _copy(self, path: Path) -> bool:
        """Copy one file, again after a pause if it fails; False when it did not get through."""
        target = self.target / path.relative_to(self.folder)
        problem = ""
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
        self.failures, self.last_failure = self.failures + 1, problem
        log.warning("no copy in the mirror %s (%s); the training goes on, the next epoch tries again", self.target,
                    problem)
        return False

    def _remove(self, patterns: list[str]) -> None:
        with contextlib.suppress(OSError):
            for pattern in patterns:
                for old in self.target.glob(pattern):
                    if not (self.folder / old.relative_to(self.target)).exists():
                        old.unlink(missing_ok=True)
