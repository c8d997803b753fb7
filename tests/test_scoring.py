"""The contest's score: equal to map-boxes, the same in any order of rows, and clear about what it
cannot take."""

import re

import numpy as np
import pandas as pd
import pytest
from detections import answers_from_boxes, as_contest, contest_sizes, scene, scenes
from hypothesis import given, settings
from hypothesis import strategies as st

from livestock_utils.core import species
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import metrics

ANSWER = {
    "ImageID": "livestock_pig_bbox_000001.jpg",
    "LabelName": "pig",
    "XMin": 0.1,
    "XMax": 0.5,
    "YMin": 0.2,
    "YMax": 0.6,
}
FOUND = {
    "ImageID": "livestock_pig_bbox_000001.jpg",
    "LabelName": "pig",
    "Conf": 0.9,
    "XMin": 128.0,
    "XMax": 640.0,
    "YMin": 192.0,
    "YMax": 576.0,
}


def answers(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame([ANSWER | row for row in rows or ({},)])


def found(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame([FOUND | row for row in rows or ({},)])


def map_boxes(
    truth: pd.DataFrame, shares: pd.DataFrame, iou_threshold: float
) -> tuple[float, dict[str, float]]:
    """The contest's own scorer."""
    from map_boxes import mean_average_precision_for_boxes

    mean, per_class = mean_average_precision_for_boxes(truth, shares, iou_threshold, verbose=False)
    return mean, {name: ap for name, (ap, _) in per_class.items()}


def test_no_predictions_score_zero():
    assert metrics.contest_score(answers(), found().head(0)) == (0.0, {"pig": 0.0})


def test_a_perfect_submission_scores_one():
    images, boxes, _ = scene(seed=1, n_images=9, n_answers=60)
    truth = answers_from_boxes(boxes, images)
    assert metrics.contest_score(truth, boxes.assign(confidence=0.5)) == (
        1.0,
        {"pig": 1.0, "cow": 1.0},
    )
    assert truth[["XMin", "XMax", "YMin", "YMax"]].to_numpy().max() > 1, (
        "large pig frames exceed the contest's frame"
    )


def test_the_true_size_of_a_large_pig_frame_is_not_what_the_contest_divides_by():
    images = pd.DataFrame(
        {"image_id": ["livestock_pig_bbox_000001"], "width_px": [1920], "height_px": [1080]}
    )
    truth = answers({"XMin": 0.3, "XMax": 1.4})
    submitted = found({"XMin": 384.0, "XMax": 1792.0})
    assert metrics.contest_score(truth, submitted)[0] == 1.0
    assert metrics.contest_score(truth, submitted, normaliser="image", images=images)[0] == 0.0


@pytest.mark.parametrize(
    ("made_with", "scored_with", "told"),
    [
        (
            "image",
            "contest",
            r"with normaliser 'contest' mAP50 is 0\.\d+, with 'image' 1\.000: these answers are "
            r"divided "
            "by the true frames; set normaliser 'image'",
        ),
        ("contest", "image", "divided by the contest frames; set normaliser 'contest'"),
        ("contest", "contest", None),
        ("image", "image", None),
    ],
)
def test_answers_of_the_other_normaliser_are_told(made_with, scored_with, told):
    images, boxes, _ = scene(seed=1, n_images=9, n_answers=60)
    images[["width_px", "height_px"]] *= 3  # photos of another camera
    boxes = boxes.assign(
        **{side: 3 * boxes[side] for side in ("x_min", "y_min", "x_max", "y_max")}, confidence=0.5
    )
    truth = answers_from_boxes(boxes, images, made_with)
    if made_with == "contest" and scored_with == "image":
        assert metrics.contest_score(truth, boxes, normaliser="image", images=images)[0] < 0.5
    found = metrics.normaliser_doubt(truth, boxes, scored_with, images)
    assert found is None if told is None else re.search(told, found)
    assert metrics.normaliser_doubt(truth, boxes, scored_with) is None
    assert metrics.normaliser_doubt(truth, boxes, scored_with, images.assign(width_px=0)) is None


@pytest.mark.parametrize(("name", "size"), [("pig", (1280, 960)), ("cow", (1920, 1080))])
def test_constants_of_the_contest_come_from_the_species_settings(name, size):
    assert species.by_name(name).contest_size_px == size
    images = pd.DataFrame(
        {"image_id": ["a"], "species": [name], "width_px": [100], "height_px": [100]}
    )
    boxes = pd.DataFrame(
        {
            "image_id": ["a"],
            "species": ["pig"],
            "x_min": [0.0],
            "y_min": [0.0],
            "x_max": [size[0] / 2],
            "y_max": [size[1] / 4],
        }
    )
    made = answers_from_boxes(boxes, images).iloc[0]
    assert (made["XMax"], made["YMax"], made["ImageID"]) == (0.5, 0.25, "a.jpg")


@settings(max_examples=120, deadline=None)
@given(scenes(), st.sampled_from([0.3, 0.5, 0.75, 0.9]))
def test_equals_map_boxes(tables, iou_threshold):
    images, boxes, predictions = tables
    sizes = contest_sizes(images)
    truth = as_contest(boxes, sizes)
    want = map_boxes(truth, as_contest(predictions, sizes), iou_threshold)
    got = metrics.contest_score(truth, as_contest(predictions), iou_threshold)
    assert got[0] == pytest.approx(want[0], abs=1e-9)
    assert got[1] == pytest.approx(want[1], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(scenes(), st.randoms(use_true_random=False))
def test_rows_in_any_order_score_as_map_boxes_scores_them(tables, random):
    images, boxes, predictions = tables
    sizes = contest_sizes(images)
    truth, order = as_contest(boxes, sizes), list(range(len(predictions)))
    random.shuffle(order)
    shuffled = predictions.iloc[order]
    want = map_boxes(truth, as_contest(shuffled, sizes), 0.75)[0]
    assert metrics.file_order_score(truth, as_contest(shuffled)) == pytest.approx(want, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_equals_map_boxes_with_the_true_sizes(tables):
    images, boxes, predictions = tables
    sizes = images.set_index("image_id").rename(
        columns={"width_px": "width", "height_px": "height"}
    )
    truth = as_contest(boxes, sizes)
    want = map_boxes(truth, as_contest(predictions, sizes), 0.75)
    got = metrics.contest_score(truth, predictions, normaliser="image", images=images)
    assert got[0] == pytest.approx(want[0], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0, 40]))
def test_the_order_of_rows_is_of_no_account(seed, ties, grid):
    images, boxes, predictions = scene(seed, ties=ties, grid=grid)
    truth = answers_from_boxes(boxes, images)
    shuffled = (
        truth.sample(frac=1, random_state=seed),
        predictions.sample(frac=1, random_state=seed + 1),
    )
    assert metrics.contest_score(*shuffled) == metrics.contest_score(truth, predictions)


def test_our_table_the_contests_columns_and_shares_score_the_same():
    images, boxes, predictions = scene(seed=5)
    truth = answers_from_boxes(boxes, images)
    score = metrics.contest_score(truth, predictions)
    assert metrics.contest_score(truth, as_contest(predictions)) == score
    assert (
        metrics.contest_score(truth, as_contest(predictions, contest_sizes(images)), units="shares")
        == score
    )
    assert metrics.contest_score(truth, predictions, images=images) == score


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(
            {"ImageID": "livestock_pig_bbox_000002.jpg"}, id="image that the answers lack"
        ),
        pytest.param({"LabelName": "cow"}, id="class that the answers lack"),
    ],
)
def test_false_positives_that_cost_nothing(extra):
    assert metrics.contest_score(answers(), found({**extra, "Conf": 0.99}, {}))[0] == 1.0


