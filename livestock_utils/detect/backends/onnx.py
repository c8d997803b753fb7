"""The same network on ONNX Runtime: export, and a `Backend` that predict takes."""

import contextlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from livestock_utils.core import files
from livestock_utils.core.arrays import Float32s, Pixels
from livestock_utils.core.errors import CheckpointError, LivestockError
from livestock_utils.detect import checkpoints, yolov5

_OPSET = 17
KEY = "livestock_utils"
"""Metadata entry of an exported file: class names, stride, sha256 of the weights it came from,
fixed shape or [], "made" (how a variant was made) and "nms" (its settings, where suppression is
inside; see `export.variants`)."""
_PADDING = 114
"""Grey level that fills a fixed shape, yolov5's."""


def exported(weights: str | os.PathLike, trust: bool = False) -> Path:
    """The .onnx file of `weights`: itself, or the one beside a .pt, exported where it is not."""
    path = Path(weights)
    if path.suffix.lower() == ".onnx":
        return path
    target = path.with_suffix(".onnx")
    with contextlib.suppress(CheckpointError):  # damaged or not ours: exported anew
        if target.is_file() and read_about(target)["weights"] == files.sha256(path):
            return target
    return export(path, target, trust=trust)


def export(
    weights: str | os.PathLike,
    path: str | os.PathLike,
    *,
    image_size: int = 640,
    shape: tuple[int, int, int] | None = None,
    trust: bool = False,
    made: dict[str, Any] | None = None,
) -> Path:
    """Export a .pt to ONNX, checked by the ONNX checker and written whole; returns the path. Batch,
    height and width are free unless `shape` (batch, height px, width px) fixes them, which runs a
    little faster. `image_size` is only the size of the traced example."""
    import torch

    onnx = need("onnx")
    model = checkpoints.load(weights, device="cpu", trust=trust, check_names=False)
    stride = int(model.stride.max())
    batch, height, width = shape or (1, *[max(image_size // stride, 1) * stride] * 2)
    head = model.model[-1]
    head.export, head.inplace, head.dynamic = True, False, shape is None
    free = {"images": {0: "batch", 2: "height", 3: "width"}, "output": {0: "batch", 1: "anchors"}}
    with tempfile.TemporaryDirectory() as folder, yolov5.yolov5(), warnings.catch_warnings():
        raw = str(Path(folder) / "model.onnx")
        # tracing warns of each shape taken as constant, and that the older exporter is older
        warnings.simplefilter("ignore")
        try:
            with quiet_stdout():
                torch.onnx.export(
                    model,
                    (torch.zeros(batch, 3, height, width),),
                    raw,
                    opset_version=_OPSET,
                    input_names=["images"],
                    output_names=["output"],
                    dynamo=False,
                    dynamic_axes=free if shape is None else None,
                )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
            why = " ".join(str(error).split())[:160]
            raise LivestockError(
                f"{weights}: the ONNX exporter lacks an operator of this network ({why}); export "
                "to torchscript, or replace the layer"
            ) from error
        graph = onnx.load(raw)
    return write(path, graph, describe(model, files.sha256(weights), shape or (), made))


def describe(
    model: Any, weights: str, shape: Sequence[int] = (), made: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Metadata of a loaded model's export, see KEY."""
    return {
        "names": [str(model.names[index]) for index in sorted(model.names)],
        "stride": int(model.stride.max()),
        "weights": weights,
        "shape": list(shape),
        "made": made or {},
    }


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Nothing that C++ code prints meanwhile reaches the screen (torch shows whole graphs)."""
    import ctypes

    sys.stdout.flush()
    kept, sink = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        with contextlib.suppress(TypeError, OSError, AttributeError):
            ctypes.CDLL(None).fflush(None)  # what C still buffers goes the same way
        os.dup2(kept, 1)
        os.close(kept)
        os.close(sink)


def write(path: str | os.PathLike, graph: Any, about: dict[str, Any]) -> Path:
    """Write an ONNX graph with its metadata, checked and whole."""
    onnx = need("onnx")
    onnx.helper.set_model_props(graph, {KEY: json.dumps(about, sort_keys=True)})
    onnx.checker.check_model(graph)
    with files.whole_file(path) as file:
        file.write(graph.SerializeToString())
    return Path(path)


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """Metadata of an exported file, see KEY; CheckpointError if absent, damaged or not ours."""
    return _about(_session(path), path)


def _fill_shape(pixels: Pixels, shape: tuple[int, int, int]) -> Pixels:
    """(n, h, w, 3) -> (batch, height, width, 3) of a fixed `shape`: grey right and below."""
    n, height, width = pixels.shape[:3]
    if n > shape[0] or height > shape[1] or width > shape[2]:
        raise LivestockError(
            f"this file takes batches of {shape[0]} x {tuple(shape[1:])} px, got {n} x "
            f"{(height, width)}; export it without a fixed shape, or for these sizes"
        )
    if (n, height, width) == tuple(shape):
        return pixels
    filled = np.full((*shape, 3), _PADDING, dtype=np.uint8)
    filled[:n, :height, :width] = pixels
    return filled


class Exported:
    """What all exported networks have in common: their metadata, float32 on the CPU."""

    half = False
    best_batch = 4

    def _take(self, about: dict[str, Any]) -> None:
        self.names, self.stride = tuple(about["names"]), int(about["stride"])
        self.shape = tuple(about["shape"])
        self.best_batch = self.shape[0] if self.shape else self.best_batch

    def _run(self, pixels: Float32s) -> Any:
        """Rows of each image, from (n, 3, h, w) RGB shares."""
        raise NotImplementedError

    def __call__(self, batch_bgr: Pixels, floor: float) -> list[Float32s]:
        """See `Backend`; a file of fixed shape takes batches and sizes up to its own."""
        n = len(batch_bgr)
        if self.shape:
            batch_bgr = _fill_shape(batch_bgr, self.shape)
        rgb = np.ascontiguousarray(batch_bgr.transpose(0, 3, 1, 2)[:, ::-1])
        images = self._run(rgb.astype(np.float32) / np.float32(255))[:n]
        return [rows[rows[:, 4] >= floor] for rows in images]


class OnnxBackend(Exported):
    """An exported YOLOv5 network on ONNX Runtime's CPU."""

    def __init__(
        self, path: str | os.PathLike, *, any_classes: bool = False, threads: int | None = None
    ) -> None:
        """`threads`: all cores by default."""
        self.session = _session(path, threads)
        about = _about(self.session, path)
        self._take(about)
        self.nms = about.get("nms")
        if not any_classes:
            checkpoints.check_class_names(self.names, str(path))

    def _run(self, pixels: Float32s) -> Any:
        raw = np.asarray(self.session.run(None, {"images": pixels})[0])
        return _rows_of_detections(raw, len(pixels), len(self.names)) if self.nms else raw


class OnCanvas:
    """Another backend's network, on the wider canvas of a file of one shape."""

    def __init__(self, network: Any, shape: tuple[int, int, int]) -> None:
        """`shape`: (batch, height px, width px)."""
        self.network, self.shape = network, shape
        self.names, self.stride, self.half = network.names, network.stride, network.half
        self.best_batch = shape[0]

    def __call__(self, batch_bgr: Pixels, floor: float) -> list[Float32s]:
        """See `Backend`."""
        return self.network(_fill_shape(batch_bgr, self.shape), floor)[: len(batch_bgr)]


def _rows_of_detections(found: Float32s, n: int, classes: int) -> list[Float32s]:
    """Output of a network with NMS inside (see `variants.with_nms`) -> rows as of `Backend` for
    each of `n` images: the confidence as objectness, 1 as the class score."""
    raw = np.zeros((len(found), 5 + classes), dtype=np.float32)
    raw[:, :5] = found[:, 1:6]
    raw[np.arange(len(found)), 5 + found[:, 6].astype(int)] = 1
    return [raw[found[:, 0] == image] for image in range(n)]


def _session(path: str | os.PathLike, threads: int | None = None) -> Any:
    onnxruntime = need("onnxruntime")
    if not Path(path).is_file():
        raise CheckpointError(f"ONNX file not found: {path}; export the weights first")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base of their own
        raise CheckpointError(
            f"{path}: damaged or not an ONNX file ({' '.join(str(error).split())[:120]}); export "
            "the weights again"
        ) from error


def _about(session: Any, path: str | os.PathLike) -> dict[str, Any]:
    return parse_about(session.get_modelmeta().custom_metadata_map.get(KEY), path)


def parse_about(text: str | None, path: str | os.PathLike) -> dict[str, Any]:
    """Metadata of an exported file from its text; CheckpointError where there is none."""
    if not text:
        raise CheckpointError(
            f"{path}: not exported by this library (no class names in it); export the .pt again"
        )
    return json.loads(text)


def need(name: str, extra: str = "edge") -> Any:
    """Import an optional package, or a LivestockError that says how to install it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise LivestockError(
            f"this needs the package {name}: run python -m livestock_utils.install --extras {extra}"
        ) from error
