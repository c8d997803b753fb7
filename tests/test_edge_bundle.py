import fnmatch
import json
import os
import re
import shutil
import struct
import subprocess
import venv
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_candidates import RESCORER
from made_network import write_network, write_photos

from livestock_utils.assets import edge_runner
from livestock_utils.core import suppression
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.detect import checkpoints
from livestock_utils.detect.export import bundle as edge_bundle
from livestock_utils.detect.export import card, formats, parity
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.evaluate.scoring import tables

onnx = pytest.importorskip("onnx", reason="the edge extra is not installed")
pytest.importorskip("onnxruntime", reason="the edge extra is not installed")

PIXELS = 96
SIZES = ((96, 64), (64, 96), (200, 113), (192, 108), (50, 40))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Weights and photos of several sizes: smaller than the network's input, larger, portrait."""
    folder = tmp_path_factory.mktemp("bundle")
    return (
        write_network(folder / "best.pt"),
        write_photos(folder / "photos", sizes=SIZES),
        folder / "photos",
        folder,
    )


def unpacked(made, folder, settings, kind="onnx", notes=None):
    weights, images, *_ = made
    model = formats.export(
        weights,
        made[3] / "exports",
        kind,
        image_size=PIXELS,
        settings=settings,
        shape=formats.common_shape(images, PIXELS),
    )
    bundle = edge_bundle.write_bundle(folder, "test", model, PIXELS, settings, notes)
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    return folder / "edge_test"


def as_predictions(table):
    """The runner's CSV as a predictions table."""
    table = table.rename(columns={"image": "image_id"})
    return table.assign(image_id=table["image_id"].map(lambda name: Path(name).stem))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (Settings(), "onnx"),
        (Settings(confidence_threshold=0.3, iou_threshold=0.5, max_detections=7), "onnx"),
        (
            Settings(
                confidence_threshold={"pig": 0.2, "cow": 0.4},
                iou_threshold={"pig": 0.5, "cow": 0.7},
            ),
            "onnx",
        ),
        (Settings(multi_label=False), "onnx"),
        (Settings(class_agnostic=True, confidence_threshold=0.05), "onnx"),
        (Settings(method="soft_nms_linear", confidence_threshold=0.05), "onnx"),
        (
            Settings(
                method="soft_nms_gaussian",
                sigma=0.3,
                confidence_threshold={"pig": 0.1, "cow": 0.05},
            ),
            "onnx",
        ),
        (
            Settings(method="soft_nms_gaussian", class_agnostic=True, confidence_threshold=0.05),
            "onnx",
        ),
        (Settings(method="soft_nms_linear", confidence_threshold=0.01, max_detections=20), "onnx"),
        (
            Settings(
                method="soft_nms_linear",
                class_agnostic=True,
                confidence_threshold={"pig": 0.4, "cow": 0.05},
                max_detections=20,
            ),
            "onnx",
        ),
        (Settings(confidence_threshold=0.05, voting_iou=0.7), "onnx"),
        (Settings("soft_nms_linear", confidence_threshold=0.05, voting_iou=0.6), "onnx"),
        (Settings("diou_nms", confidence_threshold=0.05, iou_threshold=0.5), "onnx"),
        (
            Settings("diou_nms", voting_iou=0.5, voting_weight="confidence", class_agnostic=True),
            "onnx",
        ),
        (Settings(confidence_threshold=0.05, voting_iou=0.7, rescorer=RESCORER), "onnx"),
        (Settings("soft_nms_linear", max_detections=30, rescorer=RESCORER), "onnx"),
        (Settings(confidence_threshold=0.05), "onnx-nms"),
        (Settings(confidence_threshold=0.05), "onnx-static"),
    ],
)
def test_the_runner_gives_the_boxes_of_the_library(made, tmp_path, settings, kind):
    bundle = unpacked(made, tmp_path, settings, kind)
    library = engine.predict(
        made[3] / "exports" / model_file(kind),
        Photos(made[1], folder=made[2]),
        image_size=PIXELS,
        settings=settings,
        batch_size=1,
    )
    assert (
        edge_runner.main(
            [str(made[2]), "--model", str(bundle), "--out", str(tmp_path / "boxes.csv")]
        )
        == 0
    )
    runner = as_predictions(pd.read_csv(tmp_path / "boxes.csv"))
    assert len(runner) == len(library) > 10
    assert runner["image_id"].tolist() == library["image_id"].tolist()
    assert runner["species"].tolist() == library["species"].tolist()
    np.testing.assert_allclose(runner["confidence"], library["confidence"], atol=1e-6)
    np.testing.assert_allclose(
        runner[XYXY], library[XYXY], atol=6e-4
    )  # the file has three decimals


