"""Hyperparameter search: genes, objective, samplers, and the study that workers share."""

from livestock_utils.search.search_best import resolve_hyp
from livestock_utils.search.search_run import Found, run, run_chain
from livestock_utils.search.search_table import (
    agreement_sentence,
    best_trial,
    best_trials,
    importance_sentence,
    importances,
    key_numbers,
    pareto,
    sentence,
    slices_sentence,
    so_far_sentence,
    trials_table,
)

__all__ = ["Found", "agreement_sentence", "best_trial", "best_trials", "importance_sentence", "importances",
           "key_numbers", "pareto", "resolve_hyp", "run", "run_chain", "sentence", "slices_sentence", "so_far_sentence",
           "trials_table"]
