"""Labels out to an annotation tool and back: COCO JSON and YOLO, and what came back changed.

CVAT and Label Studio import both forms. In COCO a suggested box carries `attributes` {"suggested":
true, "score": ...}, which CVAT shows; in YOLO, which has no room for that, suggestions are classes
of their own ("cow_suggested").
"""

import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import boxes as box_arithmetic
from livestock_utils.core import files, overlaps, species, tables
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.tables import BOX_COLUMNS
from livestock_utils.data.aihub import labels
from livestock_utils.data.sets import yolo

_SUFFIX = "_suggested"
CHANGES = ("kept", "moved", "species", "added", "removed")
"""What `diff` tells apart."""
_LISTS = ("classes.txt", "train.txt", "valid.txt", "val.txt", "test.txt")
"""Text files of a YOLO export that hold names, not boxes."""
_UPLOAD = re.compile(r"[0-9a-f]{8}-(.+)")
"""Label Studio puts eight hex digits and a dash before the name of an uploaded file."""


def write_coco(
    path: str | os.PathLike, photos: Photos, suggestions: pd.DataFrame | None = None
) -> Path:
    """Write labels, and suggestions as flagged boxes, as COCO detection JSON; returns the path.

    Images that hold no box are listed too. File names are <image_id>.jpg; boxes are [x, y, width,
    height] in px with two decimals. The same tables give the same bytes. DatasetError for boxes of
    other images or unknown species.
    """
    images = photos.images.sort_values("image_id", ignore_index=True)
    number = dict(zip(images["image_id"], range(1, len(images) + 1), strict=True))
    index = species.class_index()
    annotations: list[dict[str, Any]] = []
    for row in _joined(photos, suggestions).to_dict("records"):
        width, height = row["x_max"] - row["x_min"], row["y_max"] - row["y_min"]
        extra: dict[str, Any] = {"suggested": bool(row["suggested"])}
        if row["suggested"]:
            extra["score"] = round(float(row["score"]), 4)
        entry = {"id": len(annotations) + 1, "image_id": number[row["image_id"]], "iscrowd": 0}
        entry |= {"category_id": index[row["species"]] + 1, "area": round(width * height, 2)}
        entry["bbox"] = [round(value, 2) for value in (row["x_min"], row["y_min"], width, height)]
        annotations.append(entry | {"attributes": extra})
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
    return files.write_json(path, content)


def write_yolo(
    folder: str | os.PathLike, photos: Photos, suggestions: pd.DataFrame | None = None
) -> Path:
    """Write `obj_train_data/<image_id>.txt`, obj.names, obj.data and train.txt (CVAT's "YOLO 1.1"),
    and classes.txt (Label Studio's); returns the folder. Suggested boxes are of the classes
    <species>_suggested. Label files of an earlier call that are not of `photos` are removed.
    DatasetError as in `write_coco`."""
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
    """Boxes that a person went through: COCO JSON, or a folder of YOLO files with names.

    Returns a boxes table (sorted by image_id, clipped to the frame) of the images in the file. A
    suggested box that is still there counts as accepted. The label files of a YOLO folder may lie
    at any depth; folders and Label Studio's prefix of a file name do not count. Raises DatasetError
    for another format, classes in use that are unknown, files of other images or of one image
    twice, and boxes that are not four numbers with an extent within the frame, naming the first.
    """
    source = Path(path)
    if not source.exists():
        raise DatasetError(f"{source} not found: give a COCO JSON file or a folder of YOLO labels")
    boxes, ids = (_read_yolo if source.is_dir() else _read_coco)(source, images)
    boxes = boxes.sort_values("image_id", kind="stable", ignore_index=True)
    boxes.attrs["image_ids"] = sorted(ids)
    return boxes


def diff(before: pd.DataFrame, after: pd.DataFrame, iou_threshold: float = 0.5) -> pd.DataFrame:
    """What corrections changed: rows of `after` and what is gone, with `change` and `iou`.

    `change` (CHANGES): "kept" (moved by less than half a pixel), "moved", "species" (another
    species, wherever it lies), "added", "removed". Boxes are paired within an image by falling IoU,
    from `iou_threshold` on; images that `after` does not cover (`attrs["image_ids"]` of
    `read_corrected`) are left out.
    """
    covered = after.attrs.get("image_ids")
    before = before if covered is None else before[before["image_id"].isin(covered)]
    old, new = (table[BOX_COLUMNS].reset_index(drop=True) for table in (before, after))
    old_xyxy, new_xyxy = old[XYXY].to_numpy(float), new[XYXY].to_numpy(float)
    first, second, iou = overlaps.pairs(new, old)
    partner, best = np.full(len(new), -1), np.zeros(len(new))
    taken = np.zeros(len(old), dtype=bool)
    for pair in np.argsort(-iou, kind="stable"):
        one, other = first[pair], second[pair]
        if iou[pair] < iou_threshold:
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


