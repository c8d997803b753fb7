"""Images decoded once and kept at the training size, in memory or in one file on the local disk.

yolov5's own disk cache keeps every image at its full size beside it (6 MB for 1920 x 1080, 100 GB for AI Hub's set).
"""

import functools
import hashlib
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from livestock_utils.errors import DatasetError
from livestock_utils.files import whole_file
from livestock_utils.progress import progress

log = logging.getLogger(__name__)

SHARE = 0.8
"""A cache may take this share of the free memory or disk."""


def folder() -> Path:
    """Where disk caches are: $LIVESTOCK_CACHE, else a folder in the system's temporary one (local disk on Colab)."""
    return Path(os.environ.get("LIVESTOCK_CACHE") or Path(tempfile.gettempdir()) / "livestock_utils_images")


def filled(kind: str, image_files: Sequence[str], sizes_px: npt.NDArray, image_size: int, augment: bool) -> list:
    """Resized BGR images, one an image file; a list of None (and a warning with the sizes) where they do not fit.

    `kind` is "ram" or "disk", `sizes_px` (n, 2) widths and heights, `image_size` the px of the long side. A disk cache
    is found again by paths, sizes and modification times, and shared by loader workers and later runs.
    """
    shapes = [resized_shape(int(width), int(height), image_size) for width, height in sizes_px]
    n_bytes = sum(height * width * 3 for height, width in shapes)
    if kind == "ram":
        if not _fits(kind, n_bytes, psutil.virtual_memory().available):
            return [None] * len(image_files)
        return list(_decoded(image_files, image_size, augment))
    path = folder() / f"{_key(image_files, image_size, augment)}.bgr"
    if not (path.is_file() and path.stat().st_size == n_bytes):
        folder().mkdir(parents=True, exist_ok=True)
        if not _fits(kind, n_bytes, shutil.disk_usage(folder()).free):
            return [None] * len(image_files)
        with whole_file(path) as file:
            for image in _decoded(image_files, image_size, augment):
                file.write(image.tobytes())
    pixels = np.memmap(path, dtype=np.uint8, mode="r")
    ends = np.cumsum([height * width * 3 for height, width in shapes])
    return [pixels[end - height * width * 3:end].reshape(height, width, 3)
            for end, (height, width) in zip(ends, shapes, strict=True)]


def resized_shape(width: int, height: int, image_size: int) -> tuple[int, int]:
    """Height and width of an image after its long side became `image_size` px, rounded up as yolov5 does."""
    ratio = image_size / max(height, width)
    return (height, width) if ratio == 1 else (math.ceil(height * ratio), math.ceil(width * ratio))


def read_resized(file: str, image_size: int, augment: bool) -> npt.NDArray:
    """Decode and resize as yolov5's load_image does: linear when training, by area when shrinking for validation."""
    import cv2

    image = cv2.imread(file)
    if image is None:
        raise DatasetError(f"{file}: cannot be decoded any more; extract the data set again")
    height, width = resized_shape(image.shape[1], image.shape[0], image_size)
    if (height, width) == image.shape[:2]:
        return image
    linear = augment or image_size > max(image.shape)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR if linear else cv2.INTER_AREA)


def _decoded(image_files: Sequence[str], image_size: int, augment: bool) -> Iterator[npt.NDArray]:
    read = functools.partial(read_resized, image_size=image_size, augment=augment)
    with ThreadPoolExecutor(8) as pool:
        yield from progress(pool.map(read, image_files), total=len(image_files), desc="images")


def _fits(kind: str, n_bytes: int, free_bytes: int) -> bool:
    if n_bytes <= free_bytes * SHARE:
        return True
    log.warning("cache=%r needs %.1f GB of %.1f GB that are free: every epoch decodes the images anew", kind,
                n_bytes / 1e9, free_bytes / 1e9)
    return False


def _key(image_files: Sequence[str], image_size: int, augment: bool) -> str:
    digest = hashlib.sha256(f"{image_size} {augment}".encode())
    for file in image_files:
        status = os.stat(file)
        digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
