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
    """A row per set: set, file, images, a column per species, backgrounds, boxes, megabytes.

    `sets` maps names to tars or folders of `lu.write_set`; only their
    manifests are read.
    """
    rows = []
    for name, path in sets.items():
        manifest = reading.read_manifest(path)
        counts = manifest["species"].value_counts()
        backgrounds = int(counts.get(yolo.BACKGROUND, 0))
        each = {label: int(counts.get(label, 0)) for label in species.names()}
        rows.append(
            {
                "set": name,
                "file": Path(path).name,
                "images": len(manifest) - backgrounds,
                **each,
                "backgrounds": backgrounds,
                "boxes": int(manifest["boxes"].sum()),
                "megabytes": float(manifest["bytes"].sum() / 1e6),
            }
        )
    columns = ["set", "file", "images", *species.names(), "backgrounds", "boxes", "megabytes"]
    return pd.DataFrame(rows, columns=columns)


def by_species(table: pd.DataFrame) -> pd.DataFrame:
    """`set_table` with a row per set and species: set, species, images."""
    long = table[["set", *species.names()]].melt(
        id_vars="set", var_name="species", value_name="images"
    )
    place = {name: row for row, name in enumerate(table["set"])}
    return long.sort_values(
        "set", key=lambda names: names.map(place), kind="stable", ignore_index=True
    )


def kept_strata(photos: Photos, kept: Photos) -> pd.DataFrame:
    """How much of each stratum of `photos` is among `kept`, as `folds.balance_table`.

    "train" counts the kept images and "valid" the others; the target is the kept share of all
    images.
    """
    strata = folds.strata_table(photos)
    inside = strata["image_id"].isin(kept.images["image_id"])
    target = float(inside.mean())
    rows = []
    for name in species.names():
        for label in bins.COUNT_BINS:
            mine = inside[(strata["species"] == name) & (strata["count_bin"] == label)]
            if len(mine):
                n, share = int(mine.sum()), float(mine.mean())
                rows.append(
                    (
                        f"{name}-{label}",
                        name,
                        label,
                        len(mine),
                        n,
                        len(mine) - n,
                        share,
                        target,
                        100 * (share - target),
                        n - target * len(mine),
                    )
                )
    return pd.DataFrame(
        rows,
        columns=[
            "stratum",
            "species",
            "count_bin",
            "images",
            "train",
            "valid",
            "share_in_train",
            "target",
            "off_points",
            "off_images",
        ],
    )
