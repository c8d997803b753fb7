"""The numbers that the original's write-up gives, read from write_up.yaml."""

from typing import Any

import yaml

from livestock_utils.core.project import PACKAGE


def counts() -> dict[str, dict[str, Any]]:
    """Its counts of AI Hub's archives: what is counted -> species -> number, or a finer count."""
    return {what: by_species for what, by_species in _read().items() if what != "scores"}


def scores() -> dict[str, list[dict[str, Any]]]:
    """Its scores of trainings by question ("models", "optimisers", ...), one mapping a row."""
    return _read()["scores"]


def _read() -> dict[str, Any]:
    return yaml.safe_load((PACKAGE / "assets" / "write_up.yaml").read_text(encoding="utf-8"))
