"""Scores in words and side by side: tables and sentences that the training and inference notebooks
share."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from livestock_utils.core.text import first_up
from livestock_utils.evaluate.scoring import intervals, matching, metrics

SCORES = ["P", "R", "mAP50", "mAP75", "mAP50-95"]
LOGGED = "yolov5, at the training's end"


def definitions_table(
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    images: pd.DataFrame | None = None,
    logged: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The same predictions by every definition of AP, one row a definition and class.

    Columns definition, class, labels and SCORES. `logged` is a run's own per-class table
    (`Run.per_class`): another pass of the same weights, letterboxed as yolov5 validates, shown as
    LOGGED.
    """
    parts = []
    for definition in metrics.DEFINITIONS:
        table = metrics.per_class_table(boxes, predictions, images, definition)
        parts.append(table.reset_index().assign(definition=definition))
    if logged is not None:
        parts.append(logged.rename_axis("class").reset_index().assign(definition=LOGGED))
    return pd.concat(parts, ignore_index=True)[["definition", "class", "labels", *SCORES]]


def group_table(
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    groups: pd.Series | None,
    max_groups: int = 20,
) -> pd.DataFrame:
    """Scores by group (camera, farm, ...), contest's definition; columns group, images, labels and
    SCORES of "all".

    `groups` is image_id -> group, as `tables.read_folds` gives it. Without groups, or with more
    than `max_groups` among `images` (look-alikes make hundreds, of a photo or two each), the table
    is empty. A group without a prediction has the score 0.
    """
    columns = ["group", "images", "labels", *SCORES]
    mine = images["image_id"].map(groups) if groups is not None else pd.Series(dtype=object)
    if not 0 < mine.nunique() <= max_groups:
        return pd.DataFrame(columns=columns)
    metrics.table_sides(
        boxes, predictions, images
    )  # of one set as a whole; a group alone may be without predictions
    rows = []
    for name, part in images.groupby(mine):
        found = predictions[predictions["image_id"].isin(part["image_id"])]
        rows.append(
            metrics.per_class_table(boxes, found, part)
            .loc[["all"]]
            .assign(group=name, images=len(part))
        )
    return pd.concat(rows, ignore_index=True)[columns]


def group_sentence(table: pd.DataFrame) -> str:
    """What `group_table` shows: how far the groups lie apart."""
    if len(table) < 2:
        return (
            "There are no groups to compare: `group_by` of notebook 02 takes a CSV of cameras or "
            "farms."
        )
    scores = table["mAP75"].to_numpy(float)
    names = table["group"].astype(str).to_list()
    return (
        f"The groups lie {scores.max() - scores.min():.3f} of mAP75 apart: "
        f"{names[int(scores.argmin())]} scores {scores.min():.3f}, {names[int(scores.argmax())]} "
        f"{scores.max():.3f}."
    )


