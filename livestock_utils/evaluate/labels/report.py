"""Missing and faulty labels in words, tables and files: what a person goes through after notebook
06."""

import os
from pathlib import Path

import pandas as pd

from livestock_utils.core import files, species
from livestock_utils.core.text import count, listed, percent
from livestock_utils.evaluate.labels import exchange
from livestock_utils.evaluate.labels import faults as label_faults
from livestock_utils.evaluate.labels import missing as missing_labels
from livestock_utils.evaluate.labels import ranking as missing_ranking


def by_species(boxes: pd.DataFrame, suggestions: pd.DataFrame) -> pd.DataFrame:
    """One row a species (of the images, not as predicted): labels, suggestions, suggestions as a
    share of both, and how many of them the model `named_otherwise`."""
    names = [
        name for name in species.names() if name in {*boxes["species"], *suggestions["species"]}
    ]
    table = pd.DataFrame({"species": names})
    table["labels"] = table["species"].map(boxes["species"].value_counts()).fillna(0).astype(int)
    table["suggestions"] = (
        table["species"].map(suggestions["species"].value_counts()).fillna(0).astype(int)
    )
    table["share"] = table["suggestions"] / (table["labels"] + table["suggestions"]).clip(lower=1)
    other = suggestions.loc[suggestions["species"] != suggestions["predicted_species"], "species"]
    table["named_otherwise"] = table["species"].map(other.value_counts()).fillna(0).astype(int)
    return table


def sentence(table: pd.DataFrame, n_images: int) -> str:
    """What `by_species` says about animals that may be unlabelled."""
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


def audit(suggestions: pd.DataFrame, kept: pd.DataFrame, missing: pd.DataFrame, how: str) -> str:
    """How many suggestions are right and how many missing labels they cover, where these are
    known."""
    if suggestions.empty:
        return f"No suggestion was made; {count(len(missing), 'label')} {how} could have been."
    right = missing_labels.is_missing(suggestions, kept, missing)
    # A missing label is covered when a suggestion lies on it: the same overlap, asked from the
    # label's side.
    covered = missing_labels.best_iou(missing, suggestions) >= missing_labels.MATCHED_IOU
    return (
        f"Of {count(len(suggestions), 'suggestion')}, {percent(right.mean())} lie on an unlabelled "
        f"animal; they cover {percent(covered.mean())} of the {len(missing):,} that are known "
        f"({how})."
    )


def audit_known(
    data: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame, suggestions: pd.DataFrame
) -> str:
    """`audit` where a sample knows its unlabelled animals; elsewhere says that only a person can
    tell."""
    if missing_ranking.unlabelled(data, images) is None:
        return (
            "Whether the suggestions are right, only a person can tell here: there is no file of "
            "the truth."
        )
    return audit(suggestions, *missing_ranking.known_gaps(data, images, boxes))


def average_precisions(curves: pd.DataFrame) -> dict[str, float]:
    """{ranking: average precision} of the table of `ranking`."""
    return missing_ranking.average_precisions(curves)


def cases(suggestions: pd.DataFrame, n: int = 6) -> pd.DataFrame:
    """The first suggestions with `why`, for `plots.error_gallery`; at most two an image."""
    first = suggestions[suggestions.groupby("image_id").cumcount() < 2].head(n)
    why = [
        f"{name}? score {score:.2f}" + (f" (as {predicted})" if predicted != name else "")
        for name, predicted, score in zip(
            first["species"], first["predicted_species"], first["score"], strict=True
        )
    ]
    return first.assign(why=why).reset_index(drop=True)


def cases_sentence(
    shown: pd.DataFrame, suggestions: pd.DataFrame, missing: pd.DataFrame | None = None
) -> str:
    """What the gallery of `cases` shows: scores, species, and where the truth is known how many of
    them are right."""
    if shown.empty:
        return "There are no suggestions: nothing to show."
    kinds = listed([f"{number} {name}" for name, number in shown["species"].value_counts().items()])
    text = (
        f"Shown are {len(shown)} of {count(len(suggestions), 'suggestion')} ({kinds}), with scores "
        f"from {suggestions['score'].max():.2f} down"
    )
    if missing is None:
        return f"{text}."
    right = missing_labels.best_iou(shown, missing) >= missing_labels.MATCHED_IOU
    return (
        f"{text}; by the truth **{int(right.sum())} of the {len(shown)}** lie on an unlabelled "
        "animal."
    )


