"""Augmentation pipelines of albumentations 2 from YAML, for yolov5's loader."""

import contextlib
import functools
import itertools
import json
import os
import random
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from livestock_utils.core.arrays import Array, Float32s, Pixels
from livestock_utils.core.errors import TrainingError
from livestock_utils.core.reading import read_yaml
from livestock_utils.core.text import one_line
from livestock_utils.core.threads import swapped
from livestock_utils.detect.settings import HYP_FOLDER
from livestock_utils.detect.train.cache import read_resized
from livestock_utils.detect.train.data import Part

_NAMES = ("none", "light", "barn_night")
"""Presets: hyp/augment_<name>.yaml."""
_SMALLEST_SHARE = 1e-3
"""Sides of a box below this share of the frame are dropped after a transform."""
_TRIES = 16
"""Runs of a pipeline before a training, as it is and with every step applied."""
_PHOTOS = 4


def read(augmentation: str | os.PathLike | Mapping[str, Any] | None) -> Any:
    """An albumentations Compose for boxes in YOLO format, or None for none; else TrainingError.
    Takes a preset of _NAMES, a file in albumentations' own serialisation, or that as a mapping."""
    if augmentation is None or augmentation == "none":
        return None
    albumentations = _albumentations()
    if isinstance(augmentation, Mapping):
        content, where = dict(augmentation), "augmentation"
    else:
        places = Path(augmentation).expanduser(), HYP_FOLDER / f"augment_{augmentation}.yaml"
        if not (found := [place for place in places if place.is_file()]):
            raise TrainingError(
                f"augmentation not found: {augmentation}; give a path or one of {', '.join(_NAMES)}"
            )
        content, where = read_yaml(found[0], TrainingError), str(found[0])
    try:
        loaded = _from_dict(content)
    except TrainingError as error:
        raise TrainingError(
            f"{where}: albumentations {albumentations.__version__} cannot read it: "
            f"{_bad_step(content)} ({error}); write it with albumentations.to_dict, or use a preset"
        ) from error
    # Of another container all members would become steps.
    whole = type(loaded) is albumentations.Compose
    steps, share = (loaded.transforms, loaded.p) if whole else ([loaded], 1.0)
    return _composed(steps, share)


def _from_dict(content: Any) -> Any:
    """What albumentations reads, where it can be recorded."""
    try:
        with _strict():
            loaded = _albumentations().from_dict(content)
            _albumentations().to_dict(loaded)
            return loaded
    except Exception as error:  # albumentations' have no common base
        raise TrainingError(_reason(error)) from error


def _bad_step(content: Any) -> str:
    """The innermost part of a pipeline that cannot be read by itself."""
    step = content.get("transform") if isinstance(content, dict) else None
    inner = step.get("transforms") if isinstance(step, dict) else None
    for one in inner if isinstance(inner, list) else []:
        try:
            _from_dict({"transform": one})
        except TrainingError:
            return _bad_step({"transform": one})
    return str(step.get("__class_fullname__", step)) if isinstance(step, dict) else f"{step}"


