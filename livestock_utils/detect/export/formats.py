"""From trained weights to the files that an edge device runs, one `export` for all.

FORMATS lists them. All are files that `lu.predict` takes as weights, so that one scorer
measures them all.
"""

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import files, frames
from livestock_utils.core.errors import ArchiveError, CheckpointError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.backends import exported, onnx
from livestock_utils.detect.export import variants
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

log = logging.getLogger(__name__)

FORMATS = {
    "onnx": "ONNX, any batch and frame size",
    "onnx-static": "ONNX, batch 1 of one shape",
    "onnx-nms": "ONNX with suppression inside",
    "onnx-fp16": "ONNX in float16, for GPUs",
    "onnx-int8": "ONNX in INT8, calibrated on training images",
    "onnx-int8-trt": "ONNX in INT8 as TensorRT parses it (symmetric), for a Jetson",
    "torchscript": "TorchScript, batch 1 of one shape",
    "openvino": "OpenVINO, weights in float16",
}
_BYTES_A_PARAMETER = {".pt": 2, ".onnx": 4, ".torchscript": 4, ".bin": 2}
"""Of each file kind, as this library writes it (float16 checkpoints, float32 exports)."""
_MILLION_PARAMETERS = {
    "yolov5n": 1.9,
    "yolov5n6": 3.2,
    "yolov5s": 7.2,
    "yolov5s6": 12.6,
    "yolov5m": 21.2,
    "yolov5m6": 35.7,
    "yolov5l": 46.5,
    "yolov5l6": 76.8,
    "yolov5x": 86.7,
    "yolov5x6": 140.7,
}
"""From yolov5's release notes (v7.0, COCO)."""
_N_CALIBRATION = 32
INT8 = ("onnx-int8", "onnx-int8-trt")
_AT_ALL_SIZES = ("onnx", "onnx-nms", "onnx-fp16", "onnx-int8")
"""Exports that `export_all` lists at every size; one file serves all."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which exports to make of which weights: sizes in px, thresholds, calibration.

    All `kinds` are made for the largest size, of the smaller ones only those of _AT_ALL_SIZES.
    `images` with `folder` are what the shape of "onnx-static" and "torchscript" must take;
    `calibration_images` with `calibration_folder` are training images for INT8.
    """

    kinds: tuple[str, ...]
    image_sizes: tuple[int, ...]
    images: pd.DataFrame
    calibration_images: pd.DataFrame | None = None
    calibration_folder: str | os.PathLike = ""
    n_calibration: int = _N_CALIBRATION
    settings: Settings | None = None
    seed: int = 0


def export_all(
    weights: str | os.PathLike, folder: str | os.PathLike, plan: Plan, trust: bool = False
) -> pd.DataFrame:
    """All exports of a plan: export, image_size, path, note; "pytorch" comes first.

    INT8 is calibrated at the largest size and runs at the others too. What cannot be made (a
    package that is not installed, settings that do not fit inside) has no path and the reason in
    `note`.
    """
    rows = [("pytorch", size, str(weights), "") for size in plan.image_sizes]
    stride = int(
        checkpoints.load(weights, device="cpu", trust=trust, check_names=False).stride.max()
    )
    for kind in plan.kinds:
        for size in plan.image_sizes if kind in _AT_ALL_SIZES else [max(plan.image_sizes)]:
            path, note = "", ""
            try:
                calibration = None
                if kind in INT8 and plan.calibration_images is not None:
                    calibration = Calibration(
                        plan.calibration_images,
                        plan.calibration_folder,
                        seed=plan.seed,
                        image_size=max(plan.image_sizes),
                        n=plan.n_calibration,
                        stride=stride,
                    )
                shape = common_shape(plan.images, size, stride)
                path = str(
                    export(
                        weights,
                        folder,
                        kind,
                        image_size=size,
                        shape=shape,
                        settings=plan.settings,
                        calibration=calibration,
                        trust=trust,
                    )
                )
            except LivestockError as error:
                if kind not in FORMATS:
                    raise
                note = str(error)
                log.warning("%s was not made: %s", kind, note)
            rows.append((kind, size, path, note))
    return pd.DataFrame(rows, columns=["export", "image_size", "path", "note"])


