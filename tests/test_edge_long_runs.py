"""The runner over days: cameras that go and come back, watched folders, counts, tracks, memory."""

import json
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_network import write_network, write_photos

from livestock_utils.assets import edge_runner
from livestock_utils.detect.export import bundle as edge_bundle
from livestock_utils.detect.export import formats
from livestock_utils.detect.predict.postprocess import LOOKING
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

pytest.importorskip("onnx", reason="the edge extra is not installed")
pytest.importorskip("onnxruntime", reason="the edge extra is not installed")

PIXELS = 96


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An unpacked bundle of a made network, and a folder of photos."""
    folder = tmp_path_factory.mktemp("long")
    model = formats.export(write_network(folder / "best.pt"), folder, "onnx", image_size=PIXELS)
    path = edge_bundle.write_bundle(folder, "long", model, PIXELS, Settings())
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    write_photos(folder / "photos")
    return folder / "edge_long", folder / "photos"


class Camera:
    """Stands for OpenCV's: the first `plan[n]` pictures of its n-th opening, then nothing."""

    def __init__(self, plan, picture):
        self.plan, self.picture, self.left = list(plan), picture, 0

    def __call__(self, source):
        self.left = self.plan.pop(0) if self.plan else 0
        return self

    def isOpened(self):
        return True

    def get(self, _):
        return 0

    def read(self):
        self.left -= 1
        return self.left >= 0, self.picture.copy()

    def release(self):
        pass


def run(made, *arguments):
    return edge_runner.main([*map(str, arguments), "--model", str(made[0])])


def test_a_camera_that_goes_is_opened_again(made, tmp_path, monkeypatch, capsys):
    camera = Camera([0, 0, 1, 0, 10**9], cv2.imread(str(made[1] / "photo_000.jpg")))
    monkeypatch.setattr(edge_runner.cv2, "VideoCapture", camera)
    out = tmp_path / "boxes.jsonl"
    out.write_text('{"image": "of an earlier run"}\n')
    address = "rtsp://user:secret@barn/1"
    assert run(made, address, "--reconnect", 0.001, "--limit", 5, "--out", out) == 0
    told = capsys.readouterr().err
    assert "stream: not there, trying again every 0.001 s" in told and "secret" not in told
    assert "stream: back" in told
    earlier, *lines = map(json.loads, out.read_text().splitlines())
    assert earlier == {"image": "of an earlier run"} and len(lines) == 5
    assert [line["image"] for line in lines] == ["stream"] * 5
    numbers = [line["frame"] for line in lines]
    assert numbers == sorted(set(numbers)) and re.match(r"\d{4}-\d\d-\d\dT", lines[0]["time"])