def _composed(steps: list[Any], share: float = 1.0) -> Any:
    albumentations = _albumentations()
    boxes = albumentations.BboxParams(
        "yolo", ["labels"], min_visibility=0.1, clip=True, filter_invalid_bboxes=True
    )
    with _strict():
        return albumentations.Compose(steps, p=share, bbox_params=boxes)


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """An error where albumentations would leave an argument out or change it; no word on pipelines
    without geometry."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", r"Argument\(s\)|.*(adjusted|will be set) to", UserWarning)
        warnings.filterwarnings("ignore", "Got processor for bboxes, but no transform", UserWarning)
        yield


def _reason(error: Exception) -> str:
    """One line, without what pydantic adds."""
    more = r"\[type=.*?, input_type=\w+\]|For further information visit \S+"
    return one_line(re.sub(more, "", str(error)) or error, 200)


def _albumentations() -> Any:
    """albumentations, imported without its look for a newer release on the network."""
    with swapped(os.environ, {"NO_ALBUMENTATIONS_UPDATE": "1"}):
        import albumentations
    return albumentations


def recorded(pipeline: Any) -> dict[str, Any] | None:
    """A pipeline as plain values for settings.yaml."""
    if pipeline is None:
        return None
    return json.loads(json.dumps(_albumentations().to_dict(pipeline), default=str))


def for_loader(pipeline: Any) -> Callable | None:
    """A function (image BGR, labels (n, 5)) -> the same after the pipeline; or None."""
    return None if pipeline is None else functools.partial(apply, pipeline)


def apply(pipeline: Any, image: Pixels, labels: Float32s) -> tuple[Array, Array]:
    """Run a pipeline on a BGR image and its labels (n, 5: class, xywhn), clipped to the frame. Its
    random state is drawn from Python's `random`, which trainings save and restore. TrainingError
    where the image comes back in another size or type."""
    seed = random.getrandbits(32)
    try:
        done = _run(pipeline, seed, image, labels)
    except TrainingError as error:
        wrong = {"the pipeline": str(error)}
        for step in _leaves(pipeline):
            try:
                _run(_composed([step]), seed, image, labels)
            except TrainingError as its:
                wrong[type(step).__name__] = str(its)
        names = [name for name in wrong if wrong[name] == str(error)][1:] or [*wrong][1:]
        raise TrainingError(
            f"augmentation: {' and '.join(names) or 'the pipeline'}: {error}; a step must leave "
            "size, channels and type of a photo as they are: take it out, or undo it in the next"
        ) from error
    boxes = np.asarray(done["bboxes"], dtype=np.float32).reshape(-1, 4)
    classes = np.asarray(done["labels"], dtype=np.float32).reshape(-1, 1)
    kept = (boxes[:, 2:] >= _SMALLEST_SHARE).all(axis=1)
    return np.ascontiguousarray(done["image"][..., ::-1]), np.hstack([classes, boxes])[kept]


def try_out(pipeline: Any, part: Part, image_size: int) -> None:
    """Run a pipeline on some photos, with boxes and without, as it is and with every step applied;
    TrainingError where one comes back otherwise. Python's random state stays as it was."""
    if pipeline is None:
        return
    plain = recorded(pipeline)
    pipelines = read(plain), read(_always(plain))
    chosen = [i for i, labels in enumerate(part.labels) if len(labels)][:_PHOTOS]
    photos = [(_square(part, i, image_size), part.labels[i]) for i in chosen]
    before = random.getstate()
    try:
        for turn, (image, labels) in zip(range(_TRIES), itertools.cycle(photos), strict=False):
            random.seed(turn)
            for one in pipelines:
                apply(one, image, labels[: len(labels) * (turn < _TRIES - 1)])
    finally:
        random.setstate(before)


def _run(pipeline: Any, seed: int, image: Pixels, labels: Float32s) -> dict[str, Any]:
    """What a pipeline makes of a BGR image, in RGB; TrainingError for another size or type."""
    pipeline.set_random_seed(seed)
    picture = np.ascontiguousarray(image[..., ::-1])
    try:
        done = pipeline(image=picture, bboxes=labels[:, 1:], labels=labels[:, 0])
    except Exception as error:  # albumentations' and OpenCV's have no common base
        raise TrainingError(_reason(error)) from error
    before, after = (
        f"{'x'.join(map(str, one.shape))} {one.dtype}" for one in (picture, done["image"])
    )
    if before != after:
        raise TrainingError(f"{after} came back for {before}")
    return done


def _leaves(step: Any) -> list[Any]:
    """The transforms of a pipeline, containers taken apart."""
    inner = getattr(step, "transforms", None)
    return [step] if inner is None else [leaf for one in inner for leaf in _leaves(one)]


def _always(plain: Any) -> Any:
    """A recorded pipeline in which every step that may be applied is: p = 1."""
    if isinstance(plain, list):
        return [_always(one) for one in plain]
    if not isinstance(plain, dict):
        return plain
    return {key: 1.0 if key == "p" and value else _always(value) for key, value in plain.items()}


def _square(part: Part, i: int, image_size: int) -> Pixels:
    """A photo as the loader hands it on: `image_size` px wide and high."""
    image = read_resized(part.files[i], image_size, True, part.sizes_px[i])
    frame = np.full((image_size, image_size, 3), 114, dtype=np.uint8)
    frame[: image.shape[0], : image.shape[1]] = image
    return frame
