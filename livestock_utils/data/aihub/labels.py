"""AI Hub's label members: JSON -> numbers, tolerant of what real label files contain."""

import dataclasses
import json
from array import array
from collections.abc import Iterator
from itertools import chain
from typing import Any

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

    species: str
    archive: str
    member: str
    file_name: str = ""
    width_px: int = 0
    height_px: int = 0
    xyxy: array | None = None


def read_labels(archive: Archive, species: str, findings: Findings) -> Iterator[tuple[str, Label]]:
    """All labels of an archive -> (image_id, Label) in its order, with findings of broken ones."""
    members = archive.wanted("labels")
    for member in progress(members, desc=f"labels of {archive.path}", unit="label"):
        image_id = stem(member)
        try:
            data = parse(archive.read(member))
        except ArchiveError as error:
            findings.add_error("label_unreadable", error, archive.path, member, image_id)
            yield image_id, Label(species, archive.path, member)
            continue
        except ValueError as error:
            what = f"not JSON ({' '.join(str(error).split())})"
            findings.add_member("label_unreadable", archive.path, member, image_id, what)
            yield image_id, Label(species, archive.path, member)
            continue
        try:
            info = data["label_info"]
            annotations = info["annotations"]
            if not isinstance(annotations, list):
                raise TypeError("annotations is not a list")
            image = info.get("image") or {}
            label = Label(
                species,
                archive.path,
                member,
                nfc(str(image.get("file_name") or "")),
                _pixels(image.get("width")),
                _pixels(image.get("height")),
                _xyxy(annotations),
            )
        except (KeyError, TypeError, AttributeError):
            what = "no label_info with a list of annotations"
            findings.add_member("label_incomplete", archive.path, member, image_id, what)
            yield image_id, Label(species, archive.path, member)
            continue
        yield image_id, label


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
    return array("d", chain.from_iterable(_four_numbers(annotation) for annotation in annotations))


def _four_numbers(annotation: Any) -> tuple[float, ...]:
    try:
        x_min, y_min, x_max, y_max = annotation["bbox"]
        return float(x_min), float(y_min), float(x_max), float(y_max)
    except (KeyError, TypeError, ValueError, OverflowError):
        return (float("nan"),) * 4


def _pixels(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
