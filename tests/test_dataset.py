"""Sets written and read back: equal bytes, exact boxes, safe extraction, and what is refused."""

import hashlib
import io
import logging
import shutil
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from data_sets import jpeg, write_archives

from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import folder as set_folder
from livestock_utils.data.sets import reading, tars, writing, yolo
from livestock_utils.data.split.folds import stratified_folds

XYXY = ["x_min", "y_min", "x_max", "y_max"]


@pytest.fixture
def tables(tmp_path):
    return write_archives(tmp_path / "data")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def files_of(path):
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_set_comes_back_whole(tmp_path, tables, folder):
    images, boxes = tables
    folds = stratified_folds(Photos(images, boxes))
    writing.write_set(tmp_path / "a.tar", Photos(images, boxes, folder), folds=folds, seed=42)
    target = reading.extract(tmp_path / "a.tar", tmp_path / "set")
    manifest = reading.read_manifest(target)
    pd.testing.assert_frame_equal(manifest, reading.read_manifest(tmp_path / "a.tar"))
    assert list(manifest.columns) == list(yolo.COLUMNS)
    assert manifest["fold"].tolist() == folds.tolist()
    assert set(manifest["seed"]) == {42}
    with ImageReader(folder) as archives, ImageReader(target) as extracted:
        for row, copy in zip(
            images.itertuples(), reading.read_tables(target)[0].itertuples(), strict=True
        ):
            source = archives.bytes(row.archive, row.member)
            assert extracted.bytes(copy.archive, copy.member) == source
            assert (
                manifest.set_index("image_id").loc[row.image_id, "sha256"]
                == hashlib.sha256(source).hexdigest()
            )
    assert yaml.safe_load((target / "data.yaml").read_text())["names"] == {0: "pig", 1: "cow"}


@pytest.mark.parametrize("size", [(96, 64), (1920, 1080), (9999, 9997)])
def test_labels_give_the_pixels_back(tmp_path, tables, folder, size):
    images, boxes = tables
    images = images.assign(width_px=size[0], height_px=size[1])
    boxes[XYXY] *= [size[0] / 96, size[1] / 64, size[0] / 96, size[1] / 64]
    for path in (tmp_path / "a.tar", tmp_path / "a"):
        writing.write_set(path, Photos(images, boxes, folder))
        images_back, boxes_back = reading.read_tables(path)
        assert (
            boxes_back[["image_id", "species"]].values.tolist()
            == boxes[["image_id", "species"]].values.tolist()
        )
        assert np.abs(boxes_back[XYXY].to_numpy() - boxes[XYXY].to_numpy()).max() <= 1e-3
        same = ["image_id", "species", "width_px", "height_px"]
        assert images_back[same].values.tolist() == images[same].values.tolist()


def test_labels_are_what_yolov5_reads(tmp_path, folder):
    images, _ = write_archives(folder, 2)
    row = ("livestock_cow_bbox_000000", "cow", 0.0, 0.0, 48.0, 16.0)
    writing.write_set(
        tmp_path / "a",
        Photos(images, pd.DataFrame([row], columns=["image_id", "species", *XYXY]), folder),
    )
    texts = {p.stem: p.read_text() for p in (tmp_path / "a" / "labels").iterdir()}
    assert texts == {
        "livestock_cow_bbox_000000": "1 0.250000000 0.125000000 0.500000000 0.250000000\n",
        "livestock_pig_bbox_000000": "",
    }


def test_same_input_same_bytes(tmp_path, tables, folder):
    images, boxes = tables
    writing.write_set(tmp_path / "a.tar", Photos(images, boxes, folder), seed=1)
    mixed = images.sample(frac=1, random_state=0)
    writing.write_set(tmp_path / "elsewhere" / "b.tar", Photos(mixed, boxes, folder), seed=1)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "elsewhere" / "b.tar").read_bytes()
    writing.write_set(tmp_path / "a", Photos(images, boxes, folder), seed=1)
    assert files_of(tmp_path / "a") == files_of(reading.extract(tmp_path / "a.tar", tmp_path / "b"))


