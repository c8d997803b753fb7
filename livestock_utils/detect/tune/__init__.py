"""Post-processing settings chosen on labelled images."""
