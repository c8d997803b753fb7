"""The epochs of a training, in a loop made to stop and go on anywhere.

The same steps in the same order as yolov5 7.0.14's train.py, so that losses are equal with the same
seed (a test shows it); left out are its downloads, its loggers and its swallowed errors. Like
there, gradients that wait for a full nominal batch of 64 at the end of an epoch are dropped, so an
epoch's end is a clean point to resume from.
"""

import copy
import dataclasses
import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from livestock_utils.core.errors import DivergedError, TrainingError
from livestock_utils.core.progress import progress
from livestock_utils.detect import yolov5
from livestock_utils.detect.settings import METRICS, Recorded, learning_rate_factor
from livestock_utils.detect.train import distill, open_labels, parallel
from livestock_utils.detect.train.data import Data, Loaders, dataset_class
from livestock_utils.detect.train.validation import validate

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Trainer:
    """Everything that changes while training; `state` writes and restores it."""

    y5: Any
    settings: Recorded
    data: Data
    device: Any
    model: Any
    ema: Any
    optimizer: Any
    scaler: Any
    stopper: Any
    loaders: Loaders
    compute_loss: Any
    nominal: dict[str, float]
    """Hyperparameters after scaling to classes, layers and pixels."""
    network: Any
    """The model, or on several GPUs its wrapper that averages gradients."""
    mine: parallel.Ranks
    start: dict[str, Any] | None = None
    """Tensors that the training started from, where the weights kept are blended with them."""
    kept: Any = None
    """The model that is validated and saved: the moving average, blended where asked."""
    epoch: int = 0
    """The next epoch to train."""
    last_step: int = -1
    """Iteration of the last optimizer step."""
    best_value: float = 0.0
    best_epoch: int = -1
    best_weights: dict[str, Any] | None = None
    """The EMA of the best epoch, fp16 on the CPU."""
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    """One row of results.csv an epoch."""
    stopped: bool = False
    """Patience ran out."""
    first_batch: tuple | None = None
    began: float = dataclasses.field(default_factory=time.perf_counter)
    """When the training was started or continued here (time.perf_counter)."""

    def keep(self) -> Any:
        """The model to validate and save now: the moving average, blended with the start."""
        if self.start is None:
            self.kept = self.ema.ema
            return self.kept
        self.kept = self.kept or copy.deepcopy(self.ema.ema)
        share, average = self.settings.blend, self.ema.ema.state_dict()
        blended = {
            name: tensor.lerp(self.start[name], share) if name in self.start else tensor
            for name, tensor in average.items()
        }
        self.kept.load_state_dict(blended)
        return self.kept

    @property
    def done(self) -> bool:
        """True when no epoch is left to train."""
        return self.stopped or self.epoch >= (self.settings.epochs or math.inf)

    @property
    def lr_factor(self) -> Callable[[float], float]:
        """The factor of lr0 by epoch; 1 while `minutes` has not told the number of epochs."""
        asked = self.settings
        if asked.epochs is None:
            return lambda _: 1.0
        return learning_rate_factor(asked.schedule, self.nominal["lrf"], asked.epochs)

    @property
    def mosaic(self) -> bool:
        """Whether the next epoch has mosaics: not when the last part of the epochs has begun."""
        epochs = self.settings.epochs
        return not epochs or self.epoch < epochs - round(self.settings.close_mosaic * epochs)

    def fit_epochs(self) -> None:
        """Settle how many epochs fit `minutes` by the first one's pace; a validation stays over."""
        train_s, valid_s = (self.rows[0][f"seconds/{part}"] for part in ("train", "valid"))
        left_s = (self.settings.minutes or 0) * 60 - (time.perf_counter() - self.began) - valid_s
        more = max(int(left_s / (train_s + valid_s)), 0)
        self.settings = dataclasses.replace(self.settings, epochs=1 + more)
        log.info("%g minutes are %d epochs at this pace", self.settings.minutes, 1 + more)


