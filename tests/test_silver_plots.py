"""Figures of silver labels: what stands on the axes, and that empty tables say so."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from data_sets import write_archives
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from livestock_utils.core import species
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.silver import audit, effect, making
from livestock_utils.show.plots import silver, style


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """(archives, images, boxes, truth, predictions): one label, one unlabelled and one doubtful
    animal a cow image."""
    folder = tmp_path_factory.mktemp("archives")
    images, _ = write_archives(folder, 12)
    ids = images.loc[images["species"] == "cow", "image_id"]
    boxes, hidden, doubtful = (
        pd.DataFrame({"image_id": ids, "species": "cow"}).assign(
            **dict(zip(XYXY, corners, strict=True))
        )
        for corners in ((4.0, 4.0, 24.0, 20.0), (60.0, 4.0, 80.0, 20.0), (40.0, 30.0, 90.0, 60.0))
    )
    predictions = pd.concat(
        [
            boxes.assign(confidence=0.9),
            hidden.assign(confidence=0.8),
            doubtful.assign(confidence=0.2),
        ],
        ignore_index=True,
    )
    return folder, images, boxes, pd.concat([boxes, hidden], ignore_index=True), predictions


@pytest.fixture(scope="module")
def made(source):
    _, images, boxes, _, predictions = source
    settings = [making.SilverSettings(mode, min_boxes=1) for mode in making.MODES[:2]]
    settings.append(
        making.SilverSettings("merge", 0.5, min_boxes=1, ignore_threshold=0.1, max_ignored_share=1)
    )
    return {
        each.mode: making.make_silver(Photos(images, boxes), predictions, each) for each in settings
    }


@pytest.fixture(autouse=True)
def plain_titles():
    with plt.rc_context({"axes.titlelocation": "center"}):
        yield


def texts(ax) -> str:
    return " ".join(text.get_text() for text in ax.texts)


def test_thresholds(source):
    _, images, boxes, truth, predictions = source
    curve = audit.threshold_curve(Photos(images, boxes), predictions, Photos(images, truth))
    ax = silver.silver_thresholds({"out of fold": curve, "in sample": curve}, {"original": 0.05})
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [
        "out of fold: added boxes that are right",
        "out of fold: unlabelled animals found",
        "in sample: added boxes that are right",
        "in sample: unlabelled animals found",
    ]
    solid = ax.get_lines()[0]
    np.testing.assert_allclose(solid.get_ydata(), curve["precision"])
    assert "original 0.05" in texts(ax)
    assert ax.get_xlabel() and ax.get_ylabel()


def test_thresholds_without_a_truth_draw_no_animals_found(source):
    _, images, boxes, _, predictions = source
    ax = silver.silver_thresholds(
        {
            "out of fold": audit.threshold_curve(
                Photos(images, boxes), predictions, Photos(images, boxes)
            )
        }
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "out of fold: added boxes that are right"
    ]


def test_counts(source, made):
    _, images, boxes, *_ = source
    before, after = making.count_boxes(Photos(images, boxes), made)
    axes = silver.silver_counts(before, after)
    assert [ax.get_title() for ax in axes] == [f"{name}: 6 images" for name in making.MODES]
    for ax, boxes_after in zip(axes, (3, 3, 2), strict=True):
        heights = {
            round(bar.get_x() + bar.get_width() / 2): bar.get_height()
            for bar in ax.patches
            if isinstance(bar, Rectangle)
        }
        assert {place: height for place, height in heights.items() if height} == {boxes_after: 6}
    assert to_hex(axes[0].patches[0].get_facecolor()).upper() == species.colours()["cow"].upper()


def test_audit(source, made):
    audits = {
        name: audit.audit(each, Photos(source[1], source[2]), Photos(source[1], source[3]))
        for name, each in made.items()
    }
    ax = silver.silver_audit(audits)
    assert "merge: before 50 %, after 100 %, right 100 %" in texts(ax)
    assert "duplicate: before 50 %, after 100 %, right 67 %" in texts(ax)
    assert len(ax.collections) == 9


def test_examples(source, made):
    axes = silver.silver_examples(made["merge"], Photos(source[1], source[2], source[0]), n=2)
    assert axes.shape == (2, 2)
    assert axes[0, 0].get_title().endswith("1 labelled")
    assert axes[0, 1].get_title() == "1 gold, 1 silver, 1 ignored"
    assert "0.80" in texts(axes[0, 1]) and "0.90" not in texts(axes[0, 1])
    hatched = [[patch for patch in ax.patches if patch.get_hatch()] for ax in axes[0]]
    assert [len(patches) for patches in hatched] == [0, 1], "the ignored region is marked"
    chosen = silver.silver_examples(
        made["duplicate"],
        Photos(source[1], source[2], source[0]),
        source_ids=["livestock_cow_bbox_000003"],
    )
    assert chosen[0, 0].get_title().startswith("livestock_cow_bbox_000003")


def test_effect():
    table = pd.DataFrame(
        {
            "answers": ["complete", "as labelled", effect.BETWEEN],
            "class": "all",
            "difference": [0.05, -0.02, 0.07],
            "low": [0.01, -0.05, 0.03],
            "high": [0.09, 0.01, 0.11],
        }
    )
    ax = silver.silver_effect(table)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all"] * 3
    assert "+0.050" in texts(ax) and "complete" in texts(ax)
    low, high = ax.get_xlim()
    assert low < -0.05 and high > 0.11
    assert "AP75" in ax.get_xlabel() and "95%" in ax.get_xlabel()


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (lambda: silver.silver_thresholds({}), "no prediction that no label overlaps"),
        (lambda: silver.silver_counts(pd.Series(dtype=int), {}), "no silver set"),
        (lambda: silver.silver_audit({}), "no silver set"),
        (
            lambda: silver.silver_effect(
                pd.DataFrame(columns=["answers", "class", "difference", "low", "high"])
            ),
            "no answers to compare on",
        ),
    ],
)
def test_nothing_to_show(figure, text):
    assert text in texts(style.figure_of(figure()).axes[0])


def test_axes_given_are_used():
    _, ax = plt.subplots()
    assert silver.silver_audit({}, ax=ax) is ax
    assert silver.silver_thresholds({}, ax=ax) is ax
