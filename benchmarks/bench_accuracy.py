"""What our training and plain yolov5's reach on the same photos, from the same weights, in the same
number of epochs: contest AP75 on photos that chose nothing.

    python benchmarks/bench_accuracy.py --real DIR --weights yolov5n.pt

DIR holds `data/`, `data_test/`, `answer.csv` (shares of the true frame) and `index.csv` (image_id,
species, source). Each row of benchmarks/results/accuracy.csv is one training: the same command
trains only what is missing, then prints means, spreads and the paired intervals against plain, kept
in benchmarks/results/accuracy_gains.csv. With nothing to read it prints what is there: hours of
work never start by themselves.

Plans: "final" trains on all of `data` and is judged on `data_test`; "screen" trains on 200 photos
without chute and passage and is judged on those 50 and 85 pigs that it has not seen, "middle" on
all that are left; "100 photos", "200 photos" and "pixels" (416 px) are "final" otherwise. Weights
are the last epoch's, hard NMS at IoU .60, confidence .001, one pass. Both sides validate on the
same 8 photos, which choose nothing.
"""

import argparse
import contextlib
import hashlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import livestock_utils as lu
from livestock_utils import __version__
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import writing
from livestock_utils.detect import settings as training_settings
from livestock_utils.detect import yolov5
from livestock_utils.evaluate.scoring import intervals, matching, metrics

RESULTS = Path(__file__).parent / "results" / "accuracy.csv"
GAINS = RESULTS.with_name("accuracy_gains.csv")
OLD = {"recipe": "yolov5"}
SEARCHED = {
    f"auto, {name}": {"hyp": f"benchmarks/results/search_{file}.yaml", "optimizer": "AdamW"}
    for name, file in (("TPE", "tpe"), ("genetic", "genetic"))
}
"""`auto` with the hyperparameters that bench_search.py found."""
PLAIN, OURS = "plain yolov5", "auto, plain's seconds"
WAYS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "our loop, nominal batch 16": {**OLD, "nominal_batch": 16},
    "+ COCO's head": {**OLD, "nominal_batch": 16, "head": "carried"},
    "auto": {},
    OURS: {"epochs": 20},  # about what the seconds of plain's 15 epochs are enough for
    **SEARCHED,
}
"""Way -> settings beside model, weights, epochs, pixels, seed."""
PLANS = {
    "screen": {"n": 200, "epochs": 8, "size": 320},
    "middle": {"n": None, "epochs": 15, "size": 320},
    "final": {"n": None, "epochs": 15, "size": 320},
    "100 photos": {"n": 100, "epochs": 15, "size": 320},
    "200 photos": {"n": 200, "epochs": 15, "size": 320},
    "pixels": {"n": None, "epochs": 15, "size": 416},
}
KEYS = ["plan", "way", "seed"]


def groups(index: pd.DataFrame, image_ids: pd.Series) -> pd.Series:
    """ "pig", "COCO cow" (which the start weights have seen) or "other cow" of each image."""
    known = index.loc[image_ids]
    cows = np.where(known["source"] == "coco_train2017", "COCO cow", "other cow")
    return pd.Series(np.where(known["species"] == "pig", "pig", cows), index=known.index)


def test_photos(real: Path) -> Photos:
    """The photos of `data_test` with their boxes in px of the true frame."""
    images = lu.read_test_archives(real / "data_test")
    images = getattr(images, "images", images)
    answers = pd.read_csv(real / "answer.csv")
    stems = answers["ImageID"].str.rsplit(".", n=1).str[0]
    sides = images.set_index("image_id").loc[stems]
    boxes = pd.DataFrame({"image_id": stems, "species": answers["LabelName"]})
    for axis, side in (("x", "width_px"), ("y", "height_px")):
        for end, name in (("min", "Min"), ("max", "Max")):
            shares = answers[f"{axis.upper()}{name}"].to_numpy()
            boxes[f"{axis}_{end}"] = shares * sides[side].to_numpy()
    return Photos(images, boxes, real / "data_test")


def parts(real: Path, index: pd.DataFrame, plan: str) -> tuple[Photos, Photos, Photos]:
    """Photos to train on, to be judged on, and the 8 of the former that both sides validate on."""
    photos = lu.read_archives(real / "data")
    judge, n = test_photos(real), PLANS[plan]["n"]
    if plan in ("screen", "middle"):
        kind = groups(index, photos.images["image_id"])
        pigs = np.random.default_rng(7).permutation(kind.index[kind == "pig"])[:85]
        judge = photos.select([*kind.index[kind == "other cow"], *pigs])
        photos = photos.without(judge)
    train = photos if n is None else photos.sample(n, seed=0)
    return train, judge, train.sample(8, seed=1)


