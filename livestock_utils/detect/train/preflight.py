"""Before a long training: is everything there? Red lines first."""

import dataclasses
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from livestock_utils import install
from livestock_utils.core import species
from livestock_utils.core.errors import LivestockError, TrainingError
from livestock_utils.detect import checkpoints
from livestock_utils.detect.settings import TrainSettings, hyp_file, read_hyp
from livestock_utils.detect.train.data import Source, data_folder, read_data
from livestock_utils.detect.train.planner import MODELS, architecture_name, weights_bytes
from livestock_utils.evaluate.scoring import submission

_LESS_MEMORY = "use cache=None, fewer workers, or a smaller batch"
_COLUMNS = ["check", "found", "state", "what_to_do"]
_STATES = ("stop", "look", "ok")
"""How a check ends, worst first: it cannot work, it may not be what was meant, it is fine."""
_PIP_CU126 = "pip install torch torchvision --index-url https://download.pytorch.org/whl/cu126"
"""What brings a build with a P100's kernels (sm_60); builds for CUDA 12.8 and later lack them."""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One GPU as torch sees it."""

    name: str
    memory_bytes: int
    capability: tuple[int, int]
    kernels: tuple[str, ...]
    """What the torch build was compiled for: "sm_75", "compute_90", ..."""

    @property
    def has_kernels(self) -> bool:
        """True if this torch has code for this GPU: its major number, or PTX."""
        for kernel in self.kernels:
            kind, _, digits = kernel.rstrip("af").partition("_")
            built_for = int(digits[:-1]), int(digits[-1])
            is_near = kind == "compute" or built_for[0] == self.capability[0]
            if is_near and built_for <= self.capability:
                return True
        return False


def gpus() -> list[Gpu]:
    """The GPUs that torch sees; none without CUDA."""
    import torch

    if not torch.cuda.is_available():
        return []
    kernels = tuple(torch.cuda.get_arch_list())
    seen = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [Gpu(gpu.name, gpu.total_memory, (gpu.major, gpu.minor), kernels) for gpu in seen]


def preflight(
    train: Source | None = None,
    valid: Source | None = None,
    settings: TrainSettings = TrainSettings(),
    folder: str | os.PathLike = ".",
) -> pd.DataFrame:
    """Look at the machine, the data and the weights before a long training.

        lu.preflight(train, valid, settings, "runs/first")
        run = lu.train(train, valid, "runs/first", settings)

    Args:
        train: what `lu.train` takes, as the others are; without data only the machine is checked.
        valid: None where `train` is a data.yaml of both.
        settings: model, init_weights and hyp are looked at.
        folder: the run folder, for the room on its disk.

    Returns:
        One row a check, worst first: check, found, state ("stop", "look", "ok"), what_to_do.

    Raises:
        TrainingError: with the first line that stops, if there is one.
    """
    return require(checks(train, valid, settings, folder))


def checks(
    train: Source | None = None,
    valid: Source | None = None,
    settings: TrainSettings = TrainSettings(),
    folder: str | os.PathLike = ".",
) -> pd.DataFrame:
    """The table of `preflight`, also where a line stops."""
    memory = psutil.virtual_memory().available
    is_tested = (3, 11) <= sys.version_info[:2] <= (3, 13)
    rows = [
        _row("Python", platform.python_version(), is_tested, "tested with 3.11 to 3.13"),
        *_torch(),
        _yolov5(),
        _row("memory", f"{memory / 1e9:.1f} GB free", memory > 4e9, _LESS_MEMORY),
        _disk(folder),
        _model(settings.model),
        _hyp(settings.hyp),
    ]
    if train is not None:
        rows += _data(train, valid, Path(folder))
    if settings.init_weights is not None:
        rows.append(_init_weights(settings.init_weights))
    rows.sort(key=lambda row: _STATES.index(row[2]))
    return pd.DataFrame(rows, columns=_COLUMNS)


def require(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `checks`; TrainingError with the first line that stops."""
    stops = table[table["state"] == "stop"]
    if len(stops):
        first = stops.iloc[0]
        more = f" ({len(stops) - 1} more)" if len(stops) > 1 else ""
        raise TrainingError(
            f"preflight: {first['check']}: {first['found']}; {first['what_to_do']}{more}"
        )
    return table


