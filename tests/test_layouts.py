"""Labelled photos in the layouts of other tools: found, read to the same tables, faults told."""

import json
import logging
import os
import shutil
from pathlib import Path

import layout_makers as make
import numpy as np
import pandas as pd
import pytest
from archive_makers import jpeg
from click.testing import CliRunner
from PIL import Image

import livestock_utils as lu
from livestock_utils.cli import cli
from livestock_utils.core import species, tables
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ArchiveError, DatasetError, LivestockError
from livestock_utils.data.eda import bins
from livestock_utils.data.layouts import reading, writing
from livestock_utils.detect.tune import steps
from livestock_utils.show.pipeline import driver

COLUMNS = ["image_id", "species", "width_px", "height_px", "archive", "member"]


def boxes_of(photos):
    rows = photos.boxes[["image_id", "species", *XYXY]].to_numpy().tolist()
    return sorted((name, kind, tuple(np.round(xyxy, 6).tolist())) for name, kind, *xyxy in rows)


def kinds_of(folder, **options):
    found = lu.check(folder, read_all=False, **options)
    return found.groupby("kind")["value"].sum().to_dict()


def first_box(folder):
    """Corners of the only pig of photo a, or None."""
    boxes = lu.read_photos(folder).boxes
    pigs = boxes.loc[(boxes["image_id"] == "a") & (boxes["species"] == "pig"), XYXY]
    assert len(pigs) <= 1
    return tuple(pigs.iloc[0].round(3).tolist()) if len(pigs) else None


# ---- the tables ----


@pytest.mark.parametrize("layout", make.LAYOUTS)
def test_every_layout_gives_the_same_tables(layout, tmp_path):
    photos = lu.read_photos(make.LAYOUTS[layout](tmp_path))
    assert reading.find(tmp_path).layout == layout
    assert list(photos.images) == COLUMNS
    assert photos.images["image_id"].tolist() == ["a", "b", "c"]
    assert photos.images["species"].tolist() == ["cow", "pig", ""]
    assert photos.images[["width_px", "height_px"]].to_numpy().tolist() == [
        list(size) for size in make.SIZES.values()
    ]
    assert boxes_of(photos) == sorted(make.BOXES)
    assert photos.open("b").size == (80, 60)
    assert kinds_of(tmp_path) == {}


def test_photos_without_any_box_and_no_photos_at_all(tmp_path):
    make.coco(tmp_path / "box", make.coco_content() | {"annotations": []})
    make.coco(tmp_path / "photo", {"images": [], "annotations": [], "categories": []})
    for name in ("box", "photo"):
        told = rf"COCO \(labels.json\) gives no {name} that can be used \(it lists none\)"
        with pytest.raises(LivestockError, match=told):
            lu.read_photos(tmp_path / name)
        done = CliRunner().invoke(cli, ["check", str(tmp_path / name)])
        assert done.exit_code == 1 and f"gives no {name} that can be used" in done.output


def test_photos_without_labels_are_told_what_is_looked_for(tmp_path):
    make.photos(tmp_path)
    for command in (["check"], ["convert", "--to", "coco"]):
        places = [str(tmp_path), str(tmp_path / "out")][: 1 + (command != ["check"])]
        done = CliRunner().invoke(cli, [*command, *places])
        assert done.exit_code == 1
        assert "no labels found in a layout that is known (looked for AI Hub, YOLO" in done.stderr


@pytest.mark.parametrize(
    ("empty", "told"),
    [(0, {}), (10, {}), (19, {"labels_empty": 19})],
)
def test_empty_files_of_cvat_are_doubted_when_they_are_most(empty, told, tmp_path):
    (tmp_path / "obj.names").write_text("pig\ncow\n")
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg((64 + number, 48)))
        row = "" if number < empty else "0 .5 .5 .3 .3\n"
        (tmp_path / f"{number}.txt").write_text(row)
    assert kinds_of(tmp_path) == told


def test_a_number_too_large_for_a_box_is_told_in_one_line(tmp_path):
    content = make.coco_content()
    content["annotations"][0]["bbox"][0] = 10**400
    make.coco(tmp_path, content)
    with pytest.raises(DatasetError, match=r"is not what COCO writes \(OverflowError: .*again"):
        lu.read_photos(tmp_path)


def test_images_that_cannot_be_decoded_are_told_whatever_their_kind(tmp_path):
    make.yolo(tmp_path)
    picture = Image.fromarray(np.arange(64 * 48, dtype=np.uint8).reshape(48, 64) % 251)
    for name in ("a.bmp", "b.bmp"):
        (tmp_path / "images" / name).with_suffix(".jpg").unlink()
        picture.save(tmp_path / "images" / name)
    whole = (tmp_path / "images" / "b.bmp").read_bytes()
    (tmp_path / "images" / "b.bmp").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "images" / "c.jpg").unlink()
    Image.fromarray(np.ones((48, 64), dtype="float32")).save(tmp_path / "images" / "c.tif")
    found = lu.check(tmp_path)
    told = found.loc[found["kind"] == "image_unreadable", "member"].tolist()
    assert told == ["images/b.bmp", "images/c.tif"]