def runs_table(
    boxes: pd.DataFrame, runs: Mapping[str, pd.DataFrame], images: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Several runs' predictions on the same images, contest's definition; columns run, class,
    labels and SCORES."""
    parts = [
        metrics.per_class_table(boxes, predictions, images).reset_index().assign(run=name)
        for name, predictions in runs.items()
    ]
    columns = ["run", "class", "labels", *SCORES]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def paired_difference(
    boxes: pd.DataFrame,
    first: pd.DataFrame,
    second: pd.DataFrame,
    images: pd.DataFrame | None = None,
    seed: int = 0,
    iou_threshold: float = 0.75,
) -> pd.DataFrame:
    """`intervals.compare` on two predictions tables (pixels): second minus first, by class, on the
    same images."""
    both = [
        matching.match_best(metrics.table_sides(boxes, predictions, images))
        for predictions in (first, second)
    ]
    return intervals.compare(both[0], both[1], (iou_threshold,), seed=seed)


def difference_sentence(difference: pd.DataFrame, second: str, first: str) -> str:
    """What a paired comparison says: the difference with its interval, and whether it is more than
    luck."""
    gain, low, high = difference[["difference", "low", "high"]].to_numpy(float)[
        difference.index == "all"
    ][0]
    verdict = (
        "the interval holds 0, so this is no proof of a difference"
        if low <= 0 <= high
        else "the interval leaves 0 out, so this is more than luck of the images"
    )
    word = "above" if gain > 0 else "below"
    place = f"{abs(gain):.3f} {word} {first}" if gain else f"level with {first}"
    level = f"{difference.attrs.get('level', 0.95):.0%}"
    return (
        f"{first_up(second)} scores {place} in AP75 ({level} interval {low:+.3f} to {high:+.3f}): "
        f"{verdict}."
    )


def definitions_sentence(table: pd.DataFrame) -> str:
    """How far the definitions of `definitions_table` lie apart, and how far the second pass lies
    from the first."""
    scores = table[table["class"] == "all"].set_index("definition")["mAP75"].astype(float)
    ours = scores.drop(index=LOGGED, errors="ignore")
    said = (
        f"The definitions of mAP75 lie {ours.max() - ours.min():.3f} apart on the same "
        f"predictions: {ours.idxmin()} says {ours.min():.3f}, {ours.idxmax()} {ours.max():.3f}."
    )
    if LOGGED not in scores:
        return said
    return (
        f"{said} The last row is another pass of the same weights, at the training's end: the "
        "pictures were shrunk and padded as yolov5 validates, and that moved its mAP75 by "
        f"{scores[LOGGED] - scores['yolov5']:+.3f}."
    )


def strictness_sentence(table: pd.DataFrame) -> str:
    """What `plots.class_scores` shows: what each class loses from IoU .5 to .75, from
    `scoring.per_class_table`."""
    classes = table.drop(index="all", errors="ignore")
    if classes.empty:
        return "There are no labels to score."
    lost = (
        (classes["mAP50"] - classes["mAP75"])
        .astype(float)
        .sort_values(ascending=False, kind="stable")
    )
    said = ", ".join(f"{name} {value:.3f}" for name, value in lost.items())
    return f"What loose boxes cost, AP from IoU 0.5 to 0.75: {said}."


def recall_sentence(curves: pd.DataFrame) -> str:
    """Where the curves of `scoring.pr_curves` end: the share of the animals that no detection finds
    at all."""
    ends = curves.groupby(["species", "iou_threshold"], sort=False)["recall"].max()
    if ends.empty:
        return "There are no labels to score."
    parts = [
        f"{name} at recall {rows.iloc[0]:.2f} (IoU {rows.index[0][1]:g}) and {rows.iloc[-1]:.2f} "
        f"(IoU {rows.index[-1][1]:g})"
        for name, rows in ends.groupby(level=0, sort=False)
    ]
    return (
        f"The curves end for {'; for '.join(parts)}: what lies right of that is found at no "
        "confidence."
    )


def shown_sentence(
    curves: pd.DataFrame, confidence_threshold: float, iou_threshold: float = 0.5
) -> str:
    """Precision and recall of each class when boxes from `confidence_threshold` up are shown, from
    `pr_curves`."""
    parts = []
    for name, rows in curves[curves["iou_threshold"] == iou_threshold].groupby(
        "species", sort=False
    ):
        shown = rows[rows["confidence"] >= confidence_threshold]
        recall, precision = shown[["recall", "precision"]].iloc[-1] if len(shown) else (0.0, 1.0)
        parts.append(
            f"{name} {recall:.0%} of the labelled animals are found, {1 - precision:.0%} of the "
            "boxes have no label"
        )
    if not parts:
        return "There are no labels to score."
    return (
        f"On all validation photos, from confidence {confidence_threshold:g} up and at IoU "
        f"{iou_threshold:g}: {'; '.join(parts)}."
    )


def class_sentence(table: pd.DataFrame) -> str:
    """Which class is harder, at IoU .5 and .75, from `scoring.per_class_table`."""
    classes = table.drop(index="all").sort_values("mAP75", kind="stable")
    names = [str(name) for name in classes.index]
    if len(classes) < 2:
        return (
            f"Only {', '.join(names) or 'no class'} has labels here: there is nothing to compare."
        )
    at_75, at_50 = classes["mAP75"].to_numpy(float), classes["mAP50"].to_numpy(float)
    if at_75[0] == at_75[-1]:
        return f"All classes stand level at mAP75 {at_75[0]:.3f}."
    gap_75, gap_50 = at_75[-1] - at_75[0], at_50[-1] - at_50[0]
    loose = gap_75 > 2 * abs(gap_50)
    reason = (
        "loose boxes cost more than missed animals" if loose else "animals are missed or confused"
    )
    return (
        f"{names[0].capitalize()} is the harder class: mAP75 {at_75[0]:.3f} against "
        f"{at_75[-1]:.3f} of {names[-1]}; at IoU 0.5 it stands {gap_50:.3f} behind, so {reason}."
    )


def score_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """The numbers of a per-class table that metrics.json takes: P, R, mAP50, mAP75, mAP50-95 of
    all, mAP75 by class."""
    whole = {name: float(table[name].to_numpy(float)[table.index == "all"][0]) for name in SCORES}
    by_class = dict(zip(map(str, table.index), table["mAP75"].to_numpy(float), strict=True))
    return whole | {
        f"mAP75_{name}": float(value) for name, value in by_class.items() if name != "all"
    }
