"""Does a search of hyperparameters pay, from COCO's weights and the recipe `auto`?

    python benchmarks/bench_search.py --real DIR --weights yolov5n.pt --sampler tpe

Trains 30 trials of 6 epochs on 200 photos and scores each on 135 others (the plan "screen" of
bench_accuracy.py: 50 of chute and passage, which the 200 lack, and 85 pigs): AP75, ten genes, trial
0 is the recipe. A search that was interrupted goes on. Its trials go to
benchmarks/results/search_SAMPLER.csv, its best hyperparameters to search_SAMPLER.yaml. What they
gain on photos that did not choose:

    python benchmarks/bench_accuracy.py --real DIR --weights yolov5n.pt --ways auto "auto, TPE"

With nothing to read it prints the trials that are there.
"""

import argparse
import shutil
from pathlib import Path

import pandas as pd
import yaml
from bench_accuracy import parts

import livestock_utils as lu
from livestock_utils.detect.settings import HYP_FOLDER

RESULTS = Path(__file__).parent / "results"
GENES = (
    *("lr0", "lrf", "weight_decay", "box", "obj", "cls"),
    *("translate", "scale", "mosaic", "hsv_s"),
)


def searched(options: argparse.Namespace) -> pd.DataFrame:
    """The trials of one sampler's search."""
    index = pd.read_csv(options.real / "index.csv").set_index("image_id")
    train, judge, _ = parts(options.real, index, "screen")
    groups = yaml.safe_load((HYP_FOLDER / "groups.yaml").read_text(encoding="utf-8"))
    out = options.work / options.sampler
    out.mkdir(parents=True, exist_ok=True)
    file = out / "groups.yaml"
    file.write_text(yaml.safe_dump({**groups, "groups": {"ten": list(GENES)}}), encoding="utf-8")
    settings = lu.TrainSettings(
        *("yolov5n",),
        init_weights=options.weights,
        epochs=6,
        image_size=320,
        batch_size=16,
        patience=0,
    )
    search = lu.search(
        *(train, judge, out, settings),
        groups="ten",
        groups_file=file,
        sampler=options.sampler,
        trials=options.trials,
    )
    shutil.copyfile(search.hyp_file, RESULTS / f"search_{options.sampler}.yaml")
    return search.table


def main() -> None:
    """Search, keep the trials, print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, help="data/, data_test/, answer.csv, index.csv")
    parser.add_argument("--weights", type=Path, default=Path("yolov5n.pt"))
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--work", type=Path, default=Path("runs/bench_search"))
    options = parser.parse_args()
    if options.real is not None:
        table = searched(options)
        table.drop(columns="worker").round(5).to_csv(
            RESULTS / f"search_{options.sampler}.csv", index=False
        )
    for file in sorted(RESULTS.glob("search_*.csv")):
        print(file.name, pd.read_csv(file).to_string(), sep="\n")


if __name__ == "__main__":
    main()
