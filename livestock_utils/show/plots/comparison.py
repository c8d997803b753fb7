"""Runs side by side: scores by setting, and paired differences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from livestock_utils.evaluate.compare import runs
from livestock_utils.show.plots import style
from livestock_utils.show.plots.training import compare_runs

_SCORES = (
    ("mAP75", style.LINES[0], "o"),
    ("mAP50-95", style.MUTED, "s"),
    ("mAP50", style.LINES[3], "^"),
)
"""Scores of `run_scores`, the contest's first, with colour and mark."""


def run_scores(scores: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """A mark per run by setting and a bar at the mean, for each of _SCORES."""
    settings = list(dict.fromkeys(scores["setting"])) if len(scores) else []
    ax = style.axes_or_new(ax, height_in=0.9 + 0.55 * max(len(settings), 2))
    if not settings:
        return style.say_empty(ax, "no runs to compare")
    for (metric, tone, marker), offset in zip(_SCORES, (0.25, 0.0, -0.25), strict=True):
        for place, name in enumerate(reversed(settings)):
            values = scores.loc[scores["setting"] == name, metric].to_numpy(float)
            at = place + offset
            ax.plot([values.mean()] * 2, [at - 0.1, at + 0.1], color=tone, linewidth=2.4, zorder=2)
            ax.scatter(
                values,
                np.full(len(values), at),
                s=24,
                marker=marker,
                color=tone,
                zorder=3,
                alpha=0.8,
                label=metric if place == 0 else None,
            )
    ax.set_yticks(range(len(settings)), settings[::-1])
    ax.set(
        xlabel="score on the same validation images; dot: one run, bar: mean",
        ylim=(-0.5, len(settings) - 0.5),
    )
    ax.margins(x=0.06)
    style.legend_above(ax, ncols=len(_SCORES))
    style.value_grid(ax, "x")
    return ax


def run_differences(differences: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """mAP75 of each setting minus the reference's with its 95 % interval.
    Thin marks are single pairs of runs (lowest and highest); grey lines cross 0: no proof."""
    ax = style.axes_or_new(ax, height_in=0.9 + 0.4 * max(len(differences), 2))
    if differences.empty:
        return style.say_empty(ax, "no pair of runs with the same seed")
    places = np.arange(len(differences))[::-1]
    tones = style.sure_tones(differences["low"], differences["high"])
    names = [str(name) for name in differences["setting"]]
    style.interval_rows(ax, differences, places, names, tones, text_at="above")
    for place, row in zip(places, differences.to_dict("records"), strict=True):
        if row["pairs"] > 1:
            ends = [row["lowest_run"], row["highest_run"]]
            ax.plot(ends, [place] * 2, "|", color=style.INK, markersize=9)
    ax.set_ylim(-0.6, len(differences) - 0.3)
    ax.margins(x=0.08)
    ax.set_xlabel(
        f"mAP75 minus that of {differences['against'].iloc[0]}, 95 % interval over images"
    )
    return ax


def setting_curves(
    scores: pd.DataFrame,
    results: Mapping[str, pd.DataFrame],
    column: str = "metrics/mAP_0.75",
    ax: Axes | None = None,
) -> Axes:
    """A line per setting, the mean over its seeds by epoch, each on its own validation set."""
    counts = scores["setting"].value_counts()
    lines = {
        name if counts[name] == 1 else f"{name} ({counts[name]} seeds)": table
        for name, table in runs.mean_results(scores, results).items()
    }
    return compare_runs(lines, column, ax)
