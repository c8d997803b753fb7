"""The embedded sample: drawn scenes in AI Hub's layout, and the weights trained on them."""

from livestock_utils.sample.drawing import STAMP, WARM_START_SEEDS, read_truth, write_sample

__all__ = ["STAMP", "WARM_START_SEEDS", "read_truth", "write_sample"]
