"""The report as one HTML file, to send on."""

import base64
import functools
import re
from pathlib import Path

from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import inline_images

_PICTURE = re.compile(r'src="data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)"')
_SMALL_BYTES = 40_000
"""A picture of a report that would else be too large; below it texts cannot be read."""


def write_single_file(index: Path, max_bytes: int = 20_000_000) -> Path:
    """Join the pages beside a report's index into OUT/report.html of less than `max_bytes`."""
    pages = [path for path in sorted(index.parent.glob("*.html")) if path != index]
    sheets = "".join(_sheet(path) for path in pages)
    whole = index.read_text(encoding="utf-8").replace("</main>", f"{sheets}</main>", 1)
    whole = re.sub(r'href="index\.html(?:#[^"]*)?"', 'href="#content"', whole)
    whole = whole.replace('href="../', 'href="')  # it lies beside the folder, not in it
    whole = re.sub(r'href="(\d\d_\w+)\.html"', r'href="#\1"', whole)
    whole = re.sub(r'href="(\d\d_\w+)\.html#([^"]+)"', r'href="#\1--\2"', whole)
    whole = re.sub(r'<p class="downloads">.*?</p>', "", whole, flags=re.S)  # too large to carry
    if (submission := index.parent / "files" / "submission.csv").is_file():
        coded = base64.b64encode(submission.read_bytes()).decode()
        there = f'download="submission.csv" href="data:text/csv;base64,{coded}"'
        whole = whole.replace('download href="files/submission.csv"', there)
    if len(whole.encode()) >= max_bytes:
        less = functools.partial(inline_images.attributes, max_bytes=_SMALL_BYTES)
        whole = _PICTURE.sub(lambda found: less(base64.b64decode(found[1])).split()[0], whole)
    if (size := len(whole.encode())) >= max_bytes:
        told = f"the report is {size:,} bytes with small pictures, expected less than {max_bytes:,}"
        raise NotebookError(f"{told}; send the folder {index.parent}")
    return files.write_text(index.parents[1] / "report.html", whole)


def _sheet(path: Path) -> str:
    """A page's content as a section whose ids begin with the page's name."""
    body = path.read_text(encoding="utf-8").partition('<main id="content">')[2]
    body = re.sub(r'(<[^<>]*\sid=")', rf"\g<1>{path.stem}--", body.partition("</main>")[0])
    body = re.sub(r"<nav\b.*?</nav>", "", body, flags=re.S)  # all is on one page
    body = body.replace('href="#', f'href="#{path.stem}--')
    return f'<section class="sheet" id="{path.stem}">{body}</section>'
