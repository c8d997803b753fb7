"""The contest's submission file: written sorted and whole, checked row by row.

Sorted by image and falling confidence: the contest's scorer walks the rows of an image in order.
"""

import csv
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.arrays import Array, Flags
from livestock_utils.core.boxes import clip_to_frame
from livestock_utils.core.errors import ScoringError
from livestock_utils.core.files import whole_file
from livestock_utils.core.tables import require_columns
from livestock_utils.evaluate.scoring import contest
from livestock_utils.evaluate.scoring.contest import ANSWER_COLUMNS, SUBMISSION_COLUMNS, image_stem

_TOLERANCE_PX = 0.01
WEIGHTS_BUDGET_BYTES = 100 * 10**6
"""The contest's limit for a weights file: 100 MB of 10^6 bytes."""
UNSORTED = "not sorted by ImageID and descending Conf"
MISSPELT = "ImageID is not spelled NAME.jpg, and ids compare as text; --sort-to mends it"
REPEATED = "the same row stands above: this one counts as a false detection; --sort-to mends it"
IN_FILE_ORDER = "the contest's scorer takes the rows of an image in file order"
_PLAIN: dict[str, Any] = {"dtype": {"image_id": str, "species": str}, "low_memory": False}
_CSV_ERRORS = UnicodeDecodeError, csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError
log = logging.getLogger(__name__)

Finding = tuple[str, int, str, str] | tuple[str, int, str, str, str]


def write_submission(
    path: str | os.PathLike,
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    units: str = "px",
    normaliser: str = "contest",
) -> Path:
    """Write predictions as a submission, sorted, clipped to the frames, whole or not at all.

        lu.write_submission("submission.csv", predictions, test.images)
        lu.validate_submission("submission.csv", test.images)  # no rows: no faults

    Args:
        path: of the CSV file.
        predictions: image_id, species, x_min, y_min, x_max, y_max in px, confidence in [0, 1]. An
            empty table gives a file of the header alone and a logged warning.
        images: every test image (image_id, width_px, height_px); one without detections has no
            row, and may be of unknown size (0).
        units: "px", or "shares" of the frames of `normaliser`, for scorers that take shares.
        normaliser: as in `lu.contest_score`.

    Returns:
        The path.

    Raises:
        ScoringError: for an unknown image and the first fault of a row.
    """
    found = contest.read_boxes(predictions, "predictions", with_confidence=True)
    if not len(found.image):
        advice = "an empty submission scores 0; lower the confidence threshold"
        log.warning("%s holds no detection: %s", path, advice)
    contest.check_units(found, "px")
    strangers = np.setdiff1d(found.image_ids, contest.stems(images))
    if len(strangers):
        raise ScoringError(
            f"predictions of {strangers[0]} ({len(strangers)} such images), which the images table "
            "lacks: predict and submit the same images"
        )
    if units not in contest.UNITS:
        raise ScoringError(f"units must be one of {list(contest.UNITS)}, got {units!r}")
    frame = contest.frame_sizes(found.image_ids, "image", images)[found.image]
    xyxy = clip_to_frame(found.xyxy, frame[:, 0], frame[:, 1])
    if units == "shares":
        sizes = contest.frame_sizes(found.image_ids, normaliser, images)
        xyxy = xyxy / np.tile(sizes, 2)[found.image]
    order = np.lexsort((*xyxy.T[[3, 1, 2, 0]], -found.confidence, found.image))
    table = contest.to_table(found, xyxy).iloc[order]
    if (again := table.duplicated()).any():
        log.warning("%s: %d rows stand above already and are left out", path, again.sum())
    with whole_file(path, "w") as file:
        table[~again].to_csv(file, index=False, lineterminator="\n")
    return Path(path)


