"""Our training and validation against plain yolov5's train.run and val.run: same settings, same
weights, one process.

`python benchmarks/bench_train.py [--images 96] [--size 320] [--rounds 3]`. The order of the
candidates is turned round in every other round, ratios are made within a round, and medians are
printed: of epochs (training, validation and saving, from before the first epoch to after the last
save), of whole validation passes, of what mirroring takes from the main thread and in the
background, of epochs with each image cache, and of a compiled network's epochs: what compiling
takes, and after how many steps it is won back.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import yaml

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]
from training_sets import write_set  # found by the line above

from livestock_utils.core import mirror
from livestock_utils.detect import settings as training_settings  # as above
from livestock_utils.detect import yolov5  # as above
from livestock_utils.detect.train import loop
from livestock_utils.detect.train import run as training_run  # as above


def plain(data: Path, folder: Path, size: int, epochs: int, batch: int) -> tuple[float, float]:
    """Seconds of the epochs of plain yolov5 (through the same shims), without set-up and final
    validation, and of their training alone."""
    with yolov5.yolov5() as y5:
        train = y5.module("train")
    stamps: list[float] = []
    trained: list[float] = []
    with yolov5.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        callbacks = y5.module("utils.callbacks").Callbacks()
        callbacks.register_action(
            "on_train_start", callback=lambda *_: stamps.append(time.perf_counter())
        )
        callbacks.register_action(
            "on_model_save", callback=lambda *_: stamps.append(time.perf_counter())
        )
        for when, sign in (("on_train_epoch_start", -1), ("on_train_epoch_end", 1)):
            callbacks.register_action(
                when,
                callback=lambda *_, sign=sign, **__: trained.append(sign * time.perf_counter()),
            )
        options = train.parse_opt(True)
        vars(options).update(
            data=str(data),
            weights="",
            cfg=y5.model_file("yolov5n"),
            epochs=epochs,
            imgsz=size,
            batch_size=batch,
            workers=0,
            device="cpu",
            project=str(folder),
            name="run",
            noplots=True,
            cache="ram",
            hyp=str(training_settings.hyp_file(None)),
        )
        train.main(options, callbacks)
    return stamps[-1] - stamps[0], sum(trained)


def ours(
    data: Path,
    folder: Path,
    size: int,
    epochs: int,
    batch: int,
    mirror: Path | None = None,
    **settings: Any,
) -> tuple[float, pd.DataFrame]:
    """Seconds from before the first epoch to after the last one's save, and the results."""
    stamps: list[float] = []
    train_epochs = loop.epochs

    def stamped(trainer: Any) -> Iterator[dict[str, float]]:
        stamps.append(time.perf_counter())
        yield from train_epochs(trainer)

    with mock.patch.object(loop, "epochs", stamped):
        run = training_run.train(
            data,
            None,
            folder / "run",
            training_settings.TrainSettings(
                recipe="auto",  # and what yolov5 does beside its layout of images and kernels
                hyp="default",
                nominal_batch=64,
                warmup_min_iterations=100,
                epochs=epochs,
                image_size=size,
                batch_size=batch,
                loggers=(),
                best_metric="fitness",
                **settings,
            ),
            mirror=mirror,
            final_evaluation=False,
            on_epoch=lambda *_: stamps.append(time.perf_counter()),
        )
    return stamps[-1] - stamps[0], run.results


def mirrored(
    data: Path, folder: Path, size: int, epochs: int, batch: int
) -> tuple[float, float, float]:
    """Seconds an epoch takes with a mirror, what asking it takes from the main thread, and its
    copying beside that."""
    asked, copied = Spent(mirror.Mirror.request), Spent(mirror.copy_checked)
    with (
        mock.patch.object(mirror.Mirror, "request", lambda self, *a, **o: asked(self, *a, **o)),
        mock.patch.object(mirror, "copy_checked", copied),
    ):
        seconds, _ = ours(data, folder, size, epochs, batch, mirror=folder / "mirror")
    return seconds / epochs, asked.seconds / epochs, copied.seconds / epochs


class Spent:
    """A function that adds up the seconds of its calls."""

    def __init__(self, function: Callable) -> None:
        """Wrap `function`."""
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call it, and count."""
        began = time.perf_counter()
        try:
            return self.function(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - began


def plain_validation(data: Path, weights: Path, folder: Path, size: int, batch: int) -> float:
    """Seconds of plain yolov5's val.run on the weights, loading included."""
    began = time.perf_counter()
    with yolov5.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        y5.module("val").run(
            data=str(data),
            weights=str(weights),
            batch_size=batch,
            imgsz=size,
            device="cpu",
            workers=0,
            plots=False,
            half=False,
            project=str(folder),
            name="val",
            exist_ok=True,
        )
    return time.perf_counter() - began


def our_validation(data: Path, weights: Path, folder: Path, size: int, batch: int) -> float:
    """Seconds of our evaluate on the weights, loading included."""
    began = time.perf_counter()
    training_run.evaluate(weights, data, image_size=size, batch_size=batch, device="cpu")
    return time.perf_counter() - began


