"""Weights files: read without running them, refused by name, rebuilt exactly."""

import collections
import os
import pickle
import random
import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch

from livestock_utils.core.errors import CheckpointError
from livestock_utils.detect import checkpoints, yolov5

SHARED = Path(os.environ.get("LIVESTOCK_SHARED", "absent"))


@pytest.fixture(scope="module")
def model():
    with yolov5.yolov5() as y5:
        torch.manual_seed(0)
        made = y5.yolo.Model(y5.model_file("yolov5n"), ch=3, nc=2)
    made.names = {0: "pig", 1: "cow"}
    for module in made.modules():  # batch norms that do something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return made.eval()


@pytest.fixture
def file(model, tmp_path):
    return checkpoints.write_weights(tmp_path / "weights.pt", model, epoch=3)


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def test_a_model_comes_back_in_fp16_precision(model, file):
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    loaded = checkpoints.load(file, device="cpu", fuse=False)
    fused = checkpoints.load(file, device="cpu")
    with torch.no_grad():
        expected = model.half().float()(image)[0]
        assert loaded(image)[0].shape == (1, 3 * (8 * 12 + 4 * 6 + 2 * 3), 7)
        torch.testing.assert_close(loaded(image)[0], expected)
        torch.testing.assert_close(fused(image)[0], expected, rtol=1e-3, atol=1e-2)
    assert loaded.names == {0: "pig", 1: "cow"}
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    weights = checkpoints.read_weights(file)
    assert weights.names == ("pig", "cow")


def test_old_names_of_the_classes_are_read(model, tmp_path, monkeypatch):
    """Files of the original repository say `models.yolo.DetectionModel`, without the package."""
    with monkeypatch.context() as patch:
        for name in ("models", "models.yolo", "models.common"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        layers = {
            type(module)
            for module in model.modules()
            if type(module).__module__.startswith("yolov5.")
        }
        for layer in layers:
            old = layer.__module__.removeprefix("yolov5.")
            patch.setattr(sys.modules[old], layer.__name__, layer, raising=False)
            patch.setattr(layer, "__module__", old)
        torch.save({"model": model, "epoch": -1}, tmp_path / "old.pt")
    content = (tmp_path / "old.pt").read_bytes()  # the pickle names classes as "cmodule\\nname"
    assert b"cmodels.yolo\nDetectionModel\n" in content and b"cyolov5.models" not in content
    assert checkpoints.read_weights(tmp_path / "old.pt").names == ("pig", "cow")
    assert checkpoints.load_checkpoint(tmp_path / "old.pt", trust=True)["epoch"] == -1


@pytest.mark.skipif(
    not (SHARED / "weights" / "yolov5n.pt").is_file(), reason="LIVESTOCK_SHARED is not set"
)
def test_the_published_weights_are_read():
    weights = checkpoints.read_weights(SHARED / "weights" / "yolov5n.pt")
    assert weights.names[19] == "cow" and len(weights.names) == 80
    with pytest.raises(
        CheckpointError, match=r"80 classes\), expected \['pig', 'cow'\].*init_weights"
    ):
        checkpoints.load(SHARED / "weights" / "yolov5n.pt")


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {marker}",), f"{os.system.__module__}.system"),
        (eval, ("open('{marker}', 'w')",), "eval"),
        (getattr, ("text", "upper"), "getattr"),
        (types.SimpleNamespace, (), "types.SimpleNamespace"),
    ],
)
def test_a_hostile_pickle_is_refused_by_name(tmp_path, function, arguments, named):
    marker = tmp_path / "ran"
    hostile = Call(
        function,
        *(word.format(marker=marker) if isinstance(word, str) else word for word in arguments),
    )
    torch.save({"model": hostile}, tmp_path / "hostile.pt")
    with pytest.raises(
        CheckpointError, match=f"hostile.pt: refused, .*{named}.*trust=True only if you know"
    ):
        checkpoints.load(tmp_path / "hostile.pt")
    assert not marker.exists()


