"""From images to boxes: network passes, candidates, suppression, and the sweep over its settings."""

from livestock_utils.inference.passes import FolderReader
from livestock_utils.inference.prediction import (
    CAP,
    FLOOR,
    LEAST_SIZE,
    collect_candidates,
    gather,
    image_hash,
    missing_parts,
    open_reader,
    parse_shard,
    parts_there,
    predict,
    report,
)

__all__ = ["CAP", "FLOOR", "LEAST_SIZE", "FolderReader", "collect_candidates", "gather", "image_hash", "missing_parts",
           "open_reader", "parse_shard", "parts_there", "predict", "report"]
