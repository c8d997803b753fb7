"""Before, during and after a training: is all there, how long will it take, how did it go."""

import os
from functools import partial
from pathlib import Path

import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.errors import TrainingError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.checkpoints import DOWNLOADS, find_weights, read_weights
from livestock_utils.detect.settings import METRICS, TrainSettings, read_hyp
from livestock_utils.detect.train import gpu_check as checks
from livestock_utils.detect.train import preflight as checking
from livestock_utils.detect.train import preview, rates
from livestock_utils.detect.train import recipes as settling
from livestock_utils.detect.train.data import Source, list_files
from livestock_utils.detect.train.run import Run
from livestock_utils.show.display import Display
from livestock_utils.show.plots import augmentation as augmentation_plots
from livestock_utils.show.plots import training as plots
from livestock_utils.show.words import training as words


def preflight(
    train: Source,
    valid: Source | None,
    settings: TrainSettings = TrainSettings(),
    folder: str | os.PathLike = ".",
) -> Display:
    """`lu.preflight`: what is not fine, worst line first; shown, it raises where a line stops."""
    table = checking.checks(train, valid, settings, folder)
    error: TrainingError | None = None
    try:
        checking.require(table)
    except TrainingError as stopped:
        error = stopped
    look, fine = table[table["state"] != "ok"], table[table["state"] == "ok"]
    return Display(
        "preflight", "", look, None, "", {}, len(look) > 0, "What is fine.", rest=fine, error=error
    )


def plan(table: pd.DataFrame) -> Display:
    """`lu.plan` to be read: times and memory with their units."""
    shown = table[["fits", "largest_batch", "accumulate"]].copy()
    shown.insert(0, "memory", [f"{gb:.1f} GB" for gb in table["memory_gb"]])
    shown["an_epoch"] = [words.duration(60 * minutes) for minutes in table["epoch_minutes"]]
    shown["all_epochs"] = [words.duration(3600 * hours) for hours in table["total_hours"]]
    shown["epochs_a_session"] = table["epochs_a_session"]
    caption = "Memory and time by machine, and the epochs that fit a Colab session."
    return Display("plan", caption, shown, shows_table=True, index=True)


def recipe(train: Source, settings: TrainSettings) -> Display:
    """What the settings that are left open become for these photos, and why."""
    _, table = _settled(train, settings)
    caption = f"What the recipe {settings.recipe} makes of these photos: each setting, and why."
    said = words.missing(settings.missing_share, table)
    return Display("recipe", caption, table, None, said, shows_table=True)


def _settled(train: Source, settings: TrainSettings) -> tuple[TrainSettings, pd.DataFrame]:
    n_images = len(train) if isinstance(train, Photos) else len(list_files(train)[1]["train"])
    start = settings.init_weights
    known = None if start is None else read_weights(find_weights(start, DOWNLOADS)).names
    return settling.settled(settings, n_images, known, species.names())


def rate_range(
    train: Source,
    valid: Source | None,
    place: str | os.PathLike,
    settings: TrainSettings,
    wanted: bool = True,
) -> Display:
    """A learning-rate range test beside the rate that the recipe takes."""
    if not wanted:
        return Display("rate_range", verdict="Left out: rate_test is off.")
    settled, _ = _settled(train, settings)
    used = read_hyp(settled.hyp)["lr0"]
    table = rates.range_test(train, valid, Path(place), settings)
    return Display(
        "rate_range",
        "Loss while the learning rate rises step by step.",
        table,
        partial(plots.rate_range, table, used),
        f"The test suggests {table.attrs['suggested']:.2g}; {settled.optimizer} uses {used:g}.",
    )


def gpu_check(folder: str | os.PathLike, wanted: bool = True) -> Display:
    """Training, kill and resume, half precision and export tried on this GPU; to paste."""
    if not wanted:
        return Display("gpu_check", verdict="Left out: check_gpu is off.")
    table = checks.gpu_check(folder)
    verdict = "There is no GPU here: nothing was checked." if table.empty else ""
    caption = "What was tried on this GPU; paste the table into an issue."
    return Display("gpu_check", caption, table, verdict=verdict, shows_table=not table.empty)


def augmentation(
    train: Source, settings: TrainSettings, example: str = "barn_night", n: int = 3
) -> Display:
    """What the network sees of `n` photos; without a pipeline, `example` is shown in its place."""
    used = settings.augmentation is not None
    pipeline = settings.augmentation if used else example
    views = preview.preview(
        train,
        _settled(train, settings)[0].hyp,
        pipeline,
        settings.image_size,
        n=n,
        seed=settings.seed,
    )
    table = pd.DataFrame(
        [(view.kind, len(view.boxes)) for view in views], columns=["kind", "boxes"]
    )
    return Display(
        "augmented",
        f"Training photos unchanged, after the pipeline {pipeline}, and in mosaics, with their "
        "boxes.",
        table.groupby("kind", sort=False)["boxes"].agg(["size", "sum"]),
        partial(augmentation_plots.augmented, views),
        words.augmentation(views, used),
    )


def training_time(run: Run, plan: pd.DataFrame) -> Display:
    """What this call of `lu.train` did, and its time beside that of `lu.plan`."""
    said = f"{words.measured(plan, run.results)} {run.status}"
    return Display("training_time", table=run.results.filter(like="seconds/"), verdict=said)


def losses(run: Run) -> Display:
    """Training and validation losses by epoch."""
    caption = "Losses by epoch, training solid and validation dashed."
    draw = partial(plots.loss_curves, run.results)
    return Display("losses", caption, run.results, draw, words.losses(run.results))


def metrics(run: Run) -> Display:
    """Validation metrics by epoch, with the epoch whose weights are kept."""
    caption = "yolov5's validation metrics by epoch; ringed: the one kept."
    draw = partial(plots.metric_curves, run.results, best=METRICS[run.best_metric])
    return Display("metrics", caption, run.results, draw, words.metrics(run.results))