def read_table(path: str | os.PathLike, mend: bool = False, **options: Any) -> pd.DataFrame:
    """Read an answer or submission CSV as the contest's notebook does, by a plain pandas.read_csv;
    index = line. With `mend` a comma at the end of every row moves no column."""
    if not Path(path).is_file():
        raise ScoringError(f"no such file: {path}; give the path of a CSV file")
    header: list[str] = []
    lines = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            for row in rows:
                if len(row) > 1 or "".join(row).strip():  # pandas passes over blank lines
                    header = header or row
                    lines.append(rows.line_num)
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise ScoringError(
                f"{path}, line {lines[0]}: {header.count(twice[0])} columns are called {twice[0]}: "
                "keep one"
            )
        table = pd.read_csv(path, **_PLAIN | options)
        is_moved = len(table) and not isinstance(table.index, pd.RangeIndex)
        if is_moved and table.iloc[:, -1].isin([np.nan, ""]).all():
            if not mend:
                raise ScoringError(
                    f"{path}, line {lines[1]}: a value more than the header has names: "
                    "pandas.read_csv takes the first for the row's name and moves all others by a "
                    f"column; `python -m livestock_utils validate {path} --sort-to sorted.csv` "
                    "mends it"
                )
            table = pd.read_csv(path, index_col=False, usecols=header, **_PLAIN | options)
    except _CSV_ERRORS as error:
        raise ScoringError(
            f"{path} cannot be read as CSV ({str(error).strip()}); expected the columns "
            f"{', '.join(ANSWER_COLUMNS[:2])}, ..."
        ) from error
    is_counted = len(lines) == len(table) + 1
    table.index = pd.Index(lines[1:] if is_counted else range(2, len(table) + 2), name="line")
    return table


def mend(table: pd.DataFrame, ids: pd.Series) -> tuple[pd.DataFrame, list[str]]:
    """A submission's table with other `ids`, without rows that stand above, by image and
    confidence, equals in their order; and what that mends, in words."""
    faults = []
    if (spelt := (table["ImageID"].astype(str) != ids) & ids.notna()).any():
        first = (
            f"(first: {str(table['ImageID'][spelt].iloc[0])!r}, expected {ids[spelt].iloc[0]!r})"
        )
        faults.append(f"ids compare as text, and {spelt.sum()} rows are spelled otherwise {first}")
    stems = ids.map(image_stem).to_numpy(dtype=str)
    if _unsorted(stems, contest.numbers(table["Conf"])).any():
        faults.append(IN_FILE_ORDER)
    again = table.assign(ImageID=ids).duplicated(SUBMISSION_COLUMNS).to_numpy()
    if again.any():
        faults.append(f"{again.sum()} rows stand above already and count as false detections")
    order = np.lexsort((-contest.numbers(table["Conf"]), stems))
    return table.assign(ImageID=ids).iloc[order[~again[order]]], faults


def write_sorted(path: str | os.PathLike, submitted: str | os.PathLike) -> tuple[Path, list[str]]:
    """Write a submission to `path` as `mend` gives it, ids with .jpg; and what that mends."""
    table = read_table(submitted, mend=True)
    require_columns(table, SUBMISSION_COLUMNS, submitted, ScoringError)
    rows = read_table(submitted, mend=True, dtype=str, keep_default_na=False)
    mended, faults = mend(table, _contest_ids(rows["ImageID"]))
    with whole_file(path, "w") as file:
        rows = rows.loc[mended.index].assign(ImageID=mended["ImageID"])
        rows.to_csv(file, index=False, lineterminator="\n")
    return Path(path), faults


def _contest_ids(ids: pd.Series) -> pd.Series:
    """Ids as the contest spells them: with .jpg, whatever their suffix; empty ones stay."""
    return ids.where(ids.isna() | (ids == ""), ids.str.strip().map(image_stem) + ".jpg")


def read_images(path: str | os.PathLike) -> pd.DataFrame:
    """The images table from a CSV or from a folder of test archives."""
    if Path(path).is_dir():
        from livestock_utils.data.aihub import folder

        return folder.read_test_archives(path).images
    return read_table(path)


