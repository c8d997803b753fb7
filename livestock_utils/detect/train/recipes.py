"""Recipes: what settles the settings of a training that are left open, and why.

`auto` decides by the number of training images, the epochs and the start weights; each of its rules
has a measured row in benchmarks/results/accuracy.csv. `write_up` is the original's last training
(its table of hyperparameters), `yolov5` are the defaults of release 7.0.14.
"""

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.text import count, percent
from livestock_utils.detect import checkpoints
from livestock_utils.detect.settings import Recorded, TrainSettings
from livestock_utils.detect.train.data import Data
from livestock_utils.detect.train.start import class_sources, told

log = logging.getLogger(__name__)

_YOLOV5: dict[str, Any] = {
    "hyp": None,
    "nominal_batch": 64,
    "optimizer": "SGD",
    "schedule": "linear",
    "head": "fresh",
    "warmup_min_iterations": 100,
    "close_mosaic": 0.0,
    "ema_epochs": 0.0,
    "blend": 0.0,
    "negatives": "plain",
}
OPEN = tuple(_YOLOV5)
"""Settings that a recipe settles where they are left open."""
_WRITE_UP = _YOLOV5 | {"hyp": "experiment_hyp_v1", "schedule": "linear-v6.0"}
_EPOCHS = {"auto": 10, "yolov5": 10, "write_up": 20}
_FEW, _MANY = 2000, 8000
"""Training images below which the rules of small sets hold, and from which the write-up's does.

Measured are 200 to 427 images; no row lies between 427 and the write-up's 13,100."""

_DOUBTED_FROM = 0.4
"""Share of the animals without a label from which `auto` doubts absent labels; 1: never.

Rows "final, doubted, 0.4" of benchmarks/results/missing_training.csv, 427 photos, three seeds: AP75
.409, auto .381. At 20 % .429 and .428, with all labels .435 and .446. Between 20 and 40 % nothing
is measured."""


def settled(
    settings: TrainSettings,
    n_images: int,
    known: Sequence[str] | None = None,
    classes: Sequence[str] = (),
) -> tuple[TrainSettings, pd.DataFrame]:
    """Settings with nothing left open, and a row a setting: setting, value, why. `known` are the
    classes of the start weights, None without any. With `minutes`, epochs stay open until the first
    one has been timed."""
    values, reasons = _recipe(settings, n_images, known, classes)
    rows: list[tuple[str, Any, str]] = []
    changes: dict[str, Any] = {}
    for name in ("epochs", *OPEN):
        given = getattr(settings, name)
        if name == "optimizer" and given is None and settings.hyp is not None:
            changes[name] = _YOLOV5[name]
            rows.append((name, _YOLOV5[name], "what a given hyp is made for, unless told"))
        elif (
            name == "hyp"
            and given is None
            and settings.optimizer not in (None, values["optimizer"])
        ):
            changes[name] = _YOLOV5[name]
            rows.append((name, "default", f"yolov5's, as {settings.optimizer} was given"))
        elif name == "epochs" and settings.minutes is not None:
            rows.append((name, "open", f"as many as fit {settings.minutes:g} minutes"))
        elif given is None:
            changes[name] = values[name]
            rows.append((name, values[name], reasons[name]))
        else:
            rows.append((name, given, "given, in place of the recipe's " + str(values[name])))
    table = pd.DataFrame(rows, columns=["setting", "value", "why"])
    return dataclasses.replace(settings, **changes), table


