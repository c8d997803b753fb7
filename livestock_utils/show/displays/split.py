"""How photos are split: strata, balance, groups, leaks, and the sets that are written."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.data import lookalikes
from livestock_utils.data.sets import summary
from livestock_utils.data.split import folds as splitting
from livestock_utils.data.split import groups as grouping
from livestock_utils.show.display import Display
from livestock_utils.show.plots import gallery
from livestock_utils.show.plots import split as plots
from livestock_utils.show.words import eda as words

MAX_DISTANCE = lookalikes.MAX_DISTANCE


def strata(photos: Photos) -> Display:
    """What the first photos are stratified on."""
    table = splitting.strata_table(photos)
    columns = ["image_id", "species", "boxes", "count_bin", "stratum"]
    caption = "The strata of the first images."
    return Display("strata", caption, table[columns].head(5), shows_table=True)


def leakage(
    photos: Photos,
    folds: pd.Series,
    valid_fold: int = 0,
    max_distance: int = MAX_DISTANCE,
    cache: str | os.PathLike | None = None,
    before: pd.DataFrame | None = None,
) -> Display:
    """How near validation images come to training ones: a row per validation image, its nearest
    training image and the bits that differ. Without `before` it is a split without groups, with its
    table the split as used; the figure has both."""
    nearest = lookalikes.nearest_train(
        lookalikes.perceptual_hashes(photos, cache), folds, valid_fold
    )
    names = ("without groups", "as used")
    splits = dict(zip(names, (nearest if before is None else before, nearest), strict=True))
    suffix = "_plain" if before is None else ""
    caption = "Distance of each validation image to its nearest training image, by split."
    draw = partial(plots.leakage, splits, photos.images, max_distance)
    verdict = words.leakage(nearest, max_distance)
    metrics = {f"look_alikes{suffix}": int((nearest["distance"] <= max_distance).sum())}
    return Display(
        f"leakage{suffix}", caption, nearest, None if before is None else draw, verdict, metrics
    )


def worst_pairs(photos: Photos, nearest: pd.DataFrame, n: int = 2) -> Display:
    """The closest pairs of a split's `leakage` table, as photos."""
    caption = "The closest pairs of that split: validation left, train right."
    return Display(
        "worst_pairs", caption, nearest.head(n), lambda: gallery.pairs(nearest, photos, n=n)
    )


def groups(photos: Photos, of_image: pd.Series | None, group_by: str) -> Display:
    """How many photos must stay together, and in how large groups."""
    table = grouping.group_sizes(of_image, photos.images)
    metrics = {"group_by": group_by, "groups": table}
    return Display("groups", f"Groups by {group_by}.", table, metrics=metrics, shows_table=True)


def balance(
    photos: Photos, folds: pd.Series, valid_fold: int = 0, held_out: bool = False
) -> Display:
    """The share of each stratum that went to train; `held_out`: the fold is of a size of its own,
    as one group alone, or the given part."""
    target = float((folds != valid_fold).mean()) if held_out else None
    table = splitting.balance_table(photos, folds, valid_fold, target)
    return Display(
        "balance",
        "Share of each stratum in train.",
        table.drop(columns=["species", "count_bin", "target"]),
        partial(plots.split_balance, table),
        metrics={
            "furthest_stratum": table["stratum"].tolist()[table["off_points"].abs().argmax()],
            "largest_error_points": float(table["off_points"].abs().max()),
            "largest_error_images": float(table["off_images"].abs().max()),
            "balance": table,
        },
        shows_table=True,
        table_caption="Images of each stratum in train and validation, and how far off that is.",
    )


def kept_strata(photos: Photos, kept: Photos, name: str) -> Display:
    """The share of each stratum that is among `kept`; `name` is the set's."""
    table = summary.kept_strata(photos, kept)
    caption = (
        f"Share of each {'' if name.startswith('the full') else 'training '}stratum in {name}."
    )
    draw = partial(plots.split_balance, table, name)
    return Display("balance", caption, table, draw, metrics={"balance": table})


def folds(photos: Photos, of_image: pd.Series, valid_fold: int = 0) -> Display:
    """How each stratum, and each shape and size of boxes, spreads over the folds."""
    table = splitting.fold_table(photos, of_image)
    return Display(
        "folds",
        "How the images of each stratum, and those that hold a box of each shape and size, spread "
        "over the folds.",
        table,
        partial(plots.fold_balance, table, valid_fold),
        words.folds(of_image, table),
    )


def watched(photos: Photos, part: Photos) -> Display:
    """How many photos stay out of the full training set, or that nothing is left to validate on."""
    verdict = words.watched(len(part), len(photos))
    return Display("watched", table=part.images, verdict=verdict)


def sets(paths: Mapping[str, str | os.PathLike], caption: str) -> Display:
    """What written sets hold: name -> tar or folder."""
    table = summary.set_table(paths)
    by_species = summary.by_species(table)
    metrics: dict[str, Any] = {"sets": table}
    draw = partial(plots.set_sizes, by_species)
    return Display("sets", caption, table, draw, metrics=metrics)
