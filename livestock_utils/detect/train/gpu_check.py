"""Does everything work on this GPU? A short training and what follows, as one table to paste.

It draws its own photos and starts from the shipped weights, so it needs nothing but what is
installed.
"""

import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub.folder import read_archives
from livestock_utils.data.sample.drawing import write_sample
from livestock_utils.data.sets import writing
from livestock_utils.detect import checkpoints
from livestock_utils.detect.export import formats
from livestock_utils.detect.predict.engine import predict
from livestock_utils.detect.train import planner, preflight, state
from livestock_utils.detect.train.run import Run
from livestock_utils.evaluate.scoring.tables import score

_N_IMAGES, _N_VALID, _EPOCHS, _SIZE = 48, 16, 2, 320
_START = "yolov5n_sample.pt"
_WAIT_S = 300
"""A first epoch that is not saved by then counts as failed."""


def gpu_check(folder: str | os.PathLike, device: str | None = None) -> pd.DataFrame:
    """Train two short epochs, kill and resume, compare half with full precision, export. Returns a
    row a check: check, found, state ("ok" or "failed"), seconds; no rows without a GPU. `device`
    names another one than the first GPU, "cpu" tries the check itself."""
    import torch

    if device is None and not torch.cuda.is_available():
        return pd.DataFrame(columns=["check", "found", "state", "seconds"])
    work, used = Path(folder), device or "cuda"
    photos = read_archives(write_sample(work / "sample", _N_IMAGES, 0, scale=0.35) / "data")
    valid = photos.sample(_N_VALID, seed=0)
    for name, part in (("train", photos.without(valid)), ("valid", valid)):
        writing.write_set(work / name, part)
    data_yaml = writing.write_data_yaml(work / "data.yaml", work / "train", work / "valid")
    whole, killed = work / "whole", work / "killed"
    checks: dict[str, Callable[[], str]] = {
        "machine": lambda: _machine(used),
        "training": lambda: _trained(_command(data_yaml, whole, used), whole),
        "kill and resume": lambda: _resumed(_command(data_yaml, killed, used), killed, whole),
        "half precision": lambda: _precisions(Run(whole).best, valid, used),
        "fitting batch": lambda: f"{planner.fitting_batch('yolov5n', 640)} images of 640 px",
        "export, torchscript": lambda: _exported(Run(whole).best, work, "torchscript"),
        "export, onnx": lambda: _exported(Run(whole).best, work, "onnx"),
    }
    rows = []
    for name, check in checks.items():
        began = time.perf_counter()
        try:
            found, how = check(), "ok"
        except (LivestockError, RuntimeError, OSError, ImportError) as error:
            found, how = " ".join(str(error).split())[:300], "failed"
        rows.append((name, found, how, round(time.perf_counter() - began, 1)))
    return pd.DataFrame(rows, columns=["check", "found", "state", "seconds"])


def _machine(device: str) -> str:
    import torch

    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if device == "cpu":
        return f"CPU, {versions}"
    gpu = preflight.gpus()[torch.device(device).index or 0]
    return (
        f"{gpu.name}, {gpu.memory_bytes / 1e9:.0f} GB, sm_{gpu.capability[0]}{gpu.capability[1]}, "
        f"{versions}, CUDA {torch.version.cuda}"
    )


def _command(data_yaml: Path, run: Path, device: str) -> list[str]:
    options = {"init-weights": _START, "epochs": _EPOCHS, "image-size": _SIZE, "device": device}
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "livestock_utils", "train", str(data_yaml), str(run), *given]


def _trained(command: list[str], run: Path) -> str:
    """How fast, and how good, after a training in a process of its own."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LivestockError(str(done.stderr).strip().rpartition("\n")[2])
    last = Run(run).results.iloc[-1]
    speed = (_N_IMAGES - _N_VALID) / last["seconds/train"]
    map75 = last["metrics/mAP_0.75"]
    return f"{len(Run(run).results)} epochs, {speed:.0f} images/s, mAP75 {map75:.3f}"


def _resumed(command: list[str], run: Path, whole: Path) -> str:
    """Kill a training after its first saved epoch, start it again, compare with one not killed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + _WAIT_S
    while state.newest(run / "resume") is None and process.poll() is None:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    saved = state.newest(run / "resume")
    after = (
        "before an epoch was saved" if saved is None else f"after epoch {state.epochs_in(saved)}"
    )
    _trained(command, run)
    here, there = (checkpoints.read_weights(Run(one).last).state for one in (run, whole))
    apart = max(float((here[name].float() - there[name].float()).abs().max()) for name in here)
    return f"killed {after}, went on; last weights differ by at most {apart:.2g}"


def _precisions(weights: Path, valid: Photos, device: str) -> str:
    """mAP75 of both precisions, and how many sure boxes each finds."""
    told = []
    precisions = {"float32": False} if device == "cpu" else {"float16": True, "float32": False}
    for name, half in precisions.items():
        found = predict(weights, valid, image_size=_SIZE, device=device, half=half)
        map75 = score(valid, found)["mAP75"].astype(float)["all"]
        told.append(f"{name}: mAP75 {map75:.4f}, {(found['confidence'] >= 0.25).sum()} boxes")
    return "; ".join(told)


def _exported(weights: Path, folder: Path, kind: str) -> str:
    if kind == "onnx" and importlib.util.find_spec("onnx") is None:
        return "left out: onnx is not installed"
    path = formats.export(weights, folder, kind, image_size=_SIZE)
    return f"{formats.size_bytes(path) / 1e6:.1f} MB"
