"""Average precision of rankings of missing labels: ours, cleanlab's, confidence alone, on the same predictions.

    python benchmarks/bench_missing_labels.py [--seed 6] [--real]

Default: a drawn sample whose truth file knows the unlabelled cows. --real: the photos below $LIVESTOCK_SHARED/real,
20 % of the boxes removed at random before anything is trained. Out-of-fold predictions of two small models, of which
neither has seen the images it predicts; what is trained is kept in --out and taken again. Per predicted box; positive =
overlaps a removed label with IoU >= .5 and no kept one. The form of our ranking was chosen on sample seed 5 and real
seed 0; other seeds are the test.
"""

import os
import time
from pathlib import Path
from typing import Any

import click
import pandas as pd

from livestock_utils import aihub, missing_labels, missing_ranking, out_of_fold, sample, split, warm_start

THRESHOLDS = (None, 0.5, 0.25, 0.1, 0.01)
"""cleanlab's high_probability_threshold: its default (.95), and lower ones in its favour."""
TRAINING: dict[str, Any] = {"model": "yolov5n", "image_size": 320, "batch_size": 16, "nominal_batch": 16,
                            "warmup_min_iterations": 20, "loggers": ()}


def drawn(out: Path, seed: int) -> tuple[Path, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(folder, images, labels, unlabelled animals) of a sample of 120 images at a third of the size."""
    where = sample.write_sample(out / "data", n_images=120, n_test_images=0, seed=seed, scale=0.35)
    images, boxes = aihub.read_archives(where / "data")
    kept, missing, _ = missing_ranking.known_gaps(where, images, boxes)
    return where / "data", images, kept, missing


def real(seed: int) -> tuple[Path, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(folder, images, kept labels, removed labels) of the real photos."""
    if "LIVESTOCK_SHARED" not in os.environ:
        raise click.UsageError("--real needs LIVESTOCK_SHARED, a folder with real/ and weights/")
    folder = Path(os.environ["LIVESTOCK_SHARED"]) / "real" / "data"
    images, boxes = aihub.read_archives(folder)
    return folder, images, *missing_ranking.hide(boxes, 0.2, seed)


@click.command()
@click.option("--real", "is_real", is_flag=True, help="Real photos instead of a drawn sample.")
@click.option("--seed", default=6, show_default=True, help="Of the drawing, the removal and the folds.")
@click.option("--epochs", default=0, help="Of each fold's training; 0: 3 on the sample, 5 on real photos.")
@click.option("--init-weights", default="", help="Default: the shipped ones, on real photos weights/yolov5n.pt.")
@click.option("--out", default="runs/bench_missing_labels", show_default=True, type=click.Path(path_type=Path))
def main(is_real: bool, seed: int, epochs: int, init_weights: str, out: Path) -> None:
    """Measure and print."""
    out = out / f"{'real' if is_real else 'sample'}_{seed}"
    folder, images, kept, missing = real(seed) if is_real else drawn(out, seed)
    if not init_weights:
        init_weights = os.path.join(os.environ["LIVESTOCK_SHARED"], "weights", "yolov5n.pt") if is_real else str(
            warm_start.ASSET)
    folds = split.stratified_folds(images, kept, n_splits=4, seed=seed)
    predictions = out_of_fold.predict(
        images, kept, folder, out, folds, n_folds=2, sets=out / "sets", hyp="default",
        epochs=epochs or (5 if is_real else 3), init_weights=init_weights, seed=seed, **TRAINING)
    truth = missing_labels.is_missing(predictions, kept, missing)
    click.echo(f"{out.name}: {len(images)} images, {len(kept)} labels, {len(missing)} missing; {len(predictions)} "
               f"predicted boxes, {truth.sum()} of them on a missing label")
    start = time.perf_counter()
    missing_labels.score(images, kept, predictions)
    click.echo(f"scoring: {time.perf_counter() - start:.1f} s")
    ranked = missing_ranking.rankings(images, kept, predictions, THRESHOLDS)
    for name, value in missing_ranking.average_precisions(missing_ranking.curves(truth, ranked)).items():
        click.echo(f"  average precision {value:.4f}  {name}")


if __name__ == "__main__":
    main()
