"""Out-of-fold predictions: k small models, each predicts the fold it has not seen. Only these say
something about labels: a model repeats the faults of those it was trained on."""

import gzip
import hashlib
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import colab
from livestock_utils.core import files, made
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.reading import read_csv
from livestock_utils.core.tables import folds_of, require_columns
from livestock_utils.data.sets import folder as set_folder
from livestock_utils.data.sets import reading, writing, yolo
from livestock_utils.detect.predict import engine
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import run

log = logging.getLogger(__name__)

COLUMNS = ["image_id", "species", "confidence", *XYXY, "fold"]


def predict_out_of_fold(
    photos: Photos,
    folds: pd.Series,
    out: str | os.PathLike,
    settings: TrainSettings = TrainSettings(),
    *,
    n_folds: int | None = None,
    fold_weights: Mapping[int, str | os.PathLike] | None = None,
    only: Collection[int] | None = None,
    name: str = "oof",
    sets: str | os.PathLike | None = None,
    confidence_threshold: float = 0.001,
    iou_threshold: float = 0.6,
    max_detections: int = 300,
) -> pd.DataFrame:
    """Train a model on all folds but one, predict that one, for each fold.

        folds = lu.stratified_folds(photos)
        oof = lu.predict_out_of_fold(photos, folds, "runs/first", lu.TrainSettings(epochs=10))

    Args:
        photos: what is learnt from and predicted.
        folds: fold of each image, indexed by image_id.
        out: takes training/<name>_fold<k>, where an interrupted training goes on, and
            predictions/<name>.csv.gz with a file for each fold, which is read where it was made in
            the same way.
        settings: of the trainings; their `image_size` is the predictions' too.
        n_folds: join the folds to so many, so that fewer models do.
        fold_weights: {fold: .pt} of models that exist and have not seen that fold. Of those trained
            here the last weights predict: the best ones were chosen with a look at the fold.
        only: these folds are predicted, the others always train.
        name: of the files and run folders.
        sets: where the folds are unpacked; default the local disk.
        confidence_threshold: as the next two, see `predict`.
        iou_threshold: in [0, 1].
        max_detections: most boxes of an image.

    Returns:
        The predictions table with a column `fold`, by image_id and falling confidence, px.

    Raises:
        DatasetError: a single fold, images without a fold, weights of a fold that does not exist.
    """
    out = Path(out)
    of_image = joined_folds(photos.images, folds, n_folds)
    numbers = _numbers(of_image)
    given = {int(number): Path(path) for number, path in (fold_weights or {}).items()}
    if strangers := sorted(set(given) - set(numbers)):
        raise DatasetError(
            f"weights are given for fold {strangers[0]}, but the folds are {numbers}"
        )
    base = Path(sets) if sets is not None else colab.local_disk(out) / name
    held_out: dict[int, Path] = {}
    cut = {
        "image_size": settings.image_size,
        "confidence_threshold": confidence_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
    }
    parts = []
    wanted = [number for number in numbers if only is None or number in only]
    for number in progress(wanted, desc="folds", unit="fold"):
        weights = given.get(number)
        if weights is None:
            held_out = held_out or _write_folds(base, photos, of_image)
            weights = run.train(
                held_out[number],
                None,
                colab.training_folder(out, f"{name}_fold{number}"),
                settings,
                tags={"trained_on": name, "helper": "out of fold"},
                final_evaluation=False,
            ).last
        file = out / "predictions" / f"{name}_fold{number}.csv.gz"
        parts.append(_predict_fold(file, weights, photos.fold(of_image, number), number, cut))
    table = pd.concat(parts).sort_values(
        ["image_id", "confidence"], ascending=[True, False], kind="stable", ignore_index=True
    )
    write(out / "predictions" / f"{name}.csv.gz", table)
    return table


def joined_folds(images: pd.DataFrame, folds: pd.Series, n_folds: int | None = None) -> pd.Series:
    """The folds of `images` (image_id -> int), joined to `n_folds`: those that occur, counted from
    0, modulo `n_folds`, so as even as can be. DatasetError for images without a fold and fewer than
    two folds."""
    mine = folds_of(images.set_index("image_id", drop=False)["image_id"], folds)
    for number, advice in ((mine.nunique(), "make more folds"), (n_folds, "raise n_folds")):
        if number is not None and number < 2:
            raise DatasetError(
                f"out-of-fold predictions need at least 2 folds, got {number}; {advice}"
            )
    if n_folds is None:
        return mine
    return mine.map({number: place % n_folds for place, number in enumerate(_numbers(mine))})


