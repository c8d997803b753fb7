"""AI Hub's "livestock behaviour video" -> tables, straight from the zips, nothing extracted.

The class comes from the archive, never from the JSON's categories.
"""

import logging
import os

from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import judging
from livestock_utils.data.aihub.reading import read_tables
from livestock_utils.data.findings import Findings

logger = logging.getLogger(__name__)


def read_archives(
    folder: str | os.PathLike,
    strict: bool = False,
    include_validation: bool = False,
    image_headers: bool = True,
    boxes_as: judging.BoxesAs = None,
) -> Photos:
    """Read the training archives in `folder`: images sorted by image_id, boxes as in their files.

        photos = lu.read_archives("DATA/data")
        photos.images, photos.boxes  # DataFrames; an image whose label lists no boxes stays

    Sizes are those of the image's header as a viewer shows it (EXIF rotation applied, as OpenCV and
    yolov5 do), since YOLO shares are of that frame. Where the JSON disagrees, its boxes stay as
    they are, clipped to the true frame. `image_headers=False` trusts the JSON's sizes instead and
    does not touch the image archives beyond their directory: for slow network drives.

    Args:
        folder: the folder of the archives, which are told by name (`list_archives`).
        strict: what is wrong inside an archive is an error, not left out.
        include_validation: read Validation archives beside Training ones too; they are left out
            because test images may come from them.
        image_headers: read the sizes from the images' headers.
        boxes_as: {archive of labels: "xyxy", "xywh" or "polygons"}, or a text "ARCHIVE=xywh; ...":
            how the boxes of one are given that is left out as of another task or convention.

    Returns:
        Photos. `images`: image_id, species, width_px, height_px, archive (relative to `folder`),
        member. `boxes`: image_id, species, x_min, y_min, x_max, y_max in px, half-open.

    Raises:
        ArchiveError: for a folder without archives, one missing of the four, one that is not a
            whole zip, empty or unsafe, an id in two places, and a species without one usable photo.
            What is wrong inside (a label that is no JSON or lacks label_info, an image without
            label and the reverse, an unreadable image or one above 100 megapixels, a size that
            differs, a box that is not four numbers, without area or beyond the frame, an image
            that so loses all its boxes) is left out or clipped and counted in one logged warning;
            `lu.check` has the rows. With `strict` that is an error too.
    """
    findings = Findings()
    with ImageReader(folder) as reader:
        options = include_validation, image_headers, "", boxes_as
        images, boxes = read_tables(reader, findings, True, *options)
    tell(folder, findings, strict)
    return Photos(images, boxes, folder)


def read_test_archives(folder: str | os.PathLike, strict: bool = False) -> Photos:
    """Read the test archives in `folder` as `read_archives` does, without boxes.

    No image is left out: one that cannot be read, or is above 100 megapixels, stays with width and
    height 0.
    """
    findings = Findings()
    with ImageReader(folder) as reader:
        images, _ = read_tables(reader, findings, labelled=False)
    tell(folder, findings, strict, "kept as empty")
    return Photos(images, folder=folder)


def tell(
    folder: str | os.PathLike,
    findings: Findings,
    strict: bool,
    outcome: str = "left out or clipped",
) -> None:
    """Log the faults in one line, or raise them."""
    left_out = [r["archive"] for r in findings.rows if r["kind"] == "validation_left_out"]
    if left_out:
        message = "%s: left out %s; include_validation=True reads them"
        logger.warning(message, folder, ", ".join(left_out))
    if strict and (summary := findings.summary()):
        raise ArchiveError(
            f"{folder}: {summary}; first: {findings.first()}, or read with strict=False"
        )
    for row in findings.rows:
        if row["kind"] == "foreign_archive":
            logger.warning("%s: %s; %s", folder, row["message"], row["advice"])
    if summary := findings.summary(but="foreign_archive"):
        logger.warning("%s: %s: %s; see lu.check or the command check", folder, outcome, summary)
