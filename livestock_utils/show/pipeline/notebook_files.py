"""The notebooks' text form: finding them, their parameters, what they read and write."""

import ast
import dataclasses
import glob
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livestock_utils.core import project
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.reading import read_text
from livestock_utils.core.text import one_line

Literal = None | bool | int | float | str | list | dict


@dataclasses.dataclass(frozen=True)
class NotebookFile:
    """A notebook's text; `reads` and `writes` are path patterns with parameters in braces
    ("{out}/datasets/*.tar"), from the `livestock` entry of its header."""

    name: str
    path: Path
    nb: Any
    parameters: dict[str, Literal]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    sha256: str

    @property
    def number(self) -> str:
        """The part of the name before the first underscore, "01"."""
        return self.name.split("_")[0]


def find(folder: str | os.PathLike | None = None) -> list[NotebookFile]:
    """All notebooks NN_name.py of a folder in reading order; None: the project's."""
    folder = project.folder("notebooks") if folder is None else Path(folder)
    found = sorted(folder.glob("[0-9][0-9]_*.py"))
    if not found:
        raise NotebookError(
            f"no notebooks NN_name.py in {folder}; run from the project or pass --notebooks FOLDER"
        )
    return [read(path) for path in found]


def read(path: str | os.PathLike) -> NotebookFile:
    """Read one percent-format text; NotebookError names the file and what is wrong with it."""
    import jupytext

    path = Path(path)
    text = read_text(path, NotebookError)
    try:
        nb = jupytext.reads(text, fmt="py:percent")
        declared = dict(nb.metadata.get("livestock", {}))
        reads, writes = (tuple(map(str, declared.get(key, ()))) for key in ("reads", "writes"))
    except Exception as error:  # what a damaged header leads jupytext to has no common base
        raise NotebookError(
            f"{path}: no percent-format text ({one_line(error)}); mend it"
        ) from error
    if unknown := set(declared) - {"reads", "writes"}:
        raise NotebookError(
            f"{path}: the header's livestock entry knows reads and writes, got {sorted(unknown)}"
        )
    cells = [cell for cell in nb.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise NotebookError(f'{path}: expected one cell tagged "parameters", found {len(cells)}')
    digest = hashlib.sha256(text.encode()).hexdigest()
    values = literals(cells[0].source, path)
    return NotebookFile(path.stem, path, nb, values, reads, writes, digest)


def literals(source: str, path: str | os.PathLike = "parameters") -> dict[str, Literal]:
    """The names and values of a cell of literal assignments; else NotebookError."""
    values: dict[str, Literal] = {}
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotebookError(f"{path}: parameters cell: no Python ({one_line(error)})") from error
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if (
            not isinstance(node, (ast.Assign, ast.AnnAssign))
            or not isinstance(target, ast.Name)
            or node.value is None
        ):
            raise NotebookError(
                f"{path}: parameters cell, line {node.lineno}: expected `name = literal`"
            )
        try:
            values[target.id] = ast.literal_eval(node.value)
        except ValueError as error:
            got = ast.unparse(node.value)
            raise NotebookError(
                f"{path}: parameter {target.id!r} must be a literal, got {got}"
            ) from error
    return values


def expand(patterns: tuple[str, ...], parameters: Mapping[str, Literal]) -> dict[str, list[Path]]:
    """Path patterns -> their files now, folders walked, sorted; empty ones give none."""
    found: dict[str, list[Path]] = {}
    escaped = {key: glob.escape(str(value or "")) for key, value in parameters.items()}
    for pattern in patterns:
        try:
            filled = pattern.format(**escaped)
            names = [part.partition("}")[0] for part in pattern.split("{")[1:]]
        except KeyError as error:
            known = ", ".join(sorted(parameters))
            raise NotebookError(
                f"pattern {pattern!r}: {error} is not a parameter; known: {known}"
            ) from error
        files: dict[Path, None] = {}
        if all(parameters[name] for name in names):
            for top in sorted(map(Path, glob.glob(filled, recursive=True))):
                files |= dict.fromkeys(sorted(top.rglob("*")) if top.is_dir() else [top])
        found[pattern] = [path for path in files if path.is_file()]
    return found
