"""The recipe of the shipped starting weights: yolov5n from scratch on drawn scenes.

    python benchmarks/train_start_weights.py runs/warm_start

The scenes come from seeds that no run of the sample uses (`sample.WARM_START_SEEDS`) and keep all
their labels. First at few pixels, where an epoch is cheap, then at those that the sample's
notebooks train with. A run that was stopped goes on with the same command.
"""

import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core import files
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.sample.drawing import WARM_START_SEEDS, read_truth, write_sample
from livestock_utils.data.sets import writing
from livestock_utils.detect import checkpoints
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import run as training_run

IMAGES_A_SEED, SCALE = 48, 0.35
HYP = {
    "lr0": 0.002, "lrf": 0.02, "momentum": 0.9, "weight_decay": 0.0005, "warmup_epochs": 1.0,
    "warmup_momentum": 0.8, "warmup_bias_lr": 0.01, "box": 0.05, "cls": 0.3, "cls_pw": 1.0,
    "obj": 1.0, "obj_pw": 1.0, "iou_t": 0.2, "anchor_t": 4.0, "fl_gamma": 0.0, "hsv_h": 0.015,
    "hsv_s": 0.4, "hsv_v": 0.4, "degrees": 0.0, "translate": 0.1, "scale": 0.4, "shear": 0.0,
    "perspective": 0.0, "flipud": 0.3, "fliplr": 0.5, "mosaic": 0.5, "mixup": 0.0,
    "copy_paste": 0.0,
}  # fmt: skip
_COMMON: dict[str, Any] = {
    "recipe": "yolov5", "model": "yolov5n", "batch_size": 16, "nominal_batch": 16,
    "optimizer": "AdamW",
    "schedule": "cosine", "best_metric": "map50-95", "warmup_min_iterations": 50, "loggers": (),
}  # fmt: skip
_FINER = {"lr0": 0.001, "mosaic": 0.2, "scale": 0.3, "box": 0.1}
_STAGES: tuple[dict[str, Any], ...] = (
    {"epochs": 24, "image_size": 192, "hyp": HYP},
    {"epochs": 8, "image_size": 320, "hyp": HYP | _FINER},
)


def write_sets(folder: Path) -> Path:
    """Draw the scenes, a set per seed, the last for validation; returns the data.yaml."""
    sets = []
    for seed in WARM_START_SEEDS:
        drawn = write_sample(folder / "samples" / str(seed), IMAGES_A_SEED, 0, seed, SCALE)
        images = data_folder.read_archives(drawn / "data").images
        sets.append(folder / "sets" / str(seed))
        writing.write_set(
            sets[-1], Photos(images, read_truth(drawn).drop(columns="labelled"), drawn / "data")
        )
    return writing.write_data_yaml(folder / "data.yaml", sets[:-1], sets[-1])


def train(folder: Path) -> pd.DataFrame:
    """Train stage by stage, copy the weights to the assets; returns metrics by class."""
    data_yaml, weights, metrics = write_sets(folder), None, pd.DataFrame()
    for number, stage in enumerate(_STAGES):
        run = training_run.train(
            data_yaml,
            None,
            folder / f"stage{number}",
            TrainSettings(init_weights=weights, **_COMMON, **stage),
        )
        weights, metrics = run.best, run.per_class
    with files.whole_file(checkpoints.SAMPLE_WEIGHTS) as target, run.best.open("rb") as source:
        shutil.copyfileobj(source, target)
    return metrics


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sys.stdout.write(
        train(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/warm_start")).round(3).to_string()
        + "\n"
    )
