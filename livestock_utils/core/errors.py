"""The errors that users see: one line that says what, where and what to do."""

_LONGEST = 1200
"""Characters of a message; the middle of a longer one is left out."""


class LivestockError(ValueError):
    """Base of all errors that the library raises on purpose; its one line is `what; advice`."""

    def __init__(self, what: str = "", advice: str = "") -> None:
        """What is wrong, and what to do."""
        text = " ".join(f"{what}; {advice}".splitlines() if advice else what.splitlines())
        # A file may hold anything, and another library's message too.
        short = text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-400:]}"
        super().__init__(short)
        self.what, self.advice = what, advice


class ArchiveError(LivestockError):
    """An archive, or a member of one, that cannot be used as it is."""


class DatasetError(LivestockError):
    """A data set (folder, tar, split) that does not fit what was asked."""


class ScoringError(LivestockError):
    """Answers or predictions that the scorer cannot take: `table` is at fault, in the `line` of its
    file (1 the header, 0 the whole file, -1 unknown)."""

    def __init__(self, what: str, table: str = "", line: int = -1) -> None:
        """What is wrong, with which table, and where."""
        super().__init__(f"{table}{what}")
        self.what, self.table, self.line = what, table, line


class CheckpointError(LivestockError):
    """A weights file that is damaged, hostile, or of another model or class list."""


class TrainingError(LivestockError):
    """A training that cannot start or go on."""


class DivergedError(TrainingError):
    """A training whose loss is no number any more: its hyperparameters are at fault."""


class NotebookError(LivestockError):
    """A notebook run that failed, with the notebook, cell and cause."""
