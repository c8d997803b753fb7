"""Does an export still find the same animals? Scores, boxes and a recommendation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from livestock_utils.core import overlaps
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import LivestockError
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
    """How alike two predictions of the same images are, from `confidence_threshold` up.

    Detections of one image and species are paired one to one by largest total IoU (at least .5).
    Gives `pairs`, `largest_difference_px` (of any side in any pair; NaN without pairs), and
    `equal_share`: equal pairs (SAME_PX, SAME_CONFIDENCE) among all detections of both, a pair
    counted once; 1 if neither has any. A detection is looked for in the whole other table, so that
    one that falls just below the threshold there is no loss.
    """
    first_sure = (reference["confidence"] >= confidence_threshold).to_numpy()
    second_sure = (other["confidence"] >= confidence_threshold).to_numpy()
    keys = [
        table["image_id"].astype(str) + "|" + table["species"].astype(str)
        for table in (reference, other)
    ]
    codes = overlaps.image_codes(*keys)
    rows, columns = overlaps.same_image(*codes)
    xyxy = [table[XYXY].to_numpy(float) for table in (reference, other)]
    wider = [
        sides + (-0.5, -0.5, 0.5, 0.5) for sides in xyxy
    ]  # boxes that the frame's edge cut to nothing pair too
    iou = overlaps.overlaps(wider[0], wider[1], rows, columns)[0]
    near = iou >= 0.5
    rows, columns = _assigned(codes[0], rows[near], columns[near], iou[near])
    counted = (
        first_sure[rows] | second_sure[columns]
    )  # only now: the unsure keep their partners from the sure
    rows, columns = rows[counted], columns[counted]
    side = np.abs(xyxy[0][rows] - xyxy[1][columns]).max(axis=1) if len(rows) else np.zeros(0)
    confidence = [table["confidence"].to_numpy(float) for table in (reference, other)]
    equal = (side <= SAME_PX) & (
        np.abs(confidence[0][rows] - confidence[1][columns]) <= SAME_CONFIDENCE
    )
    alone = (
        first_sure.sum() - first_sure[rows].sum() + second_sure.sum() - second_sure[columns].sum()
    )
    total = len(rows) + alone
    return {
        "pairs": len(rows),
        "largest_difference_px": float(side.max()) if len(side) else np.nan,
        "equal_share": float(equal.sum() / total) if total else 1.0,
    }


def some_images(
    images: pd.DataFrame, boxes: pd.DataFrame, n: int, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """At most `n` photos drawn by `seed`: enough to compare exports on."""
    if len(images) > n:
        images = images.sample(n, random_state=seed).sort_values("image_id", ignore_index=True)
    return images, boxes[boxes["image_id"].isin(images["image_id"])].reset_index(drop=True)


def hard_settings(
    settings: Settings,
    weights: Any,
    images: pd.DataFrame,
    folder: Any,
    boxes: pd.DataFrame,
    image_size: int,
    **options: Any,
) -> tuple[Settings, str]:
    """Settings of suppression inside a network: `settings` if they fit, else the best NMS.

    The grid (`sweep.grid`, one IoU threshold for all classes) is scored on the labelled `images`; a
    sentence says which were taken. `options` go to predict.
    """
    if formats.fits_inside(settings):
        return settings, "Suppression inside a network takes the same thresholds."
    found = engine.collect_candidates(
        weights, Photos(images, folder=folder), image_size=image_size, **options
    )
    best = sweep.best(sweep.evaluate(found, boxes))
    return best, (
        f"The thresholds ask for more than a network holds inside ({settings.method}); onnx-nms "
        f"takes the best hard NMS on these {len(images)} images instead, IoU {best.iou_threshold}, "
        f"confidence from {best.confidence_threshold}, and is compared with the weights under the "
        "same."
    )


def parity_table(
    exports: pd.DataFrame,
    images: pd.DataFrame,
    folder: Any,
    boxes: pd.DataFrame,
    settings: Settings | None = None,
    confidence_threshold: float = 0.25,
    seed: int = 0,
    inside: Settings | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Every export scored on the same labelled images as the weights at the same size.

    "onnx-nms" is run, and the weights beside it, under `inside` (default `settings`), the settings
    it was made with. Adds AP75 (contest's definition), difference with its paired 95 % interval
    (difference, low, high), the columns of `same_detections`, and `red` (a drop above MAX_DROP). A
    file of one shape sees wider borders than the weights do: `border_difference` is the AP75 that
    these borders alone cost the weights, `border_equal_share` the share of detections that the file
    and the weights have in common on the same borders. Rows without a file stay, unscored.
    `options` go to predict. Raises LivestockError if a size has no "pytorch" row.
    """
    settings = settings or Settings()
    inside = inside or settings
    photos = Photos(images, boxes, folder)
    options.setdefault("batch_size", 1)  # what a camera gives, and what files of fixed shape take
    options.setdefault(
        "cap", 100_000
    )  # all candidates: which ones a cap leaves out would differ by rounding
    found: list[dict[str, Any]] = []
    references: dict[tuple[int, bool], pd.DataFrame] = {}
    weights: dict[int, Any] = {}
    first = exports.sort_values("export", key=lambda names: names != "pytorch", kind="stable")
    for row in (
        {str(key): value for key, value in row.items()} for row in first.to_dict("records")
    ):
        if not row["path"]:
            found.append(row)
            continue
        size, hard = row["image_size"], row["export"] == "onnx-nms" and inside != settings
        same = {"image_size": size, "settings": inside if hard else settings, **options}
        network = loading.open_backend(row["path"])
        predictions = engine.predict(row["path"], photos, network=network, **same)
        if row["export"] == "pytorch":
            weights[size], references[size, False] = row["path"], predictions
        if size not in weights:
            raise LivestockError(f"no 'pytorch' row of {size} px to compare {row['export']} with")
        if (size, hard) not in references:
            references[size, hard] = engine.predict(weights[size], photos, **same)
        reference = references[size, hard]
        compared = tables.paired_difference(photos, reference, predictions, seed).loc["all"]
        if shape := getattr(network, "shape", ()):
            canvas = onnx.OnCanvas(loading.open_backend(weights[size]), shape)
            wide = engine.predict(weights[size], photos, network=canvas, **same)
            by_border = tables.paired_difference(photos, reference, wide, seed).loc["all"]
            row |= {
                "border_difference": by_border["difference"],
                "border_equal_share": same_detections(wide, predictions, confidence_threshold)[
                    "equal_share"
                ],
            }
        found.append(
            row
            | {
                "AP75": compared["second"],
                "difference": compared["difference"],
                "low": compared["low"],
                "high": compared["high"],
                "red": bool(compared["difference"] < -MAX_DROP),
                **same_detections(reference, predictions, confidence_threshold),
            }
        )
    columns = [
        *exports.columns,
        "AP75",
        "difference",
        "low",
        "high",
        "largest_difference_px",
        "equal_share",
        "pairs",
        "red",
        "border_difference",
        "border_equal_share",
    ]
    table = pd.DataFrame(found).reindex(columns=columns)
    table["red"] = table["red"].eq(True)
    order = exports.assign(place=range(len(exports)))[["export", "image_size", "place"]]
    return (
        table.merge(order, on=["export", "image_size"])
        .sort_values("place")
        .drop(columns="place")
        .reset_index(drop=True)
    )


