"""Drawn livestock scenes in AI Hub's layout, with answers and the truth about unlabelled cows.

Counts, frame sizes and box sizes follow those of the AI Hub set as the original's EDA notebook
reports them.
"""

import contextlib
import dataclasses
import functools
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from livestock_utils.core import boxes, files, made
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.progress import progress
from livestock_utils.core.reading import read_csv
from livestock_utils.core.species import by_name
from livestock_utils.core.text import nfc
from livestock_utils.data.sample.scenes import barns, compose

WARM_START_SEEDS = tuple(range(1000, 1010))
"""Seeds of the shipped starting weights' scenes; `write_sample` is not to be scored on them."""

_STAMP = "sample.json"
_DRAWN = 3
"""Counts up when the drawing changes, so that a sample of before is drawn again."""
_UNFINISHED = -1
_JPEG_QUALITY = 84
_FIRST_TEST_NUMBER = 500_000
# Boxes an image as in the AI Hub set: 506 / 2,749 / 1,048 pig images with < 8, 8-12, >= 13 boxes,
# 45,898 boxes in all; 7,383 / 3,413 / 1,356 cow images with < 4, 4-5, >= 6 boxes, 39,943 boxes in
# all.
_COUNTS = {
    "pig": (
        {4: 0.06, 5: 0.2, 6: 0.32, 7: 0.42},
        {8: 0.14, 9: 0.19, 10: 0.23, 11: 0.23, 12: 0.21},
        {13: 0.42, 14: 0.27, 15: 0.18, 16: 0.08, 17: 0.03, 18: 0.02},
        (506, 2749, 1048),
    ),
    "cow": (
        {1: 0.27, 2: 0.36, 3: 0.37},
        {4: 0.6, 5: 0.4},
        {6: 0.5, 7: 0.26, 8: 0.13, 9: 0.06, 10: 0.03, 11: 0.02},
        (7383, 3413, 1356),
    ),
}
_SMALL_FRAME_SHARE = {"pig": 1172 / 4303, "cow": 0.0}
# Images come in runs of one scene, as frames of a video do; each run is so many images long, over
# and over.
_RUNS = (1, 1, 3, 1, 2, 1, 1)
_SCENES_A_BARN = 4
_EMPTY_EVERY, _EMPTY_AT = 60, 5


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What image number `number` of a species and split shows."""

    species: str
    split: str
    number: int
    scene: int
    frame: int
    barn: int
    width_px: int
    height_px: int
    labelled: int

    @property
    def image_id(self) -> str:
        first = 1 if self.split == "train" else _FIRST_TEST_NUMBER + 1
        return f"{by_name(self.species).id_prefix}{first + self.number:06d}"


def write_sample(
    folder: str | Path,
    n_images: int = 200,
    n_test_images: int = 40,
    seed: int = 0,
    scale: float = 1.0,
) -> Path:
    """Draw a data folder in AI Hub's layout; returns the folder.

    Writes `data/` (four training zips), `data_test/` (two zips of images, none for
    `n_test_images=0`), `answer.csv` (the contest's columns, all test animals, divided by the
    contest's constants), `truth.csv` (all animals of the training images; `labelled` is False for
    the cows left out of the labels), `scenes.csv` (which images show the same scene and barn) and
    the stamp `sample.json`. One image in four is of pigs. `scale` multiplies the frames of
    1920x1080 and 1280x960. The same arguments give the same bytes; a second call with them does
    nothing. An image depends on the seed, the scale and its number, not on how many there are.
    Raises LivestockError for counts below 2, a scale outside [0.05, 1], or archives in `folder`
    that this did not write; what is there then stays.
    """
    folder = Path(folder)
    _check(n_images, n_test_images, seed, scale)
    counts = {"n_images": n_images, "n_test_images": n_test_images}
    arguments = {**counts, "seed": seed, "scale": scale, "drawn": _DRAWN}
    stamp = made.read(folder / _STAMP)
    if stamp.get("arguments") == arguments and _is_whole(folder, stamp.get("files", {})):
        logging.getLogger(__name__).info("sample in %s is there already", folder)
        return folder
    if any(".zip" in path.name.lower() for path in folder.glob("*")):
        raise LivestockError(
            f"{folder} is a folder of archives: choose an empty folder, or {folder.parent}"
        )
    wanted = {"train": n_images, "test": n_test_images}
    plans = {split: _plans(split, count, seed, scale) for split, count in wanted.items()}
    _remove_own(folder, stamp.get("files", {}))
    own = _file_names(bool(plans["test"]))
    # Named before they are written, so that a call after one that was killed knows its own
    # archives.
    unfinished = {"arguments": arguments, "files": dict.fromkeys(own, _UNFINISHED)}
    files.write_json(folder / _STAMP, unfinished)
    rows: list[tuple] = []
    with progress(total=n_images + n_test_images, desc="sample", unit="image") as bar:
        for split, sub in (("train", "data"), ("test", "data_test")):
            for name in _COUNTS if plans[split] else ():
                chosen = [plan for plan in plans[split] if plan.species == name]
                rows += _write_archives(folder / sub, name, chosen, seed, bar)
    truth = pd.DataFrame(rows, columns=["image_id", "species", *boxes.XYXY, "labelled", "split"])
    truth = truth.sort_values("image_id", kind="stable", ignore_index=True)
    known = truth[truth["split"] == "train"].drop(columns="split")
    files.write_text(folder / "truth.csv", known.to_csv(index=False, lineterminator="\n"))
    answer = _answers(truth[truth["split"] == "test"])
    files.write_text(folder / "answer.csv", answer.to_csv(index=False, lineterminator="\n"))
    known_scenes = [
        (p.image_id, p.split, f"{p.species}_{p.split}_{p.scene:05d}", f"{p.species}_{p.barn:04d}")
        for p in plans["train"] + plans["test"]
    ]
    groups = pd.DataFrame(known_scenes, columns=["image_id", "split", "scene", "barn"])
    groups = groups.sort_values("image_id", kind="stable")
    files.write_text(folder / "scenes.csv", groups.to_csv(index=False, lineterminator="\n"))
    sizes = {name: (folder / name).stat().st_size for name in own}
    files.write_json(folder / _STAMP, {"arguments": arguments, "files": sizes})
    return folder


def read_truth(folder: str | Path) -> pd.DataFrame:
    """All animals of a sample's training images: the columns of `boxes` and `labelled` (bool).
    Raises LivestockError where the folder has no truth.csv (real data has none)."""
    path = Path(folder) / "truth.csv"
    if not path.is_file():
        raise LivestockError(f"{path} not found: only a folder that the sample wrote has the truth")
    return read_csv(path, dtype={"image_id": str, "species": str, "labelled": bool})


def _check(n_images: int, n_test_images: int, seed: int, scale: float) -> None:
    if n_images < 2 or not (n_test_images == 0 or n_test_images >= 2):
        raise LivestockError(
            f"a sample needs at least 2 images, and 0 or at least 2 test images, got {n_images} "
            f"and {n_test_images}"
        )
    if seed < 0:
        raise LivestockError(f"seed must be 0 or more, got {seed}")
    if not 0.05 <= scale <= 1:
        raise LivestockError(f"scale must be between 0.05 and 1 (1 draws 1920x1080), got {scale}")


def _is_whole(folder: Path, sizes: dict[str, int]) -> bool:
    return bool(sizes) and all(
        (folder / n).is_file() and (folder / n).stat().st_size == s for n, s in sizes.items()
    )


def _remove_own(folder: Path, known: dict[str, int]) -> None:
    """Remove the archives that an earlier call wrote; LivestockError, and nothing removed, if there
    are others."""
    found = [path for sub in ("data", "data_test") for path in sorted((folder / sub).glob("*.zip"))]
    for path in found:
        if nfc(path.relative_to(folder).as_posix()) not in known:
            raise LivestockError(
                f"{path} was not written by the sample: choose an empty folder, or move it away"
            )
    for path in found:
        path.unlink()


def _file_names(with_test: bool) -> list[str]:
    """What a call writes, relative to the folder."""
    words = [by_name(name).archive_words[0] for name in _COUNTS]
    names = [f"data/[{kind}]{word}_bbox.zip" for kind in ("원천", "라벨") for word in words]
    tests = [f"data_test/[원천]{word}_bbox.zip" for word in words] if with_test else []
    return [*names, *tests, "truth.csv", "answer.csv", "scenes.csv"]


def _plans(split: str, count: int, seed: int, scale: float) -> list[_Plan]:
    """One plan an image; one in four is of pigs, at least one of each species."""
    pigs = max(1, round(count / 4)) if count else 0
    plans = []
    for name, number in (("pig", pigs), ("cow", count - pigs)):
        plans += [_plan(name, split, j, seed, scale) for j in range(number)]
    return plans


def _plan(name: str, split: str, number: int, seed: int, scale: float) -> _Plan:
    cycle, rest = divmod(number, sum(_RUNS))
    starts = np.cumsum((0, *_RUNS))
    run = int(np.searchsorted(starts, rest, side="right")) - 1
    scene = cycle * len(_RUNS) + run
    barn = scene // _SCENES_A_BARN
    # Golden-ratio steps spread the shares evenly, so that few images have the right mix too.
    shift, barn_shift = (_rng(seed, name, key, "mix").random() for key in (split, "barn"))
    small = (barn_shift + barn * 0.7548776662) % 1 < _SMALL_FRAME_SHARE[name]
    width, height = (1280, 960) if small else (1920, 1080)
    labelled = _quantile(name, (shift + scene * 0.6180339887) % 1)
    if name == "cow" and number % _EMPTY_EVERY == _EMPTY_AT:
        labelled = 0
    frame, size = int(rest - starts[run]), (round(width * scale), round(height * scale))
    return _Plan(name, split, number, scene, frame, barn, *size, labelled)


def _quantile(name: str, share: float) -> int:
    """Boxes an image at a share (0-1) of the AI Hub set's distribution."""
    *bins, weights = _COUNTS[name]
    counts = [count for part in bins for count in part]
    parts = zip(bins, weights, strict=True)
    chances = np.concatenate([np.array(list(part.values())) * w for part, w in parts])
    position = int(np.searchsorted(np.cumsum(chances) / chances.sum(), share, side="right"))
    return counts[min(position, len(counts) - 1)]


