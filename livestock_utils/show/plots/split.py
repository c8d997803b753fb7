"""Figures of a split: strata shared as promised, folds alike, no leak."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from livestock_utils.core import species
from livestock_utils.core.text import percent
from livestock_utils.data.eda import bins
from livestock_utils.show.plots import style

_ALLOWED_POINTS = 0.5
"""How far a stratum's share may be off, in percentage points; small strata within one image."""


def split_balance(table: pd.DataFrame, part: str = "train", ax: Axes | None = None) -> Axes:
    """Share in `part` of each stratum (dot) against the promise (bar: half a point or one
    image), from `folds.balance_table` or `summary.kept_strata`."""
    ax = style.axes_or_new(ax, height_in=0.9 + 0.34 * max(len(table), 2))
    if table.empty:
        return style.say_empty(ax, "no strata")
    height = np.arange(len(table))[::-1]
    half = np.maximum(_ALLOWED_POINTS / 100, 1 / table["images"].to_numpy())
    target, share = table["target"].to_numpy(), table["share_in_train"].to_numpy()
    low, high = np.maximum(target - half, 0), np.minimum(target + half, 1)
    ax.barh(height, high - low, left=low, height=0.62, color=style.FAINT)
    ax.vlines(target, height - 0.42, height + 0.42, color=style.MUTED, linewidth=1)
    ax.scatter(
        share, height, s=52, color=[style.colour(name) for name in table["species"]], zorder=3
    )
    reach = 1.15 * max(float(np.abs(share - target).max()), float((high - low).max()) / 2, 0.01)
    ax.set(
        xlim=(float(target.min()) - reach, min(float(target.max()) + reach, 1.01)),
        ylim=(-0.6, len(table) - 0.4),
        xlabel=f"share of the stratum's images that are in {part} (grey: within ½ point or one "
        "image of the target)",
    )
    ax.set_yticks(height, table["species"] + "  " + table["count_bin"].astype(str))
    for y, row in zip(height, table.to_dict("records"), strict=True):
        style.note(
            ax,
            f"{row['train']:,} of {row['images']:,}",
            (1, y),
            (6, 0),
            xycoords=("axes fraction", "data"),
            color=style.MUTED,
        )
    ax.xaxis.set_major_formatter(style.PERCENT[0 if reach > 0.03 else 1])
    style.value_grid(ax, "x")
    return ax