def test_gnu_tar_reads_it(tmp_path, tables, folder):
    images, boxes = tables
    writing.write_set(tmp_path / "a.tar", Photos(images, boxes, folder))
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getnames()
        tar.extractall(tmp_path / "plain", filter="data")
    assert names[:2] == ["manifest.csv", "data.yaml"]
    assert len(names) == 2 + 2 * len(images)
    assert files_of(tmp_path / "plain") == files_of(
        reading.extract(tmp_path / "a.tar", tmp_path / "ours")
    )
    assert (tmp_path / "a.tar").stat().st_size % tarfile.RECORDSIZE == 0


def test_long_korean_ids_survive(tmp_path, folder):
    folder.mkdir()
    image_id = "축사_" + "가" * 60
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("x.jpg", jpeg(1))
    row = (image_id, "pig", 96, 64, "x.zip", "x.jpg")
    images = pd.DataFrame(
        [row], columns=["image_id", "species", "width_px", "height_px", "archive", "member"]
    )
    boxes = pd.DataFrame(
        [(image_id, "pig", 1.0, 2.0, 30.0, 40.0)], columns=["image_id", "species", *XYXY]
    )
    writing.write_set(tmp_path / "a.tar", Photos(images, boxes, folder))
    reading.extract(tmp_path / "a.tar", tmp_path / "set")
    assert reading.read_tables(tmp_path / "set")[1]["x_max"].tolist() == [30.0]


def test_boxes_are_clipped_dropped_and_counted(tmp_path, folder, caplog):
    images, _ = write_archives(folder, 2)
    cow = "livestock_cow_bbox_000000"
    corners = [
        (-5.0, 10.0, 20.0, 30.0),  # clipped
        (80.0, 50.0, 200.0, 90.0),  # clipped
        (100.0, 10.0, 120.0, 30.0),  # outside
        (5.0, 5.0, 5.0, 9.0),  # without extent
        (np.nan, 5.0, 9.0, 9.0),
        (1.0, 1.0, 4.0, 4.0),  # 9 px2
        (1.0, 1.0, 40.0, 40.0),
    ]
    boxes = pd.DataFrame(
        [(cow, "cow", *box) for box in corners], columns=["image_id", "species", *XYXY]
    )
    with caplog.at_level(logging.INFO):
        writing.write_set(tmp_path / "a.tar", Photos(images, boxes, folder), min_box_area_px=10)
    assert caplog.messages == [
        "a.tar: 2 images, 3 boxes; 2 boxes clipped to the frame, 3 dropped as outside it or "
        "without extent, 1 left out as too small"
    ]
    assert reading.read_tables(tmp_path / "a.tar")[1][XYXY].values.tolist() == [
        [0, 10, 20, 30],
        [80, 50, 96, 64],
        [1, 1, 40, 40],
    ]


def test_min_box_area_is_off_by_default(tmp_path, folder):
    images, _ = write_archives(folder, 2)
    tiny = pd.DataFrame(
        [("livestock_cow_bbox_000000", "cow", 1.0, 1.0, 1.5, 1.5)],
        columns=["image_id", "species", *XYXY],
    )
    path = writing.write_set(tmp_path / "a.tar", Photos(images, tiny, folder))
    assert reading.read_manifest(path)["boxes"].sum() == 1


@pytest.fixture
def fields(tmp_path):
    """Five photos without livestock, one in a sub-folder."""
    (tmp_path / "fields" / "more").mkdir(parents=True)
    for i in range(5):
        (tmp_path / "fields" / ("more" if i == 4 else ".") / f"field{i}.JPG").write_bytes(jpeg(i))
    return tmp_path / "fields"


