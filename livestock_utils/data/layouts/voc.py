"""Pascal VOC: an XML file a photo, in one folder or a folder a part."""

import functools
import re
from pathlib import Path
from xml.etree import ElementTree

from livestock_utils.core.reading import read_text
from livestock_utils.data.aihub.labels import numbers, pixels
from livestock_utils.data.layouts.labels import Labels, folders, head, part_of

NAME = "Pascal VOC"
_IS_VOC = re.compile(rb"<annotation[\s>]")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find(source: Path) -> list[Path]:
    """The XML files with one photo each, at any depth; judged by the first of each folder."""
    return [path for paths in folders(source, "xml", deep=True) if is_voc(paths) for path in paths]


def is_voc(paths: list[Path]) -> bool:
    """Whether a folder's files are VOC's, told by the first: there are thousands."""
    return bool(_IS_VOC.search(head(paths[0])))


def add(labels: Labels, path: Path, where: str) -> None:
    """The photo of a file, known by the file's name, else by what it says, and its boxes."""
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        labels.findings.add("label_unreadable", f"{where}: not XML ({error})", where)
        return
    size = pixels(root.findtext("size/width")), pixels(root.findtext("size/height"))
    part = _parts(labels).get(path.stem, "")
    row = labels.add_photo([path.stem, root.findtext("filename") or ""], where, size, part)
    for one in root.iter("object"):
        box = one.find("bndbox")
        corners = None if box is None else map(box.findtext, _CORNERS)
        labels.add_box(row, one.findtext("name"), numbers(corners))


@functools.lru_cache(maxsize=1)
def _parts(labels: Labels) -> dict[str, str]:
    """Stem -> part, of the lists in ImageSets/Main."""
    return {
        line.split()[0]: path.stem
        for path in sorted(labels.folder.rglob("ImageSets/Main/*.txt"))
        if part_of(path.stem)
        for line in read_text(path).splitlines()
        if line.strip()
    }
