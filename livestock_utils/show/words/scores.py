"""What scores say: classes, definitions, curves, groups and paired differences."""

import numpy as np
import pandas as pd

from livestock_utils.core.text import first_up
from livestock_utils.evaluate.scoring.tables import LOGGED


def definitions(table: pd.DataFrame) -> str:
    """Why the training's own pass, where it is in the table, lies apart from ours."""
    scores = table[table["class"] == "all"].set_index("definition")["mAP75"].astype(float)
    if LOGGED not in scores:
        return ""
    return (
        f"Elsewhere mAP75 is the contest's, {scores['contest']:.3f}. The last rows are another "
        "pass of the same weights, padded as yolov5 validates: that moved its mAP75 by "
        f"{scores[LOGGED] - scores['yolov5']:+.3f}."
    )


def harder_class(table: pd.DataFrame) -> str:
    """Which class of `lu.score`'s table is harder, at IoU .5 and .75."""
    classes = table.drop(index="all").sort_values("mAP75", kind="stable")
    names = [str(name) for name in classes.index]
    if len(classes) < 2:
        return (
            f"Only {', '.join(names) or 'no class'} has labels here: there is nothing to compare."
        )
    at_75, at_50 = classes["mAP75"].to_numpy(float), classes["mAP50"].to_numpy(float)
    gap_75, gap_50 = at_75[-1] - at_75[0], at_50[-1] - at_50[0]
    if gap_75 < 0.005:  # what one box more or less moves
        told = " and ".join(f"{name} {value:.3f}" for name, value in zip(names, at_75, strict=True))
        return f"The classes stand level at mAP75: {told}."
    place, reason = f"{gap_50:.3f} behind", "animals are missed, confused or have no label"
    if gap_50 < 0:
        place, reason = f"{-gap_50:.3f} ahead", "what it loses are loose boxes"
    elif gap_75 > 2 * gap_50:
        reason = "loose boxes cost more than missed animals"
    return (
        f"{names[0].capitalize()} is the harder class: mAP75 {at_75[0]:.3f} against "
        f"{at_75[-1]:.3f} of {names[-1]}; at IoU 0.5 it stands {place}: {reason}."
    )


def at_confidence(table: pd.DataFrame) -> str:
    """Precision and recall of each class from its confidence up (`tables.at_confidence`)."""
    if table.empty:
        return "There are no labels to score."
    parts = [
        f"{row['species']} from confidence {row['confidence']:.2g} up, {row['recall']:.0%} of the "
        f"labelled animals are found, {1 - row['precision']:.0%} of the boxes have no label"
        for row in table.to_dict("records")
    ]
    return (
        f"On all validation photos, at IoU {table['iou_threshold'].iloc[0]:g}: {'; '.join(parts)}."
    )


def groups(table: pd.DataFrame) -> str:
    """What to do where there are no groups; else nothing."""
    if len(table) > 1:
        return ""
    return (
        "There are no groups to compare: `group_by` of notebook 02 takes a CSV of cameras or farms."
    )


def difference(table: pd.DataFrame, second: str, first: str) -> str:
    """A paired difference with its interval, and whether it is significant."""
    gain, low, high = np.ravel(table.loc[["all"], ["difference", "low", "high"]].to_numpy(float))
    verdict = (
        "within noise, as the interval holds 0"
        if low <= 0 <= high
        else "significant, as the interval leaves 0 out"
    )
    word = "above" if gain > 0 else "below"
    place = f"{abs(gain):.3f} {word} {first}" if gain else f"level with {first}"
    level = f"{table.attrs.get('level', 0.95):.0%}"
    return (
        f"{first_up(second)} scores {place} in AP75 ({level} interval {low:+.3f} to {high:+.3f}): "
        f"{verdict}."
    )
