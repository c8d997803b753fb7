"""Archives of labels that are of another task or convention, told as a whole."""

import json
import logging

import archive_makers as make
import numpy as np
import pytest
from archive_makers import COW, PIG
from click.testing import CliRunner

from livestock_utils.cli import cli
from livestock_utils.core.errors import ArchiveError
from livestock_utils.data.aihub.folder import read_archives
from livestock_utils.data.aihub.integrity import check
from livestock_utils.data.layouts.reading import read_photos

SIZE = (640, 480)
PIG_LABELS, COW_LABELS = "[라벨]돼지_bbox.zip", "[라벨]소_bbox.zip"
POINTS, POINTS_LABELS = "[원천]돼지_keypoints.zip", "[라벨]돼지_keypoints.zip"


def crop_sizes(n):
    return [(194 + 7 * i, 86 + 12 * i) for i in range(n)]


def part(ids, annotations, sizes):
    """Members of a zip of images and of the zip of their labels."""
    images = {
        f"{one}.jpg": make.jpeg(size, shade=n)
        for n, (one, size) in enumerate(zip(ids, sizes, strict=True))
    }
    labels = {
        f"{one}.json": json.dumps(
            {
                "label_info": {
                    "image": {"file_name": f"{one}.jpg", "width": w, "height": h},
                    "annotations": each,
                }
            }
        ).encode()
        for one, (w, h), each in zip(ids, sizes, annotations, strict=True)
    }
    return images, labels


def scene_boxes(n=20, seed=0):
    """Corners of three animals in each of n frames."""
    draw = np.random.default_rng(seed)
    start = draw.integers(0, (400, 300), (n, 3, 2))
    return np.concatenate([start, start + draw.integers(40, 180, (n, 3, 2))], axis=2)


def bboxes(boxes):
    return [[{"bbox": box} for box in each] for each in boxes.tolist()]


def xywh(boxes):
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=2)


def names(n, kind="keypoints"):
    return [f"livestock_pig_{kind}_{i:06d}" for i in range(n)]


def key_points(n=20):
    sizes = crop_sizes(n)
    one = [[{"bbox": [0, 0, w, h], "keypoints": [3, 4, 2] * 17}] for w, h in sizes]
    return part(names(n), one, sizes)


def outlines(n=20):
    square = [[10, 20], [110, 20], [110, 90], [10, 90]]
    flat = [number for point in square for number in point]
    shapes = [square, [flat], flat]
    one = [[{"segmentation": shapes[i % 3]}] for i in range(n)]
    return part(names(n), one, [SIZE] * n)


def beside(made, images="[원천]돼지_keypoints.zip", labels=POINTS_LABELS):
    return make.four_archives() | {images: made[0], labels: made[1]}


def in_place_of_pigs(made):
    return make.four_archives() | {"[원천]돼지_bbox.zip": made[0], PIG_LABELS: made[1]}


SIZES = part(names(20), bboxes(xywh(scene_boxes())), [SIZE] * 20)


