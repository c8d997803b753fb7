"""Tables of AI Hub's size and shape, drawn at random: for tests and benchmarks that need no
pixels."""

import numpy as np
import pandas as pd

AIHUB_STRATA = {"pig": (506, 2749, 1048), "cow": (7383, 3413, 1356)}
"""Images per species in the count bins little / medium / many."""
COUNTS = {"pig": ((1, 8), (8, 13), (13, 22)), "cow": ((0, 4), (4, 6), (6, 12))}
"""Ranges (half-open) of boxes an image in these bins."""


def aihub_tables(times: float = 1.0, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(images, boxes) with AI Hub's strata, `times` as many; ids in random order of strata, as if
    filmed."""
    random = np.random.default_rng(seed)
    parts = []
    for species, sizes in AIHUB_STRATA.items():
        counts = np.concatenate(
            [
                random.integers(*span, round(n * times))
                for n, span in zip(sizes, COUNTS[species], strict=True)
            ]
        )
        random.shuffle(counts)
        ids = [f"livestock_{species}_bbox_{i:06d}" for i in range(1, len(counts) + 1)]
        parts.append(pd.DataFrame({"image_id": ids, "species": species, "count": counts}))
    images = pd.concat(parts).sort_values("image_id", ignore_index=True)
    images["width_px"], images["height_px"] = 1920, 1080
    images["archive"], images["member"] = "a.zip", images["image_id"] + ".jpg"
    boxes = images.loc[images.index.repeat(images["count"]), ["image_id", "species"]].reset_index(
        drop=True
    )
    # Log-normal sizes: a handful of boxes under 1,000 px2 among ten thousands, as in the real data.
    width, height = np.exp(random.normal(5.3, 0.55, (2, len(boxes)))).clip(4, 900)
    x, y = random.uniform(0, 1920 - width), random.uniform(0, 1080 - height)
    boxes = boxes.assign(x_min=x, y_min=y, x_max=x + width, y_max=y + height)
    return images.drop(columns="count"), boxes
