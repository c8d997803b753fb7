"""What a search's numbers say and its figures do not."""

import pandas as pd

from livestock_utils.core.text import count
from livestock_utils.detect.search import trials
from livestock_utils.detect.search.run import Search
from livestock_utils.show.words.training import duration


def result(table: pd.DataFrame) -> str:
    """How many trials finished, and the best score against the base's."""
    best, counts = trials.best_trial(table), table["state"].value_counts()
    done = (
        f"{count(int(counts.get('complete', 0)), 'trial')} finished, "
        f"{int(counts.get('pruned', 0))} pruned"
    )
    if failed := int(counts.get("failed", 0)):
        done += f", {failed} failed"
    first = table[(table["trial"] == 0) & (table["state"] == "complete")]
    if first.empty or int(best["trial"]) == 0:
        own = ", that of the base" if len(first) else ""
        return f"{done}; the best score is {best['score']:.3f}{own}."
    gain = float(best["score"]) - float(first["score"].iloc[0])
    return (
        f"{done}; the best score is {best['score']:.3f} (trial {int(best['trial'])}), {gain:+.3f} "
        "against the base. The best of many noisy trials looks better than it is."
    )


def slopes(genes: pd.DataFrame, finished: int) -> str:
    """With which gene the score rises or falls most steadily (from `trials.gene_table`)."""
    known = genes["correlation"].dropna()
    if known.empty:
        return f"With {count(finished, 'finished trial')} no slope can be told from chance."
    name = str(known.abs().idxmax())
    sure = abs(known[name]) * (finished - 1) ** 0.5 > 1.96
    return (
        f"The score {'rises' if known[name] > 0 else 'falls'} most steadily with {name} (rank "
        f"correlation {known[name]:+.2f} over {finished} trials; "
        f"{'for one gene alone, that is significant' if sure else 'within chance'})."
    )


def written(search: Search) -> str:
    """What to take, what it cost, and what to set in 08 and 10 to train as the best trial did."""
    numbers = pd.Series(trials.key_numbers(search.table), dtype=float)
    time = duration(search.table["seconds"].sum())
    others = "".join(f", `{key} = {value!r}`" for key, value in search.chosen.items())
    said = f"**Keep the base:** in {time} of trials none beat it"
    if numbers["best_trial"]:
        gain = numbers["best_score"] - numbers["base_score"]
        over = "the base did not finish" if gain != gain else f"{gain:+.3f} over the base"
        said = (
            f"**To try, not yet to trust:** {over} in {time} of short trials. Train both in 08 "
            "with other seeds: where 12 calls the difference noise, the search was not worth it"
        )
    return f'{said}. 08 and 10 take `{search.hyp_file.name}` with `hyp = "search"`{others}.'
