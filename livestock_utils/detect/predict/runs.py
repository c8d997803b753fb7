"""Runs that are compared predict the images that judge them; the predictions are kept."""

import os
from pathlib import Path

import pandas as pd

from livestock_utils import colab
from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.progress import progress
from livestock_utils.core.reading import read_csv
from livestock_utils.detect.predict import engine
from livestock_utils.evaluate.compare.tables import Answer, Judge, answer_all


def compare(
    runs: pd.DataFrame,
    out: str | os.PathLike,
    weights: str = "last",
    iou_threshold: float = 0.6,
    seed: int = 0,
    data: str | os.PathLike = "",
) -> list[Answer]:
    """Which of several trainings is better, for every question that they can answer.

        answers = lu.compare(lu.find_runs("runs/first"), "runs/first")
        answers[0].table  # a row a setting

    Args:
        runs: a row a run folder (`lu.find_runs`).
        out: the folder of results with datasets/ of the validation images; the predictions are
            kept in its predictions/compare/.
        weights: "last", or "best", which was chosen with a look at validation images.
        iou_threshold: of the suppression, in [0, 1].
        seed: of the draws of images behind the intervals.
        data: the folder of data, whose truth.csv, where there is one, completes the answers.

    Returns:
        Answers: `.scores` a row a run, `.table` a row a setting, `.differences` with intervals.

    Raises:
        NotebookError: validation images, run folders or weights are absent.
    """
    kept = Path(out) / "predictions" / "compare"

    def predict(group: pd.DataFrame, on: Judge) -> dict[str, pd.DataFrame]:
        return predict_runs(group, on, kept, weights, iou_threshold)

    return answer_all(runs, out, colab.local_disk(out), predict, seed, data)


def predict_runs(
    group: pd.DataFrame,
    on: Judge,
    kept: str | os.PathLike,
    weights: str = "last",
    iou_threshold: float = 0.6,
) -> dict[str, pd.DataFrame]:
    """Each run's predictions on the judge's images, at its own size, by run name; kept in `kept`
    under the hashes of weights and images."""
    stamp = on.photos.fingerprint()[:12]
    found = {}
    for run in progress(group.to_dict("records"), desc="predicting", unit="run"):
        file = Path(run["folder"]) / "weights" / f"{weights}.pt"
        if not file.is_file():
            raise NotebookError(f"{file} is missing; train the run again, or move its folder away")
        key = f"{files.sha256(file)[:16]}_{stamp}_{run['image_size']}_{iou_threshold:g}.csv"
        path = Path(kept) / key
        if not path.is_file():
            size = int(run["image_size"])
            made = engine.predict(file, on.photos, image_size=size, iou_threshold=iou_threshold)
            files.write_text(path, made.to_csv(index=False))
        found[run["name"]] = read_csv(
            path, advice="delete it", dtype={"image_id": str, "species": str}
        )
    return found
