"""The detector in four calls: train, evaluate, load, predict. torch and yolov5 are imported when one is used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livestock_utils.inference import predict
    from livestock_utils.networks.checkpoints import load_model as load
    from livestock_utils.training import Run, evaluate, train

_HOME = {"train": ("training", "train"), "evaluate": ("training", "evaluate"), "Run": ("training", "Run"),
         "load": ("networks.checkpoints", "load_model"), "predict": ("inference", "predict")}

__all__ = ["Run", "evaluate", "load", "predict", "train"]


def __getattr__(name: str) -> Any:
    """The function from the module where it lives, imported now."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(importlib.import_module(f"livestock_utils.{module}"), attribute)
