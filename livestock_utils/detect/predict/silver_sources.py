"""Where the predictions behind silver labels come from: out of fold, in sample, or a table that
exists."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import engine, out_of_fold
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import run as training_run

OUT_OF_FOLD, IN_SAMPLE, GIVEN = "out of fold", "in sample", "given"
FLOOR = 0.01
"""Lowest confidence that is kept: far below the original's 0.05, so that thresholds can be
swept."""


def default_weights(out: str | os.PathLike, weights: str | os.PathLike = "") -> Path | None:
    """`weights` if given, else the best ones of the full training (08), else of the first one (05),
    else None."""
    if weights:
        return Path(weights)
    for name in ("full", "multilabel_split"):
        run = training_run.Run(Path(out) / "training" / name)
        if run.finished:
            return run.best
    return None


def saw_validation(
    out: str | os.PathLike, weights: str | os.PathLike | None, source: str
) -> bool | None:
    """Have the models behind silver labels been trained on validation images? None where that is
    not known.

    Teachers out of fold have not (`collect` trains them on the images that it is given), the run of
    notebook 05 has not, that of 08 has; of other weights and of given tables nothing is known.
    """
    if source == "out_of_fold":
        return False
    if source != "in_sample" or weights is None:
        return None
    training = Path(out).resolve() / "training"
    folder = Path(weights).resolve().parents[1]
    return {training / "multilabel_split": False, training / "full": True}.get(folder)


def collect(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    folder: str | os.PathLike,
    out: str | os.PathLike,
    folds: pd.Series,
    source: str = "out_of_fold",
    *,
    weights: str | os.PathLike | None = None,
    n_folds: int = 2,
    image_size: int = 640,
    iou_threshold: float = 0.7,
    sets: str | os.PathLike | None = None,
    **training: Any,
) -> dict[str, pd.DataFrame]:
    """Predictions of `images` by source, the asked one first: what silver is made from, and what it
    is compared with.

    source: "out_of_fold" (teachers trained on `images` alone, see `predict_out_of_fold`, `training`
    are its options), "in_sample" (`weights` predict the images that they were trained on) or the
    path of a predictions table. With `weights` the in-sample predictions are added to the others.
    Rows of other images than `images` are left out. Raises DatasetError for "in_sample" without
    weights and for a table that has none of the images.
    """
    found: dict[str, pd.DataFrame] = {}
    if source == "in_sample" and weights is None:
        raise DatasetError(
            "in-sample predictions need weights: run notebook 05 or 08 first, or give a .pt as "
            "weights"
        )
    if source == "out_of_fold":
        found[OUT_OF_FOLD] = out_of_fold.predict_out_of_fold(
            Photos(images, boxes, folder),
            folds,
            out,
            TrainSettings(image_size=image_size, **training),
            n_folds=n_folds,
            name="silver",
            sets=sets,
            iou_threshold=iou_threshold,
            confidence_threshold=FLOOR,
        )
    elif source != "in_sample":
        table = out_of_fold.read(source)
        found[GIVEN] = table[table["image_id"].isin(images["image_id"])].reset_index(drop=True)
        if found[GIVEN].empty:
            raise DatasetError(
                f"{source} has predictions of {table['image_id'].nunique()} images, none of which "
                f"is among the {len(images)} training images; give the predictions of these images"
            )
    if weights is not None:
        found[IN_SAMPLE] = engine.predict(
            weights,
            Photos(images, folder=folder),
            image_size=image_size,
            iou_threshold=iou_threshold,
            confidence_threshold=FLOOR,
        )
        found[IN_SAMPLE]["source"] = "in sample, " + "/".join(Path(weights).parts[-3:])
    return found
