"""Score files for the command line: two CSVs in, a text or JSON of scores and faults out."""

import dataclasses
import json
import logging
import os
from collections.abc import Callable

import numpy as np
import pandas as pd

from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import contest, intervals, matching, metrics, submission
from livestock_utils.evaluate.scoring import counts as counting

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Result:
    """A scored submission; `score` is of the file as it stands, all else of it when mended."""

    settings: dict[str, object]
    score: float
    mended_score: float
    scores: pd.DataFrame
    faults: list[str]
    advice: str
    findings: list[str]
    comparison: pd.DataFrame | None
    counts: pd.DataFrame | None

    def text(self) -> str:
        """The score, the table of classes and the definition, for people."""
        settings = self.settings
        definition = (
            "the contest's definition (best-overlap match, all-points AP), mean over classes, IoU "
            f"{settings['iou_threshold']:g}, normaliser {settings['normaliser']}"
        )
        parts = [_shown(self.scores)]
        if self.faults:
            parts.append(
                f"score {self.score:.6f} as it stands: {'; '.join(self.faults)}; {self.advice}"
            )
        when = " once that is mended" if self.faults else ""
        parts.append(f"score {self.mended_score:.6f}{when}: {definition}")
        if self.comparison is not None:
            row = self.comparison.loc["all"]
            is_open = row["low"] <= 0 <= row["high"]
            sure = "within noise" if is_open else "significant"
            parts += [
                _shown(self.comparison),
                f"second (this submission) minus first ({settings['against']}): "
                f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}), {sure}",
            ]
        if self.counts is not None:
            parts.append(_shown(self.counts.round(3)))
        return "\n".join(parts)

    def json(self) -> str:
        """All of it as JSON."""
        value = self.settings | {"score": self.score}
        value["sorted"] = submission.IN_FILE_ORDER not in self.faults
        value["score_of_sorted_rows"] = self.mended_score
        value["faults"] = self.faults
        value["classes"] = json.loads(self.scores.to_json(orient="index"))
        value["findings"] = self.findings
        if self.comparison is not None:
            value["comparison"] = json.loads(self.comparison.to_json(orient="index"))
        if self.counts is not None:
            value["counts"] = json.loads(self.counts.to_json(orient="index"))
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
    counts: float | None = None,
    tell: Callable[[str], object] = log.warning,
) -> _Result:
    """Score a submission file against an answer file; `against` is another to compare with, boxes
    from confidence `counts` up are counted too. Every faulty line is handed to `tell`, except for
    the one that is raised."""
    truth, rows = submission.read_table(answers), submission.read_table(submitted)
    if again := int(truth.duplicated().sum()):
        line = truth.index[truth.duplicated()][0]
        text = f"{again} rows stand above already (first: line {line}) and count as animals more"
        tell(f"note: {answers}: {text}")
    table = None if images is None else submission.read_images(images)
    matches, lines, faults, advice = _match(truth, submitted, normaliser, table, units, tell)
    if units == "px" and (doubt := metrics.normaliser_doubt(truth, rows, normaliser, table)):
        tell(doubt)
    scores = metrics.contest_table(matches, iou_threshold)
    resamples = n_resamples or (1000 if against else 0)
    if n_resamples:
        limits = intervals.bootstrap(matches, (iou_threshold,), n_resamples=n_resamples)
        scores[["low", "high"]] = limits[["low", "high"]]
    comparison = None
    if against is not None:
        other, more, *_ = _match(truth, against, normaliser, table, units, tell)
        lines += more
        comparison = intervals.compare(other, matches, (iou_threshold,), n_resamples=resamples)
    settings: dict[str, object] = {"answers": str(answers), "submission": str(submitted)}
    settings |= {"iou_threshold": iou_threshold, "normaliser": normaliser, "units": units}
    settings |= {"definition": "contest", "resamples": resamples}
    settings["against"] = None if against is None else str(against)
    by_lines = mended_score = float(scores[f"AP{100 * iou_threshold:g}"].iloc[0])
    if faults:
        by_lines = metrics.file_order_score(truth, rows, iou_threshold, normaliser, table, units)
    both = by_lines, mended_score
    errors = None
    if counts is not None:
        errors = counting.count_table(counting.of_matches(matches, counts))
    return _Result(settings, *both, scores, faults, advice, lines, comparison, errors)


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
) -> tuple[matching.Matches, list[str], list[str], str]:
    """Matched arrays of one submission file when mended, the faults of its rows in words, what
    makes it score otherwise as it stands, and how to mend that."""
    table = submission.read_table(path)
    if missing := [name for name in contest.SUBMISSION_COLUMNS if name not in table]:
        expected = f"got {list(table)}, expected {contest.SUBMISSION_COLUMNS}"
        raise ScoringError(f" lack the column {', '.join(missing)}: {expected}", str(path), 1)
    if table.empty:
        raise ScoringError(f"{path} is empty: it has no rows below the header, so its score is 0")
    errors = submission.validate_submission(path, images, units, normaliser)
    errors = errors[(errors["severity"] == "error") & (errors["problem"] != submission.MISSPELT)]
    ids = contest.spelt_as(table["ImageID"], truth)
    mended, faults = submission.mend(table, ids)
    try:
        matches = metrics.contest_matches(truth, mended.sort_index(), normaliser, images, units)
    except ScoringError as error:
        is_ours = error.table == "predictions"
        others = errors[errors["line"] != error.line] if is_ours else errors
        for line in _lines(others, path, shown=5):
            tell(line)
        if not is_ours:
            raise
        raise ScoringError(error.what, str(path), error.line) from error
    advice = "spell the ids as the answers do, and sort by ImageID and falling Conf"
    if np.char.endswith(matches.image_ids, ".jpg").all():
        advice = f"`python -m livestock_utils validate {path} --sort-to sorted.csv` mends it"
    lines = _lines(errors, path, shown=5)
    for line in lines:
        tell(line)
    submitted = set(ids.dropna())
    unknown = sorted(map(contest.image_stem, submitted - set(matches.image_ids)))
    if unknown:
        tell(
            f"note: {path}: {len(unknown)} of {len(submitted)} images (first: {unknown[0]}) have "
            "no answer and cost nothing"
        )
    if absent := sorted(map(contest.image_stem, set(matches.image_ids) - submitted)):
        tell(
            f"note: {path}: {len(absent)} of {len(matches.image_ids)} answered images (first: "
            f"{absent[0]}) have no row: their animals count as missed"
        )
    return matches, lines, faults, advice


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
