"""Silver sets on disk: plus_image.tar and plus_label.tar, and the lists of images that a training
with them reads.

plus_image.tar holds `images/plus_<id>.jpg`; plus_label.tar holds `labels/plus_<id>.txt`,
manifest.csv (as every set), provenance.csv (a row a box: gold, silver or ignored, its confidence,
the model that predicted it) and silver.json (the settings). The original's name for the second,
plus_lable.tar, is spelt right.

Ignored regions are painted with the mean colour of their photo, so that a network learns neither
that they are animals nor that they are not; what lies inside a kept box stays as it is. Other
photos are copied byte for byte.
"""

import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageOps

from livestock_utils.core import files
from livestock_utils.core import species as classes
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.progress import progress
from livestock_utils.data.sets import folder as set_folder
from livestock_utils.data.sets import reading, tars, yolo
from livestock_utils.evaluate.silver import making

IMAGE_TAR, LABEL_TAR = "plus_image.tar", "plus_label.tar"
PROVENANCE, SETTINGS = "provenance.csv", "silver.json"
_SAW_VALIDATION = "teachers_saw_validation"
_QUALITY = 92
"""JPEG quality of photos that were painted: they are compressed a second time."""


class SilverLists(NamedTuple):
    """Two trainings that differ in nothing but labels, as data.yaml files, see
    `write_silver_lists`."""

    gold: Path
    expanded: Path
    table: pd.DataFrame
    mode: str
    saw_validation: bool | None


def write_silver(
    folder: str | os.PathLike,
    made: making.Silver,
    archives: str | os.PathLike,
    folds: pd.Series | None = None,
    seed: int = 0,
    teachers_saw_validation: bool | None = None,
) -> tuple[Path, Path]:
    """Write plus_image.tar and plus_label.tar of a silver set into `folder`; returns their paths.

    `archives` is what the `archive` column counts from. `folds` (Series image_id -> fold, of the
    sources) puts each copy into the fold of its source. `teachers_saw_validation` (None: not known)
    is kept in silver.json for the comparison that the validation fold judges. Same input, same
    bytes. Both tars are whole or as they were; the labels' comes last. Raises DatasetError for a
    source without a fold or too little disk space.
    """
    image_tar, label_tar = Path(folder) / IMAGE_TAR, Path(folder) / LABEL_TAR
    plan = yolo.plan(made.images, made.boxes, None if folds is None else made.folds(folds), seed)
    table = plan.manifest
    rows_of = made.labels.groupby("image_id").indices
    sizes, hashes = [], []
    with ImageReader(archives) as reader, set_folder.no_space_error(image_tar):
        needed = sum(
            reader.archive(name).members.get(member, 0)
            for name, member in zip(table["archive"], table["member"], strict=True)
        )
        set_folder.check_space(image_tar, needed)
        with files.whole_file(image_tar) as file:
            tar = tars.TarWriter(file)
            for row in progress(table.to_dict("records"), desc=IMAGE_TAR, unit="image"):
                labels = made.labels.iloc[rows_of.get(row["image_id"], [])]
                data = painted(reader.bytes(row["archive"], row["member"]), labels)
                tar.add(f"images/{row['image_id']}.jpg", data)
                sizes.append(len(data))
                hashes.append(hashlib.sha256(data).hexdigest())
            tar.close()
    table["bytes"], table["sha256"] = sizes, hashes
    with set_folder.no_space_error(label_tar), files.whole_file(label_tar) as file:
        tar = tars.TarWriter(file)
        tar.add(yolo.MANIFEST, yolo.manifest_bytes(table))
        tar.add(PROVENANCE, _provenance_bytes(made.labels))
        record = dataclasses.asdict(made.settings) | {_SAW_VALIDATION: teachers_saw_validation}
        settings = json.dumps(record, indent=2, sort_keys=True) + "\n"
        tar.add(SETTINGS, settings.encode())
        for image_id, text in zip(table["image_id"], plan.labels, strict=True):
            tar.add(f"labels/{image_id}.txt", text)
        tar.close()
    return image_tar, label_tar


