"""What label files of any layout say, in one form: rows of photos and of boxes, and where."""

import functools
import math
import os
import re
from array import array
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.text import nfc
from livestock_utils.data.findings import Findings
from livestock_utils.data.sets.yolo import IMAGE_SUFFIXES, MANIFEST

_PART = re.compile(r"(?<![a-z])(train|val|valid|test)(?:ing|idation|ation)?(?![a-z])")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
"""Label Studio puts eight hex digits and a dash before the name of an uploaded file."""


class Labels:
    """What label files say: one row a photo, one row a box. `size` is the frame that the labels are
    of, 0 if not said; `at` a box's photo; `xyxy` is in px of that frame, or `in_shares`."""

    def __init__(self, folder: Path, findings: Findings, annotators: str = "newest") -> None:
        """Start empty; photos lie below `folder`; `annotators` as in `reading.read_photos`."""
        self.folder, self.findings, self.annotators = folder, findings, annotators
        self.member: list[str] = []
        self.source: list[str] = []
        self.part: list[str] = []
        self.size: list[tuple[int, int]] = []
        self.at, self.xyxy = array("q"), array("d")
        self.name: list[str] = []
        self.marked: dict[str, list[int]] = {"group_box": [], "box_turned": []}
        self.in_shares = False

    @functools.cached_property
    def places(self) -> "Places":
        """The images below the folder."""
        return Places(self.folder)

    def add_row(self, member: str, source: str, size: tuple[int, int], part: str) -> int:
        """Append a photo that is there; returns its row."""
        self.member.append(member)
        self.source.append(source)
        self.part.append(part)
        self.size.append(size)
        return len(self.member) - 1

    def add_photo(
        self, names: Sequence[str], source: str, size: tuple[int, int], part: str = ""
    ) -> int:
        """Append the photo that one of `names` finds; -1, and told, if none does."""
        for name in filter(None, names):
            if place := self.places.find(name, source):
                return self.add_row(place, source, size, part_of(part) or part_of(source))
        name, what = next(filter(None, names), "?"), "no such image below the folder"
        self.findings.add_member("label_without_image", source, name, "", what)
        return -1

    def add_box(
        self,
        at: int,
        name: str | None,
        xyxy: Sequence[float],
        is_turned: bool = False,
        is_group: bool = False,
    ) -> None:
        """Append a box of photo `at`; none of a photo that is not there."""
        if at < 0:
            return
        if is_group:
            self.marked["group_box"].append(len(self.name))
        if is_turned:
            self.marked["box_turned"].append(len(self.name))
        self.at.append(at)
        self.name.append(name or "")
        self.xyxy.extend(xyxy)


class Places:
    """The images below a folder, found by the names that label files give them."""

    def __init__(self, folder: Path) -> None:
        """List the images below `folder`, without hidden folders and results of this library."""
        self.folder = folder
        self.all: list[str] = []
        self._by_name: dict[str, list[str]] = {}
        for parent, folders, names in os.walk(folder):
            if ".state" in folders or MANIFEST in names:  # results and sets of this library
                folders[:] = []
                continue
            folders[:] = sorted(name for name in folders if name[0] != ".")
            below = os.path.relpath(parent, folder).replace(os.sep, "/")
            for name in sorted(names):
                stem, dot, ending = name.rpartition(".")
                if f"{dot}{ending.lower()}" in IMAGE_SUFFIXES and name[0] != ".":
                    place = name if below == "." else f"{below}/{name}"
                    self.all.append(place)
                    for key in (nfc(name), nfc(stem)):
                        self._by_name.setdefault(key, []).append(place)

    def find(self, named: str, source: str) -> str | None:
        """The image called `named` in the label file `source`: by its name, else by its stem, else
        without Label Studio's prefix; of several the one whose folders, part (train, valid, test)
        or nearness fits. None if there is none; DatasetError where two fit equally well."""
        path = nfc(named.replace("\\", "/"))
        name = path.rpartition("/")[2]
        if not (found := self._by_name.get(name, [])):
            stem = os.path.splitext(name)[0]
            for key in (stem, *(_UPLOAD.sub("", one, count=1) for one in (name, stem))):
                found = found or self._by_name.get(key, [])
        if len(found) < 2:
            return found[0] if found else None
        near = str(PurePosixPath(source).parent)
        for fits in (
            lambda place: f"/{place}".endswith(f"/{path}"),
            lambda place: part_of(place) == part_of(source),
            lambda place: near == "." or place.startswith(f"{near}/"),
        ):
            found = list(filter(fits, found)) or found
        if len(found) > 1:
            raise DatasetError(
                f"{source}: {named!r} may be {found[0]} or {found[1]}; name its folder in the "
                "label file, or keep one of the two"
            )
        return found[0]


@functools.lru_cache(maxsize=4096)
def part_of(path: str) -> str:
    """train, valid or test where a folder or the name says so, the nearest first; else ""."""
    for word in reversed(path.lower().split("/")):
        if found := _PART.search(word):
            return "valid" if found[1].startswith("val") else found[1]
    return ""


def relative(path: Path, folder: Path) -> str:
    """The path below `folder` in posix form, else the absolute one."""
    whole, above = path.as_posix(), f"{folder.as_posix()}/"
    is_below = whole.startswith(above)
    return whole[len(above) :] if is_below else Path(os.path.abspath(path)).as_posix()


def around(points: Sequence[float]) -> tuple[float, ...]:
    """The box around a polygon given as x, y, x, y, ...; NaN for less than two points."""
    if len(points) < 4 or len(points) % 2:
        return (float("nan"),) * 4
    x, y = points[::2], points[1::2]
    return min(x), min(y), max(x), max(y)


def upright(
    x: float, y: float, width: float, height: float, degrees: float, about_corner: bool = False
) -> tuple[tuple[float, ...], bool]:
    """(corners of the upright box around a turned one, is it turned?); turned about its centre, as
    CVAT does, or about its upper left corner, as Label Studio does."""
    if degrees % 360 == 0:
        return (x, y, x + width, y + height), False
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x0, y0 = (x, y) if about_corner else (x + width / 2, y + height / 2)
    points: list[float] = []
    for px, py in ((x, y), (x + width, y), (x, y + height), (x + width, y + height)):
        points += [x0 + (px - x0) * cos - (py - y0) * sin, y0 + (px - x0) * sin + (py - y0) * cos]
    return around(points), True


def head(path: Path) -> bytes:
    """The first bytes of a file, which tell its layout."""
    with open(path, "rb") as file:
        return file.read(4096)


def folders(source: Path, ending: str, deep: bool = False) -> list[list[Path]]:
    """The source itself, or the files of an ending by folder: in it and one (`deep`: any) below."""
    if source.is_file():
        return [[source]] * (source.suffix == f".{ending}")
    found = []
    for parent, below, names in os.walk(source, followlinks=not deep):
        if not deep and parent != str(source):
            below.clear()
        if mine := sorted(name for name in names if name.endswith(f".{ending}")):
            found.append([Path(parent, name) for name in mine])
    return sorted(found)


def files(source: Path, ending: str) -> list[Path]:
    """All files of `folders`, sorted."""
    return sorted(path for paths in folders(source, ending) for path in paths)
