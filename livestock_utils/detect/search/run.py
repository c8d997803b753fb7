"""Hyperparameter search: groups of genes, the contest's metric, many workers.

    found = search.run(data_yaml, out, group="lr_momentum", sampler="tpe", trials=20, epochs=7,
    image_size=640) found.best_hyp, found.hyp_file, found.table

optuna, torch and yolov5 load when a search runs.
"""

import dataclasses
import logging
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
from livestock_utils.detect.search import genes as search_genes
from livestock_utils.detect.search.best import resolve_hyp, write_best
from livestock_utils.detect.search.genes import Gene
from livestock_utils.detect.search.objective import (
    AGAINST,
    Objective,
    check_objective,
    trial_folder,
)
from livestock_utils.detect.search.trials import best_trial, trials_table
from livestock_utils.detect.settings import read_hyp

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

CHOICES = ("model", "image_size", "optimizer", "schedule")
"""Settings of a training that may be searched besides genes, each from a list of values."""
CONTEST = {"mAP75_contest": 1.0}


@dataclasses.dataclass(frozen=True)
class Found:
    """A finished search: `table` per trial, `best_hyp` is the base with the best genes.

    `hyp_file` is the YAML of `best_hyp`, `study` the Optuna study for everything else; `chosen` are
    the best trial's values of the choices (model, image_size, optimizer, schedule), which a
    hyperparameter file does not hold.
    """

    group: str
    genes: tuple[Gene, ...]
    best_hyp: dict[str, float]
    hyp_file: Path
    table: pd.DataFrame
    study: "optuna.Study"
    chosen: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def advice(self) -> str:
        """What to set in 08 and 10 to train as the best trial did."""
        others = "".join(f", `{key} = {value!r}`" for key, value in self.chosen.items())
        return f'`{self.hyp_file.name}`; 08 and 10 take it with `hyp = "search"`{others}'


def run(
    data_yaml: str | os.PathLike,
    out: str | os.PathLike,
    *,
    group: str = "lr_momentum",
    base: str | os.PathLike | Mapping[str, Any] | None = "default",
    sampler: str = "tpe",
    trials: int = 20,
    storage: str = "",
    study: str = "",
    objective: Mapping[str, float] | None = None,
    against: str = "",
    choices: Mapping[str, Sequence[Any]] | None = None,
    pruner: str = "median",
    sampler_seed: int = 0,
    groups_file: str | os.PathLike | None = None,
    keep_weights: bool = False,
    heartbeat_s: int = 60,
    **training: Any,
) -> Found:
    """Search a group of genes, or join a search that is going on, or return a finished one.

    data_yaml: the mini sets, see `dataset.write_data_yaml`. out: takes `search/<study>/trial_NNN/`
    run folders and `hyp/hyp_<study>_best.yaml`. base: hyperparameters as for `read_hyp`, or
    "search" (see `resolve_hyp`) for the best of an earlier search; a study that has begun keeps the
    base that it began with. sampler, pruner: names in `search_samplers`. trials: of the whole
    study, by all workers together. storage: see `search_storage.open_storage`; "" is a SQLite file
    in `out`, "$NAME" an environment variable or Colab secret, which keeps a password out of the
    notebook. study: its name, "" is the group's. objective: weights of EPOCH_COLUMNS' names, the
    contest's AP75 by default. against: "latency_ms" (one image on this device) or "weights_mb",
    kept small as a second objective, without pruning. choices: values of "model", "image_size",
    "optimizer" or "schedule" to search too; `init_weights` may then hold "{model}". training:
    further arguments of `detector.train` (epochs, image_size, model, seed, ...).

    A trial whose loss is no number is pruned; one that fails is tried again; its folder keeps
    results and settings, the weights only with `keep_weights`. Raises TrainingError for bad groups,
    samplers, storages, another study of the same name, and when no trial has finished.
    """
    with warnings.catch_warnings():  # optuna's progress bar asks for widgets, which nobody will see
        warnings.filterwarnings("ignore", message="IProgress not found")
        onnx.need("optuna", "search")
        from livestock_utils.detect.search import samplers
        from livestock_utils.detect.search import storage as search_storage
        from livestock_utils.detect.search import study as search_study

    weights = check_objective(CONTEST if objective is None else objective)
    _check(trials, against, choices or {}, training)
    name, two = study or group, bool(against)
    cut = samplers.pruner("none" if two else pruner)
    place = (
        addresses.resolved(storage) or f"sqlite:///{Path(out).resolve() / 'search' / 'study.db'}"
    )
    opened = search_storage.open_storage(place, heartbeat_s)
    with search_storage.told(place):
        before = search_study.recorded(name, opened)
    if before is not None and str(base).split(":")[0] == "search":
        hyp = read_hyp(
            before["base"]
        )  # what "search" meant when the study began, not what it means now
    else:
        hyp = read_hyp(resolve_hyp(base, out) if isinstance(base, str) else base)
    genes = search_genes.read_genes(group, hyp, groups_file)
    identity = _identity(data_yaml, group, genes, hyp, weights, against, choices or {}, training)
    drawn = samplers.sampler(
        sampler, genes, hyp, choices=choices, n_objectives=1 + two, seed=sampler_seed
    )

    def tidy(trial: Any) -> None:
        if not keep_weights and trial.state.name in ("COMPLETE", "PRUNED"):
            shutil.rmtree(trial_folder(folder, trial) / "weights", ignore_errors=True)

    with search_storage.told(place):
        joined = search_study.join(
            name, opened, identity, drawn, cut, ("maximize", "minimize") if two else ("maximize",)
        )
        folder = search_study.folder_of(joined, Path(out) / "search")
        one = Objective(
            data_yaml, folder, hyp, genes, weights, against, choices or {}, trials, training
        )
        search_study.work(joined, one, trials, after=tidy)
        table = trials_table(joined)
    best = best_trial(table)
    best_hyp = hyp | {gene.name: float(best[gene.name]) for gene in genes}
    chosen = {
        key: best[key].item() if hasattr(best[key], "item") else best[key] for key in choices or {}
    }
    written = write_best(
        Path(out), name, group, best_hyp, best, table, weights, training, against, chosen
    )
    return Found(group, genes, best_hyp, written, table, joined, chosen)


