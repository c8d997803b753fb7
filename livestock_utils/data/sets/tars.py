"""Tars written byte for byte the same for the same content, and read without trust.

Refused is what Python's `tarfile` documentation lists under extraction filters, and every link.
"""

import contextlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from livestock_utils.core.errors import DatasetError

_MTIME = 946_684_800
"""Time stamp of every member (2000-01-01), so that tars do not differ by when they were written."""


class TarWriter:
    """Appends members to a seekable binary file; `close` ends the tar."""

    def __init__(self, file: IO[bytes]):
        """Start at the file's present position, which must be its beginning."""
        self._file = file

    def add(self, name: str, data: bytes) -> int:
        """Append one file; returns the position of its data, for `rewrite`."""
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(data), _MTIME, 0o644
        self._file.write(info.tobuf(tarfile.PAX_FORMAT))
        start = self._file.tell()
        self._file.write(data)
        self._file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
        return start

    def rewrite(self, start: int, data: bytes) -> None:
        """Put other data of the same length at `start`."""
        self._file.seek(start)
        self._file.write(data)
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Two empty blocks, then zeros up to a whole record, as GNU tar does."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))


def member_size(n_bytes: int) -> int:
    """Bytes that a member of `n_bytes` takes in a tar: header and padding included."""
    return tarfile.BLOCKSIZE + n_bytes + -n_bytes % tarfile.BLOCKSIZE


def members(path: str | os.PathLike) -> Iterator[tuple[str, IO[bytes]]]:
    """(name, file to read before the next) of each plain file of an uncompressed tar."""
    with _as_dataset_error(path), tarfile.open(path, "r:") as tar:
        while (info := tar.next()) is not None:
            _refuse_unsafe(path, info)
            if file := tar.extractfile(info):  # None for a folder
                yield info.name, file
            tar.members = []  # type: ignore[attr-defined]  # not in the stubs; it would keep every header it has seen


def read_whole(path: str | os.PathLike, name: str, file: IO[bytes]) -> bytes:
    """All bytes of a member; DatasetError if the tar ends inside it."""
    with _as_dataset_error(path):
        return file.read()


@contextlib.contextmanager
def _as_dataset_error(path: str | os.PathLike) -> Iterator[None]:
    if not Path(path).is_file():
        raise DatasetError(f"tar not found: {path}; write the set first, or correct the path")
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise DatasetError(
            f"{path} is not a whole tar ({error}); copy it or write it again"
        ) from error


def _refuse_unsafe(path: str | os.PathLike, info: tarfile.TarInfo) -> None:
    name = info.name
    if (
        name.startswith(("/", "\\"))
        or re.match(r"[A-Za-z]:", name)
        or ".." in re.split(r"[/\\]", name)
    ):
        raise DatasetError(
            f"{path}, member {name!r}: the name leads outside; get the tar from its source again"
        )
    if not (info.isreg() or info.isdir()) or info.issparse():
        raise DatasetError(
            f"{path}, member {name!r}: a link, device or sparse file; get the tar from its source "
            "again"
        )