@pytest.mark.parametrize(
    ("made", "told", "way", "taken"),
    [
        (
            key_points(),
            r"the only box is the whole frame in 20 of 20 labels \(194 x 86 to 327 x 314 px\): "
            "crops of single animals, as for key points",
            "xyxy",
            20,
        ),
        (
            outlines(),
            "100 % of its annotations have no box of four numbers, as for polygons",
            "polygons",
            20,
        ),
        (SIZES, "of its boxes end before they begin: x, y, width, height", "xywh", 60),
        (
            part(names(20), bboxes(scene_boxes()[..., [2, 3, 0, 1]]), [SIZE] * 20),
            "100 % of its boxes end before they begin: corners in another order",
            "xyxy",
            0,
        ),
    ],
)
@pytest.mark.parametrize(
    "folder_names", [("원천데이터/TS_돼지_2.zip", "라벨데이터/TL_돼지_2.zip"), None]
)
def test_a_foreign_archive_is_left_out_by_name(
    made, told, way, taken, folder_names, tmp_path, caplog
):
    images, labels = folder_names or (POINTS, POINTS_LABELS)
    own = read_archives(make.write(tmp_path / "own", make.four_archives()))
    folder = make.write(tmp_path / "both", beside(made, images, labels))
    photos = read_archives(folder)
    assert photos.images.equals(own.images) and photos.boxes.equals(own.boxes)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith(f"{folder}: {labels} is left out with its photos: ")
    assert f"boxes_as={{{labels!r}: {way!r}}}" in line and "\n" not in line
    assert line.endswith(f"--boxes-as '{labels}={way}'")
    report = check(folder)
    assert report[["kind", "severity", "archive"]].values.tolist() == [
        ["foreign_archive", "warning", labels]
    ]
    assert report["message"].str.contains(told).all()
    with pytest.raises(ArchiveError, match=r"1 archive of another task; first: .* boxes_as="):
        read_archives(folder, strict=True)
    caplog.clear()
    more = read_archives(folder, boxes_as={labels: way})
    assert len(more.boxes) - len(own.boxes) == taken
    assert "another task" not in caplog.text


@pytest.mark.parametrize(
    ("made", "way", "expected"),
    [
        (SIZES, "xywh", scene_boxes().reshape(-1, 4)),
        (outlines(), "polygons", [[10, 20, 110, 90]] * 20),
    ],
)
def test_boxes_as(made, way, expected, tmp_path):
    folder = make.write(tmp_path / "zips", in_place_of_pigs(made))
    boxes = read_archives(folder, boxes_as={PIG_LABELS: way}, strict=True).boxes
    assert read_photos(folder, boxes_as={PIG_LABELS: way}).boxes.equals(boxes)
    assert read_photos(folder, boxes_as=f" {PIG_LABELS} = {way};").boxes.equals(boxes)
    for root in (folder, make.write(tmp_path / "root" / "data", in_place_of_pigs(made)).parent):
        assert "foreign_archive" in set(check(root)["kind"])
        assert "foreign_archive" not in set(check(root, boxes_as={PIG_LABELS: way})["kind"])
    done = CliRunner().invoke(cli, ["check", str(folder), "--boxes-as", f"{PIG_LABELS}={way}"])
    assert done.exit_code == 0 and "another task" not in done.output
    asked = [
        str(folder),
        str(tmp_path / "out"),
        "--to",
        "coco",
        "--boxes-as",
        f"{PIG_LABELS}={way}",
    ]
    assert CliRunner().invoke(cli, ["convert", *asked]).exit_code == 0
    assert len(read_photos(tmp_path / "out").boxes) == len(boxes)
    found = boxes.loc[boxes["species"] == "pig", ["x_min", "y_min", "x_max", "y_max"]]
    assert found.to_numpy().tolist() == np.array(expected).tolist()


