"""What a search may change: genes with gains and limits, in groups (hyp/groups.yaml)."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.errors import TrainingError
from livestock_utils.core.reading import read_yaml
from livestock_utils.detect.settings import HYP_FOLDER, LIMITS

_GROUPS_FILE = HYP_FOLDER / "groups.yaml"


@dataclasses.dataclass(frozen=True)
class Gene:
    """A hyperparameter that a search changes: `gain` scales the genetic algorithm's mutation, `low`
    and `high` are its limits, `log` draws it on a log scale."""

    name: str
    gain: float
    low: float
    high: float
    log: bool = False

    def clip(self, value: float) -> float:
        """`value` within the limits, with YOLOv5's five decimals."""
        return round(min(max(value, self.low), self.high), 5)


def read_genes(
    group: str, base: Mapping[str, float], path: str | os.PathLike | None = None
) -> tuple[Gene, ...]:
    """The genes of a group of hyp/groups.yaml, in its order; `base` must hold all, in range."""
    genes, groups = read_groups(path)
    where = _GROUPS_FILE.name if path is None else str(path)
    if group not in groups:
        raise TrainingError(f"unknown group of genes {group!r}; {where} has {', '.join(groups)}")
    chosen = tuple(genes[name] for name in groups[group])
    for gene in chosen:
        if gene.name not in base:
            raise TrainingError(
                f"the base hyperparameters lack {gene.name}, a gene of group {group!r}; add it to "
                "the base"
            )
        if not gene.low <= base[gene.name] <= gene.high:
            raise TrainingError(
                f"the base has {gene.name} {base[gene.name]:g}, but group {group!r} ranges from "
                f"{gene.low:g} to {gene.high:g} in {where}: trial 0 is to be the base; change it, "
                "or widen the range in a groups_file"
            )
    return chosen


def read_groups(
    path: str | os.PathLike | None = None,
) -> tuple[dict[str, Gene], dict[str, list[str]]]:
    """(genes by name, names by group) of a groups file, checked."""
    file = _GROUPS_FILE if path is None else Path(path)
    if not file.is_file():
        raise TrainingError(
            f"file of groups not found: {file}; start from a copy of hyp/groups.yaml"
        )
    content = read_yaml(file, TrainingError)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), dict) for key in ("genes", "groups")
    ):
        raise TrainingError(f"{file}: expected `genes:` and `groups:`, as hyp/groups.yaml has them")
    genes = {name: _gene(name, entry, file) for name, entry in content["genes"].items()}
    groups = {str(group): names for group, names in content["groups"].items()}
    for group, names in groups.items():
        _check_group(group, names, genes, file)
    return genes, groups


def groups_table(groups: str, path: str | os.PathLike | None = None) -> pd.DataFrame:
    """Genes of the groups named with commas: columns group, gene, low, high, log_scale, gain."""
    genes, known = read_groups(path)
    names = [name.strip() for name in groups.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise TrainingError(f"unknown group of genes {unknown[0]!r}; known are {', '.join(known)}")
    rows = [
        (group, gene, genes[gene].low, genes[gene].high, genes[gene].log, genes[gene].gain)
        for group in names
        for gene in known[group]
    ]
    return pd.DataFrame(rows, columns=["group", "gene", "low", "high", "log_scale", "gain"])


def _gene(name: str, entry: Any, file: Path) -> Gene:
    if name not in LIMITS:
        raise TrainingError(
            f"{file}: unknown gene {name!r}; the hyperparameters are {', '.join(LIMITS)}"
        )
    try:
        gain, low, high = (float(entry[key]) for key in ("gain", "low", "high"))
        gene = Gene(name, gain, low, high, bool(entry.get("log")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{file}: gene {name} needs numbers gain, low and high, got {entry!r}"
        ) from error
    least, most = LIMITS[name]
    if low > high:
        raise TrainingError(f"{file}: gene {name} has low {low:g} > high {high:g}; swap them")
    if low < least or high > most:
        raise TrainingError(
            f"{file}: gene {name} ranges from {low:g} to {high:g}, YOLOv5 takes {least} to {most}"
        )
    if gene.log and low <= 0:
        raise TrainingError(
            f"{file}: gene {name} is on a log scale, so low must be above 0, got {low:g}"
        )
    return gene


def _check_group(group: str, names: Any, genes: Mapping[str, Gene], file: Path) -> None:
    if not isinstance(names, Sequence) or isinstance(names, str) or not names:
        raise TrainingError(f"{file}: group {group!r} must be a list of genes, got {names!r}")
    for name in names:
        if not isinstance(name, str) or name not in genes:
            raise TrainingError(
                f"{file}: group {group!r} has the unknown gene {name!r}; genes are "
                f"{', '.join(genes)}"
            )
        gene = genes[name]
        if gene.gain == 0 or gene.low == gene.high:
            raise TrainingError(
                f"{file}: gene {name} of group {group!r} can never change (gain {gene.gain:g}, "
                f"{gene.low:g} to {gene.high:g}); leave it out or widen it"
            )
