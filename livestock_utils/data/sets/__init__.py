"""Training sets as tar or folder: written, read back, described."""
