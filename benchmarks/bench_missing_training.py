"""What missing labels cost a training, and whether a loss that doubts absent labels helps.

    python benchmarks/bench_missing_training.py --real DIR --weights yolov5n.pt --plan screen

DIR, plans and judges as in bench_accuracy.py. Each box of the training photos is removed with
probability `--shares`, drawn by image id and seed, the same for all ways, or only the cows' boxes
(`--species cow`); photos that lose all boxes stay. A second round first completes the labels by the
model that "auto" trained on the gaps (run that row first; its weights stay in `--work`); silver's
rounds are those of `predict_for_silver`, out of fold. Judged on complete labels: contest AP75 at
NMS .60 and .68, recall at the best F1. Each row of benchmarks/results/missing_training.csv is one
training; the same command trains what is missing.
Without --real it prints the rows that are there.
"""

import argparse
import hashlib
import json
import shutil
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
from livestock_utils.core.tables import BOX_COLUMNS
from livestock_utils.detect.train import open_labels
from livestock_utils.evaluate.scoring import intervals
from livestock_utils.evaluate.silver import making

RESULTS = Path(__file__).parent / "results" / "missing_training.csv"
GAINS = RESULTS.with_name("missing_training_gains.csv")
KEYS = ["plan", "way", "species", "share", "seed"]
WAYS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "auto": {},
    "doubted": {"negatives": "doubted"},
    "doubted, exponent 1": {"negatives": "doubted", "exponent": 1.0},
    "doubted, exponent 3": {"negatives": "doubted", "exponent": 3.0},
    "second round, .3 added": {"added_from": 0.3},
    "second round, soft": {"open_from": 0.05, "negatives": "soft"},
    "second round, .15 added, doubted": {"added_from": 0.15, "negatives": "doubted"},
    "silver, one round": {"added_from": 0.3, "rounds": 1},
    "silver, two rounds": {"added_from": 0.3, "rounds": 2},
}
PAIRS = [
    (PLAIN, "doubted"),
    ("auto", "doubted"),
    ("auto", "silver, one round"),
    ("silver, one round", "silver, two rounds"),
]
"""(over, way) whose differences are written to GAINS."""


def predictions_of(plan: str, way: str, species: str, share: float, seed: int) -> str:
    """Name of a row's predictions in --work."""
    return f"{plan}_{way}_{species}_{share}_{seed}.csv"


def without(photos: Photos, share: float, seed: int, species: str = "all") -> Photos:
    """The photos, each box (of the species) gone with probability `share`."""
    boxes = photos.boxes.reset_index(drop=True)
    kept = np.ones(len(boxes), dtype=bool)
    for image_id, rows in boxes.groupby("image_id").indices.items():
        digest = int(hashlib.sha256(str(image_id).encode()).hexdigest()[:8], 16)
        kept[rows] = np.random.default_rng([seed, digest]).random(len(rows)) >= share
    spared = (boxes["species"] != species) & (species != "all")
    return photos.with_boxes(boxes[kept | spared])


def completed(
    hidden: Photos, found: pd.DataFrame, added_from: Any, open_from: Any
) -> tuple[Photos, Any]:
    """`hidden` with the first round's boxes from `added_from` on; those from `open_from` on below
    it, as a teacher's."""
    floor = open_from or added_from
    settings = lu.SilverSettings(
        "merge", confidence_threshold=floor, min_boxes=1, species=("pig", "cow"), iou_threshold=0.5
    )
    usable = making.candidates(hidden.images, found, settings, "first round")
    new = making.additions(usable, hidden.boxes, settings.same_animal_overlap)
    is_sure = new["confidence"] >= (added_from or 2)
    boxes = pd.concat([hidden.boxes, new.loc[is_sure, BOX_COLUMNS]], ignore_index=True)
    rest = new[~is_sure]
    return hidden.with_boxes(boxes), rest if open_from else None


def taught(hidden: Photos, rounds: int, options: argparse.Namespace, seed: int) -> pd.DataFrame:
    """What two teachers find out of fold on `hidden`; they stay in --work."""
    plan = PLANS[options.plan]
    same = {"epochs": plan["epochs"], "image_size": plan["size"], "patience": 0, "loggers": ()}
    settings = lu.TrainSettings(options.model, init_weights=options.weights, seed=seed, **same)
    out = options.work / f"teachers_{options.plan}_{options.species}_{seed}"
    sources = lu.predict_for_silver(
        hidden, lu.stratified_folds(hidden), out, settings, rounds=rounds
    )
    for name, table in sources.tables.items():
        print(name, lu.score(hidden, table).loc["all", "mAP75"].round(4), flush=True)
    return sources.predictions


