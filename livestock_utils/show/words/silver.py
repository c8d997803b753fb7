"""Sentences of notebooks 09 and 10: what silver labels hold, and what they did."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.text import count, first_up, listed, percent
from livestock_utils.detect import settings
from livestock_utils.detect.predict.silver_sources import IN_SAMPLE
from livestock_utils.evaluate.silver.effect import BETWEEN, COMPLETE

_LEAST_TRUST = 0.5
"""Share of the teachers' boxes that must lie on a label where silver begins, see
`audit.trust`. It was .7 on the drawn sample, whose silver is nine in ten right, and .2 with
teachers of six epochs on real photos, where it was not."""


GIVEN_LABELS = (
    "These are yolov5's own numbers: it pads photos otherwise, so they are not those below. And "
    "given labels punish a model that finds what they lack. The next figure judges."
)


def sources(found: dict[str, pd.DataFrame], n_images: int) -> str:
    """Which predictions silver is made from (the first), and which are there to compare."""
    name, *others = found
    compared = f" For comparison: {listed(others)}." if others else ""
    if IN_SAMPLE in others:
        compared += " In sample has learnt these labels, which flatters it here, not further down."
    return (
        f"Silver is made from the predictions **{name}**: "
        f"{count(len(found[name]), 'box', 'boxes')}, most of them faint, on "
        f"{count(n_images, 'training image')}; the "
        f"validation fold stays out.{compared}"
    )


def two_numbers(table: pd.DataFrame) -> str:
    """What the two sets of answers of `effect.two_numbers` are, and whether the order holds."""
    is_complete = table.attrs["answers"][0] == COMPLETE
    said = "Given are people's labels, completed means every animal, by the truth file"
    if not is_complete:
        said = "There is no truth file: given lacks drawn labels of cows, completed has all labels"
    scores = table.set_index("name")[["given_AP75", "completed_AP75"]]
    if scores.isna().any(axis=None) or len(scores) < 2:
        return f"{said}."
    firsts = scores.idxmax().tolist()
    if firsts[0] == firsts[1]:
        return f"{said}; {firsts[0]} is ahead on both, which alone may be noise."
    return f"{said}; {firsts[0]} leads on the given answers, {firsts[1]} on the completed ones."


def by_name(tables: dict[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Several tables in one, with a first column of their names."""
    return pd.concat(tables, names=[column]).reset_index(column).reset_index(drop=True)


def metrics(audit: pd.DataFrame, has_truth: bool = True) -> dict[str, float | None]:
    """The numbers of an audit for metrics.json; None where they need the truth."""
    row = audit.iloc[-1]
    counts = {"silver_boxes": int(row["silver"]), "ignored_regions": int(row["ignored"])}
    same = ("recall_before", "recall", "unlabelled", "unlabelled_found")
    names = {"silver_precision": "precision", "silver_mean_iou": "mean_iou"}
    names |= {name: name for name in same}
    return counts | {told: float(row[name]) if has_truth else None for told, name in names.items()}


def audit(tables: dict[str, pd.DataFrame], has_truth: bool) -> str:
    """How sure the audits are without a truth file, and whether the right boxes sit tight enough
    for the contest's IoU."""
    said = ""
    if not has_truth:
        said = (
            "There is no truth file here: a box on an animal that nobody labelled counts as wrong, "
            "so the precision is a lower bound, and unlabelled animals cannot be counted. "
        )
    means = {name: table["mean_iou"].iloc[-1] for name, table in tables.items()}
    parts = [f"{mean:.2f} (“{name}”)" for name, mean in means.items() if pd.notna(mean)]
    if not parts:
        return f"{said}No silver box is right, so there is no overlap to measure."
    return (
        f"{said}The right silver boxes overlap their animals by {listed(parts)} on average; the "
        "contest counts a box from 0.75 on, so a model that learns looser boxes loses there even "
        "where it finds more."
    )


