"""Names that a package offers from its files, each file imported when one is first used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def offered(
    package: str, topics: Mapping[str, str]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The `__all__`, `__getattr__` and `__dir__` of a package; `topics`: file -> its names."""
    home = {name: topic for topic, names in topics.items() for name in names.split()}

    def found(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    return sorted(home), found, lambda: sorted(home)