@pytest.mark.parametrize(
    ("boxes_as", "told"),
    [
        (
            {"x.zip": "xywh"},
            r"boxes_as has 'x.zip': 'xywh'; expected one of \[라벨\]돼지_bbox.zip, ",
        ),
        ({PIG_LABELS: "yolo"}, r"'yolo'; expected .* as one of xyxy, xywh, polygons"),
    ],
)
def test_boxes_as_of_what_there_is_not(boxes_as, told, tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    with pytest.raises(ArchiveError, match=told):
        read_archives(folder, boxes_as=boxes_as)


def one_whole(n):
    boxes = scene_boxes(n)
    each = bboxes(boxes)
    for i in range(n // 3):
        each[i] = [{"bbox": [0, 0, *SIZE]}]
    return part(names(n, "more"), each, [SIZE] * n)


def some_slips(n):
    boxes = scene_boxes(n)
    boxes[: n // 10, 0] = boxes[: n // 10, 0][:, [2, 1, 0, 3]]
    return part(names(n, "more"), bboxes(boxes), [SIZE] * n)


@pytest.mark.parametrize(
    "made",
    [
        part([], [], []),
        part(names(20, "more"), [[]] * 20, [SIZE] * 20),
        part(names(20, "more"), bboxes(scene_boxes()), [SIZE] * 20),
        one_whole(20),
        some_slips(20),
        key_points(4),  # too few to judge
    ],
    ids=["empty", "no animals", "scenes", "some close-ups", "slips", "few"],
)
def test_what_is_not_doubted(made, tmp_path):
    folder = make.write(tmp_path, beside(made) if made[0] else make.four_archives())
    assert "foreign_archive" not in check(folder)["kind"].tolist()
    assert len(read_archives(folder)) == 4 + len(made[0])


def test_photos_of_both_halves_in_one_archive_are_told_by_their_labels(tmp_path):
    archives = make.four_archives()
    images, labels = key_points()
    archives["[원천]돼지_bbox.zip"] |= images
    folder = make.write(tmp_path, archives | {POINTS_LABELS: labels})
    assert len(read_archives(folder)) == 4
    assert check(folder)["kind"].tolist() == ["foreign_archive"]


def test_halves_with_the_same_ids_are_told_by_their_archives(tmp_path):
    own = part(names(20, "more"), bboxes(scene_boxes()), [SIZE] * 20)
    images, labels = key_points()
    renamed = [
        {name.replace("keypoints", "more"): data for name, data in members.items()}
        for members in (images, labels)
    ]
    archives = in_place_of_pigs(own) | {POINTS: renamed[0], POINTS_LABELS: renamed[1]}
    photos = read_archives(make.write(tmp_path, archives))
    pigs = photos.images[photos.images["species"] == "pig"]
    assert pigs["archive"].unique().tolist() == ["[원천]돼지_bbox.zip"] and len(pigs) == 20


# ---- AI Hub's newer sets ----


def in_capitals(boxes, size=("640", "480.0"), **more):
    sides = ("X_COORDINATE", "Y_COORDINATE", "WIDTH", "HEIGHT")
    image = {"IMAGE_FILE_NAME": "a.jpg", "WIDTH": size[0], "HEIGHT": size[1]}
    annotations = [
        {"ID": i, "CATEGORY_NAME": "pig", **more}
        | {f"BOUNDING_BOX_{side}": value for side, value in zip(sides, box, strict=False)}
        for i, box in enumerate(boxes)
    ]
    return json.dumps({"INFO": {}, "IMAGE": image, "ANNOTATION_INFO": annotations}).encode()


def newer(boxes, **more):
    images = {f"p{i}.jpg": make.jpeg(SIZE, shade=i) for i in range(len(boxes))}
    labels = {f"p{i}.json": in_capitals(each, **more) for i, each in enumerate(boxes)}
    return images, labels


def test_newer_labels_are_read(tmp_path, caplog):
    boxes = scene_boxes()
    folder = make.write(tmp_path, in_place_of_pigs(newer(xywh(boxes).tolist())))
    photos = read_archives(folder)
    pigs = photos.boxes[photos.boxes["species"] == "pig"].set_index("image_id")
    found = [pigs.loc[f"p{i}"].iloc[:, 1:].to_numpy().tolist() for i in range(20)]
    assert found == boxes.tolist()
    assert "size" not in caplog.text  # "480.0" is 480


def test_boxes_as_sizes_does_not_widen_newer_labels_twice(tmp_path):
    folder = make.write(tmp_path, in_place_of_pigs(newer(xywh(scene_boxes()).tolist())))
    photos = read_archives(folder, boxes_as={PIG_LABELS: "xywh"})
    assert photos.boxes.equals(read_archives(folder).boxes) and len(photos.boxes) == 61


BY_HAND = r"give each animal's box as bbox: \[x1, y1, x2, y2\]"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"KEYPOINTS": [1, 2]}, f"numbers, as for key points; if it belongs here, {BY_HAND}"),
        ({"KEYPOINTS": [1], "SEGMENTATION": []}, f"numbers, as for key points; .*{BY_HAND}"),
        ({"POLYGON": [1, 2]}, "numbers, as for polygons; .*boxes_as=.*: 'polygons'"),
        ({}, f"numbers; if it belongs here, {BY_HAND}"),
    ],
)
def test_newer_labels_of_another_task_name_it(more, told, tmp_path):
    folder = make.write(tmp_path, in_place_of_pigs(newer([[[]]] * 9, **more)))
    with pytest.raises(ArchiveError, match=f"no usable photo of pig: .* no box of four {told}"):
        read_archives(folder)


