"""The preview shows what the loader makes of the photos, with boxes that follow, and disturbs
nothing."""

import random
import re

import numpy as np
import pytest
from training_sets import write_set

from livestock_utils import colab
from livestock_utils.core.boxes import XYXY
from livestock_utils.detect.train import preview
from livestock_utils.show.plots.augmentation import augmented
from livestock_utils.show.words import training as words


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), n_train=6, n_valid=2)


@pytest.mark.parametrize(
    ("augmentation", "kinds"),
    [
        (None, ["as it is", "mosaic"]),
        ("light", ["as it is", "pipeline", "mosaic"]),
    ],
)
def test_a_row_a_kind(data_yaml, augmentation, kinds):
    views = preview.preview(data_yaml, None, augmentation, image_size=64, n=2)
    assert list(dict.fromkeys(view.kind for view in views)) == kinds
    for view in views:
        assert view.picture.shape == (64, 64, 3)
        xyxy = view.boxes[XYXY].to_numpy()
        assert (xyxy >= -1e-3).all() and (xyxy <= 64 + 1e-3).all()
    axes = augmented(views)
    assert axes.shape == (len(kinds), 2)
    assert [len(ax.patches) for ax in axes[0]] == [len(view.boxes) for view in views[:2]]


def test_the_sentence_counts_photos_and_boxes(data_yaml):
    views = preview.preview(data_yaml, None, "barn_night", image_size=64, n=6)
    plain = sum(len(view.boxes) for view in views[:6])
    said = words.augmentation(views, used=True)
    assert re.match(rf"The pipeline changed [1-6] of 6 photos and kept \d+ of {plain} boxes", said)
    assert "uses no pipeline" not in said
    shown_only = words.augmentation(views, used=False)
    assert shown_only.endswith("This training uses no pipeline: the middle row is an example.")


def test_the_same_seed_shows_the_same_and_leaves_the_generators_alone(data_yaml):
    state, state_numpy = random.getstate(), np.random.get_state()[1].tolist()
    first = preview.preview(data_yaml, image_size=64, n=2, seed=3)
    second = preview.preview(data_yaml, image_size=64, n=2, seed=3)
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, second, strict=True))
    assert random.getstate() == state
    assert np.random.get_state()[1].tolist() == state_numpy


def test_no_views_say_so():
    assert "no training photos" in augmented([]).flat[0].texts[0].get_text()


@pytest.mark.parametrize("there", [True, False])
def test_data_is_unpacked_and_trained_on_the_local_disk_of_colab(monkeypatch, tmp_path, there):
    monkeypatch.setattr(colab, "on_colab", lambda: there)
    folder, mirror = colab.training_folder(tmp_path, "full")
    assert (mirror == tmp_path / "training" / "full") == there
    assert (folder == tmp_path / "training" / "full") != there
    assert (colab.local_disk(tmp_path) == tmp_path / "local") != there
