"""Which photos to label next: does the order by what two models dispute beat a random one?

    python benchmarks/bench_label_order.py --real DIR --weights yolov5n.pt

DIR as in bench_accuracy.py; photos of plan "middle": the judges chose nothing, `data_test` is not
read. The first `START` photos are drawn by seed, and two models are trained, each on one half of
them. Both predict the photos that have no labels yet. The next photo is that with the most animals
in dispute (confidences of boxes that only one of the two finds, and differences where both do)
times its distance from the photos that have labels (differing bits of the image hash over 32, at
most 1). Labels are revealed in that order, and at random; each row of
benchmarks/results/label_order.csv is one training on what is revealed. The same command trains what
is missing under PLAN and drops rows of another: about 14 minutes on one quiet core
(OMP_NUM_THREADS=1). Without --real it prints the rows that are there.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import bench_accuracy
import numpy as np
import pandas as pd

import livestock_utils as lu
from livestock_utils import __version__
from livestock_utils.core.boxes import XYXY, iou_matrix
from livestock_utils.core.photos import Photos
from livestock_utils.data.lookalikes import perceptual_hashes
from livestock_utils.evaluate.scoring import intervals

RESULTS = Path(__file__).parent / "results" / "label_order.csv"
GAINS = RESULTS.with_name("label_order_gains.csv")
KEYS = ["order", "photos", "seed"]
RANDOM, DISPUTED = "random", "disputed"
START = 50
PLAN = {"n": None, "epochs": 12, "size": 224}
"""With half as many epochs 75 photos are 30 steps, and no network finds an outline (AP75 .01)."""
TEACHER = {"epochs": 24}
"""The two models that dispute learn from 25 photos each, so for twice as long."""
FLOOR = 0.1
"""Boxes below this confidence dispute nothing."""


def dispute(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """Animals in dispute between two models' boxes of one image: 0 where they agree."""
    sure = first["confidence"].to_numpy(float), second["confidence"].to_numpy(float)
    total = float(sure[0].sum() + sure[1].sum())
    overlap = iou_matrix(first[XYXY].to_numpy(float), second[XYXY].to_numpy(float))
    while overlap.size and overlap.max() >= 0.5:
        mine, other = np.unravel_index(overlap.argmax(), overlap.shape)
        total -= 2 * min(sure[0][mine], sure[1][other])  # what both grant; their difference stays
        overlap[mine], overlap[:, other] = 0, 0
    return total


def ranked(scores: pd.Series, hashes: pd.Series, known: list[str]) -> list[str]:
    """Images of `scores`, the next to label first; each choice counts as known for those after."""
    bits, rest = hashes.to_dict(), scores.to_dict()
    near = {i: min((bits[i] ^ bits[k]).bit_count() for k in known) for i in rest}
    order = []
    while rest:
        best = max(sorted(rest), key=lambda i: rest[i] * min(1.0, near[i] / 32))
        order.append(best)
        del rest[best]
        for i in rest:
            near[i] = min(near[i], (bits[i] ^ bits[best]).bit_count())
    return order


def disputed_order(
    pool: Photos, start: list[str], options: argparse.Namespace, watched: Photos, seed: int
) -> list[str]:
    """All other photos, the most disputed first; kept in `options.work`."""
    kept = options.work / f"order-{seed}.csv"
    if kept.is_file():
        return pd.read_csv(kept, dtype=str)["image_id"].tolist()
    rest, both = pool.without(pool.select(start)), []
    for half in (start[::2], start[1::2]):
        with tempfile.TemporaryDirectory() as folder:
            parts = pool.select(half), watched, options, Path(folder), seed, TEACHER
            weights = bench_accuracy.train_ours(*parts)
            found = lu.predict(weights, rest, image_size=PLAN["size"], iou_threshold=0.6)
        both.append(found[found["confidence"] >= FLOOR])
    ids = rest.images["image_id"].tolist()
    sides = [dict(iter(found.groupby("image_id"))) for found in both]
    none = both[0].iloc[:0]
    scores = pd.Series({i: dispute(*(side.get(i, none) for side in sides)) for i in ids})
    hashes = perceptual_hashes(pool)
    order = ranked(scores, hashes, start)
    table = pd.DataFrame({"image_id": order, "disputed": scores[order].to_numpy()})
    table.to_csv(kept, index=False)
    return order


