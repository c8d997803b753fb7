"""Counts and bins of the exploratory notebook."""
