"""The write-up's comparison tables from the runs' predictions: scores, seeds, intervals."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from livestock_utils.core.errors import NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.data.eda import write_up
from livestock_utils.data.sets import reading
from livestock_utils.evaluate.compare import runs as run_folders
from livestock_utils.evaluate.scoring import metrics
from livestock_utils.evaluate.silver import effect as silver_effect

SCORES = ["mAP50", "mAP75", "mAP50-95"]
_REFERENCE = {
    "optimisers": "SGD",
    "hyperparameters": "default",
    "models": "yolov5m6, pretrained",
    "silver": run_folders.SILVER[0],
}
"""The setting that others are held against; else the first by name, or fewest epochs."""
_DIFFERENCE = ["difference", "low", "high", "lowest_run", "highest_run"]
_EARLIER = ("split", "default")
"""What comes first among the settings without a reference."""
WRITE_UP_RECIPE = {"model": "yolov5m6", "image_size": 1280}
"""What the runs of the write-up's tables have in common; that of models names the model."""


@dataclasses.dataclass(frozen=True)
class Judge:
    """The images that a table's runs are scored on: none of the runs was trained on them. `removed`
    counts those left out, by the runs that were trained on them; `unrecorded` are the runs whose
    folders do not tell."""

    name: str
    photos: Photos
    removed: dict[str, int] = dataclasses.field(default_factory=dict)
    unrecorded: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Answer:
    """What runs say to a question: `scores` per run, `table` per setting, `differences`; what its
    group of runs has in common and the others have not (`constants`); of silver `two_numbers`."""

    question: str
    number: int
    constants: str
    judge: Judge
    scores: pd.DataFrame
    table: pd.DataFrame
    differences: pd.DataFrame
    results: dict[str, pd.DataFrame]
    two_numbers: pd.DataFrame | None = None

    @property
    def key(self) -> str:
        """The question as part of a file's name; its second group of runs is "models_2"."""
        return self.question.replace(" ", "_") + (f"_{self.number}" if self.number > 1 else "")

    @property
    def title(self) -> str:
        """A heading: the question, its settings, and what tells these runs from others."""
        names = self.table["setting"].tolist()
        what = "; ".join(names) if len(names) <= 4 else f"{len(names)} settings"
        return f"{self.question.capitalize()}: {what}" + (
            f" ({self.constants})" if self.constants else ""
        )


def answer_all(
    runs: pd.DataFrame,
    out: str | os.PathLike,
    local: str | os.PathLike,
    predict: Callable[[pd.DataFrame, Judge], Mapping[str, pd.DataFrame]],
    seed: int = 0,
    data: str | os.PathLike = "",
) -> list[Answer]:
    """Every question that the runs (`runs.find_runs`) can answer; `predict` takes a group of runs
    and its judge and gives predictions by the runs' names. `data` may hold the truth."""
    answers = []
    for question, groups in run_folders.questions(runs).items():
        constants = run_folders.constants(groups, question)
        for number, (group, common) in enumerate(zip(groups, constants, strict=True), start=1):
            on = judge(out, group, local)
            found = predict(group, on)
            scores = run_scores(group, found, on, question)
            logged = map(run_folders.results, group["folder"])
            results = dict(zip(group["name"], logged, strict=True))
            table, pairs = question_table(scores, question), differences(scores, found, on, seed)
            both = None
            if question == "silver":
                of_setting = scores.groupby("setting", sort=False)["run"]
                of_runs = {str(name): [found[run] for run in mine] for name, mine in of_setting}
                both = silver_effect.two_numbers(on.photos, of_runs, data, seed=seed)
            answers.append(
                Answer(question, number, common, on, scores, table, pairs, results, both)
            )
    return answers


