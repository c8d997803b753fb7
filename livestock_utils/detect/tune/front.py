"""Which passes of the network are worth their time: AP75 against milliseconds an image."""

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.detect.backends import loading
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.detect.tune import sweep

_MOST_IMAGES = 500
"""More photos than these decide nothing here, and each set of passes is tried on all."""
_TIMED = 4
"""Photos that each pass is timed on, the second time it runs."""
_QUICK = [
    PostprocessSettings(),
    PostprocessSettings(voting_iou=0.7),
    PostprocessSettings("soft_nms_linear", iou_threshold=0.7, voting_iou=0.8),
]
"""Settings that a set of passes is judged by: the best of these."""


def milliseconds(
    weights: Sequence[str | os.PathLike], photos: Photos, passes: Sequence[str], **options: Any
) -> dict[str, float]:
    """Pass of one of the networks (`engine.pass_names`) -> milliseconds an image, read, decoded and
    run here; `options` of `collect_candidates`."""
    opening = {name: options.pop(name) for name in ("backend", "device") if name in options}
    networks = [loading.open_backend(one, **opening) for one in weights]
    options = {**options, "batch_size": 1, "workers": 0}
    few = photos.select(photos.images["image_id"].head(_TIMED))
    spent = {}
    for name in passes:
        plain, _, number = name.partition("@")
        at = int(number or 1) - 1
        how = {**options, "network": networks[at], "passes": (plain,)}
        with engine.shards(weights[at], few, **how) as run:
            run("1/1")
            began = time.perf_counter()
            run("1/1")
            spent[name] = 1000 * (time.perf_counter() - began) / len(few)
    return spent


def front(
    candidates: Candidates,
    boxes: pd.DataFrame,
    ms: Mapping[str, float],
    budget_ms: float = 0.0,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Sets of passes, one row each, by cost: passes (names joined by "+"), ms an image, ap75 with
    its best quick settings, gain over the plain pass with its interval (low, high), on_front (no
    cheaper set is as good), chosen (the best within `budget_ms` an image; 0: whatever it costs).
    Sets grow by the pass that helps most, so that of six passes 21 sets are tried, not 63."""
    ids = candidates.images["image_id"]
    if len(ids) > _MOST_IMAGES:
        candidates = candidates.of_images(ids.sample(_MOST_IMAGES, random_state=seed))
    boxes = boxes[boxes["image_id"].isin(candidates.images["image_id"])]
    rows: list[dict[str, Any]] = []
    grown: tuple[str, ...] = ()
    while len(grown) < len(candidates.passes):
        tried = [
            _tried(candidates, boxes, (*grown, one), ms)
            for one in candidates.passes
            if one not in grown
        ]
        rows += tried
        grown = max(tried, key=lambda row: (round(row["ap75"], 6), -row["ms"]))["names"]
    table = pd.DataFrame(rows).sort_values(["ms", "ap75"], ascending=[True, False])
    table = table.reset_index(drop=True)
    table["on_front"] = table["ap75"] > table["ap75"].cummax().shift(fill_value=-1.0)
    within = table["ms"] <= (budget_ms or float("inf"))
    allowed = table[within & table["on_front"]] if within.any() else table.head(1)
    table["chosen"] = table.index == allowed["ap75"].idxmax()
    shown = table[table["on_front"]]
    named = dict(zip(shown["passes"], shown["settings"], strict=True))
    first = rows[[row["names"] for row in rows].index(candidates.passes[:1])]["settings"]
    how = {"reference": first, "n_resamples": n_resamples, "seed": seed}
    gains = sweep.compare(candidates, boxes, named, **how)[["gain", "gain_low", "gain_high"]]
    return table.merge(gains, how="left", left_on="passes", right_index=True)


def _tried(
    candidates: Candidates, boxes: pd.DataFrame, names: tuple[str, ...], ms: Mapping[str, float]
) -> dict[str, Any]:
    """A set of passes with the best of the quick settings."""
    tried = sweep.evaluate(
        candidates, boxes, [dataclasses.replace(one, passes=names) for one in _QUICK]
    )
    best = sweep.ranked(tried).iloc[0]
    cost = sum(ms[name] for name in names)
    told = {"passes": "+".join(names), "n": len(names), "ms": cost, "ap75": best["ap75"]}
    return told | {"settings": best["settings"], "names": names}
