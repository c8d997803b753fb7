"""Silver labels: teachers, thresholds, modes and examples, and what training with them did."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict.silver_sources import SilverSources
from livestock_utils.detect.train.run import Run
from livestock_utils.evaluate.silver import audit, effect, making
from livestock_utils.evaluate.silver.making import Silver, SilverSettings
from livestock_utils.evaluate.silver.sets import SilverLists
from livestock_utils.show.display import Display
from livestock_utils.show.plots import silver as plots
from livestock_utils.show.plots import training as training_plots
from livestock_utils.show.words import silver as words


def silver_sources(
    sources: SilverSources, photos: Photos, data: str | os.PathLike = "", seed: int = 0
) -> Display:
    """What silver is made from (first), and what it is compared with (`lu.predict_for_silver`)."""
    found = {name: [table] for name, table in sources.tables.items()}
    shown = silver_scores(photos, found, data, seed=seed)
    said = f"{words.sources(sources.tables, len(photos))} {shown.verdict}"
    metrics = {"predictions": sources.name, **shown.metrics}
    return dataclasses.replace(shown, name="sources", verdict=said, metrics=metrics)


def silver_scores(*asked: Any, **options: Any) -> Display:
    """`effect.two_numbers`, whose arguments these are: the contest's score on the given answers
    beside AP75 and recall on completed ones; the same table in 09, 10 and 12."""
    return two_numbers(effect.two_numbers(*asked, **options))


def two_numbers(table: pd.DataFrame) -> Display:
    """`effect.two_numbers` to be read."""
    caption = "Contest's AP75 on the given answers; AP75 and recall at the best F1 on completed."
    said, metrics = words.two_numbers(table), {"two_numbers": table}
    return Display("two_numbers", caption, table, None, said, metrics, shows_table=True)


def silver_thresholds(
    sources: SilverSources,
    photos: Photos,
    settings: Mapping[str, SilverSettings],
    data: str | os.PathLike,
) -> Display:
    """What each confidence threshold adds and what of it is true, where `data`/truth.csv knows it;
    and whether a model that has seen the labels overlooks what they overlook."""
    merge, truth, has_truth = settings["merge"], photos.complete(data), _has_truth(data)
    curves = {
        name: audit.threshold_curve(photos, table, truth, merge)
        for name, table in sources.tables.items()
    }
    thresholds = {name: each.confidence_threshold for name, each in settings.items()}
    marks = {"original": thresholds["duplicate"], "here": thresholds["merge"]}
    verdict = words.curve(curves, merge.confidence_threshold, has_truth)
    is_known = any(table.attrs["unlabelled"] for table in curves.values())
    return Display(
        "thresholds",
        "What each confidence threshold adds, and what of it is true.",
        words.by_name(curves, "source"),
        partial(plots.silver_thresholds, curves, marks) if is_known else None,
        f"{verdict} {words.in_sample(curves)}",
        {"thresholds": {name: table.dropna() for name, table in curves.items()}},
    )


def teacher_trust(predictions: pd.DataFrame, photos: Photos, settings: SilverSettings) -> Display:
    """Share of the teachers' borderline boxes that match a label: are they good enough?"""
    share, near = audit.trust(photos, predictions, settings)
    table = pd.DataFrame({"boxes": [near], "on_a_label": [share]})
    said = words.trust(share, near, settings.confidence_threshold)
    return Display("teacher_trust", table=table, verdict=said, metrics={"teacher_trust": share})


def silver_audit(
    made: Mapping[str, Silver], photos: Photos, data: str | os.PathLike, mode: str
) -> Display:
    """How true each mode's labels are; metrics.json takes those of `mode`."""
    truth, has_truth = photos.complete(data), _has_truth(data)
    audits = {name: audit.audit(each, photos, truth) for name, each in made.items()}
    for each in audits.values() if not has_truth else ():  # where people drew none, none can say
        each["precision"] = each["precision"].where(each["gold"] == 0)
    table = words.by_name(audits, "mode")
    alike: dict[str, list[str]] = {}  # duplicate and replace differ in copies alone
    for name, each in audits.items():
        alike.setdefault(each.to_csv(), []).append(name)
    drawn = {", ".join(names): audits[names[0]] for names in alike.values()}
    metrics = {"mode": mode, "silver_images": len(made[mode].images), "has_truth": has_truth}
    return Display(
        "audit",
        "Animals with a label before and after, and silver boxes that are right.",
        table,
        partial(plots.silver_audit, drawn),
        words.audit(audits, has_truth),
        {**metrics, **words.metrics(audits[mode], has_truth), "audits": table},
        shows_table=True,
        table_caption="Each mode on the images that it makes; a silver box is right from IoU 0.5 "
        "with an animal that has no other box.",
    )


