"""The same network on ONNX Runtime, for machines without a GPU: export, and a `Backend` that predict takes."""

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livestock_utils import checkpoints, compat, files
from livestock_utils.errors import CheckpointError, LivestockError

OPSET = 17
KEY = "livestock_utils"
"""Metadata entry of an exported file: class names, stride, sha256 of the weights it came from."""


def exported(weights: str | os.PathLike, trust: bool = False) -> Path:
    """The .onnx file of `weights`: itself, or the one beside a .pt, exported if it is absent or of other weights."""
    path = Path(weights)
    if path.suffix.lower() == ".onnx":
        return path
    target = path.with_suffix(".onnx")
    if target.is_file():
        try:
            if _about(_session(target), target)["weights"] == files.sha256(path):
                return target
        except CheckpointError:
            pass  # damaged or not ours: exported anew
    return export(path, target, trust=trust)


def export(weights: str | os.PathLike, path: str | os.PathLike, *, image_size: int = 640,
           shape: tuple[int, int, int] | None = None, trust: bool = False) -> Path:
    """Export a .pt to ONNX, checked by the ONNX checker and written whole; returns the path.

    Batch, height and width are free unless `shape` (batch, height px, width px) fixes them, which runs a little
    faster. `image_size` is only the size of the traced example. Raises CheckpointError as `checkpoints.load_model`,
    LivestockError if `onnx` is not installed.
    """
    import torch

    onnx = _need("onnx")
    model = checkpoints.load_model(weights, device="cpu", trust=trust, check_names=False)
    stride = int(model.stride.max())
    batch, height, width = shape or (1, *[max(image_size // stride, 1) * stride] * 2)
    detect = model.model[-1]
    detect.export, detect.inplace, detect.dynamic = True, False, shape is None
    free = {"images": {0: "batch", 2: "height", 3: "width"}, "output": {0: "batch", 1: "anchors"}}
    with tempfile.TemporaryDirectory() as folder, compat.yolov5(), warnings.catch_warnings():
        raw = str(Path(folder) / "model.onnx")
        # Tracing warns of each shape taken as constant (they are attributes), and that the older exporter is older.
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.zeros(batch, 3, height, width),), raw, opset_version=OPSET,
                          input_names=["images"], output_names=["output"], dynamo=False,
                          dynamic_axes=free if shape is None else None)
        graph = onnx.load(raw)
    names = [str(model.names[index]) for index in sorted(model.names)]
    about = {"names": names, "stride": stride, "weights": files.sha256(weights), "shape": list(shape or [])}
    onnx.helper.set_model_props(graph, {KEY: json.dumps(about)})
    onnx.checker.check_model(graph)
    with files.whole_file(path) as file:
        file.write(graph.SerializeToString())
    return Path(path)


class OnnxBackend:
    """An exported YOLOv5 network on ONNX Runtime's CPU; see `backends.Backend`."""

    half = False
    best_batch = 4

    def __init__(self, path: str | os.PathLike, *, any_classes: bool = False, threads: int | None = None) -> None:
        """Open `path`; `threads`: default all cores. CheckpointError for a file that `export` did not write."""
        self.session = _session(path, threads)
        about = _about(self.session, path)
        self.names, self.stride, self.shape = tuple(about["names"]), int(about["stride"]), tuple(about["shape"])
        self.best_batch = self.shape[0] if self.shape else self.best_batch
        if not any_classes:
            checkpoints.check_class_names(self.names, str(path))

    def __call__(self, batch_bgr: npt.NDArray[np.uint8], floor: float) -> list[npt.NDArray[np.float32]]:
        """See `Backend`; a file of fixed shape takes batches up to its own, of its height and width."""
        n = len(batch_bgr)
        if self.shape:
            if batch_bgr.shape[1:3] != self.shape[1:] or n > self.shape[0]:
                raise LivestockError(f"this ONNX file takes batches of {self.shape[0]} x {self.shape[1:]} px, got "
                                     f"{n} x {batch_bgr.shape[1:3]}; export it without a fixed shape")
            padding = np.zeros((self.shape[0] - n, *batch_bgr.shape[1:]), dtype=np.uint8)
            batch_bgr = np.concatenate([batch_bgr, padding])
        pixels = np.ascontiguousarray(batch_bgr.transpose(0, 3, 1, 2)[:, ::-1]).astype(np.float32) / np.float32(255)
        raw = np.asarray(self.session.run(None, {"images": pixels})[0])
        return [rows[rows[:, 4] >= floor] for rows in raw[:n]]


def _session(path: str | os.PathLike, threads: int | None = None) -> Any:
    onnxruntime = _need("onnxruntime")
    if not Path(path).is_file():
        raise CheckpointError(f"ONNX file not found: {path}; export the weights first")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base of their own
        raise CheckpointError(f"{path}: damaged or not an ONNX file ({' '.join(str(error).split())[:120]}); "
                              "export the weights again") from error


def _about(session: Any, path: str | os.PathLike) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        raise CheckpointError(f"{path}: not exported by this library (no class names in it); export the .pt again")
    return json.loads(text)


def _need(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise LivestockError(f"the ONNX backend needs the package {name}: run "
                             "python -m livestock_utils.install --extras edge") from error
