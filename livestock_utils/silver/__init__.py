"""Silver labels: made from predictions, judged, and written as sets."""

from livestock_utils.silver.making import (
    GOLD,
    IGNORED,
    LABEL_COLUMNS,
    MODES,
    PREFIX,
    SILVER,
    Settings,
    Silver,
    additions,
    candidates,
    count_boxes,
    make,
    make_modes,
    overlapping,
)

__all__ = ["GOLD", "IGNORED", "LABEL_COLUMNS", "MODES", "PREFIX", "SILVER", "Settings", "Silver", "additions",
           "candidates", "count_boxes", "make", "make_modes", "overlapping"]
