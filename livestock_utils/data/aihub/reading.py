"""Archives -> tables and findings: images paired with labels, true sizes, checked boxes."""

import contextlib
import dataclasses
import gc
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import imagesize
import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.archives import SUFFIXES, Archive, ImageReader
from livestock_utils.core.arrays import Flags, Floats, Places
from livestock_utils.core.boxes import XYXY, area, clip_to_frame
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.frames import MAX_PIXELS, jpeg_size
from livestock_utils.core.progress import progress
from livestock_utils.core.species import all_species, names
from livestock_utils.core.text import listed
from livestock_utils.data.aihub import judging
from livestock_utils.data.aihub.labels import Label, read_labels, stem
from livestock_utils.data.aihub.names import KINDS, PREFIXES, Found, find_archives
from livestock_utils.data.findings import Findings

_HEAD_BYTES = (4096, 1 << 17, None)
"""How much of an image is read to find its size: enough for most; past large EXIF blocks; all."""


Source = TypeVar("Source", "Photo", Label)


@dataclasses.dataclass(slots=True)
class Photo:
    """One image member and where it is."""

    species: str
    archive: Archive
    member: str
    width_px: int = 0
    height_px: int = 0

    def size_from_header(self) -> tuple[int, int]:
        """(width, height) in px as a viewer shows it (EXIF applied), undecoded; else (-1, -1)."""
        for limit in _HEAD_BYTES:
            head = self.archive.read(self.member, limit)
            width, height = jpeg_size(head) or imagesize.get(io.BytesIO(head))
            if (width > 0 and height > 0) or len(head) >= self.archive.size(self.member):
                return width, height
        return -1, -1


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's collector, which would walk many small objects often and free none."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@uncollected()
def read_tables(
    reader: ImageReader,
    findings: Findings,
    labelled: bool = True,
    include_validation: bool = False,
    image_headers: bool = True,
    within: str = "",
    boxes_as: judging.BoxesAs = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read all archives of the reader `within` its folder -> (images, boxes), faults to `findings`.
    `labelled=False` reads image archives alone; images of no known size then stay, with width and
    height 0: each of them has to be answered for. `boxes_as` is that of `folder.read_archives`."""
    photos: dict[str, Photo] = {}
    archives, unsure = _open_all(reader, within, findings, labelled, include_validation)
    labels, foreign = _read_labels(archives, boxes_as, findings)
    for found, archive in archives:
        if found.kind == "images" and found.twin not in foreign:
            for member in archive.wanted("images"):
                if (image_id := stem(member)) not in foreign:
                    _add(Photo(found.species, archive, member), image_id, photos, findings)
    if labelled:
        photos, labels = _pair(photos, labels, unsure, findings)
    photos = with_sizes(photos, labels, image_headers, findings, keep_all=not labelled)
    ids = sorted(photos)
    rows = [photos[image_id] for image_id in ids]
    images = pd.DataFrame(
        {
            "image_id": pd.Series(ids, dtype=str),
            "species": pd.Series([p.species for p in rows], dtype=str),
            "width_px": np.array([p.width_px for p in rows], dtype=np.int64),
            "height_px": np.array([p.height_px for p in rows], dtype=np.int64),
            "archive": pd.Series([p.archive.path for p in rows], dtype=str),
            "member": pd.Series([p.member for p in rows], dtype=str),
        }
    )
    images, boxes = checked_boxes(images, [labels[i] for i in ids] if labelled else [], findings)
    left = set(images["species"])
    if gone := [name for name in names() if labelled and name not in left | unsure]:
        told = [row for row in findings.rows if row["severity"] != "note"]
        why = min(told, key=lambda row: row["kind"] != "foreign_archive")
        what = f"{reader.folder / within} has no usable photo of {listed(gone)}: {why['message']}"
        findings.add("nothing_usable", what, value=len(gone), advice=why["advice"])
    elif labelled and len(images) and boxes.empty:
        what = f"{reader.folder / within}: none of its {len(images):,} labels holds an animal"
        findings.add("nothing_usable", what, advice="download the archives of labels again")
    return images, boxes


def _read_labels(
    archives: list[tuple[Found, Archive]], boxes_as: judging.BoxesAs, findings: Findings
) -> tuple[dict[str, Label], set[str]]:
    """The labels of archives that mean boxes of animals; ids and twins of those that do not."""
    archives = [(found, archive) for found, archive in archives if found.kind == "labels"]
    # Named below the data root: `check` reads both its folders.
    names = [found.path.removeprefix("data/") for found, _ in archives]
    ways = judging.read_conventions(boxes_as, names)
    labels: dict[str, Label] = {}
    foreign: list[str] = []
    twins = set()
    for name, (found, archive) in zip(names, archives, strict=True):
        path, given = found.path, ways.get(name)
        read = list(read_labels(archive, found.species, findings, given or "xyxy"))
        reason, way = ("", "") if given else judging.verdict(archive, read)
        if reason:
            advice = (
                f"if it belongs here, lu.read_photos takes boxes_as={{{name!r}: {way!r}}}, check "
                f"and run --boxes-as '{name}={way}'"
                if way
                else "if it belongs here, give each animal's box as bbox: [x1, y1, x2, y2]"
            )
            message = f"{path} is left out with its photos: {reason}"
            findings.add("foreign_archive", message, path, advice=advice)
            foreign += [found.twin, *(label.image_id for label in read)]
        else:
            twins.add(found.twin)
            for label in read:
                _add(label, label.image_id, labels, findings)
    return labels, set(foreign) - labels.keys() - twins


def _open_all(
    reader: ImageReader, within: str, findings: Findings, labelled: bool, include_validation: bool
) -> tuple[list[tuple[Found, Archive]], set[str]]:
    """The archives to read, opened, and the species of which some are missing or broken."""
    all_found, unknown = find_archives(reader.folder, within)
    kinds = ("images", "labels") if labelled else ("images",)
    wanted = [a for a in all_found if a.kind in kinds]
    kept = wanted if include_validation else training_part(wanted)
    for found in wanted:
        if found not in kept:
            message = f"{found.path} is left out: Training archives lie beside it"
            findings.add("validation_left_out", message, found.path)
    for path, reason in unknown.items():
        findings.add("unknown_archive", f"{path}: {reason}", path)
    _say_missing(reader.folder / within, kinds, [*(a.path for a in kept), *unknown], kept, findings)
    there = {(a.species, a.kind) for a in kept}
    unsure = {s for s in names() if any((s, kind) not in there for kind in kinds)}
    archives = []
    for found in kept:
        try:
            archive = reader.archive(found.path)
        except ArchiveError as error:
            findings.add_error("archive_broken", error, found.path)
            unsure.add(found.species)
            continue
        others = archive.others(found.kind)
        if not archive.wanted(found.kind):
            what = f"holds no {found.kind} ({' or '.join(SUFFIXES[found.kind])})"
            findings.add("archive_empty", f"{found.path} {what}", found.path)
            unsure.add(found.species)
        elif others:
            what = f"holds {len(others):,} members that are not {found.kind}, as {others[0]}"
            findings.add("other_files", f"{found.path} {what}", found.path, value=len(others))
        archives.append((found, archive))
    return archives, unsure


def training_part(archives: list[Found]) -> list[Found]:
    """`archives` without Validation ones, unless there are no others."""
    return [a for a in archives if not a.is_validation] or archives


def _say_missing(
    folder: Path, kinds: tuple[str, ...], there: list[str], kept: list[Found], findings: Findings
) -> None:
    """An error for each kind and species without an archive, or one if there are none at all."""
    have = {(a.kind, a.species) for a in kept}
    missing = [(k, one) for k in kinds for one in all_species() if (k, one.name) not in have]
    if missing:
        name = "the {0} of {1} ([{2}]{4}...zip or {3}_{4}...zip)".format
        lacks = ", ".join(
            name(k, one.name, KINDS[k], PREFIXES[k], one.archive_words[0]) for k, one in missing
        )
        message = f"{folder} lacks {lacks}; found {', '.join(there) or 'no archives'}"
        findings.add("archive_missing", message, value=len(missing))


def _add(one: Source, image_id: str, known: dict[str, Source], findings: Findings) -> None:
    """Add an image or a label to the `known` ones; an error if its id was met before."""
    other = known.setdefault(image_id, one)
    if other is not one:
        places = [f"{each.archive} ({each.member})" for each in (other, one)]
        message = f"image id {image_id} is both in {places[0]} and in {places[1]}"
        findings.add("repeated_id", message, str(one.archive), one.member, image_id)


def _pair(
    photos: dict[str, Photo], labels: dict[str, Label], unsure: set[str], findings: Findings
) -> tuple[dict[str, Photo], dict[str, Label]]:
    """Images and labels that have each other, in the same species; the others become findings. Not
    told again: species in `unsure` (an archive is missing), repeated ids, broken labels."""
    paired = {i for i in photos.keys() & labels if labels[i].species == photos[i].species}
    settled = paired | {row["image_id"] for row in findings.rows if row["kind"] == "repeated_id"}
    for i, photo in photos.items():
        if i not in settled and photo.species not in unsure:
            what = f"no label in the {photo.species} label archives"
            findings.add_member("image_without_label", photo.archive.path, photo.member, i, what)
    for i, label in labels.items():
        if i not in settled and label.species not in unsure:
            what = f"no image in the {label.species} image archives"
            findings.add_member("label_without_image", label.archive, label.member, i, what)
    usable = {i for i in paired if labels[i].xyxy is not None}
    both = [i for i in photos if i in usable]
    return {i: photos[i] for i in both}, {i: labels[i] for i in both}


def with_sizes(
    photos: dict[str, Photo],
    labels: dict[str, Label],
    image_headers: bool,
    findings: Findings,
    keep_all: bool,
) -> dict[str, Photo]:
    """Photos with their sizes; those without one become findings and, unless `keep_all`, go."""
    sized = dict(photos) if keep_all else {}
    for image_id, photo in progress(photos.items(), desc="image sizes", unit="image"):
        place, label = photo.archive.path, labels.get(image_id)
        claimed = (label.width_px, label.height_px) if label else (0, 0)
        try:
            size = claimed if min(claimed) > 0 and not image_headers else photo.size_from_header()
        except ArchiveError as error:
            # The report calls damage an error wherever it is met; reading leaves the image out.
            kind = "wrong_crc" if findings.collect_errors else "image_unreadable"
            findings.add_error(kind, error, place, photo.member, image_id)
            continue
        width, height = size
        if min(size) <= 0:
            what = "no image header that tells a size"
            findings.add_member("image_unreadable", place, photo.member, image_id, what)
            continue
        if width * height > MAX_PIXELS:
            what = f"{width} x {height} px are above 100 megapixels"
            findings.add_member("image_too_large", place, photo.member, image_id, what)
            continue
        photo.width_px, photo.height_px = size
        sized[image_id] = photo
        if label is None:
            continue
        if size != claimed:
            what = "{} x {} px, but the image is {} x {} px, which counts".format(*claimed, *size)
            findings.add_member("size_differs", label.archive, label.member, image_id, what)
        if label.file_name not in ("", photo.member) and stem(label.file_name) != image_id:
            what = f"file_name is {label.file_name!r}"
            findings.add_member("name_differs", label.archive, label.member, image_id, what)
    return sized


def checked_boxes(
    images: pd.DataFrame,
    labels: list[Label],
    findings: Findings,
    species: npt.NDArray[np.object_] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The usable boxes of labels given in the order of `images`, clipped to the frame, and the
    images without those that lost all their boxes: they are no photos without animals. The boxes
    are of the images' species, or each of its own."""
    row = np.repeat(np.arange(len(labels)), [len(label.xyxy or ()) // 4 for label in labels])
    xyxy = np.frombuffer(b"".join(label.xyxy or b"" for label in labels)).reshape(-1, 4)
    finite = np.asarray(np.isfinite(xyxy).all(axis=1))
    inverted = finite & ((xyxy[:, 2] <= xyxy[:, 0]) | (xyxy[:, 3] <= xyxy[:, 1]))
    size = images[["width_px", "height_px"]].to_numpy()[row]
    clipped = clip_to_frame(np.where(finite[:, None], xyxy, 0), size[:, 0], size[:, 1])
    outside = finite & ~inverted & (area(clipped) <= 0)
    usable = finite & ~inverted & ~outside
    faults = {
        "box_not_numbers": ~finite,
        "box_inverted": inverted,
        "box_outside": outside,
        "box_clipped": usable & (clipped != xyxy).any(axis=1),
        "box_duplicated": usable & _repeated(row, xyxy),
    }
    for kind, mask in faults.items():
        if mask.any():
            _add_boxes(kind, mask, row, xyxy, labels, images, findings)
    total, left = (np.bincount(rows, minlength=len(labels)) for rows in (row, row[usable]))
    lost = np.flatnonzero((total > 0) & (left == 0))
    for at in lost:
        label, image_id = labels[at], images["image_id"].iloc[at]
        what = f"none of its boxes can be used ({total[at]})"
        findings.add_member("image_lost", label.archive, label.member, image_id, what)
    boxes = pd.DataFrame(clipped[usable], columns=XYXY)
    kept = images.iloc[row[usable]].reset_index(drop=True)
    if species is not None:
        kept["species"] = species[usable]
    images = images.drop(index=lost.tolist()).reset_index(drop=True)
    return images, pd.concat([kept[["image_id", "species"]], boxes], axis=1)


def _repeated(row: Places, xyxy: Floats) -> Flags:
    """True for boxes that stand before in the same image; one number a box tells at once."""
    left, top, right, bottom = xyxy.T
    mixed = 0.6180339887 * left + 0.3247179572 * top + 0.2207440846 * right + 0.1673039783 * bottom
    if not pd.Series(row + mixed).duplicated().any():
        return np.zeros(len(row), dtype=bool)
    return pd.DataFrame(np.column_stack([row, xyxy])).duplicated().to_numpy()


def _add_boxes(
    kind: str,
    mask: Flags,
    row: Places,
    xyxy: Floats,
    labels: list[Label],
    images: pd.DataFrame,
    findings: Findings,
) -> None:
    """One finding for each image that has boxes in `mask`, with their number and the first one."""
    faulty, ids = xyxy[mask], images["image_id"].tolist()
    sizes = images[["width_px", "height_px"]].to_numpy()
    found = np.unique(row[mask], return_index=True, return_counts=True)
    for at, first, count in zip(*found, strict=True):
        label, box = labels[at], faulty[first]
        which = f"{count} boxes, first" if count > 1 else "box"
        corners = ", ".join(f"{corner:g}" for corner in box)
        what = f"{which} [{corners}] in {sizes[at, 0]} x {sizes[at, 1]} px"
        findings.add_member(kind, label.archive, label.member, ids[at], what, int(count))
