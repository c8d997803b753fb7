"""How good a detector is: precision-recall curves and AP of each class."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from livestock_utils.show.plots import style


def precision_recall(curves: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Precision against recall of each class at each IoU, from `metrics.pr_curves`.
    The line drawn is the envelope, whose area the contest's AP is."""
    ax = style.axes_or_new(ax, height_in=4.2)
    ax.set(
        xlim=(0, 1),
        ylim=(0, 1.03),
        xlabel="recall: share of the labelled animals that are found",
        ylabel="precision: share of the\npredicted boxes that are right",
    )
    style.value_grid(ax, "both")
    if curves.empty:
        return style.say_empty(ax, "no labels to score")
    thresholds = sorted(curves["iou_threshold"].unique())
    handles: list[Line2D] = []
    for name in style.in_label_order(curves["species"]):
        for dash, threshold in zip(style.DASHES, thresholds, strict=False):
            rows = curves[(curves["species"] == name) & (curves["iou_threshold"] == threshold)]
            recall, height = rows["recall"].to_numpy(), rows["envelope"].to_numpy()
            ap = float(np.sum(np.diff(recall, prepend=0.0) * height))
            xs = np.concatenate([[0.0], recall, [recall[-1] if len(recall) else 0.0]])
            ys = np.concatenate([[height[0] if len(height) else 0.0], height, [0.0]])
            label = f"{name}, IoU {threshold:g}: AP {ap:.3f}"
            look: dict[str, Any] = {"color": style.colour(name), "linestyle": dash}
            handles += ax.plot(xs, ys, label=label, drawstyle="steps-pre", **look)
    legend = ax.legend(handles=handles, loc="lower left", handlelength=2.6, fontsize=9)
    for text, line in zip(legend.get_texts(), handles, strict=True):
        text.set_color(style.ink(line.get_color()))
    return ax


def class_scores(
    table: pd.DataFrame,
    columns: tuple[str, ...] = ("mAP50", "mAP75", "mAP50-95"),
    ax: Axes | None = None,
) -> Axes:
    """A dot per score and class ("all" grey), with its value; from `lu.score`."""
    ax = style.axes_or_new(ax, height_in=0.9 + 0.55 * len(columns))
    if table.empty:
        return style.say_empty(ax, "no scores")
    names = [str(name) for name in table.index]
    height = np.arange(len(columns))[::-1]
    spread = np.linspace(0.24, -0.24, len(names)) if len(names) > 1 else np.zeros(1)
    for name, shift in zip(names, spread, strict=True):
        values = table.loc[name, list(columns)].to_numpy(dtype=float)
        ax.scatter(values, height + shift, s=46, color=style.colour(name), zorder=3)
        for value, y in zip(values, height + shift, strict=True):
            if np.isfinite(value):
                tone = style.ink(style.colour(name))
                style.note(ax, f"{name} {value:.3f}", (value, y), (7, 0), color=tone)
    ax.hlines(height, 0, 1, color=style.FAINT, linewidth=14, alpha=0.35, zorder=0)
    ax.set_yticks(height, columns)
    ax.set(
        xlim=(0, 1.14),
        ylim=(-0.6, len(columns) - 0.4),
        xlabel="score (1 = every animal found, every box right)",
        xticks=np.linspace(0, 1, 6),
    )
    style.value_grid(ax, "x")
    return ax


def counts(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Animals counted over animals labelled, from `counts.counted`: a dot for photos of equal
    numbers, larger where they are more. On the line the count is right."""
    ax = style.axes_or_new(ax, height_in=4.2)
    ax.set(xlabel="animals labelled on a photo", ylabel="animals counted")
    if table.empty:
        return style.say_empty(ax, "no photos to count on")
    most = float(table[["labelled", "counted"]].max().max()) + 1
    ax.plot([0, most], [0, most], color=style.NEUTRAL, linewidth=1, zorder=1)
    names = style.in_label_order(table["species"])
    for name, shift in zip(names, np.linspace(-0.12, 0.12, len(names)), strict=True):
        rows = table[table["species"] == name].groupby(["labelled", "counted"]).size()
        at = rows.index.to_frame().to_numpy(float) + shift
        sizes = 22 + 14 * rows.to_numpy()
        look: dict[str, Any] = {"color": style.colour(name), "alpha": 0.75, "edgecolor": "white"}
        ax.scatter(at[:, 0], at[:, 1], s=sizes, label=f"{name} (larger: more photos)", **look)
    ax.set(xlim=(-0.6, most), ylim=(-0.6, most), aspect="equal")
    ax.locator_params(integer=True)
    style.value_grid(ax, "both")
    style.legend_above(ax, ncols=2, borderaxespad=0.2)
    return ax
