"""From trained weights to the files that an edge device runs, one `export` for all.

All are files that `lu.predict` takes as weights, so that one scorer measures them all.
"""

import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core import files, frames
from livestock_utils.core.arrays import Pixels
from livestock_utils.core.errors import ArchiveError, CheckpointError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.backends import exported, onnx
from livestock_utils.detect.export import variants
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

log = logging.getLogger(__name__)

FORMATS = (
    "onnx",  # any batch and frame size
    "onnx-static",  # batch 1 of one shape
    "onnx-nms",  # with suppression inside
    "onnx-fp16",  # for GPUs
    "onnx-int8",  # calibrated on training images
    "onnx-int8-trt",  # INT8 as TensorRT parses it (symmetric), for a Jetson
    "torchscript",  # batch 1 of one shape
    "openvino",  # weights in float16
    "ncnn",  # batch 1 of one shape, for phones and small boards
)
_INT8 = ("onnx-int8", "onnx-int8-trt")
_AT_ALL_SIZES = ("onnx", "onnx-nms", "onnx-fp16", "onnx-int8")
"""Exports that `export_all` lists at every size; one file serves all."""
_MILLION_PARAMETERS = {
    **{"yolov5n": 1.9, "yolov5n6": 3.2, "yolov5s": 7.2, "yolov5s6": 12.6, "yolov5m": 21.2},
    **{"yolov5m6": 35.7, "yolov5l": 46.5, "yolov5l6": 76.8, "yolov5x": 86.7, "yolov5x6": 140.7},
}
"""From yolov5's release notes (v7.0, COCO)."""


class Calibration:
    """Training photos that INT8 ranges are measured on: `n` drawn by `seed`, letterboxed."""

    def __init__(
        self, train: Photos, image_size: int, n: int = 32, seed: int = 0, stride: int = 32
    ) -> None:
        """Draw from training photos, never from those of the validation."""
        some = train.images.sample(min(n, len(train)), random_state=seed)
        images = some.sort_values("image_id", ignore_index=True)
        self.photos = dataclasses.replace(train, images=images)
        self.image_size, self.stride = image_size, stride

    def recorded(self) -> dict[str, Any]:
        """How the set was made, for the metadata of the export."""
        ids = "\n".join(self.photos.images["image_id"])
        return {
            "images": len(self.photos),
            "image_size": self.image_size,
            "image_ids": hashlib.sha256(ids.encode()).hexdigest()[:16],
        }

    def letterboxed(self) -> Iterator[Pixels]:
        """(h, w, 3) BGR letterboxed as predict does; unreadable images are logged, left out."""
        with self.photos.reader() as reader:
            for row in self.photos.images.to_dict("records"):
                try:
                    frame = frames.decode(reader.bytes(row.get("archive", ""), row["member"]))
                except (ArchiveError, OSError) as error:
                    log.warning("calibration image %s left out: %s", row["image_id"], error)
                    continue
                box = frames.fit(frame.shape[1], frame.shape[0], self.image_size, self.stride)
                yield frames.letterbox(frame, box)