def test_at_a_tie_the_species_is_the_first_of_the_class_list(tmp_path):
    make.yolo(tmp_path)
    (tmp_path / "labels" / "a.txt").write_text("1 .5 .5 .2 .2\n0 .3 .3 .2 .2\n")
    assert lu.read_photos(tmp_path).images["species"].tolist() == ["pig", "pig", ""]


def test_ids_are_stems_or_the_path_where_two_are_alike(tmp_path):
    for part in ("train", "valid"):
        make.yolo(tmp_path / part)
    make.photos(tmp_path / "train" / "images", "d")
    (tmp_path / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnames: [pig, cow]\n"
    )
    photos = lu.read_photos(tmp_path)
    assert photos.images["image_id"].tolist() == [
        "d",
        *(f"{part}__images__{name}" for part in ("train", "valid") for name in "abc"),
    ]
    assert photos.images["part"].tolist() == ["train"] * 4 + ["valid"] * 3


def test_photos_may_lie_elsewhere_than_the_file_that_describes_them(tmp_path):
    make.yolo(tmp_path / "set")
    described = tmp_path / "elsewhere" / "barn.yaml"
    described.parent.mkdir()
    described.write_text(f"path: {tmp_path / 'set'}\ntrain: images\nnames: {{0: pig, 1: cow}}\n")
    photos = lu.read_photos(described)
    assert boxes_of(photos) == sorted(make.BOXES)
    assert photos.open("b").size == (80, 60)
    lu.write_set(tmp_path / "out.tar", photos)
    assert boxes_of(lu.open_set(tmp_path / "out.tar")) == sorted(make.BOXES)


def test_results_of_this_library_below_the_folder_are_not_read(tmp_path):
    make.coco(tmp_path)
    lu.write_set(tmp_path / "runs" / "local" / "Train", lu.read_photos(tmp_path))
    assert len(lu.read_photos(tmp_path)) == 3


def test_a_part_called_test_is_read_apart(tmp_path):
    make.coco(tmp_path / "train")
    content = make.coco_content()
    for entry in content["images"]:
        entry["file_name"] = f"t{entry['file_name']}"
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "labels.json").write_text(json.dumps(content))
    for name, size in make.SIZES.items():
        (tmp_path / "test" / f"t{name}.jpg").write_bytes(jpeg(size, shade=9))
    photos, tests = lu.read_photos(tmp_path), lu.read_photos(tmp_path, test=True)
    assert photos.images["image_id"].tolist() == ["a", "b", "c"]
    assert tests.images["image_id"].tolist() == ["ta", "tb", "tc"]
    assert len(photos.boxes) == len(tests.boxes) == len(make.BOXES)


# ---- YOLO ----

YOLO_ROWS = [
    ("", [], {}),
    ("0 .5 .5 .5 .5\n", [(16, 12, 48, 36)], {}),
    ("\ufeff0 .5 .5 .5 .5\n\n", [(16, 12, 48, 36)], {}),
    ("0 .25 .25 .75 .25 .75 .75\n", [(16, 12, 48, 36)], {}),  # a polygon
    ("0 .25 .25 .75 .25 .75 .75 .25 .75\n", [(16, 12, 48, 36)], {}),
    ("0 .5 .5 1.0 1.0000001\n", [(0, 0, 64, 48)], {}),  # rounding is no fault
    ("0 .5 .5 1.5 .5\n", [(0, 12, 64, 36)], {"box_clipped": 1}),
    ("0 .5 .5 .5\n", [], {"box_not_numbers": 1, "image_lost": 1}),
    ("0 .5 .5 .5 .5 .9\n", [], {"box_not_numbers": 1, "image_lost": 1}),
    ("0 nan .5 .5 .5\n0 .5 .5 .5 .5\n", [(16, 12, 48, 36)], {"box_not_numbers": 1}),
    ("pig .5 .5 .5 .5\n", [], {"box_not_numbers": 1, "image_lost": 1}),
    *(
        (f"{number} .5 .5 .5 .5\n", [], {"box_not_numbers": 1, "image_lost": 1})
        for number in ("-1", "nan", "inf", "-inf", "1e999")
    ),
    ("0 .5 .5 0 .5\n", [], {"box_inverted": 1, "image_lost": 1}),
    ("0 2 2 .1 .1\n", [], {"box_outside": 1, "image_lost": 1}),
    ("7 .5 .5 .5 .5\n", [], {"class_unknown": 1, "image_lost": 1}),
    (None, [], {"image_unlabelled": 1}),
]


@pytest.mark.parametrize(("text", "expected", "told"), YOLO_ROWS)
def test_rows_of_a_yolo_file(text, expected, told, tmp_path):
    make.yolo(tmp_path)
    path = tmp_path / "labels" / "a.txt"
    path.unlink() if text is None else path.write_text(text)
    photos = lu.read_photos(tmp_path)
    boxes = photos.boxes[photos.boxes["image_id"] == "a"]
    assert boxes[XYXY].round(3).to_numpy().tolist() == [list(map(float, box)) for box in expected]
    assert kinds_of(tmp_path) == told
    assert ("a" in set(photos.images["image_id"])) == ("image_lost" not in told)


