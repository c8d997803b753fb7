"""Labels out to an annotation tool (CVAT, Label Studio) and back, and what came back changed.

Suggested boxes carry `attributes` {"suggested": true, "score": ...} in COCO, which CVAT shows; YOLO
has no room for that, there they are of classes of their own ("cow_suggested")."""

import logging
import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import boxes as box_arithmetic
from livestock_utils.core import files, overlaps, species
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.reading import read_text
from livestock_utils.core.tables import BOX_COLUMNS
from livestock_utils.core.text import one_line
from livestock_utils.data.aihub import labels
from livestock_utils.data.aihub.labels import pixels
from livestock_utils.data.layouts import coco
from livestock_utils.data.layouts.checking import frame_scales
from livestock_utils.data.sets import yolo

log = logging.getLogger(__name__)

_SUFFIX = "_suggested"
CHANGES = ("kept", "moved", "species", "added", "removed")
"""What `diff` tells apart."""
_LISTS = ("classes.txt", "train.txt", "valid.txt", "val.txt", "test.txt")
"""Text files of a YOLO export that hold names, not boxes."""
_UPLOAD = re.compile(r"[0-9a-f]{8}-(.+)")
"""Label Studio puts eight hex digits and a dash before the name of an uploaded file."""


def write_coco(
    path: str | os.PathLike,
    photos: Photos,
    suggestions: pd.DataFrame,
    review: list[dict[str, Any]] | None = None,
) -> Path:
    """Write labels, and suggestions as flagged boxes, as COCO detection JSON; returns the path.
    Boxes are [x, y, width, height] in px with two decimals; images without a box are listed too;
    `review` are the decisions that led here, of which COCO knows nothing."""
    images = photos.images.sort_values("image_id", ignore_index=True)
    number = dict(zip(images["image_id"], range(1, len(images) + 1), strict=True))
    index = species.class_index()
    annotations: list[dict[str, Any]] = []
    for row in _joined(photos, suggestions).to_dict("records"):
        width, height = row["x_max"] - row["x_min"], row["y_max"] - row["y_min"]
        attributes: dict[str, Any] = {"suggested": bool(row["suggested"])}
        if row["suggested"]:
            attributes["score"] = round(float(row["score"]), 4)
        entry = {
            "id": len(annotations) + 1,
            "image_id": number[row["image_id"]],
            "category_id": index[row["species"]] + 1,
            "iscrowd": 0,
            "area": round(width * height, 2),
            "bbox": [round(value, 2) for value in (row["x_min"], row["y_min"], width, height)],
            "attributes": attributes,
        }
        annotations.append(entry)
    listed = [
        {"id": number[name], "file_name": f"{name}.jpg", "width": int(width), "height": int(height)}
        for name, (width, height) in _frames(images).items()
    ]
    content = {
        "info": {"description": "labels with suggested boxes"},
        "categories": [{"id": code + 1, "name": name} for name, code in index.items()],
        "images": listed,
        "annotations": annotations,
    }
    return files.write_json(path, content | ({} if review is None else {"review": review}))


def write_yolo(folder: str | os.PathLike, photos: Photos, suggestions: pd.DataFrame) -> Path:
    """Write obj_train_data/<image_id>.txt with the lists of CVAT's "YOLO 1.1" and Label Studio;
    returns the folder. Label files of an earlier call that are not of `photos` are removed."""
    target, images = Path(folder), photos.images
    names = species.names()
    classes = [*names, *(f"{name}{_SUFFIX}" for name in names)]
    frames, index = _frames(images), species.class_index()
    texts = dict.fromkeys(images["image_id"], "")
    for row in _joined(photos, suggestions).to_dict("records"):
        kind = index[row["species"]] + len(names) * row["suggested"]
        xyxy = [[row[name] for name in XYXY]]
        x, y, w, h = box_arithmetic.xyxy_to_xywhn(xyxy, *frames[row["image_id"]])[0]
        texts[row["image_id"]] += f"{kind} {x:.8f} {y:.8f} {w:.8f} {h:.8f}\n"
    ids = sorted(texts)
    for old in (target / "obj_train_data").glob("*.txt"):
        if old.stem not in texts:
            old.unlink()
    lists = {f"obj_train_data/{image_id}.txt": texts[image_id] for image_id in ids}
    lists |= dict.fromkeys(("obj.names", "classes.txt"), "".join(f"{name}\n" for name in classes))
    lists["train.txt"] = "".join(f"data/obj_train_data/{image_id}.jpg\n" for image_id in ids)
    lists["obj.data"] = (
        f"classes = {len(classes)}\ntrain = data/train.txt\nnames = data/obj.names\n"
        "backup = backup/\n"
    )
    for name, text in lists.items():
        files.write_text(target / name, text)
    return target


