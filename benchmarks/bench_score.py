"""The contest's score at the contest's size: ours against map-boxes and faster-coco-eval, tables
in, numbers out.

python benchmarks/bench_score.py [--rounds 3] [--pycocotools]

10,647 answers on 2,057 images and 113,284 predictions, generated. All sides start from the same two
DataFrames and run in turns; the conversion to what each peer reads is part of its time; only
map-boxes gets its own columns as shares, ready made. faster-coco-eval runs once before the rounds
(warm), at the one IoU and area that the contest needs.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from livestock_utils.core import species
from livestock_utils.evaluate.scoring import intervals, metrics

N_IMAGES, N_ANSWERS, N_PREDICTIONS = 2_057, 10_647, 113_284


def tables(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(answers as shares, predictions in pixels, predictions as shares), sorted by image and
    descending confidence."""
    rng = np.random.default_rng(seed)
    kinds = np.where(rng.random(N_IMAGES) < 0.26, "pig", "cow")
    ids = np.array([f"livestock_{kind}_bbox_{number:06d}.jpg" for number, kind in enumerate(kinds)])
    frames = np.array([species.by_name(kind).contest_size_px for kind in kinds])
    crowd = np.where(kinds == "pig", 10.0, 3.4)
    image = np.sort(rng.choice(N_IMAGES, N_ANSWERS, p=crowd / crowd.sum()))
    size = rng.uniform(60, 400, (N_ANSWERS, 2))
    low = rng.uniform(0, 1, (N_ANSWERS, 2)) * (frames[image] - size)
    truth = np.hstack([low, low + size])
    source = rng.integers(0, N_ANSWERS, N_PREDICTIONS)
    shake = rng.normal(0, 1, (N_PREDICTIONS, 4)) * np.tile(size, 2)[source]
    found = truth[source] + shake * rng.choice([0.02, 0.1, 0.5], (N_PREDICTIONS, 1))
    found = np.hstack(
        [np.minimum(found[:, :2], found[:, 2:]), np.maximum(found[:, :2], found[:, 2:])]
    )
    confidence = rng.permutation(N_PREDICTIONS).astype(np.float32) / np.float32(N_PREDICTIONS)
    order = np.lexsort((-confidence, image[source]))
    source, found, confidence = source[order], found[order], confidence[order]

    def contest(image_ids: np.ndarray, labels: np.ndarray, xyxy: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "ImageID": image_ids,
                "LabelName": labels,
                "XMin": xyxy[:, 0],
                "XMax": xyxy[:, 2],
                "YMin": xyxy[:, 1],
                "YMax": xyxy[:, 3],
            }
        )

    answers = contest(ids[image], kinds[image], truth / np.tile(frames[image], 2))
    submitted = contest(ids[image[source]], kinds[image[source]], found)
    shares = contest(
        ids[image[source]], kinds[image[source]], found / np.tile(frames[image[source]], 2)
    )
    submitted.insert(2, "Conf", confidence)
    shares.insert(2, "Conf", confidence)
    return answers, submitted, shares


def map_boxes_score(answers: pd.DataFrame, shares: pd.DataFrame) -> float:
    """The contest's own scorer."""
    with contextlib.redirect_stdout(io.StringIO()):
        from map_boxes import mean_average_precision_for_boxes
    return float(
        mean_average_precision_for_boxes(answers, shares, iou_threshold=0.75, verbose=False)[0]
    )


def coco_score(
    answers: pd.DataFrame, shares: pd.DataFrame, make_coco: Callable, evaluator: Callable
) -> float:
    """AP75 by a COCO evaluator, from the same tables."""
    number = {name: index for index, name in enumerate(answers["ImageID"].unique(), start=1)}
    category = {"pig": 1, "cow": 2}

    def records(table: pd.DataFrame) -> list[dict]:
        width, height = table["XMax"] - table["XMin"], table["YMax"] - table["YMin"]
        boxes = np.column_stack([table["XMin"], table["YMin"], width, height]).tolist()
        frame = pd.DataFrame(
            {
                "image_id": table["ImageID"].map(number),
                "category_id": table["LabelName"].map(category),
                "bbox": boxes,
                "area": width * height,
                "iscrowd": 0,
                "id": range(1, len(table) + 1),
            }
        )
        if "Conf" in table:
            frame["score"] = table["Conf"].astype(float)
        return frame.to_dict("records")

    with contextlib.redirect_stdout(io.StringIO()):
        truth = make_coco()
        truth.dataset = {
            "info": {},
            "images": [{"id": index} for index in number.values()],
            "categories": [{"id": index, "name": name} for name, index in category.items()],
            "annotations": records(answers),
        }
        truth.createIndex()
        run = evaluator(truth, truth.loadRes(records(shares)), "bbox")
        run.params.iouThrs = np.array([0.75])
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.params.maxDets = [100]
        run.evaluate()
        run.accumulate()
    return float(run.eval["precision"][0, :, :, 0, 0].mean())


def main() -> None:
    """Print the medians of all sides, the ratios, and what a score costs once the boxes are
    matched."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--pycocotools", action="store_true", help="time pycocotools as well (17 s a round)"
    )
    options = parser.parse_args()
    answers, submitted, shares = tables()
    from faster_coco_eval import COCO, COCOeval_faster

    sides: dict[str, Callable[[], float]] = {
        "livestock_utils": lambda: metrics.contest_score(answers, submitted)[0],
        "livestock_utils, shuffled rows": lambda: metrics.contest_score(answers, shuffled)[0],
        "map-boxes": lambda: map_boxes_score(answers, shares),
        "faster-coco-eval": lambda: coco_score(answers, shares, COCO, COCOeval_faster),
    }
    if options.pycocotools:
        from pycocotools.coco import COCO as SlowCOCO
        from pycocotools.cocoeval import COCOeval

        sides["pycocotools"] = lambda: coco_score(answers, shares, SlowCOCO, COCOeval)
    shuffled = submitted.sample(frac=1, random_state=0)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    values = {
        name: side()
        for name, side in sides.items()
        if name in ("livestock_utils", "faster-coco-eval")
    }
    for _ in range(options.rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            values[name] = side()
            seconds[name].append(time.perf_counter() - start)
    ours = statistics.median(seconds["livestock_utils"])
    print(f"{N_ANSWERS} answers, {N_PREDICTIONS} predictions, median of {options.rounds} rounds")
    for name, runs in seconds.items():
        middle = statistics.median(runs)
        print(
            f"  {name:31s} {middle:8.3f} s   {middle / ours:6.1f} x ours   AP75 {values[name]:.6f}"
        )
    difference = abs(values["livestock_utils"] - values["map-boxes"])
    print(f"  difference to map-boxes {difference:.1e}; COCO's AP75 differs by its definition")
    matches = metrics.contest_matches(answers, submitted)
    for title, work in (
        ("AP75 from matched arrays", lambda: metrics.average_precisions(matches)),
        ("1,000 bootstrap resamples", lambda: intervals.bootstrap(matches)),
        ("paired comparison, 1,000 resamples", lambda: intervals.compare(matches, matches)),
    ):
        start = time.perf_counter()
        work()
        print(f"  {title:36s} {time.perf_counter() - start:8.4f} s")


if __name__ == "__main__":
    main()
