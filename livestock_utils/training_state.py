"""The resume file of a training: everything in full precision, whole or absent, the newest valid one of two places.

A file is named `resume-e0007-<SHA-256, 16 digits>.pt`: the epochs that are done, and a digest of its bytes, so a file
that was cut, damaged or half copied does not fit its name.
"""

import hashlib
import logging
import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from livestock_utils.errors import TrainingError
from livestock_utils.files import sha256, whole_file
from livestock_utils.training_loop import Trainer
from livestock_utils.training_settings import differences

log = logging.getLogger(__name__)

KEPT = 2
"""How many resume files stay in a folder."""
_NAME = re.compile(r"resume-e(\d{4,})-([0-9a-f]{16})\.pt")


def save(trainer: Trainer, folder: Path) -> Path:
    """Write the trainer's state into `folder`, drop all but the last KEPT files; returns the path of the new one.

    Raises TrainingError when the disk is full or the folder is not writable; earlier files stay as they were.
    """
    import torch

    staged = folder / "resume.new"
    try:
        with whole_file(staged) as file:
            hashing = _Hashing(file)
            torch.save(_pack(trainer), cast(IO[bytes], hashing))
        path = folder / f"resume-e{trainer.epoch:04d}-{hashing.digest.hexdigest()[:16]}.pt"
        os.replace(staged, path)
    except OSError as error:
        raise TrainingError(f"could not save epoch {trainer.epoch} in {folder} ({error.strerror or error}); make room "
                            f"there and start the same training again, it goes on after epoch {trainer.epoch - 1}"
                            ) from error
    prune(folder)
    return path


def prune(folder: Path, kept: int = KEPT) -> None:
    """Delete all but the `kept` newest resume files of a folder."""
    for path in _files(folder)[kept:]:
        path.unlink(missing_ok=True)


def newest(*folders: Path) -> Path | None:
    """The valid resume file with the most epochs in these folders (the first folder wins a tie), or None.

    Files whose bytes do not fit their name are passed over with a warning.
    """
    candidates = [(epochs_in(path), -place, path) for place, folder in enumerate(folders) for path in _files(folder)]
    for _, _, path in sorted(candidates, key=lambda row: row[:2], reverse=True):
        if is_valid(path):
            return path
        log.warning("%s is damaged (its bytes do not fit its name) and is passed over", path)
    return None


def is_valid(path: Path) -> bool:
    """True if the file is there and its bytes have the digest in its name."""
    match = _NAME.fullmatch(path.name)
    try:
        return match is not None and sha256(path).startswith(match[2])
    except OSError:
        return False


def epochs_in(path: Path) -> int:
    """How many epochs are done in a resume file, by its name."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def read(path: Path) -> dict[str, Any]:
    """The content of a resume file: plain values and tensors only (`weights_only`), on the CPU."""
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def check_same(state: Mapping[str, Any], settings: Mapping[str, Any], where: Path) -> None:
    """Raise TrainingError with the differences unless a state was made with these recorded settings."""
    if changed := differences(state["settings"], settings):
        raise TrainingError(f"{where} was started with other settings ({'; '.join(changed[:6])}); "
                            "restore them to go on, or name another run folder")


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
    for name in ("epoch", "last_step", "best_value", "best_epoch", "best_weights", "rows", "stopped"):
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
    return {
        "settings": trainer.settings.recorded(), "model": trainer.model.state_dict(),
        "ema": trainer.ema.ema.state_dict(), "ema_updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "stopper": {name: vars(trainer.stopper)[name] for name in ("best_fitness", "best_epoch", "possible_stop")},
        **{name: getattr(trainer, name) for name in ("epoch", "last_step", "best_value", "best_epoch", "best_weights",
                                                      "rows", "stopped")},
        "rng": {"python": (version, list(words), gauss), "torch": torch.get_rng_state(),
                "numpy": (kind, torch.from_numpy(np.asarray(np_words, dtype=np.int64)), int(position), int(has_gauss),
                          float(np_gauss)),
                "order": trainer.loaders.order.get_state(),
                "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}}


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
