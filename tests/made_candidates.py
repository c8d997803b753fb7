"""Candidates and labels for tests: crowds around labelled animals."""

import numpy as np
import pandas as pd

from livestock_utils.core.boxes import XYXY
from livestock_utils.detect.predict import candidates
from livestock_utils.detect.predict.rescoring import FEATURES

RESCORER = {
    "features": list(FEATURES),
    "weights": [0.7, 0.2, -0.1, 1.5, -0.6, -0.4, 0.1, -0.2, -0.5, -0.9, -0.3],
    "bias": {"pig": -2.0, "cow": -1.5},
}


def made(
    n_images: int = 12, per_image: int = 40, seed: int = 0, passes: int = 1
) -> tuple[candidates.Candidates, pd.DataFrame]:
    """(candidates, boxes): frames of 640 x 480, 3 animals each, the last image without label, the
    second empty."""
    rng = np.random.default_rng(seed)
    ids = [f"livestock_{'pig' if i % 2 else 'cow'}_bbox_{i:06d}" for i in range(n_images)]
    centre, size = (
        rng.uniform((80, 80), (560, 400), (n_images, 3, 2)),
        rng.uniform(40, 150, (n_images, 3, 2)),
    )
    corners = np.concatenate([centre - size / 2, centre + size / 2], axis=2).clip(
        0, (640, 480, 640, 480)
    )
    boxes = pd.DataFrame(corners.reshape(-1, 4), columns=XYXY)
    boxes.insert(0, "image_id", np.repeat(ids, 3))
    boxes.insert(1, "species", np.where(np.arange(n_images) % 2, "pig", "cow").repeat(3))
    base = corners[np.arange(n_images).repeat(per_image), rng.integers(0, 3, n_images * per_image)]
    offset = rng.normal(0, 8, base.shape)
    image_index = np.arange(n_images).repeat(per_image)
    keep = image_index != 1
    n = int(keep.sum())
    found = candidates.build(
        pd.DataFrame(
            {
                "image_id": ids,
                "width_px": 640,
                "height_px": 480,
                "status": "ok",
                "found": np.bincount(image_index[keep], minlength=n_images),
            }
        ),
        ("pig", "cow"),
        [f"x{1 + k / 10:g}" if k else "plain" for k in range(passes)],
        {"cap": 1000, "weights": "w"},
        image_index=image_index[keep],
        xyxy=(base + offset)[keep],
        class_index=np.where(
            rng.random(n) < 0.9, (image_index[keep] + 1) % 2, image_index[keep] % 2
        ),
        pass_index=rng.integers(0, passes, n),
        best_class=rng.random(n) < 0.9,
        confidence=0.0005
        + rng.permutation(np.linspace(1e-4, 0.99, n))
        * np.exp(-abs(offset[keep]).mean(axis=1) / 10),
    )
    return found, boxes[boxes["image_id"] != ids[-1]].reset_index(drop=True)
