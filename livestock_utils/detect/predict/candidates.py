"""Raw candidates of the network (before NMS) in one file, so that tuning costs seconds: an anchor's
box with one class above the floor, by image and falling confidence; ties keep the network's
order."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.arrays import Array, Flags, Float32s, Pixels
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.files import whole_file
from livestock_utils.core.tables import PREDICTION_COLUMNS
from livestock_utils.core.text import one_line

_FORMAT = 1
_TYPES = {
    "image_index": "int32",
    "class_index": "int16",
    "pass_index": "uint8",
    "best_class": "bool",
    "confidence": "float32",
    "xyxy": "float32",
}
PER_CANDIDATE = tuple(_TYPES)
_IMAGE_TYPES = {"image_id": str, "width_px": int, "height_px": int, "status": str, "found": int}


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Images, also those without candidates, and one array entry a candidate. `images`, by
    image_id: size of the decoded frame (0: unreadable), status ("ok" or what went wrong), found
    (candidates before the cap). The indices are rows of `images`, `names` and `passes`.
    `best_class`: is it the anchor's best (yolov5's single label)? `xyxy` (n, 4) px may leave the
    frame: suppression sees boxes whole, as in yolov5; predictions are clipped."""

    images: pd.DataFrame
    image_index: npt.NDArray[np.int32]
    class_index: npt.NDArray[np.int16]
    pass_index: Pixels
    best_class: Flags
    confidence: Float32s
    xyxy: Float32s
    names: tuple[str, ...]
    passes: tuple[str, ...]
    made_with: dict[str, Any]

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self.confidence)

    @property
    def unreadable(self) -> list[str]:
        """Ids of the images that could not be read."""
        return self.images.loc[self.images["status"] != "ok", "image_id"].tolist()

    @property
    def capped(self) -> int:
        """Number of images that had more candidates than the cap, in any pass."""
        return int((self.images["found"] > self.made_with["cap"]).sum())

    def select(self, mask: Flags) -> "Candidates":
        """Only the candidates where `mask` (n,) is true; the images stay."""
        arrays = {name: getattr(self, name)[mask] for name in PER_CANDIDATE}
        return dataclasses.replace(self, **arrays)

    def pass_places(self, names: Sequence[str]) -> list[int]:
        """Where these passes stand in `passes`; LivestockError for one that was not predicted."""
        if missing := [name for name in names if name not in self.passes]:
            raise LivestockError(
                f"pass {missing[0]!r} was not predicted: there are {list(self.passes)}"
            )
        return [self.passes.index(name) for name in names]

    def of_passes(self, names: Sequence[str]) -> "Candidates":
        """Only these passes, in this order."""
        moved = np.full(len(self.passes), -1)
        moved[self.pass_places(names)] = np.arange(len(names))
        part = self.select(moved[self.pass_index] >= 0)
        places = moved[part.pass_index].astype(part.pass_index.dtype)
        return dataclasses.replace(part, passes=tuple(names), pass_index=places)

    def of_images(self, image_ids: Sequence[str] | pd.Series) -> "Candidates":
        """Only these images with their candidates; DatasetError if one was never predicted."""
        known, wanted = self.images["image_id"], set(image_ids)
        if missing := sorted(wanted - set(known)):
            raise DatasetError(
                f"{len(missing)} of {len(wanted)} images have no candidates, first {missing[0]!r}: "
                "predict them first, or merge the shard that holds them"
            )
        chosen = known.isin(wanted).to_numpy()
        part, images = self.select(chosen[self.image_index]), self.images[chosen]
        index = (np.cumsum(chosen) - 1)[part.image_index].astype(np.int32)
        return dataclasses.replace(part, images=images.reset_index(drop=True), image_index=index)


def build(
    images: pd.DataFrame,
    names: Sequence[str],
    passes: Sequence[str],
    made_with: dict[str, Any],
    **arrays: npt.ArrayLike,
) -> Candidates:
    """Candidates from a table of images and arrays, the fields of `Candidates`, in any order."""
    values = {name: np.asarray(arrays[name], dtype=kind) for name, kind in _TYPES.items()}
    order = np.argsort(images["image_id"].to_numpy(dtype=object), kind="stable")
    rank = np.empty(len(images), "int32")
    rank[order] = np.arange(len(images))
    values["image_index"] = rank[values["image_index"]]
    rows = np.lexsort((-values["confidence"], values["image_index"]))
    return Candidates(
        images=images.iloc[order][[*_IMAGE_TYPES]].reset_index(drop=True),
        names=tuple(names),
        passes=tuple(passes),
        made_with=made_with,
        **{name: value[rows] for name, value in values.items()},
    )


def of_table(
    predictions: pd.DataFrame, images: pd.DataFrame, names: Sequence[str], source: str = "table"
) -> Candidates:
    """A predictions table (px) of `images` as candidates, whatever detector made it; DatasetError
    for boxes of other images, other classes, or without confidences in [0, 1]."""
    predictions = predictions.reindex(columns=PREDICTION_COLUMNS)
    place = pd.Index(images["image_id"]).get_indexer(pd.Index(predictions["image_id"]))
    label = pd.Index(list(names)).get_indexer(pd.Index(predictions["species"]))
    sure = pd.to_numeric(predictions["confidence"], errors="coerce")
    for bad, what, got in (
        (place < 0, "boxes are of images that are not among the photos", "image_id"),
        (label < 0, f"boxes are of other classes than {list(names)}: name yours", "species"),
        (~sure.between(0, 1), "boxes have no confidence in [0, 1]", "confidence"),
    ):
        if n := int(np.sum(bad)):
            value = predictions.loc[np.asarray(bad), got].iloc[0]
            raise DatasetError(f"{source}: {n} of {len(bad)} {what}, first {value!r}")
    table = images.reindex(columns=["image_id", "width_px", "height_px"]).assign(
        status="ok", found=np.bincount(place, minlength=len(images))
    )
    return build(
        table.fillna({"width_px": 0, "height_px": 0}),
        names,
        (source,),
        {
            "weights": source,
            "cap": len(predictions),
            "floor": float(sure.min() if len(sure) else 0),
        },
        image_index=place,
        class_index=label,
        pass_index=np.zeros(len(place)),
        best_class=np.ones(len(place)),
        confidence=sure,
        xyxy=predictions[XYXY].to_numpy(float),
    )


