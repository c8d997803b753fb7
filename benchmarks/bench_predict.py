"""Images a second of prediction against `yolov5 detect`, same photos, pixels, thresholds and
threads; and its memory.

    python benchmarks/bench_predict.py [--images 120] [--pixels 640] [--rounds 3] [--weights W.pt]

Both read JPEGs of 1920 x 1080 from a folder, save nothing, use fused weights. Ours in PyTorch (aim:
1.0 x) and in ONNX Runtime (aim: 1.5 x, better 2). Rounds are interleaved; medians and ratios are
printed, loading the model left out of neither side. Peak memory is measured in fresh processes at
200 and 2,000 images.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def write_photos(folder: Path, count: int) -> None:
    """`count` JPEGs of 1920 x 1080: a few drawn pictures, repeated."""
    import cv2
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(6):
        coarse = rng.integers(0, 255, (27, 48, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(picture.astype(int) + rng.integers(-12, 13, picture.shape), 0, 255).astype(
            np.uint8
        )
        pictures.append(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    for number in range(count):
        (folder / f"photo_{number:05d}.jpg").write_bytes(pictures[number % len(pictures)])


def ours(weights: Path, folder: Path, pixels: int, backend: str) -> None:
    """Predict a folder with the library."""
    from livestock_utils.detect.predict import engine, media

    engine.predict(
        weights,
        media.find(folder),
        image_size=pixels,
        confidence_threshold=0.25,
        iou_threshold=0.45,
        multi_label=False,
        max_detections=1000,
        backend=backend,
        any_classes=True,
    )


def theirs(weights: Path, folder: Path, pixels: int) -> None:
    """Predict a folder with yolov5's detect.run, nothing saved."""
    from livestock_utils.detect import yolov5

    with yolov5.yolov5(trust=True) as y5, tempfile.TemporaryDirectory() as project:
        y5.module("detect").run(
            weights=str(weights),
            source=str(folder),
            imgsz=pixels,
            nosave=True,
            device="cpu",
            project=project,
            conf_thres=0.25,
            iou_thres=0.45,
        )


def seconds(call, *arguments) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def memory(weights: Path, work: Path, pixels: int) -> None:
    """Peak resident memory of a fresh process at 200 and 2,000 images."""
    for count in (200, 2000):
        folder = work / f"m{count}"
        write_photos(folder, count)
        command = [
            sys.executable,
            __file__,
            "--child",
            str(folder),
            "--weights",
            str(weights),
            "--pixels",
            str(pixels),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"peak memory at {count} images: {done.stdout.strip()} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--pixels", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", type=Path, help="default: a YOLOv5n of random weights")
    parser.add_argument(
        "--no-memory", action="store_true", help="leave out the peak memory at 200 and 2,000 images"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        ours(options.weights, options.child, options.pixels, "torch")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    from made_network import write_network

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        weights = options.weights or write_network(work / "tiny.pt")
        local = work / "weights.pt"
        local.write_bytes(weights.read_bytes())
        write_photos(work / "photos", options.images)
        write_photos(work / "few", 2)
        ways = {
            "yolov5 detect": lambda where: theirs(local, where, options.pixels),
            "ours, PyTorch": lambda where: ours(local, where, options.pixels, "torch"),
            "ours, ONNX Runtime": lambda where: ours(local, where, options.pixels, "onnx"),
        }
        for call in ways.values():
            call(work / "few")  # imports, export, first allocations
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, call in ways.items():
                taken[name].append(seconds(call, work / "photos"))
        medians = {name: statistics.median(values) for name, values in taken.items()}
        for name, value in medians.items():
            print(
                f"{name:20s} {options.images / value:6.1f} images/s, "
                f"{medians['yolov5 detect'] / value:.2f} x detect"
            )
        if not options.no_memory:
            memory(local, work, options.pixels)


if __name__ == "__main__":
    main()