def in_turn(index: int, candidates: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Results of all candidates, called in their order in even rounds and in the reverse one in odd
    rounds."""
    names = list(candidates)[:: 1 if index % 2 == 0 else -1]
    return {name: candidates[name]() for name in names}


def beside_a_busy_process(work: Path, data: Path, index: int) -> dict[str, float]:
    """Seconds of two trainings of an epoch that start at once, with threads that spin or sleep."""
    took = {}
    for name, policy, spins in (
        ("spinning_s", "ACTIVE", "30000000000"),  # GNU OpenMP's own count when it is told to spin
        ("sleeping_s", "PASSIVE", "0"),
    ):
        environment = {**os.environ, "OMP_WAIT_POLICY": policy, "GOMP_SPINCOUNT": spins}
        command = [sys.executable, "-m", "livestock_utils", "train", str(data)]
        given = ["--epochs", "1", "--image-size", "160", "--loggers", "none"]
        began = time.perf_counter()
        both = [
            subprocess.Popen(
                [*command, str(work / f"{name}{index}{side}"), *given],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for side in "ab"
        ]
        for process in both:
            process.wait()
        took[name] = time.perf_counter() - began
    return took


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
        relative = write_set(work / "set", options.images, options.images // 4, size_px=(960, 540))
        data = work / "data.yaml"  # plain yolov5 wants to know the folder
        data.write_text(
            yaml.safe_dump(
                {
                    **yaml.safe_load(relative.read_text(encoding="utf-8")),
                    "path": str(relative.parent),
                }
            ),
            encoding="utf-8",
        )
        rounds = pd.DataFrame(
            [one_round(work, data, index, options) for index in range(options.rounds)]
        )
    print(rounds.round(3).T.to_string())
    told = rounds.median()
    images = options.images * options.epochs
    print(
        f"epochs with validation and saving: plain {images / told['plain_s']:.1f} training "
        f"images/s, ours {images / told['ours_s']:.1f}; ratio {told['train_ratio']:.2f} (median of "
        f"{options.rounds} rounds)"
    )
    print(
        f"training alone, without validation and saving: ratio {told['train_only_ratio']:.2f} "
        "(channels_last against torch's own layout)"
    )
    print(
        "epochs beside another training that takes all cores: threads that spin "
        f"{told['spinning_s']:.1f} s, that sleep {told['sleeping_s']:.1f} s"
    )
    print(
        f"a validation of {options.images // 4} images: plain val.run {told['plain_valid_s']:.2f} "
        f"s, ours {told['ours_valid_s']:.2f} s; ratio {told['valid_ratio']:.2f}"
    )
    print(
        f"mirroring: {told['mirror_asked_s'] * 1e3:.1f} ms of the main thread an epoch, "
        f"{told['mirror_asked_s'] / told['mirror_epoch_s']:.2%} of it; copies in the background "
        f"take {told['mirror_copied_s'] * 1e3:.0f} ms, "
        f"{told['mirror_copied_s'] / told['mirror_epoch_s']:.2%}"
    )
    print(
        f"a compiled network: steps {told['compile_ratio']:.2f} x as fast after "
        f"{told['compile_once_s']:.0f} s of compiling, won back after "
        f"{told['compile_pays_steps']:.0f} steps of {options.batch} images"
    )
    print(
        "training part of an epoch by image cache: "
        + ", ".join(f"{kind} {told[f'cache_{kind}_s']:.2f} s" for kind in ("none", "ram", "disk"))
    )


def one_round(work: Path, data: Path, index: int, options: argparse.Namespace) -> dict[str, float]:
    """One measurement of everything, and its ratios (above 1: ours is faster)."""
    arguments = (options.size, options.epochs, options.batch)
    trained = in_turn(
        index,
        {
            "plain": lambda: plain(data, work / f"plain{index}", *arguments),
            "ours": lambda: ours(data, work / f"ours{index}", *arguments),
        },
    )
    weights = work / f"ours{index}" / "run" / "weights" / "best.pt"
    validated = in_turn(
        index,
        {
            name: lambda call=call: call(data, weights, work, options.size, options.batch)
            for name, call in (("plain", plain_validation), ("ours", our_validation))
        },
    )
    epoch_s, asked_s, copied_s = mirrored(data, work / f"mirrored{index}", *arguments)
    with mock.patch.dict("os.environ", {"LIVESTOCK_CACHE": str(work / "cache")}):
        caches = in_turn(
            index,
            {
                kind: lambda kind=kind: ours(data, work / f"{kind}{index}", *arguments, cache=kind)[
                    1
                ]["seconds/train"].median()
                for kind in ("none", "ram", "disk")
            },
        )
    _, compiled = ours(data, work / f"compiled{index}", *arguments, compile=True)
    (plain_s, plain_train_s), (ours_s, results) = trained["plain"], trained["ours"]
    return {
        "plain_s": plain_s,
        "ours_s": ours_s,
        "train_ratio": plain_s / ours_s,
        "train_only_ratio": plain_train_s / results["seconds/train"].sum(),
        **beside_a_busy_process(work, data, index),
        "plain_valid_s": validated["plain"],
        "ours_valid_s": validated["ours"],
        "valid_ratio": validated["plain"] / validated["ours"],
        "mirror_epoch_s": epoch_s,
        "mirror_asked_s": asked_s,
        "mirror_copied_s": copied_s,
        **{f"cache_{kind}_s": seconds for kind, seconds in caches.items()},
        **compiling(results["seconds/train"], compiled["seconds/train"], options),
    }


def compiling(
    usual: pd.Series, compiled: pd.Series, options: argparse.Namespace
) -> dict[str, float]:
    """What compiling costs once, how much faster steps are then, and the steps that win it back."""
    steps = -(-options.images // options.batch)
    step_s, faster_s = usual.iloc[1:].median() / steps, compiled.iloc[1:].median() / steps
    once_s = compiled.iloc[0] - faster_s * steps
    won_s = step_s - faster_s
    return {
        "compile_once_s": once_s,
        "compile_ratio": step_s / faster_s,
        "compile_pays_steps": once_s / won_s if won_s > 0 else float("inf"),
    }


if __name__ == "__main__":
    main()
