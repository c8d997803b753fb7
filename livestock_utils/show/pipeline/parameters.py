"""Parameters of a run: notebook defaults < profile < command line, with names and types checked."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from livestock_utils.core import project
from livestock_utils.core.errors import LivestockError, NotebookError
from livestock_utils.core.project import PACKAGE
from livestock_utils.core.reading import read_yaml
from livestock_utils.core.settings import Settings, kinds_of
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.tune.tuning import TuneSettings
from livestock_utils.show.pipeline import notebook_files
from livestock_utils.show.pipeline.notebook_files import Literal, NotebookFile

PROFILES = PACKAGE / "assets" / "profiles"
FOLDERS = ("data", "out")
_TRAINING = {"05", "06", "07", "08", "09", "10", "12", "13"}
_SETTINGS: dict[type[Settings], set[str]] = {TrainSettings: _TRAINING, TuneSettings: {"11"}}
"""Settings -> the notebooks that hand their parameters to them."""
_NUMBERED = re.compile(r"\d\d?\.")


class Typed(str):
    """A value as it was typed: `resolve` reads it by `parse`, but for texts."""

    __slots__ = ()


def parse(text: str) -> Literal:
    """A command-line value as YAML reads it: 3, 0.5, true, null, [1, 2], text."""
    if re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", text):  # YAML 1.1 wants a point in it
        return float(text)
    try:
        value = yaml.safe_load(text) if text else ""
    except (yaml.YAMLError, ValueError, RecursionError):  # 2020-13-01 is a ValueError
        return text
    return value if isinstance(value, Literal) else text


def read_profile(name: str | None) -> dict[str, Literal]:
    """A profile (name or YAML file: "all" and notebook numbers to parameters) as addressed
    parameters: {"05.epochs": 3}."""
    if name is None:
        return {}
    known = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    path = PROFILES / f"{name}.yaml" if name in known else Path(name)
    if not path.is_file():
        raise NotebookError(
            f"profile {name!r} not found: expected one of {', '.join(known)} or a YAML file"
        )
    data = read_yaml(path, NotebookError) or {}
    if not isinstance(data, dict) or not all(
        isinstance(part, dict) or part is None for part in data.values()
    ):
        raise NotebookError(
            f"profile {path}: expected `all:` and notebook numbers, each with its own parameters"
        )
    addressed: dict[str, Literal] = {}
    for number, part in data.items():
        whose = f"{int(number):02d}" if str(number).isdigit() else number
        prefix = "" if number == "all" else f"{whose}."
        addressed |= {f"{prefix}{key}": value for key, value in (part or {}).items()}
    return addressed


def resolve(
    notebooks: Sequence[NotebookFile], given: Sequence[Mapping[str, Literal]], data: str, out: str
) -> dict[str, dict[str, Literal]]:
    """All parameters of each notebook; later mappings win, "05.NAME" over NAME; typed ones come as
    `Typed`."""
    values = {n.name: dict(n.parameters) for n in notebooks}
    for own in values.values():
        own |= {name: folder for name, folder in (("data", data), ("out", out)) if name in own}
    for mapping in given:
        for address in sorted(mapping, key=lambda address: bool(_NUMBERED.match(address))):
            number, name = address.split(".", 1) if _NUMBERED.match(address) else ("", address)
            if name in FOLDERS:
                raise NotebookError(
                    f"parameter {address}: the folders are given by --data and --out"
                )
            number = number and number.zfill(2)
            having = [n for n in notebooks if name in n.parameters and number in ("", n.number)]
            if not having:
                raise NotebookError(_unknown(notebooks, number, name))
            for notebook in having:
                default = notebook.parameters[name]
                fitted = _fit(notebook.number, name, mapping[address], default)
                values[notebook.name][name] = fitted
    for notebook in notebooks:
        _check(notebook.number, values[notebook.name])
    return values


def parameters_table(text: str, notebooks: Sequence[NotebookFile]) -> str:
    """notebooks/PARAMETERS.md with its rows brought up to date: meanings from the class of settings
    that a parameter goes to, where there is one, else as written."""
    rows = dict(re.findall(r"^\| `(\w+)` \| [\w, ]+ \| (.*) \|$", text, flags=re.M))
    lines = []
    for name in dict.fromkeys(name for notebook in notebooks for name in notebook.parameters):
        numbers = [notebook.number for notebook in notebooks if name in notebook.parameters]
        found = [
            row
            for kind, whose in _SETTINGS.items()
            if set(numbers) <= whose
            for row in kind.table().to_dict("records")
            if row["name"] == name
        ]
        meaning = _meaning(found[0]) if found else rows.get(name)
        if meaning is None:
            raise NotebookError(
                f"parameter {name!r} has no row in PARAMETERS.md; write its meaning"
            )
        where = "all" if len(numbers) == len(notebooks) else ", ".join(numbers)
        lines.append(f"| `{name}` | {where} | {meaning} |\n")
    head = text.partition("|---|---|---|\n")
    return "".join([*head[:2], *lines])


def _meaning(row: Mapping[Any, Any]) -> str:
    """Help, unit and range of a setting as a cell of Markdown."""
    parts = [row["help"].rstrip("."), f"in {row['unit']}" * bool(row["unit"])]
    parts.append(row["range"].removeprefix("of ").replace("None", "none"))
    return "; ".join(part for part in parts if part)


def at_start(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the project's notebook `name` as they came into it, whoever set them, as
    the types that its text and the settings have; {} for another notebook."""
    try:
        path = project.folder("notebooks") / f"{name}.py"
    except LivestockError:  # the notebooks lie elsewhere
        return {}
    if not path.is_file():
        return {}
    notebook = notebook_files.read(path)
    own = {
        key: _fit(notebook.number, key, values[key], default)
        for key, default in notebook.parameters.items()
        if key in values and key not in FOLDERS
    }
    _check(notebook.number, own)
    return own


