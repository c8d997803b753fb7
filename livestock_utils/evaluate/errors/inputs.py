"""Do the tables of an error analysis belong together? One line where they do not."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from livestock_utils.core import tables
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ScoringError


def require_known(image_ids: pd.Series, known: Iterable[str], what: str) -> None:
    """Raise ScoringError for ids that are not `known`; `what` says of which things they are."""
    strange = image_ids[~image_ids.isin(list(known))]
    if len(strange):
        raise ScoringError(
            f"{len(strange)} {what} are of images that are not in the images table, the first is "
            f"{strange.iloc[0]!r}; pass the images that were predicted"
        )


def require_boxes(table: pd.DataFrame, what: str) -> None:
    """Raise ScoringError for corners that are no finite numbers: they would overlap nothing."""
    bad = np.flatnonzero(~np.isfinite(table[XYXY].to_numpy(float)).all(axis=1))
    if len(bad):
        row = table.iloc[int(bad[0])]
        raise ScoringError(
            f"{what}: row {bad[0]} (image {row['image_id']!r}) has corners that are no finite "
            f"numbers: {[float(row[name]) for name in XYXY]}; leave it out"
        )


def require_predictions(predictions: pd.DataFrame, images: pd.DataFrame | None = None) -> None:
    """Raise ScoringError for predictions without a column or number, or of other images."""
    tables.require_columns(predictions, tables.PREDICTION_COLUMNS, "predictions", ScoringError)
    absent = np.flatnonzero(predictions["confidence"].isna())
    if len(absent):
        raise ScoringError(
            f"predictions: row {absent[0]} has no confidence ({len(absent)} in all have none); "
            "every box needs one"
        )
    require_boxes(predictions, "predictions")
    if images is not None:
        require_known(predictions["image_id"], images["image_id"], "predictions")
