"""Photos: the images and boxes tables together with the place where the images' bytes are."""

import contextlib
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from livestock_utils.core import overlaps, tables
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.reading import read_csv
from livestock_utils.core.text import count


class Reader(Protocol):
    """Whatever gives an image's bytes; `archives.ImageReader` does."""

    def bytes(self, archive: str, member: str) -> bytes:
        """The bytes of one member; ArchiveError or OSError if it cannot be read."""

    def stamp(self, archive: str, member: str) -> str:
        """What tells other bytes under the same name; ArchiveError or OSError as `bytes`."""


class FolderReader:
    """Plain image files: `archive` is a folder ("" for none) and `member` a file below `folder`."""

    def __init__(self, folder: str | os.PathLike) -> None:
        """`folder` is what the table's paths are relative to."""
        self.folder = Path(folder)

    def bytes(self, archive: str, member: str) -> bytes:
        """See `Reader`."""
        return (self.folder / archive / member).read_bytes()

    def stamp(self, archive: str, member: str) -> str:
        """See `Reader`: the size."""
        return str((self.folder / archive / member).stat().st_size)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Photos:
    """Images, their labelled boxes, and where the bytes are; nothing is read until it is needed.

        photos = lu.read_archives("DATA/data")
        valid = photos.fold(folds, 0)
        valid.open(valid.images["image_id"].iloc[0])  # a PIL image

    Args:
        images: one row an image: image_id, species, width_px, height_px, archive, member.
        boxes: one row a box: image_id, species, x_min, y_min, x_max, y_max in px, half-open.
        folder: what the `archive` column is relative to; plain files where `archive` is empty.
        source: gives the bytes in place of `folder`, for frames that are no files.
    """

    images: pd.DataFrame
    boxes: pd.DataFrame = dataclasses.field(
        default_factory=lambda: pd.DataFrame(columns=tables.BOX_COLUMNS)
    )
    folder: str | os.PathLike = ""
    source: Reader | None = None

    @classmethod
    def read_tables(cls, folder: str | os.PathLike, archives: str | os.PathLike) -> "Photos":
        """The photos whose tables notebook 01 wrote into `folder`; `archives` holds their bytes."""
        return cls(*tables.read_tables(folder), archives)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """What it holds: "Photos: 50 images (30 cow, 20 pig), 210 boxes, in data/sample/data"."""
        kinds = self.images["species"].value_counts().sort_index()
        species = ", ".join(f"{number:,} {name or 'none'}" for name, number in kinds.items())
        place = self.folder if self.source is None else type(self.source).__name__
        return (
            f"Photos: {count(len(self), 'image')}{f' ({species})' if species else ''}, "
            f"{count(len(self.boxes), 'box', 'boxes')}, in {os.fspath(place) or '.'}"
        )

    def select(self, image_ids: Iterable[str]) -> "Photos":
        """The images of these ids, in the order of the table; DatasetError for one not there."""
        wanted = set(image_ids)
        is_wanted = self.images["image_id"].isin(wanted)
        if unknown := sorted(wanted - set(self.images["image_id"])):
            raise DatasetError(
                f"{len(unknown)} of {len(wanted)} image ids are not among the {len(self)} photos, "
                f"the first is {unknown[0]!r}; select from the photos that hold them"
            )
        return self._part(self.images[is_wanted])

    def without(self, others: "Photos") -> "Photos":
        """The photos that are not among `others`."""
        return self._part(self.images[~self.images["image_id"].isin(others.images["image_id"])])

    def fold(self, folds: pd.Series, fold: int, others: bool = False) -> "Photos":
        """The photos of one fold, or with `others` of all other folds.

        Args:
            folds: fold of each image, indexed by image_id (`lu.stratified_folds`).
            fold: the number of the fold.
            others: take the other folds in its place: the training part.

        Raises:
            DatasetError: for images without a fold, and a fold that holds no image.
        """
        of_image = tables.folds_of(self.images["image_id"], folds)
        chosen = self._part(self.images[(of_image == fold) != others])
        if not len(chosen):
            raise DatasetError(
                f"no image is in {'any fold but ' if others else 'fold '}{fold}; the folds are "
                f"{sorted(of_image.unique().tolist())}"
            )
        return chosen

    def sample(self, n: int, seed: int = 0) -> "Photos":
        """`n` photos drawn at random (all if there are fewer), in the order of the table."""
        drawn = np.random.default_rng(seed).permutation(len(self))[:n]
        return self._part(self.images.iloc[np.sort(drawn)])

    def complete(self, data: str | os.PathLike) -> "Photos":
        """The same photos with all animals labelled, where `data`/truth.csv knows them: that is,
        in a drawn sample. DatasetError for a truth file of other data, by where its animals are."""
        path, boxes = Path(data) / "truth.csv", self.boxes
        if path.is_file():
            boxes = read_csv(path, dtype=tables.COLUMN_TYPES, keep_default_na=False)
            label, _, iou = overlaps.pairs(self.boxes, boxes)
            on_animal = overlaps.largest(iou, label, len(self.boxes)) >= 0.5
            if len(on_animal) and on_animal.mean() < 0.5:
                raise DatasetError(
                    f"{path} is of other data: {on_animal.sum()} of {len(on_animal)} labels lie on "
                    "one of its animals; take the data folder that these photos came from"
                )
        return self.with_boxes(boxes[tables.BOX_COLUMNS])

    def with_boxes(self, boxes: pd.DataFrame) -> "Photos":
        """The same images with other labels; boxes of other images are left out."""
        mine = boxes["image_id"].isin(self.images["image_id"])
        return dataclasses.replace(self, boxes=boxes[mine].reset_index(drop=True))

    def corrected(self, folder: str | os.PathLike) -> "Photos":
        """The same images with the labels of `folder`'s tables, or as they are for ""; DatasetError
        for a folder without tables, and for tables of other images."""
        if not folder:
            return self
        if not (Path(folder) / "boxes.csv").is_file():
            raise DatasetError(
                f"{folder} holds no corrected tables: notebook 06_error_analysis writes them into "
                "OUT/labels/tables"
            )
        images, boxes = tables.read_tables(folder)
        if strange := sorted(set(self.images["image_id"]) ^ set(images["image_id"])):
            raise DatasetError(
                f"{folder} holds labels of other images: {len(strange)} are only there or only in "
                f"the archives, the first is {strange[0]!r}"
            )
        return dataclasses.replace(self, boxes=boxes)

    def write_tables(self, folder: str | os.PathLike) -> None:
        """Write images.csv and boxes.csv into `folder`, which `read_tables` reads again."""
        tables.write_tables(folder, self.images, self.boxes)

    def open(self, image_id: str) -> Any:
        """The photo as an upright RGB PIL image; DatasetError for an unknown id."""
        from PIL import Image, ImageOps

        rows = self.images[self.images["image_id"] == image_id].to_dict("records")
        if not rows:
            raise DatasetError(
                f"no photo {image_id!r} among {len(self)}; see .images for their image_id"
            )
        with self.reader() as reader:
            data = reader.bytes(rows[0].get("archive", ""), rows[0]["member"])
        with Image.open(io.BytesIO(data)) as image:
            return ImageOps.exif_transpose(image).convert("RGB")

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open what gives the images' bytes: the `source`, archives, or plain files."""
        if self.source is not None:
            yield self.source
        elif "archive" in self.images and (self.images["archive"] != "").any():
            with ImageReader(self.folder) as opened:
                yield opened
        else:
            yield FolderReader(self.folder)

    def fingerprint(self) -> str:
        """SHA-256 that tells these photos from others: ids, places and stamps of their bytes."""
        archives = self.images["archive"] if "archive" in self.images else [""] * len(self)
        places = sorted(zip(self.images["image_id"], archives, self.images["member"], strict=True))
        digest = hashlib.sha256()
        with self.reader() as reader:
            for image_id, archive, member in places:
                stamp = "unreadable"
                with contextlib.suppress(ArchiveError, OSError):
                    stamp = reader.stamp(archive, member)
                digest.update(f"{image_id}\0{archive}\0{member}\0{stamp}\n".encode())
        return digest.hexdigest()

    def _part(self, images: pd.DataFrame) -> "Photos":
        part = dataclasses.replace(self, images=images.reset_index(drop=True))
        return part.with_boxes(self.boxes)
