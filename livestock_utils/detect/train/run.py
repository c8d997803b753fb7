"""Train and evaluate: one call that starts, continues or returns a run.

A run folder holds settings.yaml, hyp.yaml, run.json (state, versions, warnings), train_images.txt
(ids of the photos it trains on), results.csv, per_class.csv, weights/best.pt and last.pt (yolov5's
own fp16 form), curves, mosaics, and until it has finished a full-precision resume file.
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import colab
from livestock_utils.core.errors import CheckpointError, TrainingError
from livestock_utils.core.files import sha256
from livestock_utils.core.reading import read_csv
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.settings import Recorded, TrainSettings, read_hyp
from livestock_utils.detect.train import cache as image_cache
from livestock_utils.detect.train import (
    distill,
    open_labels,
    parallel,
    planner,
    recipes,
    records,
    start,
)
from livestock_utils.detect.train import folder as run_folder
from livestock_utils.detect.train import loggers as training_loggers
from livestock_utils.detect.train.data import (
    Loaders,
    Source,
    data_folder,
    dataset_class,
    list_files,
    read_data,
    read_part,
)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Run:
    """A training's folder, read from disk on each access; `lu.train` gives it.

        run = lu.Run("runs/first")
        run.results["metrics/mAP_0.75"].max(), run.best

    Args:
        folder: the run folder.
        status: what the call of `train` did, one sentence: started, continued after which epoch,
            or nothing.

    Raises:
        TrainingError: on access, for a damaged run.json.
    """

    folder: Path
    status: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        """Take the folder as text too."""
        object.__setattr__(self, "folder", Path(self.folder))

    @property
    def best(self) -> Path:
        """Weights of the best epoch by `best_metric`."""
        return self.folder / "weights" / "best.pt"

    @property
    def last(self) -> Path:
        """Weights of the last epoch, written when the run finishes."""
        return self.folder / "weights" / "last.pt"

    @property
    def results(self) -> pd.DataFrame:
        """A row per epoch: losses, metrics, learning rates, seconds (results.csv)."""
        return read_csv(self.folder / "results.csv", TrainingError)

    @property
    def per_class(self) -> pd.DataFrame:
        """The best weights on the validation part, by class: see `evaluate`."""
        return read_csv(self.folder / "per_class.csv", TrainingError, index_col="class")

    @property
    def record(self) -> dict[str, Any]:
        """run.json: finished, epochs, best_epoch, weights_bytes, warnings, versions."""
        return records.read_record(self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """For metrics.json: epochs, best_epoch (from 1), weights_mb, warnings."""
        return {
            "epochs": len(self.results),
            "best_epoch": self.record["best_epoch"] + 1,
            "weights_mb": self.best.stat().st_size / 1e6,
            "warnings": self.warnings,
        }

    @property
    def best_metric(self) -> str:
        """What the best epoch was chosen by, of `settings.METRICS`."""
        return records.read_settings(self.folder).get("best_metric", "ap75")

    @property
    def finished(self) -> bool:
        """True when all epochs are done (or patience ran out) and the final weights are written."""
        return bool(self.record.get("finished"))

    @property
    def warnings(self) -> list[str]:
        """What was counted or could not be done on the way, one line each."""
        return list(self.record.get("warnings", []))


def train(
    train: Source,
    valid: Source | None,
    folder: str | os.PathLike,
    settings: TrainSettings = TrainSettings(),
    *,
    teacher: pd.DataFrame | str | os.PathLike | None = None,
    mirror: str | os.PathLike | None = None,
    tags: Mapping[str, Any] | None = None,
    on_epoch: Callable[[int, dict[str, float]], bool | None] | None = None,
    trust: bool = False,
    final_evaluation: bool = True,
    draw: Callable[[Path, pd.DataFrame, str], None] | None = None,
    twin: Path | None = None,
) -> Run:
    """Train a detector; see `show.training.train` (`lu.train`), which adds the curves by `draw`.
    draw(run folder, results, column that best.pt was chosen by): called when the run finishes.
    twin: a run folder that is copied in place of training where it is the same training, done."""
    if isinstance(folder, colab.RunFolder):
        mirror = mirror or folder.mirror
    folder = Path(folder)
    before, has_finished = records.known(folder, mirror)
    start_from = None
    if settings.init_weights is not None:
        # What a finished run started from may be gone.
        with contextlib.suppress(*(CheckpointError,) if has_finished else ()):
            start_from = checkpoints.find_weights(settings.init_weights, checkpoints.DOWNLOADS)
    data = read_data(train, valid, data_folder(folder))
    where = str(train) if valid is None else "the data"
    checkpoints.check_class_names(data.names, where, advice="give data with these classes")
    if teacher is not None:
        data = distill.with_teacher(data, teacher)
        if settings.negatives == "masked":
            open_labels.check_masks(data)
    elif settings.negatives in ("masked", "soft"):
        raise TrainingError(
            f"negatives {settings.negatives!r} needs a teacher: predictions on the training "
            "photos, whose boxes nobody knows"
        )
    from livestock_utils.detect.train import augment

    pipeline = augment.read(settings.augmentation)
    if not has_finished:
        augment.try_out(pipeline, data.train, settings.image_size)
    own_weights = before.get("init_weights") if settings.init_weights is not None else None
    asked, decided = recipes.resolved(settings, before, data, start_from, trust)
    recorded = Recorded(
        **{
            **asked,
            "hyp": read_hyp(asked["hyp"]),
            "batch_size": _batch_size(settings, before, len(data.names)),
            "augmentation": augment.recorded(pipeline),
            "teacher_weight": None if teacher is None else settings.teacher_weight,
            "init_weights": own_weights if start_from is None else sha256(start_from),
            "memory_format": recipes.memory_format(before, asked["recipe"]),
        },
        classes=data.names,
        data=data.sha256,
    )
    mine = parallel.ranks()
    is_new = mine.leads and not (before or folder.exists())
    is_twin = is_new and twin is not None and records.copy_same(twin, folder, recorded, tags)
    with (
        parallel.joined(mine, recorded.batch_size, recorded.device) as own_device,
        run_folder.opened(folder, recorded, data, mirror, tags, decided)
        if mine.leads
        else contextlib.nullcontext() as run,
    ):
        if parallel.from_leader(run is not None and run.finished, mine):
            status = run.status if run is not None else ""
            if twin is not None and is_twin:
                status = f"The same training as {twin.name}: taken from there."
            log.info("%s: %s", folder, status)
            return Run(folder, status)
        from livestock_utils.detect.train import loop, state

        parts = [(data.train, True), (data.valid, False)]
        wanted = [(part.files, part.sizes_px, augmented) for part, augmented in parts]
        room = image_cache.chosen(recorded.cache, wanted, recorded.image_size, mine.world)
        cache, why = parallel.from_leader(room, mine)
        if run is not None:
            training_loggers.check(recorded.loggers)
            if why:
                run.note(why)
        with yolov5.yolov5(trust=trust) as y5, torch_settings():
            trainer = loop.start(
                y5,
                dataclasses.replace(recorded, device=own_device, cache=cache),
                data,
                lambda: start.starting_model(y5, recorded, start_from, trust),
                augment.for_loader(pipeline),
                anchors_given="anchors" in recorded.hyp,
                mine=mine,
            )
            path = parallel.from_leader(run.restore(trainer) if run is not None else None, mine)
            if path is not None and run is None:  # continue where the run stopped, in each process
                state.restore(trainer, state.read(path))
                loop.set_seeds(trainer.settings.seed + 1 + mine.rank + 1000 * trainer.epoch)
            for row in loop.epochs(trainer):
                if run is None:
                    continue
                run.save(trainer)
                if on_epoch is not None and on_epoch(int(row["epoch"]), dict(row)):
                    run.end(trainer)
            if run is not None:
                run.finish(trainer, final_evaluation, draw)
            parallel.from_leader(None, mine)  # the others wait until everything is written
    return Run(folder, run.status if run is not None else "")


def evaluate(
    weights: str | os.PathLike,
    data: Source,
    *,
    image_size: int = 640,
    batch_size: int = 16,
    device: str | None = None,
) -> pd.DataFrame:
    """Metrics of a weights file on photos or a data.yaml's validation part; index "all", classes.
    Columns images, labels, P, R, mAP50, mAP75, mAP50-95 by yolov5's definitions (101-point AP, 300
    detections an image), mAP75_contest by the contest's; `attrs["predictions"]` is their table."""
    import torch

    names, files = list_files(data, place=Path(weights).with_suffix(""))
    model = checkpoints.load(weights, device=device, check_names=False)
    checkpoints.check_class_names(list(model.names.values()), where=str(weights), expected=names)
    model = model.to(memory_format=torch.channels_last)
    with yolov5.yolov5() as y5, torch.inference_mode():
        read = read_part(files["valid" if "valid" in files else "train"], len(names))
        stride, plain = int(model.stride.max()), yolov5.keep_as_it_is
        dataset = dataset_class(y5.dataloaders.LoadImagesAndLabels)
        images = dataset(read, image_size, 2 * batch_size, {}, stride, False, plain, None)
        device_used = next(model.parameters()).device
        loader = Loaders(y5, images, images, batch_size, 0, 0, device_used).valid
        return run_folder.evaluation(y5, model, loader, names)


def _batch_size(settings: TrainSettings, before: Mapping[str, Any], n_classes: int) -> int:
    """For "auto" what the run was started with, else what fits, see `planner.fitting_batch`."""
    if settings.batch_size != "auto":
        return int(settings.batch_size)
    if "batch_size" in before:
        return int(before["batch_size"])
    return planner.fitting_batch(settings.model, settings.image_size, n_classes)


@contextlib.contextmanager
def torch_settings() -> Iterator[None]:
    """Give back torch's switches for deterministic algorithms after a training."""
    import torch

    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
    )
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic = before[2]