def curve(curves: dict[str, pd.DataFrame], chosen: float, has_truth: bool) -> str:
    """Which threshold would have been best, beside the `chosen` one."""
    if not has_truth:
        return (
            "Without a truth file no animal is known to be unlabelled, so there is nothing to "
            "sweep against: look at the examples below, or go through notebook 06's list of "
            "missing labels."
        )
    unlabelled = next(iter(curves.values())).attrs["unlabelled"]
    if not unlabelled:
        return "No animal is unlabelled here: there is nothing to sweep against."
    best = {name: table.iloc[int(table["f1"].argmax())] for name, table in curves.items()}
    parts = [f"{row['confidence_threshold']:g} {name}" for name, row in best.items()]
    return (
        f"{count(unlabelled, 'animal has', 'animals have')} no label. The best balance lies at "
        f"{listed(parts)}, chosen is {chosen:g}: real data has no truth to choose it by."
    )


def trust(share: float, n_near: int, threshold: float) -> str:
    """Are the teachers good enough for silver, and what to do where they are not?"""
    if not n_near:
        return (
            f"No box of the teachers has a confidence of about {threshold:g}: nothing can be said."
        )
    said = (
        f"{percent(share)} of the {count(n_near, 'box', 'boxes')} that the teachers give a "
        f"confidence of {threshold:g} or a little more match a label; boxes on unlabelled animals "
        "would add to that."
    )
    if share >= _LEAST_TRUST:
        return said
    return (
        f"{said} **That is too few: these teachers are too weak for silver labels,** most of which "
        "would be mistakes. Train them longer or take a larger model (`epochs`, `model`, "
        "`init_weights`), or raise `merge_confidence`."
    )


def in_sample(curves: dict[str, pd.DataFrame]) -> str:
    """Whether predictions on a model's own training images overlook what its labels overlook."""
    others = [name for name in curves if name != IN_SAMPLE]
    if IN_SAMPLE not in curves or not others or not curves[IN_SAMPLE].attrs["unlabelled"]:
        return (
            "There are no two sources of predictions to compare against a truth. Out of fold is "
            "the safe choice: a model trained long on lacking labels overlooks what they lack."
        )
    honest = others[-1]
    first, second = float(curves[honest]["f1"].max()), float(curves[IN_SAMPLE]["f1"].max())
    gap = f"F1 {first:.2f} {honest}, {second:.2f} {IN_SAMPLE}, each at its best threshold"
    if abs(first - second) < 0.005:
        return (
            f"Here it makes no difference whether a model has seen the labels: {gap}. Then take "
            "teachers that saw no validation image, so that notebook 10 can judge: out of fold."
        )
    if first > second:
        return (
            f"The model that has seen the labels is the worse judge of what they lack: {gap}. Stay "
            "with predictions out of fold."
        )
    return (
        f"Here the model that has seen the labels is the better judge of what they lack: {gap}. It "
        "learns from more images, and maybe for more epochs, than a teacher, and has not learnt "
        'the gaps by heart. `predictions = "in_sample"` is the better choice here, with '
        "`weights` of notebook 05, which saw no validation image."
    )


def teachers(saw_validation: bool | None) -> str:
    """Had the models behind silver labels seen the validation fold?"""
    if saw_validation is None:
        return (
            "**Not known** whether the models behind these silver labels have seen validation "
            "images; if so, a gain below may be a leak."
        )
    if saw_validation:
        return (
            "**The model behind these silver labels was trained on validation images**: a gain "
            "below may be a leak, only a loss means something."
        )
    return "The models behind the silver labels have seen no validation image."


def lists(table: pd.DataFrame) -> str:
    """In what the two trainings of `sets.write_silver_lists` differ."""
    gold, expanded = (table[table["training"] == name].iloc[0] for name in ("gold", "expanded"))
    said = "Both trainings see the same photos in an epoch."
    if again := gold["images"] - gold["distinct"]:
        said += (
            f" {count(again, 'photo')} are seen twice by both, the second time with silver labels "
            "by the expanded one and with gold labels by the other."
        )
    if held := expanded["held_out"]:
        said += f" {count(held, 'silver image')} whose source is held out for validation stay out."
    return said


