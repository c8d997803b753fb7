"""Does an export still find the same animals? Scores, boxes and a recommendation."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from livestock_utils.core import overlaps
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.photos import Photos
from livestock_utils.detect.backends import loading, onnx
from livestock_utils.detect.export import formats
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.detect.tune import sweep
from livestock_utils.evaluate.scoring import tables

MAX_DROP = 0.005
"""An export whose AP75 falls further than this below the weights' is red: not recommended."""
_LEVEL_AP75 = 0.005
"""Rows within this AP75 of the best count as equally good; the fastest of them is recommended."""
_LEVEL_LATENCY = 0.1
"""Plain ONNX is recommended before exports that are faster by less than this share."""
SAME_PX, SAME_CONFIDENCE = 1.0, 0.01
"""Two detections are equal if every side of the box and the confidence differ by at most this."""


def same_detections(
    reference: pd.DataFrame, other: pd.DataFrame, confidence_threshold: float = 0.25
) -> dict[str, float]:
    """How alike two predictions of the same images are, from `confidence_threshold` up. Detections
    of one image and species are paired one to one by largest total IoU (at least .5). Gives
    `pairs`, `largest_difference_px` (of any side in any pair; NaN without pairs), and
    `equal_share`: equal pairs (SAME_PX, SAME_CONFIDENCE) among all detections of both, a pair
    counted once; 1 if neither has any. A detection is looked for in the whole other table, so that
    one that falls just below the threshold there is no loss."""
    both = (reference, other)
    codes = overlaps.image_codes(
        *(table["image_id"].astype(str) + "|" + table["species"].astype(str) for table in both)
    )
    xyxy = [table[XYXY].to_numpy(float) for table in both]
    # boxes that the frame's edge cut to nothing pair too
    wider = [sides + (-0.5, -0.5, 0.5, 0.5) for sides in xyxy]
    rows, columns = overlaps.same_image(*codes)
    iou = overlaps.overlaps(wider[0], wider[1], rows, columns)[0]
    near = iou >= 0.5
    rows, columns = _assigned(codes[0], rows[near], columns[near], iou[near])
    confidence = [table["confidence"].to_numpy(float) for table in both]
    sure = [values >= confidence_threshold for values in confidence]
    # only now: the unsure keep their partners from the sure
    counted = sure[0][rows] | sure[1][columns]
    rows, columns = rows[counted], columns[counted]
    side = np.abs(xyxy[0][rows] - xyxy[1][columns]).max(axis=1, initial=0)
    unsure = np.abs(confidence[0][rows] - confidence[1][columns])
    equal = (side <= SAME_PX) & (unsure <= SAME_CONFIDENCE)
    alone = sure[0].sum() - sure[0][rows].sum() + sure[1].sum() - sure[1][columns].sum()
    total = len(rows) + alone
    return {
        "pairs": len(rows),
        "largest_difference_px": float(side.max()) if len(side) else np.nan,
        "equal_share": float(equal.sum() / total) if total else 1.0,
    }


def hard_settings(
    settings: Settings, weights: Any, photos: Photos, image_size: int
) -> tuple[Settings, str]:
    """Settings of suppression inside a network: `settings` if they fit, else the best NMS of
    `sweep.grid` (one IoU threshold for all classes) on the labelled `photos`; which, in words."""
    if formats.fits_inside(settings):
        return settings, "Suppression inside a network takes the same thresholds."
    found = engine.collect_candidates(weights, photos, image_size=image_size)
    best = sweep.best(sweep.evaluate(found, photos.boxes))
    return best, (
        f"A network cannot hold {settings.method} inside: onnx-nms takes the best hard NMS on "
        f"these {len(photos)} images instead (IoU {best.iou_threshold}, confidence from "
        f"{best.confidence_threshold}), and is compared with the weights under the same."
    )


