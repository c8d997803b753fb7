"""Photos: the images, their boxes, and where the bytes are."""

import io

import archive_makers as make
import pandas as pd
import pytest
from PIL import Image

import livestock_utils as lu
from livestock_utils.core import tables
from livestock_utils.core.errors import DatasetError

NONE = lu.Photos(pd.DataFrame(columns=tables.IMAGE_COLUMNS))


def photos(n: int, folder="somewhere") -> lu.Photos:
    """`n` photos p0, p1, ... of 8 x 6 px in turn pig and cow; p1 has one box, p2 two, ..."""
    rows = [(f"p{i}", ("pig", "cow")[i % 2], 8, 6, "", f"p{i}.png") for i in range(n)]
    boxes = [
        (f"p{i}", ("pig", "cow")[i % 2], 0.0, 0.0, 1.0, 2.0) for i in range(n) for _ in range(i)
    ]
    return lu.Photos(
        pd.DataFrame(rows, columns=tables.IMAGE_COLUMNS),
        pd.DataFrame(boxes, columns=tables.BOX_COLUMNS),
        folder,
    )


@pytest.mark.parametrize(
    ("made", "length", "text"),
    [
        (NONE, 0, "Photos: 0 images, 0 boxes, in ."),
        (photos(1), 1, "Photos: 1 image (1 pig), 0 boxes, in somewhere"),
        (photos(2), 2, "Photos: 2 images (1 cow, 1 pig), 1 box, in somewhere"),
        (photos(3), 3, "Photos: 3 images (1 cow, 2 pig), 3 boxes, in somewhere"),
    ],
)
def test_it_says_what_it_holds(made, length, text):
    assert (len(made), repr(made)) == (length, text)


def ids(part: lu.Photos) -> tuple[list[str], list[str]]:
    """The ids of images and of boxes; the place of the bytes is that of all."""
    assert part.folder == "somewhere"
    return part.images["image_id"].tolist(), part.boxes["image_id"].tolist()


FOLDS = pd.Series({"p0": 0, "p1": 1, "p2": 0})


@pytest.mark.parametrize(
    ("part", "images", "boxes"),
    [
        (lambda all: all.select([]), [], []),
        (lambda all: all.select(["p2", "p1"]), ["p1", "p2"], ["p1", "p2", "p2"]),
        (lambda all: all.fold(FOLDS, 1), ["p1"], ["p1"]),
        (lambda all: all.fold(FOLDS, 1, others=True), ["p0", "p2"], ["p2", "p2"]),
        (lambda all: all.sample(0), [], []),
        (lambda all: all.sample(9), ["p0", "p1", "p2"], ["p1", "p2", "p2"]),
        (lambda all: all.with_boxes(all.boxes.iloc[1:]), ["p0", "p1", "p2"], ["p2", "p2"]),
    ],
)
def test_parts_of_it(part, images, boxes):
    assert ids(part(photos(3))) == (images, boxes)


def test_a_sample_is_the_same_for_a_seed_and_another_for_another():
    drawn = [ids(photos(50).sample(5, seed))[0] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [len(set(one)) for one in drawn] == [5, 5, 5]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: photos(3).select(["p1", "q"]),
            "1 of 2 image ids are not among the 3 photos, .*'q'",
        ),
        (lambda: NONE.select(["q"]), "not among the 0 photos"),
        (
            lambda: photos(3).fold(FOLDS.iloc[:2], 0),
            "1 of 3 images have no fold, the first is 'p2'",
        ),
        (lambda: photos(3).fold(FOLDS, 5), "no image is in fold 5; the folds are"),
        (lambda: photos(3).open("q"), "no photo 'q' among 3"),
        (lambda: NONE.open("q"), "no photo 'q' among 0"),
    ],
)
def test_what_is_not_there(wrong, message):
    with pytest.raises(DatasetError, match=message):
        wrong()


def test_complete_adds_the_animals_that_only_the_truth_knows(tmp_path):
    assert ids(photos(2).complete(tmp_path)) == (["p0", "p1"], ["p1"])  # no truth there
    photos(3).boxes.assign(image_id=["p0", "p1", "p2"]).to_csv(tmp_path / "truth.csv", index=False)
    assert ids(photos(2).complete(tmp_path)) == (["p0", "p1"], ["p0", "p1"])


def test_tables_on_disk_give_the_same_photos_back(tmp_path):
    tables.write_tables(tmp_path, photos(3).images, photos(3).boxes)
    again = lu.Photos.read_tables(tmp_path, "somewhere")
    assert repr(again) == repr(photos(3))
    pd.testing.assert_frame_equal(again.boxes, photos(3).boxes)


class Camera:
    """Frames that are no files: white, 8 x 6 px."""

    def bytes(self, archive: str, member: str) -> bytes:
        stream = io.BytesIO()
        Image.new("RGB", (8, 6), "white").save(stream, "png")
        return stream.getvalue()

    def stamp(self, archive: str, member: str) -> str:
        return "one"


def plain_files(folder):
    for image_id in photos(2).images["image_id"]:
        (folder / f"{image_id}.png").write_bytes(Camera().bytes("", ""))
    return photos(2, folder)


def from_a_source(folder):
    return lu.Photos(photos(2).images, source=Camera())


def from_archives(folder):
    return lu.read_archives(make.write(folder, make.four_archives()))


@pytest.mark.parametrize("made", [plain_files, from_a_source, from_archives])
def test_open_and_fingerprint(made, tmp_path):
    all_photos = made(tmp_path)
    row = all_photos.images.iloc[-1]
    image = all_photos.open(row["image_id"])
    assert (image.mode, *image.size) == ("RGB", row["width_px"], row["height_px"])
    last = all_photos.select([row["image_id"]])
    prints = [one.fingerprint() for one in (all_photos, all_photos.sample(9), last)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 64


def test_the_fingerprint_tells_other_bytes_under_the_same_name(tmp_path):
    made = plain_files(tmp_path)
    before = made.fingerprint()
    (tmp_path / "p1.png").write_bytes(b"other")
    other = made.fingerprint()
    (tmp_path / "p1.png").unlink()
    assert len({before, other, made.fingerprint()}) == 3
