"""The compact file of candidates: round trip, shards, passes, and what they refuse."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_candidates import made

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.detect.predict import candidates, postprocess
from livestock_utils.detect.predict.candidates import PER_CANDIDATE


def same(first: candidates.Candidates, second: candidates.Candidates) -> None:
    pd.testing.assert_frame_equal(first.images, second.images, check_dtype=False)
    for name in PER_CANDIDATE:
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
        assert getattr(first, name).dtype == getattr(second, name).dtype, name
    assert (first.names, first.passes, first.made_with) == (
        second.names,
        second.passes,
        second.made_with,
    )


def shard(found: candidates.Candidates, index: int, count: int) -> candidates.Candidates:
    return found.of_images(found.images["image_id"].iloc[index::count])


@pytest.mark.parametrize("per_image", [0, 1, 30])
def test_a_file_gives_back_what_was_saved(tmp_path, per_image):
    found, _ = made(per_image=per_image)
    candidates.save(tmp_path / "c.npz", found)
    same(candidates.load(tmp_path / "c.npz"), found)
    first = (tmp_path / "c.npz").read_bytes()
    candidates.save(tmp_path / "c.npz", found)
    assert (tmp_path / "c.npz").read_bytes() == first


def test_sorted_by_image_then_confidence_and_images_without_candidates_stay():
    found, _ = made(n_images=6)
    keys = list(zip(found.image_index, -found.confidence, strict=True))
    assert keys == sorted(keys)
    assert found.images["image_id"].is_monotonic_increasing
    assert len(found.images) == 6 and sorted(found.images["found"]) == [0, 40, 40, 40, 40, 40]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_merge_to_the_same_whatever_their_number_and_order(count):
    found, _ = made()
    parts = [shard(found, index, count) for index in range(count)]
    same(candidates.merge(parts[::-1]), found)


def test_folds_of_different_weights_merge_only_as_out_of_fold():
    found, _ = made()
    parts = [
        shard(found, 0, 2),
        dataclasses.replace(shard(found, 1, 2), made_with={"cap": 1000, "weights": "v"}),
    ]
    with pytest.raises(DatasetError, match="shard 2 was made with weights 'v', shard 1 with 'w'"):
        candidates.merge(parts)
    assert len(candidates.merge(parts, out_of_fold=True)) == len(found)


def of_frame(rows, images=("a", "b")):
    columns = ["image_id", "species", *XYXY, "confidence"]
    table = pd.DataFrame({"image_id": images, "width_px": 100, "height_px": 80})
    return candidates.of_table(pd.DataFrame(rows, columns=columns), table, ("pig", "cow"), "mine")


def test_any_detectors_table_becomes_candidates():
    assert len(of_frame([])) == 0 and of_frame([]).passes == ("mine",)
    rows = [["b", "cow", 1.0, 2, 30, 40, 0.9], ["a", "pig", 0.0, 0, 9, 9, 0.2]]
    found = of_frame(rows)
    table = postprocess.apply(found, postprocess.PostprocessSettings())
    assert table.to_numpy().tolist() == [
        ["a", "pig", 0, 0, 9, 9, pytest.approx(0.2)],
        ["b", "cow", 1, 2, 30, 40, pytest.approx(0.9)],
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["c", "cow", 0, 0, 9, 9, 0.5], "mine: 1 of 2 boxes are of images that are not .*'c'"),
        (["a", "ox", 0, 0, 9, 9, 0.5], "mine: 1 of 2 boxes are of other classes than .*'ox'"),
        (["a", "cow", 0, 0, 9, 9, 1.5], "mine: 1 of 2 boxes have no confidence in .*1.5"),
        (["a", "cow", 0, 0, 9, 9, None], "mine: 1 of 2 boxes have no confidence in"),
    ],
)
def test_a_foreign_table_is_refused_in_a_line(row, message):
    with pytest.raises(DatasetError, match=message):
        of_frame([["a", "pig", 0, 0, 9, 9, 0.5], row])


def test_passes_are_taken_by_name_in_any_order():
    both, _ = made(passes=2)
    turned = both.of_passes(("x1.1", "plain"))
    assert turned.passes == ("x1.1", "plain") and len(turned) == len(both)
    for name in both.passes:
        one, other = both.of_passes((name,)), turned.of_passes((name,))
        assert np.array_equal(one.confidence, other.confidence) and len(one) > 0
    with pytest.raises(LivestockError, match="pass 'flip' was not predicted"):
        both.of_passes(("flip",))


def test_passes_stack_to_more_candidates_of_the_same_images():
    plain, _ = made()
    flip = dataclasses.replace(made(seed=1)[0], passes=("flip",))
    both = candidates.stack([plain, flip])
    assert both.passes == ("plain", "flip") and len(both) == len(plain) + len(flip)
    same(
        dataclasses.replace(
            both.select(both.pass_index == 0), images=plain.images, passes=("plain",)
        ),
        plain,
    )


def test_capped_and_unreadable_images_are_told():
    found, _ = made(n_images=4)
    images = found.images.assign(
        found=[5, 2000, 3, 4], status=["ok", "ok", "truncated image", "ok"]
    )
    found = dataclasses.replace(found, images=images)
    assert found.capped == 1
    assert found.unreadable == [images.loc[2, "image_id"]]


def damaged(tmp_path, how):
    path = tmp_path / "c.npz"
    candidates.save(path, made()[0])
    if how == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif how == "text":
        path.write_text("hello")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "array":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(3))
    else:
        path.unlink()
    return path


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("absent", "no such file of candidates; predict first"),
        ("cut", "not a whole file of candidates"),
        ("text", "not a whole file of candidates"),
        ("empty", "not a whole file of candidates"),
        ("array", "not a whole file of candidates"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, how, message):
    with pytest.raises(DatasetError, match=message) as caught:
        candidates.load(damaged(tmp_path, how))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c: candidates.merge([c, c], ["a.npz", "b.npz"]),
            r"b.npz: image 'livestock_cow.*' is already in a.npz",
        ),
        (
            lambda c: candidates.merge(
                [shard(c, 0, 2), dataclasses.replace(shard(c, 1, 2), names=("cow", "pig"))]
            ),
            r"made with classes \('cow', 'pig'\)",
        ),
        (lambda c: candidates.stack([]), "no passes to stack"),
        (lambda c: candidates.stack([c, c]), "one of them was given twice"),
        (
            lambda c: candidates.stack([c, dataclasses.replace(shard(c, 0, 2), passes=("flip",))]),
            "covers other images",
        ),
        (lambda c: c.of_images(["nobody"]), "1 of 1 images have no candidates, first 'nobody'"),
    ],
)
def test_what_does_not_fit_together_is_refused(call, message):
    with pytest.raises(DatasetError, match=message):
        call(made()[0])
