"""What the network gets to see: the same photos as they are, under the augmentation pipeline, and
in mosaics."""

import contextlib
import dataclasses
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.boxes import XYXY, xywhn_to_xyxy
from livestock_utils.detect import yolov5
from livestock_utils.detect.settings import read_hyp
from livestock_utils.detect.train import augment
from livestock_utils.detect.train.data import Part, dataset_class, read_data

KINDS = ("as it is", "pipeline", "mosaic")
"""The rows of the preview: letterboxed only, after the albumentations pipeline, in a mosaic with
all of training."""


@dataclasses.dataclass(frozen=True)
class View:
    """One picture of the preview: (h, w, 3) RGB and its boxes (image_id, species, x_min ... in its
    pixels)."""

    kind: str
    picture: npt.NDArray[np.uint8]
    boxes: pd.DataFrame


def preview(
    data_yaml: str | os.PathLike,
    hyp: str | os.PathLike | Mapping[str, Any] | None = None,
    augmentation: str | os.PathLike | Mapping[str, Any] | None = None,
    image_size: int = 640,
    n: int = 3,
    seed: int = 0,
) -> list[View]:
    """`n` training photos drawn by `seed`, each of KINDS; "pipeline" is left out where there is
    none.

    Arguments are those of `training.train`. The process's random states are as before afterwards.
    """
    data, pipeline = read_data(data_yaml), augment.read(augmentation)
    part = data.train
    with _seeded(seed), yolov5.yolov5() as y5:
        labelled = [i for i, labels in enumerate(part.labels) if len(labels)] or list(
            range(len(part.files))
        )
        chosen = sorted(random.sample(labelled, min(n, len(labelled))))
        images = dataset_class(y5.dataloaders.LoadImagesAndLabels)

        def views(kind: str, hyp_used: dict[str, float], step: Any) -> list[View]:
            dataset = images(part, image_size, 1, hyp_used, 32, True, step, None)
            dataset.mosaic = kind == "mosaic"
            return [_view(kind, dataset[i], part, i, data.names) for i in chosen]

        values = read_hyp(hyp)
        still = values | dict.fromkeys(
            (
                "hsv_h",
                "hsv_s",
                "hsv_v",
                "degrees",
                "translate",
                "scale",
                "shear",
                "perspective",
                "flipud",
                "fliplr",
                "mosaic",
                "mixup",
                "copy_paste",
            ),
            0.0,
        )
        found = views("as it is", still, yolov5.keep_as_it_is)
        step = augment.for_loader(pipeline)
        if step is not None:
            found += views("pipeline", still, step)
        shown = values | {
            "mosaic": 1.0 if values["mosaic"] else 0.0
        }  # few photos must not miss it by chance
        return found + views("mosaic", shown, step or yolov5.keep_as_it_is)


def sentence(views: Sequence[View], used: bool = True) -> str:
    """How many of a preview's photos the pipeline changed, and how many boxes they have in each
    row.

    `used` is False for a pipeline that is only shown: the training runs without it.
    """
    rows = {kind: [view for view in views if view.kind == kind] for kind in KINDS}
    plain, after = rows[KINDS[0]], rows[KINDS[1]]
    n_boxes = {kind: sum(len(view.boxes) for view in found) for kind, found in rows.items()}
    changed = sum(
        not np.array_equal(one.picture, other.picture)
        for one, other in zip(plain, after, strict=False)
    )
    said = (
        f"the pipeline changed {changed} of them and left {n_boxes[KINDS[1]]} boxes"
        if after
        else "no pipeline is set (`augmentation`)"
    )
    apart = (
        ""
        if used or not after
        else " This training uses no pipeline: the middle row is an example."
    )
    return (
        f"These {len(plain)} photos have {n_boxes[KINDS[0]]} boxes; {said}; their mosaics, with "
        f"animals of other photos, have {n_boxes[KINDS[2]]}.{apart}"
    )


def _view(
    kind: str, item: tuple[Any, Any, str, Any], part: Part, index: int, names: tuple[str, ...]
) -> View:
    """yolov5's item (image CHW RGB, labels (n, 6: image, class, xywhn)) as a View."""
    image, labels = item[0].numpy(), item[1].numpy()
    picture = np.ascontiguousarray(image.transpose(1, 2, 0))
    height, width = picture.shape[:2]
    boxes = pd.DataFrame(xywhn_to_xyxy(labels[:, 2:], width, height), columns=XYXY)
    boxes.insert(0, "image_id", os.path.splitext(os.path.basename(part.files[index]))[0])
    boxes.insert(1, "species", [names[int(code)] for code in labels[:, 1]])
    return View(kind, picture, boxes)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's generators seeded inside, as they were afterwards (yolov5 draws from
    both)."""
    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)
