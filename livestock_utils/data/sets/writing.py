"""From tables to a set that yolov5 trains on, in one pass from the archives (see `yolo`)."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Generator, Sequence
from pathlib import Path

import pandas as pd

from livestock_utils.core import species as classes
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.files import whole_file, write_text
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.threads import work_ahead
from livestock_utils.data.sets import folder as set_folder
from livestock_utils.data.sets import tars, yolo

log = logging.getLogger(__name__)

_READ_AHEAD = 16
"""Images read and hashed ahead of the one being written: all that is ever in memory."""


def write_set(
    path: str | os.PathLike,
    photos: Photos,
    *,
    folds: pd.Series | None = None,
    seed: int = 0,
    min_box_area_px: float = 0.0,
    backgrounds: str | os.PathLike | None = None,
    background_share: float = 0.0,
) -> Path:
    """Write photos as a training set of yolov5: a tar, or a folder where `path` has no `.tar`.

        lu.write_set("datasets/Train_Dataset.tar", photos.fold(folds, 0, others=True))
        train = lu.open_set("datasets/Train_Dataset.tar", "local/Train_Dataset")

    Same input, same bytes. Boxes are clipped to the frame; one logged line counts what changed.

    Args:
        path: of the tar or folder; what was there is replaced once the new set is whole.
        photos: the images that go in, with their boxes in px (those of other images may be there).
        folds: image_id -> fold, only noted in the manifest.
        seed: the one that the folds were made with, noted too; also chooses the backgrounds.
        min_box_area_px: px2 (0 is off), under which boxes are left out.
        backgrounds: a folder of photos without livestock, mixed in with empty labels.
        background_share: their share of the set, 0 to 0.1.

    Returns:
        The path.

    Raises:
        DatasetError: for too little disk space, a path that holds something else, and bad tables.
        ArchiveError: for a damaged member; `path` is then as it was.
    """
    target = Path(path)
    is_tar = target.suffix == ".tar"
    set_folder.check_target(target, is_tar)
    if background_share and not backgrounds:
        raise DatasetError(
            f"background_share {background_share} needs photos: give their folder as backgrounds"
        )
    extra, extra_folder = None, Path(backgrounds or photos.folder)
    if backgrounds:
        extra = yolo.background_images(extra_folder, len(photos), background_share, seed)
        if len(extra) < round(len(photos) * background_share / (1 - background_share)):
            message = "%s: only %d photos for a background share of %g"
            log.warning(message, backgrounds, len(extra), background_share)
    plan = yolo.plan(photos.images, photos.boxes, folds, seed, min_box_area_px, extra)
    files = _photos(plan, photos.folder, extra_folder, target)
    with set_folder.no_space_error(target), contextlib.closing(files):
        (_write_tar if is_tar else _write_folder)(target, plan, files)
    log.log(
        logging.WARNING if plan.clipped or plan.dropped else logging.INFO,
        "%s",
        plan.summary(target.name),
    )
    return target


def write_data_yaml(
    path: str | os.PathLike,
    train: str | os.PathLike | Sequence[str | os.PathLike],
    valid: str | os.PathLike,
) -> Path:
    """Write yolov5's data.yaml, with absolute paths, for set folders (`train`: one or several)."""

    def entry(folder: str | os.PathLike) -> str:
        photos = Path(folder).resolve() / "images"
        if not photos.is_dir():
            raise DatasetError(f"{folder} has no images/ in it; extract the set there first")
        return photos.as_posix()

    if isinstance(train, str | os.PathLike):
        entries: str | list[str] = entry(train)
    else:
        entries = [entry(folder) for folder in train]
    return write_text(path, yolo.data_yaml(entries, entry(valid), classes.names()))


def _photos(
    plan: yolo.Plan, folder: str | os.PathLike, extra_folder: Path, target: Path
) -> Generator[tuple[str, bytes], None, None]:
    """(image_id, JPEG) in the manifest's order, read and hashed by threads a few images ahead. The
    disk space is checked now; the plan's hashes are complete at the generator's end."""
    table = plan.manifest
    is_extra = table["species"] == yolo.BACKGROUND
    readers = ImageReader(folder), ImageReader(extra_folder)
    of_row = [readers[int(flag)] for flag in is_extra]
    sources = list(zip(of_row, table["archive"], table["member"], strict=True))
    with readers[0], readers[1]:
        table["bytes"] = [reader.archive(path).size(member) for reader, path, member in sources]
    table.loc[is_extra, "archive"] = extra_folder.name
    files = [*table["bytes"], *(len(text) for text in plan.labels), len(yolo.manifest_bytes(table))]
    set_folder.check_space(target, sum(tars.member_size(int(size)) for size in files))

    def read(source: tuple[ImageReader, str, str]) -> tuple[bytes, str]:
        reader, archive, member = source
        data = reader.bytes(archive, member)
        return data, hashlib.sha256(data).hexdigest()

    def read_all() -> Generator[tuple[str, bytes], None, None]:
        hashes: list[str] = []
        image_ids = progress(table["image_id"], desc=target.name, unit="image")
        photos = work_ahead(read, sources, ahead=_READ_AHEAD)
        with readers[0], readers[1], contextlib.closing(photos):
            for image_id, (data, digest) in zip(image_ids, photos, strict=True):
                hashes.append(digest)
                yield image_id, data
        table["sha256"] = hashes

    return read_all()


def _write_tar(
    target: Path, plan: yolo.Plan, files: Generator[tuple[str, bytes], None, None]
) -> None:
    """Manifest and labels lie before the images, so that tables are read back without these."""
    with whole_file(target) as file:
        tar = tars.TarWriter(file)
        manifest_start = tar.add(yolo.MANIFEST, yolo.manifest_bytes(plan.manifest))
        tar.add("data.yaml", _own_data_yaml())
        for image_id, text in zip(plan.manifest["image_id"], plan.labels, strict=True):
            tar.add(f"labels/{image_id}.txt", text)
        for image_id, data in files:
            tar.add(f"images/{image_id}.jpg", data)
        tar.close()
        tar.rewrite(manifest_start, yolo.manifest_bytes(plan.manifest))


def _write_folder(
    target: Path, plan: yolo.Plan, files: Generator[tuple[str, bytes], None, None]
) -> None:
    with set_folder.whole_folder(target) as part:
        for image_id, text in zip(plan.manifest["image_id"], plan.labels, strict=True):
            (part / "labels" / f"{image_id}.txt").write_bytes(text)
        set_folder.write_files(part / "images", ((f"{i}.jpg", data) for i, data in files))
        (part / "data.yaml").write_bytes(_own_data_yaml())
        (part / yolo.MANIFEST).write_bytes(yolo.manifest_bytes(plan.manifest))


def _own_data_yaml() -> bytes:
    """data.yaml of one set by itself; `write_data_yaml` joins a train and a valid set."""
    return yolo.data_yaml("images", "images", classes.names()).encode()
