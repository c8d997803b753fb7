"""Predictions of other detectors: each file form gives the same table, and faults are a line."""

import json

import numpy as np
import pandas as pd
import pytest

from livestock_utils import contest_score, read_predictions
from livestock_utils.core.boxes import XYXY, xyxy_to_xywhn
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos

IMAGES = pd.DataFrame({"image_id": ["a", "b"], "width_px": [200, 100], "height_px": [100, 80]})
PHOTOS = Photos(IMAGES)
TABLE = pd.DataFrame(
    [
        ["a", "cow", 10.0, 20.0, 60.0, 70.0, 0.75],
        ["a", "pig", 0.0, 0.0, 30.0, 30.0, 0.5],
        ["b", "pig", 5.0, 5.0, 50.0, 75.0, 0.25],
    ],
    columns=["image_id", "species", *XYXY, "confidence"],
)


def as_ours(folder, table):
    table.to_csv(folder / "predictions.csv", index=False)
    return folder / "predictions.csv", {}


def as_contest(folder, table):
    names = {"image_id": "ImageID", "species": "LabelName", "confidence": "Conf"}
    names |= {"x_min": "XMin", "x_max": "XMax", "y_min": "YMin", "y_max": "YMax"}
    renamed = table.rename(columns=names)
    renamed["ImageID"] += ".jpg"
    renamed.to_csv(folder / "submission.csv", index=False)
    return folder / "submission.csv", {}


def as_coco(folder, table, kinds=("pig", "cow")):
    ids, codes = {"a": 11, "b": 7}, {"pig": 3, "cow": 9}
    told = {
        "images": [{"id": ids[name], "file_name": f"sub/{name}.jpg"} for name in ids],
        "categories": [{"id": codes[c], "name": k} for c, k in zip(codes, kinds, strict=True)],
    }
    rows = [
        {
            "image_id": ids[row["image_id"]],
            "category_id": codes[row["species"]],
            "bbox": [
                *(row["x_min"], row["y_min"]),
                *(row["x_max"] - row["x_min"], row["y_max"] - row["y_min"]),
            ],
            "score": row["confidence"],
        }
        for row in table.to_dict("records")
    ]
    (folder / "annotations.json").write_text(json.dumps(told))
    (folder / "results.json").write_text(json.dumps(rows))
    return folder / "results.json", {"annotations": folder / "annotations.json"}


def as_yolo(folder, table, codes=(("pig", 0), ("cow", 1))):
    code = dict(codes)
    for name, part in table.groupby("image_id"):
        size = IMAGES.set_index("image_id").loc[name]
        xywhn = xyxy_to_xywhn(part[XYXY], *size)
        rows = np.column_stack([part["species"].map(code), xywhn, part["confidence"]])
        np.savetxt(folder / f"{name}.txt", rows)
    (folder / "empty").mkdir(exist_ok=True)
    return folder, {}


@pytest.mark.parametrize("write", [as_ours, as_contest, as_coco, as_yolo])
@pytest.mark.parametrize("n", [0, 3])
def test_every_form_gives_the_same_table(tmp_path, write, n):
    path, options = write(tmp_path, TABLE.head(n))
    found = read_predictions(path, PHOTOS, **options)
    pd.testing.assert_frame_equal(found, TABLE.head(n), check_dtype=n > 0)


def test_classes_are_mapped_by_name_or_number(tmp_path):
    path, options = as_coco(tmp_path, TABLE, kinds=("sus", "cattle"))
    found = read_predictions(path, PHOTOS, classes={"sus": "pig", "cattle": "cow"}, **options)
    pd.testing.assert_frame_equal(found, TABLE)
    with pytest.raises(DatasetError, match=r"of other classes than \['pig', 'cow'\].*'cattle'"):
        read_predictions(path, PHOTOS, classes={"sus": "pig"}, **options)
    (tmp_path / "yolo").mkdir()
    folder, _ = as_yolo(tmp_path / "yolo", TABLE, (("pig", 18), ("cow", 19)))
    found = read_predictions(folder, PHOTOS, classes={"18": "pig", "19": "cow"})
    pd.testing.assert_frame_equal(found, TABLE)


def test_they_score_as_ours(tmp_path):
    path, options = as_coco(tmp_path, TABLE)
    answers = TABLE.drop(columns="confidence").rename(
        columns={"image_id": "ImageID", "species": "LabelName"}
    )
    size = IMAGES.set_index("image_id").loc[answers["ImageID"]]
    for end, name in (("min", "Min"), ("max", "Max")):
        answers[f"X{name}"] = answers.pop(f"x_{end}") / size["width_px"].to_numpy()
        answers[f"Y{name}"] = answers.pop(f"y_{end}") / size["height_px"].to_numpy()
    found = read_predictions(path, PHOTOS, **options)
    assert contest_score(answers, found, normaliser="image", images=IMAGES)[0] == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "image_id,species\na,pig\n", "the column 'x_min' is missing; expected"),
        ("p.csv", TABLE.assign(image_id="zz").to_csv(), "3 of 3 boxes are of images that are not"),
        ("p.csv", TABLE.assign(confidence="high").to_csv(), "3 of 3 boxes have no confidence"),
        (
            "p.csv",
            TABLE.assign(**{name: TABLE[name] / 200 for name in XYXY}).to_csv(),
            "coordinates reach 0.375 only, they are shares; give pixels",
        ),
        ("r.json", "{}", "not COCO's results, a list of boxes"),
        ("r.json", "[{", "not JSON"),
        ("r.json", '[{"image_id": "a"}]', "each box needs image_id, category_id, bbox"),
        (
            "y/a.txt",
            "0 .5 .5 .2 .2\n",
            "rows of 5 numbers, expected class, x, y, width, height, con",
        ),
        ("y/a.txt", "pig .5\n", "not rows of numbers"),
        ("y/zz.txt", "0 .5 .5 .2 .2 .9\n", "there is no photo of this name among the 2"),
        ("absent.csv", None, "absent.csv"),
    ],
)
def test_faults_are_a_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if text is not None:
        path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_predictions(path.parent if name.endswith(".txt") else path, PHOTOS)
    assert "\n" not in str(caught.value)


def test_annotations_of_another_form_are_refused(tmp_path):
    path, options = as_coco(tmp_path, TABLE)
    options["annotations"].write_text('{"images": [{"id": 1}]}')
    with pytest.raises(DatasetError, match="images and categories with id and name are expected"):
        read_predictions(path, PHOTOS, **options)
