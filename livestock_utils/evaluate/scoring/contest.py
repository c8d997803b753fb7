"""The contest's tables and ours as sorted arrays, with every fault named by its row.

The contest divides every box by constants of the species of the *image* (`species.yaml`), whatever
its true size is; the normaliser "image" is the true size. Which one it is, is never guessed.
"""

import dataclasses
import logging
import re

import numpy as np
import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.arrays import Array, Flags, Floats, Places
from livestock_utils.core.errors import ScoringError
from livestock_utils.core.tables import require_columns

log = logging.getLogger(__name__)

ANSWER_COLUMNS = ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"]
SUBMISSION_COLUMNS = ["ImageID", "LabelName", "Conf", "XMin", "XMax", "YMin", "YMax"]
_TABLE_COLUMNS = {"image_id": "ImageID", "species": "LabelName", "confidence": "Conf"}
_TABLE_COLUMNS |= {"x_min": "XMin", "x_max": "XMax", "y_min": "YMin", "y_max": "YMax"}
NORMALISERS = ("contest", "image")
UNITS = ("px", "shares")
LARGEST_SHARE = 10.0
"""Coordinates above this are pixels: the contest's shares reach 1.5, those of a 4K frame 3."""
SMALLEST_PX = 1.5
"""Predictions all below this are shares: no detection ends within a photo's first two pixels."""
_SUFFIX = re.compile(r"\.(?:jpe?g|png|bmp|webp|tiff?)$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class BoxArrays:
    """One checked table: `image` indexes `image_ids` (sorted), `label` the classes."""

    image_ids: Array
    image: Places
    label: Places
    xyxy: Floats
    confidence: Floats
    index: pd.Index

    def place(self, row: int) -> str:
        """How messages name a row: "row 3 (livestock_pig_bbox_000001)", or its line in a file."""
        return f"{_row_name(self.index, row)} ({image_stem(self.image_ids[self.image[row]])})"


def image_stem(image_id: object) -> str:
    """An image's id without its file suffix."""
    return _SUFFIX.sub("", str(image_id))


def spelt_as(ids: pd.Series, answers: pd.DataFrame) -> pd.Series:
    """Ids of a submission as text, those of an answered image as the answers spell it."""
    there = answers.get("ImageID", answers.get("image_id", pd.Series(dtype=object)))
    there = there.dropna().astype(str)
    known = dict(zip([*there.map(image_stem), *there], [*there, *there], strict=True))
    spelt = [known.get(name, known.get(image_stem(name.strip()), name)) for name in map(str, ids)]
    return pd.Series(spelt, ids.index, dtype=object).where(ids.notna())


def stems(images: pd.DataFrame) -> Array:
    """Ids of an images table without file suffixes, (n,) str."""
    require_columns(images, ["image_id"], "the images table", ScoringError)
    return images["image_id"].map(image_stem).to_numpy(dtype=str)


def read_boxes(
    table: pd.DataFrame, what: str, with_confidence: bool, ids_as_text: bool = False
) -> BoxArrays:
    """A table in the contest's columns or ours, checked row by row, as arrays; `what` names it.
    Ids count without their suffix, or `ids_as_text`, as the contest's scorer takes them."""
    names = _column_names(table, what, with_confidence)

    def check(fault: Flags, problem: str, column: str = "") -> None:
        if fault.any():
            raise _row_fault(fault, table, names, what, problem, column)

    codes, uniques = _factorise(table[names["ImageID"]])
    check(codes < 0, "ImageID is empty")
    ids = [str(value) if ids_as_text else image_stem(value) for value in uniques]
    image_ids, merged = np.unique(np.array(ids, dtype=str), return_inverse=True)
    image = merged.reshape(-1)[codes]
    label_codes, labels = _factorise(table[names["LabelName"]])
    check(label_codes < 0, "LabelName is empty")
    index = species.class_index()
    known = np.array([index.get(str(name), -1) for name in labels], dtype=np.intp)
    label = known[label_codes]
    check(label < 0, f"unknown LabelName, expected one of {list(index)}", "LabelName")
    columns = {}
    for name in (["Conf"] if with_confidence else []) + ["XMin", "YMin", "XMax", "YMax"]:
        columns[name] = numbers(table[names[name]])
        check(~np.isfinite(columns[name]), f"{name} is not a finite number", name)
    for low, high in (("XMin", "XMax"), ("YMin", "YMax")):
        check(columns[low] > columns[high], f"{low} is greater than {high}", low)
    confidence = columns.pop("Conf", np.zeros(0))
    xyxy = np.column_stack(list(columns.values()))
    return BoxArrays(image_ids, image, label, xyxy, confidence, table.index)


def to_table(found: BoxArrays, xyxy: Floats) -> pd.DataFrame:
    """Arrays in the contest's columns, ids with .jpg; Conf where there are confidences."""
    ids = np.array([f"{image_id}.jpg" for image_id in found.image_ids], dtype=object)
    names = np.array(species.names(), dtype=object)
    columns = {"ImageID": ids[found.image], "LabelName": names[found.label]}
    if len(found.confidence) == len(found.image):
        columns["Conf"] = found.confidence
    corners = dict(zip(("XMin", "XMax", "YMin", "YMax"), xyxy.T[[0, 2, 1, 3]], strict=True))
    return pd.DataFrame(columns | corners)


def check_answers_are_shares(answers: BoxArrays) -> None:
    """Raise ScoringError for answers in pixels: a coordinate is above LARGEST_SHARE."""
    row, largest = _largest(answers.xyxy)
    if largest > LARGEST_SHARE:
        raise ScoringError(
            f"answers look like pixels: {answers.place(row)} has a coordinate of {largest:g}; "
            "answers are shares of the frame"
        )


def check_units(predictions: BoxArrays, units: str) -> None:
    """Raise ScoringError when predictions announced as "px" are shares, or the reverse."""
    if units not in UNITS:
        raise ScoringError(f"units must be one of {list(UNITS)}, got {units!r}")
    row, largest = _largest(predictions.xyxy)
    if units == "px" and 0 < largest <= SMALLEST_PX:
        raise ScoringError(
            f" look like shares of the frame: no coordinate is above {largest:g} where pixels are "
            "expected; multiply them by the frame's size or say units='shares'",
            "predictions",
            0,
        )
    if units == "shares" and largest > LARGEST_SHARE:
        raise ScoringError(
            f" look like pixels: {predictions.place(row)} has a coordinate of {largest:g} where "
            "shares are expected; say units='px'",
            "predictions",
            _line(predictions.index, row),
        )


def frame_sizes(
    image_ids: Array, normaliser: str, images: pd.DataFrame | None, answers: BoxArrays | None = None
) -> Floats:
    """Width and height, (n, 2) px, by which the boxes of each image are divided. A species is that
    of the images table, else the one whose `id_prefix` the id begins with, else the only label that
    the answers hold for it."""
    if normaliser not in NORMALISERS:
        raise ScoringError(f"normaliser must be one of {list(NORMALISERS)}, got {normaliser!r}")
    table = None if images is None else images_by_id(images)
    if normaliser == "image":
        if table is None:
            raise ScoringError(
                "normaliser 'image' needs images= (a table of image_id, width_px, height_px)"
            )
        sizes = table.reindex([*map(image_stem, image_ids)])[["width_px", "height_px"]].to_numpy(
            float
        )
        bad = np.flatnonzero(~(sizes > 0).all(axis=1))
        if bad.size:
            raise ScoringError(
                f"the images table has no size above 0 px for {image_ids[bad[0]]} ({bad.size} such "
                "images); pass the table of the images that were scored"
            )
        return sizes
    constants = np.array([s.contest_size_px for s in species.all_species()], dtype=float)
    return constants[_image_species(image_ids, table, answers)]


def _image_species(
    image_ids: Array, table: pd.DataFrame | None, answers: BoxArrays | None
) -> Places:
    index = species.class_index()
    found = np.full(len(image_ids), -1, dtype=np.intp)
    if answers is not None:
        place = pd.Index(image_ids).get_indexer(pd.Index(answers.image_ids))[answers.image]
        for code in index.values():
            found[place[(answers.label == code) & (place >= 0)]] = code
        for code in index.values():  # images with two labels have no species of their own
            mixed = place[(answers.label == code) & (place >= 0)]
            found[mixed[found[mixed] != code]] = -1
    for s in species.all_species():
        found[np.char.startswith(np.asarray(image_ids, dtype=str), s.id_prefix)] = s.index
    if table is not None and "species" in table:
        named = table["species"].reindex([*map(image_stem, image_ids)]).map(index)
        found = np.where(named.notna(), named.fillna(-1), found).astype(np.intp)
    unknown = np.flatnonzero(found < 0)
    if unknown.size:
        raise ScoringError(
            f"normaliser 'contest' needs the species of image {image_ids[unknown[0]]} "
            f"({unknown.size} such images): its id has no known prefix; pass images= with the "
            "column species"
        )
    return found


def images_by_id(images: pd.DataFrame) -> pd.DataFrame:
    """An images table under its ids without suffix; ScoringError without sizes, for an id twice."""
    wanted = ("image_id", "width_px", "height_px")
    require_columns(images, wanted, "the images table", ScoringError)
    table = images.set_index(stems(images))
    if not table.index.is_unique:
        raise ScoringError(
            f"the images table names {table.index[table.index.duplicated()][0]} twice: one row an "
            "image"
        )
    return table


def _column_names(table: pd.DataFrame, what: str, with_confidence: bool) -> dict[str, str]:
    """The contest's name of each needed column -> its name in this table."""
    columns = [str(column) for column in table.columns]
    wanted = SUBMISSION_COLUMNS if with_confidence else ANSWER_COLUMNS
    ours = {contest: name for name, contest in _TABLE_COLUMNS.items() if contest in wanted}
    is_ours = "image_id" in columns and "ImageID" not in columns
    names = ours if is_ours else {name: name for name in wanted}
    missing = [name for name in names.values() if name not in columns]
    if missing:
        expected = f"got {columns}, expected {list(names.values())}"
        raise ScoringError(f" lack the column {', '.join(missing)}: {expected}", what, 1)
    for name in names.values():
        if (times := columns.count(name)) > 1:
            text = f" have the column {name} {times} times: keep one of them"
            raise ScoringError(text, what, 0)
    return names


def _factorise(column: pd.Series) -> tuple[Places, Array]:
    """Codes (-1: empty) and unique values of a column; fast where equal values stand together."""
    values = column.to_numpy(dtype=object)
    if not len(values):
        return np.zeros(0, dtype=np.intp), values
    try:
        starts = np.append(True, values[1:] != values[:-1])
    except TypeError:  # pd.NA compares with nothing
        starts = np.ones(len(values), dtype=bool)
    codes, uniques = pd.factorize(values[starts])
    return codes[np.cumsum(starts) - 1], uniques


def numbers(column: pd.Series) -> Floats:
    """A column as floats, NaN for what is no number."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def _row_fault(
    fault: Flags, table: pd.DataFrame, names: dict[str, str], what: str, problem: str, column: str
) -> ScoringError:
    """The fault of the first row: its image, the value of `column`, how many rows share it."""
    row = int(np.argmax(fault))
    image_id = table[names["ImageID"]].iloc[row]
    value = table[names[column]].iloc[row] if column else ""
    got = "" if not column else f", got {value!r}" if isinstance(value, str) else f", got {value}"
    more = f" ({int(fault.sum())} such rows)" if fault.sum() > 1 else ""
    place = f"{_row_name(table.index, row)} ({image_id})"
    text = f", {place}: {problem}{got}{more}; correct or drop it"
    return ScoringError(text, what, _line(table.index, row))


def _row_name(index: pd.Index, row: int) -> str:
    """A row in words: its position from 0, or its line where the index is called "line"."""
    return f"line {index[row]}" if index.name == "line" else f"row {row}"


def _line(index: pd.Index, row: int) -> int:
    return int(index[row]) if index.name == "line" else 0


def _largest(xyxy: Floats) -> tuple[int, float]:
    """Row and value of the largest coordinate; (0, 0.0) without rows."""
    if not len(xyxy):
        return 0, 0.0
    row = int(np.argmax(xyxy.max(axis=1)))
    return row, float(xyxy[row].max())
