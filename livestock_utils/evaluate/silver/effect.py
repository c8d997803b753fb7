"""What silver labels did to a detector, on complete answers and on lacking ones.

If answers lack animals, a model that finds these is punished for it. The gain of silver is
therefore taken on both kinds of answers, and so is the difference of the two gains, all on the same
draws of images.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import species as classes
from livestock_utils.core.errors import DatasetError, ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.scoring import intervals, matching, metrics

BETWEEN = "fuller minus lacking answers"
"""Name of the rows that hold the gain on the first answers minus the gain on the second."""

COMPLETE = "complete"
"""Name of answers that hold every animal; answers of any other name may lack some."""


def answer_sets(
    photos: Photos,
    data: str | os.PathLike,
    thin_share: float = 0.2,
    species: tuple[str, ...] = ("cow",),
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Two boxes tables of the photos, the fuller one first, by name.

    With `data`/truth.csv: COMPLETE (all animals) and "as labelled". Without: "as labelled" and
    "thinned" (`thin`), which only shows what missing boxes do to the comparison.
    """
    if (Path(data) / "truth.csv").is_file():
        return {COMPLETE: photos.complete(data).boxes, "as labelled": photos.boxes}
    return {"as labelled": photos.boxes, "thinned": thin(photos.boxes, thin_share, species, seed)}


def thin(
    boxes: pd.DataFrame, share: float, species: tuple[str, ...] = ("cow",), seed: int = 0
) -> pd.DataFrame:
    """`boxes` without a drawn `share` of those of `species`; DatasetError outside [0, 1)."""
    if not 0 <= share < 1:
        raise DatasetError(f"thin_share must be at least 0 and below 1, got {share}")
    for name in species:
        classes.by_name(name)
    eligible = np.flatnonzero(boxes["species"].isin(species))
    gone = np.random.default_rng(seed).permutation(eligible)[: round(share * len(eligible))]
    return boxes.drop(boxes.index[gone]).reset_index(drop=True)


def effect_table(
    answers: Mapping[str, pd.DataFrame],
    gold: Sequence[pd.DataFrame],
    expanded: Sequence[pd.DataFrame],
    images: pd.DataFrame,
    iou_threshold: float = 0.75,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired comparison of two trainings on each set of answers, contest's AP at one IoU.

    `gold` and `expanded` are the predictions tables of as many runs each; scores are means over the
    runs. Rows: for each of `answers` "all" and the classes, and, for two sets, BETWEEN: the first's
    gain minus the second's. Columns answers, class, labels (boxes in the answers), gold, expanded,
    difference (expanded - gold), low, high and second_better (share of the draws, ties half),
    lowest_run and highest_run (difference of single pairs of runs). The interval is over the same
    `n_resamples` draws of `images` for all, as `intervals.compare`: it is the luck of the images,
    the runs' range is the luck of the training. Raises ScoringError for no answers, a set of
    answers without boxes, and for unequal or no numbers of runs.
    """
    if not answers:
        raise ScoringError(
            "there are no answers to score against: give one or two boxes tables by name"
        )
    if len(gold) != len(expanded) or not gold:
        raise ScoringError(
            f"gold and expanded need as many runs each, at least one, got {len(gold)}, "
            f"{len(expanded)}"
        )
    ids = pd.Index(np.unique(images["image_id"].to_numpy(str)))
    draws = intervals.draw_images(len(ids), n_resamples, seed)
    rows: list[dict[str, Any]] = []
    gains: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}
    for name, boxes in answers.items():
        if boxes.empty:
            raise ScoringError(
                f"the answers {name!r} hold no boxes: there is nothing to score against"
            )
        sides = [
            [_score(boxes, found, images, ids, draws, iou_threshold) for found in runs]
            for runs in (gold, expanded)
        ]
        first, second = (pd.DataFrame([value for value, _ in side]) for side in sides)
        drawn = [np.mean([each.to_numpy() for _, each in side], axis=0) for side in sides]
        gains[name] = second - first, pd.DataFrame(drawn[1] - drawn[0], columns=first.columns)
        counts = boxes["species"].value_counts()
        for label in first.columns:
            rows.append(
                {
                    "answers": name,
                    "class": label,
                    "labels": int(counts.get(label, len(boxes))),
                    "gold": first[label].mean(),
                    "expanded": second[label].mean(),
                    **_interval(gains[name][0][label], gains[name][1][label], level),
                }
            )
    if len(answers) == 2:
        (first, first_drawn), (second, second_drawn) = gains.values()
        for label in first.columns.intersection(second.columns, sort=False):
            rows.append(
                {
                    "answers": BETWEEN,
                    "class": label,
                    **_interval(
                        first[label] - second[label],
                        first_drawn[label] - second_drawn[label],
                        level,
                    ),
                }
            )
    table = pd.DataFrame(rows)
    table.attrs = {
        "level": level,
        "n_resamples": n_resamples,
        "seed": seed,
        "iou_threshold": iou_threshold,
        "runs": len(gold),
    }
    return table


def _score(
    boxes: pd.DataFrame,
    found: pd.DataFrame,
    images: pd.DataFrame,
    ids: pd.Index,
    draws: np.ndarray,
    iou_threshold: float,
) -> tuple[pd.Series, pd.DataFrame]:
    """(score of "all" and the classes, the same on each draw of the images `ids`)."""
    matches = matching.match_best(metrics.table_sides(boxes, found, images))
    by_class = pd.Series(metrics.average_precisions(matches, iou_threshold), dtype=float)
    weights = draws[:, ids.get_indexer(pd.Index(matches.image_ids))]
    return pd.concat([pd.Series({"all": by_class.mean()}), by_class]), intervals.resampled(
        matches, weights, (iou_threshold,)
    )


def _interval(by_run: pd.Series, samples: pd.Series, level: float) -> dict[str, float]:
    return {
        "difference": float(by_run.mean()),
        **intervals.of_gains(samples, level),
        "lowest_run": float(by_run.min()),
        "highest_run": float(by_run.max()),
    }
