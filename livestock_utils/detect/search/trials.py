"""A study as tables: its trials, the best, the front, which genes mattered."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from livestock_utils.core.errors import TrainingError

if TYPE_CHECKING:
    import optuna

    from livestock_utils.detect.search.genes import Gene


def trials_table(study: "optuna.Study") -> pd.DataFrame:
    """A row per trial, by number: trial, state, score, [second], genes, choices.

    state: "complete", "pruned", "failed", "running", "waiting". Further columns: epochs, seconds,
    worker (host and process), retry_of (number of the trial that failed before) and reason. A
    pruned trial's score is its last epoch's.
    """
    names = list(
        dict.fromkeys(name for trial in study.get_trials(deepcopy=False) for name in trial.params)
    )
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if "skipped" in trial.user_attrs:
            continue
        values = list(trial.values or ()) + [math.nan, math.nan]
        began, ended = trial.datetime_start, trial.datetime_complete
        rows.append(
            {
                "trial": trial.number,
                "state": {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower()),
                "score": values[0],
                **({"second": values[1]} if len(study.directions) > 1 else {}),
                **{name: trial.params.get(name) for name in names},
                "epochs": trial.user_attrs.get("epochs", 0),
                "seconds": (ended - began).total_seconds() if began and ended else math.nan,
                "worker": " ".join(str(trial.user_attrs.get("worker", "")).split()[:2]),
                "retry_of": trial.system_attrs.get("failed_trial"),
                "reason": trial.user_attrs.get("reason", ""),
            }
        )
    table = pd.DataFrame(
        rows,
        columns=None
        if rows
        else ["trial", "state", "score", "epochs", "seconds", "worker", "retry_of", "reason"],
    )
    table["retry_of"] = table["retry_of"].astype("Int64")
    table.attrs["genes"] = names
    return table


def best_trial(table: pd.DataFrame) -> pd.Series:
    """The complete trial of the highest score, the earliest of equals; or TrainingError."""
    complete = table[table["state"] == "complete"]
    if complete.empty:
        counts = table["state"].value_counts()
        reasons = [reason for reason in table["reason"] if reason]
        raise TrainingError(
            f"no trial has finished ({int(counts.get('pruned', 0))} pruned, "
            f"{int(counts.get('failed', 0))} "
            f"failed{f', the first: {reasons[0]}' if reasons else ''}); correct that, or allow "
            "more trials"
        )
    return complete.iloc[int(complete["score"].to_numpy(float).argmax())]


def best_trials(table: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """The `n` best complete trials by falling score, and the base if not among them."""
    complete = table[table["state"] == "complete"].sort_values(
        "score", ascending=False, kind="stable"
    )
    chosen = pd.concat([complete.head(n), complete.iloc[n:].query("trial == 0")])
    return chosen.drop(columns=["state", "worker", "retry_of", "reason"])


def key_numbers(table: pd.DataFrame) -> dict[str, float | int | None]:
    """The numbers of a search for metrics.json: scores, trials by state, epochs."""
    counts = table["state"].value_counts()
    base = table.loc[(table["trial"] == 0) & (table["state"] == "complete"), "score"]
    return {
        "best_score": float(best_trial(table)["score"]),
        "base_score": float(base.iloc[0]) if len(base) else None,
        "best_trial": int(best_trial(table)["trial"]),
        **{
            f"trials_{state}": int(counts.get(state, 0))
            for state in ("complete", "pruned", "failed")
        },
        "epochs_trained": int(table["epochs"].sum()),
    }


def pareto(table: pd.DataFrame) -> pd.DataFrame:
    """Of a search with two objectives, the trials that none beats in both."""
    complete = table[table["state"] == "complete"].sort_values(
        ["score", "second"], ascending=[False, True]
    )
    return complete[complete["second"] < complete["second"].cummin().shift(fill_value=math.inf)]


def importances(study: "optuna.Study", seed: int = 0) -> pd.Series:
    """Share of the scores' variance that each gene explains (fANOVA, Hutter et al. 2014).

    Needs at least 4 complete trials with unlike scores, and says little below some 30; empty where
    it cannot be told.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 4 or len({trial.values[0] for trial in complete}) < 2:
        return pd.Series(dtype=float, name="importance")
    shares = get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(seed=seed), target=lambda trial: trial.values[0]
    )
    return pd.Series(shares, name="importance", dtype=float)


