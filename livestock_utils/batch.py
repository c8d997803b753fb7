"""Experiment batches: a grid of notebook parameters in a YAML file, each run in a folder of its own.

    prepare: ["01", "02"]              # notebooks that run once, into OUT/prepared; all runs share their data sets
    notebooks: ["05"]                  # notebooks of each run, into OUT/runs/<name>
    parameters: {epochs: 10}           # of all runs, addressed as on the command line ("epochs", "05.epochs")
    runs: {sgd: {optimizer: SGD}}      # by name; without it, one run a point of the grid
    grid: {seed: [0, 1, 2]}            # every run with every combination
    profiles: {sample: {grid: {...}}}  # what a profile changes: its keys take the place of the ones above

The same call again goes on where the batch stopped.
"""

import contextlib
import dataclasses
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
import yaml

from livestock_utils import dataset, files, notebook_files, pipeline, run_parameters
from livestock_utils.errors import LivestockError, NotebookError

log = logging.getLogger(__name__)

KEYS = ("about", "prepare", "notebooks", "parameters", "runs", "grid", "profiles")
COLUMNS = ["run", "state", "seconds", "reason"]


@dataclasses.dataclass(frozen=True)
class Batch:
    """A checked batch file: notebooks by number or name, and the parameters of each run by its name."""

    about: str
    prepare: tuple[str, ...]
    notebooks: tuple[str, ...]
    shared: dict[str, Any]
    runs: dict[str, dict[str, Any]]


def read(path: str | os.PathLike, profile: str | None = None, notebooks: Path | None = None) -> Batch:
    """Read and check a batch file; `profile` names one of its own profiles (unknown ones change nothing).

    Raises NotebookError for another shape, an unknown notebook or parameter, two runs of one name, and no run at all.
    """
    file = Path(path)
    if not file.is_file():
        raise NotebookError(f"batch file {file} not found; notebooks/batches/ holds some")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise NotebookError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or (unknown := [key for key in content if key not in KEYS]):
        got = f"unknown key {unknown[0]!r}" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise NotebookError(f"{file}: {got}; expected {', '.join(KEYS)}")
    own = (content.get("profiles") or {}).get(profile or "", {})
    content = {**content, **own}
    for key, kind in (("prepare", list), ("notebooks", list), ("parameters", dict), ("runs", dict), ("grid", dict)):
        if not isinstance(content.setdefault(key, kind()), kind):
            raise NotebookError(f"{file}: {key} must be a {kind.__name__}, got {content[key]!r}")
    if not content["notebooks"]:
        raise NotebookError(f"{file}: notebooks is empty; name at least one, such as [\"05\"]")
    batch = Batch(str(content.get("about", "")), tuple(map(str, content["prepare"])),
                  tuple(map(str, content["notebooks"])), content["parameters"], _expand(content, file))
    _check(batch, file, notebooks)
    return batch


def run(path: str | os.PathLike, data: Path, out: Path, *, workers: int = 1, profile: str | None = None,
        notebooks: Path | None = None, tell: Callable[[pd.DataFrame], Any] = lambda table: None) -> pd.DataFrame:
    """Execute a batch into `out` -> table with a row a run: run, state, seconds, reason; also OUT/batch.csv.

    `workers` runs go on at once. `tell` gets the table whenever a state changes: "waiting", "running", "done",
    "unchanged" or "failed". A failed run does not stop the others. Raises NotebookError for a bad file, and when the
    preparation fails.
    """
    if workers < 1:
        raise NotebookError(f"workers must be at least 1, got {workers}")
    batch = read(path, profile, notebooks)
    known = profile if profile in {file.stem for file in run_parameters.PROFILES.glob("*.yaml")} else None
    prepared = out / "prepared"
    if batch.prepare:
        pipeline.run(data, prepared, notebooks=notebooks, only=batch.prepare, profile=known,
                     parameters=_those_of(batch.shared, batch.prepare, notebooks))
        for tar in sorted((prepared / "datasets").glob("*.tar")):
            dataset.extract(tar, prepared / "local" / tar.stem)
    table = pd.DataFrame({"run": list(batch.runs), "state": "waiting", "seconds": 0.0, "reason": ""}, columns=COLUMNS)
    lock = threading.Lock()

    def note(place: int, **values: Any) -> None:
        with lock:
            for name, value in values.items():
                table.loc[place, name] = value
            files.write_text(out / "batch.csv", table.round({"seconds": 1}).to_csv(index=False))
            tell(table.copy())

    def one(place: int, name: str, parameters: Mapping[str, Any]) -> None:
        note(place, state="running")
        began = time.monotonic()
        try:
            share(prepared, out / "runs" / name)
            outcome = pipeline.run(data, out / "runs" / name, notebooks=notebooks, only=batch.notebooks, profile=known,
                                   parameters={**batch.shared, **parameters}, tell=log.info)
        except (LivestockError, OSError) as error:
            note(place, state="failed", seconds=time.monotonic() - began, reason=str(error))
        else:
            state = "unchanged" if set(outcome.values()) == {"unchanged"} else "done"
            note(place, state=state, seconds=time.monotonic() - began)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda row: one(row[0], *row[1]), enumerate(batch.runs.items())))
    return table


