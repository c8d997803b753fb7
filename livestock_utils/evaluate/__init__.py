"""Scores, errors and labels judged, from tables alone. Imports core and data."""
