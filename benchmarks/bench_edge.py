"""Exports against PyTorch at batch 1, and the bundle's runner against its network alone:
`--weights`, `--pixels`.

In one process and one run, interleaved, same threads: PyTorch eager (inference mode, fused), ONNX
Runtime float32 and INT8; medians and ratios (aim: ONNX Runtime 1.8 x PyTorch). INT8's drop in AP75
is measured on drawn images against the weights' own boxes of confidence .3 and above. Then the
runner at confidence .25 and .001, with hard and soft NMS outside, hard NMS inside, and soft-NMS
with votes and re-scoring as notebook 11 may choose it: letterbox to boxes over the plain network
alone, the median ratio of REPEATS runs (aim with hard NMS: 1.15 x), its own part in ms, and what
decoding a 1920 x 1080 JPEG adds. Then a folder of such photos at 320 px by the runner and by
yolov5's detect.run, both without their start (aim: 2.5 x), and the page's ms an image in Chromium
beside the runner's. Last it times torchvision's Faster R-CNN as a two-stage teacher that gives a
predictions table for `distill` (random weights: only its cost is shown).
"""

import argparse
import functools
import os
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from bench_predict import seconds, theirs

from livestock_utils.assets import edge_runner
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.photos import Photos
from livestock_utils.core.project import PACKAGE
from livestock_utils.data.aihub.folder import read_archives
from livestock_utils.data.sample import drawing
from livestock_utils.detect.export import bundle, formats
from livestock_utils.detect.export.latency import open_network
from livestock_utils.detect.predict import engine, rescoring
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.detect.train import data, distill
from livestock_utils.evaluate.scoring import tables

sys.path.append(str(PACKAGE.parent / "tests"))
import in_chromium

ASSET = PACKAGE / "assets" / "yolov5n_sample.pt"
ROUNDS, WARM_UP, REPEATS = 30, 5, 5
RESCORER = {
    "features": list(rescoring.FEATURES),
    "weights": [0.1] * len(rescoring.FEATURES),
    "bias": {"pig": 0.0, "cow": 0.0},
}
PAGE = """
    await until(() => state.ready, "ready");
    told.ms = [];
    for (let turn = 0; turn < 13; turn++) {
      const before = state.found;
      drop(await file("photo.jpg"));
      await until(() => state.found && state.found !== before, "boxes");
      told.ms.push([state.whole, state.network]);
    }
"""


