"""Hyperparameter search: genes, objective, samplers, a study that workers share."""
