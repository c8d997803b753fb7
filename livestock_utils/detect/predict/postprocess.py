"""From raw candidates to predictions, offline: thresholds, NMS, soft-NMS or fusion, and a limit an
image.

One `Settings` says everything that a prediction depends on after the network; it is tuned by
`sweep`, saved as YAML and applied as it stands.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from livestock_utils.core import suppression
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.files import write_text
from livestock_utils.detect.predict.candidates import Candidates

METHODS = ("nms", "soft_nms_linear", "soft_nms_gaussian", "fusion")
PREDICTION_COLUMNS = ["image_id", "species", *XYXY, "confidence"]
PerClass = float | dict[str, float]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How candidates become predictions; thresholds are one number for all classes or a mapping
    class name -> number.

    method: "nms", "soft_nms_linear", "soft_nms_gaussian" or "fusion" (weighted boxes fusion over
    the passes). confidence_threshold, iou_threshold in [0, 1]; max_detections an image, highest
    confidence first. class_agnostic: boxes of all classes suppress each other. multi_label: every
    class of an anchor is a candidate (yolov5's val), else only its best (yolov5's detect). passes:
    names of the passes used, None for all. sigma: of gaussian soft-NMS. fusion_confidence: "avg" or
    "max"; fusion_nms: NMS of each pass before fusion, or None. The default is the write-up's: NMS,
    IoU .68, confidence .001. Raises LivestockError for values out of range.
    """

    method: str = "nms"
    confidence_threshold: PerClass = 0.001
    iou_threshold: PerClass = 0.68
    max_detections: int = 300
    class_agnostic: bool = False
    multi_label: bool = True
    passes: tuple[str, ...] | None = None
    sigma: float = 0.5
    fusion_confidence: str = "avg"
    fusion_nms: float | None = None

    def __post_init__(self) -> None:
        """Check types and ranges."""
        if self.method not in METHODS:
            raise LivestockError(f"method must be one of {list(METHODS)}, got {self.method!r}")
        if self.fusion_confidence not in ("avg", "max"):
            raise LivestockError(
                f"fusion_confidence must be 'avg' or 'max', got {self.fusion_confidence!r}"
            )
        for name in ("confidence_threshold", "iou_threshold"):
            value = getattr(self, name)
            for number in value.values() if isinstance(value, dict) else [value]:
                _check_share(name, number)
        if self.fusion_nms is not None:
            _check_share("fusion_nms", self.fusion_nms)
        if (
            isinstance(self.max_detections, bool)
            or not isinstance(self.max_detections, int)
            or self.max_detections < 1
        ):
            raise LivestockError(
                f"max_detections must be a whole number of at least 1, got {self.max_detections!r}"
            )
        if not (_is_number(self.sigma) and self.sigma > 0):
            raise LivestockError(f"sigma must be above 0, got {self.sigma!r}")
        for name in ("class_agnostic", "multi_label"):
            if not isinstance(getattr(self, name), bool):
                raise LivestockError(f"{name} must be true or false, got {getattr(self, name)!r}")
        if self.class_agnostic and isinstance(self.iou_threshold, dict):
            raise LivestockError(
                "class-agnostic suppression takes one iou_threshold, not one a class"
            )
        if self.class_agnostic and self.method == "fusion":
            raise LivestockError(
                "fusion mixes boxes of one class only; set class_agnostic to false"
            )
        if self.passes is not None and (
            not isinstance(self.passes, list | tuple)
            or not self.passes
            or not all(isinstance(name, str) for name in self.passes)
        ):
            raise LivestockError(
                "passes must be a list of names such as [plain, flip], or null for all predicted, "
                f"got {self.passes!r}"
            )
        if self.passes is not None:
            object.__setattr__(self, "passes", tuple(self.passes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        values = dataclasses.asdict(self)
        return {**values, "passes": list(self.passes) if self.passes is not None else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """The inverse of `to_dict`; raises LivestockError for an unknown key."""
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(set(values) - set(known), key=str):
            raise LivestockError(
                f"unknown post-processing setting {unknown[0]!r}: expected some of {known}"
            )
        return cls(**values)


def save_settings(path: str | os.PathLike, settings: Settings, **provenance: Any) -> Path:
    """Write settings as YAML, whole or not at all, with `provenance` (how they were chosen) beside
    them."""
    content = {"settings": settings.to_dict(), "chosen": provenance}
    return write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def load_settings(path: str | os.PathLike) -> Settings:
    """Read what `save_settings` wrote; raises LivestockError if it is absent or not such a file."""
    values = _read_settings(path)["settings"]
    try:
        return Settings.from_dict(values)
    except LivestockError as error:
        raise LivestockError(f"{path}: {error}") from error


def load_image_size(path: str | os.PathLike) -> int | None:
    """The image size that the settings of a file were tuned at, None where it does not say; errors
    as above."""
    size = (_read_settings(path).get("chosen") or {}).get("image_size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 32):
        raise LivestockError(
            f"{path}: image_size must be a whole number of at least 32, got {size!r}"
        )
    return size


def _read_settings(path: str | os.PathLike) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LivestockError(
            f"{path}: no readable settings ({' '.join(str(error).split())}); run the sweep"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise LivestockError(f"{path}: not a settings file, it has no 'settings'; run the sweep")
    if not isinstance(content.get("chosen", {}), dict | None):
        raise LivestockError(
            f"{path}: 'chosen' must hold names and values, got {content['chosen']!r}"
        )
    return content


def apply(
    candidates: Candidates, settings: Settings | None = None, images: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Candidates -> predictions table (image_id, species, x_min..y_max px, confidence).

    Sorted by image_id and descending confidence; equal confidences keep the network's order.
    `images`: only these (by image_id). Images without detections have no rows; they stay in
    `candidates.images`. Raises DatasetError for an image without candidates data, LivestockError
    for thresholds that lack a class or passes that were not predicted.
    """
    settings = settings or Settings()
    part = candidates if images is None else candidates.of_images(images["image_id"])
    found = detections(part, settings)
    rows = limit_detections(found.image_index, found.confidence, settings.max_detections)
    table = pd.DataFrame(found.xyxy[rows].astype(np.float64), columns=XYXY)
    table.insert(0, "image_id", part.images["image_id"].take(found.image_index[rows]).to_numpy())
    table.insert(1, "species", pd.Series(list(part.names)).take(found.class_index[rows]).to_numpy())
    table["confidence"] = found.confidence[rows].astype(np.float64)
    return table[PREDICTION_COLUMNS]


@dataclasses.dataclass(frozen=True)
class Detections:
    """What is left of candidates, arrays of one length; boxes `xyxy` (n, 4) px are clipped to their
    frames."""

    image_index: npt.NDArray[Any]
    class_index: npt.NDArray[Any]
    xyxy: npt.NDArray[Any]
    confidence: npt.NDArray[Any]


def detections(candidates: Candidates, settings: Settings) -> Detections:
    """Everything that `apply` does but the limit an image and the table; in no particular order."""
    part = candidates.select(eligible(candidates, settings))
    if settings.method == "nms":
        part = part.select(nms_keep(part, settings.iou_threshold, settings.class_agnostic))
        image_index, class_index, xyxy, confidence = (
            part.image_index,
            part.class_index,
            part.xyxy,
            part.confidence,
        )
    else:
        image_index, class_index, xyxy, confidence = _soften_or_fuse(part, settings)
    return Detections(image_index, class_index, part.clipped(image_index, xyxy), confidence)


def eligible(candidates: Candidates, settings: Settings) -> npt.NDArray[np.bool_]:
    """Which candidates (n,) the settings let in: passes, labels of an anchor, confidence threshold
    of the class."""
    thresholds = per_class(settings.confidence_threshold, candidates.names, "confidence_threshold")
    mask = candidates.confidence >= thresholds.astype(np.float32)[candidates.class_index]
    if not settings.multi_label:
        mask &= candidates.best_class
    if settings.passes is not None:
        if missing := [name for name in settings.passes if name not in candidates.passes]:
            raise LivestockError(
                f"pass {missing[0]!r} was not predicted: there are {list(candidates.passes)}"
            )
        mask &= np.isin(
            candidates.pass_index, [candidates.passes.index(name) for name in settings.passes]
        )
    return mask


def nms_keep(
    candidates: Candidates, iou_threshold: PerClass, class_agnostic: bool = False
) -> npt.NDArray[np.bool_]:
    """Hard NMS of all candidates, each image (and class, unless agnostic) by itself -> kept
    (n,)."""
    thresholds = per_class(iou_threshold, candidates.names, "iou_threshold")
    kept = np.zeros(len(candidates), dtype=bool)
    for rows, _, class_index in _groups(candidates, class_agnostic):
        kept[rows] = suppression.nms(
            candidates.xyxy[rows], candidates.confidence[rows], thresholds[class_index]
        )
    return kept


def per_class(value: PerClass, names: tuple[str, ...], what: str) -> npt.NDArray[np.float64]:
    """One number a class, in the order of `names`; raises LivestockError if a mapping's keys are
    not the classes."""
    if isinstance(value, dict):
        if set(value) != set(names):
            raise LivestockError(
                f"{what} must have one entry a class {sorted(names)}, got {sorted(value)}"
            )
        return np.array([value[name] for name in names], dtype=float)
    return np.full(len(names), float(value))


def limit_detections(
    image_index: npt.NDArray[Any], confidence: npt.NDArray[Any], limit: int
) -> npt.NDArray[np.intp]:
    """Row numbers sorted by image and descending confidence (ties in order), at most `limit` an
    image."""
    order = np.lexsort((-confidence, image_index))
    by_image = image_index[order]
    position = np.arange(len(order)) - np.searchsorted(by_image, by_image)
    return order[position < limit]


def _groups(
    candidates: Candidates, class_agnostic: bool
) -> Iterator[tuple[npt.NDArray[np.intp], int, int]]:
    """(rows by descending confidence, image, class) of each image and class; class 0 stands for all
    if agnostic."""
    class_index = (
        np.zeros(len(candidates), dtype=int)
        if class_agnostic
        else candidates.class_index.astype(int)
    )
    order = np.lexsort((-candidates.confidence, class_index, candidates.image_index))
    key = (
        candidates.image_index[order].astype(np.int64) * (len(candidates.names) + 1)
        + class_index[order]
    )
    cuts = np.flatnonzero(np.diff(key)) + 1
    for rows in np.split(order, cuts) if len(order) else []:
        yield rows, int(candidates.image_index[rows[0]]), int(class_index[rows[0]])


def _soften_or_fuse(part: Candidates, settings: Settings) -> tuple[Any, Any, Any, Any]:
    """Soft-NMS and fusion: both change confidences, so the confidence threshold holds before and
    after soft-NMS."""
    ious = per_class(settings.iou_threshold, part.names, "iou_threshold")
    floors = per_class(settings.confidence_threshold, part.names, "confidence_threshold")
    n_passes = len(part.passes) if settings.passes is None else len(settings.passes)
    if settings.method == "fusion" and settings.fusion_nms is not None:
        part = part.select(_nms_of_each_pass(part, settings))
    images, classes, boxes, confidences = [], [], [], []
    for rows, image, class_index in _groups(part, settings.class_agnostic):
        xyxy, confidence, labels = part.xyxy[rows], part.confidence[rows], part.class_index[rows]
        if settings.method == "fusion":
            xyxy, confidence = suppression.fuse(
                xyxy,
                confidence,
                ious[class_index],
                n_passes=n_passes,
                confidence_type=settings.fusion_confidence,
            )
            labels = np.full(len(confidence), class_index, dtype=labels.dtype)
        else:
            method = settings.method.removeprefix("soft_nms_")
            lowest = floors.min() if settings.class_agnostic else floors[class_index]
            confidence = suppression.soft_nms(
                xyxy,
                confidence,
                ious[class_index],
                sigma=settings.sigma,
                method=method,
                floor=lowest,
            )
            alive = (confidence > 0) & (confidence >= floors.astype(np.float32)[labels])
            xyxy, confidence, labels = xyxy[alive], confidence[alive], labels[alive]
        images.append(np.full(len(confidence), image))
        classes.append(labels)
        boxes.append(xyxy)
        confidences.append(confidence)
    if not images:
        return (
            np.zeros(0, int),
            np.zeros(0, int),
            np.zeros((0, 4), "float32"),
            np.zeros(0, "float32"),
        )
    return (
        np.concatenate(images),
        np.concatenate(classes),
        np.concatenate(boxes),
        np.concatenate(confidences),
    )


def _nms_of_each_pass(part: Candidates, settings: Settings) -> npt.NDArray[np.bool_]:
    kept = np.zeros(len(part), dtype=bool)
    for number in range(len(part.passes)):
        rows = np.flatnonzero(part.pass_index == number)
        mask = np.zeros(len(part), dtype=bool)
        mask[rows] = True
        kept[rows] = nms_keep(part.select(mask), float(settings.fusion_nms or 0))
    return kept


def _check_share(name: str, number: object) -> None:
    if not (_is_number(number) and 0 <= number <= 1):  # type: ignore[operator]  # a number, as just checked
        raise LivestockError(f"{name} must lie in [0, 1], got {number!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
