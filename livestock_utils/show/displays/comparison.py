"""Runs side by side: what there is, each question with its tables and figures, optimisers; and the
answers of all notebooks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.data.eda import write_up
from livestock_utils.data.split.groups import lookalikes
from livestock_utils.detect.predict import unseen
from livestock_utils.evaluate.compare import runs as run_folders
from livestock_utils.evaluate.compare import tables
from livestock_utils.show import conclusions as gathered
from livestock_utils.show.display import Display
from livestock_utils.show.displays import silver
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
    """The answers of `lu.compare`: all differences in one figure, then a table and the curves for
    each question. The write-up's own table stands at the first answer to its question. `weights`:
    the ones that were scored."""
    found = [
        answer.differences.assign(question=answer.title.partition(":")[0]) for answer in answers
    ]
    table = pd.concat(found or [pd.DataFrame(columns=["setting", "against", "question"])])
    names = table["setting"] + " − " + table["against"]
    table = table.assign(setting=names).drop(columns="against")
    metrics = {"compared": sum(len(answer.scores) for answer in answers), "weights": weights}
    forest = Display(
        "differences",
        "Every paired difference in mAP75 with its 95 % interval; grey ones hold 0.",
        table,
        partial(plots.run_differences, table),
        metrics=metrics | tables.key_numbers(answers),
    )
    return [forest, *(display for answer in answers for display in _answer(answer))]


def _answer(answer: tables.Answer) -> list[Display]:
    scores, ends = answer.scores, run_folders.curve_ends(answer.scores, answer.results)
    beside = tables.like_write_up(scores, answer.question)
    right = "; the write-up's numbers in the columns on the right." if beside else "."
    theirs = write_up.scores().get(answer.question) if answer.number == 1 else None
    said = f"Means over the seeds{right}"
    return [
        _text(f"### {answer.title}"),
        _text(f"{words.judged(answer.judge)} {words.epochs(scores)}"),
        Display(answer.key, said, answer.table, verdict=words.spread(scores), shows_table=True),
        *([_write_up(answer, theirs)] if theirs else ()),
        *([] if (both := answer.two_numbers) is None else [silver.two_numbers(both)]),
        Display(
            f"{answer.key}_curves",
            "Validation mAP75 by epoch as the trainings logged it, each on its own validation set.",
            ends,
            lambda ax=None: plots.setting_curves(scores, answer.results, ax=ax),
            words.curves(ends),
        ),
    ]


def unseen_cameras(photos: Photos, groups: str, out: Path, *asked: Any) -> Display:
    """Train without each camera (`detect.predict.unseen`, whose arguments these are; `groups` as
    `group_by` of `lu.lookalikes`), and show by how much a model that never saw it loses."""
    of_image = lookalikes(photos, groups, max_distance=12)  # a fixed camera's frames, mostly
    table = unseen.unseen_cameras(photos, of_image, out, *asked)
    others = table[table["model"] != unseen.NEVER]
    loss = others[others["model"] == unseen.SEEN].set_index("camera")["difference"]
    order = others["camera"].map(loss.rank(method="first", ascending=False)).argsort(kind="stable")
    drawn = others.assign(setting=others["camera"] + ": " + others["model"], pairs=1).iloc[order]
    drawn = drawn.assign(low=drawn["difference_low"], high=drawn["difference_high"])
    figure = partial(plots.run_differences, drawn.assign(against=f"“{unseen.NEVER}”"))
    caption = "AP75 minus that of a model that never saw the camera, on the same frames, by loss."
    said, kept = words.unseen_cameras(table, groups, len(photos)), {"unseen_cameras": table}
    return Display("unseen_cameras", caption, table, figure, said, kept, shows_table=True)


def optimisers(answers: Sequence[tables.Answer]) -> Display:
    """SGD against AdamW: from the spread of our seeds where there are runs, with the literature."""
    best = tables.optimisers(answers)
    return Display("optimisers", table=best, verdict=words.optimisers(best))


def conclusions(found: gathered.Conclusions) -> list[Display]:
    """What `lu.conclude` found: the answers, the differences in one figure, and the numbers that
    could be mistaken for each other."""
    table, scores = found.questions, found.scores.sort_values("mAP75", ascending=False)
    gains = table.dropna(subset=["difference"])
    gains = gains.assign(setting=gains["notebook"] + "  " + gains["short"])
    interval = table["low"].map("{:+.3f}".format) + " to " + table["high"].map("{:+.3f}".format)
    counts = {
        name: table[name].map("{:.0f}".format).replace("nan", "–") for name in ("seeds", "images")
    }
    shown = table[["notebook", "question", "answer"]].assign(
        **{"95 % interval": interval.where(table["low"].notna(), "–")}, **counts
    )
    missing = int(table["answer"].str.startswith("Not told").sum())
    span = (
        f"The mAP75s lie between {scores['mAP75'].min():.3f} and {scores['mAP75'].max():.3f}: "
        "compare only rows that differ in one column."
    )
    verdict = words.differences(gains)
    metrics = {"answered": len(table) - missing, "missing": missing, "questions": table}
    metrics["significant"] = verdict.removesuffix(".")
    said = "A row for each question; intervals are over images."
    return [
        Display("answers", said, shown, metrics=metrics, shows_table=True),
        Display(
            "differences",
            "Every difference in mAP75 with its 95 % interval; grey intervals hold 0.",
            gains,
            partial(plots.run_differences, gains),
            verdict,
        ),
        Display(
            "scores",
            "Every mAP75 of a model in these notebooks, and what makes it.",
            scores,
            verdict=" ".join([span] * bool(len(scores)) + found.notes),
            shows_table=True,
        ),
    ]


def _write_up(answer: tables.Answer, theirs: list[dict[str, object]]) -> Display:
    said = words.beside_write_up(answer.scores, answer.question)
    table = pd.DataFrame(theirs)
    caption = "The write-up's own table."
    return Display("write_up", caption, table, verdict=said, shows_table=True, digits=4)


def _text(sentence: str) -> Display:
    return Display("text", verdict=sentence)
