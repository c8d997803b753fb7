"""CVAT for images 1.1: one XML file with all photos and their boxes, polygons and masks."""

from pathlib import Path
from xml.etree import ElementTree

from livestock_utils.core.errors import DatasetError
from livestock_utils.data.aihub.labels import numbers, pixels
from livestock_utils.data.layouts import voc
from livestock_utils.data.layouts.labels import Labels, around, folders, head, upright

NAME = "CVAT for images"
_BOX, _MASK = ("xtl", "ytl", "xbr", "ybr"), ("left", "top", "width", "height")


def find(source: Path) -> list[Path]:
    """The XML files with CVAT's list of images, at most one folder down."""
    others = [paths for paths in folders(source, "xml") if not voc.is_voc(paths)]
    return [path for paths in others for path in paths if b"<annotations" in head(path)]


def add(labels: Labels, path: Path, where: str) -> None:
    """The photos of a file and their shapes; points, lines and tags are no animals' frames."""
    for _, element in ElementTree.iterparse(path):
        if element.tag == "track":
            raise DatasetError(f"{path} is of a video; export it as CVAT for images 1.1")
        if element.tag != "image":
            continue
        size = pixels(element.get("width")), pixels(element.get("height"))
        names = [element.get("name", "")]
        row = labels.add_photo(names, where, size, element.get("subset", ""))
        for shape in element:
            name, is_turned = shape.get("label"), False
            if shape.tag == "box":
                x0, y0, x1, y1 = numbers(map(shape.get, _BOX))
                degrees = float(shape.get("rotation") or 0)
                corners, is_turned = upright(x0, y0, x1 - x0, y1 - y0, degrees)
            elif shape.tag == "mask":
                x, y, wide, high = numbers(map(shape.get, _MASK))
                corners = x, y, x + wide, y + high
            elif shape.tag == "polygon":
                values = shape.get("points", "").replace(";", ",").split(",")
                corners = around(list(map(float, values)))
            else:
                continue
            labels.add_box(row, name, corners, is_turned)
        element.clear()