def test_a_false_positive_of_a_known_class_on_a_known_image_costs():
    truth = answers({}, {"ImageID": "livestock_cow_bbox_000002.jpg", "LabelName": "cow"})
    extra = {"ImageID": "livestock_cow_bbox_000002.jpg", "Conf": 0.99}
    assert metrics.contest_score(truth, found(extra, {}))[1] == {"pig": 0.5, "cow": 0.0}


def test_a_detection_is_tried_only_against_the_answer_it_overlaps_best():
    truth = answers({"XMin": 0.1, "XMax": 0.5}, {"XMin": 0.12, "XMax": 0.52})
    both_nearest_to_the_first = found({"Conf": 0.9}, {"Conf": 0.8, "XMin": 130.0, "XMax": 642.0})
    assert metrics.contest_score(truth, both_nearest_to_the_first)[0] == 0.5


def test_equal_confidences_go_by_image_and_corners():
    right, wrong = {"Conf": 0.5}, {"Conf": 0.5, "XMin": 900.0, "XMax": 1000.0}
    left_of_it = {"Conf": 0.5, "XMin": 0.0, "XMax": 40.0}
    assert metrics.contest_score(answers(), found(wrong, right))[0] == 1.0
    assert metrics.contest_score(answers(), found(right, left_of_it))[0] == 0.5


@pytest.mark.parametrize("name", ["livestock_pig_bbox_000001", "livestock_pig_bbox_000001.JPG"])
def test_ids_of_the_contests_column_compare_as_text(name, caplog):
    truth, submitted = answers(), found({"ImageID": name})
    assert map_boxes(truth, submitted, 0.75)[0] == 0.0
    assert metrics.contest_score(truth, submitted)[0] == 0.0
    assert f"(first: {name!r}, there 'livestock_pig_bbox_000001.jpg')" in caplog.text
    as_ours = {"ImageID": "image_id", "LabelName": "species", "Conf": "confidence"}
    as_ours |= {
        f"{axis}{end}": f"{axis.lower()}_{end.lower()}" for axis in "XY" for end in ("Min", "Max")
    }
    assert metrics.contest_score(truth, submitted.rename(columns=as_ours))[0] == 1.0


