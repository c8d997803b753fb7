"""Lighter networks from trained weights: pruned channels, Tucker decomposition.

Both write ordinary weights files: `training.train(init_weights=...)` goes on from them, predict and
export take them. Their architecture carries the mark "lighter", by which `checkpoints.build` gives
the layers the shapes of the tensors.
"""

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import reading, writing
from livestock_utils.detect import checkpoints, layers
from livestock_utils.detect.backends import onnx
from livestock_utils.detect.export import cost, formats, latency
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.evaluate.scoring import tables

log = logging.getLogger(__name__)

MARK = "lighter"
COLUMNS = [
    "model",
    "AP75",
    "difference",
    "low",
    "high",
    "size_mb",
    "parameters_million",
    "gflops",
    "latency_ms",
    "p95_ms",
    "speed",
    "speed_low",
    "speed_high",
]
FASTER = 1.1
"""A lighter network pays from this speed on, if AP75 falls by no more than MAX_DROP."""
ROUND_TO = 8
"""Channels are kept in multiples of this, which processors like."""


def prune(
    weights: str | os.PathLike,
    target: str | os.PathLike,
    share: float = 0.3,
    image_size: int = 320,
    trust: bool = False,
) -> Path:
    """Remove `share` of all channels, the weakest groups first; returns `target`.

    torch-pruning (Fang et al. 2023, DepGraph) follows the connections and ranks by LAMP (Lee et al.
    2021): on the sample it keeps two thirds of AP50 without training where ranking by plain norm
    keeps nothing. The head's outputs stay. The result has lost accuracy until it is trained
    further. Raises LivestockError for a share outside (0, .9] or a missing package.
    """
    import torch

    if not 0 < share <= 0.9:
        raise LivestockError(f"share must lie in (0, 0.9], got {share}")
    pruning = onnx.need("torch_pruning", "lighter")
    read = checkpoints.read_weights(weights, trust=trust)
    model = checkpoints.build(read).eval()
    model.model[
        -1
        # raw heads, to be traced; the rest in eval, or the noise would move the batch statistics
    ].train()
    example = torch.rand(1, 3, image_size, image_size)
    pruner = pruning.pruner.MagnitudePruner(
        model,
        example,
        importance=pruning.importance.LAMPImportance(p=2),
        pruning_ratio=share,
        global_pruning=True,
        ignored_layers=list(model.model[-1].m),
        round_to=ROUND_TO,
    )
    pruner.step()
    model.yaml[MARK] = {"pruned": share, **read.architecture.get(MARK, {})}
    return checkpoints.write_weights(target, model)


def decompose(
    weights: str | os.PathLike,
    target: str | os.PathLike,
    share: float = 0.5,
    least_channels: int = 64,
    trust: bool = False,
) -> Path:
    """Replace large convolutions by three smaller ones (Tucker); returns `target`.

    Kernels above 1 x 1 with at least `least_channels` in and out become 1 x 1, k x k and 1 x 1 with
    `share` of the channels between (Kim et al. 2016), by tensorly. Raises LivestockError for a
    share outside (0, 1), nothing to decompose, or a missing package.
    """
    if not 0 < share < 1:
        raise LivestockError(f"share must lie in (0, 1), got {share}")
    tensorly = onnx.need("tensorly", "lighter")
    from tensorly import decomposition

    read = checkpoints.read_weights(weights, trust=trust)
    model = checkpoints.build(read)
    changed = 0
    for name, module in list(model.named_modules()):
        if (
            not layers.is_block(module)
            or max(module.conv.kernel_size) == 1
            or module.conv.groups > 1
        ):
            continue
        kernel = module.conv.weight.detach().numpy()
        if min(kernel.shape[:2]) < least_channels:
            continue
        ranks = [
            max(round(channels * share / ROUND_TO), 1) * ROUND_TO for channels in kernel.shape[:2]
        ]
        with tensorly.backend_context("numpy"):
            (core, (out, into)), _ = decomposition.partial_tucker(kernel, rank=ranks, modes=[0, 1])
        layers.replace_block(
            model, name, [into.T[:, :, None, None], np.asarray(core), out[:, :, None, None]]
        )
        changed += 1
    if not changed:
        raise LivestockError(
            f"{weights}: no convolution above 1 x 1 has {least_channels} channels in and out; "
            "lower least_channels"
        )
    model.yaml[MARK] = {"tucker": share, **read.architecture.get(MARK, {})}
    return checkpoints.write_weights(target, model)


