"""Small AI Hub archives for tests, as plain data that a test can bend before it is written."""

import io
import json
import random
import struct
import zipfile
import zlib
from pathlib import Path

from PIL import Image

PIG, COW = "livestock_pig_bbox_000001", "livestock_cow_bbox_000001"
SIZE = (64, 48)


def jpeg(size: tuple[int, int] = SIZE, shade: int = 128, **options) -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", size, (shade, 90, 40)).save(packed, "JPEG", **options)
    return packed.getvalue()


def noisy_jpeg(side: int = 256, quality: int = 75) -> bytes:
    """More than the few kilobytes that are read for a header."""
    packed = io.BytesIO()
    Image.frombytes("L", (side, side), random.Random(0).randbytes(side * side)).save(
        packed, "JPEG", quality=quality
    )
    return packed.getvalue()


def damage_pixels(path: Path, member: str) -> None:
    """Flip a bit in the scan of a stored photo, so that its CRC is wrong."""
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(member).header_offset
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"\xff\xda", start) + 20] ^= 1
    path.write_bytes(whole)


def label(boxes: list, size: tuple[int, int] = SIZE, file_name: str = "") -> bytes:
    annotations = [{"id": i, "bbox": box, "category_id": 1} for i, box in enumerate(boxes)]
    image = {"width": size[0], "height": size[1]} | ({"file_name": file_name} if file_name else {})
    info = {
        "image": image,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "livestock"}],
    }
    return json.dumps({"label_info": info}).encode()


def four_archives() -> dict[str, dict[str, bytes]]:
    """Archive name -> member -> bytes: two pigs' and two cows' images; the second cow image has no
    box."""
    return {
        "[원천]돼지_bbox.zip": {f"{PIG}.jpg": jpeg(shade=10), f"{PIG[:-1]}2.jpg": jpeg(shade=60)},
        "[원천]소_bbox.zip": {
            f"{COW}.jpg": jpeg(shade=110),
            f"{COW[:-1]}2.jpg": jpeg((80, 60), shade=160),
        },
        "[라벨]돼지_bbox.zip": {
            f"{PIG}.json": label([[1, 2, 11, 22], [5, 6, 30, 40]]),
            f"{PIG[:-1]}2.json": label([[0, 0, 64, 48]]),
        },
        "[라벨]소_bbox.zip": {
            f"{COW}.json": label([[3.5, 4, 20, 30]]),
            f"{COW[:-1]}2.json": label([], size=(80, 60)),
        },
    }


def zip_bytes(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def write(folder: Path, archives: dict[str, dict[str, bytes]]) -> Path:
    """Write zips (names that end in .zip) and extracted folders (all others)."""
    for name, members in archives.items():
        if name.endswith(".zip"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(zip_bytes(members))
        else:
            for member, data in members.items():
                file = folder / name / member
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
    return folder


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG of any size, enough for a header reader."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