def resolved(
    settings: TrainSettings,
    before: Mapping[str, Any],
    data: Data,
    start_from: Path | None,
    trust: bool = False,
) -> tuple[dict[str, Any], dict[str, str]]:
    """`settled` for a run, as values by name; one that has begun goes on as it began. `before` are
    its recorded settings, by whatever release, {} for a new run. Also returns why, by setting."""
    values = dict(vars(settings))
    if before and settings.recipe == before.get("recipe", settings.recipe):
        defaults = {field.name: field.default for field in dataclasses.fields(Recorded)}
        begun = {name: before.get(name, defaults[name]) for name in OPEN}
        if settings.minutes == before.get("minutes"):
            begun["epochs"] = before.get("epochs")
        values |= {name: value for name, value in begun.items() if values[name] is None}
        values["recipe"] = before.get("recipe")
        return values, {}
    known = None
    if start_from is not None:
        known = checkpoints.read_weights(start_from, trust=trust).names
    asked, table = settled(settings, len(data.train.files), known, data.names)
    for row in table.itertuples():
        log.info("%s %s: %s", row.setting, row.value, row.why)
    return dict(vars(asked)), dict(zip(table["setting"], table["why"], strict=True))


def memory_format(before: Mapping[str, Any], recipe: str | None) -> str:
    """How torch lays out images and kernels: as a run began, else what is known to be faster.
    channels_last trains 1.17 times as many images a second on a CPU (YOLOv5n, 320 px, torch 2.14)
    and is what tensor cores ask for; its sums differ in the last digits, so `yolov5` keeps torch's
    own."""
    if before:
        return str(before.get("memory_format", Recorded.memory_format))
    return "contiguous_format" if recipe == "yolov5" else "channels_last"


def _recipe(
    settings: TrainSettings, n_images: int, known: Sequence[str] | None, classes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """All values of a recipe, and the reason of each."""
    name = settings.recipe or "yolov5"
    plain = _WRITE_UP if name == "write_up" else _YOLOV5
    source = "the write-up's table" if name == "write_up" else "yolov5 7.0.14's default"
    values: dict[str, Any] = {"epochs": _EPOCHS[name], **plain}
    reasons = dict.fromkeys(values, source)
    if name == "auto":
        for key, value, why in _auto(settings, n_images, known, classes):
            values[key], reasons[key] = value, why
    return values, reasons


def _auto(
    settings: TrainSettings, n_images: int, known: Sequence[str] | None, classes: Sequence[str]
) -> list[tuple[str, Any, str]]:
    """Where `auto` differs from yolov5's defaults: setting, value, why."""
    batch = settings.batch_size if isinstance(settings.batch_size, int) else 16
    iterations = math.ceil(n_images / batch) * (settings.epochs or _EPOCHS["auto"])
    photos = count(n_images, "photo")
    rows: list[tuple[str, Any, str]] = []
    if known is not None and tuple(known) != tuple(classes):
        rows.append(("head", "carried", told(known, class_sources(known, classes))))
    if n_images >= _MANY:
        rows += [
            ("hyp", "experiment_hyp_v1", f"{photos}: the write-up's, tuned on as many"),
            ("schedule", "linear-v6.0", "the write-up's"),
        ]
    if n_images >= _FEW:
        return rows
    if (share := settings.missing_share) is not None:
        way = "doubted" if share >= _DOUBTED_FROM else "plain"
        lacks = f"{percent(share)} of the animals seem unlabelled"
        rows.append(("negatives", way, f"{lacks}; doubt pays from {percent(_DOUBTED_FROM)} on"))
    rows += [
        ("nominal_batch", batch, f"{photos} make few steps: each batch is one"),
        (
            "warmup_min_iterations",
            min(_YOLOV5["warmup_min_iterations"], iterations // 4),
            f"at most a quarter of the {count(iterations, 'iteration')}",
        ),
    ]
    if known is None:
        return rows
    rows += [
        ("blend", 0.3, "unseen barns gain most from a share of the start weights"),
        ("ema_epochs", 1.0, "an average over an epoch: better, and smoother curves"),
    ]
    if tuple(known) == tuple(classes):
        return [*rows, ("hyp", "few_epochs", "the start weights know these classes: gentle steps")]
    return [
        *rows,
        ("hyp", "few_photos", f"{photos}: AdamW's steps of .001, from weights of other classes"),
        ("optimizer", "AdamW", "on a few hundred photos ahead of SGD at the same epochs"),
        ("close_mosaic", 0.2, "the last epochs see whole photos, as the detector will"),
    ]
