"""Letterboxing against yolov5's own, batch plans, reading ahead, and images that cannot be read."""

import io
import threading

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from livestock_utils.core import frames
from livestock_utils.core.errors import ArchiveError
from livestock_utils.detect import yolov5

SIZES = st.integers(17, 400)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.sampled_from([64, 96, 160, 320]), st.sampled_from([32, 64]))
def test_letterbox_equals_yolov5_detect(width, height, image_size, stride):
    image_size = max(image_size, stride)
    frame = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    with yolov5.yolov5() as y5:
        expected, _, _ = y5.augmentations.letterbox(frame, image_size, auto=True, stride=stride)
    ours = frames.letterbox(frame, frames.fit(width, height, image_size, stride))
    assert np.array_equal(ours, expected)


@pytest.mark.parametrize("size", [(96, 54), (54, 96), (64, 64), (97, 61), (40, 30), (200, 150)])
@pytest.mark.parametrize("image_size", [64, 96])
def test_letterbox_like_val_equals_yolov5_val(tmp_path, size, image_size):
    frame = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), frame)
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    with yolov5.yolov5() as y5:
        folder = str(tmp_path / "images")
        loader = y5.dataloaders.LoadImagesAndLabels(
            folder, image_size, 1, rect=True, stride=32, pad=0.5
        )
        expected = loader[0][0].numpy()[::-1].transpose(1, 2, 0)
    ours = frames.letterbox(frame, frames.fit(*size, image_size, like="val"), like="val")
    assert np.array_equal(ours, expected)


@settings(max_examples=100, deadline=None)
@given(
    SIZES,
    SIZES,
    st.sampled_from([64, 320]),
    st.sampled_from(["detect", "val"]),
    st.booleans(),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_boxes_come_back_to_where_they_were(width, height, image_size, like, flipped, shares):
    box = frames.fit(width, height, image_size, like=like)
    x1, x2 = sorted((shares[0] * width, shares[1] * width))
    y1, y2 = sorted((shares[2] * height, shares[3] * height))
    seen = (width - x2, y1, width - x1, y2) if flipped else (x1, y1, x2, y2)
    scale = np.array([box.resized[0] / width, box.resized[1] / height] * 2)
    in_input = np.array([seen]) * scale + np.array(box.corner * 2)
    assert box.to_frame(in_input, flipped)[0] == pytest.approx(
        [x1, y1, x2, y2], abs=1e-3 * max(width, height)
    )
    assert box.padded[0] % 32 == 0 and box.padded[1] % 32 == 0
    assert 0 <= box.corner[0] <= box.padded[0] - box.resized[0] and box.corner[1] >= 0


def encoded(kind: str, size=(40, 30), **options) -> bytes:
    out = io.BytesIO()
    picture = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (encoded("JPEG"), (40, 30)),
        (encoded("JPEG") + b"trailing bytes of a camera", (40, 30)),
        (encoded("JPEG", progressive=True), (40, 30)),
        (encoded("PNG"), (40, 30)),
        (encoded("BMP"), (40, 30)),
    ],
)
def test_what_can_be_read_is_read(data, size):
    assert frames.decode(data).shape == (size[1], size[0], 3)


def test_exif_orientation_turns_the_frame_as_in_yolov5():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert frames.decode(encoded("JPEG", exif=exif.tobytes())).shape == (40, 30, 3)


THUMBNAIL = b"\xff\xe1\x00\x0a" + b"\xff\xd8\xff\xd9" + b"\x00" * 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"not an image", "not a readable image"),
        (encoded("JPEG")[:-20], "truncated image"),
        (encoded("JPEG")[:2] + THUMBNAIL + encoded("JPEG")[2:-20], "truncated image"),
        (encoded("PNG")[:-30], "truncated image"),
        (encoded("PNG")[:-12], "truncated image"),
        (encoded("BMP")[:-99], "not a readable image"),
        (b"\xff\xd8\xff", "truncated image"),
        (b"\xff\xd8\xff\xd9", "not a readable image"),
    ],
)
def test_what_cannot_be_read_is_told(data, message):
    with pytest.raises(ArchiveError, match=message):
        frames.decode(data)


def table(sizes) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(len(sizes))],
            "width_px": [s[0] for s in sizes],
            "height_px": [s[1] for s in sizes],
        }
    )


@pytest.mark.parametrize(
    ("sizes", "batch_size", "expected"),
    [
        ([], 4, []),
        ([(96, 64)] * 3, 2, [[0, 1], [2]]),
        (
            [(96, 64), (64, 96), (96, 60), (0, 0)],
            4,
            [[3], [1], [0, 2]],
        ),  # unknown size first, then by shape
    ],
)
def test_batches_are_of_one_shape(sizes, batch_size, expected):
    assert frames.plan_batches(table(sizes), 96, batch_size) == expected


def test_batches_need_no_sizes():
    assert frames.plan_batches(table([(1, 1)] * 3)[["image_id"]], 96, 8) == [[0, 1, 2]]


def test_no_more_than_the_batches_in_flight_are_held():
    held, most, lock = 0, 0, threading.Lock()

    def load(row: int) -> frames.Frame:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return frames.Frame(row, None, None)

    batches = [[k, k + 1] for k in range(0, 40, 2)]
    seen = []
    for batch in frames.read_ahead(batches, load, workers=3, ahead=2):
        seen += [frame.row for frame in batch]
        with lock:
            held -= len(batch)
    assert seen == list(range(40))
    assert most <= 2 * 4


def test_an_error_while_loading_reaches_the_caller():
    def load(row: int) -> frames.Frame:
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        list(frames.read_ahead([[0], [1]], load))


def _jpeg(size, **options):
    made = io.BytesIO()
    Image.new("RGB", size, (90, 120, 60)).save(made, "JPEG", **options)
    return made.getvalue()


def _turned(size):
    exif = Image.Exif()
    exif[0x0112] = 6
    return _jpeg(size, exif=exif)


def _exif_last():
    """A JPEG whose EXIF stands behind its frame header."""
    plain, exif = _jpeg((30, 20)), _turned((30, 20))
    start = exif.index(b"\xff\xe1")
    block = exif[start : start + 2 + int.from_bytes(exif[start + 2 : start + 4], "big")]
    at = plain.index(b"\xff\xda")
    return plain[:at] + block + plain[at:]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"", None),
        (b"\xff\xd8", None),
        (_jpeg((30, 20)), (30, 20)),
        (_jpeg((30, 20), progressive=True), (30, 20)),
        (_jpeg((30, 20))[:100], None),  # the tables before the frame are longer
        (_jpeg((30, 20), comment=b"x" * 5000)[:4096], None),
        (_turned((30, 20)), None),
        (_exif_last(), None),
        (b"\x89PNG\r\n\x1a\n" + b"\xff\xc0" * 20, None),
        (b"\xff\xd8\xff\xd0" + b"\xff" * 40, None),
    ],
)
def test_the_size_of_a_jpeg_that_nothing_turns(head, size):
    assert frames.jpeg_size(head) == size
