"""The single cases to open first: the worst false alarms, misses and loose boxes."""

import pandas as pd

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.labels import missing

_KINDS = ("false", "loose", "missed")


def worst(
    detections: pd.DataFrame,
    labels: pd.DataFrame,
    kind: str,
    n: int = 6,
    unlabelled: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The boxes of a kind to open first, the surest or largest, at most two per image, and `why`.
    `attrs["total"]` counts all such boxes by species; with `unlabelled` (boxes of animals known to
    have no label) `attrs["unlabelled"]` says how many of all lie on one."""
    if kind == "missed":
        rows = labels[labels["missed"]]
        area = (rows["x_max"] - rows["x_min"]) * (rows["y_max"] - rows["y_min"])
        rows = rows.assign(why=[f"missed, {value:,.0f} px²" for value in area], order=-area)
    elif kind in _KINDS:
        error = "background" if kind == "false" else "localisation"
        rows = detections[detections["error"] == error]
        why = [f"{kind}, confidence {sure:.2f}" for sure in rows["confidence"]]
        if kind == "loose":
            why = [f"{text}, IoU {iou:.2f}" for text, iou in zip(why, rows["iou"], strict=True)]
        rows = rows.assign(why=why, order=-rows["confidence"])
    else:
        raise ScoringError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    rows = rows.sort_values("order", kind="stable")
    shown = rows[rows.groupby("image_id").cumcount() < 2].head(n)
    shown = shown[["image_id", "species", *XYXY, "why"]].reset_index(drop=True)
    counts = rows["species"].value_counts()
    shown.attrs["total"] = {str(name): int(number) for name, number in counts.items()}
    if unlabelled is not None:
        on = missing.best_iou(rows, unlabelled) >= missing.MATCHED_IOU
        shown.attrs["unlabelled"] = int(on.sum())
    return shown
