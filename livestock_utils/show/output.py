"""What a cell of a notebook puts out: figures, tables, sentences, one-line messages, numbers."""

import html
import io
import json
import logging
import math
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core.errors import LivestockError, NotebookError


def one_line_messages() -> None:
    """Log records, warnings and the library's errors as one line each, without paths."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # tqdm says so on import, in libraries that use it; bars are text where ipywidgets is missing.
    warnings.filterwarnings("ignore", "IProgress not found", Warning)
    warnings.formatwarning = lambda message, category, *rest, **more: (
        f"{category.__name__}: {message}"
    )

    def short(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> list[str]:
        lines = [f"\x1b[31m{kind.__name__}: {error}\x1b[0m"]
        shell._showtraceback(kind, error, lines)
        return lines

    if (shell := _shell()) is not None:
        shell.set_custom_exc((LivestockError,), short)


def _shell() -> Any:
    """IPython's shell in a notebook; outside of one None."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def figure_of(plotted: Any) -> Any:
    """The Figure of an Axes, a seaborn grid, an array of Axes, or itself."""
    one = plotted.flat[0] if isinstance(plotted, np.ndarray) else plotted
    if not hasattr(one, "figure"):
        raise NotebookError(
            f"step.figure got {type(one).__name__}: expected Axes, a Figure or a seaborn grid"
        )
    return one.figure


def png(figure: Any, dpi: int) -> bytes:
    """A figure as a picture of so many dots an inch, without what differs from run to run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def as_table(
    frame: pd.DataFrame, caption: str, digits: int, index: bool, folded: bool
) -> dict[str, str]:
    """A table as HTML and as text, see `Step.table`."""

    def number(value: Any) -> str:
        if isinstance(value, (bool, np.bool_)):
            return "yes" if value else "no"
        if isinstance(value, (int, np.integer)):
            return f"{value:,}"
        if isinstance(value, (float, np.floating)):
            return "–" if math.isnan(value) else f"{value:,.{digits}f}"
        return str(value)

    if index and frame.index.name:  # pandas would give the index's name a row of its own
        frame, index = frame.reset_index(), False
    named = frame.rename(columns=lambda name: str(name).replace("_", " "))
    for column in range(named.shape[1]):
        named.isetitem(column, [number(value) for value in frame.iloc[:, column]])
    with pd.option_context("display.max_colwidth", None):
        page = named.to_html(index=index, border=0, justify="left")
    escaped = html.escape(caption, quote=False)
    if folded:
        page = f"<details><summary>{escaped}</summary>{page}</details>"
    elif caption:
        page = page.replace(">", f"><caption>{escaped}</caption>", 1)
    return {"text/html": page, "text/plain": named.to_string(index=index)}


def as_json(value: Any) -> str:
    """Indented JSON in the order of the calls: the report shows the first numbers first."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """JSON's own types: numpy, paths, NaN (-> null) and tables (-> rows) unwrapped."""
    if isinstance(value, pd.DataFrame):
        value = value.to_dict("records")
    if isinstance(value, (Mapping, pd.Series)):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    raise NotebookError(
        f"metrics take numbers, texts, lists, mappings, tables, got {type(value).__name__}: "
        f"{value!r}"
    )


def markdown(text: str) -> None:
    """Show a text in Markdown."""
    display({"text/markdown": text, "text/plain": text})


def display(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Show a bundle of mime types in the notebook; outside of one, nothing."""
    if _shell() is not None:
        from IPython import display as shown

        shown.display(data, raw=True, metadata=metadata)
