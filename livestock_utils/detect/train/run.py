"""Train and evaluate: one call that starts, continues or returns a run, and leaves a folder that
tells all about it.

A run folder holds settings.yaml, hyp.yaml, run.json (state, versions, warnings), train_images.txt
(ids of the photos it trains on), results.csv, per_class.csv, weights/best.pt and last.pt (yolov5's
own fp16 form), curves, mosaics, and until it has finished a full-precision resume file.
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from livestock_utils.core import species
from livestock_utils.core.errors import CheckpointError, TrainingError
from livestock_utils.core.files import sha256
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.settings import Settings, logger_names, read_hyp
from livestock_utils.detect.train import cache as image_cache
from livestock_utils.detect.train import distill, parallel, planner, records
from livestock_utils.detect.train import folder as run_files
from livestock_utils.detect.train import loggers as training_loggers
from livestock_utils.detect.train.data import (
    Loaders,
    dataset_class,
    read_data,
    read_listed,
    read_part,
)

log = logging.getLogger(__name__)

TRANSFER_SHARE = 0.9
"""At least this share of the tensors before the head must fit for `init_weights` to be of the same
model."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A training's folder, read from disk on each access."""

    folder: Path
    status: str = dataclasses.field(default="", compare=False)
    """What the call of `train` that gave this did, one sentence: started, continued after which
    epoch, or nothing."""

    @property
    def best(self) -> Path:
        """Weights of the best epoch by `best_metric`."""
        return self.folder / "weights" / "best.pt"

    @property
    def last(self) -> Path:
        """Weights of the last epoch, written when the run finishes (until then the resume file has
        them)."""
        return self.folder / "weights" / "last.pt"

    @property
    def results(self) -> pd.DataFrame:
        """One row an epoch: losses, metrics, learning rates, seconds (results.csv, yolov5's column
        names)."""
        return pd.read_csv(self.folder / "results.csv")

    @property
    def per_class(self) -> pd.DataFrame:
        """The best weights on the validation part, by class: see `evaluate`."""
        return pd.read_csv(self.folder / "per_class.csv", index_col="class")

    @property
    def record(self) -> dict[str, Any]:
        """run.json: finished, epochs, best_epoch, weights_bytes, warnings, versions."""
        return records.read_record(self.folder)

    @property
    def finished(self) -> bool:
        """True when all epochs are done (or patience ran out) and the final weights are written."""
        return bool(self.record.get("finished"))

    @property
    def warnings(self) -> list[str]:
        """What was counted or could not be done on the way, one line each."""
        return list(self.record.get("warnings", []))


