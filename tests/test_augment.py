"""Augmentation pipelines: read from YAML, repeatable, boxes kept inside the frame."""

import contextlib
import random

import cv2
import numpy as np
import pytest
import training_sets
import yaml

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.train import augment, data

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


CROP = {"__class_fullname__": "RandomCrop", "p": 1.0, "height": 32, "width": 32}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (None, "cannot read it: None"),
        ({"__class_fullname__": "NoSuchTransform", "p": 1.0}, "cannot read it: NoSuchTransform"),
        (BLUR | {"p": 7}, r"Blur \(1 validation error for InitSchema p Input should be less"),
        (
            {"__class_fullname__": "GaussNoise", "p": 0.5, "var_limit": [1, 2]},
            "'var_limit' are not",
        ),
        (BLUR | {"blur_limit": 4}, "automatically adjusted"),
        ({"__class_fullname__": "FDA", "p": 1.0}, "FDA cannot be reliably serialized"),
        (
            {"__class_fullname__": "OneOf", "p": 1.0, "transforms": [FLIP, BLUR | {"p": "x"}]},
            "Blur",
        ),
    ],
)
def test_what_albumentations_does_not_understand_is_told(step, message):
    with pytest.raises(TrainingError, match=message) as caught:
        augment.read({"transform": step})
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    cv2.imwrite(str(path), IMAGE)
    return data.Part((str(path),), (LABELS,), np.array([[96, 64]]), ())


def of(*steps, kind="Compose", p=1.0):
    return {"__class_fullname__": kind, "p": p, "transforms": list(steps)}


RESIZE = CROP | {"__class_fullname__": "Resize", "height": 96, "width": 96}
TO_FLOAT, TO_GRAY = ({"__class_fullname__": name, "p": 1.0} for name in ("ToFloat", "ToGray"))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (FLIP, None),
        (of(), None),
        (of(CROP, RESIZE), None),
        (of(CROP | {"p": 0.0}, BLUR), None),
        (CROP, "RandomCrop: 32x32x3 uint8 came back for 96x96x3 uint8"),
        (CROP | {"p": 1e-9}, "RandomCrop: 32x32x3"),
        (of(CROP, RESIZE | {"p": 0.3}), "RandomCrop: 32x32x3"),
        (of(CROP, RESIZE, TO_FLOAT), "ToFloat: 96x96x3 float32 came back"),
        (of(BLUR, TO_FLOAT | {"p": 1e-6}, kind="OneOf"), "ToFloat: 96x96x3 float32"),
        (TO_GRAY | {"num_output_channels": 1}, "ToGray: 96x96 uint8 came back for 96x96x3 uint8"),
        (CROP | {"height": 900}, "RandomCrop: Crop size .* exceeds image dimensions"),
    ],
)
def test_what_comes_back_is_shaped_as_what_went_in(step, message, part):
    pipeline, state = augment.read({"transform": step}), random.getstate()
    told = pytest.raises(TrainingError, match=message) if message else contextlib.nullcontext()
    with told as caught:
        augment.try_out(pipeline, part, image_size=96)
    assert message is None or "\n" not in str(caught.value)
    assert random.getstate() == state


def test_a_training_refuses_it_before_it_makes_a_folder(tmp_path):
    made = training_sets.write_set(tmp_path / "set", 4)
    with pytest.raises(TrainingError, match="RandomCrop: 32x32x3 uint8 came back for 64x64x3"):
        training_sets.train(made, tmp_path / "run", augmentation={"transform": CROP}, image_size=64)
    assert not (tmp_path / "run").exists()
