"""What a finished notebook was made from, so that a second run skips it."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livestock_utils import __version__
from livestock_utils.core import addresses, files, made, species
from livestock_utils.data.layouts import reading as layouts
from livestock_utils.show.pipeline.notebook_files import Literal, NotebookFile, expand
from livestock_utils.show.pipeline.parameters import FOLDERS

HASHED_BYTES = 256 * 2**20
"""Larger files outside the out folder are told apart by size and time."""


def fingerprint(
    notebook: NotebookFile, parameters: Mapping[str, Literal], out: Path
) -> dict[str, Any]:
    """All that decides whether a notebook must run again: text, parameters, inputs; of the folders
    only what is in them, so that results moved to another disk stay finished."""
    digest = hashlib.sha256()
    cache = _Digests(out)
    for pattern, paths in expand(notebook.reads, parameters).items():
        if pattern == "{data}/data" and not paths:  # photos in another layout
            paths = layouts.inputs(str(parameters["data"]))
        roots = [str(parameters[key]) for key in FOLDERS if pattern.startswith(f"{{{key}}}")]
        for path in paths:
            name = os.path.relpath(path, roots[0]) if roots else path.as_posix()
            content = cache.content(path, ours=roots == [str(out)])
            digest.update(f"{pattern}\0{name}\0{content}\n".encode())
    cache.save()
    return {
        "notebook": notebook.name,
        "text": notebook.sha256,
        "inputs": digest.hexdigest(),
        "library": __version__,
        "species": hashlib.sha256(repr(species.all_species()).encode()).hexdigest(),
        "parameters": {
            key: addresses.hide_password(value) if isinstance(value, str) else value
            for key, value in parameters.items()
            if key not in FOLDERS
        },
    }


def is_done(notebook: NotebookFile, parameters: Mapping[str, Literal], out: Path) -> bool:
    """True when the record matches and everything that the notebook writes is there."""
    return (
        executed_path(notebook, out).is_file()
        and all(expand(notebook.writes, parameters).values())
        and made.read(record_path(notebook, out)) == fingerprint(notebook, parameters, out)
    )


def finished(notebook: NotebookFile, out: Path, now: Mapping[str, Any]) -> dict[Path, bytes]:
    """What a finished notebook shows (itself, its record and figures), by path; nothing where more
    than its parameters is another `now`, as it then describes what is no more."""
    known = made.read(record_path(notebook, out))
    if known | {"parameters": {}} != {**now, "parameters": {}}:
        return {}
    return {path: path.read_bytes() for path in _shown(notebook, out)}


def restore(notebook: NotebookFile, out: Path, before: Mapping[Path, bytes]) -> None:
    """Make what a notebook shows what `finished` gave; the record comes last."""
    for path in _shown(notebook, out):
        if path not in before:
            path.unlink()
    for path, data in before.items():
        if not path.is_file() or path.read_bytes() != data:
            with files.whole_file(path) as file:
                file.write(data)


def stamps(notebook: NotebookFile, parameters: Mapping[str, Literal]) -> dict[Path, tuple]:
    """Size and time of every file that a notebook writes."""
    paths = [path for found in expand(notebook.writes, parameters).values() for path in found]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def _shown(notebook: NotebookFile, out: Path) -> list[Path]:
    figures = sorted((out / "figures" / notebook.number).glob("*"))
    own = [*figures, executed_path(notebook, out), record_path(notebook, out)]
    return [path for path in own if path.is_file()]


def is_partial(notebook: NotebookFile, out: Path) -> bool:
    """True when a notebook said `complete=False`: others' shares are still missing."""
    kept = made.read(out / ".state" / "metrics" / f"{notebook.name}.json")
    return kept.get("complete") is False


def record_path(notebook: NotebookFile, out: Path) -> Path:
    """OUT/.state/NN.json."""
    return out / ".state" / f"{notebook.number}.json"


def executed_path(notebook: NotebookFile, out: Path) -> Path:
    """OUT/notebooks/NN_name.ipynb."""
    return out / "notebooks" / f"{notebook.name}.ipynb"


class _Digests:
    """Content hashes of files; large ones are remembered under size and time."""

    def __init__(self, out: Path) -> None:
        self.path = out / ".state" / "digests.json"
        self.known: dict[str, list] = made.read(self.path)
        self.changed = False

    def content(self, path: Path, ours: bool) -> str:
        """A text that changes with the file's content; `ours` is below the out folder."""
        stat = path.stat()
        key, stamp = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
        if stat.st_size > HASHED_BYTES and not ours:
            return f"{stat.st_size} {stat.st_mtime_ns}"
        if self.known.get(key, [])[:2] == stamp:
            return self.known[key][2]
        digest = files.sha256(path)
        if stat.st_size > 2**20:
            self.known[key], self.changed = [*stamp, digest], True
        return digest

    def save(self) -> None:
        if self.changed:
            files.write_json(self.path, self.known)
