"""What a model costs on a device and what its exports lose, from `edge_parity` and `edge_cost`."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from livestock_utils.detect.export.cost import front
from livestock_utils.detect.export.parity import MAX_DROP
from livestock_utils.show.plots import style

_MARKERS = ("o", "s", "^", "D", "v", "P")
"""By pixel size, from the smallest."""
_CLIP = 2.5
"""A line to p95 ends at so many largest medians: one busy moment hides nothing."""
_TONES = (style.INK, *style.LINES[:5], "#88CCEE", "#CC6677")
"""By export, the weights first; from Paul Tol's "muted" scheme."""


def edge_front(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """AP75 over whole_ms (log) of every export (colour) and size (marker), with the front.
    A red edge is a red export."""
    ax = style.axes_or_new(ax, height_in=3.9)
    rows = table[table["AP75"].notna() & table["whole_ms"].notna()]
    if rows.empty:
        return style.say_empty(ax, "nothing was measured")
    best = front(rows)
    ax.step(
        best["whole_ms"], best["AP75"], where="post", color=style.MUTED, linewidth=1.2, zorder=1
    )
    names, sizes = list(dict.fromkeys(rows["export"])), sorted(rows["image_size"].unique())
    tones = {name: _TONES[place % len(_TONES)] for place, name in enumerate(names)}
    marks = {size: _MARKERS[place % len(_MARKERS)] for place, size in enumerate(sizes)}
    for row in rows.to_dict("records"):
        ax.plot(
            row["whole_ms"],
            row["AP75"],
            marks[row["image_size"]],
            color=tones[row["export"]],
            markersize=8,
            markeredgewidth=2.2,
            markeredgecolor=style.ALARM if row["red"] else tones[row["export"]],
            linestyle="none",
            zorder=2,
        )
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [base * 10.0**power for power in range(-1, 6) for base in (1, 2, 3, 5, 7)]
    shown = [tick for tick in ticks if low <= tick <= high]
    ax.set_xticks(shown, [f"{tick:g}" for tick in shown])
    ax.set_xticks([], minor=True)
    ax.set(
        xlabel="letterbox to boxes at batch 1, median, ms (log scale)", ylabel="AP75 on validation"
    )
    style.value_grid(ax)
    for name in names:  # the legend's keys
        ax.plot([], [], "o", color=tones[name], label=name)
    for size in sizes:
        ax.plot([], [], marks[size], color=style.MUTED, label=f"{size} px")
    if rows["red"].any():
        edge: dict[str, Any] = {"markeredgecolor": style.ALARM, "markeredgewidth": 2.2}
        ax.plot([], [], "o", color="white", label="red edge: not recommended", **edge)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.4)
    return ax


def edge_parity(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Change in AP75 of each export against the weights, with its paired interval."""
    rows = table[(table["export"] != "pytorch") & table["AP75"].notna()]
    ax = style.axes_or_new(ax, height_in=0.9 + 0.28 * max(len(rows), 2))
    if rows.empty:
        return style.say_empty(ax, "no export was scored")
    places = np.arange(len(rows))[::-1]
    red = rows["red"]
    style.interval_rows(
        ax,
        rows,
        places,
        [f"{row.export}, {row.image_size} px" for row in rows.itertuples()],
        [style.ALARM if is_red else style.LINES[0] for is_red in red],
        marks=["x" if is_red else "o" for is_red in red],
        width=2.2,
        text_at="margin",
        text_tones=[style.ALARM if is_red else style.INK for is_red in red],
        markeredgewidth=1.6,
    )
    ax.axvline(-MAX_DROP, color=style.ALARM, linestyle="--", linewidth=1.2)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    widest = max(float(rows[["low", "high"]].abs().max().max()), 2 * MAX_DROP) * 1.1
    ax.set_xlim(-widest, widest)
    ax.set(
        xlabel=f"AP75 minus that of the weights, 95 % interval over images (dashed: -{MAX_DROP:g})"
    )
    return ax


def edge_cost(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Latency of every export at the largest pixel size: median (bar), 95th percentile (line; an
    arrow beyond _CLIP), letterbox and suppression (pale); text: file, and memory of its process."""
    rows = table[table["latency_ms"].notna()]
    rows = rows[rows["image_size"] == rows["image_size"].max()].sort_values("latency_ms")
    ax = style.axes_or_new(ax, height_in=0.9 + 0.34 * max(len(rows), 2))
    if rows.empty:
        return style.say_empty(ax, "nothing was timed")
    places = np.arange(len(rows))[::-1]
    ax.barh(places, rows["latency_ms"], height=0.62, color=style.LINES[0])
    own = (rows["whole_ms"] - rows["latency_ms"]).clip(lower=0).fillna(0)
    ax.barh(places, own, left=rows["latency_ms"], height=0.62, color=style.LINES[0], alpha=0.35)
    end = rows["p95_ms"].clip(upper=_CLIP * rows["latency_ms"].max())
    ax.hlines(places, rows["latency_ms"], end, color=style.INK, linewidth=1.4)
    beyond = (rows["p95_ms"] > end).to_numpy()
    ax.plot(end[beyond], places[beyond], ">", color=style.INK, markersize=5, linestyle="none")
    right = np.maximum(end, rows["latency_ms"] + own)
    for place, edge, row in zip(places, right, rows.to_dict("records"), strict=True):
        text = (
            f"{row['whole_ms']:.0f} ms, file {row['size_mb']:.1f} MB, memory "
            f"{row['peak_memory_mb']:.0f} MB"
        )
        style.note(ax, text, (edge, place), (6, 0))
    ax.set_yticks(places, rows["export"])
    ax.set_xlim(0, float(right.max()) * 1.7)
    threads, size = int(rows["threads"].iloc[0]), int(rows["image_size"].iloc[0])
    ax.set(
        xlabel=f"network (pale: letterbox and boxes) at batch 1, {size} px, {threads} threads, ms\n"
        "(line: the network's 95th percentile)"
    )
    style.value_grid(ax, "x")
    return ax


def lighter_models(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """AP75 of lighter models minus that of the plain one, a row each with its interval, size and
    latency, from `lighter.compare`."""
    ax = style.axes_or_new(ax, height_in=0.9 + 0.4 * max(len(table), 2))
    if table.empty:
        return style.say_empty(ax, "no model was trained")
    style.interval_rows(
        ax,
        table.fillna({"difference": 0.0}),
        np.arange(len(table))[::-1],
        [
            f"{row['model']}, {row['size_mb']:.1f} MB, {row['latency_ms']:.0f} ms"
            for row in table.to_dict("records")
        ],
        [style.INK, *style.sure_tones(table["low"][1:], table["high"][1:])],
        text_at="margin",
    )
    ax.set(
        ylim=(-0.6, len(table) - 0.4),
        xlabel="AP75 minus that of the plain model, 95 % interval (grey: holds 0)",
    )
    return ax
