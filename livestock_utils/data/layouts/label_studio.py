"""Label Studio: JSON or JSON-MIN with a task a photo; shapes in percent of the photo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from livestock_utils.data.aihub.labels import parse
from livestock_utils.data.layouts.labels import (
    Labels,
    around,
    files,
    head,
    numbers,
    pixels,
    upright,
)
from livestock_utils.data.sets.yolo import IMAGE_SUFFIXES

NAME = "Label Studio"
_SHAPES = ("rectanglelabels", "polygonlabels")


def find(source: Path) -> list[Path]:
    """The JSON files that are lists of tasks, at most one folder down."""
    lists = [path for path in files(source, "json") if head(path).lstrip()[:1] == b"["]
    return [path for path in lists if b'"original_width"' in path.read_bytes()]


def add(labels: Labels, path: Path, where: str) -> None:
    """The photos of a file's tasks and their shapes; of several annotations the newest counts."""
    for task in parse(path.read_bytes()):
        names = list(_image_names(task.get("data", task)))
        done = [one for one in task.get("annotations", []) if not one.get("was_cancelled")]
        if "annotations" in task and not done:
            what = f"task {task.get('id')} is not annotated"
            labels.findings.add_member("image_without_label", where, names[0], "", what)
            continue
        if len(done) > 1:
            what = f"{len(done)} annotations"
            labels.findings.add_member("annotators", where, names[0], "", what)
        newest = max(done, key=lambda one: str(one.get("updated_at") or ""), default=task)
        shapes = list(_shapes(newest.get("result", newest)))
        sizes = [
            (pixels(one.get("original_width")), pixels(one.get("original_height")))
            for one in shapes
        ]
        row = labels.add_photo(names, where, next(iter(sizes), (0, 0)))
        for one, (width, height) in zip(shapes, sizes, strict=True):
            value, is_turned = one.get("value", one), False
            if "points" in value:
                points = [(x * width / 100, y * height / 100) for x, y in value["points"]]
                corners = around([number for point in points for number in point])
            else:
                x, y, w, h = numbers(map(value.get, ("x", "y", "width", "height")))
                box = x * width / 100, y * height / 100, w * width / 100, h * height / 100
                degrees = float(value.get("rotation") or 0)
                corners, is_turned = upright(*box, degrees, about_corner=True)
            name = next(names[0] for kind in _SHAPES if (names := value.get(kind)))
            labels.add_box(row, name, corners, is_turned)


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
