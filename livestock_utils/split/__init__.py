"""Folds by strata and groups."""

from livestock_utils.split.folds import (
    balance_table,
    fold_table,
    hold_out,
    mini,
    read_groups,
    strata_table,
    stratified_folds,
)

__all__ = ["balance_table", "fold_table", "hold_out", "mini", "read_groups", "strata_table", "stratified_folds"]
