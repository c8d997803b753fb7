"""How sure a score is: bootstrap intervals over images (Efron 1979), and paired comparisons.

Matching is done once: a draw only changes how often each image counts.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core.arrays import Array, Flags, Floats, Places
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import matching
from livestock_utils.evaluate.scoring.metrics import average_precisions, check_threshold


def bootstrap(
    matches: matching.Matches,
    iou_thresholds: Sequence[float] = (0.75,),
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """95 % interval of the contest's score: value, low, high of "all" and each class with answers.
    The score is the mean over `iou_thresholds`. A draw without any answer of a class leaves that
    class out of its mean, as the scorer does."""
    table = pd.DataFrame({"value": _values(matches, iou_thresholds)})
    draws = draw_images(len(matches.image_ids), n_resamples, seed)
    samples = resampled(matches, draws, iou_thresholds)
    table[["low", "high"]] = [limits(samples[name]) for name in table.index]
    return table


def compare(
    first: matching.Matches,
    second: matching.Matches,
    iou_thresholds: Sequence[float] = (0.75,),
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired comparison on the same answers, by "all" and class: second minus first. Columns first,
    second, difference and `of_gains`. Both are scored on the same draws of images, so what is hard
    for both cancels out."""
    if not (
        np.array_equal(first.image_ids, second.image_ids)
        and np.array_equal(first.n_answers, second.n_answers)
    ):
        raise ScoringError(
            f"the two were matched with different answers ({len(first.image_ids)} images, "
            f"{first.n_answers.sum()} boxes against {len(second.image_ids)} images, "
            f"{second.n_answers.sum()} boxes); match both with the same table"
        )
    draws = draw_images(len(first.image_ids), n_resamples, seed)
    table = pd.DataFrame({"first": _values(first, iou_thresholds)})
    table["second"] = _values(second, iou_thresholds)
    table["difference"] = table["second"] - table["first"]
    gains = resampled(second, draws, iou_thresholds) - resampled(first, draws, iou_thresholds)
    return table.join(gains.apply(of_gains, result_type="expand").T)


def limits(samples: npt.ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """(low, high) of the percentile interval of a score on all draws; NaN where it has none."""
    if not 0 < level < 1:
        raise ScoringError(f"level must be between 0 and 1, such as 0.95, got {level}")
    drawn = np.asarray(samples, dtype=float)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def of_gains(gains: npt.ArrayLike) -> dict[str, float]:
    """low, high (`limits`) and second_better of paired gains: the share of draws in which the
    second scores higher, ties counted half."""
    drawn = np.asarray(gains, dtype=float)
    drawn = drawn[np.isfinite(drawn)]
    better = float(((drawn > 0) + (drawn == 0) / 2).mean()) if len(drawn) else np.nan
    low, high = limits(drawn)
    return {"low": low, "high": high, "second_better": better}


def draw_images(n_images: int, n_resamples: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """How often each image is drawn, (n_resamples, n_images); every row sums to `n_images`."""
    if n_images < 2 or n_resamples < 1:
        raise ScoringError(
            f"an interval needs at least 2 images and 1 resampling, got {n_images}, {n_resamples}; "
            "give more images, or ask for the score alone, without interval or comparison"
        )
    even = np.full(n_images, 1 / n_images)
    return np.random.default_rng(seed).multinomial(n_images, even, size=n_resamples)


def resampled(
    matches: matching.Matches,
    draws: Array,
    iou_thresholds: Sequence[float] = (0.75,),
    kept: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """The contest's score on each draw: columns "all" and each class; NaN without answers."""
    used = np.ones(len(matches.row), dtype=bool) if kept is None else np.asarray(kept, dtype=bool)
    weights, columns = np.asarray(draws, dtype=float), {}
    for code, name in enumerate(matches.classes):
        if matches.n_answers[code].any():
            mine = np.flatnonzero(used & (matches.detection_class == code))
            image, n_answers = matches.detection_image[mine], matches.n_answers[code]
            hits = [matching.hits(matches, check_threshold(t), kept) for t in iou_thresholds]
            levels = [_weighted_ap(is_hit[mine], image, n_answers, weights) for is_hit in hits]
            columns[name] = np.mean(levels, axis=0)
    table = pd.DataFrame(columns)
    table.insert(0, "all", table.mean(axis=1))
    return table


def _weighted_ap(is_hit: Flags, image: Places, n_answers: Places, weights: Floats) -> Floats:
    """All-points AP of a ranked list for each row of image weights (draws, images) -> (draws,).
    Copies of an image tie in confidence: its AP is the same walked one by one or at once."""
    ranks = np.flatnonzero(is_hit)
    image = image[: ranks[-1] + 1] if len(ranks) else image[:0]  # the rest changes nothing
    hit_image = image[ranks]
    results = np.full(len(weights), np.nan)
    for draw, (weight, total) in enumerate(zip(weights, weights @ n_answers, strict=True)):
        if total == 0:
            continue
        gain = weight[hit_image]
        seen = np.cumsum(weight[image])[ranks]
        precision = np.divide(np.cumsum(gain), seen, out=np.zeros(len(seen)), where=seen > 0)
        results[draw] = gain @ np.maximum.accumulate(precision[::-1])[::-1] / total
    return results


def _values(matches: matching.Matches, iou_thresholds: Sequence[float]) -> pd.Series:
    """The contest's score by "all" and class, the mean over `iou_thresholds`."""
    levels = [average_precisions(matches, level) for level in iou_thresholds]
    per_class = pd.DataFrame(levels).mean()
    return pd.concat([pd.Series({"all": per_class.mean()}), per_class]).rename_axis("class")


def wilson(share: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """(low, high) of Wilson's interval (1927) of shares of `n` trials; [0, 1] where n is 0. Boxes
    count as independent; those of one photo are not quite, so take it as a lower bound."""
    p, trials = np.asarray(share, dtype=float), np.asarray(n, dtype=float)
    z, safe = 1.96, np.maximum(trials, 1)  # 95 %
    middle = (p + z**2 / (2 * safe)) / (1 + z**2 / safe)
    half = z / (1 + z**2 / safe) * np.sqrt(p * (1 - p) / safe + z**2 / (4 * safe**2))
    low, high = (middle - half).clip(0, 1), (middle + half).clip(0, 1)
    return np.where(trials > 0, low, 0.0), np.where(trials > 0, high, 1.0)
