"""The test score: predictions against the contest's answer file, or a test part's own labels."""

import logging
import os
from pathlib import Path

import pandas as pd

from livestock_utils.core.errors import NotebookError
from livestock_utils.core.tables import require_columns
from livestock_utils.evaluate.scoring import contest, intervals, matching, metrics, submission

log = logging.getLogger(__name__)


def test_scores(
    data: str | os.PathLike,
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    normaliser: str = "contest",
    n_resamples: int = 1000,
    seed: int = 0,
    boxes: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The contest's AP75 on DATA/answer.csv, or on the test part's `boxes` (px), with its interval:
    AP75, low, high, AP50 of "all" and each class; no rows without answers. Test images that the
    answers lack cost nothing."""
    if boxes is not None:
        matches = matching.match_best(metrics.table_sides(boxes, predictions, images))
        return _scores_of(matches, n_resamples, seed)
    path = Path(data) / "answer.csv"
    answers = submission.read_table(path) if path.is_file() else pd.DataFrame({"ImageID": []})
    require_columns(answers, ["ImageID"], path, NotebookError)
    answers = answers[answers["ImageID"].map(contest.image_stem).isin(images["image_id"])]
    if answers.empty:
        columns = ["AP75", "low", "high", "AP50"]
        return pd.DataFrame(columns=columns, index=pd.Index([], name="class"), dtype=float)
    matches = metrics.contest_matches(answers, predictions, normaliser, images)
    if doubt := metrics.normaliser_doubt(answers, predictions, normaliser, images):
        log.warning("%s", doubt)
    return _scores_of(matches, n_resamples, seed)


def _scores_of(matches: matching.Matches, n_resamples: int, seed: int) -> pd.DataFrame:
    table = intervals.bootstrap(matches, (0.75,), n_resamples=n_resamples, seed=seed)
    loose = metrics.average_precisions(matches, 0.5)
    loose = {"all": sum(loose.values()) / len(loose), **loose}
    return table.rename(columns={"value": "AP75"}).assign(AP50=pd.Series(loose))