@pytest.mark.parametrize(
    ("n", "limits", "most"),
    [
        (0, [0.5], 9),
        (1, [0.5, 0.5], 9),
        (400, [0.6], 400),
        (400, [0.3, 0.7], 60),
        (2000, [0.45, 0.45], 100),  # the surest 500 are not enough
        (400, [0.0, 1.0], 300),
    ],
)
def test_suppression_by_the_runtime_is_the_librarys_and_numpys(n, limits, most, monkeypatch):
    rng = np.random.default_rng(n)
    corner = rng.integers(0, 60, (n, 2)).astype(np.float32)
    xyxy = np.hstack([corner, corner + rng.integers(0, 40, (n, 2))]).astype(np.float32)
    group, falling = rng.integers(0, len(limits), n), np.linspace(1, 0.1, n, dtype=np.float32)
    kept = np.zeros(n, dtype=bool)
    for number, limit in enumerate(limits):
        mine = group == number
        kept[mine] = suppression.nms(xyxy[mine], falling[mine], limit)
    expected = np.flatnonzero(kept)[:most].tolist()
    assert edge_runner.nms(xyxy, group, limits, most).tolist() == expected
    monkeypatch.setattr(edge_runner, "_by_runtime", lambda: None)  # no ONNX Runtime
    assert edge_runner.nms(xyxy, group, limits, most).tolist() == expected


def test_the_runtimes_suppression_is_one_node():
    model = onnx.load_from_string(edge_runner.SUPPRESSION)
    onnx.checker.check_model(model)
    (node,) = model.graph.node
    assert (node.op_type, model.opset_import[0].version) == ("NonMaxSuppression", 11)


def model_file(kind):
    return {"onnx": "best.onnx", "onnx-nms": "best-nms.onnx", "onnx-static": "best-96x96.onnx"}[
        kind
    ]


def test_a_bundle_holds_what_a_device_needs_and_the_same_bytes_again(made, tmp_path):
    folder = unpacked(made, tmp_path / "a", Settings(), notes={"AP75": "0.400"})
    assert sorted(path.name for path in folder.iterdir()) == [
        "MODEL_CARD.md",
        "NOTICE.md",
        "README.md",
        "SHA256SUMS",
        "labels.txt",
        "livestock.service",
        "model.json",
        "model.onnx",
        "requirements.txt",
        "run.py",
        "selftest.json",
        "selftest.png",
        "tensorrt.sh",
        "web",
    ]
    assert (folder / "labels.txt").read_text() == "pig\ncow\n"
    assert json.loads((folder / "model.json").read_text())["settings"]["iou_threshold"] == 0.68
    assert "AP75: 0.400" in (folder / "README.md").read_text()
    commands = (folder / "tensorrt.sh").read_text()
    assert (
        "NOT run" in commands
        and "--minShapes=images:1x3x32x32 --optShapes=images:1x3x64x96" in commands
    )
    assert "--maxShapes=images:4x3x96x96" in commands and "--int8 --fp16" not in commands
    unpacked(made, tmp_path / "b", Settings(), notes={"AP75": "0.400"})
    assert (tmp_path / "a/dist/edge_test.zip").read_bytes() == (
        tmp_path / "b/dist/edge_test.zip"
    ).read_bytes()


