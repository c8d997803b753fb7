"""From trained weights to an edge device: export, parity, cost, lighter networks, the bundle.

Names load when they are used: the process that times one file must hold nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livestock_utils.edge.formats import (
        AT_ALL_SIZES,
        BYTES_A_PARAMETER,
        FORMATS,
        INT8,
        MILLION_PARAMETERS,
        N_CALIBRATION,
        Calibration,
        Plan,
        check_budget,
        common_shape,
        display_name,
        export,
        export_all,
        fits_inside,
        inside_settings,
        size_bytes,
    )

__all__ = ["AT_ALL_SIZES", "BYTES_A_PARAMETER", "FORMATS", "INT8", "MILLION_PARAMETERS", "N_CALIBRATION", "Calibration",
           "Plan", "check_budget", "common_shape", "display_name", "export", "export_all", "fits_inside",
           "inside_settings", "size_bytes"]


def __getattr__(name: str) -> Any:
    """The name from the module where it lives, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("livestock_utils.edge.formats"), name)
