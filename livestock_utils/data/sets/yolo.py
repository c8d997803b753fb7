"""What a YOLO set holds before an image is read: labels, manifest, data.yaml.

A set is `images/<image_id>.jpg`, `labels/<image_id>.txt` (class and xywhn, one line a box, empty
without boxes), `manifest.csv` and `data.yaml`; a tar and a folder hold the same.
"""

import dataclasses
import hashlib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from livestock_utils.core import boxes as box_arithmetic
from livestock_utils.core import species as classes
from livestock_utils.core.arrays import Float32s, Floats, Places
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.reading import read_text
from livestock_utils.core.tables import IMAGE_COLUMNS, folds_of, require_columns
from livestock_utils.core.text import one_line
from livestock_utils.data.split.folds import strata_table

MANIFEST = "manifest.csv"
COLUMNS = (
    *("image_id", "species", "fold", "stratum", "archive", "member", "width_px", "height_px"),
    *("boxes", "bytes", "sha256", "label_sha256", "seed"),
)
"""Columns of manifest.csv: `fold` is empty without folds, `archive` and `member` name the source of
the JPEG, `bytes` and `sha256` are the JPEG's, `label_sha256` is the label file's, `seed` is the one
that the folds were made with."""
BACKGROUND = "background"
"""Species and stratum of photos without livestock in the manifest."""

_SAFE_ID = re.compile(r"(?!\.)[^\x00-\x1f/\\:]+")
_NO_HASH = "0" * 64


@dataclasses.dataclass
class Plan:
    """A set before it is written: manifest (sha256 still zeros), labels, how many boxes changed."""

    manifest: pd.DataFrame
    labels: list[bytes]
    clipped: int
    dropped: int
    too_small: int

    def summary(self, name: str) -> str:
        """One line: what the set holds and what was clipped or dropped on the way."""
        backgrounds = int((self.manifest["species"] == BACKGROUND).sum())
        return (
            f"{name}: {len(self.manifest) - backgrounds:,} images, "
            f"{int(self.manifest['boxes'].sum()):,} boxes"
            + (f", {backgrounds:,} backgrounds" if backgrounds else "")
            + f"; {self.clipped:,} boxes clipped to the frame, {self.dropped:,} dropped as outside "
            "it or without extent"
            + (f", {self.too_small:,} left out as too small" if self.too_small else "")
        )


def plan(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    folds: pd.Series | None = None,
    seed: int = 0,
    min_box_area_px: float = 0.0,
    backgrounds: pd.DataFrame | None = None,
) -> Plan:
    """The set of `images` with their boxes; `backgrounds` are rows of images without boxes. Boxes
    are clipped to the frame, because yolov5 drops the whole image for one label outside [0, 1];
    empty ones, and those under `min_box_area_px` (px2, before clipping), are left out."""
    strata = strata_table(Photos(images, boxes)).set_index("image_id")
    table = images.sort_values("image_id", ignore_index=True)
    table["stratum"] = strata["stratum"].loc[table["image_id"]].to_numpy()
    if backgrounds is not None and len(backgrounds):
        extra = backgrounds.assign(species=BACKGROUND, stratum=BACKGROUND)
        table = pd.concat([table, extra]).sort_values("image_id", ignore_index=True)
    _check(table)
    table["fold"] = _folds(table, folds)
    position = pd.Index(table["image_id"]).get_indexer(pd.Index(boxes["image_id"]))
    position, known = position[position >= 0], boxes[position >= 0]
    strange = known[~known["species"].isin(classes.names())]
    if len(strange):
        raise DatasetError(
            f"{len(strange)} boxes are of {strange['species'].iloc[0]!r} (image "
            f"{strange['image_id'].iloc[0]!r}), a species that species.yaml lacks: expected "
            f"{', '.join(classes.names())}; name it there, or drop them"
        )
    xyxy = known[box_arithmetic.XYXY].to_numpy(dtype=float)
    width, height = table[["width_px", "height_px"]].to_numpy(dtype=float)[position].T
    inside = box_arithmetic.clip_to_frame(xyxy, width, height)
    has_extent = np.isfinite(xyxy).all(axis=1) & (inside[:, 2:] > inside[:, :2]).all(axis=1)
    large = box_arithmetic.area(xyxy) >= min_box_area_px
    keep = has_extent & large
    clipped = int(((inside != xyxy).any(axis=1) & keep).sum())
    labels = _label_texts(
        len(table),
        position[keep],
        known["species"][keep].map(classes.class_index()).to_numpy(),
        box_arithmetic.xyxy_to_xywhn(inside[keep], width[keep], height[keep]),
    )
    table["boxes"] = np.bincount(position[keep], minlength=len(table))
    table["bytes"], table["sha256"], table["seed"] = 0, _NO_HASH, seed
    table["label_sha256"] = [hashlib.sha256(text).hexdigest() for text in labels]
    dropped, too_small = int((~has_extent).sum()), int((has_extent & ~large).sum())
    return Plan(table[list(COLUMNS)], labels, clipped, dropped, too_small)