def interleaved(calls: dict, rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each call; one of each a round."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + WARM_UP):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= WARM_UP:
                taken[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(ms) for name, ms in taken.items()}


def networks(folder: Path, weights: Path, pixels: int, threads: int) -> None:
    """PyTorch, ONNX Runtime and INT8 side by side at pixels x pixels."""
    drawing.write_sample(folder / "sample", n_images=40, n_test_images=0)
    images = read_archives(folder / "sample" / "data").images
    train, valid = images.iloc[::2].reset_index(drop=True), images.iloc[1::2].reset_index(drop=True)
    place = folder / "sample" / "data"
    plain = formats.export(weights, folder, "onnx", image_size=pixels)
    calibration = formats.Calibration(Photos(train, folder=place), pixels, n=16)
    small = formats.export(weights, folder, "onnx-int8", image_size=pixels, calibration=calibration)
    batch = np.random.default_rng(0).random((1, 3, pixels, pixels), dtype=np.float32)
    ms = interleaved(
        {
            name: functools.partial(open_network(str(path), threads), batch)
            for name, path in (("PyTorch", weights), ("ONNX Runtime", plain), ("INT8", small))
        }
    )
    options = {"image_size": pixels, "batch_size": 1}
    photos = Photos(valid, folder=place)
    found = {
        name: engine.predict(path, photos, **options)
        for name, path in (("ONNX Runtime", plain), ("INT8", small))
    }
    sure = engine.predict(weights, photos, confidence_threshold=0.3, **options)
    boxes = sure[["image_id", "species", *XYXY]]
    drop = tables.paired_difference(Photos(valid, boxes), found["ONNX Runtime"], found["INT8"]).loc[
        "all"
    ]
    listed = ", ".join(f"{name} {value:.1f} ms" for name, value in ms.items())
    print(f"{pixels} px, batch 1, {threads} threads: {listed}")
    print(f"ONNX Runtime: {ms['PyTorch'] / ms['ONNX Runtime']:.2f} x PyTorch eager (aim: 1.8 x)")
    print(
        f"INT8: {ms['ONNX Runtime'] / ms['INT8']:.2f} x float32 ONNX, AP75 "
        f"{drop['difference']:+.4f} [{drop['low']:+.4f}, {drop['high']:+.4f}]"
    )


def runner(folder: Path, weights: Path, pixels: int, threads: int) -> None:
    """The runner's own part by confidence and suppression, and the share of decoding."""
    images = read_archives(folder / "sample" / "data").images
    row = images[images["width_px"] == 1920].iloc[0]
    with ImageReader(folder / "sample" / "data") as reader:
        photo = reader.bytes(row["archive"], row["member"])
    frame = edge_runner.decode(photo)
    place = edge_runner.fit(frame.shape[1], frame.shape[0], pixels, 32)
    batch = np.random.default_rng(0).random((1, 3, place[2][1], place[2][0]), dtype=np.float32)
    plain = functools.partial(
        open_network(str(formats.export(weights, folder, "onnx", image_size=pixels)), threads),
        batch,
    )
    ways: tuple[tuple[str, str, dict], ...] = (
        ("onnx", "nms", {}),
        ("onnx-nms", "nms", {}),
        ("onnx", "soft_nms_gaussian", {}),
        ("onnx", "soft_nms_linear", {}),
        ("onnx", "soft_nms_linear", {"voting_iou": 0.8, "rescorer": RESCORER}),
    )
    for confidence in (0.25, 0.001):  # what a device shows, and what a score is measured with
        for kind, method, more in ways:
            settings = Settings(method=method, confidence_threshold=confidence, **more)
            model = formats.export(weights, folder, kind, image_size=pixels, settings=settings)
            with zipfile.ZipFile(
                bundle.write_bundle(folder, "bench", model, pixels, settings)
            ) as archive:
                archive.extractall(folder)
            detector = edge_runner.Model(folder / "edge_bench", threads)
            prepared = detector.prepare(frame, place)
            # The runner's own session where it holds the plain network: a second one's threads
            # would spin beside it.
            alone = plain if detector.inside else functools.partial(detector.network, prepared)
            calls = {
                "decode": lambda: edge_runner.decode(photo),
                "network": alone,
                "whole": lambda detector=detector: detector.detect(frame),
            }
            runs = pd.DataFrame([interleaved(calls) for _ in range(REPEATS)])
            ms, ratio = runs.median(), (runs["whole"] / runs["network"]).median()
            print(
                f"runner, {pixels} px, confidence from {confidence:g}, "
                f"{method}{' inside' * (kind == 'onnx-nms')}{', votes, re-scored' * bool(more)}: "
                f"{ms['whole']:.1f} ms, plain network alone {ms['network']:.1f} ms: {ratio:.2f} "
                f"x{' (aim: 1.15 x)' * (method == 'nms')}, own part "
                f"{ms['whole'] - ms['network']:.2f} ms; decoding {ms['decode']:.1f} ms, "
                f"{ms['decode'] / (ms['decode'] + ms['whole']):.0%} of all"
            )


def pipeline(folder: Path, weights: Path, threads: int, pixels: int = 320) -> None:
    """Files to boxes of a folder, by the runner and by yolov5's detect.run."""
    import torch

    torch.set_num_threads(threads)
    drawn = read_archives(folder / "sample" / "data").images
    rows = drawn[drawn["width_px"] == 1920].iloc[:20].to_dict("records")
    for name in ("few", "photos"):
        (folder / name).mkdir(exist_ok=True)
    with ImageReader(folder / "sample" / "data") as reader:
        for number, row in enumerate(rows):
            photo = reader.bytes(row["archive"], row["member"])
            for name in ("photos", "few") if number == 0 else ("photos",):
                (folder / name / f"{number}.jpg").write_bytes(photo)
    settings = Settings(confidence_threshold=0.25, iou_threshold=0.45)
    model = formats.export(weights, folder, image_size=pixels)
    with zipfile.ZipFile(bundle.write_bundle(folder, "whole", model, pixels, settings)) as archive:
        archive.extractall(folder)
    detector = edge_runner.Model(folder / "edge_whole", threads)

    def by_runner(where: Path) -> None:
        edge_runner.run(detector, where, folder / "boxes.csv")

    ms = {}
    for name, call in (("runner", by_runner), ("detect", lambda at: theirs(weights, at, pixels))):
        call(folder / "few")
        taken = [(seconds(call, folder / "photos"), seconds(call, folder / "few")) for _ in "123"]
        ms[name] = statistics.median(all - one for all, one in taken) / (len(rows) - 1) * 1e3
    print(
        f"files to boxes, {pixels} px, {threads} threads: runner {ms['runner']:.1f} ms an image, "
        f"yolov5 detect {ms['detect']:.1f} ms: {ms['detect'] / ms['runner']:.2f} x (aim: 2.5 x)"
    )
    if in_chromium.CHROMIUM is None:
        print("no Chromium: the page was not timed")
        return
    try:
        edge_runner.web_runtime(folder / "edge_whole", os.environ.get("ONNXRUNTIME_WEB") or None)
    except edge_runner.Problem as problem:
        print(f"the page was not timed: {problem}")
        return
    files = {"photo.jpg": (folder / "few" / "0.jpg").read_bytes()}
    told = in_chromium.run(folder / "edge_whole", folder, PAGE, files)
    page = [statistics.median(each) for each in zip(*told["ms"][3:], strict=True)]
    detector.look()
    frame = edge_runner.decode(files["photo.jpg"])
    own = interleaved({"whole": lambda: detector.detect(frame)})["whole"]
    print(
        f"letterbox to boxes, {pixels} px: the page in Chromium {page[0]:.1f} ms (network "
        f"{page[1]:.1f}), the runner {own:.1f} ms"
    )


def two_stage_teacher(folder: Path, pixels: int) -> None:
    """Faster R-CNN's boxes on two images as a predictions table that `distill` takes, and its time
    an image."""
    import torch
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    torch.manual_seed(0)
    teacher = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=3,
        box_score_thresh=0.0,
        min_size=pixels,
        max_size=pixels,
    ).eval()
    names, rows, start = ("pig", "cow"), [], time.perf_counter()
    for number in range(2):
        with torch.inference_mode():
            (found,) = teacher([torch.rand(3, 360, 640)])
        for box, label, score in zip(
            found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True
        ):
            rows.append((f"image_{number}", names[label - 1], *box, score))
    seconds = (time.perf_counter() - start) / 2
    table = pd.DataFrame(rows, columns=["image_id", "species", *XYXY, "confidence"])
    part = data.Part(
        tuple(f"image_{n}.jpg" for n in range(2)),
        tuple(np.zeros((0, 5), np.float32) for _ in range(2)),
        np.array([[640, 360]] * 2),
        (),
    )
    taught = distill.with_teacher(data.Data(names, part, part, ""), table, confidence_threshold=0.0)
    print(
        f"Faster R-CNN (MobileNet) as a teacher: {seconds * 1e3:.0f} ms an image, "
        f"{taught.train.n_boxes} boxes ride along as soft labels"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=ASSET)
    parser.add_argument("--pixels", type=int, default=640)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-teacher", action="store_true", help="leave out the two-stage teacher")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        networks(Path(folder), options.weights, options.pixels, options.threads)
        runner(Path(folder), options.weights, options.pixels, options.threads)
        pipeline(Path(folder), options.weights, options.threads)
        if not options.no_teacher:
            two_stage_teacher(Path(folder), options.pixels)


if __name__ == "__main__":
    main()
