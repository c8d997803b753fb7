"""Where a detector errs: error types, groups of boxes, calibration, galleries, missing labels."""

import functools
import warnings
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.errors import breakdowns
from livestock_utils.evaluate.scoring import intervals
from livestock_utils.show.plots import style
from livestock_utils.show.plots.gallery import Cell, photo_grid

_LEAST_BOXES, _MOST_GROUPS = {"group": 20, "bin": 10}, 8
"""Groups and bins below are left out of figures: mostly chance."""
_CROP_PX, _WINDOW_TALL, _MOST_BOXES = 1600, 0.62, 16


def error_costs(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """AP that each error type costs (bars) and its boxes (text), from `types.ap_lost`."""
    ax = style.axes_or_new(ax, height_in=3.0)
    rows = table[~table["error"].str.startswith("false ")].iloc[::-1]
    if rows.empty or not rows[["count", "ap_lost"]].any(axis=None):
        return style.say_empty(ax, "no errors")
    place = np.arange(len(rows))
    ax.barh(place, rows["ap_lost"], color=style.LINES[0], height=0.62)
    for y, lost, number in zip(place, rows["ap_lost"], rows["count"], strict=True):
        what = "labels" if rows["error"].iloc[y] == "missed" else "detections"
        style.note(ax, f"{lost:.3f}  ({style.number(number)} {what})", (lost, y), (5, 0))
    ax.set_yticks(place, [name.capitalize() for name in rows["error"]])
    ax.set(
        xlabel=f"AP lost{_at_iou(table, ' at IoU')} (share of 1)",
        xlim=(0, max(float(rows["ap_lost"].max()) * 1.45, 0.01)),
    )
    style.value_grid(ax, "x")
    return ax


def error_groups(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of the 8 worst groups of at least 20 boxes that is not in the good state (the first),
    the worst first, with its 95 % interval."""
    good, *bad = [name for name in table.columns if name not in ("grouping", "group", "n")]
    rows = table.assign(value=1 - table[good]).sort_values("value", kind="stable")
    rows = rows[rows["n"] >= _LEAST_BOXES["group"]].tail(_MOST_GROUPS)
    low, high = intervals.wilson(rows["value"], rows["n"])
    ax = style.axes_or_new(ax, height_in=1.0 + 0.5 * max(len(rows), 2))
    if rows.empty:
        return style.say_empty(ax, f"no group of {_LEAST_BOXES['group']} boxes")
    named = zip(rows["grouping"], rows["group"], rows["n"], strict=True)
    names = [f"{b}\n{breakdowns.GROUPINGS.get(a, a)}, n = {n:,}" for a, b, n in named]
    look: dict[str, Any] = {"columns": ("value", "low", "high"), "text": "{:.0%}"}
    look["tones"] = [style.LINES[0]] * len(rows)
    style.interval_rows(ax, rows.assign(low=low, high=high), range(len(rows)), names, **look)
    ax.tick_params(labelsize=12)
    ax.xaxis.set_major_formatter(style.PERCENT[0])
    ax.set(xlabel=f"share not {good} ({', '.join(bad)}), 95 % interval", xlim=(0, None))
    return ax


def calibration(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share that is right by tenth of confidence and species, from `breakdowns.calibration`, with
    95 % intervals and numbers of boxes, without bins of fewer than 10; a line across a bar is the
    confidence that was promised."""
    ax = style.axes_or_new(ax, height_in=4.0)
    right = f"share of the boxes that are right\n(species{_at_iou(table, ', IoU')}, no duplicate)"
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel=right)
    if table.empty:
        return style.say_empty(ax, "no detections")
    table = table[table["n"] >= _LEAST_BOXES["bin"]]
    if table.empty:
        return style.say_empty(ax, f"fewer than {_LEAST_BOXES['bin']} detections in every bin")
    names = style.in_label_order(table["species"])
    wide = 0.09 / len(names)
    for row in table.to_dict("records"):
        slot = names.index(row["species"])
        at = np.floor(row["confidence"] * 10) / 10 + 0.005 + wide * (slot + 0.5)
        ax.bar(at, row["right"], wide * 0.94, color=style.colour(row["species"]), alpha=0.75)
        ax.vlines(at, row["low"], row["high"], color=style.INK, linewidth=1)
        promised = [row["confidence"]] * 2
        ax.plot([at - wide / 2, at + wide / 2], promised, color=style.INK, linewidth=2.4)
        note = style.number(row["n"])
        ax.text(at, max(row["high"], row["confidence"]) + 0.015, note, ha="center", fontsize=8)
    ax.set_xticks(np.arange(11) / 10)
    style.value_grid(ax, "y")
    style.species_key(ax, names)
    return ax


def error_gallery(
    cases: pd.DataFrame,
    photos: Photos,
    predictions: pd.DataFrame,
    confidence_threshold: float = 0.25,
    nothing: str = "no such errors",
) -> np.ndarray:
    """Each case cut out twice: left the labels, right the 16 surest predictions, itself dotted.
    `cases`: columns of a boxes table and `why`. An animal in plain sight under the dotted box
    without a label beside it is no error of the model."""
    sizes = photos.images.set_index("image_id")[["width_px", "height_px"]]
    sure = predictions[predictions["confidence"] >= confidence_threshold]
    sure = sure.sort_values("confidence", ascending=False, kind="stable")
    cells = []
    for case in cases.to_dict("records"):
        image_id = case["image_id"]
        window = _window(case, *sizes.loc[image_id])
        for table, title in (
            (photos.boxes, f"{image_id[-25:]}: labels"),
            (sure, case["why"]),
        ):
            mine = table[table["image_id"] == image_id]
            mine = mine[_inside(mine, window)].head(_MOST_BOXES)
            finish = functools.partial(_mark, case=case, window=window, title=title)
            cells.append(Cell(image_id, mine, finish=finish))
    return photo_grid(photos, cells, 2, _WINDOW_TALL, nothing, _CROP_PX, title_in=0.32)


def _mark(ax: Axes, case: dict, window: tuple[float, float, float, float], title: str) -> None:
    """Dot the case's box and cut the photo to the window."""
    style.outline(ax, case, edgecolor=style.ALARM, linewidth=2.2, linestyle=(0, (1, 1)))
    ax.set(xlim=(window[0], window[2]), ylim=(window[3], window[1]))
    ax.set_title(title, fontsize=13, fontweight="normal")


def boxes_by_part(counts: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Box plots of the boxes per image, by species and part, as in the original's Data_Checking."""
    import seaborn

    ax = style.axes_or_new(ax, height_in=3.4)
    if counts.empty:
        return style.say_empty(ax, "no images")
    names, parts = style.in_label_order(counts["species"]), list(dict.fromkeys(counts["part"]))
    drawn = counts.assign(group=counts["species"] + ", " + counts["part"])
    order = [f"{name}, {part}" for name in names for part in parts]
    with warnings.catch_warnings():
        # seaborn 0.13 asks matplotlib 3.11 for `vert`, which that release deprecates.
        warnings.filterwarnings("ignore", message="vert: bool was deprecated")
        look: dict[str, Any] = {"width": 0.6, "linewidth": 1.1, "fliersize": 2.5}
        look |= {"hue": "species", "palette": {name: style.colour(name) for name in names}}
        look |= {"legend": False, "saturation": 0.9, "ax": ax}
        seaborn.boxplot(drawn, x="boxes", y="group", order=order, **look)
    sizes = drawn["group"].value_counts()
    labels = [f"{name} (n = {style.number(sizes.get(name, 0))})" for name in order]
    ax.set_yticks(range(len(order)), labels)
    ax.set(xlabel="boxes in an image", ylabel="", xlim=(-0.5, None))
    style.value_grid(ax, "x")
    return ax


def missing_curves(curves: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Precision against recall of rankings of missing labels."""
    ax = style.axes_or_new(ax, height_in=4.0)
    ax.set(
        xlim=(0, 1),
        ylim=(0, 1.03),
        xlabel="share of the boxes on unlabelled animals that have been reached",
        ylabel="share of the list so far that\nlies on an unlabelled animal",
    )
    if curves.empty:
        return style.say_empty(ax, "no missing label is overlapped by a prediction")
    style.value_grid(ax, "both")
    for place, (name, rows) in enumerate(curves.groupby("ranking", sort=False)):
        tone, dash = style.LINES[place % len(style.LINES)], style.DASHES[place % len(style.DASHES)]
        look: dict[str, Any] = {"color": tone, "linestyle": dash, "drawstyle": "steps-post"}
        look["linewidth"] = 1.5 if place else 2.2
        label = f"{name}: AP {rows['average_precision'].iloc[0]:.3f}"
        ax.plot(rows["recall"], rows["precision"], label=label, **look)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=2.6)
    return ax


def _at_iou(table: pd.DataFrame, before: str) -> str:
    """The IoU that a table of errors was made with, after `before`; "" where it is not known."""
    threshold = table.attrs.get("iou_threshold")
    return "" if threshold is None else f"{before} {threshold:g}"


def _window(
    case: dict, width_px: float, height_px: float, least_px: float = 160
) -> tuple[float, float, float, float]:
    """A wide window around the box, about twice its size, moved into the frame where it fits."""
    wide, tall = case["x_max"] - case["x_min"], case["y_max"] - case["y_min"]
    high = max(_WINDOW_TALL * 2 * wide, 1.6 * tall, least_px)
    high = min(high, max(_WINDOW_TALL * width_px, height_px))
    at = []
    for axis, side, whole in (("x", high / _WINDOW_TALL, width_px), ("y", high, height_px)):
        start, room = (case[f"{axis}_min"] + case[f"{axis}_max"] - side) / 2, whole - side
        at.append(min(max(start, 0), room) if room >= 0 else room / 2)
    return at[0], at[1], at[0] + high / _WINDOW_TALL, at[1] + high


def _inside(boxes: pd.DataFrame, window: tuple[float, float, float, float]) -> pd.Series:
    """Boxes that reach into the window."""
    return (
        (boxes["x_max"] > window[0])
        & (boxes["x_min"] < window[2])
        & (boxes["y_max"] > window[1])
        & (boxes["y_min"] < window[3])
    )