def export(
    weights: str | os.PathLike,
    folder: str | os.PathLike,
    kind: str = "onnx",
    *,
    image_size: int = 640,
    shape: tuple[int, int, int] | None = None,
    settings: Settings | None = None,
    calibration: "Calibration | None" = None,
    trust: bool = False,
) -> Path:
    """Write `weights` to `folder` in the format `kind` (see FORMATS); returns the path.

    shape: (batch, height px, width px) of the formats of one shape; default one square image of
    `image_size`. settings: thresholds that go inside for "onnx-nms" (hard NMS, one IoU threshold).
    calibration: images for the two in INT8. A file that was made the same way from the same weights
    is left as it is. Raises LivestockError for an unknown kind, settings that do not fit inside, an
    empty calibration set, a missing package, or an operator that the exporter lacks;
    CheckpointError as `checkpoints.load`.
    """
    if kind not in FORMATS:
        raise LivestockError(f"unknown export {kind!r}: expected one of {', '.join(FORMATS)}")
    if kind in ("onnx-static", "torchscript"):
        shape = shape or (1, image_size, image_size)
        name = f"{Path(weights).stem}-{shape[1]}x{shape[2]}"
    else:
        name, shape = Path(weights).stem, None
    target = Path(folder) / _file_name(name, kind)
    made = _made(weights, kind, shape, settings, calibration)
    if _is_there(target, made):
        return target
    log.info("exporting %s", target.name)
    options: dict[str, Any] = {"image_size": image_size, "trust": trust}
    if kind in ("onnx", "onnx-static"):
        onnx.export(weights, target, shape=shape, made=made, **options)
    elif kind == "torchscript":
        assert shape is not None
        _torchscript(weights, target, shape, made, trust)
    else:
        plain = export(weights, folder, "onnx", **options)
        _from_onnx(plain, target, kind, made, settings, calibration)
    return target


def _from_onnx(
    plain: Path,
    target: Path,
    kind: str,
    made: dict[str, Any],
    settings: Settings | None,
    calibration: "Calibration | None",
) -> None:
    if kind == "onnx-nms":
        inside = inside_settings(settings or Settings())
        variants.with_nms(plain, target, made=made, **inside)
    elif kind == "onnx-fp16":
        variants.to_float16(plain, target, made)
    elif kind in INT8:
        if calibration is None:
            raise LivestockError(
                "INT8 needs calibration images: pass calibration=edge.Calibration(images, folder)"
            )
        variants.to_int8(
            plain, target, calibration.batches(), made, tensorrt=kind == "onnx-int8-trt"
        )
    else:
        _openvino(plain, target, made)


def inside_settings(settings: Settings) -> dict[str, Any]:
    """What of `settings` goes into a network with NMS inside; else LivestockError."""
    if not fits_inside(settings):
        raise LivestockError(
            "only hard NMS by class with one IoU threshold goes inside a network, the settings ask "
            f"for {settings.method}, IoU {settings.iou_threshold}"
            f"{', class-agnostic' * settings.class_agnostic}"
            f"{', one class an anchor' * (not settings.multi_label)}; "
            "the runner applies these outside"
        )
    lowest = settings.confidence_threshold
    return {
        "iou_threshold": settings.iou_threshold,
        "max_detections": settings.max_detections,
        "confidence_threshold": min(lowest.values()) if isinstance(lowest, dict) else lowest,
    }


def fits_inside(settings: Settings) -> bool:
    """True for hard NMS, class by class, every class of an anchor, one IoU threshold, one pass."""
    return (
        settings.method == "nms"
        and not settings.class_agnostic
        and settings.multi_label
        and not isinstance(settings.iou_threshold, dict)
        and settings.passes in (None, ("plain",))
    )


