"""What all notebooks found, gathered from OUT/metrics.json and the run folders: a row a question.

found = lu.conclude("runs/main")
found.questions[["question", "answer"]]
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.errors import NotebookError
from livestock_utils.core.project import PACKAGE
from livestock_utils.core.reading import read_json, read_yaml
from livestock_utils.evaluate.compare import runs as run_folders

_ASKED = PACKAGE / "assets" / "conclusions.yaml"
_GAIN = ("difference", "low", "high")
_NUMBERS = [*_GAIN, "seeds", "images"]
_SCORES = "mAP75 notebook weights images labels boxes".split()
_Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Conclusions:
    """From `conclude`. `questions` has a row a question: its answer and, where two things were
    compared, `difference`, `low` and `high` (mAP75, 95 % interval over images), `seeds`, `images`,
    `short` (the name in the figure); `scores` a row for each mAP75 of a model, and what makes it;
    `notes` tell why two notebooks seem to disagree."""

    questions: pd.DataFrame
    scores: pd.DataFrame
    notes: list[str]


def conclude(out: str | os.PathLike) -> Conclusions:
    """What the notebooks that ran into a folder found, a row a question.

        lu.conclude("runs/sample").questions

    Args:
        out: the out folder. A notebook that has not run there is a row that says so.

    Returns:
        The conclusions: `.questions`, `.scores`, `.notes`.

    Raises:
        NotebookError: for a metrics.json that is none, and for a run folder that is not whole.
    """
    path = Path(out) / "metrics.json"
    kept = read_json(path, NotebookError, "delete it and run again") if path.is_file() else {}
    if not isinstance(kept, dict):
        raise NotebookError(f"{path}: expected numbers by notebook; delete it and run again")
    asked = read_yaml(_ASKED)
    notes, _ = asked.pop("notes"), asked.pop("14_conclusions")  # that one is of this table
    questions: list[_Row] = []
    scores: list[_Row] = []
    for name, parts in asked.items():
        own, numbers = {"notebook": name[:2]}, kept.get(name)
        why = "has not run here" if numbers is None else "is not finished, or of another version"
        for part in parts["questions"]:
            absent = {"question": part["question"], "answer": f"Not told: {name} {why}."}
            questions += [own | row for row in _answers(part, numbers) or [absent]]
        for part in parts.get("scores", ()):
            asked_for = [key for key in _SCORES if key in part]
            made = [
                {key: _fill(part[key], row) for key in asked_for} for row in _rows(part, numbers)
            ]
            scores += [own | row for row in made if row["mAP75"]]
    scores += _logged(run_folders.find_runs(out))
    table = pd.DataFrame(questions, columns=["notebook", "question", "answer", "short", *_NUMBERS])
    gains = table.drop_duplicates("short").set_index("short")["difference"].astype(float)
    shared = [(text, gains.get(one), gains.get(other)) for one, other, text in notes]
    return Conclusions(
        table.astype(dict.fromkeys(_NUMBERS, float)),
        pd.DataFrame(scores, columns=_SCORES).astype({"mAP75": float}),
        [text.format(*both) for text, *both in shared if None not in both],
    )


def in_short(name: str, numbers: _Row) -> str:
    """A notebook's questions with what its numbers answer; Markdown, "" where they answer none."""
    parts = read_yaml(_ASKED).get(name, {"questions": []})
    rows = [row for part in parts["questions"] for row in _answers(part, numbers)]
    return "\n".join(f"- *{row['question']}* {row['answer']}" for row in rows)


def _answers(part: _Row, numbers: Any) -> list[_Row]:
    """The rows of a question, those that the numbers answer."""
    answered = [_answered(part, row) for row in _rows(part, numbers)]
    if "none" in part and numbers and not answered:
        return [{"question": part["question"], "answer": part["none"]}]
    return [row for row in answered if row["answer"]]


def _rows(part: _Row, numbers: Any) -> list[_Row]:
    """A notebook's numbers, none where it has not run; with `each` one for each row of that table,
    the row's own numbers before the others."""
    if not isinstance(numbers, dict):
        return []
    known = {"images": "", **numbers}
    if not (each := part.get("each")):
        return [known]
    found = known.get(each) or []
    tables = found.values() if isinstance(found, dict) else [found]
    rows = [known | row for table in tables for row in table]
    left, right = part.get("only", ("", ""))
    return [row for row in rows if _fill(left, row) == _fill(right, row)]


def _fill(text: str, numbers: _Row) -> str:
    """The text with the numbers in it; "" where one of them is not there."""
    try:
        filled = text.format_map(numbers).strip()
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    return "" if filled == "None" else filled


def _answered(part: _Row, numbers: _Row) -> _Row:
    """A question's row: the first answer whose numbers are there, and whether it is noise."""
    by = None if _fill(part.get("unless", ""), numbers) else part.get("gain")
    gain = {name: "{" + by.format(name) + "}" for name in _GAIN if by}
    texts = {name: _fill((gain | part).get(name, ""), numbers) for name in _NUMBERS}
    row = {name: float(pd.to_numeric(text, errors="coerce")) for name, text in texts.items()}
    answer = next(filter(None, (_fill(text, numbers) for text in part["answer"])), "")
    value, low, high = (row[name] for name in _GAIN)
    if gain and value != value:
        answer = ""
    elif gain and answer:
        is_noise = low <= 0 <= high and low < high
        verdict = "no difference" if value == low == high else "within noise" if is_noise else ""
        answer += f": {value:+.3f} mAP75, {verdict or 'significant'}"
    shown = {"answer": answer and f"{answer}.", "short": _fill(part.get("short", ""), numbers)}
    return {"question": part["question"], **shown, **row}


def _logged(runs: pd.DataFrame) -> Iterator[_Row]:
    """The best mAP75 that each training logged: yolov5's definition, and its own padding."""
    whole = runs[runs["finished"].astype(bool) & ~runs["helper"].astype(bool)]
    for name, folder in zip(whole["name"], whole["folder"], strict=True):
        record = read_json(Path(folder) / "run.json", NotebookError)
        if record.get("best_value") is not None and record.get("valid_images"):
            row = {"mAP75": record["best_value"], "notebook": "log", "weights": f"{name}/best.pt"}
            images = f"{record['valid_images']} validation"
            yield row | {"images": images, "labels": "given", "boxes": "yolov5's own pass"}
