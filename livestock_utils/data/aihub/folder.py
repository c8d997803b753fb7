"""AI Hub's archives -> the `images` and `boxes` tables, straight from the zips, nothing extracted.

The data is "livestock behaviour video" (bounding boxes): four training archives, images (원천, or
TS_) and labels (라벨, or TL_) of each species, and image archives to test on. The class comes from
the archive, never from the JSON's categories.
"""

import logging
import os

import pandas as pd

from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import ArchiveError
from livestock_utils.data.aihub.reading import read_tables
from livestock_utils.data.findings import Findings

logger = logging.getLogger(__name__)


def read_archives(
    folder: str | os.PathLike,
    strict: bool = False,
    include_validation: bool = False,
    image_headers: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the training archives in `folder` -> (images, boxes).

    `images`: image_id, species, width_px, height_px, archive (relative to `folder`), member; sorted
    by image_id. `boxes`: image_id, species, x_min, y_min, x_max, y_max in px, half-open; sorted by
    image_id, then as in the file. An image whose label lists no boxes stays in `images`.

    Sizes are those of the image's header as a viewer shows it (EXIF rotation applied, as OpenCV and
    yolov5 do), since YOLO shares are of that frame. Where the JSON disagrees, its boxes stay as
    they are, clipped to the true frame. `image_headers=False` trusts the JSON's sizes instead and
    does not touch the image archives beyond their directory: for slow network drives.

    Archives are told by name (`list_archives`). Validation archives beside Training ones are left
    out unless `include_validation`, because test images may come from them.

    Raises ArchiveError for a folder without archives, one missing of the four, one that is not a
    whole zip, empty or unsafe, and an id in two places. What is wrong inside (a label that is no
    JSON or lacks label_info, an image without label and the reverse, an unreadable image or one
    above 100 megapixels, a size that differs, a box that is not four numbers, without area or
    beyond the frame) is left out or clipped and counted in one logged warning; `integrity_report`
    has the rows. With `strict=True` that is an ArchiveError too.
    """
    findings = Findings()
    with ImageReader(folder) as reader:
        images, boxes = read_tables(reader, findings, True, include_validation, image_headers)
    _tell(folder, findings, strict)
    return images, boxes


def read_test_archives(folder: str | os.PathLike, strict: bool = False) -> pd.DataFrame:
    """Read the test archives (images only) in `folder` -> images, as `read_archives`; labels are
    not looked at.

    No image is left out: one that cannot be read, or is above 100 megapixels, stays with width and
    height 0.
    """
    findings = Findings()
    with ImageReader(folder) as reader:
        images, _ = read_tables(reader, findings, labelled=False)
    _tell(folder, findings, strict, "kept as empty")
    return images


def _tell(
    folder: str | os.PathLike,
    findings: Findings,
    strict: bool,
    outcome: str = "left out or clipped",
) -> None:
    """Log the faults in one line, or raise them."""
    if left_out := [
        row["archive"] for row in findings.rows if row["kind"] == "validation_left_out"
    ]:
        logger.warning(
            "%s: left out %s; include_validation=True reads them", folder, ", ".join(left_out)
        )
    if summary := findings.summary():
        if strict:
            raise ArchiveError(
                f"{folder}: {summary}; first: {findings.first()}, or read with strict=False"
            )
        logger.warning(
            "%s: %s: %s; see integrity_report or the command check", folder, outcome, summary
        )
