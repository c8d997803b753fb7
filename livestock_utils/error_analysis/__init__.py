"""Where a detector errs, and where the labels do."""

from livestock_utils.error_analysis.breakdowns import (
    CROWDING,
    DETECTION_STATES,
    GROUPINGS,
    LABEL_STATES,
    LIGHT,
    PLACES,
    at_iou,
    attributes,
    breakdown,
    breakdown_sentence,
    brightness,
    calibration,
    calibration_sentence,
    check,
    costs_sentence,
    counts_by_part,
    detection_states,
    label_states,
    parts_sentence,
    parts_table,
)

__all__ = ["CROWDING", "DETECTION_STATES", "GROUPINGS", "LABEL_STATES", "LIGHT", "PLACES", "at_iou", "attributes",
           "breakdown", "breakdown_sentence", "brightness", "calibration", "calibration_sentence", "check",
           "costs_sentence", "counts_by_part", "detection_states", "label_states", "parts_sentence", "parts_table"]