def test_key_points_behind_a_yolo_box_are_left_out(tmp_path):
    make.yolo(tmp_path, "train: images\nkpt_shape: [1, 3]\nnames: [pig, cow]\n")
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .5 .5 .1 .2 2\n")
    boxes = lu.read_photos(tmp_path).boxes
    assert boxes[XYXY].iloc[0].tolist() == [16, 12, 48, 36]


def test_a_list_and_names_without_a_yaml(tmp_path):
    make.yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("pig\ncow\n")
    assert boxes_of(lu.read_photos(tmp_path)) == sorted(make.BOXES)
    (tmp_path / "train.txt").write_text("./images/a.jpg\n\nimages/b.jpg\n")
    (tmp_path / "set.yml").write_text("train: train.txt\ntest: later\nnames: [pig, cow]\n")
    assert lu.read_photos(tmp_path / "set.yml").images["image_id"].tolist() == ["a", "b"]


def test_a_photo_of_two_parts_counts_in_the_first(tmp_path):
    make.yolo(tmp_path, "train: images\nval: [images, ./]\nnames: [pig, cow]\n")
    photos = lu.read_photos(tmp_path)
    assert len(photos) == 3 and list(photos.images) == COLUMNS
    assert kinds_of(tmp_path) == {"in_two_parts": 3}


# ---- COCO ----


def changed(**entries):
    """COCO with entries of its first image (image_*) and its first annotation changed."""
    content = make.coco_content()
    for name, value in entries.items():
        which = "images" if name.startswith("image_") else "annotations"
        content[which][0][name.removeprefix("image_")] = value
    return content


RUNS = [4 * 48 + 6, 2, 46, 2, 64 * 48 - 4 * 48 - 6 - 50]
COCO_ENTRIES = [
    ({}, (4, 6, 20, 30), {}),
    ({"image_width": 128, "image_height": 96}, (2, 3, 10, 15), {"box_scaled": 1}),
    ({"image_width": None, "image_height": 0}, (4, 6, 20, 30), {}),
    ({"image_width": 48, "image_height": 64}, None, {"frame_differs": 1}),
    ({"image_width": 64, "image_height": 64}, None, {"frame_differs": 1}),
    ({"iscrowd": 1}, None, {"group_box": 1}),
    ({"attributes": {"rotation": 90.0}}, (0, 10, 24, 26), {"box_turned": 1}),
    ({"attributes": {"rotation": 360.0}}, (4, 6, 20, 30), {}),
    ({"bbox": []}, None, {"box_not_numbers": 1}),
    ({"bbox": "all"}, None, {"box_not_numbers": 1}),
    ({"bbox": [4, 6, "16.0", 24]}, (4, 6, 20, 30), {}),
    ({"bbox": None, "segmentation": [[4, 6, 20, 8, 9, 30]]}, (4, 6, 20, 30), {}),
    ({"bbox": None, "segmentation": {"size": [48, 64], "counts": RUNS}}, (4, 6, 6, 8), {}),
    ({"bbox": None, "segmentation": {"size": [48, 64], "counts": "V62^10n`2"}}, (4, 6, 6, 8), {}),
    (
        {"bbox": None, "segmentation": {"size": [48, 64], "counts": [3072]}},
        None,
        {"box_not_numbers": 1},
    ),
    ({"image_file_name": "gone.jpg"}, None, {"label_without_image": 1}),
    ({"image_file_name": "images/a.jpg"}, (4, 6, 20, 30), {}),
    ({"image_file_name": "C:\\barn\\a.jpeg"}, (4, 6, 20, 30), {}),
    ({"image_file_name": "0123abcd-a.jpg"}, (4, 6, 20, 30), {}),
]


@pytest.mark.parametrize(("entries", "expected", "told"), COCO_ENTRIES)
def test_what_a_coco_file_says_of_a_photo(entries, expected, told, tmp_path):
    make.coco(tmp_path, changed(**entries))
    assert first_box(tmp_path) == expected
    assert kinds_of(tmp_path) == told


def test_one_photo_in_two_coco_files_is_an_error(tmp_path):
    make.coco(tmp_path)
    (tmp_path / "more.json").write_text(json.dumps(make.coco_content()))
    with pytest.raises(ArchiveError, match=r"images/a.jpg is labelled in labels.json and again in"):
        lu.read_photos(tmp_path)
    assert kinds_of(tmp_path) == {"repeated_id": 3}
    assert boxes_of(lu.read_photos(tmp_path / "more.json")) == sorted(make.BOXES)


# ---- Pascal VOC ----

VOC_CHANGES = [
    ({}, (4, 6, 20, 30), {}),
    ({"xmin": "4.5"}, (4.5, 6, 20, 30), {}),
    ({"xmax": "70"}, (4, 6, 64, 30), {"box_clipped": 1}),
    ({"xmin": "left"}, None, {"box_not_numbers": 1}),
    ({"xmin": "30"}, None, {"box_inverted": 1}),
    ({"width": "0", "height": "0"}, (4, 6, 20, 30), {}),
    ({"width": "32.0", "height": "24.0"}, (8, 12, 40, 48), {"box_scaled": 1, "box_clipped": 3}),
    ({"width": "48", "height": "64"}, None, {"frame_differs": 1}),
    ({"filename": "other.jpg"}, (4, 6, 20, 30), {}),  # the file's own name counts
]


