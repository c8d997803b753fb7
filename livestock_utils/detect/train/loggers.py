"""Curves while a training runs: TensorBoard, by name Weights & Biases or MLflow."""

import contextlib
import importlib
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from livestock_utils.core import files
from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.settings import Recorded

log = logging.getLogger(__name__)


class _Logger(Protocol):
    """What a training needs of a logger."""

    def log(self, row: dict[str, float]) -> None:
        """Take one epoch's row of results."""

    def close(self) -> None:
        """Write what is left."""


def check(names: Sequence[str]) -> None:
    """Before a long training: TrainingError for a logger that is missing or locked."""
    for name in names:
        module = _imported(name)
        if name == "wandb":
            _check_account(module)


def opened(
    settings: Recorded, folder: Path, epoch: int, note: Callable[[str], None]
) -> list[_Logger]:
    """The loggers that the settings name, going on at `epoch`; none of them stops a training.

    What a logger cannot do is given to `note` once, and the training goes on; raises TrainingError
    as `check` does.
    """
    check(settings.loggers)
    return [_Careful(name, settings, folder, epoch, note) for name in settings.loggers]


class _Careful:
    """A logger whose errors are told once: a lost connection must not cost a training its night."""

    def __init__(
        self, name: str, settings: Recorded, folder: Path, epoch: int, note: Callable[[str], None]
    ) -> None:
        self.name, self.note, self.told = name, note, False
        self.logger: _Logger | None = None
        kinds: dict[str, Callable[[Recorded, Path, int], _Logger]]
        kinds = {"tensorboard": _TensorBoard, "wandb": _WeightsAndBiases, "mlflow": _MlFlow}
        with self._told():
            self.logger = kinds[name](settings, folder, epoch)

    def log(self, row: dict[str, float]) -> None:
        with self._told():
            if self.logger is not None:
                self.logger.log(row)

    def close(self) -> None:
        with self._told():
            if self.logger is not None:
                self.logger.close()

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


class _TensorBoard:
    """Event files in <run>/tensorboard; a resumed run hides the epochs that it repeats."""

    def __init__(self, settings: Recorded, folder: Path, epoch: int) -> None:
        """Open the writer; `epoch` is the first that will be logged."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=epoch)

    def log(self, row: dict[str, float]) -> None:
        """One scalar a column."""
        for name, value in row.items():
            if name != "epoch":
                self.writer.add_scalar(name, value, int(row["epoch"]))
        self.writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()


class _WeightsAndBiases:
    """A run in the project "livestock" of wandb's account; wandb_run_id.txt knows it."""

    def __init__(self, settings: Recorded, folder: Path, epoch: int) -> None:
        """Start the folder's run, or continue it."""
        wandb = _imported("wandb")
        run_id = _known_id(folder, "wandb") or uuid.uuid4().hex[:16]  # whatever the folder's name
        place = {"project": "livestock", "name": folder.name, "dir": str(folder)}
        self.run = wandb.init(id=run_id, resume="allow", config=settings.plain(), **place)
        files.write_text(_id_file(folder, "wandb"), run_id)

    def log(self, row: dict[str, float]) -> None:
        """One step an epoch."""
        self.run.log(row, step=int(row["epoch"]))

    def close(self) -> None:
        """Finish the upload."""
        self.run.finish()


class _MlFlow:
    """A run in MLflow's experiment "livestock", wherever MLFLOW_TRACKING_URI points."""

    def __init__(self, settings: Recorded, folder: Path, epoch: int) -> None:
        """Continue the folder's run if it has one, else start it."""
        self.mlflow = _imported("mlflow")
        self.mlflow.set_experiment("livestock")
        run_id = _known_id(folder, "mlflow")
        run = self.mlflow.start_run(run_id=run_id, run_name=None if run_id else folder.name)
        if run_id is None:
            files.write_text(_id_file(folder, "mlflow"), run.info.run_id)
            texts = {name: str(value)[:500] for name, value in settings.plain().items()}
            self.mlflow.log_params(texts)

    def log(self, row: dict[str, float]) -> None:
        """One metric a column, by epoch; MLflow allows no colon in names."""
        metrics = {name.replace(":", "-"): value for name, value in row.items() if name != "epoch"}
        self.mlflow.log_metrics(metrics, step=int(row["epoch"]))

    def close(self) -> None:
        """End the run."""
        self.mlflow.end_run()


def _check_account(wandb: Any) -> None:
    if not (wandb.api.api_key or wandb.setup().settings.mode in ("offline", "disabled")):
        raise TrainingError(
            "logger 'wandb' needs an account: run wandb.login() first, or leave it out of loggers"
        )


def _id_file(folder: Path, name: str) -> Path:
    return folder / f"{name}_run_id.txt"


def _known_id(folder: Path, name: str) -> str | None:
    note = _id_file(folder, name)
    return note.read_text(encoding="utf-8").strip() or None if note.is_file() else None


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TrainingError(
            f"logger {name!r} is not installed; run python -m livestock_utils.install --extras "
            "tracking, or leave it out"
        ) from error
