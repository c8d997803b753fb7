"""The "Open in Colab" badges of the README's table of notebooks, and the lines with its address."""

import re
from pathlib import Path

from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError

PICTURE = "https://colab.research.google.com/assets/colab-badge.svg"
_BADGE = re.compile(rf" \[!\[Colab\]\({re.escape(PICTURE)}\)\]\([^)]*\)")
_PLACE = re.compile(r"<!-- (clone|install) -->.*?<!-- end -->", re.S)
_LINES = {"clone": "git clone {0} && cd {1}", "install": "pip install git+{0}"}
_TEXTS = "README.md", "README.ko.md", "docs/running.md", "docs/running.ko.md"
_ROW = re.compile(r"^(\| \[[\w ]+\]\((notebooks/\d\d_\w+\.ipynb)\))", re.M)


def with_badges(text: str, repository: str, branch: str = "main") -> str:
    """A README's text with a badge behind each notebook, and lines to clone and to install at their
    places; `repository` is an address on GitHub, as Colab opens no others."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", repository)
    if match is None:
        raise NotebookError(f"badges need a repository on GitHub, owner/name, got {repository!r}")
    target = f"https://colab.research.google.com/github/{match[1]}/blob/{branch}"
    address, name = f"https://github.com/{match[1]}", match[1].split("/")[1]

    def line(place: re.Match) -> str:
        told = _LINES[place[1]].format(address, name)
        return f"<!-- {place[1]} -->\n\n```bash\n{told}\n```\n\n<!-- end -->"

    text = _PLACE.sub(line, text)
    return _ROW.sub(rf"\1 [![Colab]({PICTURE})]({target}/\2)", _BADGE.sub("", text))


def write_badges(folder: Path, repository: str) -> list[Path]:
    """Put badges and address into both READMEs and docs/running; returns the files that are
    there."""
    found = [folder / name for name in _TEXTS if (folder / name).is_file()]
    for path in found:
        files.write_text(path, with_badges(path.read_text(encoding="utf-8"), repository))
    return found
