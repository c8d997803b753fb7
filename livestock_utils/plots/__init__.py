"""Every figure of the notebooks: functions that take tables and `ax=None` and return the Axes."""

from livestock_utils.plots.augmented import augmented
from livestock_utils.plots.comparison import run_differences, run_scores, setting_curves
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
from livestock_utils.plots.edge import edge_cost, edge_front, edge_parity, lighter_models
from livestock_utils.plots.errors import (
    boxes_by_part,
    calibration,
    error_costs,
    error_gallery,
    error_groups,
    missing_curves,
)
from livestock_utils.plots.gallery import examples, pairs, photo, truth_beside_prediction
from livestock_utils.plots.scores import class_scores, confidence_trade, precision_recall
from livestock_utils.plots.search import best_so_far, front, gene_coordinates, gene_importance, gene_slices
from livestock_utils.plots.silver import (
    silver_audit,
    silver_counts,
    silver_effect,
    silver_examples,
    silver_thresholds,
)
from livestock_utils.plots.split import fold_balance, leakage, set_sizes, split_balance
from livestock_utils.plots.style import theme
from livestock_utils.plots.sweep import sweep_gains, sweep_heat_map
from livestock_utils.plots.training import compare_runs, loss_curves, metric_curves

__all__ = [
    "augmented",
    "best_so_far",
    "box_areas",
    "box_positions",
    "box_ratios",
    "box_sizes",
    "boxes_by_part",
    "boxes_per_image",
    "calibration",
    "class_scores",
    "compare_runs",
    "completeness",
    "confidence_trade",
    "edge_cost",
    "edge_front",
    "edge_parity",
    "error_costs",
    "error_gallery",
    "error_groups",
    "examples",
    "fold_balance",
    "front",
    "gene_coordinates",
    "gene_importance",
    "gene_slices",
    "image_sizes",
    "leakage",
    "lighter_models",
    "loss_curves",
    "metric_curves",
    "missing_curves",
    "pairs",
    "photo",
    "precision_recall",
    "run_differences",
    "run_scores",
    "set_sizes",
    "setting_curves",
    "silver_audit",
    "silver_counts",
    "silver_effect",
    "silver_examples",
    "silver_thresholds",
    "small_boxes",
    "species_overview",
    "split_balance",
    "sweep_gains",
    "sweep_heat_map",
    "theme",
    "truth_beside_prediction",
]