def run_chain(
    data_yaml: str | os.PathLike,
    out: str | os.PathLike,
    groups: str | Sequence[str],
    *,
    base: str | os.PathLike | Mapping[str, Any] | None = "default",
    study: str = "",
    **options: Any,
) -> list[Found]:
    """Search group after group, the best of one as the base of the next.

    groups: names, or one text with commas. Each group has its own study, named `study`-group where
    `study` is given. Other options as in `run`.
    """
    names = (
        [name.strip() for name in groups.split(",")] if isinstance(groups, str) else list(groups)
    )
    found: list[Found] = []
    for group in names:
        start = found[-1].best_hyp if found else base
        name = f"{study}-{group}" if study else group
        found.append(run(data_yaml, out, group=group, base=start, study=name, **options))
    return found


def _check(
    trials: int, against: str, choices: Mapping[str, Sequence[Any]], training: Mapping[str, Any]
) -> None:
    if not isinstance(trials, int) or trials < 1:
        raise TrainingError(f"trials must be a whole number of at least 1, got {trials!r}")
    if against and against not in AGAINST:
        raise TrainingError(
            f"against must be empty or one of {', '.join(AGAINST)}, got {against!r}"
        )
    changes = {"weights_mb": ("model",), "latency_ms": ("model", "image_size")}.get(against, ())
    if against and not set(changes) & set(choices):
        raise TrainingError(
            f"against is {against}, which genes do not change; give choices a list of "
            f'{" or ".join(changes)}, such as choices = {{"model": ["yolov5n", "yolov5s"]}} with '
            'init_weights = "{model}.pt"'
        )
    for name, values in choices.items():
        if name not in CHOICES or not isinstance(values, (list, tuple)) or not values:
            raise TrainingError(
                f"choices: expected a list of values for some of {', '.join(CHOICES)}, got "
                f"{name!r}: {values!r}"
            )
    if taken := sorted({"hyp", "on_epoch", "loggers", "final_evaluation"} & set(training)):
        raise TrainingError(f"{taken[0]} is set by the search itself; leave it out")


def _identity(
    data_yaml: Any,
    group: str,
    genes: Sequence[Gene],
    hyp: Mapping[str, float],
    weights: Mapping[str, float],
    against: str,
    choices: Mapping[str, Sequence[Any]],
    training: Mapping[str, Any],
) -> dict[str, Any]:
    """All that decides what a trial's score means, without paths and machines."""
    from livestock_utils.detect.checkpoints import DOWNLOADS, find_weights
    from livestock_utils.detect.settings import FREE_TO_CHANGE
    from livestock_utils.detect.train.data import read_data

    settings = {name: value for name, value in training.items() if name not in FREE_TO_CHANGE}
    start = settings.get("init_weights")
    if start is not None and "{model}" not in str(start):
        settings["init_weights"] = files.sha256(find_weights(start, DOWNLOADS))
    return {
        "data": read_data(data_yaml).sha256,
        "group": group,
        "objective": dict(weights),
        "against": against,
        "genes": {gene.name: [gene.low, gene.high, gene.log] for gene in genes},
        "base": dict(hyp),
        "choices": {name: list(values) for name, values in choices.items()},
        "training": settings,
    }