@pytest.mark.parametrize(("changes", "expected", "told"), VOC_CHANGES)
def test_what_a_voc_file_says(changes, expected, told, tmp_path):
    make.voc(tmp_path)
    (tmp_path / "Annotations" / "a.xml").write_text(make.voc_text("a", **changes))
    assert first_box(tmp_path) == expected
    assert kinds_of(tmp_path) == told


def test_voc_files_are_paired_by_name_then_by_filename_and_a_broken_one_is_told(tmp_path):
    make.voc(tmp_path)
    place = tmp_path / "Annotations"
    (place / "a.xml").rename(place / "frame_a.xml")
    (place / "b.xml").write_text("<annotation><object>")
    (place / "c.xml").write_text(make.voc_text("c", filename="c").replace("c", "z"))
    (tmp_path / "JPEGImages" / "c.jpg").unlink()
    assert lu.read_photos(tmp_path).images["image_id"].tolist() == ["a"]
    assert kinds_of(tmp_path) == {"label_unreadable": 1, "label_without_image": 1}


def test_the_lists_of_voc_part_the_photos(tmp_path):
    lists = make.voc(tmp_path) / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, text in {"train": "a\n", "val": "b\n", "test": "c\n", "cow_train": "a 1\n"}.items():
        (lists / f"{name}.txt").write_text(text)
    assert lu.read_photos(tmp_path).images["part"].tolist() == ["train", "valid"]
    assert lu.read_photos(tmp_path, test=True).images["image_id"].tolist() == ["c"]


# ---- CVAT ----

SHAPES = [
    ("", (4, 6, 20, 30), {}),
    (
        '<box label="pig" xtl="4" ytl="6" xbr="20" ybr="30" rotation="90.0"/>',
        (0, 10, 24, 26),
        {"box_turned": 1},
    ),
    ('<polygon label="pig" points="4.0,6.0;20.0,8.0;9,30"/>', (4, 6, 20, 30), {}),
    ('<mask label="pig" rle="3, 4" left="4" top="6" width="16" height="24"/>', (4, 6, 20, 30), {}),
    ('<points label="pig" points="4.0,6.0"/>', None, {}),
    ('<box label="pig" xtl="4" ytl="6" xbr="20"/>', None, {"box_not_numbers": 1}),
    ('<box label="hogg" xtl="4" ytl="6" xbr="20" ybr="30"/>', None, {"class_unknown": 1}),
]


@pytest.mark.parametrize(("shape", "expected", "told"), SHAPES)
def test_shapes_of_cvat(shape, expected, told, tmp_path):
    make.cvat(tmp_path, make.cvat_text(shape))
    assert first_box(tmp_path) == expected
    assert kinds_of(tmp_path) == told


def test_subsets_of_cvat_are_parts(tmp_path):
    text = make.cvat_text().replace('name="c.jpg"', 'name="c.jpg" subset="Test"')
    make.cvat(tmp_path, text.replace('name="b.jpg"', 'name="b.jpg" subset="Validation"'))
    assert lu.read_photos(tmp_path).images["part"].tolist() == ["", "valid"]


# ---- Label Studio ----


def task(*annotations, **first):
    """The tasks with the first one's annotations, or entries of its first shape, changed."""
    content = make.label_studio_content()
    shape = content[0]["annotations"][0]["result"][0]
    for name, value in first.items():
        (shape["value"] if name in shape["value"] or name == "points" else shape)[name] = value
    if annotations:
        content[0]["annotations"] = list(annotations)
    return content


def annotation(when, *kinds, cancelled=False):
    value = {"x": 25.0, "y": 25.0, "width": 50.0, "height": 50.0}
    result = [
        {
            "value": {**value, "rectanglelabels": [kind]},
            "original_width": 64,
            "original_height": 48,
        }
        for kind in kinds
    ]
    return {"updated_at": when, "was_cancelled": cancelled, "result": result}


MID = (16, 12, 48, 36)
TASKS = [
    (task(), (4, 6, 20, 30), {}),
    (task(rotation=90), (-20, 6, 4, 22), {"box_turned": 1, "box_clipped": 1}),
    (task(original_width=128, original_height=96), (4, 6, 20, 30), {"box_scaled": 1}),
    (task(original_width=48, original_height=64), None, {"frame_differs": 1}),
    (task(points=[[6.25, 12.5], [31.25, 20], [20, 62.5]]), (4, 6, 20, 30), {}),
    (task(x="left"), None, {"box_not_numbers": 1}),
    (task(annotation("2026-01-02", "pig")), MID, {}),
    (task(annotation("2026-01-02", "pig"), annotation("2026-01-01")), MID, {"annotators": 1}),
    (task(annotation("2026-01-02", "pig"), annotation("2026-01-03", cancelled=True)), MID, {}),
    (task(annotation("2026-01-03", cancelled=True)), None, {"image_without_label": 1}),
]


