"""The predict command on photos, folders and videos: table, drawn images, and what is told."""

import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from made_network import write_network, write_photos

from livestock_utils.assets import edge_runner
from livestock_utils.cli import cli
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import candidates, engine, media, postprocess


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "tiny.pt")


def write_video(path, frames=6, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, (96, 64))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV cannot write {path.suffix}")
    for number in range(frames):
        writer.write(np.full((64, 96, 3), 20 * number, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("make", "ids"),
    [
        (lambda d: write_photos(d) is not None and d, [f"photo_{n:03d}" for n in range(5)]),
        (lambda d: write_photos(d) is not None and d / "photo_001.jpg", ["photo_001"]),
    ],
)
def test_photos_and_folders_are_found(tmp_path, make, ids):
    photos = media.find(make(tmp_path))
    images = photos.images
    assert images["image_id"].tolist() == ids
    with photos.reader() as reader:
        assert all(reader.bytes(row["archive"], row["member"]) for row in images.to_dict("records"))


def test_names_that_differ_by_the_ending_only_keep_it(tmp_path):
    for name in ("a.jpg", "a.png", "b/a.jpg", "c.jpg", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert media.find(tmp_path).images["image_id"].tolist() == ["a.jpg", "a.png", "b/a", "c"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "nowhere", "no such file or folder"),
        (lambda d: d, "no images in this folder"),
        (
            lambda d: (d / "barn.mp4").write_bytes(b"x") and d,
            "no images in this folder .*; give a video by itself",
        ),
        (
            lambda d: (d / "a.txt").write_bytes(b"x") and d / "a.txt",
            r"a.txt: neither an image .* nor a video",
        ),
        (
            lambda d: (d / "b.zip").write_bytes(b"x") and d / "b.zip",
            r"b.zip: neither an image .* nor a video",
        ),
        (
            lambda d: (d / "c.wmv").write_bytes(b"x") and d / "c.wmv",
            r"c.wmv: neither an image .* nor a video",
        ),
    ],
)
def test_sources_without_photos_are_told(tmp_path, make, message):
    with pytest.raises(DatasetError, match=message):
        media.find(make(tmp_path))


