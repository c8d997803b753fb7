"""Bootstrap intervals and paired comparison: equal to scoring the drawn images, and telling noise
from gain."""

import numpy as np
import pandas as pd
import pytest
from detections import answers_from_boxes, scene

from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import intervals, metrics


@pytest.fixture(scope="module")
def tables():
    return scene(seed=21, n_images=30, n_answers=150, n_detections=700)


@pytest.fixture(scope="module")
def matches(tables):
    images, boxes, predictions = tables
    return metrics.contest_matches(answers_from_boxes(boxes, images), predictions)


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_is_the_score_of_the_drawn_images(tables, matches, seed):
    images, boxes, predictions = tables
    draw = intervals.draw_images(len(matches.image_ids), 1, seed)
    got = intervals.resampled(matches, draw).iloc[0]
    copies = [
        (f"{image_id}_{copy}", image_id)
        for image_id, count in zip(matches.image_ids, draw[0], strict=True)
        for copy in range(count)
    ]
    renamed = pd.DataFrame(copies, columns=["copy", "image_id"])

    def repeat(table: pd.DataFrame) -> pd.DataFrame:
        return (
            renamed.merge(table, on="image_id")
            .drop(columns="image_id")
            .rename(columns={"copy": "image_id"})
        )

    answers = answers_from_boxes(repeat(boxes), repeat(images))
    mean, per_class = metrics.contest_score(answers, repeat(predictions))
    assert got["all"] == pytest.approx(mean, abs=1e-12)
    assert got.drop("all").to_dict() == pytest.approx(per_class, abs=1e-12)


def test_drawing_each_image_once_gives_the_score_itself(matches):
    once = np.ones((1, len(matches.image_ids)))
    kept = matches.confidence > 0.3
    for mask in (None, kept):
        want = metrics.average_precisions(matches, 0.6, kept=mask)
        assert intervals.resampled(matches, once, (0.6,), mask).iloc[0].drop(
            "all"
        ).to_dict() == pytest.approx(want)


def test_bootstrap_interval(matches):
    table = intervals.bootstrap(matches, n_resamples=200, seed=3)
    assert table.index.tolist() == ["all", "pig", "cow"]
    assert (table["low"] < table["value"]).all() and (table["value"] < table["high"]).all()
    pd.testing.assert_frame_equal(table, intervals.bootstrap(matches, n_resamples=200, seed=3))
    draws = intervals.draw_images(len(matches.image_ids), 200, seed=3)
    narrow = intervals.limits(intervals.resampled(matches, draws)["all"], level=0.5)
    assert table["low"]["all"] < narrow[0] < narrow[1] < table["high"]["all"]
    several = intervals.bootstrap(matches, metrics.COCO_THRESHOLDS, n_resamples=20)
    assert several.loc["all", "value"] == pytest.approx(
        metrics.contest_table(matches).loc["all", "AP50-95"]
    )


def test_no_detection_gives_a_sure_zero(tables):
    images, boxes, predictions = tables
    nothing = metrics.contest_matches(answers_from_boxes(boxes, images), predictions.head(0))
    assert (intervals.bootstrap(nothing, n_resamples=20)[["value", "low", "high"]] == 0).all(
        axis=None
    )


def test_comparison_of_a_better_an_equal_and_a_noisy_submission(tables, matches):
    images, boxes, predictions = tables
    truth = answers_from_boxes(boxes, images)
    itself = intervals.compare(matches, matches, n_resamples=50)
    assert (itself[["difference", "low", "high"]] == 0).all(axis=None) and (
        itself["second_better"] == 0.5
    ).all()
    perfect = metrics.contest_matches(truth, boxes.assign(confidence=0.9))
    gain = intervals.compare(matches, perfect, n_resamples=100).loc["all"]
    assert (
        gain["low"] > 0
        and gain["second_better"] == 1
        and gain["difference"] == gain["second"] - gain["first"]
    )
    rng = np.random.default_rng(0)
    shaken = predictions.assign(
        confidence=predictions["confidence"] + rng.normal(0, 0.02, len(predictions))
    )
    noise = intervals.compare(matches, metrics.contest_matches(truth, shaken), n_resamples=300).loc[
        "all"
    ]
    assert noise["low"] < 0 < noise["high"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, o: intervals.compare(m, o), "matched with different answers"),
        (lambda m, o: intervals.limits([0.5], level=95), "level must be between 0 and 1"),
        (lambda m, o: intervals.bootstrap(m, n_resamples=0), "at least 2 images and 1 resampling"),
        (
            lambda m, o: intervals.draw_images(1, 9),
            "got 1, 9; give more images, or ask for the score alone",
        ),
        (lambda m, o: intervals.bootstrap(m, (75,)), "at most 1, got 75"),
    ],
)
def test_bad_arguments(matches, call, message):
    images, boxes, predictions = scene(seed=1)
    other = metrics.contest_matches(answers_from_boxes(boxes, images), predictions)
    with pytest.raises(ScoringError, match=message):
        call(matches, other)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [
        (0.0, 0, 0.0, 1.0),
        (0.5, 10, 0.2366, 0.7634),  # as scipy's binomtest(5, 10).proportion_ci(method="wilson")
        (0.0, 20, 0.0, 0.1611),
        (1.0, 20, 0.8389, 1.0),
    ],
)
def test_wilson(share, n, low, high):
    assert [float(end) for end in intervals.wilson(share, n)] == pytest.approx(
        [low, high], abs=1e-4
    )
