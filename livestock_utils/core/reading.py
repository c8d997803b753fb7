"""Files that people write, read one way: text, YAML, JSON and CSV; what is none is told in one line
with path, line and what to do."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.text import one_line

if TYPE_CHECKING:
    import pandas as pd


def read_text(
    path: str | os.PathLike, error: type[LivestockError] = DatasetError, advice: str = ""
) -> str:
    """A file's text, UTF-8 with or without a byte order mark; else `error`, with the line."""
    try:
        data = Path(path).read_bytes()
        text = data.decode("utf-8-sig")
        if "\0" in text:
            raise UnicodeDecodeError("utf-8", data, data.index(b"\0"), len(data), "no text")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except OSError as cause:
        why = cause.strerror or one_line(cause)
        raise error(f"{path} cannot be read: {why}", advice or "check the path") from cause
    except UnicodeDecodeError as cause:
        is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        found = "UTF-16" if is_utf16 else f"byte 0x{data[cause.start]:02x}"
        line = data.count(b"\n", 0, cause.start) + 1
        raise error(
            f"{path}, line {line}: not UTF-8 ({found})", advice or "save it as UTF-8"
        ) from cause


def read_yaml(
    path: str | os.PathLike, error: type[LivestockError] = DatasetError, advice: str = "mend it"
) -> Any:
    """What a YAML file holds; else `error`, with the line."""
    text = read_text(path, error)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as cause:
        # A date such as 2020-13-01 is a ValueError of Python's.
        mark, problem = getattr(cause, "problem_mark", None), getattr(cause, "problem", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        told = problem or one_line(cause)
        if "'\\t'" in told:
            advice = "put spaces in place of the tab"
        elif "escape" in told:
            advice = "put a path with \\ in single quotes"
        raise error(f"{path}{line}: not YAML ({told})", advice) from cause


def read_json(
    path: str | os.PathLike, error: type[LivestockError] = DatasetError, advice: str = "mend it"
) -> Any:
    """What a JSON file holds; else `error`, with the line."""
    text = read_text(path, error, advice)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as cause:
        line = f", line {cause.lineno}" if isinstance(cause, json.JSONDecodeError) else ""
        raise error(f"{path}{line}: not JSON ({one_line(cause)})", advice) from cause


def read_csv(
    path: str | os.PathLike,
    error: type[LivestockError] = DatasetError,
    advice: str = "write it anew",
    **how: Any,
) -> "pd.DataFrame":
    """`pandas.read_csv` of a file in UTF-8; `error` for what is none, and for other types."""
    import pandas as pd

    try:
        return pd.read_csv(path, **how)
    except Exception as cause:  # what a damaged file leads pandas to has no common base
        raise error(f"{path}: not a table ({one_line(cause)})", advice) from cause
