"""How much memory and time a training needs here, on a T4 and a P100.

Times elsewhere scale from the one number that was published, 50 minutes an epoch for YOLOv5m6 at
1280 px on a P100, by the networks' FLOPs and the pixels; here from a few timed steps. Memory is
counted from the activations. All are estimates: +/- 30 %.
"""

import functools
import time
from collections.abc import Mapping
from typing import Any

import pandas as pd

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect import yolov5
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import recipes

MODELS = {
    **{"yolov5n": 4.5, "yolov5s": 16.5, "yolov5m": 49.0, "yolov5l": 109.1, "yolov5x": 205.7},
    **{"yolov5n6": 4.6, "yolov5s6": 16.8, "yolov5m6": 50.0, "yolov5l6": 111.4, "yolov5x6": 209.8},
}
"""Models and their GFLOPs at 640 px, from yolov5's own table."""

_PUBLISHED_MODEL, _PUBLISHED_SIZE, _PUBLISHED_S = "yolov5m6", 1280, 50 * 60 / 13_164
"""The write-up's seconds an image on a P100: 50 minutes for 4/5 of 16,455 images."""
_GPUS = {"P100": (16.0, 1.0), "T4": (15.0, 9.3 / 8.1)}
"""GB of memory, and time relative to a P100 by fp32 peak (9.3 and 8.1 TFLOPS)."""
_SESSION_HOURS = 12
"""The longest that Colab promises a runtime."""
_SAVED_PER_ACTIVATION = 3
"""Tensors that training keeps for each convolution's output."""
_FIXED_GB = 1.0
"""CUDA context and workspaces."""


def plan(settings: TrainSettings, n_images: int, timed: bool = True) -> pd.DataFrame:
    """What a training needs on this machine, a T4 and a P100, and what fits a Colab session.

        plan = lu.plan(lu.TrainSettings(model="yolov5m6", image_size=1280), len(train))
        plan.loc["T4", "epoch_minutes"]

    Args:
        settings: model, image_size (px), batch_size ("auto": what fits here), nominal_batch and
            epochs are looked at.
        n_images: training images of an epoch; validation is within the published time.
        timed: whether a few steps are timed here; without, this machine is left out.

    Returns:
        One row a machine: memory_gb, fits, largest_batch, accumulate, epoch_minutes, total_hours,
        epochs_a_session. This machine's memory is the GPU's, or what is free of the computer's,
        where training in full precision takes twice as much. `accumulate` is how many batches of
        `largest_batch` make the recipe's `nominal_batch` images: it stays the same.
        `epochs_a_session` are whole epochs in 12 hours.

    Raises:
        TrainingError: for an unknown model.
    """
    settings, _ = recipes.settled(settings, n_images)
    size = settings.batch_size
    if not isinstance(size, int):
        size = fitting_batch(settings.model, settings.image_size)
    seconds = time_steps(settings.model, settings.image_size, size) if timed else None
    return _estimate(settings, size, n_images, seconds)