def _rng(seed: int, *key: str | int) -> np.random.Generator:
    """A generator of its own for each purpose, so that one image does not depend on another."""
    words = [int.from_bytes(k.encode(), "little") if isinstance(k, str) else k for k in key]
    return np.random.default_rng([seed, *words])


def _write_archives(
    folder: Path, name: str, plans: list[_Plan], seed: int, bar: Any
) -> Iterator[tuple]:
    """Write a species' archives of one split; yields the rows of the truth."""
    word = by_name(name).archive_words[0]
    with (
        files.whole_file(folder / f"[원천]{word}_bbox.zip") as image_file,
        zipfile.ZipFile(image_file, "w", zipfile.ZIP_STORED) as images,
    ):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as labels:
            for plan, picture, xyxy, labelled in _drawn(plans, seed):
                quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
                good, jpeg = cv2.imencode(".jpg", picture, quality)
                if not good:
                    raise LivestockError(
                        f"{plan.image_id}: OpenCV could not encode a frame of {picture.shape}"
                    )
                images.writestr(_member(f"{plan.image_id}.jpg", zipfile.ZIP_STORED), jpeg.tobytes())
                text = json.dumps(_label(plan, xyxy[labelled]), indent=2)
                labels.writestr(_member(f"{plan.image_id}.json", zipfile.ZIP_DEFLATED), text)
                for box, known in zip(xyxy, labelled, strict=True):
                    yield (plan.image_id, name, *box, bool(known), plan.split)
                bar.update()
        if plans and plans[0].split == "train":
            with files.whole_file(folder / f"[라벨]{word}_bbox.zip") as label_file:
                label_file.write(packed.getvalue())


