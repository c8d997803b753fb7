"""Where the project's own files lie: in the checkout, or carried inside the installed package."""

from pathlib import Path

from livestock_utils.core.errors import LivestockError

PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """The folder `hyp` or `notebooks`: the checkout's, else the copy in the wheel."""
    for place in (PACKAGE.parent / name, PACKAGE / name) if is_checkout() else (PACKAGE / name,):
        if place.is_dir():
            return place
    raise LivestockError(
        f"folder {name} not found beside or in {PACKAGE}; install the project again"
    )


def is_checkout() -> bool:
    """True if the library is used from the project's folder rather than from a wheel."""
    return all((PACKAGE.parent / name).is_file() for name in ("setup.py", "requirements.txt"))
