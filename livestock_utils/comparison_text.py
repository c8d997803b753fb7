"""What a comparison of runs says, in sentences computed from its tables."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from livestock_utils import run_folders, write_up

LITERATURE = (
    "Wilson et al. (2017, *The Marginal Value of Adaptive Gradient Methods*) found that SGD generalises better than "
    "Adam at equal tuning; Loshchilov and Hutter (2019, *Decoupled Weight Decay Regularization*) trace much of that to "
    "Adam's weight decay, which AdamW repairs; Choi et al. (2019, *On Empirical Comparisons of Optimizers*) show that "
    "the order depends on how widely each one is tuned, and Schmidt et al. (2021, *Descending through a Crowded "
    "Valley*) that tuning one optimiser is worth about as much as choosing another. How much of a gap a seed makes is "
    "the subject of Bouthillier et al. (2021, *Accounting for Variance in Machine Learning Benchmarks*)")


def left_out(runs: pd.DataFrame) -> str:
    """Which run folders no table uses, and why: unfinished, or no partner at the same epochs and recipe."""
    if runs.empty:
        return "There is no run folder yet: notebooks 05, 08, 10 and `batch` write them."
    groups = run_folders.questions(runs)
    used = {name for parts in groups.values() for part in parts for name in part["name"]}
    unfinished = runs.loc[~runs["finished"].astype(bool), "name"].tolist()
    alone = [name for name in runs["name"] if name not in used and name not in unfinished]
    said = [f"{len(used)} of {len(runs)} runs are compared, each only with runs of the same number of epochs"]
    if unfinished:
        said.append(f"not finished: {', '.join(unfinished)}")
    if alone:
        said.append(f"without a partner that differs in one thing only: {', '.join(alone)}")
    return "; ".join(said) + "."


def epochs(scores: pd.DataFrame) -> str:
    """Whether the runs of a table were trained equally long."""
    found = sorted(set(scores["epochs"]))
    if len(found) == 1:
        return f"All {len(scores)} runs were trained for {found[0]} epochs."
    return (f"The runs were trained for {', '.join(map(str, found[:-1]))} and {found[-1]} epochs, or patience ended "
            "some: the longer ones have an advantage.")


def differences(table: pd.DataFrame) -> str:
    """What the paired differences prove, and what they do not."""
    said = []
    for row in table.to_dict("records"):
        sure = row["low"] > 0 or row["high"] < 0
        seeds = (f"; its {row['pairs']} seeds lie between {row['lowest_run']:+.3f} and {row['highest_run']:+.3f}"
                 if row["pairs"] > 1 else "")
        verdict = "more than luck of the images" if sure else "no proof, the interval holds 0"
        said.append(f"{row['setting']} against {row['against']}: {row['difference']:+.3f} mAP75 "
                    f"({row['low']:+.3f} to {row['high']:+.3f}: {verdict}{seeds})")
    if not said:
        return "No two settings share a seed: there is nothing to pair."
    single = " One seed each: another seed may turn the order." if (table["pairs"] == 1).all() else ""
    return "; ".join(said) + "." + single


def optimisers(scores: pd.DataFrame | None) -> str:
    """SGD against AdamW: from the spread of our seeds where there are runs, with the literature; Markdown.

    `scores` is `comparison.run_scores` of the question "optimisers", or None without such runs. With at least two seeds
    each: Welch's t-interval of the difference of the means. Of several settings of an optimiser the best counts.
    """
    theirs = {row["name"]: row for row in write_up.scores()["optimisers"]}
    gap = theirs["SGD"]["mAP50-95"] - theirs["AdamW"]["mAP50-95"]
    written = (f"The write-up has SGD {gap:.4f} mAP50-95 above AdamW, from one run each; it names no other learning "
                "rate for AdamW than SGD's, whose usual one is ten times AdamW's")
    both: dict[str, np.ndarray] = {}
    for name, part in scores.groupby("setting") if scores is not None else ():
        kind, values = str(name).split(",")[0], part["mAP75"].to_numpy(float)
        if kind in ("SGD", "AdamW") and (kind not in both or values.mean() > both[kind].mean()):
            both[kind] = values
    if len(both) < 2:
        ours = ("Here no pair of such runs is at hand: `python -m livestock_utils batch "
                "notebooks/batches/optimisers.yaml --out DIR` trains them, three seeds each")
        return f"{ours}. {written}. {LITERATURE}."
    sgd, adamw = both["SGD"], both["AdamW"]
    difference = sgd.mean() - adamw.mean()
    ours = (f"Here SGD has mAP75 {sgd.mean():.3f} ({len(sgd)} seed{'s' if len(sgd) > 1 else ''}{_spread(sgd)}), AdamW "
            f"{adamw.mean():.3f} ({len(adamw)}{_spread(adamw)})")
    if min(len(sgd), len(adamw)) < 2:
        verdict = f"a difference of {difference:+.3f} between single runs, which another seed may turn"
    else:
        low, high = welch_interval(sgd, adamw)
        sure = low > 0 or high < 0
        verdict = (f"a difference of {difference:+.3f} with a 95 % interval over the seeds of {low:+.3f} to "
                   f"{high:+.3f}, which " + ("leaves 0 out" if sure else "holds 0: these seeds do not tell them apart"))
    return f"{ours}: {verdict}. {written}. {LITERATURE}."


def welch_interval(first: np.ndarray, second: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval of mean(first) - mean(second) by Welch's t; both need two values; (d, d) where neither spreads."""
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        value = float(first.mean() - second.mean())
        return value, value
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(level)
    return float(interval.low), float(interval.high)


def _spread(values: np.ndarray) -> str:
    spread = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return "" if math.isnan(spread) else f", standard deviation {spread:.3f}"
