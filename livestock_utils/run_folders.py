"""Run folders as a table: what each training was asked to do, how far it came, and which ones may be compared."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from livestock_utils.errors import NotebookError
from livestock_utils.training_settings import HYP_FOLDER

RECIPE = ("model", "start", "optimizer", "schedule", "hyp", "epochs", "image_size", "batch_size", "data",
          "augmentation", "freeze", "nominal_batch")
"""What makes two runs the same but for the seed."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "models": ("model", "start"), "optimisers": ("optimizer", "hyp"), "hyperparameters": ("hyp",),
    "training data": ("data",), "epochs": ("epochs",)}
"""The write-up's tables and one more: in each, runs that differ in the first of these (models: in either), maybe in
the second, and in nothing else."""

DATA_NAMES = {"multilabel_split": "split", "full": "full", "expanded_gold": "without silver",
              "expanded": "with silver"}
"""Run folders of notebooks 05, 08 and 10 -> what they were trained on."""


def find(out: str | os.PathLike) -> pd.DataFrame:
    """One row a run folder below OUT/training/ and, as `batch` leaves them, OUT/runs/*/training/; by name.

    Columns: name, folder, trained_on (see DATA_NAMES, else the folder's name), seed, RECIPE's columns (start is
    "pretrained" or "scratch", hyp a known file's name or "own <hash>"), epochs_done, finished, train_images and
    weights_mb. Unreadable folders are an error: NotebookError, with the folder.
    """
    root = Path(out)
    records = sorted({*root.glob("training/*/run.json"), *root.glob("runs/*/training/*/run.json")})
    hyps = known_hyps(root)
    rows = [_row(record.parent, root, hyps) for record in records]
    columns = ["name", "folder", "trained_on", "seed", *RECIPE, "epochs_done", "finished", "train_images", "weights_mb"]
    return pd.DataFrame(rows, columns=columns).sort_values("name", ignore_index=True)


def shown(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of runs for a reader: name, what they were trained on, what differs between them, how far they came."""
    always = ["name", "trained_on", "seed", "epochs", "epochs_done", "finished", "weights_mb"]
    differing = [name for name in RECIPE if name not in (*always, "data") and runs[name].nunique(dropna=False) > 1]
    return runs[[*always[:3], *differing, *always[3:]]]


def known_hyps(out: str | os.PathLike) -> dict[str, dict[str, float]]:
    """Name -> hyperparameters of the files in `hyp/` and in OUT/hyp/ (the searches' best)."""
    files = [*sorted(HYP_FOLDER.glob("*.yaml")), *sorted(Path(out).glob("hyp/*.yaml"))]
    read = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}
    return {name: values for name, values in read.items() if isinstance(values, dict) and "lr0" in values}


def questions(runs: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Question -> groups of runs that differ in its fields alone (and in the seed), each with at least two settings.

    Runs of unequal epochs never share a group, but for the question "epochs" itself; unfinished runs are left out.
    """
    done = runs[runs["finished"].astype(bool)]
    found: dict[str, list[pd.DataFrame]] = {}
    for question, fields in QUESTIONS.items():
        others = [name for name in RECIPE if name not in fields]
        for _, group in done.groupby(others, dropna=False, sort=False):
            varying = list(fields) if question == "models" else [fields[0]]
            if len(group[varying].drop_duplicates()) > 1:
                found.setdefault(question, []).append(group.reset_index(drop=True))
    return found


def setting(run: Mapping[str, Any] | pd.Series, question: str) -> str:
    """How a run is called in the table of a question: "AdamW", "yolov5m6, scratch", "full", "20 epochs"."""
    if question == "training data":
        return str(run["trained_on"])
    if question == "epochs":
        return f"{run['epochs']} epochs"
    return ", ".join(str(run[field]) for field in QUESTIONS[question])


def results(folder: str | os.PathLike) -> pd.DataFrame:
    """results.csv of a run folder, one row an epoch."""
    return pd.read_csv(Path(folder) / "results.csv")


def _row(folder: Path, root: Path, hyps: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        settings = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
        done = len(results(folder)) if (folder / "results.csv").is_file() else 0
        hyp = settings["hyp"]
        row = {name: settings.get(name) for name in RECIPE if name not in ("start", "hyp")}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise NotebookError(f"{folder} is no whole run folder ({type(error).__name__}: {error}); train it again, or "
                            "move it away") from error
    inside = folder.relative_to(root)
    batch = inside.parts[1] if inside.parts[0] == "runs" else ""
    trained_on = next((name for stem, name in sorted(DATA_NAMES.items(), key=lambda pair: -len(pair[0]))
                       if folder.name == stem or folder.name.startswith(f"{stem}_seed")), folder.name)
    return row | {"name": f"{batch}/{folder.name}" if batch else folder.name, "folder": str(folder),
                  "trained_on": trained_on, "seed": settings.get("seed", 0),
                  "start": "pretrained" if settings.get("init_weights") else "scratch",
                  "augmentation": json.dumps(settings.get("augmentation"), sort_keys=True, default=str),
                  "hyp": _hyp_name(hyp, hyps), "epochs_done": done, "finished": bool(record.get("finished")),
                  "train_images": record.get("train_images"), "weights_mb": record.get("weights_bytes", 0) / 1e6}


def _hyp_name(hyp: Mapping[str, float], hyps: Mapping[str, Mapping[str, float]]) -> str:
    """The first known file with these values, else "own" and a short hash of them."""
    for name, known in hyps.items():
        if set(known) == set(hyp) and all(abs(float(known[key]) - float(hyp[key])) < 1e-9 for key in hyp):
            return name
    return f"own {hashlib.sha256(json.dumps(dict(hyp), sort_keys=True).encode()).hexdigest()[:6]}"
