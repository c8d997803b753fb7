"""What a run folder has on record, read with care, and errors of its disk in one line."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from livestock_utils.core import files
from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.settings import Recorded
from livestock_utils.detect.train import state


def read_record(folder: Path) -> dict[str, Any]:
    """run.json of a run folder, {} without one; TrainingError for a damaged one."""
    record = _read(
        folder / "run.json",
        json.loads,
        "bring it back from a copy or the mirror; delete it only if the run had not finished, it "
        "then goes on from its resume file",
    )
    for line in record.get("warnings", []):  # version 0.1.0 had it there alone
        if ended := re.fullmatch(r"ended after epoch (\d+) by the caller", line):
            record.setdefault("ended_after", int(ended[1]))
    return record


def read_settings(folder: Path) -> dict[str, Any]:
    """settings.yaml of a run folder, {} without one; TrainingError for a damaged one."""
    return _read(
        folder / "settings.yaml",
        yaml.safe_load,
        "delete it and start the same training again, the resume file holds the settings too",
    )


def _read(path: Path, parse: Any, advice: str) -> dict[str, Any]:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        raise TrainingError(f"{path} is damaged (names and values expected); {advice}")
    return found


def known(folder: Path, second: Any = None) -> tuple[dict[str, Any], bool]:
    """A run's recorded settings ({} for none), and whether it has finished."""
    places = [folder] if second is None else [folder, mirror_folder(folder, second)]
    recorded: dict[str, Any] = {}
    has_finished = False
    for place in places:
        with contextlib.suppress(OSError):  # a mirror that does not answer; `opened` tells
            recorded = recorded or read_settings(place)
            has_finished = has_finished or bool(read_record(place).get("finished"))
    return recorded, has_finished


def check_settings(folder: Path, settings: Recorded) -> bool:
    """False for a folder without a run; TrainingError if its settings differ. A run that ended
    before its first epoch was saved counts as none: nothing is lost when other settings begin
    anew."""
    before = read_settings(folder)
    if not (folder / "results.csv").is_file() and state.newest(folder / "resume") is None:
        return False
    if before:
        state.check_same({"settings": before}, settings.plain(), folder)
    return bool(before)


def copy_same(twin: Path, folder: Path, settings: Recorded, tags: Any) -> bool:
    """Whether `twin` is this training, finished; `folder` is then its copy, under these tags."""
    recorded, has_finished = known(twin)
    if not has_finished or state.differences(recorded, settings.plain()):
        return False
    part = folder.with_name(f"{folder.name}.part")
    with storing("copy a run", folder):
        shutil.copytree(twin, part, dirs_exist_ok=True)
        files.write_json(part / "run.json", read_record(twin) | {"tags": dict(tags or {})})
        part.rename(folder)
    return True


def mirror_folder(folder: Path, second: Any) -> Path:
    """The absolute path of a mirror; TrainingError if one folder holds the other."""
    target, here = Path(second).expanduser().resolve(), folder.resolve()
    if target == here or target in here.parents or here in target.parents:
        raise TrainingError(
            f"mirror {target} and run folder {here} are the same or one lies in the other; give "
            "the mirror a folder of its own"
        )
    return target


@contextlib.contextmanager
def storing(what: str, folder: Path) -> Iterator[None]:
    """Turn a disk's error, hidden by torch or not, into one line with advice."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        path = state.newest(folder / "resume")
        after = "" if path is None else f", it goes on after epoch {state.epochs_in(path)}"
        raise TrainingError(
            f"could not {what} in {folder} ({cause}); make room there or make it writable, and "
            f"start the same training again{after}"
        ) from error
