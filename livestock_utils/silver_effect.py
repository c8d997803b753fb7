"""What silver labels did to a detector: two trainings on the same answers, complete ones and ones that lack boxes.

If answers lack animals, a model that finds these is punished for it. The gain of silver is therefore taken on both
kinds of answers, and so is the difference of the two gains, all on the same draws of images.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from livestock_utils import intervals, matching, scoring, tables, training_settings
from livestock_utils import species as classes
from livestock_utils.errors import DatasetError, ScoringError

BETWEEN = "difference of the two"
"""Name of the rows that hold the gain on the first answers minus the gain on the second."""


def answer_sets(data: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame, thin_share: float = 0.2,
                species: tuple[str, ...] = ("cow",), seed: int = 0) -> dict[str, pd.DataFrame]:
    """Two boxes tables of `images`, the fuller one first, by name.

    With `data`/truth.csv: "complete" (all animals) and "as labelled" (`boxes`). Without: "as labelled" and "thinned"
    (`thin`), which only shows what missing boxes do to the comparison.
    """
    mine = boxes[boxes["image_id"].isin(images["image_id"])].reset_index(drop=True)
    if (Path(data) / "truth.csv").is_file():
        return {"complete": tables.complete_boxes(data, images, boxes), "as labelled": mine}
    return {"as labelled": mine, "thinned": thin(mine, thin_share, species, seed)}


def thin(boxes: pd.DataFrame, share: float, species: tuple[str, ...] = ("cow",), seed: int = 0) -> pd.DataFrame:
    """`boxes` without `share` of those of `species`, drawn by `seed`; DatasetError for a share outside [0, 1)."""
    if not 0 <= share < 1:
        raise DatasetError(f"thin_share must be at least 0 and below 1, got {share}")
    for name in species:
        classes.by_name(name)
    eligible = np.flatnonzero(boxes["species"].isin(species))
    gone = np.random.default_rng(seed).permutation(eligible)[:round(share * len(eligible))]
    return boxes.drop(boxes.index[gone]).reset_index(drop=True)


def effect_table(answers: Mapping[str, pd.DataFrame], gold: pd.DataFrame, expanded: pd.DataFrame, images: pd.DataFrame,
                 iou_threshold: float = 0.75, n_resamples: int = 1000, level: float = 0.95,
                 seed: int = 0) -> pd.DataFrame:
    """Paired comparison of two predictions tables on each set of answers, contest's AP at one IoU.

    Rows: for each of `answers` "all" and the classes, and, for two sets, BETWEEN: the first's gain minus the second's.
    Columns answers, class, labels (boxes in the answers), gold, expanded, difference (expanded - gold), low, high and
    second_better (share of the draws, ties half). All on the same `n_resamples` draws of `images`, as
    `intervals.compare`. Raises ScoringError for a set of answers without boxes.
    """
    ids = pd.Index(np.unique(images["image_id"].to_numpy(str)))
    draws = intervals.draw_images(len(ids), n_resamples, seed)
    rows, values, gains = [], {}, {}
    for name, boxes in answers.items():
        if boxes.empty:
            raise ScoringError(f"the answers {name!r} hold no boxes: there is nothing to score against")
        both = [matching.match_best(scoring.table_sides(boxes, found, images)) for found in (gold, expanded)]
        weights = draws[:, ids.get_indexer(pd.Index(both[0].image_ids))]
        scores = [_scores(matches, iou_threshold) for matches in both]
        samples = [intervals.resampled(matches, weights, (iou_threshold,)) for matches in both]
        values[name], gains[name] = scores[1] - scores[0], samples[1] - samples[0]
        counts = boxes["species"].value_counts()
        for label in scores[0].index:
            rows.append({"answers": name, "class": label, "labels": int(counts.get(label, len(boxes))),
                         "gold": scores[0][label], "expanded": scores[1][label],
                         **_interval(values[name][label], gains[name][label], level)})
    if len(answers) == 2:
        first, second = answers
        for label in values[first].index.intersection(values[second].index, sort=False):
            between = values[first][label] - values[second][label]
            rows.append({"answers": BETWEEN, "class": label,
                         **_interval(between, gains[first][label] - gains[second][label], level)})
    table = pd.DataFrame(rows)
    table.attrs = {"level": level, "n_resamples": n_resamples, "seed": seed, "iou_threshold": iou_threshold}
    return table


def recipe_differences(first_run: str | os.PathLike, second_run: str | os.PathLike) -> list[str]:
    """What two run folders were asked to do differently, the data apart: "epochs: 20 -> 3", ..."""
    recorded = []
    for folder in (first_run, second_run):
        path = Path(folder) / "settings.yaml"
        if not path.is_file():
            raise DatasetError(f"{path} is missing: {folder} is not a run folder; train first")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        recorded.append({name: value for name, value in values.items() if name != "data"})
    return training_settings.differences(*recorded)


def _scores(matches: matching.Matches, iou_threshold: float) -> pd.Series:
    by_class = pd.Series(scoring.average_precisions(matches, iou_threshold), dtype=float)
    return pd.concat([pd.Series({"all": by_class.mean()}), by_class])


def _interval(value: float, samples: pd.Series, level: float) -> dict[str, float]:
    drawn = samples.to_numpy(float)
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if len(drawn) else (np.nan, np.nan)
    better = float(((drawn > 0) + (drawn == 0) / 2).mean()) if len(drawn) else np.nan
    return {"difference": float(value), "low": float(low), "high": float(high), "second_better": better}
