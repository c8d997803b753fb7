"""Labels out to an annotation tool and back: round trips, flags, diffs, and files that do not
fit."""

import json

import pandas as pd
import pytest

from livestock_utils.core import tables
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.evaluate.labels import exchange, report
from livestock_utils.show.words import labels as words

COLUMNS = ["image_id", "species", *XYXY]
IMAGES = pd.DataFrame(
    {
        "image_id": ["a", "b", "c"],
        "species": "cow",
        "width_px": [200, 100, 100],
        "height_px": [100, 100, 100],
    }
)
BOXES = pd.DataFrame(
    [("a", "cow", 0, 0, 50.25, 40), ("a", "pig", 60, 10, 120, 90), ("b", "cow", 5, 5, 20, 30)],
    columns=COLUMNS,
).astype(dict.fromkeys(XYXY, float))
SUGGESTED = pd.DataFrame([("c", "cow", 10.0, 10.0, 40.0, 40.0, 0.91)], columns=[*COLUMNS, "score"])


@pytest.mark.parametrize(
    ("write", "name"), [(exchange.write_coco, "labels.json"), (exchange.write_yolo, "yolo")]
)
@pytest.mark.parametrize(
    ("boxes", "suggestions", "changes"),
    [
        (BOXES.iloc[:0], SUGGESTED[:0], {}),
        (BOXES, SUGGESTED[:0], {"kept": 3}),
        (BOXES, SUGGESTED, {"kept": 3, "added": 1}),
    ],
)
def test_round_trip(tmp_path, write, name, boxes, suggestions, changes):
    path = write(tmp_path / name, Photos(IMAGES, boxes), suggestions)
    back = exchange.read_corrected(path, IMAGES)
    assert exchange.diff(boxes, back)["change"].value_counts().to_dict() == changes
    assert back.attrs["image_ids"] == ["a", "b", "c"]
    assert len(report.corrections(path, Photos(IMAGES, boxes))[0]) == sum(changes.values())


def test_suggested_boxes_are_flagged(tmp_path):
    coco = json.loads(
        exchange.write_coco(tmp_path / "x.json", Photos(IMAGES, BOXES), SUGGESTED).read_text()
    )
    assert [entry["attributes"] for entry in coco["annotations"]][-1] == {
        "suggested": True,
        "score": 0.91,
    }
    assert [entry["attributes"]["suggested"] for entry in coco["annotations"]] == [
        False,
        False,
        False,
        True,
    ]
    folder = exchange.write_yolo(tmp_path / "yolo", Photos(IMAGES, BOXES), SUGGESTED)
    classes = (folder / "obj.names").read_text().split()
    assert (
        classes[int((folder / "obj_train_data" / "c.txt").read_text().split()[0])]
        == "cow_suggested"
    )


def test_coco_opens_in_pycocotools(tmp_path):
    coco_module = pytest.importorskip("pycocotools.coco")
    coco = coco_module.COCO(
        str(exchange.write_coco(tmp_path / "x.json", Photos(IMAGES, BOXES), SUGGESTED))
    )
    assert len(coco.getAnnIds()) == 4
    assert {entry["name"] for entry in coco.loadCats(coco.getCatIds())} == {"pig", "cow"}


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (BOXES.iloc[:0], {"removed": 3}),
        (BOXES.assign(x_max=BOXES["x_max"] + 3), {"moved": 3}),
        (BOXES.assign(x_max=BOXES["x_max"] + 0.2), {"kept": 3}),
        (BOXES.assign(species="pig"), {"species": 2, "kept": 1}),
        (
            BOXES.assign(x_min=BOXES["x_min"] + 70, x_max=BOXES["x_max"] + 70),
            {"added": 3, "removed": 3},
        ),
    ],
)
def test_diff(after, changes):
    assert exchange.diff(BOXES, after)["change"].value_counts().to_dict() == changes


def test_images_that_were_not_corrected_stay(tmp_path):
    path = exchange.write_coco(
        tmp_path / "x.json", Photos(IMAGES.iloc[:1], BOXES.iloc[:1]), BOXES[:0]
    )
    boxes, changes = report.corrections(path, Photos(IMAGES, BOXES))
    assert boxes["image_id"].tolist() == ["a", "b"]
    assert words.corrections(changes) == ""
    table = report.changes_table(changes).set_index("species")
    assert table.loc["cow", ["kept", "removed", "added"]].tolist() == [1, 0, 0]
    assert table.loc["pig", ["kept", "removed", "added"]].tolist() == [0, 1, 0]


