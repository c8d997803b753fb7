"""Image sizes from headers inside the zip, against Pillow opening each image in full (aim: 10 x
faster)."""

import argparse
import statistics
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from livestock_utils.core.archives import Archive, ImageReader
from livestock_utils.data.aihub.reading import Photo


def write_images(path: Path, count: int) -> None:
    """`count` noisy 1920 x 1080 JPEGs of about 450 KB, stored, as AI Hub's."""
    noise = np.random.default_rng(0)
    coarse = noise.integers(0, 256, (135, 240, 3), dtype=np.uint8)
    photo = np.asarray(Image.fromarray(coarse).resize((1920, 1080))).astype(int)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            pixels = (photo + noise.integers(-12, 13, photo.shape)).clip(0, 255).astype(np.uint8)
            packed = BytesIO()
            Image.fromarray(pixels).save(packed, "JPEG", quality=75)
            archive.writestr(f"livestock_cow_bbox_{number:06d}.jpg", packed.getvalue())


def by_header(archive: Archive) -> list[tuple[int, int]]:
    """As `read_archives` does it."""
    return [Photo("cow", archive, member).size_from_header() for member in archive.wanted("images")]


def by_pillow(archive: Archive) -> list[tuple[int, int]]:
    """Every image read and decoded."""
    sizes = []
    for member in archive.wanted("images"):
        with Image.open(BytesIO(archive.read(member))) as image:
            image.load()
            sizes.append(image.size)
    return sizes


def main() -> None:
    """Interleaved rounds, medians, ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_images(Path(name, "photos.zip"), options.images)
        times: dict[str, list[float]] = {"header": [], "pillow": []}
        with ImageReader(name) as reader:
            archive = reader.archive("photos.zip")
            for _ in range(options.rounds):
                start = time.perf_counter()
                ours = by_header(archive)
                middle = time.perf_counter()
                theirs = by_pillow(archive)
                times["header"].append(middle - start)
                times["pillow"].append(time.perf_counter() - middle)
                if ours != theirs:
                    sys.exit("the two ways disagree on the sizes")
    header, pillow = statistics.median(times["header"]), statistics.median(times["pillow"])
    print(f"sizes of {options.images} images of 1920 x 1080 px, median of {options.rounds}")
    print(f"  Pillow in full {pillow / options.images * 1e3:.2f} ms an image")
    print(
        f"  header         {header / options.images * 1e3:.3f} ms an image, {pillow / header:.0f} "
        "x faster (aim: 10)"
    )


if __name__ == "__main__":
    main()
