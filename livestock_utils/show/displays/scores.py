"""Scores: by class, definition, group and run; precision against recall; labels and predictions."""

import os
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.photos import Photos
from livestock_utils.detect.tune.looking import seen
from livestock_utils.evaluate.scoring import metrics, tables
from livestock_utils.show.display import Display
from livestock_utils.show.plots import gallery
from livestock_utils.show.plots import scores as plots
from livestock_utils.show.words import scores as words


def score_definitions(
    photos: Photos, predictions: pd.DataFrame, logged: pd.DataFrame | None = None
) -> Display:
    """The same predictions by every definition of AP; `logged` is a run's own `per_class`."""
    table = tables.definitions_table(photos, predictions, logged)
    caption = "Validation, by class and definition."
    verdict = words.definitions(table)
    return Display("score_definitions", caption, table, verdict=verdict, shows_table=True)


def class_scores(
    photos: Photos,
    predictions: pd.DataFrame,
    caption: str = "AP by class at three strictnesses, the contest's definition.",
) -> Display:
    """AP of each class at three strictnesses, and which class is harder."""
    table = tables.score(photos, predictions)
    return Display(
        "class_scores",
        caption,
        table,
        lambda ax=None: plots.class_scores(table, ax=ax),
        words.harder_class(table),
        _metrics(table),
    )


def score_table(photos: Photos, predictions: pd.DataFrame) -> Display:
    """`lu.score` as a table, and which class is harder."""
    table = tables.score(photos, predictions)
    caption = "Validation, by class, the contest's definition."
    verdict = words.harder_class(table)
    metrics = _metrics(table)
    return Display(
        "scores", caption, table, verdict=verdict, metrics=metrics, shows_table=True, index=True
    )


def complete_scores(photos: Photos, predictions: pd.DataFrame, data: str | os.PathLike) -> Display:
    """The scores with all animals labelled, where `data`/truth.csv knows them."""
    table = tables.score(photos.complete(data), predictions)
    caption = "Validation, labels completed where a truth file knows them, contest's definition."
    metrics = {"mAP75_complete": table.loc["all", "mAP75"]}
    return Display("complete_scores", caption, table, metrics=metrics, shows_table=True, index=True)


def precision_recall(photos: Photos, predictions: pd.DataFrame) -> Display:
    """Precision against recall of each class at IoU .5 and .75."""
    curves = metrics.pr_curves(photos.boxes, predictions, photos.images)
    caption = (
        "Precision against recall at IoU 0.5 (solid) and 0.75 (dashed); the area under a curve is "
        "its AP."
    )
    return Display("precision_recall", caption, curves, partial(plots.precision_recall, curves))


def labels_and_predictions(
    photos: Photos,
    predictions: pd.DataFrame,
    n: int = 3,
    image_ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Display:
    """Photos with their labels beside the same with one predicted box an animal, at the confidences
    of the best F1. `image_ids` names the photos; else `n` are drawn by `seed`."""
    shown, looking = seen(photos, predictions)
    curves = metrics.pr_curves(photos.boxes, shown, photos.images, (0.5,))
    least = looking.confidence_threshold
    by_class = least if isinstance(least, dict) else dict.fromkeys(species.names(), least)
    table = tables.at_confidence(curves, by_class)

    def draw() -> object:
        return gallery.truth_beside_prediction(photos, shown, image_ids, n, seed)

    caption = "Validation photos with their labels (left) and with predictions (right)."
    return Display("labels_and_predictions", caption, table, draw, words.at_confidence(table))


def scores_by_group(photos: Photos, predictions: pd.DataFrame, groups: pd.Series | None) -> Display:
    """Scores of each group of photos (camera, farm, ...); `groups` is image_id -> group."""
    table = tables.group_table(photos, predictions, groups)
    return Display(
        "scores_by_group",
        "Validation by group, contest's definition.",
        table,
        verdict=words.groups(table),
        metrics={"by_group": table},
        shows_table=len(table) > 0,
    )


def run_scores_by_class(
    photos: Photos,
    runs: Mapping[str, pd.DataFrame],
    caption: str = "The watched images by run and class, contest's AP.",
) -> Display:
    """Several runs' predictions on the same photos, by class."""
    table = tables.runs_table(photos, runs)
    return Display("run_scores_by_class", caption, table, shows_table=True)


def run_difference(photos: Photos, runs: Mapping[str, pd.DataFrame], seed: int = 0) -> Display:
    """Second minus first of two runs' predictions on the same photos, with its interval."""
    (first, before), (second, after) = runs.items()
    table = tables.paired_difference(photos, before, after, seed)
    named = {"first": first, "second": second, "second_better": f"{second} better"}
    return Display(
        "run_difference",
        f"AP75 and its difference, {second} minus {first}, with its interval.",
        table.rename(columns=named),
        verdict=words.difference(table, second, first),
        metrics={"difference": table.reset_index()},
        shows_table=True,
        index=True,
    )


def _metrics(table: pd.DataFrame) -> dict[str, object]:
    return tables.score_metrics(table) | {"per_class": table.reset_index()}