def fold_balance(
    table: pd.DataFrame, valid_fold: int = 0, columns: int = 5, axes: np.ndarray | None = None
) -> np.ndarray:
    """How each label's images spread over the folds, a panel per label, from `folds.fold_table`.
    Labels with fewer images than folds are left out: they cannot spread."""
    folds = sorted(table["fold"].unique())
    totals = table.groupby(["kind", "label"], sort=False)["images"].sum()
    keys = [key for key in _in_reading_order(totals.index.tolist()) if totals[key] >= len(folds)]
    rows = max(math.ceil(len(keys) / columns), 1)
    if axes is None:
        axes = style.grid_of_axes(rows, columns, 0.35 + 1.22 * rows, sharex=True, sharey=True)
    if not keys:
        for ax in axes.flat:
            style.say_empty(ax, "")
        return axes
    for ax, (kind, label) in zip(axes.flat, keys, strict=False):
        mine = table[(table["kind"] == kind) & (table["label"] == label)]
        tone = style.colour(label.split("-")[0]) if kind == "stratum" else style.NEUTRAL
        for number, share in zip(mine["fold"], mine["share"], strict=True):
            ax.bar(
                number, share, color=tone, alpha=1.0 if number == valid_fold else 0.42, width=0.8
            )
        ax.axhline(1 / len(folds), color=style.INK, linewidth=0.9, linestyle=(0, (4, 3)))
        name = label.replace("-", " ") if kind == "stratum" else f"{kind}: {label}"
        ax.set_title(
            f"{name}\n{mine['images'].sum():,} images",
            fontsize=8,
            fontweight="normal",
            linespacing=1.05,
        )
        ax.set_ylim(0, 2.2 / len(folds))
        ax.set_xticks(folds)
        ax.tick_params(length=0, labelsize=8)
        ax.yaxis.set_major_formatter(style.PERCENT[0])
    for ax in axes.flat[len(keys) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("share", fontsize=8)
    style.figure_of(axes).supxlabel(
        f"fold (dark: fold {valid_fold}, the validation set)", fontsize=9
    )
    return axes


def leakage(
    nearest: pd.DataFrame, images: pd.DataFrame, max_distance: int, ax: Axes | None = None
) -> Axes:
    """How far each validation image is from its nearest training image, in bits. `nearest` is from
    `lookalikes.nearest_train`; up to `max_distance` (dashed) two photos look alike."""
    ax = style.axes_or_new(ax, height_in=3.0)
    if nearest.empty:
        return style.say_empty(ax, "no validation images")
    nearest = nearest.assign(
        species=nearest["image_id"].map(images.set_index("image_id")["species"])
    )
    top = max(int(nearest["distance"].max()), max_distance + 1)
    base = np.zeros(top + 1)
    names = style.in_label_order(nearest["species"])
    for name in names:
        tally = np.bincount(
            nearest.loc[nearest["species"] == name, "distance"].astype(int), minlength=top + 1
        )
        ax.bar(np.arange(top + 1), tally, bottom=base, width=0.86, color=style.colour(name))
        base += tally
    ax.set(
        xlabel="bits in which the hash of the nearest training image differs",
        xlim=(-0.7, top + 0.7),
        ylim=(0, 1.18 * base.max()),
        ylabel="validation images",
    )
    close = int((nearest["distance"] <= max_distance).sum())
    ax.axvline(max_distance + 0.5, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    share = percent(close / len(nearest))
    finding = (
        f"left of the line: {close:,} of {len(nearest):,} ({share}) have a look-alike in train"
    )
    style.note(
        ax,
        finding,
        (max_distance + 0.5, 0.97),
        (6, 0),
        xycoords=ax.get_xaxis_transform(),
        va="top",
        bbox=style.PAPER,
    )
    style.thousands(ax, "y")
    style.value_grid(ax, "y")
    style.species_key(ax, names)
    return ax


def set_sizes(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Images of each set (rows) by species (stacked); columns set, species, images."""
    ax = style.axes_or_new(ax, height_in=0.75 + 0.42 * max(table["set"].nunique(), 2))
    if table.empty:
        return style.say_empty(ax, "no sets")
    sets = list(dict.fromkeys(table["set"]))[::-1]
    left = np.zeros(len(sets))
    names = style.in_label_order(table["species"])
    for name in names:
        mine = (
            table[table["species"] == name].set_index("set")["images"].reindex(sets, fill_value=0)
        )
        bars = ax.barh(sets, mine, left=left, color=style.colour(name), height=0.64)
        wide = mine.to_numpy() > 0.035 * table.groupby("set")["images"].sum().max()
        ax.bar_label(
            bars,
            [style.number(n) if fits else "" for n, fits in zip(mine, wide, strict=True)],
            label_type="center",
            color="white",
            fontsize=9,
        )
        left += mine.to_numpy()
    mix = table.pivot_table(
        index="set", columns="species", values="images", aggfunc="sum", fill_value=0
    )
    for y, (name, total) in enumerate(zip(sets, left, strict=True)):
        each = " + ".join(style.number(mix.loc[name, species_name]) for species_name in names)
        style.note(
            ax,
            f"{style.number(total)} = {each}" if len(names) > 1 else style.number(total),
            (total, y),
            (5, 0),
        )
    ax.set(xlabel="number of images", xlim=(0, 1.25 * max(left.max(), 1)))
    style.thousands(ax, "x")
    style.value_grid(ax, "x")
    style.species_key(ax, names)
    return ax


def _in_reading_order(keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(kind, label) with the strata first, in class and count order; the rest as it was."""
    strata = [f"{name}-{label}" for name in species.names() for label in bins.COUNT_BINS]
    return sorted(keys, key=lambda key: strata.index(key[1]) if key[1] in strata else len(strata))
