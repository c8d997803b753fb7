"""Prediction as a Ray Data job: the same part files and table as without it. A worker opens the
network once and takes shard after shard; one that dies loses at most the part in flight."""

import contextlib
import dataclasses
import math
import os
import re
from pathlib import Path
from typing import Any

from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.backends import loading, onnx
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.passes import PART_IMAGES


class _ShardPredictor:
    """What runs in a worker: network, bytes and plan, opened once; a call a shard."""

    def __init__(self, weights: str, photos: Photos, options: dict[str, Any]) -> None:
        """The arguments of `engine.shards`."""
        self.problem, self.held = "", contextlib.ExitStack()
        try:
            self.of_shard = self.held.enter_context(engine.shards(weights, photos, **options))
        except LivestockError as error:
            self.problem = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make the parts of shard `row["shard"]`: how many images, or the problem in a line;
        raised, it would arrive as one of Ray's own errors, inside a traceback of many lines."""
        images, problem = 0, self.problem
        if not problem:
            try:
                images = len(self.of_shard(str(row["shard"])).images)
            except LivestockError as error:
                problem = str(error)
        return {"shard": row["shard"], "images": images, "problem": problem}


def collect_candidates(
    weights: str | os.PathLike,
    photos: Photos,
    *,
    parts_folder: str | os.PathLike,
    n_workers: int = 2,
    address: str | None = None,
    **options: Any,
) -> Candidates:
    """`engine.collect_candidates` spread over `n_workers` workers. `address`: of a cluster that
    sees all files under the same paths; None starts Ray here. A `device` of "cuda" asks for a GPU a
    worker."""
    ray = onnx.need("ray", "ray")
    onnx.need("ray.data", "ray")
    # Opened here first: weights that are no good are told in one line, and an ONNX export happens
    # once, not per worker.
    chosen = {key: options[key] for key in ("backend", "any_classes", "trust") if key in options}
    loading.open_backend(weights, **chosen)
    engine.parse_shard(options.pop("shard", "1/1"))
    passes = tuple(options.get("passes", ("plain",)))
    options |= {"passes": passes, "parts_folder": str(Path(parts_folder).resolve())}
    if not ray.is_initialized():
        ray.init(address=address or "local", logging_level="warning", log_to_driver=False)
    n_shards = max(math.ceil(len(photos) / options.get("part_images", PART_IMAGES)), n_workers)
    shards = ray.data.from_items(
        [{"shard": f"{k + 1}/{n_shards}"} for k in range(n_shards)], override_num_blocks=n_shards
    )
    on_gpu = str(options.get("device") or "").startswith("cuda")
    placed = dataclasses.replace(photos, folder=Path(photos.folder).resolve())
    try:
        done = shards.map(
            _ShardPredictor,
            compute=ray.data.ActorPoolStrategy(size=n_workers),
            num_gpus=1 if on_gpu else None,
            fn_constructor_args=(str(Path(weights).resolve()), placed, options),
        ).take_all()
    except ray.exceptions.RayError as error:
        raise LivestockError(
            f"a Ray worker failed: {_last_error(error)}; run the same command again"
        ) from error
    if problems := sorted({row["problem"] for row in done} - {""}):
        raise LivestockError(problems[0])
    if len(done) != n_shards:
        raise LivestockError(
            f"Ray finished {len(done)} of {n_shards} shards; run the same command again to go on"
        )
    found = engine.gather(parts_folder, passes)
    engine.report(found, photos.images)
    return found


def _last_error(error: BaseException) -> str:
    """The line of Ray's many that names what was raised in the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"(?!ray\.)[\w.]+(Error|Exception): ", line)]
    return (named or lines or [type(error).__name__])[-1][:300]
