"""Prediction on a local Ray with two workers, one of which is killed on the way."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from dying_reader import DyingReader
from made_network import write_network, write_photos

from livestock_utils.core.errors import CheckpointError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import candidates, engine, ray_engine


@pytest.fixture(scope="module")
def local_ray():
    ray = pytest.importorskip("ray", reason="the ray extra is not installed")
    paths = ":".join(
        [str(Path(__file__).parent), str(Path(__file__).parents[1]), *filter(None, sys.path)]
    )
    ray.init(
        num_cpus=2,
        log_to_driver=False,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}},
    )
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(tmp_path, local_ray):
    weights = write_network(tmp_path / "w.pt")
    images = write_photos(tmp_path / "in", sizes=((96, 64),) * 12)
    options = {"image_size": 96, "batch_size": 1}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers: other numbers of threads differ in the last bit
    expected = engine.collect_candidates(weights, Photos(images, folder=tmp_path / "in"), **options)
    torch.set_num_threads(threads)
    reader = DyingReader(tmp_path / "in", "photo_007.jpg", tmp_path / "died")
    found = ray_engine.collect_candidates(
        weights,
        Photos(images, folder=tmp_path / "in", source=reader),
        parts_folder=tmp_path / "parts",
        n_workers=2,
        part_images=2,
        **options,
    )
    assert (tmp_path / "died").exists()
    for name in candidates.PER_CANDIDATE:
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert found.images.equals(expected.images)


@pytest.mark.slow
def test_what_a_worker_raises_arrives_in_one_line(tmp_path, local_ray):
    weights, images = write_network(tmp_path / "w.pt"), write_photos(tmp_path / "in")
    with pytest.raises(LivestockError, match=r"floor must lie in \[0, 1\]") as caught:
        ray_engine.collect_candidates(
            weights,
            Photos(images, folder=tmp_path / "in"),
            parts_folder=tmp_path / "parts",
            image_size=96,
            floor=2,
        )
    assert "\n" not in str(caught.value)


def test_bad_weights_are_told_before_ray_is_started(tmp_path, monkeypatch):
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(
            sys.modules, name, types.ModuleType(name)
        )  # has no init that could be called
    other = write_network(tmp_path / "w.pt", names=("sheep", "horse"))
    with pytest.raises(CheckpointError, match=r"classes \['sheep', 'horse'\]"):
        ray_engine.collect_candidates(
            other, Photos(write_photos(tmp_path), folder=tmp_path), parts_folder=tmp_path / "parts"
        )


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LivestockError, match=r"install --extras ray"):
        ray_engine.collect_candidates(
            "w.pt", Photos(write_photos(tmp_path), folder=tmp_path), parts_folder=tmp_path / "parts"
        )
