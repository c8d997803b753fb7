"""Curves while a training runs: TensorBoard, and by name Weights & Biases or MLflow; each takes a row of results."""

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from livestock_utils.errors import TrainingError
from livestock_utils.training_settings import Settings

log = logging.getLogger(__name__)


class Logger(Protocol):
    """What a training needs of a logger."""

    def log(self, row: dict[str, float]) -> None:
        """Take one epoch's row of results."""

    def close(self) -> None:
        """Write what is left."""


def opened(settings: Settings, folder: Path, epoch: int) -> list[Logger]:
    """The loggers that the settings name, going on at `epoch`; raises TrainingError for one that is not installed."""
    known: dict[str, Callable[[Settings, Path, int], Logger]] = {
        "tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MlFlow}
    return [known[name](settings, folder, epoch) for name in settings.loggers]


class TensorBoard:
    """Event files in <run>/tensorboard; a resumed run hides the epochs that it repeats."""

    def __init__(self, settings: Settings, folder: Path, epoch: int) -> None:
        """Open the writer; `epoch` is the first that will be logged."""
        _imported("tensorboard")
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


class WeightsAndBiases:
    """A run in the project "livestock" of the account that wandb is logged in to."""

    def __init__(self, settings: Settings, folder: Path, epoch: int) -> None:
        """Start or continue the run named as the folder; raises TrainingError without an account."""
        wandb = _imported("wandb")
        if not (wandb.api.api_key or wandb.setup().settings.mode in ("offline", "disabled")):
            raise TrainingError("logger 'wandb' needs an account: run wandb.login() first, or leave it out of loggers")
        self.run = wandb.init(project="livestock", name=folder.name, id=f"{folder.name}-{settings.data[:8]}",
                              resume="allow", dir=str(folder), config=settings.recorded())

    def log(self, row: dict[str, float]) -> None:
        """One step an epoch."""
        self.run.log(row, step=int(row["epoch"]))

    def close(self) -> None:
        """Finish the upload."""
        self.run.finish()


class MlFlow:
    """A run in MLflow's experiment "livestock", wherever MLFLOW_TRACKING_URI points."""

    def __init__(self, settings: Settings, folder: Path, epoch: int) -> None:
        """Continue the folder's run if it has one, else start it."""
        self.mlflow = _imported("mlflow")
        self.mlflow.set_experiment("livestock")
        note = folder / "mlflow_run_id.txt"
        run_id = note.read_text(encoding="utf-8").strip() if note.is_file() else None
        run = self.mlflow.start_run(run_id=run_id, run_name=None if run_id else folder.name)
        if run_id is None:
            note.write_text(run.info.run_id, encoding="utf-8")
            self.mlflow.log_params({name: str(value)[:500] for name, value in settings.recorded().items()})

    def log(self, row: dict[str, float]) -> None:
        """One metric a column, by epoch; MLflow allows no colon in names."""
        metrics = {name.replace(":", "-"): value for name, value in row.items() if name != "epoch"}
        self.mlflow.log_metrics(metrics, step=int(row["epoch"]))

    def close(self) -> None:
        """End the run."""
        self.mlflow.end_run()


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TrainingError(f"logger {name!r} is not installed; run python -m livestock_utils.install --extras "
                            "tracking, or leave it out") from error