def validate_submission(
    path: str | os.PathLike,
    images: pd.DataFrame | None = None,
    units: str = "px",
    normaliser: str = "contest",
    weights: Iterable[str | os.PathLike] = (),
) -> pd.DataFrame:
    """Check a submission file: a row a finding, none for a faultless one.

        lu.validate_submission("submission.csv", test.images, weights=[run.best])

    Args:
        path: of the CSV file.
        images: the test images (image_id, width_px, height_px[, species]); without them ids and
            frames are not checked. A test image without rows is a note: it may hold no animal.
        units: of the file's boxes, "px" or "shares".
        normaliser: as in `lu.contest_score`.
        weights: model files to hold to 100 MB.

    Returns:
        Columns severity ("error" or "note"), line (of the file, 1 = header, 0 = the whole file),
        image_id, problem, got (the row's values that show it, "" where there are none).

    Raises:
        ScoringError: for a file that is no CSV table.
    """
    findings = _weight_findings(weights)
    table = read_table(path)
    header = [str(name) for name in table.columns]
    if header != SUBMISSION_COLUMNS:
        missing = [name for name in SUBMISSION_COLUMNS if name not in header]
        why = f"missing {', '.join(missing)}" if missing else "columns in another order or too many"
        expected = f"expected {','.join(SUBMISSION_COLUMNS)}, got {','.join(header)}"
        findings.append(("error", 1, "", f"{why}: {expected}"))
        if missing:
            return _findings(findings)
    if not len(table):
        problem = "the submission is empty: it has no rows below the header"
        return _findings([*findings, ("error", 0, "", problem)])
    ids = table["ImageID"].astype(object).where(table["ImageID"].notna(), "").map(str)
    stems = ids.map(image_stem).to_numpy(dtype=object)
    numbers = {name: contest.numbers(table[name]) for name in SUBMISSION_COLUMNS[2:]}
    for problem, fault, column in _row_faults(table, ids, stems, numbers, images):
        _add(findings, ids, fault, problem, table[list(column)])
    xyxy = np.column_stack([numbers[name] for name in ("XMin", "YMin", "XMax", "YMax")])
    finite = np.isfinite(xyxy).all(axis=1)
    largest = float(xyxy[finite].max(initial=0.0))
    if units == "px" and 0 < largest <= contest.SMALLEST_PX:
        problem = f"shares of the frame where pixels are expected: none is above {largest:g}"
        findings.append(("error", 0, "", problem))
    elif units == "shares" and largest > contest.LARGEST_SHARE:
        problem = f"pixels where shares of the frame are expected: a coordinate of {largest:g}"
        findings.append(("error", 0, "", problem))
    else:
        outside = finite & np.any(xyxy < -_TOLERANCE_PX, axis=1)
        _add(findings, ids, outside, "a coordinate is left of or above the frame")
        if images is not None:
            outside = finite & _beyond_frame(xyxy, stems, images, units, normaliser)
            _add(findings, ids, outside, "a coordinate is right of or below the frame")
    _add(findings, ids, _unsorted(stems, numbers["Conf"]), UNSORTED)
    if images is not None:
        absent = sorted(set(contest.stems(images)) - set(stems))
        findings += [("note", 0, name, "test image without a detection") for name in absent]
    return _findings(findings)


def _row_faults(
    table: pd.DataFrame,
    ids: pd.Series,
    stems: Array,
    numbers: dict[str, Array],
    images: pd.DataFrame | None,
) -> Iterable[tuple[str, npt.ArrayLike, tuple[str, ...]]]:
    """What can be wrong with a row by itself: the problem, which rows have it, columns to show."""
    yield "ImageID is empty", ids == "", ()
    yield MISSPELT, ids != _contest_ids(ids), ()
    yield REPEATED, table.duplicated(SUBMISSION_COLUMNS), ()
    if images is not None:
        strange = (ids != "") & ~np.isin(stems.astype(str), contest.stems(images))
        yield "unknown image: not among the test images", strange, ()
    labels = table["LabelName"].astype(object).where(table["LabelName"].notna(), "").to_numpy()
    unknown = ~np.isin(labels.astype(str), species.names())
    yield f"unknown LabelName: expected one of {list(species.names())}", unknown, ("LabelName",)
    for name, values in numbers.items():
        yield f"{name} is empty or not a finite number", ~np.isfinite(values), (name,)
    yield "Conf is not between 0 and 1", (numbers["Conf"] < 0) | (numbers["Conf"] > 1), ("Conf",)
    for low, high in (("XMin", "XMax"), ("YMin", "YMax")):
        yield f"{low} is greater than {high}", numbers[low] > numbers[high], (low, high)


