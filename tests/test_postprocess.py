"""From candidates to predictions: order, limits, thresholds by class, and the settings file."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_candidates import RESCORER, made

from livestock_utils.core.boxes import XYXY, iou_matrix
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.detect.predict import candidates, postprocess
from livestock_utils.detect.predict.postprocess import PostprocessSettings

METHODS = [
    PostprocessSettings(),
    PostprocessSettings(method="soft_nms_linear", iou_threshold=0.5),
    PostprocessSettings(method="soft_nms_gaussian"),
    PostprocessSettings(method="fusion", iou_threshold=0.6),
    PostprocessSettings(method="fusion", fusion_nms=0.7, iou_threshold=0.55),
    PostprocessSettings(class_agnostic=True),
    PostprocessSettings(multi_label=False),
    PostprocessSettings(voting_iou=0.7),
    PostprocessSettings("diou_nms", iou_threshold=0.5),
    PostprocessSettings(voting_iou=0.7, rescorer=RESCORER),
    PostprocessSettings(method="soft_nms_linear", voting_iou=0.5),
]


def hand_made(rows, width=100, height=80) -> candidates.Candidates:
    """Candidates of the images "a" and "b" from rows (image, class, confidence, box)."""
    image, label, confidence, boxes = zip(*rows, strict=True) if rows else ((), (), (), ())
    return candidates.build(
        pd.DataFrame(
            {
                "image_id": ["a", "b"],
                "width_px": width,
                "height_px": height,
                "status": "ok",
                "found": 0,
            }
        ),
        ("pig", "cow"),
        ("plain",),
        {},
        image_index=np.array(image, dtype=int),
        class_index=label,
        pass_index=[0] * len(label),
        best_class=[True] * len(label),
        confidence=confidence,
        xyxy=np.array(boxes, dtype=float).reshape(-1, 4),
    )


@pytest.mark.parametrize("setting", METHODS)
def test_no_candidates_give_an_empty_table_with_all_columns(setting):
    table = postprocess.apply(hand_made([]), setting)
    assert table.columns.tolist() == ["image_id", "species", *XYXY, "confidence"]
    assert len(table) == 0


@pytest.mark.parametrize("setting", METHODS)
def test_sorted_by_image_and_falling_confidence_within_the_limit_and_the_frame(setting):
    found, _ = made()
    table = postprocess.apply(found, dataclasses.replace(setting, max_detections=5))
    order = table.sort_values(["image_id", "confidence"], ascending=[True, False], kind="stable")
    assert order.index.tolist() == list(range(len(table)))
    assert table["image_id"].value_counts().max() == 5
    assert table["confidence"].between(0, 1).all()
    assert (
        (table[XYXY].min() >= 0).all()
        and table["x_max"].max() <= 640
        and table["y_max"].max() <= 480
    )


def test_a_box_past_the_frame_is_suppressed_whole_and_shown_clipped():
    # Clipped, the two are the same box; whole they overlap by 40 %: yolov5 suppresses before it
    # clips.
    found = hand_made([(0, 0, 0.9, (0, 0, 50, 80)), (0, 0, 0.8, (0, 0, 50, 200))])
    table = postprocess.apply(found, PostprocessSettings(iou_threshold=0.5))
    assert table[XYXY].to_numpy().tolist() == [[0, 0, 50, 80], [0, 0, 50, 80]]


CROSSING = [
    (0, 0, 0.9, (0, 0, 40, 40)),
    (0, 1, 0.8, (0, 0, 40, 41)),
    (0, 0, 0.3, (0, 0, 40, 42)),
    (1, 1, 0.05, (5, 5, 20, 20)),
]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (PostprocessSettings(), [("a", "pig"), ("a", "cow"), ("b", "cow")]),
        (PostprocessSettings(class_agnostic=True), [("a", "pig"), ("b", "cow")]),
        (
            PostprocessSettings(iou_threshold=0.99),
            [("a", "pig"), ("a", "cow"), ("a", "pig"), ("b", "cow")],
        ),
        (
            PostprocessSettings(iou_threshold={"pig": 0.99, "cow": 0.5}),
            [("a", "pig"), ("a", "cow"), ("a", "pig"), ("b", "cow")],
        ),
        (PostprocessSettings(confidence_threshold=0.5), [("a", "pig"), ("a", "cow")]),
        (
            PostprocessSettings(confidence_threshold={"pig": 0.95, "cow": 0.01}),
            [("a", "cow"), ("b", "cow")],
        ),
        (PostprocessSettings(max_detections=1), [("a", "pig"), ("b", "cow")]),
    ],
)
def test_thresholds_hold_for_their_class(setting, expected):
    table = postprocess.apply(hand_made(CROSSING), setting)
    assert list(zip(table["image_id"], table["species"], strict=True)) == expected


def test_only_the_best_class_of_an_anchor_without_multi_label():
    found = dataclasses.replace(hand_made(CROSSING), best_class=np.array([True, False, True, True]))
    assert postprocess.apply(found, PostprocessSettings(multi_label=False))["species"].tolist() == [
        "pig",
        "cow",
    ]


def test_passes_are_chosen_by_name():
    found, _ = made(passes=2)
    both = postprocess.apply(found, PostprocessSettings(passes=("plain", "x1.1")))
    pd.testing.assert_frame_equal(both, postprocess.apply(found, PostprocessSettings()))
    one = postprocess.apply(found, PostprocessSettings(passes=("plain",)))
    pd.testing.assert_frame_equal(
        one, postprocess.apply(found.select(found.pass_index == 0), PostprocessSettings())
    )
    with pytest.raises(
        LivestockError, match=r"pass 'flip' was not predicted: there are \['plain', 'x1.1'\]"
    ):
        postprocess.apply(found, PostprocessSettings(passes=("flip",)))


def test_only_the_images_asked_for():
    found, _ = made()
    some = found.images.iloc[[0, 3]]
    whole = postprocess.apply(found)
    expected = whole[whole["image_id"].isin(some["image_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(postprocess.apply(found, images=some), expected)
    with pytest.raises(DatasetError, match="have no candidates"):
        postprocess.apply(found, images=pd.DataFrame({"image_id": ["nobody"]}))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 0.9), st.floats(0.001, 0.9))
@example(
    828, 0.75, 0.25
)  # a box past the left edge: clipped, it overlaps its neighbour more than whole
def test_what_nms_leaves_does_not_overlap_more_than_allowed(seed, iou_threshold, confidence):
    found, _ = made(n_images=4, per_image=20, seed=seed)
    table = postprocess.apply(
        found, PostprocessSettings(iou_threshold=iou_threshold, confidence_threshold=confidence)
    )
    inside = dataclasses.replace(
        found, images=found.images.assign(width_px=0, height_px=0), xyxy=found.xyxy + 512
    )
    whole = postprocess.apply(
        inside, PostprocessSettings(iou_threshold=iou_threshold, confidence_threshold=confidence)
    )
    assert len(whole) == len(table)
    assert (table["confidence"] >= np.float32(confidence)).all()
    for _, group in whole.groupby(["image_id", "species"]):
        overlap = iou_matrix(group[XYXY], group[XYXY])
        assert (np.triu(overlap, 1) <= iou_threshold + 1e-5).all()


@pytest.mark.parametrize(
    "setting",
    [
        *METHODS,
        PostprocessSettings(
            confidence_threshold={"pig": 0.01, "cow": 0.2},
            iou_threshold={"pig": 0.6, "cow": 0.7},
            passes=("plain", "flip"),
        ),
    ],
)
def test_settings_go_through_yaml(tmp_path, setting):
    path = postprocess.save_settings(tmp_path / "tuned.yaml", setting, ap75=0.9, why="best of 3")
    assert postprocess.load_settings(path) == setting
    assert yaml.safe_load(path.read_text())["chosen"] == {"ap75": 0.9, "why": "best of 3"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "magic"}, "method must be one of"),
        ({"confidence_threshold": 1.5}, r"confidence_threshold must lie in \[0, 1\], got 1.5"),
        ({"iou_threshold": {"pig": 0.5, "cow": -1}}, r"iou_threshold must lie in \[0, 1\], got -1"),
        ({"iou_threshold": float("nan")}, r"iou_threshold must lie in \[0, 1\], got nan"),
        ({"iou_threshold": "0.5"}, r"iou_threshold must lie in \[0, 1\], got '0.5'"),
        ({"max_detections": 0}, "max_detections must be a whole number of at least 1"),
        ({"max_detections": 2.5}, "max_detections must be a whole number of at least 1"),
        ({"sigma": 0}, "sigma must be above 0"),
        (
            {"class_agnostic": True, "iou_threshold": {"pig": 0.5, "cow": 0.5}},
            "takes one iou_threshold",
        ),
        ({"class_agnostic": True, "method": "fusion"}, "fusion mixes boxes of one class"),
        ({"fusion_confidence": "sum"}, "fusion_confidence must be one of avg, max"),
        ({"iou_threshold": None}, r"iou_threshold must lie in \[0, 1\], got None"),
        ({"fusion_nms": {"pig": 0.5}}, r"fusion_nms must be a number from 0 to 1, got \{'pig'"),
        (
            {"passes": 3},
            r"passes must be a list of names such as \[plain, flip\], or null for all predicted, "
            r"got 3",
        ),
        ({"passes": "flip"}, "passes must be a list of names such as .*, got 'flip'"),
        ({"passes": []}, "passes must be a list of names"),
        ({"passes": [1]}, "passes must be a list of names"),
        ({"class_agnostic": "no"}, "class_agnostic must be True or False, got 'no'"),
        ({"multi_label": 1}, "multi_label must be True or False, got 1"),
        ({1: 0.5}, "unknown post-processing setting 1"),
        ({"nms": 0.5}, "unknown post-processing setting 'nms'"),
    ],
)
def test_bad_settings_are_told(values, message):
    with pytest.raises(LivestockError, match=message):
        PostprocessSettings.from_dict(values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("settings: {passes: flip}", "s.yaml: passes must be a list of names"),
        (
            "settings: {}\nchosen: {image_size: big}",
            "s.yaml: image_size must be a whole number of at least 32, got 'big'",
        ),
        ("settings: {}\nchosen: 3", "s.yaml: 'chosen' must hold names and values, got 3"),
    ],
)
def test_faults_of_a_settings_file_are_told_with_its_name(tmp_path, content, message):
    (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(LivestockError, match=message):
        postprocess.load_settings(tmp_path / "s.yaml")
        postprocess.load_image_size(tmp_path / "s.yaml")


def test_the_image_size_of_a_settings_file(tmp_path):
    for said, expected in ({}, None), ({"image_size": 416}, 416):
        path = postprocess.save_settings(tmp_path / "s.yaml", PostprocessSettings(), **said)
        assert postprocess.load_image_size(path) == expected


def test_thresholds_must_name_every_class():
    with pytest.raises(LivestockError, match=r"one entry a class \['cow', 'pig'\], got \['pig'\]"):
        postprocess.apply(made()[0], PostprocessSettings(iou_threshold={"pig": 0.5}))


@pytest.mark.parametrize("content", [None, "", "a: [", "- 1", "settings: 3"])
def test_a_file_that_is_no_settings_file_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(
        LivestockError, match=r"(settings.*|YAML.*)run the sweep|cannot be read"
    ) as caught:
        postprocess.load_settings(tmp_path / "s.yaml")
    assert "\n" not in str(caught.value)
