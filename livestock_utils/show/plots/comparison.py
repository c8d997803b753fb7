"""Runs side by side: scores by setting, and paired differences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from livestock_utils.evaluate.compare import runs
from livestock_utils.show.plots import style
from livestock_utils.show.plots.training import compare_runs


def run_differences(differences: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """mAP75 of each `setting` minus that of what it is held `against`, with its 95 % interval.
    Thin marks are single pairs of runs (lowest and highest); grey intervals hold 0."""
    ax = style.axes_or_new(ax, height_in=0.9 + 0.4 * max(len(differences), 2))
    if differences.empty:
        return style.say_empty(ax, "nothing was compared")
    places = np.arange(len(differences))[::-1]
    tones = style.sure_tones(differences["low"], differences["high"])
    names = [str(name) for name in differences["setting"]]
    style.interval_rows(ax, differences, places, names, tones, text_at="above")
    for place, row in zip(places, differences.to_dict("records"), strict=True):
        if row.get("pairs", 1) > 1:
            ends = [row["lowest_run"], row["highest_run"]]
            ax.plot(ends, [place] * 2, "|", color=style.INK, markersize=9)
    ax.set_ylim(-0.6, len(differences) - 0.3)
    ax.margins(x=0.08)
    against = set(differences.get("against", ()))
    than = f"minus that of {min(against)}" if len(against) == 1 else "gained"
    ax.set_xlabel(f"mAP75 {than}, 95 % interval over images")
    return ax


def setting_curves(
    scores: pd.DataFrame, results: Mapping[str, pd.DataFrame], ax: Axes | None = None
) -> Axes:
    """The mAP75 as logged: a line per setting, the mean over its seeds by epoch, each on its own
    validation set."""
    counts = scores["setting"].value_counts()
    lines = {
        name if counts[name] == 1 else f"{name} ({counts[name]} seeds)": table
        for name, table in runs.mean_results(scores, results).items()
    }
    return compare_runs(lines, "metrics/mAP_0.75", ax)