def optimisers(answers: Sequence[Answer]) -> pd.DataFrame:
    """SGD and AdamW, each at its best setting by mean mAP75: a row each; empty without such runs.
    Columns optimizer, hyp, settings (tried), runs, mAP75 and std; `attrs`: epochs, difference of
    the means (SGD minus AdamW), and low, high of Welch's 95 % interval over the seeds (NaN with
    fewer than two)."""
    asked = [answer.scores for answer in answers if answer.question == "optimisers"]
    if not asked:
        return pd.DataFrame()
    rows, values, scores = [], [], max(asked, key=len)
    for kind in ("SGD", "AdamW"):
        mine = scores[scores["setting"].str.startswith(f"{kind}, ")]
        if mine.empty:
            return pd.DataFrame()
        by_setting = mine.groupby("setting")["mAP75"]
        best = str(by_setting.mean().idxmax())
        seeds = by_setting.get_group(best).to_numpy(float)
        values.append(seeds)
        std = float(seeds.std(ddof=1)) if len(seeds) > 1 else np.nan
        hyp = best.partition(", ")[2]
        rows.append((kind, hyp, len(by_setting), len(seeds), seeds.mean(), std))
    table = pd.DataFrame(rows, columns=["optimizer", "hyp", "settings", "runs", "mAP75", "std"])
    sgd, adamw = values
    low, high = welch_interval(sgd, adamw) if min(table["runs"]) > 1 else (np.nan, np.nan)
    epochs = "–".join(map(str, sorted(set(scores["epochs"]))))
    difference = float(sgd.mean() - adamw.mean())
    table.attrs = {"low": low, "high": high, "difference": difference, "epochs": epochs}
    return table


def welch_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """95 % interval of mean(first) - mean(second) by Welch's t; (d, d) where neither spreads."""
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        value = float(first.mean() - second.mean())
        return value, value
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    return float(interval.low), float(interval.high)


def key_numbers(answers: Sequence[Answer]) -> dict[str, Any]:
    """For metrics.json: mAP75 of each setting as "question: setting", then the tables."""
    numbers: dict[str, Any] = {
        f"mAP75 {answer.key}: {setting}": value
        for answer in answers
        for setting, value in answer.table.set_index("setting")["mAP75"].items()
    }
    images = {answer.key: len(answer.judge.photos) for answer in answers}
    numbers["tables"] = {one.key: one.table.assign(images=images[one.key]) for one in answers}
    numbers["differences"] = {
        one.key: one.differences.assign(images=images[one.key]) for one in answers
    }
    return numbers


def judge(out: str | os.PathLike, group: pd.DataFrame, local: str | os.PathLike) -> Judge:
    """The validation fold, or its part that was held out of the full set, unpacked below `local`,
    without the images that a run was trained on by its own record."""
    name = "Valid_Dataset_Full" if (group["trained_on"] == "full").any() else "Valid_Dataset"
    places = [Path(out) / inner / "datasets" / f"{name}.tar" for inner in ("", "prepared")]
    tar = next((place for place in places if place.is_file()), None)
    if tar is None:
        maker = "03" if name.endswith("Full") else "02"
        raise NotebookError(
            f"{places[0]} is missing: notebook {maker} writes it; run that first, with the same out"
        )
    photos = reading.open_set(tar, Path(local) / name)
    known_ids = map(run_folders.trained_ids, group["folder"])
    trained = dict(zip(group["name"], known_ids, strict=True))
    ids = photos.images["image_id"]
    seen = pd.DataFrame({run: ids.isin(known or ()) for run, known in trained.items()})
    left = photos.select(ids[~seen.any(axis=1)])
    removed = {str(run): int(count) for run, count in seen.sum().items() if count}
    if len(left) < 2:
        raise NotebookError(
            f"{len(left)} of the {len(photos)} images of {name} are left to judge on: "
            f"{', '.join(removed)} trained on the others; move such run folders away"
        )
    unrecorded = tuple(run for run, known in trained.items() if known is None)
    return Judge(name, left, removed, unrecorded)