def manifest_bytes(manifest: pd.DataFrame) -> bytes:
    """manifest.csv; as long whatever the hashes, so that it is written first and filled later."""
    return manifest[list(COLUMNS)].to_csv(index=False, lineterminator="\n").encode()


def parse_manifest(data: bytes, where: str | os.PathLike) -> pd.DataFrame:
    """The manifest from the bytes of manifest.csv (`where` names it); else DatasetError."""
    texts = ("image_id", "species", "stratum", "archive", "member", "sha256", "label_sha256")
    types: dict[str, Any] = dict.fromkeys(texts, str) | {"fold": "Int64"}
    types |= dict.fromkeys(("width_px", "height_px", "boxes", "bytes", "seed"), "int64")
    try:
        table = pd.read_csv(
            io.BytesIO(data), dtype=types, keep_default_na=False, na_values={"fold": [""]}
        )
    except Exception as error:  # what a damaged file leads pandas to has no common base
        told = f"{where}: {MANIFEST} is damaged ({one_line(error)})"
        raise DatasetError(told, "write the set again") from error
    require_columns(table, COLUMNS, f"{where}: {MANIFEST}", advice="write the set again")
    _check(table, f"{where}: {MANIFEST}: ")
    return table


def label_boxes(text: bytes, where: str) -> Floats:
    """(n, 5) of class index and xywhn from a label file's bytes; DatasetError for anything else."""
    try:
        lines = [line.split() for line in text.decode("ascii").splitlines() if line.strip()]
        return np.array(lines, dtype=float).reshape(-1, 5)
    except ValueError as error:
        raise DatasetError(
            f"{where}: expected lines of a class and four shares; write the set again"
        ) from error


def data_yaml(train: str | Sequence[str], valid: str | Sequence[str], names: Sequence[str]) -> str:
    """The text of yolov5's data.yaml."""
    entries = {"train": train, "val": valid, "nc": len(names), "names": dict(enumerate(names))}
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)