def test_backgrounds_have_empty_labels(tmp_path, folder, fields):
    images, boxes = write_archives(folder, 40)
    folds = stratified_folds(Photos(images, boxes), 4)
    train = writing.write_set(
        tmp_path / "Train_Dataset.tar",
        Photos(images, boxes, folder).fold(folds, 0, others=True),
        folds=folds,
        backgrounds=fields,
        background_share=0.1,
        seed=3,
    )
    manifest = reading.read_manifest(train)
    extra = manifest[manifest["species"] == "background"]
    assert len(extra) == 3  # 3 of 33 is the tenth that was asked for
    assert extra["fold"].isna().all()
    assert set(extra["archive"]) == {"fields"}
    target = reading.extract(train, tmp_path / "train")
    for image_id, member in zip(extra["image_id"], extra["member"], strict=True):
        assert (target / "labels" / f"{image_id}.txt").read_bytes() == b""
        assert (target / "images" / f"{image_id}.jpg").read_bytes() == (
            fields / member
        ).read_bytes()
    assert "background" not in set(reading.read_tables(target)[0]["species"])


def test_too_few_backgrounds_are_all_taken_with_a_warning(tmp_path, folder, fields, caplog):
    images, boxes = write_archives(folder, 60)
    path = writing.write_set(
        tmp_path / "a.tar", Photos(images, boxes, folder), backgrounds=fields, background_share=0.1
    )
    written = reading.read_manifest(path)
    assert (written["species"] == "background").sum() == 5
    assert "only 5 photos for a background share of 0.1" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background_share": 0.05}, "needs photos: give their folder as backgrounds"),
        ({"backgrounds": "fields", "background_share": 0.2}, r"must lie in \[0, 0.1\], got 0.2"),
        ({"backgrounds": "data", "background_share": 0.1}, "no JPEG in the background folder"),
    ],
)
def test_bad_backgrounds(tmp_path, tables, folder, options, message):
    options = {k: tmp_path / v if k == "backgrounds" else v for k, v in options.items()}
    with pytest.raises(DatasetError, match=message):
        writing.write_set(tmp_path / "a.tar", Photos(*tables, folder), **options)
    assert not (tmp_path / "a.tar").exists()


def test_extracting_again_copies_nothing_but_clears_caches(tmp_path, tables, folder):
    writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    target = reading.extract(tmp_path / "a.tar", tmp_path / "set")
    photo = next((target / "images").iterdir())
    before = photo.stat()
    for stale in (target / "labels.cache", target / "labels" / "train.cache"):
        stale.write_bytes(b"old labels")
    reading.extract(tmp_path / "a.tar", target)
    assert photo.stat().st_ino == before.st_ino
    assert not list(target.rglob("*.cache"))


@pytest.mark.parametrize(
    "damage",
    ["label edited", "label gone", "photo cut", "photo gone", "photo too many", "other set"],
)
def test_extracting_again_mends_what_differs(tmp_path, tables, folder, damage):
    images, boxes = tables
    writing.write_set(tmp_path / "a.tar", Photos(images, boxes, folder))
    target = reading.extract(tmp_path / "a.tar", tmp_path / "set")
    whole = files_of(target)
    label, photo = (
        sorted((target / "labels").iterdir())[0],
        sorted((target / "images").iterdir())[0],
    )
    match damage:
        case "label edited":
            label.write_text("0 .5 .5 .1 .1\n")
        case "label gone":
            label.unlink()
        case "photo cut":
            photo.write_bytes(photo.read_bytes()[:-1])
        case "photo gone":
            photo.unlink()
        case "photo too many":
            shutil.copy(photo, photo.with_name("other.jpg"))
        case "other set":
            writing.write_set(target, Photos(images[:3], boxes, folder))
    assert files_of(reading.extract(tmp_path / "a.tar", target)) == whole


