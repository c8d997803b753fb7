"""Silver labels: boxes that a model predicted, taken as labels where people set none.

"duplicate" is the original's way (EDA/Data_Augmentation): a copy of each well-filled image with the
predictions alone. In "replace" the image itself leaves the training set, as in "merge": people's
boxes (gold) stay, confident predictions beside them are added (silver), less sure ones are ignored.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import boxes as box_arithmetic
from livestock_utils.core import overlaps, suppression
from livestock_utils.core import species as classes
from livestock_utils.core.arrays import Places
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.settings import Settings, setting
from livestock_utils.core.tables import BOX_COLUMNS, folds_of, require_columns

MODES = ("duplicate", "replace", "merge")
PREFIX = "plus_"
"""Ids of silver images are this and the id of their source, as in the original."""
GOLD, SILVER, IGNORED = "gold", "silver", "ignored"
"""Origins of a box: labelled by people, predicted and trusted, predicted and left open."""
_SHARES = ("confidence_threshold", "iou_threshold", "same_animal_overlap", "max_ignored_share")
LABEL_COLUMNS = ["image_id", "source_id", "species", *XYXY, "origin", "confidence", "source"]


@dataclasses.dataclass(frozen=True)
class SilverSettings(Settings):
    """How silver is made; the defaults are the original's, `table()` lists them.

        settings = lu.SilverSettings("merge", confidence_threshold=0.4, ignore_threshold=0.15)

    Raises:
        DatasetError: for a value out of its range; LivestockError for an unknown species.
    """

    error = DatasetError

    mode: str = setting("duplicate", "How predictions are used, see above.", choices=MODES)
    confidence_threshold: float = setting(0.05, "Predictions from here on are silver.", high=1)
    iou_threshold: float = setting(
        0.7, "Of two predictions that overlap more, the less confident goes.", high=1
    )
    min_boxes: int = setting(4, "Images with fewer boxes afterwards get no silver.", low=0)
    species: tuple[str, ...] = setting(("cow",), "Of the images that may get any.")
    same_animal_overlap: float = setting(
        0.6,
        "merge: a prediction shows the same animal as a label if they share this much of the "
        "smaller one (so that a box around two labels adds nothing).",
        high=1,
    )
    ignore_threshold: float | None = setting(
        None,
        "merge: predictions from here up to confidence_threshold are ignored regions; None: there "
        "are none.",
    )
    max_ignored_share: float = setting(
        0.1,
        "merge: of the image, the most confident regions first: a weak model would leave whole "
        "photos open.",
        high=1,
    )

    def __post_init__(self) -> None:
        """Check every value."""
        if isinstance(self.species, str):
            object.__setattr__(self, "species", tuple(self.species.split()))
        super().__post_init__()
        for name in _SHARES:
            if getattr(self, name) <= 0:
                raise DatasetError(f"{name} must be above 0, got {getattr(self, name)}")
        sure, unsure = self.confidence_threshold, self.ignore_threshold
        if unsure is not None and not 0 < unsure < sure:
            raise DatasetError(
                f"ignore_threshold must lie between 0 and confidence_threshold ({sure}), got "
                f"{unsure}"
            )
        if unsure is not None and self.mode != "merge":
            raise DatasetError(
                f"ignored regions exist in mode 'merge' only, got {self.mode!r} with "
                "ignore_threshold"
            )
        if not self.species:
            raise DatasetError(
                f"species is empty: name at least one of {', '.join(classes.names())}"
            )
        for name in self.species:
            classes.by_name(name)

    @classmethod
    def of_modes(cls, parameters: Mapping[str, Any]) -> "dict[str, SilverSettings]":
        """Settings of all modes, by name, from a notebook's parameters. "merge" takes those that
        begin with merge_ where there are such (merge_ignore_confidence: 0 for none)."""
        merge = {
            "confidence_threshold": parameters["merge_confidence"],
            "ignore_threshold": parameters["merge_ignore_confidence"] or None,
            "min_boxes": parameters["merge_min_boxes"],
        }
        own = {"duplicate": {}, "replace": {}, "merge": merge}
        return {mode: cls.of({**parameters, **own[mode], "mode": mode}) for mode in MODES}


@dataclasses.dataclass(frozen=True)
class Silver:
    """A silver set: `images` (ids `plus_<id>`, and `source_id`), `labels`, and its settings.
    `labels` has a row a box, LABEL_COLUMNS: `confidence` is NaN for gold, `source` the fold or
    weights that predicted it ("labels" for gold). Sorted by image, origin, falling confidence."""

    images: pd.DataFrame
    labels: pd.DataFrame
    settings: SilverSettings

    @property
    def boxes(self) -> pd.DataFrame:
        """The boxes that are trained on, gold and silver, as a boxes table."""
        kept = self.labels["origin"] != IGNORED
        return self.labels.loc[kept, BOX_COLUMNS].reset_index(drop=True)

    def folds(self, folds: pd.Series) -> pd.Series:
        """Folds of the silver images: their sources', so that no copy is on another side."""
        of_source = folds_of(self.images["source_id"], folds, "source images")
        return of_source.set_axis(self.images["image_id"])


