"""From tables to a set that yolov5 trains on, in one pass from the archives.

Sets carry the original's names: Train_Dataset.tar, Valid_Dataset.tar, Train_Dataset_Full.tar,
Train_Dataset_mini.tar, Valid_Dataset_mini.tar. See `yolo_set` for what is in one, `dataset_reading`
for the way back.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

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


def write_set(path: str | os.PathLike, photos: Photos, **options: Any) -> Path:
    """Write photos as a training set of yolov5: a tar, or a folder where `path` has no `.tar`.

        lu.write_set("datasets/Train_Dataset.tar", photos.fold(folds, 0, others=True))
        train = lu.open_set("datasets/Train_Dataset.tar", "local/Train_Dataset")

    Args:
        path: of the tar or folder; what was there is replaced once the new set is whole.
        photos: the images that go in, with their boxes in px.
        options: `folds` (image_id -> fold) and `seed`, both only noted in the manifest;
            `min_box_area_px` (px2, 0 is off), under which boxes are left out; `backgrounds`, a
            folder of photos without livestock, and `background_share` (0 to 0.1) of the set.

    Returns:
        The path.

    Raises:
        DatasetError: for too little disk space, a path that holds something else, and bad tables.
        ArchiveError: for a damaged member; `path` is then as it was.
    """
    write = write_tar if Path(path).suffix == ".tar" else to_folder
    options["backgrounds"] = options.get("backgrounds") or None
    write(path, photos, **options)
    return Path(path)


def write_tar(
    path: str | os.PathLike,
    photos: Photos,
    *,
    folds: pd.Series | None = None,
    seed: int = 0,
    min_box_area_px: float = 0.0,
    backgrounds: str | os.PathLike | None = None,
    background_share: float = 0.0,
) -> pd.DataFrame:
    """Write a set as an uncompressed tar in one pass over the archives; returns its manifest.

    The photos' `boxes` may hold more than their images. Boxes are clipped to the frame, those
    under `min_box_area_px` (px2, 0 = off) left out, both counted in one logged line. `backgrounds`
    is a folder of photos without livestock, mixed in with empty labels until they make
    `background_share` (0 to 0.1) of the set: for training sets only. `folds` and `seed` (the one
    the folds were made with) are noted in the manifest. Same input, same bytes. Manifest and labels
    lie before the images, so that tables are read back without passing over these. Raises
    DatasetError (too little disk space, before anything is written; bad tables) and ArchiveError (a
    damaged member); `path` is then as it was.
    """
    target = Path(path)
    set_folder.check_target(target, is_tar=True)
    plan, files = _prepare(
        target, photos, folds, seed, min_box_area_px, backgrounds, background_share
    )
    with set_folder.no_space_error(target), contextlib.closing(files), whole_file(target) as file:
        tar = tars.TarWriter(file)
        manifest_start = tar.add(yolo.MANIFEST, yolo.manifest_bytes(plan.manifest))
        tar.add("data.yaml", _own_data_yaml())
        for image_id, text in zip(plan.manifest["image_id"], plan.labels, strict=True):
            tar.add(f"labels/{image_id}.txt", text)
        for image_id, data in files:
            tar.add(f"images/{image_id}.jpg", data)
        tar.close()
        tar.rewrite(manifest_start, yolo.manifest_bytes(plan.manifest))
    _report(plan, target)
    return plan.manifest


def to_folder(
    path: str | os.PathLike,
    photos: Photos,
    *,
    folds: pd.Series | None = None,
    seed: int = 0,
    min_box_area_px: float = 0.0,
    backgrounds: str | os.PathLike | None = None,
    background_share: float = 0.0,
) -> pd.DataFrame:
    """Write a set straight to a folder; otherwise as `write_tar`.

    A set that was there before is replaced when the new one is whole. Raises DatasetError also if
    `path` is a file or a folder that holds something else.
    """
    target = Path(path)
    set_folder.check_target(target, is_tar=False)
    plan, files = _prepare(
        target, photos, folds, seed, min_box_area_px, backgrounds, background_share
    )
    with (
        set_folder.no_space_error(target),
        contextlib.closing(files),
        set_folder.whole_folder(target) as part,
    ):
        for image_id, text in zip(plan.manifest["image_id"], plan.labels, strict=True):
            (part / "labels" / f"{image_id}.txt").write_bytes(text)
        set_folder.write_files(
            part / "images", ((f"{image_id}.jpg", data) for image_id, data in files)
        )
        (part / "data.yaml").write_bytes(_own_data_yaml())
        (part / yolo.MANIFEST).write_bytes(yolo.manifest_bytes(plan.manifest))
    _report(plan, target)
    return plan.manifest


def write_split(
    out: str | os.PathLike,
    photos: Photos,
    folds: pd.Series,
    *,
    valid_fold: int = 0,
    suffix: str = "",
    as_folders: bool = False,
    backgrounds: str | os.PathLike | None = None,
    background_share: float = 0.0,
    seed: int = 0,
    min_box_area_px: float = 0.0,
) -> tuple[Path, Path]:
    """Write Train_Dataset<suffix> and Valid_Dataset<suffix>, tars or folders; returns their paths.

    Backgrounds go into the training set only. Other options as in `write_tar`. Raises DatasetError,
    before anything is written, also where no image, or every image, is in `valid_fold`.
    """
    of_image = photos.images["image_id"].map(folds)
    known = sorted(int(fold) for fold in of_image.dropna().unique())
    if valid_fold not in known or len(known) < 2:
        lacking = "training" if valid_fold in known else "validation"
        raise DatasetError(
            f"valid_fold {valid_fold} leaves no {lacking} images: the folds of the {len(photos)} "
            f"images are {known}; give one of several"
        )
    write = to_folder if as_folders else write_tar
    paths = []
    for name, others, share in (("Train", True, background_share), ("Valid", False, 0.0)):
        path = Path(out) / f"{name}_Dataset{suffix}{'' if as_folders else '.tar'}"
        write(
            path,
            photos.fold(folds, valid_fold, others),
            folds=folds,
            seed=seed,
            min_box_area_px=min_box_area_px,
            backgrounds=backgrounds if share else None,
            background_share=share,
        )
        paths.append(path)
    return paths[0], paths[1]


def write_data_yaml(
    path: str | os.PathLike,
    train: str | os.PathLike | Sequence[str | os.PathLike],
    valid: str | os.PathLike | Sequence[str | os.PathLike],
    names: Sequence[str] | None = None,
    relative: bool = False,
) -> Path:
    """Write yolov5's data.yaml for extracted sets; returns its path.

    `train` and `valid` are set folders (or several); paths are absolute, or with `relative`
    relative to the YAML's folder (yolov5 itself looks from its own folder, so whoever reads such a
    file resolves them first). Raises DatasetError for a folder that has no `images/`.
    """
    base = Path(path).resolve().parent

    def entry(folder: str | os.PathLike) -> str:
        photos = Path(folder).resolve() / "images"
        if not photos.is_dir():
            raise DatasetError(f"{folder} has no images/ in it; extract the set there first")
        return Path(os.path.relpath(photos, base)).as_posix() if relative else photos.as_posix()

    def entries(folders: str | os.PathLike | Sequence[str | os.PathLike]) -> str | list[str]:
        return (
            entry(folders)
            if isinstance(folders, str | os.PathLike)
            else [entry(folder) for folder in folders]
        )

    return write_text(
        path, yolo.data_yaml(entries(train), entries(valid), names or classes.names())
    )


def _prepare(
    target: Path,
    photos: Photos,
    folds: pd.Series | None,
    seed: int,
    min_box_area_px: float,
    backgrounds: str | os.PathLike | None,
    background_share: float,
) -> tuple[yolo.Plan, Generator[tuple[str, bytes], None, None]]:
    """(plan, generator of (image_id, JPEG)); the plan's hashes are complete after the generator."""
    extra, extra_folder = None, Path(photos.folder)
    if background_share and backgrounds is None:
        raise DatasetError(
            f"background_share {background_share} needs photos: give their folder as backgrounds"
        )
    if backgrounds is not None:
        extra_folder = Path(backgrounds)
        extra = yolo.background_images(extra_folder, len(photos), background_share, seed)
        if len(extra) < round(len(photos) * background_share / (1 - background_share)):
            log.warning(
                "%s: only %d photos for a background share of %g",
                backgrounds,
                len(extra),
                background_share,
            )
    plan = yolo.plan(photos.images, photos.boxes, folds, seed, min_box_area_px, extra)
    table = plan.manifest
    is_extra = (table["species"] == yolo.BACKGROUND).to_numpy()
    readers = ImageReader(photos.folder), ImageReader(extra_folder)
    of_row = [readers[int(flag)] for flag in is_extra]
    sources = list(zip(of_row, table["archive"], table["member"], strict=True))
    with readers[0], readers[1]:
        # 0 for an absent member: the reading will name it.
        table["bytes"] = [
            reader.archive(path).members.get(member, 0) for reader, path, member in sources
        ]
    table.loc[is_extra, "archive"] = extra_folder.name
    files = [*table["bytes"], *(len(text) for text in plan.labels), len(yolo.manifest_bytes(table))]
    set_folder.check_space(target, sum(tars.member_size(int(size)) for size in files))
    return plan, _photos(plan, sources, readers, target.name)


