"""Figures of silver labels: what they add, how true they are, and what training with them did."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.silver import making
from livestock_utils.evaluate.silver.effect import BETWEEN
from livestock_utils.show.plots import gallery, style


def silver_thresholds(
    curves: Mapping[str, pd.DataFrame],
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Precision of added boxes and unlabelled animals found, by threshold.
    `curves`: source -> `audit.threshold_curve`; `marks`: name -> threshold."""
    ax = style.axes_or_new(ax, height_in=3.8)
    ax.set(
        xlim=(0, 1),
        ylim=(0, 1.03),
        xlabel="confidence from which a prediction is added as a label",
        ylabel="share",
    )
    style.value_grid(ax, "both")
    ax.yaxis.set_major_formatter(style.PERCENT[0])
    drawn = {name: table for name, table in curves.items() if table["added"].any()}
    if not drawn:
        return style.say_empty(ax, "no prediction that no label overlaps")
    handles: list[Line2D] = []
    for (name, table), tone in zip(drawn.items(), style.LINES, strict=False):
        for column, dash, what in (
            ("precision", (0, ()), "added boxes that are right"),
            ("found", (0, (5, 2)), "unlabelled animals found"),
        ):
            if table[column].notna().any():
                handles += ax.plot(
                    table["confidence_threshold"],
                    table[column],
                    color=tone,
                    linestyle=dash,
                    label=f"{name}: {what}",
                )
    for name, value in (marks or {}).items():
        ax.axvline(value, color=style.MUTED, linewidth=1, linestyle=(0, (1, 1.5)))
        style.note(
            ax,
            f"{name} {value:g}",
            (value, 1.0),
            (3, 2),
            xycoords=ax.get_xaxis_transform(),
            fontsize=8,
            color=style.MUTED,
            va="bottom",
        )
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.18),
        ncols=2,
        handlelength=2.6,
        labelcolor=[line.get_color() for line in handles],
    )
    return ax


