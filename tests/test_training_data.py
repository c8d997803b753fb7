"""What a training reads: every fault named by file and line, caches equal to decoding anew, batches
as yolov5's."""

import contextlib
import io
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from archive_makers import png_header
from data_sets import jpeg
from PIL import Image
from training_sets import write_set

from livestock_utils.core import frames
from livestock_utils.core.archives import open_archive
from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.data.aihub import integrity, reading
from livestock_utils.detect import yolov5
from livestock_utils.detect.settings import read_hyp
from livestock_utils.detect.train import cache
from livestock_utils.detect.train import data as training_data


@pytest.fixture
def data(tmp_path):
    return write_set(tmp_path / "set", n_train=3, n_valid=2)


def label_of(data, number=0, part="train"):
    return sorted((data.parent / part / "labels").glob("*.txt"))[number]


def test_images_labels_and_sizes_are_read(data):
    found = training_data.read_data(data)
    assert found.names == ("pig", "cow")
    assert [len(part.files) for part in (found.train, found.valid)] == [3, 2]
    assert found.train.sizes_px.tolist() == [[96, 64]] * 3
    assert found.train.n_boxes == sum(
        len(label_of(data, number).read_text().splitlines()) for number in range(3)
    )
    assert found.train.findings == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"line 1: class 2, but data.yaml names 2 classes \(0 to 1\)"),
        ("0.5 0.5 0.5 0.1 0.1", "line 1: class 0.5, but"),
        ("0 0.5 0.5 0.1 0.1\n1 1.2 0.5 0.1 0.1", "line 2: expected a class and four shares"),
        ("0 -0.1 0.5 0.1 0.1", "line 1: expected a class and four shares"),
        ("0 0.5 0.5 0.1", "line 1: expected a class and four shares"),
        ("pig 0.5 0.5 0.1 0.1", "line 1: expected a class and four shares in .*, got 'pig 0.5"),
        ("0 nan 0.5 0.1 0.1", "line 1: expected a class and four shares"),
    ],
)
def test_a_bad_label_is_named_by_file_and_line(data, text, message):
    label_of(data).write_text(text)
    with pytest.raises(DatasetError, match=rf"{label_of(data).name}, {message}"):
        training_data.read_data(data)


def test_empty_and_repeated_rows(data):
    label_of(data, 0).write_text("\n \n")
    label_of(data, 1).write_text("1 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n")
    labels = training_data.read_data(data).train.labels
    assert labels[0].shape == (0, 5)
    assert labels[1][:, 0].tolist() == [0, 1]  # sorted, as yolov5 leaves them when it drops repeats


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [pig, cow]", "lacks train, val"),
        ("", "lacks train, val, names"),
        (
            "{train: absent, val: valid/images, names: [pig, cow]}",
            "train: .*absent is no folder and no .txt list",
        ),
        (
            "{train: valid/labels, val: valid/images, names: [pig, cow]}",
            "no images in valid/labels; expected files",
        ),
    ],
)
def test_a_bad_yaml_is_told(data, text, message):
    data.write_text(text)
    with pytest.raises(DatasetError, match=message):
        training_data.read_data(data)


def test_a_set_without_boxes_cannot_train(data):
    for number in range(3):
        label_of(data, number).write_text("")
    with pytest.raises(
        DatasetError, match="the 3 training images have no boxes; check the labels folder"
    ):
        training_data.read_data(data)


def test_lists_folders_and_path_name_the_same_images(data):
    expected = training_data.read_data(data)
    listed = "\n".join(
        f"./train/images/{name}.jpg"
        for name in (
            "livestock_pig_bbox_000001",
            "livestock_pig_bbox_000000",
            "livestock_pig_bbox_000002",
        )
    )
    (data.parent / "train.txt").write_text(listed + "\n")
    elsewhere = data.parent.parent / "elsewhere.yaml"
    elsewhere.write_text(
        f"path: {data.parent}\ntrain: train.txt\nval: [valid/images]\nnames: {{1: cow, 0: pig}}\n"
    )
    found = training_data.read_data(elsewhere)
    assert found.train.files == expected.train.files and found.sha256 == expected.sha256