def apply_corrections(boxes: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """`boxes` with the labels of all images that were corrected replaced."""
    covered = corrected.attrs.get("image_ids", corrected["image_id"].unique())
    stay = boxes.loc[~boxes["image_id"].isin(covered), BOX_COLUMNS]
    rows = pd.concat([stay, corrected[BOX_COLUMNS]])
    return rows.sort_values("image_id", kind="stable", ignore_index=True)


def _joined(photos: Photos, suggestions: pd.DataFrame | None) -> pd.DataFrame:
    """Labels and suggestions of `photos` with `suggested` and `score`, clipped to the frame."""
    images = photos.images
    parts = [photos.boxes[BOX_COLUMNS].assign(suggested=False, score=1.0)]
    if suggestions is not None and len(suggestions):
        advice = "take them from missing.suggest"
        tables.require_columns(suggestions, (*BOX_COLUMNS, "score"), "suggestions", advice=advice)
        parts.append(suggestions[[*BOX_COLUMNS, "score"]].assign(suggested=True))
    together = pd.concat(parts, ignore_index=True)
    strange = together[~together["image_id"].isin(images["image_id"])]
    if len(strange):
        what = "suggestions" if strange["suggested"].iloc[0] else "labels"
        raise DatasetError(
            f"{len(strange)} {what} are of images that are not in the images table, the first is "
            f"{strange['image_id'].iloc[0]!r}; pass the images that they belong to"
        )
    unknown = sorted(set(together["species"]) - set(species.names()))
    if unknown:
        raise DatasetError(f"unknown species {unknown[0]!r}; expected {list(species.names())}")
    together = together.sort_values(["image_id", "suggested"], kind="stable", ignore_index=True)
    sizes = images.set_index("image_id").loc[together["image_id"], ["width_px", "height_px"]]
    xyxy = together[XYXY].to_numpy(float)
    together[XYXY] = box_arithmetic.clip_to_frame(xyxy, *sizes.to_numpy(float).T)
    return together


def _species_of(name: str, source: Path) -> str:
    plain = str(name).removesuffix(_SUFFIX)
    if plain not in species.names():
        raise DatasetError(
            f"{source}: unknown class {name!r}; expected {list(species.names())}, with or without "
            f"{_SUFFIX!r}"
        )
    return plain


def _image_ids(names: Collection[str], images: pd.DataFrame, source: Path) -> list[str]:
    """The image id of each file name; DatasetError for other images, and for one twice."""
    known = set(images["image_id"])
    ids = []
    for name in names:
        stem = PurePosixPath(str(name).replace("\\", "/")).stem
        upload = _UPLOAD.fullmatch(stem)
        ids.append(upload[1] if upload and stem not in known and upload[1] in known else stem)
    strange = sorted(set(ids) - known)
    if strange:
        raise DatasetError(
            f"{source} holds labels of other images: {len(strange)} of {len(ids)} are not in the "
            f"images table, the first is {strange[0]!r}"
        )
    twice = [image_id for image_id, times in Counter(ids).items() if times > 1]
    if twice:
        raise DatasetError(
            f"{source} holds image {twice[0]!r} twice ({len(twice)} such images): leave one of the "
            "two, or its boxes would count double"
        )
    return ids


def _frames(images: pd.DataFrame) -> dict[str, tuple[float, float]]:
    sizes = zip(images["width_px"].astype(float), images["height_px"].astype(float), strict=True)
    return dict(zip(images["image_id"], sizes, strict=True))


def _clipped(xyxy: Any, width_px: float, height_px: float, where: str) -> list[float]:
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
    return [float(value) for value in inside[0]]


def _read_coco(source: Path, images: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    frames = _frames(images)
    try:
        content = labels.parse(source.read_bytes())
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        numbers = [entry["id"] for entry in content["images"]]
        ids = _image_ids([entry["file_name"] for entry in content["images"]], images, source)
        if len(set(numbers)) < len(numbers):
            raise DatasetError(f"{source}: two images have one id; export it again")
        of_number = dict(zip(numbers, ids, strict=True))
        rows = []
        for entry in content["annotations"]:
            image_id, box = of_number[entry["image_id"]], entry["bbox"]
            where = f"{source}, annotation {entry.get('id')} of image {image_id!r}"
            if not isinstance(box, list) or [type(v) in (int, float) for v in box] != [True] * 4:
                raise DatasetError(
                    f"{where}: expected a bbox of four numbers [x, y, width, height], got {box!r}"
                )
            x, y, width, height = box
            name = _species_of(names[entry["category_id"]], source)
            xyxy = _clipped((x, y, x + width, y + height), *frames[image_id], where)
            rows.append((image_id, name, *xyxy))
    except DatasetError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DatasetError(
            f"{source} is not COCO detection JSON ({reason}); export it as COCO 1.0"
        ) from error
    return pd.DataFrame(rows, columns=BOX_COLUMNS).astype(dict.fromkeys(XYXY, float)), ids


def _read_yolo(source: Path, images: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    listed = [path for name in ("obj.names", "classes.txt") for path in sorted(source.rglob(name))]
    if not listed:
        raise DatasetError(
            f"{source} has neither obj.names nor classes.txt: class numbers mean nothing without "
            "one"
        )
    lines = listed[0].read_text(encoding="utf-8-sig").splitlines()
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
        boxes = yolo.label_boxes(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(path))
        width, height = frames[image_id]
        for number, (kind, *xywhn) in enumerate(boxes.tolist(), start=1):
            if kind not in range(len(names)):
                raise DatasetError(
                    f"{path}, box {number}: class {kind:g}, but {listed[0].name} lists {len(names)}"
                )
            corners = box_arithmetic.xywhn_to_xyxy([xywhn], width, height)[0]
            xyxy = _clipped(corners, width, height, f"{path}, box {number}")
            rows.append((image_id, _species_of(names[int(kind)], path), *xyxy))
    return pd.DataFrame(rows, columns=BOX_COLUMNS).astype(dict.fromkeys(XYXY, float)), ids
