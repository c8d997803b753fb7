"""16,455 label members -> tables, against a bare zipfile + orjson loop over the same zips (aim: at
most 1.5 x).

The tables need the directories of the image archives too; the headers of the images are timed
apart.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import orjson
from PIL import Image

from livestock_utils.data.aihub import folder as data_folder

COUNTS = {
    "돼지": ("livestock_pig_bbox_", 4303, (5, 16)),
    "소": ("livestock_cow_bbox_", 12152, (0, 7)),
}
"""Species word -> id prefix, images, range of boxes an image; as in AI Hub's data."""


def write_archives(folder: Path, share: float) -> None:
    """Four training zips of AI Hub's counts; every photo is the same small grey frame with a true
    header."""
    draw = random.Random(0)
    grey = BytesIO()
    Image.new("L", (1920, 1080), 128).save(grey, "JPEG", quality=1)
    for word, (prefix, count, (low, high)) in COUNTS.items():
        ids = [f"{prefix}{number:06d}" for number in range(1, int(count * share) + 1)]
        with zipfile.ZipFile(
            folder / f"[라벨]{word}_bbox.zip", "w", zipfile.ZIP_DEFLATED
        ) as archive:
            for image_id in ids:
                archive.writestr(
                    f"{image_id}.json", _label(image_id, draw, draw.randint(low, high))
                )
        with zipfile.ZipFile(folder / f"[원천]{word}_bbox.zip", "w") as archive:
            for image_id in ids:
                archive.writestr(f"{image_id}.jpg", grey.getvalue())


def _label(image_id: str, draw: random.Random, boxes: int) -> bytes:
    annotations = []
    for number in range(boxes):
        x, y = draw.randint(0, 1500), draw.randint(0, 800)
        box = [x, y, x + draw.randint(30, 400), y + draw.randint(30, 250)]
        annotations.append(
            {"id": number, "image_id": 1, "category_id": 1, "area": 1, "iscrowd": 0, "bbox": box}
        )
    image = {
        "id": 1,
        "file_name": f"{image_id}.jpg",
        "width": 1920,
        "height": 1080,
        "date_captured": "",
    }
    label = {
        "image": image,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "livestock"}],
    }
    return orjson.dumps({"label_info": label}, option=orjson.OPT_INDENT_2)


def bare_loop(folder: Path) -> int:
    """The least that any reader of the labels must do."""
    boxes = 0
    for word in COUNTS:
        with zipfile.ZipFile(folder / f"[라벨]{word}_bbox.zip") as archive:
            for name in archive.namelist():
                boxes += len(orjson.loads(archive.read(name))["label_info"]["annotations"])
    return boxes


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Interleaved rounds, medians, ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of AI Hub's counts")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_archives(folder, options.share)
        boxes = data_folder.read_archives(folder, image_headers=False).boxes
        if len(boxes) != bare_loop(folder):
            sys.exit("the tables and the bare loop disagree on the number of boxes")
        times: dict[str, list[float]] = {"bare": [], "tables": [], "with headers": []}
        for _ in range(options.rounds):
            times["bare"].append(seconds(lambda: bare_loop(folder)))
            times["tables"].append(
                seconds(lambda: data_folder.read_archives(folder, image_headers=False))
            )
            times["with headers"].append(seconds(lambda: data_folder.read_archives(folder)))
    median = {what: statistics.median(values) for what, values in times.items()}
    print(
        f"labels of {options.share:.0%} of AI Hub, {len(boxes):,} boxes, median of {options.rounds}"
    )
    print(f"  bare zipfile + orjson loop     {median['bare']:.2f} s")
    ratio = median["tables"] / median["bare"]
    print(
        f"  tables, sizes from the JSON    {median['tables']:.2f} s  {ratio:.2f} x (aim: up to 1.5)"
    )
    print(f"  tables, sizes from the headers {median['with headers']:.2f} s")


if __name__ == "__main__":
    main()