BAD = {
    "no answers": (answers().head(0), found(), {}, "answers hold no boxes"),
    "different sets": (
        answers(),
        found({"ImageID": "livestock_pig_bbox_000009.jpg"}),
        {},
        "different sets",
    ),
    "a column less": (answers().drop(columns="YMax"), found(), {}, "answers lack the column YMax"),
    "no confidence": (
        answers(),
        found().drop(columns="Conf"),
        {},
        "predictions lack the column Conf",
    ),
    "a column twice": (
        answers(),
        pd.concat([found(), found()[["Conf"]]], axis=1),
        {},
        "column Conf 2 times",
    ),
    "inside out": (
        answers(),
        found({}, {"XMin": 700.0}),
        {},
        r"row 1 \(livestock_pig.*XMin is greater than XMax, got",
    ),
    "answer inside out": (
        answers({"YMin": 0.7}),
        found(),
        {},
        "answers, row 0 .*YMin is greater than YMax",
    ),
    "NaN confidence": (
        answers(),
        found({}, {}, {"Conf": np.nan}),
        {},
        "row 2 .*Conf is not a finite number, got nan",
    ),
    "infinite corner": (
        answers(),
        found({"XMax": np.inf}),
        {},
        "XMax is not a finite number, got inf",
    ),
    "empty confidence": (answers(), found({"Conf": ""}), {}, "Conf is not a finite number, got ''"),
    "text in a corner": (
        answers(),
        found({"YMax": "wide"}),
        {},
        "YMax is not a finite number, got 'wide'",
    ),
    "no label": (answers(), found({"LabelName": None}), {}, "row 0 .*LabelName is empty"),
    "unknown label": (
        answers(),
        found({}, {"LabelName": "horse"}),
        {},
        "unknown LabelName, expected .*got 'horse'",
    ),
    "no id": (answers({}, {"ImageID": None}), found(), {}, "answers, row 1 .*ImageID is empty"),
    "shares for pixels": (
        answers(),
        found({"XMin": 0.1, "XMax": 0.5, "YMin": 0.2, "YMax": 0.6}),
        {},
        "look like shares of the frame",
    ),
    "pixels for shares": (answers(), found(), {"units": "shares"}, "look like pixels: row 0 .*640"),
    "answers in pixels": (answers({"XMax": 640.0}), found(), {}, "answers look like pixels: row 0"),
    "answers in our columns": (scene(0)[1], found(), {}, "answers are shares of the frame"),
    "unknown normaliser": (
        answers(),
        found(),
        {"normaliser": "frame"},
        "normaliser must be one of",
    ),
    "unknown units": (answers(), found(), {"units": "cm"}, "units must be one of"),
    "no images": (answers(), found(), {"normaliser": "image"}, "needs images="),
    "image not listed": (
        answers(),
        found(),
        {"normaliser": "image", "images": scene(0, n_images=1)[0]},
        "no size above 0 px for livestock_pig_bbox_000001",
    ),
    "image listed twice": (
        answers(),
        found(),
        {"images": pd.concat([scene(0, n_images=1)[0]] * 2)},
        "twice",
    ),
    "images without sizes": (
        answers(),
        found(),
        {"images": scene(0)[0][["image_id"]]},
        "images table.*lacking",
    ),
    "species unknown": (
        answers({"ImageID": "a"}, {"ImageID": "a", "LabelName": "cow"}),
        found({"ImageID": "a"}),
        {},
        "needs the species of image a",
    ),
    "threshold 0": (answers(), found(), {"iou_threshold": 0.0}, "iou_threshold must be above 0"),
    "threshold in percent": (answers(), found(), {"iou_threshold": 75}, "at most 1, got 75"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_clear_line(case):
    truth, submitted, options, message = BAD[case]
    with pytest.raises(ScoringError, match=message) as error:
        metrics.contest_score(truth, submitted, **options)
    assert "\n" not in str(error.value)


def test_species_of_an_image_without_a_prefix_is_its_only_label():
    barn = {"ImageID": "barn.png"}
    assert metrics.contest_score(answers(barn), found(barn, barn | {"LabelName": "cow"}))[0] == 1.0


def test_contest_table_and_masks_agree_with_the_score():
    images, boxes, predictions = scene(seed=8, n_images=12, n_answers=60, n_detections=200)
    truth = answers_from_boxes(boxes, images)
    matches = metrics.contest_matches(truth, predictions)
    table = metrics.contest_table(matches, iou_threshold=0.6)
    assert table.loc["all", "AP75"] == pytest.approx(metrics.contest_score(truth, predictions)[0])
    assert table.loc["all", "AP60"] == pytest.approx(
        metrics.contest_score(truth, predictions, 0.6)[0]
    )
    assert table["labels"].to_dict() == {"all": 60} | boxes["species"].value_counts().to_dict()
    kept = matches.confidence >= 0.4
    cut = metrics.contest_score(truth, predictions[predictions["confidence"] >= 0.4])[1]
    assert metrics.average_precisions(matches, 0.75, kept=kept) == cut
    odd = predictions.iloc[::2]
    assert (
        metrics.average_precisions(matches, 0.75, kept=matches.row % 2 == 0)
        == metrics.contest_score(truth, odd)[1]
    )
