"""A barn it has never seen: a model on a camera that was left out of its training, and after it has
adapted to that camera with a few labelled frames."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import pandas as pd

from livestock_utils.colab import RunFolder, training_folder
from livestock_utils.core import species
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.tables import BOX_COLUMNS
from livestock_utils.core.text import count
from livestock_utils.data.split import cameras as splitting
from livestock_utils.detect.predict import candidates, engine, out_of_fold, postprocess
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import run
from livestock_utils.detect.tune import looking
from livestock_utils.evaluate.scoring import counts, intervals, matching, metrics, tables
from livestock_utils.evaluate.silver import making

NEVER, SEEN = "never seen", "saw other frames"
"""Models of the table that are not adapted; the others are "1 frame", "5 frames"."""
_SURE, _FAINT, _MOST, _KEPT = 0.4, 0.1, 5, 2
"""Confidence from which a prediction on an unlabelled frame is a label, and a likely animal; most
labelled frames; photos from elsewhere for each frame, so that nothing is forgotten."""


def unseen_cameras(
    photos: Photos,
    groups: pd.Series | None,
    out: str | os.PathLike,
    settings: TrainSettings = TrainSettings(),
    cameras: Sequence[str] = (),
    adapt_frames: Sequence[int] = (),
) -> pd.DataFrame:
    """Leave each of `cameras` (none: all `groups` of 10 photos and more) out of a training, score
    it, and adapt to it with each number of labelled frames. Photos of no camera ("") always train.
    Runs are training/camera_... below `out`; the same call goes on where it stopped. A row a camera
    and model ("saw other frames": trained on half the frames of every camera), on the frames whose
    labels it was not given: AP75, recall (IoU .5) and count_error (animals a photo, at thresholds
    of the other cameras), their _low and _high; difference in AP75 to "never seen" on these
    frames."""
    if strange := [n for n in adapt_frames if not 1 <= n <= _MOST]:
        raise DatasetError(f"frames to adapt with must be 1 to {_MOST}, got {strange[0]}")
    found = splitting.held_out(photos, groups, list(cameras))
    numbers, seed = sorted(set(adapt_frames)), settings.seed
    picked = [[splitting.pick_frames(c, n, seed) for n in numbers] for c in found.values()]
    folds = pd.Series(0, index=photos.images["image_id"])
    halves = folds.copy()
    for number, camera in enumerate(found.values(), start=1):
        folds[camera.images["image_id"]] = number
        labelled = camera.select(camera.boxes["image_id"].unique())
        halves[labelled.sample(len(labelled) // 2, seed).images["image_id"]] = 1
    settings = dataclasses.replace(settings, patience=0)  # the end is chosen by no look at them
    oof = out_of_fold.predict_out_of_fold
    never = oof(photos, folds, out, settings, name="camera", only=range(1, len(found) + 1))
    seen = oof(photos, halves, out, settings, name="camera_seen", only=[1])
    rows = []
    for number, (name, camera) in enumerate(found.items(), start=1):
        others = photos.select(folds.index[(folds > 0) & (folds != number)])
        shown = looking.seen(others, _of(never, others))[1] if len(others) else postprocess.LOOKING
        half = camera.select(halves.index[(halves == 1) & (folds == number)])
        models = {NEVER: (camera, never), SEEN: (half, seen)}
        weights = run.Run(training_folder(out, f"camera_fold{number}").folder).last
        known = dataclasses.replace(settings, init_weights=weights)
        for shown_to in picked[number - 1]:
            folder = training_folder(out, f"camera_fold{number}_adapted{len(shown_to)}")
            adapted = adapt(photos, camera, shown_to, folder, known).last
            rest = camera.without(camera.select(shown_to))
            predicted = engine.predict(adapted, rest, image_size=settings.image_size)
            models[count(len(shown_to), "frame")] = (rest, predicted)
        for model, (scored, predictions) in models.items():
            of_these, before = _of(predictions, scored), _of(never, scored)
            rows.append({"camera": name, "model": model, **scores(scored, of_these, shown)})
            if model != NEVER:
                gain = tables.paired_difference(scored, before, of_these).loc["all"]
                rows[-1] |= _with_ends("difference", gain[["difference", "low", "high"]])
    return pd.DataFrame(rows)


def adapt(
    photos: Photos, camera: Photos, labelled: list[str], folder: RunFolder, settings: TrainSettings
) -> run.Run:
    """Train `settings.init_weights`, which know other cameras, further: on the `labelled` frames of
    a camera, on its other ones with the boxes that the weights are sure of (fainter ones are likely
    animals, no background), whose labels are not looked at, and on some of the other `photos`.
    Resumes as `train`; use `.last`."""
    gold, weights = camera.select(labelled), settings.init_weights
    rest = camera.without(gold)
    kept = photos.without(camera).sample(_KEPT * len(camera), settings.seed)
    size = settings.image_size
    found = engine.predict(weights, rest, image_size=size, confidence_threshold=_FAINT)
    silver = found[found["confidence"] >= _SURE]
    if len(silver):
        asked = making.SilverSettings("replace", _SURE, species=species.names())
        silver = making.candidates(rest.images, silver, asked, str(weights))
    boxes = pd.concat([gold.boxes, kept.boxes, silver])[BOX_COLUMNS]
    ids = pd.concat([part.images["image_id"] for part in (gold, rest, kept)])
    train, teacher = photos.select(ids).with_boxes(boxes), found if len(found) else None
    soft = "soft" if len(found) else settings.negatives
    settings = dataclasses.replace(settings, negatives=soft, patience=0)
    done: dict[str, Any] = {"tags": {"helper": "adapted"}, "final_evaluation": False}
    return run.train(train, gold, folder, settings, teacher=teacher, **done)


def scores(
    photos: Photos, predictions: pd.DataFrame, shown: postprocess.PostprocessSettings
) -> dict[str, Any]:
    """AP75, recall and count error of one model on one camera's frames, with their ends."""
    table = candidates.of_table(predictions, photos.images, species.names(), "predictions")
    boxes = postprocess.apply(table, shown)
    ranked, sure = (
        matching.match_best(metrics.table_sides(photos.boxes, found, photos.images))
        for found in (predictions, boxes)
    )
    labels = int(sure.n_answers.sum())
    recall = matching.hits(sure, 0.5).sum() / labels
    each = counts.counted(photos.boxes, boxes, photos.images)
    wrong = (each["counted"] - each["labelled"]).abs().groupby(each["image_id"]).sum()
    of_photo = wrong.rename("counted").reset_index().assign(species="all", labelled=0)
    error = counts.count_table(of_photo).loc["all", ["error", "error_low", "error_high"]]
    return {
        **{"images": len(photos), "labels": labels},
        **_with_ends("AP75", intervals.bootstrap(ranked).loc["all"]),
        **_with_ends("recall", (recall, *intervals.wilson(recall, labels))),
        **_with_ends("count_error", error),
    }


def _of(predictions: pd.DataFrame, photos: Photos) -> pd.DataFrame:
    return predictions[predictions["image_id"].isin(photos.images["image_id"])]


def _with_ends(name: str, values: Any) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), map(float, values), strict=True))
