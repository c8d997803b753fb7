"""What a notebook asks, answered once: numbers, a figure of them, and what they say.

In the manner of scikit-learn's Display classes: computed when made, drawn when asked.

    display = lu.displays.losses(run)
    display.table                  # the numbers
    display.plot(ax=mine)          # the figure, on axes of your own if you like
    step.show(display)             # in a notebook: shown, saved, recorded
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pandas as pd

from livestock_utils.core.errors import LivestockError, NotebookError


@dataclasses.dataclass(frozen=True, eq=False)
class Display:
    """A table, its figure and its verdict.

    Args:
        name: of the figure's file, OUT/figures/NN/name.png.
        caption: one sentence on what there is to see; the picture's alternative text.
        table: the numbers, also those that only the verdict uses.
        draw: draws them: takes `ax` (None: a new figure), returns Axes or a Figure; None: none.
        verdict: what the numbers say and the figure does not, or "".
        metrics: what metrics.json keeps.
        shows_table: whether a notebook shows the table, with `caption` where there is no figure.
        digits: decimals of the shown table.
        index: whether the index of the shown table is a column.
        rest: more numbers, which a notebook shows folded, with `table_caption`.
        error: what a notebook raises when it has shown the display.
    """

    name: str
    caption: str = ""
    table: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    draw: Callable[..., Any] | None = None
    verdict: str = ""
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)
    shows_table: bool = False
    table_caption: str = ""
    digits: int = 3
    index: bool = False
    rest: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    error: LivestockError | None = None

    def plot(self, ax: Any = None) -> Any:
        """The figure, on `ax` (for figures of several panels: an array of Axes) or on a new one.
        Raises NotebookError for a display that has no figure."""
        if self.draw is None:
            raise NotebookError(f"{self.name} is a table without a figure; use .table")
        return self.draw(ax) if ax is not None else self.draw()

    def __repr__(self) -> str:
        """Its name, the size of its table, and the verdict."""
        return f"Display {self.name}: {len(self.table)} rows. {self.verdict}".strip()