def hostile(name="images/x.jpg", **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (hostile("../outside.txt"), "the name leads outside"),
        (hostile("images/../../outside.txt"), "the name leads outside"),
        (hostile("/outside.txt"), "the name leads outside"),
        (hostile("C:\\outside.txt"), "the name leads outside"),
        (hostile(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link, device or sparse file"),
        (hostile(type=tarfile.LNKTYPE, linkname="manifest.csv"), "a link, device or sparse file"),
        (hostile(type=tarfile.CHRTYPE), "a link, device or sparse file"),
        (hostile(type=tarfile.FIFOTYPE), "a link, device or sparse file"),
        (hostile("extra.sh"), "not in the manifest, or twice"),
        (hostile("manifest.csv/x"), "not in the manifest, or twice"),
    ],
)
def test_hostile_members_are_refused_and_nothing_is_written(
    tmp_path, tables, folder, member, message
):
    writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    with tarfile.open(tmp_path / "a.tar", "a") as tar:
        tar.addfile(member)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(DatasetError, match=message):
        reading.extract(tmp_path / "a.tar", tmp_path / "set")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def rewritten(path, change):
    """The tar again, member by member through `change(name, data) -> data or None`."""
    members = [(name, tars.read_whole(path, name, file)) for name, file in tars.members(path)]
    with path.open("wb") as file:
        tar = tars.TarWriter(file)
        for name, data in members:
            if (new := change(name, data)) is not None:
                tar.add(name, new)
        tar.close()


LAST = "livestock_pig_bbox_000005"


def in_last_row(old, new):
    """A change of the manifest's last row."""

    def change(name, data):
        if name != "manifest.csv":
            return data
        start = data.rindex(b"\n", 0, -1)
        return data[:start] + data[start:].replace(old.encode(), new.encode(), 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, data: None if name == "manifest.csv" else data, "has no manifest.csv"),
        (
            lambda name, data: None if name.endswith(f"{LAST}.jpg") else data,
            f"lacks 1 files, the first is .images/{LAST}",
        ),
        (
            lambda name, data: data[:-1] if name.endswith(f"{LAST}.jpg") else data,
            "not what the manifest says",
        ),
        (
            lambda name, data: data + b"0 .5 .5 .1 .1\n" * name.endswith(f"{LAST}.txt"),
            "not what the manifest says",
        ),
        (
            lambda name, data: b"a,b\n1,2\n" if name == "manifest.csv" else data,
            "manifest.csv: columns .* are lacking",
        ),
        (
            lambda name, data: b"\xff\xfe" if name == "manifest.csv" else data,
            "manifest.csv is damaged",
        ),
        (
            lambda name, data: (
                data.replace(LAST.encode(), b"../../escape") if name == "manifest.csv" else data
            ),
            "cannot be a file name",
        ),
        (in_last_row(LAST, "a" * 300), "manifest.csv: image id 'a+' cannot .* 250 bytes at most"),
        (in_last_row(",96,", ",0,"), "manifest.csv: 1 images have no frame size, the first is"),
        (in_last_row(",96,", f",{10**30},"), "manifest.csv is damaged"),
        (in_last_row(",,", ",9.5,"), "manifest.csv is damaged"),
    ],
)
def test_damaged_sets_are_refused(tmp_path, tables, folder, change, message):
    writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    rewritten(tmp_path / "a.tar", change)
    with pytest.raises(DatasetError, match=message) as caught:
        reading.extract(tmp_path / "a.tar", tmp_path / "set")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("keep", [0, 100, 700, -30_000])
def test_cut_tars_are_refused(tmp_path, tables, folder, keep):
    writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[:keep])
    with pytest.raises(DatasetError, match=r"a\.tar"):
        reading.extract(tmp_path / "a.tar", tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("read", [reading.read_tables, reading.read_manifest])
def test_sets_that_are_not_there(tmp_path, read):
    with pytest.raises(DatasetError, match=r"tar not found: .*nothing\.tar"):
        read(tmp_path / "nothing.tar")
    with pytest.raises(DatasetError, match=r"has no manifest\.csv"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 .5 .5 .1\n", "expected lines of a class and four shares"),
        ("7 .5 .5 .1 .1\n", "labels name class 7"),
    ],
)
def test_foreign_labels_are_refused(tmp_path, tables, folder, text, message):
    writing.write_set(tmp_path / "set", Photos(*tables, folder))
    (tmp_path / "set" / "labels" / f"{LAST}.txt").write_text(text)
    with pytest.raises(DatasetError, match=message):
        reading.read_tables(tmp_path / "set")


