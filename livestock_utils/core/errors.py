"""The errors that users see: one line that says what, where and what to do."""


class LivestockError(ValueError):
    """Base of all errors that the library raises on purpose; a ValueError, so callers may catch
    either."""


class ArchiveError(LivestockError):
    """An archive, or a member of one, that cannot be used as it is."""


class DatasetError(LivestockError):
    """A data set (folder, tar, split) that does not fit what was asked."""


class ScoringError(LivestockError):
    """Answers or predictions that the scorer cannot take."""


class CheckpointError(LivestockError):
    """A weights file that is damaged, hostile, or of another model or class list."""


class TrainingError(LivestockError):
    """A training that cannot start or go on."""


class DivergedError(TrainingError):
    """A training whose loss is no number any more: its hyperparameters are at fault, not the
    set-up."""


class NotebookError(LivestockError):
    """A notebook run that failed, with the notebook, cell and cause."""
