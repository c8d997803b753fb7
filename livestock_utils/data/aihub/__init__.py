"""AI Hub's archives: found, checked, read into tables."""
