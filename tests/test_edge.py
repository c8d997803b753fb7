import json

import numpy as np
import pandas as pd
import pytest
from made_network import write_network, write_photos

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import CheckpointError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.detect import checkpoints
from livestock_utils.detect.backends import exported as exported_backends
from livestock_utils.detect.backends import loading
from livestock_utils.detect.backends import onnx as onnx_backend
from livestock_utils.detect.export import cost, formats, latency, parity
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.show.words import edge as edge_module

pytest.importorskip("onnx", reason="the edge extra is not installed")
pytest.importorskip("onnxruntime", reason="the edge extra is not installed")

SETTINGS = Settings(iou_threshold=0.6, confidence_threshold=0.05)
PIXELS = 96


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Weights, photos, and the weights' own predictions from confidence .3 up as labels."""
    folder = tmp_path_factory.mktemp("edge")
    weights = write_network(folder / "best.pt")
    images = write_photos(folder / "photos")
    boxes = engine.predict(
        weights,
        Photos(images, folder=folder / "photos"),
        image_size=PIXELS,
        batch_size=1,
        settings=Settings(confidence_threshold=0.3),
    )
    return weights, images, folder / "photos", boxes.drop(columns="confidence")


def one(made, folder, kind, **options):
    weights, images, photos, _ = made
    if kind == "openvino":
        pytest.importorskip("openvino", reason="the openvino extra is not installed")
    if kind == "ncnn":
        pytest.importorskip("pnnx", reason="the ncnn extra is not installed")
        pytest.importorskip("ncnn", reason="the ncnn extra is not installed")
    calibration = formats.Calibration(Photos(images, folder=photos), PIXELS)
    shape = formats.common_shape(images, PIXELS)
    return formats.export(
        weights,
        folder,
        kind,
        image_size=PIXELS,
        shape=shape,
        settings=SETTINGS,
        calibration=calibration,
        **options,
    )


def predicted(path, made):
    return engine.predict(
        path, Photos(made[1], folder=made[2]), image_size=PIXELS, batch_size=1, settings=SETTINGS
    )


@pytest.mark.parametrize(
    ("kind", "box_px", "score"),
    [("onnx", 0.01, 1e-4), ("onnx-fp16", 3.0, 0.03), ("openvino", 3.0, 0.03)],
)
def test_an_export_gives_the_raw_output_of_the_weights(made, tmp_path, kind, box_px, score):
    batch = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), dtype=np.uint8)
    own = loading.open_backend(made[0], device="cpu")(batch, 0.0)[0]
    exported = exported_backends.open_exported(one(made, tmp_path, kind))(batch, 0.0)[0]
    difference = np.abs(own - exported)
    assert (
        np.quantile(difference[:, :4], 0.99) < box_px
    )  # a random network has a few boxes larger than the frame
    assert np.quantile(difference[:, 4:], 0.99) < score


def test_suppression_inside_keeps_what_suppression_outside_keeps(made, tmp_path):
    own, inside = predicted(made[0], made), predicted(one(made, tmp_path, "onnx-nms"), made)
    assert len(inside) == pytest.approx(len(own), rel=0.02)
    same = parity.same_detections(own, inside, 0.3)
    assert (
        same["pairs"] > 20 and same["equal_share"] > 0.95
    )  # near ties of a random network may fall either way


@pytest.mark.parametrize("other", ["torchscript", "ncnn"])
def test_files_of_one_shape_agree_and_take_smaller_frames(made, tmp_path, other):
    static, script = (predicted(one(made, tmp_path, kind), made) for kind in ("onnx-static", other))
    same = parity.same_detections(static, script, 0.3)
    assert same["equal_share"] == 1.0 and same["pairs"] > 20
    # a frame that fills the shape on its own is the very same to the network
    wide = made[1][made[1]["width_px"] == 96].iloc[:1]
    assert onnx_backend.read_about(tmp_path / "best-96x96.onnx")["shape"] == [1, 96, 96]
    assert wide["image_id"].iloc[0] in set(static["image_id"])


