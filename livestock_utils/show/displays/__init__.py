"""What a notebook asks, one call each: a table, its figure, its verdict.

A topic's file is imported when one of its displays is first used. The displays are part of the door
(`lu.displays.losses`); nothing else is handed on from here.
"""

from livestock_utils.core.topics import offered

_TOPICS = {
    "edge": "costs exported_files front lighter_networks parity",
    "eda": (
        "archives beside_write_up box_areas box_positions box_ratios box_sizes boxes_per_image "
        "completeness count_bins empty_images examples image_sizes small_boxes species suspects"
    ),
    "split": "balance folds groups kept_strata leakage sets strata watched worst_pairs",
    "training": (
        "augmentation gpu_check losses metrics plan preflight rate_range recipe training_time"
    ),
    "comparison": "compared_runs conclusions optimisers runs unseen_cameras",
    "errors": (
        "boxes_by_part calibration error_costs labels_by_group predictions_by_group worst_cases"
    ),
    "labels": "corrections images_to_check label_faults missing_curves suggestions",
    "search": (
        "best_so_far best_trials gene_coordinates gene_groups gene_importance gene_slices "
        "trial_front"
    ),
    "scores": (
        "class_scores complete_scores labels_and_predictions precision_recall run_difference "
        "run_scores_by_class score_definitions score_table scores_by_group"
    ),
    "silver": (
        "silver_audit silver_counts silver_effect silver_examples silver_lists silver_provenance "
        "silver_scores silver_sources silver_thresholds teacher_trust trained_pairs"
    ),
    "tuning": (
        "best_median_worst candidates choice_check counts gains heat_map pass_front rescored "
        "submission test_examples test_scores"
    ),
}
"""File of this folder -> its displays."""

__all__, __getattr__, __dir__ = offered(__name__, _TOPICS)
