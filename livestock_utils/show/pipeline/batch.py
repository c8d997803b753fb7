"""Experiment batches: a grid of notebook parameters in a YAML file, a folder for each run.

    prepare: ["01", "02"]              # run once, into OUT/prepared; all runs share their sets
    notebooks: ["05"]                  # of each run, into OUT/runs/<name>
    parameters: {epochs: 10}           # of all runs, as on the command line ("05.epochs" too)
    runs: {sgd: {optimizer: SGD}}      # by name; without it, a run for each point of the grid
    grid: {seed: [0, 1, 2]}            # every run with every combination
    profiles: {sample: {grid: {...}}}  # keys that take the place of those above

The same call again goes on where the batch stopped.
"""

import contextlib
import dataclasses
import difflib
import itertools
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core import files
from livestock_utils.core.errors import LivestockError, NotebookError
from livestock_utils.core.reading import read_csv, read_yaml
from livestock_utils.data.sets import reading
from livestock_utils.show.pipeline import driver, notebook_files
from livestock_utils.show.pipeline import parameters as run_parameters

log = logging.getLogger(__name__)

_KINDS = {"prepare": list, "notebooks": list, "parameters": dict, "runs": dict, "grid": dict}
_KEYS = ("about", *_KINDS, "profiles")
_COLUMNS = ["run", "state", "seconds", "reason"]


@dataclasses.dataclass(frozen=True)
class Batch:
    """A checked batch file: notebooks, and the parameters of each run by its name."""

    prepare: tuple[str, ...]
    notebooks: tuple[str, ...]
    shared: dict[str, Any]
    runs: dict[str, dict[str, Any]]


def read(
    path: str | os.PathLike, profile: str | None = None, notebooks: Path | None = None
) -> Batch:
    """Check a batch file with all its profiles; returns it as `profile` changes it: one of the
    file's own, or of the package's (`base_profile`), which changes nothing here."""
    file = Path(path)
    if not file.is_file():
        raise NotebookError(f"batch file {file} not found; notebooks/batches/ holds some")
    content = read_yaml(file, NotebookError) or {}
    _check_keys(content, _KEYS, f"{file}")
    profiles = content.get("profiles") or {}
    _check_keys(profiles, None, f"{file}: profiles")
    found: dict[str | None, Batch] = {None: _batch(content, f"{file}", notebooks)}
    for name, own in profiles.items():
        where = f"{file}: profile {name}"
        _check_keys(own or {}, _KEYS[:-1], where)
        found[str(name)] = _batch({**content, **(own or {})}, where, notebooks)
    if profile not in found and base_profile(profile) is None:
        names = sorted({*(name for name in found if name), *_known_profiles()})
        near = difflib.get_close_matches(str(profile), names, n=1)
        raise NotebookError(
            f"{file}: no profile {profile!r}; "
            + (f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}")
        )
    return found.get(profile, found[None])


def base_profile(profile: str | None) -> str | None:
    """`profile` where it is one of the package's (parameters for all notebooks), else None."""
    return profile if profile in _known_profiles() else None


