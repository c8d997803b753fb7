"""The door to yolov5: each shim is still needed, works, and is gone when the door closes; importing
changes nothing."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from livestock_utils.core.errors import LivestockError
from livestock_utils.detect import yolov5

IMPORT_CHANGES_NOTHING = """
import logging, os, sys, warnings
import cv2, matplotlib, numpy as np, pandas as pd, torch
matplotlib.use("svg")
cv2.setNumThreads(2)
handler = logging.StreamHandler()
def state():
    unwanted = "ultralytics", "roboflow", "pkg_resources"
    return (dict(os.environ), list(sys.path), np.get_printoptions(),
            vars(torch._tensor_str.PRINT_OPTS).copy(), pd.get_option("display.max_columns"),
            matplotlib.get_backend(), matplotlib.rcParams["font.size"], cv2.getNumThreads(),
            list(warnings.filters), any(known() is handler for known in logging._handlerList),
            {name for name in sys.modules if name.partition(".")[0] in unwanted},
            np.__dict__.get("trapz"), torch.load)
before = state()
from livestock_utils.detect import yolov5 as compat
with compat.yolov5() as y5:
    y5.module("train")
after = state()
changed = [index for index, pair in enumerate(zip(before, after)) if str(pair[0]) != str(pair[1])]
assert not changed, [(before[index], after[index]) for index in changed]
assert not os.path.exists(os.path.expanduser("~/.config/Ultralytics"))
"""


def test_the_import_and_the_door_leave_everything_as_it_was(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_CHANGES_NOTHING],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_missing_yolov5_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("LIVESTOCK_YOLOV5", str(tmp_path))
    yolov5.modules.cache_clear()
    try:
        with (
            pytest.raises(
                LivestockError,
                match=r"yolov5 7\.0\.14 is not installed: run python -m livestock_utils",
            ),
            yolov5.yolov5(),
        ):
            pass
    finally:
        yolov5.modules.cache_clear()


@pytest.mark.parametrize(
    "name", [f"yolov5{size}{suffix}" for suffix in ("", "6") for size in "nsmlx"]
)
def test_all_models_have_their_architecture(name):
    with yolov5.yolov5() as y5:
        assert y5.model_file(name).endswith(f"{name}.yaml")


def test_an_unknown_model_is_named_with_the_known_ones():
    with (
        yolov5.yolov5() as y5,
        pytest.raises(LivestockError, match=r"unknown model 'yolov8n': .*yolov5l, .*yolov5n6"),
    ):
        y5.model_file("yolov8n")


# ---- each shim: what fails without it
# ------------------------------------------------------------------------------- When one of these
# stops failing, a new release has made the shim superfluous: delete it.


def without(shim, monkeypatch):
    monkeypatch.setattr(
        yolov5, "SHIMS", tuple(other for other in yolov5.SHIMS if other is not shim)
    )


def mosaic(y5, folder):
    targets = np.array([[0, 0, 0.5, 0.5, 0.2, 0.2]])
    y5.plots.plot_images(
        np.zeros((1, 3, 64, 64), dtype=np.float32), targets, ["a.jpg"], folder / "m.jpg", {0: "pig"}
    )
    return folder / "m.jpg"


def test_average_precision_needs_trapz(monkeypatch):
    with yolov5.yolov5() as y5:
        assert y5.metrics.compute_ap(np.array([0.5, 1.0]), np.array([1.0, 1.0]))[
            0
        ] == pytest.approx(1, abs=0.01)
    if hasattr(np, "trapz"):
        pytest.skip("this numpy still has trapz (gone from 2.4)")
    without(yolov5.numpy_trapz, monkeypatch)
    with yolov5.yolov5() as y5, pytest.raises(AttributeError, match="trapz"):
        y5.metrics.compute_ap(np.array([0.5, 1.0]), np.array([1.0, 1.0]))


def test_mosaics_need_getsize(monkeypatch, tmp_path):
    with yolov5.yolov5() as y5:
        assert mosaic(y5, tmp_path).stat().st_size > 0
    without(yolov5.pillow_getsize, monkeypatch)
    with yolov5.yolov5() as y5, pytest.raises(AttributeError, match="getsize"):
        mosaic(y5, tmp_path)


def test_mosaics_need_a_font(monkeypatch, tmp_path):
    without(yolov5.fonts, monkeypatch)
    import torch

    def no_network(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with yolov5.yolov5() as y5, pytest.raises(ConnectionError, match="no network"):
        mosaic(y5, tmp_path)


def test_drawing_errors_are_lost_in_a_thread_without_the_shim(monkeypatch, tmp_path):
    call = (
        np.zeros((1, 3, 64, 64)),
        np.zeros((0, 6)),
        None,
        tmp_path / "absent" / "m.jpg",
        {0: "pig"},
    )
    with yolov5.yolov5() as y5, pytest.raises(FileNotFoundError):
        y5.plots.plot_images(*call)
    without(yolov5.threads_and_errors, monkeypatch)
    with yolov5.yolov5() as y5:
        monkeypatch.setattr("threading.excepthook", lambda *_: None)
        thread = y5.plots.plot_images(*call)
        thread.join()  # it died and nobody was told
    assert not (tmp_path / "absent").exists()


def test_yolov5_own_albumentations_is_dead_on_release_2(monkeypatch):
    without(yolov5.albumentations_arguments, monkeypatch)
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")
    with warnings.catch_warnings(), yolov5.yolov5() as y5:
        warnings.simplefilter("ignore")
        assert y5.dataloaders.Albumentations(size=64).transform is None


def test_the_hub_is_not_asked(monkeypatch):
    with (
        yolov5.yolov5() as y5,
        pytest.raises(LivestockError, match=r"weights file not found: last\.pt"),
    ):
        y5.module("models.experimental").attempt_load("last.pt")
    without(yolov5.hub_lookups, monkeypatch)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with yolov5.yolov5() as y5, pytest.raises(ImportError, match="huggingface_hub"):
        y5.module("models.experimental").attempt_load("last.pt")


def test_nms_gives_up_on_images_without_the_shim(monkeypatch):
    import torch

    ticks = iter(range(0, 10**9, 100))
    raw = torch.zeros(3, 2, 7)
    raw[..., :4], raw[..., 4:] = torch.tensor([8.0, 8, 4, 4]), 0.9
    with yolov5.yolov5() as y5:
        monkeypatch.setattr(y5.general.time, "time", lambda: next(ticks))
        assert [
            len(boxes) for boxes in y5.general.non_max_suppression(raw.clone(), multi_label=True)
        ] == [2, 2, 2]
    without(yolov5.nms_time_limit, monkeypatch)
    with yolov5.yolov5() as y5:
        assert [
            len(boxes) for boxes in y5.general.non_max_suppression(raw.clone(), multi_label=True)
        ] == [2, 0, 0]


def test_bars_stay_out_of_logs(monkeypatch, capfd):
    class Labels:
        shapes = np.full((20, 2), 64.0)
        labels = np.random.default_rng(0).uniform(0.1, 0.5, (20, 3, 5))

    for expected in (False, True):
        with yolov5.yolov5() as y5:
            y5.autoanchor.kmean_anchors(Labels(), n=2, img_size=64, gen=3)
        assert ("100%" in capfd.readouterr().err) is expected
        without(yolov5.progress_bars, monkeypatch)


def test_the_backend_would_be_switched_without_the_shim(monkeypatch):
    import matplotlib

    seen = []
    monkeypatch.setattr(matplotlib, "use", seen.append)
    with yolov5.yolov5() as y5:
        y5.plots.matplotlib.use("svg")
    assert seen == []


def test_the_amp_warning_is_filtered_and_no_other():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with yolov5.yolov5():
            warnings.warn(
                "`torch.cuda.amp.GradScaler(args...)` is deprecated. Please use",
                FutureWarning,
                stacklevel=1,
            )
            warnings.warn("something else is deprecated", FutureWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["something else is deprecated"]
