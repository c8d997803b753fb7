"""Figures of the exploratory notebook, one for each table of `data.eda`.

Single figures return their Axes; small multiples return the array of Axes, one a species.
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from livestock_utils.core import species
from livestock_utils.core.boxes import XYXY, area
from livestock_utils.core.text import percent
from livestock_utils.data.eda import bins
from livestock_utils.data.eda import counts as count_tables
from livestock_utils.show.plots import style

_NOTE: dict[str, Any] = {"ha": "center", "va": "baseline", "color": style.MUTED, "fontsize": 9}
_ICONS = {"horizontal": "▭", "square": "□", "vertical": "▯"}


def species_overview(counts: pd.DataFrame, axes: np.ndarray | None = None) -> np.ndarray:
    """Images and boxes of each species, from `counts.species_counts`; 2 Axes."""
    axes = style.grid_of_axes(1, 2, 1.7, sharey=True)[0] if axes is None else axes
    rows = counts[counts["species"] != "all"].iloc[::-1]
    for ax, what in zip(axes, ("images", "boxes"), strict=True):
        bars = ax.barh(
            rows["species"],
            rows[what],
            color=[style.colour(name) for name in rows["species"]],
            height=0.62,
        )
        labels = [
            f"{style.number(n)}  ({percent(share)})"
            for n, share in zip(rows[what], rows[f"{what}_share"], strict=True)
        ]
        ax.bar_label(bars, labels, padding=4, fontsize=9)
        ax.set(
            title=what.capitalize(), xlabel=f"number of {what}", xlim=(0, _room(rows[what], 1.45))
        )
        style.thousands(ax, "x", ticks=5)
        style.value_grid(ax, "x")
        if rows.empty:
            style.say_empty(ax, f"no {what}")
    return axes


def image_sizes(sizes: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Images of each frame size, commonest first, from `counts.size_counts`."""
    ax = style.axes_or_new(ax, height_in=0.8 + 0.34 * max(len(sizes), 2))
    if sizes.empty:
        return style.say_empty(ax, "no images")
    rows = sizes.iloc[::-1].reset_index(drop=True)
    bars = ax.barh(
        rows.index,
        rows["images"],
        color=[style.colour(name) for name in rows["species"]],
        height=0.68,
    )
    for bar, width_px in zip(bars, rows["width_px"], strict=True):
        bar.set_alpha(1.0 if width_px else 0.45)
    labels = [
        f"{style.number(n)}  ({percent(s)} of {name} images)"
        for n, s, name in zip(rows["images"], rows["share"], rows["species"], strict=True)
    ]
    ax.bar_label(bars, labels, padding=4, fontsize=9)
    ax.set_yticks(rows.index, rows["species"] + "  " + rows["size"].str.replace(" x ", " × "))
    ax.set(
        xlabel="number of images of each frame size (width × height in px)",
        xlim=(0, _room(rows["images"], 1.4)),
    )
    style.thousands(ax, "x")
    style.value_grid(ax, "x")
    return ax


def boxes_per_image(histogram: pd.DataFrame, axes: np.ndarray | None = None) -> np.ndarray:
    """Images of each box count, a panel per species, cut into its bins (species.yaml), from
    `counts.count_histogram`. A heap at 0 and 1 often means unlabelled animals."""
    names = style.in_label_order(set(histogram["species"]) - {bins.NO_SPECIES})
    panels = max(len(names), 1)
    axes = (
        style.grid_of_axes(panels, 1, 0.5 + 1.9 * panels, sharex=True)[:, 0]
        if axes is None
        else axes
    )
    if not names:
        style.say_empty(axes[0], "no images")
    for ax, name in zip(axes, names, strict=False):
        rows = histogram[histogram["species"] == name]
        ax.bar(rows["boxes"], rows["images"], color=style.colour(name), width=0.82)
        top = _room(rows["images"], 1.3)
        edges = (
            -0.5,
            *(edge - 0.5 for edge in species.by_name(name).count_bins),
            rows["boxes"].max() + 0.5,
        )
        for label, low, high in zip(bins.COUNT_BINS, edges[:-1], edges[1:], strict=True):
            inside = int(rows.loc[rows["boxes"].between(low, high), "images"].sum())
            if high > low:
                for text, y in ((label, 0.93), (style.number(inside), 0.83)):
                    ax.text((low + high) / 2, top * y, text, bbox=style.PAPER, **_NOTE)
        ax.vlines(edges[1:-1], 0, top, color=style.MUTED, linewidth=1, linestyles=(0, (4, 3)))
        ax.set(ylabel="images", ylim=(0, top))
        ax.set_title(name, color=style.colour(name))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16))
        style.thousands(ax, "y")
        style.value_grid(ax, "y")
    axes[-1].set_xlabel("boxes in an image")
    return axes


