"""AP by the three definitions: equal to pycocotools, faster-coco-eval and yolov5's own
functions."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from detections import answers_from_boxes, scene, scenes
from hypothesis import given, settings
from hypothesis import strategies as st

from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import average_precision, matching, metrics

DEFINITIONS = list(average_precision.DEFINITIONS)


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize(
    ("is_hit", "n_answers", "least", "most"),
    [
        pytest.param([], 3, 0, 0, id="empty"),
        pytest.param([False, False], 3, 0, 0.01, id="no hit"),
        pytest.param([True, True, True], 3, 0.995, 1, id="all found"),
        pytest.param(
            [True, True, True, False, False], 3, 0.995, 1, id="later false positives cost nothing"
        ),
        pytest.param([True], 2, 0.5, 0.76, id="half found"),
        pytest.param([False, True], 1, 0.49, 0.5, id="first wrong"),
    ],
)
def test_average_precision_of_a_list(definition, is_hit, n_answers, least, most):
    assert least <= average_precision.average_precision(is_hit, n_answers, definition) <= most


def test_the_three_definitions_of_one_curve():
    is_hit = [True, False, True, False, False, True]
    got = {name: average_precision.average_precision(is_hit, 4, name) for name in DEFINITIONS}
    assert got["contest"] == pytest.approx((1 + 2 / 3 + 1 / 2) / 4)
    assert got["coco"] == pytest.approx((26 * 1 + 25 * 2 / 3 + 25 * 1 / 2) / 101)
    assert got["yolov5"] not in (got["contest"], got["coco"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([True], 0), "n_answers must be above 0"),
        (([True], 1, "voc"), "definition must be one of"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        average_precision.average_precision(*arguments)


def test_best_f1_of_nothing():
    assert average_precision.best_f1({}) == (0.0, {})
    assert average_precision.best_f1({"pig": (np.zeros(0), np.zeros(0, bool), 3)})[1] == {
        "pig": (0.0, 0.0)
    }


def coco_table(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    make_coco,
    evaluator,
    **options,
):
    """AP50, AP75, AP50-95 of each class (rows) and of all (last) by a COCO evaluator."""
    number = {name: index + 1 for index, name in enumerate(images["image_id"])}
    category = {"pig": 1, "cow": 2}

    def entry(row) -> dict:
        return {
            "image_id": number[row.image_id],
            "category_id": category[row.species],
            "bbox": [row.x_min, row.y_min, row.x_max - row.x_min, row.y_max - row.y_min],
        }

    rows = [
        entry(row)
        | {"id": index, "iscrowd": 0, "area": (row.x_max - row.x_min) * (row.y_max - row.y_min)}
        for index, row in enumerate(boxes.itertuples(), start=1)
    ]
    found = [entry(row) | {"score": row.confidence} for row in predictions.itertuples()]
    truth = make_coco()
    truth.dataset = {
        "info": {},
        "images": [{"id": index} for index in number.values()],
        "annotations": rows,
        "categories": [{"id": index, "name": name} for name, index in category.items()],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = evaluator(truth, truth.loadRes(found), "bbox", **options)
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    table = {
        name: [ap[0], ap[5], ap.mean()]
        for name, index in category.items()
        if (ap := precision[:, :, index - 1].mean(axis=1)).min() > -1
    }
    return pd.DataFrame(table, index=["mAP50", "mAP75", "mAP50-95"]).T


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_coco_equals_pycocotools(tables):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images, boxes, predictions = tables
    if predictions.empty:  # pycocotools cannot load an empty list
        return
    boxes = boxes.sort_values(["image_id", "species", "x_min", "x_max", "y_min", "y_max"])
    got = metrics.per_class_table(boxes, predictions, images, "coco")
    want = coco_table(images, boxes, predictions, COCO, COCOeval)
    np.testing.assert_allclose(got.loc[want.index, want.columns], want, atol=1e-9)
    np.testing.assert_allclose(got.loc["all", want.columns].astype(float), want.mean(), atol=1e-9)


def test_coco_looks_at_the_100_most_confident_of_an_image():
    images, boxes, predictions = scene(seed=3, n_images=1, n_answers=30, n_detections=400)
    sides = metrics.table_sides(boxes, predictions, images, "coco")
    _, counted = matching.match_coco(sides, [0.5])
    per_class = np.bincount(sides.detection_class, minlength=2)
    assert counted.sum() == np.minimum(per_class, 100).sum() < len(counted)


def test_coco_equals_faster_coco_eval():
    from faster_coco_eval import COCO, COCOeval_faster

    images, boxes, predictions = scene(seed=11, n_images=20, n_answers=120, n_detections=600)
    got = metrics.per_class_table(boxes, predictions, images, "coco")
    want = coco_table(images, boxes, predictions, COCO, COCOeval_faster)
    np.testing.assert_allclose(got.loc[want.index, want.columns], want, atol=1e-9)


@pytest.fixture(scope="module")
def yolov5():
    compat = pytest.importorskip("livestock_utils.detect.yolov5", reason="the door to yolov5")
    with compat.yolov5() as door:
        yield door


@pytest.mark.parametrize("seed", range(6))
def test_yolov5_equals_its_own_functions(yolov5, seed):
    import torch

    images, boxes, predictions = scene(seed, n_images=10, n_answers=50, n_detections=300)
    predictions = predictions.sort_values("confidence", ascending=False)
    index = {"pig": 0, "cow": 1}
    levels = torch.linspace(0.5, 0.95, 10)
    stats = []
    for image_id in images["image_id"]:
        truth, found = (
            boxes[boxes["image_id"] == image_id],
            predictions[predictions["image_id"] == image_id],
        )
        corners = ["x_min", "y_min", "x_max", "y_max"]
        labels = torch.tensor(
            np.column_stack([truth["species"].map(index), truth[corners]]), dtype=torch.float32
        )
        rows = torch.tensor(
            np.column_stack([found[corners], found["confidence"], found["species"].map(index)]),
            dtype=torch.float32,
        )
        hits = yolov5.val.process_batch(rows, labels, levels) if len(rows) else torch.zeros(0, 10)
        stats.append((hits.numpy(), rows[:, 4].numpy(), rows[:, 5].numpy(), labels[:, 0].numpy()))
    arrays = [np.concatenate(parts) for parts in zip(*stats, strict=True)]
    _, _, p, r, _, ap, classes = yolov5.metrics.ap_per_class(*arrays, names={0: "pig", 1: "cow"})
    got = metrics.per_class_table(boxes, predictions, images, "yolov5").iloc[1:]
    assert got.index.tolist() == [["pig", "cow"][code] for code in classes]
    want = np.column_stack([p, r, ap[:, 0], ap[:, 5], ap.mean(axis=1)])
    np.testing.assert_allclose(got[["P", "R", "mAP50", "mAP75", "mAP50-95"]], want, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_contest_table_is_the_contests_score(tables):
    images, boxes, predictions = tables
    if (boxes["x_min"] % 8 == 0).all():
        # corners on a grid give overlaps of exactly the threshold, which shares in float32 cannot
        # hold
        return
    table = metrics.per_class_table(boxes, predictions, images)
    mean, per_class = metrics.contest_score(answers_from_boxes(boxes, images), predictions)
    assert table.loc["all", "mAP75"] == pytest.approx(mean, abs=1e-9)
    assert table["mAP75"].drop("all").to_dict() == pytest.approx(per_class, abs=1e-9)


@pytest.mark.parametrize("definition", list(metrics.DEFINITIONS))
def test_per_class_table_of_edges(definition):
    images, boxes, predictions = scene(seed=4, n_images=8, n_answers=30)
    perfect = metrics.per_class_table(boxes, boxes.assign(confidence=0.9), images, definition)
    assert perfect.index.tolist() == ["all", "pig", "cow"]
    assert (perfect[["P", "R", "mAP50", "mAP75", "mAP50-95"]] > 0.99).all(axis=None)
    assert perfect["labels"].tolist() == [30, *boxes["species"].value_counts()[["pig", "cow"]]]
    assert perfect.attrs["definition"] == definition
    nothing = metrics.per_class_table(boxes, predictions.head(0), images, definition)
    assert (nothing[["P", "R", "mAP50", "mAP75", "mAP50-95"]] == 0).all(axis=None)
    empty = metrics.per_class_table(boxes.head(0), predictions.head(0), images, definition)
    assert empty.index.tolist() == ["all"]
    assert empty.loc["all", "labels"] == 0


def test_images_restrict_and_empty_images_cost_only_where_the_definition_says_so():
    images, boxes, predictions = scene(seed=6, n_images=6, n_answers=24)
    empty_id = images["image_id"].iloc[0]
    boxes = boxes[boxes["image_id"] != empty_id]
    wrong = predictions.assign(confidence=0.999)[predictions["image_id"] == empty_id]
    right = boxes.assign(confidence=0.9)
    both = pd.concat([right, wrong])
    assert metrics.per_class_table(boxes, both, images).loc["all", "mAP75"] == 1.0
    for definition in ("coco", "yolov5"):
        assert metrics.per_class_table(boxes, both, images, definition).loc["all", "mAP75"] < 0.98
        assert (
            metrics.per_class_table(boxes, both, images.iloc[1:], definition).loc["all", "mAP75"]
            > 0.99
        )


def test_predictions_on_images_without_boxes_alone():
    images, boxes, predictions = scene(seed=6, n_images=6, n_answers=24)
    empty_id = predictions["image_id"].iloc[0]
    wrong, rest = (
        predictions[predictions["image_id"] == empty_id],
        boxes[boxes["image_id"] != empty_id],
    )
    assert metrics.per_class_table(rest, wrong, images).loc["all", "mAP75"] == 0


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda images: images, {"definition": "voc"}, "definition must be one of"),
        (lambda images: images.assign(image_id="elsewhere").iloc[:1], {}, "of different sets"),
        (
            lambda images: images.drop(columns="image_id"),
            {},
            "images table: the column 'image_id' is lacking",
        ),
    ],
)
def test_tables_that_do_not_fit(change, options, message):
    images, boxes, predictions = scene(seed=0)
    with pytest.raises(ScoringError, match=message):
        metrics.per_class_table(boxes, predictions, change(images), **options)


@pytest.mark.parametrize("definition", list(metrics.DEFINITIONS))
def test_pr_curves_hold_the_average_precision(definition):
    images, boxes, predictions = scene(seed=9, n_images=8, n_answers=40, n_detections=150)
    curves = metrics.pr_curves(boxes, predictions, images, (0.5, 0.75), definition)
    assert curves.columns.tolist() == [
        "species",
        "iou_threshold",
        "confidence",
        "recall",
        "precision",
        "envelope",
    ]
    table = metrics.per_class_table(boxes, predictions, images, definition)
    for (name, iou_threshold), curve in curves.groupby(["species", "iou_threshold"]):
        assert (
            curve["confidence"].is_monotonic_decreasing
            and curve["envelope"].is_monotonic_decreasing
        )
        ap = average_precision.DEFINITIONS[definition](
            curve["precision"].to_numpy(), curve["recall"].to_numpy()
        )
        assert ap == pytest.approx(table.loc[name, f"mAP{100 * iou_threshold:g}"])
    assert metrics.pr_curves(boxes.head(0), predictions.head(0), images).empty


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_a_cut_at_a_confidence_is_a_prefix(seed, cut):
    images, boxes, predictions = scene(seed)
    matches = metrics.contest_matches(answers_from_boxes(boxes, images), predictions)
    kept = matches.confidence >= cut
    np.testing.assert_array_equal(
        matching.hits(matches, 0.75, kept), matching.hits(matches, 0.75) & kept
    )
