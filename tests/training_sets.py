"""Tiny YOLO data sets for the training tests: bright and dark rectangles on noise; and a short
call."""

from pathlib import Path

import cv2
import numpy as np
import yaml

import livestock_utils as lu

BESIDE = ("teacher", "mirror", "tags", "on_epoch", "trust", "final_evaluation")
"""Arguments of `lu.train` that are no settings."""


def train(data_yaml: Path, folder: Path, **options) -> lu.Run:
    """`lu.train` with settings as keywords."""
    options = {"recipe": "yolov5", **options}
    beside = {name: options.pop(name) for name in BESIDE if name in options}
    return lu.train(data_yaml, None, folder, lu.TrainSettings(**options), **beside)


def write_set(
    folder: Path,
    n_train: int = 8,
    n_valid: int = 4,
    size_px: tuple[int, int] = (96, 64),
    seed: int = 0,
) -> Path:
    """Write images, labels and data.yaml below `folder`; returns the path of data.yaml."""
    rng = np.random.default_rng(seed)
    for part, count in (("train", n_train), ("valid", n_valid)):
        for index in range(count):
            write_image(folder / part, f"livestock_pig_bbox_{index:06d}", rng, size_px)
    path = folder / "data.yaml"
    path.write_text(
        yaml.safe_dump(
            {"train": "train/images", "val": "valid/images", "names": {0: "pig", 1: "cow"}}
        )
    )
    return path


def write_image(part: Path, stem: str, rng: np.random.Generator, size_px: tuple[int, int]) -> None:
    """One JPEG and its label file with two to four boxes."""
    width, height = size_px
    image = rng.integers(90, 130, (height, width, 3), dtype=np.uint8)
    lines = []
    for _ in range(int(rng.integers(2, 5))):
        label = int(rng.integers(0, 2))
        w, h = (int(value) for value in rng.integers(16, 40, 2))
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        image[y : y + h, x : x + w] = (200, 190, 230) if label == 0 else (30, 40, 20)
        lines.append(
            f"{label} {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} "
            f"{h / height:.6f}"
        )
    for name in ("images", "labels"):
        (part / name).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(part / "images" / f"{stem}.jpg"), image)
    (part / "labels" / f"{stem}.txt").write_text("\n".join(lines) + "\n")
