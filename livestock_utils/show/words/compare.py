"""What a comparison of runs says, in sentences computed from its tables."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from livestock_utils.core.text import count, first_up, listed
from livestock_utils.data.eda import write_up as published
from livestock_utils.evaluate.compare import runs as run_folders
from livestock_utils.evaluate.compare import tables

_LEARNING, _UNTRAINED = 0.5, 0.1
"""mAP75 below which a network still learns, and below which it hardly does."""
_SEEDS_NEEDED = 3
"""With fewer a side, the interval of a mean over seeds says next to nothing."""
_LITERATURE = (
    "Wilson et al. (2017, *The Marginal Value of Adaptive Gradient Methods*) found that SGD "
    "generalises better than Adam at equal tuning; Loshchilov and Hutter (2019, *Decoupled Weight "
    "Decay Regularization*) trace much of that to Adam's weight decay, which AdamW repairs; Choi "
    "et al. (2019, *On Empirical Comparisons of Optimizers*) show that the order depends on how "
    "widely each one is tuned, and Schmidt et al. (2021, *Descending through a Crowded Valley*) "
    "that tuning one optimiser is worth about as much as choosing another. How much of a gap a "
    "seed makes is the subject of Bouthillier et al. (2021, *Accounting for Variance in Machine "
    "Learning Benchmarks*)"
)


def left_out(runs: pd.DataFrame) -> str:
    """Which run folders no table uses, and why."""
    if runs.empty:
        return "There is no run folder yet: notebooks 05, 08, 10 and `batch` write them."
    groups = run_folders.questions(runs)
    used = {name for parts in groups.values() for part in parts for name in part["name"]}
    said = [
        f"{len(used)} of {len(runs)} runs are compared, each only with runs of the same number of "
        "epochs"
    ]
    reasons = {
        "not finished": runs.loc[~runs["finished"].astype(bool), "name"].tolist(),
        "models behind out-of-fold predictions, trained on other photos than the rest and some of "
        "them on those that judge": runs.loc[runs["helper"].astype(bool), "name"].tolist(),
        "the same training as another run": run_folders.repeats(runs),
    }
    told = set(used)
    for why, names in reasons.items():
        if mine := [name for name in names if name not in told]:
            said.append(f"{why}: {', '.join(mine)}")
            told.update(mine)
    if alone := [name for name in runs["name"] if name not in told]:
        said.append(f"without a partner that differs in one thing only: {', '.join(alone)}")
    return "; ".join(said) + "."


def judged(on: tables.Judge) -> str:
    """Which images judge, and how sure it is that no run was trained on them."""
    said = f"{len(on.photos)} images of {on.name} judge."
    if on.removed:
        by_run = ", ".join(f"{run} {count}" for run, count in on.removed.items())
        said += f" Left out are those that a run was trained on: {by_run}."
    if on.unrecorded:
        many = len(on.unrecorded) > 3
        who = f"{len(on.unrecorded)} of the runs" if many else ", ".join(on.unrecorded)
        said += (
            f" That {who} did not train on them is taken from the folders' names: no list of "
            "training images is there."
        )
    return said


def differences(gains: pd.DataFrame) -> str:
    """How many differences (short, difference, low, high) leave 0 out, and which."""
    sure = gains[(gains["low"] > 0) | (gains["high"] < 0)]
    named = [f"{n} {d:+.3f}" for n, d in zip(sure["short"], sure["difference"], strict=True)]
    of_all = f"{len(named) or 'none'} of {count(len(gains), 'difference')} in mAP75"
    said = f"{first_up(of_all)} {'is' if len(named) < 2 else 'are'} significant"
    return (f"{said}: {listed(named)}." if named else f"{said}.") * bool(len(gains))


def epochs(scores: pd.DataFrame) -> str:
    """Whether the runs of a table were trained equally long."""
    found = sorted(set(scores["epochs"]))
    if len(found) == 1:
        return f"All {len(scores)} runs were trained for {found[0]} epochs."
    return (
        f"The runs were trained for {', '.join(map(str, found[:-1]))} and {found[-1]} epochs, or "
        "patience ended some: the longer ones have an advantage."
    )


def beside_write_up(scores: pd.DataFrame, question: str) -> str:
    """What of the write-up's table may be compared with ours."""
    theirs = tables.WRITE_UP_RECIPE
    if tables.like_write_up(scores, question):
        return (
            "Its runs have this model and size and its own validation fold, and mostly other "
            "numbers of epochs: compare the order, and the height with care."
        )
    pairs = scores[["model", "image_size"]].drop_duplicates().itertuples(index=False)
    ours = ", ".join(f"{model} at {size} px" for model, size in pairs)
    model = "the named models" if question == "models" else theirs["model"]
    return (
        f"Its runs are of {model} at {theirs['image_size']} px, these are {ours}: only which "
        "setting is better may be compared, so its numbers do not stand beside ours."
    )


def spread(scores: pd.DataFrame) -> str:
    """Which setting has the highest mean mAP75, and whether runs overlap."""
    by_setting = scores.groupby("setting", sort=False)["mAP75"]
    table = by_setting.agg(["min", "max", "std"])
    table = table.assign(mAP75=by_setting.mean(), runs=by_setting.size())
    table = table.sort_values("mAP75", ascending=False, kind="stable")
    best, following = table.head(2).to_dict("records")
    first, second = table.index[:2]
    said = f"Highest mAP75: {first}, {_mean(best)}, then {second}, {_mean(following)}"
    if min(best["runs"], following["runs"]) < 2:
        said += "; one run per setting shows no spread of seeds."
    elif best["min"] > following["max"]:
        said += "; their runs do not overlap."
    else:
        said += "; their runs overlap, so that another seed may turn the order."
    if len(blank := table.index[table["mAP75"] < _UNTRAINED]):
        said += (
            f" Below {_UNTRAINED} a network hardly does its task yet; these say nothing about what "
            f"they would reach, nor of their order: {'; '.join(map(str, blank))}."
        )
    return said


