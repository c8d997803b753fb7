"""Which archives lie in a folder, by name: 원천/라벨 or TS/TL/VS/VL, and the species' word."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from livestock_utils.core.archives import PART, parts_of
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.species import all_species
from livestock_utils.core.text import nfc

KINDS = {"images": "원천", "labels": "라벨"}
"""Kind of an archive -> the word in its name that says so (원천 = source, 라벨 = label)."""
PREFIXES = {"images": "TS", "labels": "TL"}
"""Kind -> how AI Hub's newer names of Training archives begin; Validation has VS and VL."""

_PREFIX = re.compile(r"[\[(]?([TV])([SL])\d*(?=[\])_. -]|$)")
_PREFIX_ALONE = re.compile(r"[\[(]?([TV])([SL])\d*[\])]?")
_VALIDATION = re.compile(r"valid|검증", re.IGNORECASE)
_OTHER_PACKERS = (".tar", ".tgz", ".gz", ".7z", ".egg", ".alz", ".rar", ".z01")
_MAX_DEPTH = 6
"""Levels searched: AI Hub's downloads have four folders above a zip."""
_NO_KIND = "its name does not tell images (원천, TS_, VS_) from labels (라벨, TL_, VL_)"
_NO_SPECIES = "its name does not tell one species (see archive_words in species.yaml)"


@dataclasses.dataclass(frozen=True)
class Found:
    """One archive: `path` below the folder searched (posix, NFC), kind "images" or "labels", form
    "zip", "parts" or "folder"."""

    path: str
    kind: str
    species: str
    form: str
    is_validation: bool

    @property
    def twin(self) -> str:
        """What the names of an archive of images and of the one of its labels share."""
        name = self.path.rpartition("/")[2]
        return f"{self.species}: {re.sub('|'.join(KINDS.values()), '', _PREFIX.sub('', name))}"


def find_archives(
    folder: str | os.PathLike, within: str = ""
) -> tuple[list[Found], dict[str, str]]:
    """Archives below `folder` by their names -> (archives by path, {path: why not}). A name, or a
    folder above it, holds 원천 or 라벨, or begins with TS, TL, VS or VL (TS_소.zip, VL1.돼지.zip):
    T is Training, V Validation, S images, L labels. It also holds a word of the species
    (species.yaml); the longest wins. Names are compared in Unicode NFC, so that decomposed Hangul
    from macOS or Drive matches. An extracted folder is left out when its zip stands beside it."""
    top = Path(folder, within)
    if not top.is_dir():
        advice = "give the folder that holds the zips"
        if top.parent.name in ("data", "data_test") and top.parent.is_dir():
            advice = f"give {top.parent.parent}, the folder above"
        raise ArchiveError(f"archive folder not found: {top}; {advice}")
    if is_data_root(top):
        raise ArchiveError(
            f"{top} is a data root, not a folder of zips; give {top / 'data'} or "
            f"{top / 'data_test'}"
        )
    found: dict[str, Found] = {}
    others: dict[str, str] = {}
    for path, form in _candidates(top, within and f"{within}/", _MAX_DEPTH):
        path = nfc(path)
        below = (Path(folder) / path).relative_to(top)
        if "data_test" in below.parts[:-1]:
            root = top / Path(*below.parts[: below.parts.index("data_test")])
            raise ArchiveError(
                f"{top} lies above the data root {root}",
                f"give {root} to check or run, {root / 'data'} to read",
            )
        (kind, problem), name, letters = _kind_of(path), _species_of(path), _letters(path)
        if kind is None or name is None or form == "other":
            packed = "it is not a zip" if form == "other" else ""
            faults = [problem, "" if name else _NO_SPECIES, packed]
            others[path] = ", and ".join(filter(None, faults))
        else:
            is_validation = letters.startswith("V") or bool(_VALIDATION.search(path))
            found[path] = Found(path, kind, name, form, is_validation)
    zips = {a.path.rpartition(".")[0] for a in found.values() if a.form != "folder"}
    kept = [a for a in found.values() if a.form != "folder" or a.path not in zips]
    return sorted(kept, key=lambda a: a.path), dict(sorted(others.items()))


def is_data_root(folder: str | os.PathLike) -> bool:
    """True if `folder` has a folder `data` (or `data_test`) in it and no zip of its own."""
    inside = any(Path(folder, name).is_dir() for name in ("data", "data_test"))
    return inside and not any(entry.suffix.lower() == ".zip" for entry in Path(folder).iterdir())


def _candidates(folder: str | Path, above: str, depth: int) -> Iterator[tuple[str, str]]:
    """(`above` and name, form) of all that may be an archive; folders whose kind is known."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path, name = above + entry.name, entry.name.lower()
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir():
            inner = list(_candidates(entry.path, f"{path}/", depth - 1)) if depth > 1 else []
            packed = [candidate for candidate in inner if candidate[1] != "folder"]
            if not packed and _kind_of(path) != (None, _NO_KIND) and _species_of(path):
                yield path, "folder"
            else:
                yield from inner
        elif name.endswith(".zip"):
            yield path, "zip"
        elif (part := PART.search(name)) and name[: part.start()].endswith(".zip"):
            if parts_of(Path(entry.path[: part.start() - len(name)]))[0] == Path(entry):
                yield path[: part.start() - len(name)], "parts"
        elif name.endswith(_OTHER_PACKERS):
            yield path, "other"


def _kind_of(path: str) -> tuple[str | None, str]:
    """(images or labels, ""), or (None, why it cannot be told)."""
    by_word = _nearest(
        path, lambda name: max((name.rfind(word), kind) for kind, word in KINDS.items())
    )
    letters = _letters(path)
    by_letters = {"": None, "S": "images", "L": "labels"}[letters[-1:]]
    if by_word and by_letters and by_word != by_letters:
        return None, f"its name says both {KINDS[by_word]} ({by_word}) and {letters} ({by_letters})"
    kind = by_word or by_letters
    return kind, "" if kind else _NO_KIND


def _letters(path: str) -> str:
    """TS, TL, VS or VL at the start of the name or as the nearest folder of that name; else ""."""
    *folders, name = path.split("/")
    found = _PREFIX.match(name) or next(
        filter(None, map(_PREFIX_ALONE.fullmatch, reversed(folders))), None
    )
    return "".join(found.groups()) if found else ""


def _species_of(path: str) -> str | None:
    def longest(name: str) -> tuple[int, str]:
        words = ((word, one.name) for one in all_species() for word in one.archive_words)
        hits = sorted({(len(word), who) for word, who in words if nfc(word) in name})
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
