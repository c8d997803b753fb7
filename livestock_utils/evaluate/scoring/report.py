"""Score files for the command line: two CSVs in, a text or JSON of scores and faults out."""

import dataclasses
import json
import logging
import os
from collections.abc import Callable

import pandas as pd

from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import contest, intervals, matching, metrics, submission

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Result:
    """A scored submission; `score` is of the file as it stands, all else of its sorted rows."""

    settings: dict[str, object]
    score: float
    sorted_score: float
    scores: pd.DataFrame
    unsorted: bool
    findings: list[str]
    comparison: pd.DataFrame | None

    def text(self) -> str:
        """The score, the table of classes and the definition, for people."""
        settings = self.settings
        definition = (
            "the contest's definition (best-overlap match, all-points AP), mean over classes, IoU "
            f"{settings['iou_threshold']:g}, normaliser {settings['normaliser']}"
        )
        when = " once its rows are sorted" if self.unsorted else ""
        parts = [_shown(self.scores), f"score {self.sorted_score:.6f}{when}: {definition}"]
        if self.unsorted:
            parts.append(
                f"score {self.score:.6f} as it stands: the contest's scorer takes the rows of an "
                "image in file order; `python -m livestock_utils validate "
                f"{settings['submission']} --sort-to sorted.csv` writes them by falling confidence"
            )
        if self.comparison is not None:
            row = self.comparison.loc["all"]
            is_open = row["low"] <= 0 <= row["high"]
            sure = "no proof of a difference" if is_open else "a difference beyond chance"
            parts += [
                _shown(self.comparison),
                f"second (this submission) minus first ({settings['against']}): "
                f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}), {sure}",
            ]
        return "\n".join(parts)

    def json(self) -> str:
        """All of it as JSON."""
        value = self.settings | {"score": self.score, "sorted": not self.unsorted}
        value["score_of_sorted_rows"] = self.sorted_score
        value["classes"] = json.loads(self.scores.to_json(orient="index"))
        value["findings"] = self.findings
        if self.comparison is not None:
            value["comparison"] = json.loads(self.comparison.to_json(orient="index"))
        return json.dumps(value, indent=2, ensure_ascii=False)


def _shown(table: pd.DataFrame) -> str:
    return table.to_string(float_format="{:.4f}".format)


def score_files(
    answers: str | os.PathLike,
    submitted: str | os.PathLike,
    iou_threshold: float = 0.75,
    normaliser: str = "contest",
    images: str | os.PathLike | None = None,
    units: str = "px",
    against: str | os.PathLike | None = None,
    n_resamples: int = 0,
    tell: Callable[[str], object] = log.warning,
) -> _Result:
    """Score a submission file against an answer file; `against` is another to compare with. Every
    faulty line is handed to `tell`, except for the one that is raised."""
    truth, rows = submission.read_table(answers), submission.read_table(submitted)
    table = None if images is None else submission.read_images(images)
    matches, lines, is_unsorted = _match(truth, submitted, normaliser, table, units, tell)
    if units == "px" and (doubt := metrics.normaliser_doubt(truth, rows, normaliser, table)):
        tell(doubt)
    scores = metrics.contest_table(matches, iou_threshold)
    resamples = n_resamples or (1000 if against else 0)
    if n_resamples:
        limits = intervals.bootstrap(matches, (iou_threshold,), n_resamples=n_resamples)
        scores[["low", "high"]] = limits[["low", "high"]]
    comparison = None
    if against is not None:
        other, more, _ = _match(truth, against, normaliser, table, units, tell)
        lines += more
        comparison = intervals.compare(other, matches, (iou_threshold,), n_resamples=resamples)
    settings: dict[str, object] = {"answers": str(answers), "submission": str(submitted)}
    settings |= {"iou_threshold": iou_threshold, "normaliser": normaliser, "units": units}
    settings |= {"definition": "contest", "resamples": resamples}
    settings["against"] = None if against is None else str(against)
    by_lines = sorted_score = float(scores[f"AP{100 * iou_threshold:g}"].iloc[0])
    if is_unsorted:
        by_lines = metrics.file_order_score(truth, rows, iou_threshold, normaliser, table, units)
    return _Result(settings, by_lines, sorted_score, scores, is_unsorted, lines, comparison)


def findings_text(
    findings: pd.DataFrame, path: str | os.PathLike, images_given: bool = True
) -> str:
    """Findings of `validate_submission`, a line each, how many errors, and what went unchecked."""
    errors = int((findings["severity"] == "error").sum())
    verdict = f"{path}: {errors} errors" if errors else f"{path}: no errors"
    unchecked = "" if images_given else "; ids and frames were not checked: give --images"
    return "\n".join([*_lines(findings, path, shown=20), verdict + unchecked])


def findings_json(findings: pd.DataFrame) -> str:
    """Findings as a JSON list of objects."""
    return json.dumps(findings.to_dict(orient="records"), indent=2, ensure_ascii=False)


def _match(
    truth: pd.DataFrame,
    path: str | os.PathLike,
    normaliser: str,
    images: pd.DataFrame | None,
    units: str,
    tell: Callable[[str], object],
) -> tuple[matching.Matches, list[str], bool]:
    """Matched arrays of one submission file, its faults in words, whether rows are out of order."""
    findings = submission.validate_submission(path, images, units, normaliser)
    table = submission.read_table(path)
    if table.empty:
        raise ScoringError(f"{path} is empty: it has no rows below the header, so its score is 0")
    errors = findings[findings["severity"] == "error"]
    try:
        matches = metrics.contest_matches(truth, table, normaliser, images, units)
    except ScoringError as error:
        is_ours = error.table == "predictions"
        others = errors[errors["line"] != error.line] if is_ours else errors
        for line in _lines(others, path, shown=5):
            tell(line)
        if not is_ours:
            raise
        raise ScoringError(error.what, str(path), error.line) from error
    lines = _lines(errors, path, shown=5)
    for line in lines:
        tell(line)
    submitted = table["ImageID"].dropna().map(contest.image_stem).unique()
    unknown = sorted(set(submitted) - set(matches.image_ids))
    if unknown:
        tell(
            f"note: {path}: {len(unknown)} of {len(submitted)} images (first: {unknown[0]}) have "
            "no answer and cost nothing"
        )
    if absent := sorted(set(matches.image_ids) - set(submitted)):
        tell(
            f"note: {path}: {len(absent)} of {len(matches.image_ids)} answered images (first: "
            f"{absent[0]}) have no row: their animals count as missed"
        )
    return matches, lines, bool((findings["problem"] == submission.UNSORTED).any())


def _lines(findings: pd.DataFrame, path: str | os.PathLike, shown: int) -> list[str]:
    """A line a finding, the first few of each problem and the number of the rest."""
    lines = []
    for problem, group in findings.groupby("problem", sort=False):
        for row in group.head(shown).to_dict("records"):
            where = f"{path}, line {row['line']}" if row["line"] else f"{path}"
            image = f" ({row['image_id']})" if row["image_id"] else ""
            got = f", got {row['got']}" if row["got"] else ""
            lines.append(f"{row['severity']}: {where}{image}: {problem}{got}")
        if len(group) > shown:
            more = f"{len(group) - shown} more like the last"
            lines.append(f"{group['severity'].iloc[0]}: {path}: {more}: {problem}")
    return lines
