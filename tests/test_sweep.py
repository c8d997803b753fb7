"""The sweep against the scorer itself, its choices, and intervals that tell noise from gain."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from detections import answers_from_boxes
from made_candidates import RESCORER, made

from livestock_utils.core.errors import DatasetError
from livestock_utils.detect.predict import postprocess
from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.detect.tune import sweep
from livestock_utils.evaluate.scoring import metrics

MANY = [
    *sweep.grid(iou_threshold=[0.5, 0.7], confidence_threshold=[0.001, 0.05, 0.3]),
    *sweep.grid(class_agnostic=[True], max_detections=[2, 300], multi_label=[True, False]),
    *sweep.grid(
        PostprocessSettings(iou_threshold=0.5),
        method=["soft_nms_linear", "soft_nms_gaussian"],
        sigma=[0.3, 0.6],
        confidence_threshold=[0.001, 0.1],
    ),
    *sweep.grid(
        PostprocessSettings(method="fusion"),
        iou_threshold=[0.5, 0.7],
        fusion_confidence=["avg", "max"],
        confidence_threshold=[0.01, 0.1],
        fusion_nms=[None, 0.8],
    ),
    PostprocessSettings(
        confidence_threshold={"pig": 0.1, "cow": 0.01}, iou_threshold={"pig": 0.5, "cow": 0.7}
    ),
    PostprocessSettings(
        confidence_threshold={"pig": 0.1, "cow": 0.01}, class_agnostic=True, max_detections=3
    ),
    *sweep.grid(
        PostprocessSettings(voting_iou=0.6, rescorer=RESCORER), confidence_threshold=[0.001, 0.2]
    ),
    PostprocessSettings(
        method="soft_nms_linear",
        confidence_threshold={"pig": 0.1, "cow": 0.01},
        class_agnostic=True,
    ),
]


@pytest.mark.parametrize("passes", [1, 2])
def test_every_setting_scores_what_the_contest_scorer_says_of_its_predictions(passes):
    found, boxes = made(passes=passes)
    tried = sweep.evaluate(found, boxes, MANY)
    answers = answers_from_boxes(boxes, found.images, normaliser="image")
    for row in tried.to_dict("records"):
        predictions = postprocess.apply(found, row["settings"])
        mean, per_class = metrics.contest_score(
            answers, predictions, normaliser="image", images=found.images
        )
        assert row["ap75"] == pytest.approx(mean, abs=1e-6), row["settings"]
        assert row["ap75_pig"] == pytest.approx(per_class["pig"], abs=1e-6)
        assert row["detections_per_image"] == pytest.approx(len(predictions) / len(found.images))


def test_the_default_grid_has_210_settings():
    assert len(sweep.grid()) == 210
    assert len({repr(setting) for setting in sweep.grid()}) == 210


def test_random_settings_are_drawn_by_seed_within_their_ranges():
    ranges = {
        "iou_threshold": (0.4, 0.9),
        "confidence_threshold": (0.001, 0.1),
        "method": ["nms", "fusion"],
    }
    drawn = sweep.random_settings(40, seed=3, **ranges)
    assert (
        drawn
        == sweep.random_settings(40, seed=3, **ranges)
        != sweep.random_settings(40, seed=4, **ranges)
    )
    assert all(
        0.4 <= s.iou_threshold <= 0.9 and 0.001 <= s.confidence_threshold <= 0.1 for s in drawn
    )
    assert {s.method for s in drawn} == {"nms", "fusion"}
    assert np.median([s.confidence_threshold for s in drawn]) < 0.03
    assert sweep.random_settings(0) == []


def test_best_prefers_the_higher_score_then_fewer_boxes():
    tried = pd.DataFrame(
        {
            "settings": [PostprocessSettings(iou_threshold=i / 10) for i in range(1, 5)],
            "ap75": [0.5, 0.9, 0.9 + 1e-12, 0.2],
            "detections_per_image": [1, 9, 8, 1],
        }
    )
    assert sweep.best(tried).iou_threshold == 0.3


def test_thresholds_by_class_score_at_least_as_well_as_one_for_all():
    found, boxes = made(n_images=40)
    tried = sweep.evaluate(
        found, boxes, sweep.grid(confidence_threshold=[0.001, 0.05], iou_threshold=[0.3, 0.5, 0.7])
    )
    chosen = sweep.best_per_class(tried)
    row = sweep.evaluate(found, boxes, [chosen]).iloc[0]
    assert row["ap75"] == pytest.approx((tried["ap75_pig"].max() + tried["ap75_cow"].max()) / 2)


def test_soft_nms_by_class_scores_at_least_as_well_as_one_for_all():
    found, boxes = made(n_images=40)
    tried = sweep.evaluate(
        found,
        boxes,
        sweep.grid(PostprocessSettings(method="soft_nms_linear"), iou_threshold=[0.3, 0.5, 0.7]),
    )
    chosen = sweep.best_per_class(tried, method="soft_nms_linear")
    assert chosen.method == "soft_nms_linear" and set(chosen.iou_threshold) == {"pig", "cow"}
    row = sweep.evaluate(found, boxes, [chosen]).iloc[0]
    assert row["ap75"] == pytest.approx((tried["ap75_pig"].max() + tried["ap75_cow"].max()) / 2)


def test_intervals_call_a_large_gain_a_gain_and_none_for_the_same_setting():
    found, boxes = made(n_images=40)
    bad = PostprocessSettings(confidence_threshold=0.6)
    table = sweep.compare(
        found,
        boxes,
        {"same": bad, "all boxes": PostprocessSettings()},
        reference=bad,
        n_resamples=200,
    )
    assert table.loc["same", ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
    assert table.loc["same", "better"] == 0.5
    assert table.loc["all boxes", "gain_low"] > 0
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    again = sweep.compare(
        found,
        boxes,
        {"same": bad, "all boxes": PostprocessSettings()},
        reference=bad,
        n_resamples=200,
    )
    pd.testing.assert_frame_equal(table, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda boxes: boxes.iloc[:0], "no labelled boxes to tune on"),
        (
            lambda boxes: boxes.assign(species="sheep"),
            r"33 boxes are of an unknown species, first 'sheep'; expected \['pi",
        ),
        (
            lambda boxes: boxes.assign(image_id="elsewhere"),
            "1 labelled images were not predicted, first 'elsewhere'",
        ),
    ],
)
def test_labels_that_cannot_judge_are_refused(change, message):
    found, boxes = made()
    with pytest.raises(DatasetError, match=message):
        sweep.evaluate(found, change(boxes), [PostprocessSettings()])


def test_candidates_of_the_classes_in_another_order_score_the_same():
    found, boxes = made()
    turned = dataclasses.replace(
        found, names=("cow", "pig"), class_index=(1 - found.class_index).astype(np.int16)
    )
    first, second = (
        sweep.evaluate(c, boxes, sweep.grid(iou_threshold=[0.5, 0.7])) for c in (found, turned)
    )
    pd.testing.assert_frame_equal(first.drop(columns="settings"), second.drop(columns="settings"))
