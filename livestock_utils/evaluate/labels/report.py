"""Missing and faulty labels: found together, and written as files for a person to go through."""

import dataclasses
import functools
import os
from pathlib import Path

import pandas as pd

from livestock_utils.core import files, species, tables
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.labels import exchange, faults, missing, ranking


@dataclasses.dataclass(frozen=True, eq=False)
class MissingLabels:
    """What `missing_labels` found: `suggestions` are the boxes to look at, `scored` all predictions
    with their score; the other tables are computed when they are first asked for."""

    photos: Photos
    predictions: pd.DataFrame
    scored: pd.DataFrame
    suggestions: pd.DataFrame
    data: str | os.PathLike = ""
    seed: int = 0

    @functools.cached_property
    def images(self) -> pd.DataFrame:
        """Images with suggestions, those with the most expected animals first."""
        return missing.rank_images(self.photos, self.suggestions)

    @functools.cached_property
    def by_species(self) -> pd.DataFrame:
        """Labels and suggestions of each species."""
        return by_species(self.photos.boxes, self.suggestions)

    @functools.cached_property
    def faults(self) -> pd.DataFrame:
        """Labels that look wrong, worst first within a fault."""
        return faults.find(self.photos, self.predictions)

    @functools.cached_property
    def unlabelled(self) -> pd.DataFrame | None:
        """The animals that have no label, where `data` has the truth; else None."""
        return ranking.unlabelled(self.data, self.photos.images)

    @functools.cached_property
    def curves(self) -> pd.DataFrame:
        """Precision and recall of our ranking and its peers where missing labels are known."""
        return ranking.evaluate(self.data, self.photos, self.predictions, self.seed)

    def write(self, folder: str | os.PathLike, corrected: str | os.PathLike = "") -> pd.DataFrame:
        """Write suggestions and faults into `folder`, and what a person made of them.
        labels_with_suggestions.json (COCO) and yolo/ hold what there is to go through. `corrected`
        is the annotation tool's export of either: changes.csv says what it changed, and tables/
        holds the tables with its labels. Returns the changes (`exchange.diff`)."""
        target = Path(folder)
        boxes, changes = corrections(corrected, self.photos)
        lists = {"suggestions": self.suggestions, "faults": self.faults, "changes": changes}
        for name, table in lists.items():
            text = table.round(4).to_csv(index=False, lineterminator="\n")
            files.write_text(target / f"{name}.csv", text)
        listed = self.photos.select(self.suggestions["image_id"])
        exchange.write_coco(target / "labels_with_suggestions.json", listed, self.suggestions)
        exchange.write_yolo(target / "yolo", listed, self.suggestions)
        tables.write_tables(target / "tables", self.photos.images, boxes)
        return changes


def missing_labels(
    photos: Photos,
    predictions: pd.DataFrame,
    least_score: float = 0.5,
    data: str | os.PathLike = "",
    seed: int = 0,
) -> MissingLabels:
    """Animals that nobody labelled: every prediction scored, the best suggested, images ranked.

        missing = lu.missing_labels(photos, lu.predict_out_of_fold(photos, folds, "runs/first"))
        missing.suggestions  # one box an animal, by falling score

    Args:
        photos: the labelled photos.
        predictions: image_id, species, x_min, y_min, x_max, y_max in px, confidence in [0, 1]; by
            models that have not seen the photos, as a model repeats the gaps of its labels.
        least_score: suggested are boxes of this score and above, in [0, 1].
        data: folder of a drawn sample, whose truth.csv tells which animals have no label.
        seed: of the labels that are hidden to learn from.

    Returns:
        MissingLabels: `.suggestions` (boxes of the photo's species with score, label_iou and
        predicted_species), `.images`, `.by_species`, `.faults`, `.write(folder)`.

    Raises:
        ScoringError: without predictions, for ones of other photos or without numbers.
        DatasetError: without labels.
    """
    scored = missing.score(photos, predictions, seed=seed)
    suggestions = missing.suggest(scored, photos.images, least_score)
    return MissingLabels(photos, predictions, scored, suggestions, data, seed)


