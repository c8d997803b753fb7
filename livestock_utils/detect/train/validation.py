"""A pass over validation images with yolov5's losses, suppression and AP."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core.arrays import Array
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.progress import progress

_CUT = 0.001, 0.6
"""Least confidence, and the IoU of suppression, as in yolov5's validation."""
_METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.75", "mAP_0.5:0.95")
"""Columns of results.csv after metrics/, by yolov5's names (it has no mAP_0.75)."""
_MEASURES = ["P", "R", "mAP50", "mAP75", "mAP50-95"]


@dataclasses.dataclass(frozen=True)
class Validation:
    """Results of one pass by yolov5's definitions (101-point AP, best mean F1)."""

    metrics: dict[str, float]
    """By yolov5's column names: metrics/..., mean losses val/..._loss."""
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
    plots: Path | None = None,
) -> Validation:
    """Predict every batch of `loader` with `model` and measure; needs the open door. `plots`: a
    folder for yolov5's curves, its confusion matrix and mosaics of three batches."""
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
            kept = y5.general.non_max_suppression(raw, *_CUT, multi_label=True, max_det=300)
            for image, boxes in enumerate(kept):
                labels = targets[targets[:, 0] == image, 1:]
                native, answer = boxes.clone(), y5.general.xywh2xyxy(labels[:, 1:])
                for xyxy in (native[:, :4], answer):
                    y5.general.scale_boxes((height, width), xyxy, *shapes[image][:2])
                labels = torch.cat((labels[:, :1], answer), 1)
                correct = y5.val.process_batch(native, labels, iou_levels)
                stats.append((correct, boxes[:, 4], boxes[:, 5], labels[:, 0]))
                image_id, coded = Path(paths[image]).stem, native[:, [5, 0, 1, 2, 3, 4]]
                found.append((image_id, coded.float().cpu().numpy()))
                truth.append((image_id, labels.float().cpu().numpy()))
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
    whole = per_class[_MEASURES].loc["all"]
    metrics = {f"metrics/{name}": value for name, value in zip(_METRICS, whole, strict=True)}
    fitness = 0.1 * metrics["metrics/mAP_0.5"] + 0.9 * metrics["metrics/mAP_0.5:0.95"]
    metrics["metrics/fitness"] = fitness
    means = (losses.cpu() / len(loader)).tolist()
    metrics |= {f"val/{name}_loss": means[i] for i, name in enumerate(("box", "obj", "cls"))}
    return Validation(metrics, per_class, _table(found, names), _table(truth, names))


def _per_class(
    y5: Any, arrays: list[Array], names: Sequence[str], plots: Path | None
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
        measured = np.column_stack([precision, recall, ap[:, 0], ap[:, 5], ap.mean(1)])
        table.loc[[names[code] for code in classes], _MEASURES] = measured
    whole = table.mean() if len(table) else pd.Series(0.0, index=table.columns)
    whole["labels"] = counts.sum()
    return pd.concat([whole.to_frame("all").T, table]).astype({"labels": int}).rename_axis("class")


def _table(rows: list[tuple[str, Array]], names: Sequence[str]) -> pd.DataFrame:
    """Arrays by image (class, xyxy, of predictions also confidence) -> a table by image_id."""
    rows = sorted(rows, key=lambda row: row[0])
    ids = np.array([image_id for image_id, _ in rows], dtype=object)
    values = np.concatenate([values for _, values in rows]).astype(float)
    species = np.array(names, dtype=object)[values[:, 0].astype(int)]
    image_ids = np.repeat(ids, [len(values) for _, values in rows])
    table = pd.DataFrame({"image_id": image_ids, "species": species})
    if values.shape[1] == 6:
        table["confidence"] = values[:, 5]
    table[XYXY] = values[:, 1:5]
    return table