def curves(ends: pd.DataFrame) -> str:
    """How the logged curves end, from `runs.curve_ends`: who leads, since when, which still rise,
    how much an epoch more or less matters."""
    if len(ends) < 2:
        return "Fewer than two settings have logged epochs: there are no curves to compare."
    since = ends.attrs["leads_since"]
    said = f"At epoch {ends.attrs['epoch']} {ends.attrs['leader']} leads, " + (
        "from the first on" if since == 1 else f"since epoch {since}"
    )
    rising = ", ".join(ends.loc[ends["rising"], "setting"])
    said += f". Still rising at the end: {rising}." if rising else ". No run was still rising."
    if (late := ends["range_of_last"].max()) == late:
        said += (
            f" Within its last three epochs a run moves by up to {late:.3f}: a difference of that "
            "size depends on the epoch that is scored, which no interval here covers."
        )
    return said


def optimisers(table: pd.DataFrame) -> str:
    """SGD against AdamW from `tables.optimisers`, with the literature; Markdown."""
    theirs = {row["name"]: row for row in published.scores()["optimisers"]}
    gap = theirs["SGD"]["mAP50-95"] - theirs["AdamW"]["mAP50-95"]
    written = (
        f"The write-up has SGD {gap:.4f} mAP50-95 above AdamW, from one run each; it names no "
        "other learning rate for AdamW than SGD's, whose usual one is ten times AdamW's"
    )
    if table.empty:
        ours = (
            "No two runs here differ in the optimiser alone: `python -m livestock_utils batch "
            "notebooks/batches/optimisers.yaml --out DIR` trains them, three seeds each"
        )
        return f"{ours}. {written}."
    sgd, adamw = table.to_dict("records")
    difference, low, high = (table.attrs[name] for name in ("difference", "low", "high"))
    seeds = int(table["runs"].min())
    verdict = f"a difference of {difference:+.3f}"
    if seeds < 2:
        verdict += " between single runs, which another seed may turn"
    else:
        verdict += f" with a 95 % interval over the seeds of {low:+.3f} to {high:+.3f}"
        if seeds < _SEEDS_NEEDED:
            verdict += f"; {seeds} seeds are too few for a verdict"
        elif low > 0 or high < 0:
            verdict += ", which leaves 0 out"
        else:
            verdict += ", which holds 0: these seeds do not tell them apart"
    said = [
        f"After {table.attrs['epochs']} epochs SGD with {sgd['hyp']} has mAP75 {_mean(sgd)}, AdamW "
        f"with {adamw['hyp']} {_mean(adamw)}: {verdict}",
        _selection(dict(zip(table["optimizer"], table["settings"], strict=True))),
    ]
    if table["mAP75"].max() < _LEARNING:
        said.append(
            "Networks at such scores are hardly trained: this tells which one starts faster, not "
            "which one ends higher"
        )
    return ". ".join([*said, written, _LITERATURE]) + "."


def _selection(tried: Mapping[str, int]) -> str:
    """Which optimiser had the choice among more settings."""
    few, many = sorted(tried, key=lambda kind: tried[kind])
    if tried[many] == 1:
        return "Each had one setting, so neither was tuned"
    if tried[few] == tried[many]:
        return f"Each is shown at the best of its {tried[many]} settings, chosen by this very score"
    other = "one setting" if tried[few] == 1 else f"the best of {tried[few]}"
    return (
        f"{many} is shown at the best of {tried[many]} settings, chosen by this very score, {few} "
        f"at {other}: that favours {many}"
    )


def _mean(row: Mapping[Any, Any]) -> str:
    """Mean, number of seeds and standard deviation: "0.710 (3 seeds, standard deviation 0.012)"."""
    if row["runs"] == 1:
        return f"{row['mAP75']:.3f} (one seed)"
    return f"{row['mAP75']:.3f} ({row['runs']} seeds, standard deviation {row['std']:.3f})"


def unseen_cameras(table: pd.DataFrame, groups: str, n_photos: int) -> str:
    """The cameras by `groups`, the scores on those never seen, what was lost by that, and what a
    few frames gain."""
    never = table[table["difference"].isna()]
    found = listed([f"{row.camera} ({row.images} photos)" for row in never.itertuples()])
    said = f"Cameras by {groups}: {found} of {count(n_photos, 'photo')}. Never seen:"
    for row in never.itertuples():
        ends = f"{row.AP75_low:.3f} to {row.AP75_high:.3f}"
        found = f"{row.recall:.0%} found, {row.count_error:.1f} a photo miscounted"
        said += f" {row.camera} AP75 {row.AP75:.3f} ({ends}), {found}."
    for model, rows in table[table["difference"].notna()].groupby("model", sort=False):
        gains = [f"{row.difference:+.3f} with {row.camera}" for row in rows.itertuples()]
        proven = ((rows["difference_low"] > 0) | (rows["difference_high"] < 0)).sum()
        said += f" With “{model}” {listed(gains)}; {proven} of {len(rows)} intervals leave 0 out."
    return said