def test_each_archive_is_told_with_its_own_advice(tmp_path):
    archives = in_place_of_pigs(SIZES) | {COW_LABELS: outlines()[1]}
    done = CliRunner().invoke(cli, ["check", str(make.write(tmp_path, archives))])
    lines = [line for line in done.output.splitlines() if "is left out with its photos" in line]
    for name, way in ((PIG_LABELS, "xywh"), (COW_LABELS, "polygons")):
        assert any(f"    {name} " in line and f"'{name}={way}'" in line for line in lines)


@pytest.mark.parametrize(
    "data",
    [
        {"IMAGE": {}},
        {"IMAGE": None, "ANNOTATION_INFO": []},
        {"IMAGE": {}, "ANNOTATION_INFO": None},
        {"IMAGE": {}, "ANNOTATION_INFO": [None]},
        "label_info",
        3,
    ],
)
def test_a_newer_label_that_lacks_its_parts_is_left_out(data, tmp_path):
    archives = make.four_archives()
    archives[COW_LABELS][f"{COW}.json"] = json.dumps(data).encode()
    report = check(make.write(tmp_path, archives))
    assert report[["kind", "image_id"]].values.tolist() == [["label_incomplete", COW]]


# ---- nothing left ----


def test_a_photo_that_lost_all_its_boxes_is_no_background(tmp_path, caplog):
    archives = make.four_archives()
    archives[PIG_LABELS][f"{PIG}.json"] = make.label([[9, 9, 1, 1], [700, 1, 800, 9]])
    folder = make.write(tmp_path, archives)
    photos = read_archives(folder)
    assert PIG not in photos.images["image_id"].tolist() and len(photos) == 3
    assert f"{COW[:-1]}2" in photos.images["image_id"].tolist()  # its label lists no animal
    assert "1 image that lost all its boxes, " in caplog.text
    rows = check(folder).set_index("kind")
    assert rows.loc["image_lost", "message"].endswith("none of its boxes can be used (2)")


WITHOUT = {
    name: {member: make.label([]) if "라벨" in name else data for member, data in members.items()}
    for name, members in make.four_archives().items()
}
"""Labels of which none lists an animal."""


@pytest.mark.parametrize(
    ("archives", "told"),
    [
        (in_place_of_pigs(key_points()), "no usable photo of pig: .* whole frame .*boxes_as="),
        (in_place_of_pigs(SIZES), "no usable photo of pig: .* end before they begin"),
        (
            make.four_archives() | {PIG_LABELS: {"p.json": b"{}"}},
            "no usable photo of pig: .*no label_info",
        ),
        (
            make.four_archives() | {PIG_LABELS: {"p.json": b"{}"}, COW_LABELS: {"c.json": b"?"}},
            "no usable photo of pig and cow",
        ),
        (WITHOUT, "none of its 4 labels holds an animal; download the archives of labels again"),
    ],
)
def test_nothing_usable_is_an_error(archives, told, tmp_path):
    folder = make.write(tmp_path / "data", archives)
    with pytest.raises(ArchiveError, match=told) as caught:
        read_archives(folder)
    assert "\n" not in str(caught.value)
    (tmp_path / "data_test").mkdir()
    done = CliRunner().invoke(cli, ["check", str(folder)])
    assert done.exit_code == 1 and "without a usable photo" in done.output
