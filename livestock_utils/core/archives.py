"""Archives read member by member, never extracted: a zip, a zip in parts as AI Hub delivers it
(`x.zip.part0` or `x.zip.001`, ...), or an extracted folder."""

import contextlib
import io
import lzma
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.joined_file import JoinedFile
from livestock_utils.core.text import nfc, one_line

PART = re.compile(r"\.(?:part)?(\d+)$")
"""How the names of the parts of a zip end."""
HERE = "."
"""The archive of photos that are plain files: `member` is their path, from the folder on."""
SUFFIXES = {"images": (".jpg", ".jpeg"), "labels": (".json",)}
"""Kind of an archive -> endings of the members that count, in lower case."""
_MAX_MEMBER_BYTES = 256 << 20
"""A member that unpacks to more is refused: labels are kilobytes, photos a few megabytes."""
_MAX_RATIO = 200
"""A member over 1 MiB that unpacks to more than so many times its size is refused (zip bomb)."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError),
)
"""What zipfile raises on damaged zips; NotImplementedError, UnicodeDecodeError by the last two."""
_UNSAFE = re.compile(r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|[\x00-\x1f]|(?:^|/)\.{2,3}[A-Za-z]+$")
"""Absolute names, names that climb out, control characters, stems that would be dots."""
_LITTER = re.compile(r"^__MACOSX/|(?:^|/)(?:\.[^/]*|thumbs\.db|desktop\.ini)$", re.IGNORECASE)
"""What macOS and Windows leave in archives."""


def place_of(archive: str, member: str) -> str:
    """How messages name a member: with its archive, unless it is a plain file."""
    return member if archive == HERE else f"{archive}, member {member}"


class Archive:
    """An opened archive: `members` maps names (NFC, "/" between folders) to sizes in bytes, in its
    order. Reading is thread-safe."""

    members: dict[str, int]
    _advice = ""

    def __init__(self, path: str):
        """`path` is the archive's name in messages and tables."""
        self.path = path
        self._wanted: dict[str, list[str]] = {}

    def __str__(self) -> str:
        """Its name."""
        return self.path

    def read(self, member: str, limit: int | None = None) -> bytes:
        """The bytes of a member, or its first `limit`; ArchiveError if absent or damaged."""
        try:
            with self._open(member) as file:
                return file.read(-1 if limit is None else limit)
        except (KeyError, *_ZIP_ERRORS) as error:
            self._check(member)
            what = f"{place_of(self.path, member)}: cannot be read ({one_line(error)})"
            raise ArchiveError(what, self._advice) from error

    def crc(self, member: str) -> int:
        """CRC-32 of a member: from the zip's directory, or computed for an extracted file."""
        return zlib.crc32(self.read(member))

    def stamp(self, member: str) -> str:
        """Size of a member, in a zip with its CRC: tells other bytes without reading them."""
        return str(self.size(member))

    def size(self, member: str) -> int:
        """Bytes of a member; ArchiveError if absent."""
        self._check(member)
        return self.members[member]

    def close(self) -> None:
        """Close the file under it."""

    def wanted(self, kind: str) -> list[str]:
        """Members of the kind "images" or "labels", in the archive's order, without litter."""
        if kind not in self._wanted:
            endings = SUFFIXES[kind]
            named = [name for name in self.members if name.lower().endswith(endings)]
            if not _is_plain(named):
                named = [name for name in named if not _LITTER.search(name)]
            self._wanted[kind] = named
        return self._wanted[kind]

    def others(self, kind: str) -> list[str]:
        """Members that are neither of the kind nor litter nor folders."""
        wanted = set(self.wanted(kind))
        if len(wanted) == len(self.members):
            return []
        rest = [name for name in self.members if name not in wanted and not name.endswith("/")]
        return [name for name in rest if not _LITTER.search(name)]

    def _open(self, member: str) -> IO[bytes]:
        raise NotImplementedError

    def _check(self, member: str) -> None:
        if member not in self.members:
            raise ArchiveError(
                f"{self.path} has no member {member!r}",
                "the tables are of another archive, read them again",
            )


