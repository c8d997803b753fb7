"""Folds balanced by species, box count, shape and size, with groups that never span two.

Strata are species x count bin; their joint indicator is a label of its own, because stratifying on
species and count as separate labels (as the original's notebook EDA/Make_Dataset_Multilabel did)
let pig-little land 84/16 instead of 80/20.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import species as classes
from livestock_utils.core.arrays import Flags, Places
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.reading import read_csv
from livestock_utils.core.tables import PART, folds_of, require_columns
from livestock_utils.data.eda import bins
from livestock_utils.data.split import stratify

_WEIGHTS = {
    "images": 1.0,
    "stratum": 1.0,
    "species": 0.1,
    "count": 0.1,
    "ratio": 0.002,
    "area": 0.002,
}
"""What one image too many counts, by kind of label: strata are promised to the image."""


def strata_table(photos: Photos) -> pd.DataFrame:
    """What each image is stratified on, one row an image, sorted by image_id. Columns: image_id,
    species, boxes (count), count_bin, stratum ("pig-little"), and true/false for each box ratio and
    area that the image has: ratio_horizontal, ..., area_very_large."""
    images, boxes = photos.images, photos.boxes
    if len(images) == 0:
        raise DatasetError("no images to split: the images table is empty")
    repeated = images["image_id"][images["image_id"].duplicated()]
    if len(repeated):
        raise DatasetError(
            f"image id {repeated.iloc[0]!r} stands more than once in the images table; drop the "
            "copies"
        )
    table = images[["image_id", "species"]].sort_values("image_id", ignore_index=True)
    position = pd.Index(table["image_id"]).get_indexer(pd.Index(boxes["image_id"]))
    known, position = boxes[position >= 0], position[position >= 0]
    table["boxes"] = np.bincount(position, minlength=len(table))
    table["count_bin"] = bins.count_bin(table["species"], table["boxes"])
    names = table["species"].astype(str).replace("", bins.NO_SPECIES)
    table["stratum"] = names + "-" + table["count_bin"].astype(str)
    for kind, of_box in (("ratio", bins.ratio_bin(known)), ("area", bins.area_bin(known))):
        for code, name in enumerate(of_box.cat.categories):
            has = np.zeros(len(table), dtype=bool)
            has[position[(of_box.cat.codes == code).to_numpy()]] = True
            table[f"{kind}_{name.replace(' ', '_')}"] = has
    return table


def stratified_folds(
    photos: Photos,
    n_splits: int = 5,
    groups: pd.Series | None = None,
    seed: int = 42,
    *,
    hold_out: str = "",
    valid_fold: int = 0,
    given: bool = False,
) -> pd.Series:
    """Folds balanced over species, count of boxes, and their shapes and sizes.

        folds = lu.stratified_folds(photos, groups=lu.lookalikes(photos))
        train, valid = photos.fold(folds, 0, others=True), photos.fold(folds, 0)

    The order of the rows does not matter; the same photos and seed give the same folds.

    Args:
        photos: the images to split, with their boxes.
        n_splits: number of folds, at least 2.
        groups: image_id -> group; a group lies in one fold whole.
        seed: of the draws among equals.
        hold_out: a group that is fold `valid_fold` alone; all other images are one further fold.
        valid_fold: the fold that will judge; it must exist.
        given: the photos of the part called valid are fold `valid_fold`, whatever leaks; the others
            are split into the other folds.

    Returns:
        Fold 0 to n_splits - 1 of each image, a Series indexed by image_id (sorted).

    Raises:
        DatasetError: for fewer than 2 folds, fewer images or groups than folds, groups that do not
            name every image, a `valid_fold` that will not exist, and an unknown `hold_out`.
    """
    if n_splits < 2:
        raise DatasetError(f"n_splits must be at least 2, got {n_splits}")
    if not 0 <= valid_fold < n_splits:
        raise DatasetError(
            f"valid_fold must lie in 0..{n_splits - 1} for n_splits {n_splits}, got {valid_fold}"
        )
    if given:
        return _given_folds(photos, n_splits, groups, seed, valid_fold)
    if hold_out:
        if groups is None:
            raise DatasetError(
                f"hold_out {hold_out!r} needs groups: set group_by to a CSV of image_id and group"
            )
        ids = photos.images["image_id"].sort_values(ignore_index=True)
        of_image = groups.loc[_named(ids, groups)].to_numpy()
        held = of_image == hold_out
        if not held.any():
            known = sorted(map(str, set(of_image)))[:20]
            raise DatasetError(f"no group {hold_out!r}: expected one of {known}")
        if held.all():
            raise DatasetError(f"holding out {[hold_out]} leaves no image to train on")
        folds = np.where(held, valid_fold, int(valid_fold == 0))
        return pd.Series(folds, index=pd.Index(ids, name="image_id"), name="fold")
    strata = strata_table(photos)
    unit = _units(strata["image_id"], groups)
    if unit.max() + 1 < n_splits:
        what, other = ("images", "") if groups is None else ("groups", ", or another group_by")
        raise DatasetError(
            f"{n_splits} folds need at least as many {what}, got {unit.max() + 1}; ask for fewer "
            f"folds{other}"
        )
    folds = _assign(strata, unit, np.full(n_splits, 1 / n_splits), seed)
    return pd.Series(folds, index=pd.Index(strata["image_id"], name="image_id"), name="fold")


def _given_folds(
    photos: Photos, n_splits: int, groups: pd.Series | None, seed: int, valid_fold: int
) -> pd.Series:
    """The part called valid as `valid_fold`, the other photos stratified over the other folds."""
    parts = photos.images.get(PART, pd.Series("", index=photos.images.index))
    ids = photos.images["image_id"]
    rest = photos.select(ids[parts != "valid"])
    if not 0 < len(rest) < len(photos):
        raise DatasetError(
            "given folds need photos that come as train and valid: the column part holds "
            f"{sorted(set(parts)) or 'nothing'}; split them anew (folds stratified)"
        )
    others = pd.Series(0, index=rest.images["image_id"])
    if n_splits > 2:
        others = stratified_folds(rest, n_splits - 1, groups, seed)
    folds = pd.Series(valid_fold, index=pd.Index(ids, name="image_id"), name="fold")
    folds[others.index] = others + (others >= valid_fold)
    return folds.sort_index()


def mini(
    photos: Photos, share: float = 0.5, seed: int = 42, groups: pd.Series | None = None
) -> Photos:
    """A smaller set with the same balance; every stratum keeps at least one image.

        half = lu.mini(train, 0.5)

    Args:
        photos: the photos to take from.
        share: of the images, above 0 and at most 1.
        seed: of the draws.
        groups: image_id -> group, in whole or out: the share is met as far as their sizes allow.

    Returns:
        The photos of the smaller set.

    Raises:
        DatasetError: for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise DatasetError(f"share must be above 0 and at most 1, got {share}")
    strata = strata_table(photos)
    if share == 1:
        return photos
    unit = _units(strata["image_id"], groups)
    inside = _assign(strata, unit, np.array([share, 1 - share]), seed) == 0
    for stratum in sorted(set(strata["stratum"]) - set(strata["stratum"][inside])):
        first = unit[(strata["stratum"] == stratum).to_numpy()][0]
        inside |= unit == first
    return photos.select(strata["image_id"][inside])


