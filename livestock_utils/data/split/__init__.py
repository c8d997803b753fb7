"""Folds by strata and groups."""
