"""Run the network once over photos: candidates in part files, or predictions."""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core import files
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.photos import Photos, Reader
from livestock_utils.detect.backends import base, loading
from livestock_utils.detect.predict import candidates, postprocess
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.passes import PART_IMAGES, NetworkPass, part_path
from livestock_utils.detect.predict.postprocess import PostprocessSettings

log = logging.getLogger(__name__)

_LEAST_SIZE = 32
"""Least image_size in px: YOLOv5's networks halve their input five times."""
_TOLD: set[str] = set()
_USUAL_SIZE = 640
"""For weights that do not say at which size they were trained, such as COCO's."""


def predict(
    weights: Any,
    photos: Photos,
    *,
    image_size: int | None = None,
    confidence_threshold: float = 0.001,
    iou_threshold: float = 0.6,
    max_detections: int = 300,
    multi_label: bool = True,
    settings: PostprocessSettings | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The animals in photos: a predictions table.

        found = lu.predict(run.best, valid)
        sure = found[found["confidence"] >= 0.25]

    Args:
        weights: path of a .pt, .onnx, .torchscript or .xml (OpenVINO) file, or a loaded model; a
            list of them is an ensemble, whose boxes are put together.
        photos: what is predicted; sizes in its table are not needed, but make fuller batches.
        image_size: longer side in px that the network sees; None: what it was trained with, 640
            for weights that do not say.
        confidence_threshold: least confidence, in [0, 1].
        iou_threshold: boxes of a class that overlap more are one animal, in [0, 1].
        max_detections: most boxes of an image.
        multi_label: every class of an anchor is a box (yolov5's val), else its best (detect).
        settings: replaces the four before it, see `PostprocessSettings`.
        options: passes, batch_size, device, half, backend, workers, parts_folder, of `prepare`.

    Returns:
        image_id, species, x_min, y_min, x_max, y_max in px of the photo, confidence; sorted by
        image_id and falling confidence. Photos without animals have no rows.

    Raises:
        CheckpointError: for weights that are absent, damaged or of other classes.
        DatasetError: for an image that is in the table twice.
        LivestockError: for values out of range.
    """
    settings = settings or PostprocessSettings(
        "nms", confidence_threshold, iou_threshold, max_detections, multi_label=multi_label
    )
    options = {"image_size": image_size, **settings.needs, **options}
    return postprocess.apply(collect_candidates(weights, photos, **options), settings)


def collect_candidates(
    weights: Any, photos: Photos, *, shard: str = "1/1", **options: Any
) -> Candidates:
    """Run the network once over `photos`; `weights` as of `predict`, `options` of `prepare`. With
    `shard` "i/n" and a `parts_folder` every n-th part alone is computed and returned (`gather` puts
    all together). Unreadable images are logged and kept without candidates."""
    parse_shard(shard)
    with shards(weights, photos, **options) as of_shard:
        found = of_shard(shard)
    report(found, photos.images)
    return found


def pass_names(passes: Sequence[str], n_members: int) -> tuple[str, ...]:
    """The passes of each network of an ensemble: plain, plain@2, plain@3, ..."""
    later = [f"{name}@{number}" for number in range(2, n_members + 1) for name in passes]
    return (*passes, *later)


def of_members(
    weights: Sequence[Any], names: Sequence[str], run: Callable[[Any, tuple[str, ...]], Candidates]
) -> Candidates:
    """The candidates of several networks as passes of one: `run` gives those of a network and its
    passes, `names` are as of `pass_names`. LivestockError for a network that is not there."""
    runs = []
    for number, one in enumerate(weights, start=1):
        mine = [name for name in names if (name.partition("@")[2] or "1") == str(number)]
        if mine:
            found = run(one, tuple(name.partition("@")[0] for name in mine))
            runs.append(dataclasses.replace(found, passes=tuple(mine)))
    if lost := sorted(set(names) - {name for one in runs for name in one.passes}):
        raise LivestockError(
            f"the settings use the pass {lost[0]!r}, but {len(weights)} weights are given: give "
            "all weights of the ensemble, in the order that they were tuned in"
        )
    stacked = candidates.stack(runs)
    made_with = stacked.made_with | {"weights": [one.made_with["weights"] for one in runs]}
    return dataclasses.replace(stacked, made_with=made_with) if len(runs) > 1 else stacked


@contextlib.contextmanager
def shards(weights: Any, photos: Photos, **options: Any) -> Iterator[Callable[[str], Candidates]]:
    """A call that gives the candidates of a shard "i/n"; what looks at all images is done once.
    `options`: of `prepare`."""
    run = prepare(weights, **options)
    with photos.reader() as reader:
        yield run(photos, reader)


def prepare(
    weights: Any, **options: Any
) -> Callable[[Photos, Reader], Callable[[str], Candidates]]:
    """A call that takes photos and their opened reader and gives another, from a shard "i/n" to its
    candidates. `floor`: lowest confidence kept, half of the write-up's threshold; `cap`: most of an
    image and pass. `batch_size`: default 16 on a GPU, 4 on a CPU, which is faster there. `passes`:
    one run each of "plain", "flip", "x0.83" (scale), "x0.83-flip" ... `like`: letterbox as yolov5's
    "detect" or "val". `opening`: backend, device, half (float16; default on a GPU), any_classes
    (not ours too), trust (unrestricted unpickling); or `network`, these weights opened already.
    `parts_folder`: takes part files, which a stopped run goes on from; `part_images`: images a part
    at most, the same for all shards."""
    if not isinstance(weights, list | tuple):
        if not any("@" in name for name in options.get("passes") or ()):
            return _prepare_one(weights, **options)
        weights = [weights]  # settings of an ensemble: `of_members` says what is missing
    names = options.pop("passes", None) or pass_names(("plain",), len(weights))
    member = functools.cache(functools.partial(_prepare_one, **options))

    def run(photos: Photos, reader: Reader) -> Callable[[str], Candidates]:
        def of_shard(shard: str) -> Candidates:
            def of_member(one: Any, passes: tuple[str, ...]) -> Candidates:
                return member(one, passes=passes)(photos, reader)(shard)

            return of_members(weights, names, of_member)

        return of_shard

    return run


def _prepare_one(
    weights: Any,
    *,
    image_size: int | None = None,
    batch_size: int | None = None,
    floor: float = 0.0005,
    cap: int = 3000,
    passes: Sequence[str] = ("plain",),
    like: str = "detect",
    network: base.Backend | None = None,
    parts_folder: str | os.PathLike | None = None,
    part_images: int = PART_IMAGES,
    workers: int = 2,
    **opening: Any,
) -> Callable[[Photos, Reader], Callable[[str], Candidates]]:
    if not 0 <= floor <= 1 or cap < 1 or like not in ("detect", "val"):
        raise LivestockError(
            "floor must lie in [0, 1], cap be at least 1, like be 'detect' or 'val', got "
            f"{floor!r}, {cap!r}, {like!r}"
        )
    if image_size is not None and image_size < _LEAST_SIZE:
        raise LivestockError(f"image_size must be at least {_LEAST_SIZE} px, got {image_size!r}")
    is_path = isinstance(weights, str | os.PathLike)
    if parts_folder is not None and not is_path:
        raise LivestockError(
            "part files need the path of the weights, to know them again; got a loaded model"
        )
    opened = network or loading.open_backend(weights, **opening)
    step = batch_size if batch_size is not None else opened.best_batch
    if step < 1 or part_images < 1:
        raise LivestockError(
            f"batch_size must be at least 1, part_images too, got {step} and {part_images}"
        )
    made_with = {
        "weights": files.sha256(weights) if is_path else "a loaded model",
        "image_size": _known_size(opened, image_size),
        "floor": floor,
        "cap": cap,
        "like": like,
        "half": opened.half,
        "backend": type(opened).__name__,
    }
    how = (workers, step, part_images, parts_folder)

    def run(photos: Photos, reader: Reader) -> Callable[[str], Candidates]:
        images = photos.images.sort_values("image_id", kind="stable", ignore_index=True)
        if len(twice := images.loc[images["image_id"].duplicated(), "image_id"]):
            raise DatasetError(
                f"image {twice.iloc[0]!r} is in the table twice; give each image one row"
            )
        mine = made_with | {"images": dataclasses.replace(photos, source=reader).fingerprint()}
        runs = [NetworkPass(opened, images, reader, mine, name, *how) for name in passes]
        return lambda shard: candidates.stack([one.all_parts(*parse_shard(shard)) for one in runs])

    return run


def _known_size(network: base.Backend, asked: int | None) -> int:
    """The image size to predict at; one line where it is not what the network was trained with."""
    known = getattr(network, "notes", {}).get("image_size")
    if asked and known and asked != known:
        log.warning("the network was trained at %d px and predicts at %d px", known, asked)
    if not asked and not known:
        log.warning("the weights do not say their image size: %d px are used", _USUAL_SIZE)
    return asked or known or _USUAL_SIZE


def gather(parts_folder: str | os.PathLike, passes: Sequence[str] = ("plain",)) -> Candidates:
    """The part files of all shards -> `Candidates`; DatasetError if parts are missing."""
    parts = [_parts(parts_folder, name) for name in passes]
    if not any(there for there, _ in parts):
        raise DatasetError(f"{parts_folder}: no part files; predict at least one shard first")
    if missing := [path for _, lacking in parts for path in lacking]:
        raise DatasetError(
            f"{missing[0]} is missing ({len(missing)} such parts); run the shards that make them"
        )
    runs = [
        candidates.merge([candidates.load(path) for path in there], [path.name for path in there])
        for there, _ in parts
    ]
    return candidates.stack(runs)


def parts_there(parts_folder: str | os.PathLike, passes: Sequence[str]) -> tuple[int, int]:
    """How many part files there are, and will be as far as they tell; (0, 0) for none."""
    parts = [_parts(parts_folder, name) for name in passes]
    totals = [len(there) + len(missing) if there else 0 for there, missing in parts]
    most = max(totals)  # of a pass without files: about as many as the others
    return sum(len(there) for there, _ in parts), sum(total or most for total in totals)


def _parts(parts_folder: str | os.PathLike, name: str) -> tuple[list[Path], list[Path]]:
    """Part files of a pass, and those that no shard has written yet; without any, the first."""
    folder = Path(parts_folder) / name
    there = sorted(folder.glob("part-*-of-*.npz"))
    total = int(there[-1].stem.rpartition("-")[2]) if there else 1
    wanted = [part_path(folder, k, total) for k in range(total)]
    return there, [path for path in wanted if path not in there]


def report(found: Candidates, images: pd.DataFrame) -> None:
    """Log a line each: unreadable images, images over the cap, frames of unexpected size."""
    n = len(found.images)
    if unreadable := found.unreadable:
        why = found.images.set_index("image_id")["status"]
        listed = ", ".join(f"{name} ({why[name]})" for name in unreadable[:5])
        log.warning(
            f"{len(unreadable)} of {n} images could not be read and stay, without detections: "
            f"{listed}{', ...' if len(unreadable) > 5 else ''}"
        )
    if found.capped and not _TOLD:
        _TOLD.add("cap")
        log.warning(
            f"{found.capped} of {n} images have more than {found.made_with['cap']} candidates; "
            "their least confident were left out, which costs an animal only where no surer box is "
            "on it (told once)"
        )
    size = ["width_px", "height_px"]
    images = images.reindex(columns=["image_id", *size])
    told = found.images[["image_id"]].merge(images, how="left")
    is_other = (found.images[size] != told[size]).any(axis=1) & (told["width_px"] > 0)
    is_other &= found.images["status"] == "ok"
    if is_other.any():
        row, of_table = found.images[is_other].iloc[0], told[is_other].iloc[0]
        log.warning(
            f"{is_other.sum()} images have another size than the table says, first "
            f"{row['image_id']}: {row['width_px']} x {row['height_px']} instead of "
            f"{of_table['width_px']:.0f} x {of_table['height_px']:.0f}; boxes are in pixels of the "
            "image"
        )


def parse_shard(shard: str) -> tuple[int, int]:
    """ "2/8" -> (2, 8); raises LivestockError unless 1 <= i <= n."""
    first, _, second = str(shard).partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise LivestockError(f"shard must read i/n with 1 <= i <= n, such as 2/8, got {shard!r}")
    return int(first), int(second)