@pytest.mark.parametrize(("content", "expected", "told"), TASKS)
def test_what_a_task_of_label_studio_says(content, expected, told, tmp_path):
    make.label_studio(tmp_path, content)
    assert first_box(tmp_path) == (
        None if expected is None else tuple(max(side, 0) for side in expected)
    )
    assert kinds_of(tmp_path) == told


def moved(when, kind, share):
    """An annotation whose only box lies `share` of its width to the right of `annotation`'s."""
    made = annotation(when, kind)
    made["result"][0]["value"]["x"] += 50.0 * share
    return made


OLD, NEW = "2026-01-01", "2026-01-02"
ANNOTATORS = [
    ("newest", [annotation(NEW), annotation(OLD, "pig")], []),
    ("newest", [moved(OLD, "pig", 0.2), annotation(NEW, "pig")], [MID]),
    ("union", [annotation(NEW), annotation(OLD, "pig")], [MID]),
    ("union", [moved(OLD, "pig", 0.2), annotation(NEW, "pig")], [MID]),  # one animal
    ("union", [moved(OLD, "pig", 0.5), annotation(NEW, "pig")], [MID, (32, 12, 64, 36)]),
    ("union", [moved(OLD, "cow", 0.2), annotation(NEW, "pig")], [MID, (22.4, 12, 54.4, 36)]),
]


@pytest.mark.parametrize(("rule", "annotations", "expected"), ANNOTATORS)
def test_two_annotators_of_one_task(rule, annotations, expected, tmp_path):
    make.label_studio(tmp_path / "in", task(*annotations))
    photos = lu.read_photos(tmp_path / "in", annotators=rule)
    boxes = photos.boxes
    asked = [str(tmp_path / "in"), str(tmp_path / "out"), "--to", "voc", "--annotators", rule]
    assert CliRunner().invoke(cli, ["convert", *asked]).exit_code == 0
    assert boxes_of(lu.read_photos(tmp_path / "out")) == boxes_of(photos)
    found = boxes.loc[boxes["image_id"] == "a", XYXY].round(3).to_numpy().tolist()
    assert found == [list(map(float, box)) for box in expected]
    told = lu.check(tmp_path / "in", read_all=False, annotators=rule)
    assert told["message"].str.contains(": 2 annotations").tolist() == [True]
    assert told["message"].str.endswith(", each animal once").tolist() == [rule == "union"]


def test_two_annotators_are_refused_by_name_and_unknown_rules_too(tmp_path):
    make.label_studio(tmp_path, task(annotation(NEW, "pig"), annotation(OLD, "cow")))
    for command in (["check"], ["convert", "--to", "coco"], ["cameras"]):
        places = [str(tmp_path), str(tmp_path / "out")][: 1 + (command != ["check"])]
        done = CliRunner().invoke(cli, [*command, *places, "--annotators", "refuse"])
        assert done.exit_code == 1
        told = "has 2 annotations; keep one of them, or say annotators newest or union"
        assert told in done.stderr and not (tmp_path / "out").exists()
    with pytest.raises(DatasetError, match="annotators 'all': expected newest, union, refuse"):
        lu.read_photos(tmp_path, annotators="all")


@pytest.mark.parametrize(
    "place", ["https://barn.org/x/a.jpg?s=1", "/data/local-files/?d=x/a.jpg", "s3://barn/%61.jpg"]
)
def test_the_min_form_of_label_studio_and_its_addresses(place, tmp_path):
    content = make.label_studio_content()
    flat = [
        {"image": one["data"]["image"], "label": [s["value"] | s for s in result], "id": one["id"]}
        for one in content
        for result in [one["annotations"][0]["result"]]
    ]
    for one in flat:
        for shape in one["label"]:
            del shape["value"]
    flat[0]["image"] = place
    make.label_studio(tmp_path, flat)
    assert boxes_of(lu.read_photos(tmp_path)) == sorted(make.BOXES)


# ---- classes ----

HOGS = "train: images\nnames: [Hog, 한우]\n"
CLASSES = [
    ("train: images\nnames: [pig, cow]\n", None, "pig cow", {}),
    (HOGS, None, "pig cow", {}),
    ("train: images\nnames: [hogg, cow]\n", None, "cow", {"class_unknown": 2, "image_lost": 1}),
    ("train: images\nnames: [hogg, cow]\n", "pig=hogg", "pig cow", {}),
    ("train: images\nnames: [hogg, cow]\n", {"pig": ["Hogg"]}, "pig cow", {}),
    ("train: images\nnames: [hogg, cow]\n", "none=hogg", "cow", {"class_unwanted": 2}),
    (HOGS, "cow=hog; none=한우", "cow", {"class_unwanted": 2}),
]


@pytest.mark.parametrize(("described", "classes", "expected", "told"), CLASSES)
def test_classes_are_known_by_name(described, classes, expected, told, tmp_path):
    make.yolo(tmp_path, described)
    photos = lu.read_photos(tmp_path, classes=classes)
    assert set(photos.boxes["species"]) == set(expected.split())
    assert kinds_of(tmp_path, classes=classes) == told
    # A photo of classes that are not wanted is one without animals; one of unknown classes is not.
    assert len(photos) == 3 - ("image_lost" in told)