def start(
    y5: Any,
    settings: Recorded,
    data: Data,
    build: Callable[[], Any],
    augmentation: Callable | None = None,
    anchors_given: bool = False,
    mine: parallel.Ranks | None = None,
) -> Trainer:
    """Set the seeds, build the model and all that a fresh training needs."""
    import torch

    began = time.perf_counter()
    device = parallel.device_of(settings.device)
    mine = mine or parallel.Ranks()
    set_seeds(settings.seed + 1 + mine.rank)
    layout = getattr(torch, settings.memory_format)
    model = build().to(device, memory_format=layout)
    before = {
        name: tensor.clone()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and "anchor" not in name
    }
    if settings.freeze >= len(model.model):
        raise TrainingError(
            f"freeze must leave a layer of {settings.model} to train, at most "
            f"{len(model.model) - 1}, got {settings.freeze}; 10 is the backbone"
        )
    frozen = tuple(f"model.{layer}." for layer in range(settings.freeze))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(frozen) if frozen else True
    stride = max(int(model.stride.max()), 32)
    if settings.image_size % stride or settings.image_size < 2 * stride:
        raise TrainingError(
            f"image_size must be a multiple of {stride} and at least {2 * stride} for "
            f"{settings.model}, got {settings.image_size}; take "
            f"{max(math.ceil(settings.image_size / stride), 2) * stride}"
        )
    hyp = dict(settings.hyp)
    accumulate = max(round(settings.nominal_batch / settings.batch_size), 1)
    decay = hyp["weight_decay"] * settings.batch_size * accumulate / settings.nominal_batch
    optimizer = y5.torch_utils.smart_optimizer(
        model, settings.optimizer, hyp["lr0"], hyp["momentum"], decay
    )
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    ema = y5.torch_utils.ModelEMA(model, **_ema_decay(settings, len(data.train.files), accumulate))

    images = dataset_class(y5.dataloaders.LoadImagesAndLabels)
    plain, size, cache = yolov5.keep_as_it_is, settings.image_size, settings.cache
    batch = settings.batch_size
    train = images(data.train, size, batch, hyp, stride, True, augmentation or plain, cache)
    valid = None
    if mine.leads:
        valid = images(data.valid, size, batch * 2, hyp, stride, False, plain, cache)
    share = batch // mine.world
    loaders = Loaders(y5, train, valid, share, settings.seed, settings.workers, device, mine.rank)
    if settings.autoanchor and not anchors_given:
        anchors = model.model[-1].anchors.clone()
        y5.autoanchor.check_anchors(train, model=model, thr=hyp["anchor_t"], imgsz=size)
        if not torch.equal(anchors, model.model[-1].anchors):
            before.clear()  # the start's boxes are of other anchors: nothing to blend with
    model.half().float()  # as yolov5 does, "pre-reduce anchor precision"

    layers, classes = model.model[-1].nl, len(data.names)
    nominal = hyp | {
        "weight_decay": decay,
        "label_smoothing": hyp.get("label_smoothing", 0.0),
        "box": hyp["box"] * 3 / layers,
        "cls": hyp["cls"] * classes / 80 * 3 / layers,
        "obj": hyp["obj"] * (settings.image_size / 640) ** 2 * 3 / layers,
    }
    model.nc, model.hyp, model.names = classes, nominal, dict(enumerate(data.names))
    # Now: no epoch may be left to train.
    ema.update_attr(model, include=["yaml", "nc", "hyp", "names", "stride"])
    scaler = torch.amp.GradScaler(device.type, enabled=settings.amp and device.type == "cuda")
    stopper = y5.torch_utils.EarlyStopping(patience=settings.patience)
    network = parallel.wrapped(model, mine)
    if settings.compile:
        # Each of YOLOv5's convolutions is one more shape of one function: with torch's own limit of
        # eight most of them would stay as they are. The limit is raised for this network's calls.
        more = torch._dynamo.config.patch(recompile_limit=64)
        network = more(torch.compile(network))
    loss = y5.loss.ComputeLoss(model)
    if settings.negatives != "plain":
        loss = open_labels.OpenLoss(loss, settings.negatives, classes)
    if settings.teacher_weight is not None and settings.negatives in ("plain", "doubted"):
        loss = distill.TeachingLoss(loss, settings.teacher_weight, classes, y5.metrics.bbox_iou)
    return Trainer(
        *(y5, settings, data, device, model, ema, optimizer, scaler, stopper, loaders, loss),
        *(nominal, network, mine),
        start=before if settings.blend else None,
        began=began,
    )


def _ema_decay(settings: Recorded, n_images: int, accumulate: int) -> dict[str, float]:
    """The moving average's decay, reached after about as many steps; yolov5's own for 0 epochs."""
    steps = settings.ema_epochs * math.ceil(n_images / settings.batch_size) / accumulate
    return {"decay": 1 - 1 / max(steps, 1.0), "tau": max(steps, 1.0)} if steps else {}


