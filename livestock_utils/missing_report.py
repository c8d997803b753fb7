"""Missing and faulty labels in words, tables and files: what a person goes through after notebook 06."""

import os
from pathlib import Path

import pandas as pd

from livestock_utils import files, label_exchange, label_faults, missing_labels, missing_ranking, species
from livestock_utils.describe import count, listed, percent


def by_species(boxes: pd.DataFrame, suggestions: pd.DataFrame) -> pd.DataFrame:
    """One row a species: labels, suggestions, and suggestions as a share of labels and suggestions together."""
    names = [name for name in species.names() if name in {*boxes["species"], *suggestions["species"]}]
    table = pd.DataFrame({"species": names})
    table["labels"] = table["species"].map(boxes["species"].value_counts()).fillna(0).astype(int)
    table["suggestions"] = table["species"].map(suggestions["species"].value_counts()).fillna(0).astype(int)
    table["share"] = table["suggestions"] / (table["labels"] + table["suggestions"]).clip(lower=1)
    return table


def sentence(table: pd.DataFrame, n_images: int) -> str:
    """What `by_species` says about unlabelled animals."""
    parts = [f"{percent(row['share'])} of the {row['species']} boxes are without a label ({row['suggestions']:,} "
             f"beside {row['labels']:,} labelled)" for row in table.to_dict("records")]
    return (f"Suggestions in {count(n_images, 'image')}: {listed(parts)}. A share is no proof: the photos below, and a "
            "person who goes through them, decide.")


def audit(suggestions: pd.DataFrame, kept: pd.DataFrame, missing: pd.DataFrame, how: str) -> str:
    """How many suggestions are right and how many missing labels they cover, where these are known."""
    if suggestions.empty:
        return f"No suggestion was made; {count(len(missing), 'label')} {how} could have been."
    right = missing_labels.is_missing(suggestions, kept, missing)
    # A missing label is covered when a suggestion lies on it: the same overlap, asked from the label's side.
    covered = missing_labels.best_iou(missing, suggestions) >= missing_labels.MATCHED_IOU
    return (f"Of {count(len(suggestions), 'suggestion')}, {percent(right.mean())} lie on an unlabelled animal; they "
            f"cover {percent(covered.mean())} of the {len(missing):,} that are known ({how}).")


def audit_known(data: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame, suggestions: pd.DataFrame) -> str:
    """`audit` where a sample knows its unlabelled animals; elsewhere says that only a person can tell."""
    if not (Path(data) / "truth.csv").is_file():
        return "Whether the suggestions are right, only a person can tell here: there is no file of the truth."
    return audit(suggestions, *missing_ranking.known_gaps(data, images, boxes))


def average_precisions(curves: pd.DataFrame) -> dict[str, float]:
    """{ranking: average precision} of the table of `ranking`."""
    return missing_ranking.average_precisions(curves)


def cases(suggestions: pd.DataFrame, n: int = 6) -> pd.DataFrame:
    """The first suggestions with `why`, for `plots.error_gallery`; at most two an image."""
    first = suggestions[suggestions.groupby("image_id").cumcount() < 2].head(n)
    why = [f"{name}? score {score:.2f}" for name, score in zip(first["species"], first["score"], strict=True)]
    return first.assign(why=why).reset_index(drop=True)


def fault_cases(faults: pd.DataFrame, n: int = 6) -> pd.DataFrame:
    """The most suspicious labels with `why`, the faults in turn, for `plots.error_gallery`."""
    turn = faults.assign(turn=faults.groupby("fault").cumcount())
    first = turn.sort_values("turn", kind="stable").head(n)
    why = [f"{fault}, {score:.2f}" + (f": {suggested}?" if fault == "swapped" else "")
           for fault, score, suggested in zip(first["fault"], first["score"], first["suggested_species"], strict=True)]
    return first.assign(why=why).reset_index(drop=True)


def faults_sentence(faults: pd.DataFrame) -> str:
    """How many labels are suspect, by fault."""
    counts = faults["fault"].value_counts()
    parts = [f"{counts.get(name, 0):,} {name} ({meaning})" for name, meaning in label_faults.FAULTS.items()]
    return f"Suspicious labels: {'; '.join(parts)}."


def write(folder: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame, suggestions: pd.DataFrame,
          faults: pd.DataFrame) -> Path:
    """Write suggestions.csv, faults.csv, labels_with_suggestions.json (COCO) and yolo/ into `folder`; returns it.

    COCO and YOLO hold the images with suggestions only: that is the list to go through.
    """
    target = Path(folder)
    for name, table in (("suggestions", suggestions), ("faults", faults)):
        files.write_text(target / f"{name}.csv", table.round(4).to_csv(index=False, lineterminator="\n"))
    shown = images[images["image_id"].isin(suggestions["image_id"])]
    mine = boxes[boxes["image_id"].isin(shown["image_id"])]
    label_exchange.write_coco(target / "labels_with_suggestions.json", shown, mine, suggestions)
    label_exchange.write_yolo(target / "yolo", shown, mine, suggestions)
    return target


def corrections(path: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """(boxes with the corrected labels of `path`, a sentence on what they changed); "" changes nothing."""
    if not path:
        return boxes, "No corrected labels were given (`corrected_labels`): the tables stay as they are."
    corrected = label_exchange.read_corrected(path, images)
    changes = label_exchange.diff(boxes, corrected)["change"].value_counts()
    said = listed([f"{number:,} {change}" for change, number in changes.items()])
    return label_exchange.apply_corrections(boxes, corrected), f"The corrected labels: {said}."


def ranking(data: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame, predictions: pd.DataFrame,
            seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """(curves, known missing labels, sentence) of our ranking beside its peers, see `missing_ranking`."""
    kept, missing, how = missing_ranking.known_gaps(data, images, boxes, seed=seed)
    truth = missing_labels.is_missing(predictions, kept, missing)
    curves = missing_ranking.curves(truth, missing_ranking.rankings(images, kept, predictions, seed=seed))
    return curves, missing, missing_ranking.sentence(curves, len(missing), how)
