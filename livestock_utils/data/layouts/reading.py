"""Anyone's labelled photos -> Photos: which layout lies in a folder, and what it holds."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd

from livestock_utils import colab
from livestock_utils.core.archives import HERE
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.tables import PART
from livestock_utils.data.aihub import folder as aihub
from livestock_utils.data.aihub.judging import BoxesAs
from livestock_utils.data.aihub.names import find_archives, is_data_root
from livestock_utils.data.aihub.reading import uncollected
from livestock_utils.data.findings import Findings
from livestock_utils.data.layouts import checking, coco, cvat, label_studio, labels, voc, yolo

log = logging.getLogger(__name__)

AIHUB = "aihub"
LAYOUTS: dict[str, ModuleType] = {
    "yolo": yolo,
    "coco": coco,
    "voc": voc,
    "cvat": cvat,
    "label_studio": label_studio,
}
_NAMES = (AIHUB, *LAYOUTS)
"""What `layout` may be."""
_FAULTS = KeyError, TypeError, AttributeError, ValueError, SyntaxError, OSError, OverflowError
ANNOTATORS = ("newest", "union", "refuse")
Classes = str | Mapping[str, Sequence[str]] | None


@dataclasses.dataclass(frozen=True)
class Found:
    """A layout, the folder that its photos are named from, and its label files (AI Hub: none)."""

    layout: str
    folder: Path
    sources: tuple[Path, ...] = ()

    def __str__(self) -> str:
        """One line: "COCO (train.json and 2 more)"."""
        if self.layout == AIHUB:
            return "AI Hub's archives"
        more = f" and {len(self.sources) - 1:,} more" if len(self.sources) > 1 else ""
        first = labels.relative(self.sources[0], self.folder)
        return f"{LAYOUTS[self.layout].NAME} ({first}{more})"


def read_photos(
    source: str | os.PathLike,
    layout: str | None = None,
    classes: Classes = None,
    boxes_as: BoxesAs = None,
    annotators: str = "newest",
    *,
    test: bool = False,
) -> Photos:
    """Read labelled photos in any known layout; nothing is copied.

        photos = lu.read_photos("DATA")  # AI Hub, YOLO, COCO, Pascal VOC, CVAT, Label Studio
        photos = lu.read_photos("barn/data.yaml", classes="pig=hog,piglet; none=sheep")

    A class is known by its names in species.yaml (`label_names`). `images.species` is what most
    boxes of a photo are, "" for a photo without boxes; each box keeps its own.

    Args:
        source: a folder, or one label file (data.yaml, a JSON or XML file) with its photos below
            the file's folder.
        layout: "aihub", "yolo", "coco", "voc", "cvat" or "label_studio"; None: found by looking.
        classes: species -> names of classes, as a mapping or a text; "none" for classes that are
            not wanted.
        boxes_as: for AI Hub's archives, as in `lu.read_archives`.
        annotators: what counts where several people labelled one photo (Label Studio): "newest",
            "union" (all their boxes; those of a class with IoU from 0.5 once) or "refuse".
        test: the photos of the part called test, which are left out otherwise.

    Returns:
        Photos as of `lu.read_archives`; where the data comes in parts, `images` has a column `part`
        (train, valid, test). image_id is the photo's stem, or its path with "__" between folders
        where two photos have one stem.

    Raises:
        DatasetError: no layout or more than one is found, a label file is not what it should be, no
            class is known, nothing is usable.
        ArchiveError: for AI Hub's archives, and for a photo that two label files describe. What
            else is wrong is left out and counted in one logged warning; `lu.check` has the rows.
    """
    found = find(source, layout)
    if found.layout == AIHUB:
        if classes:
            raise DatasetError("AI Hub's classes come from its archives; leave `classes` out")
        if test:
            return aihub.read_test_archives(_sub_folder(found.folder, "data_test"))
        return aihub.read_archives(_sub_folder(found.folder, "data"), boxes_as=boxes_as)
    log.info("%s: read as %s", source, found)
    findings = Findings()
    images, boxes = read_tables(found, classes, findings, annotators)
    aihub.tell(source, findings, strict=False)
    chosen = images[is_test(images) == test].reset_index(drop=True)
    return Photos(chosen, folder=found.folder).with_boxes(boxes)


def find(source: str | os.PathLike, layout: str | None = None, or_aihub: bool = False) -> Found:
    """The layout of a folder or label file: told by looking, or `layout`. DatasetError for none and
    for more than one; `or_aihub`, or zips in the folder: none is AI Hub's, whose errors then count.
    """
    path = Path(os.path.abspath(source))
    if layout and layout not in _NAMES:
        raise DatasetError(f"layout {layout!r}: expected one of {', '.join(_NAMES)}")
    if not path.exists() and or_aihub:
        return Found(AIHUB, Path(source))
    if not path.exists():
        raise DatasetError(f"{source}: no such file or folder; give the folder of your data")
    folder = path if path.is_dir() else path.parent
    if layout == AIHUB or (not layout and path.is_dir() and _is_aihub(path)):
        return Found(AIHUB, Path(source))
    chosen = LAYOUTS if not layout else {layout: LAYOUTS[layout]}
    found = {name: sources for name, one in chosen.items() if (sources := one.find(path))}
    or_aihub = or_aihub and not (path.is_dir() and labels.Places(path).all)  # photos, no zips
    if not found and not layout and path.is_dir() and (or_aihub or _may_be_aihub(path)):
        return Found(AIHUB, Path(source))
    if not found:
        wanted = ", ".join(one.NAME for one in chosen.values())
        raise DatasetError(
            f"{source}: no labels found in a layout that is known (looked for "
            f"{wanted if layout else f'AI Hub, {wanted}'}); see docs/layouts.md for what each needs"
        )
    if len(found) > 1:
        told = " and ".join(f"{LAYOUTS[name].NAME} ({files[0]})" for name, files in found.items())
        raise DatasetError(
            f"{source} holds {told}; say which counts: layout {' or '.join(found)} (--layout)"
        )
    name, sources = next(iter(found.items()))
    return Found(name, folder, tuple(sources))


def _is_aihub(folder: Path) -> bool:
    """True if AI Hub's archives lie in a folder or data root."""
    place = folder / "data" if is_data_root(folder) and (folder / "data").is_dir() else folder
    return not is_data_root(place) and bool(find_archives(place)[0])


