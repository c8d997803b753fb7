"""Notebook 12's answers on the page: each question with its tables and figures, and a sentence on
either side."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from livestock_utils.data.eda import write_up
from livestock_utils.evaluate.compare import tables
from livestock_utils.show.words import compare


def show(step: Any, answers: Sequence[tables.Answer], weights: str = "last") -> None:
    """Put the answers into a notebook (`notebook.Step`): heading, table, dots, differences, curves,
    what they say.

    The write-up's own table stands at the first answer to its question. `weights`: the ones that
    were scored.
    """
    for answer in answers:
        _show(step, answer, weights)


def _show(step: Any, answer: tables.Answer, weights: str) -> None:
    from livestock_utils.show.plots import comparison

    scores, beside = answer.scores, tables.like_write_up(answer.scores, answer.question)
    step.say(f"### {answer.title}")
    step.say(f"{compare.judged(answer.judge)} {compare.epochs(scores)}")
    step.table(
        answer.table,
        "Means over the seeds"
        + ("; the write-up's numbers in the columns on the right." if beside else "."),
    )
    theirs = write_up.scores().get(answer.question)
    if theirs and answer.number == 1:
        step.table(pd.DataFrame(theirs), "The write-up's own table.", digits=4)
        step.say(compare.beside_write_up(scores, answer.question))
    step.say(
        "First the single runs: do the dots of one setting stand apart from those of the next?"
    )
    step.figure(
        comparison.run_scores(scores),
        f"{answer.key}_scores",
        "Scores of the single runs by setting.",
    )
    step.say(compare.spread(scores))
    step.say("Then the paired differences: a grey line holds 0.")
    step.figure(
        comparison.run_differences(answer.differences),
        f"{answer.key}_differences",
        "Paired differences in mAP75 with their intervals.",
    )
    step.say(compare.differences(answer.differences))
    step.say("Last the way there: do lines still rise at the end, and do they cross?")
    step.figure(
        comparison.setting_curves(scores, answer.results),
        f"{answer.key}_curves",
        "Validation mAP75 by epoch as the trainings logged it, each on its own validation set.",
    )
    step.say(compare.curves(scores, answer.results))
    if note := compare.other_weights(scores, weights):
        step.say(note)
