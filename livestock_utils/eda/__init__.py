"""Counts, bins and sentences of the exploratory notebook."""

from livestock_utils.eda.count_tables import (
    WINDOW,
    area_table,
    below_area,
    beside_write_up,
    boxes_per_image,
    by_species,
    completeness_hints,
    completeness_table,
    count_bin_table,
    count_histogram,
    coverage_map,
    empty_images,
    highest_suspect_count,
    is_aihub_size,
    most_suspect,
    ratio_table,
    size_counts,
    small_box_table,
    species_counts,
)

__all__ = ["WINDOW", "area_table", "below_area", "beside_write_up", "boxes_per_image", "by_species",
           "completeness_hints", "completeness_table", "count_bin_table", "count_histogram", "coverage_map",
           "empty_images", "highest_suspect_count", "is_aihub_size", "most_suspect", "ratio_table", "size_counts",
           "small_box_table", "species_counts"]
