"""Random answers and detections for the scoring tests, in the contest's layout."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from livestock_utils.core import species
from livestock_utils.evaluate.scoring import contest


def scene(
    seed: int,
    n_images: int = 6,
    n_answers: int = 20,
    n_detections: int = 80,
    grid: int = 0,
    ties: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(images, boxes, predictions) in pixels; most detections are shaken answers. `grid` > 0 rounds
    corners to it."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["pig", "cow"], n_images)
    ids = np.array([f"livestock_{kind}_bbox_{number:06d}" for number, kind in enumerate(kinds)])
    large = rng.random(n_images) < 0.5
    images = pd.DataFrame(
        {
            "image_id": ids,
            "species": kinds,
            "width_px": np.where(large, 1920, 1280),
            "height_px": np.where(large, 1080, 960),
        }
    )
    of_answer = np.sort(rng.integers(0, n_images, n_answers))
    size = rng.uniform(60, 400, (n_answers, 2))
    low = rng.uniform(0, 1, (n_answers, 2)) * (
        images[["width_px", "height_px"]].to_numpy()[of_answer] - size
    )
    truth = np.hstack([low, low + size])
    source = rng.integers(0, max(n_answers, 1), n_detections if n_answers else 0)
    amount = rng.choice([0.01, 0.08, 0.4], (len(source), 1))
    shake = rng.normal(0, 1, (len(source), 4)) * np.tile(size, 2)[source] * amount
    found = truth[source] + shake
    found = np.hstack(
        [np.minimum(found[:, :2], found[:, 2:]), np.maximum(found[:, :2], found[:, 2:]) + 1]
    )
    if grid:
        truth, found = np.round(truth / grid) * grid, np.round(found / grid) * grid
    labels = kinds[of_answer]
    confidence = rng.permutation(len(source)) / max(len(source), 1) * 0.98 + 0.01
    if ties:
        confidence = np.round(confidence, 1)
    other = np.where(labels[source] == "pig", "cow", "pig")
    boxes = _table(ids[of_answer], labels, truth)
    predictions = _table(
        ids[of_answer[source]],
        np.where(rng.random(len(source)) < 0.9, labels[source], other),
        found,
    )
    return images, boxes, predictions.assign(confidence=confidence)


def scenes() -> st.SearchStrategy:
    """Scenes of any size, crowded or sparse, on a grid or not (so that equal overlaps occur)."""
    return st.builds(
        scene,
        seed=st.integers(0, 10**6),
        n_images=st.integers(1, 8),
        n_answers=st.integers(1, 40),
        n_detections=st.integers(0, 120),
        grid=st.sampled_from([0, 0, 8, 40]),
    )


def as_contest(predictions: pd.DataFrame, sizes: pd.DataFrame | None = None) -> pd.DataFrame:
    """A predictions or boxes table in the contest's columns and order of rows; divided by `sizes`
    when given."""
    table = predictions.rename(
        columns={
            "image_id": "ImageID",
            "species": "LabelName",
            "confidence": "Conf",
            "x_min": "XMin",
            "x_max": "XMax",
            "y_min": "YMin",
            "y_max": "YMax",
        }
    )
    if sizes is not None:
        frame = sizes.loc[table["ImageID"]]
        table[["XMin", "XMax"]] = table[["XMin", "XMax"]].to_numpy() / frame[["width"]].to_numpy()
        table[["YMin", "YMax"]] = table[["YMin", "YMax"]].to_numpy() / frame[["height"]].to_numpy()
    table["ImageID"] += ".jpg"
    if "Conf" in table:
        table = table.sort_values(["ImageID", "Conf"], ascending=[True, False], kind="stable")
        return table[["ImageID", "LabelName", "Conf", "XMin", "XMax", "YMin", "YMax"]].reset_index(
            drop=True
        )
    table = table.sort_values(["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"])
    return table[["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"]].reset_index(drop=True)


def answers_from_boxes(
    boxes: pd.DataFrame, images: pd.DataFrame, normaliser: str = "contest"
) -> pd.DataFrame:
    """Boxes in px as the contest's answer table: shares of `normaliser`'s frame, ids with .jpg."""
    truth = contest.read_boxes(boxes, "boxes", with_confidence=False)
    sizes = contest.frame_sizes(truth.image_ids, normaliser, images, truth)
    shares = truth.xyxy / np.tile(sizes, 2)[truth.image]
    return contest.to_table(truth, shares)[contest.ANSWER_COLUMNS]


def contest_sizes(images: pd.DataFrame) -> pd.DataFrame:
    """Width and height by image id that the contest divides by."""
    sizes = [species.by_name(name).contest_size_px for name in images["species"]]
    return pd.DataFrame(sizes, columns=["width", "height"], index=images["image_id"])


def _table(ids: np.ndarray, labels: np.ndarray, xyxy: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ids,
            "species": labels,
            "x_min": xyxy[:, 0],
            "y_min": xyxy[:, 1],
            "x_max": xyxy[:, 2],
            "y_max": xyxy[:, 3],
        }
    )
