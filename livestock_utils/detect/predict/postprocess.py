"""From raw candidates to predictions, offline: thresholds, NMS, soft-NMS, fusion."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from livestock_utils.core import suppression
from livestock_utils.core.arrays import Array, Flags, Floats, Places
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.files import write_text
from livestock_utils.core.reading import read_yaml
from livestock_utils.core.settings import Settings, setting
from livestock_utils.core.tables import PREDICTION_COLUMNS
from livestock_utils.detect.predict import rescoring
from livestock_utils.detect.predict.candidates import Candidates

_PerClass = float | dict[str, float]
_HARD = ("nms", "diou_nms")


@dataclasses.dataclass(frozen=True)
class PostprocessSettings(Settings):
    """How candidates become predictions; the default is the write-up's, NMS at IoU .68.

        settings = lu.PostprocessSettings(iou_threshold={"pig": 0.6, "cow": 0.7})
        lu.predict(run.best, valid, settings=settings)

    Args are the fields, see `PostprocessSettings.table()`; the two thresholds are one number for
    all classes or a mapping class name -> number. Raises LivestockError for values out of range.
    """

    method: str = setting(
        "nms",
        "suppression; fusion is weighted boxes fusion over the passes",
        choices=("nms", "diou_nms", "soft_nms_linear", "soft_nms_gaussian", "fusion"),
    )
    confidence_threshold: _PerClass = setting(
        0.001, "least confidence of a box", unit="share, or one a class", low=0, high=1
    )
    iou_threshold: _PerClass = setting(
        0.68, "boxes that overlap more are one animal", unit="IoU, or one a class", low=0, high=1
    )
    max_detections: int = setting(300, "most boxes of an image, the surest first", low=1)
    class_agnostic: bool = setting(False, "boxes of all classes suppress each other")
    multi_label: bool = setting(True, "every class of an anchor counts, as in yolov5's val.py")
    passes: tuple[str, ...] | None = setting(None, "names of the passes used; None: all")
    sigma: float = setting(0.5, "width of gaussian soft-NMS, above 0", low=0)
    fusion_confidence: str = setting(
        "avg", "confidence of fused boxes: mean or highest", choices=("avg", "max")
    )
    voting_iou: float | None = setting(
        None,
        "kept boxes become the mean of the candidates that overlap them so much; None: they stay",
        unit="IoU",
        low=0,
        high=1,
    )
    voting_weight: str = setting(
        "confidence_iou",
        "what a vote weighs; confidence alone at iou_threshold is yolov5's merge-NMS",
        choices=("confidence_iou", "confidence"),
    )
    rescorer: dict[str, Any] | None = setting(
        None, "numbers that make confidences P(IoU >= .75), see `rescoring`; None: as they are"
    )
    fusion_nms: float | None = setting(
        None, "NMS of each pass before fusion; None: none", unit="IoU", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Check types, ranges, and what does not go together."""
        super().__post_init__()
        for name in ("confidence_threshold", "iou_threshold"):
            value = getattr(self, name)
            for number in value.values() if isinstance(value, dict) else [value]:
                is_number = isinstance(number, int | float) and not isinstance(number, bool)
                if not (is_number and 0 <= number <= 1):
                    raise LivestockError(f"{name} must lie in [0, 1], got {number!r}")
        if self.sigma == 0:
            raise LivestockError(f"sigma must be above 0, got {self.sigma!r}")
        if self.class_agnostic and isinstance(self.iou_threshold, dict):
            raise LivestockError("class-agnostic suppression takes one iou_threshold")
        if self.class_agnostic and self.method == "fusion":
            raise LivestockError("fusion mixes boxes of one class; set class_agnostic to false")
        if self.voting_iou is not None and self.method == "fusion":
            raise LivestockError("fusion averages boxes by itself; leave voting_iou out")
        if self.rescorer is not None:
            rescoring.check(self.rescorer)
        names = self.passes
        if names is None:
            return
        if not (isinstance(names, list | tuple) and names and all(type(n) is str for n in names)):
            raise LivestockError(
                "passes must be a list of names such as [plain, flip], or null for all predicted, "
                f"got {names!r}"
            )
        object.__setattr__(self, "passes", tuple(names))

    @property
    def needs(self) -> dict[str, Any]:
        """What the network's run must keep for these settings: options of `collect_candidates`."""
        floor = self.confidence_threshold
        least = min(floor.values()) if isinstance(floor, dict) else floor
        looks_around = self.voting_iou is not None or self.rescorer is not None
        needs = {"floor": least * (suppression.VOTE_SHARE if looks_around else 1.0)}
        return needs if self.passes is None else needs | {"passes": self.passes}

    @property
    def is_plain(self) -> bool:
        """Whether both thresholds are one number for all classes."""
        return not any(isinstance(v, dict) for v in (self.iou_threshold, self.confidence_threshold))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        return dataclasses.asdict(self) | {"passes": self.passes and list(self.passes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PostprocessSettings":
        """The inverse of `to_dict`; raises LivestockError for an unknown key."""
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(set(values) - set(known), key=str):
            raise LivestockError(
                f"unknown post-processing setting {unknown[0]!r}: expected some of {known}"
            )
        return cls(**values)


LOOKING = PostprocessSettings(
    confidence_threshold=0.25, iou_threshold=0.45, class_agnostic=True, multi_label=False
)
"""To look and count with where nothing was tuned: yolov5's detect.py's thresholds, one box an
animal whatever its species."""
_PURPOSES = {"scoring": "settings", "looking": "for_looking", "one_pass": "one_pass"}
"""What settings are for -> where a settings file keeps them: tuned for AP, to look and count with,
tuned for AP with the plain pass alone."""


def save_settings(
    path: str | os.PathLike,
    settings: PostprocessSettings,
    looking: PostprocessSettings = LOOKING,
    one_pass: PostprocessSettings | None = None,
    **provenance: Any,
) -> Path:
    """Write settings as YAML, whole or not at all, with `provenance` beside them."""
    each = (settings, looking, one_pass or settings)
    content = {name: one.to_dict() for name, one in zip(_PURPOSES.values(), each, strict=True)}
    content["chosen"] = provenance
    return write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def load_settings(path: str | os.PathLike, purpose: str = "scoring") -> PostprocessSettings:
    """Read what `save_settings` wrote for a purpose; LivestockError if it is absent or not such a
    file. Files of 0.1.0 hold those for scoring alone: LOOKING is given to look with."""
    content = _read_settings(path)
    values = content.get(_PURPOSES[purpose], content["settings"])
    try:
        found = PostprocessSettings.from_dict(values)
    except LivestockError as error:
        raise LivestockError(f"{path}: {error}") from error
    return LOOKING if purpose == "looking" and "for_looking" not in content else found


def load_image_size(path: str | os.PathLike) -> int | None:
    """The image size that a file's settings were tuned at, None where it does not say."""
    size = (_read_settings(path).get("chosen") or {}).get("image_size")
    if size is not None and (type(size) is not int or size < 32):
        what = "a whole number of at least 32"
        raise LivestockError(f"{path}: image_size must be {what}, got {size!r}")
    return size


def _read_settings(path: str | os.PathLike) -> dict[str, Any]:
    content = read_yaml(path, LivestockError, "run the sweep")
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise LivestockError(f"{path}: not a settings file, it has no 'settings'; run the sweep")
    chosen = content.get("chosen")
    if not isinstance(chosen, dict | None):
        raise LivestockError(f"{path}: 'chosen' must hold names and values, got {chosen!r}")
    return content


def apply(
    candidates: Candidates,
    settings: PostprocessSettings = PostprocessSettings(),
    images: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Candidates (of `images` only) -> predictions table (image_id, species, x_min..y_max px,
    confidence), by image_id and falling confidence; ties keep the network's order. DatasetError for
    an image without candidates, LivestockError for thresholds that lack a class or passes that were
    not predicted."""
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
    """What is left of candidates, arrays of one length; `xyxy` (n, 4) px are clipped."""

    image_index: Array
    class_index: Array
    xyxy: Array
    confidence: Array

    def take(self, rows: Array) -> "Detections":
        """Only these rows, in their order."""
        arrays = {field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)}
        return Detections(**arrays)


def detections(candidates: Candidates, settings: PostprocessSettings) -> Detections:
    """Everything that `apply` does but the table and, unless boxes vote, the limit an image; in any
    order."""
    pool = candidates.select(_allowed(candidates, settings))
    floors = confidence_limits(pool, settings).astype(np.float32)
    part = pool.select(pool.confidence >= floors[pool.class_index])
    if settings.method in _HARD:
        part = part.select(_kept(part, settings))
        found = Detections(part.image_index, part.class_index, part.xyxy, part.confidence)
    else:
        found = _soften_or_fuse(part, settings)
    if settings.voting_iou is not None or settings.rescorer is not None:  # of what stays alone
        rows = limit_detections(found.image_index, found.confidence, settings.max_detections)
        found = found.take(rows)
    if settings.voting_iou is not None:
        found = _voted(found, pool, settings)
    size = part.images[["width_px", "height_px"]].to_numpy(dtype=np.float32)
    limits = np.where(size > 0, size, np.float32(np.inf))[found.image_index]
    xyxy = np.clip(found.xyxy, 0, np.tile(limits, 2)).astype(np.float32)
    found = dataclasses.replace(found, xyxy=xyxy)
    return found if settings.rescorer is None else _rescored(found, pool, settings.rescorer)


def _voted(found: Detections, pool: Candidates, settings: PostprocessSettings) -> Detections:
    """The detections with their boxes moved by the votes of all candidates of image and class."""
    xyxy = found.xyxy.copy()
    for rows, voters, _ in _with_voters(found, pool):
        sides = pool.xyxy[voters], pool.confidence[voters]
        how = float(settings.voting_iou or 0), settings.voting_weight == "confidence_iou"
        xyxy[rows] = suppression.vote(found.xyxy[rows], found.confidence[rows], *sides, *how)
    return dataclasses.replace(found, xyxy=xyxy)


def _with_voters(found: Detections, pool: Candidates) -> Iterator[tuple[Places, Places, int]]:
    """(rows of the detections, rows of all candidates, image) per image and class."""
    n_classes = len(pool.names)
    order = np.argsort(found.image_index.astype(np.int64) * n_classes + found.class_index)
    key = found.image_index[order].astype(np.int64) * n_classes + found.class_index[order]
    for voters, image, class_index in _groups(pool, class_agnostic=False):
        first, last = np.searchsorted(key, image * n_classes + class_index + np.array([0, 1]))
        if last > first:
            yield order[first:last], voters, image


def box_features(
    found: Detections, candidates: Candidates, settings: PostprocessSettings
) -> Floats:
    """`rescoring.features` of detections that `settings` gave of these candidates."""
    pool = candidates.select(_allowed(candidates, settings))
    values = np.zeros((len(found.confidence), len(rescoring.FEATURES)))
    sizes = pool.images[["width_px", "height_px"]].to_numpy()
    for rows, voters, image in _with_voters(found, pool):
        sides = found.xyxy[rows], found.confidence[rows], pool.xyxy[voters], pool.confidence[voters]
        values[rows] = rescoring.features(*sides, sizes[image])
    return values


def _rescored(found: Detections, pool: Candidates, rescorer: Mapping[str, Any]) -> Detections:
    """The detections with P(IoU >= .75) in place of their confidence."""
    if set(rescorer["bias"]) != set(pool.names):
        raise LivestockError(
            f"the re-scorer knows the classes {sorted(rescorer['bias'])}, the network "
            f"{sorted(pool.names)}: tune again with these weights"
        )
    values = box_features(found, pool, PostprocessSettings())
    confidence = found.confidence.copy()
    for code, name in enumerate(pool.names):
        mine = found.class_index == code
        confidence[mine] = rescoring.probability(values[mine], rescorer, name)
    return dataclasses.replace(found, confidence=confidence)


def _allowed(candidates: Candidates, settings: PostprocessSettings) -> Flags:
    """Which candidates (n,) the settings let in by passes and labels."""
    mask = np.ones(len(candidates), dtype=bool)
    if not settings.multi_label:
        mask &= candidates.best_class
    if settings.passes is not None:
        mask &= np.isin(candidates.pass_index, candidates.pass_places(settings.passes))
    return mask


def _kept(candidates: Candidates, settings: PostprocessSettings) -> Flags:
    """Hard suppression of all candidates, by image (and class, unless agnostic) -> kept (n,)."""
    thresholds = _per_class(settings.iou_threshold, candidates.names, "iou_threshold")
    most = settings.max_detections
    kept = np.zeros(len(candidates), dtype=bool)
    for rows, _, class_index in _groups(candidates, settings.class_agnostic):
        sides = candidates.xyxy[rows], candidates.confidence[rows]
        limit = thresholds[class_index]
        if settings.method == "nms":
            kept[rows] = suppression.nms(*sides, limit)
        else:
            kept[rows] = suppression.diou_nms(*sides, limit, most)
    return kept


def confidence_limits(candidates: Candidates, settings: PostprocessSettings) -> Floats:
    """The confidence threshold of each class of the candidates."""
    return _per_class(settings.confidence_threshold, candidates.names, "confidence_threshold")


def _per_class(value: _PerClass, names: tuple[str, ...], what: str) -> Floats:
    """A number per class, in the order of `names`; LivestockError for other keys."""
    if isinstance(value, dict):
        if set(value) != set(names):
            wanted = f"one entry a class {sorted(names)}"
            raise LivestockError(f"{what} must have {wanted}, got {sorted(value)}")
        return np.array([value[name] for name in names], dtype=float)
    return np.full(len(names), float(value))


def limit_detections(image_index: Array, confidence: Array, limit: int) -> Places:
    """Row numbers by image and falling confidence, at most `limit` an image."""
    order = np.lexsort((-confidence, image_index))
    by_image = image_index[order]
    position = np.arange(len(order)) - np.searchsorted(by_image, by_image)
    return order[position < limit]


def _groups(candidates: Candidates, class_agnostic: bool) -> Iterator[tuple[Places, int, int]]:
    """(rows by falling confidence, image, class) per image and class; class 0 if agnostic."""
    class_index = candidates.class_index.astype(int) * (not class_agnostic)
    order = np.lexsort((-candidates.confidence, class_index, candidates.image_index))
    key = candidates.image_index.astype(np.int64) * (len(candidates.names) + 1) + class_index
    cuts = np.flatnonzero(np.diff(key[order])) + 1
    for rows in np.split(order, cuts) if len(order) else []:
        yield rows, int(candidates.image_index[rows[0]]), int(class_index[rows[0]])


def _soften_or_fuse(part: Candidates, settings: PostprocessSettings) -> Detections:
    """Soft-NMS and fusion, which change confidences: the threshold holds before and after."""
    ious = _per_class(settings.iou_threshold, part.names, "iou_threshold")
    floors = confidence_limits(part, settings)
    n_passes = len(part.passes if settings.passes is None else settings.passes)
    is_fusion = settings.method == "fusion"
    # A pick of all classes may fall below its own class's floor and make room for another.
    mixed = settings.class_agnostic and floors.min() < floors.max()
    if is_fusion and settings.fusion_nms is not None:
        plain = PostprocessSettings(iou_threshold=settings.fusion_nms)
        kept = np.zeros(len(part), dtype=bool)
        for number in range(len(part.passes)):
            mask = part.pass_index == number
            kept[mask] = _kept(part.select(mask), plain)
        part = part.select(kept)
    found: list[tuple[Any, ...]] = [
        (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4), "f4"), np.zeros(0, "f4"))
    ]
    for rows, image, class_index in _groups(part, settings.class_agnostic):
        xyxy, confidence, labels = part.xyxy[rows], part.confidence[rows], part.class_index[rows]
        if is_fusion:
            xyxy, confidence = suppression.fuse(
                xyxy,
                confidence,
                ious[class_index],
                n_passes=n_passes,
                confidence_type=settings.fusion_confidence,
            )
            labels = np.full(len(confidence), class_index)
        else:
            confidence = suppression.soft_nms(
                xyxy,
                confidence,
                ious[class_index],
                sigma=settings.sigma,
                method=settings.method.removeprefix("soft_nms_"),
                floor=floors.min() if settings.class_agnostic else floors[class_index],
                most=None if mixed else settings.max_detections,
            )
            alive = (confidence > 0) & (confidence >= floors.astype(np.float32)[labels])
            xyxy, confidence, labels = xyxy[alive], confidence[alive], labels[alive]
        found.append((np.full(len(confidence), image), labels, xyxy, confidence))
    return Detections(*(np.concatenate(each) for each in zip(*found, strict=True)))
