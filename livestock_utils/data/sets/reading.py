"""Sets read back: safe extraction to local disk, and tables from a tar or a folder."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd

from livestock_utils.core import boxes as box_arithmetic
from livestock_utils.core import species as classes
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.tables import IMAGE_COLUMNS
from livestock_utils.data.sets import folder as set_folder
from livestock_utils.data.sets import tars, yolo


def extract(tar: str | os.PathLike, folder: str | os.PathLike) -> Path:
    """Extract a set's tar, each file checked against the manifest; nothing half-extracted stays.
    Nothing is copied if the folder already holds this very set."""
    target = Path(folder)
    manifest_bytes, manifest = _tar_manifest(tar)
    if not set_folder.holds(target, manifest_bytes, manifest):
        set_folder.check_target(target, is_tar=False)
        set_folder.check_space(target, Path(tar).stat().st_size)
        with set_folder.no_space_error(target), set_folder.whole_folder(target) as part:
            _extract_members(tar, part, manifest)
    set_folder.clear_caches(target)
    return target


def open_set(tar_or_folder: str | os.PathLike, folder: str | os.PathLike | None = None) -> Photos:
    """The photos of a set that `lu.write_set` wrote; a tar is extracted once.

        train = lu.open_set("datasets/Train_Dataset.tar", "local/Train_Dataset")
        train.images.head()

    Args:
        tar_or_folder: the set.
        folder: where a tar is extracted to; None: beside it, without `.tar`.

    Returns:
        Photos whose folder is the set's; boxes are right to 1e-4 px. Backgrounds are left out.

    Raises:
        DatasetError: for a tar that is cut short, unsafe or no set, and too little disk space.
    """
    place = Path(tar_or_folder)
    if not place.is_dir():
        place = extract(place, place.with_suffix("") if folder is None else folder)
    return Photos(*read_tables(place), folder=place)


def read_manifest(tar_or_folder: str | os.PathLike) -> pd.DataFrame:
    """The manifest of a set (`yolo.COLUMNS`), a row per image by image_id; `fold` is Int64."""
    path = Path(tar_or_folder)
    if not path.is_dir():
        return _tar_manifest(path)[1]
    file = path / yolo.MANIFEST
    if not file.is_file():
        raise DatasetError(f"{path} has no {yolo.MANIFEST}; is it a set made by lu.write_set?")
    return yolo.parse_manifest(file.read_bytes(), path)


def read_tables(folder_or_tar: str | os.PathLike) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(images, boxes) of a set, so that later steps need no archives; boxes are right to 1e-4 px.
    `archive` and `member` are a folder's own, or a tar's source. Backgrounds are left out."""
    path = Path(folder_or_tar)
    manifest = read_manifest(path)
    manifest = manifest[manifest["species"] != yolo.BACKGROUND].reset_index(drop=True)
    texts = (
        set_folder.label_files(path, manifest)
        if path.is_dir()
        else _tar_labels(path, set(manifest["image_id"]))
    )
    absent = [image_id for image_id in manifest["image_id"] if image_id not in texts]
    if absent:
        raise DatasetError(f"{path} lacks labels/{absent[0]}.txt; write the set again")
    found = [yolo.label_boxes(texts[i], f"{path}: labels/{i}.txt") for i in manifest["image_id"]]
    counts = [len(rows) for rows in found]
    rows = np.concatenate([np.zeros((0, 5)), *found])
    width, height = manifest[["width_px", "height_px"]].to_numpy(float).repeat(counts, axis=0).T
    names, index = np.array(classes.names(), dtype=object), rows[:, 0].astype(int)
    if len(index) and not (index.min() >= 0 and index.max() < len(names)):
        raise DatasetError(
            f"{path}: labels name class {index.max()}, but species.yaml has {len(names)} classes"
        )
    boxes = pd.DataFrame(
        {"image_id": manifest["image_id"].to_numpy().repeat(counts), "species": names[index]}
    )
    boxes[box_arithmetic.XYXY] = box_arithmetic.xywhn_to_xyxy(rows[:, 1:], width, height).round(4)
    images = manifest[IMAGE_COLUMNS].copy()
    if path.is_dir():
        images["archive"], images["member"] = "images", images["image_id"] + ".jpg"
    return images, boxes


def _extract_members(tar: str | os.PathLike, part: Path, manifest: pd.DataFrame) -> None:
    """Write the members that the manifest names into `part` and check each against its hash."""
    wanted = dict(zip("images/" + manifest["image_id"] + ".jpg", manifest["sha256"], strict=True))
    labels = "labels/" + manifest["image_id"] + ".txt"
    wanted |= dict(zip(labels, manifest["label_sha256"], strict=True))
    bar = progress(total=len(wanted), desc=Path(tar).name, unit="file")
    for name, file in tars.members(tar):
        if name not in (yolo.MANIFEST, "data.yaml") and name not in wanted:
            raise DatasetError(
                f"{tar}, member {name!r}: not in the manifest, or twice; write the set again"
            )
        data = tars.read_whole(tar, name, file)
        (part / name).write_bytes(data)
        if name in wanted:
            if hashlib.sha256(data).hexdigest() != wanted.pop(name):
                raise DatasetError(
                    f"{tar}, member {name!r}: not what the manifest says; copy or write the tar "
                    "again"
                )
            bar.update()
    bar.close()
    if wanted:
        raise DatasetError(
            f"{tar} lacks {len(wanted)} files, the first is {next(iter(wanted))!r}; copy it again"
        )


def _tar_manifest(path: str | os.PathLike) -> tuple[bytes, pd.DataFrame]:
    for name, file in tars.members(path):
        if name == yolo.MANIFEST:
            data = tars.read_whole(path, name, file)
            return data, yolo.parse_manifest(data, path)
    raise DatasetError(f"{path} has no {yolo.MANIFEST}: not a set made by lu.write_set")


def _tar_labels(path: Path, image_ids: set[str]) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for name, file in tars.members(path):
        image_id = name.removeprefix("labels/").removesuffix(".txt")
        if name == f"labels/{image_id}.txt" and image_id in image_ids:
            texts[image_id] = tars.read_whole(path, name, file)
            if len(texts) == len(image_ids):
                break
    return texts
