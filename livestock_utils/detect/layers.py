"""Layers of other shapes than an architecture says: pruned and decomposed networks."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np


def fit_shapes(model: Any, state: Mapping[str, Any]) -> None:
    """Give the layers of a fresh model the shapes of `state`; changes `model`."""
    import torch

    for name, module in list(model.named_modules()):
        kernels = [state.get(f"{name}.{part}.weight") for part in ("0", "1", "2.conv")]
        arrays = [kernel.numpy() for kernel in kernels if kernel is not None]
        if is_block(module) and f"{name}.conv.weight" not in state and len(arrays) == 3:
            replace_block(model, name, arrays)
    for name, module in model.named_modules():
        tensor = state.get(f"{name}.weight")
        if tensor is None or tensor.shape == module.weight.shape:
            continue
        for part in ("weight", "bias", "running_mean", "running_var"):
            wanted = state.get(f"{name}.{part}")
            if wanted is None or getattr(module, part, None) is None:
                continue
            fresh = torch.zeros(wanted.shape)
            is_learnt = part in ("weight", "bias")
            setattr(module, part, torch.nn.Parameter(fresh) if is_learnt else fresh)
        if isinstance(module, torch.nn.Conv2d):
            module.out_channels, width = tensor.shape[:2]
            module.in_channels = width * module.groups
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.num_features = len(tensor)


def is_block(module: Any) -> bool:
    """yolov5's Conv: convolution, batch normalisation and activation."""
    return all(hasattr(module, part) for part in ("conv", "bn", "act"))


def replace_block(model: Any, name: str, kernels: list[Any]) -> None:
    """Put 1 x 1, k x k and 1 x 1 convolutions in the place of the block `name`."""
    import torch

    block = model.get_submodule(name)
    old, layers = block.conv, []
    for place, kernel in enumerate(kernels):
        shape = (old.kernel_size, old.stride, old.padding) if place == 1 else (1, 1, 0)
        size, stride, padding = shape
        depth, width = kernel.shape[:2]
        layer = torch.nn.Conv2d(width, depth, size, stride, padding, bias=False)
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(kernel, dtype=np.float32))
        layers.append(layer)
    last = copy.deepcopy(block)
    last.conv = layers.pop()
    three = torch.nn.Sequential(*layers, last)
    for mark in ("i", "f", "type", "np"):  # where yolov5 notes a layer's place and input
        if mark in vars(block):
            setattr(three, mark, getattr(block, mark))
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, three)
