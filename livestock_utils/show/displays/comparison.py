"""Runs side by side: what there is, each question with its tables and figures, optimisers."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from livestock_utils.data.eda import write_up
from livestock_utils.evaluate.compare import runs as run_folders
from livestock_utils.evaluate.compare import tables
from livestock_utils.show.display import Display
from livestock_utils.show.plots import comparison as plots
from livestock_utils.show.words import compare as words


def runs(found: pd.DataFrame) -> Display:
    """Run folders (`lu.find_runs`), and which of them are not compared, and why."""
    return Display(
        "runs",
        "Run folders; only the columns in which they differ, and how far they came.",
        run_folders.differing(found),
        verdict=words.left_out(found),
        metrics={"runs": len(found)},
        shows_table=True,
    )


def compared_runs(answers: Sequence[tables.Answer], weights: str = "last") -> list[Display]:
    """The answers of `lu.compare`, one after the other: table, single runs, differences, curves.
    The write-up's own table stands at the first answer to its question. `weights`: the ones that
    were scored."""
    metrics = {"compared": sum(len(answer.scores) for answer in answers), "weights": weights}
    numbers = Display("key_numbers", metrics=metrics | tables.key_numbers(answers))
    return [numbers, *(display for answer in answers for display in _answer(answer, weights))]


def _answer(answer: tables.Answer, weights: str) -> list[Display]:
    scores, ends = answer.scores, run_folders.curve_ends(answer.scores, answer.results)
    beside = tables.like_write_up(scores, answer.question)
    right = "; the write-up's numbers in the columns on the right." if beside else "."
    theirs = write_up.scores().get(answer.question) if answer.number == 1 else None
    figures = (
        Display(
            f"{answer.key}_scores",
            "Scores of the single runs by setting.",
            scores,
            partial(plots.run_scores, scores),
            words.spread(scores),
        ),
        Display(
            f"{answer.key}_differences",
            "Paired differences in mAP75 with their intervals.",
            answer.differences,
            partial(plots.run_differences, answer.differences),
        ),
        Display(
            f"{answer.key}_curves",
            "Validation mAP75 by epoch as the trainings logged it, each on its own validation set.",
            ends,
            lambda ax=None: plots.setting_curves(scores, answer.results, ax=ax),
            " ".join(filter(None, (words.curves(ends), words.other_weights(scores, weights)))),
        ),
    )
    return [
        _text(f"### {answer.title}"),
        _text(f"{words.judged(answer.judge)} {words.epochs(scores)}"),
        Display(answer.key, f"Means over the seeds{right}", answer.table, shows_table=True),
        *([_write_up(answer, theirs)] if theirs else ()),
        _text("First the single runs: do the dots of one setting stand apart from the next?"),
        figures[0],
        _text("Then the paired differences: a grey line includes 0."),
        figures[1],
        _text("Last the curves: do lines still rise at the end, and do they cross?"),
        figures[2],
    ]


def optimisers(answers: Sequence[tables.Answer]) -> Display:
    """SGD against AdamW: from the spread of our seeds where there are runs, with the literature."""
    best = tables.optimisers(answers)
    return Display("optimisers", table=best, verdict=words.optimisers(best))


def _write_up(answer: tables.Answer, theirs: list[dict[str, object]]) -> Display:
    said = words.beside_write_up(answer.scores, answer.question)
    table = pd.DataFrame(theirs)
    caption = "The write-up's own table."
    return Display("write_up", caption, table, verdict=said, shows_table=True, digits=4)


def _text(sentence: str) -> Display:
    return Display("text", verdict=sentence)