def box_ratios(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of boxes that lie, are square, or stand, from `counts.ratio_table`."""
    ax = _grouped_bars(table, ax)
    names = [label.get_text() for label in ax.get_xticklabels()]
    ax.set_xticks(ax.get_xticks(), [f"{_ICONS.get(name, '')} {name}" for name in names])
    ax.set_xlabel("shape of the box: its longer side is 0.6 or more of width + height, else square")
    return ax


def box_areas(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of the boxes in each bin of area, from `counts.area_table`."""
    ax = _grouped_bars(table, ax)
    if len(table):
        edges = [f"{edge // 1000}k" if edge >= 1000 else str(edge) for edge in bins.AREA_EDGES_PX2]
        spans = [
            f"< {edges[0]}",
            *(f"{a} to {b}" for a, b in itertools.pairwise(edges)),
            f"≥ {edges[-1]}",
        ]
        names = [label.get_text() for label in ax.get_xticklabels()]
        ax.set_xticks(
            ax.get_xticks(), [f"{name}\n{span}" for name, span in zip(names, spans, strict=True)]
        )
    ax.set_xlabel("area of the box in px²")
    return ax


def box_sizes(boxes: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Distribution of box area on a log scale, an outline per species, bins dashed."""
    ax = style.axes_or_new(ax, height_in=3.2)
    areas = area(boxes[XYXY].to_numpy())
    boxes, areas = boxes[areas > 0], areas[areas > 0]
    if boxes.empty:
        return style.say_empty(ax, "no boxes")
    low, high = np.floor(np.log10(areas.min()) * 4) / 4, np.ceil(np.log10(areas.max()) * 4) / 4
    edges = np.logspace(low, max(high, low + 0.25), 49)
    for name in style.in_label_order(boxes["species"]):
        mine = areas[(boxes["species"] == name).to_numpy()]
        heights, _ = np.histogram(mine, bins=edges)
        heights = heights / len(mine)
        ax.stairs(heights, edges, fill=True, alpha=0.18, color=style.colour(name))
        ax.stairs(heights, edges, color=style.colour(name), linewidth=1.6)
        ax.axvline(np.median(mine), 0, 0.03, color=style.colour(name), linewidth=3)
    ax.set_xscale("log")
    ax.set_ylim(0, ax.get_ylim()[1] * 1.12)
    for edge in bins.AREA_EDGES_PX2:
        if edges[0] < edge < edges[-1]:
            ax.axvline(edge, color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    walls = [edges[0], *(e for e in bins.AREA_EDGES_PX2 if edges[0] < e < edges[-1]), edges[-1]]
    for left, right in itertools.pairwise(walls):
        label = bins.AREA_BINS[int(np.searchsorted(bins.AREA_EDGES_PX2, left, side="right"))]
        wide = np.log10(right / left) / np.log10(edges[-1] / edges[0])
        if wide > 0.05:
            text, place = label.replace(" ", "\n") if wide < 0.1 else label, np.sqrt(left * right)
            share_of_height = ax.get_xaxis_transform()
            ax.text(place, 0.94, text, transform=share_of_height, linespacing=1.0, **_NOTE)
    ax.set(
        xlabel="area of the box in px² (log scale; thick mark = median)",
        ylabel="share of the species' boxes",
        xlim=(edges[0], edges[-1]),
    )
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(style.PERCENT[0])
    style.value_grid(ax, "y")
    style.species_key(ax, style.in_label_order(boxes["species"]))
    return ax


def box_positions(
    images: pd.DataFrame, boxes: pd.DataFrame, axes: np.ndarray | None = None
) -> np.ndarray:
    """Boxes that cover each part of the frame, mean per image, a panel per species, one scale.
    Frames of unlike sizes are laid on each other as shares. A detector learns edges without
    animals as easily as the animals."""
    names = style.in_label_order(images["species"])
    axes = style.grid_of_axes(1, max(len(names), 1), 3.3, sharey=True)[0] if axes is None else axes
    if not names:
        style.say_empty(axes[0], "no images")
        return axes
    parts = [(images[images["species"] == n], boxes[boxes["species"] == n]) for n in names]
    grids = [count_tables.coverage_map(*part, columns=16, rows=9) for part in parts]
    most = max(float(np.max(grids)), 1e-9)
    for ax, name, grid, (mine, _) in zip(axes, names, grids, parts, strict=False):
        aspect = float((mine["height_px"] / mine["width_px"]).median())
        look: dict[str, Any] = {"vmin": 0, "vmax": most, "aspect": aspect, "cmap": _shades(name)}
        bar: dict[str, Any] = {"location": "bottom", "label": "boxes over the point, per image"}
        picture = ax.imshow(grid, extent=(0, 1, 1, 0), **look)
        style.figure_of(axes).colorbar(picture, ax=ax, **bar)
        ax.set_title(name, color=style.colour(name))
        ax.set(xlabel="share of the width", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.xaxis.set_major_formatter(style.PERCENT[0])
        ax.yaxis.set_major_formatter(style.PERCENT[0])
    axes[0].set_ylabel("share of the height")
    style.spread(axes, 0.08)
    return axes


def completeness(hints: pd.DataFrame, axes: np.ndarray | None = None) -> np.ndarray:
    """Images by boxes against the median of their neighbours, from `counts.completeness_hints`.
    Below the black line an image has at most half of its neighbours' boxes and at least two
    fewer."""
    names = style.in_label_order(hints["species"])
    axes = style.grid_of_axes(1, max(len(names), 1), 3.4)[0] if axes is None else axes
    if not names:
        style.say_empty(axes[0], "no images")
    gap = " " if len(names) < 3 else "\n"  # three panels leave half the room for a title
    for ax, name in zip(axes, names, strict=False):
        rows = hints[hints["species"] == name]
        around = np.floor(rows["local_median"]).astype(int)
        cells = np.zeros((rows["boxes"].max() + 1, around.max() + 1))
        np.add.at(cells, (rows["boxes"], around), 1)
        ax.pcolormesh(
            np.arange(-0.5, cells.shape[1]),
            np.arange(-0.5, cells.shape[0]),
            np.ma.masked_equal(cells, 0),
            cmap=_shades(name),
            norm=LogNorm(1, max(cells.max(), 10)),
        )
        line = count_tables.highest_suspect_count(np.arange(cells.shape[1])) + 0.5
        ax.stairs(
            line, np.arange(-0.5, cells.shape[1]), baseline=None, color=style.INK, linewidth=1.6
        )
        for y, x in zip(*np.nonzero(cells), strict=True):
            if cells.shape[0] * (around.max() - around.min() + 1) <= 200:
                dark = np.log(cells[y, x]) > 0.6 * np.log(max(cells.max(), 10))
                tone = "white" if dark else style.INK
                text = style.number(cells[y, x])
                ax.text(x, y, text, ha="center", va="center", fontsize=8, color=tone)
        low = int(rows["suspect"].sum())
        ax.set_title(
            f"{name}:{gap}{style.number(low)} of {style.number(len(rows))} images below the line",
            color=style.colour(name),
            fontsize=10,
        )
        ax.set(
            xlabel=f"median of the {count_tables.WINDOW} images around",
            ylabel="boxes in the image",
            xlim=(around.min() - 0.6, around.max() + 0.6),
            ylim=(-0.6, cells.shape[0] - 0.4),
        )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    return axes


def _shades(name: str) -> LinearSegmentedColormap:
    """From nearly white to the species' colour."""
    return LinearSegmentedColormap.from_list(name, ["#F4F4F4", style.colour(name)])


def _grouped_bars(table: pd.DataFrame, ax: Axes | None) -> Axes:
    """Share of the boxes in each bin by species, the number of boxes on each bar."""
    ax = style.axes_or_new(ax, height_in=3.1)
    if table.empty or not table["boxes"].sum():
        return style.say_empty(ax, "no boxes")
    names, labels = style.in_label_order(table["species"]), list(dict.fromkeys(table["bin"]))
    wide = 0.84 / len(names)
    for slot, name in enumerate(names):
        rows = table[table["species"] == name].set_index("bin").loc[labels]
        at = np.arange(len(labels)) + (slot - (len(names) - 1) / 2) * wide
        bars = ax.bar(at, rows["share"], width=wide * 0.94, color=style.colour(name))
        ax.bar_label(
            bars, [style.number(n) for n in rows["boxes"]], padding=2, fontsize=8, color=style.INK
        )
    ax.set_xticks(range(len(labels)), labels)
    ax.set(ylabel="share of the species' boxes", ylim=(0, _room(table["share"], 1.12)))
    share = table["share"].max()
    ax.yaxis.set_major_formatter(style.PERCENT[0 if share >= 0.1 else 1 if share >= 0.01 else 2])
    style.value_grid(ax, "y")
    style.species_key(ax, names)
    return ax


def _room(values: pd.Series, factor: float) -> float:
    """Upper axis limit with room for labels, above 0 even for nothing."""
    top = float(values.max()) if len(values) else 0.0
    return (top or 1.0) * factor
