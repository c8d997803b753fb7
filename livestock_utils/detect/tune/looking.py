"""Settings for people who look and count: one box an animal, and no faint ones.

Settings tuned for AP keep every faint box, as a further one never costs AP; drawn on photos they
show animals two and three times.
"""

import dataclasses

import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import candidates, postprocess
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.postprocess import LOOKING, PostprocessSettings
from livestock_utils.evaluate.scoring import counts

_IOU_THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
_FAINTEST = 0.01


def seen(
    photos: Photos, predictions: pd.DataFrame, aim: str = "f1"
) -> tuple[pd.DataFrame, PostprocessSettings]:
    """One box an animal of a predictions table of labelled photos, and the settings that give
    them."""
    found = candidates.of_table(predictions, photos.images, species.names(), "predictions")
    looking = for_looking(found, photos.boxes, aim)
    return postprocess.apply(found, looking), looking


def for_looking(
    found: Candidates, boxes: pd.DataFrame, aim: str = "f1", voting_iou: float | None = None
) -> PostprocessSettings:
    """Hard NMS over all classes at the IoU, and the confidences by class, of the best F1 at IoU .5
    or the least count error on labelled images; LOOKING where there is nothing to tune on."""
    boxes = boxes[boxes["image_id"].isin(found.images["image_id"])]
    best, chosen = float("-inf"), LOOKING
    if boxes.empty:
        return chosen
    images = found.images.assign(species="")
    for iou in _IOU_THRESHOLDS:
        setting = dataclasses.replace(LOOKING, iou_threshold=iou, voting_iou=voting_iou)
        faint = dataclasses.replace(setting, confidence_threshold=_FAINTEST)
        shown = postprocess.apply(found, faint)
        thresholds, value = counts.best_thresholds(boxes, shown, images, aim)
        if value > best:
            best = value
            chosen = dataclasses.replace(setting, confidence_threshold=thresholds)
    return chosen
