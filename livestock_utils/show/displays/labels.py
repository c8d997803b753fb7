"""Where labels err: the ranking of missing ones, suggestions, suspicious labels, corrections."""

import dataclasses
from functools import partial

import pandas as pd

from livestock_utils.evaluate.labels import ranking, report
from livestock_utils.evaluate.labels.report import MissingLabels
from livestock_utils.show.display import Display
from livestock_utils.show.plots import errors as plots
from livestock_utils.show.words import labels as words


def missing_curves(missing: MissingLabels) -> Display:
    """How well the ranking finds labels that are known to be missing, beside its peers."""
    curves, caption = missing.curves, "Rankings of the boxes that lie on unlabelled animals."
    table = curves.attrs["effort"].rename(columns="{:.0%} found after".format)
    told = "Boxes that a person looks at until so many missing labels are found."
    metrics = {"missing_label_ap": ranking.average_precisions(curves)}
    made = caption, table, partial(plots.missing_curves, curves), words.ranking(curves), metrics
    return Display("missing_curves", *made, True, told, digits=0, index=True)


def images_to_check(missing: MissingLabels, n: int = 10) -> Display:
    """The images with the most animals that may be unlabelled; where known, how right that is."""
    found = missing.suggestions
    share = len(found) / max(len(found) + len(missing.photos.boxes), 1)
    table = None
    if missing.unlabelled is not None:
        table = report.audit(found, missing.photos.boxes, missing.unlabelled)
    return Display(
        "images_to_check",
        "Where to look first.",
        missing.images.head(n),
        verdict=f"{words.suggested(missing.by_species, len(missing.images))} {words.audit(table)}",
        metrics={
            "suggestions": len(found),
            "missing_share": share,
            "missing_by_species": missing.by_species,
        },
        shows_table=True,
        digits=2,
    )


def suggestions(missing: MissingLabels, n: int = 4, confidence: float = 0.25) -> Display:
    """The suggestions of the highest scores, beside the predictions from `confidence` up."""
    cases = report.cases(missing.suggestions, n, missing.unlabelled)
    caption = "The highest scores: left the labels, right the out-of-fold predictions."
    return _gallery("suggestions", caption, missing, cases, confidence)


def label_faults(missing: MissingLabels, n: int = 4, confidence: float = 0.25) -> Display:
    """The most suspicious labels, beside the predictions from `confidence` up."""
    table, metrics = missing.faults, {"suspicious_labels": len(missing.faults)}
    if missing.unlabelled is not None:
        right = report.right_labels(table, missing.photos.complete(missing.data).boxes)
        table, metrics["right_labels"] = table.assign(right=right), int(right.sum())
    cases = report.fault_cases(table, n)
    caption = "The most suspicious labels: left the labels, right the out-of-fold predictions."
    shown = _gallery("label_faults", caption, missing, cases, confidence)
    return dataclasses.replace(shown, table=table, verdict=words.faults(table), metrics=metrics)


def corrections(changes: pd.DataFrame) -> Display:
    """What a person's corrections changed (`MissingLabels.write` gives the changes)."""
    return Display(
        "corrections",
        "Boxes by what the corrections did; renamed: another species.",
        report.changes_table(changes),
        verdict=words.corrections(changes),
        shows_table=len(changes) > 0,
    )


def _gallery(
    name: str, caption: str, missing: MissingLabels, cases: pd.DataFrame, confidence: float
) -> Display:
    nothing = {"suggestions": "no suggestions", "label_faults": "no suspicious labels"}[name]

    def draw() -> object:
        return plots.error_gallery(cases, missing.photos, missing.predictions, confidence, nothing)

    return Display(name, caption, cases, draw)
