"""Error types: equal to tidecv, and behaviour on hand-made cases."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.errors import types

LABEL_COLUMNS = ["image_id", "species", *XYXY]
PREDICTION_COLUMNS = [*LABEL_COLUMNS, "confidence"]


def labels_table(*rows):
    return pd.DataFrame(rows, columns=LABEL_COLUMNS)


def predictions_table(*rows):
    return pd.DataFrame(rows, columns=PREDICTION_COLUMNS)


COW = ("a", "cow", 0.0, 0.0, 100.0, 100.0)


@pytest.mark.parametrize(
    ("labels", "predictions", "errors", "missed"),
    [
        pytest.param([], [], [], 0, id="empty"),
        pytest.param([COW], [], [], 1, id="no prediction"),
        pytest.param([], [(*COW, 0.9)], ["background"], 0, id="no label"),
        pytest.param([COW], [(*COW, 0.9)], ["correct"], 0, id="perfect"),
        pytest.param(
            [COW], [("a", "pig", 0, 0, 100, 100, 0.9)], ["classification"], 0, id="other species"
        ),
        pytest.param([COW], [("a", "cow", 0, 0, 100, 60, 0.9)], ["localisation"], 0, id="loose"),
        pytest.param(
            [COW], [("a", "pig", 0, 0, 100, 60, 0.9)], ["both"], 1, id="loose and other species"
        ),
        pytest.param([COW], [(*COW, 0.9), (*COW, 0.8)], ["correct", "duplicate"], 0, id="twice"),
        pytest.param(
            [COW], [("a", "cow", 95, 95, 200, 200, 0.9)], ["background"], 1, id="corner only"
        ),
        pytest.param(
            [COW], [("b", "cow", 0, 0, 100, 100, 0.9)], ["background"], 1, id="another image"
        ),
    ],
)
def test_each_error_has_its_type(labels, predictions, errors, missed):
    detections, states = types.classify(labels_table(*labels), predictions_table(*predictions))
    assert list(detections["error"]) == errors
    assert int(states["missed"].sum()) == missed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iou_threshold": 0.1}, "iou_threshold must be above 0.1"),
        ({"predictions": pd.DataFrame({"image_id": ["a"]})}, "columns .*confidence.* are lacking"),
        ({"predictions": predictions_table((*COW, np.nan))}, "row 0 has no confidence"),
        ({"boxes": pd.DataFrame({"image_id": ["a"]})}, "labels: columns"),
        (
            {"boxes": labels_table(("a", "cow", 0, np.nan, 9, 9))},
            "labels: row 0 .image 'a'. has corners that are no",
        ),
        (
            {"predictions": predictions_table((*COW[:3], np.nan, *COW[4:], 0.5))},
            "predictions: row 0 .* has corners",
        ),
    ],
)
def test_bad_input_gets_one_line(change, message):
    arguments = {
        "boxes": labels_table(COW),
        "predictions": predictions_table((*COW, 0.5)),
        **change,
    }
    with pytest.raises(ScoringError, match=message):
        types.classify(**arguments)


def tide(labels, predictions, iou_threshold):
    """The peer's answer: {type: AP lost}, as shares."""
    tidecv = pytest.importorskip("tidecv")
    truth, found = (
        tidecv.Data("labels", max_dets=10_000),
        tidecv.Data("predictions", max_dets=10_000),
    )
    images = {
        name: i for i, name in enumerate(sorted({*labels["image_id"], *predictions["image_id"]}))
    }
    for name, index in images.items():
        truth.add_image(index, name)
    classes = {"pig": 0, "cow": 1}

    def xywh(row):
        return [row.x_min, row.y_min, row.x_max - row.x_min, row.y_max - row.y_min]

    for row in labels.itertuples():
        truth.add_ground_truth(images[row.image_id], classes[row.species], xywh(row))
    for row in predictions.itertuples():
        found.add_detection(images[row.image_id], classes[row.species], row.confidence, xywh(row))
    result = tidecv.TIDE(pos_threshold=iou_threshold)
    run = result.evaluate(truth, found, mode=tidecv.TIDE.BOX)
    main, special = (
        result.get_main_errors()["predictions"],
        result.get_special_errors()["predictions"],
    )
    names = {
        "Cls": "classification",
        "Loc": "localisation",
        "Both": "both",
        "Dupe": "duplicate",
        "Bkg": "background",
        "Miss": "missed",
        "FalsePos": "false positives",
        "FalseNeg": "false negatives",
    }
    return run.ap / 100, {names[key]: value / 100 for key, value in {**main, **special}.items()}


def random_scene(seed, n_images, n_labels, n_predictions):
    """Labels and detections around them, species sometimes swapped, confidences distinct."""
    rng = np.random.default_rng(seed)
    labels, predictions = [], []
    for image in range(n_images):
        for _ in range(rng.integers(0, n_labels + 1)):
            x, y, w, h = (
                rng.integers(0, 200),
                rng.integers(0, 200),
                rng.integers(20, 90),
                rng.integers(20, 90),
            )
            labels.append((f"i{image}", str(rng.choice(["pig", "cow"])), x, y, x + w, y + h))
        for _ in range(rng.integers(0, n_predictions + 1)):
            mine = [row for row in labels if row[0] == f"i{image}"]
            base = (
                mine[rng.integers(len(mine))][2:]
                if mine and rng.random() < 0.8
                else (10, 10, 60, 50)
            )
            box = np.array(base) + rng.integers(-12, 13, size=4) * (rng.random() < 0.7)
            if box[2] <= box[0] or box[3] <= box[1]:
                continue
            predictions.append((f"i{image}", str(rng.choice(["pig", "cow"])), *box))
    confidence = rng.permutation(len(predictions)) / max(len(predictions), 1)
    return (
        labels_table(*labels).astype(dict.fromkeys(XYXY, float)),
        predictions_table(
            *[(*row, c) for row, c in zip(predictions, confidence, strict=True)]
        ).astype(dict.fromkeys(XYXY, float)),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.75]))
def test_equal_to_tidecv(seed, iou_threshold):
    labels, predictions = random_scene(seed, n_images=4, n_labels=5, n_predictions=12)
    if labels.empty or predictions.empty:
        return
    ap, expected = tide(labels, predictions, iou_threshold)
    table = types.ap_lost(*types.classify(labels, predictions, iou_threshold))
    assert table.attrs["ap"] == pytest.approx(ap, abs=1e-9)
    assert table.set_index("error")["ap_lost"].to_dict() == pytest.approx(expected, abs=1e-9)


def test_row_order_does_not_matter():
    labels, predictions = random_scene(3, n_images=5, n_labels=6, n_predictions=15)
    straight = types.ap_lost(*types.classify(labels, predictions))
    shuffled = types.ap_lost(
        *types.classify(
            labels.sample(frac=1, random_state=1), predictions.sample(frac=1, random_state=2)
        )
    )
    pd.testing.assert_frame_equal(straight, shuffled)
