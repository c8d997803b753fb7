"""How well each image's animals were found: the best, the median, the worst."""

import numpy as np
import pandas as pd

from livestock_utils.evaluate.scoring import matching, metrics


def image_quality(
    boxes: pd.DataFrame, predictions: pd.DataFrame, images: pd.DataFrame
) -> pd.DataFrame:
    """How well each image's animals were found: labels, found (at IoU 0.75), false_alarms, f1.
    Images with neither labels nor predictions are left out."""
    matches = matching.match_best(metrics.table_sides(boxes, predictions, images, "coco"))
    n = len(matches.image_ids)
    table = pd.DataFrame({"image_id": matches.image_ids, "labels": matches.n_answers.sum(axis=0)})
    is_hit = matching.hits(matches, 0.75)
    table["found"] = np.bincount(matches.detection_image[is_hit], minlength=n)
    table["false_alarms"] = np.bincount(matches.detection_image[~is_hit], minlength=n)
    table = table[table["labels"] + table["false_alarms"] > 0]
    table["f1"] = 2 * table["found"] / (table["labels"] + table["found"] + table["false_alarms"])
    order = ["f1", "labels", "image_id"]
    return table.sort_values(order, ascending=[False, False, True], ignore_index=True)


def best_median_worst(quality: pd.DataFrame) -> list[str]:
    """Ids of the best, the median and the worst image of `image_quality`, without repeats."""
    places = [0, len(quality) // 2, len(quality) - 1] if len(quality) else []
    return list(dict.fromkeys(quality["image_id"].iloc[place] for place in places))
