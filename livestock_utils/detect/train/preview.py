"""What the network gets to see: photos as they are, augmented, and in mosaics."""

import contextlib
import dataclasses
import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core.arrays import Pixels
from livestock_utils.core.boxes import XYXY, xywhn_to_xyxy
from livestock_utils.detect import yolov5
from livestock_utils.detect.settings import read_hyp
from livestock_utils.detect.train import augment
from livestock_utils.detect.train.data import Part, Source, dataset_class, list_files, read_part

KINDS = ("as it is", "pipeline", "mosaic")
"""The rows of the preview: letterboxed, through the pipeline, in a mosaic."""
_CHANGES = (
    "hsv_h hsv_s hsv_v degrees translate scale shear perspective flipud fliplr mosaic mixup "
    "copy_paste"
).split()
"""Hyperparameters that change a photo."""


@dataclasses.dataclass(frozen=True)
class View:
    """One picture of the preview: (h, w, 3) RGB and its boxes in its pixels."""

    kind: str
    picture: Pixels
    boxes: pd.DataFrame


def preview(
    train: Source,
    hyp: str | os.PathLike | Mapping[str, Any] | None = None,
    augmentation: str | os.PathLike | Mapping[str, Any] | None = None,
    image_size: int = 640,
    n: int = 3,
    seed: int = 0,
) -> list[View]:
    """`n` training photos drawn by `seed`, each of KINDS that there are; see `lu.train`."""
    step = augment.for_loader(augment.read(augmentation))
    with tempfile.TemporaryDirectory() as place, _seeded(seed), yolov5.yolov5() as y5:
        names, files = list_files(train, place=place)
        part = read_part(files["train"], len(names))
        labelled = [i for i, labels in enumerate(part.labels) if len(labels)]
        labelled = labelled or list(range(len(part.files)))
        chosen = sorted(random.sample(labelled, min(n, len(labelled))))
        images = dataset_class(y5.dataloaders.LoadImagesAndLabels)

        def views(kind: str, hyp_used: dict[str, float], step: Any) -> list[View]:
            dataset = images(part, image_size, 1, hyp_used, 32, True, step, None)
            dataset.mosaic = kind == "mosaic"
            return [_view(kind, dataset[i], part, i, names) for i in chosen]

        values = read_hyp(hyp)
        still = values | dict.fromkeys(_CHANGES, 0.0)
        found = views("as it is", still, yolov5.keep_as_it_is)
        if step is not None:
            found += views("pipeline", still, step)
        # Few photos must not miss the mosaic by chance.
        shown = values | {"mosaic": 1.0 if values["mosaic"] else 0.0}
        return found + views("mosaic", shown, step or yolov5.keep_as_it_is)


def _view(
    kind: str, item: tuple[Any, Any, str, Any], part: Part, index: int, names: tuple[str, ...]
) -> View:
    """yolov5's item (image CHW RGB, labels (n, 6: image, class, xywhn)) as a View."""
    labels = item[1].numpy()
    picture = np.ascontiguousarray(item[0].numpy().transpose(1, 2, 0))
    height, width = picture.shape[:2]
    boxes = pd.DataFrame(xywhn_to_xyxy(labels[:, 2:], width, height), columns=XYXY)
    boxes.insert(0, "image_id", Path(part.files[index]).stem)
    boxes.insert(1, "species", [names[int(code)] for code in labels[:, 1]])
    return View(kind, picture, boxes)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's generators seeded inside, restored afterwards."""
    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)
