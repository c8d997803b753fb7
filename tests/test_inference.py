"""Prediction end to end on a tiny network: yolov5's own pipeline, shards, resuming, faults, ONNX
Runtime."""

import dataclasses
import zipfile

import numpy as np
import pandas as pd
import pytest
from made_network import write_network, write_photos

from livestock_utils.core import frames
from livestock_utils.core import photos as photos_module
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import CheckpointError, DatasetError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.sample import drawing
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.backends import loading
from livestock_utils.detect.export import parity
from livestock_utils.detect.predict import candidates, engine, postprocess
from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.evaluate.scoring import metrics


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "tiny.pt")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return Photos(write_photos(folder), folder=folder)


def collect(weights, photos, **options):
    return engine.collect_candidates(weights, photos, **{"image_size": 96, **options})


def equal(first: candidates.Candidates, second: candidates.Candidates) -> bool:
    return first.images.equals(second.images) and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in candidates.PER_CANDIDATE
    )


def test_predict_is_collect_and_apply(weights, photos):
    predictions = engine.predict(
        weights, photos, image_size=96, confidence_threshold=0.01, iou_threshold=0.5
    )
    expected = postprocess.apply(
        collect(weights, photos), PostprocessSettings(confidence_threshold=0.01, iou_threshold=0.5)
    )
    pd.testing.assert_frame_equal(predictions, expected)
    assert predictions.columns.tolist() == ["image_id", "species", *XYXY, "confidence"]
    assert len(predictions) > 50
    order = predictions.sort_values(
        ["image_id", "confidence"], ascending=[True, False], kind="stable"
    )
    assert order.index.tolist() == list(range(len(predictions)))


@pytest.mark.parametrize("multi_label", [True, False])
def test_the_boxes_are_those_of_yolov5(weights, photos, multi_label):
    import torch

    images, folder = photos.images, photos.folder
    model = checkpoints.load(weights, device="cpu")
    predictions = engine.predict(
        weights,
        photos,
        image_size=96,
        confidence_threshold=0.01,
        batch_size=1,
        multi_label=multi_label,
    )
    for row in images.to_dict("records"):
        frame = frames.decode((folder / row["member"]).read_bytes())
        with yolov5.yolov5() as y5, torch.no_grad():
            padded, _, _ = y5.augmentations.letterbox(frame, 96, auto=True)
            batch = (
                torch.from_numpy(padded[..., ::-1].transpose(2, 0, 1).copy())[None].float() / 255
            )
            [found] = y5.general.non_max_suppression(
                model(batch)[0], 0.01, 0.6, multi_label=multi_label, max_det=300
            )
            expected = y5.general.scale_boxes(batch.shape[2:], found[:, :4], frame.shape).numpy()
        ours = predictions[predictions["image_id"] == row["image_id"]]
        assert len(ours) == len(expected)
        assert np.sort(ours["confidence"]) == pytest.approx(np.sort(found[:, 4].numpy()), abs=1e-4)
        distance = np.abs(ours[XYXY].to_numpy()[:, None] - expected[None]).max(axis=2)
        assert distance.min(axis=0).max() < 0.6 and distance.min(axis=1).max() < 0.6


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_merge_to_the_same_table_whatever_their_number(weights, photos, tmp_path, count):
    whole = collect(weights, photos, batch_size=2)
    for index in range(count, 0, -1):
        collect(
            weights,
            photos,
            batch_size=2,
            part_images=2,
            parts_folder=tmp_path,
            shard=f"{index}/{count}",
        )
    merged = engine.gather(tmp_path)
    assert equal(merged, whole)
    pd.testing.assert_frame_equal(postprocess.apply(merged), postprocess.apply(whole))


def test_a_stopped_run_goes_on_and_does_nothing_twice(weights, photos, tmp_path):
    read = []

    class Stops(photos_module.FolderReader):
        left = 3

        def bytes(self, archive, member):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            read.append(member)
            return super().bytes(archive, member)

    images, folder = photos.images, photos.folder
    with pytest.raises(KeyboardInterrupt):
        collect(
            weights,
            dataclasses.replace(photos, source=Stops(folder)),
            batch_size=1,
            part_images=1,
            parts_folder=tmp_path,
            workers=1,
        )
    parts = sorted(path.name for path in tmp_path.rglob("*"))
    assert 1 <= len(parts) - 1 < len(images) and all(not name.endswith(".part") for name in parts)
    with pytest.raises(DatasetError, match=r"is missing \(\d such parts\); run the shards"):
        engine.gather(tmp_path)
    done = len(parts) - 1
    read.clear()
    again = Stops(folder)
    again.left = 99
    photos = dataclasses.replace(photos, source=again)
    resumed = collect(weights, photos, batch_size=1, part_images=1, parts_folder=tmp_path)
    assert len(read) == len(images) - done
    photos = Photos(images, folder=folder)
    assert equal(resumed, collect(weights, photos, batch_size=1))


