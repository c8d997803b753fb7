"""Cameras: those that are left out in turn, and the frames of one that differ most."""

import numpy as np
import pandas as pd

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data import lookalikes

_FEWEST = 10


def held_out(photos: Photos, groups: pd.Series | None, cameras: list[str]) -> dict[str, Photos]:
    """The photos of each camera that is left out once: `cameras`, or all groups but "" of 10 photos
    and more. DatasetError for none, unknown ones, those without labels, nothing to train on."""
    names_of = photos.images["image_id"].map({} if groups is None else groups)
    of_image = names_of.astype(object).fillna("").astype(str)
    sizes = of_image[of_image != ""].value_counts().sort_index()
    if unknown := [name for name in cameras if name not in sizes]:
        raise DatasetError(f"no camera {unknown[0]!r}: expected some of {list(sizes.index)[:20]}")
    names = list(dict.fromkeys(cameras)) or list(sizes.index[sizes >= _FEWEST])
    if not names:
        told = f"no group has {_FEWEST} photos or more, the largest has {max(sizes, default=0)}"
        raise DatasetError(f"{told}; name the cameras in a CSV of image_id and group")
    found = {name: photos.select(photos.images["image_id"][of_image == name]) for name in names}
    for name, camera in found.items():
        if (n := camera.boxes["image_id"].nunique()) < 4:  # 2 are scored where 2 are learnt from
            told = f"camera {name!r} has labels on {n} of {len(camera)} photos, 4 are needed"
            raise DatasetError(f"{told}; label more, or name the other cameras")
        if len(camera) == len(photos):
            told = f"all {len(photos)} photos are of one camera, {name!r}: none is left to train on"
            raise DatasetError(f"{told}; add photos from elsewhere")
    return found


def pick_frames(camera: Photos, n: int, seed: int = 0) -> list[str]:
    """Ids of `n` labelled frames: one drawn by `seed`, then always the one that is furthest (bits
    of the perceptual hash) from those picked. DatasetError where no 2 would be left to score."""
    labelled = camera.select(camera.boxes["image_id"].unique())
    hashes = lookalikes.perceptual_hashes(labelled).sample(frac=1, random_state=seed)
    if not 1 <= n <= len(hashes) - 2:
        told = f"{n} labelled frames asked of a camera that has {len(hashes)}"
        raise DatasetError(f"{told}: expected 1 to {len(hashes) - 2}, as 2 are left to score")
    bits, picked = hashes.to_numpy(np.uint64), [0]
    while len(picked) < n:
        nearest = np.bitwise_count(bits[:, None] ^ bits[picked]).min(axis=1).astype(int)
        nearest[picked] = -1
        picked.append(int(nearest.argmax()))
    return [str(name) for name in hashes.index[picked]]
