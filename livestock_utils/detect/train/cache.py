"""Images decoded once and kept at the training size, in memory or in one file on the local disk.

yolov5's own disk cache keeps every image at its full size beside it (6 MB for 1920 x 1080, 100 GB
for AI Hub's set).
"""

import contextlib
import functools
import hashlib
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from livestock_utils.core import frames, locks
from livestock_utils.core.arrays import Array
from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.files import whole_file
from livestock_utils.core.progress import progress
from livestock_utils.core.threads import work_ahead

log = logging.getLogger(__name__)

SHARE = 0.8
"""All caches of a training together may take this share of the free memory or disk."""
WINDOW = 64
"""Images decoded ahead of the one that is stored: more would fill the memory."""

_BLANK = 114
"""yolov5's padding colour."""

_Wanted = tuple[Sequence[str], Array, bool]
"""Image files, their (n, 2) sizes in px, whether they are for training."""


def folder() -> Path:
    """Where disk caches are: $LIVESTOCK_CACHE, else the system's temporary folder."""
    usual = f"{tempfile.gettempdir()}/livestock_utils_images"
    return Path(os.environ.get("LIVESTOCK_CACHE") or usual)


def chosen(
    kind: str | None, wanted: Sequence[_Wanted], image_size: int, copies: int = 1
) -> tuple[str | None, str]:
    """The cache that there is room for ("ram", "disk" or None), and why not the one asked for.
    `wanted` are all sets kept at once; of the first one each of `copies` processes has its own."""
    if kind is None:
        return None, ""
    sizes = [sum(_bytes(sizes_px, image_size)) for _, sizes_px, _ in wanted]
    told = []
    if kind == "ram":
        in_memory = sum(sizes) + (copies - 1) * sizes[0]
        free = psutil.virtual_memory().available
        if in_memory <= free * SHARE:
            return "ram", ""
        told = [_lack("ram", in_memory, free, "memory")]
    on_disk = sum(
        size
        for size, (files, sizes_px, augment) in zip(sizes, wanted, strict=True)
        if not _is_whole(_path(files, image_size, augment), size)
    )
    place = next(place for place in (folder(), *folder().parents) if place.exists())
    free = shutil.disk_usage(place).free
    if on_disk <= free * SHARE:
        return "disk", f"{told[0]}: the images are kept on the local disk instead" if told else ""
    told += [_lack("disk", on_disk, free, "disk")]
    return None, f"{' and '.join(told)}: every epoch decodes the images anew"


def _lack(kind: str, needed: int, free: int, where: str) -> str:
    needs = f"{needed / 1e9:.1f} GB of the {free / 1e9:.1f} GB of {where}"
    return f"cache={kind!r} needs {needs} that are free"


def filled(
    kind: str, image_files: Sequence[str], sizes_px: Array, image_size: int, augment: bool
) -> list:
    """Resized BGR images, one per file, in memory ("ram") or in a file ("disk"). `sizes_px` are (n,
    2) widths and heights, `image_size` the px of the long side. A disk cache is shared by workers,
    processes and later runs; a new one replaces an older one of the same folder."""
    if kind == "ram":
        return list(_decoded(image_files, sizes_px, image_size, augment))
    order = sorted(range(len(image_files)), key=lambda index: image_files[index])
    ordered = [image_files[index] for index in order]
    n_bytes = _bytes(sizes_px[order], image_size)
    path = _path(ordered, image_size, augment)
    with locks.alone(folder()):
        if not _is_whole(path, sum(n_bytes)):
            for old in folder().glob(f"{path.name.partition('-')[0]}-*.bgr"):
                old.unlink(missing_ok=True)  # who has it open may go on reading it
            with whole_file(path) as file:
                for image in _decoded(ordered, sizes_px[order], image_size, augment):
                    file.write(image.data)
    pixels = np.memmap(path, dtype=np.uint8, mode="r")
    images: list = [None] * len(ordered)
    for index, part in zip(order, np.split(pixels, np.cumsum(n_bytes)[:-1]), strict=True):
        width, height = map(int, sizes_px[index])
        images[index] = part.reshape(*_resized_shape(width, height, image_size), 3)
    return images


def _resized_shape(width: int, height: int, image_size: int) -> tuple[int, int]:
    """Height and width after the long side became `image_size` px, as yolov5 rounds."""
    ratio = image_size / max(height, width)
    return (height, width) if ratio == 1 else (math.ceil(height * ratio), math.ceil(width * ratio))


def read_resized(file: str, image_size: int, augment: bool, size_px: Array | None = None) -> Array:
    """Decode and resize as yolov5 does: linear when training, by area when shrinking. Where
    `size_px` is told, a picture that cannot be decoded is a blank one (`is_blank`)."""
    import cv2

    try:  # not imread, which refuses turned TIFFs that imdecode takes
        image = frames.decode(Path(file).read_bytes())
    except (ArchiveError, OSError) as error:
        if size_px is None or not os.path.exists(file):
            what = f"{file}: cannot be decoded any more; extract the data set again"
            raise DatasetError(what) from error
        _tell(file)
        width, height = map(int, size_px)
        return np.full((*_resized_shape(width, height, image_size), 3), _BLANK, np.uint8)
    shape = _resized_shape(image.shape[1], image.shape[0], image_size)
    if shape == image.shape[:2]:
        return image
    is_linear = augment or image_size > max(image.shape)
    way = cv2.INTER_LINEAR if is_linear else cv2.INTER_AREA
    return cv2.resize(image, shape[::-1], interpolation=way)


def is_blank(image: Array) -> bool:
    """Whether an image stands for one that could not be decoded."""
    return image[0, 0, 0] == _BLANK and not (image != _BLANK).any()


@functools.cache
def _tell(file: str) -> None:
    log.warning("%s: cannot be decoded; a blank picture without boxes takes its place", file)


def _decoded(
    image_files: Sequence[str], sizes_px: Array, image_size: int, augment: bool
) -> Iterator[Array]:
    def read(one: tuple[str, Array]) -> Array:
        return read_resized(one[0], image_size, augment, one[1])

    both = zip(image_files, sizes_px, strict=True)
    with contextlib.closing(work_ahead(read, both, workers=8, ahead=WINDOW)) as decoded:
        yield from progress(decoded, total=len(image_files), desc="images")


def _bytes(sizes_px: Array, image_size: int) -> list[int]:
    shapes = [_resized_shape(int(width), int(height), image_size) for width, height in sizes_px]
    return [height * width * 3 for height, width in shapes]


def _is_whole(path: Path, n_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == n_bytes


def _path(image_files: Sequence[str], image_size: int, augment: bool) -> Path:
    """The cache's file: named by all that its bytes depend on."""
    ordered = sorted(image_files)
    place = hashlib.sha256(f"{Path(ordered[0]).parent} {augment}".encode()).hexdigest()[:16]
    digest = hashlib.sha256(f"{image_size} {augment}".encode())
    for file in ordered:
        status = os.stat(file)
        digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return folder() / f"{place}-{digest.hexdigest()[:32]}.bgr"
