"""The door's `train`: a training whose run folder also gets its curves."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import run
from livestock_utils.detect.train.data import Source
from livestock_utils.evaluate.compare.runs import SILVER


def train(
    train: Source,
    valid: Source | None,
    folder: str | os.PathLike,
    settings: TrainSettings = TrainSettings(),
    *,
    teacher: pd.DataFrame | str | os.PathLike | None = None,
    mirror: str | os.PathLike | None = None,
    tags: Mapping[str, Any] | None = None,
    on_epoch: Callable[[int, dict[str, float]], bool | None] | None = None,
    trust: bool = False,
    final_evaluation: bool = True,
) -> run.Run:
    """Train a detector, continue the same training where it stopped, or return it if it is done.

        run = lu.train(train, valid, "runs/first", lu.TrainSettings(epochs=20))
        found = lu.predict(run.best, valid)

    Args:
        train: photos to learn from, or set folders, or a .txt list of images. Photos that lie in a
            set folder are used there, others are written once beside the run.
        valid: the same for validation; None where `train` is a data.yaml of both.
        folder: the run folder; everything about the run is in it. `step.run_folder(...)` brings
            its mirror along.
        settings: what to train, see `TrainSettings`.
        teacher: predictions of another model on the training photos (a table or its CSV), learnt
            from with `settings.teacher_weight`; with `settings.negatives` "masked" or "soft" what
            the labels may lack.
        mirror: a second folder that gets a checked copy after each epoch, and from which another
            machine goes on; one machine at a time.
        tags: what the run is for, kept in run.json and looked at by `lu.find_runs`: trained_on,
            variant, helper (of out-of-fold predictions, say).
        on_epoch: called with the epoch and its row of results when it is saved; returning True
            ends the training as finished.
        trust: unpickle whatever the weights hold; only for files you know.
        final_evaluation: whether the best weights are validated, and the curves drawn, at the end.

    Returns:
        The run: `.best`, `.last`, `.results` (a row an epoch), `.per_class`, `.warnings`, ...

    Raises:
        TrainingError: settings that cannot be or changed since the run began, a run folder or
            mirror in use elsewhere, damaged records, a loss that is no number, a full disk.
        DatasetError: the data cannot be used.
        CheckpointError: the weights cannot be used.
    """
    return run.train(
        train,
        valid,
        folder,
        settings,
        teacher=teacher,
        mirror=mirror,
        tags=tags,
        on_epoch=on_epoch,
        trust=trust,
        final_evaluation=final_evaluation,
        draw=_draw,
    )


def train_pairs(
    gold: Source,
    expanded: Source,
    valid: Source | None,
    folder_of: Callable[[str], tuple[Path, Path | None]],
    seeds: Sequence[int],
    settings: TrainSettings = TrainSettings(),
    name: str = "expanded",
    regions: pd.DataFrame | None = None,
) -> dict[str, list[run.Run]]:
    """Two trainings a seed that differ in their data alone: with and without silver labels.

        runs = lu.train_pairs(gold, expanded, valid, step.run_folder, range(3), settings)

    Args:
        gold: what both train on; see `train`, as for `expanded` and `valid`.
        expanded: that and the silver labels.
        folder_of: gives run folder and mirror (see `colab.training_folder`) of "<name>_gold" and
            "<name>", and of the same with "_seed<n>" for all seeds but the first.
        settings: the same for all, but for the seed.
        regions: of the expanded photos, where nobody knows (`step.silver_lists`): no background is
            learnt there, unless `settings.negatives` says otherwise.

    Returns:
        {"gold": [Run, ...], "expanded": [Run, ...]} in the order of `seeds`. Where notebook 05 has
        trained on `gold` in the very same way, its run is copied.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise TrainingError(
            f"seeds must be different whole numbers, at least one, got {list(seeds)}"
        )
    runs: dict[str, list[run.Run]] = {"gold": [], "expanded": []}
    variant = {} if name == "expanded" else {"variant": name}
    local, kept = folder_of("multilabel_split")
    for seed in seeds:
        suffix = "" if seed == seeds[0] else f"_seed{seed}"
        seeded = dataclasses.replace(settings, seed=seed)
        for side, ending, data in (("gold", "_gold", gold), ("expanded", "", expanded)):
            folder, mirror = folder_of(f"{name}{ending}{suffix}")
            mine, teacher = seeded, None
            if settings.negatives is None and regions is not None and len(regions):
                # Gold plain: what the recipe might make of missing labels would be a difference.
                mine = dataclasses.replace(seeded, negatives="plain", teacher_weight=None)
                if side == "expanded":
                    mine = dataclasses.replace(mine, negatives="masked")
                    teacher = regions
            done = run.train(
                data,
                valid,
                folder,
                mine,
                teacher=teacher,
                mirror=mirror,
                tags={"trained_on": SILVER[side == "expanded"]} | variant,
                draw=_draw,
                twin=(kept or local) if side == "gold" else None,
            )
            runs[side].append(done)
    return runs


def _draw(folder: Path, results: pd.DataFrame, chosen_by: str) -> None:
    """losses.png and metrics.png of a run folder."""
    from matplotlib import pyplot

    from livestock_utils.show.plots import training as curves

    for name, drawn in (
        ("losses", curves.loss_curves(results)[0]),
        ("metrics", curves.metric_curves(results, best=chosen_by)),
    ):
        figure: Any = drawn.figure
        figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
        pyplot.close(figure)
