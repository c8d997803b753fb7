"""Several files read as one: the parts in which AI Hub delivers large zips."""

import bisect
import io
import os
from pathlib import Path


class JoinedFile(io.RawIOBase):
    """Read-only view of several files one after the other, as `cat` would join them."""

    def __init__(self, paths: list[Path]):
        """Open the parts, given in order."""
        self._files = [path.open("rb") for path in paths]
        sizes = [path.stat().st_size for path in paths]
        self._starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self._size, self._position = sum(sizes), 0

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
        position = (
            offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        )
        if position < 0:
            raise OSError(f"negative seek position {position}")
        self._position = position
        return position

    def readinto(self, buffer) -> int:
        """Fill the buffer up to the end of the current part; 0 at the end."""
        index = bisect.bisect_right(self._starts, self._position) - 1
        file = self._files[index]
        file.seek(self._position - self._starts[index])
        count = file.readinto(buffer)
        self._position += count
        return count

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes across the parts, all the rest by default; short only at the end."""
        rest = max(self._size - self._position, 0)
        wanted = rest if size is None or size < 0 else min(size, rest)
        pieces = []
        while wanted and (piece := super().read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close all parts."""
        for file in self._files:
            file.close()
        super().close()