def _member(name: str, method: int) -> zipfile.ZipInfo:
    """A zip member without the time of day, so that equal content gives equal bytes."""
    info = zipfile.ZipInfo(name, date_time=(2020, 9, 1, 0, 0, 0))
    info.compress_type = method
    info.external_attr = 0o644 << 16
    return info


def _drawn(
    plans: list[_Plan], seed: int
) -> Iterator[tuple[_Plan, np.ndarray, np.ndarray, np.ndarray]]:
    """Plan, picture, boxes (n, 4) and which of them are labelled, image by image."""
    barn_of = functools.lru_cache(maxsize=1)(functools.partial(_barn, seed))
    herd_of = functools.lru_cache(maxsize=1)(functools.partial(_herd, seed))
    for plan in plans:
        with _same_on_all_processors():
            barn = barn_of(plan.species, plan.barn, plan.width_px, plan.height_px)
        herd = herd_of(dataclasses.replace(plan, number=0, frame=0), barn)
        rng = _rng(seed, plan.species, plan.split, "draw", plan.scene, plan.frame)
        for _ in range(plan.frame):
            herd = compose.move(rng, herd)
        with _same_on_all_processors():
            scene = compose.draw_scene(rng, barn, herd, caption=_caption(plan, barn.night))
        order = np.lexsort(scene.xyxy.T[::-1])
        xyxy, seen = scene.xyxy[order], scene.seen[order]
        labelled = np.ones(len(xyxy), dtype=bool)
        labelled[_left_out(rng, xyxy, seen, len(xyxy) - plan.labelled)] = False
        yield plan, scene.picture, xyxy, labelled


