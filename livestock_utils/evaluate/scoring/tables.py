"""Tables of scores: by class, definition, group and run, and the paired difference of two runs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.scoring import intervals, matching, metrics

SCORES = ["P", "R", "mAP50", "mAP75", "mAP50-95"]
LOGGED = "yolov5, at the training's end"
"""The definition under which `definitions_table` shows a training's own pass."""


def score(
    photos: Photos,
    predictions: pd.DataFrame,
    iou_threshold: float = 0.75,
    definition: str = "contest",
) -> pd.DataFrame:
    """Precision, recall and mAP by class, by the contest's definition of AP.

        table = lu.score(valid, lu.predict(run.best, valid))
        table.loc["all", "mAP75"]  # the number that `lu.contest_score` gives

    Args:
        photos: the labelled photos; predictions of other photos are left out.
        predictions: image_id, species, x_min, y_min, x_max, y_max in px, confidence in [0, 1].
        iou_threshold: besides .5, .75 and .5 to .95; another value adds its column.
        definition: "contest", "coco" or "yolov5": matching rule and AP together.

    Returns:
        Index "all" (mean of the classes) and each class that has labels; columns images (that hold
        the class), labels, P, R (shares, at the confidence of the best F1 at IoU .5), mAP50,
        mAP75, mAP50-95. `attrs` holds definition, description and confidence_at_best_f1.

    Raises:
        ScoringError: for predictions that lack a column or are of other photos altogether.
    """
    return metrics.per_class_table(
        photos.boxes, predictions, photos.images, definition, iou_threshold
    )


def definitions_table(
    photos: Photos, predictions: pd.DataFrame, logged: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The same predictions by every definition of AP, one row a definition and class. `logged`
    (`Run.per_class`) is a training's own pass, letterboxed as yolov5 validates."""
    tables = {name: score(photos, predictions, definition=name) for name in metrics.DEFINITIONS}
    if logged is not None:
        tables[LOGGED] = logged.rename_axis("class")
    return _stacked(tables, "definition")


def group_table(
    photos: Photos, predictions: pd.DataFrame, groups: pd.Series | None, max_groups: int = 20
) -> pd.DataFrame:
    """SCORES of "all" by group (camera, farm, ...) of image ids. Empty without groups or above
    `max_groups`: look-alikes make hundreds, of a photo or two each."""
    columns = ["group", "images", "labels", *SCORES]
    ids = photos.images["image_id"]
    mine = ids.map(groups) if groups is not None else pd.Series(dtype=object)
    if not 0 < mine.nunique() <= max_groups:
        return pd.DataFrame(columns=columns)
    # Checked as a whole: a group alone may be without predictions.
    metrics.table_sides(photos.boxes, predictions, photos.images)
    rows = []
    for name, part in ids.groupby(mine):
        found = predictions[predictions["image_id"].isin(part)]
        whole = score(photos.select(part), found).loc[["all"]]
        rows.append(whole.assign(group=name, images=len(part)))
    return pd.concat(rows, ignore_index=True)[columns]


def runs_table(photos: Photos, runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Several runs on the same photos, contest's definition: run, class, labels and SCORES."""
    return _stacked({name: score(photos, found) for name, found in runs.items()}, "run")


def paired_difference(
    photos: Photos, first: pd.DataFrame, second: pd.DataFrame, seed: int = 0
) -> pd.DataFrame:
    """`intervals.compare` on two predictions tables (px): second minus first, by class."""
    both = [
        matching.match_best(metrics.table_sides(photos.boxes, found, photos.images))
        for found in (first, second)
    ]
    return intervals.compare(both[0], both[1], seed=seed)


def at_confidence(curves: pd.DataFrame, confidence: Mapping[str, float]) -> pd.DataFrame:
    """Recall and precision of each class at IoU .5 when boxes from its `confidence` up are
    shown, read off `metrics.pr_curves`."""
    rows = []
    mine = curves[curves["iou_threshold"] == 0.5]
    for name, curve in mine.groupby("species", sort=False):
        least = confidence[str(name)]
        shown = curve.loc[curve["confidence"] >= least, ["recall", "precision"]]
        ends = shown.iloc[-1] if len(shown) else (0.0, 1.0)
        rows.append([name, least, 0.5, *ends])
    columns = ["species", "confidence", "iou_threshold", "recall", "precision"]
    return pd.DataFrame(rows, columns=columns)


def score_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """What metrics.json takes of `score`'s table: SCORES of all, mAP75 by class."""
    by_class = table["mAP75"].astype(float).drop(index="all")
    whole = table.loc["all", SCORES].astype(float)
    return {
        str(key): value for key, value in (*whole.items(), *by_class.add_prefix("mAP75_").items())
    }


def _stacked(tables: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame:
    """Tables of scores below each other, the key of each in a first column."""
    columns = [name, "class", "labels", *SCORES]
    parts = [table.reset_index().assign(**{name: key}) for key, table in tables.items()]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
