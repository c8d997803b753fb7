"""The page of a bundle: the same boxes as the runner's, and what it says when something is
wrong."""

import base64
import json
import re
import shutil
import struct
import subprocess
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from threading import Thread

import cv2
import in_chromium
import numpy as np
import pytest
from in_chromium import CHROMIUM
from made_candidates import RESCORER
from made_network import write_network, write_photos

from livestock_utils.assets import edge_runner
from livestock_utils.core.project import PACKAGE
from livestock_utils.detect.export import bundle as edge_bundle
from livestock_utils.detect.export import formats
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

pytest.importorskip("onnx", reason="the edge extra is not installed")
pytest.importorskip("onnxruntime", reason="the edge extra is not installed")

browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
WEB = PACKAGE / "assets" / "web"
PIXELS = 96


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """An unpacked bundle of a made network, without the page's runtime."""
    folder = tmp_path_factory.mktemp("page")
    model = formats.export(write_network(folder / "best.pt"), folder, "onnx", image_size=PIXELS)
    settings = Settings(confidence_threshold=0.05, voting_iou=0.7)
    path = edge_bundle.write_bundle(folder, "page", model, PIXELS, settings)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder / "edge_page"


@pytest.fixture(scope="module")
def with_runtime(unpacked, tmp_path_factory):
    """... with the runtime, by the command that the README names."""
    folder = tmp_path_factory.mktemp("runtime") / "edge_page"
    shutil.copytree(unpacked, folder)
    try:
        edge_runner.web_runtime(folder)
    except edge_runner.Problem as problem:
        pytest.skip(f"no onnxruntime-web in reach: {problem}")
    return folder


CASES = [
    Settings(),
    Settings(confidence_threshold=0.3, iou_threshold=0.5, max_detections=7),
    Settings(confidence_threshold={"pig": 0.2, "cow": 0.4}, iou_threshold={"pig": 0.5, "cow": 0.7}),
    Settings(multi_label=False),
    Settings(class_agnostic=True, confidence_threshold=0.05),
    Settings("soft_nms_linear", confidence_threshold=0.05),
    Settings("soft_nms_gaussian", sigma=0.3, confidence_threshold={"pig": 0.1, "cow": 0.05}),
    Settings(
        "soft_nms_linear",
        class_agnostic=True,
        confidence_threshold={"pig": 0.4, "cow": 0.05},
        max_detections=20,
    ),
    Settings(confidence_threshold=0.05, voting_iou=0.7),
    Settings("diou_nms", voting_iou=0.5, voting_weight="confidence", confidence_threshold=0.05),
    Settings(confidence_threshold=0.05, voting_iou=0.7, rescorer=RESCORER),
    Settings("soft_nms_linear", max_detections=30, rescorer=RESCORER),
    Settings("soft_nms_linear", confidence_threshold=0.05, voting_iou=0.6),
    Settings("diou_nms", confidence_threshold=0.05, iou_threshold=0.5),
    Settings("diou_nms", voting_iou=0.5, voting_weight="confidence", class_agnostic=True),
]
KNOWN = set(
    "method iou_threshold confidence_threshold max_detections class_agnostic multi_label sigma "
    "voting_iou voting_weight passes fusion_confidence fusion_nms rescorer".split()
)
SIZES = ((96, 64), (64, 96), (200, 113), (288, 192), (50, 40), (97, 31))
COMPARE = """
    await new Promise((go) => {
      const script = document.createElement("script");
      script.src = "detect.js"; script.onload = go; document.head.append(script);
    });
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const asked = JSON.parse(await (await fetch("cases.json")).text());
    told.inputs = asked.photos.map(({ rgba, width, height, shape }) => {
      const pixels = bytes(rgba), place = fit(width, height, asked.about.image_size, 32, shape);
      const input = prepare((y) => pixels.subarray(4 * width * y, 4 * width * (y + 1)), place);
      let text = "";
      for (const byte of new Uint8Array(input.buffer)) text += String.fromCharCode(byte);
      return { place, input: btoa(text) };
    });
    told.found = asked.settings.map((settings) => asked.photos.map(({ width, height, raw }) =>
      boxes(new Float32Array(bytes(raw).buffer), fit(width, height, asked.about.image_size, 32),
        { ...asked.about, settings }).map((box) => [...box.xyxy, box.confidence, box.label])));
"""


