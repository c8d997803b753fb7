"""The class list and what depends on it, from one settings file (species.yaml)."""

import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from livestock_utils.core.errors import LivestockError
from livestock_utils.core.project import PACKAGE
from livestock_utils.core.reading import read_yaml
from livestock_utils.core.text import nfc


@dataclasses.dataclass(frozen=True)
class Species:
    """A class: label index, archive words, count bins, contest frame, colour (species.yaml)."""

    name: str
    index: int
    archive_words: tuple[str, ...]
    id_prefix: str
    count_bins: tuple[int, int]
    contest_size_px: tuple[int, int]
    colour: str
    start_from: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What label files may call it, in lower case: its name and `label_names`."""
        return tuple(nfc(name).strip().lower() for name in (self.name, *self.label_names))


def all_species() -> tuple[Species, ...]:
    """All classes in label order, from $LIVESTOCK_SPECIES or the package's species.yaml;
    LivestockError for a file or an entry that is not as species.yaml says."""
    return _read(os.environ.get("LIVESTOCK_SPECIES") or str(PACKAGE / "assets" / "species.yaml"))


def names() -> tuple[str, ...]:
    """Class names in label order, ("pig", "cow") by default."""
    return tuple(s.name for s in all_species())


def by_name(name: str) -> Species:
    """The class called `name`; raises LivestockError that lists the known ones."""
    if found := next((s for s in all_species() if s.name == name), None):
        return found
    wanted = f"expected one of {list(names())} (see species.yaml)"
    raise LivestockError(f"unknown species {name!r}: {wanted}")


def class_index() -> dict[str, int]:
    """Class name -> index in YOLO labels, {"pig": 0, "cow": 1} by default."""
    return {s.name: s.index for s in all_species()}


def colours() -> dict[str, str]:
    """Class name -> hex colour, the same in every figure."""
    return {s.name: s.colour for s in all_species()}


@functools.cache
def _read(path: str) -> tuple[Species, ...]:
    if not Path(path).is_file():
        raise LivestockError(
            f"species file not found: {path}; unset LIVESTOCK_SPECIES or point it at a YAML file"
        )
    data = read_yaml(path, LivestockError)
    if not isinstance(data, dict) or not data:
        raise LivestockError(
            f"species file {path}: expected a mapping of species names, got {type(data).__name__}"
        )
    species = []
    whose: dict[tuple[str, str], str] = {}
    for index, (name, entry) in enumerate(data.items()):
        for problem in _problems(name, entry):
            raise LivestockError(f"species file {path}, {name!r}: {problem}")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()
        }
        species.append(Species(name, index, **values))
        words = [("archive word", nfc(word)) for word in species[-1].archive_words]
        words += [("label name", word) for word in species[-1].names]
        for kind, word in words:
            other = whose.setdefault((kind, word), name)
            if other != name:
                raise LivestockError(
                    f"species file {path}: the {kind} {word!r} is that of {other!r} and of "
                    f"{name!r}; each needs words of its own"
                )
    return tuple(species)


def _problems(name: Any, entry: Any) -> Iterator[str]:
    """What is wrong with an entry: what was expected and what stands there."""
    fields = [f for f in dataclasses.fields(Species) if f.name not in ("name", "index")]
    needed = {f.name for f in fields if f.default is dataclasses.MISSING}
    if not isinstance(name, str):
        yield "expected a text as the name of a species; put it in quotes"
    if not isinstance(entry, dict) or not needed <= set(entry) <= {f.name for f in fields}:
        got = sorted(map(str, entry)) if isinstance(entry, dict) else entry
        yield f"expected the keys {sorted(needed)}, got {got}"
    words, bins, size_px = entry["archive_words"], entry["count_bins"], entry["contest_size_px"]
    has_words = bool(words) and _is_texts(words)
    has_colour = re.fullmatch("#[0-9A-Fa-f]{6}", str(entry["colour"]))
    rises = _two_numbers(bins) and bins[0] < bins[1]
    rules = (
        ("archive_words", words and has_words, "a list of words, such as [소, 한우]"),
        ("id_prefix", isinstance(entry["id_prefix"], str), "a text, such as livestock_cow_bbox_"),
        ("count_bins", rises, "two rising whole numbers, such as [4, 6]"),
        ("contest_size_px", _two_numbers(size_px), "width and height, such as [1920, 1080]"),
        (
            "start_from",
            _is_texts(entry.get("start_from", [])),
            "a list of class names: [sheep, cow]",
        ),
        ("label_names", _is_texts(entry.get("label_names", [])), "a list of words: [hog, piglet]"),
        ("colour", has_colour, '"#rrggbb" in quotes, such as "#0072B2"'),
    )
    for key, good, what in rules:
        if not good:
            yield f"{key}: expected {what}, got {entry.get(key)!r}"


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value)


def _two_numbers(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)
    )