def test_no_corrections_change_nothing():
    boxes, changes = report.corrections("", Photos(IMAGES, BOXES))
    assert boxes is BOXES
    assert list(changes.columns) == [*COLUMNS, "change", "iou"] and changes.empty
    assert report.changes_table(changes).empty
    assert "No corrected labels were given" in words.corrections(changes)


def test_corrected_tables_replace_the_labels(tmp_path):
    images = IMAGES.assign(archive="x.zip", member="a.jpg")
    tables.write_tables(tmp_path, images, BOXES.iloc[:2])
    photos = Photos(images, BOXES)
    assert photos.corrected("") is photos
    pd.testing.assert_frame_equal(photos.corrected(tmp_path).boxes, BOXES.iloc[:2])
    with pytest.raises(
        DatasetError, match=r"labels of other images: 1 are only there.*first is 'c'"
    ):
        Photos(images.iloc[:2], BOXES).corrected(tmp_path)
    with pytest.raises(DatasetError, match="holds no corrected tables: notebook 06"):
        photos.corrected(tmp_path / "none")


def test_label_files_of_an_earlier_list_go(tmp_path):
    exchange.write_yolo(tmp_path, Photos(IMAGES, BOXES), BOXES[:0])
    exchange.write_yolo(tmp_path, Photos(IMAGES.iloc[:1], BOXES.iloc[:1]), BOXES[:0])
    assert [path.name for path in (tmp_path / "obj_train_data").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("write", [exchange.write_coco, exchange.write_yolo])
def test_an_unknown_species_cannot_be_exported(tmp_path, write):
    with pytest.raises(DatasetError, match="unknown species 'goat'"):
        write(tmp_path / "x", Photos(IMAGES, BOXES), SUGGESTED.assign(species="goat"))


COCO = {
    "categories": [{"id": 1, "name": "cow"}],
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [],
}


def coco(bbox=(10, 10, 20, 20), **change):
    """COCO content with one box in image a, 200 x 100 px."""
    return json.dumps(
        {
            **COCO,
            "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": bbox}],
            **change,
        }
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(coco().encode("utf-8-sig"), id="byte-order mark"),
        pytest.param(
            coco(categories=[{"id": 1, "name": "cow"}, {"id": 2, "name": "person"}]).encode(),
            id="unused class",
        ),
        pytest.param(
            coco(images=[{"id": 1, "file_name": "images\\a.jpg"}]).encode(), id="Windows path"
        ),
        pytest.param(
            coco(images=[{"id": 1, "file_name": "images/1a2b3c4d-a.jpg"}]).encode(),
            id="Label Studio's prefix",
        ),
    ],
)
def test_what_tools_add_to_coco_is_taken(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert exchange.read_corrected(tmp_path / "x.json", IMAGES).to_numpy().tolist() == [
        ["a", "cow", 10, 10, 30, 30]
    ]


def test_a_name_that_looks_like_an_upload_is_left_alone_where_it_is_known(tmp_path):
    (tmp_path / "x.json").write_text(coco(images=[{"id": 1, "file_name": "1a2b3c4d-a.jpg"}]))
    images = IMAGES.assign(image_id=["a", "1a2b3c4d-a", "c"])
    assert exchange.read_corrected(tmp_path / "x.json", images)["image_id"].tolist() == [
        "1a2b3c4d-a"
    ]


def test_boxes_are_clipped_to_the_frame(tmp_path):
    (tmp_path / "x.json").write_text(coco([-5, 90, 20, 20]))
    boxes = exchange.read_corrected(tmp_path / "x.json", IMAGES)
    assert boxes[XYXY].to_numpy().tolist() == [[0, 90, 15, 100]]


def frame(width, height):
    return {"images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}]}


def marked(**entries):
    box = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]}
    return {"annotations": [{**box, **entries}]}


SAYS = [
    (frame(200, 100), [[10, 10, 30, 30]], ""),
    (frame(100, 50), [[20, 20, 60, 60]], "1 images are labelled at another size"),
    (frame(0, None), [[10, 10, 30, 30]], ""),
    (marked(iscrowd=1), [], "1 boxes are around groups"),
    (marked(bbox=[10, 10, 40, 20], attributes={"rotation": 90}), [[20, 0, 40, 40]], "are turned"),
]


@pytest.mark.parametrize(("change", "expected", "told"), SAYS)
def test_what_a_corrected_file_says_of_itself_counts(change, expected, told, tmp_path, caplog):
    (tmp_path / "x.json").write_text(coco(**change))
    boxes = exchange.read_corrected(tmp_path / "x.json", IMAGES)
    assert boxes[XYXY].to_numpy().tolist() == expected
    assert boxes.attrs["image_ids"] == ["a"]
    assert (told in caplog.text) if told else not caplog.text


