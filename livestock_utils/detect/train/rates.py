"""A learning-rate range test (Smith 2017): raise the rate step by step until the loss turns."""

import dataclasses
import math
from pathlib import Path

import pandas as pd

from livestock_utils.core.errors import DivergedError, TrainingError
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.settings import Recorded, TrainSettings, read_hyp
from livestock_utils.detect.train import loop, recipes, run, start
from livestock_utils.detect.train.data import Data, Source, read_data

_SMOOTHING, _FIRST = 0.9, 5
"""Share of the mean before in the smoothed loss, whose first steps do not count."""
_TURNED = 1.5
"""The test ends where the smoothed loss is so many times its lowest."""


def range_test(
    train: Source,
    valid: Source | None,
    place: str | Path,
    settings: TrainSettings = TrainSettings(),
    low: float = 1e-5,
    high: float = 0.1,
    n_steps: int = 60,
) -> pd.DataFrame:
    """A row a step: learning_rate, loss, smoothed; `attrs["suggested"]` is a tenth of the rate of
    the lowest smoothed loss. Arguments as of `run.train`; nothing is kept but photos that must be
    written below `place`. Each step is a batch; the rate rises by a constant factor."""
    if not (0 < low < high <= 1 and n_steps >= 10):
        raise TrainingError(
            f"a range test needs 0 < low < high <= 1 and 10 steps, got {low}, {high}, {n_steps}"
        )
    import torch

    data = read_data(train, valid, place)
    weights = None
    if settings.init_weights is not None:
        weights = checkpoints.find_weights(settings.init_weights, checkpoints.DOWNLOADS)
    rows: list[tuple[float, float, float]] = []
    with yolov5.yolov5() as y5, run.torch_settings():
        recorded = _recorded(settings, data, weights)
        trainer = loop.start(
            y5, recorded, data, lambda: start.starting_model(y5, recorded, weights, False)
        )
        trainer.model.train()
        mean = 0.0
        for step in range(n_steps):
            if step % len(trainer.loaders.train) == 0:
                trainer.loaders.start_epoch(step)
                batches = iter(trainer.loaders.train)
            images, targets, *_ = next(batches)
            rate = low * (high / low) ** (step / (n_steps - 1))
            for group in trainer.optimizer.param_groups:
                group["lr"] = rate
            trainer.optimizer.zero_grad()
            predicted = trainer.network(images.to(trainer.device).float() / 255)
            loss, _ = trainer.compute_loss(predicted, targets.to(trainer.device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), max_norm=10.0)
            trainer.optimizer.step()
            value = loss.item() / len(images)
            if not math.isfinite(value):
                break
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
            smoothed = mean / (1 - _SMOOTHING ** (step + 1))
            rows.append((rate, value, smoothed))
            lowest = min(row[2] for row in rows)
            if step > 10 and smoothed > _TURNED * lowest:
                break
    if len(rows) <= _FIRST:
        raise DivergedError(
            f"the loss is no number after {len(rows)} steps at rates from {low:g}; check the "
            "labels and the start weights"
        )
    table = pd.DataFrame(rows, columns=["learning_rate", "loss", "smoothed"])
    lowest_at = int(table["smoothed"].to_numpy()[_FIRST:].argmin()) + _FIRST
    table.attrs["suggested"] = float(table["learning_rate"].iloc[lowest_at]) / 10
    return table


def _recorded(settings: TrainSettings, data: Data, weights: Path | None) -> Recorded:
    """Settings of a training that only the range test sees."""
    values, _ = recipes.resolved(dataclasses.replace(settings, loggers=()), {}, data, weights)
    values |= {"hyp": read_hyp(values["hyp"]), "augmentation": None, "teacher_weight": None}
    values |= {"init_weights": None, "cache": None, "classes": data.names}
    batch = values["batch_size"] if isinstance(values["batch_size"], int) else 16
    return Recorded(**{**values, "batch_size": min(batch, len(data.train.files))})