def train(
    data_yaml: str | os.PathLike,
    run_folder: str | os.PathLike,
    *,
    model: str = "yolov5n",
    init_weights: str | os.PathLike | None = None,
    hyp: str | os.PathLike | Mapping[str, Any] | None = None,
    epochs: int = 10,
    image_size: int = 640,
    batch_size: int | str = 16,
    optimizer: str = "SGD",
    schedule: str = "linear",
    freeze: int = 0,
    seed: int = 0,
    workers: int = 0,
    cache: str | None = "ram",
    augmentation: str | os.PathLike | Mapping[str, Any] | None = None,
    patience: int = 100,
    best_metric: str = "ap75",
    warmup_min_iterations: int = 100,
    nominal_batch: int = 64,
    autoanchor: bool = True,
    amp: bool = True,
    teacher: pd.DataFrame | str | os.PathLike | None = None,
    teacher_weight: float = 1.0,
    mirror: str | os.PathLike | None = None,
    device: str | None = None,
    trust: bool = False,
    on_epoch: Callable[[int, dict[str, float]], bool | None] | None = None,
    loggers: str | Sequence[str] = ("tensorboard",),
    final_evaluation: bool = True,
) -> Run:
    """Train a detector, or continue the same training where it stopped, or return it if it has
    finished.

    data_yaml: yolov5's data.yaml, see `dataset.write_data_yaml`; its names must be the project's
    species in order. model: "yolov5n", s, m, l, x, or with a 6 their P6 form. init_weights: a .pt
    to start from (tensors that fit are taken, the head of other classes is not), None for random
    weights. hyp: see `training_settings.read_hyp`. epochs, image_size (px, square, a multiple of
    32, of 64 for P6), batch_size ("auto": what fits the GPU). nominal_batch: gradients accumulate
    to about this many images before a step, yolov5's 64 by default; lower it where an epoch has few
    images. optimizer: "SGD", "Adam", "AdamW". schedule: "linear", "cosine", or their "-v6.0"
    meaning. freeze: number of first layers that stay as they are (10 is the backbone). cache: "ram"
    or "disk" keep decoded images at the training size, where there is room (see
    `image_cache.chosen`); None or "none" decodes anew. augmentation: see `augment.read`. patience:
    epochs without a better best_metric ("ap75", "map50", "map50-95", "fitness") before it stops; 0
    is never. warmup_min_iterations: yolov5 warms up for at least 100 iterations whatever hyp says;
    lower it for tiny runs. teacher: predictions of another model on the training images, learnt
    from with teacher_weight (see `distill`). mirror: a second folder that gets a checked copy after
    each epoch, and from which another machine goes on; one machine at a time, see `training_lock`.
    trust: see `checkpoints.load_checkpoint`. on_epoch(epoch, row of results): called when an epoch
    is saved; returning True ends the training as finished. loggers: of "tensorboard", "wandb",
    "mlflow", in a list or as "tensorboard,wandb". final_evaluation: False leaves out the pass over
    the best weights.

    Everything that yolov5 only logs is an error, or a line of `Run.warnings`. Raises TrainingError
    for settings that cannot be, changed settings of an interrupted or finished run (with the
    differences; of the data set see `training_data.Data`), a run folder or mirror that another
    process trains, damaged records, a loss that is no number and a full disk; DatasetError for the
    data; CheckpointError for the weights.
    """
    folder = Path(run_folder)
    recorded, has_finished = records.known(folder, mirror)
    start_from = None
    if init_weights is not None:
        with contextlib.suppress(
            *(CheckpointError,) if has_finished else ()
        ):  # what it started from may be gone
            start_from = checkpoints.find_weights(init_weights, checkpoints.DOWNLOADS)
    data = read_data(data_yaml)
    checkpoints.check_class_names(data.names, where=str(data_yaml), expected=species.names())
    if teacher is not None:
        data = distill.with_teacher(data, teacher)
    from livestock_utils.detect.train import augment

    pipeline = augment.read(augmentation)
    settings = Settings(
        model=model,
        hyp=read_hyp(hyp),
        epochs=epochs,
        image_size=image_size,
        batch_size=_batch_size(batch_size, recorded, model, image_size, len(data.names)),
        optimizer=optimizer,
        schedule=schedule,
        freeze=freeze,
        seed=seed,
        workers=workers,
        cache=None if cache == "none" else cache,
        augmentation=augment.recorded(pipeline),
        patience=patience,
        best_metric=best_metric,
        warmup_min_iterations=warmup_min_iterations,
        nominal_batch=nominal_batch,
        autoanchor=autoanchor,
        amp=amp,
        loggers=logger_names(loggers),
        device=device,
        classes=data.names,
        data=data.sha256,
        teacher_weight=None if teacher is None else teacher_weight,
        init_weights=recorded.get("init_weights")
        if start_from is None and init_weights is not None
        else None
        if start_from is None
        else sha256(start_from),
    )
    mine = parallel.ranks()
    with (
        parallel.joined(mine, settings.batch_size, device) as own_device,
        run_files.opened(folder, settings, data, mirror)
        if mine.leads
        else contextlib.nullcontext() as run,
    ):
        if parallel.from_leader(run is not None and run.finished, mine):
            status = run.status if run is not None else ""
            log.info("%s: %s", folder, status)
            return Run(folder, status)
        from livestock_utils.detect.train import loop

        wanted = [
            (data.train.files, data.train.sizes_px, True),
            (data.valid.files, data.valid.sizes_px, False),
        ]
        room = image_cache.chosen(settings.cache, wanted, image_size, mine.world)
        cache, told = parallel.from_leader(room, mine)
        if run is not None:
            training_loggers.check(settings.loggers)
            if told:
                run.note(told)
        with yolov5.yolov5(trust=trust) as y5, _torch_settings():
            trainer = loop.start(
                y5,
                dataclasses.replace(settings, device=own_device, cache=cache),
                data,
                lambda: _model(y5, settings, start_from, trust),
                augment.for_loader(pipeline),
                anchors_given="anchors" in settings.hyp,
                mine=mine,
            )
            _restore(trainer, run, mine)
            for row in loop.epochs(trainer):
                if run is None:
                    continue
                run.save(trainer)
                if on_epoch is not None and on_epoch(int(row["epoch"]), dict(row)):
                    run.end(trainer)
            if run is not None:
                run.finish(trainer, final_evaluation)
            parallel.from_leader(None, mine)  # the others wait until everything is written
    return Run(folder, run.status if run is not None else "")


