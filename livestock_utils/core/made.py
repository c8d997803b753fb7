"""Was this made already, the same way? A note beside what was made says from what."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livestock_utils.core import files

_HASH = "sha256"


def is_there(target: Path, made_from: Mapping[str, Any], note: Path) -> bool:
    """Is `target` the very file that was recorded in `note`, made from the same values?"""
    known = read(note)
    return bool(known) and target.is_file() and known == {**made_from, _HASH: files.sha256(target)}


def record(target: Path, made_from: Mapping[str, Any], note: Path) -> None:
    """Note what `target`, a whole file now, was made from (plain JSON values), and its hash."""
    files.write_json(note, {**made_from, _HASH: files.sha256(target)})


def read(note: str | os.PathLike) -> dict[str, Any]:
    """What a note says; {} if there is none that can be read, which is as good as none."""
    try:
        known = json.loads(Path(note).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
