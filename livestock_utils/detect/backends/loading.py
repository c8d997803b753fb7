"""A network from whatever file it is kept in: PyTorch, ONNX, TorchScript, OpenVINO or NCNN."""

import os
from pathlib import Path
from typing import Any

from livestock_utils.core.errors import LivestockError
from livestock_utils.detect.backends.base import Backend, TorchBackend

_BACKENDS = ("torch", "onnx")


def open_backend(
    weights_or_model: Any,
    *,
    backend: str = "torch",
    device: str | None = None,
    half: bool | None = None,
    any_classes: bool = False,
    trust: bool = False,
) -> Backend:
    """The network of a .pt, .onnx, .torchscript, .xml (OpenVINO) or .param (NCNN) file, or of a
    loaded model. backend="onnx" exports a .pt beside itself first (once); an exported network runs
    in float32 on the CPU. CheckpointError for classes that are no species, unless `any_classes`."""
    if backend not in _BACKENDS:
        raise LivestockError(f"backend must be one of {list(_BACKENDS)}, got {backend!r}")
    is_path = isinstance(weights_or_model, str | os.PathLike)
    ending = Path(weights_or_model).suffix.lower() if is_path else ""
    others = (".torchscript", ".xml", ".param")
    if (backend == "onnx" or ending in (".onnx", *others)) and (
        half or str(device or "cpu").partition(":")[0] != "cpu"
    ):
        raise LivestockError(
            f"exported networks run in float32 on the CPU, got half={half} and device={device!r}; "
            "leave both out, or predict with the .pt and backend 'torch'"
        )
    if ending in others:
        from livestock_utils.detect.backends import exported

        return exported.open_exported(weights_or_model, any_classes=any_classes)
    if backend == "onnx" or ending == ".onnx":
        from livestock_utils.detect.backends import onnx

        if not is_path:
            raise LivestockError(
                "backend 'onnx' takes the path of a .pt or .onnx file, got a loaded model"
            )
        return onnx.OnnxBackend(
            onnx.exported(weights_or_model, trust=trust), any_classes=any_classes
        )
    return TorchBackend(
        weights_or_model, device=device, half=half, any_classes=any_classes, trust=trust
    )
