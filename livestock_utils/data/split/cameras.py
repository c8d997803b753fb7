"""Cameras: photos with one background, those left out in turn, and frames that differ most."""

import contextlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.photos import Photos, Reader
from livestock_utils.core.progress import progress
from livestock_utils.core.threads import work_ahead
from livestock_utils.data import lookalikes

_SIDE, _ALIKE, _COMMON = 24, 0.85, 0.15
"""Photos of so many pixels a side are compared by the cosine of their slopes of grey where both are
free of boxes, at least this share of the frame. Of 427 real photos cosines from .7 to .85 find two
fixed cameras to the frame, and no other group of ten."""
_FEWEST = 10


def background_groups(photos: Photos) -> pd.Series:
    """Groups (image_id -> its smallest image_id) of photos that look the same outside of both
    photos' labelled boxes: one fixed camera. One that is nearly all animals, or cannot be decoded,
    is alone."""
    rows = photos.images.sort_values("image_id").to_dict("records")
    boxes = dict(list(photos.boxes.groupby("image_id")[XYXY]))
    with photos.reader() as reader:
        made = work_ahead(lambda row: _slopes(reader, row, boxes.get(row["image_id"])), rows)
        planes = np.array(list(progress(made, total=len(rows), desc="backgrounds", unit="image")))
    planes = planes.reshape(len(rows), 3, _SIDE**2)
    slopes, free = planes[:, :2].reshape(len(rows), 2 * _SIDE**2), planes[:, 2]
    first, squares = np.arange(len(rows)), (planes[:, :2] ** 2).sum(axis=1)
    for start in range(0, len(rows), 256):
        part = slice(start, start + 256)
        norm = np.sqrt((squares[part] @ free.T) * (free[part] @ squares.T))
        alike = slopes[part] @ slopes.T >= _ALIKE * np.maximum(norm, 1e-6)
        row, column = np.nonzero(alike & (free[part] @ free.T >= _COMMON * _SIDE**2))
        first = lookalikes.join(first, row + start, column)
    ids = np.array([row["image_id"] for row in rows], dtype=object)
    return pd.Series(ids[first], index=pd.Index(ids, name="image_id"), name="group")


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


def _slopes(reader: Reader, row: dict, boxes: pd.DataFrame | None) -> npt.NDArray[np.float32]:
    """The slopes of grey down and across, 0 near a box, and 1 where it is free of boxes: (3, 24,
    24); zeros for a photo that cannot be decoded."""
    import cv2

    free, grey = np.zeros((_SIDE, _SIDE), np.float32), None
    with contextlib.suppress(ArchiveError, OSError, cv2.error):
        data = np.frombuffer(reader.bytes(row["archive"], row["member"]), np.uint8)
        grey = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if grey is None:
        return np.array([free] * 3)
    size_px = np.tile([row["width_px"], row["height_px"]], 2)
    for xyxy in [] if boxes is None else boxes.to_numpy(float):
        x_min, y_min, x_max, y_max = (xyxy / size_px).clip(0, 1) * _SIDE
        free[int(y_min) : int(np.ceil(y_max)), int(x_min) : int(np.ceil(x_max))] = 1
    free[:] = 1 - cv2.dilate(free, np.ones((3, 3)))  # a slope looks one pixel around
    small = cv2.resize(grey, free.shape, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.array([*(np.array(np.gradient(small)) * free), free], dtype=np.float32)
