"""Was this made already, the same way? A note beside what was made says from what.

Not everything needs a note: exports and part files carry it in themselves (they travel without
their folder), a set has its manifest, a cache whose name is the hash of what it is made from is its
own note, and a copy from Drive keeps the size and time of its source.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livestock_utils.core import files

_HASH = "sha256"


def is_there(
    target: str | os.PathLike, made_from: Mapping[str, Any], note: str | os.PathLike
) -> bool:
    """Is `target` the very file that was recorded in `note`, made from the same values?"""
    known = read(note)
    return (
        bool(known)
        and os.path.isfile(target)
        and known == {**made_from, _HASH: files.sha256(target)}
    )


def record(
    target: str | os.PathLike, made_from: Mapping[str, Any], note: str | os.PathLike
) -> None:
    """Note what `target`, a whole file now, was made from (plain JSON values), and its hash."""
    files.write_json(note, {**made_from, _HASH: files.sha256(target)})


def read(note: str | os.PathLike) -> dict[str, Any]:
    """What a note says; {} if there is none that can be read, which is as good as none."""
    try:
        known = json.loads(Path(note).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