def test_the_command_writes_a_table_and_drawn_images(weights, tmp_path):
    images = write_photos(tmp_path / "in")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no image")
    arguments = [
        "predict",
        str(weights),
        str(tmp_path / "in"),
        "--out",
        str(tmp_path / "out"),
        "--image-size",
        "96",
        "--confidence",
        "0.3",
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    looking = dataclasses.replace(postprocess.LOOKING, confidence_threshold=0.3)
    photos = Photos(images, folder=tmp_path / "in")
    expected = engine.predict(weights, photos, image_size=96, settings=looking)
    assert len(table) == len(expected) and (table["confidence"] >= 0.3).all()
    assert f"on {expected['image_id'].nunique()} of 6 images" in result.output
    numbers = pd.read_csv(tmp_path / "out" / "counts.csv").set_index("image_id")
    assert numbers.columns.tolist() == ["pig", "cow"] and numbers.loc["broken"].sum() == 0
    assert numbers["pig"].sum() == (expected["species"] == "pig").sum()
    assert f"{numbers['pig'].sum()} pig" in result.output
    assert "1 images could not be read" in result.output
    status = pd.read_csv(tmp_path / "out" / "images.csv").set_index("image_id")["status"]
    assert status["broken"] == "not a readable image" and (status.drop("broken") == "ok").all()
    drawn = {path.stem for path in (tmp_path / "out" / "drawn").iterdir()}
    assert drawn == set(images["image_id"])
    before = cv2.imread(str(tmp_path / "in" / "photo_000.jpg"))
    after = cv2.imread(str(tmp_path / "out" / "drawn" / "photo_000.jpg"))
    assert after.shape == before.shape and np.abs(after.astype(int) - before).max() > 60


def test_the_command_takes_tuned_settings_and_tells_bad_weights(weights, tmp_path):
    write_photos(tmp_path / "in", sizes=((96, 64),))
    tuned = postprocess.save_settings(
        tmp_path / "s.yaml", postprocess.PostprocessSettings(max_detections=2, method="fusion")
    )
    arguments = [
        "--out",
        str(tmp_path / "out"),
        "--image-size",
        "96",
        "--no-draw",
        "--settings",
        str(tuned),
        "--for",
        "scoring",
    ]
    result = CliRunner().invoke(cli, ["predict", str(weights), str(tmp_path / "in"), *arguments])
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == 2
    assert not (tmp_path / "out" / "drawn").exists()
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    result = CliRunner().invoke(
        cli, ["predict", str(tmp_path / "bad.pt"), str(tmp_path / "in"), *arguments]
    )
    assert (
        result.exit_code == 1
        and result.output.startswith("error: ")
        and result.output.count("\n") == 1
    )


def predict(weights, source, out, *options):
    return CliRunner().invoke(
        cli, ["predict", str(weights), str(source), "--out", str(out), "--no-draw", *options]
    )


def test_people_get_one_box_an_animal_whatever_was_tuned_for_ap(weights, tmp_path, caplog):
    images = write_photos(tmp_path / "in", sizes=((96, 64),))
    photos = Photos(images, folder=tmp_path / "in")
    faint = postprocess.PostprocessSettings(confidence_threshold=0.0005)
    looking = dataclasses.replace(postprocess.LOOKING, iou_threshold=0.3)
    path = postprocess.save_settings(tmp_path / "s.yaml", faint, looking, image_size=96)
    for options, shown in (
        (("--settings", str(path)), looking),
        (("--image-size", "96"), postprocess.LOOKING),
    ):
        predict(weights, tmp_path / "in", tmp_path / "out", *options)
        table = pd.read_csv(tmp_path / "out" / "predictions.csv")
        assert len(table) == len(engine.predict(weights, photos, image_size=96, settings=shown))
    # A file of 0.1.0 knows settings for AP alone.
    old = yaml.safe_load(path.read_text())
    (tmp_path / "old.yaml").write_text(yaml.safe_dump({"settings": old["settings"]}))
    assert postprocess.load_settings(tmp_path / "old.yaml", "looking") == postprocess.LOOKING
    assert postprocess.load_settings(tmp_path / "old.yaml", "one_pass") == faint


def test_weights_say_how_to_look_and_what_they_know(tmp_path, caplog):
    looking = dataclasses.replace(
        postprocess.LOOKING, confidence_threshold={"pig": 0.1, "cow": 0.9}
    )
    notes = {"looking": looking.to_dict(), "image_size": 96, "trained_on": {"drawn": True}}
    weights = write_network(tmp_path / "w.pt", **notes)
    images = write_photos(tmp_path / "in", sizes=((96, 64),))
    boxes, _ = media.predict(weights, tmp_path / "in", tmp_path / "out", draw=False)
    photos = Photos(images, folder=tmp_path / "in")
    pd.testing.assert_frame_equal(boxes, engine.predict(weights, photos, settings=looking))
    assert "these weights know drawn scenes only" in caplog.text


def test_tuned_settings_bring_their_passes_and_image_size(weights, tmp_path):
    images = write_photos(tmp_path / "in", sizes=((96, 64),))
    tuned = postprocess.PostprocessSettings(passes=("plain", "flip"), method="fusion")
    path = postprocess.save_settings(tmp_path / "s.yaml", tuned, image_size=96)
    scoring = "--settings", str(path), "--for", "scoring"
    result = predict(weights, tmp_path / "in", tmp_path / "out", *scoring)
    assert result.exit_code == 0, result.output
    expected = engine.predict(
        weights, Photos(images, folder=tmp_path / "in"), image_size=96, settings=tuned
    )
    assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == len(expected) > 0
    result = predict(
        weights, tmp_path / "in", tmp_path / "out", "--settings", str(path), "--image-size", "64"
    )
    assert (
        result.exit_code == 0 and "was tuned at image size 96, you predict at 64" in result.stderr
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--image-size", "0"), "0 is not in the range x>=32"),
        (("--image-size", "-5"), "-5 is not in the range x>=32"),
        (("--device", "no-such-device"), "error: device 'no-such-device' cannot be used"),
    ],
)
def test_options_that_cannot_be_are_told(weights, tmp_path, options, message):
    write_photos(tmp_path / "in", sizes=((96, 64),))
    result = predict(weights, tmp_path / "in", tmp_path / "out", *options)
    assert result.exit_code != 0 and message in result.output and "Traceback" not in result.output