def test_a_wrong_crc_leaves_the_older_tar(tmp_path, tables, folder):
    writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    before = (tmp_path / "a.tar").read_bytes()
    packed = bytearray((folder / "pig.zip").read_bytes())
    packed[200] ^= 0xFF  # inside the first, stored photo
    (folder / "pig.zip").write_bytes(packed)
    for name in ("a.tar", "set"):
        with pytest.raises(ArchiveError, match=r"pig\.zip, member livestock_pig_bbox_000000\.jpg"):
            writing.write_set(tmp_path / name, Photos(*tables, folder))
    assert (tmp_path / "a.tar").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "data"]


def no_disk(monkeypatch, free):
    monkeypatch.setattr(
        set_folder.shutil,
        "disk_usage",
        lambda path: shutil._ntuple_diskusage(10**9, 10**9 - free, free),
    )


@pytest.mark.parametrize("name", ["a.tar", "a"])
def test_a_small_disk_is_refused_before_anything_is_written(
    tmp_path, tables, folder, monkeypatch, name
):
    no_disk(monkeypatch, 1000)
    with pytest.raises(
        DatasetError, match=r"needs 0\.00 GB, .* free; make room or write elsewhere"
    ):
        writing.write_set(tmp_path / "out" / name, Photos(*tables, folder))
    assert not (tmp_path / "out").exists()


def test_the_space_asked_for_is_the_tar_s_size(tmp_path, tables, folder, monkeypatch):
    writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    size = (tmp_path / "a.tar").stat().st_size
    no_disk(monkeypatch, size)
    writing.write_set(tmp_path / "b.tar", Photos(*tables, folder))
    no_disk(
        monkeypatch, size - 12_000
    )  # the end of a tar may take up to a record of 10,240 bytes more
    with pytest.raises(DatasetError, match="make room"):
        writing.write_set(tmp_path / "c.tar", Photos(*tables, folder))


def test_a_disk_that_fills_up_is_one_line(tmp_path, tables, folder, monkeypatch):
    def full(self, name, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tars.TarWriter, "add", full)
    with pytest.raises(DatasetError, match=r"no space left while writing .*a\.tar; make room"):
        writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_targets_in_the_way(tmp_path, tables, folder):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "full.tar").mkdir()
    writing.write_set(tmp_path / "a.tar", Photos(*tables, folder))
    cases = [
        (
            lambda: writing.write_set(tmp_path / "full.tar", Photos(*tables, folder)),
            "a folder has that name",
        ),
        (
            lambda: writing.write_set(tmp_path / "file" / "a.tar", Photos(*tables, folder)),
            "file is a file; give another folder",
        ),
        (
            lambda: writing.write_set(tmp_path / "file", Photos(*tables, folder)),
            "it is a file; give another name",
        ),
        (
            lambda: writing.write_set(tmp_path / "full", Photos(*tables, folder)),
            "holds other files",
        ),
        (
            lambda: reading.extract(tmp_path / "a.tar", tmp_path / "file"),
            "it is a file; give another name",
        ),
        (lambda: reading.extract(tmp_path / "a.tar", tmp_path / "full"), "holds other files"),
    ]
    for call, message in cases:
        with pytest.raises(DatasetError, match=message):
            call()
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.iloc[:0], "the images table is empty"),
        (lambda images: pd.concat([images, images[:1]]), "stands more than once"),
        (
            lambda images: images.assign(image_id=["../" + i for i in images["image_id"]]),
            "cannot be a file name",
        ),
        (
            lambda images: images.assign(image_id=["." + i for i in images["image_id"]]),
            "cannot be a file name",
        ),
        (lambda images: images.assign(width_px=0), "12 images have no frame size"),
    ],
)
def test_bad_tables(tmp_path, tables, folder, change, message):
    images, boxes = tables
    with pytest.raises(DatasetError, match=message):
        writing.write_set(tmp_path / "a.tar", Photos(change(images), boxes, folder))
    assert not (tmp_path / "a.tar").exists()


