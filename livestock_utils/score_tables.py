"""Scores in words and side by side: tables and sentences that the training and inference notebooks share."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from livestock_utils import intervals, matching, scoring
from livestock_utils.describe import first_up

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


def group_table(boxes: pd.DataFrame, predictions: pd.DataFrame, images: pd.DataFrame, groups: pd.Series | None,
                max_groups: int = 20) -> pd.DataFrame:
    """Scores by group (camera, farm, ...), contest's definition; columns group, images, labels and SCORES of "all".

    `groups` is image_id -> group, as `tables.read_folds` gives it. Without groups, or with more than `max_groups` among
    `images` (look-alikes make hundreds, of a photo or two each), the table is empty. A group without a prediction has
    the score 0.
    """
    columns = ["group", "images", "labels", *SCORES]
    mine = images["image_id"].map(groups) if groups is not None else pd.Series(dtype=object)
    if not 0 < mine.nunique() <= max_groups:
        return pd.DataFrame(columns=columns)
    scoring.table_sides(boxes, predictions, images)  # of one set as a whole; a group alone may be without predictions
    rows = []
    for name, part in images.groupby(mine):
        found = predictions[predictions["image_id"].isin(part["image_id"])]
        rows.append(scoring.per_class_table(boxes, found, part).loc[["all"]].assign(group=name, images=len(part)))
    return pd.concat(rows, ignore_index=True)[columns]


def group_sentence(table: pd.DataFrame) -> str:
    """What `group_table` shows: how far the groups lie apart."""
    if len(table) < 2:
        return "There are no groups to compare: `group_by` of notebook 02 takes a CSV of cameras or farms."
    scores = table["mAP75"].to_numpy(float)
    names = table["group"].astype(str).to_list()
    return (f"The groups lie {scores.max() - scores.min():.3f} of mAP75 apart: {names[int(scores.argmin())]} scores "
            f"{scores.min():.3f}, {names[int(scores.argmax())]} {scores.max():.3f}.")


def runs_table(boxes: pd.DataFrame, runs: Mapping[str, pd.DataFrame],
               images: pd.DataFrame | None = None) -> pd.DataFrame:
    """Several runs' predictions on the same images, contest's definition; columns run, class, labels and SCORES."""
    parts = [scoring.per_class_table(boxes, predictions, images).reset_index().assign(run=name)
             for name, predictions in runs.items()]
    columns = ["run", "class", "labels", *SCORES]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def paired_difference(boxes: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame,
                      images: pd.DataFrame | None = None, seed: int = 0, iou_threshold: float = 0.75) -> pd.DataFrame:
    """`intervals.compare` on two predictions tables (pixels): second minus first, by class, on the same images."""
    both = [matching.match_best(scoring.table_sides(boxes, predictions, images)) for predictions in (first, second)]
    return intervals.compare(both[0], both[1], (iou_threshold,), seed=seed)


def difference_sentence(difference: pd.DataFrame, second: str, first: str) -> str:
    """What a paired comparison says: the difference with its interval, and whether it is more than luck."""
    gain, low, high = difference[["difference", "low", "high"]].to_numpy(float)[difference.index == "all"][0]
    verdict = ("the interval holds 0, so this is no proof of a difference" if low <= 0 <= high
               else "the interval leaves 0 out, so this is more than luck of the images")
    word = "above" if gain > 0 else "below"
    place = f"{abs(gain):.3f} {word} {first}" if gain else f"level with {first}"
    level = f"{difference.attrs.get('level', 0.95):.0%}"
    return (f"{first_up(second)} scores {place} in AP75 ({level} interval {low:+.3f} to {high:+.3f}): "
            f"{verdict}.")


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
