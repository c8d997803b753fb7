"""AI Hub's label members: JSON -> numbers, tolerant of what real label files contain."""

import dataclasses
import json
import re
from array import array
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import orjson

from livestock_utils.core.archives import Archive
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.progress import progress
from livestock_utils.core.text import nfc
from livestock_utils.data.findings import Findings

_BOM = b"\xef\xbb\xbf"


@dataclasses.dataclass(slots=True)
class Label:
    """One label member: the frame size that it claims (0 if none) and its boxes. `xyxy`: four
    numbers a box, NaN where unusable; None if the member is broken. Flat, as lists of lists for
    16,455 labels keep Python's garbage collector busy."""

    image_id: str
    species: str
    archive: str
    member: str
    file_name: str = ""
    width_px: int = 0
    height_px: int = 0
    xyxy: array | None = None


def read_labels(
    archive: Archive, species: str, findings: Findings, boxes_as: str = "xyxy"
) -> Iterator[Label]:
    """All labels of an archive in its order, with findings of broken ones;
    `boxes_as` as in `judging.CONVENTIONS`."""
    members = archive.wanted("labels")
    for member in progress(members, desc=f"labels of {archive.path}", unit="label"):
        image_id = stem(member)
        try:
            data = parse(archive.read(member))
        except ArchiveError as error:
            findings.add_error("label_unreadable", error, archive.path, member, image_id)
            yield Label(image_id, species, archive.path, member)
            continue
        except ValueError as error:
            what = f"not JSON ({' '.join(str(error).split())})"
            findings.add_member("label_unreadable", archive.path, member, image_id, what)
            yield Label(image_id, species, archive.path, member)
            continue
        try:
            info = data["label_info"] if "label_info" in data else _in_small(data)
            annotations = info["annotations"]
            if not isinstance(annotations, list):
                raise TypeError("annotations is not a list")
            if boxes_as == "polygons":
                annotations = [{"bbox": _around(annotation)} for annotation in annotations]
            image = info.get("image") or {}
            xyxy = _xyxy(annotations)
            label = Label(
                image_id,
                species,
                archive.path,
                member,
                nfc(str(image.get("file_name") or "")),
                pixels(image.get("width")),
                pixels(image.get("height")),
                _corners(xyxy) if boxes_as == "xywh" and "label_info" in data else xyxy,
            )
        except (KeyError, TypeError, AttributeError):
            what = "no label_info with a list of annotations"
            findings.add_member("label_incomplete", archive.path, member, image_id, what)
            yield Label(image_id, species, archive.path, member)
            continue
        yield label


def parse(raw: bytes) -> Any:
    """JSON bytes -> value; takes a byte-order mark, NaN, UTF-16 and cp949. Raises ValueError."""
    try:
        return orjson.loads(raw[3:] if raw.startswith(_BOM) else raw)
    except orjson.JSONDecodeError as first:
        try:
            return json.loads(raw)
        except UnicodeDecodeError:
            return json.loads(raw.decode("cp949"))
        except RecursionError:
            raise ValueError("nested too deeply") from first


def stem(member: str) -> str:
    """File name without folders and ending: the `image_id`."""
    return member.rpartition("/")[2].rpartition(".")[0]


def _xyxy(annotations: list[Any]) -> array:
    """The numbers of the bboxes in a row, four NaN for one that is not four numbers."""
    try:
        boxes = [annotation["bbox"] for annotation in annotations]
        if set(map(len, boxes)) <= {4}:
            return array("d", chain.from_iterable(boxes))
    except (KeyError, TypeError, OverflowError):
        pass  # told box by box below
    given = (one.get("bbox") if isinstance(one, dict) else None for one in annotations)
    return array("d", chain.from_iterable(map(numbers, given)))


def numbers(values: Any) -> tuple[float, ...]:
    """Four numbers of a box, or four NaN where they are no numbers."""
    try:
        x_min, y_min, x_max, y_max = map(float, values)
    except (TypeError, ValueError, OverflowError):
        return (float("nan"),) * 4
    return x_min, y_min, x_max, y_max


def _in_small(data: Any) -> dict[str, Any]:
    """A label of AI Hub's newer sets (IMAGE, ANNOTATION_INFO, BOUNDING_BOX_WIDTH ...) as an older
    one; their boxes are a corner and a size."""
    sides = ("X_COORDINATE", "Y_COORDINATE", "WIDTH", "HEIGHT")
    annotations = []
    for one in data["ANNOTATION_INFO"]:
        box = [one.get(f"BOUNDING_BOX_{side}") for side in sides]
        annotations.append({**one, "bbox": _corners(array("d", numbers(box)))})
    image = {key.lower().removeprefix("image_"): one for key, one in data["IMAGE"].items()}
    return {"image": image, "annotations": annotations}


def _corners(xywh: array) -> array:
    """x, y, width, height in a row -> corners in a row."""
    boxes = np.array(xywh).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return array("d", boxes.tobytes())


def _around(annotation: Any) -> list[float] | None:
    """The box around the outline that an annotation holds, None where it holds none."""
    for key, outline in annotation.items():
        if outline and re.search("polygon|segmentation", key, re.IGNORECASE):
            try:
                parts = outline if isinstance(outline[0], list) else [outline]
                points = np.concatenate([np.ravel(part) for part in parts]).reshape(-1, 2)
                return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
            except (KeyError, TypeError, ValueError):
                return None
    return None


def pixels(value: Any) -> int:
    """A side of a frame, "270.0" too; 0 for what is no number."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
