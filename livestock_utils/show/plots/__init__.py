"""Figures: functions that take tables and `ax=None` and return the Axes.

A file of this folder is imported when one of its figures is first used (`lu.plots.loss_curves`).
"""

from livestock_utils.core.topics import offered

_TOPICS = {
    "augmentation": "augmented",
    "comparison": "run_differences setting_curves",
    "eda": (
        "box_areas box_positions box_ratios box_sizes boxes_per_image completeness image_sizes "
        "species_overview"
    ),
    "edge": "edge_cost edge_front edge_parity lighter_models",
    "errors": "boxes_by_part calibration error_costs error_gallery error_groups missing_curves",
    "gallery": "examples pairs photo truth_beside_prediction",
    "scores": "class_scores precision_recall",
    "search": "best_so_far gene_coordinates gene_importance gene_slices trial_front",
    "silver": "silver_audit silver_counts silver_effect silver_examples silver_thresholds",
    "split": "fold_balance leakage set_sizes split_balance",
    "style": "theme",
    "sweep": "sweep_gains sweep_heat_map",
    "training": "compare_runs loss_curves metric_curves rate_range",
}
"""File of this folder -> its figures."""

__all__, __getattr__, __dir__ = offered(__name__, _TOPICS)