def run_scores(
    group: pd.DataFrame, found: Mapping[str, pd.DataFrame], on: Judge, question: str
) -> pd.DataFrame:
    """A row per run: setting, run, seed, model, image_size, epochs, train_images, scores."""
    rows = []
    asked = ["name", "seed", "model", "image_size", "epochs_done", "train_images"]
    for run in group[asked].astype(object).to_dict("records"):
        table = metrics.per_class_table(on.photos.boxes, found[run["name"]], on.photos.images)
        whole = table.loc["all", ["P", "R", *SCORES]].to_dict()
        by_class = table["mAP75"].drop("all").add_prefix("mAP75_").to_dict()
        rows.append({**run, **whole, **by_class})
    table = pd.DataFrame(rows).rename(columns={"name": "run", "epochs_done": "epochs"})
    table.index = pd.Index(run_folders.settings(group, question), name="setting")
    order = _ordered_settings(set(table.index), question)
    return table.sort_values(["seed", "run"]).loc[order].reset_index()


def _ordered_settings(names: Iterable[str], question: str) -> list[str]:
    """Settings in reading order, the one that the others are held against first."""
    if question == "epochs":
        return sorted(names, key=lambda name: int(name.split()[0]))
    first = _REFERENCE.get(question)
    return sorted(
        names, key=lambda name: (not name.startswith(f"{first}"), name not in _EARLIER, name)
    )


def question_table(scores: pd.DataFrame, question: str) -> pd.DataFrame:
    """The write-up's table: a row per setting, means over seeds; mAP75_lowest and mAP75_highest are
    of single runs. Its own numbers stand in write_up_..., where it has that setting and all runs
    are of its model and size; a column that would be empty is left out."""
    grouped = scores.groupby("setting", sort=False)
    table = grouped[SCORES].mean()
    table.insert(0, "runs", grouped.size())
    table.insert(1, "epochs", grouped["epochs"].agg(lambda c: "–".join(map(str, sorted(set(c))))))
    several = table["runs"] > 1
    table["mAP75_lowest"] = grouped["mAP75"].min().where(several)
    table["mAP75_highest"] = grouped["mAP75"].max().where(several)
    known = write_up.scores().get(question, []) if like_write_up(scores, question) else []
    theirs = pd.DataFrame(known or [{"name": ""}]).set_index("name").add_prefix("write_up_")
    names = [name.split(",")[0] if question == "optimisers" else name for name in table.index]
    beside = {str(column): theirs[column].reindex(names).to_numpy() for column in theirs}
    return table.assign(**beside).dropna(axis=1, how="all").reset_index()


def like_write_up(scores: pd.DataFrame, question: str) -> bool:
    """Are all runs of the model and the size of the write-up's tables (WRITE_UP_RECIPE)?"""
    fields = [name for name in WRITE_UP_RECIPE if not (name == "model" and question == "models")]
    return bool((scores[fields] == pd.Series(WRITE_UP_RECIPE)[fields]).all(axis=None))


def differences(
    scores: pd.DataFrame, found: Mapping[str, pd.DataFrame], on: Judge, seed: int = 0
) -> pd.DataFrame:
    """Each setting against the first one, paired: the same images, the same seeds; a row a setting.
    Columns setting, against, pairs (of seeds), difference (mAP75), low, high (95 % interval over
    draws of the images) and lowest_run, highest_run (of single pairs: the luck of the seeds)."""
    settings = list(dict.fromkeys(scores["setting"]))
    if twice := scores[scores.duplicated(["setting", "seed"], keep=False)]["run"].tolist():
        raise NotebookError(
            f"{twice[0]} and {twice[1]} have the same setting and seed; move one of them away"
        )
    by_seed = {name: part.set_index("seed")["run"] for name, part in scores.groupby("setting")}
    rows = []
    for name in settings[1:]:
        pairs = pd.concat([by_seed[settings[0]], by_seed[name]], axis=1, join="inner").sort_index()
        if pairs.empty:
            continue
        first, second = ([found[run] for run in side] for _, side in pairs.items())
        judged = {"validation": on.photos.boxes}
        effect = silver_effect.effect_table(judged, first, second, on.photos.images, seed=seed)
        whole = effect.set_index("class").loc["all", _DIFFERENCE]
        rows.append((name, settings[0], len(pairs), *whole))
    return pd.DataFrame(rows, columns=["setting", "against", "pairs", *_DIFFERENCE])
