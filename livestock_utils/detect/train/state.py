"""The resume file of a training: full precision, whole or absent, the newest counts.

A file is named `resume-e0007-<SHA-256, 16 digits>.pt`: the epochs that are done, and a digest of
its bytes, so a file that was cut, damaged or half copied does not fit its name.
"""

import contextlib
import hashlib
import logging
import os
import random
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from livestock_utils.core.errors import TrainingError
from livestock_utils.core.files import sha256, whole_file
from livestock_utils.detect.settings import differences
from livestock_utils.detect.train.loop import Trainer

log = logging.getLogger(__name__)

_KEPT = 2
"""How many resume files stay in a folder."""
_PLAIN = ("epoch", "last_step", "best_value", "best_epoch", "best_weights", "rows", "stopped")
"""What a trainer holds that is kept as it is."""
_STOPPER = ("best_fitness", "best_epoch", "possible_stop")
_NAME = re.compile(r"resume-e(\d{4,})-([0-9a-f]{16})\.pt")


def save(trainer: Trainer, folder: Path) -> Path:
    """Write the trainer's state into `folder`, keep _KEPT files; returns the path of the new one.
    On a full disk torch raises RuntimeError with the OSError as its context."""
    import torch

    def path() -> Path:
        return folder / f"resume-e{trainer.epoch:04d}-{hashing.digest.hexdigest()[:16]}.pt"

    with whole_file(folder / "resume.pt", named=path) as file:
        hashing = _Hashing(file)
        torch.save(_pack(trainer), cast(IO[bytes], hashing))
    before = [old for old in _files(folder) if epochs_in(old) < trainer.epoch]
    prune(folder, [path(), *before[: _KEPT - 1]])
    return path()


def prune(folder: Path, kept: Collection[Path] = ()) -> None:
    """Delete all resume files of a folder but these."""
    for path in set(_files(folder)) - set(kept):
        path.unlink(missing_ok=True)


def drop_damaged(folder: Path) -> list[Path]:
    """Delete the resume files whose bytes do not fit their names; returns their paths."""
    damaged = []
    for path in _files(folder):
        with contextlib.suppress(OSError):  # one that cannot be read now may be whole
            if not _fits(path):
                path.unlink()
                damaged.append(path)
    return damaged


def newest(folder: Path) -> Path | None:
    """The valid resume file of a folder with the most epochs, or None; warns of damaged ones."""
    for path in _files(folder):
        with contextlib.suppress(OSError):
            if _fits(path):
                return path
        log.warning("%s is damaged (its bytes do not fit its name) and is passed over", path)
    return None


def epochs_in(path: Path) -> int:
    """How many epochs are done in a resume file, by its name."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def read(path: Path) -> dict[str, Any]:
    """The content of a resume file, plain values and tensors only, on the CPU."""
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def check_same(state: Mapping[str, Any], settings: Mapping[str, Any], where: Path) -> None:
    """Raise TrainingError unless a state was made with these recorded settings."""
    if changed := differences(state["settings"], settings):
        raise TrainingError(
            f"{where} was started with other settings ({'; '.join(changed[:6])}); restore them to "
            "go on, or name another run folder"
        )


def restore(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Put a state that `read` gave into a trainer that was started with the same settings."""
    import torch

    trainer.model.load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    trainer.ema.updates = state["ema_updates"]
    trainer.optimizer.load_state_dict(state["optimizer"])
    if state["scaler"]:
        trainer.scaler.load_state_dict(state["scaler"])
    vars(trainer.stopper).update(state["stopper"])
    for name in _PLAIN:
        setattr(trainer, name, state[name])
    rng = state["rng"]
    random.setstate((rng["python"][0], tuple(rng["python"][1]), rng["python"][2]))
    kind, words, position, has_gauss, gauss = rng["numpy"]
    np.random.set_state((kind, words.numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(rng["torch"])
    trainer.loaders.order.set_state(rng["order"])
    if rng["cuda"] and torch.cuda.is_available() and len(rng["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(rng["cuda"])


def _pack(trainer: Trainer) -> dict[str, Any]:
    import torch

    version, words, gauss = random.getstate()
    kind, np_words, position, has_gauss, np_gauss = np.random.get_state()
    np_state = torch.from_numpy(np.asarray(np_words, dtype=np.int64))
    return {
        "settings": trainer.settings.plain(),
        "model": trainer.model.state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "ema_updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "stopper": {name: getattr(trainer.stopper, name) for name in _STOPPER},
        **{name: getattr(trainer, name) for name in _PLAIN},
        "rng": {
            "python": (version, list(words), gauss),
            "torch": torch.get_rng_state(),
            "numpy": (kind, np_state, int(position), int(has_gauss), float(np_gauss)),
            "order": trainer.loaders.order.get_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        },
    }


def _fits(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    return match is not None and sha256(path).startswith(match[2])


def _files(folder: Path) -> list[Path]:
    """Resume files of a folder, most epochs first; none for a folder that cannot be listed."""
    try:
        found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: (epochs_in(path), path.name), reverse=True)


class _Hashing:
    """A file opened for writing that hashes what passes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def interrupted_run(*folders: str | os.PathLike) -> Path | None:
    """The run folder (or mirror of one) below these that was saved last, unfinished; or None."""
    found = [
        latest
        for folder in folders
        for resume in Path(folder).glob("**/resume")
        if (latest := newest(resume)) is not None
    ]
    saved_last = max(found, key=os.path.getmtime, default=None)
    return None if saved_last is None else saved_last.parent.parent