def balance_table(
    photos: Photos, folds: pd.Series, valid_fold: int = 0, target: float | None = None
) -> pd.DataFrame:
    """How evenly train and valid share each stratum, one row a stratum in class and count order.
    Columns: stratum, species, count_bin, images, train, valid, share_in_train (0 to 1), target ((n
    - 1) / n for n folds unless given), off_points (percentage points), off_images (in train)."""
    strata = strata_table(photos)
    fold = folds_of(strata["image_id"], folds)
    if not (fold == valid_fold).any():
        known = sorted(fold.unique().tolist())
        raise DatasetError(f"valid_fold {valid_fold} is empty: expected one of {known}")
    wanted = 1 - 1 / fold.nunique() if target is None else target
    return stratum_shares(strata, fold != valid_fold, wanted)


def stratum_shares(strata: pd.DataFrame, in_train: pd.Series, target: float) -> pd.DataFrame:
    """`balance_table` of images that are in train or not, on the rows of `strata`."""
    names = [(s, c) for s in (*classes.names(), bins.NO_SPECIES) for c in bins.COUNT_BINS]
    table = pd.DataFrame([(f"{s}-{c}", s, c) for s, c in names])
    table.columns = ["stratum", "species", "count_bin"]
    parts = {"images": in_train | ~in_train, "train": in_train, "valid": ~in_train}
    for column, of_part in parts.items():
        counts = strata["stratum"][of_part].value_counts()
        table[column] = counts.reindex(table["stratum"], fill_value=0).to_numpy()
    table = table[table["images"] > 0].reset_index(drop=True)
    table["share_in_train"] = table["train"] / table["images"]
    table["target"] = target
    table["off_points"] = 100 * (table["share_in_train"] - target)
    table["off_images"] = table["train"] - target * table["images"]
    return table


