"""AI Hub's four archives with drawn, padded photos: as large as wanted, written in seconds, nothing
downloaded."""

import io
import zipfile
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from PIL import Image

FILES = {"images": {"pig": "[원천]돼지_bbox.zip", "cow": "[원천]소_bbox.zip"}}
FILES["labels"] = {"pig": "[라벨]돼지_bbox.zip", "cow": "[라벨]소_bbox.zip"}


def write_archives(
    folder: Path,
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    jpeg_bytes: int = 450_000,
    packing: int = zipfile.ZIP_STORED,
) -> None:
    """Write the tables as the four archives. Every photo is one of six drawn JPEGs, padded with
    random comment segments up to `jpeg_bytes`, so that all differ and pack as badly as real photos
    do."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    drawn = [_jpeg(seed) for seed in range(6)]
    of_image = dict(list(boxes.groupby("image_id")))
    for species, rows in images.groupby("species"):
        with (
            zipfile.ZipFile(folder / FILES["images"][species], "w", packing) as photos,
            zipfile.ZipFile(folder / FILES["labels"][species], "w", zipfile.ZIP_DEFLATED) as labels,
        ):
            for i, image_id in enumerate(rows["image_id"]):
                photos.writestr(
                    f"{image_id}.jpg", _padded(drawn[i % len(drawn)], jpeg_bytes, random)
                )
                labels.writestr(f"{image_id}.json", _label(image_id, of_image.get(image_id)))


def _jpeg(seed: int) -> bytes:
    blobs = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blobs).resize((1920, 1080), Image.Resampling.BICUBIC).save(
        file, "JPEG", quality=60
    )
    return file.getvalue()


def _padded(jpeg: bytes, size: int, random: np.random.Generator) -> bytes:
    """The JPEG with comment segments after its scan: the frame's size stands near the start, as in
    photos."""
    parts, missing = [jpeg[:-2]], size - len(jpeg)
    while missing > 4:
        length = min(missing - 4, 65_000)
        parts += [b"\xff\xfe", (length + 2).to_bytes(2, "big"), random.bytes(length)]
        missing -= length + 4
    return b"".join([*parts, jpeg[-2:]])


def _label(image_id: str, boxes: pd.DataFrame | None) -> bytes:
    corners = (
        []
        if boxes is None
        else boxes[["x_min", "y_min", "x_max", "y_max"]].round(2).to_numpy().tolist()
    )
    annotations = [
        {"id": i, "category_id": 1, "bbox": box, "iscrowd": 0} for i, box in enumerate(corners)
    ]
    image = {"file_name": f"{image_id}.jpg", "width": 1920, "height": 1080, "id": image_id}
    categories = [{"id": 1, "name": "livestock"}]
    return orjson.dumps(
        {"label_info": {"image": image, "annotations": annotations, "categories": categories}}
    )