def test_parts_of_other_settings_or_damaged_ones_are_made_again(weights, photos, tmp_path, caplog):
    collect(weights, photos, parts_folder=tmp_path, floor=0.2)
    again = collect(weights, photos, parts_folder=tmp_path)
    assert "made with other settings or images; predicted again" in caplog.text
    assert equal(again, collect(weights, photos))
    [path] = tmp_path.rglob("part-*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert equal(collect(weights, photos, parts_folder=tmp_path), again)


def test_unreadable_images_are_reported_and_stay_empty(weights, photos, tmp_path, caplog):
    images, folder = photos.images, photos.folder
    for name in images["member"]:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / images["member"][0]).write_bytes((folder / images["member"][0]).read_bytes()[:-30])
    (tmp_path / images["member"][2]).unlink()
    found = collect(weights, Photos(images, folder=tmp_path))
    assert found.unreadable == [images["image_id"][0], images["image_id"][2]]
    assert len(found.images) == len(images)
    assert (
        "2 of 5 images could not be read and stay, without detections: photo_000 (truncated image)"
        in caplog.text
    )
    predicted = set(postprocess.apply(found)["image_id"])
    assert predicted == set(images["image_id"]) - set(found.unreadable)


def test_images_come_from_archives_and_sizes_are_those_of_the_file(
    weights, photos, tmp_path, caplog
):
    images, folder = photos.images, photos.folder
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in images["member"]:
            archive.write(folder / name, name)
    lied = images.assign(archive="photos.zip", width_px=[96, 96, 64, 96, 192])
    found = collect(weights, Photos(lied, folder=tmp_path), batch_size=1)
    assert equal(found, collect(weights, photos, batch_size=1))
    assert (
        "1 images have another size than the table says, first photo_004: 96 x 64 instead of 192 x "
        "64" in caplog.text
    )


def test_no_images_give_no_predictions(weights, photos):
    none = photos.select([])
    assert len(engine.predict(weights, none, image_size=96)) == 0


def test_the_cap_keeps_the_most_confident_and_is_reported(weights, photos, caplog):
    everything, capped = collect(weights, photos), collect(weights, photos, cap=10)
    assert (np.bincount(capped.image_index) == 10).all() and capped.capped == 5
    assert "5 of 5 images have more than 10 candidates" in caplog.text
    first = everything.confidence[everything.image_index == 0][:10]
    assert np.array_equal(capped.confidence[capped.image_index == 0], first)


def test_a_mirrored_pass_finds_mirrored_boxes_and_stands_beside_the_plain_one(
    weights, photos, tmp_path
):
    images, folder = photos.images, photos.folder
    both = collect(weights, photos, passes=("plain", "flip", "x1.34"))
    assert both.passes == ("plain", "flip", "x1.34")
    plain = collect(weights, photos)
    assert equal(dataclasses.replace(both.select(both.pass_index == 0), images=plain.images), plain)
    mirrored = write_mirrored(images, folder, tmp_path)
    flipped, direct = (
        both.select(both.pass_index == 1),
        collect(weights, Photos(mirrored, folder=tmp_path)),
    )
    width = images["width_px"].to_numpy()[direct.image_index][:, None]
    assert np.allclose(flipped.confidence, direct.confidence, atol=1e-4)
    assert np.allclose(flipped.xyxy[:, [2, 0]], width - direct.xyxy[:, [0, 2]], atol=0.05)


def write_mirrored(images, folder, target) -> pd.DataFrame:
    import cv2

    for name in images["member"]:
        frame = frames.decode((folder / name).read_bytes())
        cv2.imwrite(str(target / name.replace(".jpg", ".png")), frame[:, ::-1])
    return images.assign(member=images["member"].str.replace(".jpg", ".png"))


def test_like_val_uses_its_letterbox(weights, photos):
    plain, val = collect(weights, photos), collect(weights, photos, like="val")
    assert len(val) > len(plain)  # more padding, more anchors


def test_a_loaded_model_gives_the_same_and_stays_as_it_was(weights, photos):
    model = checkpoints.load(weights, device="cpu").train()
    assert equal(collect(model, photos), collect(weights, photos))
    assert model.training