def train_plain(
    train: Photos, watched: Photos, options: argparse.Namespace, work: Path, seed: int
) -> Path:
    """last.pt of yolov5's own train.py with its defaults, on today's releases by our shims."""
    for name, photos in (("train", train), ("valid", watched)):
        lu.write_set(work / name, photos)
    data_yaml = writing.write_data_yaml(work / "data.yaml", work / "train", work / "valid")
    plan = PLANS[options.plan]
    with yolov5.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        module = y5.module("train")
        with mock.patch.object(sys, "argv", sys.argv[:1]):  # it would read our arguments
            asked = module.parse_opt(True)
        vars(asked).update(
            data=str(data_yaml),
            weights=str(options.weights.resolve()),
            cfg="",
            epochs=plan["epochs"],
            imgsz=plan["size"],
            batch_size=16,
            workers=0,
            device="cpu",
            project=str(work),
            name="run",
            noplots=True,
            cache="ram",
            seed=seed,
            hyp=str(training_settings.hyp_file(None)),
        )
        # Its default is one object for all calls, which would go on writing to the run before.
        module.main(asked, y5.module("utils.callbacks").Callbacks())
    return work / "run" / "weights" / "last.pt"


def train_ours(
    train: Photos,
    watched: Photos,
    options: argparse.Namespace,
    work: Path,
    seed: int,
    asked: dict[str, Any],
    teacher: pd.DataFrame | None = None,
) -> Path:
    """last.pt of our training with these settings."""
    plan = PLANS[options.plan]
    same = {"epochs": plan["epochs"], "image_size": plan["size"], "patience": 0, "loggers": ()}
    settings = lu.TrainSettings(
        options.model, init_weights=options.weights, seed=seed, **{**same, **asked}
    )
    return lu.train(
        train, watched, work / "run", settings, teacher=teacher, final_evaluation=False
    ).last


def judged(found: pd.DataFrame, judge: Photos, kind: pd.Series) -> dict[str, float]:
    """AP75 in all, by species and by group, and mAP50."""
    table = lu.score(judge, found)
    row = {"AP75": table.loc["all", "mAP75"], "AP50": table.loc["all", "mAP50"]}
    row["pig"], row["cow"] = table.loc["pig", "mAP75"], table.loc["cow", "mAP75"]
    for name in ("COCO cow", "other cow"):
        ids = kind.index[kind == name]
        if len(ids):
            part = judge.select(ids)
            row[name] = lu.score(part, found[found["image_id"].isin(ids)]).loc["cow", "mAP75"]
    return {name: round(float(value), 4) for name, value in row.items()}


def one_row(way: str, seed: int, options: argparse.Namespace, sets: Any, kind: pd.Series) -> dict:
    """Train one way with one seed, judge it; predictions stay in `options.work`."""
    train, judge, watched = sets
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        if way == PLAIN:
            weights = train_plain(train, watched, options, Path(folder), seed)
        else:
            weights = train_ours(train, watched, options, Path(folder), seed, WAYS[way])
        seconds = time.perf_counter() - began
        size = PLANS[options.plan]["size"]
        found = lu.predict(weights, judge, image_size=size, iou_threshold=0.6)
        softer = {
            name: lu.score(judge, lu.predict(weights, judge, image_size=size, settings=settings))
            for name, settings in (
                ("AP75 at .68", lu.PostprocessSettings(iou_threshold=0.68)),
                ("AP75 soft .7", lu.PostprocessSettings("soft_nms_linear", iou_threshold=0.7)),
            )
        }
    options.work.mkdir(parents=True, exist_ok=True)
    found.to_csv(options.work / f"{options.plan}-{way}-{seed}.csv", index=False)
    labels = train.boxes.sort_values(["image_id", "x_min", "y_min"]).to_csv(index=False)
    return {
        "plan": options.plan,
        "way": way,
        "seed": seed,
        **judged(found, judge, kind),
        **{name: round(float(table.loc["all", "mAP75"]), 4) for name, table in softer.items()},
        "seconds": round(seconds),
        "images": len(train),
        "version": __version__,
        "data": hashlib.sha256(labels.encode()).hexdigest()[:12],
        "settings": json.dumps({**PLANS[options.plan], **WAYS[way]}),
    }


