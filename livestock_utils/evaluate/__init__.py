"""Scores, errors and labels judged, from tables alone: nothing here trains or predicts. Imports
core and data."""
