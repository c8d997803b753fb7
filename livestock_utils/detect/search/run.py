"""Hyperparameter search: groups of genes, the contest's metric as the objective, any number of
workers on one study. Optuna, torch and yolov5 load when a search runs."""

import dataclasses
import functools
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from livestock_utils.core import addresses, files
from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.backends import onnx
from livestock_utils.detect.checkpoints import DOWNLOADS, find_weights
from livestock_utils.detect.search import trials as trial_tables
from livestock_utils.detect.search.best import resolve_hyp, write_best
from livestock_utils.detect.search.genes import Gene, read_genes
from livestock_utils.detect.search.objective import (
    AGAINST,
    Objective,
    Task,
    check_objective,
    trial_folder,
)
from livestock_utils.detect.settings import FREE_TO_CHANGE, Recorded, TrainSettings, read_hyp
from livestock_utils.detect.train import recipes
from livestock_utils.detect.train.data import Source, read_data

if TYPE_CHECKING:
    import optuna

_CHOICES = ("model", "image_size", "optimizer", "schedule")
"""Settings of a training that may be searched besides genes, each from a list of values."""
_CONTEST = {"mAP75_contest": 1.0}


@dataclasses.dataclass(frozen=True)
class Search:
    """A finished search of one group of genes; `chain` has it after those of the groups before.
    `best_hyp` is the base with the best genes, `hyp_file` the YAML of it, `table` a row a trial
    (see `trials.trials_table`), `study` the Optuna study, `chosen` the best trial's values of the
    choices (model, image_size, optimizer, schedule), which a hyperparameter file does not hold."""

    group: str
    genes: tuple[Gene, ...]
    best_hyp: dict[str, float]
    hyp_file: Path
    table: pd.DataFrame
    study: "optuna.Study"
    sampler: str
    seed: int
    against: str
    chosen: Mapping[str, Any]
    earlier: "tuple[Search, ...]" = ()

    @property
    def chain(self) -> "tuple[Search, ...]":
        """The searches of all groups in their order, this one last."""
        return (*self.earlier, self)

    @functools.cached_property
    def importance(self) -> pd.Series:
        """Share of the scores' variance that each gene explains, see `trials.importances`."""
        return trial_tables.importances(self.study, self.seed)

    @property
    def summary(self) -> dict[str, Any]:
        """For metrics.json: scores, trials by state, best genes, importance; scores by group."""
        return {
            **trial_tables.key_numbers(self.table),
            "group": self.group,
            "sampler": self.sampler,
            "hyp_file": self.hyp_file.name,
            "best_genes": {gene.name: self.best_hyp[gene.name] for gene in self.genes},
            "importance": self.importance.to_dict(),
            "groups": {one.group: trial_tables.key_numbers(one.table) for one in self.chain},
        }


