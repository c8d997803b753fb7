"""Settings as flat typed data: each field with its unit, its range and a line of help.

A class of settings is the only list of what can be set: checks, options of the command line and the
rows of notebooks/PARAMETERS.md come from its fields.

    @dataclasses.dataclass(frozen=True)
    class SweepSettings(Settings):
        n_random: int = setting(0, "random settings tried besides the grid", low=0)
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from livestock_utils.core.errors import LivestockError

if TYPE_CHECKING:
    import pandas as pd


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
) -> Any:
    """A field of a class of settings: its default, a line of help, unit, range and choices.

    `low` and `high` belong to the range. Whether None is allowed, the annotation says.
    """
    metadata = {"help": help, "unit": unit, "low": low, "high": high, "choices": choices}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The base of all settings: checked when made, one line for what is wrong."""

    error: ClassVar[type[LivestockError]] = LivestockError

    def __post_init__(self) -> None:
        """Check every field; raises `error` with name, value and what is expected."""
        for field in dataclasses.fields(self):
            if field.metadata:
                self._check(field, getattr(self, field.name))

    def _check(self, field: dataclasses.Field, value: Any) -> None:
        kinds = kinds_of(type(self), field.name)
        if value is None and type(None) in kinds:
            return
        known = field.metadata["choices"]
        if known and value not in known:
            names = ", ".join(map(str, known))
            raise self.error(f"{field.name} must be one of {names}, got {value!r}")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if bool in kinds and kinds <= {bool, type(None)} and not isinstance(value, bool):
            raise self.error(f"{field.name} must be True or False, got {value!r}")
        low, high = field.metadata["low"], field.metadata["high"]
        wanted = kinds - {type(None)}
        if wanted == {int} or (wanted <= {int, float} and wanted):
            fits = isinstance(value, int) or (float in wanted and isinstance(value, float))
            inside = is_number and (low is None or value >= low) and (high is None or value <= high)
            if not (is_number and fits and inside):
                what = "a whole number" if wanted == {int} else "a number"
                raise self.error(f"{field.name} must be {what}{_range(low, high)}, got {value!r}")

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Settings from a mapping that may hold other things too, such as a notebook's globals.

        Fields that the mapping lacks keep their defaults.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: parameters[name] for name in names if name in parameters})

    @classmethod
    def table(cls) -> "pd.DataFrame":
        """A row a field: name, default, unit, range, help."""
        import pandas as pd

        rows = []
        for field in dataclasses.fields(cls):
            if not field.metadata:
                continue
            meta = field.metadata
            limits = ", ".join(map(str, meta["choices"])) or _range(meta["low"], meta["high"])
            default = field.default
            if default is dataclasses.MISSING and callable(field.default_factory):
                default = field.default_factory()
            rows.append((field.name, default, meta["unit"], limits.strip(), meta["help"]))
        return pd.DataFrame(rows, columns=["name", "default", "unit", "range", "help"])


def kinds_of(cls: type, name: str) -> set[Any]:
    """The types that a field's annotation allows, unions taken apart."""
    annotation = typing.get_type_hints(cls)[name]
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    return {typing.get_origin(kind) or kind for kind in kinds}


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""
