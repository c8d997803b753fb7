"""Predictions of any detector, from the files that tools write, as a table like `lu.predict`'s."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.boxes import XYXY, xywhn_to_xyxy
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.reading import read_csv, read_json
from livestock_utils.core.tables import PREDICTION_COLUMNS
from livestock_utils.detect.predict import candidates

_CONTEST = {"ImageID": "image_id", "LabelName": "species", "Conf": "confidence"}
_CONTEST |= {"XMin": "x_min", "XMax": "x_max", "YMin": "y_min", "YMax": "y_max"}


def read_predictions(
    path: str | os.PathLike,
    photos: Photos,
    annotations: str | os.PathLike | None = None,
    classes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The predictions that another detector left in a file or folder, as `lu.predict` gives them.

        found = lu.read_predictions("dfine/results.json", valid, annotations="valid.json")
        lu.score(valid, found)

    Args:
        path: COCO's results JSON, a folder of YOLO's label files with confidences (class, xywhn,
            confidence), our predictions.csv, or a CSV with the contest's columns in px.
        photos: what was predicted; sizes in its table turn YOLO's shares into px.
        annotations: for COCO: the file that tells names of images and categories; without it
            `image_id` must be the file's stem, and categories count as our classes from 1.
        classes: their class name (of YOLO: its number as text) -> species; others are an error.

    Returns:
        image_id, species, x_min, y_min, x_max, y_max in px, confidence; by image_id and falling
        confidence.

    Raises:
        DatasetError: for boxes of other images or classes, shares where px are expected, and rows
            without a confidence; one line each.
    """
    if Path(path).is_dir():
        table = _yolo(Path(path), photos, classes or {})
    elif Path(path).suffix.lower() == ".json":
        table = _coco(Path(path), annotations)
    else:
        table = read_csv(path, DatasetError, dtype={"image_id": str, "ImageID": str})
        table = table.rename(columns=_CONTEST)
    if lacking := [name for name in PREDICTION_COLUMNS if name not in table]:
        raise DatasetError(
            f"{path}: the column {lacking[0]!r} is missing; expected {PREDICTION_COLUMNS}, "
            f"or the contest's {list(_CONTEST)}"
        )
    if len(table) and table[XYXY].to_numpy(float).max() <= 2:
        raise DatasetError(
            f"{path}: coordinates reach {table[XYXY].to_numpy(float).max():g} only, "
            "they are shares; give pixels of the photo"
        )
    known = set(photos.images["image_id"])
    ids = table["image_id"].astype(str)
    table["image_id"] = ids.where(ids.isin(known), ids.map(lambda name: Path(name).stem))
    table["species"] = table["species"].astype(str).replace(dict(classes or {}))
    candidates.of_table(table, photos.images, species.names(), str(path))  # refuses what is wrong
    order = ["image_id", "confidence"]
    table = table[PREDICTION_COLUMNS].sort_values(order, ascending=[True, False])
    return table.reset_index(drop=True)


def _coco(path: Path, annotations: str | os.PathLike | None) -> pd.DataFrame:
    """A list of {image_id, category_id, bbox: [x, y, width, height], score}."""
    rows = read_json(path, DatasetError)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{path}: not COCO's results, a list of boxes; give results.json")
    files: dict[Any, str] = {}
    names: dict[Any, str] = dict(enumerate(species.names(), start=1))
    if annotations is not None:
        told = read_json(annotations, DatasetError)
        try:
            files = {image["id"]: Path(image["file_name"]).stem for image in told["images"]}
            names = {one["id"]: one["name"] for one in told["categories"]}
        except (KeyError, TypeError) as error:
            raise DatasetError(
                f"{annotations}: images and categories with id and name are expected ({error})"
            ) from error
    try:
        boxes = np.array([row["bbox"] for row in rows], dtype=float).reshape(-1, 4)
        table = pd.DataFrame(
            {
                "image_id": [str(files.get(row["image_id"], row["image_id"])) for row in rows],
                "species": [str(names.get(row["category_id"], row["category_id"])) for row in rows],
                "confidence": [row.get("score") for row in rows],
            }
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{path}: each box needs image_id, category_id, bbox of four numbers, score ({error!r})"
        ) from error
    table[XYXY] = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    return table


def _yolo(folder: Path, photos: Photos, classes: Mapping[str, str]) -> pd.DataFrame:
    """A .txt file an image, of its name: rows of class, xywhn, confidence."""
    sizes = photos.images.set_index("image_id")[["width_px", "height_px"]]
    names = dict(enumerate(species.names()))
    parts = [pd.DataFrame(columns=PREDICTION_COLUMNS)]
    for file in sorted(folder.glob("*.txt")):
        if file.stem not in sizes.index:
            raise DatasetError(f"{file}: there is no photo of this name among the {len(sizes)}")
        try:
            rows = np.loadtxt(file, ndmin=2)
        except ValueError as error:
            raise DatasetError(f"{file}: not rows of numbers ({error})") from error
        if not rows.size:
            continue
        if rows.shape[1] != 6:
            raise DatasetError(
                f"{file}: rows of {rows.shape[1]} numbers, expected class, x, y, width, height, "
                "confidence; write them with --save-conf"
            )
        if not (sizes.loc[file.stem] > 0).all():
            raise DatasetError(f"{file}: its photo's size is not known; read the photos first")
        part = pd.DataFrame(xywhn_to_xyxy(rows[:, 1:5], *sizes.loc[file.stem]), columns=XYXY)
        codes = [str(int(code)) for code in rows[:, 0]]
        kinds = [classes.get(code, names.get(int(code), code)) for code in codes]
        parts.append(part.assign(image_id=file.stem, species=kinds, confidence=rows[:, 5]))
    return pd.concat(parts[1:] or parts, ignore_index=True)
