"""Layers of other shapes than an architecture says: what pruned and decomposed networks are loaded
into."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np


def fit_shapes(model: Any, state: Mapping[str, Any]) -> None:
    """Give the layers of a freshly built model the shapes of `state`, so that it can be loaded;
    changes `model`."""
    import torch

    for name, module in list(model.named_modules()):
        kernels = [state.get(f"{name}.{part}.weight") for part in ("0", "1", "2.conv")]
        if (
            is_block(module)
            and f"{name}.conv.weight" not in state
            and all(part is not None for part in kernels)
        ):
            replace_block(model, name, [kernel.numpy() for kernel in kernels])  # type: ignore[union-attr]  # none is None
    for name, module in model.named_modules():
        tensor = state.get(f"{name}.weight")
        if tensor is None or tensor.shape == module.weight.shape:
            continue
        for part in ("weight", "bias", "running_mean", "running_var"):
            wanted = state.get(f"{name}.{part}")
            if wanted is None or getattr(module, part, None) is None:
                continue
            fresh = torch.zeros(wanted.shape)
            setattr(
                module, part, torch.nn.Parameter(fresh) if part in ("weight", "bias") else fresh
            )
        if isinstance(module, torch.nn.Conv2d):
            module.out_channels, module.in_channels = (
                tensor.shape[0],
                tensor.shape[1] * module.groups,
            )
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.num_features = len(tensor)


def is_block(module: Any) -> bool:
    """yolov5's Conv: convolution, batch normalisation and activation."""
    return all(hasattr(module, part) for part in ("conv", "bn", "act"))


def replace_block(model: Any, name: str, kernels: list[Any]) -> None:
    """Put 1 x 1, k x k and (with the block's own bn and act) 1 x 1 convolutions in the place of the
    block `name`."""
    import torch

    block = model.get_submodule(name)
    old, layers = block.conv, []
    for place, kernel in enumerate(kernels):
        middle = place == 1
        layer = torch.nn.Conv2d(
            kernel.shape[1],
            kernel.shape[0],
            old.kernel_size if middle else 1,
            stride=old.stride if middle else 1,
            padding=old.padding if middle else 0,
            bias=False,
        )
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(kernel, dtype=np.float32))
        layers.append(layer)
    last = copy.deepcopy(block)
    last.conv = layers[2]
    three = torch.nn.Sequential(layers[0], layers[1], last)
    for mark in ("i", "f", "type", "np"):  # where yolov5 notes a layer's place and input
        if mark in vars(block):
            setattr(three, mark, getattr(block, mark))
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, three)