def _restore(trainer: Any, run: run_files.RunFolder | None, mine: parallel.Ranks) -> None:
    """Continue where the run stopped, in every process; those that do not lead draw new random
    numbers."""
    from livestock_utils.detect.train import loop, state

    path = parallel.from_leader(run.restore(trainer) if run is not None else None, mine)
    if path is not None and run is None:
        state.restore(trainer, state.read(path))
        loop.set_seeds(trainer.settings.seed + 1 + mine.rank + 1000 * trainer.epoch)


def evaluate(
    weights: str | os.PathLike,
    data_yaml: str | os.PathLike,
    *,
    image_size: int = 640,
    batch_size: int = 16,
    part: str = "valid",
    confidence_threshold: float = 0.001,
    iou_threshold: float = 0.6,
    workers: int = 0,
    device: str | None = None,
    trust: bool = False,
    plots: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Metrics of a weights file on the "valid" or "train" part of a data.yaml, index "all" and the
    classes.

    Columns images, labels, P, R, mAP50, mAP75, mAP50-95 by yolov5's definitions (101-point AP, 300
    detections an image), and mAP75_contest by the contest's (all-points AP). `plots` is a folder
    for curves, confusion matrix and mosaics. `attrs["predictions"]` is the table of predictions.
    """
    import torch

    if part not in ("train", "valid"):
        raise TrainingError(f"part must be 'train' or 'valid', got {part!r}")
    names, files = read_listed(data_yaml)
    model = checkpoints.load_model(weights, device=device, trust=trust, check_names=False)
    checkpoints.check_class_names(list(model.names.values()), where=str(weights), expected=names)
    with yolov5.yolov5(trust=trust) as y5, torch.inference_mode():
        images = dataset_class(y5.dataloaders.LoadImagesAndLabels)(
            read_part(files[part], len(names)),
            image_size,
            2 * batch_size,
            hyp={},
            stride=int(model.stride.max()),
            augment=False,
            augmentation=yolov5.keep_as_it_is,
            cache=None,
        )
        loader = Loaders(
            y5, images, images, batch_size, 0, workers, next(model.parameters()).device
        ).valid
        return run_files.evaluation(
            y5,
            model,
            loader,
            names,
            confidence_threshold,
            iou_threshold,
            None if plots is None else Path(plots),
        )


def _batch_size(
    asked: int | str, recorded: Mapping[str, Any], model: str, image_size: int, n_classes: int
) -> int:
    """`asked`, or for "auto" what the run was started with, else what fits, see
    `planner.fitting_batch`."""
    if asked != "auto":
        return asked  # type: ignore[return-value]  # Settings tells what is no whole number
    if "batch_size" in recorded:
        return int(recorded["batch_size"])
    return planner.fitting_batch(model, image_size, n_classes)


def _model(y5: yolov5.Yolov5, settings: Settings, init_weights: Path | None, trust: bool) -> Any:
    """A model of the asked architecture, with the tensors of `init_weights` that fit; runs after
    the seeds are set."""
    architecture = yaml.safe_load(
        Path(y5.model_file(settings.model)).read_text(encoding="ascii", errors="ignore")
    )
    weights = None if init_weights is None else checkpoints.read_weights(init_weights, trust=trust)
    if (
        weights is not None
        and "lighter" in weights.architecture
        and weights.names == settings.classes
    ):
        return checkpoints.build(
            weights
        )  # pruned or decomposed: its own shapes, not the architecture's
    model = y5.yolo.Model(
        architecture, ch=3, nc=len(settings.classes), anchors=settings.hyp.get("anchors")
    )
    if weights is None:
        return model
    own = model.state_dict()
    head = f"model.{len(model.model) - 1}."
    fitting = {
        name: tensor
        for name, tensor in weights.state.items()
        if name in own
        and tensor.shape == own[name].shape
        and not ("anchor" in name and "anchors" in settings.hyp)
    }
    body = [name for name in own if not name.startswith(head)]
    share = sum(name in fitting for name in body) / len(body)
    if share < TRANSFER_SHARE:
        raise CheckpointError(
            f"{init_weights}: only {share:.0%} of its tensors fit {settings.model}; give the model "
            "that the weights were trained as, or other weights"
        )
    if (
        weights.names != settings.classes
    ):  # a head of other classes of the same number is no use either
        fitting = {
            name: tensor for name, tensor in fitting.items() if not name.startswith(f"{head}m.")
        }
    model.load_state_dict(fitting, strict=False)
    log.info("%d of %d tensors taken from %s", len(fitting), len(own), init_weights)
    return model


@contextlib.contextmanager
def _torch_settings() -> Iterator[None]:
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