def test_the_digest_follows_labels_and_not_places(data, tmp_path):
    expected = training_data.read_data(data).sha256
    assert (
        training_data.read_data(write_set(tmp_path / "moved", n_train=3, n_valid=2)).sha256
        == expected
    )
    label_of(data).write_text("0 0.5 0.5 0.2 0.2\n")
    assert training_data.read_data(data).sha256 != expected


def test_damaged_images_are_counted_and_appended_bytes_are_not_damage(data):
    images = sorted((data.parent / "train" / "images").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:-200])
    images[1].write_bytes(images[1].read_bytes() + b"trailing")
    images[2].write_bytes(b"")
    found = training_data.read_data(data).train
    assert found.files == (str(images[1]),)
    assert found.findings == (
        ("damaged image, left out", images[0].name),
        ("damaged image, left out", images[2].name),
    )
    assert images[1].read_bytes().endswith(b"trailing")  # yolov5 would have rewritten it
    images[1].write_bytes(b"")
    with pytest.raises(DatasetError, match="none of 3 images can be read"):
        training_data.read_data(data)


@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("size", [48, 96, 128])
def test_caches_hold_what_decoding_gives(data, tmp_path, monkeypatch, size, augment):
    monkeypatch.setenv("LIVESTOCK_CACHE", str(tmp_path / "cache"))
    part = training_data.read_data(data).train
    anew = [cache.read_resized(file, size, augment) for file in part.files]
    for kind in ("ram", "disk", "disk"):
        images = cache.filled(kind, part.files, part.sizes_px, size, augment)
        for kept, expected in zip(images, anew, strict=True):
            np.testing.assert_array_equal(kept, expected)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_changed_image_gets_a_new_disk_cache(data, tmp_path, monkeypatch):
    monkeypatch.setenv("LIVESTOCK_CACHE", str(tmp_path / "cache"))
    part = training_data.read_data(data).train
    cache.filled("disk", part.files, part.sizes_px, 48, True)
    cv2.imwrite(part.files[0], np.zeros((64, 96, 3), dtype=np.uint8))
    assert not cache.filled("disk", part.files, part.sizes_px, 48, True)[0].any()


def wanted_of(data):
    found = training_data.read_data(data)
    return [
        (found.train.files, found.train.sizes_px, True),
        (found.valid.files, found.valid.sizes_px, False),
    ]


TRAIN_BYTES, VALID_BYTES = 3 * 48 * 32 * 3, 2 * 48 * 32 * 3


@pytest.mark.parametrize(
    ("kind", "memory", "disk", "copies", "expected", "told"),
    [
        (None, 0, 0, 1, None, ""),
        ("ram", TRAIN_BYTES + VALID_BYTES, 0, 1, "ram", ""),
        (
            "ram",
            TRAIN_BYTES + VALID_BYTES - 1,
            TRAIN_BYTES + VALID_BYTES,
            1,
            "disk",
            "'ram' needs .* on the local disk",
        ),
        (
            "ram",
            TRAIN_BYTES + VALID_BYTES,
            0,
            2,
            None,
            "'ram' needs .* and cache='disk' needs .*: every epoch decodes",
        ),
        ("ram", 2 * TRAIN_BYTES + VALID_BYTES, 0, 2, "ram", ""),
        ("disk", 0, TRAIN_BYTES + VALID_BYTES, 1, "disk", ""),
        (
            "disk",
            10**9,
            TRAIN_BYTES + VALID_BYTES - 1,
            1,
            None,
            r"^cache='disk' needs 0\.0 GB of .*every epoch decodes",
        ),
    ],
)
def test_both_sets_must_fit_into_the_cache_together(
    data, tmp_path, monkeypatch, kind, memory, disk, copies, expected, told
):
    monkeypatch.setenv("LIVESTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SHARE", 1)
    monkeypatch.setattr(cache.psutil, "virtual_memory", lambda: SimpleNamespace(available=memory))
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda place: SimpleNamespace(free=disk))
    chosen, sentence = cache.chosen(kind, wanted_of(data), 48, copies)
    assert chosen == expected
    assert re.search(told, sentence) if told else sentence == ""


