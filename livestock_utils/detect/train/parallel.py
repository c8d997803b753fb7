"""Several GPUs: one process each, started by torchrun, through the same `train`.

    python -m torch.distributed.run --standalone --nproc_per_node 2 \\
        -m livestock_utils train data.yaml runs/two --batch-size 20

Each process trains its share of every batch; the first validates, saves and logs. cache="ram" is
kept once in each. After an interruption that epoch's augmentations are drawn anew.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

from livestock_utils.core.errors import TrainingError


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among torchrun's: its number (-1: alone), on this machine, how many."""

    rank: int = -1
    local_rank: int = -1
    world: int = 1

    @property
    def leads(self) -> bool:
        """True for the process that validates, saves and logs."""
        return self.rank in (-1, 0)


def ranks() -> Ranks:
    """From torchrun's environment variables; TrainingError if only some are there."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    missing = [name for name in names if not os.environ.get(name)]
    if len(missing) == len(names):
        return Ranks()
    if missing:
        raise TrainingError(
            f"{', '.join(missing)} not set, though torchrun's other variables are; start with "
            "torchrun"
        )
    found = Ranks(*(int(os.environ[name]) for name in names))
    return found if found.world > 1 else Ranks()


@contextlib.contextmanager
def joined(mine: Ranks, batch_size: int, device: str | None = None) -> Iterator[str | None]:
    """Join the process group for a training; yields this process's device."""
    if mine.world == 1:
        yield str(device_of(device))
        return
    import torch
    import torch.distributed as group

    if batch_size % mine.world:
        raise TrainingError(
            f"batch_size must be a multiple of the {mine.world} processes, got {batch_size}"
        )
    on_gpu = torch.cuda.is_available() and device != "cpu"
    if on_gpu and mine.local_rank >= torch.cuda.device_count():
        raise TrainingError(
            f"torchrun started more processes than the {torch.cuda.device_count()} GPUs here; "
            "lower --nproc_per_node"
        )
    if on_gpu:
        torch.cuda.set_device(mine.local_rank)
    group.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield f"cuda:{mine.local_rank}" if on_gpu else "cpu"
    finally:
        group.destroy_process_group()


def device_of(name: str | None) -> Any:
    """The torch.device of a name (None: a GPU if there is one); TrainingError if it is not here."""
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return torch.device("cuda" if there else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        told = f"device must be cpu, cuda, or cuda:0 and so on, got {name!r}"
        raise TrainingError(told) from error
    if device.type == "cuda" and (device.index or 0) >= there:
        raise TrainingError(
            f"device {name!r} is not here, torch sees {there} GPUs; take cpu, or leave device out"
        )
    return device


def wrapped(model: Any, mine: Ranks) -> Any:
    """The model for the forward pass: gradients averaged over the processes."""
    if mine.world == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    devices = [mine.local_rank] if next(model.parameters()).is_cuda else None
    return DistributedDataParallel(model, device_ids=devices)


def from_leader(value: Any, mine: Ranks) -> Any:
    """The leading process's value, in all of them; also a meeting point."""
    if mine.world == 1:
        return value
    import torch.distributed as group

    box = [value]
    group.broadcast_object_list(box, src=0)
    return box[0]