def compare(
    models: Mapping[str, str | os.PathLike],
    images: pd.DataFrame,
    folder: str | os.PathLike,
    boxes: pd.DataFrame,
    image_size: int,
    settings: Settings | None = None,
    threads: int | None = None,
    rounds: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Weights trained for equal epochs beside the first of them, the plain one: a row a model.

    Columns model, AP75, difference, low, high (paired, against the first), size_mb,
    parameters_million, gflops, latency_ms (of its ONNX file at batch 1), p95_ms, and speed, the
    first one's latency over this one's: the median of a few processes, with their lowest and
    highest. ONNX files are written beside the weights. An architecture is timed once, all of them
    in turns in one process (see `edge_latency.in_turns`): equal networks are equally fast.
    """
    threads = threads or os.cpu_count() or 1
    _, height, width = formats.common_shape(images, image_size)
    first: pd.DataFrame | None = None
    rows = []
    exports = {
        name: formats.export(path, Path(path).parent, "onnx", image_size=image_size)
        for name, path in models.items()
    }
    architectures = {name: _architecture(path) for name, path in models.items()}
    of_each = {architecture: exports[name] for name, architecture in architectures.items()}
    timed = dict(
        zip(
            of_each,
            latency.in_turns([*of_each.values()], height, width, threads, rounds),
            strict=True,
        )
    )
    for name, path in models.items():
        found = engine.predict(
            path,
            Photos(images, folder=folder),
            image_size=image_size,
            settings=settings or Settings(),
        )
        first = found if first is None else first
        gap = tables.paired_difference(Photos(images, boxes), first, found, seed).loc["all"]
        million, gflops = cost.arithmetic(path, height, width)
        ms = timed[architectures[name]]
        speeds = np.median(timed[next(iter(timed))], axis=1) / np.median(ms, axis=1)
        own = np.nan if first is found else 1.0
        rows.append(
            {
                "model": name,
                "AP75": gap["second"],
                "difference": gap["difference"] * own,
                "low": gap["low"] * own,
                "high": gap["high"] * own,
                "size_mb": formats.size_bytes(path) / 1e6,
                "parameters_million": million,
                "gflops": gflops,
                "latency_ms": float(np.median(ms)),
                "p95_ms": float(np.percentile(ms, 95)),
                "speed": float(np.median(speeds)) * own,
                "speed_low": float(speeds.min()) * own,
                "speed_high": float(speeds.max()) * own,
            }
        )
    return pd.DataFrame(rows)


def _train_all(
    weights: str | os.PathLike,
    data_yaml: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    epochs: int,
    teachers: Mapping[str, pd.DataFrame | str | os.PathLike] | None = None,
    prune_share: float = 0.3,
    tucker_share: float = 0.5,
    model: str = "yolov5n",
    image_size: int = 640,
    **options: Any,
) -> dict[str, Path]:
    """Train plain and lighter weights for equal epochs: model name -> best weights.

    "plain", "pruned", "Tucker" and one of each of `teachers` (name -> predictions, see `distill`),
    each a run folder below `folder` that goes on where it stopped. `options` go to
    `training.train`.
    """
    from livestock_utils.detect.settings import TrainSettings
    from livestock_utils.detect.train import run

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    starts: dict[str, tuple[Path, Any]] = {"plain": (Path(weights), None)}
    starts["pruned"] = prune(weights, place / "pruned.pt", prune_share, image_size), None
    starts["Tucker"] = decompose(weights, place / "tucker.pt", tucker_share), None
    starts |= {name: (Path(weights), taught) for name, taught in (teachers or {}).items()}
    return {
        name: run.train(
            data_yaml,
            None,
            place / name.replace(" ", "_"),
            TrainSettings(
                model=model, init_weights=start, epochs=epochs, image_size=image_size, **options
            ),
            teacher=taught,
        ).best
        for name, (start, taught) in starts.items()
    }


def study(
    weights: str | os.PathLike,
    train_set: str | os.PathLike,
    valid_set: str | os.PathLike,
    folder: str | os.PathLike,
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    *,
    wanted: bool = True,
    teacher: str | os.PathLike = "",
    image_size: int = 640,
    settings: Settings | None = None,
    threads: int | None = None,
    rounds: int = 20,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """`_train_all` on two unpacked sets, then `compare` on the validation `images`; no rows unless
    `wanted`, or without the packages of the extra `lighter`, which is logged.

    teacher: CSV of predictions on the training images, or weights that predict them; default the
    weights themselves. Several, separated by commas, are a row each ("distilled from <file's
    name>").
    """
    absent = [
        name for name in ("torch_pruning", "tensorly") if importlib.util.find_spec(name) is None
    ]
    if wanted and absent:
        log.warning(
            "no lighter networks: this needs %s; run python -m livestock_utils.install --extras "
            "lighter",
            " and ".join(absent),
        )
    if not wanted or absent:
        return pd.DataFrame(columns=COLUMNS)
    data_yaml = writing.write_data_yaml(Path(folder) / "data.yaml", train_set, valid_set)
    train_images, _ = reading.read_tables(train_set)
    listed = [name.strip() for name in str(teacher).split(",") if name.strip()] or [str(weights)]
    teachers: dict[str, Any] = {
        "distilled" if len(listed) == 1 else f"distilled from {Path(path).stem}": path
        if path.endswith(".csv")
        else engine.predict(
            path,
            Photos(train_images, folder=train_set),
            image_size=image_size,
            confidence_threshold=0.1,
        )
        for path in listed
    }
    models = _train_all(
        weights, data_yaml, folder, teachers=teachers, image_size=image_size, seed=seed, **options
    )
    return compare(models, images, valid_set, boxes, image_size, settings, threads, rounds, seed)


def _architecture(weights: str | os.PathLike) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Names and shapes of all tensors: equal ones are networks that run equally fast."""
    return tuple(
        (name, tuple(tensor.shape))
        for name, tensor in checkpoints.read_weights(weights).state.items()
    )
