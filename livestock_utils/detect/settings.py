"""What a training is asked to do: checked settings, and what changed between calls."""

import dataclasses
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from livestock_utils.core import project
from livestock_utils.core.errors import DatasetError, TrainingError
from livestock_utils.core.reading import read_yaml
from livestock_utils.core.settings import Settings, setting
from livestock_utils.install import yolov5_folder

HYP_FOLDER = project.folder("hyp")
"""The project's hyperparameter files, found by name."""

METRICS = {
    "ap75": "metrics/mAP_0.75",
    "map50": "metrics/mAP_0.5",
    "map50-95": "metrics/mAP_0.5:0.95",
    "fitness": "metrics/fitness",
}
"""`best_metric` -> column of results.csv; "fitness" is yolov5's 0.1 mAP50 + 0.9 mAP50-95."""
_LOGGERS = ("tensorboard", "wandb", "mlflow")
_LARGEST_SEED = 2**31 - 1
"""numpy takes 32 bits, and processes and epochs are counted on top."""

FREE_TO_CHANGE = ("workers", "cache", "device", "mirror", "loggers", "trust", "missing_share")
"""Settings that an interrupted run may be continued with whatever they were."""

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("lr0 lrf momentum weight_decay", 0, 1),
    ("warmup_epochs", 0, 100),
    ("warmup_momentum warmup_bias_lr", 0, 1),
    ("box cls cls_pw obj obj_pw", 0, 10),
    ("iou_t", 0, 1),
    ("anchor_t", 1, 20),
    ("fl_gamma", 0, 10),
    ("hsv_h hsv_s hsv_v", 0, 1),
    ("degrees", 0, 180),
    ("translate scale", 0, 1),
    ("shear", 0, 90),
    ("perspective", 0, 0.01),
    ("flipud fliplr mosaic mixup copy_paste", 0, 1),
)
LIMITS = {sys.intern(name): (a, b) for names, a, b in _RANGES for name in names.split()}
"""Every hyperparameter of yolov5 with the range that makes sense; all are required but
`label_smoothing`, `anchors`. Interned, as names in code are: pickles of equal weights are equal."""
_OPTIONAL_LIMITS = {"label_smoothing": (0, 0.5), "anchors": (2, 10)}