def recorded() -> pd.DataFrame:
    """The rows that are there; read anew before each is added, as two plans may run at once."""
    return pd.read_csv(RESULTS) if RESULTS.is_file() else pd.DataFrame(columns=KEYS)


def told(rows: pd.DataFrame, plan: str) -> str:
    """Means and spreads of a plan's rows by way."""
    rows = rows[rows["plan"] == plan]
    numbers = [name for name in rows.select_dtypes("number") if name not in ("seed", "images")]
    table = rows.groupby("way", sort=False)[numbers].mean().round(3)
    spread = rows.groupby("way", sort=False)["AP75"].agg(["count", "min", "max"])
    table.insert(1, "seeds", spread["count"])
    table.insert(2, "range", [f"{low:.3f} to {high:.3f}" for _, low, high in spread.to_numpy()])
    return table.to_string()


def resampled_gain(judge: Photos, pairs: list) -> dict[str, Any]:
    """Name -> 2,000 differences in AP75 over resampled photos, mean of the pairs of files (before,
    after) of predictions."""
    gains = []
    for pair in pairs:
        both = []
        for file in pair:
            found = pd.read_csv(file, dtype={"image_id": str})
            sides = metrics.table_sides(judge.boxes, found, judge.images)
            draws = intervals.draw_images(len(sides.image_ids), 2000)  # the same each time: seeded
            both.append(intervals.resampled(matching.match_best(sides), draws))
        gains.append(both[1] - both[0])
    return sum(gains[1:], gains[0]) / len(gains)


def gain(judge: Photos, work: Path, rows: pd.DataFrame, seeds: range, ours: str) -> pd.DataFrame:
    """Gain of a way over plain, of searched hyperparameters over `auto`, mean of the seeds, with
    its interval over resampled photos. `rows` are the plan's."""
    over = "auto" if ours in SEARCHED else PLAIN
    plan, means = rows["plan"].iloc[0], rows.groupby("way")[["AP75", "pig", "cow"]].mean()
    gained = (means.loc[ours] - means.loc[over]).rename({"AP75": "all"})
    pairs = [[work / f"{plan}-{way}-{seed}.csv" for way in (over, ours)] for seed in seeds]
    mean = resampled_gain(judge, pairs)
    ends = {name: (gained[name], *intervals.limits(mean[name])) for name in mean}
    table = pd.DataFrame(ends, index=["gain", "low", "high"]).T.rename_axis("of").reset_index()
    return table.assign(plan=plan, way=ours, seeds=len(seeds)).round(4)


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, help="data/, data_test/, answer.csv, index.csv")
    parser.add_argument("--weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--plan", choices=list(PLANS), default="final")
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/bench_accuracy"))
    options = parser.parse_args()
    rows = recorded()
    if options.real is None:
        print("accuracy against plain yolov5, as recorded (--real trains what is missing):")
        print("\n".join(f"{plan}\n{told(rows, plan)}" for plan in rows["plan"].unique()))
        return
    index = pd.read_csv(options.real / "index.csv").set_index("image_id")
    sets = parts(options.real, index, options.plan)
    kind = groups(index, sets[1].images["image_id"])
    for seed in range(options.seeds):
        for way in options.ways:
            if (rows[KEYS] == [options.plan, way, seed]).all(axis=1).any():
                continue
            row = one_row(way, seed, options, sets, kind)
            rows = pd.concat([recorded(), pd.DataFrame([row])], ignore_index=True)
            rows.to_csv(RESULTS, index=False)
            print(row, flush=True)
    print(told(rows, options.plan))
    ways = [way for way in options.ways if way.startswith("auto")]
    names = [f"{way}-{n}" for way in {PLAIN, "auto", *ways} for n in range(options.seeds)]
    files = [options.work / f"{options.plan}-{name}.csv" for name in names]
    if ways and all(file.is_file() for file in files):
        seeds, mine = range(options.seeds), rows[rows["plan"] == options.plan]
        tables = [gain(sets[1], options.work, mine, seeds, way) for way in ways]
        kept = pd.read_csv(GAINS)
        kept = kept[(kept["plan"] != options.plan) | ~kept["way"].isin(ways)]
        pd.concat([kept, *tables]).to_csv(GAINS, index=False)
        print(GAINS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
