"""Files that are whole or absent: temporary name, flush, rename."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

_LEFTOVER = re.compile(r"\..+\.[a-z0-9_]{8}\.part", re.DOTALL)
_cleared: set[str] = set()
"""Folders searched for leftovers by this process: once each, or n files cost n * n."""


@contextlib.contextmanager
def whole_file(
    path: str | os.PathLike, mode: str = "wb", named: Callable[[], str | os.PathLike] | None = None
) -> Iterator[IO[Any]]:
    """A temporary file beside `path` that takes its name when the block ends without an error;
    `mode` is "wb" or "w" (UTF-8). `named` gives another path in the folder, asked when all is
    written (a name made of a hash). The first write into a folder clears what killed processes
    left."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(target.parent)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    # The system takes the umask off the mode.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, mode, encoding=None if mode == "wb" else "utf-8") as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target if named is None else named())
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all; returns the path."""
    with whole_file(path, "w") as file:
        file.write(text)
    return Path(path)


def write_json(path: str | os.PathLike, value: Any) -> Path:
    """Write `value` as indented JSON with sorted keys, whole or not at all; returns the path."""
    return write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear_leftovers(folder: Path) -> None:
    """Remove temporary files whose writer is gone: those with bytes that nobody has locked."""
    place = os.path.abspath(folder)
    if place in _cleared:
        return
    _cleared.add(place)
    for name in os.listdir(place):
        if _LEFTOVER.fullmatch(name):
            leftover = Path(place, name)
            with contextlib.suppress(OSError), open(leftover, "rb") as file:
                if leftover.stat().st_size and _lock(file):
                    leftover.unlink()


def _lock(file: IO[Any]) -> bool:
    """Lock a file until it is closed; False if another has it or the disk knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