def test_a_model_card_says_what_was_measured_and_where_it_fails(made, tmp_path):
    weights, images, folder, _ = made
    model = formats.export(weights, tmp_path, image_size=PIXELS)
    photos, looking = Photos(images, folder=folder), Settings(confidence_threshold=0.3)
    found = engine.predict(model, photos, image_size=PIXELS, settings=looking)
    labels = photos.with_boxes(found.drop(columns="confidence"))
    told = card.write(weights, model, PIXELS, labels, looking, looking)
    assert "## Trained on\n\nThese weights do not say on what.\n\n" in told
    noted = {"photos": 177, "boxes": {"pig": 3, "cow": 4}, "drawn": True}
    network = checkpoints.build(checkpoints.read_weights(weights))
    trained = checkpoints.write_weights(tmp_path / "trained.pt", network, trained_on=noted)
    told_of = card.write(trained, model, PIXELS, labels, looking, looking)
    assert "## Trained on\n\n177 photos with 3 of pig, 4 of cow boxes.\n\n**Drawn" in told_of
    ap75 = tables.paired_difference(labels, found, found).loc["all", "first"]
    assert re.search(rf"\| all \| {ap75:.3f} \| 0\.\d+ to [01]\.\d+ \|", told)
    # its own boxes are the labels
    assert "- pig: 0.00 (0.00 to 0.00), mean +0.00, exact in 100%" in told
    assert re.search(r"- by box size: \w+ \d+% \(of \d+\), ", told) and "Drawn" not in told
    few = labels.with_boxes(found[found["confidence"] > 0.6].drop(columns="confidence"))
    assert "exact in 100%" not in card.write(weights, model, PIXELS, few, looking, looking)
    none = labels.with_boxes(found.iloc[:0].drop(columns="confidence"))
    assert "No labelled photos judged it." in card.write(
        weights, model, PIXELS, none, looking, looking
    )


def test_a_fixed_shape_needs_no_profile(made, tmp_path):
    folder = unpacked(made, tmp_path, Settings(), "onnx-static")
    assert "minShapes" not in (folder / "tensorrt.sh").read_text()
    huge = np.zeros((900, 100, 3), dtype=np.uint8)
    model = edge_runner.Model(folder)
    model.image_size = 192
    with pytest.raises(
        edge_runner.Problem, match="this model takes 96 x 96; use a bundle without a fixed shape"
    ):
        model.detect(huge)


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        ("onnx", "--saveEngine=model_fp16.engine --fp16", "--int8 --fp16"),
        (
            "onnx-int8",
            "this INT8 model is not for TensorRT: export onnx-int8-trt, or onnx",
            "trtexec",
        ),
        ("onnx-int8-trt", "--saveEngine=model_int8.engine --int8 --fp16", "model_fp32"),
    ],
)
def test_only_the_model_with_symmetric_ranges_promises_int8_on_tensorrt(kind, there, absent):
    about = {"shape": [], "stride": 32, "made": {"kind": kind}}
    commands = edge_bundle.tensorrt_commands(about, 640)
    assert there in commands and absent not in commands


TABLE = pd.DataFrame(
    [
        ("pytorch", 96, "best.pt", 4, False),
        ("onnx", 96, "best.onnx", 7, False),
        ("onnx", 64, "best.onnx", 7, False),
        ("onnx-nms", 96, "best-nms.onnx", 7, False),
        ("onnx-int8", 96, "best-int8.onnx", 2, True),
        ("openvino", 96, "", 0, False),
    ],
    columns=["export", "image_size", "path", "size_mb", "red"],
)


@pytest.mark.parametrize(
    ("recommended", "file", "size", "sentence"),
    [
        (3, "best-nms.onnx", 96, "The bundle holds what is recommended, onnx-nms at 96 px."),
        (
            0,
            "best.onnx",
            96,
            "The runner takes ONNX only, so the bundle holds onnx at 96 px in place of pytorch.",
        ),
        (
            None,
            "best.onnx",
            64,
            "Nothing is recommended, so the bundle holds onnx at 64 px, which comes nearest: over",
        ),
    ],
)
def test_what_goes_into_a_bundle_is_said(recommended, file, size, sentence):
    row = None if recommended is None else TABLE.iloc[recommended].to_dict()
    path, pixels, words = edge_bundle.choose(TABLE, row)
    assert (path.name, pixels) == (file, size) and words.startswith(sentence)


@pytest.mark.parametrize(
    ("max_size_mb", "recommended", "file"),
    [
        (7, 1, "best.onnx"),
        (6.9, 0, "best-int8.onnx"),
        (6.9, None, "best-int8.onnx"),
        (2, 0, "best-int8.onnx"),
    ],
)
def test_a_file_over_the_budget_is_not_bundled(max_size_mb, recommended, file):
    row = None if recommended is None else TABLE.iloc[recommended].to_dict()
    assert edge_bundle.choose(TABLE, row, max_size_mb)[0].name == file


