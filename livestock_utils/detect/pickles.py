"""Pickles of YOLOv5 weights read by an allow-list, so that a file cannot run code."""

import contextlib
import os
import pathlib
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from livestock_utils.core.errors import CheckpointError
from livestock_utils.core.threads import swapped

LAYERS = (
    "Conv DWConv DWConvTranspose2d TransformerLayer TransformerBlock Bottleneck BottleneckCSP "
    "CrossConv C3 C3x C3TR C3SPP C3Ghost SPP SPPF Focus GhostConv GhostBottleneck Contract "
    "Expand Concat"
).split()
"""Layer classes of yolov5's models/common.py that a detection model may hold."""

TORCH_LAYERS = (
    "Sequential ModuleList Conv2d ConvTranspose2d BatchNorm2d MaxPool2d Upsample SiLU Identity "
    "LeakyReLU ReLU ReLU6 Hardswish Dropout Linear MultiheadAttention LayerNorm ZeroPad2d"
).split()
_REFUSED = re.compile(
    r"GLOBAL (\S+) was not an allowed global|(?:blocked|unsupported).{0,40}?([\w.]+\.[\w.]+)",
    re.IGNORECASE,
)


def load_pickle(
    parts: Any,
    file: Any,
    map_location: Any = None,
    trust: bool = False,
    torch_load: Callable | None = None,
) -> Any:
    """`torch.load` of a path or open file with an allow-list of YOLOv5's classes (`parts`)."""
    import torch

    load = torch_load or torch.load
    name = str(file if isinstance(file, os.PathLike) else getattr(file, "name", file))
    try:
        if trust:
            with old_names():
                return load(file, map_location=map_location, weights_only=False)
        unbuilt = mock.patch.object(parts.yolo.DetectionModel, "__init__", _refuse_building)
        with torch.serialization.safe_globals(_allowed(parts)), unbuilt:
            return load(file, map_location=map_location, weights_only=True)
    except Exception as error:  # what a damaged file leads torch to has no common base
        culprit = _REFUSED.search(str(error))
        if culprit and isinstance(error, pickle.UnpicklingError):
            raise CheckpointError(
                f"{name}: refused, it wants to load {culprit[1] or culprit[2]}, which no YOLOv5 "
                "weights need; pass trust=True only if you know who made the file"
            ) from error
        raise CheckpointError(
            f"{name}: damaged or not a weights file ({type(error).__name__}); copy or download it "
            "again"
        ) from error


def _allowed(parts: Any) -> list[Any]:
    """The allow-list for `torch.serialization.safe_globals`, with older names."""
    import argparse

    import numpy as np
    import torch

    rows: list[Any] = [getattr(torch.nn, name) for name in TORCH_LAYERS]
    models = ("Detect", "Model", "DetectionModel")
    for module, names in (("common", LAYERS), ("yolo", models)):
        for name in names:
            found = getattr(getattr(parts, module), name)
            rows += [(found, f"{prefix}models.{module}.{name}") for prefix in ("", "yolov5.")]
    # numpy's own helpers, old names and new
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    for prefix in ("numpy.core.multiarray", "numpy._core.multiarray"):
        rows += [(scalar, f"{prefix}.scalar"), (array, f"{prefix}._reconstruct")]
    kinds = ("f2", "f4", "f8", "i4", "i8", "u1", "?")
    rows += [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]
    rows += [
        (pathlib.PurePosixPath, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath")
    ]
    return [*rows, argparse.Namespace]


def _refuse_building(*_: Any, **__: Any) -> None:
    """A pickle may restore a model, not build one: building evaluates strings as code."""
    raise pickle.UnpicklingError(
        "GLOBAL models.yolo.DetectionModel.__init__ was not an allowed global"
    )


@contextlib.contextmanager
def old_names() -> Iterator[None]:
    """yolov5 7.0.14 and old weights say `models.yolo`: the same module, no second copy."""
    alias = {
        name.removeprefix("yolov5."): module
        for name, module in list(sys.modules.items())
        if name.startswith(("yolov5.models", "yolov5.utils"))
    }
    with swapped(sys.modules, alias):
        yield