def recommend(
    table: pd.DataFrame, max_latency_ms: float, max_size_mb: float
) -> tuple[Mapping[str, Any] | None, str]:
    """The row of a parity and cost table to deploy, and why; None where nothing fits.

    Needs export, image_size, AP75, red, whole_ms, size_mb. Among the rows that are not red and
    within both budgets, the fastest from letterbox to boxes (whole_ms) of those within _LEVEL_AP75
    of the best AP75; plain ONNX, which runs everywhere, before what is at most _LEVEL_LATENCY
    faster.
    """
    measured = table[table["AP75"].notna() & table["whole_ms"].notna()]
    if measured.empty:
        return None, "Nothing was measured, so nothing is recommended."
    budget = f"{max_latency_ms:g} ms and {max_size_mb:g} MB"
    fits = measured[(measured["whole_ms"] <= max_latency_ms) & (measured["size_mb"] <= max_size_mb)]
    sound = fits[~fits["red"]]
    if sound.empty:
        fastest = measured.sort_values("whole_ms").iloc[0]
        why = "only red exports fit" if len(fits) else "nothing fits"
        return None, (
            f"Within {budget} {why}: the fastest of all is {_name(fastest)} with "
            f"{fastest['whole_ms']:.0f} ms and {fastest['size_mb']:.1f} MB. Take fewer pixels or a "
            "smaller model, or allow more."
        )
    best = sound["AP75"].max()
    level = sound[sound["AP75"] >= best - _LEVEL_AP75].sort_values("whole_ms", kind="stable")
    row = fastest = level.iloc[0]
    plain = level[
        (level["export"] == "onnx")
        & (level["whole_ms"] <= fastest["whole_ms"] * (1 + _LEVEL_LATENCY))
    ]
    why = (
        f"it is the fastest of {len(level)} within {_LEVEL_AP75:g} AP75 of the best"
        if len(level) > 1
        else f"no other is within {_LEVEL_AP75:g} AP75 of it"
    )
    if len(plain) and fastest["export"] != "onnx":
        row = plain.iloc[0]
        why = (
            f"{_name(fastest)} is {1 - fastest['whole_ms'] / row['whole_ms']:.0%} faster, which is "
            "within the noise of timing, and plain ONNX runs everywhere"
        )
    return row.to_dict(), (
        f"Within {budget} take {_name(row)}: AP75 {row['AP75']:.3f}, {row['whole_ms']:.0f} ms an "
        f"image here from letterbox to boxes, {row['size_mb']:.1f} MB. Of {len(measured)} rows "
        f"{len(sound)} fit; {why}."
    )


def _name(row: Mapping[str, Any] | pd.Series) -> str:
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