def fault_cases(faults: pd.DataFrame, n: int = 6) -> pd.DataFrame:
    """The most suspicious labels with `why`, the faults in turn, for `plots.error_gallery`."""
    turn = faults.assign(turn=faults.groupby("fault").cumcount())
    first = turn.sort_values("turn", kind="stable").head(n)
    why = [
        f"{fault}, {score:.2f}" + (f": {suggested}?" if fault == "swapped" else "")
        for fault, score, suggested in zip(
            first["fault"], first["score"], first["suggested_species"], strict=True
        )
    ]
    return first.assign(why=why).reset_index(drop=True)


def faults_sentence(faults: pd.DataFrame, truth: pd.DataFrame | None = None) -> str:
    """How many labels are suspect, by fault; with `truth` (boxes of all animals) how many of them
    are right after all.

    A label is right when a box of the truth, of its species, lies where it lies (IoU >= .95); of
    labels on one animal the second is not.
    """
    counts = faults["fault"].value_counts()
    parts = [
        f"{counts.get(name, 0):,} {name} ({meaning})"
        for name, meaning in label_faults.FAULTS.items()
    ]
    text = f"Suspicious labels: {'; '.join(parts)}."
    if truth is None or faults.empty:
        return text
    right = (faults["fault"] != "duplicate").to_numpy(copy=True)
    for name in faults["species"].unique():
        mine = (faults["species"] == name).to_numpy()
        right[mine] &= (
            missing_labels.best_iou(faults[mine], truth[truth["species"] == name]) >= 0.95
        )
    return (
        f"{text} By the truth **{int(right.sum()):,} of the {len(faults):,}** are right as they "
        "are: there the suspicion is the model's error."
    )


def write(
    folder: str | os.PathLike,
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    suggestions: pd.DataFrame,
    faults: pd.DataFrame,
) -> Path:
    """Write suggestions.csv, faults.csv, labels_with_suggestions.json (COCO) and yolo/ into
    `folder`; returns it.

    COCO and YOLO hold the images with suggestions only: that is the list to go through.
    """
    target = Path(folder)
    for name, table in (("suggestions", suggestions), ("faults", faults)):
        files.write_text(
            target / f"{name}.csv", table.round(4).to_csv(index=False, lineterminator="\n")
        )
    shown = images[images["image_id"].isin(suggestions["image_id"])]
    mine = boxes[boxes["image_id"].isin(shown["image_id"])]
    exchange.write_coco(target / "labels_with_suggestions.json", shown, mine, suggestions)
    exchange.write_yolo(target / "yolo", shown, mine, suggestions)
    return target


def corrections(
    path: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(boxes with the corrected labels of `path`, the changes, see `label_exchange.diff`); ""
    changes nothing."""
    if not path:
        return boxes, exchange.diff(boxes.iloc[:0], boxes.iloc[:0])
    corrected = exchange.read_corrected(path, images)
    return exchange.apply_corrections(boxes, corrected), exchange.diff(boxes, corrected)


def write_changes(path: str | os.PathLike, changes: pd.DataFrame) -> Path:
    """Write the changes of `corrections` as CSV, one row a box; returns the path."""
    return files.write_text(path, changes.round(4).to_csv(index=False, lineterminator="\n"))


def changes_table(changes: pd.DataFrame) -> pd.DataFrame:
    """One row a species (as corrected), one column a kind of change ("species" as `renamed`), from
    `corrections`."""
    names = [name for name in species.names() if name in set(changes["species"])]
    counts = pd.crosstab(changes["species"], changes["change"])
    counts = counts.reindex(index=names, columns=list(exchange.CHANGES), fill_value=0)
    return counts.rename(columns={"species": "renamed"}).rename_axis(columns=None).reset_index()


def changes_sentence(changes: pd.DataFrame) -> str:
    """What a person changed, by kind, over all species."""
    if changes.empty:
        return (
            "No corrected labels were given (`corrected_labels`), or they hold no box: the tables "
            "stay as they are."
        )
    said = listed(
        [f"{number:,} {change}" for change, number in changes["change"].value_counts().items()]
    )
    return f"The corrected labels: {said}."


def ranking(
    data: str | os.PathLike,
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """(curves, known missing labels, sentence) of our ranking beside its peers, see
    `missing_ranking`."""
    kept, missing, how = missing_ranking.known_gaps(data, images, boxes, seed=seed)
    truth = missing_labels.is_missing(predictions, kept, missing)
    curves = missing_ranking.curves(
        truth, missing_ranking.rankings(images, kept, predictions, seed=seed)
    )
    return curves, missing, missing_ranking.sentence(curves, len(missing), how)
