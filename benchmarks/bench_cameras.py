"""What a model does in a barn it has never seen, and what one to five labelled frames of it gain.

    python benchmarks/bench_cameras.py --real DIR --weights yolov5n.pt --plan screen

DIR and plain yolov5 as in bench_accuracy.py. The cameras are chute, passage and pen of `data`, by
its index.csv; photos of the web and of COCO always train, `photos` of them drawn once. `data_test`
is never read. For each camera: plain yolov5 and ours trained without it, then ours adapted with 1
and with 5 labelled frames (and its other frames without their labels), all of them scored on the
frames that were labelled for none of them: contest AP75, recall at IoU .5 and count error at the
thresholds that are best on 80 photos from elsewhere that nothing trained on, and the paired
difference in AP75 to ours that never saw the camera, with its interval over the frames. Each row
of benchmarks/results/cameras.csv is one training: the same command trains what is missing; runs
stay in --work. Without --real it prints the rows that are there.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import bench_accuracy
import pandas as pd
from bench_accuracy import PLAIN

import livestock_utils as lu
from livestock_utils import __version__
from livestock_utils.colab import training_folder
from livestock_utils.core.photos import Photos
from livestock_utils.data.split import cameras
from livestock_utils.detect.predict import unseen
from livestock_utils.detect.tune import looking
from livestock_utils.evaluate.scoring import tables

RESULTS = Path(__file__).parent / "results" / "cameras.csv"
CAMERAS = {"chute": "p81000_chute", "passage": "yumin_passage", "pen": "cvpdl_pen_day"}
PLANS = {
    "tiny": {"photos": 30, "epochs": 1, "size": 128},
    "screen": {"photos": 100, "epochs": 8, "size": 320},
}
OURS = "auto, never seen"
WAYS = {PLAIN: 0, OURS: 0, "1 frame": 1, "5 frames": 5}
"""Way -> labelled frames of the camera."""
KEYS = ["plan", "camera", "way", "seed"]


def parts(real: Path, plan: str) -> tuple[Photos, dict[str, Photos], Photos]:
    """The photos of a plan, cameras among them, those of each camera, and 80 to set thresholds."""
    photos = lu.read_archives(real / "data")
    index = pd.read_csv(real / "index.csv").set_index("image_id")
    source = index.loc[photos.images["image_id"], "source"]
    elsewhere = photos.select(source.index[~source.isin(CAMERAS.values())])
    drawn = elsewhere.sample(PLANS[plan]["photos"], seed=0)
    ids = [*drawn.images["image_id"], *source.index[source.isin(CAMERAS.values())]]
    found = cameras.held_out(photos, source, list(CAMERAS.values()))
    spare = elsewhere.without(drawn).sample(80, seed=0)
    return photos.select(ids), {name: found[key] for name, key in CAMERAS.items()}, spare


def one_row(
    plan: str, name: str, way: str, seed: int, options: argparse.Namespace, sets: Any
) -> dict[str, Any]:
    """Train one way, score it; the trainings and predictions of the camera stay in --work."""
    photos, found, spare = sets
    camera, size = found[name], PLANS[plan]["size"]
    train = photos.without(camera)
    watched = train.sample(8, seed=1)
    labelled = cameras.pick_frames(camera, WAYS[way] or 1, seed)
    judge = camera.without(camera.select(cameras.pick_frames(camera, 5, seed)))
    settings = lu.TrainSettings(
        options.model,
        init_weights=options.weights,
        epochs=PLANS[plan]["epochs"],
        image_size=size,
        patience=0,
        loggers=(),
        seed=seed,
    )
    place = options.work / plan / f"{name}-{seed}"
    began = time.perf_counter()
    if way == PLAIN:
        bench_accuracy.PLANS["cameras"] = PLANS[plan]
        asked = argparse.Namespace(**{**vars(options), "plan": "cameras"})
        with tempfile.TemporaryDirectory() as folder:
            weights = bench_accuracy.train_plain(train, watched, asked, Path(folder), seed)
            predicted = lu.predict(weights, judge, image_size=size)
            shown = looking.seen(spare, lu.predict(weights, spare, image_size=size))[1]
    else:
        run = lu.train(train, watched, place / "never", settings, final_evaluation=False)
        if WAYS[way]:
            known = dataclasses.replace(settings, init_weights=run.last)
            folder = training_folder(place, f"adapted{WAYS[way]}")
            run = unseen.adapt(photos, camera, labelled, folder, known)
        predicted = lu.predict(run.last, judge, image_size=size)
        shown = looking.seen(spare, lu.predict(run.last, spare, image_size=size))[1]
    seconds = time.perf_counter() - began
    row = {"plan": plan, "camera": name, "way": way, "seed": seed}
    row |= unseen.scores(judge, predicted, shown)
    if way != OURS:
        never = lu.Run(place / "never")
        if never.finished:
            before = lu.predict(never.last, judge, image_size=size)
            gain = tables.paired_difference(judge, before, predicted).loc["all"]
            ends = gain[["difference", "low", "high"]].astype(float)
            row |= {"gain": ends.iloc[0], "gain_low": ends.iloc[1], "gain_high": ends.iloc[2]}
    rounded = {k: round(float(v), 4) if isinstance(v, float) else v for k, v in row.items()}
    about = {"seconds": round(seconds), "version": __version__}
    return {**rounded, **about, "settings": json.dumps(PLANS[plan])}


def told(rows: pd.DataFrame) -> str:
    """Means over the seeds; the intervals are those of single seeds, averaged."""
    numbers = ["images", "AP75", "AP75_low", "AP75_high", "recall", "count_error"]
    numbers += ["gain", "gain_low", "gain_high", "seconds"]
    groups = rows.groupby(["plan", "camera", "way"], sort=False)
    table = groups[numbers].mean().round(3)
    table.insert(0, "seeds", groups.size())
    return table.to_string()


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--plan", choices=list(PLANS), default="screen")
    parser.add_argument("--cameras", nargs="*", default=list(CAMERAS))
    parser.add_argument("--ways", nargs="*", default=[OURS, "1 frame", "5 frames", PLAIN])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/bench_cameras"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = pd.read_csv(options.results) if options.results.is_file() else pd.DataFrame(columns=KEYS)
    if options.real is not None:
        plan, sets = options.plan, parts(options.real, options.plan)
        wanted = [
            (name, way, seed)
            for seed in range(options.seeds)
            for name in options.cameras
            for way in options.ways
        ]
        for name, way, seed in wanted:
            if (rows[KEYS] == [plan, name, way, seed]).all(axis=1).any():
                continue
            row = one_row(plan, name, way, seed, options, sets)
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
            rows.to_csv(options.results, index=False)
            print(row, flush=True)
    print(told(rows))


if __name__ == "__main__":
    main()
