"""What a training reads: data.yaml, labels checked by ourselves, yolov5's loaders.

yolov5's own scan is left out: it unpickles a `*.cache` file, trusts it when paths and sizes agree,
rewrites JPEGs that end early, and drops whole images with a log line.
"""

import contextlib
import dataclasses
import functools
import hashlib
import math
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagesize
import numpy as np
import numpy.typing as npt

from livestock_utils.core import frames, made, species
from livestock_utils.core.arrays import Array, Float32s
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.core.reading import read_yaml
from livestock_utils.core.threads import work_ahead
from livestock_utils.data.sets import reading, writing, yolo
from livestock_utils.data.sets.yolo import image_files, label_file, read_label
from livestock_utils.detect.train import cache as image_cache


@dataclasses.dataclass(frozen=True)
class Part:
    """A part: image files, an (n, 5) array of class and xywhn each, sizes, findings."""

    files: tuple[str, ...]
    labels: tuple[Float32s, ...]
    sizes_px: npt.NDArray[np.int64]
    """(n, 2) width and height."""
    findings: tuple[tuple[str, str], ...]
    """(kind, file name) of images that were left out or lack a label file."""

    @property
    def n_boxes(self) -> int:
        """Labelled animals in all images."""
        return sum(map(len, self.labels))


@dataclasses.dataclass(frozen=True)
class Data:
    """Class names in order, both parts, and a SHA-256 of all but the pixels themselves."""

    names: tuple[str, ...]
    train: Part
    valid: Part
    sha256: str


Source = Photos | str | os.PathLike | Sequence[str | os.PathLike]
"""What a part of a training is read from: photos, set folders, or .txt lists of images."""


def read_data(train: Source, valid: Source | None = None, place: str | os.PathLike = ".") -> Data:
    """Read both parts; without `valid`, `train` is a data.yaml that names them. Photos that lie in
    a set folder are used there; others are written below `place` as a set. `findings` count damaged
    images, left out, and those without a label file, used as background."""
    names, files = list_files(train, valid, place)
    if "valid" not in files:
        raise DatasetError("there is nothing to validate on: give valid, or a data.yaml as train")
    train_part, valid_part = (read_part(files[key], len(names)) for key in ("train", "valid"))
    if not train_part.n_boxes:
        where = f"{train}: " if isinstance(train, (str, os.PathLike)) else ""
        raise DatasetError(
            f"{where}the {len(train_part.files)} training images have no boxes; check the labels "
            "folder"
        )
    digest = hashlib.sha256(repr(names).encode())
    for part in (train_part, valid_part):
        for file, size, labels in zip(part.files, part.sizes_px, part.labels, strict=True):
            n_bytes = os.path.getsize(file)
            known = f"{Path(file).name} {size[0]} {size[1]} {n_bytes} {len(labels)}\n"
            digest.update(known.encode() + labels.tobytes())
        digest.update(b"|")
    return Data(names, train_part, valid_part, digest.hexdigest())


def data_folder(run_folder: Path) -> Path:
    """Where photos from archives are written for a run: beside its folder."""
    return run_folder.absolute().with_name(f"{run_folder.absolute().name}_data")


def list_files(
    train: Source, valid: Source | None = None, place: str | os.PathLike = "."
) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """Class names and image files of the parts "train" and "valid", see `read_data`."""
    if valid is None and isinstance(train, (str, os.PathLike)) and not Path(train).is_dir():
        return _read_yaml(train)
    return species.names(), {
        part: _files(source, Path(place) / part)
        for part, source in (("train", train), ("valid", valid))
        if source is not None
    }


def _files(source: Source, place: Path) -> list[str]:
    """The image files of a part; photos that lie in no set folder are written to `place`."""
    if not isinstance(source, Photos):
        entry = [str(one) for one in source] if isinstance(source, (list, tuple)) else str(source)
        return image_files(entry, Path.cwd(), "data set")
    folder = Path(source.folder)
    if not _lies_in(source, folder):
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise DatasetError(
                "photos from archives cannot be written by several processes; write the sets first "
                "(lu.write_set) and give their folders"
            )
        _write_once(place, source)
        return image_files("images", place, "data set")
    files = image_files("images", folder, "data set")
    if len(source) == (reading.read_manifest(folder)["species"] != yolo.BACKGROUND).sum():
        return files  # with its backgrounds, which are no photos of animals
    wanted = set(source.images["image_id"])
    return [file for file in files if Path(file).stem in wanted]


