"""The class list and what depends on it, from one settings file (species.yaml)."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import yaml

from livestock_utils.errors import LivestockError


@dataclasses.dataclass(frozen=True)
class Species:
    """One class: its index in YOLO labels, archive words, count bins, contest frame and colour (see species.yaml)."""

    name: str
    index: int
    archive_words: tuple[str, ...]
    id_prefix: str
    count_bins: tuple[int, int]
    contest_size_px: tuple[int, int]
    colour: str


def all_species() -> tuple[Species, ...]:
    """All classes in label order, from $LIVESTOCK_SPECIES if set, else the package's species.yaml (pig 0, cow 1).

    Raises LivestockError for a file that is absent, lacks a key, or has an unknown one.
    """
    return _read(os.environ.get("LIVESTOCK_SPECIES") or str(Path(__file__).with_name("species.yaml")))


def names() -> tuple[str, ...]:
    """Class names in label order, ("pig", "cow") by default."""
    return tuple(s.name for s in all_species())


def by_name(name: str) -> Species:
    """The class called `name`; raises LivestockError that lists the known ones."""
    for species in all_species():
        if species.name == name:
            return species
    raise LivestockError(f"unknown species {name!r}: expected one of {list(names())} (see species.yaml)")


def class_index() -> dict[str, int]:
    """Class name -> index in YOLO labels, {"pig": 0, "cow": 1} by default."""
    return {s.name: s.index for s in all_species()}


def colours() -> dict[str, str]:
    """Class name -> hex colour, the same in every figure."""
    return {s.name: s.colour for s in all_species()}


@functools.cache
def _read(path: str) -> tuple[Species, ...]:
    if not Path(path).is_file():
        raise LivestockError(f"species file not found: {path}; unset LIVESTOCK_SPECIES or point it at a YAML file")
    data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    wanted = {f.name for f in dataclasses.fields(Species)} - {"name", "index"}
    if not isinstance(data, dict) or not data:
        raise LivestockError(f"species file {path}: expected a mapping of species names, got {type(data).__name__}")
    species = []
    for index, (name, entry) in enumerate(data.items()):
        if not isinstance(entry, dict) or set(entry) != wanted:
            got = sorted(entry) if isinstance(entry, dict) else entry
            raise LivestockError(f"species file {path}, {name!r}: expected the keys {sorted(wanted)}, got {got}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        species.append(Species(name=str(name), index=index, **values))
    return tuple(species)