def test_int8_is_smaller_per_channel_and_keeps_most_boxes(made, tmp_path):
    import onnx

    plain, small = one(made, tmp_path, "onnx"), one(made, tmp_path, "onnx-int8")
    assert formats.size_bytes(small) < 0.4 * formats.size_bytes(plain)
    graph = onnx.load(str(small)).graph
    scales = [
        onnx.numpy_helper.to_array(item)
        for item in graph.initializer
        if item.name.endswith("_scale")
    ]
    assert any(scale.ndim == 1 and len(scale) > 1 for scale in scales)
    assert not any(
        node.op_type == "QuantizeLinear" and "model.24/Mul" in node.name for node in graph.node
    )
    assert onnx_backend.read_about(small)["made"]["calibration"]["images"] == 5
    assert zero_points(small) != {0}
    same = parity.same_detections(predicted(plain, made), predicted(small, made), 0.3)
    assert same["pairs"] > 10


def zero_points(path):
    """All zero points of an ONNX file's QuantizeLinear and DequantizeLinear nodes."""
    import onnx

    graph = onnx.load(str(path)).graph
    values = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert nodes
    return {int(value) for node in nodes for value in np.ravel(values[node.input[2]])}


def test_int8_for_tensorrt_is_symmetric_signed_and_without_int32(made, tmp_path):
    import onnx

    plain, jetson = one(made, tmp_path, "onnx"), one(made, tmp_path, "onnx-int8-trt")
    assert zero_points(jetson) == {0}
    kinds = {
        item.data_type
        for item in onnx.load(str(jetson)).graph.initializer
        if item.name.endswith("zero_point")
    }
    assert kinds == {onnx.TensorProto.INT8}
    same = parity.same_detections(predicted(plain, made), predicted(jetson, made), 0.3)
    assert same["pairs"] > 10


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("onnx", "the ONNX exporter lacks an operator of this network"),
        ("torchscript", "TorchScript cannot trace this network"),
    ],
)
@pytest.mark.parametrize("layer", ["unknown operator", "python error"])
def test_an_operator_that_an_exporter_lacks_is_one_line(
    made, tmp_path, monkeypatch, capfd, kind, message, layer
):
    import torch

    load = checkpoints.load

    def odd(*arguments, **options):
        model = load(*arguments, **options)
        first, before = model.model[0], model.model[0].forward

        def forward(images):
            if layer == "python error":
                raise TypeError("odd layer\nof two lines")
            return torch.special.bessel_j0(before(images))

        first.forward = forward
        return model

    monkeypatch.setattr(checkpoints, "load", odd)
    if (kind, layer) == ("torchscript", "unknown operator"):
        assert formats.export(
            made[0], tmp_path, kind, image_size=PIXELS
        ).is_file()  # it keeps every operator of torch
        return
    with pytest.raises(LivestockError, match=message) as told:
        formats.export(made[0], tmp_path, kind, image_size=PIXELS)
    assert "\n" not in str(told.value)
    assert capfd.readouterr().out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["onnx", "onnx-nms", "torchscript", "openvino", "ncnn"])
def test_an_export_is_made_once_and_anew_when_the_weights_change(made, tmp_path, kind):
    path = one(made, tmp_path, kind)
    before = path.stat().st_mtime_ns
    assert one(made, tmp_path, kind) == path and path.stat().st_mtime_ns == before
    path.write_bytes(b"cut")
    one(made, tmp_path, kind)
    assert exported_backends.open_exported(path).names == ("pig", "cow")


def test_settings_inside_change_the_file(made, tmp_path):
    weights = made[0]
    formats.export(weights, tmp_path, "onnx-nms", image_size=PIXELS, settings=SETTINGS)
    path = formats.export(
        weights, tmp_path, "onnx-nms", image_size=PIXELS, settings=Settings(iou_threshold=0.3)
    )
    assert onnx_backend.read_about(path)["nms"]["iou_threshold"] == 0.3


def test_exports_that_cannot_be_are_told(made, tmp_path):
    with pytest.raises(LivestockError, match="unknown export 'tflite': expected one of onnx, onnx"):
        formats.export(made[0], tmp_path, "tflite")


