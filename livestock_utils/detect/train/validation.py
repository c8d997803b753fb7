"""A pass over validation images with yolov5's losses, suppression and AP."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.progress import progress

log = logging.getLogger(__name__)

CONFIDENCE, IOU, MAX_DETECTIONS = 0.001, 0.6, 300
"""yolov5's validation: confidence threshold, NMS IoU threshold, detections an image."""

_METRICS = tuple(
    f"metrics/{name}" for name in ("precision", "recall", "mAP_0.5", "mAP_0.75", "mAP_0.5:0.95")
)
"""Columns of results.csv, by yolov5's names (it has no mAP_0.75)."""

_MEASURES = ["P", "R", "mAP50", "mAP75", "mAP50-95"]


@dataclasses.dataclass(frozen=True)
class Validation:
    """Results of one pass by yolov5's definitions (101-point AP, best mean F1)."""

    metrics: dict[str, float]
    """By yolov5's column names: _METRICS, metrics/fitness, mean losses."""
    per_class: pd.DataFrame
    """Index "all" and the classes; images, labels, P, R, mAP50, mAP75, mAP50-95."""
    predictions: pd.DataFrame
    """image_id, species, confidence, x_min, y_min, x_max, y_max in px of the original image."""
    boxes: pd.DataFrame
    """The labels in the same form."""


def validate(
    y5: Any,
    model: Any,
    loader: Any,
    names: Sequence[str],
    compute_loss: Any = None,
    half: bool = False,
    confidence_threshold: float = CONFIDENCE,
    iou_threshold: float = IOU,
    plots: Path | None = None,
) -> Validation:
    """Predict every batch of `loader` with `model` and measure; needs the open door.

    `plots` is a folder for PR, F1, P and R curves, the confusion matrix and mosaics of the first
    three batches.
    """
    import torch

    device = next(model.parameters()).device
    iou_levels = torch.linspace(0.5, 0.95, 10, device=device)
    confusion = y5.metrics.ConfusionMatrix(nc=len(names)) if plots else None
    losses, stats, found, truth = torch.zeros(3, device=device), [], [], []
    model.eval().half() if half else model.eval().float()
    with torch.inference_mode():
        for index, (images, targets, paths, shapes) in enumerate(
            progress(loader, desc="valid", leave=False)
        ):
            images = images.to(device, non_blocking=True)
            images = (images.half() if half else images.float()) / 255
            targets = targets.to(device)
            raw, heads = model(images)
            if compute_loss is not None:
                losses += compute_loss([head.float() for head in heads], targets)[1]
            height, width = images.shape[2:]
            targets[:, 2:] *= torch.tensor((width, height, width, height), device=device)
            kept = y5.general.non_max_suppression(
                raw, confidence_threshold, iou_threshold, multi_label=True, max_det=MAX_DETECTIONS
            )
            for image, boxes in enumerate(kept):
                shape, ratio_pad = shapes[image][0], shapes[image][1]
                labels = targets[targets[:, 0] == image, 1:]
                native, answer = boxes.clone(), y5.general.xywh2xyxy(labels[:, 1:])
                y5.general.scale_boxes((height, width), native[:, :4], shape, ratio_pad)
                y5.general.scale_boxes((height, width), answer, shape, ratio_pad)
                labels = torch.cat((labels[:, :1], answer), 1)
                correct = y5.val.process_batch(native, labels, iou_levels)
                stats.append((correct, boxes[:, 4], boxes[:, 5], labels[:, 0]))
                found.append((Path(paths[image]).stem, native.float().cpu().numpy()))
                truth.append((Path(paths[image]).stem, labels.float().cpu().numpy()))
                if confusion is not None:
                    some = len(native) > 0
                    confusion.process_batch(
                        native if some else None, labels if some else labels[:, 0]
                    )
            if plots and index < 3:
                for what, drawn in (("labels", targets), ("pred", y5.plots.output_to_target(kept))):
                    place, by_code = plots / f"val_batch{index}_{what}.jpg", dict(enumerate(names))
                    y5.plots.plot_images(images, drawn, paths, place, by_code)
    if confusion is not None and plots:
        confusion.plot(save_dir=plots, names=list(names))
    model.float()
    arrays = [torch.cat(column).cpu().numpy() for column in zip(*stats, strict=True)]
    per_class = _per_class(y5, arrays, names, plots)
    metrics = dict(zip(_METRICS, per_class[_MEASURES].loc["all"], strict=True))
    fitness = 0.1 * metrics["metrics/mAP_0.5"] + 0.9 * metrics["metrics/mAP_0.5:0.95"]
    metrics["metrics/fitness"] = fitness
    means = (losses.cpu() / len(loader)).tolist()
    metrics |= {f"val/{name}_loss": means[i] for i, name in enumerate(("box", "obj", "cls"))}
    predictions, labels = _table(found, names, True), _table(truth, names, False)
    return Validation(metrics, per_class, predictions, labels)


def _per_class(
    y5: Any, arrays: list[npt.NDArray], names: Sequence[str], plots: Path | None
) -> pd.DataFrame:
    """yolov5's ap_per_class as a table; classes without labels are left out."""
    correct, _, _, labelled = arrays
    counts = np.bincount(labelled.astype(int), minlength=len(names))
    present = [name for name, n in zip(names, counts, strict=True) if n]
    table = pd.DataFrame(0.0, index=present, columns=["labels", *_MEASURES])
    table["labels"] = counts[counts > 0]
    if correct.any():
        drawing = {"plot": plots is not None, "save_dir": plots or Path()}
        *_, precision, recall, _, ap, classes = y5.metrics.ap_per_class(
            *arrays, **drawing, names=dict(enumerate(names))
        )
        rows = [names[code] for code in classes]
        measured = np.column_stack([precision, recall, ap[:, 0], ap[:, 5], ap.mean(1)])
        table.loc[rows, _MEASURES] = measured
    whole = table.mean() if len(table) else pd.Series(0.0, index=table.columns)
    whole["labels"] = counts.sum()
    return pd.concat([whole.to_frame("all").T, table]).astype({"labels": int}).rename_axis("class")


def _table(
    rows: list[tuple[str, npt.NDArray]], names: Sequence[str], with_confidence: bool
) -> pd.DataFrame:
    """Arrays by image -> a table by image_id: predictions or labels with xyxy."""
    rows = sorted(rows, key=lambda row: row[0])
    each = [len(values) for _, values in rows]
    ids = np.repeat(np.array([image_id for image_id, _ in rows], dtype=object), each)
    width = 6 if with_confidence else 5
    values = np.concatenate([values for _, values in rows]) if rows else np.zeros((0, width))
    first = 0 if with_confidence else 1
    label, xyxy = values[:, 5 if with_confidence else 0], values[:, first : first + 4]
    species = np.array(names, dtype=object)[label.astype(int)]
    table = pd.DataFrame({"image_id": ids, "species": species})
    if with_confidence:
        table["confidence"] = values[:, 4].astype(float)
    table[XYXY] = xyxy.astype(float)
    return table
