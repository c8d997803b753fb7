"""From image bytes to batches: decoded ahead in threads, letterboxed as yolov5 does."""

import contextlib
import dataclasses
import itertools
import math
import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.arrays import Float32s, Pixels
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.threads import work_ahead

MAX_PIXELS = 100_000_000
"""Images above this are left out: decoding them can exhaust the memory."""
_TWO = struct.Struct(">HH").unpack_from
_GREY = (114, 114, 114)
"""yolov5's padding colour."""


@dataclasses.dataclass(frozen=True)
class _Letterbox:
    """How a frame fits into the input: resized size, padded size, corner where it sits, px."""

    frame: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]
    corner: tuple[int, int]

    def to_frame(self, xyxy: npt.NDArray[np.floating], flipped: bool = False) -> Float32s:
        """Boxes (n, 4) px in the padded input -> px in the frame; `flipped` undoes mirroring.
        Exact, where yolov5's scale_boxes is up to half an input pixel off."""
        scale = np.array([self.frame[0] / self.resized[0], self.frame[1] / self.resized[1]] * 2)
        boxes = (xyxy.astype(np.float64) - np.array(self.corner * 2)) * scale
        if flipped:
            boxes[:, [0, 2]] = self.frame[0] - boxes[:, [2, 0]]
        return boxes.astype(np.float32)


def fit(
    width_px: int, height_px: int, image_size: int, stride: int = 32, like: str = "detect"
) -> _Letterbox:
    """Plan a letterbox: long side `image_size`, short side padded to a multiple of `stride`.
    like="detect": as yolov5's detect.py (round, least padding); "val": as its val.py at rectangular
    batches of one shape (round up, half a stride of extra padding), which its metrics are measured
    with."""
    ratio = image_size / max(width_px, height_px)
    if like == "val":
        resized = math.ceil(width_px * ratio), math.ceil(height_px * ratio)
        aspect = height_px / width_px  # of the batch, computed as yolov5 does: the long side is 1
        shares = (1.0, aspect) if aspect < 1 else (1 / aspect, 1.0)
        width, height = (int(np.ceil(s * image_size / stride + 0.5)) * stride for s in shares)
    else:
        resized = max(round(width_px * ratio), 1), max(round(height_px * ratio), 1)
        width, height = (side + (image_size - side) % stride for side in resized)
    # yolov5 splits the padding so; the odd pixel goes to the right and to the bottom.
    corner = round((width - resized[0]) / 2 - 0.1), round((height - resized[1]) / 2 - 0.1)
    return _Letterbox((width_px, height_px), resized, (width, height), corner)


def letterbox(
    frame_bgr: Pixels, box: _Letterbox, like: str = "detect", flipped: bool = False
) -> Pixels:
    """Resize and pad a frame (h, w, 3) as planned by `fit` -> (padded h, padded w, 3), BGR."""
    import cv2

    if flipped:
        frame_bgr = np.ascontiguousarray(frame_bgr[:, ::-1])
    if box.resized != box.frame:
        shrinks = like == "val" and max(box.resized) < max(box.frame)
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        frame_bgr = cv2.resize(frame_bgr, box.resized, interpolation=way)  # type: ignore[assignment]
    left, top = box.corner
    right, bottom = box.padded[0] - box.resized[0] - left, box.padded[1] - box.resized[1] - top
    padded = cv2.copyMakeBorder(
        frame_bgr, top, bottom, left, right, cv2.BORDER_CONSTANT, value=_GREY
    )
    return np.asarray(padded, dtype=np.uint8)


def decode(data: bytes) -> Pixels:
    """Image bytes -> (h, w, 3) BGR, turned by EXIF; ArchiveError if unreadable, or truncated, which
    OpenCV fills with grey, untold."""
    import cv2

    if not data or is_truncated(data):
        raise ArchiveError("truncated image" if data else "empty file")
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # e.g. more pixels than OpenCV takes
        why = " ".join(str(error).split())[:120]
        raise ArchiveError(f"not a readable image ({why})") from error
    if frame is None:
        raise ArchiveError("not a readable image")
    return np.asarray(frame, dtype=np.uint8)


def is_truncated(data: bytes) -> bool:
    """True for a JPEG without an end mark after its picture data, or a PNG without its last chunk.
    What a camera writes after the end mark is no damage."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND\xaeB`\x82" not in data  # with its CRC; what follows it is no damage
    if data[:2] != b"\xff\xd8":
        return False
    at = 2
    # The segments before the picture data.
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(b"\xff\xd9", at) < 0  # picture data never holds these two bytes side by side


def jpeg_size(head: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG that no EXIF can turn, where `head` goes to its picture data."""
    at, size = 2, None
    while head[:2] == b"\xff\xd8" and at + 9 <= len(head):
        marker, length = _TWO(head, at)
        if marker == 0xFFDA:
            return size and size[::-1]
        if marker == 0xFFE1 or marker < 0xFFC0 or 0xFFD0 <= marker <= 0xFFD9:
            break
        if marker <= 0xFFC2:
            size = _TWO(head, at + 5)
        at += 2 + length
    return None


@dataclasses.dataclass(frozen=True)
class Frame:
    """One image ready for the network, or why not: its row, letterboxed pixels, placement."""

    row: int
    pixels: Pixels | None
    box: _Letterbox | None
    problem: str = ""


def plan_batches(
    images: pd.DataFrame, image_size: int, batch_size: int, stride: int = 32, like: str = "detect"
) -> list[list[int]]:
    """Row numbers of `images` in batches of one letterboxed shape (of unknown size, 0 or absent:
    one batch), planned over the whole table, so that shards compute the same bits as one run."""
    table = images.reindex(columns=["width_px", "height_px"]).fillna(0).astype(int)
    sizes = list(table.itertuples(index=False, name=None))
    shapes = {
        (w, h): fit(w, h, image_size, stride, like).padded if min(w, h) > 0 else (0, 0)
        for w, h in set(sizes)
    }
    groups: dict[tuple[int, int], list[int]] = {}
    for row in np.argsort(images["image_id"].to_numpy(dtype=object), kind="stable").tolist():
        groups.setdefault(shapes[sizes[row]], []).append(row)
    return [
        rows[i : i + batch_size]
        for _, rows in sorted(groups.items())
        for i in range(0, len(rows), batch_size)
    ]


def read_ahead(
    batches: Sequence[Sequence[int]], load: Callable[[int], Frame], workers: int = 2, ahead: int = 2
) -> Iterator[list[Frame]]:
    """Load batches in threads, `ahead` of them beyond the one in use: OpenCV decodes and resizes
    without Python's lock, so the network works meanwhile."""
    most = max(map(len, batches), default=0)
    rows = itertools.chain.from_iterable(batches)
    with contextlib.closing(work_ahead(load, rows, workers, ahead * most)) as loaded:
        for batch in batches:
            yield list(itertools.islice(loaded, len(batch)))