def run(
    path: str | os.PathLike,
    data: Path,
    out: Path,
    *,
    workers: int = 1,
    profile: str | None = None,
    notebooks: Path | None = None,
    tell: Callable[[pd.DataFrame], Any] = lambda table: None,
    say: Callable[[str], Any] = log.info,
) -> pd.DataFrame:
    """Execute a batch into `out` -> a row per run: run, state, seconds, reason. `say` gets a line
    for each step of the preparation, `tell` the table whenever a state changes: "waiting",
    "running", "done", "unchanged" (with the seconds that it once took) or "failed". A failed run
    does not stop the others."""
    if workers < 1:
        raise NotebookError(f"workers must be at least 1, got {workers}")
    batch = read(path, profile, notebooks)
    known, took = base_profile(profile), _seconds(out / "batch.csv")
    prepared = out / "prepared"
    if batch.prepare:
        driver.run(
            data,
            prepared,
            notebooks=notebooks,
            only=batch.prepare,
            profile=known,
            parameters=_those_of(batch.shared, batch.prepare, notebooks),
            tell=lambda line: say(f"preparing {line}"),
        )
        for tar in sorted((prepared / "datasets").glob("*.tar")):
            reading.extract(tar, prepared / "local" / tar.stem)
    rows = [(name, "waiting", took.get(name, 0.0), "") for name in batch.runs]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    lock = threading.Lock()

    def note(place: int, **values: Any) -> None:
        with lock:
            for name, value in values.items():
                table.loc[place, name] = value
            files.write_text(out / "batch.csv", table.round({"seconds": 1}).to_csv(index=False))
            tell(table.copy())

    def one(place: int, name: str, parameters: Mapping[str, Any]) -> None:
        note(place, state="running", seconds=0.0)
        began = time.monotonic()
        state, reason = "done", ""
        try:
            share(prepared, out / "runs" / name)
            outcome = driver.run(
                data,
                out / "runs" / name,
                notebooks=notebooks,
                only=batch.notebooks,
                profile=known,
                parameters={**batch.shared, **parameters},
            )
        except (LivestockError, OSError) as error:
            state, reason = "failed", str(error)
        else:
            if set(outcome.values()) == {"unchanged"}:
                state = "unchanged"
        seconds = time.monotonic() - began
        if state == "unchanged":
            seconds = took.get(name, seconds)
        note(place, state=state, seconds=seconds, reason=reason)

    from livestock_utils.show.pipeline import kernel

    with kernel.shared_cores(min(workers, len(batch.runs))), ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda row: one(row[0], *row[1]), enumerate(batch.runs.items())))
    return table


def share(prepared: Path, run_folder: Path) -> None:
    """Give a run the prepared data sets and tables: linked where the file system can, else copied;
    a newer file is the run's own and stays."""
    for folder in ("datasets", "tables"):
        for source in sorted((prepared / folder).glob("*")):
            target = run_folder / folder / source.name
            if source.is_file() and not _is_shared(source, target):
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(f"{target.name}.part")
                part.unlink(missing_ok=True)
                try:
                    os.link(source, part)
                except OSError:
                    shutil.copy2(source, part)
                part.replace(target)
    for source in sorted((prepared / "local").glob("*")):
        target = run_folder / "local" / source.name
        if source.is_dir() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # without links the run unpacks its own
                target.symlink_to(source.resolve(), target_is_directory=True)


def _is_shared(source: Path, target: Path) -> bool:
    """Is the target the source, a copy of it (same size and time), or newer than it?"""
    if not target.exists():
        return False
    one, other = source.stat(), target.stat()
    copied = one.st_size == other.st_size and one.st_mtime_ns == other.st_mtime_ns
    return os.path.samestat(one, other) or copied or other.st_mtime_ns > one.st_mtime_ns


def summary(table: pd.DataFrame) -> str:
    """One line of counts by state, then one line a failed run with its reason."""
    counts = table["state"].value_counts(sort=False)
    lines = [", ".join(f"{count} {state}" for state, count in counts.items())]
    failed = table[table["state"] == "failed"]
    lines += [f"{name}: {why}" for name, why in zip(failed["run"], failed["reason"], strict=True)]
    return "\n".join(lines)


def _text(table: pd.DataFrame) -> str:
    """The table for a terminal, a line a run."""
    width = max((len(name) for name in table["run"]), default=0)
    return "\n".join(
        f"{row['run']:{width}s}  {row['state']:9s} {row['seconds']:6.0f} s  "
        f"{row['reason'][:90]}".rstrip()
        for row in table.to_dict("records")
    )


class Live:
    """Shows the table as it changes: redrawn in place on a terminal, else one line a change."""

    def __init__(self, echo: Callable[[str], Any], redraw: bool) -> None:
        """`echo` takes text, `redraw` says that the cursor may be moved up."""
        self.echo, self.redraw, self.before = echo, redraw, pd.DataFrame(columns=_COLUMNS)

    def __call__(self, table: pd.DataFrame) -> None:
        """Show the table, or what is new in it."""
        if self.redraw:
            up = f"\x1b[{len(self.before)}F\x1b[J" if len(self.before) else ""
            self.echo(up + _text(table))
        else:
            old = dict(zip(self.before["run"], self.before["state"], strict=True))
            before = [old.get(name, "waiting") for name in table["run"]]
            for line in _text(table[table["state"] != before]).splitlines():
                self.echo(line)
        self.before = table


