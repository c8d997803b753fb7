"""Every figure of the notebooks: functions that take tables and `ax=None` and return the Axes."""

from livestock_utils.plots.eda import (
    box_areas,
    box_positions,
    box_ratios,
    box_sizes,
    boxes_per_image,
    completeness,
    image_sizes,
    small_boxes,
    species_overview,
)
from livestock_utils.plots.style import theme

__all__ = [
    "box_areas",
    "box_positions",
    "box_ratios",
    "box_sizes",
    "boxes_per_image",
    "completeness",
    "image_sizes",
    "small_boxes",
    "species_overview",
    "theme",
]
