"""The smaller steps of notebook 13: which images, which thresholds, what is counted, commands, the
bundle's check."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from made_network import write_network, write_photos

from livestock_utils.core.errors import LivestockError, NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.export import bundle as edge_bundle
from livestock_utils.detect.export import cost, exports, formats, parity
from livestock_utils.detect.predict import engine, postprocess
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.detect.settings import TrainSettings

PIXELS = 96


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    return write_network(folder / "best.pt"), write_photos(folder / "photos"), folder / "photos"


@pytest.mark.parametrize(("n", "expected"), [(2, 2), (5, 5), (9, 5)])
def test_some_images_come_sorted_with_their_boxes(tmp_path, n, expected):
    images = pd.DataFrame({"image_id": list("abcde")})
    boxes = pd.DataFrame({"image_id": list("aabbccddee"), "x_min": range(10)})
    (tmp_path / "best.pt").touch()
    asked = exports.ExportSettings(weights=tmp_path / "best.pt", n_images=n, seed=3)
    photos = Photos(images, boxes)
    mine, again = (exports.export(photos, photos, tmp_path, asked).valid for _ in range(2))
    ids = mine.images["image_id"]
    assert len(mine) == expected and ids.is_monotonic_increasing
    assert mine.boxes["image_id"].tolist() == [name for name in ids for _ in range(2)]
    assert again.images["image_id"].tolist() == ids.tolist()


def test_exports_are_judged_on_photos_that_their_weights_have_not_seen(tmp_path, caplog):
    photos = Photos(pd.DataFrame({"image_id": list("abc")}), pd.DataFrame({"image_id": []}))
    weights = tmp_path / "run" / "weights" / "best.pt"
    weights.parent.mkdir(parents=True)
    weights.touch()
    asked = exports.ExportSettings(weights=weights)
    seen = tmp_path / "run" / "train_images.txt"
    seen.write_text("a\nplus_b\n")
    mine = exports.export(photos, photos, tmp_path, asked).valid
    assert mine.images["image_id"].tolist() == ["c"]
    assert "2 of 3 photos to judge on were in the training of these weights" in caplog.text
    seen.write_text("a\nb\nc\n")
    with pytest.raises(NotebookError, match=r"all 3 photos to judge on were in .*give others"):
        exports.export(photos, photos, tmp_path, asked)
    asked = exports.ExportSettings(weights=f"{weights},{weights}")
    with pytest.raises(NotebookError, match="one network is exported, got 2 weights"):
        exports.export(photos, photos, tmp_path, asked)


@pytest.mark.parametrize(
    ("settings", "taken", "said"),
    [
        (
            None,
            Settings(),
            "`settings.yaml` is not there (notebook 11 writes it): the write-up's thresholds go "
            "in.",
        ),
        (Settings(method="fusion"), Settings(), "The tuned settings merge several passes"),
        (Settings(passes=("plain", "flip")), Settings(), "The tuned settings merge several passes"),
        (
            Settings(iou_threshold=0.5, passes=("plain",)),
            Settings(iou_threshold=0.5, passes=("plain",)),
            "Thresholds: those that notebook 11 found best for one pass, as a device makes one "
            "(nms, IoU 0.5, confidence from 0.001)",
        ),
    ],
)
def test_a_runner_gets_tuned_thresholds_where_it_can_follow(tmp_path, settings, taken, said):
    path = tmp_path / "settings.yaml"
    if settings is not None:
        postprocess.save_settings(path, settings)
    found, sentence = edge_bundle.runner_settings(path)
    assert found == taken and sentence.startswith(said)


def test_arithmetic_is_yolov5n_s(made):
    weights, *_ = made
    millions, gflops = cost.arithmetic(weights, 320, 320)
    # yolov5n fused has 1,867,405 parameters for 80 classes, and for each class fewer 3 x (64 + 128
    # + 256 + 3) fewer.
    assert millions == pytest.approx((1_867_405 - 78 * 3 * 451) / 1e6)
    assert gflops == pytest.approx(
        4.1 / 4, rel=0.03
    )  # yolov5's own summary of one class says 4.1 at 640 px
    assert cost.arithmetic(weights, 640, 320)[1] == pytest.approx(2 * gflops, rel=1e-3)


def test_the_bundle_that_was_written_finds_what_the_library_finds(made, tmp_path):
    pytest.importorskip("onnx", reason="the edge extra is not installed")
    pytest.importorskip("onnxruntime", reason="the edge extra is not installed")
    weights, images, photos = made
    settings = Settings(confidence_threshold=0.05)
    model = formats.export(
        weights, tmp_path / "exports", "onnx", image_size=PIXELS, settings=settings
    )
    made_files = pd.DataFrame({"export": ["onnx"], "image_size": [PIXELS], "path": [str(model)]})
    (commands,) = edge_bundle.write_commands(made_files)
    assert commands == model.with_suffix(".tensorrt.sh")
    assert (
        f"trtexec --onnx={model.name} --saveEngine=model_fp16.engine --fp16" in commands.read_text()
    )
    assert f"--maxShapes=images:4x3x{PIXELS}x{PIXELS}" in commands.read_text()
    bundle = edge_bundle.write_bundle(tmp_path, "test", model, PIXELS, settings)
    same, said = edge_bundle.verify(bundle, Photos(images, folder=photos), model, n=2)
    assert same["pairs"] > 0 and same["equal_share"] == 1 and same["largest_difference_px"] < 0.01
    assert "on 2 validation images: 100% of" in said
    shutil.copy(photos / images["member"][0], tmp_path / "photo_000.jpg")
    (tmp_path / "photo_001.jpg").write_bytes(b"no photo")
    with pytest.raises(LivestockError, match="the bundle does not run: "):
        damaged = _damaged(bundle, tmp_path / "damaged.zip")
        edge_bundle.verify(damaged, Photos(images, folder=photos), model, n=1)


@pytest.mark.parametrize(
    ("kind", "passes"), [("onnx", None), ("onnx-static", ("plain", "x1.2-flip"))]
)
def test_the_bundle_lies_unpacked_with_its_page_and_counts_as_tuned(made, tmp_path, kind, passes):
    weights, images, folder = made
    photos = Photos(images, folder=folder)
    photos = photos.with_boxes(
        engine.predict(weights, photos, image_size=PIXELS).drop(columns="confidence")
    )
    model = formats.export(weights, tmp_path, kind, PIXELS)
    looking = Settings(confidence_threshold=0.3, class_agnostic=True, multi_label=False)
    chosen = Settings(confidence_threshold=0.05)
    tuned = dataclasses.replace(looking, passes=passes)
    postprocess.save_settings(tmp_path / "predictions" / "settings.yaml", chosen, tuned)
    asked = exports.ExportSettings(name="barn", pixel_sizes=str(PIXELS))
    made_so = exports.Exports(asked, photos, photos, tmp_path, weights, 0.0, TrainSettings())
    row = {"export": kind, "image_size": PIXELS, "path": str(model), "size_mb": 7.0, "red": False}
    measured = pd.DataFrame([row]).assign(latency_ms=float("nan"))
    vars(made_so).update(measured=measured, recommended=(row, ""))
    path, share, sentence = made_so.bundle
    unpacked = path.parent / "edge_barn"
    assert share == 1 and "](../dist/edge_barn/web/index.html)" in sentence
    assert (unpacked / "web" / "index.html").is_file()
    about = json.loads((unpacked / "model.json").read_text())
    assert (about["settings"], about["looking"]) == (chosen.to_dict(), looking.to_dict())
    told = (unpacked / "MODEL_CARD.md").read_text()
    assert "# Model card: edge_barn" in told and "| all | " in told and about["weights"] in told


def _damaged(bundle, target):
    import zipfile

    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, b"no model" if name.endswith(".onnx") else source.read(name))
    return target


def test_pairs_are_assigned_within_each_image_whatever_the_order_of_rows():
    random = np.random.default_rng(0)
    corners = random.uniform(0, 400, (60, 2))
    table = pd.DataFrame(
        np.hstack([corners, corners + 100]), columns=["x_min", "y_min", "x_max", "y_max"]
    )
    table = table.assign(image_id=[f"i{n % 7}" for n in range(60)], species="cow", confidence=0.5)
    shuffled = table.sample(frac=1, random_state=1)
    assert parity.same_detections(table, shuffled) == {
        "pairs": 60,
        "largest_difference_px": 0.0,
        "equal_share": 1.0,
    }
