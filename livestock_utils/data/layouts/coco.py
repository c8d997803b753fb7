"""COCO: JSON with images, annotations and categories; one file, or one a part."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from livestock_utils.core.errors import DatasetError
from livestock_utils.data.aihub.labels import numbers, parse, pixels
from livestock_utils.data.layouts.labels import Labels, around, files, upright

NAME = "COCO"


def find(source: Path) -> list[Path]:
    """The JSON files with COCO's three lists, at most one folder down."""
    return [path for path in files(source, "json") if _is_coco(path.read_bytes())]


def add(labels: Labels, path: Path, where: str) -> None:
    """The photos of a file and their boxes."""
    content = parse(path.read_bytes())
    names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
    rows: dict[Any, int] = {}
    for entry in content["images"]:
        if entry["id"] in rows:
            raise DatasetError(f"{path}: two images have the id {entry['id']}; export it again")
        size = pixels(entry.get("width")), pixels(entry.get("height"))
        rows[entry["id"]] = labels.add_photo([entry["file_name"]], where, size)
    entries = content["annotations"]
    boxes = [entry.get("bbox") for entry in entries]
    at = [rows.get(entry["image_id"], -1) for entry in entries]
    is_plain = not any(entry.get("attributes") for entry in entries)
    is_plain = is_plain and {*map(type, boxes)} == {list} and {*map(len, boxes)} == {4}
    is_plain = is_plain and {*map(type, chain.from_iterable(boxes))} <= {int, float}
    if is_plain and min(at) >= 0:  # nearly always
        xyxy = np.array(boxes, dtype=float)
        xyxy[:, 2:] += xyxy[:, :2]
        groups = [number for number, entry in enumerate(entries) if entry.get("iscrowd")]
        labels.marked["group_box"] += [len(labels.name) + number for number in groups]
        labels.name.extend(names[entry["category_id"]] for entry in entries)
        labels.at.extend(at)
        labels.xyxy.frombytes(xyxy.tobytes())
        return
    for entry in entries:
        if entry["image_id"] not in rows:
            raise DatasetError(
                f"{path}: annotation {entry.get('id')} is of image {entry['image_id']}, which is "
                "not among the images; export it again"
            )
        name, row = names[entry["category_id"]], rows[entry["image_id"]]
        labels.add_box(row, name, *box_of(entry), bool(entry.get("iscrowd")))


def box_of(entry: dict[str, Any]) -> tuple[tuple[float, ...], bool]:
    """(corners, turned?) of an annotation: its bbox, else what its segmentation covers; of a turned
    one (attributes.rotation, degrees) the upright box around it. NaN for none."""
    box = entry.get("bbox")
    if not box and (mask := entry.get("segmentation")):
        if isinstance(mask, dict):
            return _around_runs(mask), False
        return around(list(chain.from_iterable(mask))), False
    if not isinstance(box, list) or len(box) != 4:
        return numbers(()), False
    x, y, width, height = numbers(box)
    attributes = entry.get("attributes") or {}
    turn = float(attributes.get("rotation") or 0) if isinstance(attributes, dict) else 0.0
    return upright(x, y, width, height, turn)


def _around_runs(mask: dict[str, Any]) -> tuple[float, ...]:
    """The box around a mask of run lengths (column by column), plain or packed into a text."""
    height, counts = mask["size"][0], mask["counts"]
    ends = np.cumsum(_unpacked(counts) if isinstance(counts, str) else counts)
    start, end = ends[:-1:2], ends[1::2]
    start, end = start[end > start], end[end > start] - 1
    if not len(start):
        return numbers(())
    over = start // height < end // height  # a run that goes on in the next column spans the height
    top = np.where(over, 0, start % height).min()
    low = np.where(over, height - 1, end % height).max()
    return float(start.min() // height), float(top), float(end.max() // height + 1), float(low + 1)


def _unpacked(text: str) -> list[int]:
    """Run lengths of COCO's packed masks: five bits a character, differences from the third on."""
    runs: list[int] = []
    value = shift = 0
    for code in text.encode():
        code -= 48
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value |= -1 << shift if code & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _is_coco(raw: bytes) -> bool:
    return all(f'"{key}"'.encode() in raw for key in ("images", "annotations", "categories"))
