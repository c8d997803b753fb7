"""Digests of a small drawn sample, its look-alikes and folds: the same on every processor."""

import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd

import livestock_utils as lu


def digests(folder: Path) -> dict[str, str]:
    """Name -> first digits of a SHA-256; draws the sample into `folder`."""
    lu.write_sample(folder, n_images=24, n_test_images=4, seed=3, scale=0.1)
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".csv":
            found[path.name] = _short(path.read_bytes())
        elif path.suffix == ".zip":  # its members: other releases of zlib pack otherwise
            with zipfile.ZipFile(path) as archive:
                content = [name.encode() + archive.read(name) for name in archive.namelist()]
            found[f"{path.parent.name}/{path.stem}"] = _short(b"".join(content))
    photos = lu.read_archives(folder / "data")
    groups = lu.lookalikes(photos)
    folds = lu.stratified_folds(photos, groups=groups)
    mini = lu.mini(photos, 0.3)
    found["look-alikes"] = _short(groups.to_csv().encode())
    found["folds"] = _short(folds.to_csv().encode())
    found["mini"] = _short(mini.images["image_id"].to_csv().encode())
    many = pd.concat(
        [photos.images.assign(image_id=photos.images["image_id"] + f"-{n}") for n in range(12)]
    )
    boxes = pd.concat(
        [photos.boxes.assign(image_id=photos.boxes["image_id"] + f"-{n}") for n in range(12)]
    )
    folds = lu.stratified_folds(lu.Photos(many, boxes))
    found["folds of many"] = _short(folds.to_csv().encode())
    return found


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        sys.stdout.write(json.dumps(digests(Path(work))))
