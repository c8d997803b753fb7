"""What is wrong in the archives, told by reading every image once without decoding it."""

import contextlib
import dataclasses
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from livestock_utils.core import frames
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.tables import BOX_COLUMNS, IMAGE_COLUMNS
from livestock_utils.data.aihub.judging import BoxesAs
from livestock_utils.data.aihub.names import find_archives, is_data_root
from livestock_utils.data.aihub.reading import read_tables, training_part
from livestock_utils.data.findings import Findings
from livestock_utils.data.layouts import reading

_Row = tuple[str, str, str]
"""image_id, archive, member."""


@dataclasses.dataclass(frozen=True)
class Survey:
    """What a folder of archives holds; images of test archives are not in `images`."""

    archives: pd.DataFrame
    images: pd.DataFrame
    boxes: pd.DataFrame
    test_images: pd.DataFrame
    findings: pd.DataFrame


def check(
    folder: str | os.PathLike,
    read_all: bool = True,
    near_duplicates: bool = False,
    layout: str | None = None,
    classes: reading.Classes = None,
    boxes_as: BoxesAs = None,
    annotators: str = "newest",
) -> pd.DataFrame:
    """What is wrong or worth knowing in the archives or labels of `folder`, a row per finding.

        findings = lu.check("DATA")
        findings.groupby(["severity", "kind"])["value"].sum()

    Args:
        folder: of the zips, or a data root: copies are then searched across data/ and data_test/;
            or labelled photos in another layout, as for `lu.read_photos`.
        read_all: read every image for its CRC and its end-of-image marker: about as long as
            copying the archives.
        near_duplicates: decode the images too, for those that look the same but are no copies.
        layout, classes, boxes_as, annotators: as for `lu.read_photos`.

    Returns:
        DataFrame: kind, severity ("error": `read_archives` or a later step would stop; "warning":
        left out, clipped or harmful, but counted; "note"), archive, member, image_id, value (what
        the row stands for: boxes, members, 1), message (what and where), advice (what to do).

    Raises:
        ArchiveError: only for a folder that is absent or lies above a data root.
        DatasetError: for labels in two layouts, and classes of which none is known.
    """
    options = layout, classes, boxes_as, annotators
    return survey(folder, read_all, near_duplicates, *options).findings


def survey(
    folder: str | os.PathLike,
    read_all: bool = True,
    near_duplicates: bool = False,
    layout: str | None = None,
    classes: reading.Classes = None,
    boxes_as: BoxesAs = None,
    annotators: str = "newest",
) -> Survey:
    """What the archives of `folder` hold, with the findings of `check`, whose arguments it has."""
    findings = Findings(collect_errors=True)
    known = reading.find(folder, layout, or_aihub=True)
    folder = known.folder
    with ImageReader(folder) as reader:
        if known.layout == reading.AIHUB:
            parts = _parts(folder)
            tables = [
                read_tables(
                    reader, findings, has, within=within, boxes_as=boxes_as if has else None
                )
                for within, has in parts
            ]
        else:
            images, boxes = reading.read_tables(known, classes, findings, annotators)
            is_test = reading.is_test(images)
            parts = [("", True), *[("", False)] * int(is_test.any())]
            of_test = boxes["image_id"].isin(images.loc[is_test, "image_id"])
            tables = [(images[~is_test], boxes[~of_test]), (images[is_test], boxes[of_test])]
        images = pd.concat([images for images, _ in tables], ignore_index=True)
        if read_all or near_duplicates:
            images = _check_bytes(images, reader, findings)
        _check_copies(images, reader, findings)
        if near_duplicates:
            _check_near_duplicates(images, folder, findings)
        archives = list_archives(known)
    labelled = [labelled for _, labelled in parts]
    none = pd.DataFrame(columns=IMAGE_COLUMNS), pd.DataFrame(columns=BOX_COLUMNS)
    train_images, boxes = tables[0] if labelled[0] else none
    test_images, _ = none if labelled[-1] else tables[-1]
    return Survey(archives, train_images, boxes, test_images, findings.table())


