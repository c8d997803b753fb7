import pandas as pd
import pytest

from livestock_utils.core.errors import NotebookError
from livestock_utils.show.display import Display

TABLE = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.4]})


def test_a_display_without_a_figure_says_so_and_keeps_its_table():
    display = Display("counts", table=TABLE)
    with pytest.raises(NotebookError, match=r"counts is a table without a figure; use \.table"):
        display.plot()
    assert display.table is TABLE and repr(display) == "Display counts: 2 rows."


@pytest.mark.parametrize("axes", [None, "mine"])
def test_a_figure_is_drawn_on_the_axes_that_are_given(axes):
    drawn = []
    display = Display("losses", table=TABLE, draw=lambda ax="new": drawn.append(ax) or ax)
    assert display.plot(axes) == drawn[0] == (axes or "new")
