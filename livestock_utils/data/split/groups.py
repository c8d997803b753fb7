"""Which images must stay together in a split, and what the groups look like."""

import os
from pathlib import Path

import pandas as pd

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data import lookalikes as hashing
from livestock_utils.data.eda import counts
from livestock_utils.data.split import cameras, folds

_WAYS = ("none", "near_duplicates", "blocks", "background")
"""What `group_by` may be, besides the path of a CSV with the columns image_id and group."""


def lookalikes(
    photos: Photos,
    group_by: str = "near_duplicates",
    *,
    max_distance: int = hashing.MAX_DISTANCE,
    block_size: int = 50,
    cache: str | os.PathLike | None = None,
) -> pd.Series | None:
    """Groups of photos that must stay together in a split.

        groups = lu.lookalikes(photos)
        folds = lu.stratified_folds(photos, groups=groups)

    Args:
        photos: the photos to group.
        group_by: "near_duplicates" links photos whose perceptual hashes differ in at most
            `max_distance` of 64 bits; "background" those that look the same outside of their boxes
            (fixed cameras); "blocks" takes `block_size` consecutive ids; a path is read as a CSV of
            image_id and group (camera, farm, ...); "none" groups nothing.
        max_distance: bits, 0 to 64.
        block_size: ids, at least 1.
        cache: a CSV that keeps the hashes, made if absent.

    Returns:
        image_id -> group, or None for "none".

    Raises:
        DatasetError: for another `group_by`, and a CSV that does not name every image once.
    """
    if group_by == "none":
        return None
    if group_by == "near_duplicates":
        hashes = hashing.perceptual_hashes(photos, cache)
        return hashing.near_duplicate_groups(hashes, photos.images, max_distance)
    if group_by == "blocks":
        return hashing.blocks_of_ids(photos.images, block_size)
    if group_by == "background":
        return cameras.background_groups(photos)
    if not Path(group_by).is_file():
        raise DatasetError(
            f"group_by {group_by!r}: expected one of {', '.join(_WAYS)} or a CSV file that exists"
        )
    return folds.read_groups(group_by, photos.images)


def group_sizes(groups: pd.Series | None, images: pd.DataFrame) -> pd.DataFrame:
    """A row per species: species, images, groups, grouped_images (of 2 or more), largest_group."""
    of_image = images["image_id"] if groups is None else images["image_id"].map(groups)
    sizes = of_image.map(of_image.value_counts())
    rows = []
    for name, part in counts.by_species(images):
        mine, size = of_image.loc[part.index], sizes.loc[part.index]
        rows.append((name, len(part), mine.nunique(), int((size > 1).sum()), int(size.max())))
    return pd.DataFrame(
        rows, columns=["species", "images", "groups", "grouped_images", "largest_group"]
    )