def test_nothing_readable_is_a_failure(weights, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    result = predict(weights, tmp_path / "broken.jpg", tmp_path / "out", "--image-size", "96")
    assert result.exit_code == 1 and "1 images could not be read" in result.stderr


def test_videos_in_a_folder_are_told_to_be_left_out(tmp_path, caplog):
    write_photos(tmp_path)
    write_video(tmp_path / "barn.avi")
    assert len(media.find(tmp_path)) == 5
    assert "1 videos (first: barn.avi) are left out; give each by itself" in caplog.text


CODECS = {".avi": "MJPG", ".mkv": "MJPG", ".mpeg": "MPG2", ".mpg": "MPG1", ".ts": "MPG2"}
CODECS |= {".m4v": "mp4v", ".mov": "mp4v", ".mp4": "mp4v", ".webm": "VP80"}


def by_edge_runner(path, every):
    return [
        (number, frame)
        for _, number, frame in edge_runner.frames(path, every)
        if isinstance(frame, np.ndarray)
    ]


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize(("n", "every"), [(1, 1), (12, 1), (12, 5), (12, 15)])
def test_the_edge_runner_and_predict_see_the_same_frames_of_a_video(tmp_path, ending, n, every):
    path = write_video(tmp_path / f"barn{ending}", n, CODECS[ending])
    ours, theirs = list(media.video_frames(path, every)), by_edge_runner(path, every)
    assert [number for number, _ in ours] == list(range(0, n, every))
    assert [number for number, _ in theirs] == list(range(0, n, every))
    for (number, frame), (_, other) in zip(ours, theirs, strict=True):
        assert np.array_equal(frame, other)
        assert frame.mean() == pytest.approx(20 * number, abs=6)


def test_both_know_the_same_endings():
    assert sorted(CODECS) == sorted(media.VIDEO_ENDINGS) == sorted(edge_runner.VIDEOS)


class Lying:
    """OpenCV's video whose header promises another number of frames, and that cannot rewind."""

    promised, real = 0.0, cv2.VideoCapture

    def __init__(self, path):
        self.video = Lying.real(path)

    def get(self, what):
        return Lying.promised if what == cv2.CAP_PROP_FRAME_COUNT else self.video.get(what)

    def set(self, *_):
        return False

    def __getattr__(self, name):
        return getattr(self.video, name)


@pytest.mark.parametrize("promised", [-1.0, 0.0, 1.0, 3.0, 6.0, 7.0])
def test_a_wrong_number_of_frames_in_the_header_loses_none(tmp_path, monkeypatch, caplog, promised):
    path = write_video(tmp_path / "barn.avi")
    monkeypatch.setattr(cv2, "VideoCapture", Lying)
    monkeypatch.setattr(Lying, "promised", promised)
    assert [number for number, _ in media.video_frames(path)] == [0, 1, 2, 3, 4, 5]
    assert len(by_edge_runner(path, 1)) == 6 and not caplog.text


def test_a_video_that_ends_early_says_so(tmp_path, monkeypatch, caplog):
    path = write_video(tmp_path / "barn.avi")
    monkeypatch.setattr(cv2, "VideoCapture", Lying)
    monkeypatch.setattr(Lying, "promised", 9.0)
    assert len(list(media.video_frames(path))) == 6
    assert "barn.avi: ends after 6 of 9 pictures: cut short or damaged" in caplog.text
    told = [frame for *_, frame in edge_runner.frames(path)][-1]
    assert str(told) == "ends after 6 of 9 pictures: cut short or damaged"


@pytest.mark.parametrize(
    ("content", "message"), [(b"x", "not a readable video"), (None, "gives no pictures")]
)
def test_videos_without_pictures_are_told(weights, tmp_path, content, message):
    path = tmp_path / "v.avi"
    path.write_bytes(content) if content else write_video(path, 0)
    with pytest.raises(DatasetError, match=message):
        media.predict(weights, path, tmp_path / "out", image_size=96)
    with pytest.raises(edge_runner.Problem, match=message):
        by_edge_runner(path, 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("n", [1, 6])
def test_a_video_is_predicted(weights, tmp_path, monkeypatch, n):
    monkeypatch.setattr(media, "_FRAMES", 4)
    boxes, found = media.predict(
        weights,
        write_video(tmp_path / "barn.mpg", n, "MPG1"),
        tmp_path / "out",
        image_size=96,
        passes=("plain", "flip"),
    )
    ids = [f"barn_{number:06d}" for number in range(n)]
    assert isinstance(found, candidates.Candidates) and not found.unreadable
    assert found.images["image_id"].tolist() == ids
    assert sorted(path.stem for path in (tmp_path / "out" / "drawn").iterdir()) == ids
    written = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert len(written) == len(boxes) and boxes["image_id"].is_monotonic_increasing
    again = postprocess.apply(found, postprocess.LOOKING)
    pd.testing.assert_frame_equal(boxes, again)


def test_frames_are_drawn_as_they_come(weights, tmp_path, monkeypatch):
    """What was seen before a video fails is there."""
    real = media.video_frames

    def broken(path, every):
        yield from list(real(path, every))[:5]
        raise OSError("the drive is gone")

    monkeypatch.setattr(media, "_FRAMES", 2)
    monkeypatch.setattr(media, "video_frames", broken)
    with pytest.raises(OSError, match="the drive is gone"):
        media.predict(weights, write_video(tmp_path / "b.avi"), tmp_path / "out", image_size=96)
    assert len(list((tmp_path / "out" / "drawn").iterdir())) == 4


@pytest.mark.parametrize("inside", ["found", "."])
def test_what_was_drawn_is_not_predicted_the_next_time(weights, tmp_path, inside):
    images = write_photos(tmp_path)
    for _ in range(2):
        predictions, found = media.predict(weights, tmp_path, tmp_path / inside, image_size=96)
        assert found.images["image_id"].tolist() == images["image_id"].tolist()
    written = pd.read_csv(tmp_path / inside / "predictions.csv")
    assert written["confidence"].to_numpy() == pytest.approx(
        predictions["confidence"].to_numpy(), rel=1e-6
    )
    assert (written["x_min"] == written["x_min"].round(3)).all()
