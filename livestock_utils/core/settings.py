"""Settings as flat typed data: checks, options of the command line and the rows of
notebooks/PARAMETERS.md come from the fields."""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from livestock_utils.core.errors import LivestockError

if TYPE_CHECKING:
    import pandas as pd

_hints = functools.cache(typing.get_type_hints)


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
) -> Any:
    """A field of a class of settings; `low` and `high` belong to the range. Whether None is
    allowed, the annotation says."""
    metadata = {"help": help, "unit": unit, "low": low, "high": high, "choices": choices}
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
        wanted = kinds - {type(None)}
        if value is None and wanted != kinds:
            return
        choices, low, high = (field.metadata[key] for key in ("choices", "low", "high"))
        taken = (int, float) if float in wanted else int
        fits = isinstance(value, taken) and not isinstance(value, bool)
        if choices and value not in choices:
            expected = f"one of {', '.join(map(str, choices))}"
        elif wanted == {bool} and not isinstance(value, bool):
            expected = "True or False"
        elif (
            wanted
            and wanted <= {int, float}
            and not (fits and (low is None or value >= low) and (high is None or value <= high))
        ):
            expected = f"{'a whole number' if wanted == {int} else 'a number'}{_range(low, high)}"
        else:
            return
        raise self.error(f"{field.name} must be {expected}, got {value!r}")

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Settings from a mapping that may hold other things too, such as a notebook's globals."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: parameters[name] for name in names if name in parameters})

    @classmethod
    def table(cls) -> "pd.DataFrame":
        """A row a field: name, default, unit, range, help."""
        import pandas as pd

        rows = []
        for field in dataclasses.fields(cls):
            if meta := field.metadata:
                limits = ", ".join(map(str, meta["choices"])) or _range(meta["low"], meta["high"])
                row = (field.name, field.default, meta["unit"], limits.strip(), meta["help"])
                rows.append(row)
        return pd.DataFrame(rows, columns=["name", "default", "unit", "range", "help"])


def kinds_of(cls: type, name: str) -> set[Any]:
    """The types that a field's annotation allows, unions taken apart."""
    annotation = _hints(cls)[name]
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    return {typing.get_origin(kind) or kind for kind in kinds}


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""
