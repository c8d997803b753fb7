"""From four zips to a set ready for training: ours against the original's way, and against a bare
`cat` of the zips.

    python benchmarks/bench_dataset.py [--images 2000] [--rounds 5] [--deflated] [--folder DIR]

The original's way (its notebooks EDA/Make_Dataset_Multilabel and train/YOLOv5_MultiLabelSplit):
info-zip's unzip, one JSON an image into a table, folds, shutil.copy of every photo and label, GNU
tar; then untar, move, convert the labels. Both write to the same disk, interleaved; the disk is
synced before each measurement. Our tars are flushed to the disk, theirs are not. Folders are mostly
the making of 4,000 files, which some disks do slowly: compare in one run only.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from made_archives import write_archives
from made_tables import aihub_tables

from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.sets import writing
from livestock_utils.data.split.folds import stratified_folds


def original_to_tars(data: Path, out: Path) -> None:
    """unzip, one JSON an image, folds by species and count, shutil.copy, GNU tar."""
    for archive in sorted(data.glob("*.zip")):
        kind = "labels" if "라벨" in archive.name else "images"
        (out / "raw" / kind).mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["unzip", "-q", "-o", str(archive).replace("[", "[[]"), "-d", out / "raw" / kind],
            check=True,
        )
    rows = []
    for file in sorted((out / "raw" / "labels").iterdir()):
        with file.open(encoding="utf-8") as stream:
            info = json.load(stream)["label_info"]
        count = len(info["annotations"])
        is_pig = "pig" in file.name
        many, medium = (count >= 13, 8 <= count < 13) if is_pig else (count >= 6, 4 <= count < 6)
        rows.append((file.stem, is_pig, not is_pig, many, medium, not (many or medium)))
    table = pd.DataFrame(rows)
    labels = table.iloc[:, 1:].to_numpy(dtype=int)
    folder = MultilabelStratifiedKFold(n_splits=5, shuffle=True, random_state=42)
    train, valid = next(iter(folder.split(np.zeros(len(table)), labels)))
    for name, chosen in (("Train_Dataset", train), ("Valid_Dataset", valid)):
        for kind in ("images", "labels"):
            (out / name / kind).mkdir(parents=True)
        for stem in table[0].iloc[chosen]:
            shutil.copy(out / "raw" / "images" / f"{stem}.jpg", out / name / "images")
            shutil.copy(out / "raw" / "labels" / f"{stem}.json", out / name / "labels")
        subprocess.run(["tar", "-cf", out / f"{name}.tar", "-C", out, name], check=True)


def original_to_training(data: Path, out: Path) -> None:
    """The rest of it: untar, move the photos to where yolov5 looks, convert JSON to YOLO's text."""
    for name in ("Train_Dataset", "Valid_Dataset"):
        (out / "local").mkdir(exist_ok=True)
        subprocess.run(["tar", "-xf", out / f"{name}.tar", "-C", out / "local"], check=True)
        for kind in ("images", "labels"):
            (out / "yolo" / kind / name).mkdir(parents=True)
        for photo in (out / "local" / name / "images").iterdir():
            shutil.move(photo, out / "yolo" / "images" / name / photo.name)
        for file in (out / "local" / name / "labels").iterdir():
            with file.open(encoding="utf-8") as stream:
                info = json.load(stream)["label_info"]
            width, height = info["image"]["width"], info["image"]["height"]
            label = 0 if "pig" in file.name else 1
            with (out / "yolo" / "labels" / name / f"{file.stem}.txt").open("w") as stream:
                for annotation in info["annotations"]:
                    x1, y1, x2, y2 = annotation["bbox"]
                    shares = (
                        (x1 + x2) / 2 / width,
                        (y1 + y2) / 2 / height,
                        (x2 - x1) / width,
                        (y2 - y1) / height,
                    )
                    stream.write(f"{label} {' '.join(f'{share:.6f}' for share in shares)}\n")


def ours(data: Path, out: Path, as_folders: bool = False) -> None:
    """Archives -> tables -> folds -> two tars, or two folders that yolov5 can train on."""
    photos = data_folder.read_archives(data)
    folds = stratified_folds(photos)
    for name, others in (("Train", True), ("Valid", False)):
        path = out / f"{name}_Dataset{'' if as_folders else '.tar'}"
        writing.write_set(path, photos.fold(folds, 0, others), folds=folds, seed=42)


def cat(data: Path, out: Path) -> None:
    """All zips into one file: the least that moving the bytes once can take."""
    out.mkdir(exist_ok=True)
    with (out / "all").open("wb") as file:
        subprocess.run(["cat", *sorted(data.glob("*.zip"))], stdout=file, check=True)


def seconds(step: Callable[[Path, Path], None], data: Path, out: Path) -> float:
    """Time of one step on a quiet disk."""
    os.sync()
    start = time.perf_counter()
    step(data, out)
    return time.perf_counter() - start


def peak_rss(folder: Path) -> None:
    """Peak memory of our way at AI Hub's size, in a process of its own (small photos: the bytes
    held do not add up)."""
    write_archives(folder / "aihub", *aihub_tables(), jpeg_bytes=0)
    code = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from bench_dataset import ours
ours(Path({str(folder / "aihub")!r}), Path({str(folder / "aihub_out")!r}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    print(
        f"peak RSS at 16,455 images: {found.stdout.strip()} MB (wanted: under 500; read-ahead of "
        "16 photos included)"
    )


def main() -> None:
    """Measure and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--deflated", action="store_true", help="photos deflated in the zips, not stored"
    )
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to work (default: the temporary folder)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as work:
        data = Path(work) / "data"
        packing = zipfile.ZIP_DEFLATED if options.deflated else zipfile.ZIP_STORED
        write_archives(data, *aihub_tables(options.images / 16_455), packing=packing)
        size = sum(archive.stat().st_size for archive in data.iterdir())
        print(f"{options.images} images, {size / 1e6:.0f} MB in four zips, {options.rounds} rounds")
        times: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for name, steps in {
                "original, tars": [original_to_tars, original_to_training],
                "ours, tars": [ours],
                "ours, folders": [lambda data, out: ours(data, out, as_folders=True)],
                "cat": [cat],
            }.items():
                out = Path(work) / "out"
                found = [seconds(step, data, out) for step in steps]
                times.setdefault(name, []).append(found[0])
                if len(found) > 1:
                    times.setdefault("original, whole", []).append(sum(found))
                shutil.rmtree(out)
        medians = {name: statistics.median(values) for name, values in times.items()}
        for name, value in medians.items():
            print(f"{name:16s} {value:7.2f} s   ({', '.join(f'{t:.2f}' for t in times[name])})")
        print(
            f"to tars:             {medians['original, tars'] / medians['ours, tars']:.1f} x "
            "faster (wanted: 4, aim 6)"
        )
        whole = medians["original, whole"] / medians["ours, folders"]
        print(f"to training folders: {whole:.1f} x faster (wanted: 4, aim 6)")
        print(
            f"tars against cat:    {medians['ours, tars'] / medians['cat']:.1f} x its time (aim: 3 "
            "or less)"
        )
        peak_rss(Path(work))


if __name__ == "__main__":
    main()