def test_calibration_must_hold_images(made, tmp_path):
    weights, images, photos, _ = made
    for some in (images.assign(member="absent.jpg"), images.iloc[:0]):
        empty = formats.Calibration(Photos(some, folder=photos), PIXELS)
        with pytest.raises(LivestockError, match="the calibration set is empty: INT8 needs some"):
            formats.export(weights, tmp_path, "onnx-int8", PIXELS, calibration=empty)
    assert not (tmp_path / "best-int8.onnx").exists()


@pytest.mark.parametrize(
    "name", ["absent.onnx", "absent.torchscript", "absent.xml", "absent.param", "weights.pth"]
)
def test_absent_or_unknown_files_are_told(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"not found|expected a file that ends in"):
        exported_backends.open_exported(tmp_path / name)


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(
        LivestockError, match=r"openvino: run python -m livestock_utils\.install --extras openvino"
    ):
        onnx_backend.need("openvino", "openvino")


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ([], (1, 640, 640)),
        ([(1920, 1080)], (1, 384, 640)),
        ([(1920, 1080), (1280, 960)], (1, 480, 640)),
        ([(1080, 1920), (1920, 1080)], (1, 640, 640)),
        ([(0, 0)], (1, 640, 640)),
    ],
)
def test_the_common_shape_takes_every_frame(sizes, shape):
    images = pd.DataFrame(sizes, columns=["width_px", "height_px"])
    assert formats.common_shape(images, 640) == shape


def test_weights_over_the_budget_are_refused_with_a_model_that_fits(tmp_path):
    weights = tmp_path / "best.pt"
    with open(weights, "wb") as file:
        file.truncate(101_000_000)
    assert formats.check_budget(weights, 101) == pytest.approx(101)
    for budget, message in (
        (100, r"101\.0 MB, over the budget of 100 MB .*; yolov5l is the largest YOLOv5 that fits"),
        (1, "no YOLOv5 is that small in this format; try INT8 or pruning"),
    ):
        with pytest.raises(CheckpointError, match=message):
            formats.check_budget(weights, budget)


def table(*rows):
    found = pd.DataFrame(rows, columns=["image_id", "species", *XYXY, "confidence"])
    return found.astype(dict.fromkeys([*XYXY, "confidence"], float))


PIG = ("a", "pig", 10, 10, 50, 50, 0.9)


@pytest.mark.parametrize(
    ("first", "second", "pairs", "share"),
    [
        ([], [], 0, 1.0),
        ([PIG], [], 0, 0.0),
        ([("a", "pig", 96, 10, 96, 50, 0.9)], [("a", "pig", 96, 10, 96, 50, 0.9)], 1, 1.0),
        ([PIG], [PIG], 1, 1.0),
        ([PIG], [("a", "cow", *PIG[2:])], 0, 0.0),
        ([PIG], [("b", *PIG[1:])], 0, 0.0),
        ([PIG], [("a", "pig", 10, 10, 50, 51, 0.905)], 1, 1.0),
        ([PIG], [("a", "pig", 10, 10, 50, 52, 0.9)], 1, 0.0),
        ([PIG], [(*PIG[:6], 0.85)], 1, 0.0),
        ([(*PIG[:6], 0.251)], [(*PIG[:6], 0.249)], 1, 1.0),
        ([PIG], [PIG, ("a", "pig", 100, 100, 150, 150, 0.5)], 1, 0.5),
        ([PIG], [PIG, ("a", "pig", 100, 100, 150, 150, 0.1)], 1, 1.0),
    ],
)
def test_equal_detections_by_hand(first, second, pairs, share):
    same = parity.same_detections(table(*first), table(*second))
    assert same["pairs"] == pairs
    assert same["equal_share"] == pytest.approx(share)
    swapped = parity.same_detections(table(*second), table(*first))
    assert swapped["equal_share"] == pytest.approx(share)


def test_unsure_neighbours_do_not_take_the_partner_of_a_sure_one():
    crowd = table(PIG, ("a", "pig", 12, 12, 52, 52, 0.1), ("a", "pig", 14, 14, 54, 54, 0.1))
    assert parity.same_detections(crowd, crowd) == {
        "pairs": 1,
        "largest_difference_px": 0,
        "equal_share": 1,
    }