class _ZipArchive(Archive):
    """A zip, or the parts of one read as if they were joined."""

    _advice = "download the archive again"

    def __init__(self, path: str, files: list[Path]):
        super().__init__(path)
        try:
            one = files[0].open("rb") if len(files) == 1 else None
            self._file = one or io.BufferedReader(JoinedFile(files))
        except OSError as error:
            raise ArchiveError(
                f"{path} cannot be opened ({one_line(error)})", "check its permissions"
            ) from error
        try:
            self._zip = zipfile.ZipFile(self._file)
            entries = self._zip.infolist()
            if not entries:
                raise ArchiveError(f"{path} is an empty archive", "download it again")
            self._infos = {_member_name(info): info for info in entries}
            if len(self._infos) < len(entries):
                raise ArchiveError(
                    f"{path} holds two members of the same name",
                    "pack it again with each file once",
                )
            is_plain = _is_plain(self._infos)
            for name, info in self._infos.items():
                for what, advice in _dangers(name, info, is_plain):
                    raise ArchiveError(f"{path}, member {name!r}: {what}", advice)
        except _ZIP_ERRORS as error:
            self.close()
            if isinstance(error, ArchiveError):
                raise
            raise ArchiveError(
                f"{path} is not a whole zip ({one_line(error)})",
                "download it again, and join split parts first",
            ) from error
        self.members = {name: info.file_size for name, info in self._infos.items()}

    def read(self, member: str, limit: int | None = None) -> bytes:
        """See `Archive.read`."""
        whole = self._at_once(member) if limit is None else None
        return super().read(member, limit) if whole is None else whole

    def _at_once(self, member: str) -> bytes | None:
        """A sound member by one read of the disk, in a third of zipfile's time; None where
        something is unusual, which zipfile then reads or tells."""
        info = self._infos.get(member)
        if info is None or info.compress_type > zipfile.ZIP_DEFLATED or info.flag_bits & 1:
            return None
        name = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
        most = 30 + len(name) + len(info.extra) + 64 + info.compress_size
        try:
            raw = os.pread(self._file.fileno(), most, info.header_offset)
            start = 30 + len(name) + int.from_bytes(raw[28:30], "little")
            data = raw[start : start + info.compress_size]
            if info.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-15).decompress(data, info.file_size + 1)
        except (OSError, ValueError, zlib.error):
            return None
        is_sound = raw[:4] == b"PK\3\4" and raw[30 : 30 + len(name)] == name
        is_sound &= len(data) == info.file_size and zlib.crc32(data) == info.CRC
        return data if is_sound else None

    def _open(self, member: str) -> IO[bytes]:
        return self._zip.open(self._infos[member])  # checks the CRC where it is read whole

    def crc(self, member: str) -> int:
        """CRC-32 as the zip's directory gives it."""
        self._check(member)
        return self._infos[member].CRC

    def stamp(self, member: str) -> str:
        """See `Archive.stamp`."""
        return f"{super().stamp(member)} {self.crc(member):08x}"

    def close(self) -> None:
        """Close the file; a ZipFile over an open file has nothing else to close."""
        self._file.close()


class FolderArchive(Archive):
    """An already extracted archive."""

    def __init__(self, path: str, root: Path):
        """List the files below `root`."""
        super().__init__(path)
        self._files: dict[str, Path] = {}
        for parent, folders, files in os.walk(root):
            folders.sort()
            for file in (Path(parent, name) for name in sorted(files)):
                self._files[nfc(file.relative_to(root).as_posix())] = file
        if not self._files:
            raise ArchiveError(
                f"{path} is an empty folder", "extract the archive again or remove the folder"
            )
        self.members = {name: file.stat().st_size for name, file in self._files.items()}

    def read(self, member: str, limit: int | None = None) -> bytes:
        """See `Archive.read`."""
        if limit is None and self.members.get(member, 0) > _MAX_MEMBER_BYTES:
            what = f"larger than {_MAX_MEMBER_BYTES >> 20} MiB"
            raise ArchiveError(f"{self.path}, member {member}: {what}", "remove it")
        return super().read(member, limit)

    def _open(self, member: str) -> IO[bytes]:
        return self._files[member].open("rb")


class _LooseFiles(Archive):
    """Plain files below a folder, or anywhere by an absolute name; looked up, not listed."""

    def __init__(self, root: Path):
        super().__init__(HERE)
        self._root, self.members = root, {}

    def _open(self, member: str) -> IO[bytes]:
        return open(os.path.join(self._root, member), "rb", buffering=0)  # read once

    def _check(self, member: str) -> None:
        with contextlib.suppress(OSError):
            self.members[member] = os.stat(os.path.join(self._root, member)).st_size
        super()._check(member)