def test_an_unknown_class_is_told_with_its_count_and_the_line_to_add(tmp_path):
    make.yolo(tmp_path, "train: images\nnames: [hogg, cow]\n")
    row = lu.check(tmp_path).query("kind == 'class_unknown'").iloc[0]
    assert row["message"] == "labels/a.txt: class 'hogg' has 2 boxes, which are left out"
    assert "label_names" in row["advice"] and "--classes pig=hogg; none=hogg" in row["advice"]


def test_label_names_and_start_classes_never_feed_each_other(tmp_path, monkeypatch):
    text = (species.PACKAGE / "assets" / "species.yaml").read_text(encoding="utf-8")
    pig = next(one for one in species.all_species() if one.name == "pig")
    assert "sheep" in pig.start_from and not set(pig.start_from) & set(pig.names)
    make.yolo(tmp_path, "train: images\nnames: [sheep, cow]\n")
    assert set(lu.read_photos(tmp_path).boxes["species"]) == {"cow"}
    other = tmp_path / "species.yaml"
    other.write_text(text.replace("label_names: [pigs,", "label_names: [tapir,"), encoding="utf-8")
    monkeypatch.setenv("LIVESTOCK_SPECIES", str(other))
    assert "tapir" in species.by_name("pig").names
    assert species.by_name("pig").start_from == pig.start_from


# ---- what is refused, in one line ----


def bad(change):
    return lambda folder: change(make.yolo(folder))