def fold_table(photos: Photos, folds: pd.Series) -> pd.DataFrame:
    """Images of every label in every fold: kind (stratum, ratio, area), label, fold, images, share.
    `share` is that fold's part of all images with the label (0 to 1)."""
    strata = strata_table(photos)
    fold = folds_of(strata["image_id"], folds)
    rows = []
    for kind, label, has in _indicators(strata):
        if kind in ("stratum", "ratio", "area") and has.any():
            for number in sorted(fold.unique()):
                count = int((fold[has] == number).sum())
                rows.append((kind, label, int(number), count, count / int(has.sum())))
    return pd.DataFrame(rows, columns=["kind", "label", "fold", "images", "share"])


def read_groups(path: str | os.PathLike, images: pd.DataFrame) -> pd.Series:
    """image_id -> group (camera, farm, ...) from a CSV with the columns image_id and group. A
    ".jpg" at the end of an id is dropped; rows of other images are ignored."""
    if not Path(path).is_file():
        raise DatasetError(f"groups file not found: {path}")
    table = read_csv(path, dtype=str, keep_default_na=False)
    require_columns(table, ("image_id", "group"), path)
    table["image_id"] = table["image_id"].str.replace(r"(?i)\.jpe?g$", "", regex=True)
    table = table[["image_id", "group"]].drop_duplicates()
    twice = table["image_id"][table["image_id"].duplicated()]
    if len(twice):
        raise DatasetError(f"{path}: image {twice.iloc[0]!r} has more than one group")
    groups = table.set_index("image_id")["group"]
    return groups.loc[_named(images["image_id"], groups)]


def _assign(strata: pd.DataFrame, unit: Places, shares: npt.ArrayLike, seed: int) -> Places:
    """Part of every image: labels summed by unit, units assigned, spread over the images."""
    indicators = [("images", "all", np.ones(len(strata), dtype=bool)), *_indicators(strata)]
    sums = [np.bincount(unit, weights=has, minlength=unit.max() + 1) for _, _, has in indicators]
    weights = [_WEIGHTS[kind] for kind, _, _ in indicators]
    return stratify.assign(np.stack(sums, axis=1), shares, weights, seed)[unit]


def _indicators(strata: pd.DataFrame) -> list[tuple[str, str, Flags]]:
    """(kind, label, true/false an image) of everything that is balanced."""
    found = []
    for kind, column in (("stratum", "stratum"), ("species", "species"), ("count", "count_bin")):
        codes, labels = pd.factorize(strata[column].astype(str), sort=True)
        found += [(kind, str(label), codes == code) for code, label in enumerate(labels)]
    for kind in ("ratio", "area"):
        for name in strata.columns[strata.columns.str.startswith(f"{kind}_")]:
            label = name.removeprefix(f"{kind}_").replace("_", " ")
            found.append((kind, label, strata[name].to_numpy()))
    return found


def _units(image_ids: pd.Series, groups: pd.Series | None) -> Places:
    """Number 0.. of the unit that each image belongs to; every image its own without groups."""
    if groups is None:
        return np.arange(len(image_ids))
    return pd.factorize(groups.loc[_named(image_ids, groups)])[0]


def _named(image_ids: pd.Series, groups: pd.Series | Mapping) -> pd.Series:
    """`image_ids`, after a check that `groups` names each of them once and with a value."""
    groups = pd.Series(groups)
    if groups.index.has_duplicates:
        raise DatasetError(
            f"groups: image {groups.index[groups.index.duplicated()][0]!r} has more than one entry"
        )
    absent = image_ids[~image_ids.isin(groups.dropna().index)]
    if len(absent):
        count = f"{len(absent)} of {len(image_ids)}"
        raise DatasetError(
            f"groups: {count} images have no group, the first is {absent.iloc[0]!r}; name them all"
        )
    return image_ids
