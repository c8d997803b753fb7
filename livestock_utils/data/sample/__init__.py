"""The drawn sample, in AI Hub's layout."""