def save(path: str | os.PathLike, candidates: Candidates) -> Path:
    """Write candidates as one .npz, about 15 bytes each."""
    about = {name: getattr(candidates, name) for name in ("names", "passes", "made_with")}
    table = candidates.images
    columns = {
        name: np.array(table[name].tolist(), dtype=np.str_ if kind is str else np.int32)
        for name, kind in _IMAGE_TYPES.items()
    }
    arrays = {name: getattr(candidates, name) for name in PER_CANDIDATE if name != "image_index"}
    with whole_file(path) as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            about=np.array(json.dumps(about | {"format": _FORMAT}, sort_keys=True)),
            # Sorted by image, so the index is stored as counts.
            counts=np.bincount(candidates.image_index, minlength=len(table)).astype("int32"),
            **columns,
            **arrays,
        )
    return Path(path)


def load(path: str | os.PathLike) -> Candidates:
    """Read what `save` wrote; DatasetError if absent, damaged or of another kind."""
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        about = json.loads(str(content["about"]))
        form = about["format"]
        table = pd.DataFrame({name: content[name] for name in _IMAGE_TYPES}).astype(_IMAGE_TYPES)
        index = np.repeat(np.arange(len(table), dtype="int32"), content["counts"])
        arrays = {name: content[name] for name in PER_CANDIDATE if name != "image_index"}
        names, passes, made_with = (about[key] for key in ("names", "passes", "made_with"))
        if {len(index)} != {len(one) for one in arrays.values()}:
            raise ValueError("arrays of different lengths")
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file of candidates; predict first") from error
    except Exception as error:  # what a damaged file leads numpy to has no common base
        raise DatasetError(
            f"{path}: not a whole file of candidates ({one_line(error, 140)}); delete it and "
            "predict again"
        ) from error
    if form != _FORMAT:
        raise DatasetError(
            f"{path}: candidates of format {form}, expected {_FORMAT}; predict again"
        )
    return Candidates(
        table, index, **arrays, names=tuple(names), passes=tuple(passes), made_with=made_with
    )


def merge(
    parts: Sequence[Candidates], sources: Sequence[str] | None = None, out_of_fold: bool = False
) -> Candidates:
    """Put shards of different images together, in any order; `sources` names them in messages.
    `out_of_fold`: parts are validation folds, each predicted by weights that have not seen it.
    DatasetError for an image in two parts, or parts that were made in different ways."""
    first = parts[0]
    labels = list(sources or (f"shard {i + 1}" for i in range(len(parts))))
    ways = [{"classes": part.names, "passes": part.passes, **part.made_with} for part in parts]
    seen: dict[str, str] = {}
    for part, label, way in zip(parts, labels, ways, strict=True):
        free = {"weights", "images"} if out_of_fold else set()
        for key in sorted((way.keys() | ways[0].keys()) - free):
            if way.get(key) != ways[0].get(key):
                raise DatasetError(
                    f"{label} was made with {key} {way.get(key)!r}, {labels[0]} with "
                    f"{ways[0].get(key)!r}: predict one of them again"
                )
        for image_id in part.images["image_id"]:
            if image_id in seen:
                raise DatasetError(
                    f"{label}: image {image_id!r} is already in {seen[image_id]}: a shard merged "
                    "twice; leave one of them out"
                )
            seen[image_id] = label
    made_with = first.made_with
    if out_of_fold:
        made_with = made_with | {"weights": [part.made_with["weights"] for part in parts]}
    images = pd.concat([part.images for part in parts], ignore_index=True)
    arrays = _joined(parts, "image_index", [len(part.images) for part in parts])
    return build(images, first.names, first.passes, made_with, **arrays)


def stack(runs: Sequence[Candidates]) -> Candidates:
    """Put passes over the same images together (flip, scales); `found` becomes the largest.
    DatasetError if the images differ or a pass is there twice."""
    if not runs:
        raise DatasetError("no passes to stack; predict at least one")
    first = runs[0]
    passes = [name for run in runs for name in run.passes]
    if len(set(passes)) != len(passes):
        raise DatasetError(f"passes must differ by name, got {passes}: one of them was given twice")
    for run in runs[1:]:
        if run.images["image_id"].tolist() != first.images["image_id"].tolist():
            raise DatasetError(
                f"pass {run.passes[0]!r} covers other images than {first.passes[0]!r}; predict "
                "them all"
            )
    images = first.images.assign(found=np.max([run.images["found"] for run in runs], axis=0))
    arrays = _joined(runs, "pass_index", [len(run.passes) for run in runs])
    return build(images, first.names, passes, first.made_with, **arrays)


def _joined(parts: Sequence[Candidates], moved: str, lengths: Sequence[int]) -> dict[str, Array]:
    """The arrays of all parts one after another; the index `moved` goes on behind each part."""
    arrays = {name: [getattr(part, name) for part in parts] for name in _TYPES}
    offsets = np.cumsum([0, *lengths[:-1]])
    arrays[moved] = [i.astype(int) + o for i, o in zip(arrays[moved], offsets, strict=True)]
    return {name: np.concatenate(pieces) for name, pieces in arrays.items()}
