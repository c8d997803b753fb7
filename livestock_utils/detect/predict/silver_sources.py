"""Where silver's predictions come from: out of fold, in sample, or a table."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.tables import BOX_COLUMNS
from livestock_utils.detect.predict import engine, out_of_fold
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train.run import Run
from livestock_utils.evaluate.scoring.tables import score
from livestock_utils.evaluate.silver import making

_OUT_OF_FOLD, IN_SAMPLE, _GIVEN = "out of fold", "in sample", "given"
_ENSEMBLE = "teachers together"
_FLOOR = 0.01
"""Lowest confidence that is kept: far below the original's 0.05, to sweep."""
_ADDED_FROM, _LEAST_ADDED = 0.3, 0.01
"""Confidence from which a round completes labels (docs/missing_labels.md), least share it adds."""


@dataclasses.dataclass(frozen=True)
class SilverSources:
    """Predictions by source, the one that silver is made from first. `saw_validation`: were the
    models behind it trained on validation images? None: not known."""

    tables: dict[str, pd.DataFrame]
    saw_validation: bool | None

    @property
    def name(self) -> str:
        """The source that silver is made from."""
        return next(iter(self.tables))

    @property
    def predictions(self) -> pd.DataFrame:
        """Its predictions table."""
        return self.tables[self.name]


def predict_for_silver(
    photos: Photos,
    folds: pd.Series,
    out: str | os.PathLike,
    settings: TrainSettings,
    source: str = "out_of_fold",
    *,
    weights: str | os.PathLike = "",
    n_folds: int = 2,
    rounds: int = 1,
    iou_threshold: float = 0.7,
    sets: str | os.PathLike | None = None,
) -> SilverSources:
    """Predictions of the training photos: what silver is made from, and what that is compared with.

        sources = lu.predict_for_silver(train, folds, "runs/first", lu.TrainSettings(epochs=10))
        silver = lu.make_silver(train, sources.predictions)

    Args:
        photos: the training photos; rows of a given table about others are left out.
        folds: fold of each image, by image_id.
        out: the folder of results: teachers go there, and the weights of notebooks 08 and 05 are
            looked for there.
        settings: of the teachers; their `image_size` is that of the predictions too.
        source: "out_of_fold" (teachers trained on `photos` alone, see `predict_out_of_fold`),
            "ensemble" (these teachers together, most of which have seen a photo), "in_sample"
            (weights predict what they were trained on) or the path of a table.
        weights: a .pt whose in-sample predictions are added; "": the best of 08, or else of 05.
        n_folds: how many teachers.
        rounds: how often teachers are trained, each time but the first on labels that those before
            completed out of fold. It stops where a round meets people's labels no better (AP75 out
            of fold), which is then there to compare, or where it would add fewer than 1 % of boxes.
        iou_threshold: of the suppression, in [0, 1].
        sets: where the folds are unpacked; default the local disk.

    Raises:
        DatasetError: "in_sample" without weights, or a table that has none of the images, or rounds
            that are no number from 1 on.
    """
    if type(rounds) is not int or rounds < 1:
        raise DatasetError(f"rounds must be a whole number from 1 on, got {rounds!r}")
    used = default_weights(out, weights)
    cut: dict[str, Any] = {"iou_threshold": iou_threshold, "confidence_threshold": _FLOOR}
    found: dict[str, pd.DataFrame] = {}
    if source == "in_sample" and used is None:
        raise DatasetError(
            "in-sample predictions need weights: run notebook 05 or 08 first, or give a .pt as "
            "weights"
        )
    if source in ("out_of_fold", "ensemble"):
        asked = {"n_folds": n_folds, "sets": sets, **cut}
        by_name = _in_rounds(photos, folds, out, settings, rounds, asked)
        if source == "ensemble":
            teachers, _ = out_of_fold.trained(out, photos.images, folds, next(iter(by_name)))
            all_of_them = list(teachers.values())
            made = engine.predict(all_of_them, photos, image_size=settings.image_size, **cut)
            found[_ENSEMBLE] = made.assign(source=_ENSEMBLE)
        for name, table in by_name.items():  # "silver_round2" -> "out of fold, round 2"
            found[name.replace("silver", _OUT_OF_FOLD).replace("_round", ", round ")] = table
    elif source != "in_sample":
        table, ids = out_of_fold.read(source), photos.images["image_id"]
        found[_GIVEN] = table[table["image_id"].isin(ids)].reset_index(drop=True)
        if found[_GIVEN].empty:
            raise DatasetError(
                f"{source} has predictions of {table['image_id'].nunique()} images, none of which "
                f"is among the {len(photos)} training images; give the predictions of these images"
            )
    if used is not None:
        made = engine.predict(used, photos, image_size=settings.image_size, **cut)
        found[IN_SAMPLE] = made.assign(source="in sample, " + "/".join(used.parts[-3:]))
    return SilverSources(found, saw_validation(out, used, source))


def _in_rounds(
    photos: Photos, folds: pd.Series, out: Any, settings: Any, rounds: int, asked: dict[str, Any]
) -> dict[str, pd.DataFrame]:
    """Predictions out of fold by run name, the round that meets people's labels best first."""
    found: dict[str, pd.DataFrame] = {}
    kinds = tuple(photos.boxes["species"].unique())
    sure = making.SilverSettings("merge", _ADDED_FROM, min_boxes=1, species=kinds)
    fuller, met = photos, -1.0
    for name in ("silver", *(f"silver_round{n}" for n in range(2, rounds + 1))):
        table = out_of_fold.predict_out_of_fold(fuller, folds, out, settings, name=name, **asked)
        mine = float(score(photos, table)["mAP75"]["all"]) if rounds > 1 else 0.0
        found = {name: table, **found} if mine > met else {**found, name: table}
        if mine <= met or rounds == 1:
            break
        met, usable = mine, making.candidates(photos.images, table, sure, "")
        new = making.additions(usable, photos.boxes, sure.same_animal_overlap)
        if len(new) < _LEAST_ADDED * len(photos.boxes):
            break
        fuller = photos.with_boxes(pd.concat([photos.boxes, new[BOX_COLUMNS]]))
    return found


def default_weights(out: str | os.PathLike, weights: str | os.PathLike = "") -> Path | None:
    """`weights`, else the best ones of the full training (08) or the first (05), else None."""
    if weights:
        return Path(weights)
    runs = (Run(Path(out) / "training" / name) for name in ("full", "multilabel_split"))
    return next((run.best for run in runs if run.finished), None)


def saw_validation(
    out: str | os.PathLike, weights: str | os.PathLike | None, source: str
) -> bool | None:
    """Have the models behind silver labels seen validation images? None: not known. Teachers out of
    fold are trained on the training photos alone, as is the run of notebook 05; 08's has seen
    them."""
    if source in ("out_of_fold", "ensemble"):
        return False
    if source != "in_sample" or weights is None:
        return None
    training = Path(out).resolve() / "training"
    seen = {training / "multilabel_split": False, training / "full": True}
    return seen.get(Path(weights).resolve().parents[1])