def _lies_in(photos: Photos, folder: Path) -> bool:
    """Whether photos are files of a set folder with just these labels."""
    if photos.source is not None or not (folder / yolo.MANIFEST).is_file():
        return False
    there = Photos(*reading.read_tables(folder), folder)
    if not set(photos.images["image_id"]) <= set(there.images["image_id"]):
        return False
    columns = ["image_id", "species", *XYXY]
    own, same = (
        part.boxes[columns].sort_values(columns, ignore_index=True)
        for part in (photos, there.select(photos.images["image_id"]))
    )
    return own.equals(same)


def _write_once(place: Path, photos: Photos) -> None:
    """Write photos as a set folder, unless the same ones were written there before."""
    labels = photos.boxes[["image_id", "species", *XYXY]].to_csv(index=False)
    digest = hashlib.sha256(labels.encode()).hexdigest()
    made_from = {"photos": photos.fingerprint(), "labels": digest}
    note, manifest = place.with_name(f"{place.name}.json"), place / yolo.MANIFEST
    if not made.is_there(manifest, made_from, note):
        writing.write_set(place, photos)
        made.record(manifest, made_from, note)


def _read_yaml(data_yaml: str | os.PathLike) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """A data.yaml: `train` and `val` are folders or .txt lists; relative paths count from `path:`
    if given, and that from the YAML's folder."""
    path = Path(data_yaml)
    if not path.is_file():
        raise DatasetError(f"data file not found: {path}; write one with write_data_yaml")
    content = read_yaml(path)
    given = content if isinstance(content, Mapping) else {}
    missing = [key for key in ("train", "val", "names") if not given.get(key)]
    if missing:
        raise DatasetError(f"{path}: lacks {', '.join(missing)}; write it with write_data_yaml")
    listed = content["names"]
    numbered = listed if isinstance(listed, Mapping) else {}
    if isinstance(listed, list):
        numbered = dict(enumerate(listed))
    of_number = {str(number): str(name) for number, name in numbered.items()}
    try:
        names = tuple(of_number[str(number)] for number in range(len(numbered) or 1))
    except KeyError as error:
        raise DatasetError(
            f"{path}: names must be a list, or have the numbers from 0, got {listed!r}"[:300]
        ) from error
    base = path.parent / str(content.get("path") or "")
    return names, {
        part: image_files(content[key], base, f"{path}, {key}")
        for part, key in (("train", "train"), ("valid", "val"))
    }


def read_part(files: list[str], n_classes: int) -> Part:
    """Check and read the images' headers and label files (`images` -> `labels`, suffix .txt)."""

    def one(file: str) -> tuple[str, npt.NDArray[np.int64] | None, Float32s]:
        return file, image_size(file), read_label(label_file(file), n_classes)

    rows = list(progress(work_ahead(one, files, workers=8), total=len(files), desc="labels"))
    kept = [row for row in rows if not _fault(row[1])]
    if not kept:
        raise DatasetError(
            f"none of {len(files)} images can be read, {files[0]} for one; copy the data set again"
        )
    read, sizes, labels = zip(*kept, strict=True)
    findings = [(_fault(row[1]), Path(row[0]).name) for row in rows if _fault(row[1])]
    bare = [Path(file).name for file in read if not label_file(file).is_file()]
    findings += [("no label file, background", name) for name in bare]
    return Part(read, labels, np.array(sizes), tuple(findings))


def _fault(size_px: npt.NDArray[np.int64] | None) -> str:
    """Why an image of this size is left out, or nothing."""
    if size_px is None:
        return "damaged image, left out"
    too_large = size_px.prod() > frames.MAX_PIXELS
    return "image above 100 megapixels, left out" if too_large else ""