@dataclasses.dataclass(frozen=True)
class TrainSettings(Settings):
    """Everything that a training can be asked for; `TrainSettings.table()` lists it with ranges.

        settings = lu.TrainSettings(model="yolov5s", epochs=20, image_size=640)
        run = lu.train(train, valid, "runs/first", settings)

    Args:
        hyp: a mapping, a YAML file, a name in hyp/, or None for the recipe's.
        batch_size: images; "auto" or 0 is what fits the GPU.
        augmentation: a preset, a file in albumentations' own form, or that as a mapping.
        loggers: names in a list, or "tensorboard,wandb".
        Others: see their help. "" stands for None, and "none" for no cache and no loggers.

    Raises:
        TrainingError: for a value out of its range, with name, value and what is expected.
    """

    error = TrainingError

    model: str = setting("yolov5n", "yolov5n, s, m, l, x, or with a 6 their P6 form.")
    init_weights: str | os.PathLike | None = setting(
        None,
        "Weights to start from: a file, or yolov5n.pt and the like from yolov5's release page; "
        "none: random.",
    )
    recipe: str | None = setting(
        "auto",
        "What settles the settings that are left open: auto, by data and budget; write_up, the "
        "original's last; yolov5, its defaults.",
        choices=("auto", "write_up", "yolov5"),
    )
    hyp: str | os.PathLike | Mapping[str, Any] | None = setting(
        None,
        "A file, a name in hyp/, or in notebooks search, search:GROUP (07's best); none: the "
        "recipe's.",
    )
    epochs: int | None = setting(
        None, "Passes over the training images; none: 10, or what fits the minutes.", low=1
    )
    minutes: float | None = setting(
        None, "Time in place of epochs; the first epoch's pace tells how many fit.", unit="min"
    )
    image_size: int = setting(640, "Square; a multiple of 32, of 64 for P6.", unit="px", low=32)
    batch_size: int | str = setting(
        16, "Images of a step; auto, in notebooks 0: what fits the GPU.", low=1
    )
    nominal_batch: int | None = setting(
        None, "Gradients add up to about so many images; none: the recipe's.", low=1
    )
    optimizer: str | None = setting(
        None, "What takes the steps; none: the recipe's.", choices=("SGD", "Adam", "AdamW")
    )
    schedule: str | None = setting(
        None,
        "How the learning rate falls; -v6.0: as yolov5 6.0 meant it, which the original ran; none: "
        "the recipe's.",
        choices=("linear", "cosine", "linear-v6.0", "cosine-v6.0"),
    )
    head: str | None = setting(
        None,
        "The head of start weights of other classes: carried over by meaning, or fresh as in "
        "yolov5; none: the recipe's.",
        choices=("carried", "fresh"),
    )
    freeze: int = setting(0, "First layers that stay as they are; 10: the backbone.", low=0)
    seed: int = setting(0, "Of weights, order and augmentation.", low=0, high=_LARGEST_SEED)
    workers: int = setting(0, "Loader processes.", low=0)
    cache: str | None = setting(
        "ram", "Where decoded images are kept, if there is room.", choices=("ram", "disk", None)
    )
    augmentation: str | os.PathLike | Mapping[str, Any] | None = setting(
        None, "A preset (light, barn_night) or a YAML file of albumentations; none: no pipeline."
    )
    patience: int = setting(100, "Epochs without a better best_metric; 0: never stop.", low=0)
    best_metric: str = setting("ap75", "What best.pt is chosen by.", choices=tuple(METRICS))
    warmup_min_iterations: int | None = setting(
        None, "Warm-up lasts at least so long, 100 in yolov5; none: the recipe's.", low=0
    )
    close_mosaic: float | None = setting(
        None,
        "Last part of the epochs that has no mosaics; none: the recipe's.",
        unit="share",
        low=0,
        high=1,
    )
    ema_epochs: float | None = setting(
        None,
        "The weights kept are a moving average over about so many epochs; 0: yolov5's, over 10,000 "
        "steps; none: the recipe's.",
        low=0,
    )
    blend: float | None = setting(
        None,
        "Share of the start weights in the weights kept: unseen barns gain (WiSE-FT, Wortsman et "
        "al. 2022); none: the recipe's.",
        unit="share",
        low=0,
        high=0.9,
    )
    negatives: str | None = setting(
        None,
        "What an absent label means: plain, background; doubted, less so where the network sees an "
        "animal; masked, soft: unknown or as likely as a teacher says; none, auto: the recipe's.",
        choices=("plain", "masked", "soft", "doubted"),
    )
    missing_share: float | None = setting(
        None,
        "Share of the animals without a label, below 1, as notebook 06 estimates it; the recipe "
        "settles negatives by it.",
        unit="share",
        low=0,
    )
    compile: bool = setting(
        False,
        "Compile the network: minutes first, then .99 to 1.15 x the pace (`bench_train.py`).",
    )
    autoanchor: bool = setting(True, "Fit the anchors to the boxes where they do not.")
    amp: bool = setting(True, "Mixed precision on a GPU.")
    teacher_weight: float | None = setting(1.0, "How much a teacher's boxes count, up to 10.")
    loggers: str | Sequence[str] = setting(
        "tensorboard", "Trackers with commas; wandb and mlflow need an account or a server."
    )
    device: str | None = setting(None, "cpu, cuda, cuda:1  [default: a GPU if there is one]")

    def __post_init__(self) -> None:
        """Make equal what means the same, then check every value."""
        empty = ("init_weights", "hyp", "augmentation", "device", "optimizer", "schedule", "head")
        for name in (*empty, "epochs", "minutes", "nominal_batch"):
            if getattr(self, name) == ("" if name in empty else 0):
                object.__setattr__(self, name, None)
        if self.negatives in ("", "auto"):
            object.__setattr__(self, "negatives", None)
        if self.cache in ("", "none"):
            object.__setattr__(self, "cache", None)
        if self.batch_size == 0:
            object.__setattr__(self, "batch_size", "auto")
        names = self.loggers.split(",") if isinstance(self.loggers, str) else self.loggers
        kept = (str(name).strip() for name in names)
        object.__setattr__(
            self, "loggers", tuple(name for name in kept if name not in ("", "none"))
        )
        super().__post_init__()
        size = self.batch_size
        if size != "auto" and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise TrainingError(f"batch_size must be a whole number of at least 1, got {size!r}")
        if self.minutes is not None and self.minutes <= 0:
            raise TrainingError(f"minutes must be above 0, got {self.minutes!r}")
        both = self.minutes is not None and self.epochs is not None
        if both and not isinstance(self, Recorded):
            raise TrainingError(
                f"minutes {self.minutes} and epochs {self.epochs} cannot both be given: leave one "
                "out (None; 0 in a notebook)"
            )
        if self.missing_share is not None and self.missing_share >= 1:
            raise TrainingError(
                f"missing_share must be at least 0 and below 1, got {self.missing_share!r}"
            )
        if self.teacher_weight is not None and not 0 < self.teacher_weight <= 10:
            raise TrainingError(f"teacher_weight must lie in (0, 10], got {self.teacher_weight!r}")
        if unknown := [name for name in self.loggers if name not in _LOGGERS]:
            raise TrainingError(
                f"unknown logger {unknown[0]!r}: expected some of {', '.join(_LOGGERS)}"
            )


