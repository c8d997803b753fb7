"""One trial of a search: train with the drawn genes, prune by epoch, score as the contest does."""

import dataclasses
import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from livestock_utils.core.errors import DivergedError, TrainingError
from livestock_utils.detect.search.genes import Gene
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train.data import Source

EPOCH_COLUMNS = {
    "mAP75_contest": "metrics/mAP_0.75",
    "mAP75": "metrics/mAP_0.75",
    "mAP50": "metrics/mAP_0.5",
    "mAP50-95": "metrics/mAP_0.5:0.95",
    "P": "metrics/precision",
    "R": "metrics/recall",
}
"""What an objective may weigh (columns of `train.run.evaluate`) -> the training's own column that
pruning looks at."""
AGAINST = {"latency_ms": ("model", "image_size"), "weights_mb": ("model",)}
"""What a second objective may keep small -> the choices that change it."""


def check_objective(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of an objective as floats; TrainingError for unknown metrics."""
    if not isinstance(weights, Mapping):
        raise TrainingError(
            f"objective: expected metrics with weights, such as {{'mAP50': 1.0}}, got {weights!r}"
        )
    for name, weight in weights.items():
        if name not in EPOCH_COLUMNS:
            raise TrainingError(
                f"objective: unknown metric {name!r}; expected some of {', '.join(EPOCH_COLUMNS)}"
            )
        is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight):
            raise TrainingError(f"objective: the weight of {name} must be a number, got {weight!r}")
    if not any(weights.values()):
        raise TrainingError(
            "objective: all weights are 0; give one metric at least a weight above 0"
        )
    return {name: float(weight) for name, weight in weights.items()}


@dataclasses.dataclass(frozen=True)
class Task:
    """What all groups of a search have in common: `search`'s arguments, checked; `weights` are
    those of the objective."""

    train: Source
    valid: Source | None
    out: Path
    settings: TrainSettings
    weights: Mapping[str, float]
    against: str
    choices: Mapping[str, Sequence[Any]]
    trials: int
    storage: str
    heartbeat_s: int
    sampler: str
    sampler_seed: int
    pruner: str
    groups_file: str | os.PathLike | None
    keep_weights: bool


@dataclasses.dataclass(frozen=True)
class Objective:
    """What Optuna calls with each trial; `folder` takes the run folders, `hyp` is the base."""

    task: Task
    folder: Path
    hyp: Mapping[str, float]
    genes: Sequence[Gene]

    def __call__(self, trial: Any) -> Any:
        """Train one trial and return its score, or (score, second)."""
        import optuna

        from livestock_utils.detect.search import study
        from livestock_utils.detect.train import run as training_run

        task = self.task
        drawn = {
            gene.name: trial.suggest_float(gene.name, gene.low, gene.high, log=gene.log)
            for gene in self.genes
        }
        chosen = {
            name: trial.suggest_categorical(name, list(values))
            for name, values in task.choices.items()
        }
        if why := study.slot_taken(trial.study, trial, task.trials):
            trial.set_user_attr(study.SKIPPED, why)
            raise study.GiveBack(why)
        start = task.settings.init_weights
        if isinstance(start, str):
            start = start.replace("{model}", chosen.get("model", task.settings.model))
        settings = dataclasses.replace(
            task.settings, hyp={**self.hyp, **drawn}, init_weights=start, loggers=(), **chosen
        )
        epochs = settings.epochs or 1  # a search's are settled
        trial.set_user_attr("reason", "")  # a retry begins with that of the trial it repeats
        pruned: list[int] = []

        def on_epoch(epoch: int, row: Mapping[str, float]) -> bool:
            trial.set_user_attr("epochs", epoch + 1)
            if not task.against:
                trial.report(
                    sum(weight * row[EPOCH_COLUMNS[name]] for name, weight in task.weights.items()),
                    epoch,
                )
                if trial.should_prune() and epoch + 1 < epochs:
                    pruned.append(epoch + 1)
            return bool(pruned)

        try:
            place = trial_folder(self.folder, trial.study.trials[trial.number])
            run = training_run.train(
                task.train, task.valid, place, settings, on_epoch=on_epoch, final_evaluation=False
            )
        except DivergedError as error:
            trial.set_user_attr("reason", str(error))
            raise optuna.TrialPruned(str(error)) from error
        ended = run.record.get("ended_after", epochs)
        if not pruned and ended < epochs:
            pruned.append(ended)  # its worker died after the training, before it could tell
        if pruned:
            trial.set_user_attr("reason", f"behind after epoch {pruned[0]}")
            raise optuna.TrialPruned
        size, device = settings.image_size, settings.device
        data = task.train if task.valid is None else task.valid
        scores = training_run.evaluate(run.best, data, image_size=size, device=device).loc["all"]
        score = sum(weight * scores.to_dict()[name] for name, weight in task.weights.items())
        if not math.isfinite(score):
            trial.set_user_attr("reason", f"the score is {score}")
            raise optuna.TrialPruned
        if task.against == "weights_mb":
            return score, run.best.stat().st_size / 1e6
        return (score, latency_ms(run.best, size, device)) if task.against else score


def trial_folder(folder: Path, trial: Any) -> Path:
    """The run folder of a trial; one tried again goes on in that of its first attempt."""
    return folder / f"trial_{trial.system_attrs.get('failed_trial', trial.number):03d}"


def latency_ms(
    weights: str | os.PathLike, image_size: int, device: str | None = None, rounds: int = 15
) -> float:
    """Median milliseconds of a forward pass of one square image, after three to warm up."""
    import torch

    from livestock_utils.detect import checkpoints

    model = checkpoints.load(weights, device=device)
    image = torch.zeros(1, 3, image_size, image_size, device=next(model.parameters()).device)
    times = []
    with torch.inference_mode():
        for _ in range(rounds + 3):
            began = time.perf_counter()
            model(image)
            if image.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[3:])