def one_row(
    order: str, n: int, seed: int, options: argparse.Namespace, sets: Any
) -> dict[str, Any]:
    """Train on the first `n` photos of an order, judge on photos that chose nothing."""
    pool, judge, watched = sets
    ids = np.random.default_rng(seed).permutation(sorted(pool.images["image_id"])).tolist()
    if order == DISPUTED:
        ids = ids[:START] + disputed_order(pool, ids[:START], options, watched, seed)
    train = pool.select(ids[:n])
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        parts = train, watched, options, Path(folder), seed, {}
        weights = bench_accuracy.train_ours(*parts)
        found = lu.predict(weights, judge, image_size=PLAN["size"], iou_threshold=0.6)
    found.to_csv(options.work / f"{n}-{order}-{seed}.csv", index=False)
    table = lu.score(judge, found).loc["all"]
    return {
        **dict(zip(KEYS, (order, n, seed), strict=True)),
        "AP75": round(float(table["mAP75"]), 4),
        "AP50": round(float(table["mAP50"]), 4),
        "boxes": len(train.boxes),
        "seconds": round(time.perf_counter() - began),
        "version": __version__,
        "settings": json.dumps(PLAN),
    }


def gains(judge: Photos, work: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Gain in AP75 over random by number of photos, mean of the seeds that have both orders, with
    its interval over resampled photos."""
    told = []
    for n, mine in rows.groupby("photos"):
        seeds = mine["seed"].value_counts()
        paired = sorted(seeds.index[seeds == 2])
        files = [[work / f"{n}-{order}-{k}.csv" for order in (RANDOM, DISPUTED)] for k in paired]
        if files:
            mean = bench_accuracy.resampled_gain(judge, files)["all"]
            pairs = mine[mine["seed"].isin(seeds.index[seeds == 2])]
            by_order = pairs.groupby("order")["AP75"].mean()
            gain = by_order[DISPUTED] - by_order[RANDOM]
            told.append((n, len(files), gain, *intervals.limits(mean)))
    columns = ["photos", "seeds", "gain", "low", "high"]
    return pd.DataFrame(told, columns=columns).round(4)


def main() -> None:
    """Train what is missing, print the curve and the gain over random with its interval."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--sizes", nargs="*", type=int, default=[75, 100, 150])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("runs/label_order"))
    options = parser.parse_args()
    rows = pd.read_csv(RESULTS) if RESULTS.is_file() else pd.DataFrame(columns=KEYS)
    if options.real is not None:
        options.plan = "order"
        bench_accuracy.PLANS["order"] = PLAN
        options.work.mkdir(parents=True, exist_ok=True)
        rows = rows[rows["settings"] == json.dumps(PLAN)] if len(rows) else rows
        index = pd.read_csv(options.real / "index.csv").set_index("image_id")
        pool, judge, _ = bench_accuracy.parts(options.real, index, "middle")
        watched = judge.sample(8, seed=1)  # validates each epoch, chooses nothing
        wanted = [
            (order, n, seed)
            for seed in range(options.seeds)
            for n in options.sizes
            for order in (RANDOM, DISPUTED)
        ]
        for key in wanted:
            if (rows[KEYS] == list(key)).all(axis=1).any():
                continue
            row = one_row(*key, options, (pool, judge, watched))
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
            rows.to_csv(RESULTS, index=False)
            print(row, flush=True)
        gains(judge, options.work, rows).to_csv(GAINS, index=False)
    print(rows.groupby(["photos", "order"])[["AP75", "AP50", "boxes"]].mean().round(4).to_string())
    if GAINS.is_file():
        print(GAINS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
