"""Which archives lie in a folder: told by 원천/라벨 and the species' word in their names."""

import dataclasses
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from livestock_utils import species
from livestock_utils.errors import ArchiveError

KINDS = {"images": "원천", "labels": "라벨"}
"""Kind of an archive -> the word in its name that says so (원천 = source, 라벨 = label)."""

_PART = re.compile(r"\.(?:part)?(\d+)$")
_VALIDATION = re.compile(r"valid|검증", re.IGNORECASE)
_OTHER_PACKERS = (".tar", ".tgz", ".gz", ".7z", ".egg", ".alz", ".rar", ".z01")
_MAX_DEPTH = 4


@dataclasses.dataclass(frozen=True)
class Found:
    """One archive on disk: `path` relative to the folder searched (posix), what its name says, and how it is stored.

    `path` is in NFC; `kind` is "images" or "labels", `form` is "zip", "parts" or "folder"; `is_validation` marks the
    Validation half of AI Hub's data.
    """

    path: str
    kind: str
    species: str
    form: str
    is_validation: bool


def find_archives(folder: str | os.PathLike, within: str = "") -> tuple[list[Found], list[str]]:
    """Archives under `folder` (or its sub-folder `within`) by their names -> (archives by path, paths of others).

    A name or one of the folders above it (inside `folder`) holds 원천 or 라벨 and a word of the species (species.yaml);
    names are compared in Unicode NFC, so that decomposed Hangul from macOS or Drive matches. The longest species word
    wins; a name that tells two species, or is of another packer, is among the others. An extracted folder is left out
    when its zip stands beside it. Raises ArchiveError if the folder is absent, or is a data root.
    """
    top = Path(folder, within)
    if not top.is_dir():
        raise ArchiveError(f"archive folder not found: {top}; give the folder that holds the zips")
    if is_data_root(top):
        raise ArchiveError(f"{top} is a data root, not a folder of zips; give {top / 'data'} or {top / 'data_test'}")
    found: dict[str, Found] = {}
    unknown: list[str] = []
    for path, form in _candidates(top, Path(folder), _MAX_DEPTH):
        kind, name = _kind_of(path), _species_of(path)
        if kind is None or name is None or form == "other":
            unknown.append(nfc(path))
        else:
            path = nfc(path)
            found[path] = Found(path, kind, name, form, any(_VALIDATION.search(part) for part in path.split("/")))
    zips = {a.path.removesuffix(PurePosixPath(a.path).suffix) for a in found.values() if a.form != "folder"}
    kept = [a for a in found.values() if a.form != "folder" or a.path not in zips]
    return sorted(kept, key=lambda a: a.path), sorted(unknown)


def is_data_root(folder: str | os.PathLike) -> bool:
    """True if `folder` has a folder `data` (or `data_test`) in it and no zip of its own."""
    inside = any(Path(folder, name).is_dir() for name in ("data", "data_test"))
    return inside and not any(entry.suffix.lower() == ".zip" for entry in Path(folder).iterdir())


def on_disk(folder: str | os.PathLike, path: str) -> Path:
    """The file or folder at `path` (NFC, relative to `folder`), whatever Unicode form the disk keeps its name in."""
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
        part = _PART.search(entry.name)
        if part and nfc(entry.name[: part.start()]) == nfc(path.name):
            numbered.append((int(part.group(1)), entry))
    return [entry for _, entry in sorted(numbered)]


def nfc(text: str) -> str:
    """Unicode NFC: macOS and Drive may store Hangul decomposed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _candidates(folder: Path, root: Path, depth: int) -> Iterator[tuple[str, str]]:
    """(path relative to root, form) of all that may be an archive; a folder counts where kind and species are known."""
    for entry in sorted(folder.iterdir()):
        path, name = entry.relative_to(root).as_posix(), entry.name.lower()
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir():
            inner = list(_candidates(entry, root, depth - 1)) if depth > 1 else []
            packed = [candidate for candidate in inner if candidate[1] != "folder"]
            if not packed and _kind_of(path) and _species_of(path):
                yield path, "folder"
            else:
                yield from inner
        elif name.endswith(".zip"):
            yield path, "zip"
        elif (part := _PART.search(name)) and name[: part.start()].endswith(".zip"):
            if parts_of(entry.with_name(entry.name[: part.start()]))[0] == entry:
                yield path[: part.start() - len(entry.name)], "parts"
        elif name.endswith(_OTHER_PACKERS):
            yield path, "other"


def _kind_of(path: str) -> str | None:
    return _nearest(path, lambda name: max((name.rfind(word), kind) for kind, word in KINDS.items()))


def _species_of(path: str) -> str | None:
    def longest(name: str) -> tuple[int, str]:
        hits = sorted({(len(w), s.name) for s in species.all_species() for w in s.archive_words if nfc(w) in name})
        if not hits:
            return -1, ""
        is_unclear = len({who for length, who in hits if length == hits[-1][0]}) > 1
        return (0, "") if is_unclear else hits[-1]

    return _nearest(path, longest) or None


def _nearest(path: str, best: Callable[[str], tuple[int, str]]) -> str | None:
    """The word found in the last part of the path that has one."""
    for name in reversed(nfc(path).split("/")):
        score, word = best(name)
        if score >= 0:
            return word
    return None
