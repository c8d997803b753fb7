"""Labels out to an annotation tool and back: COCO JSON and YOLO with suggested boxes flagged, and a diff on return.

CVAT and Label Studio import both forms. In COCO a suggested box carries `attributes` {"suggested": true, "score": ...},
which CVAT shows; in YOLO, which has no room for that, suggestions are classes of their own ("cow_suggested").
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils import box_pairs, files, species, yolo_set
from livestock_utils import boxes as box_arithmetic
from livestock_utils.boxes import XYXY
from livestock_utils.errors import DatasetError
from livestock_utils.tables import BOX_COLUMNS

SUFFIX = "_suggested"


def write_coco(path: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame,
               suggestions: pd.DataFrame | None = None) -> Path:
    """Write labels, and suggestions as flagged boxes, as COCO detection JSON; returns the path.

    Images that hold no box are listed too. File names are <image_id>.jpg; boxes are [x, y, width, height] in px with
    two decimals. The same tables give the same bytes.
    """
    images = images.sort_values("image_id", ignore_index=True)
    together = _joined(images, boxes, suggestions)
    number = dict(zip(images["image_id"], range(1, len(images) + 1), strict=True))
    annotations: list[dict[str, Any]] = []
    for row in together.to_dict("records"):
        width, height = row["x_max"] - row["x_min"], row["y_max"] - row["y_min"]
        extra: dict[str, Any] = {"suggested": bool(row["suggested"])}
        if row["suggested"]:
            extra["score"] = round(float(row["score"]), 4)
        annotations.append({
            "id": len(annotations) + 1, "image_id": number[row["image_id"]], "iscrowd": 0,
            "category_id": species.class_index()[row["species"]] + 1, "area": round(width * height, 2),
            "bbox": [round(value, 2) for value in (row["x_min"], row["y_min"], width, height)], "attributes": extra})
    return files.write_json(path, {
        "info": {"description": "labels with suggested boxes"},
        "categories": [{"id": index + 1, "name": name} for name, index in species.class_index().items()],
        "images": [{"id": number[row["image_id"]], "file_name": f"{row['image_id']}.jpg", "width": int(row["width_px"]),
                    "height": int(row["height_px"])} for row in images.to_dict("records")],
        "annotations": annotations})


def write_yolo(folder: str | os.PathLike, images: pd.DataFrame, boxes: pd.DataFrame,
               suggestions: pd.DataFrame | None = None) -> Path:
    """Write `obj_train_data/<image_id>.txt`, obj.names, obj.data and train.txt (CVAT's "YOLO 1.1"), and classes.txt
    (Label Studio's); returns the folder. Suggested boxes are of the classes <species>_suggested."""
    target = Path(folder)
    names = species.names()
    classes = [*names, *(f"{name}{SUFFIX}" for name in names)]
    together = _joined(images, boxes, suggestions).merge(images[["image_id", "width_px", "height_px"]], on="image_id",
                                                         how="left", sort=False)
    xywhn = box_arithmetic.xyxy_to_xywhn(together[XYXY].to_numpy(float), together["width_px"].to_numpy(),
                                         together["height_px"].to_numpy()) if len(together) else np.zeros((0, 4))
    index = together["species"].map(species.class_index()).astype(int) + together["suggested"] * len(names)
    lines = pd.Series([f"{kind} {x:.8f} {y:.8f} {w:.8f} {h:.8f}\n"
                       for kind, (x, y, w, h) in zip(index, xywhn, strict=True)], dtype=object)
    texts: dict[Any, str] = lines.groupby(together["image_id"].to_numpy(object)).agg("".join).to_dict()
    ids = sorted(images["image_id"])
    for image_id in ids:
        files.write_text(target / "obj_train_data" / f"{image_id}.txt", texts.get(image_id, ""))
    for name in ("obj.names", "classes.txt"):
        files.write_text(target / name, "".join(f"{entry}\n" for entry in classes))
    files.write_text(target / "train.txt", "".join(f"data/obj_train_data/{image_id}.jpg\n" for image_id in ids))
    files.write_text(target / "obj.data", f"classes = {len(classes)}\ntrain = data/train.txt\nnames = data/obj.names\n"
                                          "backup = backup/\n")
    return target


def read_corrected(path: str | os.PathLike, images: pd.DataFrame) -> pd.DataFrame:
    """Boxes that a person went through: a COCO JSON file, or a folder of YOLO files with obj.names or classes.txt.

    Returns a boxes table (sorted by image_id) of the images in the file. A suggested box that is still there counts as
    accepted. Raises DatasetError for another format, unknown classes, and files of other images, naming the first.
    """
    source = Path(path)
    if not source.exists():
        raise DatasetError(f"{source} not found: give a COCO JSON file or a folder of YOLO labels")
    boxes, ids = (_read_yolo if source.is_dir() else _read_coco)(source, images)
    strange = sorted(set(ids) - set(images["image_id"]))
    if strange:
        raise DatasetError(f"{source} holds labels of other images: {len(strange)} of {len(ids)} are not in the images "
                           f"table, the first is {strange[0]!r}")
    size = images.set_index("image_id").loc[boxes["image_id"], ["width_px", "height_px"]].to_numpy(float)
    boxes[XYXY] = box_arithmetic.clip_to_frame(boxes[XYXY].to_numpy(float), size[:, 0], size[:, 1]).round(2)
    boxes = boxes.sort_values("image_id", kind="stable", ignore_index=True)
    boxes.attrs["image_ids"] = sorted(ids)
    return boxes


def diff(before: pd.DataFrame, after: pd.DataFrame, iou_threshold: float = 0.5) -> pd.DataFrame:
    """What the corrections changed: rows of `after` and what is gone, with `change` and `iou` (to the box before).

    `change`: "kept" (moved by less than half a pixel), "moved", "species" (another species, wherever it lies), "added",
    "removed". Boxes are paired within an image by falling IoU, from `iou_threshold` on; images that `after` does not
    cover (`attrs["image_ids"]` of `read_corrected`) are left out.
    """
    covered = after.attrs.get("image_ids")
    before = before if covered is None else before[before["image_id"].isin(covered)]
    old, new = (table[BOX_COLUMNS].reset_index(drop=True) for table in (before, after))
    old_xyxy, new_xyxy = old[XYXY].to_numpy(float), new[XYXY].to_numpy(float)
    first, second = box_pairs.same_image(*box_pairs.image_codes(new["image_id"], old["image_id"]))
    iou = box_pairs.overlaps(new_xyxy, old_xyxy, first, second)[0]
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
    other_species = new["species"].to_numpy(object)[paired] != old["species"].to_numpy(object)[partner[paired]]
    change[paired] = np.where(other_species, "species", np.where(shift >= 0.5, "moved", "kept"))
    rows = pd.concat([new.assign(change=change, iou=best), old[~taken].assign(change="removed", iou=0.0)])
    return rows.sort_values("image_id", kind="stable", ignore_index=True)


def apply_corrections(boxes: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """`boxes` with the labels of all images that `read_corrected` covered replaced by the corrected ones."""
    covered = corrected.attrs.get("image_ids", corrected["image_id"].unique())
    stay = boxes.loc[~boxes["image_id"].isin(covered), BOX_COLUMNS]
    return pd.concat([stay, corrected[BOX_COLUMNS]]).sort_values("image_id", kind="stable", ignore_index=True)


def _joined(images: pd.DataFrame, boxes: pd.DataFrame, suggestions: pd.DataFrame | None) -> pd.DataFrame:
    """Labels and suggestions of `images` in one table with `suggested` and `score`, clipped to the frame."""
    parts = [boxes[BOX_COLUMNS].assign(suggested=False, score=1.0)]
    if suggestions is not None and len(suggestions):
        absent = [name for name in (*BOX_COLUMNS, "score") if name not in suggestions.columns]
        if absent:
            raise DatasetError(f"suggestions: the column {absent[0]!r} is lacking; take them from "
                               "missing_labels.suggest")
        parts.append(suggestions[[*BOX_COLUMNS, "score"]].assign(suggested=True))
    together = pd.concat(parts, ignore_index=True)
    together = together[together["image_id"].isin(images["image_id"])]
    together = together.sort_values(["image_id", "suggested"], kind="stable", ignore_index=True)
    size = images.set_index("image_id").loc[together["image_id"], ["width_px", "height_px"]].to_numpy(float)
    together[XYXY] = box_arithmetic.clip_to_frame(together[XYXY].to_numpy(float), size[:, 0], size[:, 1])
    return together


def _species_of(name: str, source: Path) -> str:
    plain = str(name).removesuffix(SUFFIX)
    if plain not in species.names():
        raise DatasetError(f"{source}: unknown class {name!r}; expected {list(species.names())}, with or without "
                           f"{SUFFIX!r}")
    return plain


def _read_coco(source: Path, images: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        names = {entry["id"]: _species_of(entry["name"], source) for entry in content["categories"]}
        ids = {entry["id"]: Path(entry["file_name"]).stem for entry in content["images"]}
        rows = [(ids[entry["image_id"]], names[entry["category_id"]], *map(float, entry["bbox"]))
                for entry in content["annotations"]]
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DatasetError(f"{source} is not COCO detection JSON ({reason}); export it as COCO 1.0") from error
    table = pd.DataFrame(rows, columns=BOX_COLUMNS)
    table[XYXY] = table[XYXY].astype(float)
    table["x_max"] += table["x_min"]
    table["y_max"] += table["y_min"]
    return table, list(ids.values())


def _read_yolo(source: Path, images: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    listed = [path for path in (source / "obj.names", source / "classes.txt") if path.is_file()]
    if not listed:
        raise DatasetError(f"{source} has neither obj.names nor classes.txt: class numbers mean nothing without one")
    names = [_species_of(name, listed[0]) for name in listed[0].read_text(encoding="utf-8").split()]
    found = {path.stem: path for path in sorted(source.glob("*/*.txt")) if path.parent.name != "backup"}
    frames = zip(images["width_px"].to_numpy(), images["height_px"].to_numpy(), strict=True)
    sizes = dict(zip(images["image_id"], frames, strict=True))
    parts = [pd.DataFrame(columns=BOX_COLUMNS).astype(dict.fromkeys(XYXY, float))]
    for image_id, path in found.items():
        rows = yolo_set.label_boxes(path.read_bytes(), str(path))
        if not len(rows) or image_id not in sizes:
            continue
        if rows[:, 0].max() >= len(names):
            raise DatasetError(f"{path}: class {rows[:, 0].max():.0f}, but {listed[0].name} lists {len(names)}")
        width, height = sizes[image_id]
        part = pd.DataFrame(box_arithmetic.xywhn_to_xyxy(rows[:, 1:], width, height), columns=XYXY)
        part.insert(0, "image_id", image_id)
        part.insert(1, "species", [names[int(kind)] for kind in rows[:, 0]])
        parts.append(part)
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True), list(found)
