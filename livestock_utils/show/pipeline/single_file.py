"""The report as one HTML file, to send on."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import inline_images

MAX_BYTES = 20_000_000
_PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)")
_LIMITS = (200_000, 100_000, 50_000, 25_000)
"""Bytes of a picture: the first that makes the file small enough."""


def write_single_file(index: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Join the pages beside a report's index into OUT/report.html, smaller than `max_bytes`: the
    notebooks follow the index, links lead within the file, pictures shrink where they must."""
    pages = [path for path in sorted(index.parent.glob("*.html")) if path != index]
    texts = {path.stem: path.read_text(encoding="utf-8") for path in pages}
    sheets = "".join(_sheet(name, text) for name, text in texts.items())
    whole = index.read_text(encoding="utf-8").replace("</main>", f"{sheets}</main>", 1)
    whole = re.sub(r'href="index\.html(?:#[^"]*)?"', 'href="#content"', whole)
    whole = re.sub(r'href="(\d\d_\w+)\.html"', r'href="#\1"', whole)
    whole = re.sub(r'href="(\d\d_\w+)\.html#([^"]+)"', r'href="#\1--\2"', whole)
    whole = re.sub(r'<p class="downloads">.*?</p>', "", whole, flags=re.S)  # too large to carry
    submission = index.parent / "files" / "submission.csv"
    if submission.is_file():
        coded = base64.b64encode(submission.read_bytes()).decode()
        whole = whole.replace(
            'download href="files/',
            f'download="submission.csv" href="data:text/csv;base64,{coded}" data-from="',
        )
    for limit in _LIMITS:
        small = whole if limit == _LIMITS[0] else _PICTURE.sub(_shrink(limit), whole)
        if len(small.encode()) < max_bytes:
            return files.write_text(index.parents[1] / "report.html", small)
    raise NotebookError(
        f"the report's text and small pictures are {len(small.encode()):,} bytes, expected less "
        f"than {max_bytes:,}; send the folder {index.parent}"
    )


def _sheet(name: str, text: str) -> str:
    """A page's content as a section whose ids begin with the page's name."""
    body = text.partition('<main id="content">')[2].partition("</main>")[0]
    body = re.sub(r'(<[^<>]*\sid=")', rf"\g<1>{name}--", body)
    body = re.sub(r'href="#', f'href="#{name}--', body)
    return f'<section class="sheet" id="{name}">{body}</section>'


def _shrink(limit: int) -> Callable[[re.Match], str]:
    """Makes the address of a picture one of a picture of at most `limit` bytes."""

    def shrunk(match: re.Match) -> str:
        kind, data, _ = inline_images.shrink(base64.b64decode(match[1]), max_bytes=limit)
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"

    return shrunk
