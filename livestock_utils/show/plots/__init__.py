"""Figures: functions that take tables and `ax=None` and return the Axes."""
