"""How true silver labels are, against all animals, and what each threshold would add."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import species as classes
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.labels import missing
from livestock_utils.evaluate.scoring import matching, metrics
from livestock_utils.evaluate.silver import making
from livestock_utils.evaluate.silver.making import GOLD, IGNORED, SILVER, Silver, SilverSettings


def audit(made: Silver, photos: Photos, truth: Photos, iou_threshold: float = 0.5) -> pd.DataFrame:
    """How true a silver set is on its images: a row each species, and "all" if there are several.

    A silver box is right if it overlaps an animal of `truth` that neither a gold box nor a more
    confident silver box has. NaN where there is nothing to divide by.
    """
    boxes = photos.boxes
    sources = made.images.rename(columns={"image_id": "plus_id", "source_id": "image_id"})
    labels = made.labels.drop(columns="image_id").rename(columns={"source_id": "image_id"})
    gold_only = boxes[boxes["image_id"].isin(sources["image_id"])].assign(confidence=1.0)
    ranked = labels.assign(confidence=_rank_by_origin(labels))
    before, _ = _match(truth.boxes, gold_only, sources, iou_threshold)
    after, matches = _match(truth.boxes, ranked, sources, iou_threshold)
    hit = matching.hits(matches, iou_threshold)
    origin = labels["origin"].to_numpy(str)[matches.row]
    names = np.array(matches.classes)[matches.detection_class]
    label_names = np.array(matches.classes).repeat(matches.n_answers.sum(axis=1))
    of_origin = {what: np.zeros(len(label_names), dtype=bool) for what in (GOLD, SILVER, IGNORED)}
    for what, flags in of_origin.items():
        flags[matches.best_answer[hit & (origin == what)]] = True
    labelled = after & ~of_origin[IGNORED]
    present = {*label_names, *names}
    rows = []
    for name in [*(name for name in classes.names() if name in present), "all"]:
        mine, animals = (names == name) | (name == "all"), (label_names == name) | (name == "all")
        open_ = animals & ~before
        trusted, ignored = mine & (origin == SILVER), mine & (origin == IGNORED)
        rows.append(
            {
                "species": name,
                "images": int(((sources["species"] == name) | (name == "all")).sum()),
                "animals": int(animals.sum()),
                "gold": int((mine & (origin == GOLD)).sum()),
                "silver": int(trusted.sum()),
                "ignored": int(ignored.sum()),
                "precision": _share(hit[trusted]),
                "mean_iou": _share(matches.best_iou[trusted & hit]),
                "recall_before": _share(before[animals]),
                "recall": _share(labelled[animals]),
                "unlabelled": int(open_.sum()),
                "unlabelled_found": _share(of_origin[SILVER][open_]),
                "ignored_right": _share(hit[ignored]),
            }
        )
    return pd.DataFrame(rows if len(rows) > 2 else rows[:1])


def threshold_curve(
    photos: Photos,
    predictions: pd.DataFrame,
    truth: Photos,
    settings: SilverSettings = SilverSettings(),
    confidences: Sequence[float] | None = None,
    iou_threshold: float = 0.5,
) -> pd.DataFrame:
    """What each confidence threshold of mode "merge" would add to all photos: a row a threshold.

    `right` boxes lie on an animal that nobody labelled, `found` is their share of such animals.
    """
    settings = dataclasses.replace(settings, mode="merge", ignore_threshold=None)
    levels = (
        np.round(np.arange(0.05, 1.0, 0.05), 2)
        if confidences is None
        else np.asarray(confidences, dtype=float)
    )
    lowest = dataclasses.replace(settings, confidence_threshold=float(levels.min()))
    images, boxes = photos.images, photos.boxes
    mine = images[images["species"].isin(settings.species)]
    gold = boxes[boxes["image_id"].isin(mine["image_id"])]
    found = making.candidates(images, predictions, lowest, "")
    new = making.additions(found, gold, settings.same_animal_overlap)
    gold = gold.assign(confidence=1.0)
    ranked = pd.concat([gold, new.assign(confidence=new["confidence"] / 2)])  # gold comes first
    before, _ = _match(truth.boxes, gold, mine, iou_threshold)
    _, matches = _match(truth.boxes, ranked, mine, iou_threshold)
    is_new = matches.row >= len(gold)
    hit, confidence = matching.hits(matches, iou_threshold)[is_new], matches.confidence[is_new] * 2
    unlabelled = int((~before).sum())
    added = np.array([(confidence >= level).sum() for level in levels])
    right = np.array([hit[confidence >= level].sum() for level in levels])
    table = pd.DataFrame(
        {
            "confidence_threshold": levels,
            "added": added,
            "right": right,
            "precision": np.divide(right, added, out=np.full(len(levels), np.nan), where=added > 0),
            "found": right / unlabelled if unlabelled else np.nan,
            "f1": 2 * right / np.maximum(added + unlabelled, 1),
        }
    )
    table.attrs["unlabelled"] = unlabelled
    return table


def trust(
    photos: Photos,
    predictions: pd.DataFrame,
    settings: SilverSettings,
    width: float = 0.1,
    iou_threshold: float = 0.5,
) -> tuple[float, int]:
    """Share of the predictions at most `width` above the threshold on a label, and their number.

    Animals without a label count as mistakes, so that the true share is higher.
    """
    settings = dataclasses.replace(settings, ignore_threshold=None)
    found = making.candidates(photos.images, predictions, settings, "")
    near = found[found["confidence"] < settings.confidence_threshold + width]
    on_label = missing.best_iou(near, photos.boxes) >= iou_threshold
    return _share(on_label), len(near)


def _rank_by_origin(labels: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Confidences in [0, 1] that keep their order but put gold before silver before ignored."""
    base = labels["origin"].map({GOLD: 3.0, SILVER: 1.0, IGNORED: 0.0}).to_numpy(float)
    return (base + labels["confidence"].astype(float).fillna(0.0).to_numpy()) / 3


def _match(
    truth: pd.DataFrame, labels: pd.DataFrame, images: pd.DataFrame, iou_threshold: float
) -> tuple[npt.NDArray[np.bool_], matching.Matches]:
    """Which animals have a label (in the order of the matches' answers), and the matches."""
    known = truth[truth["image_id"].isin(images["image_id"])]
    matches = matching.match_best(
        metrics.table_sides(known, labels, images[["image_id"]], definition="coco")
    )
    has_label = np.zeros(int(matches.n_answers.sum()), dtype=bool)
    has_label[matches.best_answer[matching.hits(matches, iou_threshold)]] = True
    return has_label, matches


def _share(flags: npt.NDArray) -> float:
    """Mean of flags or of IoUs; NaN of none."""
    return float(flags.mean()) if len(flags) else float("nan")