def open_archive(folder: str | os.PathLike, path: str) -> Archive:
    """Open the zip, its parts, or the extracted folder at `path` below `folder`; ArchiveError for
    what is absent, outside `folder`, damaged, empty or unsafe."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ArchiveError(
            f"archive path {path!r} leaves the data folder", f"give it relative to {folder}"
        )
    if path == HERE:
        return _LooseFiles(Path(folder))
    target = on_disk(folder, path)
    if target.is_dir():
        return FolderArchive(path, target)
    if target.is_file():
        return _ZipArchive(path, [target])
    if parts := parts_of(target):
        return _ZipArchive(path, parts)
    raise ArchiveError(
        f"archive {path} not found in {folder}",
        "is this the data folder that the tables were read from?",
    )


class ImageReader(contextlib.AbstractContextManager):
    """Bytes of images by `archive` and `member`, each archive opened once; thread-safe."""

    def __init__(self, folder: str | os.PathLike):
        """`folder` is the one that the tables' `archive` column is relative to."""
        self.folder = Path(folder)
        self._archives: dict[str, Archive] = {}
        self._lock = threading.Lock()

    def bytes(self, archive: str, member: str) -> bytes:
        """The whole member; ArchiveError if it is absent or damaged (wrong CRC)."""
        return self.archive(archive).read(member)

    def stamp(self, archive: str, member: str) -> str:
        """What tells other bytes under the same name: size, and the CRC where a zip has it."""
        return self.archive(archive).stamp(member)

    def archive(self, path: str) -> Archive:
        """The opened archive at `path`."""
        with self._lock:
            if path not in self._archives:
                self._archives[path] = open_archive(self.folder, path)
            return self._archives[path]

    def __exit__(self, *exc_info: object) -> None:
        """Close all archives; a later read opens them again."""
        with self._lock:
            for archive in self._archives.values():
                archive.close()
            self._archives.clear()


def _member_name(info: zipfile.ZipInfo) -> str:
    """The member's name in NFC; without the UTF-8 flag it is UTF-8 or cp949, read as cp437."""
    name = info.orig_filename
    if name.isascii():
        return name.replace("\\", "/")
    if not info.flag_bits & 0x800:
        raw = name.encode("cp437")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return nfc(name.replace("\\", "/"))


def _is_plain(names: Iterable[str]) -> bool:
    """Whether no name can be unsafe or litter, told at once; most archives are flat."""
    joined = " ".join(["", *names])
    marks = "/", ":", "..", " .", "thumbs.db", "desktop.ini"
    return joined.isprintable() and not any(mark in joined.lower() for mark in marks)


def _dangers(name: str, info: zipfile.ZipInfo, is_plain: bool) -> Iterator[tuple[str, str]]:
    """What makes a member unsafe or unreadable, and what to do."""
    again = "get the archive from its source again"
    if not is_plain and _UNSAFE.search(name):
        yield "the name leads outside the archive or holds control characters", again
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "a link or device, not a file", "get it from its source again"
    is_bomb = info.file_size > 1 << 20 and info.file_size > _MAX_RATIO * max(info.compress_size, 1)
    is_read = name.lower().endswith(SUFFIXES["images"] + SUFFIXES["labels"])
    if is_bomb or (is_read and info.file_size > _MAX_MEMBER_BYTES):
        yield f"{info.compress_size:,} bytes unpack to {info.file_size:,} (zip bomb?)", again
    if is_read and info.flag_bits & 1:
        yield "encrypted", "extract the archive with its password into a folder"
    if is_read and info.compress_type not in _METHODS:
        yield f"compression method {info.compress_type} is unknown", "extract it with 7-Zip"


def on_disk(folder: str | os.PathLike, path: str) -> Path:
    """The file or folder at `path` (NFC) below `folder`, whatever Unicode form the disk has."""
    target = Path(folder)
    for part in PurePosixPath(path).parts:
        exact = target / part
        if not exact.exists() and target.is_dir() and not part.isascii():
            exact = next((entry for entry in target.iterdir() if nfc(entry.name) == part), exact)
        target = exact
    return target


def parts_of(path: Path) -> list[Path]:
    """The parts `path`.part0, ... or `path`.001, ... in the order of their numbers."""
    if not path.parent.is_dir():
        return []
    numbered = []
    for entry in path.parent.iterdir():
        part = PART.search(entry.name)
        if part and nfc(entry.name[: part.start()]) == nfc(path.name):
            numbered.append((int(part.group(1)), entry))
    return [entry for _, entry in sorted(numbered)]
