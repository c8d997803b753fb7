"""Photos of any layout written in another one: photos copied as they are, labels to 1e-4 px."""

import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from livestock_utils.core import species as known
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.tables import PART
from livestock_utils.data.aihub import folder as aihub
from livestock_utils.data.aihub import reading as archives
from livestock_utils.data.aihub.judging import BoxesAs
from livestock_utils.data.aihub.names import KINDS, is_data_root
from livestock_utils.data.findings import Findings
from livestock_utils.data.layouts import checking, reading
from livestock_utils.data.sets import folder as set_folder
from livestock_utils.data.sets import yolo

log = logging.getLogger(__name__)

_ANSWERS = ("XMin", "YMin", "XMax", "YMax")
_MADE = (2000, 1, 1, 0, 0, 0)
"""Time stamp of members, so that the same photos give the same bytes."""


def convert(
    source: str | os.PathLike,
    target: str | os.PathLike,
    to: str,
    layout: str | None = None,
    classes: reading.Classes = None,
    normaliser: str = "contest",
    boxes_as: BoxesAs = None,
    annotators: str = "newest",
) -> Photos:
    """Write the photos of `source` and their labels into the folder `target`, as coco, yolo, voc or
    aihub; returns them. A test part stays one, in AI Hub's layout as data_test/ and answer.csv;
    photos that AI Hub's archives, of one species each, cannot hold are left out. `normaliser` is
    what AI Hub's answer.csv was divided by: "contest" or "image"; the rest is as for
    `lu.read_photos`. DatasetError for a folder that holds other files, and for answers that lie
    outside their photos."""
    folder = Path(target)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} is not an empty folder; give a new one")
    photos = _everything(source, layout, classes, normaliser, boxes_as, annotators)
    with set_folder.no_space_error(folder), set_folder.whole_folder(folder, ()) as part:
        _WRITERS[to](photos, part)
        rest = photos.images[~photos.images["image_id"].isin(photos.boxes["image_id"])]
        rest = rest.loc[rest["species"] != "", ["image_id", "species"]]
        if to != reading.AIHUB and len(rest):
            rest.to_csv(part / checking.WITHOUT_BOXES, index=False, lineterminator="\n")
    return photos


def _everything(
    source: str | os.PathLike,
    layout: str | None,
    classes: reading.Classes,
    normaliser: str,
    boxes_as: BoxesAs,
    annotators: str,
) -> Photos:
    """The photos of all parts, with the column `part`: train where there are none."""
    found, findings = reading.find(source, layout), Findings()
    if found.layout != reading.AIHUB:
        images, boxes = reading.read_tables(found, classes, findings, annotators)
        parts = images[PART] if PART in images else pd.Series("", index=images.index)
        images = images.assign(**{PART: parts.replace("", "train")})
    else:
        with ImageReader(found.folder) as reader:
            within = "data" if is_data_root(found.folder) else ""
            images, boxes = archives.read_tables(reader, findings, within=within, boxes_as=boxes_as)
            images[PART] = "train"
            if (found.folder / "data_test").is_dir():
                tests, _ = archives.read_tables(reader, findings, False, within="data_test")
                images = pd.concat([images, tests.assign(part="test")], ignore_index=True)
                boxes = pd.concat(
                    [boxes, _answers(found.folder, tests, normaliser)], ignore_index=True
                )
    aihub.tell(source, findings, strict=False)
    return Photos(images, boxes, found.folder)


def _answers(folder: Path, tests: pd.DataFrame, normaliser: str) -> pd.DataFrame:
    """The boxes in px that answer.csv gives as shares of the contest's frames or of each photo's;
    none without it."""
    path = folder / "answer.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["image_id", "species", *XYXY])
    table = pd.read_csv(path, dtype={"ImageID": str})
    table["image_id"] = table["ImageID"].str.replace(r"(?i)\.jpe?g$", "", regex=True)
    table = table[table["image_id"].isin(tests["image_id"])]
    mine = tests.set_index("image_id").loc[table["image_id"]]
    true = mine[["width_px", "height_px"]].to_numpy(float)
    frames = np.array([*map(_frame, mine["species"])]) if normaliser == "contest" else true
    px = table[list(_ANSWERS)].to_numpy(float) * np.tile(frames, 2).reshape(-1, 4)
    if outside := int((px > np.tile(true, 2) + 1).any(axis=1).sum()):
        other = "image" if normaliser == "contest" else "contest"
        raise DatasetError(
            f"{path}: {outside:,} boxes lie outside their photos if the answers were divided by "
            f"{normaliser!r}; say normaliser {other!r} (--normaliser)"
        )
    boxes = pd.DataFrame(px.round(6), columns=XYXY)
    boxes.insert(0, "species", table["LabelName"].to_numpy())
    boxes.insert(0, "image_id", table["image_id"].to_numpy())
    return boxes


def _frame(species: str) -> tuple[int, int]:
    return known.by_name(species).contest_size_px


def _rows(photos: Photos) -> Iterator[tuple[Any, str, list[tuple[str, list[float]]]]]:
    """(image, name of its file, [(species, corners)]) of each photo."""
    values = photos.boxes[XYXY].to_numpy(float).round(4).tolist()
    of_image: dict[str, list[tuple[str, list[float]]]] = {}
    for image_id, name, xyxy in zip(
        photos.boxes["image_id"], photos.boxes["species"], values, strict=True
    ):
        of_image.setdefault(image_id, []).append((name, xyxy))
    for image in photos.images.itertuples():
        file = f"{image.image_id}{Path(str(image.member)).suffix.lower()}"
        yield image, file, of_image.get(str(image.image_id), [])


