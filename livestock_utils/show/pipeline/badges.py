"""The "Open in Colab" badges of the README's table of notebooks."""

import re
from pathlib import Path

from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError

PICTURE = "https://colab.research.google.com/assets/colab-badge.svg"
_BADGE = re.compile(rf" \[!\[Colab\]\({re.escape(PICTURE)}\)\]\([^)]*\)")
_INSTALL = re.compile(r"^(pip install git\+)https://\S+$", re.M)
_ROW = re.compile(r"^(\| \[\w+\]\((notebooks/\d\d_\w+\.ipynb)\))", re.M)


def with_badges(text: str, repository: str, branch: str = "main") -> str:
    """A README's text with a badge behind each notebook, and the install address; `repository` is
    an address on GitHub, as Colab opens no others."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", repository)
    if match is None:
        raise NotebookError(f"badges need a repository on GitHub, owner/name, got {repository!r}")
    target = f"https://colab.research.google.com/github/{match[1]}/blob/{branch}"
    text = _INSTALL.sub(rf"\1https://github.com/{match[1]}", text)
    return _ROW.sub(rf"\1 [![Colab]({PICTURE})]({target}/\2)", _BADGE.sub("", text))


def write_badges(folder: Path, repository: str) -> list[Path]:
    """Put the badges into README.md and README.ko.md; returns the files that are there."""
    found = [path for path in (folder / "README.md", folder / "README.ko.md") if path.is_file()]
    for path in found:
        files.write_text(path, with_badges(path.read_text(encoding="utf-8"), repository))
    return found
