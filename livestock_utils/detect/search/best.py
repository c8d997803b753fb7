"""The best hyperparameters of a search: a YAML per study, a pointer to the newest."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.reading import read_json

_SEARCH = "search"
_POINTER = "search.json"
_TOLD = ("model", "epochs", "image_size", "batch_size", "optimizer", "seed")
"""Settings of a trial that the comment in the file names."""


def write_best(
    out: Path,
    name: str,
    group: str,
    best_hyp: Mapping[str, float],
    best: pd.Series,
    table: pd.DataFrame,
    weights: Mapping[str, float],
    training: Mapping[str, Any],
    against: str,
    chosen: Mapping[str, Any],
) -> Path:
    """Write OUT/hyp/hyp_<name>_best.yaml of the study `name`, and point OUT/hyp/search.json at it.
    `chosen` are the best trial's values of what was searched besides genes (model, optimizer, ...),
    which no hyperparameter file holds. An equal file is left alone."""
    formula = " + ".join(f"{weight:g} x {metric}" for metric, weight in weights.items())
    aside = f"; the highest score, whatever its {against}" if against else ""
    told = {key: value for key, value in training.items() if key in _TOLD} | dict(chosen)
    each = ", ".join(f"{key} {value}" for key, value in sorted(told.items()))
    lines = [
        f"# Best of {int((table['state'] == 'complete').sum())} finished trials of the genes "
        f"{group!r}: {formula} = {best['score']:.4f} (trial {int(best['trial'])}{aside}).",
        f"# Each trial: {each}.",
    ]
    pointer: dict[str, Any] = {
        "file": f"hyp_{name}_best.yaml",
        "study": name,
        "group": group,
        "score": float(best["score"]),
    }
    if chosen:
        set_too = ", ".join(f"{key} = {value}" for key, value in chosen.items())
        lines.append(
            f"# Searched with the genes, and to be set where this file is used: {set_too}."
        )
        pointer["choices"] = dict(chosen)
    path = out / "hyp" / pointer["file"]
    _write_changed(path, "\n".join([*lines, yaml.safe_dump(dict(best_hyp), sort_keys=False)]))
    _write_changed(path.with_name(_POINTER), json.dumps(pointer, indent=2) + "\n")
    return path


def resolve_hyp(hyp: str | os.PathLike | None, out: str | os.PathLike) -> str | os.PathLike | None:
    """ "search" -> the best of notebook 07's last search, "search:NAME" -> that of NAME; anything
    else is given back as it is."""
    text = str(hyp)
    if text != _SEARCH and not text.startswith(f"{_SEARCH}:"):
        return hyp
    folder = Path(out) / "hyp"
    if text == _SEARCH:
        pointer = folder / _POINTER
        if not pointer.is_file():
            raise NotebookError(
                f"hyp is 'search', but {folder} holds no {_POINTER}: notebook 07 writes it; run "
                "that first, with the same out"
            )
        path = folder / str(read_json(pointer, NotebookError, "run notebook 07 again")["file"])
    else:
        path = folder / f"hyp_{text.removeprefix(f'{_SEARCH}:').strip()}_best.yaml"
    if not path.is_file():
        files_there = sorted(folder.glob("hyp_*_best.yaml"))
        known = [file.name[len("hyp_") : -len("_best.yaml")] for file in files_there]
        raise NotebookError(
            f"hyp is {text!r}, but {path} is missing; searched were {', '.join(known) or 'none'}: "
            "run notebook 07 for it, with the same out"
        )
    return str(path)


def _write_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        files.write_text(path, text)