def test_the_whole_table_on_a_tiny_network(made, tmp_path):
    weights, images, photos, boxes = made
    valid = Photos(images, boxes, photos)
    kinds = ("onnx", "onnx-nms")
    exports = formats.export_all(weights, tmp_path, kinds, (64, PIXELS), valid, valid, SETTINGS)
    assert exports["export"].tolist() == ["pytorch"] * 2 + ["onnx"] * 2 + ["onnx-nms"] * 2
    scored = parity.parity_table(exports, valid, SETTINGS, SETTINGS)
    assert scored.loc[1, "difference"] == 0 and scored.loc[1, "equal_share"] == 1
    assert scored.loc[3, "AP75"] == pytest.approx(
        scored.loc[1, "AP75"], abs=0.06
    )  # near ties of a random network
    measured = cost.cost_table(scored, valid, SETTINGS, SETTINGS, threads=1, rounds=3)
    assert measured["parameters_million"].round(2).eq(1.76).all()
    assert measured["gflops"].iloc[1] == pytest.approx(4.2 * (96 * 96) / (640 * 640), rel=0.05)
    assert (measured["latency_ms"] > 0).all() and (
        measured["p95_ms"] >= measured["latency_ms"]
    ).all()
    assert (measured["peak_memory_mb"] > 20).all()
    assert (measured["whole_ms"] > 0).all() and (measured["decode_ms"] > 0).all()
    assert cost.headline(measured, None)["file MB"] > 0
    assert measured["budget_share"].iloc[1] == pytest.approx(measured["size_mb"].iloc[1] / 100)
    assert "pytorch" not in edge_module.parity_verdict(measured)


def test_borders_of_a_file_of_one_shape_are_told_apart_from_the_file(made, tmp_path):
    weights, images, photos, boxes = made
    valid = Photos(images, boxes, photos)
    kinds = ("onnx", "onnx-static")
    exports = formats.export_all(weights, tmp_path, kinds, (PIXELS,), valid, valid, SETTINGS)
    wide = formats.export(
        weights, tmp_path, "onnx-static", image_size=PIXELS, shape=(1, PIXELS, 2 * PIXELS)
    )
    exports["path"] = exports["path"].mask(exports["export"] == "onnx-static", str(wide))
    scored = parity.parity_table(exports, valid, SETTINGS, SETTINGS).set_index("export")
    assert scored.loc[["pytorch", "onnx"], "border_equal_share"].isna().all()
    assert scored.loc["onnx-static", "border_equal_share"] > max(
        0.95, scored.loc["onnx-static", "equal_share"]
    )
    assert scored.loc["onnx-static", "difference"] == pytest.approx(
        scored.loc["onnx-static", "border_difference"], abs=0.03
    )
    assert "wider borders of a file of one shape (onnx-static) alone" in edge_module.parity_verdict(
        scored.reset_index()
    )


def test_suppression_inside_is_compared_under_its_own_thresholds(made, tmp_path):
    weights, images, photos, boxes = made
    soft = Settings(method="soft_nms_linear", confidence_threshold=0.05)
    valid = Photos(images, boxes, photos)
    hard, sentence = parity.hard_settings(soft, weights, valid, PIXELS)
    assert (
        formats.fits_inside(hard)
        and f"IoU {hard.iou_threshold}" in sentence
        and "soft_nms_linear" in sentence
    )
    kinds = ("onnx", "onnx-nms")
    exports = formats.export_all(weights, tmp_path, kinds, (PIXELS,), valid, valid, hard)
    scored = parity.parity_table(exports, valid, soft, hard).set_index("export")
    assert scored.loc["onnx", "equal_share"] > 0.95
    own = engine.predict(
        weights,
        Photos(images, folder=photos),
        image_size=PIXELS,
        batch_size=1,
        cap=100_000,
        settings=hard,
    )
    inside = engine.predict(
        tmp_path / "best-nms.onnx",
        Photos(images, folder=photos),
        image_size=PIXELS,
        batch_size=1,
        cap=100_000,
        settings=hard,
    )
    assert (
        scored.loc["onnx-nms", "equal_share"] == parity.same_detections(own, inside)["equal_share"]
    )


