"""Prediction as a Ray Data job, for millions of frames: the same part files and the same table as without it.

Each worker opens the network once and takes one shard of parts after another. A worker that dies loses at most the part
in flight, which Ray hands to another; finished parts are whole files and are not made again.
"""

import math
import os
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import backends, inference
from livestock_utils.candidates import Candidates
from livestock_utils.errors import LivestockError
from livestock_utils.passes import PART_IMAGES


class ShardPredictor:
    """What runs in a worker: the network, opened once, and one call a shard."""

    def __init__(self, weights: str, images: pd.DataFrame, folder: str, parts_folder: str, options: dict[str, Any]):
        """The arguments of `inference.collect_candidates`."""
        self.weights, self.images, self.folder, self.parts_folder = weights, images, folder, parts_folder
        chosen = {key: options[key] for key in ("backend", "device", "half", "any_classes", "trust") if key in options}
        self.options = {**options, "network": backends.open_backend(weights, **chosen)}

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make the parts of shard `row["shard"]`; gives back how many images they hold."""
        found = inference.collect_candidates(self.weights, self.images, self.folder, parts_folder=self.parts_folder,
                                             shard=str(row["shard"]), **self.options)
        return {"shard": row["shard"], "images": len(found.images)}


def collect_candidates(weights: str | os.PathLike, images: pd.DataFrame, folder: str | os.PathLike, *,
                       parts_folder: str | os.PathLike, n_workers: int = 2, address: str | None = None,
                       **options: Any) -> Candidates:
    """`inference.collect_candidates` spread over `n_workers` workers; same arguments, same result.

    `address`: of an existing cluster, which must see `folder`, `parts_folder` and the weights under the same paths;
    None starts Ray on this machine. A `device` of "cuda" asks for one GPU a worker. Raises CheckpointError for weights
    that cannot be used before Ray is started, LivestockError if Ray is not installed, and what the workers raise.
    """
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise LivestockError("engine 'ray' needs the package ray: run "
                             "python -m livestock_utils.install --extras ray") from error
    # Opened here first: weights that are no good are told in one line, and an ONNX export happens once, not per worker.
    chosen = {key: options[key] for key in ("backend", "any_classes", "trust") if key in options}
    backends.open_backend(weights, **chosen)
    inference.parse_shard(options.pop("shard", "1/1"))
    given = tuple(options.get("passes", ("plain",)))
    options["passes"] = given
    if not ray.is_initialized():
        ray.init(address=address or "local", logging_level="warning", log_to_driver=False)
    n_shards = max(math.ceil(len(images) / options.get("part_images", PART_IMAGES)), n_workers)
    shards = ray.data.from_items([{"shard": f"{k + 1}/{n_shards}"} for k in range(n_shards)],
                                 override_num_blocks=n_shards)
    on_gpu = str(options.get("device") or "").startswith("cuda")
    arguments = (str(Path(weights).resolve()), images, str(Path(folder).resolve()), str(Path(parts_folder).resolve()),
                 options)
    try:
        done = shards.map(ShardPredictor, compute=ray.data.ActorPoolStrategy(size=n_workers),
                          num_gpus=1 if on_gpu else None, fn_constructor_args=arguments).take_all()
    except Exception as error:  # whatever Ray wraps around what a worker raised
        raise _cause(error) from error
    if len(done) != n_shards:
        raise LivestockError(f"Ray finished {len(done)} of {n_shards} shards; run the same command again to go on")
    found = inference.gather(parts_folder, given)
    inference.report(found, images)
    return found


def _cause(error: BaseException) -> LivestockError:
    """What a worker raised, out of Ray's wrapping: our own error with its own message, else the last line of theirs."""
    seen: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in seen:
        seen.append(inner)
        inner = getattr(inner, "cause", None) or inner.__cause__ or inner.__context__
    for one in reversed(seen):
        if isinstance(one, LivestockError) and "\n" not in str(one):
            return one
    lines = [line.strip() for line in str(seen[-1]).splitlines() if line.strip()]
    return LivestockError(f"a Ray worker failed: {type(seen[-1]).__name__}: {lines[-1] if lines else 'no message'}; "
                          "mend that and run the same command again, which goes on")
