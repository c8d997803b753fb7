"""What post-processing is worth: AP75 over thresholds, and beyond noise."""

import dataclasses
import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.detect.tune.sweep import WRITE_UP, best
from livestock_utils.show.plots import style

_WRITE_UP_CONFIDENCE = 0.001
_LEAST_BOXES = 5
_LABEL_CHARACTERS = 44
"""Longest line of a setting's name beside its gain."""


def sweep_heat_map(tried: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """AP75 of hard NMS over IoU threshold (up) and confidence (right).
    Frames mark the best cell and the write-up's (.68, .001)."""
    rows = tried[[_plain(setting) for setting in tried["settings"]]]
    ax = style.axes_or_new(ax, height_in=3.8)
    if rows.empty:
        return style.say_empty(ax, "no hard NMS among the settings tried")
    cells = rows.assign(
        iou=[s.iou_threshold for s in rows["settings"]],
        confidence=[s.confidence_threshold for s in rows["settings"]],
    )
    table = cells.pivot_table(index="iou", columns="confidence", values="ap75", aggfunc="max")
    table = table.dropna(axis=0, thresh=(table.shape[1] + 1) // 2).dropna(
        axis=1
    )  # single random tries are no grid
    table = table.sort_index(ascending=False)
    if table.empty:
        return style.say_empty(ax, "too few settings for a heat map")
    # High confidences lose so much that they would flatten the rest: the scale starts at the worst
    # IoU at the write-up's confidence, so that every row has its own colour there.
    low = table.to_numpy()[
        :, [np.abs(table.columns.to_numpy(dtype=float) - _WRITE_UP_CONFIDENCE).argmin()]
    ].min()
    low = min(low, np.nanmax(table.to_numpy()) - 1e-4)
    sns.heatmap(table, ax=ax, cmap="cividis", vmin=low, cbar_kws={"label": "AP75", "extend": "min"})
    inside = [
        s.iou_threshold in table.index and s.confidence_threshold in table.columns
        for s in rows["settings"]
    ]
    winner = best(rows[inside])
    marks = [
        _frame(ax, table, winner, "white", "best: {:g} / {:g}"),
        _frame(ax, table, WRITE_UP, style.ALARM, "write-up: {:g} / {:g}"),
    ]
    shown = range(0, table.shape[1], 2)
    ax.set_xticks([k + 0.5 for k in shown], [f"{table.columns[k]:g}" for k in shown], rotation=45)
    ax.set_yticks(np.arange(len(table)) + 0.5, [f"{value:g}" for value in table.index], rotation=0)
    ax.set(xlabel="confidence threshold (log scale)", ylabel="NMS IoU threshold")
    sizes = {"handlelength": 1.2, "handleheight": 0.9, "borderaxespad": 0.2}
    style.legend_above(ax, handles=[mark for mark in marks if mark], ncols=2, **sizes)
    return ax


def pass_front(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """AP75 over milliseconds an image of sets of passes; a line joins those that no cheaper set
    beats, a diamond marks the chosen."""
    ax = style.axes_or_new(ax, height_in=3.6)
    ax.set(xlabel="time per image (ms)", ylabel="AP75")
    if table.empty:
        return style.say_empty(ax, "no passes tried yet")
    style.value_grid(ax, "both")
    best = table[table["on_front"].astype(bool)]
    other = table[~table["on_front"].astype(bool)]
    ax.scatter(other["ms"], other["ap75"], s=26, color=style.NEUTRAL, label="beaten", zorder=2)
    ax.plot(
        *(best["ms"], best["ap75"], "o-"), color=style.LINES[0], label="no cheaper set is as good"
    )
    chosen = best[best["chosen"].astype(bool)]
    ax.scatter(
        chosen["ms"], chosen["ap75"], marker="D", s=70, color=style.INK, label="chosen", zorder=4
    )
    for row in (best if len(table) > 6 else table).to_dict("records"):
        text = row["passes"].replace("+", "\n+ ")
        style.note(ax, text, (row["ms"], row["ap75"]), (7, -3), va="top")
    ax.margins(x=0.16, y=0.28)
    style.legend_above(ax, ncols=3, borderaxespad=0.2)
    return ax


def rescored(bins: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of boxes that are right over their confidence, as predicted and re-scored; larger dots
    are more boxes, bins of less than five are left out."""
    ax = style.axes_or_new(ax, height_in=3.8)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence (mean of the bin)")
    ax.set_ylabel("share of the boxes that\nare right at IoU .75")
    if bins.empty:
        return style.say_empty(ax, "nothing was re-scored")
    style.value_grid(ax, "both")
    ax.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    looks = {"as predicted": (style.NEUTRAL, "o--"), "re-scored": (style.LINES[0], "D-")}
    for name, (tone, look) in looks.items():
        rows = bins[(bins["boxes"] == name) & (bins["n"] >= _LEAST_BOXES)]
        ax.plot(rows["confidence"], rows["right"], look, color=tone, label=name, markersize=4)
        sizes = 10 + 14 * np.log10(rows["n"].clip(lower=1))
        ax.scatter(rows["confidence"], rows["right"], s=sizes, color=tone, zorder=3)
    style.legend_above(ax, ncols=2, borderaxespad=0.2)
    return ax


def sweep_gains(compared: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Gain in AP75 of each setting over the reference with its interval; diamond: the chosen,
    first."""
    names = [textwrap.fill(str(name), _LABEL_CHARACTERS) for name in compared.index]
    lines = max((name.count("\n") + 1 for name in names), default=1)
    ax = style.axes_or_new(ax, height_in=0.9 + (0.24 + 0.15 * lines) * max(len(compared), 2))
    if compared.empty:
        return style.say_empty(ax, "no settings to compare")
    places = np.arange(len(compared))[::-1]
    style.interval_rows(
        ax,
        compared,
        places,
        names,
        style.sure_tones(compared["gain_low"], compared["gain_high"]),
        columns=("gain", "gain_low", "gain_high"),
        marks="D" + "o" * (len(names) - 1),
        size=7,
        text="{:+.4f}",
    )
    ax.tick_params(axis="y", labelsize=9)
    ax.set_ylim(-0.6, len(compared) - 0.4)
    ax.margins(x=0.16)
    level = compared.attrs.get("level", 0.95)
    ax.set_xlabel(f"gain in AP75 over the write-up's setting,\n{level:.0%} interval over images")
    marks = [
        Line2D([], [], color=tone, marker=mark, linewidth=2.4 if mark != "D" else 0, label=label)
        for tone, mark, label in (
            (style.LINES[0], "o", "beyond noise"),
            (style.NEUTRAL, "o", "may be noise"),
            (style.INK, "D", "chosen"),
        )
    ]
    style.legend_above(ax, handles=marks, ncols=3, borderaxespad=0.2)
    return ax


def _plain(setting: PostprocessSettings) -> bool:
    """True for the write-up's setting but for its two numbers."""
    numbers = {name: getattr(WRITE_UP, name) for name in ("iou_threshold", "confidence_threshold")}
    return setting.is_plain and dataclasses.replace(setting, **numbers) == WRITE_UP


def _frame(
    ax: Axes, table: pd.DataFrame, setting: PostprocessSettings, tone: str, label: str
) -> Rectangle | None:
    """Frame a cell, if the grid holds it; returns the legend's mark."""
    rows = np.flatnonzero(table.index.to_numpy(dtype=float) == setting.iou_threshold)
    columns = np.flatnonzero(table.columns.to_numpy(dtype=float) == setting.confidence_threshold)
    if not (rows.size and columns.size):
        return None
    at = float(columns[0]), float(rows[0])
    for edge, width in (("black", 4.2), (tone, 2.0)):
        around = Rectangle(at, 1, 1, fill=False, edgecolor=edge, linewidth=width, clip_on=False)
        ax.add_patch(around).set_zorder(3)
    name = label.format(setting.iou_threshold, setting.confidence_threshold)
    return Rectangle((0, 0), 1, 1, facecolor=tone, edgecolor="black", label=name)