class Calibration:
    """Images that INT8 ranges are measured on: `n` drawn by `seed`, letterboxed."""

    def __init__(
        self,
        images: pd.DataFrame,
        folder: str | os.PathLike,
        *,
        image_size: int = 640,
        n: int = _N_CALIBRATION,
        seed: int = 0,
        stride: int = 32,
    ) -> None:
        """Photos to measure on: training images, never those of the validation."""
        if images.empty or n < 1:
            raise LivestockError(
                f"the calibration set is empty ({len(images)} images, n = {n}): INT8 needs some "
                "training images (32 or more)"
            )
        some = images.sample(min(n, len(images)), random_state=seed)
        self.images, self.folder = some.sort_values("image_id", ignore_index=True), folder
        self.image_size, self.stride = image_size, stride

    def recorded(self) -> dict[str, Any]:
        """How the set was made, for the metadata of the export."""
        ids = "\n".join(self.images["image_id"])
        return {
            "images": len(self.images),
            "image_size": self.image_size,
            "image_ids": hashlib.sha256(ids.encode()).hexdigest()[:16],
        }

    def batches(self) -> Iterator[npt.NDArray[np.uint8]]:
        """(1, h, w, 3) BGR letterboxed as predict does; unreadable images are logged, left out."""
        with Photos(self.images, folder=self.folder).reader() as reader:
            for row in self.images.to_dict("records"):
                try:
                    frame = frames.decode(reader.bytes(row.get("archive", ""), row["member"]))
                except (ArchiveError, OSError) as error:
                    log.warning("calibration image %s left out: %s", row["image_id"], error)
                    continue
                box = frames.fit(frame.shape[1], frame.shape[0], self.image_size, self.stride)
                yield frames.letterbox(frame, box)[None]


def common_shape(images: pd.DataFrame, image_size: int, stride: int = 32) -> tuple[int, int, int]:
    """The smallest (1, height px, width px) that takes every letterboxed frame of `images`.

    Barn cameras have one frame size, so this is less than a square: 1920 x 1080 needs 640 x 384.
    """
    known = images[(images["width_px"] > 0) & (images["height_px"] > 0)]
    sizes = known[["width_px", "height_px"]].drop_duplicates()
    if sizes.empty:
        return 1, image_size, image_size
    padded = [
        frames.fit(int(width), int(height), image_size, stride).padded
        for width, height in sizes.to_numpy()
    ]
    return 1, max(height for _, height in padded), max(width for width, _ in padded)


def check_budget(path: str | os.PathLike, max_size_mb: float = 100.0) -> float:
    """A model file's size in 10^6 bytes; CheckpointError, with what fits, if over budget.

    OpenVINO's .bin counts with its .xml.
    """
    size = size_bytes(path)
    if size <= max_size_mb * 1e6:
        return size / 1e6
    each = _BYTES_A_PARAMETER.get(Path(path).suffix.lower(), 4)
    for ending, bytes_each in (("-fp16", 2), ("-int8", 1)):
        if Path(path).stem.endswith(ending):
            each = bytes_each
    fitting = [
        name
        for name, millions in _MILLION_PARAMETERS.items()
        if millions * each * 1.02 <= max_size_mb
    ]
    advice = (
        f"{fitting[-1]} is the largest YOLOv5 that fits "
        f"({_MILLION_PARAMETERS[fitting[-1]] * each:.0f} MB)"
        if fitting
        else f"no YOLOv5 is that small in this format; try {'INT8 or ' * (each > 1)}pruning"
    )
    raise CheckpointError(
        f"{path}: {size / 1e6:.1f} MB, over the budget of {max_size_mb:g} MB (10^6 bytes); {advice}"
    )


def display_name(path: str) -> str:
    """A file's name for a table, "not made" for none."""
    return Path(path).name if path else "not made"


