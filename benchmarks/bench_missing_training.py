"""What missing labels cost a training, and whether a loss that doubts absent labels helps.

    python benchmarks/bench_missing_training.py --real DIR --weights yolov5n.pt --plan screen

DIR, plans and judges as in bench_accuracy.py. Each box of the training photos is removed with
probability `--share`, drawn by image id and seed, the same for all ways; photos that lose all boxes
stay. Judged on complete labels: contest AP75 at NMS .60 and .68, recall at the best F1. Each row of
benchmarks/results/missing_training.csv is one training; the same command trains what is missing.
Without --real it prints the rows that are there.
"""

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import bench_accuracy
import numpy as np
import pandas as pd
from bench_accuracy import PLAIN, PLANS

import livestock_utils as lu
from livestock_utils import __version__
from livestock_utils.core.photos import Photos
from livestock_utils.detect.train import open_labels

RESULTS = Path(__file__).parent / "results" / "missing_training.csv"
KEYS = ["plan", "way", "share", "seed"]
WAYS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "auto": {},
    "doubted": {"negatives": "doubted"},
    "doubted, exponent 1": {"negatives": "doubted", "exponent": 1.0},
    "doubted, exponent 3": {"negatives": "doubted", "exponent": 3.0},
}


def without(photos: Photos, share: float, seed: int) -> Photos:
    """The photos, each box gone with probability `share`."""
    boxes = photos.boxes.reset_index(drop=True)
    kept = np.ones(len(boxes), dtype=bool)
    for image_id, rows in boxes.groupby("image_id").indices.items():
        digest = int(hashlib.sha256(str(image_id).encode()).hexdigest()[:8], 16)
        kept[rows] = np.random.default_rng([seed, digest]).random(len(rows)) >= share
    return photos.with_boxes(boxes[kept])


def one_row(
    way: str, share: float, seed: int, options: argparse.Namespace, sets: Any
) -> dict[str, Any]:
    """Train one way on what is left of the labels, judge it on all."""
    train, judge, watched = sets
    hidden = without(train, share, seed)
    asked = dict(WAYS[way])
    open_labels._EXPONENT = asked.pop("exponent", 2.0)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if way == PLAIN:
            weights = bench_accuracy.train_plain(hidden, watched, options, place, seed)
        else:
            weights = bench_accuracy.train_ours(hidden, watched, options, place, seed, asked)
        seconds = time.perf_counter() - began
        size = PLANS[options.plan]["size"]
        tables = {}
        for iou in (0.6, 0.68):
            settings = lu.PostprocessSettings(iou_threshold=iou)
            found = lu.predict(weights, judge, image_size=size, settings=settings)
            tables[iou] = lu.score(judge, found).loc["all"]
    return {
        **{"plan": options.plan, "way": way, "share": share, "seed": seed},
        "AP75 at .60": round(float(tables[0.6]["mAP75"]), 4),
        "AP75 at .68": round(float(tables[0.68]["mAP75"]), 4),
        "recall": round(float(tables[0.6]["R"]), 4),
        "seconds": round(seconds),
        "images": len(train),
        "version": __version__,
        "settings": json.dumps({**PLANS[options.plan], **WAYS[way]}),
    }


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--plan", choices=list(PLANS), default="screen")
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--shares", nargs="*", type=float, default=[0.0, 0.4])
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    rows = pd.read_csv(RESULTS) if RESULTS.is_file() else pd.DataFrame(columns=KEYS)
    if options.real is not None:
        index = pd.read_csv(options.real / "index.csv").set_index("image_id")
        sets = bench_accuracy.parts(options.real, index, options.plan)
        wanted = [
            (way, share, seed)
            for seed in range(options.seeds)
            for share in options.shares
            for way in options.ways
        ]
        for way, share, seed in wanted:
            if (rows[KEYS] == [options.plan, way, share, seed]).all(axis=1).any():
                continue
            row = one_row(way, share, seed, options, sets)
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
            rows.to_csv(RESULTS, index=False)
            print(row, flush=True)
    numbers = ["AP75 at .60", "AP75 at .68", "recall", "seconds"]
    print(rows.groupby(["plan", "share", "way"], sort=False)[numbers].mean().round(4).to_string())


if __name__ == "__main__":
    main()
