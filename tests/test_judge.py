"""Files as the contest's notebook reads and scores them, beside `score` and `validate`: hundreds of
generated variants of a submission and its answers."""

import csv
import io
import sys
from pathlib import Path

import map_boxes
import numpy as np
import pandas as pd
import pytest
from detections import answers_from_boxes, scene

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import report, submission

SIDES = ["XMin", "XMax", "YMin", "YMax"]
FRAMES = {"pig": (1280, 960), "cow": (1920, 1080)}
MENDED = submission.UNSORTED, submission.MISSPELT, submission.REPEATED


class Numpy:
    """numpy for map-boxes, whose argsort puts hits of equal confidence first, or last."""

    def __init__(self, hits_first: bool) -> None:
        self.sign = -1 if hits_first else 1

    def __getattr__(self, name: str):
        return getattr(np, name)

    def argsort(self, keys: np.ndarray) -> np.ndarray:
        hits = np.asarray(sys._getframe(1).f_locals["true_positives"])
        return np.lexsort((self.sign * hits, keys))


def judge(answers: Path, submitted: Path) -> tuple[float, float] | None:
    """Lowest and highest score that the contest's call can give for two files, by the order of
    equal confidences; None where its notebook stops with an error."""
    found = []
    try:
        truth, rows = pd.read_csv(answers), pd.read_csv(submitted)
        kinds = rows["ImageID"].astype(str).str.contains("pig").map({True: "pig", False: "cow"})
        for name in SIDES:
            rows[name] = rows[name] / kinds.map(
                lambda kind, side=name[0]: FRAMES[kind][side == "Y"]
            )
        for hits_first in (False, True):
            map_boxes.np = Numpy(hits_first)
            found.append(
                map_boxes.mean_average_precision_for_boxes(truth, rows, 0.75, verbose=False)[0]
            )
    except (KeyError, TypeError, ValueError):  # of pandas, and of map-boxes
        return None
    finally:
        map_boxes.np = np
    return found[0] - 1e-9, found[1] + 1e-9


# A variant takes the header and rows of a file, all text, and returns its lines as bytes or rows.
def on(column, change, share=1.0):
    """Cells of a column changed, in a share of the rows."""

    def apply(rows, rng):
        head, *others = [row for row in rows if len(row) > 1]
        for row in others:
            if column in head and len(row) > head.index(column) and rng.random() < share:
                row[head.index(column)] = change(row[head.index(column)])
        return rows

    return apply


def order(change):
    return lambda rows, rng: [rows[0], *change(rows[1:], rng)]


def ending(mark):
    return lambda rows, rng: [[*row, mark] for row in rows]


def mixed(rows, rng):
    return [rows[i] for i in rng.permutation(len(rows))]


def among(row, times):
    """A row put between the others."""

    def apply(rows, rng):
        for _ in range(times):
            rows.insert(int(rng.integers(1, len(rows) + 1)), list(row))
        return rows

    return apply


def columns(change):
    return lambda rows, rng: [change(row, number) for number, row in enumerate(rows)]


