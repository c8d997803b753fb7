"""How true silver labels are, against a table of all animals; what each threshold would add."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import species as classes
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.labels import missing
from livestock_utils.evaluate.scoring import matching, metrics
from livestock_utils.evaluate.silver import making
from livestock_utils.evaluate.silver.making import GOLD, IGNORED, SILVER, Silver, SilverSettings

_IOU = 0.5
"""From this overlap on a box lies on an animal."""


def audit(made: Silver, photos: Photos, truth: Photos) -> pd.DataFrame:
    """How true a silver set is: a row each species, and "all" if there are several; on the images
    of `made` alone. `photos` has people's labels, `truth` all animals. A silver box is right if it
    overlaps an animal that neither a gold box nor a more confident silver box has. Of the columns,
    gold, silver and ignored count boxes, precision and mean_iou are of silver ones, recall_before
    and recall are shares of animals with a label, by people and in the set; of the unlabelled (by
    people) unlabelled_found have a silver box; ignored_right: regions that hold an animal without a
    box."""
    boxes = photos.boxes
    sources = made.images.assign(image_id=made.images["source_id"])
    labels = made.labels.assign(image_id=made.labels["source_id"])
    gold_only = boxes[boxes["image_id"].isin(sources["image_id"])].assign(confidence=1.0)
    # Gold before silver before ignored, each by falling confidence.
    base = labels["origin"].map({GOLD: 3.0, SILVER: 1.0, IGNORED: 0.0}).to_numpy(float)
    ranked = labels.assign(confidence=(base + labels["confidence"].fillna(0.0)) / 3)
    before, _ = _match(truth.boxes, gold_only, sources)
    after, matches = _match(truth.boxes, ranked, sources)
    hit = matching.hits(matches, _IOU)
    origin = labels["origin"].to_numpy(str)[matches.row]
    names = np.array(matches.classes)[matches.detection_class]
    label_names = np.array(matches.classes).repeat(matches.n_answers.sum(axis=1))
    on_silver, on_ignored = (
        np.isin(np.arange(len(label_names)), matches.best_answer[hit & (origin == what)])
        for what in (SILVER, IGNORED)
    )
    there = {*names, *label_names}
    rows = []
    for name in [*(name for name in classes.names() if name in there), "all"]:
        mine, animals, images = (
            (found == name) | (name == "all") for found in (names, label_names, sources["species"])
        )
        open_ = animals & ~before
        gold, trusted, ignored = (mine & (origin == what) for what in (GOLD, SILVER, IGNORED))
        rows.append(
            {
                "species": name,
                "images": int(images.sum()),
                "animals": int(animals.sum()),
                "gold": int(gold.sum()),
                "silver": int(trusted.sum()),
                "ignored": int(ignored.sum()),
                "precision": _mean(hit[trusted]),
                "mean_iou": _mean(matches.best_iou[trusted & hit]),
                "recall_before": _mean(before[animals]),
                "recall": _mean((after & ~on_ignored)[animals]),
                "unlabelled": int(open_.sum()),
                "unlabelled_found": _mean(on_silver[open_]),
                "ignored_right": _mean(hit[ignored]),
            }
        )
    return pd.DataFrame(rows if len(rows) > 2 else rows[:1])


def threshold_curve(
    photos: Photos,
    predictions: pd.DataFrame,
    truth: Photos,
    settings: SilverSettings = SilverSettings(),
) -> pd.DataFrame:
    """What each confidence threshold of mode "merge" would add to all photos: a row a threshold.
    Columns confidence_threshold, added (boxes), right (of them, on an animal that nobody labelled),
    precision, found (share of the `attrs["unlabelled"]` animals), f1. The other settings count, but
    not min_boxes. One matching serves all thresholds."""
    levels = np.round(np.arange(0.05, 1.0, 0.05), 2)
    lowest = dataclasses.replace(
        settings, mode="merge", ignore_threshold=None, confidence_threshold=float(levels.min())
    )
    images, boxes = photos.images, photos.boxes
    mine = images[images["species"].isin(settings.species)]
    gold = boxes[boxes["image_id"].isin(mine["image_id"])].assign(confidence=1.0)
    found = making.candidates(images, predictions, lowest, "")
    new = making.additions(found, gold, settings.same_animal_overlap)
    # Halved: gold comes first.
    ranked = pd.concat([gold, new.assign(confidence=new["confidence"] / 2)])
    before, _ = _match(truth.boxes, gold, mine)
    _, matches = _match(truth.boxes, ranked, mine)
    is_new = matches.row >= len(gold)
    hit, confidence = matching.hits(matches, _IOU)[is_new], matches.confidence[is_new] * 2
    unlabelled = int((~before).sum())
    added = np.array([(confidence >= level).sum() for level in levels])
    right = np.array([hit[confidence >= level].sum() for level in levels])
    table = pd.DataFrame({"confidence_threshold": levels, "added": added, "right": right})
    table["precision"] = table["right"] / table["added"].where(added > 0)
    table["found"] = right / unlabelled if unlabelled else np.nan
    table["f1"] = 2 * right / np.maximum(added + unlabelled, 1)
    table.attrs["unlabelled"] = unlabelled
    return table


def trust(photos: Photos, predictions: pd.DataFrame, settings: SilverSettings) -> tuple[float, int]:
    """Share of the predictions up to .1 above `settings.confidence_threshold` that lie on a label,
    NaN without any, and how many there are. Animals without a label count as mistakes: the true
    share is higher."""
    settings = dataclasses.replace(settings, ignore_threshold=None)
    found = making.candidates(photos.images, predictions, settings, "")
    near = found[found["confidence"] < settings.confidence_threshold + 0.1]
    return _mean(missing.best_iou(near, photos.boxes) >= _IOU), len(near)


def _match(
    truth: pd.DataFrame, labels: pd.DataFrame, images: pd.DataFrame
) -> tuple[npt.NDArray[np.bool_], matching.Matches]:
    """Which animals have a label (in the order of the matches' answers), and the matches; every
    image counts."""
    known = truth[truth["image_id"].isin(images["image_id"])]
    sides = metrics.table_sides(known, labels, images[["image_id"]], definition="coco")
    matches = matching.match_best(sides)
    has_label = np.zeros(int(matches.n_answers.sum()), dtype=bool)
    has_label[matches.best_answer[matching.hits(matches, _IOU)]] = True
    return has_label, matches


def _mean(values: npt.NDArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
