"""YOLO: a data.yaml with train, val and test, or the lists and names of CVAT and Label Studio; one
text file a photo with a class and four shares a line, or a polygon, whose box is taken."""

import os
from array import array
from itertools import chain
from pathlib import Path
from typing import Any

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.progress import progress
from livestock_utils.core.reading import read_text, read_yaml
from livestock_utils.data.layouts.labels import Labels, Places, around, part_of, relative
from livestock_utils.data.sets.yolo import IMAGE_SUFFIXES, label_file

NAME = "YOLO"
_ENTRIES = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
"""Key of data.yaml -> part."""
_MANY = 20
"""Photos from which on files without a row, most of them, are doubted."""
_NAMES = ("obj.names", "classes.txt", "data/obj.names")


def find(source: Path) -> list[Path]:
    """The data.yaml, obj.names or classes.txt that describes the set, if there is one."""
    if source.is_file():
        named = source.suffix in (".yaml", ".yml") or source.name in _NAMES
        return [source] * bool(named and (source.suffix[1:2] != "y" or _is_data(_yaml(source))))
    found = [path for path in sorted(source.glob("*.y*ml")) if _is_data(_yaml(path))]
    if found:  # data.yaml before another name; a second one describes the same photos
        return sorted(found, key=lambda path: path.stem != "data")[:1]
    return [source / name for name in _NAMES if (source / name).is_file()][:1]


def add(labels: Labels, path: Path, where: str) -> None:
    """The photos of the parts and their label files' boxes."""
    labels.in_shares = True
    if path.suffix[1:2] == "y":
        content = _yaml(path)
        names, keypoints = _class_names(content["names"], path), bool(content.get("kpt_shape"))
        photos = _listed(content, path)
    else:
        lines = read_text(path).splitlines()
        names, keypoints = dict(enumerate(line.strip() for line in lines if line.strip())), False
        photos = [(labels.folder / place, part_of(place)) for place in labels.places.all]
    has_label, empty = False, 0
    for photo, part in progress(photos, desc="labels", unit="label"):
        text_file, place = label_file(photo), relative(photo, labels.folder)
        row = labels.add_row(place, relative(text_file, labels.folder), (0, 0), part)
        try:
            with open(text_file, "rb") as file:
                text = file.read()
            _add_boxes(labels, row, text, names, keypoints)
            has_label, empty = True, empty + (not text.strip())
        except FileNotFoundError:
            labels.findings.add_member("image_unlabelled", ".", place, "", "no label file")
    if path.name == _NAMES[0] and len(photos) >= _MANY and empty > len(photos) / 2:
        message = f"{where}: {empty:,} of its {len(photos):,} label files are empty"
        labels.findings.add("labels_empty", message, where, value=empty)
    if photos and not has_label:
        raise DatasetError(
            f"{path}: none of its {len(photos):,} photos has a label file, the first would be "
            f"{label_file(photos[0][0])}; put labels/ beside images/, or the .txt beside the photo"
        )


def _add_boxes(
    labels: Labels, row: int, text: bytes, names: dict[int, str], keypoints: bool
) -> None:
    """The boxes of one label file; a row that is no box has four NaN."""
    words = text.split()
    if len(words) == 5 * len(text.splitlines()):
        try:
            values = array("d", map(float, words))
            kinds = [names[int(kind)] for kind in values[::5]]
        except (ValueError, KeyError, OverflowError):
            pass  # told row by row below
        else:
            boxes = map(_corners, values[1::5], values[2::5], values[3::5], values[4::5])
            labels.at.extend([row] * len(kinds))
            labels.name.extend(kinds)
            labels.xyxy.extend(chain.from_iterable(boxes))
            return
    for line in text.removeprefix(b"\xef\xbb\xbf").splitlines():
        if not line.strip():
            continue
        try:
            kind, *values_of = map(float, line.split())
            number = int(kind)
        except (ValueError, OverflowError):
            number = -1
        if number < 0:  # no number, or none that a class can have
            number, kind, values_of = next(iter(names), 0), 0.0, []
        if len(values_of) == 4 or (keypoints and len(values_of) > 4):
            corners = _corners(*values_of[:4])
        else:
            corners = around(values_of if len(values_of) > 5 else [])
        labels.add_box(row, names.get(number, f"class {kind:g}"), corners)


def _corners(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _listed(content: dict[str, Any], described: Path) -> list[tuple[Path, str]]:
    """(photo, part) of the entries train, val and test: folders, lists, or several of these."""
    root = Path(str(content.get("path") or "."))
    home = described.parent
    bases = [home / root, home.parent / root, home]
    found: list[tuple[Path, str]] = []
    seen: set[Path] = set()
    for key, part in _ENTRIES.items():
        given = content.get(key) or []
        for entry in given if isinstance(given, list) else [given]:
            # Roboflow writes ../train/images for the folder beside its data.yaml.
            tried = [base / str(entry) for base in bases]
            tried.append(home / str(entry).replace("../", ""))
            place = next((path for path in tried if os.path.exists(path)), None)
            if place is None and part == "test":
                continue  # named for later, as often
            if place is None:
                raise DatasetError(
                    f"{described}: {key}: {entry} is not there; correct the entry, or `path`"
                )
            if place in seen:  # val: images/train, where there is no other
                continue
            seen.add(place)
            if place.is_file():
                photos = _in_list(place)
            else:
                photos = [place / name for name in Places(place).all]
            found += [(Path(os.path.normpath(photo)), part) for photo in photos]
    return found


def _in_list(place: Path) -> list[Path]:
    """The photos of a list, relative to it, to its folder's parent (data/obj_train_data/... of
    CVAT), or absolute."""
    lines = [line.strip() for line in read_text(place).splitlines()]
    wanted = [line for line in lines if Path(line).suffix.lower() in IMAGE_SUFFIXES]
    photos = []
    for line in wanted:
        tried = [place.parent / line, place.parent.parent / line]
        photos.append(next((path for path in tried if os.path.isfile(path)), tried[0]))
    return photos


def _yaml(path: Path) -> Any:
    try:
        return read_yaml(path)
    except DatasetError:
        return None


def _is_data(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and "names" in content
        and {"train", "val"} & set(content) != set()
    )


def _class_names(names: Any, where: Path) -> dict[int, str]:
    """Index -> name, of a list or a mapping."""
    if isinstance(names, list):
        return {index: str(name) for index, name in enumerate(names)}
    try:
        return {int(index): str(name) for index, name in names.items()}
    except (AttributeError, ValueError) as error:
        raise DatasetError(
            f"{where}: names must be a list or number: name, got {names!r}"
        ) from error