def test_settings_that_fit_inside_go_inside_as_they_are():
    assert parity.hard_settings(SETTINGS, None, None, PIXELS)[0] == SETTINGS


def test_what_cannot_be_made_is_a_row_with_its_reason(made, tmp_path):
    weights, images, photos, _ = made
    valid = Photos(images, folder=photos)
    train = Photos(images.iloc[:0], folder=photos)
    kinds = ("onnx", "onnx-int8")
    exports = formats.export_all(weights, tmp_path, kinds, (PIXELS,), train, valid, SETTINGS)
    assert exports["path"].tolist()[2] == "" and exports["note"][1] == ""
    assert "the calibration set is empty" in exports["note"][2]


ROWS = pd.DataFrame(
    [
        ("pytorch", 640, 0.800, False, 100.0, 4.0, 90.0),
        ("onnx", 640, 0.800, False, 45.0, 7.0, 40.0),
        ("onnx-nms", 640, 0.799, False, 46.0, 7.1, 44.0),
        ("onnx-int8", 640, 0.790, True, 20.0, 2.0, 16.0),
        ("onnx", 320, 0.700, False, 12.0, 7.0, 9.0),
        ("openvino", 640, np.nan, False, np.nan, np.nan, np.nan),
    ],
    columns=["export", "image_size", "AP75", "red", "whole_ms", "size_mb", "latency_ms"],
)


@pytest.mark.parametrize(
    ("latency_ms", "size_mb", "chosen", "words"),
    [
        (
            100,
            100,
            ("onnx", 640),
            "Within 100 ms and 100 MB take onnx at 640 px: AP75 0.800, 45 ms per image here",
        ),
        (40, 100, ("onnx", 320), "take onnx at 320 px"),
        (200, 5, ("pytorch", 640), "take pytorch at 640 px"),
        (30, 5, None, "only red exports fit"),
        (5, 100, None, "nothing fits: the fastest of all is onnx at 320 px with 12 ms and 7.0 MB"),
    ],
)
def test_the_recommendation_follows_from_the_budgets(latency_ms, size_mb, chosen, words):
    row, sentence = parity.recommend(ROWS, latency_ms, size_mb)
    assert (row and (row["export"], row["image_size"])) == chosen
    assert words in sentence


@pytest.mark.parametrize(
    ("other_ms", "chosen", "words"),
    [
        (44.0, "onnx", "onnx-nms at 640 px is 2% faster, which is within the noise of timing"),
        (40.0, "onnx-nms", "it is the fastest of 3 within 0.005 AP75 of the best"),
    ],
)
def test_plain_onnx_comes_before_what_is_hardly_faster(other_ms, chosen, words):
    rows = ROWS.assign(whole_ms=ROWS["whole_ms"].where(ROWS["export"] != "onnx-nms", other_ms))
    row, sentence = parity.recommend(rows, 200, 100)
    assert row["export"] == chosen and f"Of 5 rows 4 fit and are not red; {words}" in sentence


def test_a_file_counts_for_no_more_than_its_weights():
    lucky = ROWS.assign(AP75=ROWS["AP75"].where(ROWS["export"] != "onnx-nms", 0.85))
    row, sentence = parity.recommend(lucky, 200, 100)
    assert row["export"] == "onnx" and "it is the fastest of 3 within" in sentence


TIMED = pd.DataFrame(
    [("onnx", 640, 40.0, 44.0), ("onnx-static", 640, 38.0, 42.0), ("onnx", 320, 10.0, 12.0)],
    columns=["export", "image_size", "latency_ms", "p95_ms"],
)


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (0, "p95_ms", 44.0, ""),
        (0, "p95_ms", 100.0, "onnx at 640 px (95th percentile 2.5 x the median)"),
        (1, "latency_ms", 30.0, "onnx and onnx-static at 640 px, the same network at 30 and 40 ms"),
    ],
)
def test_a_disturbed_timing_is_told(row, column, value, words):
    rows = TIMED.copy()
    rows.loc[row, column] = value
    sentence = edge_module.noise(rows)
    assert words in sentence and bool(words) == bool(sentence)


