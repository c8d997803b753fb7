"""Images a second of training and validation: our loop against plain yolov5's train.run and val.run, same settings.

Interleaved, several rounds, medians: `python benchmarks/bench_train.py [--images 96] [--size 320] [--rounds 3]`. Also
what an image cache at the training size saves, and what mirroring costs of an epoch.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]
from training_sets import write_set  # noqa: E402  # found by the line above

from livestock_utils import compat, detector, image_cache, mirror, training_data, training_settings  # noqa: E402  # as above


def plain(data: Path, folder: Path, size: int, epochs: int, batch: int) -> float:
    """Seconds of the epochs of plain yolov5 (through the same shims), without set-up and final validation."""
    absolute = {**yaml.safe_load(data.read_text(encoding="utf-8")), "path": str(data.parent)}
    own = folder / "data.yaml"
    folder.mkdir(parents=True)
    own.write_text(yaml.safe_dump(absolute), encoding="utf-8")
    with compat.yolov5() as y5:
        train = y5.module("train")
    stamps: list[float] = []
    with compat.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        callbacks = y5.module("utils.callbacks").Callbacks()
        callbacks.register_action("on_train_start", callback=lambda *_: stamps.append(time.perf_counter()))
        callbacks.register_action("on_model_save", callback=lambda *_: stamps.append(time.perf_counter()))
        options = train.parse_opt(True)
        vars(options).update(data=str(own), weights="", cfg=y5.model_file("yolov5n"), epochs=epochs, imgsz=size,
                             batch_size=batch, workers=0, device="cpu", project=str(folder), name="run", noplots=True,
                             cache="ram", hyp=str(training_settings.hyp_file(None)))
        train.main(options, callbacks)
    return stamps[-1] - stamps[0]


def ours(data: Path, folder: Path, size: int, epochs: int, batch: int, with_mirror: bool) -> tuple[float, pd.DataFrame]:
    """Seconds from the first epoch's start to the last one's save, and the results."""
    saved: list[float] = []
    run = detector.train(data, folder / "run", epochs=epochs, image_size=size, batch_size=batch, best_metric="fitness",
                         mirror=folder / "mirror" if with_mirror else None, final_evaluation=False,
                         on_epoch=lambda *_: saved.append(time.perf_counter()))
    results = run.results
    first = results["seconds/train"][0] + results["seconds/valid"][0]  # its save is missing: one of `epochs`
    return (saved[-1] - saved[0] if epochs > 1 else 0) + first, results


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        data = write_set(work / "set", options.images, options.images // 4, size_px=(960, 540))
        table = []
        for index in range(options.rounds):
            arguments = (options.size, options.epochs, options.batch)
            seconds, results = ours(data, work / f"ours{index}", *arguments, with_mirror=False)
            mirrored, _ = ours(data, work / f"mirrored{index}", *arguments, with_mirror=True)
            table.append({"plain_s": plain(data, work / f"plain{index}", *arguments), "ours_s": seconds,
                          "ours_mirrored_s": mirrored, "train_s": results["seconds/train"].sum(),
                          "valid_s": results["seconds/valid"].sum()})
        medians = pd.DataFrame(table).median()
        seen = options.images * options.epochs
        print(pd.DataFrame(table).round(2).to_string())
        print(f"epochs with validation and saving: plain {seen / medians['plain_s']:.1f} training images/s, "
              f"ours {seen / medians['ours_s']:.1f}: {medians['plain_s'] / medians['ours_s']:.2f} x")
        print(f"ours alone: training {seen / medians['train_s']:.1f} images/s, "
              f"validation {seen / 4 / medians['valid_s']:.1f} images/s")
        print(f"mirroring costs {medians['ours_mirrored_s'] / medians['ours_s'] - 1:+.1%} of an epoch")
        part = training_data.read_data(data).train
        took = {kind: statistics.median(decode(part, options.size, kind) for _ in range(3))
                for kind in ("anew", "disk")}
        print(f"an epoch's images: decoded anew {took['anew'] * 1e3:.0f} ms, from the right-size disk cache "
              f"{took['disk'] * 1e3:.0f} ms")
        file = next((work / "ours0" / "run" / "weights").iterdir())
        began = time.perf_counter()
        mirror.copy_checked(file, work / "copy.pt")
        print(f"a checked copy of {file.stat().st_size / 1e6:.1f} MB: {(time.perf_counter() - began) * 1e3:.0f} ms")


def decode(part: training_data.Part, size: int, kind: str) -> float:
    """Seconds to touch every training image once."""
    images = image_cache.filled("disk", part.files, part.sizes_px, size, True) if kind == "disk" else None
    began = time.perf_counter()
    for index, file in enumerate(part.files):
        image = image_cache.read_resized(file, size, True) if images is None else images[index]
        image.sum()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
