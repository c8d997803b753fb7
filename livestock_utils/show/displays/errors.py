"""Where a detector errs: costs of error types, groups of boxes, calibration, the worst cases."""

import os
from collections.abc import Mapping
from functools import partial

import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.detect.tune.looking import seen
from livestock_utils.evaluate.errors import breakdowns
from livestock_utils.evaluate.errors.cases import worst
from livestock_utils.evaluate.errors.types import Errors
from livestock_utils.evaluate.labels import ranking
from livestock_utils.show.display import Display
from livestock_utils.show.plots import errors as plots
from livestock_utils.show.words import errors as words

_CASES = {
    "false": (
        *("false_alarms", "false alarms"),
        "The most confident predictions that overlap no label.",
    ),
    "missed": (
        *("misses", "missed animals"),
        "The largest labelled animals that no confident prediction accounts for.",
    ),
    "loose": (
        *("loose_boxes", "loose boxes"),
        "The most confident predictions that are placed too loosely.",
    ),
}
"""Kind of case -> name of its figure, what it is called, caption."""


def boxes_by_part(parts: Mapping[str, Photos]) -> Display:
    """Boxes in an image of named parts (train and valid), by species."""
    counts = breakdowns.counts_by_part(parts)
    table = breakdowns.parts_table(counts)
    return Display(
        "boxes_by_part",
        "Boxes in an image, by species and part.",
        table,
        partial(plots.boxes_by_part, counts),
        shows_table=True,
        table_caption=f"Images and boxes of {' and '.join(parts)}.",
        digits=1,
    )


def error_costs(errors: Errors) -> Display:
    """AP that each type of error costs."""
    table = errors.costs
    caption = "AP lost by each type of error, and how many confident boxes have it."
    draw = partial(plots.error_costs, table)
    metrics = {"ap_lost": table.set_index("error")["ap_lost"]}
    return Display("error_costs", caption, table, draw, metrics=metrics)


def labels_by_group(errors: Errors) -> Display:
    """What became of the labelled animals, by species, size, crowding, place, light, ..."""
    caption = "Labelled animals that were not found: the 8 worst groups of 20 and more."
    states = breakdowns.label_states(errors.sure_labels)
    groups = breakdowns.attributes(errors.sure_labels, errors.photos.images, light=errors.light)
    return _groups("labels_by_group", caption, groups, states, "found")


def predictions_by_group(errors: Errors) -> Display:
    """Whether the sure predictions are right, by species, size, crowding, place, light, ..."""
    photos, states = errors.photos, breakdowns.detection_states(errors.sure)
    caption = "Confident predictions that are not right: the 8 worst groups of 20 and more."
    groups = breakdowns.attributes(errors.sure, photos.images, photos.boxes, errors.light)
    return _groups("predictions_by_group", caption, groups, states, "right")


def calibration(errors: Errors) -> Display:
    """Confidence against the share of boxes that are right."""
    table = breakdowns.calibration(errors.detections)
    caption = "Share of boxes that are right by confidence; the line across a bar is the promise."
    draw = partial(plots.calibration, table)
    metrics = {"calibration_error": table.groupby("species")["error"].first()}
    return Display("calibration", caption, table, draw, words.calibration(table), metrics)


def worst_cases(errors: Errors, kind: str, n: int = 4, data: str | os.PathLike = "") -> Display:
    """The cases to open first: the labels, and beside them the predictions. `kind` is "false"
    (alarms, by confidence), "missed" (animals, by size) or "loose" (boxes, by confidence). With
    `data`/truth.csv the verdict says how many false alarms are animals."""
    truth = ranking.unlabelled(data, errors.photos.images) if kind == "false" else None
    cases = worst(errors.sure, errors.sure_labels, kind, n, truth)
    name, what, caption = _CASES[kind]

    def draw() -> object:
        shown, _ = seen(errors.photos, errors.predictions)
        return plots.error_gallery(cases, errors.photos, shown, errors.confidence, f"no {what}")

    return Display(name, caption, cases, draw, words.worst(cases, what))


def _groups(name: str, caption: str, groups: pd.DataFrame, states: pd.Series, good: str) -> Display:
    """Shares of the states by group; the gap of each grouping beside them in the table."""
    shares = breakdowns.breakdown(groups, states)
    gaps = breakdowns.gaps(shares, good)
    table = shares.merge(gaps, on="grouping", how="left")
    draw = partial(plots.error_groups, shares)
    said, told = words.groups(gaps, good), "All groups, in shares."
    return Display(name, caption, table, draw, said, rest=shares, table_caption=told)
