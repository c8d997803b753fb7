"""Counts of animals against labels, and the confidences that are best to look and count with."""

import re

import numpy as np
import pandas as pd
import pytest
from made_candidates import made

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import postprocess
from livestock_utils.detect.predict.postprocess import LOOKING, PostprocessSettings
from livestock_utils.detect.tune import looking
from livestock_utils.evaluate.scoring import counts
from livestock_utils.show import displays

IMAGES = pd.DataFrame({"image_id": list("abc"), "species": ["pig", "pig", "cow"]})
COLUMNS = ["image_id", "species", *XYXY, "confidence"]


def table(*rows):
    """Boxes from (image, species, x, confidence): 10 px squares."""
    full = [[image, kind, x, 0.0, x + 10, 10.0, sure] for image, kind, x, sure in rows]
    return pd.DataFrame(full, columns=COLUMNS).astype({"x_min": float, "x_max": float})


LABELS = table(("a", "pig", 0, 1), ("a", "pig", 20, 1), ("c", "cow", 0, 1)).drop(
    columns="confidence"
)


def test_nothing_is_counted_as_nothing():
    none = table()
    counted = counts.counted(none, none, IMAGES)
    assert counted[["labelled", "counted"]].to_numpy().sum() == 0 and len(counted) == 3
    assert counts.count_table(counted.iloc[:0]).empty
    assert counts.best_thresholds(none, none, IMAGES) == ({"pig": 0.25, "cow": 0.25}, 0.0)


def test_counts_are_of_a_photos_own_species_and_of_any_other_found():
    found = table(("a", "pig", 0, 0.9), ("b", "cow", 0, 0.9), ("b", "pig", 0, 0.3))
    rows = counts.counted(LABELS, found, IMAGES).set_index(["image_id", "species"])
    assert rows.loc[("a", "pig")].tolist() == [2, 1]
    assert rows.loc[("b", "pig")].tolist() == [0, 1]
    assert rows.loc[("b", "cow")].tolist() == [0, 1]
    assert rows.loc[("c", "cow")].tolist() == [1, 0] and len(rows) == 4
    errors = counts.count_table(rows.reset_index())
    assert errors.loc["pig", ["images", "labelled", "counted", "bias", "error"]].tolist() == [
        *(2, 2, 2, 0, 1)
    ]
    assert errors.loc["pig", "error_low"] == errors.loc["pig", "error_high"] == 1
    by_pen = counts.count_table(rows.reset_index(), pd.Series({"a": "p", "b": "q", "c": "q"}))
    assert by_pen.loc[("p", "pig"), "bias"] == -1 and np.isnan(by_pen.loc[("p", "pig"), "bias_low"])


@pytest.mark.parametrize(
    ("aim", "pig"),
    [
        # At .6 one of two pigs and no false box: F1 2/3; at .5 both and none false: the best.
        ("f1", (0.5 + 0.2) / 2),
        # A count looks at numbers alone: two boxes for two pigs are enough, from .6 up.
        ("count", (0.6 + 0.5) / 2),
    ],
)
def test_the_best_confidence_follows_from_the_aim(aim, pig):
    found = table(
        *(
            ("a", "pig", 0, 0.9),
            ("a", "pig", 50, 0.6),
            ("a", "pig", 20, 0.5),
            ("a", "pig", 80, 0.2),
        ),
        ("c", "cow", 0, 0.7),
    )
    best, _ = counts.best_thresholds(LABELS, found, IMAGES, aim)
    assert best == {"pig": pytest.approx(pig), "cow": pytest.approx(0.35)}


def test_no_other_confidence_counts_better():
    found, boxes = made(n_images=20)
    shown = postprocess.apply(found, PostprocessSettings(iou_threshold=0.3))
    best, value = counts.best_thresholds(boxes, shown, found.images, "count")
    for name in ("pig", "cow"):
        sides = [side[side["species"] == name] for side in (boxes, shown)]
        labels = sides[0].groupby("image_id").size().reindex(found.images["image_id"], fill_value=0)

        def error(least, found_of=sides[1], labels=labels):
            sure = found_of[found_of["confidence"] >= least]
            return (
                (sure.groupby("image_id").size().reindex(labels.index, fill_value=0) - labels)
                .abs()
                .mean()
            )

        assert (
            error(best[name]) <= min(error(least) for least in np.linspace(0.001, 0.99, 60)) + 1e-9
        )
    assert value < 0


def test_an_unknown_aim_is_refused():
    with pytest.raises(ScoringError, match=r"aim must be one of \['f1', 'count'\], got 'ap'"):
        counts.best_thresholds(LABELS, LABELS, IMAGES, "ap")


def test_to_look_there_is_one_box_an_animal():
    found, boxes = made(n_images=30)
    photos = Photos(found.images.assign(species=""), boxes)
    faint = postprocess.apply(found, PostprocessSettings())
    assert len(faint) > 4 * len(boxes)
    shown, chosen = looking.seen(photos, faint)
    assert chosen == looking.for_looking(found_of(faint, photos), boxes)
    assert len(shown) < 1.3 * len(boxes) and chosen.class_agnostic and chosen.method == "nms"
    counted, _ = looking.seen(photos, faint, "count")
    error = counts.count_table(counts.counted(boxes, counted, photos.images))["error"].mean()
    other = counts.count_table(counts.counted(boxes, shown, photos.images))["error"].mean()
    assert error <= other + 1e-9
    assert looking.for_looking(found, boxes.iloc[:0]) == LOOKING


def found_of(predictions, photos):
    from livestock_utils.detect.predict import candidates

    return candidates.of_table(predictions, photos.images, ("pig", "cow"), "predictions")


def test_the_display_tells_the_error_of_the_count():
    found, boxes = made(n_images=20)
    images = found.images.assign(species=["cow", "pig"] * 10)
    shown = displays.counts(Photos(images, boxes), postprocess.apply(found, PostprocessSettings()))
    assert shown.table.loc["cow", "labelled"] == (boxes["species"] == "cow").sum()
    assert re.search(r"cow: \d+ counted where \d+ are labelled, .* wrong by", shown.verdict.lower())
    ax = shown.plot()
    assert ax.get_xlabel() == "animals labelled on a photo" and len(ax.collections) == 2
    cameras = pd.Series(["a", "b"] * 10, index=images["image_id"])
    by_camera = displays.counts(Photos(images, boxes), table(), cameras)
    assert by_camera.table.index.names == ["group", "species"]
    assert by_camera.table["labelled"].sum() == shown.table["labelled"].sum()
    assert set(by_camera.table.index.get_level_values("group")) == {"a", "b"}
    nothing = displays.counts(Photos(images.iloc[:0], boxes.iloc[:0]), table())
    assert nothing.verdict == "There is nothing to count yet."
    assert nothing.plot().texts