def changed(name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `at_start`'s parameters that are not what the notebook's text has."""
    if not own:
        return {}
    text = notebook_files.read(project.folder("notebooks") / f"{name}.py").parameters
    return {key: value for key, value in own.items() if value != text[key]}


def _check(number: str, values: Mapping[str, Any]) -> None:
    """The settings that a notebook hands its parameters to, made once; NotebookError."""
    for kind, whose in _SETTINGS.items():
        if number in whose:
            try:
                kind.of(values)
            except LivestockError as error:
                raise NotebookError(f"parameter {number}.{error}") from error


def _fit(number: str, name: str, value: Any, default: Literal) -> Any:
    """The value, as a type that the parameter takes where that is exact; one whose default is None
    and that is no setting takes anything."""
    kinds: set[Any] = {type(default)}
    for settings, whose in _SETTINGS.items():
        if number in whose and name in settings.__dataclass_fields__:
            kinds |= kinds_of(settings, name)
    read = parse(str(value)) if isinstance(value, str) else value
    # Text keeps its digits and words (03, no, 1e3, 12:30); null on the command line is no value.
    if isinstance(value, str) and str in kinds and not (int in kinds and type(read) is int):
        return read if isinstance(value, Typed) and isinstance(read, str | None) else str(value)
    if kinds == {type(None)} or type(read) in kinds:
        return read
    if type(read) is float and int in kinds and read.is_integer():
        return int(read)
    if type(read) is int and float in kinds and abs(read) < 2**53:
        return float(read)
    if str in kinds and not isinstance(read, (list, dict)):
        return "" if read is None else str(read).lower() if isinstance(read, bool) else str(read)
    if not isinstance(read, bool) and isinstance(read, tuple(kinds)):
        return read
    named = sorted(kind.__name__ for kind in kinds - {type(None)})
    wanted = " or ".join(named) if default is None else f"{type(default).__name__} like {default!r}"
    raise NotebookError(f"parameter {number}.{name}: expected {wanted}, got {value!r}")


def _unknown(notebooks: Sequence[NotebookFile], number: str, name: str) -> str:
    if number and number not in {n.number for n in notebooks}:
        return f"parameter {number}.{name}: there is no notebook {number}"
    names = sorted(
        {p for n in notebooks for p in n.parameters if number in ("", n.number)} - set(FOLDERS)
    )
    near: list[Any] = difflib.get_close_matches(name, names, n=1)
    whose = f"notebook {number} has no" if number else "no notebook has the"
    return (
        f"{whose} parameter {name!r}; "
        f"{f'did you mean {near[0]!r}?' if near else 'known: ' + ', '.join(names)}"
    )