def test_a_disk_cache_that_is_there_needs_no_room(data, tmp_path, monkeypatch):
    monkeypatch.setenv("LIVESTOCK_CACHE", str(tmp_path / "cache"))
    for files, sizes_px, augment in wanted_of(data):
        cache.filled(
            "disk", files[::-1], sizes_px[::-1], 48, augment
        )  # the order of the files does not matter
    monkeypatch.setattr(cache, "SHARE", 0)
    assert cache.chosen("disk", wanted_of(data), 48) == ("disk", "")


def test_a_new_disk_cache_replaces_the_folders_old_one_and_no_others(data, tmp_path, monkeypatch):
    monkeypatch.setenv("LIVESTOCK_CACHE", str(tmp_path / "cache"))
    (train, train_px, _), (valid, valid_px, _) = wanted_of(data)
    first = cache.filled("disk", train, train_px, 48, True)
    cache.filled("disk", valid, valid_px, 48, False)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "cache").iterdir()}
    assert sorted(sizes.values()) == [VALID_BYTES, TRAIN_BYTES]
    cache.filled("disk", train, train_px, 64, True)
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert len(names) == 2 and len(names & set(sizes)) == 1
    np.testing.assert_array_equal(
        first[0], cache.read_resized(train[0], 48, True)
    )  # still readable


