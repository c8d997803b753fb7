"""Run folders as a table: what was asked, how far it came, what may be compared."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import project
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.reading import read_csv, read_json, read_text, read_yaml
from livestock_utils.evaluate.silver.making import PREFIX

_RECORDED = (
    *("model", "init_weights", "optimizer", "schedule", "epochs", "image_size", "batch_size"),
    *("data", "freeze", "nominal_batch", "warmup_min_iterations", "patience", "best_metric"),
    *("autoanchor", "amp", "teacher_weight"),
)
_SINCE = {"head": "fresh", "close_mosaic": 0.0, "ema_epochs": 0.0, "blend": 0.0}
_SINCE["negatives"] = "plain"
"""Recorded too, by releases after 0.1.0; what earlier ones did."""
_RECIPE = ("start", "hyp", "augmentation", *_RECORDED, *_SINCE)
"""What makes two runs the same but for the seed."""

_QUESTIONS: dict[str, tuple[str, ...]] = {
    "models": ("model", "start", "init_weights"),
    "optimisers": ("optimizer",),
    "hyperparameters": ("hyp",),
    "training data": ("data",),
    "silver": ("data",),
    "epochs": ("epochs",),
}
"""The write-up's tables and one more: runs that differ in these fields and nothing else."""
_FREE = {"optimisers": ("hyp",), "silver": ("negatives",)}
"""What may differ besides: each optimiser has its own learning rate, silver its open regions."""
_HIDDEN = {"models": "init_weights", "training data": "data", "silver": "data"}
"""Fields in which runs may differ although `_setting` calls them the same."""
SILVER = ("without silver", "with silver")
_MAP75 = "metrics/mAP_0.75"


def find_runs(out: str | os.PathLike) -> pd.DataFrame:
    """A row per run folder below OUT/training/ and, from batches, OUT/runs/*/training/.

        lu.find_runs("runs/first")[["name", "trained_on", "epochs_done"]]

    Columns: name, folder, trained_on (by the run's tags), helper (a model of
    out_of_fold: it has seen what others are judged on, or a part of the training set only), variant
    (what the names of batch and folder say besides), seed, _RECIPE's columns (start is "pretrained"
    or "scratch", hyp a known file's name or "own <hash>"), epochs_done, finished, train_images and
    weights_mb. Unreadable folders are an error: NotebookError, with the folder.
    """
    root = Path(out)
    records = sorted({*root.glob("training/*/run.json"), *root.glob("runs/*/training/*/run.json")})
    hyps = _known_hyps(root)
    rows = [_row(record.parent, root, hyps) for record in records]
    columns = ["name", "folder", "trained_on", "helper", "variant", "seed", *_RECIPE]
    columns += ["epochs_done", "finished", "train_images", "weights_mb"]
    return pd.DataFrame(rows, columns=columns).sort_values("name", ignore_index=True)


def _known_hyps(out: Path) -> dict[str, dict[str, float]]:
    """Name -> hyperparameters of the files in `hyp/` and in OUT/hyp/ (the searches' best)."""
    files = [*sorted(project.folder("hyp").glob("*.yaml")), *sorted(out.glob("hyp/*.yaml"))]
    read = {path.stem: read_yaml(path) for path in files}
    return {name: hyp for name, hyp in read.items() if isinstance(hyp, dict) and "lr0" in hyp}


