"""The images that notebook 11 tunes on, and those that check the choice; no model has seen what it
predicts."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import colab
from livestock_utils.core import tables
from livestock_utils.core.errors import DatasetError, NotebookError
from livestock_utils.detect.predict import candidates, out_of_fold
from livestock_utils.detect.tune import choice as tuning_choice
from livestock_utils.detect.tune import sweep
from livestock_utils.detect.tune.steps import Collected, collect

COLUMNS = ["value", "low", "high", "gain", "gain_low", "gain_high", "better"]
"""Of a table of settings against the write-up's, see `sweep.compare`."""


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Labelled images to tune on: tables, what their paths count from, candidates, their `name` in
    sentences."""

    images: pd.DataFrame
    boxes: pd.DataFrame
    folder: Path
    collected: Collected
    name: str
    note: str = ""

    @property
    def sentence(self) -> str:
        """How many candidates of which images, and why not of others."""
        return f"{self.note}Tuned on {self.name}: {self.collected.sentence}"


def to_tune(
    tune_on: str,
    out: str | os.PathLike,
    data: str | os.PathLike,
    weights: str | os.PathLike,
    valid: tuple[pd.DataFrame, pd.DataFrame, str | os.PathLike],
    **options: Any,
) -> Labelled:
    """Candidates of labelled images that their models have not seen; `options` of `tuning.collect`.

    tune_on="validation": those of `valid` (images, boxes, folder) by `weights`. "out_of_fold": all
    images, each by the model of notebook 06 that was trained without its fold; where there are none
    it is "validation", with a sentence.
    """
    note = ""
    if tune_on not in ("validation", "out_of_fold"):
        raise NotebookError(f"tune_on must be 'validation' or 'out_of_fold', got {tune_on!r}")
    if tune_on == "out_of_fold":
        try:
            return out_of_folds(out, data, **options)
        except DatasetError as error:
            note = f"Validation stands in for the folds ({error}). "
    images, boxes, folder = valid[0], valid[1], Path(valid[2])
    collected = collect(weights, images, folder, "valid", out, **options)
    return Labelled(images, boxes, folder, collected, "validation", note)


def out_of_folds(
    out: str | os.PathLike,
    data: str | os.PathLike,
    keep: pd.Series | None = None,
    name: str = "fold",
    **options: Any,
) -> Labelled:
    """Candidates of all images, or those whose image_id is in `keep`, each by the model trained
    without its fold.

    `options` of `tuning.collect`. Raises DatasetError where notebook 06 left no models for these
    images and folds.
    """
    images, boxes = tables.read_tables(Path(out) / "tables")
    folds, _ = tables.read_folds(Path(out) / "datasets" / "folds.csv")
    models, of_image = out_of_fold.trained(out, images, folds)
    if keep is not None:
        images = images[images["image_id"].isin(keep)].reset_index(drop=True)
    folder, assigned = Path(data) / "data", images["image_id"].map(of_image)
    if keep is None:  # for a few images a copy of all archives is not worth it
        folder = colab.at_hand(folder)
    parts = [
        collect(path, images[assigned == number], folder, f"{name}{number}", out, **options)
        for number, path in models.items()
        if (assigned == number).any()
    ]
    found = candidates.merge([part.candidates for part in parts], out_of_fold=True)
    whole = Collected(found, sum(part.there for part in parts), sum(part.total for part in parts))
    if not all(part.complete for part in parts):
        known = all(
            part.total for part in parts
        )  # a fold without any part does not tell how many it will have
        whole = Collected(found.of_images([]), whole.there, whole.total if known else 0)
    told = f"{len(models)} folds, each by the model that has not seen it"
    return Labelled(images, boxes, folder, whole, told)


def check(
    choice: tuning_choice.Choice,
    out: str | os.PathLike,
    data: str | os.PathLike,
    used: pd.Series,
    n: int,
    n_resamples: int = 1000,
    seed: int = 0,
    **options: Any,
) -> tuple[pd.DataFrame, str]:
    """Does the chosen setting also win on images that did not choose it? -> (one row, COLUMNS), a
    sentence.

    At most `n` labelled images other than `used` (image_id), drawn by `seed`, each predicted by the
    model of notebook 06 that has not seen it; the setting against the write-up's by paired
    bootstrap. `options` of `tuning.collect`. Without such models or images the table is empty and
    the sentence says why.
    """
    empty = pd.DataFrame(columns=COLUMNS, index=pd.Index([], name="setting"), dtype=float)
    if choice.tried.empty or n < 1:
        return (
            empty,
            "Nothing is checked: no setting was chosen."
            if n
            else "Nothing is checked: check_images is 0.",
        )
    try:
        images, _ = tables.read_tables(Path(out) / "tables")
        others = images.loc[~images["image_id"].isin(used), "image_id"]
        others = others.sample(min(n, len(others)), random_state=seed).sort_values()
        if len(others) < 2:
            return (
                empty,
                f"Nothing is checked: {len(others)} labelled images are left that did not choose "
                "the setting.",
            )
        labelled = out_of_folds(
            out, data, others, f"check{len(others)}-fold", **options | {"shard": "1/1"}
        )
    except DatasetError as error:
        return empty, f"Nothing is checked: {error}."
    boxes = labelled.boxes[labelled.boxes["image_id"].isin(others)]
    found = labelled.collected.candidates
    table = sweep.compare(
        found,
        boxes,
        {tuning_choice.describe(choice.settings): choice.settings},
        n_resamples=n_resamples,
        seed=seed,
    )
    row = table.iloc[0]
    verdict = (
        "the gain holds"
        if row["gain_low"] > 0
        else "the choice does harm there, take the write-up's setting"
        if row["gain_high"] < 0
        else "no difference that these images could show"
    )
    return table, (
        f"On {len(others):,} images that did not choose it, each by a model of notebook 06 that "
        f"has not seen it: AP75 {row['value']:.4f}, {row['gain']:+.4f} [{row['gain_low']:+.4f}, "
        f"{row['gain_high']:+.4f}] over the write-up's setting: {verdict}. These models are other "
        "trainings than the submitted one."
    )
