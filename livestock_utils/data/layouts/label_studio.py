"""Label Studio: JSON or JSON-MIN with a task a photo; shapes in percent of the photo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from livestock_utils.core.boxes import iou_matrix
from livestock_utils.core.errors import DatasetError
from livestock_utils.data.aihub.labels import numbers, parse, pixels
from livestock_utils.data.layouts.labels import Labels, around, files, head, upright
from livestock_utils.data.sets.yolo import IMAGE_SUFFIXES

NAME = "Label Studio"
_SAME_IOU = 0.5
_Box = tuple[str, tuple[float, ...], bool]
"""Class, corners in px, turned?"""
_SHAPES = ("rectanglelabels", "polygonlabels")


def find(source: Path) -> list[Path]:
    """The JSON files that are lists of tasks, at most one folder down."""
    lists = [path for path in files(source, "json") if head(path).lstrip()[:1] == b"["]
    return [path for path in lists if b'"original_width"' in path.read_bytes()]


def add(labels: Labels, path: Path, where: str) -> None:
    """The photos of a file's tasks and their shapes, by the rule for several annotations."""
    for task in parse(path.read_bytes()):
        names = list(_image_names(task.get("data", task)))
        done = [one for one in task.get("annotations", []) if not one.get("was_cancelled")]
        if "annotations" in task and not done:
            what = f"task {task.get('id')} is not annotated"
            labels.findings.add_member("image_without_label", where, names[0], "", what)
            continue
        rule = labels.annotators
        if len(done) > 1 and rule == "refuse":
            raise DatasetError(
                f"{path}: task {task.get('id')} has {len(done)} annotations; keep one of them, or "
                "say annotators newest or union (--annotators)"
            )
        if len(done) > 1:
            what = f"{len(done)} annotations{', each animal once' * (rule == 'union')}"
            labels.findings.add_member("annotators", where, names[0], "", what)
        done = sorted(done, key=lambda one: str(one.get("updated_at") or ""), reverse=True) or [
            task
        ]
        size = 0, 0
        boxes: list[_Box] = []
        for one in done if rule == "union" else done[:1]:
            mine = [*map(_box, _shapes(one.get("result", one)))]
            size = size if boxes else next((size for size, _ in mine), size)
            boxes += [box for _, box in mine if not _is_known(box, boxes)]
        row = labels.add_photo(names, where, size)
        for box in boxes:
            labels.add_box(row, *box)


def _is_known(box: _Box, others: list[_Box]) -> bool:
    """Whether another annotation has boxed the same animal: one of its class, IoU from 0.5."""
    same = [corners for name, corners, _ in others if name == box[0]]
    return bool(same) and bool((iou_matrix([box[1]], same) >= _SAME_IOU).any())


def _box(shape: dict[str, Any]) -> tuple[tuple[int, int], _Box]:
    """(size of the frame, box) of a shape."""
    width, height = (pixels(shape.get(f"original_{side}")) for side in ("width", "height"))
    value, is_turned = shape.get("value", shape), False
    if "points" in value:
        points = [(x * width / 100, y * height / 100) for x, y in value["points"]]
        corners = around([number for point in points for number in point])
    else:
        x, y, w, h = numbers(map(value.get, ("x", "y", "width", "height")))
        box = x * width / 100, y * height / 100, w * width / 100, h * height / 100
        degrees = float(value.get("rotation") or 0)
        corners, is_turned = upright(*box, degrees, about_corner=True)
    name = next(names[0] for kind in _SHAPES if (names := value.get(kind)))
    return (width, height), (name, corners, is_turned)


def _shapes(result: Any) -> Iterator[dict[str, Any]]:
    """The boxes and polygons of an annotation, or of a JSON-MIN task, which holds them by name."""
    lists = [result] if isinstance(result, list) else result.values()
    for one in (one for entries in lists if isinstance(entries, list) for one in entries):
        if isinstance(one, dict) and any(one.get("value", one).get(kind) for kind in _SHAPES):
            yield one


def _image_names(data: dict[str, Any]) -> Iterator[str]:
    """The values that name an image: a path, an address, or one behind ?d=."""
    for value in data.values():
        name = unquote(str(value)).rpartition("?d=")[2].partition("?")[0]
        if Path(name).suffix.lower() in IMAGE_SUFFIXES:
            yield name
