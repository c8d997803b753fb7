"""Scores of detections: the contest's number, COCO's and yolov5's; intervals, tables, submissions."""

from livestock_utils.scoring.metrics import (
    COCO_THRESHOLDS,
    DEFINITIONS,
    answers_from_boxes,
    average_precisions,
    check_threshold,
    contest_matches,
    contest_score,
    contest_table,
    file_order_score,
    normaliser_doubt,
    per_class_table,
    pr_curves,
    table_sides,
)

__all__ = ["COCO_THRESHOLDS", "DEFINITIONS", "answers_from_boxes", "average_precisions", "check_threshold",
           "contest_matches", "contest_score", "contest_table", "file_order_score", "normaliser_doubt",
           "per_class_table", "pr_curves", "table_sides"]
