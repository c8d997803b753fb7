"""Which images must stay together in a split: one parameter of the notebooks -> groups, and what
they look like."""

from pathlib import Path

import pandas as pd

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data import lookalikes
from livestock_utils.data.eda import counts
from livestock_utils.data.split import folds

WAYS = ("none", "near_duplicates", "blocks")
"""What `group_by` may be, besides the path of a CSV with the columns image_id and group."""


def groups_by(
    group_by: str,
    images: pd.DataFrame,
    hashes: pd.Series | None = None,
    block_size: int = 50,
    max_distance: int = lookalikes.MAX_DISTANCE,
) -> pd.Series | None:
    """Groups for `split.stratified_folds`, a Series image_id -> group; None for "none".

    "near_duplicates" links images whose `hashes` differ in at most `max_distance` bits, "blocks"
    takes `block_size` consecutive ids, a path is read as a CSV (camera, farm, ...). DatasetError
    for anything else.
    """
    if group_by == "none":
        return None
    if group_by == "near_duplicates":
        if hashes is None:
            raise DatasetError(
                'group_by "near_duplicates" needs hashes: make them by neighbours.perceptual_hashes'
            )
        return lookalikes.near_duplicate_groups(hashes, images, max_distance)
    if group_by == "blocks":
        return lookalikes.blocks_of_ids(images, block_size)
    if not Path(group_by).is_file():
        raise DatasetError(
            f"group_by {group_by!r}: expected one of {', '.join(WAYS)} or a CSV file that exists"
        )
    return folds.read_groups(group_by, images)


def make_folds(
    photos: Photos,
    groups: pd.Series | None,
    n_splits: int = 5,
    seed: int = 42,
    hold_out: str = "",
    valid_fold: int = 0,
) -> pd.Series:
    """`split.stratified_folds`, or with `hold_out` that group as `valid_fold` and all other images
    as one further fold.

    Raises DatasetError for a `valid_fold` that will not exist, and for `hold_out` without groups or
    of an unknown one.
    """
    if not 0 <= valid_fold < n_splits:
        raise DatasetError(
            f"valid_fold must lie in 0..{n_splits - 1} for n_splits {n_splits}, got {valid_fold}"
        )
    if not hold_out:
        return folds.stratified_folds(photos, n_splits, groups, seed)
    if groups is None:
        raise DatasetError(
            f"hold_out {hold_out!r} needs groups: set group_by to a CSV of image_id and group"
        )
    held = folds.hold_out(photos.images, groups, hold_out) == 0
    return held.map({True: valid_fold, False: int(valid_fold == 0)}).rename("fold")


def group_sizes(groups: pd.Series | None, images: pd.DataFrame) -> pd.DataFrame:
    """One row a species: species, images, groups, grouped_images (in groups of 2 and more),
    largest_group.

    A group that holds several species counts for each of them. Without groups every image is one.
    """
    of_image = images["image_id"] if groups is None else images["image_id"].map(groups)
    sizes = of_image.map(of_image.value_counts())
    rows = []
    for name, part in counts.by_species(images):
        mine, size = of_image.loc[part.index], sizes.loc[part.index]
        rows.append((name, len(part), mine.nunique(), int((size > 1).sum()), int(size.max())))
    return pd.DataFrame(
        rows, columns=["species", "images", "groups", "grouped_images", "largest_group"]
    )
