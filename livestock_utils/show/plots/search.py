"""A hyperparameter search: gained by which epoch, shared genes, their weight."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from livestock_utils.detect.search.genes import Gene
from livestock_utils.show.plots import style

_BASE: dict[str, Any] = {
    "color": style.MUTED,
    "linewidth": 1,
    "linestyle": (0, (4, 2)),
    "zorder": 1,
}
"""The line of the settings that the search began with."""


def best_so_far(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Score of each trial by epochs trained, and the best until then, from `trials.so_far`.
    The dashed line is trial 0, the base; hollow marks were pruned (score of their last epoch)."""
    ax = style.axes_or_new(ax, height_in=3.4)
    complete = table["state"].eq("complete").to_numpy()
    if not complete.any():
        return style.say_empty(ax, "no trial has finished")
    epochs, score, best = (
        table[name].to_numpy(float) for name in ("epochs_so_far", "score", "best_so_far")
    )
    ax.step(epochs, best, where="post", color=style.LINES[0], zorder=2)
    ax.scatter(
        epochs[complete], score[complete], s=26, color=style.LINES[0], zorder=3, label="finished"
    )
    if (~complete).any():
        ax.scatter(
            epochs[~complete],
            score[~complete],
            s=26,
            facecolor="white",
            edgecolor=style.MUTED,
            zorder=3,
            label="pruned",
        )
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    base = table.loc[(table["trial"] == 0) & complete, "score"]
    ends = [(float(epochs[-1]), float(best[-1]), f"best {best[-1]:.3f}", style.LINES[0])]
    if len(base):
        ax.plot([0, epochs[-1]], [base.iloc[0]] * 2, **_BASE)
        ends.append(
            (float(epochs[-1]), float(base.iloc[0]), f"base {base.iloc[0]:.3f}", style.MUTED)
        )
    ax.set(
        xlabel="epochs trained by all trials so far", ylabel="score (mAP75 unless set otherwise)"
    )
    ax.set_xlim(0, epochs[-1] * 1.01)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    style.value_grid(ax, "y")
    style.label_line_ends(ax, ends)
    return ax


def gene_coordinates(table: pd.DataFrame, genes: Sequence[Gene], ax: Axes | None = None) -> Axes:
    """A line per trial through an axis per gene (Inselberg 1985), coloured by rank, best thick."""
    ax = style.axes_or_new(ax, height_in=3.8)
    done = table[table["state"] == "complete"].sort_values("score")
    if done.empty:
        return style.say_empty(ax, "no trial has finished")
    places = list(range(len(genes)))
    heights = np.stack([_share(done[gene.name].to_numpy(float), gene) for gene in genes], axis=1)
    score = done["score"].to_numpy(float)
    high, ranks = float(score.max()), done["score"].rank(method="min").to_numpy(float)
    colours = plt.get_cmap("cividis")
    for row, value, rank in zip(heights, score, ranks, strict=True):
        best = value == high
        ax.plot(
            places,
            row,
            color=colours((rank - 1) / max(len(done) - 1, 1)),
            marker="o",
            markersize=3.5,
            linewidth=3 if best else 1.4,
            alpha=1 if best else 0.85,
            zorder=3 if best else 2,
        )
    crowded = len(genes) > 7
    for place, gene in zip(places, genes, strict=True):
        ax.axvline(place, color=style.FAINT, linewidth=1, zorder=0)
        for y, value, side in ((0, gene.low, "top"), (1, gene.high, "bottom")):
            style.note(
                ax,
                f"{value:g}",
                (place, y),
                (0, -5 if y == 0 else 5),
                ha="center",
                va=side,
                fontsize=7 if crowded else 8,
                color=style.MUTED,
                rotation=90 if crowded else 0,
            )
    ax.set_xticks(
        places,
        [f"{gene.name}{' (log)' if gene.log else ''}" for gene in genes],
        rotation=60 if crowded else 0,
        ha="right" if crowded else "center",
    )
    ax.set(
        ylim=(-0.13, 1.13),
        yticks=[],
        ylabel="the gene's range, low to high",
        xlim=(-0.4, len(genes) - 0.6),
    )
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", length=0)
    bar = style.figure_of(ax).colorbar(
        plt.cm.ScalarMappable(plt.Normalize(0, 1), colours),
        ax=ax,
        pad=0.02,
        label="trials by rank of their score",
    )
    bar.set_ticks(
        [0, 0.5, 1], labels=[f"{score[0]:.3f}", f"{float(np.median(score)):.3f}", f"{high:.3f}"]
    )
    return ax