def gpu_sentence() -> str:
    """Which GPU trains and predicts, or what to click; TrainingError without kernels."""
    rows = _torch()
    require(pd.DataFrame(rows, columns=_COLUMNS))
    _, gpu, _, advice = rows[1]
    return f"GPU: {gpu} ({advice})." if advice else f"GPU: {gpu}."


_Row = tuple[str, str, str, str]


def _row(check: str, found: str, fine: bool = True, advice: str = "", worst: str = "look") -> _Row:
    """A line of the table; `worst` and the advice stand in it unless it is fine."""
    return check, found, "ok" if fine else worst, "" if fine else advice


def _torch() -> list[_Row]:
    import torch

    found = gpus()
    rows = [_row("torch", torch.__version__)]
    if not found:
        advice = "fine for small runs; on Colab choose Runtime > Change runtime type > T4 GPU"
        rows.append(_row("GPU", f"none, {os.cpu_count()} CPU cores", False, advice))
    for gpu in found:
        label = f"{gpu.name}, {gpu.memory_bytes / 1e9:.0f} GB"
        capability = "sm_{}{}".format(*gpu.capability)
        lacks = f": torch {torch.__version__} has no kernels for {capability}"
        label += f", {capability}" if gpu.has_kernels else lacks
        advice = (
            f"choose another GPU (a T4 is sm_75), or install a torch build that has {capability}: "
            f"for a P100 one for CUDA 12.6 or older: {_PIP_CU126}, then restart the runtime"
        )
        rows.append(_row("GPU", label, gpu.has_kernels, advice, "stop"))
    return rows


def _yolov5() -> _Row:
    there = (install.yolov5_folder() / "yolov5").is_dir()
    found = install.YOLOV5_VERSION if there else "not installed"
    return _row("yolov5", found, there, "run python -m livestock_utils.install", "stop")


def _disk(run_folder: str | os.PathLike) -> _Row:
    place = Path(run_folder).resolve()
    place = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    # The whole path says nothing elsewhere.
    short = "/".join(place.parts[-2:]) if len(place.parts) > 2 else str(place)
    advice = "make room: two resume files are kept, 0.5 GB each for YOLOv5m6"
    return _row("disk", f"{free / 1e9:.1f} GB free for {short}", free > 5e9, advice)


def _model(model: str) -> _Row:
    if model not in MODELS:
        return _row("model", model, False, f"choose one of {', '.join(MODELS)}", "stop")
    size = weights_bytes(model, len(species.names()))
    found = f"{model}: {size / 1e6:.1f} of 100 x 10^6 bytes"
    advice = "too large to submit; as a teacher it is fine"
    return _row("weights budget", found, size <= submission.WEIGHTS_BUDGET_BYTES, advice)


def _hyp(hyp: Any) -> _Row:
    name = "given as values" if isinstance(hyp, Mapping) else str(hyp)
    try:
        read_hyp(hyp)
    except LivestockError as error:
        return _row("hyperparameters", name, False, str(error), "stop")
    if hyp is None:
        return _row("hyperparameters", "the recipe's")
    return _row("hyperparameters", name if isinstance(hyp, Mapping) else hyp_file(hyp).name)


def _data(train: Source, valid: Source | None, folder: Path) -> list[_Row]:
    try:
        data = read_data(train, valid, data_folder(folder))
    except LivestockError as error:
        return [_row("data set", str(train), False, str(error), "stop")]
    findings = data.train.findings + data.valid.findings
    counts = (
        f"{len(data.train.files)} training images with {data.train.n_boxes} boxes, "
        f"{len(data.valid.files)} for validation with {data.valid.n_boxes}"
    )
    damaged = f"{len(findings)} images are damaged or have no label file: {findings}"[:160]
    order = f"expected {', '.join(species.names())} in this order in data.yaml"
    fits = data.names == species.names()
    return [
        _row("data set", counts, not findings, damaged),
        _row("class order", ", ".join(data.names), fits, order, "stop"),
    ]


def _init_weights(init_weights: str | os.PathLike) -> _Row:
    try:
        path = checkpoints.find_weights(init_weights, checkpoints.DOWNLOADS)
        weights = checkpoints.read_weights(path)
    except LivestockError as error:
        return _row("init weights", str(init_weights), False, str(error), "stop")
    name = architecture_name(weights.architecture)
    return _row("init weights", f"{Path(init_weights).name}, {name}, {len(weights.names)} classes")