def test_without_an_onnx_file_there_is_no_bundle():
    with pytest.raises(
        LivestockError,
        match=r"every ONNX file is over 1 MB, the smallest is onnx-int8 with 2\.0 MB",
    ):
        edge_bundle.choose(TABLE, None, 1)
    with pytest.raises(
        LivestockError, match="no ONNX file was made, so there is nothing to bundle"
    ):
        edge_bundle.choose(TABLE.iloc[:1], None)


def test_commands_are_written_beside_what_tensorrt_takes(made, tmp_path):
    plain = formats.export(made[0], tmp_path, image_size=PIXELS)
    rows = [
        ("pytorch", 96, str(made[0])),
        ("onnx", 96, str(plain)),
        ("onnx", 64, str(plain)),
        ("onnx-int8-trt", 96, ""),
    ]
    (path,) = edge_bundle.write_commands(
        pd.DataFrame(rows, columns=["export", "image_size", "path"])
    )
    assert (
        path == tmp_path / "best.tensorrt.sh" and "--optShapes=images:1x3x64x96" in path.read_text()
    )


def test_a_size_that_the_network_does_not_take_is_refused(made, tmp_path):
    model = formats.export(made[0], made[3] / "exports", image_size=PIXELS)
    with pytest.raises(
        LivestockError, match="image_size must be a multiple of the network's stride 32, got 100"
    ):
        edge_bundle.write_bundle(tmp_path, "x", model, 100, Settings())
    assert not list(tmp_path.rglob("*.zip"))


@pytest.fixture(scope="module")
def bundle(made, tmp_path_factory):
    """A bundle of few, sure boxes."""
    return unpacked(
        made, tmp_path_factory.mktemp("few"), Settings(confidence_threshold=0.3, iou_threshold=0.5)
    )