def background_images(
    folder: str | os.PathLike, n_images: int, share: float, seed: int = 0
) -> pd.DataFrame:
    """An images table of photos without livestock that make `share` of a set with `n_images`. Drawn
    from the JPEGs in `folder` and below by `seed`; fewer than asked for are all taken."""
    if not 0 <= share <= 0.1:
        raise DatasetError(
            f"background_share must lie in [0, 0.1], got {share}; up to a tenth of the set helps"
        )
    if share == 0:
        return pd.DataFrame(columns=IMAGE_COLUMNS)
    photos = (p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    files = sorted(p.relative_to(folder).as_posix() for p in photos)
    if not files:
        raise DatasetError(
            f"no JPEG in the background folder {folder}; give a folder of photos without livestock"
        )
    wanted = round(n_images * share / (1 - share))
    chosen = np.random.default_rng(seed).permutation(len(files))[:wanted]
    import imagesize

    rows = []
    for name in sorted(files[i] for i in chosen):
        width, height = imagesize.get(Path(folder, name))
        rows.append((f"{BACKGROUND}_{Path(name).stem}", BACKGROUND, width, height, ".", name))
    return pd.DataFrame(rows, columns=IMAGE_COLUMNS)


def _label_texts(
    n_images: int, position: Places, index: npt.NDArray[np.int_], xywhn: Floats
) -> list[bytes]:
    """Label file of each image; 9 digits give pixels back to 1e-4 px in frames of 100,000 px."""
    lines: list[list[str]] = [[] for _ in range(n_images)]
    rows = zip(position.tolist(), index.tolist(), xywhn.tolist(), strict=True)
    for image, label, (x, y, width, height) in rows:
        lines[image].append(f"{label} {x:.9f} {y:.9f} {width:.9f} {height:.9f}\n")
    return ["".join(of_image).encode() for of_image in lines]


def _folds(table: pd.DataFrame, folds: pd.Series | None) -> pd.Series:
    """Fold by row, missing where there is none (no folds given, background)."""
    if folds is None:
        return pd.Series(pd.NA, index=table.index, dtype="Int64")
    animals = table.loc[table["species"] != BACKGROUND, "image_id"]
    return folds_of(animals, folds).reindex(table.index).astype("Int64")


def _check(table: pd.DataFrame, where: str = "") -> None:
    repeated = table["image_id"][table["image_id"].duplicated()]
    if len(repeated):
        raise DatasetError(
            f"{where}image id {repeated.iloc[0]!r} stands more than once; rename one of the two"
        )
    for image_id in table["image_id"]:
        if not _SAFE_ID.fullmatch(image_id) or len(image_id.encode()) > 250:
            raise DatasetError(
                f"{where}image id {image_id!r} cannot be a file name; it may hold no / \\ :, not "
                "start with a dot and take 250 bytes at most"
            )
    unsized = table["image_id"][~((table["width_px"] > 0) & (table["height_px"] > 0))]
    if len(unsized):
        raise DatasetError(
            f"{where}{len(unsized)} images have no frame size, the first is "
            f"{unsized.iloc[0]!r}; drop them first"
        )


IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def image_files(entry: Any, base: Path, where: str) -> list[str]:
    """Sorted absolute image paths of the folders or .txt lists of a `train:` or `val:` entry."""
    found: list[str] = []
    for item in entry if isinstance(entry, list) else [entry]:
        place = (base / str(item)).resolve()
        if os.path.isdir(place):  # Path.is_dir raises on a name that is too long
            files = (file for file in place.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
            found += map(str, files)
        elif os.path.isfile(place) and place.suffix == ".txt":
            lines = map(str.strip, read_text(place).split("\n"))
            found += [str((place.parent / line).resolve()) for line in lines if line]
        else:
            raise DatasetError(
                f"{where}: {place} is no folder and no .txt list; extract the data set there first"
            )
    if not found:
        raise DatasetError(
            f"{where}: no images in {entry}; expected files ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return sorted(found)


def label_file(image: str | Path) -> Path:
    """The label file of an image: the last `images` of its path becomes `labels`, .txt."""
    head, found, tail = str(image).rpartition("/images/")
    return Path(os.path.splitext(f"{head}/labels/{tail}" if found else image)[0] + ".txt")


def read_label(path: Path, n_classes: int) -> Float32s:
    """Rows of class and xywhn -> (n, 5); repeated rows once, none for no file."""
    text = read_text(path) if os.path.exists(path) else ""
    rows = [
        _label_row(line, f"{path}, line {number}", n_classes)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    labels = np.array(rows, dtype=np.float32).reshape(-1, 5)
    unique, first = np.unique(labels, axis=0, return_index=True)
    # As yolov5 orders them: sorted only if some repeat.
    return labels[first] if len(unique) < len(labels) else labels


def _label_row(line: str, where: str, n_classes: int) -> list[float]:
    try:
        row = [float(word) for word in line.split()]
    except ValueError:
        row = []
    if len(row) != 5 or not all(0 <= value <= 1 for value in row[1:]):
        raise DatasetError(
            f"{where}: expected a class and four shares in [0, 1], got {line.strip()[:60]!r}; "
            "write the labels with lu.write_set, which clips boxes to the frame"
        )
    if row[0] not in range(n_classes):
        raise DatasetError(
            f"{where}: class {row[0]:g}, but data.yaml names {n_classes} classes (0 to "
            f"{n_classes - 1}); use the data.yaml that belongs to these labels"
        )
    return row
