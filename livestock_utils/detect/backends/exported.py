"""Networks exported to TorchScript, OpenVINO or NCNN, as a `Backend` that predict takes."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from livestock_utils.core.arrays import Float32s
from livestock_utils.core.errors import CheckpointError
from livestock_utils.detect import checkpoints
from livestock_utils.detect.backends import base, onnx


def open_exported(
    path: str | os.PathLike, *, any_classes: bool = False, threads: int | None = None
) -> base.Backend:
    """The network of a .onnx, .torchscript, .xml or .param file of ours, on the CPU; `threads`:
    default all cores. CheckpointError for other files and, unless `any_classes`, classes."""
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        return onnx.OnnxBackend(path, any_classes=any_classes, threads=threads)
    kinds: dict[str, Any] = {".torchscript": _TorchScriptBackend, ".xml": _OpenVinoBackend}
    kind = (kinds | {".param": _NcnnBackend}).get(suffix)
    if kind is None:
        told = ".onnx, .torchscript, .xml or .param"
        raise CheckpointError(f"{path}: expected a file that ends in {told}")
    if not Path(path).is_file():
        raise CheckpointError(f"exported file not found: {path}; export the weights first")
    network = kind(path, threads)
    if not any_classes:
        checkpoints.check_class_names(network.names, str(path))
    return network


class _TorchScriptBackend(onnx.Exported):
    """A traced network; `threads` is set for the whole process, as torch has it."""

    def __init__(self, path: str | os.PathLike, threads: int | None = None) -> None:
        """`threads`: default all cores."""
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.network, about = read_torchscript(path)
        self._take(about)

    def _run(self, pixels: Float32s) -> Float32s:
        import torch

        with torch.inference_mode():
            return self.network(torch.from_numpy(pixels))[0].numpy()


class _OpenVinoBackend(onnx.Exported):
    """An OpenVINO network (.xml with its .bin) on the CPU."""

    def __init__(self, path: str | os.PathLike, threads: int | None = None) -> None:
        """`threads`: default all cores."""
        openvino = onnx.need("openvino", "openvino")
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        model, about = read_openvino(path)
        self._take(about)
        self.network = openvino.Core().compile_model(model, "CPU", options)

    def _run(self, pixels: Float32s) -> Float32s:
        return np.asarray(self.network([pixels])[0])


class _NcnnBackend(onnx.Exported):
    """An NCNN network (.param with its .bin and .json) on the CPU, in float32."""

    def __init__(self, path: str | os.PathLike, threads: int | None = None) -> None:
        """`threads`: default all cores."""
        self.ncnn = onnx.need("ncnn", "ncnn")
        self._take(read_ncnn(path))
        self.network = self.ncnn.Net()
        self.network.opt.num_threads = threads or os.cpu_count() or 1
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
            setattr(self.network.opt, name, False)
        parts = self.network.load_param, self.network.load_model
        for load, end in zip(parts, (".param", ".bin"), strict=True):
            part = Path(path).with_suffix(end)
            if not part.is_file() or load(str(part)):
                raise CheckpointError(f"{part}: damaged or absent; export again")

    def _run(self, pixels: Float32s) -> Float32s:
        with self.network.create_extractor() as run:
            run.input("in0", self.ncnn.Mat(pixels[0]))
            return np.array(run.extract("out0")[1])[None]


def read_ncnn(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata beside an NCNN network, as of `onnx.read_about`."""
    beside = Path(path).with_suffix(".json")
    is_whole = beside.is_file() and Path(path).read_bytes().startswith(b"7767517")
    return onnx.parse_about(beside.read_text("utf-8") if is_whole else "", path)


def read_torchscript(path: str | os.PathLike) -> tuple[Any, dict[str, Any]]:
    """A TorchScript network and its metadata, as of `onnx.read_about`."""
    import warnings

    import torch

    entry = f"{onnx.KEY}.json"
    extra = {entry: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch 2.9 and later call TorchScript deprecated
            network = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged or not a TorchScript file; export the weights again"
        ) from error
    return network, onnx.parse_about(extra[entry], path)


def read_openvino(path: str | os.PathLike) -> tuple[Any, dict[str, Any]]:
    """An OpenVINO model and its metadata, as of `onnx.read_about`."""
    openvino = onnx.need("openvino", "openvino")
    try:
        model = openvino.Core().read_model(str(path))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: damaged, without its .bin, or not an OpenVINO file; export again"
        ) from error
    text = str(model.get_rt_info([onnx.KEY]).value) if model.has_rt_info([onnx.KEY]) else ""
    return model, onnx.parse_about(text, path)