def recipe(run: str | os.PathLike, other: str | os.PathLike) -> str:
    """Whether a training follows the recipe of another run, which may not exist."""
    name = Path(other).name
    if not (Path(other) / "settings.yaml").is_file():
        return f"There is no run “{name}” here whose recipe this could be compared with."
    differences = "; ".join(settings.recipe_differences(other, run))
    also = f"; these settings differ: {differences}" * bool(differences)
    return f"The expanded training has the recipe of the run “{name}” and images of its own{also}."


def luck(table: pd.DataFrame) -> str:
    """How far single pairs of trainings lie apart, or that one pair cannot tell."""
    row, runs = table[table["class"] == "all"].iloc[0], table.attrs.get("runs", 1)
    if runs == 1:
        return (
            "The interval covers the choice of images only. Two trainings from other seeds would "
            "differ as well, in short runs by as much as this; `repeats` above 1 trains more "
            "pairs."
        )
    same = "all of one sign" if row["lowest_run"] > 0 or row["highest_run"] < 0 else "of both signs"
    return (
        f"Over {runs} pairs of trainings from different seeds the difference on “{row['answers']}” "
        f"lies between {row['lowest_run']:+.3f} and {row['highest_run']:+.3f}, {same}."
    )


def cause(table: pd.DataFrame) -> str:
    """Did silver lose only because the answers lack boxes?"""
    rows, names = _overall(table)
    if len(names) < 2:
        return "With one set of answers this cannot be told."
    full, lacking, shift = (_sign(rows[name]) for name in (*names[:2], BETWEEN))
    between, gaps = rows[BETWEEN], f"the gaps of “{names[1]}”"
    interval = f"({between['low']:+.3f} to {between['high']:+.3f})"
    size = f"{abs(between['difference']):.3f} {interval}"
    said = {
        0: f"{gaps} move the comparison by {between['difference']:+.3f} {interval}, within noise",
        1: f"{gaps} take {size} from silver",
        -1: f"{gaps} flatter silver by {size}",
    }[shift]
    verdict = _VERDICTS[full][lacking]
    if names[0] != COMPLETE:
        said += (
            f". No answers here are known to be complete: “{names[0]}” may lack animals too, so "
            "this shows what further gaps do, and clears neither the labels nor the gaps"
        )
    elif full < 0 and lacking == 0:
        verdict += ": its labels are to blame, not the gaps"
    return f"{first_up(verdict)}; {said}."


_VERDICTS = {
    1: {
        1: "silver wins on both: a loss as in the contest is not seen here, so its cause is not "
        "either",
        0: "silver wins for sure on the fuller answers only: the gaps hide its gain",
        -1: "silver loses where boxes are lacking and wins where they are not, as if the gaps had "
        "decided the contest",
    },
    0: {
        1: "silver wins for sure only where boxes are lacking: the gaps are no excuse for a loss",
        0: "with neither label set is the difference significant, so no cause can be told from it",
        -1: "silver loses for sure only where boxes are lacking: the gaps may well be the reason",
    },
    -1: {
        1: "silver wins only where boxes are lacking: the gaps are no excuse",
        0: "silver loses for sure on the fuller answers",
        -1: "silver loses on the fuller answers too: the gaps alone do not explain it",
    },
}
"""By the sign of the gain on fuller and on lacking answers, 0 where it is open."""


def _overall(table: pd.DataFrame) -> tuple[dict[str, dict[Any, Any]], list[str]]:
    """The rows of all classes by answers, and the names of the sets of answers."""
    rows = {row["answers"]: row for row in table[table["class"] == "all"].to_dict("records")}
    return rows, [name for name in rows if name != BETWEEN]


def _sign(row: Mapping[Any, Any]) -> int:
    return 1 if row["low"] > 0 else -1 if row["high"] < 0 else 0


def effect_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """The numbers of an effect for metrics.json, on fuller answers and others."""
    rows, names = _overall(table)
    same = ("difference", "low", "high", "lowest_run", "highest_run")
    columns = {"mAP75_gold": "gold", "mAP75_expanded": "expanded"} | {name: name for name in same}
    values: dict[str, Any] = {}
    for place, name in zip(("", "_lacking"), names, strict=False):
        values[f"answers{place}"] = name
        values |= {f"{key}{place}": float(rows[name][column]) for key, column in columns.items()}
    return values
