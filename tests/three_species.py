"""A sample of three species: pigs and cows as drawn, and goats, which are cows of another seed
under another name."""

import zipfile
from pathlib import Path

import pandas as pd
import yaml

from livestock_utils.core import species
from livestock_utils.data.sample import drawing

WORD = "염소"
"""Korean for goat; it ends in the word for cow (소), which must not make it one."""


def write_settings(path: Path) -> Path:
    """The package's species.yaml with a third entry."""
    shipped = species.PACKAGE / "assets" / "species.yaml"
    settings = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    settings["goat"] = {
        "archive_words": [WORD],
        "id_prefix": "livestock_goat_bbox_",
        "count_bins": [3, 5],
        "contest_size_px": [1920, 1080],
        "colour": "#009E73",
    }
    path.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def write_data(folder: Path, n_images: int = 24, scale: float = 0.1) -> Path:
    """A data folder in AI Hub's layout with six training and three test archives, and answers."""
    data = drawing.write_sample(folder / "data", n_images=n_images, n_test_images=8, scale=scale)
    other = drawing.write_sample(
        folder / "other", n_images=n_images // 2, n_test_images=4, scale=scale, seed=1
    )
    for archive in sorted(other.glob("data*/*소_bbox.zip")):
        target = data / archive.parent.name / archive.name.replace("소", WORD)
        with zipfile.ZipFile(archive) as read, zipfile.ZipFile(target, "w") as written:
            for name in read.namelist():
                written.writestr(_renamed(name), _content(name, read.read(name)))
    goats = pd.read_csv(other / "answer.csv")
    goats = goats[goats["LabelName"] == "cow"].map(
        lambda value: _renamed(value) if isinstance(value, str) else value
    )
    pd.concat([pd.read_csv(data / "answer.csv"), goats]).to_csv(data / "answer.csv", index=False)
    (data / "truth.csv").unlink()  # knows no goats
    return data


def _renamed(text: str) -> str:
    return text.replace("cow", "goat")


def _content(name: str, content: bytes) -> bytes:
    return _renamed(content.decode()).encode() if name.endswith(".json") else content