def _copy(photos: Photos, folder: Path, place: Callable[[Any, str], str]) -> None:
    """Copy the photos' bytes to `place` (of the image's row and file name) below `folder`."""
    with photos.reader() as reader:
        for image, file, _ in progress(_rows(photos), total=len(photos), desc="photos"):
            path = folder / place(image, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(reader.bytes(image.archive, image.member))


def _write_coco(photos: Photos, folder: Path) -> None:
    _copy(photos, folder, lambda image, file: f"images/{image.part}/{file}")
    index = {name: number + 1 for name, number in known.class_index().items()}
    parts: dict[str, dict[str, list]] = {}
    for number, (image, file, boxes) in enumerate(_rows(photos), start=1):
        categories = [{"id": code, "name": name} for name, code in index.items()]
        empty: dict[str, list] = {"images": [], "annotations": [], "categories": categories}
        part = parts.setdefault(image.part, empty)
        size = {"width": image.width_px, "height": image.height_px}
        part["images"].append({"id": number, "file_name": file, **size})
        for name, (x0, y0, x1, y1) in boxes:
            wide, high = round(x1 - x0, 4), round(y1 - y0, 4)
            entry = {"id": len(part["annotations"]) + 1, "image_id": number, "iscrowd": 0}
            box = {"bbox": [x0, y0, wide, high], "area": round(wide * high, 2)}
            part["annotations"].append({**entry, "category_id": index[name], **box})
    for part_name, content in parts.items():
        path = folder / "annotations" / f"instances_{part_name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_yolo(photos: Photos, folder: Path) -> None:
    _copy(photos, folder, lambda image, file: f"images/{image.part}/{file}")
    part_of = dict(zip(photos.images["image_id"], photos.images[PART], strict=True))
    plan = yolo.plan(photos.images, photos.boxes)
    for image_id, text in zip(plan.manifest["image_id"], plan.labels, strict=True):
        path = folder / "labels" / part_of[image_id] / f"{image_id}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    there = {*part_of.values()}
    valid = "valid" if "valid" in there else "train"
    described = yolo.data_yaml("images/train", f"images/{valid}", known.names())
    (folder / "data.yaml").write_text(described + "test: images/test\n" * ("test" in there))


def _write_voc(photos: Photos, folder: Path) -> None:
    _copy(photos, folder, lambda image, file: f"JPEGImages/{file}")
    lists: dict[str, str] = {}
    (folder / "Annotations").mkdir()
    for image, file, boxes in _rows(photos):
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = file
        size = ElementTree.SubElement(root, "size")
        for name, value in (("width", image.width_px), ("height", image.height_px), ("depth", 3)):
            ElementTree.SubElement(size, name).text = str(value)
        for species, xyxy in boxes:
            one = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(one, "name").text = species
            box = ElementTree.SubElement(one, "bndbox")
            for name, value in zip(("xmin", "ymin", "xmax", "ymax"), xyxy, strict=True):
                ElementTree.SubElement(box, name).text = (
                    f"{value:g}" if value % 1 == 0 else str(value)
                )
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="unicode")
        (folder / "Annotations" / f"{image.image_id}.xml").write_text(text, encoding="utf-8")
        lists[image.part] = lists.get(image.part, "") + f"{image.image_id}\n"
    for part, text in lists.items():
        path = folder / "ImageSets" / "Main" / f"{'val' if part == 'valid' else part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _write_aihub(photos: Photos, folder: Path) -> None:
    mixed = photos.boxes.groupby("image_id")["species"].nunique()
    many = photos.images["image_id"].isin(mixed.index[mixed > 1])
    if (unfit := many | (photos.images["species"] == "")).any():
        what = (
            "%d of %d photos are of no species or of several, which AI Hub's archives cannot hold"
        )
        log.warning(f"{what}; they are left out", unfit.sum(), len(photos))
    rows = [row for row, is_unfit in zip(_rows(photos), unfit, strict=True) if not is_unfit]
    places: dict[tuple[str, str], list[tuple[Any, list]]] = {}
    for image, _, boxes in rows:
        sub = "data_test" if image.part == "test" else "data"
        places.setdefault((sub, image.species), []).append((image, boxes))
    answers = []
    with photos.reader() as reader:
        for (sub, species), mine in places.items():
            frame = _frame(species) * 2
            name = f"]{known.by_name(species).archive_words[0]}_bbox.zip"
            pictures = (
                (f"{i.image_id}.jpg", reader.bytes(i.archive, i.member))
                for i, _ in progress(mine, desc=f"photos of {species}")
            )
            _write_zip(folder / sub / f"[{KINDS['images']}{name}", pictures)
            if sub == "data":
                texts = ((f"{i.image_id}.json", _label(i, boxes)) for i, boxes in mine)
                _write_zip(folder / sub / f"[{KINDS['labels']}{name}", texts)
                continue
            for image, boxes in mine:
                for kind, xyxy in boxes:
                    shares = [side / whole for side, whole in zip(xyxy, frame, strict=True)]
                    answers.append((f"{image.image_id}.jpg", kind, *shares))
    if answers:
        table = pd.DataFrame(answers, columns=["ImageID", "LabelName", *_ANSWERS])
        (folder / "answer.csv").write_text(table.to_csv(index=False, lineterminator="\n"))


def _label(image: Any, boxes: list[tuple[str, list[float]]]) -> str:
    about = {"width": image.width_px, "height": image.height_px}
    marks = [{"id": number, "bbox": xyxy} for number, (_, xyxy) in enumerate(boxes, start=1)]
    return json.dumps({"label_info": {"image": about, "annotations": marks}})


def _write_zip(path: Path, members: Iterable[tuple[str, bytes | str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name, _MADE), data)


_WRITERS: dict[str, Callable[[Photos, Path], None]] = {
    "coco": _write_coco,
    "yolo": _write_yolo,
    "voc": _write_voc,
    "aihub": _write_aihub,
}
