"""Folds at AI Hub's counts, groups that stay whole, mini sets, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from data_sets import benchmark_module
from hypothesis import given, settings
from hypothesis import strategies as st

from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.data.split.folds import (
    balance_table,
    fold_table,
    mini,
    read_groups,
    strata_table,
    stratified_folds,
)

made_tables = benchmark_module("made_tables")


@pytest.fixture(scope="module")
def aihub():
    return made_tables.aihub_tables()


@pytest.fixture(scope="module")
def small():
    return made_tables.aihub_tables(0.02)


def runs(images: pd.DataFrame, seed: int = 0) -> pd.Series:
    """Groups as near-duplicate frames make them: about a third of the images follow their
    neighbour."""
    follows = np.random.default_rng(seed).random(len(images)) < 0.3
    return pd.Series(np.cumsum(~follows), index=images["image_id"])


def blocks(images: pd.DataFrame, size: int = 20) -> pd.Series:
    return pd.Series(images.index // size, index=images["image_id"])


@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize("groups_of", [None, runs])
def test_strata_are_level_at_the_real_counts(aihub, groups_of, seed):
    images, boxes = aihub
    groups = None if groups_of is None else groups_of(images)
    folds = stratified_folds(Photos(images, boxes), groups=groups, seed=seed)
    for valid_fold in range(5):
        table = balance_table(Photos(images, boxes), folds, valid_fold)
        assert table["images"].tolist() == [506, 2749, 1048, 7383, 3413, 1356]
        assert (table["train"] + table["valid"] == table["images"]).all()
        assert table["off_points"].abs().max() <= 0.5
        assert table["off_images"].abs().max() <= 1


def test_small_strata_are_within_one_image(small):
    images, boxes = small
    folds = stratified_folds(Photos(images, boxes))
    for valid_fold in range(5):
        assert (
            balance_table(Photos(images, boxes), folds, valid_fold)["off_images"].abs().max() <= 1
        )


def test_presence_of_shapes_and_sizes_is_level_too(aihub):
    images, boxes = aihub
    table = fold_table(Photos(images, boxes), stratified_folds(Photos(images, boxes)))
    assert set(table["kind"]) == {"stratum", "ratio", "area"}
    common = table[table.groupby(["kind", "label"])["images"].transform("sum") >= 1000]
    assert (common["share"] - 0.2).abs().max() <= 0.005
    assert (table.groupby(["kind", "label"])["share"].sum().sub(1).abs() < 1e-9).all()


@pytest.mark.parametrize("size", [20, 100])
def test_blocks_stay_whole_and_strata_level(aihub, size):
    """Large blocks cannot do better than half a block: 43 blocks of pigs do not go into 5 folds."""
    images, boxes = aihub
    groups = blocks(images, size)
    folds = stratified_folds(Photos(images, boxes), groups=groups)
    assert (folds.groupby(groups).nunique() == 1).all()
    assert balance_table(Photos(images, boxes), folds)["off_images"].abs().max() <= size / 2


def test_unequal_groups_still_fill_every_fold(small):
    images, boxes = small
    names = np.where(images["species"] == "pig", "farm 1", "farm 2").astype(object)
    names[:3] = ["farm 3", "farm 4", "farm 5"]
    folds = stratified_folds(
        Photos(images, boxes), groups=pd.Series(names, index=images["image_id"])
    )
    assert sorted(folds.unique()) == [0, 1, 2, 3, 4]


def test_folds_do_not_depend_on_the_order_of_rows(small):
    images, boxes = small
    folds = stratified_folds(Photos(images, boxes), groups=runs(images))
    mixed = images.sample(frac=1, random_state=1), boxes.sample(frac=1, random_state=2)
    again = stratified_folds(Photos(*mixed), groups=runs(images).sample(frac=1, random_state=3))
    pd.testing.assert_series_equal(folds, again)
    assert folds.index.is_monotonic_increasing
    assert not folds.equals(stratified_folds(Photos(images, boxes), groups=runs(images), seed=43))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_image_gets_one_fold_and_groups_stay_whole(data):
    n = data.draw(st.integers(2, 40))
    counts = data.draw(st.lists(st.integers(0, 15), min_size=n, max_size=n))
    codes = data.draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    ids = [f"i{i:02d}" for i in range(n)]
    images = pd.DataFrame(
        {"image_id": ids, "species": ["pig", "cow"] * (n // 2) + ["pig"] * (n % 2)}
    )
    boxes = images.loc[images.index.repeat(counts)].assign(
        x_min=0.0, y_min=0.0, x_max=50.0, y_max=40.0
    )
    groups = pd.Series(codes, index=ids)
    n_splits = data.draw(st.integers(2, 6))
    if groups.nunique() < n_splits:
        with pytest.raises(
            DatasetError, match=r"at least as many groups, .* fewer folds, or another group_by"
        ):
            stratified_folds(Photos(images, boxes), n_splits, groups)
        return
    folds = stratified_folds(Photos(images, boxes), n_splits, groups)
    assert folds.index.tolist() == ids
    assert sorted(folds.unique()) == list(range(n_splits))
    assert (folds.groupby(groups).nunique() == 1).all()


def mini_ids(images, boxes, share, **options):
    return sorted(mini(Photos(images, boxes), share, **options).images["image_id"])


@pytest.mark.parametrize("share", [0.5, 0.3, 0.01])
def test_mini_keeps_its_share_and_every_stratum(aihub, share):
    images, boxes = aihub
    strata = strata_table(Photos(images, boxes))
    ids = mini_ids(images, boxes, share)
    kept = strata[strata["image_id"].isin(ids)]["stratum"].value_counts()
    whole = strata["stratum"].value_counts()
    assert len(ids) == len(set(ids))
    assert abs(len(ids) - share * len(images)) <= 3
    assert (kept - share * whole).abs().max() <= 1
    assert ids == mini_ids(images, boxes, share)


def test_mini_never_loses_a_stratum(small):
    images, boxes = small
    strata = strata_table(Photos(images, boxes)).set_index("image_id")["stratum"]
    assert set(strata[mini_ids(images, boxes, 0.001)]) == set(strata)


def test_mini_with_groups_takes_them_whole(small):
    images, boxes = small
    groups = runs(images)
    inside = groups.index.isin(mini_ids(images, boxes, 0.5, groups=groups))
    assert (pd.Series(inside, index=groups.index).groupby(groups).nunique() == 1).all()
    assert abs(inside.mean() - 0.5) < 0.02


def test_mini_of_all_is_all(small):
    images, boxes = small
    assert mini_ids(images, boxes, 1) == sorted(images["image_id"])


def test_boxes_of_other_images_are_ignored(small):
    images, boxes = small
    part = images.iloc[::2]
    assert (
        strata_table(Photos(part, boxes))["boxes"].sum()
        == boxes["image_id"].isin(part["image_id"]).sum()
    )


def test_photos_of_no_species_are_a_stratum_of_their_own(small):
    images, boxes = small
    is_empty = images["image_id"].isin(images["image_id"][::7])
    boxes = boxes[~boxes["image_id"].isin(images.loc[is_empty, "image_id"])]
    photos = Photos(images.assign(species=images["species"].where(~is_empty, "")), boxes)
    strata = strata_table(photos).set_index("image_id")["stratum"]
    assert set(strata[images["image_id"][is_empty]]) == {"none-little"}
    table = balance_table(photos, stratified_folds(photos))
    assert table["species"].tolist()[-1] == "none" and table["off_images"].abs().max() <= 1


def in_parts(photos, valid, others="train"):
    parts = np.where(photos.images["image_id"].isin(valid), "valid", others)
    return Photos(photos.images.assign(part=parts), photos.boxes)


@pytest.mark.parametrize("n_splits", [2, 3, 5])
@pytest.mark.parametrize("valid_fold", [0, 1])
def test_given_folds_keep_the_valid_part_and_split_the_rest(small, n_splits, valid_fold):
    photos = Photos(*small)
    valid = set(photos.images["image_id"][::4])
    groups = runs(photos.images)
    folds = stratified_folds(
        in_parts(photos, valid), n_splits, groups, valid_fold=valid_fold, given=True
    )
    assert folds.index.tolist() == sorted(photos.images["image_id"])
    assert set(folds.index[folds == valid_fold]) == valid
    assert sorted(folds.unique()) == list(range(n_splits))
    rest = folds[folds != valid_fold]
    assert (rest.groupby(groups.loc[rest.index].to_numpy()).nunique() == 1).all()


@pytest.mark.parametrize(
    ("valid", "others", "message"),
    [(0, "train", r"holds \['train'\]"), (0, "", r"holds \[''\]"), (10**6, "train", "'valid'")],
)
def test_given_folds_need_both_parts(small, valid, others, message):
    photos = Photos(*small)
    parted = in_parts(photos, set(photos.images["image_id"][:valid]), others)
    with pytest.raises(DatasetError, match=f"come as train and valid: the column part.*{message}"):
        stratified_folds(parted, given=True)
    with pytest.raises(DatasetError, match="come as train and valid"):
        stratified_folds(photos, given=True)


def test_hold_out_takes_a_whole_group(small):
    images, _ = small
    groups = blocks(images, 50)
    folds = stratified_folds(Photos(images, NO_BOXES), groups=groups, hold_out=3)
    assert set(groups[folds[folds == 0].index]) == {3}
    assert 3 not in set(groups[folds[folds == 1].index])


def test_groups_come_from_a_csv(small, tmp_path):
    images, _ = small
    path = tmp_path / "cameras.csv"
    rows = [f"{image_id}.JPG,cam{i % 3}" for i, image_id in enumerate(images["image_id"])]
    path.write_text("\n".join(["image_id,group", *rows, "elsewhere,cam9"]), encoding="utf-8")
    groups = read_groups(path, images)
    assert groups.index.tolist() == images["image_id"].tolist()
    assert sorted(groups.unique()) == ["cam0", "cam1", "cam2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,farm\na,1\n", "the column 'group' is lacking"),
        ("image,group\na,1\n", "the column 'image_id' is lacking"),
        ("image_id,group\na,1\na,2\n", "image 'a' has more than one group"),
        ("image_id,group\na,1\n", "1 of 2 images have no group, the first is 'b'"),
    ],
)
def test_bad_group_files(tmp_path, text, message):
    path = tmp_path / "groups.csv"
    path.write_text(text, encoding="utf-8")
    images = pd.DataFrame({"image_id": ["a", "b"], "species": ["pig", "pig"]})
    with pytest.raises(DatasetError, match=message):
        read_groups(path, images)


NO_BOXES = pd.DataFrame(columns=["image_id", "species", "x_min", "y_min", "x_max", "y_max"])
TWO = pd.DataFrame({"image_id": ["a", "b"], "species": ["pig", "cow"]})
TWO_FOLDS = pd.Series([0, 1], index=["a", "b"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stratified_folds(Photos(TWO.iloc[:0], NO_BOXES)), "no images to split"),
        (
            lambda: stratified_folds(Photos(TWO, NO_BOXES), 1),
            "n_splits must be at least 2, got 1",
        ),
        (
            lambda: stratified_folds(Photos(TWO, NO_BOXES), 3),
            "3 folds need at least as many images, got 2",
        ),
        (
            lambda: stratified_folds(Photos(pd.concat([TWO, TWO]), NO_BOXES), 2),
            "image id 'a' stands more than once",
        ),
        (
            lambda: stratified_folds(Photos(TWO, NO_BOXES), 2, pd.Series({"a": 1})),
            "1 of 2 images have no group",
        ),
        (
            lambda: stratified_folds(Photos(TWO, NO_BOXES), 2, pd.Series({"a": 1, "b": 1})),
            "as many groups, got 1",
        ),
        (
            lambda: stratified_folds(
                Photos(TWO, NO_BOXES), 2, pd.Series([1, 2, 3], index=["a", "b", "b"])
            ),
            "image 'b' has more than one entry",
        ),
        (
            lambda: stratified_folds(Photos(TWO.assign(species="goat"), NO_BOXES), 2),
            "unknown species 'goat'",
        ),
        (lambda: mini(Photos(TWO, NO_BOXES), 0), "share must be above 0 and at most 1, got 0"),
        (
            lambda: mini(Photos(TWO, NO_BOXES), 1.5),
            "share must be above 0 and at most 1, got 1.5",
        ),
        (
            lambda: balance_table(Photos(TWO, NO_BOXES), TWO_FOLDS, 4),
            r"valid_fold 4 is empty: expected one of \[0, 1\]",
        ),
        (
            lambda: balance_table(Photos(TWO, NO_BOXES), TWO_FOLDS[:1]),
            "1 of 2 images have no fold, the first is 'b'",
        ),
        (
            lambda: stratified_folds(Photos(TWO, NO_BOXES), groups=TWO_FOLDS, hold_out=7),
            "no group 7",
        ),
        (
            lambda: stratified_folds(Photos(TWO, NO_BOXES), groups=TWO_FOLDS * 0 + 1, hold_out=1),
            "leaves no image to train on",
        ),
        (
            lambda: read_groups("nowhere.csv", TWO),
            "groups file not found: nowhere.csv",
        ),
    ],
)
def test_what_is_refused_in_one_line(call, message):
    with pytest.raises(LivestockError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_split_without_any_box():
    folds = stratified_folds(Photos(TWO, NO_BOXES), 2)
    assert sorted(folds) == [0, 1]
    assert balance_table(Photos(TWO, NO_BOXES), folds)["images"].tolist() == [1, 1]
