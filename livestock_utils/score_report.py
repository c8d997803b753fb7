"""Score files for the command line: two CSVs in, a text or JSON of scores, intervals and faults out."""

import dataclasses
import json
import logging
import os
import re
from collections.abc import Callable

import pandas as pd

from livestock_utils import contest_tables, intervals, matching, scoring, submission
from livestock_utils.errors import ScoringError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Result:
    """One scored submission: the settings, `scores` (a row a class), faults in words, a comparison if asked for."""

    settings: dict[str, object]
    score: float
    scores: pd.DataFrame
    findings: list[str]
    comparison: pd.DataFrame | None = None

    def text(self) -> str:
        """The score, the table of classes and the definition, for people."""
        settings = self.settings
        parts = [self.scores.to_string(float_format="{:.4f}".format),
                 f"score {self.score:.6f}: the contest's definition (best-overlap match, all-points AP), mean over"
                 f" classes, IoU {settings['iou_threshold']:g}, normaliser {settings['normaliser']}"]
        if self.comparison is not None:
            row = self.comparison.loc["all"]
            sure = "no proof of a difference" if row["low"] <= 0 <= row["high"] else "a difference beyond chance"
            parts += [self.comparison.to_string(float_format="{:.4f}".format),
                      f"second (this submission) minus first ({settings['against']}): {row['difference']:+.4f}"
                      f" ({row['low']:+.4f} to {row['high']:+.4f}), {sure}"]
        return "\n".join(parts)

    def json(self) -> str:
        """All of it as JSON."""
        value = {**self.settings, "score": self.score, "classes": json.loads(self.scores.to_json(orient="index")),
                 "findings": self.findings}
        if self.comparison is not None:
            value["comparison"] = json.loads(self.comparison.to_json(orient="index"))
        return json.dumps(value, indent=2, ensure_ascii=False)


def score_files(answers: str | os.PathLike, submitted: str | os.PathLike, iou_threshold: float = 0.75,
                normaliser: str = "contest", images: str | os.PathLike | None = None, units: str = "px",
                against: str | os.PathLike | None = None, n_resamples: int = 0,
                tell: Callable[[str], object] = log.warning) -> Result:
    """Score a submission file against an answer file; `against` is another submission to compare with.

    `images` is a CSV or a folder of archives (see `submission.read_images`). Every faulty line is handed to `tell`,
    except for the one that is raised: faults such as the order of rows or boxes beyond the frame do not hinder scoring.
    """
    truth = submission.read_table(answers)
    table = None if images is None else submission.read_images(images)
    matches, lines = _match(truth, submitted, normaliser, table, units, tell)
    scores = scoring.contest_table(matches, iou_threshold)
    resamples = n_resamples or (1000 if against else 0)
    if n_resamples:
        limits = intervals.bootstrap(matches, (iou_threshold,), n_resamples=n_resamples)
        scores[["low", "high"]] = limits[["low", "high"]]
    comparison = None
    if against is not None:
        other, more = _match(truth, against, normaliser, table, units, tell)
        lines += more
        comparison = intervals.compare(other, matches, (iou_threshold,), n_resamples=resamples)
    settings = {"answers": str(answers), "submission": str(submitted), "iou_threshold": iou_threshold,
                "normaliser": normaliser, "units": units, "definition": "contest", "resamples": resamples,
                "against": None if against is None else str(against)}
    score = float(scores[f"AP{100 * iou_threshold:g}"].iloc[0])
    return Result(settings, score, scores, lines, comparison)


def findings_text(findings: pd.DataFrame, path: str | os.PathLike) -> str:
    """Findings of `submission.validate`, a line each; "no errors" when there are none."""
    errors = int((findings["severity"] == "error").sum())
    verdict = f"{path}: {errors} errors" if errors else f"{path}: no errors"
    return "\n".join([*_lines(findings, path, shown=20), verdict])


def findings_json(findings: pd.DataFrame) -> str:
    """Findings as a JSON list of objects."""
    return json.dumps(findings.to_dict(orient="records"), indent=2, ensure_ascii=False)


def _match(truth: pd.DataFrame, path: str | os.PathLike, normaliser: str, images: pd.DataFrame | None, units: str,
           tell: Callable[[str], object]) -> tuple[matching.Matches, list[str]]:
    """Matched arrays of one submission file, and its faults in words."""
    findings = submission.validate(path, images, units, normaliser)
    table = submission.read_table(path)
    if table.empty:
        raise ScoringError(f"{path} is empty: it has no rows below the header, so its score is 0")
    errors = findings[findings["severity"] == "error"]
    try:
        matches = scoring.contest_matches(truth, table, normaliser, images, units)
    except ScoringError as error:
        for line in _lines(errors[errors["line"] != _line_of(error)], path, shown=5):
            tell(line)
        problem = str(error)
        named = f"{path}{problem.removeprefix('predictions')}" if problem.startswith("predictions") else problem
        raise ScoringError(named) from error
    lines = _lines(errors, path, shown=5)
    for line in lines:
        tell(line)
    submitted = table["ImageID"].dropna().map(contest_tables.image_stem).unique()
    unknown = sorted(set(submitted) - set(matches.image_ids))
    if unknown:
        tell(f"note: {path}: {len(unknown)} of {len(submitted)} images (first: {unknown[0]}) have no answer and cost"
             " nothing")
    return matches, lines


def _line_of(error: ScoringError) -> int:
    """The line of the submission that an error is about, as `validate` counts: 1 the header, 0 the file, -1 not it."""
    if not str(error).startswith("predictions"):
        return -1
    found = re.search(r"\bline (\d+)", str(error))
    return int(found[1]) if found else int("lack the column" in str(error))


def _lines(findings: pd.DataFrame, path: str | os.PathLike, shown: int) -> list[str]:
    """A line a finding, the first few of each problem and the number of the rest."""
    lines = []
    for problem, group in findings.groupby("problem", sort=False):
        first = group.head(shown)
        for severity, line, image_id in zip(first["severity"], first["line"], first["image_id"], strict=True):
            where = f"{path}, line {line}" if line else f"{path}"
            lines.append(f"{severity}: {where}{f' ({image_id})' if image_id else ''}: {problem}")
        if len(group) > shown:
            lines.append(f"{severity}: {path}: {len(group) - shown} more like the last: {problem}")
    return lines