def parity_table(
    exports: pd.DataFrame,
    photos: Photos,
    settings: Settings,
    inside: Settings,
    confidence_threshold: float = 0.25,
    seed: int = 0,
) -> pd.DataFrame:
    """Every export (of `export_all`) scored on the labelled photos like the weights at its size.
    "onnx-nms" is run, and the weights beside it, under `inside`, the settings it was made with.
    Adds AP75 (contest's definition), difference with its paired 95 % interval (difference, low,
    high), the columns of `same_detections`, and `red` (a drop above MAX_DROP). A file of one shape
    sees wider borders than the weights do: `border_difference` is the AP75 that these borders alone
    cost the weights, `border_equal_share` the share of detections that the file and the weights
    have in common on the same borders. Rows without a file stay, unscored."""
    weights = exports["path"].iloc[0]

    def predict(path: str, size: int, hard: bool, network: Any = None) -> pd.DataFrame:
        # a batch of 1 is what a camera gives, and what files of fixed shape take; all candidates,
        # because which ones a cap leaves out would differ by rounding
        options = {"image_size": size, "batch_size": 1, "cap": 100_000, "network": network}
        return engine.predict(path, photos, settings=inside if hard else settings, **options)

    references = functools.cache(functools.partial(predict, weights))
    rows: list[dict[Any, Any]] = exports.to_dict("records")
    for row in rows:
        path, size = row["path"], row["image_size"]
        if not path:
            continue
        hard = row["export"] == "onnx-nms" and inside != settings
        reference = found = references(size, hard)
        if row["export"] != "pytorch":
            network = loading.open_backend(path)
            found = predict(path, size, hard, network)
            if shape := getattr(network, "shape", ()):
                canvas = onnx.OnCanvas(loading.open_backend(weights), shape)
                wide = predict(weights, size, hard, canvas)
                by_border = tables.paired_difference(photos, reference, wide, seed).loc["all"]
                row["border_difference"] = by_border["difference"]
                same = same_detections(wide, found, confidence_threshold)
                row["border_equal_share"] = same["equal_share"]
        compared = tables.paired_difference(photos, reference, found, seed).loc["all"]
        row |= {"AP75": compared["second"], **compared[["difference", "low", "high"]]}
        row |= same_detections(reference, found, confidence_threshold)
    added = (
        "AP75 difference low high largest_difference_px equal_share pairs red border_difference "
        "border_equal_share"
    ).split()
    table = pd.DataFrame(rows).reindex(columns=[*exports.columns, *added])
    table["red"] = table["difference"] < -MAX_DROP
    return table


def recommend(
    table: pd.DataFrame, max_latency_ms: float, max_size_mb: float
) -> tuple[Mapping[str, Any] | None, str]:
    """The row of a parity and cost table to deploy, and why; None where nothing fits. Among the
    rows that are not red and within both budgets, the fastest from letterbox to boxes (whole_ms) of
    those within _LEVEL_AP75 of the best AP75; plain ONNX, which runs everywhere, before what is at
    most _LEVEL_LATENCY faster. A file counts for no more than its weights: above them is luck."""
    measured = table[table["AP75"].notna() & table["whole_ms"].notna()].sort_values(
        "whole_ms", kind="stable"
    )
    if measured.empty:
        return None, "Nothing was measured, so nothing is recommended."
    budget = f"Within {max_latency_ms:g} ms and {max_size_mb:g} MB"
    fits = measured[(measured["whole_ms"] <= max_latency_ms) & (measured["size_mb"] <= max_size_mb)]
    sound = fits[~fits["red"]]
    if sound.empty:
        fastest = measured.iloc[0]
        return None, (
            f"{budget} {'only red exports fit' if len(fits) else 'nothing fits'}: the fastest of "
            f"all is {_name(fastest)} with {fastest['whole_ms']:.0f} ms and "
            f"{fastest['size_mb']:.1f} MB. Take fewer pixels or a smaller model, or allow more."
        )
    weights = table[table["export"] == "pytorch"].set_index("image_size")["AP75"]
    counted = sound["AP75"].clip(upper=sound["image_size"].map(weights))
    level = sound[counted >= counted.max() - _LEVEL_AP75]
    row = fastest = level.iloc[0]
    least = fastest["whole_ms"]
    near = level[(level["export"] == "onnx") & (level["whole_ms"] <= least * (1 + _LEVEL_LATENCY))]
    if len(near) and fastest["export"] != "onnx":
        row = near.iloc[0]
        why = (
            f"{_name(fastest)} is {1 - least / row['whole_ms']:.0%} faster, which is within the "
            "noise of timing, and plain ONNX runs everywhere"
        )
    elif len(level) > 1:
        why = f"it is the fastest of {len(level)} within {_LEVEL_AP75:g} AP75 of the best"
    else:
        why = f"no other is within {_LEVEL_AP75:g} AP75 of it"
    return row.to_dict(), (
        f"{budget} take {_name(row)}: AP75 {row['AP75']:.3f}, {row['whole_ms']:.0f} ms per image "
        f"here from letterbox to boxes, {row['size_mb']:.1f} MB. Of {len(measured)} rows "
        f"{len(sound)} fit and are not red; {why}."
    )


def _name(row: pd.Series) -> str:
    return f"{row['export']} at {row['image_size']} px"


def _assigned(codes: Any, rows: Any, columns: Any, iou: Any) -> tuple[Any, Any]:
    """One-to-one pairs of largest total IoU within each code (image and species)."""
    kept_rows, kept_columns = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    group = codes[rows]
    order = np.argsort(group, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else ():
        first, at_first = np.unique(rows[mine], return_inverse=True)
        second, at_second = np.unique(columns[mine], return_inverse=True)
        gain = np.zeros((len(first), len(second)))
        gain[at_first, at_second] = iou[mine]
        chosen = linear_sum_assignment(-gain)
        real = gain[chosen] > 0
        kept_rows.append(first[chosen[0][real]])
        kept_columns.append(second[chosen[1][real]])
    return np.concatenate(kept_rows), np.concatenate(kept_columns)
