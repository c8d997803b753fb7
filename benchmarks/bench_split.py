"""Splitting with groups against bare iterative-stratification without: 1, 3 and 10 times AI Hub's
16,455 images.

    python benchmarks/bench_split.py [--rounds 3] [--times 1 3 10]

Groups are runs of near-duplicates (about a third of the images follow their neighbour). The peer
gets the same labels and keeps no group together. Ours includes the strata table. Interleaved;
medians, ratio and growth are printed.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from made_tables import aihub_tables

from livestock_utils.core.photos import Photos
from livestock_utils.data.split.folds import balance_table, strata_table, stratified_folds


def bare(labels: np.ndarray) -> None:
    """The five folds of iterative-stratification, which it works out again for each iteration: one
    is enough."""
    next(
        iter(
            MultilabelStratifiedKFold(n_splits=5, shuffle=True, random_state=42).split(
                labels, labels
            )
        )
    )


def seconds(step: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print medians, ratios, growth and what the groups cost in balance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=float, nargs="+", default=[1, 3, 10])
    options = parser.parse_args()
    first: float | None = None
    for times in options.times:
        images, boxes = aihub_tables(times)
        follows = np.random.default_rng(0).random(len(images)) < 0.3
        groups = pd.Series(np.cumsum(~follows), index=images["image_id"])
        strata = strata_table(Photos(images, boxes))
        parts = [pd.get_dummies(strata[name]) for name in ("species", "count_bin", "stratum")]
        presence = strata.filter(regex="^(ratio|area)_")
        labels = pd.concat([*parts, presence.loc[:, presence.any()]], axis=1).to_numpy(dtype=int)
        ours: list[float] = []
        peer: list[float] = []
        for _ in range(options.rounds):
            peer.append(seconds(lambda labels=labels: bare(labels)))
            ours.append(
                seconds(
                    lambda i=images, b=boxes, g=groups: stratified_folds(Photos(i, b), groups=g)
                )
            )
        mine, theirs = statistics.median(ours), statistics.median(peer)
        first = first or mine
        folds = stratified_folds(Photos(images, boxes), groups=groups)
        off = balance_table(Photos(images, boxes), folds)["off_images"].abs().max()
        print(
            f"{len(images):7,} images in {groups.nunique():7,} groups: ours {mine:6.2f} s, bare "
            f"without groups {theirs:6.2f} s, ratio {mine / theirs:.2f} (wanted: 4 or less), "
            f"growth {mine / first:.1f} x, strata off by at most {off:.1f} images"
        )


if __name__ == "__main__":
    main()