def _numbers(of_image: pd.Series) -> list[int]:
    return sorted(of_image.unique().tolist())


def trained(
    out: str | os.PathLike, images: pd.DataFrame, folds: pd.Series, name: str = "oof"
) -> tuple[dict[int, Path], pd.Series]:
    """The weights left below `out`, by fold, and the fold that each has not seen; DatasetError
    where they were trained on other images or folds: they may have seen what they are to judge."""
    out = Path(out)
    notes = {
        int(path.stem.rpartition("fold")[2]): made.read(path)
        for path in (out / "predictions").glob(f"{name}_fold*.json")
    }
    for n_folds in range(len(notes), 1, -1):
        of_image = joined_folds(images, folds, n_folds)
        weights = {
            number: out / "training" / f"{name}_fold{number}" / "weights" / "last.pt"
            for number in _numbers(of_image)
        }
        if all(
            number in notes
            and path.is_file()
            and notes[number]["image_ids"] == _ids(of_image.index[of_image == number])
            and notes[number]["weights"] == files.sha256(path)
            for number, path in weights.items()
        ):
            return weights, of_image
    raise DatasetError(
        f"{out / 'training'} holds no models trained out of fold on these images and folds; "
        "notebook 06 makes them"
    )


def _ids(image_ids: pd.Series | pd.Index) -> str:
    return hashlib.sha256("\n".join(sorted(image_ids)).encode()).hexdigest()


def write(path: str | os.PathLike, predictions: pd.DataFrame) -> Path:
    """Write predictions as CSV.gz, whole or not at all; same table, same bytes."""
    # Two decimals: a hundredth of a pixel is far below what any label means, and halves the file.
    rounded = predictions.round(dict.fromkeys(XYXY, 2))
    text = rounded.to_csv(index=False, lineterminator="\n", float_format="%.7g").encode()
    with files.whole_file(path) as file:
        file.write(gzip.compress(text, compresslevel=6, mtime=0))
    return Path(path)


def read(path: str | os.PathLike) -> pd.DataFrame:
    """A predictions table from `write`; DatasetError for anything else."""
    if not Path(path).is_file():
        raise DatasetError(
            f"predictions not found: {path}; run the notebook that writes them first"
        )
    kinds: dict[str, Any] = dict.fromkeys(COLUMNS[:2], str) | dict.fromkeys(COLUMNS[2:-1], float)
    table = read_csv(path, advice="remove it and predict again", dtype=kinds, keep_default_na=False)
    require_columns(table, COLUMNS[:-1], path)
    return table


def _write_folds(base: Path, photos: Photos, of_image: pd.Series) -> dict[int, Path]:
    """A set folder per fold, and per fold the data.yaml that holds it out."""
    places = {number: base / f"fold{number}" for number in _numbers(of_image)}
    for number, place in places.items():
        mine = photos.fold(of_image, number)
        if not _is_written(place, mine, of_image):
            writing.write_set(place, mine, folds=of_image)
    return {
        number: writing.write_data_yaml(
            base / f"held_out_{number}.yaml",
            [other for other in places.values() if other != place],
            place,
        )
        for number, place in places.items()
    }


def _is_written(target: Path, photos: Photos, of_image: pd.Series) -> bool:
    """Does the folder hold these images with these labels, whole?"""
    manifest = target / yolo.MANIFEST
    if not manifest.is_file():
        return False
    there = reading.read_manifest(target)
    wanted = yolo.plan(photos.images, photos.boxes, of_image).manifest
    same = ["image_id", "archive", "member", "label_sha256"]
    is_same = there[same].equals(wanted[same])
    return is_same and set_folder.holds(target, manifest.read_bytes(), there)


def _predict_fold(
    path: Path, weights: Path, photos: Photos, number: int, cut: dict[str, Any]
) -> pd.DataFrame:
    """Predictions of one fold, from the file if weights, images and settings agree."""
    made_with = {
        "weights": files.sha256(weights),
        "images": photos.fingerprint(),
        "image_ids": _ids(photos.images["image_id"]),
        "fold": number,
        **cut,
    }
    note = path.with_suffix("").with_suffix(".json")
    if made.is_there(path, made_with, note):
        log.info("fold %d: predictions taken from %s", number, path)
        return read(path)
    write(path, engine.predict(weights, photos, **cut).assign(fold=number)[COLUMNS])
    made.record(path, made_with, note)
    return read(path)
