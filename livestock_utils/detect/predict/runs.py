"""Runs that are compared predict the images that judge them; the predictions are kept."""

import os
from pathlib import Path

import pandas as pd

from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.detect.predict import engine
from livestock_utils.evaluate.compare.tables import Judge


def predict_runs(
    group: pd.DataFrame,
    on: Judge,
    kept: str | os.PathLike,
    weights: str = "last",
    iou_threshold: float = 0.6,
) -> dict[str, pd.DataFrame]:
    """Each run's predictions on the judge's images at the size that it was trained with, by run
    name.

    They are kept in the folder `kept` under the hashes of weights and images, and read from there
    the next time. weights: "last", or "best", which was chosen with a look at validation images.
    """

    photos = Photos(on.images, folder=on.folder)
    stamp = photos.fingerprint()[:12]
    found = {}
    for run in progress(group.to_dict("records"), desc="predicting", unit="run"):
        file = Path(run["folder"]) / "weights" / f"{weights}.pt"
        if not file.is_file():
            raise NotebookError(f"{file} is missing; train the run again, or move its folder away")
        key = f"{files.sha256(file)[:16]}_{stamp}_{run['image_size']}_{iou_threshold:g}.csv"
        path = Path(kept) / key
        if not path.is_file():
            made = engine.predict(
                file,
                photos,
                image_size=int(run["image_size"]),
                confidence_threshold=0.001,
                iou_threshold=iou_threshold,
                max_detections=300,
            )
            files.write_text(path, made.to_csv(index=False))
        found[run["name"]] = pd.read_csv(path, dtype={"image_id": str, "species": str})
    return found
