"""The report: all executed notebooks as one readable, linked, self-contained site."""

import os
from pathlib import Path


def write_report(out: str | os.PathLike) -> Path:
    """Write OUT/report/index.html."""
    return Path(out) / "report" / "index.html"