def test_onnx_runtime_gives_the_same_boxes(weights, photos):
    pytest.importorskip("onnxruntime", reason="the edge extra is not installed")
    options = {"image_size": 96, "confidence_threshold": 0.01}
    ours = engine.predict(weights, photos, **options)
    onnx = engine.predict(weights, photos, backend="onnx", **options)
    assert len(ours) == len(onnx)
    assert np.abs(np.sort(ours["confidence"]) - np.sort(onnx["confidence"])).max() < 1e-3
    near = []
    for key, group in ours.groupby(["image_id", "species"]):
        other = onnx[(onnx["image_id"] == key[0]) & (onnx["species"] == key[1])]
        near += (
            np.abs(group[XYXY].to_numpy()[:, None] - other[XYXY].to_numpy()[None])
            .max(axis=2)
            .min(axis=1)
            .tolist()
        )
    assert np.mean(np.array(near) < 0.1) >= 0.999
    exported = weights.with_suffix(".onnx")
    before = exported.stat().st_mtime_ns
    again = engine.predict(exported, photos, **options)
    pd.testing.assert_frame_equal(again, onnx)
    assert exported.stat().st_mtime_ns == before


def test_onnx_runtime_gives_the_same_score(tmp_path):
    pytest.importorskip("onnxruntime", reason="the edge extra is not installed")
    folder = (
        drawing.write_sample(tmp_path / "sample", n_images=12, n_test_images=0, scale=0.25) / "data"
    )
    photos = data_folder.read_archives(folder)
    images, boxes = photos.images, photos.boxes
    weights = tmp_path / "w.pt"
    weights.write_bytes(checkpoints.find_weights("yolov5n_sample.pt").read_bytes())
    scores, found = {}, {}
    for backend in ("torch", "onnx"):
        found[backend] = engine.predict(weights, photos, image_size=320, backend=backend)
        scores[backend] = metrics.per_class_table(boxes, found[backend], images)["mAP75"]
    assert scores["torch"]["all"] > 0.1, "a score of nothing would tell nothing"
    assert scores["onnx"].to_numpy() == pytest.approx(scores["torch"].to_numpy(), abs=1e-3)
    same = parity.same_detections(found["torch"], found["onnx"], 0.001)
    assert same["equal_share"] >= 0.999


def test_an_onnx_file_of_other_weights_is_exported_anew(weights, photos, tmp_path):
    onnx_backend = pytest.importorskip("livestock_utils.detect.backends.onnx")
    pytest.importorskip("onnxruntime", reason="the edge extra is not installed")
    (tmp_path / "w.pt").write_bytes(weights.read_bytes())
    onnx_backend.export(write_network(tmp_path / "other.pt", seed=1), tmp_path / "w.onnx")
    assert equal(
        collect(tmp_path / "w.pt", photos, backend="onnx"), collect(weights, photos, backend="onnx")
    )
    fixed = onnx_backend.export(weights, tmp_path / "fixed.onnx", shape=(4, 64, 96))
    with pytest.raises(LivestockError, match="export it without a fixed shape"):
        collect(fixed, photos)
    (tmp_path / "w.onnx").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged or not an ONNX file"):
        collect(tmp_path / "w.onnx", photos)