def silver_counts(made: Mapping[str, Silver], photos: Photos) -> Display:
    """Boxes per image before and after, of the images that get silver labels."""
    before, after = making.count_boxes(photos, made)
    species = next(iter(made.values())).settings.species[0]
    medians = [(before.loc[each.index].median(), each.median()) for each in after.values()]
    return Display(
        "counts",
        "Images that get silver labels by their number of boxes, before (line) and after (bars).",
        pd.DataFrame(medians, list(after), ["median_before", "median_after"]),
        lambda axes=None: plots.silver_counts(before, after, species, axes),
    )


def silver_examples(made: Silver, photos: Photos, n: int = 3) -> Display:
    """The photos with most additions: people's labels left, the silver set right."""
    return Display(
        "examples",
        f"Photos with most additions: people's labels left, the {made.settings.mode} set right.",
        made.labels,
        lambda: plots.silver_examples(made, photos, n=n),
    )


def silver_provenance(made: Silver) -> Display:
    """Boxes of a silver set by origin and source."""
    groups = made.labels.groupby(["origin", "source"], sort=True)
    confidence = groups["confidence"]
    table = pd.DataFrame(
        {
            "images": groups["image_id"].nunique(),
            "boxes": groups.size(),
            "least_confidence": confidence.min(),
            "mean_confidence": confidence.mean(),
        }
    )
    caption = "Where the boxes of the written set come from."
    return Display("provenance", caption, table.reset_index(), shows_table=True)


def silver_lists(lists: SilverLists) -> Display:
    """What an epoch of the two trainings holds, and whether the comparison may be a leak."""
    said = f"{words.lists(lists.table)} {words.teachers(lists.saw_validation)}"
    caption = f"What an epoch of each training holds; mode “{lists.mode}”."
    metrics = {
        "mode": lists.mode,
        "silver_images": int(lists.table["silver_images"].max()),
        "images_an_epoch": int(lists.table["images"].iloc[0]),
    }
    return Display("lists", caption, lists.table, None, said, metrics, shows_table=True)


def trained_pairs(runs: Mapping[str, Sequence[Run]], other: str | os.PathLike) -> Display:
    """Validation mAP75 of all trainings by epoch; `other` is a run with their recipe."""
    both = [run for side in runs.values() for run in side]
    curves = {run.folder.name: run.results for run in both}
    status = " ".join(f"{run.folder.name}: {run.status}" for run in both)
    recipe = words.recipe(runs["expanded"][0].folder, other)
    return Display(
        "runs",
        "Validation mAP75 of the trainings by epoch, yolov5's definition, on the given labels.",
        pd.concat(curves, names=["run"]).reset_index("run"),
        lambda ax=None: training_plots.compare_runs(curves, "metrics/mAP_0.75", ax),
        f"{recipe} {status} {words.GIVEN_LABELS}",
        {
            "epochs": len(both[0].results),
            "warnings": sorted({line for run in both for line in run.warnings}),
        },
    )


def silver_effect(
    photos: Photos,
    found: Mapping[str, Sequence[pd.DataFrame]],
    data: str | os.PathLike,
    thin_share: float = 0.2,
    seed: int = 0,
) -> Display:
    """The gain of silver on complete and on given labels, with its interval, and what it proves.
    `found` holds the predictions of the runs "gold" and "expanded" on the photos. Without
    `data`/truth.csv `thin_share` of the cows' labels are taken out instead."""
    answers = effect.answer_sets(photos, data, thin_share, seed=seed)
    gold, expanded = found["gold"], found["expanded"]
    table = effect.effect_table(answers, gold, expanded, photos.images, seed=seed)
    labels = table["labels"].map("{:.0f}".format).replace("nan", "–")
    return Display(
        "effect",
        "AP75 of the expanded training minus gold alone, with its interval.",
        table.assign(labels=labels),
        partial(plots.silver_effect, table),
        f"{words.luck(table)} {words.cause(table)}",
        {**words.effect_metrics(table), "images": len(photos), "effect": table},
        shows_table=True,
        table_caption="Contest's AP75 of both trainings and their difference; second better: share "
        "of the draws in which the expanded one scores higher; lowest and highest run: single "
        "pairs of trainings.",
    )


def _has_truth(data: str | os.PathLike) -> bool:
    return (Path(data) / "truth.csv").is_file()
