"""Curves of a training, from its table of results (one row an epoch, yolov5's column names).

yolov5 counts epochs from 0 in the table; figures and sentences count from 1.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from livestock_utils.show.plots import style

_LOSSES = {"box": "box (where)", "obj": "object (is there one)", "cls": "class (which)"}
"""yolov5's three losses and what each is about."""

METRICS = {
    "metrics/precision": "precision",
    "metrics/recall": "recall",
    "metrics/mAP_0.5": "mAP50",
    "metrics/mAP_0.75": "mAP75",
    "metrics/mAP_0.5:0.95": "mAP50-95",
}
"""Columns of yolov5's results.csv, in drawing order; absent ones are left out."""


def loss_curves(results: pd.DataFrame, axes: np.ndarray | None = None) -> np.ndarray:
    """Training (solid) and validation (dashed) loss by epoch; 3 Axes.
    Losses of runs with unlike gains cannot be compared."""
    axes = style.grid_of_axes(1, len(_LOSSES), 2.9)[0] if axes is None else axes
    table = _tidy(results)
    for ax, (loss, title) in zip(axes, _LOSSES.items(), strict=False):
        lines = [
            (table, f"{part}/{loss}_loss", name, style.LINES[0], dash)
            for part, dash, name in (("train", "-", "train"), ("val", (0, (4, 2)), "valid"))
            if f"{part}/{loss}_loss" in table and len(table)
        ]
        ax.set_title(title, fontsize=10)
        ax.set(xlabel="epoch")
        if lines:
            _epoch_lines(ax, lines, ticks=5, bottom=0)
        else:
            style.say_empty(ax, "no epochs")
    axes[0].set_ylabel("loss (weighted by its gain)")
    return axes


def metric_curves(
    results: pd.DataFrame, ax: Axes | None = None, best: str = "metrics/mAP_0.75"
) -> Axes:
    """Validation metrics by epoch; ringed: the last epoch with the highest `best`, on that line
    or the lowest. yolov5's own 101-point mAP: close to the contest's, not equal."""
    ax = style.axes_or_new(ax, height_in=3.6)
    table = _tidy(results)
    shown = [(column, name) for column, name in METRICS.items() if column in table]
    if table.empty or not shown:
        return style.say_empty(ax, "no epochs")
    low = float(np.nanmin(table[[column for column, _ in shown]].to_numpy(float)))
    bottom = max(0.0, np.floor(10 * low - 0.5) / 10)
    ax.set(xlabel="epoch", ylabel="score on the validation images", ylim=(bottom, 1.02))
    lines = [
        (table, column, f"{name} {table[column].iloc[-1]:.3f}", tone, "-")
        for (column, name), tone in zip(shown, style.LINES, strict=False)
    ]
    _epoch_lines(ax, lines)
    if best in table and table[best].notna().any():
        values = table[best].to_numpy(dtype=float)
        row = int(np.flatnonzero(values == np.nanmax(values))[-1])
        epoch = float(table["epoch"].iloc[row])
        height = float(table[best if best in METRICS else shown[-1][0]].iloc[row])
        ax.scatter(epoch, height, s=70, facecolor="none", edgecolor=style.INK, zorder=4)
        style.note(
            ax,
            f"best, epoch {epoch:.0f}",
            (epoch, height),
            (0, 9),  # its own curve is below
            ha="right" if row == len(table) - 1 else "left",  # into the figure
            va="bottom",
            bbox=style.PAPER,
        )
    return ax


def compare_runs(
    runs: dict[str, pd.DataFrame], column: str = "metrics/mAP_0.5:0.95", ax: Axes | None = None
) -> Axes:
    """One metric or loss of several runs by epoch, named at their ends."""
    ax = style.axes_or_new(ax, height_in=3.6)
    tables = {name: _tidy(results) for name, results in runs.items()}
    tables = {name: table for name, table in tables.items() if len(table) and column in table}
    if not tables:
        return style.say_empty(ax, "no runs with this column")
    ax.set(xlabel="epoch", ylabel=METRICS.get(column, column))
    lines = [
        (table, column, name, style.LINES[number % len(style.LINES)], "-")
        for number, (name, table) in enumerate(tables.items())
    ]
    _epoch_lines(ax, lines)
    return ax


def rate_range(table: pd.DataFrame, used: float | None = None, ax: Axes | None = None) -> Axes:
    """Loss of a range test by learning rate, with the suggested rate and the one that is used."""
    ax = style.axes_or_new(ax, height_in=3.2)
    if table.empty:
        return style.say_empty(ax, "no steps")
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss per image")
    ax.plot(table["learning_rate"], table["loss"], color=style.LINES[0], alpha=0.25)
    ax.plot(table["learning_rate"], table["smoothed"], color=style.LINES[0])
    ax.set_ylim(0, 1.6 * table["smoothed"].max())
    marks: list[tuple] = [(table.attrs["suggested"], "suggested", "-")]
    marks += [] if used is None else [(used, "used", (0, (4, 2)))]
    for height, (rate, name, dash) in zip((0.95, 0.85), marks, strict=False):
        ax.axvline(rate, color=style.INK, linestyle=dash, linewidth=1)
        place = (rate, height)
        ax.annotate(
            f" {name} {rate:.2g}", place, xycoords=("data", "axes fraction"), va="top", fontsize=9
        )
    style.value_grid(ax, "y")
    return ax


def _tidy(results: pd.DataFrame) -> pd.DataFrame:
    """`results` without yolov5's blanks in names, and epochs counted from 1."""
    table = results.rename(columns=lambda name: str(name).strip())
    return table.assign(epoch=table["epoch"] + 1) if "epoch" in table else table


def _epoch_lines(
    ax: Axes, lines: list[tuple], ticks: int = 10, bottom: float | None = None
) -> None:
    """Lines by epoch, (table, column, name at the end, colour, dash) each. Dots where epochs are
    few: one alone draws no line at all."""
    ends = []
    for table, column, name, tone, dash in lines:
        dots: dict = {"marker": "o", "markersize": 3.5} if len(table) <= 12 else {}
        ax.plot(table["epoch"], table[column], color=tone, linestyle=dash, **dots)
        ends.append((float(table["epoch"].iloc[-1]), float(table[column].iloc[-1]), name, tone))
    if bottom is not None:
        ax.set_ylim(bottom, bottom + 1.06 * (ax.dataLim.y1 - bottom))
    _whole_epochs(ax, ticks)
    style.value_grid(ax, "y")
    style.label_line_ends(ax, ends)


def _whole_epochs(ax: Axes, ticks: int) -> None:
    """Whole epochs on the x axis, and room around a single one."""
    ax.xaxis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=1))
    low, high = ax.get_xlim()
    if high - low < 1:
        ax.set_xlim((low + high) / 2 - 0.6, (low + high) / 2 + 0.6)
