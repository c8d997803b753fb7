"""Lighter networks from trained weights: pruned channels, Tucker decomposition.

Both write ordinary weights files, which training goes on from. Their architecture carries the mark
"lighter", by which `checkpoints.build` gives the layers the shapes of the tensors.
"""

import dataclasses
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
from livestock_utils.data.sets import writing
from livestock_utils.detect import checkpoints, layers
from livestock_utils.detect.backends import onnx
from livestock_utils.detect.export import cost, formats, latency
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.evaluate.scoring import tables

log = logging.getLogger(__name__)

MARK = "lighter"
COLUMNS = (
    "model AP75 difference low high size_mb parameters_million gflops latency_ms p95_ms speed "
    "speed_low speed_high"
).split()
FASTER = 1.1
"""A lighter network pays from this speed on, if AP75 falls by no more than MAX_DROP."""
ROUND_TO = 8
"""Channels are kept in multiples of this, which processors like."""


def prune(
    weights: str | os.PathLike, target: str | os.PathLike, share: float, image_size: int
) -> Path:
    """Remove `share` of all channels, the weakest groups first; returns `target`. torch-pruning
    (Fang et al. 2023, DepGraph) follows the connections and ranks by LAMP (Lee et al. 2021): on the
    sample it keeps two thirds of AP50 without training where ranking by plain norm keeps nothing.
    The head's outputs stay."""
    import torch

    if not 0 < share <= 0.9:
        raise LivestockError(f"share must lie in (0, 0.9], got {share}")
    pruning = onnx.need("torch_pruning", "lighter")
    read = checkpoints.read_weights(weights)
    model = checkpoints.build(read).eval()
    # raw heads, to be traced; the rest in eval, or the noise would move the batch statistics
    model.model[-1].train()
    pruner = pruning.pruner.MagnitudePruner(
        model,
        torch.rand(1, 3, image_size, image_size),
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
    weights: str | os.PathLike, target: str | os.PathLike, share: float, least_channels: int = 64
) -> Path:
    """Replace large convolutions by three smaller ones (Tucker); returns `target`. Kernels above 1
    x 1 with at least `least_channels` in and out become 1 x 1, k x k and 1 x 1 with `share` of the
    channels between (Kim et al. 2016), by tensorly."""
    if not 0 < share < 1:
        raise LivestockError(f"share must lie in (0, 1), got {share}")
    tensorly = onnx.need("tensorly", "lighter")
    from tensorly import decomposition

    read = checkpoints.read_weights(weights)
    model = checkpoints.build(read)
    changed = 0
    for name, module in list(model.named_modules()):
        if not layers.is_block(module) or module.conv.groups > 1:
            continue
        kernel = module.conv.weight.detach().numpy()
        channels = kernel.shape[:2]
        if max(kernel.shape[2:]) == 1 or min(channels) < least_channels:
            continue
        ranks = [max(round(each * share / ROUND_TO), 1) * ROUND_TO for each in channels]
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
    valid: Photos,
    image_size: int,
    settings: Settings,
    threads: int | None = None,
    rounds: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Weights trained for equal epochs beside the first of them, the plain one: a row a model. Of
    COLUMNS difference, low and high are paired, against the first; latency_ms is that of its ONNX
    file, written beside the weights, at batch 1; speed is the first one's latency over this one's:
    the median of a few processes, with their lowest and highest. An architecture is timed once, all
    of them in turns in one process: equal networks are equally fast."""
    _, height, width = formats.common_shape(valid.images, image_size)
    architectures = {name: _architecture(path) for name, path in models.items()}
    exports = {
        architectures[name]: formats.export(path, Path(path).parent, image_size=image_size)
        for name, path in models.items()
    }
    times = latency.in_turns(
        [*exports.values()], height, width, threads or os.cpu_count() or 1, rounds
    )
    timed = dict(zip(exports, times, strict=True))
    found = {
        name: engine.predict(path, valid, image_size=image_size, settings=settings)
        for name, path in models.items()
    }
    first = next(iter(models))
    rows = []
    for name, path in models.items():
        gap = tables.paired_difference(valid, found[first], found[name], seed).loc["all"]
        million, gflops = cost.arithmetic(path, height, width)
        ms = timed[architectures[name]]
        speeds = np.median(timed[architectures[first]], axis=1) / np.median(ms, axis=1)
        rows.append(
            {
                "model": name,
                "AP75": gap["second"],
                **gap[["difference", "low", "high"]],
                "size_mb": formats.size_bytes(path) / 1e6,
                "parameters_million": million,
                "gflops": gflops,
                "latency_ms": float(np.median(ms)),
                "p95_ms": float(np.percentile(ms, 95)),
                "speed": float(np.median(speeds)),
                "speed_low": float(speeds.min()),
                "speed_high": float(speeds.max()),
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.loc[0, ["difference", "low", "high", "speed", "speed_low", "speed_high"]] = np.nan
    return table


def study(
    weights: str | os.PathLike,
    train: Photos,
    valid: Photos,
    folder: str | os.PathLike,
    asked: TrainSettings,
    *,
    prune_share: float,
    tucker_share: float,
    teacher: str | os.PathLike = "",
    settings: Settings,
    threads: int | None = None,
    rounds: int = 20,
) -> pd.DataFrame:
    """Plain, pruned, decomposed and taught networks trained as `asked`, then `compare` on `valid`;
    no rows without the packages of the extra `lighter`, which is logged. Each has a run folder
    below `folder` that goes on where it stopped; the two photos are those of unpacked sets.
    teacher: CSV of predictions on the training images, or weights that predict them; default the
    weights themselves. Several, separated by commas, are a row each ("distilled from <file's
    name>")."""
    from livestock_utils.detect.train import run

    packages = ("torch_pruning", "tensorly")
    if absent := [name for name in packages if importlib.util.find_spec(name) is None]:
        log.warning(
            "no lighter networks: this needs %s; run python -m livestock_utils.install --extras "
            "lighter",
            " and ".join(absent),
        )
        return pd.DataFrame(columns=COLUMNS)
    place, size = Path(folder), asked.image_size
    data_yaml = writing.write_data_yaml(place / "data.yaml", train.folder, valid.folder)
    starts: dict[str, tuple[Any, Any]] = {
        "plain": (weights, None),
        "pruned": (prune(weights, place / "pruned.pt", prune_share, size), None),
        "Tucker": (decompose(weights, place / "tucker.pt", tucker_share), None),
    }
    listed = [name.strip() for name in str(teacher).split(",") if name.strip()] or [str(weights)]
    for path in listed:
        taught: Any = path
        if not path.endswith(".csv"):
            taught = engine.predict(path, train, image_size=size, confidence_threshold=0.1)
        name = "distilled" if len(listed) == 1 else f"distilled from {Path(path).stem}"
        starts[name] = weights, taught
    models = {}
    for name, (start, taught) in starts.items():
        # Nothing of the start stays in: a cut network has to leave it behind.
        each = dataclasses.replace(asked, init_weights=Path(start), blend=0.0)
        runs = place / name.replace(" ", "_")
        models[name] = run.train(data_yaml, None, runs, each, teacher=taught).best
    return compare(models, valid, size, settings, threads, rounds, asked.seed)


def _architecture(weights: str | os.PathLike) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Names and shapes of all tensors: equal ones are networks that run equally fast."""
    state = checkpoints.read_weights(weights).state
    return tuple((name, tuple(tensor.shape)) for name, tensor in state.items())