@browser
def test_the_pages_letterbox_and_suppression_are_the_runners(unpacked, tmp_path):
    model = edge_runner.Model(unpacked)
    photos = []
    write_photos(tmp_path / "photos", SIZES)
    for number in range(len(SIZES)):
        frame = cv2.imread(str(tmp_path / f"photos/photo_{number:03d}.jpg"))
        height, width = frame.shape[:2]
        place = edge_runner.fit(width, height, PIXELS, 32)
        prepared = model.prepare(frame, place).copy()
        photos.append((frame, place, prepared, model.network(prepared)))
    text = base64.b64encode
    about = json.loads((unpacked / "model.json").read_text())
    asked = {
        "about": about,
        "settings": [settings.to_dict() for settings in CASES],
        "photos": [
            {
                "rgba": text(cv2.cvtColor(frame, cv2.COLOR_BGR2RGBA).tobytes()).decode(),
                "raw": text(raw.tobytes()).decode(),
                "width": frame.shape[1],
                "height": frame.shape[0],
                "shape": [],
            }
            for frame, _, _, raw in photos
        ],
    }
    files = {"cases.json": json.dumps(asked).encode()}
    told = in_chromium.run(unpacked, tmp_path, COMPARE, files)
    for (frame, place, prepared, _), seen in zip(photos, told["inputs"], strict=True):
        assert [seen["place"][key] for key in ("frame", "resized", "padded", "corner")] == [
            list(part) for part in place
        ]
        input_ = np.frombuffer(base64.b64decode(seen["input"]), np.float32).reshape(prepared.shape)
        if max(frame.shape) >= PIXELS:
            np.testing.assert_array_equal(input_, prepared)
        else:  # enlarged: OpenCV rounds a few pixels by one level otherwise
            np.testing.assert_allclose(input_, prepared, atol=1.01 / 255)
    for settings, found in zip(CASES, told["found"], strict=True):
        assert set(settings.to_dict()) == KNOWN, "detect.js has to follow a setting that is new"
        detector = edge_runner.Detector({**about, "settings": settings.to_dict()}, None)
        for (_, place, _, raw), rows in zip(photos, found, strict=True):
            expected = detector.boxes(raw, place)
            assert len(expected) > 3
            np.testing.assert_allclose(np.array(rows), expected, atol=2e-4, err_msg=str(settings))


def png_header(width, height):
    """The first bytes of a PNG that promises so many pixels, which nobody has to write."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + bytes(64)
    )


WORKS = """
    await until(() => state.ready, "ready");
    document.getElementById("test").click();
    await until(() => said().startsWith("Test image"), "the test image");
    told.test = said();
    drop(await file("large.jpg"));
    await until(() => state.found && state.frame[0] === 5000, "the large photo");
    document.getElementById("confidence").value = 0.05;
    document.getElementById("confidence").dispatchEvent(new Event("input"));
    const before = state.found;
    await until(() => state.found !== before, "more boxes");
    told.large = state.found.map((box) => [...box.xyxy, box.confidence, box.label]);
    told.counts = document.getElementById("counts").textContent;
    told.drawn = [of("over").width > 0, of("photo").hidden];
    document.getElementById("confidence").value = 0.6;
    document.getElementById("confidence").dispatchEvent(new Event("input"));
    await until(() => state.found.length < told.large.length, "fewer boxes");
    told.surer = state.found.map((box) => box.confidence);
    told.times = document.getElementById("times").textContent;
    for (const name of ["text.jpg", "empty.jpg", "a.heic", "huge.png"]) {
      const key = name;
      drop(await file(name));
      await until(() => said() && said() !== fill("looking"), key);
      told[key] = [said(), document.getElementById("over").hidden];
      say("");
    }
    document.getElementById("language").click();
    told.korean = [document.documentElement.lang, document.title];
    document.getElementById("test").click();
    await until(() => said().startsWith("시험 사진"), "in Korean");
    told.threads = crossOriginIsolated;
    fetch("https://example.com/").catch(() => {});
    await until(() => told.refused, "a request to another machine");