def set_seeds(seed: int) -> None:
    """Seed Python, numpy and torch as yolov5 does and ask torch for deterministic algorithms."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a setting by attribute


def epochs(trainer: Trainer) -> Iterator[dict[str, float]]:
    """Train the epochs that are left; yields each one's row when the state is whole. On several
    GPUs the processes that do not lead yield empty rows."""
    while True:
        known = trainer.stopped, trainer.settings.epochs
        trainer.stopped, fitted = parallel.from_leader(known, trainer.mine)
        trainer.settings = dataclasses.replace(trainer.settings, epochs=fitted)
        if trainer.done:
            return
        began = time.perf_counter()
        losses, rates = _train_epoch(trainer)
        trained = time.perf_counter()
        for group in trainer.optimizer.param_groups:  # as in yolov5, an epoch late after warm-up
            group["lr"] = group["initial_lr"] * trainer.lr_factor(trainer.epoch)
        if not trainer.mine.leads:
            trainer.epoch += 1
            yield {}
            continue
        half = trainer.settings.amp and trainer.device.type == "cuda"
        model, loader, names = trainer.keep(), trainer.loaders.valid, trainer.data.names
        result = validate(trainer.y5, model, loader, names, trainer.compute_loss, half)
        by_class = result.per_class["mAP75"].drop(index="all")
        row = {
            "epoch": trainer.epoch,
            **{f"train/{name}_loss": losses[i] for i, name in enumerate(("box", "obj", "cls"))},
            **result.metrics,
            **{f"metrics/AP_0.75_{name}": ap for name, ap in by_class.items()},
            **{f"x/lr{index}": rate for index, rate in enumerate(rates)},
            "seconds/train": trained - began,
            "seconds/valid": time.perf_counter() - trained,
        }
        value = row[METRICS[trainer.settings.best_metric]]
        trainer.stopped = bool(trainer.stopper(epoch=trainer.epoch, fitness=value))
        if value >= trainer.best_value:  # the later of equal ones, as yolov5 does
            trainer.best_value, trainer.best_epoch = value, trainer.epoch
            trainer.best_weights = {
                name: tensor.half().cpu() if tensor.is_floating_point() else tensor.cpu().clone()
                for name, tensor in model.state_dict().items()
            }
        trainer.rows.append(row)
        trainer.epoch += 1
        if trainer.settings.epochs is None:
            trainer.fit_epochs()
        told = "epoch %d of %d: box %.4f obj %.4f cls %.4f, mAP50 %.3f mAP75 %.3f mAP50-95 %.3f"
        scores = list(result.metrics.values())[2:5]
        log.info(told, trainer.epoch, trainer.settings.epochs, *losses, *scores)
        yield row


def _train_epoch(trainer: Trainer) -> tuple[list[float], list[float]]:
    """One pass over the training images: mean losses, and the last learning rates."""
    import torch

    settings, hyp = trainer.settings, trainer.nominal
    optimizer, epoch = trainer.optimizer, trainer.epoch
    layout = getattr(torch, settings.memory_format)
    trainer.loaders.start_epoch(epoch)
    trainer.loaders.train_set.mosaic = trainer.mosaic
    trainer.compute_loss.share = epoch / (settings.epochs or math.inf)
    trainer.model.train()
    batches = len(trainer.loaders.train)
    warmup = max(round(hyp["warmup_epochs"] * batches), settings.warmup_min_iterations)
    accumulate = max(round(settings.nominal_batch / settings.batch_size), 1)
    mean = torch.zeros(3, device=trainer.device)
    optimizer.zero_grad()
    quiet = {} if trainer.mine.leads else {"disable": True}
    told = f"epoch {epoch + 1}/{settings.epochs or '?'}"
    bar = progress(trainer.loaders.train, desc=told, total=batches, **quiet)
    for index, (images, targets, paths, _) in enumerate(bar):
        iteration = index + batches * epoch
        images = images.to(trainer.device, non_blocking=True, memory_format=layout).float() / 255
        if iteration <= warmup:
            accumulate = _warm_up(trainer, iteration, warmup)
        with torch.autocast(trainer.device.type, enabled=trainer.scaler.is_enabled()):
            predicted = trainer.network(images)
            loss, parts = trainer.compute_loss(predicted, targets.to(trainer.device))
        if not torch.isfinite(loss).all():
            raise DivergedError(
                f"the loss is {loss.item()} in epoch {epoch + 1}, batch {index + 1} ({paths[0]} "
                "and others): lower lr0 or warmup_bias_lr in a new run folder (init_weights may be "
                "this run's weights/best.pt), or check the labels; the epoch before is kept"
            )
        # The processes' gradients are averaged.
        trainer.scaler.scale(loss * trainer.mine.world).backward()
        if iteration - trainer.last_step >= accumulate:
            trainer.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), max_norm=10.0)
            trainer.scaler.step(optimizer)
            trainer.scaler.update()
            optimizer.zero_grad()
            trainer.ema.update(trainer.model)
            trainer.last_step = iteration
        mean = (mean * index + parts) / (index + 1)
        if trainer.first_batch is None:
            labels = distill.labels_only(targets, len(trainer.data.names))
            trainer.first_batch = images.cpu(), labels, paths
    return mean.tolist(), [group["lr"] for group in optimizer.param_groups]


def _warm_up(trainer: Trainer, iteration: int, warmup: int) -> int:
    """Learning rates and momentum of a warm-up iteration; returns batches to accumulate."""
    hyp, ends = trainer.nominal, [0, warmup]
    batches = trainer.settings.nominal_batch / trainer.settings.batch_size
    momenta = [hyp["warmup_momentum"], hyp["momentum"]]
    for index, group in enumerate(trainer.optimizer.param_groups):
        # Biases first: their rate falls, the others rise.
        first = hyp["warmup_bias_lr"] if index == 0 else 0.0
        rates = [first, group["initial_lr"] * trainer.lr_factor(trainer.epoch)]
        group["lr"] = float(np.interp(iteration, ends, rates))
        if "momentum" in group:
            group["momentum"] = float(np.interp(iteration, ends, momenta))
    return max(1, int(np.interp(iteration, ends, [1, batches]).round()))