def list_archives(folder: str | os.PathLike | reading.Found) -> pd.DataFrame:
    """What lies in `folder` or data root: archive, kind, species, form, files, megabytes, is_read.
    `files` counts the images or labels inside, 0 if the archive cannot be opened; `is_read` is
    False for Validation archives beside Training ones."""
    if isinstance(folder, reading.Found):
        if folder.layout != reading.AIHUB:
            return reading.listing(folder)
        folder = folder.folder
    rows = []
    with ImageReader(folder) as reader:
        for within, _ in _parts(folder):
            found, _ = find_archives(folder, within)
            for one in found:
                is_read = one in training_part([other for other in found if other.kind == one.kind])
                files, size = 0, 0
                with contextlib.suppress(ArchiveError):  # told by the report
                    archive = reader.archive(one.path)
                    files = len(archive.wanted(one.kind))
                    size = sum(archive.members[name] for name in archive.wanted(one.kind))
                rows.append((one.path, one.kind, one.species, one.form, files, size / 1e6, is_read))
    return pd.DataFrame(
        rows, columns=["archive", "kind", "species", "form", "files", "megabytes", "is_read"]
    )


def _parts(folder: str | os.PathLike) -> list[tuple[str, bool]]:
    """[(sub-folder, has labels)] of a data root; for a folder of zips [("", True)], or False if it
    is a `data_test`."""
    if not is_data_root(folder):
        return [("", Path(folder).resolve().name != "data_test")]
    if Path(folder, "data").is_dir() and is_data_root(Path(folder, "data")):
        raise ArchiveError(f"{folder} is the folder above a data root; give {Path(folder, 'data')}")
    test = [("data_test", False)] if Path(folder, "data_test").is_dir() else []
    return [("data", True), *test]


def _check_bytes(images: pd.DataFrame, reader: ImageReader, findings: Findings) -> pd.DataFrame:
    """Tell members with a wrong CRC and truncated JPEGs -> the images that can be read whole."""
    damaged = []
    rows = images.sort_values("archive", kind="stable")[["image_id", "archive", "member"]]
    for at, image_id, archive, member in progress(
        rows.itertuples(), total=len(rows), desc="check", unit="image"
    ):
        try:
            data = reader.bytes(archive, member)
        except ArchiveError as error:
            findings.add_error("wrong_crc", error, archive, member, image_id)
            damaged.append(at)
            continue
        if frames.is_truncated(data):
            what = "the JPEG stops before its end-of-image marker"
            findings.add_member("image_truncated", archive, member, image_id, what)
        elif data[:2] != b"\xff\xd8" and data[:4] != b"\x89PNG":  # few, and cut without a mark
            try:
                frames.decode(data)
            except ArchiveError as error:
                findings.add_member("image_unreadable", archive, member, image_id, str(error))
    return images.drop(index=damaged)


def _check_copies(images: pd.DataFrame, reader: ImageReader, findings: Findings) -> None:
    """Tell images with the same bytes: by size, then CRC (free in a zip), confirmed by SHA-256."""
    rows = list(zip(images["image_id"], images["archive"], images["member"], strict=True))
    for same_size in _alike(rows, lambda row: reader.archive(row[1]).size(row[2])):
        for same_crc in _alike(same_size, lambda row: reader.archive(row[1]).crc(row[2])):
            _tell_copies(same_crc, reader, findings)


def _alike(rows: list[_Row], key: Callable[[_Row], int]) -> list[list[_Row]]:
    """The rows that share their key with another, by key."""
    groups: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return [group for group in groups.values() if len(group) > 1]


def _tell_copies(rows: list[_Row], reader: ImageReader, findings: Findings) -> None:
    first: dict[bytes, _Row] = {}
    for image_id, archive, member in rows:
        try:
            digest = hashlib.sha256(reader.bytes(archive, member)).digest()
        except ArchiveError as error:
            findings.add_error("wrong_crc", error, archive, member, image_id)
            continue
        _, other_archive, other_member = first.setdefault(digest, (image_id, archive, member))
        if (other_archive, other_member) != (archive, member):
            what = f"the same bytes as {other_archive}, member {other_member}"
            findings.add_member("image_duplicated", archive, member, image_id, what)


def _check_near_duplicates(
    images: pd.DataFrame, folder: str | os.PathLike, findings: Findings
) -> None:
    """Tell images that look like an earlier one; copies are told already."""
    from livestock_utils.data import lookalikes

    # Training and test archives may use the same ids; place and name together are unique.
    places = images.assign(image_id=images["archive"] + "/" + images["member"])
    hashes = lookalikes.perceptual_hashes(Photos(places, folder=folder))
    groups = lookalikes.near_duplicate_groups(hashes, places)
    told = (row for row in findings.rows if row["kind"] == "image_duplicated")
    copies = {(row["archive"], row["member"]) for row in told}
    for image_id, place, archive, member in zip(
        images["image_id"], places["image_id"], images["archive"], images["member"], strict=True
    ):
        if groups[place] != place and (archive, member) not in copies:
            what = f"looks like {groups[place]}"
            findings.add_member("image_near_duplicate", archive, member, image_id, what)