def test_few_images_are_decoded_ahead_of_a_slow_disk(data, tmp_path, monkeypatch):
    monkeypatch.setenv("LIVESTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "WINDOW", 0)
    (files, sizes_px, augment), _ = wanted_of(data)
    read, decoded, stored = cache.read_resized, [], []

    def counted(file, *arguments, **options):
        decoded.append(file)
        return read(file, *arguments, **options)

    class Disk:
        def __init__(self, file):
            self.file = file

        def write(self, piece):
            stored.append(len(decoded))
            return self.file.write(piece)

    whole = cache.whole_file
    monkeypatch.setattr(cache, "read_resized", counted)
    monkeypatch.setattr(cache, "whole_file", lambda path: _through(whole, Disk, path))
    cache.filled("disk", files, sizes_px, 48, augment)
    assert stored == [1, 2, 3]


@contextlib.contextmanager
def _through(whole, disk, path):
    with whole(path) as file:
        yield disk(file)


@pytest.mark.parametrize("augment", [True, False])
def test_batches_are_those_of_yolov5s_own_data_set(tmp_path, augment):
    import random

    data = write_set(tmp_path / "set", n_train=5, size_px=(96, 64))
    upright = data.parent / "train" / "images" / "livestock_pig_bbox_000002.jpg"
    cv2.imwrite(str(upright), np.zeros((90, 60, 3), np.uint8))
    found = training_data.read_data(data)
    hyp = read_hyp(None)
    with yolov5.yolov5() as y5:
        base = y5.dataloaders.LoadImagesAndLabels
        theirs = base(
            str(data.parent / "train" / "images"),
            64,
            2,
            augment=augment,
            hyp=hyp,
            rect=not augment,
            stride=32,
            pad=0.0 if augment else 0.5,
            workers=0,
        )
        ours = training_data.dataset_class(base)(
            found.train, 64, 2, hyp, 32, augment, yolov5.keep_as_it_is, None
        )
        assert ours.im_files == theirs.im_files
        for index in range(len(ours)):
            random.seed(index)
            np.random.seed(index)
            image, labels, path, shapes = theirs[index]
            random.seed(index)
            np.random.seed(index)
            again = ours[index]
            assert image.equal(again[0]) and labels.equal(again[1]) and (path, shapes) == again[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_those_after_exif_rotation(tmp_path, orientation):
    photo = Image.new("RGB", (40, 20))
    exif = photo.getexif()
    exif[274] = orientation
    photo.save(tmp_path / "a.jpg", exif=exif)
    height, width = cv2.imread(str(tmp_path / "a.jpg")).shape[:2]
    assert training_data.image_size(str(tmp_path / "a.jpg")).tolist() == [width, height]
    assert reading.Photo(
        "pig", open_archive(tmp_path.parent, tmp_path.name), "a.jpg"
    ).size_from_header() == (width, height)


@pytest.mark.parametrize(
    ("cut", "more", "whole"),
    [
        (None, b"", True),
        (None, b"\0" * 4000, True),
        (None, b"notes\xff\xd9", True),
        (-2, b"", False),
        (-60, b"", False),
    ],
)
def test_one_rule_says_what_a_truncated_photo_is(tmp_path, cut, more, whole):
    file = tmp_path / "data" / "[원천]소_bbox" / "a.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(jpeg(0)[:cut] + more)
    assert (training_data.image_size(str(file)) is not None) == whole
    assert frames.is_truncated(file.read_bytes()) != whole
    label = file.parents[1] / "[라벨]소_bbox" / "a.json"
    label.parent.mkdir()
    label.write_text('{"label_info": {"image": {}, "annotations": []}}')
    assert ("image_truncated" in integrity.check(file.parents[1])["kind"].tolist()) != whole


def packed(kind, size=(40, 20), mode="RGB", **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind, **options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.mark.parametrize(
    ("name", "data", "size"),
    [
        ("a.png", b"", None),
        ("a.png", packed("PNG"), [40, 20]),
        ("a.png", packed("PNG") + bytes(900), [40, 20]),
        ("a.png", packed("PNG")[:-30], None),
        ("a.png", packed("PNG", exif=turned(6)), [20, 40]),
        ("a.webp", packed("WEBP", exif=turned(6)), [20, 40]),
        ("a.webp", packed("WEBP")[:-90], None),
        ("a.tif", packed("TIFF"), [40, 20]),
        ("a.tif", packed("TIFF", exif=turned(3)), [40, 20]),
        ("a.tif", packed("TIFF", exif=turned(6)), [20, 40]),
        ("a.tif", packed("TIFF", mode="F"), None),
        ("a.tif", packed("TIFF", mode="I"), None),
        ("a.tif", packed("TIFF")[:-900], None),
        ("a.bmp", packed("BMP"), [40, 20]),
        ("a.bmp", packed("BMP")[:-900], None),
    ],
)
def test_pillow_and_opencv_judge_by_one_rule(name, data, size, tmp_path):
    file = tmp_path / name
    file.write_bytes(data)
    found = training_data.image_size(str(file))
    assert (None if found is None else found.tolist()) == size
    if size is None:
        with pytest.raises(ArchiveError):
            frames.decode(data)
    else:
        assert frames.decode(data).shape[1::-1] == tuple(size)
        assert cache.read_resized(str(file), 40, augment=True).shape[1::-1] == tuple(size)


@pytest.mark.parametrize("size", [(10_001, 10_000), (20_000, 10_000), (60_000, 60_000)])
def test_huge_images_are_left_out_and_counted(data, size):
    first = sorted((data.parent / "train" / "images").iterdir())[0]
    first.write_bytes(png_header(*size))
    found = training_data.read_data(data).train
    assert str(first) not in found.files and len(found.files) == len(found.labels) == 2
    assert found.findings == (("image above 100 megapixels, left out", first.name),)


@pytest.mark.parametrize("kind", [None, "ram", "disk"])
@pytest.mark.parametrize("augment", [True, False])
def test_a_picture_that_cannot_be_decoded_does_not_stop_a_training(
    data, kind, augment, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("LIVESTOCK_CACHE", str(tmp_path / "cache"))
    part = training_data.read_data(data).train
    whole = packed("PNG", tuple(part.sizes_px[0].tolist()))
    middle = len(whole) // 2
    Path(part.files[0]).write_bytes(whole[:middle] + bytes(9) + whole[middle + 9 :])
    with yolov5.yolov5() as y5:
        base = y5.dataloaders.LoadImagesAndLabels
        images = training_data.dataset_class(base)(
            part, 64, 2, read_hyp(None), 32, augment, yolov5.keep_as_it_is, kind
        )
        assert len(part.labels[0]) > 0
        where = images.im_files.index(part.files[0])
        seen = [images[where] for _ in range(2)]
    assert all(one[0].shape[0] == 3 for one in seen)
    assert len(images.labels[where]) == 0
    assert all(len(images.labels[i]) for i in range(len(images)) if i != where)
    assert caplog.text.count("cannot be decoded; a blank picture") == 1
    Path(part.files[0]).unlink()
    if kind is None:
        with pytest.raises(DatasetError, match="cannot be decoded any more"):
            images[where]
