"""Groups by one parameter, folds on disk, and the summaries of written sets."""

import re

import numpy as np
import pandas as pd
import pytest
from data_sets import write_archives
from made_tables import aihub_tables

from livestock_utils.core import tables
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data import lookalikes
from livestock_utils.data.sets import summary, writing
from livestock_utils.data.split import groups as grouping
from livestock_utils.data.split.folds import balance_table, mini, stratified_folds
from livestock_utils.show.words import eda

IMAGES, BOXES = aihub_tables(0.02)
HASHES = pd.Series(
    np.arange(len(IMAGES), dtype=np.uint64) // 2 * 0x0F0F0F0F0F0F, index=IMAGES["image_id"]
)
PHOTOS = Photos(IMAGES, BOXES)


def test_none_means_no_groups():
    assert grouping.lookalikes(PHOTOS, "none") is None


@pytest.mark.parametrize(
    "group_by, options, size",
    [
        ("blocks", {"block_size": 10}, 10),
        ("near_duplicates", {"max_distance": 0}, 2),
    ],
)
def test_groups_hold_the_wanted_number_of_images(group_by, options, size, monkeypatch):
    monkeypatch.setattr(lookalikes, "perceptual_hashes", lambda photos, cache: HASHES)
    groups = grouping.lookalikes(PHOTOS, group_by, **options)
    assert groups.index.tolist() == IMAGES["image_id"].tolist()
    assert groups.value_counts().median() == size


def test_a_csv_of_cameras_makes_groups_and_one_can_be_held_out(tmp_path):
    camera = np.where(np.arange(len(IMAGES)) % 4 == 0, "north", "south")
    path = tmp_path / "cameras.csv"
    IMAGES[["image_id"]].assign(group=camera).to_csv(path, index=False)
    groups = grouping.lookalikes(PHOTOS, str(path))
    for valid_fold in (0, 3):
        folds = stratified_folds(PHOTOS, groups=groups, hold_out="north", valid_fold=valid_fold)
        assert (folds == valid_fold).tolist() == (
            camera == "north"
        ).tolist() and folds.nunique() == 2


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: grouping.lookalikes(PHOTOS, "camera"),
            "group_by 'camera': expected one of none, near_duplicates, blocks",
        ),
        (
            lambda: stratified_folds(PHOTOS, 5, valid_fold=5),
            "must lie in 0..4 for n_splits 5, got 5",
        ),
        (
            lambda: stratified_folds(PHOTOS, 5, valid_fold=-1),
            "valid_fold must lie in 0..4",
        ),
        (
            lambda: stratified_folds(PHOTOS, hold_out="north"),
            "hold_out 'north' needs groups",
        ),
    ],
)
def test_wrong_parameters_are_told_in_one_line(call, message):
    with pytest.raises(DatasetError, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_group_sizes_of_no_images_and_of_images_without_groups():
    assert len(grouping.group_sizes(None, IMAGES.iloc[:0])) == 0
    table = grouping.group_sizes(None, IMAGES)
    assert (table["groups"] == table["images"]).all() and (table["largest_group"] == 1).all()
    assert (table["grouped_images"] == 0).all()


def test_group_sizes_count_images_that_have_company():
    images = IMAGES[IMAGES["species"] == "cow"].head(5)
    groups = pd.Series(["a", "a", "a", "b", "c"], index=images["image_id"])
    assert grouping.group_sizes(groups, images).iloc[0].tolist() == ["cow", 5, 3, 3, 3]


@pytest.mark.parametrize("groups", [None, pd.Series("pen 1", index=IMAGES["image_id"])])
def test_folds_come_back_from_disk(tmp_path, groups):
    folds = stratified_folds(PHOTOS)
    again, same_groups = tables.read_folds(
        tables.write_folds(tmp_path / "folds.csv", folds, groups)
    )
    assert again.to_dict() == folds.to_dict()
    assert same_groups is None if groups is None else same_groups.to_dict() == groups.to_dict()


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "is missing: notebook 02_make_dataset_multilabel writes it"),
        ("image_id,fold\na,0\n", "the column 'group' is lacking"),
        ("image_id,fold,group\na,first,\n", "fold 'first' is not a whole number"),
    ],
)
def test_faulty_folds_are_told_in_one_line(tmp_path, text, message):
    if text:
        (tmp_path / "folds.csv").write_text(text)
    with pytest.raises(DatasetError, match=re.escape(message)):
        tables.read_folds(tmp_path / "folds.csv")


def test_the_table_of_sets_is_what_their_manifests_say(tmp_path):
    images, boxes = write_archives(tmp_path / "archives")
    for name, rows in (("all", images), ("cows", images[images["species"] == "cow"])):
        writing.write_set(tmp_path / f"{name}.tar", Photos(rows, boxes, tmp_path / "archives"))
    table = summary.set_table({name: tmp_path / f"{name}.tar" for name in ("all", "cows")})
    assert table[["set", "file", "images", "pig", "cow", "backgrounds"]].to_numpy().tolist() == [
        ["all", "all.tar", 12, 6, 6, 0],
        ["cows", "cows.tar", 6, 0, 6, 0],
    ]
    assert table["boxes"].tolist() == [len(boxes), (boxes["species"] == "cow").sum()]
    long = summary.by_species(table)
    assert long.groupby("set", sort=False)["images"].sum().to_dict() == {"all": 12, "cows": 6}
    assert set(long["species"]) == {"pig", "cow"}
    long = summary.by_species(table.assign(cow=table["cow"] - [2, 0]))  # photos without boxes
    assert long["images"].tolist() == [6, 4, 2, 0, 6, 0]
    assert long["species"].tolist() == ["pig", "cow", "none"] * 2


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_kept_strata_agree_with_the_balance_table_of_a_split(share):
    kept = mini(PHOTOS, share)
    table = summary.kept_strata(PHOTOS, kept)
    assert table["train"].sum() == len(kept) and table["images"].sum() == len(IMAGES)
    if share < 1:
        folds = (
            IMAGES["image_id"]
            .isin(kept.images["image_id"])
            .astype(int)
            .set_axis(IMAGES["image_id"])
        )
        expected = balance_table(PHOTOS, folds, valid_fold=0, target=len(kept) / len(IMAGES))
        pd.testing.assert_frame_equal(table, expected, check_dtype=False)


@pytest.mark.parametrize(
    "sentence, expected",
    [
        (
            lambda: eda.folds(
                pd.Series([0, 0, 1, 1]), pd.DataFrame(columns=["kind", "label", "images", "share"])
            ),
            "4 images in 2 folds of 2 images each.",
        ),
        (
            lambda: eda.watched(0, 9),
            "**No validation:** all 9 images are trained on, so nothing can tell when to stop, and "
            "every score of this training is of images that it has seen.",
        ),
        (
            lambda: eda.watched(2, 10),
            "2 images of 10 (20 %) stay out to watch the training; all others are trained on.",
        ),
        (
            lambda: eda.leakage(pd.DataFrame({"distance": [2, 20]}), 8),
            "1 of 2 validation images (50 %) have a look-alike in train (at most 8 of 64 bits "
            "differ).",
        ),
        (
            lambda: eda.leakage(pd.DataFrame({"distance": [20]}), 8),
            "No validation image has a look-alike in train: the nearest pair differs in 20 of 64 "
            "bits, more than the 8 that count as alike.",
        ),
    ],
)
def test_sentences_about_splits(sentence, expected):
    assert sentence() == expected