def export_all(
    weights: str | os.PathLike,
    folder: str | os.PathLike,
    kinds: Sequence[str],
    image_sizes: Sequence[int],
    train: Photos,
    valid: Photos,
    settings: Settings,
    n_calibration: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """All `kinds` of exports: export, image_size, path, note; "pytorch" comes first. They are made
    for the largest size, of the smaller ones only those of _AT_ALL_SIZES. Files of one shape take
    all frames of `valid`. INT8 is calibrated on `train` at the largest size and runs at the others
    too. What cannot be made (a package that is not installed) has no path and the reason in
    `note`."""
    rows = [("pytorch", size, str(weights), "") for size in image_sizes]
    stride = int(checkpoints.load(weights, device="cpu", check_names=False).stride.max())
    calibration = Calibration(train, max(image_sizes), n_calibration, seed, stride)
    for kind in kinds:
        for size in image_sizes if kind in _AT_ALL_SIZES else [max(image_sizes)]:
            path, note = "", ""
            shape = common_shape(valid.images, size, stride)
            try:
                path = str(export(weights, folder, kind, size, shape, settings, calibration))
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
    image_size: int = 640,
    shape: tuple[int, int, int] | None = None,
    settings: Settings | None = None,
    calibration: Calibration | None = None,
) -> Path:
    """Write `weights` to `folder` in the format `kind` (see FORMATS); returns the path. shape:
    (batch, height px, width px) of the formats of one shape; default one square image. settings:
    thresholds that go inside for "onnx-nms" (hard NMS, one IoU threshold). calibration: for the two
    in INT8. A file that was made the same way from the same weights is left as it is."""
    if kind not in FORMATS:
        raise LivestockError(f"unknown export {kind!r}: expected one of {', '.join(FORMATS)}")
    variant = kind.partition("-")[2]
    if kind in ("onnx-static", "torchscript", "ncnn"):
        shape = shape or (1, image_size, image_size)
        variant = f"{shape[1]}x{shape[2]}"
    else:
        shape = None
    suffix = {"torchscript": ".torchscript", "openvino": ".xml", "ncnn": ".param"}.get(
        kind, ".onnx"
    )
    target = Path(folder) / f"{Path(weights).stem}{f'-{variant}' if variant else ''}{suffix}"
    made: dict[str, Any] = {"kind": kind, "from": files.sha256(weights), "shape": list(shape or [])}
    if kind == "onnx-nms":
        made["settings"] = _inside(settings or Settings())
    if kind in _INT8:
        assert calibration is not None
        made["calibration"] = calibration.recorded()
    if _is_there(target, made):
        return target
    log.info("exporting %s", target.name)
    if kind in ("onnx", "onnx-static"):
        return onnx.export(weights, target, image_size=image_size, shape=shape, made=made)
    if kind == "ncnn":
        return _ncnn(export(weights, folder, "torchscript", image_size, shape), target, made)
    if shape:
        return _torchscript(weights, target, shape, made)
    plain = export(weights, folder, "onnx", image_size)
    if kind == "onnx-nms":
        return variants.with_nms(plain, target, made)
    if kind == "onnx-fp16":
        return variants.to_float16(plain, target, made)
    if kind == "openvino":
        return _openvino(plain, target, made)
    assert calibration is not None
    return variants.to_int8(plain, target, calibration.letterboxed(), made, kind == "onnx-int8-trt")


def _inside(settings: Settings) -> dict[str, Any]:
    """What of `settings` goes into a network with NMS inside."""
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
        and settings.voting_iou is None
        and settings.rescorer is None
        and not isinstance(settings.iou_threshold, dict)
        and settings.passes in (None, ("plain",))
    )


def common_shape(images: pd.DataFrame, image_size: int, stride: int = 32) -> tuple[int, int, int]:
    """The smallest (1, height px, width px) that takes every letterboxed frame of `images`. Barn
    cameras have one frame size, so this is less than a square: 1920 x 1080 needs 640 x 384."""
    sizes = images.loc[
        (images["width_px"] > 0) & (images["height_px"] > 0), ["width_px", "height_px"]
    ].drop_duplicates()
    if sizes.empty:
        return 1, image_size, image_size
    padded = [
        frames.fit(int(width), int(height), image_size, stride).padded
        for width, height in sizes.to_numpy()
    ]
    return 1, max(height for _, height in padded), max(width for width, _ in padded)


def check_budget(weights: str | os.PathLike, max_size_mb: float) -> float:
    """The size of a .pt in 10^6 bytes; CheckpointError, with what fits, if over budget."""
    size_mb = size_bytes(weights) / 1e6
    if size_mb <= max_size_mb:
        return size_mb
    advice = "no YOLOv5 is that small in this format; try INT8 or pruning"
    for name, millions in _MILLION_PARAMETERS.items():
        if 2 * millions * 1.02 <= max_size_mb:  # checkpoints are float16
            advice = f"{name} is the largest YOLOv5 that fits ({2 * millions:.0f} MB)"
    raise CheckpointError(
        f"{weights}: {size_mb:.1f} MB, over the budget of {max_size_mb:g} MB (10^6 bytes); {advice}"
    )