SAME = {
    "as it is": lambda rows, rng: rows,
    "blank lines": among([], 4),
    "lines of spaces": among(["   "], 3),
    "a blank line first": lambda rows, rng: [[], *rows],
    "a column more": columns(lambda row, n: [*row, "note" if n == 0 else "x"]),
    "an index column": columns(lambda row, n: ["" if n == 0 else str(n), *row]),
    "row names": columns(lambda row, n: row if n == 0 else [f"r{n}", *row]),
    "a comma more everywhere": ending(""),
    "a comma more in each row": columns(lambda row, n: row if n == 0 else [*row, ""]),
    "a comma more in the last row": lambda rows, rng: [*rows[:-1], [*rows[-1], ""]],
    "columns the other way": columns(lambda row, n: row[::-1]),
    "the first row last": order(lambda rows, rng: [*rows[1:], rows[0]]),
    "mixed": order(mixed),
    "backwards": order(lambda rows, rng: rows[::-1]),
    "every row twice": order(lambda rows, rng: [row for row in rows for _ in "12"]),
    "two shards twice": order(lambda rows, rng: rows + rows),
    "some rows twice": order(lambda rows, rng: rows + mixed(rows, rng)[:5]),
    "half of the rows": order(lambda rows, rng: rows[::2]),
    "ids without .jpg": on("ImageID", lambda cell: cell[:-4]),
    "some ids without .jpg": on("ImageID", lambda cell: cell[:-4], 0.3),
    "ids with .JPG": on("ImageID", lambda cell: cell[:-4] + ".JPG"),
    "some ids with .png": on("ImageID", lambda cell: cell[:-4] + ".png", 0.3),
    "ids after a space": on("ImageID", lambda cell: " " + cell, 0.3),
    "ids in a folder": on("ImageID", lambda cell: "test/" + cell, 0.3),
    "ids of other images": on("ImageID", lambda cell: cell.replace("_00", "_99"), 0.3),
    "empty ids": on("ImageID", lambda cell: "", 0.1),
    "numbers as ids": on("ImageID", lambda cell: cell[-10:-4]),
    "labels in capitals": on("LabelName", str.upper, 0.2),
    "labels after a space": on("LabelName", lambda cell: " " + cell),
    "the other label": on("LabelName", lambda cell: {"pig": "cow", "cow": "pig"}[cell], 0.2),
    "no label": on("LabelName", lambda cell: "NA", 0.2),
    "spaces around numbers": on("XMin", lambda cell: f" {cell} "),
    "numbers with e": on("XMax", lambda cell: f"{float(cell):.17e}"),
    "numbers with a plus": on("YMin", lambda cell: cell if cell[0] == "-" else f"+{cell}"),
    "numbers with _": on("YMax", lambda cell: "1_0" + cell, 0.1),
    "numbers with a comma": on("YMax", lambda cell: cell.replace(".", ","), 0.1),
    "text for a number": on("XMin", lambda cell: "wide", 0.1),
    "no number": on("XMin", lambda cell: "", 0.1),
    "a huge number": on("XMax", lambda cell: "1e999", 0.1),
    "inside out": on("XMax", lambda cell: "0.00001", 0.1),
    "cut": lambda rows, rng: [*rows[:-1], rows[-1][:4]],
    "no header": lambda rows, rng: rows[1:],
    "header in small letters": lambda rows, rng: [[name.lower() for name in rows[0]], *rows[1:]],
    "header after spaces": lambda rows, rng: [[" " + name for name in rows[0]], *rows[1:]],
    "no rows": lambda rows, rng: rows[:1],
}
OF_SUBMISSIONS = {
    "confidences with ties": on("Conf", lambda cell: cell[:3]),
    "confidences equal in 32 bits": on("Conf", lambda cell: "0.90000000" + cell[2:6]),
    "confidences in percent": on("Conf", lambda cell: f"{cell}e2"),
    "confidences below 0": on("Conf", lambda cell: f"-{cell}", 0.3),
    "confidences as text": on("Conf", lambda cell: f"{cell}%", 0.3),
    "no confidence": on("Conf", lambda cell: "", 0.1),
    "shares": lambda rows, rng: [
        rows[0],
        *([*row[:3], *(str(float(cell) / 2000) for cell in row[3:])] for row in rows[1:]),
    ],
}
STYLES = {
    "plain": ({}, "utf-8"),
    "of Windows": ({"lineterminator": "\r\n"}, "utf-8"),
    "of an old Mac": ({"lineterminator": "\r"}, "utf-8"),
    "with a BOM": ({}, "utf-8-sig"),
    "quoted": ({"quoting": csv.QUOTE_ALL}, "utf-8"),
    "with semicolons": ({"delimiter": ";"}, "utf-8"),
    "in UTF-16": ({}, "utf-16"),
}