def size_bytes(path: str | os.PathLike) -> int:
    """Bytes of a model's file, with the .bin beside an OpenVINO .xml."""
    main, weights = Path(path), Path(path).with_suffix(".bin")
    both = [main, weights] if main.suffix.lower() == ".xml" and weights.is_file() else [main]
    return sum(part.stat().st_size for part in both)


def _file_name(stem: str, kind: str) -> str:
    suffix = {"torchscript": ".torchscript", "openvino": ".xml"}.get(kind, ".onnx")
    variant = kind.partition("-")[2]
    return f"{stem}-{variant}{suffix}" if variant not in ("", "static") else f"{stem}{suffix}"


def _made(
    weights: str | os.PathLike,
    kind: str,
    shape: tuple[int, int, int] | None,
    settings: Settings | None,
    calibration: "Calibration | None",
) -> dict[str, Any]:
    """How an export is made: equal values, equal file."""
    if not Path(weights).is_file():
        raise CheckpointError(
            f"weights file not found: {weights}; give the path of a .pt file that is there"
        )
    made: dict[str, Any] = {"kind": kind, "from": files.sha256(weights), "shape": list(shape or [])}
    if kind == "onnx-nms":
        made["settings"] = inside_settings(settings or Settings())
    if kind in INT8 and calibration is not None:
        made["calibration"] = calibration.recorded()
    return made


def _is_there(target: Path, made: dict[str, Any]) -> bool:
    """True if `target` is a whole export that was made so."""
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        ".onnx": onnx.read_about,
        ".torchscript": exported.read_torchscript,
        ".xml": lambda path: exported.read_openvino(path)[1],
    }
    if not target.is_file():
        return False
    try:
        return readers[target.suffix](target).get("made") == made
    except CheckpointError:
        return False  # damaged or not ours: exported anew


def _torchscript(
    weights: str | os.PathLike,
    target: Path,
    shape: tuple[int, int, int],
    made: dict[str, Any],
    trust: bool,
) -> None:
    import torch

    model = checkpoints.load(weights, device="cpu", trust=trust, check_names=False)
    detect = model.model[-1]
    detect.export, detect.inplace = True, False
    names = [str(model.names[index]) for index in sorted(model.names)]
    about = {
        "names": names,
        "stride": int(model.stride.max()),
        "weights": made["from"],
        "shape": list(shape),
        "made": made,
    }
    example = torch.zeros(shape[0], 3, *shape[1:])
    with yolov5.yolov5(), warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter(
            "ignore"
        )  # tracing warns of each shape taken as constant: the shape is fixed on purpose
        try:
            with onnx.quiet_stdout():
                model(example)  # sets the grid, which is then a constant
                traced = torch.jit.trace(model, example, strict=False)
        except (RuntimeError, TypeError, ValueError) as error:
            raise LivestockError(
                f"{weights}: TorchScript cannot trace this network "
                f"({' '.join(str(error).split())[:160]}); export to onnx"
            ) from error
        with files.whole_file(target) as file:
            torch.jit.save(
                traced, file, _extra_files={f"{onnx.KEY}.json": json.dumps(about, sort_keys=True)}
            )


def _openvino(plain: Path, target: Path, made: dict[str, Any]) -> None:
    openvino = onnx.need("openvino", "openvino")
    about = onnx.read_about(plain) | {"made": made}
    try:
        model = openvino.convert_model(str(plain))
    except RuntimeError as error:  # OpConversionFailure and its relatives
        raise LivestockError(
            f"OpenVINO lacks an operator of {plain.name} ({' '.join(str(error).split())[:160]}); "
            "use the ONNX file"
        ) from error
    model.set_rt_info(json.dumps(about, sort_keys=True), [onnx.KEY])
    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(model, str(Path(folder) / "model.xml"), compress_to_fp16=True)
        for suffix in (".bin", ".xml"):  # the .xml last: a whole export has both
            with (
                open(Path(folder) / f"model{suffix}", "rb") as source,
                files.whole_file(target.with_suffix(suffix)) as file,
            ):
                shutil.copyfileobj(source, file)