def one_row(
    way: str, share: float, seed: int, options: argparse.Namespace, sets: Any
) -> dict[str, Any]:
    """Train one way on what is left of the labels, judge it on all."""
    train, judge, watched = sets
    hidden = without(train, share, seed, options.species)
    n_left = len(hidden.boxes)
    asked = dict(WAYS[way])
    open_labels._EXPONENT = asked.pop("exponent", 2.0)
    added_from, open_from = asked.pop("added_from", None), asked.pop("open_from", None)
    rounds = asked.pop("rounds", 0)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place, teacher = Path(folder), None
        if rounds:
            found = taught(hidden, rounds, options, seed)
            hidden, _ = completed(hidden, found, added_from, None)
        elif added_from or open_from:
            first = options.work / f"{options.plan}_auto_{options.species}_{share}_{seed}.pt"
            found = lu.predict(
                first, hidden, image_size=PLANS[options.plan]["size"], iou_threshold=0.6
            )
            hidden, teacher = completed(hidden, found, added_from, open_from)
        new = hidden.boxes[n_left:].assign(confidence=1.0)
        right = len(new) - len(making.additions(new, train.boxes, 0.5))
        if way == PLAIN:
            weights = bench_accuracy.train_plain(hidden, watched, options, place, seed)
        else:
            weights = bench_accuracy.train_ours(
                hidden, watched, options, place, seed, asked, teacher
            )
        if way == "auto":
            shutil.copy(
                weights, options.work / f"{options.plan}_auto_{options.species}_{share}_{seed}.pt"
            )
        seconds = time.perf_counter() - began
        size = PLANS[options.plan]["size"]
        key, tables = (options.plan, way, options.species, share, seed), {}
        for iou in (0.6, 0.68):
            settings = lu.PostprocessSettings(iou_threshold=iou)
            found = lu.predict(weights, judge, image_size=size, settings=settings)
            tables[iou] = lu.score(judge, found).loc["all"]
            if iou == 0.6:
                found.to_csv(options.work / predictions_of(*key), index=False)
    return {
        **dict(zip(KEYS, key, strict=True)),
        "AP75 at .60": round(float(tables[0.6]["mAP75"]), 4),
        "AP75 at .68": round(float(tables[0.68]["mAP75"]), 4),
        "recall": round(float(tables[0.6]["R"]), 4),
        "seconds": round(seconds),
        "images": len(train),
        "added": len(hidden.boxes) - n_left,
        "right": right,
        "version": __version__,
        "settings": json.dumps({**PLANS[options.plan], **WAYS[way]}),
    }


def gains(rows: pd.DataFrame, judge: Photos, work: Path) -> pd.DataFrame:
    """Gains in AP75 of ways over others, mean of the seeds whose predictions are there, with their
    interval over resampled photos."""
    told = []
    for key, part in rows.groupby(KEYS[:1] + KEYS[2:-1], sort=False):
        scores = part.pivot(index="seed", columns="way", values="AP75 at .60")
        for over, way in PAIRS:
            pairs = {
                seed: [work / predictions_of(key[0], name, *key[1:], seed) for name in (over, way)]
                for seed in scores.reindex(columns=[over, way]).dropna().index
            }
            pairs = {seed: pair for seed, pair in pairs.items() if all(map(Path.is_file, pair))}
            if not pairs:
                continue
            gain = (scores[way] - scores[over])[[*pairs]].mean()
            ends = intervals.limits(bench_accuracy.resampled_gain(judge, [*pairs.values()])["all"])
            told.append((*key, over, way, len(pairs), gain, *ends))
    columns = [*KEYS[:1], *KEYS[2:-1], "over", "way", "seeds", "gain", "low", "high"]
    return pd.DataFrame(told, columns=columns).round(4)


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--plan", choices=list(PLANS), default="screen")
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--shares", nargs="*", type=float, default=[0.0, 0.4])
    parser.add_argument("--species", choices=["all", "cow", "pig"], default="all")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--work", type=Path, default=Path("runs/rounds"), help="Weights, predictions."
    )
    options = parser.parse_args()
    rows = pd.read_csv(RESULTS) if RESULTS.is_file() else pd.DataFrame(columns=KEYS)
    if options.real is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        index = pd.read_csv(options.real / "index.csv").set_index("image_id")
        sets = bench_accuracy.parts(options.real, index, options.plan)
        wanted = [
            (way, share, seed)
            for seed in range(options.seeds)
            for share in options.shares
            for way in options.ways
        ]
        for way, share, seed in wanted:
            if (rows[KEYS] == [options.plan, way, options.species, share, seed]).all(axis=1).any():
                continue
            row = one_row(way, share, seed, options, sets)
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
            rows.to_csv(RESULTS, index=False)
            print(row, flush=True)
        known = gains(rows[rows["plan"] == options.plan], sets[1], options.work)
        old = [pd.read_csv(GAINS)] if GAINS.is_file() else []
        kept = pd.concat([*old, known]).drop_duplicates([*known.columns[:5]], keep="last")
        kept.to_csv(GAINS, index=False)
        print(kept.to_string())
    numbers = ["AP75 at .60", "AP75 at .68", "recall", "seconds"]
    print(rows.groupby(KEYS[:-1], sort=False)[numbers].mean().round(4).to_string())


if __name__ == "__main__":
    main()
