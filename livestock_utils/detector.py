"""The detector in four calls: train, evaluate, load, predict. torch is imported inside them."""

import os
from typing import Any


def load(weights: str | os.PathLike, device: str | None = None, trust: bool = False, fuse: bool = True,
         check_names: bool = True) -> Any:
    """A model ready for inference from a weights file; see `checkpoints.load_model`."""
    from livestock_utils.checkpoints import load_model

    return load_model(weights, device=device, trust=trust, fuse=fuse, check_names=check_names)
