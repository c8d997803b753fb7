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
    scores, loss = results["metrics/mAP_0.75"].to_numpy(float), results["val/box_loss"].to_numpy(float)
    best, last = int(scores.argmax()), len(scores) - 1
    end = "the score was still rising at the end: more epochs may help"
    if last == 0:
        end = "one epoch says nothing about the trend"
    elif best != last:
        end = f"the last epoch stands {scores[best] - scores[last]:.3f} below it"
    turned = last > 1 and int(loss.argmin()) < last - 1
    tail = "; the validation box loss turned up before the end, a sign of overfitting" if turned else ""
    epoch = int(results["epoch"].to_numpy()[best])
    return f"Best mAP75 {scores[best]:.3f} in epoch {epoch} of {len(scores)}; {end}{tail}."


def class_sentence(table: pd.DataFrame) -> str:
    """Which class is harder, at IoU .5 and .75, from `scoring.per_class_table`."""
    classes = table.drop(index="all").sort_values("mAP75", kind="stable")
    names = [str(name) for name in classes.index]
    if len(classes) < 2:
        return f"Only {', '.join(names) or 'no class'} has labels here: there is nothing to compare."
    at_75, at_50 = classes["mAP75"].to_numpy(float), classes["mAP50"].to_numpy(float)
    if at_75[0] == at_75[-1]:
        return f"All classes stand level at mAP75 {at_75[0]:.3f}."
    gap_75, gap_50 = at_75[-1] - at_75[0], at_50[-1] - at_50[0]
    loose = gap_75 > 2 * abs(gap_50)
    reason = "loose boxes cost more than missed animals" if loose else "animals are missed or confused"
    return (f"{names[0].capitalize()} is the harder class: mAP75 {at_75[0]:.3f} against {at_75[-1]:.3f} of "
            f"{names[-1]}; at IoU 0.5 it stands {gap_50:.3f} behind, so {reason}.")


def score_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """The numbers of a per-class table that metrics.json takes: P, R, mAP50, mAP75, mAP50-95 of all, mAP75 by class."""
    whole = {name: float(table[name].to_numpy(float)[table.index == "all"][0]) for name in SCORES}
    by_class = dict(zip(map(str, table.index), table["mAP75"].to_numpy(float), strict=True))
    return whole | {f"mAP75_{name}": float(value) for name, value in by_class.items() if name != "all"}
