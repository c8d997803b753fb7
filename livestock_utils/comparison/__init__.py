"""Runs compared: their folders, scores on the same images, and the sentences about them."""

from livestock_utils.comparison.comparison_tables import (
    EARLIER,
    REFERENCE,
    SCORES,
    WRITE_UP_RECIPE,
    Answer,
    Judge,
    answer_all,
    differences,
    judge,
    key_numbers,
    like_write_up,
    ordered_settings,
    predictions,
    question_table,
    run_scores,
    scores_of,
)

__all__ = ["EARLIER", "REFERENCE", "SCORES", "WRITE_UP_RECIPE", "Answer", "Judge", "answer_all", "differences", "judge",
           "key_numbers", "like_write_up", "ordered_settings", "predictions", "question_table", "run_scores",
           "scores_of"]
