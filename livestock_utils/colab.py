"""What Google Colab needs, nothing else: mount Drive, copy archives to the local disk."""

import errno
import hashlib
import importlib.util
import itertools
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

from livestock_utils.core import mirror
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.progress import progress

log = logging.getLogger(__name__)

DRIVE = Path("/content/drive")
LOCAL_DISK = Path("/content/livestock_local")
_TRIES = 3
MOST_ARCHIVES = 100
"""Files in a folder of archives that are worth a copy: AI Hub's set has six."""
SPARE_BYTES = 20 * 10**9
"""What a copy of the archives leaves free on the local disk, for sets and runs."""
_TRANSIENT = frozenset({errno.ENOTCONN, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN})
"""What a Drive mount answers when it has dropped out."""


def on_colab() -> bool:
    """True inside a Colab runtime, in its notebooks and in the commands started there."""
    return "google.colab" in sys.modules or (
        importlib.util.find_spec("google") is not None
        and importlib.util.find_spec("google.colab") is not None
    )


def mount(folder: Path = DRIVE) -> Path | None:
    """Mount Google Drive, a dropped mount again -> its "MyDrive"; "." outside Colab, None where the
    user refuses access."""
    if not on_colab():
        return Path(".")
    from google.colab import drive, errors

    problem: BaseException | None = None
    for attempt in range(_TRIES):
        try:
            drive.mount(str(folder), force_remount=attempt > 0)
            next(iter((folder / "MyDrive").iterdir()), None)
            return folder / "MyDrive"
        except errors.Error as error:
            log.warning("no access to Google Drive (%s)", error)
            return None
        except (OSError, ValueError) as error:  # ValueError is google.colab's for a failed mount
            problem = error
            log.warning("Drive did not mount (%s), attempt %d of %d", error, attempt + 1, _TRIES)
    raise LivestockError(
        f"Google Drive cannot be mounted ({problem}); run the cell again, and if that does not "
        "help, Runtime > Disconnect and delete runtime"
    ) from problem


def local_disk(out: str | os.PathLike) -> Path:
    """The folder for unpacked sets: the local disk on Colab, else OUT/local."""
    return LOCAL_DISK if on_colab() else Path(out) / "local"


class RunFolder(NamedTuple):
    """Where a training writes, and the folder that gets a copy of it (None: none); a path too."""

    folder: Path
    mirror: Path | None

    def __fspath__(self) -> str:
        """The run folder."""
        return str(self.folder)


def training_folder(out: str | os.PathLike, name: str) -> RunFolder:
    """Where a training writes: on Colab the local disk, mirrored to OUT on Drive; else in OUT."""
    kept = Path(out) / "training" / name
    if not on_colab():
        return RunFolder(kept, None)
    # A place for each OUT: the runs of a batch bear the same name.
    return RunFolder(LOCAL_DISK / "training" / _short_hash(Path(out)) / name, kept)


def _short_hash(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]


def copy_local(source: Path, folder: Path, wait_s: float = 5.0) -> Path:
    """Copy a file from Drive to the local disk, checked by SHA-256; returns the copy. A copy of the
    same size and time is kept; a mount that drops out is tried again."""
    target = folder / source.name
    attempt = 0
    while True:
        attempt += 1
        try:
            status = source.stat()
            if not (target.is_file() and _size_and_time(target) == _size_and_time(source)):
                mirror.copy_checked(source, target)
                os.utime(target, (status.st_atime, status.st_mtime))
            return target
        except FileNotFoundError as error:
            raise LivestockError(f"{source} is not there; check the path below MyDrive") from error
        except OSError as error:
            if error.errno not in _TRANSIENT or attempt == _TRIES:
                raise LivestockError(
                    f"{source} could not be copied to {folder} ({error.strerror or error}); make "
                    "room on the local disk, or mount Drive again"
                ) from error
            log.warning("%s: %s, attempt %d of %d", source, error.strerror, attempt, _TRIES)
            time.sleep(wait_s)


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, int(status.st_mtime)


def at_hand(folder: str | os.PathLike) -> Path:
    """A folder of archives where reading is fast: on Colab a checked copy of Drive's, which is slow
    for reads here and there. Archives that are extracted already, or too large for the local disk,
    are read where they are."""
    source = Path(folder)
    is_on_drive = on_colab() and source.resolve().is_relative_to(DRIVE.resolve())
    if not is_on_drive or not source.is_dir():
        return source
    every = (path for path in source.rglob("*") if path.is_file())
    found = list(itertools.islice(every, MOST_ARCHIVES + 1))
    if len(found) > MOST_ARCHIVES:
        log.warning(
            "%s: more than %d files are read from Drive, which is slow; put AI Hub's zips there as "
            "they came",
            source,
            MOST_ARCHIVES,
        )
        return source
    target = LOCAL_DISK / "archives" / _short_hash(source) / source.name
    target.mkdir(parents=True, exist_ok=True)
    copies = {target / path.relative_to(source): path for path in found}
    for path in {path for path in target.rglob("*") if path.is_file()} - copies.keys():
        path.unlink()
    to_copy = sum(path.stat().st_size for copy, path in copies.items() if not copy.is_file())
    if to_copy + SPARE_BYTES > shutil.disk_usage(target).free:
        log.warning(
            "%s: %.1f GB have no room on the local disk and are read from Drive, which is slow",
            source,
            to_copy / 1e9,
        )
        return source
    for copy, path in progress(copies.items(), desc="to the local disk"):
        copy_local(path, copy.parent)
    return target