def _may_be_aihub(folder: Path) -> bool:
    return is_data_root(folder) or any(folder.glob("*.zip*")) or any(folder.glob("*/*.zip*"))


@uncollected()
def read_tables(
    found: Found, classes: Classes, findings: Findings, annotators: str = "newest"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(images, boxes) of another layout than AI Hub's, all parts; faults go to `findings`."""
    known, layout = checking.read_classes(classes), LAYOUTS[found.layout]
    if annotators not in ANNOTATORS:
        raise DatasetError(f"annotators {annotators!r}: expected {', '.join(ANNOTATORS)}")
    said = labels.Labels(found.folder, findings, annotators)
    for path in progress(found.sources, desc=layout.NAME, unit="file"):
        try:
            layout.add(said, path, labels.relative(path, found.folder))
        except _FAULTS as error:
            if isinstance(error, LivestockError):
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise DatasetError(
                f"{path} is not what {layout.NAME} writes ({reason}); export it again"
            ) from error
    images, boxes = checking.to_tables(said, known)
    if images.empty or boxes.empty:
        why, what = findings.summary() or "it lists none", "photo" if images.empty else "box"
        message = f"{found.folder}: {found} gives no {what} that can be used ({why})"
        findings.add("nothing_usable", message, advice="mend what `check` names first")
    return (images if images[PART].nunique() > 1 else images.drop(columns=PART)), boxes


def is_test(images: pd.DataFrame) -> pd.Series:
    """True for the rows of the part called test."""
    part = images[PART] if PART in images else pd.Series("", index=images.index)
    return part == "test"


def listing(found: Found) -> pd.DataFrame:
    """What lies in another layout than AI Hub's: label files, then images, as `list_archives`."""
    name, places = LAYOUTS[found.layout].NAME, labels.Places(found.folder).all
    files = {labels.relative(path, found.folder): path for path in found.sources[:20]}
    rows = [
        (n, "labels", "", name, 1, path.stat().st_size / 1e6, True) for n, path in files.items()
    ]
    size = sum((found.folder / place).stat().st_size for place in places)
    rows.append((HERE, "images", "", "files", len(places), size / 1e6, True))
    columns = ["archive", "kind", "species", "form", "files", "megabytes", "is_read"]
    return pd.DataFrame(rows, columns=columns)


def inputs(source: str | os.PathLike) -> list[Path]:
    """The label files below a folder in another layout than AI Hub's; none in an unknown one."""
    try:
        found = find(source)
    except DatasetError:
        return []
    beside = labels.Places(found.folder).all if found.layout == "yolo" else []
    texts = {yolo.label_file(found.folder / place) for place in beside}
    return [*found.sources, *sorted(path for path in texts if path.is_file())]


def home(data: str | os.PathLike, images: pd.DataFrame, copy: bool = True) -> Path:
    """The folder that the photos of notebook 01's tables are named from: of AI Hub's archives
    DATA/data (on Colab their local copy), else DATA itself, or the folder of the file DATA."""
    place = Path(data)
    if len(images) and (images["archive"] == HERE).all():
        return place if place.is_dir() else place.parent
    return colab.at_hand(place / "data") if copy else place / "data"


def _sub_folder(folder: Path, name: str) -> Path:
    return folder / name if is_data_root(folder) else folder
