"""Augmentation pipelines of albumentations 2 from YAML, for yolov5's loader."""

import functools
import json
import os
import random
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.settings import HYP_FOLDER, read_yaml

_NAMES = ("none", "light", "barn_night")
"""Presets: hyp/augment_<name>.yaml."""
_SMALLEST_SHARE = 1e-3
"""Sides of a box below this share of the frame are dropped after a transform."""


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
        content, where = read_yaml(found[0]), str(found[0])
    with warnings.catch_warnings():
        # A pipeline without geometry is fine.
        warnings.filterwarnings("ignore", "Got processor for bboxes, but no transform", UserWarning)
        try:
            loaded = albumentations.from_dict(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TrainingError(
                f"{where}: albumentations {albumentations.__version__} cannot read it ({error}); "
                "write it with albumentations.to_dict, or use a preset"
            ) from error
        # Of another container all members would become steps.
        whole = type(loaded) is albumentations.Compose
        boxes = albumentations.BboxParams(
            "yolo", ["labels"], min_visibility=0.1, clip=True, filter_invalid_bboxes=True
        )
        steps, share = (loaded.transforms, loaded.p) if whole else ([loaded], 1.0)
        return albumentations.Compose(steps, p=share, bbox_params=boxes)


def _albumentations() -> Any:
    """albumentations, imported without its look for a newer release on the network."""
    with mock.patch.dict(os.environ, {"NO_ALBUMENTATIONS_UPDATE": "1"}):
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


def apply(
    pipeline: Any, image: npt.NDArray[np.uint8], labels: npt.NDArray[np.float32]
) -> tuple[npt.NDArray, npt.NDArray]:
    """Run a pipeline on a BGR image and its labels (n, 5: class, xywhn), clipped to the frame. Its
    random state is drawn from Python's `random`, which trainings save and restore."""
    pipeline.set_random_seed(random.getrandbits(32))
    done = pipeline(
        image=np.ascontiguousarray(image[..., ::-1]), bboxes=labels[:, 1:], labels=labels[:, 0]
    )
    boxes = np.asarray(done["bboxes"], dtype=np.float32).reshape(-1, 4)
    classes = np.asarray(done["labels"], dtype=np.float32).reshape(-1, 1)
    kept = (boxes[:, 2:] >= _SMALLEST_SHARE).all(axis=1)
    return np.ascontiguousarray(done["image"][..., ::-1]), np.hstack([classes, boxes])[kept]