def share(prepared: Path, run_folder: Path) -> None:
    """Give a run the prepared data sets and tables: linked where the file system can, else copied.

    What the run has from an earlier preparation is replaced; a newer file is the run's own and stays.
    """
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
    lines = [", ".join(f"{count} {state}" for state, count in counts.to_dict().items())]
    failed = table[table["state"] == "failed"]
    return "\n".join(lines + [f"{name}: {why}" for name, why in zip(failed["run"], failed["reason"], strict=True)])


def text(table: pd.DataFrame) -> str:
    """The table for a terminal, a line a run."""
    width = max((len(name) for name in table["run"]), default=0)
    return "\n".join(f"{row['run']:{width}s}  {row['state']:9s} {row['seconds']:6.0f} s  {row['reason'][:90]}".rstrip()
                     for row in table.to_dict("records"))


class Live:
    """Shows the table as it changes: redrawn in place on a terminal, else one line a change."""

    def __init__(self, echo: Callable[[str], Any], redraw: bool) -> None:
        """`echo` takes text, `redraw` says that the cursor may be moved up."""
        self.echo, self.redraw, self.before = echo, redraw, pd.DataFrame(columns=COLUMNS)

    def __call__(self, table: pd.DataFrame) -> None:
        """Show the table, or what is new in it."""
        if self.redraw:
            up = f"\x1b[{len(self.before)}F\x1b[J" if len(self.before) else ""
            self.echo(up + text(table))
        else:
            old = dict(zip(self.before["run"], self.before["state"], strict=True))
            changed = [old.get(name, "waiting") != now for name, now in zip(table["run"], table["state"], strict=True)]
            for line in text(table[changed]).splitlines():
                self.echo(line)
        self.before = table


def _expand(content: Mapping[str, Any], file: Path) -> dict[str, dict[str, Any]]:
    """Run name -> its own parameters: every entry of `runs` with every combination of `grid`."""
    for name, values in content["grid"].items():
        if not isinstance(values, list) or not values:
            raise NotebookError(f"{file}: grid: {name} must be a list of values, got {values!r}")
    names, values = list(content["grid"]), list(content["grid"].values())
    points = [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]
    runs: dict[str, dict[str, Any]] = {}
    for name, own in (content["runs"] or {"": {}}).items():
        for point in points:
            if not isinstance(own or {}, dict):
                raise NotebookError(f"{file}: run {name!r} must be a mapping of parameters, got {own!r}")
            parts = [str(name), *(f"{key.split('.')[-1]}{value}" for key, value in point.items())]
            full = re.sub(r"[^\w.+-]+", "_", "-".join(part for part in parts if part))
            if not full or full in runs:
                raise NotebookError(f"{file}: {f'two runs are called {full!r}' if full else 'there is no run'}; "
                                    "give `runs` with different names, or a `grid`")
            runs[full] = {**(own or {}), **point}
    return runs


def _check(batch: Batch, file: Path, folder: Path | None) -> None:
    """Every notebook and parameter exists, told with the file's name."""
    found = notebook_files.find(folder)
    try:
        chosen = pipeline.choose(found, batch.notebooks)
        pipeline.choose(found, batch.prepare)
        every = chosen + pipeline.choose(found, batch.prepare) if batch.prepare else chosen
        run_parameters.resolve(every, [batch.shared], "", "")
        for name, parameters in batch.runs.items():
            try:
                run_parameters.resolve(chosen, [parameters], "", "")
            except NotebookError as error:
                raise NotebookError(f"run {name}: {error}") from error
    except NotebookError as error:
        raise NotebookError(f"{file}: {error}") from error


def _those_of(parameters: Mapping[str, Any], chosen: Sequence[str], folder: Path | None) -> dict[str, Any]:
    """The shared parameters that the notebooks of the preparation have."""
    notebooks = pipeline.choose(notebook_files.find(folder), chosen)
    known = {name for notebook in notebooks for name in notebook.parameters}
    return {key: value for key, value in parameters.items() if key.rpartition(".")[2] in known}
