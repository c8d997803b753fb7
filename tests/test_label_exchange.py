"""Labels out to an annotation tool and back: round trips, flags, diffs, and files that do not fit."""

import json

import pandas as pd
import pytest

from livestock_utils import label_exchange, missing_report
from livestock_utils.boxes import XYXY
from livestock_utils.errors import DatasetError

COLUMNS = ["image_id", "species", *XYXY]
IMAGES = pd.DataFrame({"image_id": ["a", "b", "c"], "species": "cow", "width_px": [200, 100, 100],
                       "height_px": [100, 100, 100]})
BOXES = pd.DataFrame([("a", "cow", 0, 0, 50.25, 40), ("a", "pig", 60, 10, 120, 90), ("b", "cow", 5, 5, 20, 30)],
                     columns=COLUMNS).astype(dict.fromkeys(XYXY, float))
SUGGESTED = pd.DataFrame([("c", "cow", 10.0, 10.0, 40.0, 40.0, 0.91)], columns=[*COLUMNS, "score"])


@pytest.mark.parametrize(("write", "name"), [(label_exchange.write_coco, "labels.json"),
                                             (label_exchange.write_yolo, "yolo")])
@pytest.mark.parametrize(("boxes", "suggestions", "changes"), [
    (BOXES.iloc[:0], None, {}),
    (BOXES, None, {"kept": 3}),
    (BOXES, SUGGESTED, {"kept": 3, "added": 1}),
])
def test_round_trip(tmp_path, write, name, boxes, suggestions, changes):
    path = write(tmp_path / name, IMAGES, boxes, suggestions)
    back = label_exchange.read_corrected(path, IMAGES)
    assert label_exchange.diff(boxes, back)["change"].value_counts().to_dict() == changes
    assert back.attrs["image_ids"] == ["a", "b", "c"]
    assert len(label_exchange.apply_corrections(boxes, back)) == sum(changes.values())


def test_suggested_boxes_are_flagged(tmp_path):
    coco = json.loads(label_exchange.write_coco(tmp_path / "x.json", IMAGES, BOXES, SUGGESTED).read_text())
    assert [entry["attributes"] for entry in coco["annotations"]][-1] == {"suggested": True, "score": 0.91}
    assert [entry["attributes"]["suggested"] for entry in coco["annotations"]] == [False, False, False, True]
    folder = label_exchange.write_yolo(tmp_path / "yolo", IMAGES, BOXES, SUGGESTED)
    classes = (folder / "obj.names").read_text().split()
    assert classes[int((folder / "obj_train_data" / "c.txt").read_text().split()[0])] == "cow_suggested"


def test_coco_opens_in_pycocotools(tmp_path):
    coco_module = pytest.importorskip("pycocotools.coco")
    coco = coco_module.COCO(str(label_exchange.write_coco(tmp_path / "x.json", IMAGES, BOXES, SUGGESTED)))
    assert len(coco.getAnnIds()) == 4
    assert {entry["name"] for entry in coco.loadCats(coco.getCatIds())} == {"pig", "cow"}


@pytest.mark.parametrize(("after", "changes"), [
    (BOXES.iloc[:0], {"removed": 3}),
    (BOXES.assign(x_max=BOXES["x_max"] + 3), {"moved": 3}),
    (BOXES.assign(x_max=BOXES["x_max"] + 0.2), {"kept": 3}),
    (BOXES.assign(species="pig"), {"species": 2, "kept": 1}),
    (BOXES.assign(x_min=BOXES["x_min"] + 70, x_max=BOXES["x_max"] + 70), {"added": 3, "removed": 3}),
])
def test_diff(after, changes):
    assert label_exchange.diff(BOXES, after)["change"].value_counts().to_dict() == changes


def test_images_that_were_not_corrected_stay(tmp_path):
    path = label_exchange.write_coco(tmp_path / "x.json", IMAGES.iloc[:1], BOXES.iloc[:1])
    boxes, said = missing_report.corrections(path, IMAGES, BOXES)
    assert boxes["image_id"].tolist() == ["a", "b"]
    assert said == "The corrected labels: 1 kept and 1 removed."
    assert missing_report.corrections("", IMAGES, BOXES)[0] is BOXES


COCO = {"categories": [{"id": 1, "name": "cow"}], "images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}


@pytest.mark.parametrize(("content", "message"), [
    (None, "not found"),
    ("{", "not COCO detection JSON"),
    (json.dumps({"images": []}), "not COCO detection JSON .KeyError"),
    (json.dumps({**COCO, "categories": [{"id": 1, "name": "goat"}]}), "unknown class 'goat'"),
    (json.dumps({**COCO, "images": [{"id": 1, "file_name": "z.jpg"}]}), "labels of other images.*first is 'z'"),
])
def test_bad_coco_gets_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        label_exchange.read_corrected(tmp_path / "x.json", IMAGES)


@pytest.mark.parametrize(("names", "text", "message"), [
    (None, "", "neither obj.names nor classes.txt"),
    ("cow\n", "1 .5 .5 .1 .1\n", "class 1, but obj.names lists 1"),
    ("cow\n", "0 .5 .5\n", "expected lines of a class and four shares"),
    ("goat\n", "", "unknown class 'goat'"),
])
def test_bad_yolo_gets_one_line(tmp_path, names, text, message):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(text)
    if names is not None:
        (tmp_path / "obj.names").write_text(names)
    with pytest.raises(DatasetError, match=message):
        label_exchange.read_corrected(tmp_path, IMAGES)
