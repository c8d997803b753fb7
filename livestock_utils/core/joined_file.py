"""Several files read as one: the parts in which AI Hub delivers large zips."""

import bisect
import io
import itertools
import os
from pathlib import Path


class JoinedFile(io.RawIOBase):
    """Read-only view of several files one after the other; `io.BufferedReader` reads across."""

    def __init__(self, paths: list[Path]):
        """Open the parts, given in order."""
        self._files = [path.open("rb") for path in paths]
        *self._starts, self._size = itertools.accumulate(
            (path.stat().st_size for path in paths), initial=0
        )
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position from the start of the first file."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as in one file."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        if starts[whence] + offset < 0:
            raise OSError(f"negative seek position {starts[whence] + offset}")
        self._position = starts[whence] + offset
        return self._position

    def readinto(self, buffer) -> int:
        """Fill the buffer up to the end of the current part; 0 at the end."""
        index = bisect.bisect_right(self._starts, self._position) - 1
        self._files[index].seek(self._position - self._starts[index])
        count = self._files[index].readinto(buffer)
        self._position += count
        return count

    def close(self) -> None:
        """Close all parts."""
        for file in self._files:
            file.close()
        super().close()
