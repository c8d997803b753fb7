"""Two trainings a seed that differ in their data alone: with and without silver labels."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.train import run


def train_pairs(
    gold_yaml: str | os.PathLike,
    expanded_yaml: str | os.PathLike,
    folder_of: Callable[[str], tuple[Path, Path | None]],
    seeds: Sequence[int],
    name: str = "expanded",
    **recipe: Any,
) -> dict[str, list[Any]]:
    """Train both sides once a seed: {"gold": [Run, ...], "expanded": [Run, ...]} in the order of
    `seeds`.

    `folder_of` gives run folder and mirror (see `colab.training_folder`) of "<name>_gold" and
    "<name>", and of the same with "_seed<n>" for all seeds but the first. `recipe`: arguments of
    `detector.train`, the same for all.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise TrainingError(
            f"seeds must be different whole numbers, at least one, got {list(seeds)}"
        )
    runs: dict[str, list[Any]] = {"gold": [], "expanded": []}
    for seed in seeds:
        suffix = "" if seed == seeds[0] else f"_seed{seed}"
        for side, run_name, data in (
            ("gold", f"{name}_gold", gold_yaml),
            ("expanded", name, expanded_yaml),
        ):
            folder, mirror = folder_of(f"{run_name}{suffix}")
            runs[side].append(run.train(data, folder, seed=seed, mirror=mirror, **recipe))
    return runs
