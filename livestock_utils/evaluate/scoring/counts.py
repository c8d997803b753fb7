"""How many animals a photo holds: counted by confident boxes, against the labels."""

import numpy as np
import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import intervals, matching, metrics

AIMS = ("f1", "count")
_USUAL = 0.25
"""Least confidence of a class that no label tells anything of; yolov5's detect.py's."""


def best_thresholds(
    boxes: pd.DataFrame, predictions: pd.DataFrame, images: pd.DataFrame, aim: str = "f1"
) -> tuple[dict[str, float], float]:
    """The confidence of each class that is best for looking, and how good it is in the mean:
    "f1" at IoU .5 (share), or least "count" error an image (its negative, so that more is better).
    Predictions that overlap must be gone."""
    if aim not in AIMS:
        raise ScoringError(f"aim must be one of {list(AIMS)}, got {aim!r}")
    matches = matching.match_best(metrics.table_sides(boxes, predictions, images, "coco"))
    is_hit = matching.hits(matches, 0.5)
    found, values = dict.fromkeys(matches.classes, _USUAL), []
    for code, name in enumerate(matches.classes):
        labels = matches.n_answers[code]
        mine = np.flatnonzero(matches.detection_class == code)  # by falling confidence
        if not labels.any() or not len(mine):
            continue
        if aim == "f1":
            right = np.cumsum(is_hit[mine])
            good = 2 * right / (np.arange(1, len(mine) + 1) + labels.sum())
        else:  # a box brings its image's count nearer to the labels, or beyond
            rank = pd.Series(matches.detection_image[mine]).groupby(matches.detection_image[mine])
            nearer = rank.cumcount().to_numpy() < labels[matches.detection_image[mine]]
            good = (np.cumsum(np.where(nearer, 1, -1)) - labels.sum()) / len(labels)
        at = int(good.argmax())
        below = matches.confidence[mine[at + 1]] if at + 1 < len(mine) else 0.0
        found[name] = round(float(matches.confidence[mine[at]] + below) / 2, 4)
        values.append(float(good[at]))
    return found, float(np.mean(values)) if values else 0.0


def counted(boxes: pd.DataFrame, predictions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Animals of each photo: image_id, species, labelled, counted (all `predictions`). A photo has
    a row for its own species, and for another that a label or a box there tells of."""
    keys = ["image_id", "species"]
    known = images["image_id"]
    sides = {"labelled": boxes, "counted": predictions}
    sides = {name: side[side["image_id"].isin(known)] for name, side in sides.items()}
    numbers = pd.DataFrame({name: side.groupby(keys).size() for name, side in sides.items()})
    own = images.reindex(columns=keys)
    own = own[own["species"].isin(species.names())]
    table = numbers.reset_index().merge(own, how="outer", on=keys)
    return table.fillna({"labelled": 0, "counted": 0}).astype({"labelled": int, "counted": int})


def of_matches(matches: matching.Matches, confidence: float) -> pd.DataFrame:
    """`counted` from matched arrays, all boxes from `confidence` up; of photos with answers."""
    found = np.zeros_like(matches.n_answers)
    sure = matches.confidence >= confidence
    np.add.at(found, (matches.detection_class[sure], matches.detection_image[sure]), 1)
    code, image = np.nonzero(matches.n_answers + found)
    return pd.DataFrame(
        {
            "image_id": matches.image_ids[image],
            "species": np.array(matches.classes)[code],
            "labelled": matches.n_answers[code, image],
            "counted": found[code, image],
        }
    )


def count_table(
    counts: pd.DataFrame, groups: pd.Series | None = None, n_resamples: int = 1000
) -> pd.DataFrame:
    """Errors of `counted` by species, and by `groups` (camera, farm, ...; index: image ids):
    images, labelled, counted, bias (counted - labelled an image) and error (its size), each with
    its 95 % interval over images, right (share of images without error)."""
    keys = ["species"]
    if groups is not None:
        counts = counts.assign(group=counts["image_id"].map(groups))
        keys = ["group", "species"]
    rows = {}
    for name, part in counts.groupby(keys, sort=True):
        wrong = (part["counted"] - part["labelled"]).to_numpy(float)
        row = {"images": len(part), "labelled": part["labelled"].sum()}
        row["counted"] = part["counted"].sum()
        enough = len(part) > 1
        draws = intervals.draw_images(len(part), n_resamples) / len(part) if enough else None
        for measure, values in (("bias", wrong), ("error", np.abs(wrong))):
            row[measure] = values.mean()
            limits = (np.nan, np.nan) if draws is None else intervals.limits(draws @ values)
            row[f"{measure}_low"], row[f"{measure}_high"] = limits
        rows[name if groups is not None else name[0]] = row | {"right": (wrong == 0).mean()}
    columns = ["images", "labelled", "counted", "bias", "bias_low", "bias_high"]
    columns += ["error", "error_low", "error_high", "right"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = table.index.set_names(keys) if len(table) else pd.Index([], name=keys[-1])
    return table
