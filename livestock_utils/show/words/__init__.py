"""Sentences computed from tables."""
