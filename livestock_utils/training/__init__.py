"""Training: settings, data, loop, state on disk, and the checks before the first epoch."""

from livestock_utils.training.training_run import TRANSFER_SHARE, Run, evaluate, train
from livestock_utils.training.training_settings import read_hyp

__all__ = ["TRANSFER_SHARE", "Run", "evaluate", "read_hyp", "train"]
