"""What a training is asked to do: checked settings and hyperparameters, and what changed between
two calls."""

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from livestock_utils.core import project
from livestock_utils.core.errors import DatasetError, TrainingError
from livestock_utils.install import yolov5_folder

HYP_FOLDER = project.folder("hyp")
"""The project's hyperparameter files, found by name."""

OPTIMIZERS = ("SGD", "Adam", "AdamW")
SCHEDULES = ("linear", "cosine", "linear-v6.0", "cosine-v6.0")
METRICS = {
    "ap75": "metrics/mAP_0.75",
    "map50": "metrics/mAP_0.5",
    "map50-95": "metrics/mAP_0.5:0.95",
    "fitness": "metrics/fitness",
}
"""`best_metric` -> column of results.csv; "fitness" is yolov5's 0.1 mAP50 + 0.9 mAP50-95."""
CACHES = ("ram", "disk", None)
LOGGERS = ("tensorboard", "wandb", "mlflow")
LARGEST_SEED = 2**31 - 1
"""numpy takes 32 bits, and processes and epochs are counted on top."""

FREE_TO_CHANGE = ("workers", "cache", "device", "mirror", "loggers", "trust")
"""Settings that an interrupted run may be continued with whatever they were."""

LIMITS = {
    "lr0": (0, 1),
    "lrf": (0, 1),
    "momentum": (0, 1),
    "weight_decay": (0, 1),
    "warmup_epochs": (0, 100),
    "warmup_momentum": (0, 1),
    "warmup_bias_lr": (0, 1),
    "box": (0, 10),
    "cls": (0, 10),
    "cls_pw": (0, 10),
    "obj": (0, 10),
    "obj_pw": (0, 10),
    "iou_t": (0, 1),
    "anchor_t": (1, 20),
    "fl_gamma": (0, 10),
    "hsv_h": (0, 1),
    "hsv_s": (0, 1),
    "hsv_v": (0, 1),
    "degrees": (0, 180),
    "translate": (0, 1),
    "scale": (0, 1),
    "shear": (0, 90),
    "perspective": (0, 0.01),
    "flipud": (0, 1),
    "fliplr": (0, 1),
    "mosaic": (0, 1),
    "mixup": (0, 1),
    "copy_paste": (0, 1),
}
"""Every hyperparameter of yolov5 with the range that makes sense; all are required but
`label_smoothing`, `anchors`."""
OPTIONAL_LIMITS = {"label_smoothing": (0, 0.5), "anchors": (2, 10)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of a training, checked; the fields are `training.train`'s arguments."""

    model: str
    hyp: dict[str, float]
    epochs: int
    image_size: int
    batch_size: int
    optimizer: str = "SGD"
    schedule: str = "linear"
    freeze: int = 0
    seed: int = 0
    workers: int = 0
    cache: str | None = "ram"
    augmentation: dict[str, Any] | None = None
    patience: int = 100
    best_metric: str = "ap75"
    warmup_min_iterations: int = 100
    nominal_batch: int = 64
    autoanchor: bool = True
    amp: bool = True
    loggers: tuple[str, ...] = ()
    device: str | None = None
    init_weights: str | None = None
    """Recorded as the SHA-256 of the file, so that it may move."""
    data: str = ""
    """SHA-256 of names, image sizes, file sizes and labels, see training_data.Data."""
    teacher_weight: float | None = None
    """How much a teacher's boxes count, see `distill`; None without a teacher."""
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value; raises TrainingError with the name, the value and what is expected."""
        for name, least in (
            ("epochs", 1),
            ("image_size", 32),
            ("batch_size", 1),
            ("freeze", 0),
            ("workers", 0),
            ("patience", 0),
            ("warmup_min_iterations", 0),
            ("nominal_batch", 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise TrainingError(
                    f"{name} must be a whole number of at least {least}, got {value!r}"
                )
        if (
            isinstance(self.seed, bool)
            or not isinstance(self.seed, int)
            or not 0 <= self.seed <= LARGEST_SEED
        ):
            raise TrainingError(
                f"seed must be a whole number from 0 to {LARGEST_SEED}, got {self.seed!r}"
            )
        for name in ("autoanchor", "amp"):
            if not isinstance(getattr(self, name), bool):
                raise TrainingError(f"{name} must be True or False, got {getattr(self, name)!r}")
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("best_metric", tuple(METRICS)),
            ("cache", CACHES),
        ):
            if getattr(self, name) not in known:
                raise TrainingError(
                    f"{name} must be one of {', '.join(map(str, known))}, got "
                    f"{getattr(self, name)!r}"
                )
        if self.teacher_weight is not None and not 0 < self.teacher_weight <= 10:
            raise TrainingError(f"teacher_weight must lie in (0, 10], got {self.teacher_weight!r}")
        if unknown := [name for name in self.loggers if name not in LOGGERS]:
            raise TrainingError(
                f"unknown logger {unknown[0]!r}: expected some of {', '.join(LOGGERS)}"
            )

    def recorded(self) -> dict[str, Any]:
        """The settings as plain values for settings.yaml and the resume file."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed between two recorded settings, one "name: old -> new" each; FREE_TO_CHANGE is
    left out.

    A setting that an older library did not know counts as its default.
    """
    before = {
        **{
            field.name: field.default
            for field in dataclasses.fields(Settings)
            if field.default is not dataclasses.MISSING and field.name in now
        },
        **before,
    }
    lines = []
    for name in sorted({*before, *now} - set(FREE_TO_CHANGE)):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and name == "hyp":
            lines += [
                f"hyp.{key}: {old.get(key)} -> {new.get(key)}"
                for key in sorted({*old, *new})
                if old.get(key) != new.get(key)
            ]
        elif old != new:
            lines.append(f"{name}: {_short(old)} -> {_short(new)}")
    return lines


def logger_names(loggers: str | Sequence[str]) -> tuple[str, ...]:
    """("tensorboard", "wandb") from that or from "tensorboard,wandb"; "" and "none" are no
    logger."""
    names = loggers.split(",") if isinstance(loggers, str) else loggers
    return tuple(str(name).strip() for name in names if str(name).strip() not in ("", "none"))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; raises TrainingError, in one line, for a file that is no YAML or no
    UTF-8 text."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(
            f"{path} is no YAML: {reason}; write it anew, like one in hyp/"
        ) from error


def read_hyp(hyp: str | os.PathLike | Mapping[str, Any] | None = None) -> dict[str, float]:
    """Checked hyperparameters from a mapping, a YAML file, a name in `hyp/`, or yolov5's low
    default (None).

    Raises TrainingError for a file that is absent, and for a key that is missing, unknown or out of
    range.
    """
    if isinstance(hyp, Mapping):
        values, where = dict(hyp), "hyp"
    else:
        path = hyp_file(hyp)
        values, where = read_yaml(path), str(path)
        if not isinstance(values, dict):
            raise TrainingError(
                f"{where}: expected names and numbers, one a line, got {type(values).__name__}"
            )
    limits = LIMITS | OPTIONAL_LIMITS
    if unknown := sorted(set(map(str, values)) - set(limits)):
        raise TrainingError(
            f"{where}: unknown hyperparameter {unknown[0]!r}; known are {', '.join(limits)}"
        )
    if missing := [name for name in LIMITS if name not in values]:
        raise TrainingError(f"{where}: lacks {', '.join(missing)}; start from hyp/default.yaml")
    for name, value in values.items():
        low, high = limits[name]
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            raise TrainingError(
                f"{where}: {name} must be a number from {low} to {high}, got {value!r}"
            )
    return {name: float(values[name]) for name in limits if name in values}


def hyp_file(hyp: str | os.PathLike | None) -> Path:
    """Path of a hyperparameter file given as a path, as a name in `hyp/` (without .yaml), or None
    for yolov5's own."""
    if hyp is None:
        return yolov5_folder() / "yolov5" / "data" / "hyps" / "hyp.scratch-low.yaml"
    for path in (Path(hyp).expanduser(), HYP_FOLDER / f"{hyp}", HYP_FOLDER / f"{hyp}.yaml"):
        if path.is_file():
            return path
    names = ", ".join(
        sorted(
            path.stem
            for path in HYP_FOLDER.glob("*.yaml")
            if re.search("^lr0:", path.read_text(encoding="utf-8"), re.M)
        )
    )
    raise TrainingError(
        f"hyperparameter file not found: {hyp}; give a path or one of {names or 'hyp/*.yaml'}"
    )


def learning_rate_factor(schedule: str, lrf: float, epochs: int):
    """The factor of lr0 at an epoch, 1 -> `lrf`, as a function.

    "linear" and "cosine" are yolov5 7's; v6.0, which the original ran, let linear reach `lrf` in
    the last epoch (x / (epochs - 1)) and used cosine by default; its cosine is today's.
    """
    if schedule.startswith("cosine"):
        return lambda epoch: (1 - math.cos(epoch * math.pi / epochs)) / 2 * (lrf - 1) + 1
    steps = max(epochs - 1, 1) if schedule == "linear-v6.0" else epochs
    return lambda epoch: (1 - epoch / steps) * (1.0 - lrf) + lrf


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] + "..." if len(text) > 60 else text


def recipe_differences(first_run: str | os.PathLike, second_run: str | os.PathLike) -> list[str]:
    """What two run folders were asked to do differently, the data apart: "epochs: 20 -> 3", ..."""
    recorded = []
    for folder in (first_run, second_run):
        path = Path(folder) / "settings.yaml"
        if not path.is_file():
            raise DatasetError(f"{path} is missing: {folder} is not a run folder; train first")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        recorded.append({name: value for name, value in values.items() if name != "data"})
    return differences(*recorded)