def read_corrected(path: str | os.PathLike, images: pd.DataFrame) -> pd.DataFrame:
    """Boxes that a person went through, sorted by image_id and clipped to the frame: COCO JSON, or
    a folder of YOLO files with names, at any depth. A suggested box that is still there counts as
    accepted; `attrs["image_ids"]` are the images in the file. Label Studio's prefix of a file name
    does not count. DatasetError for what is not so, naming the first."""
    source = Path(path)
    if not source.exists():
        raise DatasetError(f"{source} not found: give a COCO JSON file or a folder of YOLO labels")
    rows, ids = (_read_yolo if source.is_dir() else _read_coco)(source, images)
    boxes = pd.DataFrame(rows, columns=BOX_COLUMNS).astype(dict.fromkeys(XYXY, float))
    boxes = boxes.sort_values("image_id", kind="stable", ignore_index=True)
    boxes.attrs["image_ids"] = sorted(ids)
    return boxes


def diff(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """What corrections changed: rows of `after` and what is gone, with `change` and `iou`. `change`
    (CHANGES): "kept" (moved by less than half a pixel), "moved", "species" (another one, wherever
    it lies), "added", "removed". Boxes are paired within an image by falling IoU; images that
    `after` does not cover (`read_corrected`) are left out."""
    covered = after.attrs.get("image_ids")
    before = before if covered is None else before[before["image_id"].isin(covered)]
    old, new = (table[BOX_COLUMNS].reset_index(drop=True) for table in (before, after))
    old_xyxy, new_xyxy = old[XYXY].to_numpy(float), new[XYXY].to_numpy(float)
    first, second, iou = overlaps.pairs(new, old)
    partner, best = np.full(len(new), -1), np.zeros(len(new))
    taken = np.zeros(len(old), dtype=bool)
    for pair in np.argsort(-iou, kind="stable"):
        one, other = first[pair], second[pair]
        if iou[pair] < 0.5:
            break
        if partner[one] < 0 and not taken[other]:
            partner[one], best[one], taken[other] = other, iou[pair], True
    paired = partner >= 0
    change = np.where(paired, "kept", "added").astype(object)
    shift = np.abs(new_xyxy[paired] - old_xyxy[partner[paired]]).max(axis=1, initial=0)
    names = [table["species"].to_numpy(object) for table in (new, old)]
    other_species = names[0][paired] != names[1][partner[paired]]
    change[paired] = np.where(other_species, "species", np.where(shift >= 0.5, "moved", "kept"))
    rows = pd.concat(
        [new.assign(change=change, iou=best), old[~taken].assign(change="removed", iou=0.0)]
    )
    return rows.sort_values("image_id", kind="stable", ignore_index=True)


def _joined(photos: Photos, suggestions: pd.DataFrame) -> pd.DataFrame:
    """Labels and suggestions of `photos` with `suggested` and `score`, clipped to the frame."""
    images = photos.images
    parts = [photos.boxes[BOX_COLUMNS].assign(suggested=False, score=1.0)]
    if len(suggestions):
        parts.append(suggestions[[*BOX_COLUMNS, "score"]].assign(suggested=True))
    together = pd.concat(parts, ignore_index=True)
    if unknown := sorted(set(together["species"]) - set(species.names())):
        raise DatasetError(f"unknown species {unknown[0]!r}; expected {list(species.names())}")
    together = together.sort_values(["image_id", "suggested"], kind="stable", ignore_index=True)
    sizes = images.set_index("image_id").loc[together["image_id"], ["width_px", "height_px"]]
    xyxy = together[XYXY].to_numpy(float)
    together[XYXY] = box_arithmetic.clip_to_frame(xyxy, *sizes.to_numpy(float).T)
    return together


def _species_of(name: str, source: Path) -> str:
    plain, names = str(name).removesuffix(_SUFFIX), list(species.names())
    if plain not in names:
        expected = f"expected {names}, with or without {_SUFFIX!r}"
        raise DatasetError(f"{source}: unknown class {name!r}; {expected}")
    return plain


def _image_ids(names: Collection[str], images: pd.DataFrame, source: Path) -> list[str]:
    """The image id of each file name; DatasetError for other images, and for one twice."""
    known = set(images["image_id"])
    ids = []
    for name in names:
        stem = PurePosixPath(str(name).replace("\\", "/")).stem
        upload = _UPLOAD.fullmatch(stem)
        ids.append(upload[1] if upload and stem not in known and upload[1] in known else stem)
    if strange := sorted(set(ids) - known):
        raise DatasetError(
            f"{source} holds labels of other images: {len(strange)} of {len(ids)} are not in the "
            f"images table, the first is {strange[0]!r}"
        )
    if twice := [image_id for image_id, times in Counter(ids).items() if times > 1]:
        raise DatasetError(
            f"{source} holds image {twice[0]!r} twice ({len(twice)} such images): leave one of the "
            "two, or its boxes would count double"
        )
    return ids


def _frames(images: pd.DataFrame) -> dict[str, tuple[float, float]]:
    sizes = zip(images["width_px"].astype(float), images["height_px"].astype(float), strict=True)
    return dict(zip(images["image_id"], sizes, strict=True))


def clipped(xyxy: Any, width_px: float, height_px: float, where: str) -> list[float]:
    """A box within its frame, two decimals; DatasetError for no finite numbers or no extent."""
    box = np.asarray(xyxy, dtype=float)
    if not np.isfinite(box).all() or not (box[2:] > box[:2]).all():
        raise DatasetError(
            f"{where}: a box needs four finite numbers and an extent, got corners {box.tolist()}; "
            "mend or delete it"
        )
    inside = box_arithmetic.clip_to_frame(box[None], width_px, height_px).round(2)
    if box_arithmetic.area(inside)[0] <= 0:
        raise DatasetError(
            f"{where}: the box {box.round(2).tolist()} lies outside its frame of {width_px:g} x "
            f"{height_px:g} px; mend or delete it"
        )
    return inside[0].tolist()


def _read_coco(source: Path, images: pd.DataFrame) -> tuple[list[tuple], list[str]]:
    frames = _frames(images)
    try:
        content = labels.parse(source.read_bytes())
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        numbers = [entry["id"] for entry in content["images"]]
        ids = _image_ids([entry["file_name"] for entry in content["images"]], images, source)
        if len(set(numbers)) < len(numbers):
            raise DatasetError(f"{source}: two images have one id; export it again")
        of_number = dict(zip(numbers, ids, strict=True))
        scale, scaled = _scale(content["images"], ids, frames, source)
        rows: list[tuple] = []
        groups = turned = 0
        for entry in content["annotations"]:
            image_id, box = of_number[entry["image_id"]], entry["bbox"]
            where = f"{source}, annotation {entry.get('id')} of image {image_id!r}"
            if entry.get("iscrowd"):  # around several animals: no label of any
                groups += 1
                continue
            if not isinstance(box, list) or [type(v) in (int, float) for v in box] != [True] * 4:
                raise DatasetError(
                    f"{where}: expected a bbox of four numbers [x, y, width, height], got {box!r}"
                )
            name = _species_of(names[entry["category_id"]], source)
            corners, is_turned = coco.box_of(entry)
            turned += is_turned
            xyxy = clipped(np.multiply(corners, scale[image_id] * 2), *frames[image_id], where)
            rows.append((image_id, name, *xyxy))
    except DatasetError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        raise DatasetError(
            f"{source} is not COCO detection JSON ({reason}); export it as COCO 1.0"
        ) from error
    for number, what in (
        (scaled, "images are labelled at another size: their boxes are scaled"),
        (turned, "boxes are turned: the upright boxes around them count"),
        (groups, "boxes are around groups (iscrowd): left out"),
    ):
        if number:
            log.warning("%s: %d %s", source, number, what)
    return rows, ids


def _scale(
    entries: list[dict[str, Any]],
    ids: list[str],
    frames: dict[str, tuple[float, float]],
    source: Path,
) -> tuple[dict[str, tuple[float, float]], int]:
    """What boxes of each image are multiplied by, and how many images differ; DatasetError for a
    frame of another shape than the photo's."""
    said = [[pixels(one.get("width")), pixels(one.get("height"))] for one in entries]
    true = np.array([frames[image_id] for image_id in ids]).reshape(-1, 2)
    scale, told = frame_scales(np.array(said, dtype=float).reshape(-1, 2), true)
    for row, (what, fits) in told.items():
        if not fits:
            raise DatasetError(
                f"{source}: image {ids[row]!r} has {what}; label it again as a viewer shows it"
            )
    return {image_id: (x, y) for image_id, (x, y) in zip(ids, scale.tolist(), strict=True)}, len(
        told
    )


def _read_yolo(source: Path, images: pd.DataFrame) -> tuple[list[tuple], list[str]]:
    listed = [path for name in ("obj.names", "classes.txt") for path in sorted(source.rglob(name))]
    if not listed:
        raise DatasetError(f"{source} has neither obj.names nor classes.txt to name the classes")
    lines = read_text(listed[0]).splitlines()
    names = [line.strip() for line in lines if line.strip()]
    frames = _frames(images)
    found = sorted(source.rglob("*.txt"))
    found = [path for path in found if path.name not in _LISTS or path.stem in frames]
    if not found:
        raise DatasetError(
            f"{source} holds no label file (<image>.txt), at no depth: export the labels as YOLO"
        )
    ids = _image_ids([path.name for path in found], images, source)
    rows = []
    for image_id, path in zip(ids, found, strict=True):
        boxes = yolo.label_boxes(read_text(path).encode(), str(path))
        width, height = frames[image_id]
        for number, (kind, *xywhn) in enumerate(boxes.tolist(), start=1):
            if kind not in range(len(names)):
                raise DatasetError(
                    f"{path}, box {number}: class {kind:g}, but {listed[0].name} lists {len(names)}"
                )
            corners = box_arithmetic.xywhn_to_xyxy([xywhn], width, height)[0]
            xyxy = clipped(corners, width, height, f"{path}, box {number}")
            rows.append((image_id, _species_of(names[int(kind)], path), *xyxy))
    return rows, ids