def test_folds_must_name_every_image(tmp_path, tables, folder):
    images, boxes = tables
    with pytest.raises(DatasetError, match="1 of 12 images have no fold"):
        writing.write_set(
            tmp_path / "a.tar",
            Photos(images, boxes, folder),
            folds=stratified_folds(Photos(images, boxes))[1:],
        )


def test_what_a_killed_run_left_is_cleared(tmp_path, tables, folder):
    (tmp_path / ".set.part" / "images").mkdir(parents=True)
    (tmp_path / ".set.part" / "images" / "half.jpg").write_bytes(b"half")
    writing.write_set(tmp_path / "set", Photos(*tables, folder))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "set"]
    assert not (tmp_path / "set" / "images" / "half.jpg").exists()


def test_a_set_survives_a_kill_between_the_renames(tmp_path, tables, folder):
    writing.write_set(tmp_path / "set", Photos(*tables, folder))
    (tmp_path / "set").rename(tmp_path / ".set.old")
    with pytest.raises(OSError, match="disk"), set_folder.whole_folder(tmp_path / "set"):
        raise OSError("disk")
    assert len(reading.read_manifest(tmp_path / "set")) and not (tmp_path / ".set.old").exists()


def test_data_yaml_joins_sets(tmp_path, tables, folder):
    train = tmp_path / "train"
    for path in (train, tmp_path / "silver", tmp_path / "valid"):
        writing.write_set(path, Photos(*tables, folder))
    path = writing.write_data_yaml(
        tmp_path / "run" / "data.yaml", [train, tmp_path / "silver"], tmp_path / "valid"
    )
    base = tmp_path.as_posix()
    assert yaml.safe_load(path.read_text()) == {
        "train": [f"{base}/train/images", f"{base}/silver/images"],
        "val": f"{base}/valid/images",
        "nc": 2,
        "names": {0: "pig", 1: "cow"},
    }


def test_data_yaml_of_a_folder_without_images(tmp_path):
    with pytest.raises(DatasetError, match="has no images/ in it; extract the set there first"):
        writing.write_data_yaml(tmp_path / "data.yaml", tmp_path, tmp_path)


def test_no_more_photos_in_memory_than_the_read_ahead(tmp_path, folder, monkeypatch):
    """Reads run at most the read-ahead in front of the photo being written."""
    images, boxes = write_archives(folder, 60)
    reads, written, lead = [], [], []
    read, add = ImageReader.bytes, tars.TarWriter.add

    def counted_read(self, archive, member):
        reads.append(member)
        lead.append(len(reads) - len(written))
        return read(self, archive, member)

    def counted_add(self, name, data):
        if name.startswith("images/"):
            written.append(name)
        return add(self, name, data)

    monkeypatch.setattr(ImageReader, "bytes", counted_read)
    monkeypatch.setattr(tars.TarWriter, "add", counted_add)
    writing.write_set(tmp_path / "a.tar", Photos(images, boxes, folder))
    assert len(written) == len(images)
    assert max(lead) <= writing._READ_AHEAD + 1


def test_a_manifest_keeps_its_length_when_hashes_come_in(tables):
    images, boxes = tables
    plan = yolo.plan(images, boxes)
    before = yolo.manifest_bytes(plan.manifest)
    plan.manifest["sha256"] = hashlib.sha256(b"x").hexdigest()
    assert len(before) == len(yolo.manifest_bytes(plan.manifest))
    assert pd.read_csv(io.BytesIO(before)).shape == (len(images), len(yolo.COLUMNS))


def test_a_box_of_an_unknown_species_is_told_before_an_image_is_read(tmp_path, tables):
    images, boxes = tables
    boxes.loc[3, "species"] = "goat"
    with pytest.raises(
        DatasetError,
        match=r"1 boxes are of 'goat' \(image '.*'\), a species that species.yaml lacks",
    ):
        writing.write_set(tmp_path / "a.tar", Photos(images, boxes, tmp_path / "nowhere"))
    assert not (tmp_path / "a.tar").exists()
