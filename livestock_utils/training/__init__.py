"""Training: settings, data, loop, state on disk, and the checks before the first epoch.

Names load when they are used: a notebook that only looks for a run need not load what a training needs.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livestock_utils.training.training_run import TRANSFER_SHARE, Run, evaluate, train

__all__ = ["TRANSFER_SHARE", "Run", "evaluate", "train"]


def __getattr__(name: str) -> Any:
    """The name from the module where it lives, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("livestock_utils.training.training_run"), name)