def display_name(path: str) -> str:
    """A file's name for a table, "not made" for none."""
    return Path(path).name if path else "not made"


def size_bytes(path: str | os.PathLike) -> int:
    """Bytes of a model's file, with the .bin beside an OpenVINO .xml or NCNN's .param."""
    suffix = Path(path).suffix
    suffixes = (suffix, ".bin") if suffix in (".xml", ".param") else (suffix,)
    return sum(Path(path).with_suffix(suffix).stat().st_size for suffix in suffixes)


def _is_there(target: Path, made: dict[str, Any]) -> bool:
    """True if `target` is a whole export that was made so."""
    if not target.is_file():
        return False
    try:
        return read_about(target).get("made") == made
    except CheckpointError:
        return False  # damaged or not ours: exported anew


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """Names, stride, shape ([] where free) ... of an export or of the weights themselves."""
    suffix = Path(path).suffix.lower()
    if suffix == ".pt":
        model = checkpoints.load(path, device="cpu", check_names=False)
        return onnx.describe(model, str(path))
    if suffix == ".torchscript":
        return exported.read_torchscript(path)[1]
    if suffix == ".param":
        return exported.read_ncnn(path)
    return exported.read_openvino(path)[1] if suffix == ".xml" else onnx.read_about(path)


def _torchscript(
    weights: str | os.PathLike, target: Path, shape: tuple[int, int, int], made: dict[str, Any]
) -> Path:
    import torch

    model = checkpoints.load(weights, device="cpu", check_names=False)
    model.model[-1].export, model.model[-1].inplace = True, False
    about = onnx.describe(model, made["from"], shape, made)
    example = torch.zeros(shape[0], 3, *shape[1:])
    with yolov5.yolov5(), warnings.catch_warnings(), torch.inference_mode():
        # tracing warns of each shape taken as constant: the shape is fixed on purpose
        warnings.simplefilter("ignore")
        try:
            with onnx.quiet_stdout():
                model(example)  # sets the grid, which is then a constant
                traced = torch.jit.trace(model, example, strict=False)
        except (RuntimeError, TypeError, ValueError) as error:
            raise LivestockError(
                f"{weights}: TorchScript cannot trace this network "
                f"({' '.join(str(error).split())[:160]}); export to onnx"
            ) from error
        extra = {f"{onnx.KEY}.json": json.dumps(about, sort_keys=True)}
        with files.whole_file(target) as file:
            torch.jit.save(traced, file, _extra_files=extra)
    return target


def _openvino(plain: Path, target: Path, made: dict[str, Any]) -> Path:
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
        written = Path(folder) / "model.xml"
        openvino.save_model(model, str(written), compress_to_fp16=True)
        for suffix in (".bin", ".xml"):  # the .xml last: a whole export has both
            with files.whole_file(target.with_suffix(suffix)) as file:
                file.write(written.with_suffix(suffix).read_bytes())
    return target


def _ncnn(traced: Path, target: Path, made: dict[str, Any]) -> Path:
    """By pnnx, in float32: .param and .bin as NCNN reads them, our metadata as .json beside."""
    pnnx, about = onnx.need("pnnx", "ncnn"), read_about(traced) | {"made": made}
    shape = ",".join(map(str, [1, 3, *made["shape"][1:]]))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.pt"
        source.write_bytes(traced.read_bytes())
        command = [pnnx.EXEC_PATH, str(source), f"inputshape=[{shape}]", "fp16=0"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        parts = {end: source.with_name(f"model.ncnn{end}") for end in (".bin", ".param")}
        if done.returncode or not all(part.is_file() for part in parts.values()):
            why = " ".join((done.stderr or done.stdout).split())[-160:]
            raise LivestockError(f"pnnx cannot convert {traced.name} ({why}); use the ONNX file")
        files.write_text(target.with_suffix(".json"), json.dumps(about, sort_keys=True))
        for end, part in parts.items():  # the .param last: a whole export has all three
            with files.whole_file(target.with_suffix(end)) as file:
                file.write(part.read_bytes())
    return target
