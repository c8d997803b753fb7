"""What silver labels did to a detector, on complete answers and on lacking ones: if answers lack
animals, a model that finds these is punished for it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core.errors import DatasetError, ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.scoring import intervals, matching, metrics

BETWEEN = "first minus second answers"
"""Name of the rows that hold the gain on the first answers minus the gain on the second."""

COMPLETE = "complete"
"""Name of answers that hold every animal; answers of any other name may lack some."""


def answer_sets(
    photos: Photos, data: str | os.PathLike, thin_share: float = 0.2, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Two boxes tables of the photos, the fuller one first: COMPLETE and "as labelled", or, without
    `data`/truth.csv, "as labelled" and "thinned", which only shows what missing boxes do."""
    if (Path(data) / "truth.csv").is_file():
        return {COMPLETE: photos.complete(data).boxes, "as labelled": photos.boxes}
    return {"as labelled": photos.boxes, "thinned": thin(photos.boxes, thin_share, seed)}


def two_numbers(
    photos: Photos,
    found: Mapping[str, Sequence[pd.DataFrame]],
    data: str | os.PathLike,
    thin_share: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """A row each of `found` (predictions of its runs; scores are means): `name`, `given_AP75` (the
    contest's score on lacking answers), `completed_AP75` and `completed_recall` (at the best F1)
    on the fuller ones; `attrs["answers"]` names the two, see `answer_sets`."""
    answers = answer_sets(photos, data, thin_share, seed)
    rows = []
    for name, runs in found.items():
        fuller, given = (
            np.mean([_ap75_and_recall(boxes, run, photos.images) for run in runs], axis=0)
            for boxes in answers.values()
        )
        rows.append((name, given[0], *fuller))
    table = pd.DataFrame(rows, columns=["name", "given_AP75", "completed_AP75", "completed_recall"])
    table.attrs["answers"] = list(answers)
    return table


def _ap75_and_recall(boxes: pd.DataFrame, found: pd.DataFrame, images: pd.DataFrame) -> np.ndarray:
    row = metrics.per_class_table(boxes, found, images).loc["all", ["mAP75", "R"]]
    return row.to_numpy(float)


def thin(boxes: pd.DataFrame, share: float, seed: int = 0) -> pd.DataFrame:
    """`boxes` without a drawn `share`, at least 0 and below 1, of the cows."""
    if not 0 <= share < 1:
        raise DatasetError(f"thin_share must be at least 0 and below 1, got {share}")
    cows = np.flatnonzero(boxes["species"] == "cow")
    gone = np.random.default_rng(seed).permutation(cows)[: round(share * len(cows))]
    return boxes.drop(boxes.index[gone]).reset_index(drop=True)


def effect_table(
    answers: Mapping[str, pd.DataFrame],
    gold: Sequence[pd.DataFrame],
    expanded: Sequence[pd.DataFrame],
    images: pd.DataFrame,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired comparison of two trainings on one or two sets of answers by the contest's AP75.
    `gold` and `expanded` are the predictions tables of as many runs each; scores are means over the
    runs. Rows: for each of `answers` "all" and the classes, and, for two sets, BETWEEN. Columns
    answers, class, labels (boxes in the answers), gold, expanded, difference (expanded - gold),
    low, high and second_better (share of the draws, ties half), lowest_run and highest_run
    (difference of single pairs of runs). The interval is over the same draws of `images` for all,
    as `intervals.compare`: the luck of the images; the runs' range is the luck of the training."""
    if len(gold) != len(expanded) or not gold:
        raise ScoringError(
            f"gold and expanded need as many runs each, at least one, got {len(gold)}, "
            f"{len(expanded)}"
        )
    ids = pd.Index(np.unique(images["image_id"].to_numpy(str)))
    draws = intervals.draw_images(len(ids), 1000, seed)
    rows: list[dict[str, Any]] = []
    gains: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    for name, boxes in answers.items():
        if boxes.empty:
            raise ScoringError(
                f"the answers {name!r} hold no boxes: there is nothing to score against"
            )
        sides = [
            [_score(boxes, found, images, ids, draws) for found in runs]
            for runs in (gold, expanded)
        ]
        first, second = (pd.DataFrame([value for value, _ in side]) for side in sides)
        drawn = [np.mean([each.to_numpy() for _, each in side], axis=0) for side in sides]
        gains.append((second - first, pd.DataFrame(drawn[1] - drawn[0], columns=first.columns)))
        counts = boxes["species"].value_counts()
        for label in first:
            row = {"answers": name, "class": label, "labels": int(counts.get(label, len(boxes)))}
            row |= {"gold": first[label].mean(), "expanded": second[label].mean()}
            rows.append(row | _interval(*(gain[label] for gain in gains[-1])))
    if len(gains) == 2:
        between = [fuller - lacking for fuller, lacking in zip(*gains, strict=True)]
        for label in gains[0][0].columns.intersection(gains[1][0].columns, sort=False):
            row = {"answers": BETWEEN, "class": label}
            rows.append(row | _interval(*(gain[label] for gain in between)))
    table = pd.DataFrame(rows)
    table.attrs["runs"] = len(gold)
    return table


def _score(
    boxes: pd.DataFrame, found: pd.DataFrame, images: pd.DataFrame, ids: pd.Index, draws: np.ndarray
) -> tuple[pd.Series, pd.DataFrame]:
    """(score of "all" and the classes, the same on each draw of the images `ids`)."""
    matches = matching.match_best(metrics.table_sides(boxes, found, images))
    by_class = pd.Series(metrics.average_precisions(matches, 0.75), dtype=float)
    weights = draws[:, ids.get_indexer(pd.Index(matches.image_ids))]
    scores = pd.concat([pd.Series({"all": by_class.mean()}), by_class])
    return scores, intervals.resampled(matches, weights)


def _interval(by_run: pd.Series, samples: pd.Series) -> dict[str, float]:
    return {
        "difference": float(by_run.mean()),
        **intervals.of_gains(samples),
        "lowest_run": float(by_run.min()),
        "highest_run": float(by_run.max()),
    }