def by_species(boxes: pd.DataFrame, suggestions: pd.DataFrame) -> pd.DataFrame:
    """One row a species (of the images, not as predicted): labels, suggestions, suggestions as a
    share of both, and how many of them the model `named_otherwise`."""
    present = {*boxes["species"], *suggestions["species"]}
    table = pd.DataFrame({"species": [name for name in species.names() if name in present]})

    def number(names: pd.Series) -> pd.Series:
        return table["species"].map(names.value_counts()).fillna(0).astype(int)

    table["labels"], table["suggestions"] = number(boxes["species"]), number(suggestions["species"])
    table["share"] = table["suggestions"] / (table["labels"] + table["suggestions"]).clip(lower=1)
    other = suggestions["species"] != suggestions["predicted_species"]
    table["named_otherwise"] = number(suggestions.loc[other, "species"])
    return table


def audit(suggestions: pd.DataFrame, kept: pd.DataFrame, gone: pd.DataFrame) -> pd.DataFrame:
    """How good suggestions are where missing labels are known, in one row; covered_share is of the
    missing labels that a suggestion lies on."""
    right = missing.is_missing(suggestions, kept, gone)
    covered = missing.best_iou(gone, suggestions) >= missing.MATCHED_IOU
    shares = [float(found.mean()) if len(found) else 0.0 for found in (right, covered)]
    row = [len(suggestions), shares[0], len(gone), shares[1]]
    return pd.DataFrame([row], columns=["suggestions", "right_share", "missing", "covered_share"])


def cases(
    suggestions: pd.DataFrame, n: int = 6, unlabelled: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The first suggestions with `why`, for `plots.error_gallery`; at most two an image. Where the
    unlabelled animals are known, `right` says whether one lies there."""
    first = suggestions[suggestions.groupby("image_id").cumcount() < 2].head(n)
    why = [
        f"{row['species']}? score {row['score']:.2f}"
        + (f" (as {named})" if (named := row["predicted_species"]) != row["species"] else "")
        for row in first.to_dict("records")
    ]
    first = first.assign(why=why).reset_index(drop=True)
    if unlabelled is not None:
        first["right"] = missing.best_iou(first, unlabelled) >= missing.MATCHED_IOU
    return first


def fault_cases(faults: pd.DataFrame, n: int = 6) -> pd.DataFrame:
    """The most suspicious labels with `why`, the faults in turn, for `plots.error_gallery`."""
    turn = faults.assign(turn=faults.groupby("fault").cumcount())
    first = turn.sort_values("turn", kind="stable").head(n)
    why = [
        f"{row.fault}, {row.score:.2f}"
        + (f": {row.suggested_species}?" if row.fault == "swapped" else "")
        for row in first.itertuples()
    ]
    return first.assign(why=why).reset_index(drop=True)


def right_labels(found: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """Which labels of `faults.find` are right after all, by the boxes of all animals: one of their
    species lies where they lie (IoU >= .95); of labels on one animal the second is not right."""
    right = found["fault"] != "duplicate"
    for name in found["species"].unique():
        mine = found["species"] == name
        overlap = missing.best_iou(found[mine], truth[truth["species"] == name])
        right[mine] &= overlap >= 0.95
    return right


def corrections(path: str | os.PathLike, photos: Photos) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(boxes with the corrected labels of `path`, the changes); "" changes nothing."""
    boxes = photos.boxes
    if not path:
        return boxes, exchange.diff(boxes.iloc[:0], boxes.iloc[:0])
    corrected = exchange.read_corrected(path, photos.images)
    stay = boxes.loc[~boxes["image_id"].isin(corrected.attrs["image_ids"]), tables.BOX_COLUMNS]
    rows = pd.concat([stay, corrected])
    rows = rows.sort_values("image_id", kind="stable", ignore_index=True)
    return rows, exchange.diff(boxes, corrected)


def changes_table(changes: pd.DataFrame) -> pd.DataFrame:
    """A row per species (as corrected), a column per kind of change, from `corrections`."""
    names = [name for name in species.names() if name in set(changes["species"])]
    counts = pd.crosstab(changes["species"], changes["change"])
    counts = counts.reindex(index=names, columns=list(exchange.CHANGES), fill_value=0)
    return counts.rename(columns={"species": "renamed"}).rename_axis(columns=None).reset_index()