"""


@browser
@pytest.mark.slow
def test_a_photo_a_slider_and_files_that_are_no_photos(with_runtime, tmp_path):
    write_photos(tmp_path, ((5000, 3750),))
    large = (tmp_path / "photo_000.jpg").read_bytes()
    files = {
        "large.jpg": large,
        "text.jpg": b"no image at all",
        "empty.jpg": b"",
        "a.heic": b"\x00\x00\x00\x18ftypheic" + bytes(64),
        "huge.png": png_header(20_000, 10_000),
    }
    told = in_chromium.run(with_runtime, tmp_path, WORKS, files)
    assert told["test"].startswith(
        "Test image: this browser finds the 20 boxes that it should, faint"
    )
    model = edge_runner.Model(with_runtime)
    model.look()
    model.set_confidence(0.05)
    expected = model.detect(edge_runner.decode(large))
    found = np.array(told["large"])
    assert len(found) == len(expected) > 10
    sure = expected[:, 4] > 0.1
    np.testing.assert_allclose(found[sure][:, :4], expected[sure][:, :4], atol=0.5)
    np.testing.assert_array_equal(found[sure][:, 5], expected[sure][:, 5])
    assert told["counts"].count(",") == 1 and told["drawn"] == [True, False]
    assert min(told["surer"]) >= 0.6 and " ms" in told["times"]
    assert told["text.jpg"] == ["This file is not an image that the browser can read.", True]
    assert told["empty.jpg"][0] == "This file is empty."
    assert told["a.heic"][0].startswith("This browser cannot read HEIC photos: save the photo as")
    assert told["huge.png"][0].startswith("This photo has 200 megapixels, at most 128 are read")
    assert told["korean"] == ["ko", "사진 속 가축 찾기"] and told["threads"] is True
    assert told["refused"].startswith("https://example.com")
    assert {path.split("?")[0] for path in told["asked"]} <= {
        *(f"/web/{path.name}" for path in WEB.iterdir()),
        *(f"/web/ort/{name}" for name in edge_runner.RUNTIME_FILES),
        *(f"/web/{name}" for name in (*files, "test.js", "")),
        *(f"/{name}" for name in ("model.json", "model.onnx", "selftest.json", "selftest.png")),
    }


CAMERA = """
    await until(() => state.ready, "ready");
    document.getElementById("camera").click();
    await until(() => %s, "the camera");
    told.said = said();
    const first = state.found;
    if (first) {
      await until(() => state.found !== first, "the next frame");
      told.on = document.getElementById("camera").getAttribute("aria-pressed");
      state.stream.getVideoTracks()[0].onended();
      told.gone = said();
      told.off = document.getElementById("camera").getAttribute("aria-pressed");
    }