def differing(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs for a reader: name, data, what differs between them, how far they came."""
    first, last = ["name", "trained_on", "seed"], ["epochs_done", "finished", "weights_mb"]
    asked = [name for name in _RECIPE if name not in ("epochs", "data")]
    differing = [name for name in asked if runs[name].nunique(dropna=False) > 1]
    short = runs.assign(init_weights=[str(value or "")[:8] for value in runs["init_weights"]])
    return short[[*first, *differing, "epochs", *last]]


def _comparable(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["finished"].astype(bool) & ~runs["helper"].astype(bool)]


def _asked(question: str) -> tuple[str, ...]:
    """Fields in which the runs of a question may differ."""
    return (*_QUESTIONS[question], *_FREE.get(question, ()))


def questions(runs: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Question -> groups of runs that differ in its fields (and the seed) alone. Unfinished runs
    and helpers are left out, and of runs that are the same training again all but the first.
    "silver" takes the runs of notebook 10 alone, which train equally many photos with and without
    it; "training data" takes the others."""
    done = _comparable(runs)
    is_silver = done["trained_on"].isin(SILVER)
    found: dict[str, list[pd.DataFrame]] = {}
    for question in _QUESTIONS:
        mine = {"silver": done[is_silver], "training data": done[~is_silver]}.get(question, done)
        others = [name for name in _RECIPE if name not in _asked(question)]
        fields = list(_QUESTIONS[question])
        if question == "silver":
            others, fields = [*others, "train_images"], ["trained_on"]
        once = mine.drop_duplicates([*_RECIPE, "seed"])
        for _, group in once.groupby(others, dropna=False, sort=False):
            if len(group[fields].drop_duplicates()) > 1:
                found.setdefault(question, []).append(group.reset_index(drop=True))
    return found


def repeats(runs: pd.DataFrame) -> list[str]:
    """Names of finished runs that are the same training as one before them."""
    done = _comparable(runs)
    return done.loc[done.duplicated([*_RECIPE, "seed"]), "name"].tolist()


def settings(group: pd.DataFrame, question: str) -> list[str]:
    """A run's name in the table of a question: "AdamW, default", "full", "20 epochs". Unlike runs
    never share a name: where other weights or data hide behind one, the variant is added ("with
    silver, silver_share0.5"), and where that leaves two of a seed, a part of the hash."""
    table = group[["seed", "variant"]].assign(
        name=[_setting(run, question) for run in group.to_dict("records")]
    )
    if question in _HIDDEN:
        table["value"] = [str(value or "none") for value in group[_HIDDEN[question]]]
        kinds = table.groupby("name")[["value", "variant"]].transform("nunique")
        unlike = (kinds > 1).all(axis=1) & (table["variant"] != "")
        table["name"] += (", " + table["variant"]).where(unlike, "")
        twice = table.duplicated(["name", "seed"]).groupby(table["name"]).transform("any")
        table["name"] += (", " + table["value"].str[:6]).where(twice, "")
    return table["name"].tolist()


def constants(groups: Sequence[pd.DataFrame], question: str) -> list[str]:
    """What tells the groups of a question apart, a text each; empty for a single one."""
    firsts = pd.DataFrame([group.iloc[0] for group in groups])
    same = [name for name in _RECIPE if name not in _asked(question)]
    differing = [name for name in same if firsts[name].nunique(dropna=False) > 1]
    words = {"epochs": "{} epochs", "image_size": "{} px"}
    words |= dict.fromkeys(("model", "start", "optimizer"), "{}")
    texts = []
    for first in firsts.to_dict("records"):
        first["data"] = first["trained_on"]
        first["init_weights"] = str(first["init_weights"] or "none")[:6]
        said = [
            words.get(name, f"{name.replace('_', ' ')} {{}}").format(first[name])
            for name in differing
        ]
        texts.append(", ".join(said))
    return texts


def results(folder: str | os.PathLike) -> pd.DataFrame:
    """results.csv of a run folder, one row an epoch."""
    return read_csv(Path(folder) / "results.csv")


def mean_results(
    scores: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Setting -> its `results` by epoch, the mean over its seeds as far as all of them came.
    `scores` has the columns setting and run, `tables` the results by run."""
    lines = {}
    for name, part in scores.groupby("setting", sort=False):
        if mine := [tables[run] for run in part["run"] if len(tables[run])]:
            shortest = min(map(len, mine))
            shared = pd.concat([table.head(shortest) for table in mine])
            by_epoch = shared.groupby("epoch", as_index=False)
            lines[str(name)] = by_epoch.mean(numeric_only=True)
    return lines


def curve_ends(scores: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How the mean mAP75 of each setting ends: a row a setting. Columns setting, epochs, last,
    best, best_epoch (from 1), rising (best in the last epoch) and range_of_last (the most that a
    run moves within its last three epochs). `attrs`: the epoch that all reached, the leader there,
    and the epoch since which it leads (`leads_since`)."""
    means = mean_results(scores, tables)
    lines = {name: table[_MAP75].to_numpy() for name, table in means.items() if _MAP75 in table}
    rows = []
    for name, values in lines.items():
        ends = [
            float(np.ptp(tables[run][_MAP75].to_numpy()[-3:]))
            for run in scores.loc[scores["setting"] == name, "run"]
            if len(tables[run]) > 1
        ]
        best = int(values.argmax()) + 1
        rising = 1 < len(values) == best
        range_of_last = max(ends, default=np.nan)
        rows.append((name, len(values), values[-1], values.max(), best, rising, range_of_last))
    columns = ["setting", "epochs", "last", "best", "best_epoch", "rising", "range_of_last"]
    table = pd.DataFrame(rows, columns=columns)
    if lines:
        shared = int(table["epochs"].min())
        leaders = pd.DataFrame({name: values[:shared] for name, values in lines.items()})
        leader = leaders.idxmax(axis=1)
        leads = int((leader == leader.iloc[-1])[::-1].cumprod().sum())
        table.attrs = {"epoch": shared, "leader": str(leader.iloc[-1])}
        table.attrs["leads_since"] = shared - leads + 1
    return table


def trained_ids(folder: str | os.PathLike) -> set[str] | None:
    """Ids of the photos a run was trained on, silver under its source's; None: not recorded."""
    path = Path(folder) / "train_images.txt"
    if not path.is_file():
        return None
    return {name.removeprefix(PREFIX) for name in read_text(path).splitlines()}


def _setting(run: Mapping[Any, Any], question: str) -> str:
    """A run's name in the table of a question, by what its recipe says."""
    if question in ("training data", "silver"):
        return str(run["trained_on"])
    if question == "epochs":
        return f"{run['epochs']} epochs"
    return ", ".join(str(run[field]) for field in _asked(question) if field != "init_weights")


def _row(folder: Path, root: Path, hyps: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    try:
        record = read_json(folder / "run.json")
        recorded = read_yaml(folder / "settings.yaml")
        done = len(results(folder)) if (folder / "results.csv").is_file() else 0
        hyp_name = _hyp_name(recorded["hyp"], hyps)
        row = {name: recorded.get(name) for name in _RECORDED}
        row |= {name: recorded.get(name, before) for name, before in _SINCE.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotebookError(
            f"{folder} is no whole run folder ({type(error).__name__}: {error}); train it again, "
            "or move it away"
        ) from error
    inside = folder.relative_to(root)
    batch = inside.parts[1] if inside.parts[0] == "runs" else ""
    tags = record.get("tags") or _guessed_tags(folder)
    of_batch = re.sub(r"(^|-)seed\d+(?=-|$)", "", batch).strip("-")
    return row | {
        "name": f"{batch}/{folder.name}" if batch else folder.name,
        "folder": str(folder),
        "trained_on": tags.get("trained_on", folder.name),
        "helper": bool(tags.get("helper")),
        "variant": ", ".join(filter(None, (of_batch, tags.get("variant", "")))),
        "seed": recorded.get("seed", 0),
        "start": "pretrained" if recorded.get("init_weights") else "scratch",
        "augmentation": json.dumps(recorded.get("augmentation"), sort_keys=True, default=str),
        "hyp": hyp_name,
        "epochs_done": done,
        "finished": bool(record.get("finished")),
        "train_images": record.get("train_images"),
        "weights_mb": record.get("weights_bytes", 0) / 1e6,
    }


def _guessed_tags(folder: Path) -> dict[str, str]:
    """What the names of folders say of a run of version 0.1.0, which wrote no tags."""
    stem = re.sub(r"_seed\d+$", "", folder.name)
    suffix = folder.name.removeprefix(stem)
    known = {"multilabel_split": "split", "full": "full", "expanded_gold": SILVER[0]}
    if stem in known or stem == "expanded":
        return {"trained_on": known.get(stem, SILVER[1])}
    if re.fullmatch(r".+_fold\d+", folder.name):
        return {"trained_on": stem, "helper": "out of fold"}
    if (folder.parent / f"{stem}_gold{suffix}").is_dir():  # notebook 10 with another run_name
        return {"trained_on": SILVER[1], "variant": stem}
    gold = stem.removesuffix("_gold")
    if gold != stem and (folder.parent / f"{gold}{suffix}").is_dir():
        return {"trained_on": SILVER[0], "variant": gold}
    return {"trained_on": stem}


def _hyp_name(hyp: Mapping[str, float], hyps: Mapping[str, Mapping[str, float]]) -> str:
    """The first known file with these values, else "own" and a short hash of them."""
    for name, known in hyps.items():
        if set(known) == set(hyp) and all(
            abs(float(known[key]) - float(hyp[key])) < 1e-9 for key in hyp
        ):
            return name
    return f"own {hashlib.sha256(json.dumps(dict(hyp), sort_keys=True).encode()).hexdigest()[:6]}"