@contextlib.contextmanager
def _same_on_all_processors() -> Iterator[None]:
    """OpenCV without the code that it chooses by processor: its blurs, warps and resizes of floats
    differ in the last bit there, which moved pixels, box edges and so labels."""
    before = cv2.useOptimized()
    cv2.setUseOptimized(False)
    try:
        yield
    finally:
        cv2.setUseOptimized(before)


def _caption(plan: _Plan, night: bool) -> str:
    """Camera and time in the picture, as a recorder writes them; two seconds between frames."""
    day, minutes = divmod(plan.scene * 47, 600)
    hour, minute = divmod(minutes // 2 + 21 * 60 if night else minutes + 7 * 60, 60)
    date = f"2020-{9 if plan.split == 'train' else 10:02d}-{1 + day % 28:02d}"
    return f"CAM {plan.barn % 90 + 1:02d}  {date} {hour % 24:02d}:{minute:02d}:{plan.frame * 2:02d}"


def _barn(seed: int, name: str, number: int, width_px: int, height_px: int) -> barns.Barn:
    return compose.build_barn(_rng(seed, name, "barn", number), name, width_px, height_px)


def _herd(seed: int, plan: _Plan, barn: barns.Barn) -> list[compose.Animal]:
    """The animals of a scene; for cows some more than are labelled, most in a full pen."""
    rng = _rng(seed, plan.species, plan.split, "herd", plan.scene)
    extra = 0
    if plan.species == "cow" and plan.split == "train" and plan.labelled:
        extra = int(rng.binomial(plan.labelled + 1, min(0.3, 0.075 + 0.012 * plan.labelled)))
    return compose.populate(rng, barn, plan.species, plan.labelled + extra)


def _left_out(
    rng: np.random.Generator, xyxy: np.ndarray, seen: np.ndarray, count: int
) -> np.ndarray:
    """Which boxes nobody labelled: rather those half hidden or small."""
    if count <= 0 or not len(xyxy):
        return np.zeros(0, dtype=int)
    size = boxes.area(xyxy)
    weight = np.exp(3 * (1 - seen)) * np.sqrt(np.median(size) / size)
    return rng.choice(len(xyxy), size=min(count, len(xyxy)), replace=False, p=weight / weight.sum())


def _label(plan: _Plan, xyxy: np.ndarray) -> dict[str, Any]:
    """A label file's content; its categories say nothing about the species, as in the real set."""
    size = {"width": plan.width_px, "height": plan.height_px}
    image = {"id": plan.number + 1, "file_name": f"{plan.image_id}.jpg", **size}
    of = {"image_id": plan.number + 1, "category_id": 1}
    annotations = [{"id": i, **of, "bbox": box} for i, box in enumerate(xyxy.tolist(), start=1)]
    categories = [{"id": 1, "name": "livestock", "supercategory": "animal"}]
    return {"label_info": {"image": image, "annotations": annotations, "categories": categories}}


def _answers(animals: pd.DataFrame) -> pd.DataFrame:
    """The contest's answers: corners divided by the species' constants, whatever the frame."""
    names = {"ImageID": animals["image_id"] + ".jpg", "LabelName": animals["species"]}
    sizes = [by_name(name).contest_size_px for name in animals["species"]]
    wide, high = np.array(sizes, dtype=float).reshape(-1, 2).T
    x = {"XMin": animals["x_min"] / wide, "XMax": animals["x_max"] / wide}
    return pd.DataFrame(
        {**names, **x, "YMin": animals["y_min"] / high, "YMax": animals["y_max"] / high}
    )
