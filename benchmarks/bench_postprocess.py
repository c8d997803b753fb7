"""What can be won after the network: post-processing, passes and re-scoring, chosen on a watched
fold and reported once on photos that chose nothing.

    python benchmarks/bench_postprocess.py --real DIR --weights yolov5n.pt

DIR as for bench_accuracy.py. For each of `--folds` a network is trained on `data` without that fold
(recipe auto, 320 px, 15 epochs, seed = fold) and its candidates are kept in `--work`; the same
command makes only what is missing. On the fold are chosen: passes (one alone, or up to six), the
settings of notebook 11's sweep, and whether boxes are re-scored. Rows of
benchmarks/results/postprocess.csv: AP75 on `data_test`, gain over NMS .68 at 320 px with its
interval over resampled photos, mean of the networks, and the whole's milliseconds an image. Without
--real it prints the rows that are there, and times the sweep on drawn candidates (aim: 210 settings
of 2,000 x 300 candidates below 10 s, voting included).
"""

import argparse
import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
from bench_accuracy import groups, test_photos
from bench_sweep import made

import livestock_utils as lu
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import candidates, engine, postprocess
from livestock_utils.detect.tune import choice, front, rescore, sweep
from livestock_utils.evaluate.scoring import intervals, metrics

RESULTS = Path(__file__).parent / "results" / "postprocess.csv"
PASSES = ("plain", "flip", "x1.2", "x1.2-flip", "x1.4", "x1.4-flip")
S = lu.PostprocessSettings
REFERENCE = S(passes=("plain",))
FIXED = {
    "NMS .68": REFERENCE,
    "NMS .60": S(iou_threshold=0.6, passes=("plain",)),
    "DIoU-NMS .6": S("diou_nms", iou_threshold=0.6, passes=("plain",)),
    "soft-NMS .7": S("soft_nms_linear", iou_threshold=0.7, passes=("plain",)),
    "weighted NMS .68": S(voting_iou=0.68, passes=("plain",)),
    "merge-NMS .68": S(voting_iou=0.68, voting_weight="confidence", passes=("plain",)),
    "NMS .68, voting .7": S(voting_iou=0.7, passes=("plain",)),
    "NMS .68, voting .8": S(voting_iou=0.8, passes=("plain",)),
    "soft-NMS .7, voting .8": S(
        "soft_nms_linear", iou_threshold=0.7, voting_iou=0.8, passes=("plain",)
    ),
    "fusion of 6 passes": S("fusion", iou_threshold=0.65, fusion_nms=0.68),
}
"""Settings that nothing chose."""


def network(fold: int, photos: Photos, options: argparse.Namespace) -> Path:
    """Weights of the network that has not seen the fold."""
    path = options.work / f"fold{fold}.pt"
    if not path.is_file():
        settings = lu.TrainSettings(
            *("yolov5n", options.weights),
            epochs=15,
            image_size=320,
            patience=0,
            loggers=(),
            seed=fold,
        )
        run = lu.train(
            photos,
            photos.sample(8, seed=1),
            options.work / f"run{fold}",
            settings,
            final_evaluation=False,
        )
        shutil.copy(run.last, path)
    return path


def of_photos(name: str, weights: Path, photos: Photos, work: Path) -> candidates.Candidates:
    """All passes of these photos, from disk where they are there."""
    path = work / f"{name}.npz"
    if path.is_file() and set(candidates.load(path).passes) >= set(PASSES):
        return candidates.load(path).of_passes(PASSES)
    found = engine.collect_candidates(weights, photos, image_size=320, floor=0.0003, passes=PASSES)
    candidates.save(path, found)
    return found


def chosen(
    found: candidates.Candidates, photos: Photos, ms: dict[str, float]
) -> dict[str, lu.PostprocessSettings]:
    """What the watched fold chooses: in one pass of any pixels, and in up to six."""
    table = front.front(found, photos.boxes, ms, n_resamples=50)
    one = (
        table[~table["passes"].str.contains("+", regex=False)].sort_values("ap75")["names"].iloc[-1]
    )
    many = table.loc[table["chosen"], "names"].iloc[0]
    settings = {}
    for name, passes in (("320 px", ("plain",)), ("one pass", one), ("passes", many)):
        part = found.of_passes(passes)
        best = choice.choose(part, photos.boxes, n_resamples=50).settings
        best = dataclasses.replace(best, passes=best.passes or passes)
        settings[f"chosen, {name}"] = best
        numbers = rescore.fitted(part, photos.boxes, best) if best.method != "fusion" else None
        settings[f"chosen, {name}, re-scored always"] = dataclasses.replace(best, rescorer=numbers)
        taken = rescore.rescored(part, photos.boxes, best).settings
        settings[f"chosen, {name}, re-scored where it paid"] = taken
    return settings


