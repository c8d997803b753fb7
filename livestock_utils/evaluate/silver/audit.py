"""How true silver labels are, against a table of all animals: audit of a set, and what each
threshold would add."""

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
    """How true a silver set is: a row each species, and "all" if there are several; on the images
    of `made` alone.

    `photos` has people's labels, `truth` all animals. A silver box is right if it overlaps (IoU
    >= `iou_threshold`) an animal that neither a gold box nor a more confident silver box has.
    Columns:

    species, images, animals (in truth), gold, silver, ignored: boxes of each origin; precision:
    share of the silver boxes that are right; mean_iou: of those that are right, how tight they sit;
    recall_before, recall: share of the animals with a label, as people labelled them and in the
    silver set; unlabelled: animals without a label of people; unlabelled_found: share of them that
    silver labels; ignored_right: share of the ignored regions that hold an animal without another
    box. NaN where there is nothing to divide by.
    """
    boxes = photos.boxes
    sources = made.images.rename(columns={"image_id": "plus_id"}).rename(
        columns={"source_id": "image_id"}
    )
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
    rows = []
    for name in [
        *(n for n in classes.names() if (label_names == n).any() or (names == n).any()),
        "all",
    ]:
        mine, animals = (names == name) | (name == "all"), (label_names == name) | (name == "all")
        labelled = after & ~of_origin[IGNORED]
        open_ = animals & ~before
        trusted, ignored = mine & (origin == SILVER), mine & (origin == IGNORED)
        rows.append(
            {
                "species": name,
                "images": len(sources)
                if name == "all"
                else int((sources["species"] == name).sum()),
                "animals": int(animals.sum()),
                "gold": int((mine & (origin == GOLD)).sum()),
                "silver": int(trusted.sum()),
                "ignored": int(ignored.sum()),
                "precision": _share(hit[trusted]),
                "mean_iou": float(matches.best_iou[trusted & hit].mean())
                if (trusted & hit).any()
                else np.nan,
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

    Columns confidence_threshold, added (boxes), right (of them, on an animal that nobody labelled),
    precision, found (share of the unlabelled animals; NaN if there are none), f1.
    `attrs["unlabelled"]` is how many there are. The other settings count, but not min_boxes. One
    matching serves all thresholds.
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
    ranked = pd.concat(
        [gold.assign(confidence=1.0), new.assign(confidence=new["confidence"] / 2)]
    )  # gold comes first
    before, _ = _match(truth.boxes, gold.assign(confidence=1.0), mine, iou_threshold)
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
    """Share of the predictions just above `settings.confidence_threshold` that lie on a label, and
    how many there are.

    "Just above" is up to `width` more confident. It needs no truth: animals without a label count
    as mistakes, so that the true share is higher. NaN where there are none.
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
    """Which animals have a label (in the order of the matches' answers), and the matches; every
    image counts."""
    known = truth[truth["image_id"].isin(images["image_id"])]
    matches = matching.match_best(
        metrics.table_sides(known, labels, images[["image_id"]], definition="coco")
    )
    has_label = np.zeros(int(matches.n_answers.sum()), dtype=bool)
    has_label[matches.best_answer[matching.hits(matches, iou_threshold)]] = True
    return has_label, matches


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
