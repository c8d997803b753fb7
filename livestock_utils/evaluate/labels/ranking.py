"""How good a ranking of missing labels is: known gaps to measure on, the peer's ranking, curves."""

import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import overlaps, species, tables
from livestock_utils.core.arrays import Floats
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.photos import Photos
from livestock_utils.data.sample import drawing
from livestock_utils.evaluate.labels import missing


def hide(
    boxes: pd.DataFrame, share: float = 0.2, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(kept, hidden): a `share` of the boxes hidden at random by `seed`."""
    order = np.random.default_rng(seed).permutation(len(boxes))
    hidden = np.isin(np.arange(len(boxes)), order[: round(share * len(boxes))])
    return boxes[~hidden].reset_index(drop=True), boxes[hidden].reset_index(drop=True)


def unlabelled(data: str | os.PathLike, images: pd.DataFrame) -> pd.DataFrame | None:
    """The animals of `images` that the sample left unlabelled; None where there is no truth."""
    if not data or not (Path(data) / "truth.csv").is_file():
        return None
    truth = drawing.read_truth(Path(data))
    gone = truth[~truth["labelled"] & truth["image_id"].isin(images["image_id"])]
    return gone[tables.BOX_COLUMNS].reset_index(drop=True)


def known_gaps(
    data: str | os.PathLike, photos: Photos, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """(labels, missing ones, how they are known): "truth", the sample's file of it, else "hidden",
    a fifth of the labels at random: detectors were trained with them, which flatters rankings."""
    gone = unlabelled(data, photos.images)
    if gone is None:
        return *hide(photos.boxes, seed=seed), "hidden"
    return photos.boxes, gone, "truth"


def rankings(
    photos: Photos,
    predictions: pd.DataFrame,
    thresholds: tuple[float | None, ...] = (None, 0.1),
    seed: int = 0,
) -> dict[str, Floats]:
    """{name: a number per prediction, higher = more likely unlabelled}: ours, cleanlab's by its
    `high_probability_threshold` (None: its default) where installed, and plain confidence."""
    ours = missing.score(photos, predictions, seed=seed)["score"]
    found = {"hidden-label regression": ours.to_numpy()}
    if importlib.util.find_spec("cleanlab"):
        for threshold in thresholds:
            how = "default" if threshold is None else f"from confidence {threshold:g}"
            found[f"cleanlab, {how}"] = _cleanlab_scores(photos, predictions, threshold)
    free = missing.best_iou(predictions, photos.boxes) < missing.MATCHED_IOU
    found["confidence of boxes without a label"] = predictions["confidence"].to_numpy(float) * free
    return found


def _cleanlab_scores(photos: Photos, predictions: pd.DataFrame, threshold: float | None) -> Floats:
    """1 - cleanlab's `compute_overlooked_box_scores` per prediction, -1 without a score: it looks
    only at predictions from `threshold` on (None: its default .95) that touch no label."""
    from cleanlab.object_detection.rank import compute_overlooked_box_scores

    names = list(species.names())
    order = predictions.reset_index(drop=True)
    by_image, labels_of = (dict(list(t.groupby("image_id"))) for t in (order, photos.boxes))
    labels, found, rows = [], [], []
    for image_id in photos.images["image_id"]:
        mine = labels_of.get(image_id, photos.boxes.iloc[:0])
        kinds = mine["species"].map(names.index).to_numpy(dtype=int)
        labels.append({"bboxes": mine[XYXY].to_numpy(float).reshape(-1, 4), "labels": kinds})
        here = by_image.get(image_id, order.iloc[:0])
        per_class = np.empty(len(names), dtype=object)
        for code, name in enumerate(names):
            part = here[here["species"] == name]
            per_class[code] = part[[*XYXY, "confidence"]].to_numpy(float).reshape(-1, 5)
            rows.append(part.index.to_numpy(dtype=int))
        found.append(per_class)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of images without labels or predictions: in order here
        scores = compute_overlooked_box_scores(
            labels=labels, predictions=found, high_probability_threshold=threshold
        )
    values = np.full(len(order), -1.0)
    values[np.concatenate(rows)] = 1 - np.concatenate(scores)
    return np.where(np.isnan(values), -1.0, values)


def curves(truth: npt.NDArray[np.bool_], ranked: Mapping[str, Floats]) -> pd.DataFrame:
    """Columns ranking, recall, precision, average_precision (one value a ranking)."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    if not truth.any():
        return pd.DataFrame(columns=["ranking", "recall", "precision", "average_precision"])
    parts = []
    for name, values in ranked.items():
        precision, recall, _ = precision_recall_curve(truth, values)
        part = pd.DataFrame({"ranking": name, "recall": recall, "precision": precision})
        parts.append(part.assign(average_precision=float(average_precision_score(truth, values))))
    return pd.concat(parts, ignore_index=True)


def effort(
    predictions: pd.DataFrame,
    gone: pd.DataFrame,
    ranked: Mapping[str, Floats],
    shares: Sequence[float] = (0.5, 0.8, 0.95),
) -> pd.DataFrame:
    """How many boxes a person looks at, in the order of each ranking, until so many of the missing
    labels are found: a row a ranking, a column a share; NaN where no box lies on so many. Of boxes
    that overlap only the first is looked at, as in the review."""
    box, label, iou = overlaps.pairs(predictions, gone)
    near = iou >= missing.MATCHED_IOU
    one, other, alike = overlaps.pairs(predictions, predictions)
    rows = {}
    for name, values in ranked.items():
        place = np.argsort(np.argsort(-values, kind="stable"))
        later = one[(alike >= missing.MATCHED_IOU) & (place[one] > place[other])]
        shown = ~np.isin(np.arange(len(values)), later)
        looked = np.where(shown, np.cumsum(shown[np.argsort(place)])[place], np.inf)
        first = np.full(len(gone), np.inf)
        np.minimum.at(first, label[near], looked[box[near]])
        wanted = np.maximum(np.ceil(np.multiply(shares, len(gone))).astype(int), 1)
        rows[name] = np.sort(first)[wanted - 1] if len(gone) else np.full(len(shares), np.nan)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(shares))
    return table.replace(np.inf, np.nan).rename_axis("ranking")


def average_precisions(table: pd.DataFrame) -> dict[str, float]:
    """{ranking: average precision} of `curves`, in order."""
    return dict(table.drop_duplicates("ranking").set_index("ranking")["average_precision"])


def evaluate(
    data: str | os.PathLike, photos: Photos, predictions: pd.DataFrame, seed: int = 0
) -> pd.DataFrame:
    """`curves` of our ranking beside its peers on the gaps that are known (`known_gaps`), whose
    number and kind are `attrs["missing"]` and `attrs["known_by"]`; `attrs["effort"]` is `effort`.
    """
    kept, gone, known_by = known_gaps(data, photos, seed)
    ranked = rankings(photos.with_boxes(kept), predictions, seed=seed)
    table = curves(missing.is_missing(predictions, kept, gone), ranked)
    table.attrs |= {"missing": len(gone), "known_by": known_by}
    table.attrs["effort"] = effort(predictions, gone, ranked)
    return table
