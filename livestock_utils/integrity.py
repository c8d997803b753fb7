"""What is wrong in the archives, one row a finding, found by reading every image once without decoding it."""

import hashlib
import os
from collections import defaultdict

import pandas as pd

from livestock_utils.archive_names import is_data_root
from livestock_utils.archives import ImageReader
from livestock_utils.errors import ArchiveError
from livestock_utils.findings import COLUMNS, Findings
from livestock_utils.progress import progress
from livestock_utils.reading import read_tables

__all__ = ["COLUMNS", "integrity_report"]

_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 1024
"""Cameras may write a little after the end-of-image marker; a truncated JPEG has none near its end."""


def integrity_report(
    folder: str | os.PathLike, read_all: bool = True, near_duplicates: bool = False, include_validation: bool = False
) -> pd.DataFrame:
    """Everything wrong or worth knowing in the archives of `folder` -> one row a finding (columns: `COLUMNS`).

    `folder` holds the zips, or is a data root with `data/` and `data_test/`, which are then searched for copies across
    the two as well. `severity` is "error" (`read_archives` or a later step would stop), "warning" (left out, clipped
    or harmful, but counted) or "note". `value` counts what a row stands for, `message` says what and where, `advice`
    what to do. Unlike `aihub.read_archives` it does not stop at errors; only an absent folder is raised (ArchiveError).

    `read_all` reads every image for its CRC and its end-of-image marker: about as long as copying the archives.
    `near_duplicates` decodes the images too, and tells those that look the same (`livestock_utils.neighbours`).
    """
    findings = Findings(collect_errors=True)
    parts = [("data", True), ("data_test", False)] if is_data_root(folder) else [("", True)]
    with ImageReader(folder) as reader:
        tables = [
            read_tables(reader, findings, labelled, include_validation, within=within)[0] for within, labelled in parts
        ]
        images = pd.concat(tables, ignore_index=True)
        if read_all:
            images = _check_bytes(images, reader, findings)
        _check_copies(images, reader, findings)
    return findings.table()


def _check_bytes(images: pd.DataFrame, reader: ImageReader, findings: Findings) -> pd.DataFrame:
    """Tell members with a wrong CRC and truncated JPEGs -> the images that can be read whole."""
    whole = []
    rows = images.sort_values("archive", kind="stable")[["image_id", "archive", "member"]]
    for image_id, archive, member in progress(
        rows.itertuples(index=False), total=len(rows), desc="check", unit="image"
    ):
        try:
            data = reader.bytes(archive, member)
        except ArchiveError as error:
            findings.add_error("wrong_crc", error, archive, member, image_id)
            continue
        whole.append((archive, member))
        if data.startswith(b"\xff\xd8") and _END_OF_IMAGE not in data[-_TAIL_BYTES:]:
            message = f"{archive}, member {member}: the JPEG stops before its end-of-image marker"
            findings.add("image_truncated", message, archive, member, image_id)
    return pd.DataFrame(whole, columns=["archive", "member"]).merge(images, how="left")


def _check_copies(images: pd.DataFrame, reader: ImageReader, findings: Findings) -> None:
    """Tell images with the same bytes: candidates by size, then CRC (free in a zip), confirmed by SHA-256."""
    by_size: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for image_id, archive, member in images[["image_id", "archive", "member"]].itertuples(index=False):
        by_size[reader.archive(archive).members[member]].append((image_id, archive, member))
    for same_size in by_size.values():
        if len(same_size) < 2:
            continue
        by_crc: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
        for row in same_size:
            by_crc[reader.archive(row[1]).crc(row[2])].append(row)
        for same_crc in by_crc.values():
            if len(same_crc) > 1:
                _tell_copies(same_crc, reader, findings)


def _tell_copies(rows: list[tuple[str, str, str]], reader: ImageReader, findings: Findings) -> None:
    first: dict[bytes, tuple[str, str, str]] = {}
    for image_id, archive, member in rows:
        try:
            digest = hashlib.sha256(reader.bytes(archive, member)).digest()
        except ArchiveError as error:
            findings.add_error("wrong_crc", error, archive, member, image_id)
            continue
        if digest not in first:
            first[digest] = (image_id, archive, member)
            continue
        _, other_archive, other_member = first[digest]
        message = f"{archive}, member {member}: the same bytes as {other_archive}, member {other_member}"
        findings.add("image_duplicated", message, archive, member, image_id)