def test_the_password_of_an_address_is_told_nowhere(made, tmp_path, monkeypatch, capsys):
    picture = cv2.imread(str(made[1] / "photo_000.jpg"))
    address, counts, out = "rtsp://user:se@c/ret:1@barn", tmp_path / "c.csv", tmp_path / "o.jsonl"
    monkeypatch.setenv("LIVESTOCK_SOURCE", address)
    monkeypatch.setattr(edge_runner.cv2, "VideoCapture", Camera([2], picture))
    assert run(made, "--counts", counts, "--out", out, "--draw", tmp_path / "seen") == 1  # it ends
    monkeypatch.setattr(edge_runner.cv2, "VideoCapture", Camera([0, 1, 10**9], picture))
    asked = ("--reconnect", 0.001, "--limit", 2, "--counts", tmp_path / "d.csv", "--health", 0.001)
    assert run(made, *asked) == 0
    assert run(made, address.replace("//", "/")) == 1
    with pytest.raises(SystemExit):
        run(made, 0, address)
    told = capsys.readouterr()
    assert "error: ***barn: not found" in told.err and "arguments: ***barn" in told.err
    written = [path.read_text() for path in (counts, tmp_path / "d.csv", out)]
    assert all(",stream,pig," in text for text in written[:2])
    names = [str(path) for path in tmp_path.rglob("*")]
    assert not any("ret" in text for text in (told.err, told.out, *written, *names))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["a.jpg", "--reconnect", "1"], 1, "a.jpg: --reconnect needs a camera number or an addr"),
        (["absent", "--watch", "1"], 1, "absent: --watch needs a folder"),
        (
            ["{}", "--watch", "1", "--out", "x.json"],
            1,
            "x.json: JSON ends with its source; take .j",
        ),
        (["{}", "--labels", "absent.csv"], 1, "--labels absent.csv: expected a CSV with image, fr"),
        (["{}", "--labels", "{}/bad.csv"], 1, "species, one of pig, cow ('goat' is not in list)"),
        (["0", "--watch", "1", "--reconnect", "1"], 2, "--watch is for a folder, --reconnect for"),
        (["0", "--health", "0"], 2, "--health must be above 0, got 0"),
        (["0", "--reconnect", "-1"], 2, "--reconnect must be above 0, got -1"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    made, tmp_path, monkeypatch, capsys, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("image,frame,species\na.jpg,0,goat\n")
    given = [argument.format(tmp_path) for argument in arguments]
    if code == 2:
        with pytest.raises(SystemExit) as ended:
            run(made, *given)
        assert ended.value.code == 2
    else:
        assert run(made, *given) == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv"]


def test_a_watched_folder_gives_each_photo_once_and_whole(made, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    data = (made[1] / "photo_000.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(data)
    (folder / "notes.txt").write_text("no photo")
    pictures = edge_runner.watched(folder, 0.02)
    name, number, frame = next(pictures)
    assert (name, number, frame.shape) == ("a.jpg", 0, (64, 96, 3))
    (folder / "b.jpg").write_bytes(data[:100])
    (folder / "c.heic").write_bytes(data)
    (folder / "b.jpg").write_bytes(data)
    assert [next(pictures)[0] for _ in range(2)] == ["b.jpg", "c.heic"]
    (folder / "a.jpg").write_bytes(data + b"newer")
    assert next(pictures)[0] == "a.jpg"


def test_a_service_that_is_stopped_has_whole_files(made, tmp_path):
    arguments = [
        "run.py",
        made[1],
        "--watch",
        "0.05",
        "--health",
        "0.05",
        "--out",
        tmp_path / "o.csv",
    ]
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=made[0], stderr=subprocess.PIPE, text=True
    )
    lines = iter(process.stderr.readline, "")
    next(line for line in lines if re.search(r"health: (?!0\.0)[\d.]+ frames/s", line))
    out = tmp_path / "o.csv"
    next(line for line in lines if "photo_004" in out.read_text())
    health = next(line for line in lines if "health: 0.0 frames/s" in line)  # all were seen
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(20) == 0 and "ended by Ctrl-C\n" in rest
    assert re.search(r"last frame [\d.]+ s ago.* peak memory \d+ MB, 0 could not be used", health)
    table = pd.read_csv(out)
    assert table["image"].nunique() == 5 and not (tmp_path / "o.csv.part").exists()


def test_the_hottest_sensor_is_told(tmp_path):
    assert edge_runner.temperature(tmp_path) is None
    for number, text in enumerate(["41500", "63000", "-274000", "none"]):
        (tmp_path / f"thermal_zone{number}").mkdir()
        (tmp_path / f"thermal_zone{number}" / "temp").write_text(text)
    assert edge_runner.temperature(tmp_path) == 63.0


@pytest.mark.parametrize("n", [0, 1, 4])
def test_pictures_read_ahead_are_the_same_in_their_order(n):
    ended = []

    def source():
        try:
            yield from range(n)
            raise edge_runner.Problem("cut short")
        finally:
            ended.append(True)

    given = edge_runner.ahead(source())
    assert [next(given) for _ in range(n)] == list(range(n))
    with pytest.raises(edge_runner.Problem, match="cut short"):
        next(given)
    left = edge_runner.ahead(source())
    if n:
        assert next(left) == 0
        left.close()  # the one that was read ahead is let go
        assert len(ended) == 2


@pytest.mark.parametrize("n", [0, 1, 3])
def test_json_that_is_written_as_it_comes_is_the_json_of_the_whole(tmp_path, n):
    output = edge_runner.Output(tmp_path / "o.json")
    frame, found = np.zeros((4, 6, 3), np.uint8), np.array([[0, 1, 2, 3, 0.5, 1.0]])
    for number in range(n):
        output.add("ü.jpg", number, frame, found[: number % 2], ["pig", "cow"])
    output.close(True)
    text = (tmp_path / "o.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1) and len(json.loads(text)) == n


def film(made, folder, n, rate=1):
    """A video of `n` pictures of one photo, `rate` a second."""
    path = folder / "film.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (96, 64))
    if not video.isOpened():
        pytest.skip("this OpenCV cannot write videos")
    for _ in range(n):
        video.write(cv2.imread(str(made[1] / "photo_001.jpg")))
    video.release()
    return path


def test_animals_that_stand_still_are_counted_once_by_the_minute(made, tmp_path, capsys):
    path, out = film(made, tmp_path, 70), tmp_path / "o.jsonl"
    arguments = [path, "--track", "--counts", tmp_path / "counts.csv", "--out", out]
    assert run(made, *arguments) == 0
    frames = [json.loads(line) for line in out.read_text().splitlines()]
    boxes = [(box["species"], box["track"]) for box in frames[0]["boxes"]]
    assert len(frames) == 70 and len(boxes) > 3 and "time" not in frames[0]
    for frame in frames:
        assert [(box["species"], box["track"]) for box in frame["boxes"]] == boxes
    counts = pd.read_csv(tmp_path / "counts.csv", dtype={"minute": str})
    assert counts["minute"].tolist() == ["00:00"] * 2 + ["00:01"] * 2
    assert counts["frames"].tolist() == [60, 60, 10, 10]
    expected, animals = (
        pd.Series([species for species, track in boxes if track >= least]).value_counts()
        for least in (0, 1)  # the made network also gives boxes without area, which are no animals
    )
    assert len(boxes) > animals.sum() > 3
    for row in counts.to_dict("records"):
        number, mine = expected.get(row["species"], 0), animals.get(row["species"], 0)
        assert (row["median"], row["most"], row["animals"]) == (number, number, mine)
    # the same counts against labels that say one pig more in the first frame
    labels = pd.DataFrame([("film.avi", 0, species) for species, _ in boxes])
    labels.loc[len(labels)] = ("film.avi", 0, "pig")
    labels.columns = ["image", "frame", "species"]
    labels.to_csv(tmp_path / "labels.csv", index=False)
    capsys.readouterr()
    assert run(made, path, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "o.csv") == 0
    told = capsys.readouterr().err
    assert "pig: 1 labelled frames" in told and "off by 1.00 (mean -1.00), exact in 0%" in told
    assert "off by 0.00 (mean +0.00), exact in 100%" in told


def test_looking_settings_are_the_librarys(made):
    model = edge_runner.Model(made[0])
    model.look()
    assert model.settings == LOOKING.to_dict()
    assert edge_runner.LOOKING.items() <= LOOKING.to_dict().items()
    del model.about["looking"]
    model.look()
    assert {**model.settings} == LOOKING.to_dict()


def rows(*boxes):
    """Rows as the detector gives them: x_min, y_min, confidence, class, of boxes of 20 x 20 px."""
    return np.array([(x, y, x + 20, y + 20, c, k) for x, y, c, k in boxes]).reshape(-1, 6)


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [
        ([[]], [[]]),
        ([[(0, 0, 0.9, 0)], [], [(2, 0, 0.9, 0)]], [[1], [], [1]]),  # away for a moment
        ([[(0, 0, 0.9, 0)], [(0, 0, 0.9, 1)]], [[1], [2]]),  # another species is another animal
        ([[(0, 0, 0.9, 0)], [(40, 0, 0.9, 0)]], [[1], [2]]),
        ([[(0, 0, 0.9, 0)], [(1, 0, 0.2, 0)]], [[1], [1]]),  # a doubtful box goes on with a track
        ([[(0, 0, 0.2, 0)], [(0, 0, 0.9, 0)]], [[0], [1]]),  # and begins none
        (  # a sure one goes before a doubtful one that is nearer
            [[(0, 0, 0.9, 0)], [(0, 0, 0.2, 0), (4, 0, 0.8, 0)]],
            [[1], [0, 1]],
        ),
        (  # two that pass each other keep their numbers
            [[(0, 0, 0.9, 0), (25, 0, 0.8, 0)], [(5, 0, 0.7, 0), (20, 0, 0.8, 0)]],
            [[1, 2], [1, 2]],
        ),
    ],
)
def test_a_track_goes_on_where_boxes_overlap_most(frames, numbers):
    tracker = edge_runner.Tracker()
    for boxes, expected in zip(frames, numbers, strict=True):
        found = rows(*boxes)
        assert tracker.follow(found, found[:, 4] >= 0.4).tolist() == expected


def pen(seed, n=12, n_frames=300):
    """Detections of a pen: half of the animals stand, half walk; boxes shake, one in twenty is
    missed, and now and then there is one where nothing is."""
    rng = np.random.default_rng(seed)
    place = np.array([(x * 80, y * 80) for x in range(4) for y in range(n // 4)], dtype=float)
    speed = np.where(np.arange(n)[:, None] % 2, rng.normal(0, 0.15, (n, 2)), 0)
    for _ in range(n_frames):
        place = place + speed
        boxes = np.hstack([place, place + 60]) + rng.normal(0, 2, (n, 4))
        found = np.column_stack([boxes, rng.uniform(0.5, 0.95, n), np.zeros(n)])
        found = found[rng.random(n) > 0.05]
        if rng.random() < 0.05:
            corner = rng.uniform(0, 260, 2)
            found = np.vstack([found, [*corner, *corner + 30, 0.5, 0]])
        yield found


@pytest.mark.parametrize("seed", range(3))
def test_a_pen_is_counted_as_what_it_holds(seed):
    tracker, animals, begun = edge_runner.Tracker(), set(), 0
    for found in pen(seed):
        tracker.follow(found, found[:, 4] >= 0.4)
        animals |= set(tracker.animals())
        begun = max(begun, tracker.begun)
    assert abs(len(animals) - 12) <= 1 and begun > 12  # what is seen for a moment is no animal


@pytest.mark.slow
def test_memory_does_not_grow_over_ten_thousand_frames(made, tmp_path):
    """A camera with all that a service writes, in a process of its own, which tells its memory."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import threading
import numpy as np
import run as edge_runner
from pathlib import Path

def memory():
    text = Path("/proc/self/status").read_text()
    return int(next(l for l in text.splitlines() if l.startswith("VmRSS")).split()[1]) / 1e3

rng, seen = np.random.default_rng(0), []
pictures = [rng.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(20)]

class Camera:
    n, due = 0, threading.Semaphore(2)
    def __init__(self, source): pass
    def read(self):  # as fast as the network looks
        Camera.n += 1
        if Camera.n % 3000 == 0:
            return False, None
        Camera.due.acquire(timeout=5)
        return True, pictures[Camera.n % 20].copy()
    def release(self): pass

edge_runner.cv2.VideoCapture = Camera
detect = edge_runner.Model.detect
def watched(self, frame):
    seen.append(memory() if len(seen) % 500 == 0 else None)
    Camera.due.release()
    return detect(self, frame)
edge_runner.Model.detect = watched
code = edge_runner.main(["0", "--reconnect", "0.001", "--track", "--counts", "counts.csv",
    "--out", "boxes.jsonl", "--limit", "10000", "--health", "5", "--threads", "1",
    "--confidence", "0.9"])
print(code, len(seen), *[round(m, 1) for m in seen if m])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=made[0],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    code, frames, *memory = done.stdout.split()
    assert (code, frames) == ("0", "10000")
    settled, last = float(memory[2]), float(memory[-1])
    assert last < settled + 10, memory
    assert len((made[0] / "boxes.jsonl").read_text().splitlines()) == 10_000
    print(f"MB after 1,000 frames {settled:.0f}, after 9,500 {last:.0f}")
