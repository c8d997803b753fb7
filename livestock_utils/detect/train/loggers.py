"""Curves while a training runs: TensorBoard, by name Weights & Biases or MLflow."""

import contextlib
import importlib
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from livestock_utils.core import files
from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.settings import Recorded

log = logging.getLogger(__name__)

_Opened = tuple[Callable[[dict[str, float]], None], Callable[[], Any]]
"""What takes one epoch's row of results, and what writes the rest at the end."""


def check(names: Sequence[str]) -> None:
    """Before a long training: TrainingError for a logger that is missing or locked."""
    for name in names:
        try:
            module: Any = importlib.import_module(name)
        except ImportError as error:
            raise TrainingError(
                f"logger {name!r} is not installed; run python -m livestock_utils.install "
                "--extras tracking, or leave it out"
            ) from error
        if name == "wandb" and not (
            module.api.api_key or module.setup().settings.mode in ("offline", "disabled")
        ):
            raise TrainingError(
                "logger 'wandb' needs an account: run wandb.login() first, or leave it out of "
                "loggers"
            )


def opened(
    settings: Recorded, folder: Path, epoch: int, note: Callable[[str], None]
) -> list["_Careful"]:
    """The loggers that the settings name, going on at `epoch`; TrainingError as of `check`."""
    check(settings.loggers)
    return [_Careful(name, settings, folder, epoch, note) for name in settings.loggers]


class _Careful:
    """A logger whose errors are told once: a lost connection must not cost a training its night."""

    def __init__(
        self, name: str, settings: Recorded, folder: Path, epoch: int, note: Callable[[str], None]
    ) -> None:
        self.name, self.note, self.told = name, note, False
        self.logger: _Opened = (lambda row: None), (lambda: None)  # where it cannot be opened
        with self._told():
            self.logger = _KINDS[name](settings, folder, epoch)

    def log(self, row: dict[str, float]) -> None:
        with self._told():
            self.logger[0](row)

    def close(self) -> None:
        with self._told():
            self.logger[1]()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            log.debug("logger %s", self.name, exc_info=True)  # a tracker may raise anything
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if not self.told:
                self.note(
                    f"logger {self.name} failed ({reason}); the training goes on, results.csv has "
                    "every epoch"
                )
            self.told = True


def _tensorboard(_: Recorded, folder: Path, epoch: int) -> _Opened:
    """Event files in <run>/tensorboard; a resumed run hides the epochs that it repeats."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"), purge_step=epoch)

    def write(row: dict[str, float]) -> None:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(row["epoch"]))
        writer.flush()

    return write, writer.close


def _weights_and_biases(settings: Recorded, folder: Path, _: int) -> _Opened:
    """A run in the project "livestock" of wandb's account; wandb_run_id.txt knows it."""
    note = folder / "wandb_run_id.txt"
    run_id = _known_id(note) or uuid.uuid4().hex[:16]  # whatever the folder's name
    place = {"project": "livestock", "name": folder.name, "dir": str(folder)}
    wandb: Any = importlib.import_module("wandb")
    run = wandb.init(id=run_id, resume="allow", config=settings.plain(), **place)
    files.write_text(note, run_id)
    return lambda row: run.log(row, step=int(row["epoch"])), run.finish


def _mlflow(settings: Recorded, folder: Path, _: int) -> _Opened:
    """A run in MLflow's experiment "livestock", wherever MLFLOW_TRACKING_URI points."""
    mlflow: Any = importlib.import_module("mlflow")
    mlflow.set_experiment("livestock")
    note = folder / "mlflow_run_id.txt"
    run_id = _known_id(note)
    run = mlflow.start_run(run_id=run_id, run_name=None if run_id else folder.name)
    if run_id is None:
        files.write_text(note, run.info.run_id)
        mlflow.log_params({name: str(value)[:500] for name, value in settings.plain().items()})

    def write(row: dict[str, float]) -> None:
        # MLflow allows no colon in names.
        values = {name.replace(":", "-"): value for name, value in row.items() if name != "epoch"}
        mlflow.log_metrics(values, step=int(row["epoch"]))

    return write, mlflow.end_run


_KINDS = {"tensorboard": _tensorboard, "wandb": _weights_and_biases, "mlflow": _mlflow}


def _known_id(note: Path) -> str | None:
    return note.read_text(encoding="utf-8").strip() or None if note.is_file() else None