def open_silver(folder: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Extract the two tars in `folder` to a set folder, checked against the manifest; returns
    `target`.

    What is there already is left. Raises DatasetError for tars that are absent, damaged, or not of
    one another.
    """
    image_tar, label_tar, place = Path(folder) / IMAGE_TAR, Path(folder) / LABEL_TAR, Path(target)
    texts = {name: tars.read_whole(label_tar, name, file) for name, file in tars.members(label_tar)}
    absent = [name for name in (yolo.MANIFEST, PROVENANCE, SETTINGS) if name not in texts]
    if absent:
        raise DatasetError(f"{label_tar} lacks {absent[0]}; write the silver set again")
    manifest = yolo.parse_manifest(texts[yolo.MANIFEST], label_tar)
    if set_folder.holds(place, texts[yolo.MANIFEST], manifest) and all(
        (place / name).is_file() and (place / name).read_bytes() == texts[name]
        for name in (PROVENANCE, SETTINGS)
    ):
        set_folder.clear_caches(place)
        return place
    set_folder.check_target(place, is_tar=False)
    set_folder.check_space(place, int(manifest["bytes"].sum()))
    wanted = {
        f"images/{i}.jpg": h for i, h in zip(manifest["image_id"], manifest["sha256"], strict=True)
    }
    known = set(manifest["image_id"])
    with set_folder.no_space_error(place), set_folder.whole_folder(place) as part:
        for name, text in texts.items():
            if "/" in name and name.removeprefix("labels/").removesuffix(".txt") not in known:
                raise DatasetError(
                    f"{label_tar}, member {name!r}: not in the manifest; write the silver set again"
                )
            (part / name).write_bytes(text)
        for name, file in tars.members(image_tar):
            data = tars.read_whole(image_tar, name, file)
            if hashlib.sha256(data).hexdigest() != wanted.pop(name, ""):
                raise DatasetError(
                    f"{image_tar}, member {name!r}: not what {LABEL_TAR} says; the two are not of "
                    "one writing, copy or write both again"
                )
            (part / name).write_bytes(data)
        if not set_folder.holds(part, texts[yolo.MANIFEST], manifest):
            lacking = (
                f"{image_tar} lacks {next(iter(wanted))!r}"
                if wanted
                else f"{label_tar} lacks labels"
            )
            raise DatasetError(
                f"{lacking} or they are damaged; copy both tars again, or write them again"
            )
    return place


def read_settings(plus_folder: str | os.PathLike) -> making.SilverSettings:
    """The settings that an extracted silver set was made with."""
    path = Path(plus_folder) / SETTINGS
    values = _record(path)
    values.pop(_SAW_VALIDATION, None)
    known = [field.name for field in dataclasses.fields(making.SilverSettings)]
    if sorted(values) != sorted(known):
        raise DatasetError(
            f"{path}: expected the settings {', '.join(known)}, got {', '.join(sorted(values))}; "
            "write the silver set again with this version"
        )
    return making.SilverSettings(**values | {"species": tuple(values["species"])})


def teachers_saw_validation(plus_folder: str | os.PathLike) -> bool | None:
    """Whether the models behind an extracted silver set were trained on validation images; None:
    not known."""
    return _record(Path(plus_folder) / SETTINGS).get(_SAW_VALIDATION)


def _record(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing: extract the silver set there first")
    return json.loads(path.read_text(encoding="utf-8"))


def read_provenance(plus_folder: str | os.PathLike) -> pd.DataFrame:
    """The `labels` table of an extracted silver set, one row a box (making.LABEL_COLUMNS)."""
    path = Path(plus_folder) / PROVENANCE
    if not path.is_file():
        raise DatasetError(f"{path} is missing: extract the silver set there first")
    types = dict.fromkeys(
        ("image_id", "source_id", "species", "origin", "source"), str
    ) | dict.fromkeys(XYXY, float)
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values={"confidence": [""]})


def _provenance_bytes(labels: pd.DataFrame) -> bytes:
    """provenance.csv: a row a box, corners to a hundredth of a pixel."""
    table = labels[making.LABEL_COLUMNS].copy()
    table[XYXY] = table[XYXY].round(2)
    return table.to_csv(index=False, lineterminator="\n", float_format="%.7g").encode()


def painted(jpeg: bytes, labels: pd.DataFrame) -> bytes:
    """The JPEG with the ignored regions of `labels` in its mean colour, but for what kept boxes
    cover.

    Without ignored regions the bytes are returned as they are. A painted photo is turned upright
    (EXIF) first.
    """
    ignored = labels["origin"] == making.IGNORED
    if not ignored.any():
        return jpeg
    with Image.open(io.BytesIO(jpeg)) as opened:
        pixels = np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    region = _covered(labels.loc[ignored, XYXY], pixels.shape) & ~_covered(
        labels.loc[~ignored, XYXY], pixels.shape
    )
    pixels[region] = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def write_silver_lists(
    folder: str | os.PathLike,
    gold: str | os.PathLike,
    plus: str | os.PathLike,
    valid: str | os.PathLike,
    share: float = 1.0,
    seed: int = 0,
) -> "SilverLists":
    """Two data.yaml files that differ in nothing but labels.

    gold, plus, valid: set folders; share: of the silver images, drawn by `seed`, that take part. In
    mode "duplicate" the second copy of an image carries silver labels in the one list and gold
    labels in the other, so that both trainings see the same photos as often, in as many steps; in
    the other modes a silver image takes its source's place. Silver images whose source is not in
    `gold` (held out for validation) are left out and counted. The table has a row a training:
    training, images, distinct (photos), boxes, silver_images, held_out. Raises DatasetError for a
    share outside (0, 1] and if no silver image is left.
    """
    if not 0 < share <= 1:
        raise DatasetError(f"the share of silver images must be above 0 and at most 1, got {share}")
    settings, manifest = read_settings(plus), reading.read_manifest(plus)
    source = manifest["image_id"].str.removeprefix(making.PREFIX)
    gold_files = [
        Path(file) for file in yolo.image_files("images", Path(gold).resolve(), f"{gold}")
    ]
    there = source.isin([file.stem for file in gold_files])
    usable = manifest.loc[there, "image_id"].reset_index(drop=True)
    if usable.empty:
        raise DatasetError(
            f"no source of the {len(manifest)} silver images is in {gold}; make silver from the "
            "images of the training set"
        )
    count = max(round(share * len(usable)), 1)
    chosen = usable.iloc[np.sort(np.random.default_rng(seed).permutation(len(usable))[:count])]
    sources = set(chosen.str.removeprefix(making.PREFIX))
    copies = [Path(plus).resolve() / "images" / f"{image_id}.jpg" for image_id in chosen]
    kept = [file for file in gold_files if not (settings.replaces and file.stem in sources)]
    again = [] if settings.replaces else [file for file in gold_files if file.stem in sources]
    lists = {"gold": gold_files + again, "expanded": kept + copies}
    paths, rows = [], []
    for name, photos in lists.items():
        listed = files.write_text(
            Path(folder) / f"{name}.txt", "".join(f"{photo.as_posix()}\n" for photo in photos)
        )
        text = yolo.data_yaml(
            listed.resolve().as_posix(),
            (Path(valid).resolve() / "images").as_posix(),
            classes.names(),
        )
        paths.append(files.write_text(Path(folder) / f"{name}.yaml", text))
        boxes = sum(
            len(yolo.read_label(yolo.label_file(photo), len(classes.names()))) for photo in photos
        )
        stems = {photo.stem.removeprefix(making.PREFIX) for photo in photos}
        rows.append(
            {
                "training": name,
                "images": len(photos),
                "distinct": len(stems),
                "boxes": boxes,
                "silver_images": len(copies) if name == "expanded" else 0,
                "held_out": int((~there).sum()) if name == "expanded" else 0,
            }
        )
    saw = teachers_saw_validation(plus)
    return SilverLists(paths[0], paths[1], pd.DataFrame(rows), settings.mode, saw)


def _covered(boxes: pd.DataFrame, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """(height, width) mask of the pixels that some box touches."""
    mask = np.zeros(shape[:2], dtype=bool)
    low, high = np.floor(boxes[XYXY[:2]].to_numpy(float)), np.ceil(boxes[XYXY[2:]].to_numpy(float))
    for (left, top), (right, bottom) in zip(
        low.clip(0).astype(int), high.clip(0).astype(int), strict=True
    ):
        mask[top:bottom, left:right] = True
    return mask