def test_no_rows_no_recommendation():
    row, sentence = parity.recommend(ROWS.iloc[:0], 100, 100)
    assert row is None and sentence.startswith("Nothing was measured")


def test_the_front_leaves_out_the_beaten_and_the_red():
    front = cost.front(ROWS)
    assert list(zip(front["export"], front["image_size"], strict=True)) == [
        ("onnx", 320),
        ("onnx", 640),
    ]


def test_a_file_that_cannot_be_timed_says_why(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(
        LivestockError, match=r"bad\.onnx could not be timed: .*damaged or not an ONNX file"
    ):
        latency.in_turns([tmp_path / "bad.onnx"], 64, 64, 1, 1)


def test_metadata_tells_how_a_file_was_made(made, tmp_path):
    about = onnx_backend.read_about(one(made, tmp_path, "onnx-static"))
    assert about["made"] == {"kind": "onnx-static", "from": about["weights"], "shape": [1, 96, 96]}
    assert json.dumps(about)


FIGURES = ROWS.assign(
    difference=[0, 0, -0.001, -0.02, 0, np.nan],
    low=[0, 0, -0.002, -0.03, 0, np.nan],
    high=[0, 0, 0, -0.01, 0, np.nan],
    p95_ms=ROWS["latency_ms"] * [9, 1.2, 1.2, 1.2, 1.2, 1],
    threads=2,
    peak_memory_mb=120.0,
)


@pytest.mark.parametrize("name", ["edge_front", "edge_parity", "edge_cost"])
def test_figures_have_labels_and_take_no_rows(name):
    from livestock_utils.show.plots import edge as plots

    ax = getattr(plots, name)(FIGURES)
    assert "ms" in ax.get_xlabel() or "AP75" in ax.get_xlabel()
    assert len(ax.lines) + len(ax.patches) > 0
    empty = getattr(plots, name)(FIGURES.iloc[:0])
    assert [text.get_text() for text in empty.texts]


def test_the_front_marks_red_rows():
    from livestock_utils.show.plots import edge, style

    ax = edge.edge_front(FIGURES)
    alarm = [
        line
        for line in ax.lines
        if line.get_marker() == "o"
        and line.get_markeredgecolor() == style.ALARM
        and len(line.get_xdata())  # not the legend's
    ]
    other = [
        line
        for line in ax.lines
        if line.get_marker() == "s" and line.get_markeredgecolor() == style.ALARM
    ]
    assert (len(alarm), len(other)) == (0, 1)  # the red row's size, 640 px, is still to be seen


def test_one_busy_moment_does_not_hide_the_other_bars():
    from livestock_utils.show.plots import edge

    ax = edge.edge_cost(FIGURES)
    assert (
        ax.get_xlim()[1] < 2.5 * 90 * 1.8
    )  # the 95th percentile of the first row is 9 x its median


def test_five_columns_say_what_a_form_costs_and_whether_to_take_it():
    table = edge_module.forms(FIGURES, {"export": "onnx", "image_size": 640}, 50, 100)
    assert table.columns.tolist() == [
        "form",
        "MB",
        "ms whole",
        "AP75 (difference: 95 %)",
        "verdict",
    ]
    assert table["verdict"].tolist() == [
        *("over the budget", "recommended", "fits", "red: more than 0.005 AP75 lost", "fits")
    ]
    assert table.iloc[2, 3] == "0.799 (-0.001: -0.002 to +0.000)" and table.iloc[0, 3] == "0.800"
    assert table["form"].tolist()[-1] == "onnx, 320 px"  # what was not made is not here
    assert len(edge_module.forms(FIGURES.iloc[:0], None, 50, 100)) == 0
    assert edge_module.budgets(FIGURES, 50, 7).startswith("3 of 5 forms keep the budgets of 50 ms")
