"""A sweep of 210 settings (21 confidences x 10 IoUs) over 2,000 images x 300 candidates, and what
its parts cost.

Prints the sweep's time (aim: 10 s at most), that of intervals for the best five, and per setting
soft-NMS and fusion, each beside ensemble-boxes on the same images, interleaved, medians of the
rounds.
"""

import contextlib
import io
import statistics
import time
import warnings

import ensemble_boxes
import numpy as np
import pandas as pd

from livestock_utils.core import suppression
from livestock_utils.core.boxes import XYXY
from livestock_utils.detect.predict import candidates, postprocess
from livestock_utils.detect.tune import sweep

IMAGES, PER_IMAGE, ANIMALS, ROUNDS, PEER_IMAGES = 2000, 300, 7, 3, 40


def made(
    n_images: int = IMAGES, per_image: int = PER_IMAGE, seed: int = 0
) -> tuple[candidates.Candidates, pd.DataFrame]:
    """Candidates that crowd around labelled animals, and the labels."""
    rng = np.random.default_rng(seed)
    ids = [f"livestock_cow_bbox_{i:06d}" for i in range(n_images)]
    centres = rng.uniform((150, 150), (1770, 930), (n_images, ANIMALS, 2))
    sizes = rng.uniform(80, 300, (n_images, ANIMALS, 2))
    species = rng.integers(0, 2, n_images)
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=2).clip(
        0, (1920, 1080, 1920, 1080)
    )
    boxes = pd.DataFrame(corners.reshape(-1, 4), columns=XYXY)
    boxes.insert(0, "image_id", np.repeat(ids, ANIMALS))
    boxes.insert(1, "species", np.array(["pig", "cow"])[species].repeat(ANIMALS))
    which = rng.integers(0, ANIMALS + 2, (n_images, per_image))  # the last two: somewhere else
    hit = which < ANIMALS
    at = np.minimum(which, ANIMALS - 1)
    spread = rng.normal(0, 0.12, (n_images, per_image, 4))
    base = np.take_along_axis(corners, at[..., None], axis=1)
    wide = np.tile(base[..., 2:] - base[..., :2], 2)
    xyxy = (
        base
        + spread * wide
        + np.where(hit, 0, 1)[..., None] * rng.uniform(-300, 300, (n_images, per_image, 1))
    )
    confidence = np.where(hit, np.exp(-6 * np.abs(spread).mean(axis=2)), 0.1) * rng.beta(
        0.6, 2, hit.shape
    )
    flat = n_images * per_image
    found = candidates.build(
        pd.DataFrame(
            {
                **{"image_id": ids, "width_px": 1920, "height_px": 1080},
                **{"status": "ok", "found": per_image},
            }
        ),
        ("pig", "cow"),
        ("plain",),
        {"cap": per_image},
        pass_index=np.zeros(flat),
        best_class=np.ones(flat),
        image_index=np.repeat(np.arange(n_images), per_image),
        xyxy=xyxy.reshape(flat, 4),
        class_index=np.where(
            rng.random(flat) < 0.95, species.repeat(per_image), 1 - species.repeat(per_image)
        ),
        confidence=np.maximum(confidence.reshape(flat), 0.0005),
    )
    return found, boxes


def seconds(call) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peer(found: candidates.Candidates, call) -> None:
    """Run an ensemble-boxes function image by image, on boxes as shares of the frame."""
    shares = (
        found.clipped(found.image_index, found.xyxy) / np.array([1920, 1080, 1920, 1080])
    ).clip(0, 1)
    for image in range(len(found.images)):
        rows = found.image_index == image
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it leaves out
            call([shares[rows]], [found.confidence[rows].copy()], [found.class_index[rows]])


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    found, boxes = made()
    settings = sweep.grid()
    taken, tried = [], pd.DataFrame()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        tried = sweep.evaluate(found, boxes, settings)
        taken.append(time.perf_counter() - start)
    print(
        f"sweep: {len(settings)} settings on {IMAGES} images x {PER_IMAGE} candidates: median "
        f"{statistics.median(taken):.1f} s of {ROUNDS} (aim: 10 s); best AP75 "
        f"{tried['ap75'].max():.4f}"
    )
    top = tried.sort_values("ap75", ascending=False)["settings"].head(5)
    named = {f"best {i + 1}": setting for i, setting in enumerate(top)}
    print(
        "intervals of the best five, 1,000 resamplings: "
        f"{seconds(lambda: sweep.compare(found, boxes, named)):.1f} s"
    )
    small, _ = made(PEER_IMAGES, seed=1)
    pairs = {
        "soft-NMS": (
            postprocess.PostprocessSettings(method="soft_nms_gaussian", iou_threshold=0.5),
            lambda *a: ensemble_boxes.soft_nms(*a, iou_thr=0.5, sigma=0.5, thresh=0.001),
        ),
        "fusion": (
            postprocess.PostprocessSettings(method="fusion", iou_threshold=0.6),
            lambda *a: ensemble_boxes.weighted_boxes_fusion(*a, iou_thr=0.6, skip_box_thr=0.001),
        ),
    }
    for name, (setting, call) in pairs.items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(seconds(lambda setting=setting: postprocess.apply(small, setting)))
            theirs.append(seconds(lambda call=call: peer(small, call)))
        us, them = statistics.median(ours) / PEER_IMAGES, statistics.median(theirs) / PEER_IMAGES
        print(
            f"{name}: {us * 1e3:.2f} ms an image, ensemble-boxes {them * 1e3:.2f} ms: "
            f"{them / us:.1f} x; a setting on {IMAGES} images takes {us * IMAGES:.0f} s"
        )
    rows = [np.flatnonzero(small.image_index == i) for i in range(PEER_IMAGES)]
    one = (
        seconds(lambda: [suppression.nms(small.xyxy[r], small.confidence[r], 0.68) for r in rows])
        / PEER_IMAGES
    )
    print(f"hard NMS (torchvision): {one * 1e3:.2f} ms an image of {PER_IMAGE} candidates")


if __name__ == "__main__":
    main()
