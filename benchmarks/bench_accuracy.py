"""What our training and plain yolov5's reach on the same data, from the same weights, in the same
number of epochs.

    python benchmarks/bench_accuracy.py --data-yaml OUT/local/multilabel_split.yaml --init-weights
    yolov5n.pt

Three ways, each once a seed: "plain" is yolov5's train.run with its defaults, "ours" the same
hyperparameters through our loop (which picks the best epoch by AP75), "ours, nominal batch" the
same with gradients gathered to the batch alone and not to 64 images, what few epochs on few images
want. best.pt of each is scored by `evaluate` on the validation images: yolov5's mAP50,
mAP75 and mAP50-95, and the contest's mAP75. Prints a row a run, then means. Without --data-yaml
nothing is measured: drawn scenes would say nothing here.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

import pandas as pd

from livestock_utils.detect import settings as training_settings
from livestock_utils.detect import yolov5
from livestock_utils.detect.train import run as training_run

METRICS = ["P", "R", "mAP50", "mAP75", "mAP50-95", "mAP75_contest"]


def plain(options: argparse.Namespace, folder: Path, seed: int) -> Path:
    """best.pt of plain yolov5 with its defaults (through the shims that make it run on today's
    releases)."""
    with yolov5.yolov5() as y5, contextlib.redirect_stderr(io.StringIO()):
        train = y5.module("train")
        settings = train.parse_opt(True)
        vars(settings).update(
            data=str(options.data_yaml.resolve()),
            weights=str(options.init_weights.resolve()),
            cfg="",
            epochs=options.epochs,
            imgsz=options.image_size,
            batch_size=options.batch_size,
            workers=0,
            device="cpu",
            project=str(folder),
            name="run",
            noplots=True,
            cache="ram",
            seed=seed,
            hyp=str(training_settings.hyp_file(None)),
        )
        train.main(settings)
    return folder / "run" / "weights" / "best.pt"


def ours(options: argparse.Namespace, folder: Path, seed: int, nominal_batch: int) -> Path:
    """best.pt of our training with the same hyperparameters."""
    settings = training_settings.TrainSettings(
        model=options.model,
        init_weights=options.init_weights,
        epochs=options.epochs,
        image_size=options.image_size,
        batch_size=options.batch_size,
        nominal_batch=nominal_batch,
        seed=seed,
        loggers=(),
    )
    run = training_run.train(
        options.data_yaml, None, folder / "run", settings, final_evaluation=False
    )
    return run.best


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-yaml", type=Path, help="a data.yaml, such as notebook 05 leaves in OUT/local"
    )
    parser.add_argument("--init-weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    if options.data_yaml is None:
        print("accuracy against plain yolov5: left out, it needs --data-yaml with real photos")
        return
    ways = {
        "plain": plain,
        "ours": lambda *given: ours(*given, 64),
        "ours, nominal batch": lambda *given: ours(*given, options.batch_size),
    }
    rows = []
    for seed in range(options.seeds):
        for name, train in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                best = train(options, Path(folder), seed)
                seconds = time.perf_counter() - began
                table = training_run.evaluate(
                    best,
                    options.data_yaml,
                    image_size=options.image_size,
                    batch_size=options.batch_size,
                )
            rows.append({"way": name, "seed": seed, **table.loc["all", METRICS].to_dict()})
            listed = ", ".join(f"{metric} {rows[-1][metric]:.3f}" for metric in METRICS)
            print(f"{name}, seed {seed}: {listed}; {seconds:.0f} s", flush=True)
    print(pd.DataFrame(rows).groupby("way", sort=False)[METRICS].mean().round(3).to_string())


if __name__ == "__main__":
    main()
