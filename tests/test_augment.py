"""Augmentation pipelines: read from YAML, repeatable, boxes kept inside the frame."""

import random

import numpy as np
import pytest
import yaml

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.train import augment

IMAGE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
LABELS = np.array([[0, 0.5, 0.5, 0.2, 0.2], [1, 0.02, 0.5, 0.04, 0.2]], dtype=np.float32)


@pytest.mark.parametrize("name", ["light", "barn_night"])
def test_presets_repeat_with_the_same_random_state_and_leave_the_boxes(name):
    apply = augment.for_loader(augment.read(name))
    seen = []
    for seed in (1, *range(1, 40)):
        random.seed(seed)
        image, labels = apply(IMAGE.copy(), LABELS)
        np.testing.assert_allclose(labels, LABELS, atol=1e-6)
        assert image.shape == IMAGE.shape and image.dtype == np.uint8
        seen.append(image)
    assert (seen[0] == seen[1]).all()
    assert any((image != IMAGE).any() for image in seen)
    assert apply(IMAGE, LABELS[:0])[1].shape == (0, 5)


@pytest.mark.parametrize("nothing", [None, "none"])
def test_none_is_none(nothing):
    assert augment.read(nothing) is None
    assert augment.recorded(None) is None and augment.for_loader(None) is None


def test_a_box_that_leaves_the_frame_is_clipped_or_dropped():
    import albumentations

    shift = albumentations.to_dict(
        albumentations.Compose([albumentations.Affine(translate_px={"x": -6, "y": 0}, p=1)])
    )
    _, labels = augment.apply(augment.read(shift), IMAGE, LABELS)
    assert labels[:, 0].tolist() == [0]  # the cow at the left edge is gone
    far = np.array([[0, 0.05, 0.5, 0.1, 0.2]], dtype=np.float32)
    _, clipped = augment.apply(augment.read(shift), IMAGE, far)
    assert clipped[0, 1] - clipped[0, 3] / 2 == pytest.approx(0, abs=1e-3)
    assert ((clipped[:, 1:] >= 0) & (clipped[:, 1:] <= 1)).all()


def test_a_pipeline_survives_being_recorded(tmp_path):
    once = augment.recorded(augment.read("light"))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(once))
    assert augment.recorded(augment.read(tmp_path / "mine.yaml")) == once


FLIP, BLUR = ({"__class_fullname__": name, "p": 1.0} for name in ("HorizontalFlip", "Blur"))


@pytest.mark.parametrize(
    ("transform", "p", "steps"),
    [
        (
            {"__class_fullname__": "Compose", "p": 0.3, "transforms": [FLIP, BLUR]},
            0.3,
            ["HorizontalFlip", "Blur"],
        ),
        ({"__class_fullname__": "OneOf", "p": 0.5, "transforms": [FLIP, BLUR]}, 1.0, ["OneOf"]),
        (FLIP, 1.0, ["HorizontalFlip"]),
    ],
)
def test_a_pipeline_stays_what_it_was_written_as(transform, p, steps):
    pipeline = augment.read({"transform": transform})
    assert pipeline.p == p and [type(step).__name__ for step in pipeline.transforms] == steps


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"transform": {"__class_fullname__": "NoSuchTransform", "p": 1.0}}, "cannot read it"),
        ({}, "cannot read it"),
    ],
)
def test_what_albumentations_does_not_understand_is_told(content, message):
    with pytest.raises(TrainingError, match=message):
        augment.read(content)
