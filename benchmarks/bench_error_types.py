"""Error types of 3,291 images x 300 predictions (generated): time and memory; and beside tidecv on
300 of the images.

Aim: at least 5 times faster than tidecv. Both get the same boxes, interleaved, medians of the
rounds; AP and losses are compared as well.
"""

import resource
import statistics
import time
import tracemalloc

import numpy as np
import pandas as pd
import tidecv
from bench_sweep import made

from livestock_utils.core.boxes import XYXY
from livestock_utils.evaluate.errors import types

IMAGES, PER_IMAGE, PEER_IMAGES, ROUNDS = 3291, 300, 300, 3
NAMES = {
    "Cls": "classification",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}


def tables(n_images: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(labels, predictions): candidates that crowd around labelled animals, confidences all
    distinct."""
    found, boxes = made(n_images, PER_IMAGE, seed)
    predictions = pd.DataFrame(found.xyxy.astype(float), columns=XYXY)
    ids, names = found.images["image_id"].to_numpy(), np.array(found.names, dtype=object)
    predictions.insert(0, "image_id", ids[found.image_index])
    predictions.insert(1, "species", names[found.class_index])
    # tidecv sorts unstably, so equal confidences would make the two differ by chance.
    rank = np.argsort(np.argsort(found.confidence, kind="stable"))
    return boxes, predictions.assign(confidence=(rank + 1) / (len(rank) + 1))


def ours(labels: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """AP lost by type."""
    table = types.ap_lost(*types.classify(labels, predictions))
    return table.set_index("error")["ap_lost"].to_dict()


def peer_data(labels: pd.DataFrame, predictions: pd.DataFrame) -> tuple[tidecv.Data, tidecv.Data]:
    """The tables as tidecv takes them; not timed."""
    truth, found = (
        tidecv.Data("labels", max_dets=PER_IMAGE),
        tidecv.Data("predictions", max_dets=PER_IMAGE),
    )
    images = {
        name: index
        for index, name in enumerate(sorted({*labels["image_id"], *predictions["image_id"]}))
    }
    for name, index in images.items():
        truth.add_image(index, name)
    kinds = {"pig": 0, "cow": 1}
    for image_id, species, *box in labels[["image_id", "species", *XYXY]].itertuples(index=False):
        truth.add_ground_truth(
            images[image_id], kinds[species], [*box[:2], box[2] - box[0], box[3] - box[1]]
        )
    for image_id, species, confidence, *box in predictions[
        ["image_id", "species", "confidence", *XYXY]
    ].itertuples(index=False):
        found.add_detection(
            images[image_id],
            kinds[species],
            confidence,
            [*box[:2], box[2] - box[0], box[3] - box[1]],
        )
    return truth, found


def theirs(truth: tidecv.Data, found: tidecv.Data) -> dict[str, float]:
    """AP lost by type, as shares."""
    tide = tidecv.TIDE(pos_threshold=0.75)
    tide.evaluate(truth, found, mode=tidecv.TIDE.BOX)
    return {NAMES[key]: value / 100 for key, value in tide.get_main_errors()["predictions"].items()}


def main() -> None:
    """Measure and print."""
    labels, predictions = tables(IMAGES)
    tracemalloc.start()
    ours(labels, predictions)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ours(labels, predictions)
        taken.append(time.perf_counter() - start)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{IMAGES} images x {PER_IMAGE} predictions, {len(labels)} labels: median "
        f"{statistics.median(taken):.1f} s of {ROUNDS}; {peak / 2**20:.0f} MiB on top of the "
        f"tables, process {resident:.0f} MiB"
    )
    labels, predictions = tables(PEER_IMAGES, seed=1)
    truth, found = peer_data(labels, predictions)
    us, them = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        mine = ours(labels, predictions)
        us.append(time.perf_counter() - start)
        start = time.perf_counter()
        other = theirs(truth, found)
        them.append(time.perf_counter() - start)
    one, two = statistics.median(us), statistics.median(them)
    apart = max(abs(mine[name] - value) for name, value in other.items())
    print(
        f"{PEER_IMAGES} images: {one:.2f} s, tidecv {two:.2f} s: {two / one:.1f} x (aim: 5 x); "
        f"losses differ by at most {apart:.1e}"
    )


if __name__ == "__main__":
    main()
