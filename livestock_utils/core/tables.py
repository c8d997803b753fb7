"""The images and boxes tables on disk: images.csv and boxes.csv in one folder."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.files import write_text
from livestock_utils.core.reading import read_csv

IMAGE_COLUMNS = ["image_id", "species", "width_px", "height_px", "archive", "member"]
PART = "part"
"""A further column of images that come in parts: train, valid, test."""
BOX_COLUMNS = ["image_id", "species", *XYXY]
PREDICTION_COLUMNS = [*BOX_COLUMNS, "confidence"]

COLUMN_TYPES: dict[str, Any] = {
    **dict.fromkeys(("image_id", "species", "archive", "member", PART), str),
    **dict.fromkeys(("width_px", "height_px"), int),
    **dict.fromkeys(XYXY, float),
}


def require_columns(
    table: pd.DataFrame,
    columns: Iterable[str],
    what: str | os.PathLike,
    error: type[LivestockError] = DatasetError,
    advice: str = "",
) -> None:
    """Raise `error` that names the `columns` which `table` lacks; `what` says which table it is."""
    wanted, there = list(columns), list(table.columns)
    if absent := [name for name in wanted if name not in there]:
        lacking = f"the column {absent[0]!r} is" if len(absent) == 1 else f"columns {absent} are"
        told = f"{os.fspath(what)}: {lacking} lacking; expected {wanted}, got {there}"
        raise error(f"{told}; {advice}" if advice else told)


def write_tables(folder: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Write images.csv and boxes.csv into `folder`, each whole or not at all, all digits."""
    columns = IMAGE_COLUMNS + [PART] * (PART in images)
    for name, table in (("images", images[columns]), ("boxes", boxes[BOX_COLUMNS])):
        write_text(Path(folder) / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))


def read_tables(folder: str | os.PathLike) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(images, boxes) as `write_tables` got them; DatasetError for what is absent or bad."""
    found = []
    for name, columns in (("images", IMAGE_COLUMNS), ("boxes", BOX_COLUMNS)):
        path = Path(folder) / f"{name}.csv"
        if not path.is_file():
            raise DatasetError(
                f"{path} is missing: notebook 01_eda writes it; run that first, with the same out"
            )
        table = read_csv(path, dtype=str, keep_default_na=False)
        require_columns(table, columns, path, advice="run notebook 01_eda again")
        found.append(_typed(table[columns + [PART] * (PART in table)], path))
    return found[0], found[1]


def _typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table of text with its numbers read; DatasetError with line and column for what is none."""
    read = {}
    for name in map(str, table):
        kind, values = COLUMN_TYPES[name], []
        for line, text in enumerate(table[name], start=2):
            try:  # Python's float gives back the very digits, pandas 2's may not
                values.append(kind(text))
            except ValueError as error:
                number = "a whole number" if kind is int else "a number"
                raise DatasetError(
                    f"{path}, line {line}: {name} is {text!r}, expected {number}; run notebook "
                    "01_eda again"
                ) from error
        try:
            read[name] = pd.Series(values, dtype=kind)
        except OverflowError as error:
            raise DatasetError(
                f"{path}: {name} holds {max(values)}; run notebook 01_eda again"
            ) from error
    return pd.DataFrame(read)


def write_folds(path: str | os.PathLike, folds: pd.Series, groups: pd.Series | None = None) -> Path:
    """Write folds.csv (image_id, fold, group; by image_id) from Series by image_id."""
    table = folds.rename("fold").rename_axis("image_id").sort_index().reset_index()
    table["group"] = "" if groups is None else table["image_id"].map(groups).astype(str)
    return write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_folds(path: str | os.PathLike) -> tuple[pd.Series, pd.Series | None]:
    """(folds, groups) as `write_folds` got them; DatasetError for what is absent or bad."""
    if not Path(path).is_file():
        raise DatasetError(
            f"{path} is missing: notebook 02_make_dataset_multilabel writes it; run that first"
        )
    table = read_csv(path, dtype=str, keep_default_na=False)
    require_columns(table, ("image_id", "fold", "group"), path)
    wrong = table.loc[~table["fold"].str.fullmatch(r"\d{1,9}"), "fold"]
    if len(wrong):
        raise DatasetError(
            f"{path}: fold {wrong.iloc[0]!r} is not a whole number; run notebook 02 again"
        )
    table = table.set_index("image_id")
    return table["fold"].astype(int), table["group"] if (table["group"] != "").any() else None


def folds_of(image_ids: pd.Series, folds: pd.Series, what: str = "images") -> pd.Series:
    """The fold of each image, on the index of `image_ids`; DatasetError for images without one."""
    of_image = image_ids.map(folds)
    if (absent := image_ids[of_image.isna()]).size:
        raise DatasetError(
            f"{len(absent)} of {len(image_ids)} {what} have no fold, the first is "
            f"{absent.iloc[0]!r}; make the folds from the same images"
        )
    return of_image.astype(int)
