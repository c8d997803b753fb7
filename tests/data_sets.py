"""Small archives with real JPEGs and their tables, for tests of splits and sets."""

import importlib.util
import io
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from PIL import Image

SIZE = (96, 64)
"""Frame of every photo, width and height in px."""


def benchmark_module(name: str) -> ModuleType:
    """A module of benchmarks/, which is not a package: the tests use its generators."""
    spec = importlib.util.spec_from_file_location(
        name, Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def jpeg(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    """A JPEG of smooth random blobs; the same seed gives the same bytes."""
    blobs = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blobs).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def write_archives(
    folder: Path, n_images: int = 12, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two zips of photos (pig.zip stored, cow.zip deflated) in `folder`; returns (images, boxes) as
    aihub would."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows, boxes = [], []
    for species, packing in (("pig", zipfile.ZIP_STORED), ("cow", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(folder / f"{species}.zip", "w", packing) as archive:
            for i in range(n_images // 2):
                image_id = f"livestock_{species}_bbox_{i:06d}"
                archive.writestr(f"{image_id}.jpg", jpeg(1000 * len(species) + i + len(rows)))
                rows.append((image_id, species, *SIZE, f"{species}.zip", f"{image_id}.jpg"))
                for _ in range(int(random.integers(0, 5))):
                    x, y = random.uniform(0, 60), random.uniform(0, 40)
                    boxes.append(
                        (
                            image_id,
                            species,
                            x,
                            y,
                            x + random.uniform(4, 30),
                            y + random.uniform(4, 20),
                        )
                    )
    images = pd.DataFrame(
        rows, columns=["image_id", "species", "width_px", "height_px", "archive", "member"]
    )
    columns = ["image_id", "species", "x_min", "y_min", "x_max", "y_max"]
    return (
        images.sort_values("image_id", ignore_index=True),
        pd.DataFrame(boxes, columns=columns).sort_values(
            "image_id", kind="stable", ignore_index=True
        ),
    )