def silver_counts(
    before: pd.Series,
    after: Mapping[str, pd.Series],
    name: str = "cow",
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Boxes per image before (outline) and after (filled), a panel per mode; a long tail to the
    right is double boxes. Only images that get silver are counted; `name` gives the colour."""
    panels = max(len(after), 1)
    axes = (
        style.grid_of_axes(panels, 1, 0.6 + 1.45 * panels, sharex=True)[:, 0]
        if axes is None
        else axes
    )
    if not after:
        style.say_empty(axes[0], "no silver set")
    for ax, (mode, counts) in zip(axes, after.items(), strict=False):
        old = before.loc[counts.index].to_numpy(int)
        top = int(max(old.max(initial=0), counts.max()))
        place = np.arange(top + 1)
        new_tally, old_tally = (
            np.bincount(each, minlength=top + 1) for each in (counts.to_numpy(int), old)
        )
        ax.bar(place, new_tally, width=0.86, color=style.colour(name), alpha=0.55, label="after")
        ax.stairs(
            old_tally, np.arange(top + 2) - 0.5, color=style.INK, linewidth=1.4, label="before"
        )
        ax.set_title(f"{mode}: {len(counts):,} images")
        ax.set(ylabel="images", ylim=(0, 1.12 * max(new_tally.max(), old_tally.max())))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16))
        style.thousands(ax, "y", ticks=4)
        style.value_grid(ax, "y")
    if after:
        style.legend_above(axes[0], ncols=2, borderaxespad=0.2)
    axes[-1].set_xlabel("boxes in an image")
    return axes


def silver_audit(tables: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """A row per mode (`audit.audit`): animals with a label before and after, precision of
    silver."""
    ax = style.axes_or_new(ax, height_in=1.1 + 0.55 * max(len(tables), 1))
    if not tables:
        return style.say_empty(ax, "no silver set")
    tone = style.LINES[0]
    for y, (name, table) in zip(range(len(tables))[::-1], tables.items(), strict=True):
        row = table.iloc[-1]
        ax.plot(
            [row["recall_before"], row["recall"]], [y, y], color=style.FAINT, linewidth=5, zorder=1
        )
        for column, marker, shade in (
            ("recall_before", "o", style.NEUTRAL),
            ("recall", "o", tone),
            ("precision", "D", style.ALARM),
        ):
            if np.isfinite(row[column]):
                ax.scatter(row[column], y, marker=marker, s=52, color=shade, zorder=3)
        values = ", ".join(
            f"{text} {style.PERCENT[0](row[column])}"
            for column, text in (
                ("recall_before", "before"),
                ("recall", "after"),
                ("precision", "right"),
            )
            if np.isfinite(row[column])
        )
        style.note(
            ax,
            f"{name}: {values}",
            (0, y),
            (4, 13),
            xycoords=ax.get_yaxis_transform(),
            bbox=style.PAPER,
            zorder=4,
        )
    low = min(
        float(table[["recall_before", "recall", "precision"]].iloc[-1].min())
        for table in tables.values()
    )
    ax.set(
        xlim=(max(0.0, np.floor(10 * low - 0.5) / 10) if np.isfinite(low) else 0, 1.02),
        ylim=(-0.5, len(tables) - 0.25),
        yticks=[],
    )
    ax.set_xlabel("share of the animals (dots) or of the silver boxes (diamond)")
    ax.xaxis.set_major_formatter(style.PERCENT[0])
    style.value_grid(ax, "x")
    handles = [
        Line2D([], [], marker=marker, linestyle="", color=shade, label=text)
        for marker, shade, text in (
            ("o", style.NEUTRAL, "animals with a label, before"),
            ("o", tone, "after"),
            ("D", style.ALARM, "silver boxes that are right"),
        )
    ]
    style.legend_above(ax, handles=handles, ncols=3, handlelength=0.8, borderaxespad=0.2)
    return ax


def silver_examples(
    made: making.Silver, photos: Photos, source_ids: Sequence[str] | None = None, n: int = 3
) -> np.ndarray:
    """Photos twice: left with people's labels, right as the silver set has them (silver dashed).
    Shown are `source_ids`, else the `n` images with most silver and ignored boxes."""
    if source_ids is None:
        changed = made.labels.loc[made.labels["origin"] != making.GOLD, "source_id"]
        most = changed.value_counts(sort=True).sort_index(kind="stable")
        source_ids = most.sort_values(ascending=False, kind="stable").index[:n].tolist()
    cells: list[gallery.Cell] = []
    for source_id in source_ids:
        gold = photos.boxes[photos.boxes["image_id"] == source_id]
        cells.append(gallery.Cell(source_id, gold, f"{source_id}: {len(gold)} labelled"))
        mine = made.labels[made.labels["source_id"] == source_id]
        tally = mine["origin"].value_counts()
        kinds = (kind for kind in (making.GOLD, making.SILVER, making.IGNORED) if kind in tally)
        cells.append(
            gallery.Cell(
                source_id,
                mine.loc[mine["origin"] == making.GOLD].drop(columns="confidence"),
                ", ".join(f"{tally[kind]} {kind}" for kind in kinds),
                None,
                functools.partial(_draw_silver, boxes=mine[mine["origin"] != making.GOLD]),
            )
        )
    rows = made.images.set_index("source_id").loc[list(source_ids)]
    tall = (rows["height_px"] / rows["width_px"]).tolist()
    return gallery.photo_grid(photos, cells, 2, tall, "no silver images")


def _draw_silver(ax: Axes, boxes: pd.DataFrame) -> None:
    for box in boxes.to_dict("records"):
        if box["origin"] == making.IGNORED:
            style.outline(ax, box, fill=True, facecolor=style.NEUTRAL, alpha=0.5, hatch="//")
            continue
        style.outline(ax, box, edgecolor="white", linewidth=3, alpha=0.7)
        tone = style.colour(box["species"])
        style.outline(ax, box, edgecolor=tone, linewidth=1.8, linestyle=(0, (3, 2)))
        style.confidence_tag(ax, box, (box["x_min"], box["y_min"]))


def silver_effect(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Gain of the expanded training over gold alone with its interval, by answers and class,
    from `effect.effect_table`."""
    groups = list(dict.fromkeys(table["answers"]))
    ax = style.axes_or_new(ax, height_in=0.9 + 0.26 * max(len(table), 3) + 0.25 * len(groups))
    if table.empty:
        return style.say_empty(ax, "no answers to compare on")
    y, ticks = 0.0, []
    for group in groups:
        name = " minus ".join(groups[:2]) if group == BETWEEN else group
        place = {"xycoords": ax.get_yaxis_transform(), "bbox": style.PAPER, "zorder": 4}
        style.note(ax, name, (0, y), (4, 0), fontweight="bold", **place)
        size = int((table["answers"] == group).sum())
        ticks += [y - 1 - number for number in range(size)]
        y -= size + 1.1
    ordered = table.assign(group=table["answers"].map(groups.index))
    ordered = ordered.sort_values("group", kind="stable")
    tones = [style.colour(name) if name != "all" else style.INK for name in ordered["class"]]
    style.interval_rows(
        ax,
        ordered,
        ticks,
        ordered["class"].tolist(),
        tones,
        width=2,
        cap="projecting",
        marks=[""] * len(ticks),
        text_at="margin",
        text_tones=tones,
    )
    for value, at, tone in zip(ordered["difference"], ticks, tones, strict=True):
        ax.scatter(value, at, color=tone, s=34, zorder=3)
    reach = 1.08 * max(float(table[["low", "high", "difference"]].abs().max().max()), 0.005)
    ax.set(
        xlim=(-reach, reach),
        ylim=(y + 0.5, 0.7),
        xlabel=f"AP{100 * table.attrs.get('iou_threshold', 0.75):g}: expanded minus gold, with "
        f"{table.attrs.get('level', 0.95):.0%} interval",
    )
    return ax
