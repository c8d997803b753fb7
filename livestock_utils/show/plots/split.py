"""Figures of a split: strata shared as promised, folds alike, no leak."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from livestock_utils.core import species
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


def fold_balance(table: pd.DataFrame, valid_fold: int = 0, ax: Axes | None = None) -> Axes:
    """Share of each label's images in every fold, coloured by how far it is from an even share,
    from `folds.fold_table`. Labels of fewer images than folds are left out: they cannot spread."""
    shares = table.pivot_table(index=["kind", "label"], columns="fold", values="share", sort=False)
    totals = table.groupby(["kind", "label"], sort=False)["images"].sum()
    folds = sorted(shares.columns)
    keys = [key for key in _in_reading_order(totals.index.tolist()) if totals[key] >= len(folds)]
    ax = style.axes_or_new(ax, height_in=1.0 + 0.3 * max(len(keys), 2))
    if not keys:
        return style.say_empty(ax, "")
    values = shares.reindex(keys)[folds].fillna(0).to_numpy(float)
    off = 100 * (values - 1 / len(folds))
    most = max(float(np.abs(off).max()), 1.0)
    drawn = ax.imshow(off, cmap="PRGn", vmin=-most, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        tone = "white" if abs(off[row, column]) > 0.6 * most else style.INK
        text = f"{100 * value:.0f} %"
        ax.text(column, row, text, ha="center", va="center", fontsize=9, color=tone)
    row, column = np.unravel_index(np.abs(off).argmax(), off.shape)
    look: dict[str, Any] = {"fill": False, "edgecolor": style.INK, "linewidth": 2}
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))
    names = [label if kind == "stratum" else f"{kind}: {label}" for kind, label in keys]
    named = [f"{name} (n = {totals[key]:,})" for name, key in zip(names, keys, strict=True)]
    ax.set_yticks(range(len(keys)), named)
    folds = [f"{fold} (validation)" if fold == valid_fold else str(fold) for fold in folds]
    ax.set_xticks(range(len(folds)), folds)
    ax.set_xlabel("fold; each row sums to 100 %, framed: furthest from an even share")
    ax.tick_params(length=0)
    ax.figure.colorbar(drawn, ax=ax, label="points from an even share", pad=0.02)
    return ax


def leakage(
    splits: Mapping[str, pd.DataFrame],
    images: pd.DataFrame,
    max_distance: int,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """How far each validation image is from its nearest training image, in bits, a panel for each
    named split, on equal axes. The tables are from `lookalikes.nearest_train`; up to `max_distance`
    (dashed) two photos look alike."""
    if axes is None:
        axes = style.grid_of_axes(len(splits), 1, 0.8 + 1.9 * len(splits), sharex=True, sharey=True)
    kinds = images.set_index("image_id")["species"].replace("", bins.NO_SPECIES)
    tops = [table["distance"].max() for table in splits.values() if len(table)]
    top = int(max([*tops, max_distance + 1]))
    for ax, (split, nearest) in zip(np.ravel(axes), splits.items(), strict=True):
        close = int((nearest["distance"] <= max_distance).sum())
        found = (
            f"{split}: {close:,} of {len(nearest):,} have a look-alike in train, left of the line"
        )
        ax.set_title(found, fontsize=10)
        if nearest.empty:
            style.say_empty(ax, "no validation images")
            continue
        base, of = np.zeros(top + 1), nearest["image_id"].map(kinds)
        for name in style.in_label_order(of):
            tally = np.bincount(nearest["distance"][of == name].astype(int), minlength=top + 1)
            ax.bar(np.arange(top + 1), tally, bottom=base, width=0.86, color=style.colour(name))
            base += tally
        ax.set(ylabel="validation images", xlim=(-0.7, top + 0.7))
        ax.axvline(max_distance + 0.5, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
        style.thousands(ax, "y", 4)
        style.value_grid(ax, "y")
    names = style.in_label_order(kinds)
    style.species_key(np.ravel(axes)[0], names)
    np.ravel(axes)[-1].set_xlabel("bits in which the hash of the nearest training image differs")
    return axes


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