def make_silver(
    photos: Photos,
    predictions: pd.DataFrame,
    settings: SilverSettings = SilverSettings(),
    source: str = "",
) -> Silver:
    """Silver labels for photos from predictions: boxes for animals that nobody labelled.

        silver = lu.make_silver(photos, oof, lu.SilverSettings("merge", 0.4, min_boxes=1))

    A prediction of another species than its image's is left out: the class of a box is its
    archive's. In mode "merge" images to which nothing is added are left out.

    Args:
        photos: the original photos with people's labels.
        predictions: image_id, species, confidence, x_min, y_min, x_max, y_max in px.
        settings: mode, thresholds, species.
        source: names the model in the provenance, where the predictions have neither a column
            `source` nor `fold` ("out of fold k").

    Returns:
        `.images` (ids plus_<id>), `.labels` (a row a box with its origin), `.boxes` to train on.

    Raises:
        DatasetError: predictions of unknown images or without confidence, none at all, and settings
            that leave no image.
    """
    images, boxes = photos.images, photos.boxes
    if images["image_id"].str.startswith(PREFIX).any():
        raise DatasetError(
            f"the images hold silver copies ({PREFIX}...) already; make silver from the original "
            "tables"
        )
    found = candidates(images, predictions, settings, source)
    eligible = images.loc[images["species"].isin(settings.species), "image_id"]
    gold = boxes[boxes["image_id"].isin(eligible)]
    is_sure = found["confidence"] >= settings.confidence_threshold
    labels = sure = found[is_sure].assign(origin=SILVER)
    if settings.mode == "merge":
        sure = additions(sure, gold, settings.same_animal_overlap)
        unsure = found[~is_sure].assign(origin=IGNORED)
        known = pd.concat([gold, sure])[["image_id", *XYXY]]
        unsure = _of_other_animals(unsure, known, settings.same_animal_overlap)
        unsure = unsure[_share_so_far(unsure, images) <= settings.max_ignored_share]
        changed = pd.concat([sure, unsure])
        kept = gold[gold["image_id"].isin(changed["image_id"])]
        labels = pd.concat([kept.assign(origin=GOLD, confidence=np.nan, source="labels"), changed])
    counts = labels.loc[labels["origin"] != IGNORED, "image_id"].value_counts()
    filled = eligible[eligible.map(counts).fillna(0) >= settings.min_boxes]
    if settings.mode == "merge":
        filled = filled[filled.isin(labels["image_id"])]
    if filled.empty:
        raise DatasetError(
            f"no image gets silver labels: of {len(eligible)} {' and '.join(settings.species)} "
            f"images the fullest has {int(counts.max()) if len(counts) else 0} boxes, min_boxes is "
            f"{settings.min_boxes}; lower min_boxes or confidence_threshold"
        )
    return _assemble(images, labels, filled, settings)


def count_boxes(
    photos: Photos, made: Mapping[str, Silver]
) -> tuple[pd.Series, dict[str, pd.Series]]:
    """(boxes of each image, {name: boxes of each image in that silver set}), by source's id."""
    ids = pd.Index(photos.images["image_id"])
    before = photos.boxes["image_id"].value_counts().reindex(ids, fill_value=0)
    after = {}
    for name, each in made.items():
        kept = each.labels.loc[each.labels["origin"] != IGNORED, "source_id"]
        after[name] = kept.value_counts().reindex(pd.Index(each.images["source_id"]), fill_value=0)
    return before, after