def gene_importance(shares: pd.Series, ax: Axes | None = None) -> Axes:
    """Share of the scores' variance that each gene explains, from `trials.importances`."""
    ax = style.axes_or_new(ax, height_in=0.9 + 0.26 * max(len(shares), 3))
    if shares.empty:
        return style.say_empty(ax, "too few finished trials, or all with the same score")
    ordered = shares.sort_values()
    ax.barh(np.arange(len(ordered)), ordered.to_numpy(float), color=style.LINES[0], height=0.66)
    for place, value in enumerate(ordered.to_numpy(float)):
        style.note(ax, f"{value:.0%}".replace("%", " %"), (value, place), (4, 0))
    ax.set_yticks(np.arange(len(ordered)), [str(name) for name in ordered.index])
    ax.xaxis.set_major_formatter(style.PERCENT[0])
    ax.set_xlabel("share of the variance of the scores (fANOVA)")
    ax.margins(x=0.12)
    style.value_grid(ax, "x")
    return ax


def gene_slices(
    table: pd.DataFrame, genes: Sequence[Gene], axes: np.ndarray | None = None
) -> np.ndarray:
    """Score by each gene's value, a panel per gene; the darker, the later the trial. The dashed
    line is the base's value; triangles at the lower edge scored far less than the others."""
    columns = min(4, max(len(genes), 1))
    rows = -(-len(genes) // columns)
    if axes is None:
        axes = style.grid_of_axes(rows, columns, 0.3 + 2.0 * rows, sharey=True)
    flat = np.ravel(axes)
    done = table[table["state"] == "complete"]
    base = done[done["trial"] == 0]
    floor = _low_fence(done["score"])
    for ax, gene in zip(flat, genes, strict=False):
        ax.set(xlabel=f"{gene.name}{' (log)' if gene.log else ''}")
        if gene.log:
            ax.set_xscale("log")
            ax.minorticks_off()
            ax.set_xticks([gene.low, gene.high], [f"{gene.low:g}", f"{gene.high:g}"])
        room = (gene.high / gene.low) ** 0.05 if gene.log else (gene.high - gene.low) * 0.05
        ax.set_xlim(
            *(
                (gene.low / room, gene.high * room)
                if gene.log
                else (gene.low - room, gene.high + room)
            )
        )
        if not gene.log:
            ax.xaxis.set_major_locator(MaxNLocator(3))
        if done.empty:
            style.say_empty(ax, "no trials")
            continue
        if len(base):
            ax.axvline(float(base[gene.name].iloc[0]), **_BASE)
        below = (done["score"] < floor).to_numpy()
        values, heights = (
            done[gene.name].to_numpy(float),
            done["score"].clip(lower=floor).to_numpy(float),
        )
        for chosen, marker in ((~below, "o"), (below, "v")):
            ax.scatter(
                values[chosen],
                heights[chosen],
                c=np.arange(len(done))[chosen],
                cmap="cividis_r",
                vmin=0,
                vmax=max(len(done) - 1, 1),
                s=26,
                marker=marker,
                edgecolor=style.INK,
                linewidth=0.4,
                zorder=3,
            )
        style.value_grid(ax, "y")
    for ax in flat[len(genes) :]:
        ax.set_visible(False)
    for row in np.atleast_2d(axes):
        row[0].set_ylabel("score")
    if len(done) > 1:
        scale = plt.cm.ScalarMappable(plt.Normalize(0, 1), plt.get_cmap("cividis_r"))
        bar = style.figure_of(axes).colorbar(
            scale, ax=list(flat), pad=0.02, label="trials in their order"
        )
        bar.set_ticks([0, 1], labels=["first", "last"])
    return axes


def trial_front(
    table: pd.DataFrame, best: pd.DataFrame, against: str, ax: Axes | None = None
) -> Axes:
    """Score against the second objective of each finished trial; `best` (`trials.pareto`)
    joined."""
    ax = style.axes_or_new(ax, height_in=3.4)
    done = table[table["state"] == "complete"]
    if done.empty:
        return style.say_empty(ax, "no trial has finished")
    ax.scatter(
        done["second"], done["score"], s=26, facecolor="white", edgecolor=style.MUTED, zorder=2
    )
    line = best.sort_values("second")
    ax.plot(line["second"], line["score"], color=style.LINES[0], marker="o", markersize=5, zorder=3)
    names = {
        "latency_ms": "latency of one image, ms (lower is better)",
        "weights_mb": "size of the weights, MB of 10⁶ bytes (lower is better)",
    }
    ax.set(xlabel=names.get(against, against), ylabel="score (mAP75 unless set otherwise)")
    style.value_grid(ax, "both")
    return ax


def _low_fence(scores: pd.Series) -> float:
    """Where the scale may end below: Tukey's fence, against one failed trial."""
    if scores.empty:
        return 0.0
    low, high = scores.quantile([0.25, 0.75])
    return float(max(scores.min(), low - 1.5 * max(high - low, 1e-6)))


def _share(values: np.ndarray, gene: Gene) -> np.ndarray:
    """Where values lie in the gene's range, 0 to 1."""
    scale = np.log if gene.log else np.asarray
    low, high = scale([gene.low, gene.high])
    return (scale(values.clip(gene.low, gene.high)) - low) / (high - low)