def _beyond_frame(
    xyxy: Array, stems: Array, images: pd.DataFrame, units: str, normaliser: str
) -> Flags:
    known, place = np.unique(stems.astype(str), return_inverse=True)
    table = contest.images_by_id(images)
    sized = (table[["width_px", "height_px"]] > 0).all(axis=1)
    inside = np.isin(known, table.index[sized].to_numpy(dtype=str))
    sizes, scale = np.full((len(known), 2), np.inf), np.ones((len(known), 2))
    if inside.any():
        sizes[inside] = contest.frame_sizes(known[inside], "image", images)
        if units == "shares":
            scale[inside] = contest.frame_sizes(known[inside], normaliser, images)
    return np.any(xyxy[:, 2:] * scale[place] > sizes[place] + _TOLERANCE_PX, axis=1)


def _unsorted(stems: Array, confidence: Array) -> Flags:
    """Rows that should stand above the row before them; ids count without their suffix."""
    rises = (stems[1:] == stems[:-1]) & (confidence[1:] > confidence[:-1])
    return np.append(False, (stems[1:] < stems[:-1]) | rises)


def _weight_findings(weights: Iterable[str | os.PathLike]) -> list[Finding]:
    findings: list[Finding] = []
    paths = [*map(Path, weights)]
    total = sum(path.stat().st_size for path in paths if path.is_file())
    if len(paths) > 1 and total > WEIGHTS_BUDGET_BYTES:
        problem = f"{len(paths)} weights have {total / 1e6:.1f} MB together: the contest allows 100"
        findings.append(("error", 0, "", problem))
    elif len(paths) > 1:
        problem = (
            f"{len(paths)} weights, {total / 1e6:.1f} MB together: whether the contest allows more "
            "than one file is open"
        )
        findings.append(("note", 0, "", problem))
    for path in paths:
        if not path.is_file():
            findings.append(("error", 0, "", f"no such weights file: {path}"))
        elif (size := path.stat().st_size) > WEIGHTS_BUDGET_BYTES:
            problem = f"weights {path.name} have {size / 1e6:.1f} MB: the contest allows 100 MB"
            findings.append(("error", 0, "", problem))
    return findings


def _add(
    findings: list[Finding],
    ids: pd.Series,
    fault: npt.ArrayLike,
    problem: str,
    shown: pd.DataFrame | None = None,
) -> None:
    """One error a row of `fault`, by the line in `ids`; the columns of `shown` are told."""
    for row in np.flatnonzero(fault).tolist():
        values = {} if shown is None else {name: shown[name].iloc[row] for name in shown}
        got = ", ".join(f"{name} {_value(value)}" for name, value in values.items())
        findings.append(("error", int(ids.index[row]), ids.iloc[row], problem, got))


def _value(value: object) -> str:
    """A cell in words; pandas makes NaN of an empty one."""
    if pd.isna(value):  # type: ignore[call-overload]  # a single cell
        return "empty or NaN"
    return f"{value:g}" if isinstance(value, float | np.number) else repr(value)


def _findings(findings: list[Finding]) -> pd.DataFrame:
    rows = [row if len(row) == 5 else (*row, "") for row in findings]
    table = pd.DataFrame(rows, columns=["severity", "line", "image_id", "problem", "got"])
    return table.sort_values(["severity", "line"], kind="stable", ignore_index=True)
