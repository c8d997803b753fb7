"""Images that look alike: perceptual hashes, near-duplicates, how close valid comes to train.

Video frames of one pen may differ by a tail; split at random, one lands in train and its twin in
valid, and the metrics flatter. The hash is the DCT hash of Zauner 2010 ("Implementation and
Benchmarking of Perceptual Image Hash Functions") as package imagehash computes it: 64 bits,
distance = bits that differ (0 to 64).
"""

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.files import whole_file
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.reading import read_csv
from livestock_utils.core.tables import folds_of
from livestock_utils.core.text import one_line
from livestock_utils.core.threads import work_ahead

log = logging.getLogger(__name__)

MAX_DISTANCE = 8
"""Bits up to which two images count as near-duplicates. Unrelated photos differ in about 32 bits;
as half of the bits are set, chance alone brings 1 in 1.4e9 pairs within 8 bits (16,455 images make
1.4e8 pairs), but 1 in 2e6 within 12."""

_CHUNK = 256
"""Rows of the distance matrix at a time: 256 x 16,455 distances are 34 MB."""


def perceptual_hashes(photos: Photos, cache: str | os.PathLike | None = None) -> pd.Series:
    """64-bit perceptual hash of each image, a uint64 Series indexed by image_id (sorted). `cache`
    (a CSV, made if absent) is good while sizes, and in a zip CRCs, are the same. Images that cannot
    be decoded are left out, with one logged line that counts them."""
    table = photos.images.sort_values("image_id", ignore_index=True)
    known = _read_cache(cache)
    with photos.reader() as reader:
        places = list(zip(table["archive"], table["member"], strict=True))
        keys = [(*place, reader.stamp(*place)) for place in places]
        missing = [key for key in keys if key not in known]

        def hash_of(key: tuple[str, str, str]) -> int | None:
            try:
                return _phash(reader.bytes(*key[:2]))
            except ArchiveError:
                return None

        hashed = work_ahead(hash_of, missing, workers=os.cpu_count() or 1)
        values = progress(hashed, total=len(missing), desc="hashes", unit="image")
        known |= {k: v for k, v in zip(missing, values, strict=True) if v is not None}
    has_hash = np.array([key in known for key in keys], dtype=bool)
    if not has_hash.all():
        message = "%d images cannot be decoded and have no hash, the first is %s"
        log.warning(message, (~has_hash).sum(), table["image_id"][~has_hash].iloc[0])
    if cache is not None and missing:
        _write_cache(cache, known)
    hashes = np.array([known[key] for key in keys if key in known], dtype=np.uint64)
    return pd.Series(
        hashes, index=pd.Index(table["image_id"][has_hash], name="image_id"), name="hash"
    )


def near_duplicate_groups(
    hashes: pd.Series, images: pd.DataFrame, max_distance: int = MAX_DISTANCE
) -> pd.Series:
    """Groups: image_id -> smallest image_id that steps of at most `max_distance` bits link to it.
    One without a hash is a group of its own. Groups chain: with a fixed camera a large
    `max_distance` makes one group of everything."""
    if not 0 <= max_distance <= 64:
        raise DatasetError(f"max_distance must lie in [0, 64] bits, got {max_distance}")
    ids = images["image_id"].sort_values(ignore_index=True)
    position = ids.isin(hashes.index).to_numpy().nonzero()[0]
    bits = hashes.loc[ids.iloc[position]].to_numpy(dtype=np.uint64)
    first = np.arange(len(bits))
    for start, distance in _distances(bits, bits):
        row, column = np.nonzero(distance <= max_distance)
        if len(row) > len(distance):  # more than each image with itself
            first = join(first, row + start, column)
    group = np.arange(len(ids))
    group[position] = position[first]
    return pd.Series(ids.to_numpy()[group], index=pd.Index(ids, name="image_id"), name="group")


