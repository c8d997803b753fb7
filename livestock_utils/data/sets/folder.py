"""Folders that hold a set: whole or absent, checked first, cleared of stale caches."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.threads import work_ahead
from livestock_utils.data.sets import yolo

_AHEAD = 8
"""Photos that wait to be written at most."""


def clear_caches(target: Path) -> None:
    """Remove yolov5's label caches: they check paths and sizes only, so new labels go unseen."""
    for cache in [*target.glob("*.cache"), *target.glob("*/*.cache")]:
        cache.unlink()


def label_files(path: Path, manifest: pd.DataFrame) -> dict[str, bytes]:
    """Bytes of the label files of a set folder by image_id; absent ones are left out."""
    files = {image_id: path / "labels" / f"{image_id}.txt" for image_id in manifest["image_id"]}
    return {image_id: file.read_bytes() for image_id, file in files.items() if file.is_file()}


def holds(target: Path, manifest_bytes: bytes, manifest: pd.DataFrame) -> bool:
    """Does the folder hold exactly this set: manifest, sizes of images, hashes of labels?"""
    file, images = target / yolo.MANIFEST, target / "images"
    if not (file.is_file() and file.read_bytes() == manifest_bytes and images.is_dir()):
        return False
    with os.scandir(images) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    if sizes != dict(zip(manifest["image_id"] + ".jpg", manifest["bytes"], strict=True)):
        return False
    hashes = {
        i: hashlib.sha256(text).hexdigest() for i, text in label_files(target, manifest).items()
    }
    return hashes == dict(zip(manifest["image_id"], manifest["label_sha256"], strict=True))


@contextlib.contextmanager
def whole_folder(target: Path, inside: Sequence[str] = ("images", "labels")) -> Iterator[Path]:
    """A folder, with others `inside`, that takes the target's name when the block succeeds."""
    part, old = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.old")
    if old.exists() and not target.exists():
        old.rename(target)  # killed between the two renames below
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    for name in inside:
        (part / name).mkdir()
    try:
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, bytes) pairs into a folder from two threads, with at most `_AHEAD` held."""
    for _ in work_ahead(lambda file: (folder / file[0]).write_bytes(file[1]), files, ahead=_AHEAD):
        pass


def check_target(target: Path, is_tar: bool) -> None:
    """Raise DatasetError unless the target can be made and only a set is in the way."""
    for parent in target.parents:
        if parent.exists() and not parent.is_dir():
            raise DatasetError(f"cannot write {target}: {parent} is a file; give another folder")
    if is_tar and target.is_dir():
        raise DatasetError(f"cannot write {target}: a folder has that name; give another")
    if not is_tar and target.is_file():
        raise DatasetError(f"cannot write to the folder {target}: it is a file; give another name")
    is_other = target.is_dir() and any(target.iterdir()) and not (target / yolo.MANIFEST).is_file()
    if not is_tar and is_other:
        raise DatasetError(
            f"{target} holds other files (no {yolo.MANIFEST}); give a new or an empty folder"
        )


def check_space(target: Path, needed: int) -> None:
    """Raise DatasetError if the disk of `target` has fewer than `needed` bytes free."""
    place = next(parent for parent in target.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DatasetError(
            f"{target} needs {needed / 1e9:.2f} GB, {place} has {free / 1e9:.2f} GB free; make "
            "room or write elsewhere"
        )


@contextlib.contextmanager
def no_space_error(target: Path) -> Iterator[None]:
    """Turn a disk that runs full inside the block into a DatasetError of one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DatasetError(
                f"no space left while writing {target}; make room and call again"
            ) from error
        raise