def search(
    train: Source,
    valid: Source | None,
    out: str | os.PathLike,
    settings: TrainSettings = TrainSettings(),
    *,
    groups: str | Sequence[str] = "lr_momentum",
    base: str | os.PathLike | Mapping[str, Any] | None = "recipe",
    sampler: str = "tpe",
    trials: int = 20,
    pruner: str = "median",
    storage: str = "",
    study: str = "",
    objective: Mapping[str, float] | None = None,
    against: str = "",
    choices: Mapping[str, Sequence[Any]] | None = None,
    groups_file: str | os.PathLike | None = None,
    sampler_seed: int = 0,
    keep_weights: bool = False,
    heartbeat_s: int = 60,
) -> Search:
    """Search groups of genes, or join a search that is going on, or return a finished one.

        search = lu.search(train, valid, "runs", lu.TrainSettings(epochs=7), trials=20)
        search.best_hyp, search.hyp_file, search.table

    Args:
        train: the photos to learn from, mostly a mini set; see `lu.train`.
        valid: those that score a trial.
        out: takes `search/<study>/trial_NNN/` run folders and `hyp/hyp_<study>_best.yaml`.
        settings: of each trial, but for its genes and choices; what was decoded is kept on disk.
        groups: names in hyp/groups.yaml, in a list or one text with commas: each begins with the
            best of the one before, and "all" at the end polishes.
        base: "recipe" for what the recipe `auto` would train with, its optimizer too (by other
            recipes yolov5's defaults); hyperparameters as for `TrainSettings.hyp`; or "search" for
            the best of an earlier search, of which a study that has begun keeps its own.
        sampler: genetic (YOLOv5's own), tpe, cmaes, nsga2 or random.
        trials: of the whole study, by all workers together.
        pruner: none, median or halving.
        storage: a database's URL, "$NAME" for one in an environment variable or Colab secret;
            "" is a SQLite file in `out`.
        study: a study is named by its group, after this and a hyphen where it is given.
        objective: metric -> weight; the contest's AP75 by default.
        against: "latency_ms" (one image on this device) or "weights_mb", kept small as a second
            objective, without pruning.
        choices: values of model, image_size, optimizer or schedule to search too;
            `settings.init_weights` may then hold "{model}".
        groups_file: in place of hyp/groups.yaml.
        sampler_seed: of the draws.
        keep_weights: whether trials keep theirs; results and settings stay in any case.
        heartbeat_s: a worker silent for twice as long counts as dead.

    Returns:
        The search of the last group, with those before it in `.chain`.

    Raises:
        TrainingError: for bad groups, samplers or storages, another study of the same name, and
            when no trial has finished. One whose loss is no number is pruned; one that fails is
            tried again.
    """
    names = [part.strip() for part in groups.split(",")] if isinstance(groups, str) else [*groups]
    chain: tuple[Search, ...] = ()
    place = Path(out)
    task = Task(
        train,
        valid,
        place,
        settings,
        check_objective(_CONTEST if objective is None else objective),
        against,
        choices or {},
        trials,
        addresses.resolved(storage) or f"sqlite:///{place.resolve() / 'search' / 'study.db'}",
        heartbeat_s,
        sampler,
        sampler_seed,
        pruner,
        groups_file or None,
        keep_weights,
    )
    _check(task)
    asked, base = _settled(task, base)
    task = dataclasses.replace(task, settings=asked)
    for group in names:
        start = chain[-1].best_hyp if chain else base
        found = _search_group(task, group, f"{study}-{group}" if study else group, start)
        chain = (*chain, dataclasses.replace(found, earlier=chain))
    return chain[-1]


def _search_group(task: Task, group: str, name: str, base: Any) -> Search:
    """Search one group; `name` is the study's."""
    with warnings.catch_warnings():  # optuna's progress bar asks for widgets, which nobody will see
        warnings.filterwarnings("ignore", message="IProgress not found")
        onnx.need("optuna", "search")
        from livestock_utils.detect.search import samplers
        from livestock_utils.detect.search import storage as storages
        from livestock_utils.detect.search import study as studies

    two, seed = bool(task.against), task.sampler_seed
    pruner = samplers.pruner("none" if two else task.pruner)
    opened = storages.open_storage(task.storage, task.heartbeat_s)
    with storages.one_line(task.storage):
        before = studies.recorded(name, opened)
    if before is not None and str(base).split(":")[0] == "search":
        hyp = read_hyp(before["base"])  # what "search" meant when the study began
    else:
        hyp = read_hyp(resolve_hyp(base, task.out) if isinstance(base, str) else base)
    genes = read_genes(group, hyp, task.groups_file)
    sampler = samplers.sampler(
        task.sampler, genes, hyp, choices=task.choices, n_objectives=1 + two, seed=seed
    )

    def tidy(trial: Any) -> None:
        if not task.keep_weights and trial.state.name in ("COMPLETE", "PRUNED"):
            shutil.rmtree(trial_folder(folder, trial) / "weights", ignore_errors=True)

    with storages.one_line(task.storage):
        study = studies.join(
            name,
            opened,
            _identity(task, group, genes, hyp),
            sampler,
            pruner,
            ("maximize", "minimize") if two else ("maximize",),
            {f"training.{key}": value for key, value in _recorded(Recorded()).items()},
        )
        folder = studies.folder_of(study, task.out / "search")
        studies.work(study, Objective(task, folder, hyp, genes), task.trials, after=tidy)
        table = trial_tables.trials_table(study)
    best = trial_tables.best_trial(table)
    best_hyp = hyp | {gene.name: float(best[gene.name]) for gene in genes}
    chosen = {
        key: best[key].item() if hasattr(best[key], "item") else best[key] for key in task.choices
    }
    if task.settings.recipe == "auto" and task.settings.optimizer != "SGD":
        # With a file of hyperparameters a training takes SGD unless told.
        chosen.setdefault("optimizer", task.settings.optimizer)
    written = write_best(
        *(task.out, name, group, best_hyp, best, table, task.weights, vars(task.settings)),
        *(task.against, chosen),
    )
    return Search(
        *(group, genes, best_hyp, written, table, study, task.sampler, seed, task.against, chosen)
    )