def blocks_of_ids(images: pd.DataFrame, block_size: int) -> pd.Series:
    """Groups of `block_size` consecutive numbers at the end of the ids, by the text before them.
    For frames numbered in the order they were filmed; an id without a number is its own group."""
    if block_size < 1:
        raise DatasetError(f"block_size must be at least 1, got {block_size}")
    ids = images["image_id"].sort_values(ignore_index=True)
    parts = ids.str.extract(r"^(.*?)(\d+)$")
    number = pd.to_numeric(parts[1]).fillna(0).astype("int64") // block_size
    group = (parts[0] + "block_" + number.astype(str)).where(parts[1].notna(), ids)
    return pd.Series(group.to_numpy(), index=pd.Index(ids, name="image_id"), name="group")


def nearest_train(hashes: pd.Series, folds: pd.Series, valid_fold: int = 0) -> pd.DataFrame:
    """The leakage report: for each valid image its nearest train image, the closest pairs first.
    Columns image_id, train_id (the smallest id among equals), distance (bits, 0 to 64)."""
    is_valid = (folds_of(hashes.index.to_series(), folds) == valid_fold).to_numpy()
    ordered = np.argsort(hashes.index.to_numpy(), kind="stable")
    valid, train = ordered[is_valid[ordered]], ordered[~is_valid[ordered]]
    if not len(valid) or not len(train):
        raise DatasetError(
            f"no image to compare: {len(valid)} valid (fold {valid_fold}) and {len(train)} train"
        )
    bits, ids = hashes.to_numpy(dtype=np.uint64), hashes.index
    best, least = [], []
    for _, distance in _distances(bits[valid], bits[train]):
        best.append(distance.argmin(axis=1))
        least.append(distance.min(axis=1))
    nearest = train[np.concatenate(best)]
    distances = np.concatenate(least).astype(int)
    table = pd.DataFrame({"image_id": ids[valid], "train_id": ids[nearest], "distance": distances})
    return table.sort_values(["distance", "image_id"], kind="stable", ignore_index=True)


def _phash(data: bytes) -> int | None:
    import imagehash
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            # Decoded at an eighth of the size, at a small part of the cost; the hash sees 32 x 32.
            image.draft("L", (64, 64))
            bits = imagehash.phash(image).hash
    except (OSError, SyntaxError, Image.DecompressionBombError):  # Pillow's for damaged files
        return None
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _distances(
    first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64]
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """(row of the first, distances in bits) of the matrix first x second, a chunk at a time."""
    for start in range(0, len(first), _CHUNK):
        yield start, np.bitwise_count(first[start : start + _CHUNK, None] ^ second[None, :])


def join(
    first: npt.NDArray[np.intp], row: npt.NDArray[np.intp], column: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Smallest member of each one's component, once the links row - column join them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(first)
    links = np.concatenate([np.arange(n), row]), np.concatenate([first, column])
    graph = coo_array((np.ones(len(links[0]), dtype=bool), links), shape=(n, n))
    component = connected_components(graph)[1]
    smallest = np.full(component.max() + 1, n)
    np.minimum.at(smallest, component, np.arange(n))
    return smallest[component]


def _read_cache(cache: str | os.PathLike | None) -> dict[tuple[str, str, str], int]:
    """Hashes by (archive, member, stamp); a cache that cannot be read is as good as none."""
    if cache is None or not Path(cache).is_file():
        return {}
    try:
        table = read_csv(cache, dtype=str)
        keys = zip(table["archive"], table["member"], table["stamp"], strict=True)
        return {key: int(value, 16) for key, value in zip(keys, table["hash"], strict=True)}
    except (ValueError, KeyError, TypeError) as error:
        message = "%s is not a cache of hashes (%s); all are computed again"
        log.warning(message, cache, one_line(error))
        return {}


def _write_cache(cache: str | os.PathLike, known: dict[tuple[str, str, str], int]) -> None:
    rows = [(*key, f"{value:016x}") for key, value in sorted(known.items())]
    table = pd.DataFrame(rows, columns=["archive", "member", "stamp", "hash"])
    with whole_file(cache, "w") as file:
        table.to_csv(file, index=False, lineterminator="\n")
