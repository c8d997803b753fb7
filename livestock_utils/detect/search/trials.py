"""A study as tables: its trials, the best one, what two objectives leave, which genes mattered."""

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
    """A row per trial, by number: trial, state, score, [second], genes, choices, epochs, seconds,
    worker (host and process), retry_of (number of the trial that failed before), reason. state:
    "complete", "pruned", "failed", "running", "waiting". A pruned trial's score is its last
    epoch's."""
    trials = study.get_trials(deepcopy=False)
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    rows = []
    for trial in trials:
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
    columns = "trial state score epochs seconds worker retry_of reason".split()
    table = pd.DataFrame(rows, columns=None if rows else columns)
    table["retry_of"] = table["retry_of"].astype("Int64")
    table.attrs["genes"] = names
    return table


def best_trial(table: pd.DataFrame) -> pd.Series:
    """The complete trial of the highest score, the earliest of equals; or TrainingError."""
    complete = table[table["state"] == "complete"]
    if complete.empty:
        pruned, failed = ((table["state"] == state).sum() for state in ("pruned", "failed"))
        first = next((f", the first: {reason}" for reason in table["reason"] if reason), "")
        raise TrainingError(
            f"no trial has finished ({pruned} pruned, {failed} failed{first}); correct that, or "
            "allow more trials"
        )
    return complete.iloc[int(complete["score"].to_numpy(float).argmax())]


def best_trials(table: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """The `n` best complete trials by falling score, and the base if not among them."""
    complete = table[table["state"] == "complete"]
    complete = complete.sort_values("score", ascending=False, kind="stable")
    chosen = pd.concat([complete.head(n), complete.iloc[n:].query("trial == 0")])
    return chosen.drop(columns=["state", "worker", "retry_of", "reason"])


def key_numbers(table: pd.DataFrame) -> dict[str, float | int | None]:
    """The numbers of a search for metrics.json: scores, trials by state, epochs."""
    best, counts = best_trial(table), table["state"].value_counts()
    base = table.loc[(table["trial"] == 0) & (table["state"] == "complete"), "score"]
    states = ("complete", "pruned", "failed")
    return {
        "best_score": float(best["score"]),
        "base_score": float(base.iloc[0]) if len(base) else None,
        "best_trial": int(best["trial"]),
        "trials_better": int((table["score"] > base.max()).sum()),
        **{f"trials_{state}": int(counts.get(state, 0)) for state in states},
        "epochs_trained": int(table["epochs"].sum()),
    }


def pareto(table: pd.DataFrame) -> pd.DataFrame:
    """Of a search with two objectives, the trials that none beats in both."""
    complete = table[table["state"] == "complete"].sort_values(
        ["score", "second"], ascending=[False, True]
    )
    return complete[complete["second"] < complete["second"].cummin().shift(fill_value=math.inf)]


def importances(study: "optuna.Study", seed: int = 0) -> pd.Series:
    """Share of the scores' variance that each gene explains (fANOVA, Hutter et al. 2014); says
    little below some 30 trials, empty below 4 or where all scores are equal."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 4 or len({trial.values[0] for trial in complete}) < 2:
        return pd.Series(dtype=float, name="importance")
    shares = get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(seed=seed), target=lambda trial: trial.values[0]
    )
    return pd.Series(shares, name="importance", dtype=float)


def so_far(table: pd.DataFrame) -> pd.DataFrame:
    """Finished and pruned trials in their order: trial, state, score, epochs_so_far (of all trials
    together) and best_so_far (of finished ones)."""
    done = table[table["state"].isin(["complete", "pruned"])]
    score = done["score"].astype(float).where(done["state"] == "complete")
    return done[["trial", "state", "score"]].assign(
        epochs_so_far=done["epochs"].cumsum(), best_so_far=np.fmax.accumulate(score.to_numpy())
    )


def gene_table(table: pd.DataFrame, genes: "Sequence[Gene]") -> pd.DataFrame:
    """Of each gene (the index) the columns span (the share of finished trials' values that the
    better half spans; small: they agree on it) and correlation (Spearman's, of score and gene). NaN
    below 4 trials and where nothing varies."""
    done = table[table["state"] == "complete"].sort_values("score", ascending=False)
    rows = {}
    for gene in genes:
        values = done[gene.name].astype(float)
        reached = np.log(values) if gene.log else values
        span, correlation = math.nan, math.nan
        if len(done) >= 4:
            whole = np.ptp(reached)
            span = float(np.ptp(reached[: len(done) // 2]) / whole) if whole else 1.0
        if len(done) >= 4 and done["score"].nunique() > 1:
            correlation = float(values.rank().corr(done["score"].rank()))
        rows[gene.name] = span, correlation
    return pd.DataFrame.from_dict(rows, orient="index", columns=["span", "correlation"])
