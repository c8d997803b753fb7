"""Scores in words and side by side: tables and sentences that the training and inference notebooks share."""

from typing import Any

import pandas as pd

from livestock_utils import scoring

SCORES = ["P", "R", "mAP50", "mAP75", "mAP50-95"]


def definitions_table(boxes: pd.DataFrame, predictions: pd.DataFrame, images: pd.DataFrame | None = None,
                      logged: pd.DataFrame | None = None) -> pd.DataFrame:
    """The same predictions by every definition of AP, one row a definition and class.

    Columns definition, class, labels and SCORES. `logged` is a run's own per-class table (`Run.per_class`): yolov5's
    validation pass with its own suppression, shown as "yolov5, logged".
    """
    parts = []
    for definition in scoring.DEFINITIONS:
        table = scoring.per_class_table(boxes, predictions, images, definition)
        parts.append(table.reset_index().assign(definition=definition))
    if logged is not None:
        parts.append(logged.rename_axis("class").reset_index().assign(definition="yolov5, logged"))
    return pd.concat(parts, ignore_index=True)[["definition", "class", "labels", *SCORES]]


def training_sentence(results: pd.DataFrame) -> str:
    """What the curves of a run show: the best epoch, and whether the end was still rising or already turning."""
    if results.empty:
        return "No epoch has been trained."
    scores = results["metrics/mAP_0.75"]
    best = int(scores.idxmax())
    end = "the score was still rising at the end: more epochs may help"
    if len(scores) == 1:
        end = "one epoch says nothing about the trend"
    elif best != len(scores) - 1:
        end = f"the last epoch stands {scores.iloc[best] - scores.iloc[-1]:.3f} below it"
    loss = results["val/box_loss"]
    turned = len(loss) > 2 and int(loss.idxmin()) < len(loss) - 2
    tail = "" if not turned else "; the validation box loss turned up before the end, a sign of overfitting"
    epoch = int(results["epoch"].iloc[best])
    return f"Best mAP75 {scores.iloc[best]:.3f} in epoch {epoch} of {len(scores)}; {end}{tail}."


def class_sentence(table: pd.DataFrame) -> str:
    """Which class is harder, at IoU .5 and .75, from `scoring.per_class_table`."""
    classes = table.drop(index="all")
    if len(classes) < 2:
        return f"Only {', '.join(classes.index) or 'no class'} has labels here: there is nothing to compare."
    low, high = classes["mAP75"].idxmin(), classes["mAP75"].idxmax()
    if classes.loc[low, "mAP75"] == classes.loc[high, "mAP75"]:
        return f"All classes stand level at mAP75 {classes.loc[low, 'mAP75']:.3f}."
    gap_75 = classes.loc[high, "mAP75"] - classes.loc[low, "mAP75"]
    gap_50 = classes.loc[high, "mAP50"] - classes.loc[low, "mAP50"]
    reason = ("mostly found but loosely placed" if gap_75 > 2 * abs(gap_50)
              else "missed or confused rather than loosely placed")
    return (f"{low.capitalize()} is the harder class: mAP75 {classes.loc[low, 'mAP75']:.3f} against "
            f"{classes.loc[high, 'mAP75']:.3f} of {high}; at IoU 0.5 the gap is {gap_50:+.3f}, so it is {reason}.")


def score_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """The numbers of a per-class table that metrics.json takes: P, R, mAP50, mAP75, mAP50-95 of all, mAP75 by class."""
    whole = {name: float(table.loc["all", name]) for name in SCORES}
    return whole | {f"mAP75_{name}": float(table.loc[name, "mAP75"]) for name in table.index if name != "all"}