def _check(task: Task) -> None:
    against = task.against
    if not isinstance(task.trials, int) or task.trials < 1:
        raise TrainingError(f"trials must be a whole number of at least 1, got {task.trials!r}")
    if against and against not in AGAINST:
        raise TrainingError(
            f"against must be empty or one of {', '.join(AGAINST)}, got {against!r}"
        )
    if against and not set(AGAINST[against]) & set(task.choices):
        raise TrainingError(
            f"against is {against}, which genes do not change; give choices a list of "
            f'{" or ".join(AGAINST[against])}, such as choices = {{"model": ["yolov5n", '
            '"yolov5s"]} with init_weights = "{model}.pt"'
        )
    for name, values in task.choices.items():
        if name not in _CHOICES or not isinstance(values, (list, tuple)) or not values:
            raise TrainingError(
                f"choices: expected a list of values for some of {', '.join(_CHOICES)}, got "
                f"{name!r}: {values!r}"
            )
    if task.settings.hyp is not None:
        raise TrainingError("hyp is set by the search itself; leave it out, and give base")
    if task.settings.minutes is not None:
        raise TrainingError("a search compares equal epochs; leave minutes out, and give epochs")


def _settled(task: Task, base: Any) -> tuple[TrainSettings, Any]:
    """The settings of every trial, with what was left open settled by the recipe but for `hyp`; and
    the base, where that is the recipe's."""
    data = read_data(task.train, task.valid, task.out / "search" / "data")
    start = task.settings.init_weights
    unknown = start is None or "{model}" in str(start)
    weights = None if unknown else find_weights(str(start), DOWNLOADS)
    asked = task.settings
    if base != "recipe" or asked.recipe != "auto":
        asked = dataclasses.replace(asked, hyp="default")  # some hyp is given
    values, _ = recipes.resolved(asked, {}, data, weights)
    base = (values["hyp"] or "default") if base == "recipe" else base
    kept = {name: values[name] for name in ("epochs", *recipes.OPEN) if name != "hyp"}
    return dataclasses.replace(task.settings, **kept, cache=task.settings.cache and "disk"), base


def _recorded(settings: TrainSettings) -> dict[str, Any]:
    """The settings that decide what a score means; the search sets hyperparameters and loggers."""
    left_out = (*FREE_TO_CHANGE, "hyp", "recipe", "minutes")
    return {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in vars(settings).items()
        if name not in left_out
    }


def _identity(
    task: Task, group: str, genes: Sequence[Gene], hyp: Mapping[str, float]
) -> dict[str, Any]:
    """All that decides what a trial's score means, without paths and machines."""
    training = _recorded(task.settings)
    start = training["init_weights"]
    if start is not None and "{model}" not in str(start):
        training["init_weights"] = files.sha256(find_weights(start, DOWNLOADS))
    return {
        "data": read_data(task.train, task.valid, task.out / "search" / "data").sha256,
        "group": group,
        "objective": dict(task.weights),
        "against": task.against,
        "genes": {gene.name: [gene.low, gene.high, gene.log] for gene in genes},
        "base": dict(hyp),
        "choices": {name: list(values) for name, values in task.choices.items()},
        "training": training,
    }
