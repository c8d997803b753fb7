"""Is an archive of labels what it should be? Told from all its labels at once, before they join."""

import re
from collections.abc import Mapping

import numpy as np

from livestock_utils.core.archives import Archive
from livestock_utils.core.arrays import Flags, Floats
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.text import percent
from livestock_utils.data.aihub.labels import Label

CONVENTIONS = ("xyxy", "xywh", "polygons")
"""How the boxes of an archive may be given: corners, a corner and the size, outlines."""

_LEAST = 5
"""Labels with annotations from which on an archive is judged."""
_MANY = 0.5
"""Share of labels that are a whole frame, or of annotations without a box: another task."""
_INVERTED = 0.2
"""Share of boxes with x2 <= x1 or y2 <= y1: not corners. Slips of the hand are below 1 %."""
_WHOLE = 0.95
"""Share of its frame that a box covers which is the frame."""


BoxesAs = Mapping[str, str] | str | None


def read_conventions(boxes_as: BoxesAs, archives: list[str]) -> dict[str, str]:
    """Archive -> convention, of a mapping or "ARCHIVE=xywh; ARCHIVE=polygons". ArchiveError for an
    archive that is not there and a convention that is none."""
    if isinstance(boxes_as, str):
        parts = (text.rpartition("=") for text in boxes_as.split(";") if text.strip())
        boxes_as = {path.strip(): how.strip() for path, _, how in parts}
    found = {path.removeprefix("data/"): how for path, how in (boxes_as or {}).items()}
    for path, how in found.items():
        if path not in archives or how not in CONVENTIONS:
            raise ArchiveError(
                f"boxes_as has {path!r}: {how!r}",
                f"expected one of {', '.join(archives)} as one of {', '.join(CONVENTIONS)}",
            )
    return found


@np.errstate(all="ignore")
def verdict(archive: Archive, labels: list[Label]) -> tuple[str, str]:
    """Why these labels are of another task or convention, and which convention would take them in,
    "" for none; ("", "") where they are corners of animals in a scene, or too few to tell."""
    annotated = [label for label in labels if label.xyxy]
    if len(annotated) < _LEAST:
        return "", ""
    xyxy = np.frombuffer(b"".join(label.xyxy or b"" for label in annotated)).reshape(-1, 4)
    number = np.array([len(label.xyxy or ()) // 4 for label in annotated])
    sizes = np.array([(label.width_px, label.height_px) for label in annotated], dtype=float)
    is_box = np.isfinite(xyxy).all(axis=1)
    lacking = 1 - is_box.mean()
    if lacking > _MANY:
        task = _task(archive, labels)
        reason = f"{percent(lacking)} of its annotations have no box of four numbers{task}"
        return reason, "polygons" if "polygons" in task else ""
    boxes, frames = xyxy[is_box], np.repeat(sizes, number, axis=0)[is_box]
    inverted = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1).mean()
    if inverted > _INVERTED:
        inside = (boxes[:, :2] + boxes[:, 2:] <= 1.02 * frames).all(axis=1) | (frames <= 0).any(1)
        is_size = (boxes[:, 2:] > 0).all() and inside.mean() > 0.9
        known = "x, y, width, height" if is_size else "corners in another order, or of another kind"
        return f"{percent(inverted)} of its boxes end before they begin: {known}?", (
            "xywh" if is_size else "xyxy"
        )
    single = xyxy[np.cumsum(number) - 1]  # the last box of each label: the only one where it counts
    whole = (number == 1) & _is_whole(single, sizes)
    if whole.mean() > _MANY:
        crops = sizes[whole]
        low, high = ("{:.0f} x {:.0f}".format(*side(crops, axis=0)) for side in (np.min, np.max))
        return (
            f"the only box is the whole frame in {whole.sum():,} of {len(annotated):,} labels "
            f"({low} to {high} px): crops of single animals{_task(archive, labels)}"
        ), "xyxy"
    return "", ""


def _is_whole(xyxy: Floats, sizes: Floats) -> Flags:
    """Whether boxes cover their frames; where the label tells no size, whether they begin at its
    corner."""
    starts = (xyxy[:, :2] <= 1).all(axis=1)
    inside = np.clip(xyxy, 0, np.tile(sizes, 2))
    covered = (inside[:, 2:] - inside[:, :2]).prod(axis=1)
    return np.where((sizes > 0).all(axis=1), covered >= _WHOLE * sizes.prod(axis=1), starts)


def _task(archive: Archive, labels: list[Label]) -> str:
    """What the annotations hold besides, by their keys: ", as for key points", or nothing."""
    text = archive.read(next(label.member for label in labels if label.xyxy)).lower()
    keys = set(re.findall(rb'(keypoint|polygon|segmentation)\w*"\s*:(?!\s*\[\s*\])', text))
    return f", as for {'key points' if b'keypoint' in keys else 'polygons'}" if keys else ""
