"""What an analysis of labels says: rankings, suggestions, faults, corrections."""

import importlib.util

import pandas as pd

from livestock_utils.core.text import count, listed, percent
from livestock_utils.evaluate.labels.faults import FAULTS

_KNOWN_BY = {
    "truth": "left unlabelled on purpose in the drawn sample",
    "hidden": "20 % of the labels, hidden at random for this measurement, after the detectors were "
    "trained with all of them",
}
"""How missing labels are known (`ranking.known_gaps`)."""


def ranking(curves: pd.DataFrame) -> str:
    """How many labels are missing, how that is known, and whether the peer is left out."""
    how = (
        f"{count(curves.attrs['missing'], 'missing label')}: {_KNOWN_BY[curves.attrs['known_by']]}."
    )
    if importlib.util.find_spec("cleanlab"):
        return how
    return (
        f"{how} cleanlab, the peer, is not installed here (`pip install cleanlab`), so its curves "
        "are left out."
    )


def suggested(table: pd.DataFrame, n_images: int) -> str:
    """How many animals may be unlabelled, by species (`report.by_species`)."""
    if not table["suggestions"].any():
        return "No box is suggested: no prediction without a label scores high enough."
    parts = [
        f"**{row['suggestions']:,} {row['species']}** beside {row['labels']:,} labelled "
        f"({percent(row['share'])})"
        for row in table.sort_values("share", ascending=False, kind="stable").to_dict("records")
    ]
    other = int(table["named_otherwise"].sum())
    named = (
        f" In {count(other, 'case')} the model named another species than the photo's; the photo's "
        "counts."
        if other
        else ""
    )
    return (
        f"Suggested in {count(n_images, 'image')}: {listed(parts)}.{named} A suggestion is no "
        "proof: the photos below, and a person who goes through them, decide."
    )


def audit(table: pd.DataFrame | None, known_by: str = "truth") -> str:
    """How many suggestions are right and how many missing labels they cover; None: unknown."""
    if table is None:
        return (
            "Whether the suggestions are right, only a person can tell here: there is no file of "
            "the truth."
        )
    row, how = table.iloc[0], _KNOWN_BY[known_by]
    if not row["suggestions"]:
        return f"No suggestion was made; {count(row['missing'], 'label')} {how} could have been."
    return (
        f"Of {count(row['suggestions'], 'suggestion')}, {percent(row['right_share'])} lie on an "
        f"unlabelled animal; they cover {percent(row['covered_share'])} of the "
        f"{row['missing']:,.0f} that are known ({how})."
    )


def faults(table: pd.DataFrame) -> str:
    """How many labels are suspect, by fault, and where `right` is known how many are right."""
    counts = table["fault"].value_counts()
    parts = [f"{counts.get(name, 0):,} {name} ({meaning})" for name, meaning in FAULTS.items()]
    text = f"Suspicious labels: {'; '.join(parts)}."
    if "right" not in table or table.empty:
        return text
    return (
        f"{text} By the truth **{int(table['right'].sum()):,} of the {len(table):,}** are right as "
        "they are: there the suspicion is the model's error."
    )


def corrections(changes: pd.DataFrame) -> str:
    """That a person changed nothing, where that is so."""
    if len(changes):
        return ""
    return (
        "No corrected labels were given (`corrected_labels`), or they hold no box: the tables stay "
        "as they are."
    )