def write(path: Path, rows: list[list[str]], style: str = "plain") -> Path:
    options, encoding = STYLES[style]
    text = io.StringIO(newline="")
    writer = csv.writer(text, **({"lineterminator": "\n"} | options))
    for row in rows:
        if len(row) < 2 and not "".join(row).strip():  # the writer would quote it
            text.write("".join(row) + "\n")
        else:
            writer.writerow(row)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def files(folder: Path, seed: int, mine: list[str], of_answers: list[str], style: str):
    images, boxes, found = scene(seed, n_images=5, n_answers=16, n_detections=40)
    found[XYXY] = found[XYXY].clip(lower=0)
    rng = np.random.default_rng(seed)
    tables = {"answer": answers_from_boxes(boxes, images), "submission": as_rows(found)}
    paths = []
    for (name, table), changes in zip(tables.items(), (of_answers, mine), strict=True):
        rows = list(csv.reader(io.StringIO(table.to_csv(index=False))))
        steps = [(SAME | OF_SUBMISSIONS)[name] for name in changes]
        for step in sorted(steps, key=lambda step: not step.__qualname__.startswith("on.")):
            rows = step(rows, rng)  # cells first, while every row has them
        paths.append(
            write(folder / f"{name}.csv", rows, style if name == "submission" else "plain")
        )
    return paths


def as_rows(found: pd.DataFrame) -> pd.DataFrame:
    """Predictions as a submission's rows, in order."""
    names = {"image_id": "ImageID", "species": "LabelName", "confidence": "Conf"}
    names |= {
        f"{axis}_{end}": f"{axis.upper()}{end.title()}" for axis in "xy" for end in ("min", "max")
    }
    table = found.rename(columns=names)[submission.SUBMISSION_COLUMNS]
    return table.assign(ImageID=table["ImageID"] + ".jpg").sort_values(
        ["ImageID", "Conf"], ascending=[True, False]
    )


def plans() -> list[tuple[list[str], list[str], str]]:
    """Changes of the submission and of the answers, and the style of the submission."""
    rng = np.random.default_rng(0)
    alone = [([name], [], "plain") for name in SAME | OF_SUBMISSIONS]
    alone += [([], [name], "plain") for name in SAME]
    alone += [([], [], style) for style in STYLES]
    harmless = list(SAME)[: list(SAME).index("empty ids")]
    pairs = [
        (
            rng.choice([*harmless, *OF_SUBMISSIONS], 2, replace=False).tolist(),
            rng.choice(harmless, int(rng.integers(3)), replace=False).tolist(),
            str(rng.choice(list(STYLES)[:5])),
        )
        for _ in range(200)
    ]
    return alone + pairs


@pytest.mark.parametrize("part", range(4))
def test_files_score_as_the_contests_notebook_scores_them(tmp_path, part):
    scored = faultless = 0
    for seed, plan in list(enumerate(plans()))[part::4]:
        answers, submitted = files(tmp_path, seed, *plan)
        want = judge(answers, submitted)
        try:
            has_errors = (submission.validate_submission(submitted)["severity"] == "error").any()
        except ScoringError:
            has_errors = True
        told: list[str] = []
        try:
            result = report.score_files(answers, submitted, tell=told.append)
        except ScoringError as error:
            assert "\n" not in str(error), plan
            # Only what the validator names too, or a fault of the answers, has no score.
            assert has_errors or "answer" in str(error), (plan, str(error))
            continue
        assert want is not None, plan
        assert want[0] <= result.score <= want[1], (plan, want, result.score)
        if not has_errors and not any("ids" in name for name in plan[1]):
            faultless += 1
            assert want[0] <= result.mended_score <= want[1], (plan, want, result)
        if abs(result.score - result.mended_score) > 1e-9:
            assert result.faults and " as it stands: " in result.text(), plan
        scored += 1
        if ".jpg" in answers.read_text(encoding="utf-8") and "--sort-to" in result.advice:
            mended, _ = submission.write_sorted(tmp_path / "mended.csv", submitted)
            low, high = judge(answers, mended)
            assert low <= result.mended_score <= high, (plan, low, result.mended_score)
            problems = set(submission.validate_submission(mended)["problem"])
            assert problems.isdisjoint(MENDED), plan
    assert scored > 35 and faultless > 5