def test_a_pickle_may_not_build_a_model_from_words_that_yolov5_evaluates(tmp_path):
    marker = tmp_path / "ran"
    settings = {
        "anchors": [[1, 2]],
        "nc": 1,
        "depth_multiple": 1,
        "width_multiple": 1,
        "head": [],
        "backbone": [[-1, 1, f"open({str(marker)!r}, 'w')", []]],
    }
    with yolov5.yolov5() as y5:
        torch.save({"model": Call(y5.yolo.DetectionModel, settings)}, tmp_path / "hostile.pt")
    with pytest.raises(CheckpointError, match=r"refused, .*DetectionModel"):
        checkpoints.load_checkpoint(tmp_path / "hostile.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbone", [[-1, 1, "__import__('os').system", []]]),
        ("head", [[-1, 1, "Conv", ["print(1)"]]]),
        ("activation", "exit()"),
    ],
)
def test_an_architecture_with_code_is_refused(model, tmp_path, key, value):
    import copy

    hostile = copy.deepcopy(model)
    hostile.yaml = {**hostile.yaml, key: value}
    checkpoints.write_weights(tmp_path / "hostile.pt", hostile)
    with pytest.raises(
        CheckpointError, match=r"hostile\.pt: the architecture names .*no layer of YOLOv5"
    ):
        checkpoints.load(tmp_path / "hostile.pt")


def test_all_architectures_of_the_package_pass():
    import yaml

    with yolov5.yolov5() as y5:
        for name in [f"yolov5{size}{suffix}" for size in "nsmlx" for suffix in ("", "6")]:
            checkpoints.check_architecture(
                yaml.safe_load(Path(y5.model_file(name)).read_text(encoding="utf-8")), name
            )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or not a weights file"),
        (b"hello", "damaged or not a weights file"),
        (pickle.dumps({"a": 1}, protocol=2), "damaged or not a weights file"),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path, content, message):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load_checkpoint(tmp_path / "x.pt")


def test_cut_and_foreign_files_are_told(file, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"weights file not found: .*absent\.pt; give the path"
    ):
        checkpoints.load_checkpoint(tmp_path / "absent.pt")
    (tmp_path / "cut.pt").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(
        CheckpointError, match=r"cut\.pt: damaged or not a weights file .*copy or download it again"
    ):
        checkpoints.load_checkpoint(tmp_path / "cut.pt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.pt")
    with pytest.raises(
        CheckpointError, match=r"not a YOLOv5 detection checkpoint \(found \['state_dict'\]\)"
    ):
        checkpoints.load_checkpoint(tmp_path / "foreign.pt")


def test_the_door_guards_loads_of_yolov5_itself(file, tmp_path):
    torch.save({"model": Call(os.system, "true")}, tmp_path / "hostile.pt")
    with yolov5.yolov5() as y5:
        assert y5.module("models.experimental").attempt_load(str(file)).names == {
            0: "pig",
            1: "cow",
        }
        with pytest.raises(CheckpointError, match="refused"):
            y5.module("models.experimental").attempt_load(str(tmp_path / "hostile.pt"))


@pytest.mark.parametrize(
    ("names", "fits"), [(("pig", "cow"), True), (("cow", "pig"), False), (("pig",), False)]
)
def test_class_names_must_be_in_order(names, fits):
    if fits:
        checkpoints.check_class_names(names, "x.pt")
    else:
        with pytest.raises(
            CheckpointError,
            match=r"x\.pt: classes .* expected \['pig', 'cow'\] in this order; .* --any-classes",
        ):
            checkpoints.check_class_names(names, "x.pt")


def test_weights_are_found_or_the_way_to_them_is_told(file, tmp_path, monkeypatch):
    assert checkpoints.find_weights(file) == file.resolve()
    with pytest.raises(CheckpointError, match=r"weights file not found: mine\.pt; give a path"):
        checkpoints.find_weights("mine.pt", download_to=tmp_path)

    def fetch(url, target, progress):
        assert url == "https://github.com/ultralytics/yolov5/releases/download/v7.0/yolov5n.pt"
        Path(target).write_bytes(b"x")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    assert checkpoints.find_weights("yolov5n.pt", download_to=tmp_path).read_bytes() == b"x"


def test_a_damaged_file_is_one_line_whatever_is_damaged(tmp_path):
    path, rng, found = tmp_path / "damaged.pt", random.Random(1), collections.Counter()
    with zipfile.ZipFile(checkpoints.SAMPLE_WEIGHTS) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))
    for trial in range(60):
        data = bytearray(members[pickled])
        for place in rng.sample(range(len(data)), 1 + trial % 20):
            data[place] = rng.randrange(256)
        with zipfile.ZipFile(path, "w") as damaged:
            for name, content in members.items():
                damaged.writestr(name, bytes(data) if name == pickled else content)
        with path.open("r+b") as file:
            if trial % 3 == 0:
                file.truncate(rng.randrange(path.stat().st_size))
        try:
            checkpoints.load(path)
        except CheckpointError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            found[type(error.__cause__).__name__] += 1
    assert len(found) > 4 and sum(found.values()) > 40
