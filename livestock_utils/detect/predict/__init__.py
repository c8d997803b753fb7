"""From images to boxes: network passes, candidates, post-processing."""
