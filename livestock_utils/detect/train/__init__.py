"""Training: one call that starts, continues or returns a run."""