def _known_profiles() -> set[str]:
    return {file.stem for file in run_parameters.PROFILES.glob("*.yaml")}


def _check_keys(content: Any, known: Sequence[str] | None, where: str) -> None:
    """A mapping with these keys only (any, if None), or NotebookError."""
    expected = f"expected {', '.join(known)}" if known else "expected a mapping of names"
    if not isinstance(content, dict):
        raise NotebookError(f"{where}: got a {type(content).__name__}; {expected}")
    if known and (unknown := [key for key in content if key not in known]):
        raise NotebookError(f"{where}: unknown key {unknown[0]!r}; {expected}")


def _batch(content: Mapping[str, Any], where: str, notebooks: Path | None) -> Batch:
    """The checked batch of a file's content, with a profile's keys in it or not."""
    parts: dict[str, Any] = {}
    for key, kind in _KINDS.items():
        parts[key] = content.get(key, kind())
        if not isinstance(parts[key], kind):
            raise NotebookError(f"{where}: {key} must be a {kind.__name__}, got {parts[key]!r}")
        if kind is dict:  # a name such as 3 or null is a text here; no parameter is called so
            parts[key] = {str(name): value for name, value in parts[key].items()}
    if not parts["notebooks"]:
        raise NotebookError(f'{where}: notebooks is empty; name at least one, such as ["05"]')
    batch = Batch(
        tuple(map(str, parts["prepare"])),
        tuple(map(str, parts["notebooks"])),
        parts["parameters"],
        _expand(parts, where),
    )
    _check(batch, where, notebooks)
    return batch


def _seconds(path: Path) -> dict[str, float]:
    """Run name -> seconds of an earlier batch.csv; nothing where there is none."""
    before = read_csv(path, dtype={"run": str}) if path.is_file() else pd.DataFrame()
    if not {"run", "seconds"} <= set(before):
        return {}
    return dict(zip(before["run"], before["seconds"].astype(float), strict=True))


def _expand(content: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Run name -> its own parameters: every entry of `runs` with every combination of `grid`."""
    for name, values in content["grid"].items():
        if not isinstance(values, list) or not values:
            raise NotebookError(f"{where}: grid: {name} must be a list of values, got {values!r}")
    names, values = list(content["grid"]), list(content["grid"].values())
    points = [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]
    runs: dict[str, dict[str, Any]] = {}
    for name, own in (content["runs"] or {"": {}}).items():
        if not isinstance(own or {}, dict):
            raise NotebookError(
                f"{where}: run {name!r} must be a mapping of parameters, got {own!r}"
            )
        for point in points:
            parts = [str(name), *(f"{key.split('.')[-1]}{value}" for key, value in point.items())]
            full = re.sub(r"[^\w.+-]+", "_", "-".join(part for part in parts if part))
            if not full or full in runs:
                raise NotebookError(
                    f"{where}: {f'two runs are called {full!r}' if full else 'there is no run'}; "
                    "give `runs` with different names, or a `grid`"
                )
            runs[full] = {**{str(key): value for key, value in (own or {}).items()}, **point}
    return runs


def _check(batch: Batch, where: str, folder: Path | None) -> None:
    """Every notebook and parameter exists, told with the file's name."""
    found = notebook_files.find(folder)
    try:
        chosen = driver.choose(found, batch.notebooks)
        prepared = driver.choose(found, batch.prepare) if batch.prepare else []
        run_parameters.resolve(chosen + prepared, [batch.shared], "", "")
        for name, parameters in batch.runs.items():
            try:
                run_parameters.resolve(chosen, [parameters], "", "")
            except NotebookError as error:
                raise NotebookError(f"run {name}: {error}") from error
    except NotebookError as error:
        raise NotebookError(f"{where}: {error}") from error


def _those_of(
    parameters: Mapping[str, Any], chosen: Sequence[str], folder: Path | None
) -> dict[str, Any]:
    """The shared parameters that the notebooks of the preparation have."""
    notebooks = driver.choose(notebook_files.find(folder), chosen)
    known = {name for notebook in notebooks for name in notebook.parameters}
    return {key: value for key, value in parameters.items() if key.rpartition(".")[2] in known}