def _photos(
    plan: yolo.Plan,
    sources: list[tuple[ImageReader, str, str]],
    readers: tuple[ImageReader, ...],
    name: str,
) -> Generator[tuple[str, bytes], None, None]:
    """(image_id, JPEG) in the manifest's order, read and hashed by threads a few images ahead."""

    def read(source: tuple[ImageReader, str, str]) -> tuple[bytes, str]:
        reader, archive, member = source
        data = reader.bytes(archive, member)
        return data, hashlib.sha256(data).hexdigest()

    hashes: list[str] = []
    image_ids = progress(plan.manifest["image_id"], desc=name, unit="image")
    photos = work_ahead(read, sources, ahead=_READ_AHEAD)
    with readers[0], readers[1], contextlib.closing(photos):
        for image_id, (data, digest) in zip(image_ids, photos, strict=True):
            hashes.append(digest)
            yield image_id, data
    plan.manifest["sha256"] = hashes


def _report(plan: yolo.Plan, target: Path) -> None:
    (log.warning if plan.clipped or plan.dropped else log.info)("%s", plan.summary(target.name))


def _own_data_yaml() -> bytes:
    """data.yaml of one set by itself; `write_data_yaml` joins a train and a valid set."""
    return yolo.data_yaml("images", "images", classes.names()).encode()
