"""Average precision of rankings of missing labels: ours, cleanlab's, confidence alone, on the same
predictions.

    python benchmarks/bench_missing_labels.py [--seed 6] [--only sample|real]

On a drawn sample whose truth file knows the unlabelled cows, and, where LIVESTOCK_SHARED names a
folder with real/ and weights/, on its real photos, 20 % of the boxes removed at random before
anything is trained. Out-of-fold predictions of two small models, of which neither has seen the
images it predicts; what is trained is kept in --out and taken again. Per predicted box; positive =
overlaps a removed label with IoU >= .5 and no kept one. The form of our ranking was chosen on
sample seed 5 and real seed 0; other seeds are the test.
"""

import os
import time
from pathlib import Path
from typing import Any

import click
import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.sample import drawing
from livestock_utils.data.split.folds import stratified_folds
from livestock_utils.detect import checkpoints
from livestock_utils.detect.predict import out_of_fold
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.evaluate.labels import missing as missing_labels
from livestock_utils.evaluate.labels import ranking, report

THRESHOLDS = (None, 0.5, 0.25, 0.1, 0.01)
"""cleanlab's high_probability_threshold: its default (.95), and lower ones in its favour."""
TRAINING: dict[str, Any] = {
    "recipe": "yolov5",
    "model": "yolov5n",
    "image_size": 320,
    "batch_size": 16,
    "nominal_batch": 16,
    "warmup_min_iterations": 20,
    "loggers": (),
}
EPOCHS = {"sample": 3, "real": 5}
"""Of each fold's training: enough for a ranking to be measured, few for the bench's sake."""

Task = tuple[Path, pd.DataFrame, pd.DataFrame, pd.DataFrame]


def drawn(out: Path, seed: int) -> Task:
    """(folder, images, labels, unlabelled animals) of a sample of 120 images at a third of the
    size."""
    where = drawing.write_sample(out / "data", n_images=120, n_test_images=0, seed=seed, scale=0.35)
    photos = data_folder.read_archives(where / "data")
    images = photos.images
    kept, missing, _ = ranking.known_gaps(where, photos)
    return where / "data", images, kept, missing


def real(seed: int) -> Task:
    """(folder, images, kept labels, removed labels) of the real photos."""
    folder = Path(os.environ["LIVESTOCK_SHARED"]) / "real" / "data"
    photos = data_folder.read_archives(folder)
    images, boxes = photos.images, photos.boxes
    return folder, images, *ranking.hide(boxes, 0.2, seed)


def measure(part: str, task: Task, out: Path, seed: int, epochs: int, init_weights: str) -> None:
    """Train, predict, rank and print."""
    folder, images, kept, missing = task
    folds = stratified_folds(Photos(images, kept), n_splits=4, seed=seed)
    click.echo(
        f"{part}, seed {seed}: two yolov5n from {Path(init_weights).name}, {epochs} epochs at "
        f"{TRAINING['image_size']} px, labels missing before training"
    )
    start = time.perf_counter()
    predictions = out_of_fold.predict_out_of_fold(
        Photos(images, kept, folder),
        folds,
        out,
        TrainSettings(
            hyp="default", epochs=epochs, init_weights=init_weights, seed=seed, **TRAINING
        ),
        n_folds=2,
        sets=out / "sets",
    )
    truth = missing_labels.is_missing(predictions, kept, missing)
    click.echo(
        f"  {len(images)} images, {len(kept)} labels, {len(missing)} missing; {len(predictions)} "
        f"predicted boxes, {truth.sum()} of them on a missing label "
        f"({time.perf_counter() - start:.0f} s)"
    )
    start = time.perf_counter()
    scored = missing_labels.score(Photos(images, kept), predictions)
    click.echo(f"  scoring: {time.perf_counter() - start:.1f} s")
    ranked = ranking.rankings(Photos(images, kept), predictions, THRESHOLDS)
    for name, value in ranking.average_precisions(ranking.curves(truth, ranked)).items():
        click.echo(f"  average precision {value:.4f}  {name}")
    suggestions = missing_labels.suggest(scored, images)
    gone = missing["species"].value_counts()
    for row in report.by_species(kept, suggestions).to_dict("records"):
        click.echo(
            f"  {row['species']}: {row['suggestions']} suggested ({row['named_otherwise']} of them "
            f"called another species), {gone.get(row['species'], 0)} missing, {row['labels']} "
            "labelled"
        )


@click.command()
@click.option(
    "--only",
    type=click.Choice(["sample", "real"]),
    help="One part; default: what there is data for.",
)
@click.option(
    "--seed", default=6, show_default=True, help="Of the drawing, the removal and the folds."
)
@click.option("--epochs", default=0, help=f"Of each fold's training; default: {EPOCHS}.")
@click.option(
    "--init-weights",
    default="",
    help="Default: the shipped ones, on real photos weights/yolov5n.pt.",
)
@click.option(
    "--out", default="runs/bench_missing_labels", show_default=True, type=click.Path(path_type=Path)
)
def main(only: str | None, seed: int, epochs: int, init_weights: str, out: Path) -> None:
    """Measure and print."""
    shared = os.environ.get("LIVESTOCK_SHARED", "")
    if only == "real" and not shared:
        raise click.UsageError(
            "--only real needs LIVESTOCK_SHARED, a folder with real/ and weights/"
        )
    weights = {
        "sample": str(checkpoints.SAMPLE_WEIGHTS),
        "real": os.path.join(shared, "weights", "yolov5n.pt"),
    }
    for part in [only] if only else ["sample", *(["real"] if shared else [])]:
        folder = out / f"{part}_{seed}"
        task = real(seed) if part == "real" else drawn(folder, seed)
        measure(part, task, folder, seed, epochs or EPOCHS[part], init_weights or weights[part])
    if not shared and not only:
        click.echo("real photos: left out, LIVESTOCK_SHARED is not set")


if __name__ == "__main__":
    main()