REFUSED = {
    "nothing": (lambda f: f.mkdir(), {}, "no labels found in a layout that is known"),
    "no folder": (lambda f: None, {}, "no such file or folder"),
    "unknown layout": (make.yolo, {"layout": "pascal"}, "layout 'pascal': expected one of aihub"),
    "another layout": (make.yolo, {"layout": "coco"}, r"no labels found .*looked for COCO\)"),
    "two layouts": (
        lambda f: (make.yolo(f), make.coco(f)),
        {},
        r"holds YOLO \(.*data.yaml\) and COCO \(.*labels.json\); say which counts: layout yolo or",
    ),
    "entry gone": (
        lambda f: make.yolo(f, "train: pictures\nnames: [pig]\n"),
        {},
        "train: pictures is not there",
    ),
    "entry too long": (
        lambda f: make.yolo(f, f"train: {'a' * 300}\nnames: [pig]\n"),
        {},
        "train: a+ is not there",
    ),
    "listed name too long": (
        lambda f: (
            make.yolo(f, "train: train.txt\nnames: [pig]\n"),
            (f / "train.txt").write_text(f"images/{'a' * 300}.jpg\n"),
        ),
        {},
        "is not what YOLO writes .OSError.*File name too long",
    ),
    "no YAML number": (
        lambda f: make.yolo(f, "train: images\nnames: [pig]\nnc: 0x_\n"),
        {},
        "no labels found in a layout that is known",
    ),
    "list in UTF-16": (
        lambda f: (
            make.yolo(f, "train: train.txt\nnames: [pig]\n"),
            (f / "train.txt").write_text("images/a.jpg\n", encoding="utf-16"),
        ),
        {},
        r"train.txt, line 1: not UTF-8 \(UTF-16\); save it as UTF-8",
    ),
    "names": (lambda f: make.yolo(f, "train: images\nnames: 2\n"), {}, "names must be a list"),
    "no labels": (
        bad(lambda f: [path.unlink() for path in (f / "labels").iterdir()]),
        {},
        "none of its 3 photos has a label file, the first would be .*labels/a.txt",
    ),
    "no known class": (
        lambda f: make.yolo(f, "train: images\nnames: [dog, cat]\n"),
        {},
        r"none of the classes is known: dog \(2\), cat \(2\); say which .* --classes pig=dog",
    ),
    "classes": (make.yolo, {"classes": "hog"}, "expected species=class,class; such as"),
    "classes species": (
        make.yolo,
        {"classes": "goat=hog"},
        "'goat' is no species; expected one of",
    ),
    "coco image id twice": (
        lambda f: make.coco(f, changed(image_id=12)),
        {},
        "two images have the id 12",
    ),
    "coco image unknown": (
        lambda f: make.coco(f, changed(image_id=99)),
        {},
        "annotation 0 is of image 11, which is not among the images",
    ),
    "coco category": (
        lambda f: make.coco(f, changed(category_id=9)),
        {},
        r"is not what COCO writes \(KeyError: 9\); export it again",
    ),
    "coco name of two": (
        lambda f: (make.coco(f), make.photos(f / "more", "a")),
        {},
        "'a.jpg' may be images/a.jpg or more/a.jpg; name its folder",
    ),
    "cvat video": (
        lambda f: make.cvat(f, "<annotations><track id='0'/></annotations>"),
        {},
        "is of a video; export it as CVAT for images",
    ),
    "cvat cut": (
        lambda f: make.cvat(f, make.cvat_text()[:-9]),
        {},
        "is not what CVAT for images writes .ParseError",
    ),
    "label studio": (
        lambda f: make.label_studio(f, [*make.label_studio_content(), {"id": 7, "data": "x"}]),
        {},
        "is not what Label Studio writes .AttributeError",
    ),
    "nothing usable": (
        bad(lambda f: [(f / "images" / f"{name}.jpg").write_bytes(b"no") for name in "abc"]),
        {},
        "gives no photo that can be used .3 images unreadable",
    ),
    "aihub classes": (
        lambda f: (f / "data").mkdir(parents=True),
        {"layout": "aihub", "classes": "pig=hog"},
        "AI Hub's classes come from its archives",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(case, tmp_path):
    change, options, message = REFUSED[case]
    change(tmp_path / "set")
    with pytest.raises(LivestockError, match=message) as caught:
        lu.read_photos(tmp_path / "set", **options)
    assert "\n" not in str(caught.value)


def test_faults_are_counted_in_one_warning(tmp_path, caplog):
    make.yolo(tmp_path)
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 1.5 .5\n")
    with caplog.at_level(logging.WARNING):
        lu.read_photos(tmp_path)
    assert [r.getMessage() for r in caplog.records if "clipped" in r.getMessage()] == [
        f"{tmp_path}: left out or clipped: 1 box clipped to the frame; see lu.check or the command "
        "check"
    ]


# ---- out again ----


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return make.sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def converted(sample, tmp_path_factory):
    """The sample in each layout that can be written: from AI Hub's and from one another."""
    folder, source = tmp_path_factory.mktemp("converted"), sample
    for to in ("coco", "yolo", "voc"):
        writing.convert(source, folder / to, to)
        source = folder / to
    return folder


@pytest.mark.parametrize("layout", ["coco", "yolo", "voc"])
def test_the_sample_comes_back_from_each_layout(layout, sample, converted):
    photos, there = lu.read_archives(sample / "data"), lu.read_photos(converted / layout)
    assert reading.find(converted / layout).layout == layout
    names = ["image_id", "width_px", "height_px"]
    assert there.images[names].equals(photos.images[names])
    assert there.boxes[["image_id", "species"]].equals(photos.boxes[["image_id", "species"]])
    np.testing.assert_allclose(there.boxes[XYXY], photos.boxes[XYXY], atol=1e-3, rtol=0)
    # What lies on an edge of a bin stays there, so that folds are the same from each layout.
    assert bins.ratio_bin(there.boxes).equals(bins.ratio_bin(photos.boxes))
    assert there.images["species"].equals(photos.images["species"])
    assert not there.images["image_id"].isin(there.boxes["image_id"]).all()
    assert lu.stratified_folds(there).equals(lu.stratified_folds(photos))
    first = photos.images["image_id"][0]
    assert np.array_equal(np.asarray(there.open(first)), np.asarray(photos.open(first)))
    answers = pd.read_csv(sample / "answer.csv")
    tests = lu.read_photos(converted / layout, test=True)
    assert (tests.boxes["image_id"] + ".jpg").tolist() == sorted(answers["ImageID"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id\na\n", "the column 'species' is lacking; expected"),
        ("image_id,species\na,goat\n", "'goat' is no species; write one of"),
        ("", "photos_without_boxes.csv: not a table"),
    ],
)
def test_a_bad_table_of_photos_without_boxes_is_told(text, message, converted, tmp_path):
    folder = shutil.copytree(converted / "coco", tmp_path / "coco")
    (folder / "photos_without_boxes.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        lu.read_photos(folder)
    (folder / "photos_without_boxes.csv").unlink()
    photos = lu.read_photos(folder)
    has_box = photos.images["image_id"].isin(photos.boxes["image_id"])
    assert ((photos.images["species"] != "") == has_box).all()


def test_back_in_ai_hubs_layout(sample, converted, tmp_path, caplog):
    writing.convert(converted / "voc", tmp_path / "archives", "aihub")
    photos, there = (lu.read_archives(f / "data") for f in (sample, tmp_path / "archives"))
    assert there.images["image_id"].tolist() == photos.images["image_id"].tolist()
    unknown = shutil.copytree(converted / "voc", tmp_path / "voc")
    (unknown / "photos_without_boxes.csv").unlink()
    writing.convert(unknown, tmp_path / "fewer", "aihub")
    has_box = photos.images["image_id"].isin(photos.boxes["image_id"])
    fewer = lu.read_archives(tmp_path / "fewer" / "data").images["image_id"]
    assert fewer.tolist() == photos.images["image_id"][has_box].tolist()
    np.testing.assert_allclose(there.boxes[XYXY], photos.boxes[XYXY], atol=1e-3, rtol=0)
    assert len(lu.read_test_archives(tmp_path / "archives" / "data_test"))
    answers, mine = (
        pd.read_csv(f / "answer.csv").sort_values(["ImageID", "XMin"]).reset_index(drop=True)
        for f in (sample, tmp_path / "archives")
    )
    pd.testing.assert_frame_equal(mine[list(answers)], answers, atol=1e-6, rtol=0)
    assert "of no species or of several" in caplog.text


def test_answers_of_true_frames_are_told_and_taken(sample, tmp_path):
    for name in ("data", "data_test"):
        (tmp_path / name).symlink_to(sample / name)
    answers, images = (
        pd.read_csv(sample / "answer.csv"),
        lu.read_test_archives(sample / "data_test"),
    )
    sizes = images.images.set_index("image_id").loc[answers["ImageID"].str[:-4]]
    shares = answers.assign(XMin=0.0, XMax=1.0, YMin=0.0, YMax=1.0)
    shares.to_csv(tmp_path / "answer.csv", index=False)
    writing.convert(tmp_path, tmp_path / "coco", "coco", normaliser="image")
    boxes = lu.read_photos(tmp_path / "coco", test=True).boxes
    assert boxes["x_max"].tolist() == sizes["width_px"].tolist()
    with pytest.raises(DatasetError, match=r"boxes lie outside their photos .* normaliser 'image'"):
        writing.convert(tmp_path, tmp_path / "other", "coco")


REAL = Path(os.environ.get("LIVESTOCK_SHARED", "absent"), "real")


@pytest.mark.skipif(not REAL.is_dir(), reason="LIVESTOCK_SHARED is not set, or has no real photos")
@pytest.mark.parametrize("to", ["coco", "yolo"])
def test_real_photos_score_the_same_in_every_layout(to, tmp_path):
    whole = writing.convert(REAL, tmp_path / to, to, normaliser="image")
    draw = np.random.default_rng(0)
    for is_test in (False, True):
        there = lu.read_photos(tmp_path / to, test=is_test)
        mine = whole.images["image_id"][reading.is_test(whole.images) == is_test]
        photos = whole.select(mine)
        assert len(there) > 80 and there.images["image_id"].tolist() == sorted(mine)
        found = photos.boxes.assign(confidence=draw.random(len(photos.boxes)))
        found[XYXY] += np.tile(draw.normal(0, 8, (len(found), 2)), 2)
        for definition in ("contest", "coco", "yolov5"):
            scores = [lu.score(one, found, definition=definition) for one in (photos, there)]
            assert 0.2 < scores[0].loc["all", "mAP75"] < 0.95
            pd.testing.assert_frame_equal(*scores, rtol=0, atol=1e-9)
    with photos.reader() as old, there.reader() as new:
        for one, other in zip(photos.images.itertuples(), there.images.itertuples(), strict=True):
            assert old.bytes(one.archive, one.member) == new.bytes(other.archive, other.member)


def test_the_same_photos_give_the_same_bytes(sample, tmp_path):
    for name in ("one", "two"):
        writing.convert(sample, tmp_path / name, "aihub")
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*")]
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_convert_writes_into_a_new_folder_only(sample, tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    done = CliRunner().invoke(cli, ["convert", str(sample), str(tmp_path), "--to", "coco"])
    assert done.exit_code == 1 and "is not an empty folder; give a new one" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# ---- the command line and the notebooks ----


def test_the_commands_take_layout_and_classes(tmp_path):
    make.yolo(tmp_path / "set", "train: images\nnames: [hogg, cow]\n")
    options = ["--classes", "pig=hogg", "--classes", "none=cow", "--layout", "yolo"]
    done = CliRunner().invoke(cli, ["check", str(tmp_path / "set" / "data.yaml"), *options])
    assert done.exit_code == 0, done.output
    assert "labels YOLO" in done.output and "3 images (2 pig, 1 of none), 2 boxes" in done.output
    done = CliRunner().invoke(
        cli, ["convert", str(tmp_path / "set"), str(tmp_path / "out"), "--to", "coco", *options]
    )
    assert done.exit_code == 0, done.output
    assert {name for _, name, _ in boxes_of(lu.read_photos(tmp_path / "out"))} == {"pig"}


def test_the_notebooks_run_on_another_layout(sample, converted, tmp_path):
    only = ["01_eda", "02_make_dataset_multilabel"]
    done = driver.run(converted / "coco", tmp_path, only=only)
    assert set(done.values()) == {"done"}
    images, boxes = tables.read_tables(tmp_path / "tables")
    photos = lu.read_archives(sample / "data")
    assert images["image_id"].tolist() == photos.images["image_id"].tolist()
    np.testing.assert_allclose(boxes[XYXY], photos.boxes[XYXY], atol=1e-3, rtol=0)
    assert len(tables.read_tables(tmp_path / "tables" / "test")[0]) == 4
    tested, lacking = steps.test_photos(converted / "coco", photos, tmp_path)
    assert len(tested) == 4 and len(tested.boxes) and not lacking
    train = lu.open_set(tmp_path / "datasets" / "Train_Dataset.tar", tmp_path / "train")
    valid = lu.open_set(tmp_path / "datasets" / "Valid_Dataset.tar", tmp_path / "valid")
    assert sorted([*train.images["image_id"], *valid.images["image_id"]]) == sorted(
        images["image_id"]
    )
    assert set(driver.run(converted / "coco", tmp_path, only=only).values()) == {"unchanged"}
    labels = converted / "coco" / "annotations" / "instances_train.json"
    kept = labels.read_text()
    labels.write_text(kept + "\n")
    assert driver.run(converted / "coco", tmp_path, only=only[:1])["01_eda"] == "done"
    labels.write_text(kept)