def candidates(
    images: pd.DataFrame, predictions: pd.DataFrame, settings: SilverSettings, source: str
) -> pd.DataFrame:
    """Checked predictions of eligible images, suppressed, with `source`; most confident first."""
    advice = "silver needs boxes in pixels with their confidence"
    require_columns(predictions, (*BOX_COLUMNS, "confidence"), "predictions", advice=advice)
    if predictions.empty:
        raise DatasetError(
            "there are no predictions to make silver labels from; predict first, or take other "
            "weights"
        )
    if len(blank := np.flatnonzero(predictions["confidence"].isna())):
        raise DatasetError(
            f"predictions: row {blank[0]} has no confidence; silver needs one for every box"
        )
    strange = ~predictions["image_id"].isin(images["image_id"])
    if len(strangers := predictions.loc[strange, "image_id"].unique()):
        raise DatasetError(
            f"predictions are of {len(strangers)} images that the tables lack, the first is "
            f"{strangers[0]!r}; use the predictions of these images"
        )
    own = predictions["image_id"].map(images.set_index("image_id")["species"])
    is_own = (own == predictions["species"]) & own.isin(settings.species)
    floor = settings.ignore_threshold or settings.confidence_threshold
    found = predictions[is_own & (predictions["confidence"] >= floor)]
    found = found.sort_values(["image_id", "confidence"], ascending=[True, False], kind="stable")
    if "source" not in found:
        name = "out of fold " + found["fold"].astype(str) if "fold" in found else source
        found = found.assign(source=name)
    found = found[["image_id", "species", *XYXY, "confidence", "source"]]
    keep = [np.zeros(0, dtype=bool)]
    for _, rows in found.groupby("image_id"):
        xyxy, confidence = (np.array(rows[c], np.float32) for c in (XYXY, "confidence"))
        keep.append(suppression.nms(xyxy, confidence, settings.iou_threshold))
    return found[np.concatenate(keep)].reset_index(drop=True)


def additions(found: pd.DataFrame, gold: pd.DataFrame, share: float) -> pd.DataFrame:
    """The predictions (sorted by image and falling confidence) that show an animal of their own:
    none of gold's, and of two that show the same one the first."""
    new = _of_other_animals(found, gold, share).reset_index(drop=True)
    keep = np.ones(len(new), dtype=bool)
    for row, earlier in zip(*_same_animal(new, new, share), strict=True):
        if earlier < row and keep[earlier]:
            keep[row] = False
    return new[keep].reset_index(drop=True)


def _of_other_animals(found: pd.DataFrame, known: pd.DataFrame, share: float) -> pd.DataFrame:
    """The predictions that show the animal of no known box."""
    keep = np.ones(len(found), dtype=bool)
    keep[_same_animal(found, known, share)[0]] = False
    return found[keep]


def _same_animal(first: pd.DataFrame, second: pd.DataFrame, share: float) -> tuple[Places, Places]:
    """Rows of the pairs of one image, of any species, that have in common at least `share` of the
    smaller box. IoU would let a box that holds a label and much else pass as another animal."""
    one, other = overlaps.same_image(*overlaps.image_codes(first["image_id"], second["image_id"]))
    sides = first[XYXY].to_numpy(float), second[XYXY].to_numpy(float)
    _, of_one, of_other = overlaps.overlaps(*sides, one, other)
    same = np.maximum(of_one, of_other) >= share
    return one[same], other[same]


def _share_so_far(found: pd.DataFrame, images: pd.DataFrame) -> pd.Series:
    """Share of its image that a box covers with those above it; overlaps count twice."""
    frames_px = images.set_index("image_id")[["width_px", "height_px"]].prod(axis=1)
    frame_px = found["image_id"].map(frames_px).astype(float)
    share = frame_px.rdiv(box_arithmetic.area(found[XYXY].to_numpy(float)))
    return share.groupby(found["image_id"]).cumsum()


def _assemble(
    images: pd.DataFrame, labels: pd.DataFrame, chosen: pd.Series, settings: SilverSettings
) -> Silver:
    """Images and labels of the chosen sources, under their new ids and in their order."""
    rows = images[images["image_id"].isin(chosen)]
    rows = rows.assign(source_id=rows["image_id"], image_id=PREFIX + rows["image_id"])
    mine = labels[labels["image_id"].isin(chosen)]
    mine = mine.assign(
        source_id=mine["image_id"],
        image_id=PREFIX + mine["image_id"],
        place=mine["origin"].map([GOLD, SILVER, IGNORED].index),
        unsure=-mine["confidence"].astype(float),
    ).sort_values(["image_id", "place", "unsure"], kind="stable", ignore_index=True)
    by_id = rows.sort_values("image_id", ignore_index=True)
    return Silver(by_id, mine[LABEL_COLUMNS], settings)