def so_far_sentence(table: pd.DataFrame) -> str:
    """When the best score was reached, in epochs trained, and how much came after it."""
    done = table[table["state"].isin(["complete", "pruned"])]
    epochs, best = done["epochs"].to_numpy(float).cumsum(), best_trial(table)
    at = float(epochs[(done["trial"] == best["trial"]).to_numpy()][0])
    return (
        f"The best score came after {at:,.0f} of {epochs[-1]:,.0f} epochs; the "
        f"{epochs[-1] - at:,.0f} that followed brought nothing better."
    )


def agreement_sentence(table: pd.DataFrame, genes: "Sequence[Gene]") -> str:
    """On which gene the better half of the trials agrees most, against the other half."""
    done = table[table["state"] == "complete"].sort_values("score", ascending=False)
    if len(done) < 4:
        return (
            f"With {len(done)} finished trials there is nothing to compare: at least 4 are needed."
        )
    half = len(done) // 2
    spans = {}
    for gene in genes:
        values = done[gene.name].to_numpy(float)
        values = np.log(values) if gene.log else values
        reach = np.ptp(values)
        spans[gene.name] = np.ptp(values[:half]) / reach if reach else 1.0
    name = min(spans, key=lambda key: spans[key])
    doubt = "" if len(done) >= 20 else ", which so few trials may do by chance"
    return (
        f"The better {half} of {len(done)} trials lie closest together in {name}: they use "
        f"{100 * spans[name]:.0f} % of what all trials span{doubt}."
    )


def slices_sentence(table: pd.DataFrame, genes: "Sequence[Gene]") -> str:
    """With which gene the score rises or falls most steadily (Spearman's rank correlation)."""
    done = table[table["state"] == "complete"]
    if len(done) < 4 or done["score"].nunique() < 2:
        return f"With {len(done)} finished trials no slope can be told from chance."
    ranks = {
        gene.name: done[gene.name].astype(float).rank().corr(done["score"].rank()) for gene in genes
    }
    known = {name: value for name, value in ranks.items() if value == value}
    if not known:
        return "No gene has changed."
    name = max(known, key=lambda key: abs(known[key]))
    sure = abs(known[name]) * (len(done) - 1) ** 0.5 > 1.96
    way, than = "rises" if known[name] > 0 else "falls", "more than" if sure else "no more than"
    return (
        f"The score {way} most steadily with {name} (rank correlation {known[name]:+.2f} over "
        f"{len(done)} trials, {than} chance for one gene)."
    )


def importance_sentence(shares: pd.Series, finished: int) -> str:
    """The genes that explain most of the scores' variance, and how far that can be trusted."""
    if shares.empty:
        return "Too few finished trials, or all with the same score: no gene's share can be told."
    trust = "" if finished >= 30 else f"; {finished} trials say little, some 30 are needed"
    return f"{shares.index[0]} explains most, {shares.iloc[0]:.0%} of the variance{trust}.".replace(
        "%", " %"
    )


def sentence(table: pd.DataFrame) -> str:
    """What a search gave: how many trials, the best score against the base's."""
    best = best_trial(table)
    counts = table["state"].value_counts()
    done = (
        f"{int(counts.get('complete', 0))} trials finished, {int(counts.get('pruned', 0))} were "
        "pruned"
    )
    if failed := int(counts.get("failed", 0)):
        done += f", {failed} failed"
    first = table[(table["trial"] == 0) & (table["state"] == "complete")]
    if first.empty or int(best["trial"]) == 0:
        return f"{done}; the best score is {best['score']:.3f}" + (
            ", the base's own." if len(first) else "."
        )
    gain = float(best["score"]) - float(first["score"].iloc[0])
    return (
        f"{done}; the best score is {best['score']:.3f} (trial {int(best['trial'])}), {gain:+.3f} "
        "against the base. The best of many noisy trials flatters itself: train both with other "
        "seeds before believing it."
    )
