"""What written sets hold, as tables: their sizes, and strata kept by a smaller one."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.photos import Photos
from livestock_utils.data.eda import bins
from livestock_utils.data.sets import reading, yolo
from livestock_utils.data.split import folds

Sets = Mapping[str, str | os.PathLike]


def set_table(sets: Sets) -> pd.DataFrame:
    """A row per set: set, file, images, a column per species, backgrounds, boxes, megabytes. Only
    the manifests of the tars or folders are read."""
    rows = []
    for name, path in sets.items():
        manifest = reading.read_manifest(path)
        counts = manifest["species"].value_counts()
        backgrounds = int(counts.get(yolo.BACKGROUND, 0))
        each = [int(counts.get(label, 0)) for label in species.names()]
        boxes, megabytes = int(manifest["boxes"].sum()), float(manifest["bytes"].sum() / 1e6)
        images = len(manifest) - backgrounds
        rows.append((name, Path(path).name, images, *each, backgrounds, boxes, megabytes))
    columns = ["set", "file", "images", *species.names(), "backgrounds", "boxes", "megabytes"]
    return pd.DataFrame(rows, columns=columns)


def by_species(table: pd.DataFrame) -> pd.DataFrame:
    """`set_table` with a row per set and species: set, species ("none" where there are photos of
    none), images."""
    wide = table[["set", *species.names()]]
    none = table["images"] - wide[[*species.names()]].sum(axis=1)
    wide = wide.assign(**{bins.NO_SPECIES: none}) if none.any() else wide
    long = wide.melt(id_vars="set", var_name="species", value_name="images")
    place = {name: row for row, name in enumerate(table["set"])}
    return long.sort_values(
        "set", key=lambda names: names.map(place), kind="stable", ignore_index=True
    )


def kept_strata(photos: Photos, kept: Photos) -> pd.DataFrame:
    """How much of each stratum is among `kept` ("train"), as `folds.balance_table` has it."""
    strata = folds.strata_table(photos)
    inside = strata["image_id"].isin(kept.images["image_id"])
    return folds.stratum_shares(strata, inside, float(inside.mean()))