def _estimate(
    settings: TrainSettings, batch_size: int, n_images: int, seconds_here: float | None
) -> pd.DataFrame:
    """The table of `plan`; `seconds_here` an image takes on this machine, None leaves it out."""
    model, image_size = settings.model, settings.image_size
    nominal_batch = settings.nominal_batch or batch_size
    work = _gflops(model, image_size)
    reference = _PUBLISHED_S / _gflops(_PUBLISHED_MODEL, _PUBLISHED_SIZE)
    per_image, fixed = memory_gb(model, image_size)
    machines = {
        name: (memory, per_image, work * reference * slower)
        for name, (memory, slower) in _GPUS.items()
    }
    if seconds_here is not None:
        memory, times = memory_here()
        machines = {"this machine": (memory, per_image * times, seconds_here), **machines}
    rows = []
    for name, (memory, per_image, seconds) in machines.items():
        room = int((memory * 0.9 - fixed) / per_image)
        largest = min(max(room, 0), max(nominal_batch, batch_size))
        epoch_s = seconds * n_images
        minutes = settings.minutes or 0
        epochs = settings.epochs or max(int(minutes * 60 // epoch_s), 1)
        rows.append(
            {
                "machine": name,
                "memory_gb": fixed + per_image * batch_size,
                "fits": largest >= batch_size,
                "largest_batch": largest,
                "accumulate": max(round(nominal_batch / largest), 1) if largest else 0,
                "epoch_minutes": epoch_s / 60,
                "total_hours": epoch_s * epochs / 3600,
                "epochs_a_session": min(int(_SESSION_HOURS * 3600 // epoch_s), epochs),
            }
        )
    return pd.DataFrame(rows).set_index("machine")


def fitting_batch(model: str, image_size: int, n_classes: int = 2) -> int:
    """How many images a step fits on the GPU by yolov5's probe; 16 on a CPU."""
    import torch

    if not torch.cuda.is_available():
        return 16
    with yolov5.yolov5() as y5:
        network = y5.yolo.Model(y5.model_file(model), ch=3, nc=n_classes).to("cuda")
        return int(y5.autobatch.check_train_batch_size(network, image_size, True))


def time_steps(
    model: str, image_size: int, batch_size: int, n_steps: int = 10, limit_s: float = 5.0
) -> float | None:
    """Seconds an image takes in a training step here: the fastest of `n_steps`, as the first set up
    and other programs hold some up. No step begins after `limit_s`. On a CPU two images a step,
    which take as long each as those of a larger batch. A batch that does not fit the GPU is halved
    until it does; None where not one image fits."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        batch_size = min(batch_size, 2)
    while batch_size:
        try:
            return _step_seconds(device, model, image_size, batch_size, n_steps, limit_s)
        except torch.OutOfMemoryError:
            batch_size //= 2
        torch.cuda.empty_cache()  # after the exception, which holds the tensors, is gone
    return None


def _step_seconds(
    device: Any, model: str, image_size: int, batch_size: int, n_steps: int, limit_s: float
) -> float:
    import torch

    with yolov5.yolov5() as y5:
        network = y5.yolo.Model(y5.model_file(model), ch=3, nc=2).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6)
    images = torch.rand(batch_size, 3, image_size, image_size, device=device)
    took: list[float] = []
    while len(took) <= n_steps and sum(took) < limit_s:
        began = time.perf_counter()
        with torch.autocast(device.type, enabled=device.type == "cuda"):
            loss = torch.stack([head.float().square().mean() for head in network(images)]).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return min(took) / batch_size


def memory_here() -> tuple[float, float]:
    """GB that a training can take here, and the factor on an image's need."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / 1e9, 1.0
    return psutil.virtual_memory().available / 1e9, 2.0


def memory_gb(model: str, image_size: int) -> tuple[float, float]:
    """GB of an image in mixed precision, and GB of weights, gradients, EMA and CUDA."""
    parameters, activations = _counts(model)
    tensors = activations * (image_size / 256) ** 2 * _SAVED_PER_ACTIVATION
    return tensors * 2 / 1e9, parameters * 4 * 4 / 1e9 + _FIXED_GB


def weights_bytes(model: str, n_classes: int) -> int:
    """About how large best.pt will be: two bytes a parameter and 0.3 MB."""
    return _counts(model, n_classes)[0] * 2 + 300_000


def architecture_name(architecture: Mapping[str, Any]) -> str:
    """ "yolov5m6" and the like by a model's depth, width and levels, or "unknown"."""

    def key(one: Mapping[str, Any]) -> tuple[Any, Any, int]:
        return one.get("depth_multiple"), one.get("width_multiple"), len(one["head"])

    wanted, known = key(architecture), yolov5.modules().architecture
    return next((name for name in MODELS if key(known(name)) == wanted), "unknown")


def _gflops(model: str, image_size: int) -> float:
    if model not in MODELS:
        raise TrainingError(f"unknown model {model!r}: expected one of {', '.join(MODELS)}")
    return MODELS[model] * (image_size / 640) ** 2


@functools.cache
def _counts(model: str, n_classes: int = 2) -> tuple[int, int]:
    """Parameters, and elements of all convolutions' outputs for one image of 256 x 256 px."""
    import torch

    seen: list[int] = []
    with yolov5.yolov5() as y5:
        network = y5.yolo.Model(y5.model_file(model), ch=3, nc=n_classes)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _, __, output: seen.append(output.numel()))
    with torch.no_grad():
        network.train()(torch.zeros(2, 3, 256, 256))
    return sum(parameter.numel() for parameter in network.parameters()), sum(seen) // 2
