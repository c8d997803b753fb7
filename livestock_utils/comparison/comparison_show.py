"""Notebook 12's answers on the page: each question with its tables and figures, and a sentence on either side."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from livestock_utils.comparison import comparison_tables, comparison_text
from livestock_utils.eda import write_up


def show(step: Any, answers: Sequence[comparison_tables.Answer], weights: str = "last") -> None:
    """Put the answers into a notebook (`notebook.Step`): heading, table, dots, differences, curves, what they say.

    The write-up's own table stands at the first answer to its question. `weights`: the ones that were scored.
    """
    for answer in answers:
        _show(step, answer, weights)


def _show(step: Any, answer: comparison_tables.Answer, weights: str) -> None:
    from livestock_utils import plots

    scores, beside = answer.scores, comparison_tables.like_write_up(answer.scores, answer.question)
    step.say(f"### {answer.title}")
    step.say(f"{comparison_text.judged(answer.judge)} {comparison_text.epochs(scores)}")
    step.table(answer.table, "Means over the seeds" + ("; the write-up's numbers in the columns on the right."
                                                       if beside else "."))
    theirs = write_up.scores().get(answer.question)
    if theirs and answer.number == 1:
        step.table(pd.DataFrame(theirs), "The write-up's own table.", digits=4)
        step.say(comparison_text.beside_write_up(scores, answer.question))
    step.say("First the single runs: do the dots of one setting stand apart from those of the next?")
    step.figure(plots.run_scores(scores), f"{answer.key}_scores", "Scores of the single runs by setting.")
    step.say(comparison_text.spread(scores))
    step.say("Then the paired differences: a grey line holds 0.")
    step.figure(plots.run_differences(answer.differences), f"{answer.key}_differences",
                "Paired differences in mAP75 with their intervals.")
    step.say(comparison_text.differences(answer.differences))
    step.say("Last the way there: do lines still rise at the end, and do they cross?")
    step.figure(plots.setting_curves(scores, answer.results), f"{answer.key}_curves",
                "Validation mAP75 by epoch as the trainings logged it, each on its own validation set.")
    step.say(comparison_text.curves(scores, answer.results))
    if note := comparison_text.other_weights(scores, weights):
        step.say(note)
