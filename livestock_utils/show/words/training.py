"""What a training's numbers say and its figures do not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from livestock_utils.core.text import count, percent
from livestock_utils.detect.train.preview import KINDS, View

_TURNED = 0.05
"""A validation loss has turned up when it ends this share above its lowest."""


def measured(plan: pd.DataFrame, results: pd.DataFrame) -> str:
    """The plan for this machine beside what a run's epochs took (results.csv)."""
    if results.empty or "this machine" not in plan.index:
        return "There is no estimate to compare with yet."
    planned = plan["epoch_minutes"].to_numpy(float)[plan.index == "this machine"][0]
    trained, validated = results["seconds/train"].median(), results["seconds/valid"].median()
    return (
        f"We estimated {duration(60 * planned)} per epoch; it took {duration(trained)} for "
        f"training, and {duration(validated)} for validation, which the estimate leaves out."
    )


def missing(share: float | None, table: pd.DataFrame) -> str:
    """How many animals lack a label, and what a training does about it (`recipes.settled`)."""
    what = {"plain": "an absent label means background", "doubted": "absent labels are doubted"}
    row = table[table["setting"] == "negatives"].iloc[0]
    known = "not known (notebook 06 estimates it)" if share is None else percent(share)
    done = what.get(row["value"], "a teacher says where one may be absent")
    return f"Animals without a label: {known}; in this training {done}."


def duration(seconds: float) -> str:
    """Two digits or three and a unit: 0.8 s, 42 s, 50 min, 16.7 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            digits = 1 if seconds < 20 * size else 0
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"


def losses(results: pd.DataFrame) -> str:
    """Which validation losses turned up, the sign of overfitting."""
    if results.empty:
        return "No epoch has been trained."
    names = {"box": "box", "obj": "objectness", "cls": "class"}
    turned = [name for loss, name in names.items() if _has_turned(results[f"val/{loss}_loss"])]
    if not turned:
        return "No validation loss rose again before the end."
    noun = "loss" if len(turned) == 1 else "losses"
    return (
        f"The validation {noun} for {' and '.join(turned)} rose again before the end: a sign of "
        "overfitting."
    )


def metrics(results: pd.DataFrame) -> str:
    """The best epoch, and whether the end was still rising or already falling."""
    if results.empty:
        return "No epoch has been trained."
    scores = results["metrics/mAP_0.75"].to_numpy(float)
    best, last = int(np.flatnonzero(scores == scores.max())[-1]), len(scores) - 1
    end = "the score was still rising at the end, so more epochs may help"
    if last == 0:
        end = "one epoch says nothing about the trend"
    elif best != last:
        end = f"the last epoch is {scores[best] - scores[last]:.3f} below it"
    epochs = results["epoch"].to_numpy(int) + 1  # yolov5's table counts from 0
    collapse = "No epoch fell below half of an earlier one"
    if len(fallen := np.flatnonzero(scores < np.maximum.accumulate(scores) / 2)):
        collapse = (
            f"Epoch {epochs[fallen[0]]} collapsed to {scores[fallen[0]]:.3f}, less than half of an "
            "earlier one: mostly steps that are too large (`lr0`); the ringed epoch is kept"
        )
    said = f"Best mAP75: {scores[best]:.3f}, in epoch {epochs[best]} of {len(scores)}; {end}."
    said += " These are yolov5's own numbers, by which epochs are compared, not the contest's."
    return f"{said} {collapse}."


def augmentation(views: Sequence[View], used: bool) -> str:
    """How many photos of a preview the pipeline changed, and how many boxes it kept; `used` is
    False for a pipeline that is only shown."""
    plain, after = ([view for view in views if view.kind == kind] for kind in KINDS[:2])
    changed = sum(
        not np.array_equal(one.picture, other.picture)
        for one, other in zip(plain, after, strict=False)
    )
    before, kept = (sum(len(view.boxes) for view in found) for found in (plain, after))
    said = (
        f"The pipeline changed {changed} of {count(len(plain), 'photo')} and kept {kept} of "
        f"{count(before, 'box', 'boxes')}."
    )
    return said if used else f"{said} This training uses no pipeline: the middle row is an example."


def _has_turned(losses: pd.Series) -> bool:
    """True if a loss was lowest before the last two epochs and now stands clearly above that."""
    values = losses.to_numpy(float)
    lowest = int(values.argmin())
    return lowest < len(values) - 2 and bool(values[-1] > values[lowest] * (1 + _TURNED))