def scored(found: candidates.Candidates, photos: Photos, settings: lu.PostprocessSettings, kind):
    """AP75 in all and by kind of photo, its values on resampled photos, and seconds."""
    began = time.perf_counter()
    table = postprocess.apply(found, settings)
    seconds = time.perf_counter() - began
    truth = sweep.Truth(found, photos.boxes)
    matches = truth.match(postprocess.detections(found, settings))
    draws = intervals.draw_images(len(truth.image_ids), 2000)
    samples = intervals.resampled(matches, draws)["all"].to_numpy()
    values = metrics.average_precisions(matches)
    row = {"AP75": float(np.mean([*values.values()])), **values}
    for name in ("COCO cow", "other cow"):
        ids = kind.index[kind == name]
        part = lu.score(photos.select(ids), table[table["image_id"].isin(ids)])
        row[name] = part.loc["cow", "mAP75"]
    return row, samples, 1000 * seconds / len(found.images)


def main() -> None:
    """Make what is missing, report, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--work", type=Path, default=Path("runs/bench_postprocess"))
    options = parser.parse_args()
    if options.real is not None:
        report(options).to_csv(RESULTS, index=False)
    if RESULTS.is_file():
        print(pd.read_csv(RESULTS).to_string(index=False))
    found, boxes = made()
    began = time.perf_counter()
    tried = sweep.evaluate(found, boxes)
    voted = sweep.evaluate(found, boxes, [S(voting_iou=0.7)])
    ratio = voted["detections_per_image"].iloc[0] / tried["detections_per_image"].max()
    print(f"210 settings and one with voting: {time.perf_counter() - began:.1f} s ({ratio:.2f})")


def report(options: argparse.Namespace) -> pd.DataFrame:
    """The rows: means over the networks, gains with their intervals."""
    options.work.mkdir(parents=True, exist_ok=True)
    index = pd.read_csv(options.real / "index.csv").set_index("image_id")
    photos, judge = lu.read_archives(options.real / "data"), test_photos(options.real)
    folds = lu.stratified_folds(photos, groups=lu.lookalikes(photos))
    kind = groups(index, judge.images["image_id"])
    rows: dict[str, list] = {}
    for fold in range(options.folds):
        held = photos.fold(folds, fold)
        weights = network(fold, photos.fold(folds, fold, others=True), options)
        watched = of_photos(f"held{fold}", weights, held, options.work)
        ms = front.milliseconds([weights], held, PASSES, image_size=320)
        settings = FIXED | chosen(watched, held, ms)
        test = of_photos(f"test{fold}", weights, judge, options.work)
        _, base, _ = scored(test, judge, REFERENCE, kind)
        for name, setting in settings.items():
            row, samples, after = scored(test, judge, setting, kind)
            cost = sum(ms[one] for one in setting.passes or PASSES) + after
            rows.setdefault(name, []).append((row, samples - base, cost, setting))
        print(
            fold, {name: round(each[-1][0]["AP75"], 4) for name, each in rows.items()}, flush=True
        )
    table = []
    for name, each in rows.items():
        values = pd.DataFrame([row for row, *_ in each])
        gains = np.mean([gain for _, gain, *_ in each], axis=0)
        low, high = intervals.limits(gains)
        row = {"how": name, "networks": len(each), **values.mean().round(4)}
        row |= {"gain": round(float(gains.mean()), 4), "low": round(low, 4), "high": round(high, 4)}
        row["ms"] = round(float(np.mean([cost for _, _, cost, _ in each])), 1)
        row["settings"] = " | ".join(sorted({choice.describe(one) for *_, one in each}))
        table.append(row)
    return pd.DataFrame(table)


if __name__ == "__main__":
    main()