def image_size(file: str) -> npt.NDArray[np.int64] | None:
    """Width and height in px of the upright image, or None for no whole image. A JPEG is told by
    its header and end; others are decoded by OpenCV, which trains on them and reads fewer kinds."""
    from PIL import Image

    with contextlib.suppress(OSError, ValueError):  # told below
        sides = imagesize.get(file)
        if math.prod(sides) > frames.MAX_PIXELS:
            return np.array(sides)
    try:
        with open(file, "rb") as stream:
            image = Image.open(stream)
            if image.format != "JPEG":
                stream.seek(0)
                sides = frames.decode(stream.read()).shape[1::-1]
            else:  # four orientations of EXIF swap the sides
                sides = image.size[::-1] if image.getexif().get(274) in (5, 6, 7, 8) else image.size
                stream.seek(-2, 2)
                if stream.read() != b"\xff\xd9":  # most end so, and need not be read
                    stream.seek(0)
                    if frames.is_truncated(stream.read()):
                        return None
    except (ArchiveError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return None if min(sides) < 10 else np.array(sides)


@functools.cache
def dataset_class(base: type) -> type:
    """yolov5's LoadImagesAndLabels over a checked Part, with the project's own caches."""

    class CheckedImages(base):
        """yolov5's augmenting data set without its own scan and pickled cache."""

        def __init__(
            self,
            part: Part,
            image_size: int,
            batch_size: int,
            hyp: Mapping[str, float],
            stride: int,
            augment: bool,
            augmentation: Callable,
            cache: str | None,
        ) -> None:
            self.img_size, self.augment, self.hyp, self.stride = image_size, augment, hyp, stride
            self.image_weights, self.rect, self.mosaic = False, not augment, augment
            self.mosaic_border = [-image_size // 2, -image_size // 2]
            self.albumentations = augmentation
            self.n = len(part.files)
            order = np.arange(self.n)
            self.batch, self.indices = order // batch_size, range(self.n)
            if self.rect:
                ratio = part.sizes_px[:, 1] / part.sizes_px[:, 0]
                order = ratio.argsort()
                self.batch_shapes = _batch_shapes(ratio[order], self.batch, image_size, stride)
            self.im_files = [part.files[i] for i in order]
            self.labels = [part.labels[i] for i in order]
            self.shapes = part.sizes_px[order]
            self.segments: list = [[]] * self.n
            self.ims: list = [None] * self.n
            if cache is not None:
                known = self.im_files, self.shapes, image_size, augment
                self.ims = image_cache.filled(cache, *known)

        def load_image(self, i: int) -> tuple[Array, tuple[int, int], tuple[int, int]]:
            """Image `i` in BGR at the training size, its own and its new height and width."""
            image = self.ims[i]
            if image is None:
                image = image_cache.read_resized(
                    self.im_files[i], self.img_size, self.augment, self.shapes[i]
                )
            if image_cache.is_blank(image):
                self.labels[i] = self.labels[i][:0]
            width, height = map(int, self.shapes[i])
            return image, (height, width), image.shape[:2]

    return CheckedImages


def _batch_shapes(
    ratio: Array, batch: Array, image_size: int, stride: int
) -> npt.NDArray[np.int64]:
    """(batches, 2) letterboxed heights and widths, from sorted height / width ratios."""
    shapes = np.ones((batch[-1] + 1, 2))
    for index, shape in enumerate(shapes):
        low, high = ratio[batch == index][[0, -1]]
        if high < 1:
            shape[0] = high
        elif low > 1:
            shape[1] = 1 / low
    return np.ceil(shapes * image_size / stride + 0.5).astype(int) * stride


class Loaders:
    """Batches of an epoch for training and validation; the order is restorable. Without workers all
    is drawn from the process's generators, which a resume file keeps. Workers start each epoch anew
    with seeds made of seed and epoch."""

    def __init__(
        self,
        y5: Any,
        train: Any,
        valid: Any,
        batch_size: int,
        seed: int,
        workers: int,
        device: Any,
        rank: int = -1,
    ) -> None:
        """Loaders of two data sets; `rank` is -1 on one GPU or none."""
        import torch
        from torch.utils.data import RandomSampler
        from torch.utils.data.distributed import DistributedSampler

        self.train_set = train
        self.seed, self.order, self.worker_seeds = seed, torch.Generator(), torch.Generator()
        # yolov5's own start, so that runs can be compared; its loader draws the workers' seed.
        self.order.manual_seed(6148914691236517205 + seed + rank)
        torch.empty((), dtype=torch.int64).random_(generator=self.order)
        if rank == -1:
            self.sampler: Any = RandomSampler(train, generator=self.order)
        else:
            self.sampler = DistributedSampler(train)
        # Forked where the system can, whatever Python's default: the cache is shared, not pickled.
        forks = workers and "fork" in multiprocessing.get_all_start_methods()
        loader = functools.partial(
            torch.utils.data.DataLoader,
            collate_fn=train.collate_fn,
            num_workers=workers,
            worker_init_fn=y5.dataloaders.seed_worker,
            pin_memory=device.type == "cuda",
            generator=self.worker_seeds,
            multiprocessing_context="fork" if forks else None,
        )
        self.train = loader(train, batch_size=min(batch_size, len(train)), sampler=self.sampler)
        self.valid = valid and loader(valid, batch_size=min(batch_size * 2, len(valid)))

    def start_epoch(self, epoch: int) -> None:
        """Make the workers' seeds, and the order across GPUs, those of this epoch."""
        self.worker_seeds.manual_seed(self.seed * 1_000_003 + epoch)
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)