"""


@browser
@pytest.mark.slow
def test_the_camera_shows_boxes_and_its_absence_is_said(with_runtime, tmp_path):
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    told = in_chromium.run(with_runtime, tmp_path / "a", CAMERA % "state.found", flags=flags)
    assert (told["said"], told["on"], told["off"]) == ("", "true", "false")
    assert told["gone"] == "The camera is gone: plug it in and start it again."
    absent = in_chromium.run(with_runtime, tmp_path / "b", CAMERA % "said() !== fill('ready')")
    assert absent["said"] == "There is no camera here."


@browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "content", "sentence"),
    [
        ("web/worker.js", b"delete self.WebAssembly;", "This browser has no WebAssembly"),
        ("web/ort/ort.wasm.min.js", None, "run “python run.py web-runtime” in the bundle's folder"),
        ("model.onnx", None, "The model is not in reach: is “python run.py serve” still running?"),
        ("model.onnx", b"damaged", "The model cannot be opened ("),
    ],
)
def test_what_the_page_lacks_is_one_sentence(with_runtime, tmp_path, changed, content, sentence):
    folder = shutil.copytree(with_runtime, tmp_path / "bundle")
    before = (folder / changed).read_bytes()
    (folder / changed).unlink()
    if content is not None:
        (folder / changed).write_bytes(content + before)
    script = "await until(() => said() !== fill('opening'), 'a sentence'); told.said = said();"
    assert sentence in in_chromium.run(folder, tmp_path, script)["said"]


@browser
@pytest.mark.slow
def test_opened_from_disk_the_page_says_to_start_serve(unpacked, tmp_path):
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            f"--user-data-dir={tmp_path}",
            (unpacked / "web" / "index.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert "Start “python run.py serve” in the bundle's folder" in done.stdout


def answer(server, path):
    """Status and headers of a request to a served page."""
    address = f"http://127.0.0.1:{server.server_address[1]}{path}"
    try:
        with urllib.request.urlopen(address, timeout=20) as reply:
            return reply.status, dict(reply.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


def test_only_the_page_is_served_and_only_here(unpacked):
    server = edge_runner.page_server(unpacked, port=0)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert server.server_address[0] == "127.0.0.1"
        for path in ("/", "/web/", "/web/page.js", "/model.json", "/model.onnx", "/selftest.png"):
            status, headers = answer(server, path)
            assert status == 200 and "connect-src 'self'" in headers["Content-Security-Policy"]
        for path in ("/run.py", "/web/../run.py", "/web/%2e%2e/run.py", "/web", "/web/no.js", "//"):
            assert answer(server, path)[0] == (200 if path in ("/web", "//") else 404), path
    finally:
        server.shutdown()
        server.server_close()


def test_a_taken_port_and_no_bundle_are_one_line(unpacked, tmp_path, capsys):
    with edge_runner.page_server(unpacked, port=0) as server:
        port = str(server.server_address[1])
        for arguments, message in (
            (["--model", str(unpacked), "--port", port], f"127.0.0.1:{port} cannot be used"),
            (["--model", str(unpacked), "--port", "70000"], "127.0.0.1:70000 cannot be used"),
            (["--model", str(tmp_path)], "no page here; give the unpacked bundle by --model"),
        ):
            assert edge_runner.main(["serve", *arguments]) == 1
            line = capsys.readouterr().err.strip().splitlines()[-1]
            assert line.startswith("error: ") and message in line


def test_a_runtime_of_another_kind_is_refused(unpacked, tmp_path, capsys):
    (tmp_path / "text.tgz").write_bytes(b"no archive")
    (tmp_path / "ort.js").write_bytes(b"changed")
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as archive:
        for name in edge_runner.RUNTIME_FILES:
            archive.add(tmp_path / "ort.js", f"package/dist/{name}")
    for package, message in (
        ("absent.tgz", "No such file"),
        ("text.tgz", "not onnxruntime-web@"),
        ("other.tgz", "ort.wasm.min.js is not the one of onnxruntime-web@"),
    ):
        arguments = ["web-runtime", str(tmp_path / package), "--model", str(unpacked)]
        assert edge_runner.main(arguments) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line and "fetch https://registry.npmjs.org/onnxruntime-web" in line
    assert not (unpacked / "web" / "ort").exists()


@pytest.mark.parametrize("name", ["index.html", "page.js", "worker.js", "detect.js", "style.css"])
def test_the_page_names_no_other_machine(name):
    text = (WEB / name).read_text(encoding="utf-8")
    assert "http:" not in text and "//cdn" not in text
    assert text.count("https:") == 0


def test_both_languages_say_the_same_things():
    text = (WEB / "page.js").read_text(encoding="utf-8")
    english, korean = text.split("  ko: {")
    keys = [
        re.findall(r'(?:^ +|", |\{ )(\w+): (?=["{])', part.split("const TONES")[0], re.M)
        for part in (english.split("  en: {")[1], korean)
    ]
    assert keys[0] == keys[1][: len(keys[0])] and keys[1][len(keys[0]) :] == ["pig", "cow"]
    used = set(re.findall(r'data-say="(\w+)"', (WEB / "index.html").read_text(encoding="utf-8")))
    assert used <= set(keys[0])


@browser
@pytest.mark.skipif(in_chromium.AXE is None, reason="needs axe-core-python (the dev extra)")
def test_the_page_is_accessible_wide_and_narrow_light_and_dark(unpacked, tmp_path):
    script = """
      await new Promise((go) => {
        const rules = document.createElement("script");
        rules.src = "axe.js"; rules.onload = go; document.head.append(rules);
      });
      told.faults = [];
      for (const theme of ["light", "dark"]) for (const width of [1280, 390]) {
        document.documentElement.dataset.theme = theme;
        document.body.style.width = `${width}px`;
        const found = await axe.run(document, { resultTypes: ["violations"] });
        told.faults.push(...found.violations.map((fault) => `${theme} ${width} ${fault.id}`));
      }
    """
    rules = {"axe.js": in_chromium.AXE.read_bytes()}
    assert in_chromium.run(unpacked, tmp_path, script, rules)["faults"] == []
