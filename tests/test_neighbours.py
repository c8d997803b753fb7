"""Hashes, groups of near-duplicates, blocks, and the leakage report."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from data_sets import jpeg, write_archives
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data import lookalikes
from livestock_utils.data.split.folds import stratified_folds


def hashes_of(values: dict[str, int]) -> pd.Series:
    return pd.Series(np.array(list(values.values()), dtype=np.uint64), index=list(values))


def images_of(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"image_id": list(ids)})


@pytest.fixture
def archives(tmp_path):
    """Six photos; the last is the first, brighter and packed harder: a near-duplicate with other
    bytes."""
    images, _ = write_archives(tmp_path, 6)
    first = images.iloc[0]
    with zipfile.ZipFile(tmp_path / first["archive"]) as archive:
        photo = Image.open(io.BytesIO(archive.read(first["member"])))
    file = io.BytesIO()
    ImageEnhance.Brightness(photo).enhance(1.1).save(file, "JPEG", quality=70)
    with zipfile.ZipFile(tmp_path / "twin.zip", "w") as archive:
        archive.writestr("twin.jpg", file.getvalue())
    twin = first.to_frame().T.assign(image_id="twin", archive="twin.zip", member="twin.jpg")
    return tmp_path, pd.concat([images, twin], ignore_index=True)


def test_a_brighter_copy_is_a_near_duplicate_and_nothing_else_is(archives):
    folder, images = archives
    hashes = lookalikes.perceptual_hashes(Photos(images, folder=folder))
    assert hashes.index.tolist() == sorted(images["image_id"])
    groups = lookalikes.near_duplicate_groups(hashes, images)
    assert groups["twin"] == images["image_id"].iloc[0]
    assert groups.nunique() == 6


def test_hashes_are_imagehash_s_own(archives):
    imagehash = pytest.importorskip("imagehash")
    folder, images = archives
    row = images.iloc[1]
    with (
        zipfile.ZipFile(folder / row["archive"]) as archive,
        Image.open(io.BytesIO(archive.read(row["member"]))) as photo,
    ):
        expected = int(str(imagehash.phash(photo)), 16)
    got = int(lookalikes.perceptual_hashes(Photos(images, folder=folder))[row["image_id"]])
    # Not the same to the bit: ours decodes at a smaller size.
    assert (expected ^ got).bit_count() <= 4


def test_the_cache_answers_until_the_photo_changes(archives, tmp_path):
    folder, images = archives
    cache = tmp_path / "hashes.csv"
    first = lookalikes.perceptual_hashes(Photos(images, folder=folder), cache)
    made = cache.read_bytes()
    pd.testing.assert_series_equal(
        first, lookalikes.perceptual_hashes(Photos(images, folder=folder), cache)
    )
    assert cache.read_bytes() == made
    cache.write_bytes(made.replace(f"{int(first['twin']):016x}".encode(), b"0" * 16))
    assert lookalikes.perceptual_hashes(Photos(images, folder=folder), cache)["twin"] == 0, (
        "the cache is not used"
    )
    with zipfile.ZipFile(folder / "twin.zip", "w") as archive:
        archive.writestr("twin.jpg", jpeg(99))
    assert lookalikes.perceptual_hashes(Photos(images, folder=folder), cache)["twin"] not in (
        0,
        first["twin"],
    )


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "archive,member,stamp,hash\nx,y,1,zz\n"])
def test_a_broken_cache_is_made_again(archives, tmp_path, caplog, text):
    folder, images = archives
    cache = tmp_path / "hashes.csv"
    cache.write_text(text, encoding="utf-8")
    found = lookalikes.perceptual_hashes(Photos(images, folder=folder), cache)
    assert len(found) == len(images)
    assert "is not a cache of hashes" in caplog.text
    pd.testing.assert_series_equal(
        found, lookalikes.perceptual_hashes(Photos(images, folder=folder), cache)
    )


def test_a_damaged_photo_is_left_out_and_counted(archives, caplog):
    folder, images = archives
    with zipfile.ZipFile(folder / "twin.zip", "w") as archive:
        archive.writestr("twin.jpg", b"not a photo")
    hashes = lookalikes.perceptual_hashes(Photos(images, folder=folder))
    assert "twin" not in hashes.index
    assert "1 images cannot be decoded and have no hash, the first is twin" in caplog.text
    assert lookalikes.near_duplicate_groups(hashes, images)["twin"] == "twin"


def test_an_absent_member_is_named(archives):
    folder, images = archives
    with pytest.raises((ArchiveError, KeyError), match=r"gone\.jpg"):
        lookalikes.perceptual_hashes(Photos(images.assign(member="gone.jpg"), folder=folder))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**6 - 1), min_size=1, max_size=30), st.integers(0, 3))
def test_groups_are_the_connected_components(values, max_distance):
    networkx = pytest.importorskip("networkx")
    ids = [f"i{i:02d}" for i in range(len(values))]
    graph = networkx.Graph()
    graph.add_nodes_from(ids)
    graph.add_edges_from(
        (ids[i], ids[j])
        for i in range(len(ids))
        for j in range(i)
        if (values[i] ^ values[j]).bit_count() <= max_distance
    )
    expected = {
        member: min(part) for part in networkx.connected_components(graph) for member in part
    }
    hashes = hashes_of(dict(zip(ids, values, strict=True)))
    assert (
        lookalikes.near_duplicate_groups(hashes, images_of(*ids), max_distance).to_dict()
        == expected
    )


def test_groups_reach_over_chunks():
    """More images than one chunk of the distance matrix holds."""
    values = np.random.default_rng(0).integers(0, 2**63, 700, dtype=np.uint64)
    values[600] = values[3] ^ np.uint64(1)
    ids = [f"i{i:03d}" for i in range(700)]
    groups = lookalikes.near_duplicate_groups(pd.Series(values, index=ids), images_of(*ids))
    assert groups["i600"] == "i003"
    assert groups.nunique() == 699


@pytest.mark.parametrize(
    ("ids", "size", "expected"),
    [
        ([], 10, []),
        (
            ["cow_000009", "cow_000010", "cow_000019"],
            10,
            ["cow_block_0", "cow_block_1", "cow_block_1"],
        ),
        (["cow_000001", "pig_000001"], 10, ["cow_block_0", "pig_block_0"]),
        (["barn", "cow_1"], 10, ["barn", "cow_block_0"]),
    ],
)
def test_blocks_of_ids(ids, size, expected):
    images = pd.DataFrame({"image_id": pd.Series(ids, dtype=str)})
    found = lookalikes.blocks_of_ids(images, size)
    assert found.tolist() == expected


def test_leakage_report_gives_the_nearest_and_the_closest_first():
    hashes = hashes_of({"v1": 0b0000, "v2": 0b1111, "t1": 0b0111, "t2": 0b1110, "t3": 0b11})
    folds = pd.Series({"v1": 0, "v2": 0, "t1": 1, "t2": 2, "t3": 3})
    report = lookalikes.nearest_train(hashes, folds)
    assert report.to_dict("records") == [
        {"image_id": "v2", "train_id": "t1", "distance": 1},
        {"image_id": "v1", "train_id": "t3", "distance": 2},
    ]


def test_grouped_folds_leave_no_near_duplicate_across():
    random = np.random.default_rng(0)
    values = random.integers(0, 2**63, 200, dtype=np.uint64)
    values[100:] = values[:100] ^ np.uint64(1)  # every image has a twin
    ids = [f"i{i:03d}" for i in range(200)]
    images = images_of(*ids).assign(species="pig")
    hashes = pd.Series(values, index=ids)
    no_boxes = pd.DataFrame(columns=["image_id", "species", "x_min", "y_min", "x_max", "y_max"])
    plain = stratified_folds(Photos(images, no_boxes))
    assert (lookalikes.nearest_train(hashes, plain)["distance"] <= 1).any()
    grouped = stratified_folds(
        Photos(images, no_boxes), groups=lookalikes.near_duplicate_groups(hashes, images)
    )
    assert (lookalikes.nearest_train(hashes, grouped)["distance"] > lookalikes.MAX_DISTANCE).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: lookalikes.near_duplicate_groups(hashes_of({"a": 1}), images_of("a"), 65),
            "must lie in .0, 64. bits, got 65",
        ),
        (
            lambda: lookalikes.blocks_of_ids(images_of("a"), 0),
            "block_size must be at least 1, got 0",
        ),
        (
            lambda: lookalikes.nearest_train(hashes_of({"a": 1}), pd.Series({"a": 0})),
            "1 valid .fold 0. and 0 train",
        ),
        (
            lambda: lookalikes.nearest_train(hashes_of({"a": 1}), pd.Series({"b": 0})),
            "1 of 1 images have no fold",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(DatasetError, match=message):
        call()


def test_a_wrong_crc_leaves_the_photo_out(archives, caplog):
    folder, images = archives
    data = bytearray((folder / "twin.zip").read_bytes())
    data[200] ^= 0xFF
    (folder / "twin.zip").write_bytes(data)
    assert "twin" not in lookalikes.perceptual_hashes(Photos(images, folder=folder)).index
    assert "1 images cannot be decoded and have no hash, the first is twin" in caplog.text


def test_a_full_cache_needs_no_bytes_of_an_extracted_folder(tmp_path, monkeypatch):
    images, _ = write_archives(tmp_path / "zips")
    for name in images["archive"].unique():
        with zipfile.ZipFile(tmp_path / "zips" / name) as archive:
            archive.extractall(tmp_path / "folders" / name)
    first = lookalikes.perceptual_hashes(
        Photos(images, folder=tmp_path / "folders"), tmp_path / "cache.csv"
    )
    monkeypatch.setattr(
        "livestock_utils.core.archives.FolderArchive.read", lambda *a: pytest.fail("read again")
    )
    again = lookalikes.perceptual_hashes(
        Photos(images, folder=tmp_path / "folders"), tmp_path / "cache.csv"
    )
    pd.testing.assert_series_equal(first, again)
    assert len(first) == len(images)