def test_weights_of_other_classes_are_refused_unless_asked_for(photos, tmp_path):
    other = write_network(tmp_path / "coco.pt", names=("sheep", "horse", "cow"))
    with pytest.raises(CheckpointError, match=r"classes \['sheep', 'horse', 'cow'\]"):
        collect(other, photos)
    found = collect(other, photos, any_classes=True)
    assert set(postprocess.apply(found)["species"]) <= {"sheep", "horse", "cow"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": "3/2"}, "shard must read i/n with 1 <= i <= n, such as 2/8, got '3/2'"),
        ({"shard": "0/2"}, "shard must read i/n"),
        ({"shard": "two"}, "shard must read i/n"),
        ({"passes": ("upside-down",)}, "pass must be 'plain', 'flip', or a scale"),
        ({"passes": ("x9",)}, "pass must be 'plain', 'flip', or a scale"),
        ({"passes": ("plain", "plain")}, "one of them was given twice"),
        ({"image_size": 31}, "image_size must be at least 32 px, got 31"),
        ({"image_size": -5}, "image_size must be at least 32 px, got -5"),
        ({"floor": 2}, r"floor must lie in \[0, 1\]"),
        ({"like": "train"}, "like be 'detect' or 'val'"),
        ({"backend": "caffe"}, "backend must be one of"),
        ({"half": True, "device": "cpu"}, "half precision needs a GPU"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_told(weights, photos, options, message):
    with pytest.raises(LivestockError, match=message):
        collect(weights, photos, **options)


def test_a_repeated_image_or_an_unnamed_model_with_parts_is_refused(weights, photos, tmp_path):
    images, folder = photos.images, photos.folder
    with pytest.raises(DatasetError, match="image 'photo_000' is in the table twice"):
        collect(weights, Photos(pd.concat([images, images]), folder=folder))
    with pytest.raises(LivestockError, match="part files need the path of the weights"):
        collect(checkpoints.load(weights, device="cpu"), photos, parts_folder=tmp_path)
    with pytest.raises(DatasetError, match="no part files; predict at least one shard first"):
        engine.gather(tmp_path)


def copied(images, folder, target):
    target.mkdir(exist_ok=True)
    for name in images["member"]:
        (target / name).write_bytes((folder / name).read_bytes())
    return target


def test_other_photos_under_the_same_ids_are_predicted_anew(weights, photos, tmp_path, caplog):
    images, folder = photos.images, photos.folder
    place = copied(images, folder, tmp_path / "photos")
    first = collect(weights, Photos(images, folder=place), parts_folder=tmp_path / "parts")
    names = images["member"].tolist()
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        (place / name).write_bytes((folder / other).read_bytes())
    second = collect(weights, Photos(images, folder=place), parts_folder=tmp_path / "parts")
    assert "made with other settings or images; predicted again" in caplog.text
    assert not equal(first, second) and equal(
        second, collect(weights, Photos(images, folder=place))
    )


def test_sessions_of_unlike_batch_sizes_share_the_work(weights, photos, tmp_path):
    whole = collect(weights, photos)
    for index, batch_size in ((1, 2), (2, 4), (3, 1)):
        collect(
            weights,
            photos,
            batch_size=batch_size,
            part_images=2,
            parts_folder=tmp_path,
            shard=f"{index}/3",
        )
    merged = engine.gather(tmp_path)
    assert merged.images.equals(whole.images) and len(merged) == len(whole)
    # Column by column: candidates that are level but for rounding may change places.
    assert np.sort(merged.xyxy, axis=0) == pytest.approx(np.sort(whole.xyxy, axis=0), abs=0.05)


def test_finished_parts_of_another_size_are_not_deleted(weights, photos, tmp_path):
    collect(weights, photos, part_images=1, parts_folder=tmp_path)
    before = sorted(tmp_path.rglob("*.npz"))
    with pytest.raises(
        LivestockError, match="is of the same images in parts of another size: give the part_images"
    ):
        collect(weights, photos, part_images=2, parts_folder=tmp_path)
    assert sorted(tmp_path.rglob("*.npz")) == before
    images, folder = photos.images, photos.folder
    fewer = collect(
        weights, Photos(images[:2], folder=folder), part_images=1, parts_folder=tmp_path
    )
    assert len(list(tmp_path.rglob("*.npz"))) == len(fewer.images) == 2, (
        "parts of other images are not cleared"
    )


@pytest.mark.parametrize(
    "options", [{"half": True}, {"device": "cuda"}, {"half": True, "device": "cuda:0"}]
)
def test_an_exported_network_is_never_silently_float32_on_the_cpu(weights, options):
    with pytest.raises(
        LivestockError, match="exported networks run in float32 on the CPU, got half="
    ):
        loading.open_backend(weights, backend="onnx", **options)


def test_weights_know_the_size_they_were_trained_with(tmp_path, caplog):
    photos = Photos(write_photos(tmp_path), pd.DataFrame(columns=["image_id"]), tmp_path)
    silent, knowing = write_network(tmp_path / "silent.pt"), tmp_path / "knowing.pt"
    checkpoints.write_weights(knowing, checkpoints.load(silent, fuse=False), image_size=96)
    for weights, asked, used, told in (
        (silent, None, 640, "the weights do not say their image size: 640 px are used"),
        (knowing, None, 96, ""),
        (knowing, 96, 96, ""),
        (knowing, 64, 64, "the network was trained at 96 px and predicts at 64 px"),
    ):
        caplog.clear()
        found = engine.collect_candidates(weights, photos, image_size=asked)
        assert found.made_with["image_size"] == used
        said = any(word in caplog.text for word in ("image size", "was trained at"))
        assert said == bool(told) and told in caplog.text