def test_labels_of_a_frame_with_exchanged_sides_are_refused(tmp_path):
    (tmp_path / "x.json").write_text(coco(**frame(100, 200)))
    told = "image 'a' has 100 x 200 px in its label, the photo has 200 x 100: the sides are exch"
    with pytest.raises(DatasetError, match=told):
        exchange.read_corrected(tmp_path / "x.json", IMAGES)


@pytest.mark.parametrize("place", [".", "obj_train_data", "project-1/labels/train"])
def test_yolo_files_may_lie_at_any_depth(tmp_path, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "1a2b3c4d-a.txt").write_text("1 .5 .5 .1 .2\n", encoding="utf-8-sig")
    (tmp_path / "classes.txt").write_text("person\ncow_suggested\n", encoding="utf-8-sig")
    (tmp_path / "train.txt").write_text("data/obj_train_data/a.jpg\n")
    assert exchange.read_corrected(tmp_path, IMAGES).to_numpy().tolist() == [
        ["a", "cow", 90, 40, 110, 60]
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not found"),
        ("{", "not COCO detection JSON"),
        (json.dumps({"images": []}), "not COCO detection JSON .KeyError"),
        (coco(categories=[{"id": 1, "name": "goat"}]), "unknown class 'goat'"),
        (
            json.dumps({**COCO, "images": [{"id": 1, "file_name": "z.jpg"}]}),
            "labels of other images.*first is 'z'",
        ),
        (coco([1, 2, 3]), r"annotation 5 of image 'a': expected a bbox of four numbers"),
        (coco([1, 2, 3, 4, 5]), r"annotation 5 of image 'a': expected a bbox of four numbers"),
        (coco([1, 2, "3", 4]), r"annotation 5 of image 'a': expected a bbox of four numbers"),
        (
            coco([1, 2, float("nan"), 4]),
            "annotation 5 of image 'a': a box needs four finite numbers",
        ),
        (
            coco([50, 50, -10, 10]),
            "annotation 5 of image 'a': a box needs four finite numbers and an extent",
        ),
        (
            coco([50, 50, 0, 10]),
            "annotation 5 of image 'a': a box needs four finite numbers and an extent",
        ),
        (
            coco([300, 50, 10, 10]),
            "annotation 5 of image 'a': the box .* lies outside its frame of 200 x 100 px",
        ),
        (
            coco(images=[{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b/a.jpg"}]),
            "holds image 'a' twice",
        ),
        (
            coco(images=[{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]),
            "two images have one id",
        ),
        (coco(images=[]), "not COCO detection JSON .KeyError: 1"),
    ],
)
def test_bad_coco_gets_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        exchange.read_corrected(tmp_path / "x.json", IMAGES)


@pytest.mark.parametrize(
    ("names", "text", "message"),
    [
        (None, "", "neither obj.names nor classes.txt"),
        ("cow\n", "1 .5 .5 .1 .1\n", "class 1, but obj.names lists 1"),
        ("cow\n", "0 .5 .5\n", "expected lines of a class and four shares"),
        ("goat\n", "0 .5 .5 .1 .1\n", "unknown class 'goat'"),
        ("cow\n", "-1 .5 .5 .1 .1\n", "box 1: class -1, but obj.names lists 1"),
        (
            "cow\n",
            "0 .5 .5 .1 .1\n0 .5 nan .1 .1\n",
            "a.txt, box 2: a box needs four finite numbers",
        ),
        ("cow\n", "0 .5 .5 0 .1\n", "box 1: a box needs four finite numbers and an extent"),
        ("cow\n", "0 1.5 .5 .1 .1\n", "box 1: the box .* lies outside its frame"),
    ],
)
def test_bad_yolo_gets_one_line(tmp_path, names, text, message):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(text)
    if names is not None:
        (tmp_path / "obj.names").write_text(names)
    with pytest.raises(DatasetError, match=message):
        exchange.read_corrected(tmp_path, IMAGES)


def test_a_yolo_folder_without_label_files_is_told(tmp_path):
    (tmp_path / "classes.txt").write_text("cow\n")
    with pytest.raises(DatasetError, match="holds no label file"):
        exchange.read_corrected(tmp_path, IMAGES)


def test_a_yolo_image_that_is_there_twice_is_told(tmp_path):
    (tmp_path / "classes.txt").write_text("cow\n")
    for name in ("train", "valid"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("0 .5 .5 .1 .1\n")
    with pytest.raises(DatasetError, match="holds image 'a' twice"):
        exchange.read_corrected(tmp_path, IMAGES)