@dataclasses.dataclass(frozen=True)
class Recorded(TrainSettings):
    """What settings.yaml and the resume file keep: all settings with the files they named read.
    Defaults are what a run of a release that did not know the setting did."""

    recipe: str | None = None
    hyp: dict[str, float] = dataclasses.field(default_factory=dict)
    epochs: int | None = 10
    """None with `minutes` until the first epoch has told how many fit."""
    nominal_batch: int = 64
    optimizer: str = "SGD"
    schedule: str = "linear"
    head: str = "fresh"
    warmup_min_iterations: int = 100
    close_mosaic: float = 0.0
    ema_epochs: float = 0.0
    blend: float = 0.0
    negatives: str = "plain"
    batch_size: int = 16
    augmentation: dict[str, Any] | None = None
    teacher_weight: float | None = None
    """None without a teacher."""
    loggers: tuple[str, ...] = ()
    init_weights: str | None = None
    """The SHA-256 of the file, so that it may move."""
    memory_format: str = "contiguous_format"
    """How torch lays out images and kernels: contiguous_format or channels_last."""
    data: str = ""
    """SHA-256 of names, image sizes, file sizes and labels, see `train.data.Data`."""
    classes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed between two recorded settings, "name: old -> new" each. A setting that an older
    library did not know counts as its default."""
    defaults = {field.name: field.default for field in dataclasses.fields(Recorded)}
    before = {name: value for name, value in defaults.items() if name in now} | dict(before)
    lines = []
    known = {*before, *now} - set(FREE_TO_CHANGE)
    for name in sorted(known, key=lambda name: (name == "hyp", name)):  # hyp may be long
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


def read_hyp(hyp: str | os.PathLike | Mapping[str, Any] | None = None) -> dict[str, float]:
    """Checked hyperparameters from a mapping, a file, a name in `hyp/`, or yolov5's (None). Raises
    TrainingError for a file that is absent, and for a key that is missing, unknown or out of
    range."""
    if isinstance(hyp, Mapping):
        values, where = dict(hyp), "hyp"
    else:
        path = hyp_file(hyp)
        values, where = read_yaml(path, TrainingError, "write it anew, like one in hyp/"), str(path)
        if not isinstance(values, dict):
            raise TrainingError(
                f"{where}: expected names and numbers, one a line, got {type(values).__name__}"
            )
    limits = LIMITS | _OPTIONAL_LIMITS
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
    """Path of a hyperparameter file: a path, a name in `hyp/`, or None for yolov5's own."""
    if hyp is None:
        return yolov5_folder() / "yolov5" / "data" / "hyps" / "hyp.scratch-low.yaml"
    for path in (Path(hyp).expanduser(), HYP_FOLDER / f"{hyp}", HYP_FOLDER / f"{hyp}.yaml"):
        if path.is_file():
            return path
    files = [(path.stem, path.read_bytes()) for path in HYP_FOLDER.glob("*.yaml")]
    names = ", ".join(sorted(name for name, text in files if re.search(rb"^lr0:", text, re.M)))
    raise TrainingError(
        f"hyperparameter file not found: {hyp}; give a path or one of {names or 'hyp/*.yaml'}"
    )


def learning_rate_factor(schedule: str, lrf: float, epochs: int):
    """The factor of lr0 at an epoch, 1 -> `lrf`, as a function. "linear" and "cosine" are yolov5
    7's; v6.0, which the original ran, let linear reach `lrf` in the last epoch (x / (epochs - 1))
    and used cosine by default; its cosine is today's."""
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
        values = read_yaml(path)
        recorded.append({name: value for name, value in values.items() if name != "data"})
    return differences(*recorded)
