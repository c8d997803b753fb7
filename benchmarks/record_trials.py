"""Real trials of the sample's mini sets, recorded once for bench_samplers.py: genes, scores and
seconds as a CSV.

    python benchmarks/record_trials.py FOLDER [head-to-head]

A scrambled Sobol sequence (Owen 1998) covers the group lr_momentum evenly, and repeats of the
default with other training seeds measure the noise. Tiny on purpose: the shipped starting weights,
128 px, 3 epochs of a quarter-size sample. A stopped recording goes on with the same command.
`head-to-head` records instead what two samplers find with the same number of real trials each.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import qmc

from livestock_utils.core import files
from livestock_utils.core.photos import Photos
from livestock_utils.core.project import PACKAGE
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.sample import drawing
from livestock_utils.data.sets import writing
from livestock_utils.data.split import folds as folds_module
from livestock_utils.detect.search.genes import Gene, read_genes
from livestock_utils.detect.settings import TrainSettings, read_hyp
from livestock_utils.detect.train import run as training_run

CSV = Path(__file__).with_name("recorded_trials.csv")
HEAD_TO_HEAD_CSV = Path(__file__).with_name("recorded_head_to_head.csv")
HEAD_TO_HEAD, HEAD_TO_HEAD_TRIALS = ("genetic", "tpe"), 12
GROUP, SPREAD, REPEATS = "lr_momentum", 64, 8
SETTINGS = {
    "model": "yolov5n",
    "epochs": 3,
    "image_size": 128,
    "batch_size": 8,
    "nominal_batch": 8,
    "warmup_min_iterations": 6,
    "loggers": (),
    "cache": "disk",
}
WEIGHTS = PACKAGE / "assets" / "yolov5n_sample.pt"


def mini_sets(folder: Path) -> Path:
    """Draw a small sample and write its mini sets (half of the training folds, a whole fold);
    returns data.yaml."""
    drawing.write_sample(folder / "sample", n_images=160, n_test_images=0, seed=0, scale=0.25)
    archives = folder / "sample" / "data"
    photos = data_folder.read_archives(archives)
    images, boxes = photos.images, photos.boxes
    folds = folds_module.stratified_folds(Photos(images, boxes))
    inside = images["image_id"].map(folds) != 0
    mini = folds_module.mini(
        Photos(images[inside], boxes[boxes["image_id"].isin(images["image_id"][inside])]), share=0.5
    )
    for name, rows in (
        ("train", images[images["image_id"].isin(mini)]),
        ("valid", images[~inside]),
    ):
        writing.write_set(
            folder / name, Photos(rows, boxes[boxes["image_id"].isin(rows["image_id"])], archives)
        )
    return writing.write_data_yaml(folder / "mini.yaml", folder / "train", folder / "valid")


def trial(data_yaml: Path, folder: Path, hyp: dict[str, float], seed: int = 0) -> dict[str, float]:
    """Train and score one set of genes; returns mAP75 (contest), mAP50, mAP50-95 and seconds."""
    began = time.monotonic()
    run = training_run.train(
        data_yaml,
        None,
        folder,
        TrainSettings(init_weights=WEIGHTS, hyp=hyp, seed=seed, **SETTINGS),
        final_evaluation=False,
    )
    scores = training_run.evaluate(run.best, data_yaml, image_size=SETTINGS["image_size"]).loc[
        "all"
    ]
    return {
        "mAP75": scores["mAP75_contest"],
        "mAP50": scores["mAP50"],
        "mAP50-95": scores["mAP50-95"],
        "seconds": time.monotonic() - began,
    }


def spread(genes: tuple[Gene, ...], n: int, seed: int = 0) -> pd.DataFrame:
    """`n` points that cover the genes' ranges evenly, on a log scale where the gene has one; a
    column a gene."""
    units = qmc.Sobol(len(genes), seed=seed).random(n)
    columns = {}
    for gene, unit in zip(genes, units.T, strict=True):
        ends = np.log([gene.low, gene.high]) if gene.log else np.array([gene.low, gene.high])
        values = ends[0] + unit * (ends[1] - ends[0])
        columns[gene.name] = np.exp(values) if gene.log else values
    return pd.DataFrame(columns).round(6)


def record(folder: Path) -> pd.DataFrame:
    """Run the trials that the CSV lacks, saving it after each one; returns the table.

    Trials from other starting weights are recorded again: scores from two starts do not lie on one
    surface.
    """
    base, start = read_hyp("default"), files.sha256(WEIGHTS)[:8]
    genes = read_genes(GROUP, base)
    data_yaml = mini_sets(folder)
    known = pd.read_csv(CSV, dtype={"start": str}).to_dict("records") if CSV.is_file() else []
    rows = {row["trial"]: row for row in known if row["start"] == start}
    plan = [(point, 0) for point in spread(genes, SPREAD).to_dict("records")]
    plan += [({gene.name: base[gene.name] for gene in genes}, seed) for seed in range(REPEATS)]
    for number, (point, seed) in enumerate(plan):
        if number not in rows:
            scores = trial(data_yaml, folder / "runs" / f"{start}_{number:03d}", base | point, seed)
            rows[number] = {"trial": number, "seed": seed, "start": start, **point, **scores}
            table = pd.DataFrame([rows[key] for key in sorted(rows)])
            files.write_text(CSV, table.to_csv(index=False, float_format="%.6g"))
    return pd.read_csv(CSV)


def head_to_head(folder: Path) -> pd.DataFrame:
    """Real searches with the same number of trials and epochs, one a sampler, saved when all are
    done."""
    from livestock_utils.detect.search.run import search
    from livestock_utils.detect.settings import TrainSettings

    data_yaml, parts = mini_sets(folder), []
    settings = TrainSettings(**{**SETTINGS, "init_weights": WEIGHTS})
    for sampler in HEAD_TO_HEAD:
        found = search(
            data_yaml,
            None,
            folder / "head_to_head",
            settings,
            groups=GROUP,
            sampler=sampler,
            study=sampler,
            trials=HEAD_TO_HEAD_TRIALS,
            pruner="none",
        )
        parts.append(
            found.table.drop(columns=["worker", "retry_of", "reason"]).assign(sampler=sampler)
        )
    table = pd.concat(parts, ignore_index=True)
    files.write_text(HEAD_TO_HEAD_CSV, table.to_csv(index=False, float_format="%.6g"))
    return table


if __name__ == "__main__":
    action = head_to_head if sys.argv[2:] == ["head-to-head"] else record
    print(action(Path(sys.argv[1])).to_string())