def hard_images(folder, made):
    """Images that are unusual but fine, and files that are no images; returns the number of the
    latter."""
    folder.mkdir()
    colour = cv2.imread(str(made[2] / "photo_003.jpg"))
    alpha = np.dstack([colour, np.full(colour.shape[:2], 7, dtype=np.uint8)])
    for name, picture in (
        ("alpha.png", alpha),
        ("grey.png", colour[..., 0]),
        ("sixteen.png", colour[..., 0].astype(np.uint16) * 257),
        ("plain.png", colour),
    ):
        cv2.imwrite(str(folder / name), picture)
    data = (made[2] / "photo_000.jpg").read_bytes()
    (folder / "tail.jpg").write_bytes(data + b"\xff\xda after the end")
    for name, content in (
        ("cut.jpg", data[: len(data) // 2]),
        ("phone.heic", b"\x00\x00\x00\x18ftypheic" + bytes(64)),
        ("huge.png", png_of_pixels(20_000, 10_000)),
        ("huge.jpg", data[:2] + b"\xff\xc0\x00\x11\x08\x27\x10\x4e\x20" + data[2:]),
        ("empty.jpg", b""),
        ("text.jpg", b"no image at all"),
        ("zero.png", png_of_pixels(0, 10)),
    ):
        (folder / name).write_bytes(content)
    return 7


def png_of_pixels(width, height):
    """A PNG whose header says so many pixels, which are not there; whole otherwise."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def test_unusual_images_are_seen_and_bad_ones_counted(made, bundle, tmp_path, capfd):
    bad = hard_images(tmp_path / "mixed", made)
    code = edge_runner.main(
        [str(tmp_path / "mixed"), "--model", str(bundle), "--out", str(tmp_path / "found.json")]
    )
    told = capfd.readouterr().err.splitlines()
    assert code == 1
    assert told[:-1] == [
        "cut.jpg: truncated image",
        "empty.jpg: empty file",
        *(
            f"huge.{ending}: a photo of 200 megapixels, at most 128 are read: make it smaller"
            for ending in ("jpg", "png")
        ),
        "phone.heic: an HEIC photo, which is not read here: save it as JPEG",
        "text.jpg: not a readable image",
        "zero.png: an image of no pixels",
    ]
    assert told[-1].endswith(f"boxes; {bad} could not be used") and told[-1].startswith(
        "5 images, "
    )
    found = {entry["image"]: entry for entry in json.loads((tmp_path / "found.json").read_text())}
    assert sorted(found) == ["alpha.png", "grey.png", "plain.png", "sixteen.png", "tail.jpg"]
    assert found["alpha.png"]["boxes"] == found["plain.png"]["boxes"]
    assert found["sixteen.png"]["boxes"] == found["grey.png"]["boxes"]
    assert (found["plain.png"]["width_px"], found["plain.png"]["height_px"]) == (192, 108)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["absent.jpg"],
            "error: absent.jpg: not found; give an image, a folder, a video, a camera number or "
            "rtsp://...",
        ),
        (["77"], "error: camera 77: not there, or in use by another program"),
        (["file:///absent/secret"], "error: stream: not there, or in use by another program"),
        (["{empty}/none.jpg", "--benchmark"], "none.jpg"),
        (["{empty}.jpg", "--benchmark"], "error: empty file"),
        (["{bundle}/run.py", "--model", "absent"], "no readable model settings"),
        (["{empty}"], "no images in this folder"),
        (["{video}"], "not a readable video"),
        (["{photos}", "--out", "boxes.txt"], "expected a name that ends in .csv, .json or .jsonl"),
    ],
)
def test_what_cannot_be_used_is_one_line(made, bundle, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "film.mp4").write_bytes(b"nothing")
    earlier = tmp_path / "boxes.csv"
    earlier.write_text("an earlier result")
    names = {
        "bundle": bundle,
        "empty": tmp_path / "empty",
        "video": tmp_path / "film.mp4",
        "photos": made[2],
    }
    given = [argument.format(**names) for argument in arguments]
    if "--model" not in given:
        given += ["--model", str(bundle)]
    if "--out" not in given:
        given += ["--out", str(earlier)]
    assert edge_runner.main(given) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and message in told[0]
    assert earlier.read_text() == "an earlier result" and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give an image, a folder, a video or a camera number, or --benchmark"),
        (["x.jpg", "--threads", "-2"], "--threads must be at least 1, got -2"),
        (["x.jpg", "--limit", "0"], "--limit must be at least 1, got 0"),
        (["x.jpg", "--every", "0"], "--every must be at least 1, got 0"),
        (["x.jpg", "--confidence", "1.5"], r"--confidence must lie in (0, 1], got 1.5"),
    ],
)
def test_wrong_usage_ends_with_2(bundle, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        edge_runner.main([*arguments, "--model", str(bundle)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)


def test_a_higher_confidence_shows_fewer_boxes(made, bundle, tmp_path):
    arguments = [str(made[2]), "--model", str(bundle), "--out", str(tmp_path / "o.csv")]
    assert edge_runner.main(arguments) == 0
    every = pd.read_csv(tmp_path / "o.csv")
    assert edge_runner.main([*arguments, "--confidence", "0.6"]) == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "o.csv"), every[every["confidence"] >= 0.6].reset_index(drop=True)
    )


def test_a_network_with_suppression_inside_cannot_show_what_it_drops(made, tmp_path, capsys):
    folder = unpacked(made, tmp_path, Settings(confidence_threshold=0.05), "onnx-nms")
    assert edge_runner.main([str(made[2]), "--model", str(folder), "--confidence", "0.01"]) == 1
    assert (
        "confidence 0.01 is below 0.05, under which this network drops boxes"
        in capsys.readouterr().err
    )


def test_drawings_of_like_names_are_all_kept(made, bundle, tmp_path):
    data = (made[2] / "photo_000.jpg").read_bytes()
    names = ["a b.jpg", "a_b.jpg", "a_b.png", "s/a_b.jpg"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    seen = tmp_path / "seen"
    assert (
        edge_runner.main([str(tmp_path / "in"), "--model", str(bundle), "--draw", str(seen)]) == 0
    )
    drawn = sorted(path.relative_to(seen).as_posix() for path in seen.rglob("*.jpg"))
    assert drawn == [f"{name}_000000.jpg" for name in names]


class Failing:
    """Stands for OpenCV's video: `frames` pictures, then an error, Ctrl-C, or the end."""

    def __init__(self, frames, end):
        self.left, self.end = frames, end

    def isOpened(self):
        return True

    def get(self, what):
        return 0

    def read(self):
        if self.left == 0 and self.end is not None:
            raise self.end
        self.left -= 1
        return self.left >= 0, np.full((64, 96, 3), 90, dtype=np.uint8)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("frames", "end", "code", "told", "replaced"),
    [
        (
            3,
            None,
            1,
            ["camera 0: gives no more pictures", "3 images, * boxes; 1 could not be used"],
            True,
        ),
        (
            3,
            KeyboardInterrupt(),
            0,
            ["ended by Ctrl-C", "3 images, * boxes; 0 could not be used"],
            True,
        ),
        (
            0,
            KeyboardInterrupt(),
            0,
            ["ended by Ctrl-C", "0 images, 0 boxes; 0 could not be used"],
            False,
        ),
        (
            3,
            OSError("disk full"),
            1,
            ["*boxes.csv.part: what was found until then", "error: disk full"],
            False,
        ),
    ],
)
def test_only_a_run_that_ended_well_replaces_a_result(
    bundle, tmp_path, monkeypatch, capsys, frames, end, code, told, replaced
):
    monkeypatch.setattr(edge_runner.cv2, "VideoCapture", lambda source: Failing(frames, end))
    out = tmp_path / "boxes.csv"
    out.write_text("an earlier result")
    assert edge_runner.main(["0", "--model", str(bundle), "--out", str(out)]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(told) and all(
        fnmatch.fnmatch(*pair) for pair in zip(lines, told, strict=True)
    )
    assert (out.read_text() != "an earlier result") == replaced
    assert (tmp_path / "boxes.csv.part").exists() == (frames > 0 and not replaced)


def test_a_film_that_was_cut_is_counted(made, bundle, tmp_path, capsys):
    path = film(made, tmp_path, 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert (
        edge_runner.main([str(path), "--model", str(bundle), "--out", str(tmp_path / "o.csv")]) == 1
    )
    told = capsys.readouterr().err.splitlines()
    assert "of 20 pictures: cut short or damaged" in told[-2] and told[-1].endswith(
        "1 could not be used"
    )


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.onnx", b"nothing", "damaged or not an ONNX file"),
        ("model.onnx", None, "the model is missing"),
        ("model.json", b"{", "no readable model settings"),
        ("model.json", b"[]", "no readable model settings"),
        ("model.json", ("stride", None), "no readable model settings ('stride' is absent)"),
        ("model.json", ("settings", {}), "no readable model settings ('max_detections' is absent)"),
        ("model.json", ("image_size", "large"), "no readable model settings (invalid literal"),
        (
            "model.json",
            ("names", ["pig"]),
            "model.onnx: finds pig, cow, model.json says pig: a model of another bundle",
        ),
        ("model.onnx", "other", "expected one input 'images' of four float axes"),
    ],
)
def test_a_damaged_bundle_is_one_line(made, bundle, tmp_path, capsys, file, content, message):
    shutil.copytree(bundle, tmp_path / "b")
    target = tmp_path / "b" / file
    if isinstance(content, tuple):
        about = json.loads(target.read_text())
        about.pop(content[0]) if content[1] is None else about.update([content])
        content = json.dumps(about).encode()
    target.unlink()
    if content == "other":
        identity = onnx.helper.make_node("Identity", ["x"], ["y"])
        values = [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2])
            for name in "xy"
        ]
        graph = onnx.helper.make_graph([identity], "other", values[:1], values[1:])
        onnx.save(
            onnx.helper.make_model(
                graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
            ),
            target,
        )
    elif content is not None:
        target.write_bytes(content)
    assert edge_runner.main([str(made[2] / "photo_000.jpg"), "--model", str(tmp_path / "b")]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert message in told[0] and len(told) == 1


@pytest.mark.parametrize(
    ("file", "code", "told", "shown"),
    [
        (None, 0, [], "test image  20 of 20 boxes as expected, largest difference 0.00 px"),
        ("README.md", 1, ["README.md: changed since the bundle was made (SHA-256)"], "20 of 20"),
        ("run.py", 1, ["run.py: changed since the bundle was made (SHA-256)"], "20 of 20"),
        ("-labels.txt", 1, ["labels.txt: missing; unpack the bundle again"], "20 of 20"),
        ("model.onnx", 1, ["model.onnx: changed since", "error: "], "files       "),
        (
            "selftest.json",
            1,
            ["selftest.json: changed since", "1 of 20 boxes differ: on this device"],
            "19 of 20 boxes as expected",
        ),
        ("-SHA256SUMS", 1, ["error: ", "no SHA256SUMS here"], ""),
    ],
)
def test_a_bundle_tests_itself(bundle, tmp_path, capsys, file, code, told, shown):
    folder = shutil.copytree(bundle, tmp_path / "b")
    if file == "selftest.json":
        expected = json.loads((folder / file).read_text())
        expected["boxes"][0]["x_min"] += 0.6
        (folder / file).write_text(json.dumps(expected))
    elif file and file.startswith("-"):
        (folder / file[1:]).unlink()
    elif file:
        (folder / file).write_bytes((folder / file).read_bytes() + b"\n ")
    assert edge_runner.main(["selftest", "--model", str(folder)]) == code
    seen = capsys.readouterr()
    assert shown in seen.out and all(part in seen.err for part in told)
    assert not (code == 0 and seen.err)


def test_a_model_that_was_changed_does_not_run(made, bundle, tmp_path, capsys):
    """Still a network, but not the one that was measured: a flipped bit among its weights."""
    folder = shutil.copytree(bundle, tmp_path / "b")
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    assert edge_runner.main([str(made[2]), "--model", str(folder)]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and "changed since the bundle was made (SHA-256)" in told[0]


def test_what_a_mac_leaves_and_folders_with_an_images_name_are_passed_over(
    made, bundle, tmp_path, capsys
):
    (tmp_path / "in" / "x.jpg").mkdir(parents=True)
    for name in ("a.jpg", "x.jpg/b.jpg"):
        shutil.copy(made[2] / "photo_000.jpg", tmp_path / "in" / name)
    for name in ("._a.jpg", "x.jpg/.hidden.jpg"):
        (tmp_path / "in" / name).write_bytes(b"a Mac's notes")
    code = edge_runner.main(
        [str(tmp_path / "in"), "--model", str(bundle), "--out", str(tmp_path / "o.csv")]
    )
    assert code == 0 and capsys.readouterr().err.startswith("2 images, ")
    assert set(pd.read_csv(tmp_path / "o.csv")["image"]) <= {"a.jpg", "x.jpg/b.jpg"}


def film(made, folder, n):
    """A video of n pictures."""
    path = folder / "film.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 64))
    if not video.isOpened():
        pytest.skip("this OpenCV cannot write videos")
    for number in range(n):
        video.write(cv2.imread(str(made[2] / "photo_000.jpg")) + np.uint8(number))
    video.release()
    return path


def test_a_video_is_seen_frame_by_frame_and_drawn(made, bundle, tmp_path):
    arguments = [
        str(film(made, tmp_path, 4)),
        "--model",
        str(bundle),
        "--out",
        str(tmp_path / "o.csv"),
        "--every",
        "2",
    ]
    assert edge_runner.main([*arguments, "--draw", str(tmp_path / "seen")]) == 0
    assert sorted(pd.read_csv(tmp_path / "o.csv")["frame"].unique()) == [0, 2]
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [
        "film.avi_000000.jpg",
        "film.avi_000002.jpg",
    ]
    assert cv2.imread(str(tmp_path / "seen/film.avi_000000.jpg")).shape == (64, 96, 3)


def test_benchmark_prints_the_cost_of_each_step(bundle, capsys):
    assert (
        edge_runner.main(["--benchmark", "--rounds", "2", "--threads", "1", "--model", str(bundle)])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == [
        "decode 1920x1080",
        "network",
        "letterbox to boxes",
    ]
    assert "threads 1" in lines[3] and "peak memory" in lines[3]


@pytest.mark.parametrize("size", [(192, 108), (96, 54), (64, 36), (111, 62)])
def test_without_opencv_pixels_and_boxes_are_the_same(made, bundle, monkeypatch, tmp_path, size):
    model = edge_runner.Model(bundle)
    data = (made[2] / "photo_003.jpg").read_bytes()
    by_opencv, frame_bgr = model.detect(edge_runner.decode(data)), edge_runner.decode(data)
    resized = cv2.resize(frame_bgr, size, interpolation=cv2.INTER_LINEAR)
    monkeypatch.setattr(edge_runner, "cv2", None)
    frame = edge_runner.decode(data)
    assert np.array_equal(frame, frame_bgr[..., ::-1])
    assert np.array_equal(edge_runner.resize(frame, size), resized[..., ::-1])
    by_pillow = model.detect(frame)
    np.testing.assert_allclose(by_pillow, by_opencv, atol=1e-4)
    edge_runner.draw(frame, by_pillow, model.names, tmp_path / "drawn.jpg")
    assert cv2.imread(str(tmp_path / "drawn.jpg")).shape == frame.shape


@pytest.mark.parametrize("factor", [3, 5, 9, 4])
def test_frames_a_whole_number_of_times_as_large_are_resized_as_opencv_does(factor):
    frame = np.random.default_rng(0).integers(0, 255, (18 * factor, 32 * factor, 3), dtype=np.uint8)
    resized = cv2.resize(frame, (32, 18), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(edge_runner.resize(frame, (32, 18)), resized)


def test_frames_of_many_sizes_in_a_row_do_not_mix(made, bundle):
    model = edge_runner.Model(bundle)
    frames = [cv2.imread(str(made[2] / f"photo_{number:03d}.jpg")) for number in range(len(SIZES))]
    alone = [edge_runner.Model(bundle).detect(frame) for frame in frames]
    for number in (0, 1, 3, 2, 3, 0, 4, 4, 1):
        assert np.array_equal(model.detect(frames[number]), alone[number])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "I;16", "P", "CMYK"])
def test_pillow_turns_every_kind_of_image_into_colour(mode, monkeypatch, tmp_path):
    from PIL import Image

    grey = Image.fromarray(np.full((40, 60), 200, dtype=np.uint8))
    picture = (
        Image.fromarray(np.full((40, 60), 200 * 257, dtype=np.uint16))
        if mode == "I;16"
        else grey.convert(mode)
    )
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    picture.save(path)
    monkeypatch.setattr(edge_runner, "cv2", None)
    frame = edge_runner.decode(path.read_bytes())
    assert frame.shape == (40, 60, 3) and frame.dtype == np.uint8
    assert abs(int(frame[20, 30, 0]) - 200) <= 2


@pytest.mark.parametrize("reader", ["opencv", "pillow"])
@pytest.mark.parametrize(
    ("mode", "name", "more", "told"),
    [
        ("RGB", "x.png", bytes(900), ""),
        ("RGB", "x.tif", b"", ""),
        ("I", "x.tif", b"", "not a readable image|a TIFF of 32 bits"),
        ("F", "x.tif", b"", "not a readable image|a TIFF of 32 bits"),
    ],
)
def test_opencv_and_pillow_read_the_same_images(
    reader, mode, name, more, told, monkeypatch, tmp_path
):
    from PIL import Image

    Image.new("RGB", (60, 40), (90, 90, 90)).convert(mode).save(tmp_path / name)
    if reader == "pillow":
        monkeypatch.setattr(edge_runner, "cv2", None)
    data = (tmp_path / name).read_bytes() + more
    if told:
        with pytest.raises(edge_runner.Problem, match=told):
            edge_runner.decode(data)
    else:
        assert (edge_runner.decode(data) == 90).all()


def test_a_bundle_runs_in_a_bare_environment_with_its_three_packages(made, tmp_path):
    """Only numpy, onnxruntime and Pillow: no library, no torch, no OpenCV."""
    folder = unpacked(made, tmp_path, Settings(confidence_threshold=0.05))
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    asked = subprocess.run(
        [python, "-m", "pip", "install", "-q", "-r", folder / "requirements.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        pytest.skip(f"no package index in reach: {asked.stderr.strip().splitlines()[-1][:120]}")
    clean = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")
    }
    run = subprocess.run(
        [python, "run.py", made[2], "--out", tmp_path / "o.csv", "--draw", tmp_path / "seen"],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    library = engine.predict(
        made[3] / "exports" / "best.onnx",
        Photos(made[1], folder=made[2]),
        image_size=PIXELS,
        batch_size=1,
        settings=Settings(confidence_threshold=0.05),
    )
    runner = as_predictions(pd.read_csv(tmp_path / "o.csv"))
    enlarged = SIZES.index(
        (50, 40)
    )  # Pillow's stand-in for OpenCV rounds 0.4 % of its pixels otherwise
    both = [table[table["image_id"] != f"photo_{enlarged:03d}"] for table in (library, runner)]
    same = parity.same_detections(both[0], both[1], 0.3)
    assert (
        len(both[0]) == len(both[1]) > 100
        and same["equal_share"] == 1
        and same["largest_difference_px"] < 0.01
    )
    assert len(list((tmp_path / "seen").iterdir())) == len(SIZES)
    camera = subprocess.run(
        [python, "run.py", "0"], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert camera.returncode == 1
    assert (
        camera.stderr
        == "error: camera 0: videos and cameras need OpenCV: pip install opencv-python-headless\n"
    )
    measured = subprocess.run(
        [python, "run.py", "--benchmark", "--rounds", "2"],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 0 and "network" in measured.stdout
