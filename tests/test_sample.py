"""The embedded data: layout, truth, determinism, the shares of the AI Hub set, and the shipped
starting weights."""

import dataclasses
import itertools
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from data_sets import benchmark_module

from livestock_utils.core import boxes
from livestock_utils.core.errors import LivestockError
from livestock_utils.data.sample import drawing
from livestock_utils.data.sample.scenes import bodies, camera, compose

SCALE = 0.1
ARCHIVES = [
    "data/[라벨]돼지_bbox.zip",
    "data/[라벨]소_bbox.zip",
    "data/[원천]돼지_bbox.zip",
    "data/[원천]소_bbox.zip",
]
TEST_ARCHIVES = ["data_test/[원천]돼지_bbox.zip", "data_test/[원천]소_bbox.zip"]
WORDS = {"pig": "돼지", "cow": "소"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return drawing.write_sample(
        tmp_path_factory.mktemp("sample"), n_images=48, n_test_images=8, seed=3, scale=SCALE
    )


def labels_of(folder: Path) -> dict[str, dict]:
    found = {}
    for word in WORDS.values():
        with zipfile.ZipFile(folder / "data" / f"[라벨]{word}_bbox.zip") as archive:
            found |= {
                Path(n).stem: json.loads(archive.read(n))["label_info"] for n in archive.namelist()
            }
    return found


def pictures_of(folder: Path, sub: str = "data") -> dict[str, np.ndarray]:
    found = {}
    for word in WORDS.values():
        with zipfile.ZipFile(folder / sub / f"[원천]{word}_bbox.zip") as archive:
            for name in archive.namelist():
                found[Path(name).stem] = cv2.imdecode(
                    np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR
                )
    return found


def test_the_layout_is_ai_hubs(drawn):
    found = sorted(p.relative_to(drawn).as_posix() for p in drawn.rglob("*") if p.is_file())
    tables = ["answer.csv", "sample.json", "scenes.csv", "truth.csv"]
    assert found == sorted([*ARCHIVES, *TEST_ARCHIVES, *tables])
    labels, pictures = labels_of(drawn), pictures_of(drawn)
    assert set(labels) == set(pictures) and len(labels) == 48
    for image_id, info in labels.items():
        assert info["image"]["file_name"] == f"{image_id}.jpg"
        assert pictures[image_id].shape == (info["image"]["height"], info["image"]["width"], 3)
    assert {(i["image"]["width"], i["image"]["height"]) for i in labels.values()} <= {
        (192, 108),
        (128, 96),
    }


def test_categories_say_nothing_about_the_species(drawn):
    said = {json.dumps(i["categories"]) for i in labels_of(drawn).values()}
    used = {a["category_id"] for i in labels_of(drawn).values() for a in i["annotations"]}
    assert len(said) == 1 and len(used) == 1


def test_one_image_in_four_is_of_pigs_and_some_show_nothing(drawn):
    ids = pd.Series(list(labels_of(drawn)))
    assert ids.str.contains("_pig_").sum() == 12
    assert sum(not i["annotations"] for i in labels_of(drawn).values()) == 1


def test_labels_are_the_truth_without_the_cows_left_out(drawn):
    truth, labels = drawing.read_truth(drawn), labels_of(drawn)
    assert truth[truth["species"] == "pig"]["labelled"].all()
    for image_id, info in labels.items():
        known = truth[(truth["image_id"] == image_id) & truth["labelled"]]
        got = np.array([a["bbox"] for a in info["annotations"]]).reshape(-1, 4)
        np.testing.assert_array_equal(got, known[boxes.XYXY].to_numpy())
    assert truth["image_id"].is_monotonic_increasing


def test_boxes_lie_in_the_frame_and_have_an_area(drawn):
    truth, labels = drawing.read_truth(drawn), labels_of(drawn)
    size = np.array(
        [[labels[i]["image"]["width"], labels[i]["image"]["height"]] for i in truth["image_id"]]
    )
    xyxy = truth[boxes.XYXY].to_numpy()
    np.testing.assert_array_equal(boxes.clip_to_frame(xyxy, size[:, 0], size[:, 1]), xyxy)
    assert (boxes.area(xyxy) > 0).all()


def test_the_answers_in_pixels_are_shares_of_the_contests_constants(drawn):
    answer = pd.read_csv(drawn / "answer.csv")
    assert list(answer.columns) == ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"]
    assert set(answer["ImageID"].str.removesuffix(".jpg")) <= set(pictures_of(drawn, "data_test"))
    wide = answer["LabelName"].map({"pig": 1280, "cow": 1920})
    tall = answer["LabelName"].map({"pig": 960, "cow": 1080})
    for column, size in (("XMin", wide), ("XMax", wide), ("YMin", tall), ("YMax", tall)):
        px = answer[column] * size
        np.testing.assert_allclose(px, px.round(), atol=1e-6)
    assert (answer["XMax"] * wide).max() <= 192


def test_the_same_arguments_give_the_same_bytes_and_other_seeds_other_scenes(tmp_path):
    first = drawing.write_sample(tmp_path / "a", 6, 2, seed=1, scale=SCALE)
    again = drawing.write_sample(tmp_path / "b", 6, 2, seed=1, scale=SCALE)
    other = drawing.write_sample(tmp_path / "c", 6, 2, seed=2, scale=SCALE)
    for name in [*ARCHIVES, *TEST_ARCHIVES, "answer.csv", "truth.csv", "scenes.csv", "sample.json"]:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    assert (first / ARCHIVES[3]).read_bytes() != (other / ARCHIVES[3]).read_bytes()


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path):
    few = pictures_of(drawing.write_sample(tmp_path / "a", 4, 0, seed=1, scale=SCALE))
    more = pictures_of(drawing.write_sample(tmp_path / "b", 9, 0, seed=1, scale=SCALE))
    for image_id, picture in few.items():
        np.testing.assert_array_equal(picture, more[image_id])


def test_a_second_call_does_nothing_and_a_damaged_sample_is_drawn_again(tmp_path):
    folder = drawing.write_sample(tmp_path, 4, 0, seed=1, scale=SCALE)
    archive = folder / ARCHIVES[3]
    before, age = archive.read_bytes(), archive.stat().st_mtime_ns
    drawing.write_sample(tmp_path, 4, 0, seed=1, scale=SCALE)
    assert archive.stat().st_mtime_ns == age
    archive.write_bytes(before[:100])
    drawing.write_sample(tmp_path, 4, 0, seed=1, scale=SCALE)
    assert archive.read_bytes() == before


def test_other_arguments_replace_the_sample_and_its_test_archives(tmp_path):
    drawing.write_sample(tmp_path, 4, 2, seed=1, scale=SCALE)
    drawing.write_sample(tmp_path, 4, 0, seed=1, scale=SCALE)
    assert not list(tmp_path.glob("data_test/*.zip"))
    assert (tmp_path / "answer.csv").read_text() == "ImageID,LabelName,XMin,XMax,YMin,YMax\n"


def test_archives_of_somebody_else_are_not_touched(tmp_path):
    foreign = tmp_path / "data" / "[원천]소_bbox.zip"
    foreign.parent.mkdir()
    foreign.write_bytes(b"mine")
    with pytest.raises(
        LivestockError, match="was not written by the sample: choose an empty folder"
    ):
        drawing.write_sample(tmp_path, 4, 0, scale=SCALE)
    assert foreign.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["TS_소.zip", "TL_소.ZIP.part0"])
def test_a_folder_of_archives_is_no_place_for_a_sample(tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(LivestockError, match=f"is a folder of archives: .* or {tmp_path.parent}"):
        drawing.write_sample(tmp_path, 4, 0, scale=SCALE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_images": 0}, "at least 2 images"),
        ({"n_images": 1}, "at least 2 images"),
        ({"n_test_images": 1}, "0 or at least 2 test images"),
        ({"scale": 0}, "scale must be between 0.05 and 1"),
        ({"scale": 1.5}, "scale must be between 0.05 and 1"),
        ({"scale": float("nan")}, "scale must be between 0.05 and 1"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_bad_arguments_are_told_and_nothing_is_written(tmp_path, arguments, message):
    with pytest.raises(LivestockError, match=message):
        drawing.write_sample(tmp_path / "s", **arguments)
    assert not (tmp_path / "s").exists()


def test_real_data_has_no_truth(tmp_path):
    with pytest.raises(LivestockError, match="only a folder that the sample wrote"):
        drawing.read_truth(tmp_path)


def test_frames_of_one_scene_are_near_duplicates_and_grouped(drawn):
    groups = pd.read_csv(drawn / "scenes.csv", dtype=str)
    pictures = pictures_of(drawn) | pictures_of(drawn, "data_test")
    assert set(groups["image_id"]) == set(pictures)
    assert (groups.groupby("scene")["barn"].nunique() == 1).all()
    runs = groups[groups["split"] == "train"].groupby("scene")["image_id"].apply(list)
    assert runs.map(len).max() == 3

    def difference(first: str, second: str) -> float:
        return float(np.abs(pictures[first].astype(int) - pictures[second]).mean())

    within = [difference(a, b) for a, b, *_ in runs[runs.map(len) > 1]]
    between = [
        difference(a[0], b[0])
        for a, b in itertools.pairwise(runs)
        if pictures[a[0]].shape == pictures[b[0]].shape
    ]
    assert np.median(within) < 0.6 * np.median(between)


def planned(name: str, count: int, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        [dataclasses.asdict(drawing._plan(name, "train", j, seed, 1.0)) for j in range(count)]
    )


@pytest.mark.parametrize(
    ("name", "count", "bins", "shares", "mean"),
    [
        ("pig", 400, (8, 13), (506, 2749, 1048), 45898 / 4303),
        ("cow", 1200, (4, 6), (7383, 3413, 1356), 39943 / 12152),
    ],
)
def test_counts_follow_the_ai_hub_set(name, count, bins, shares, mean):
    counts = planned(name, count)["labelled"]
    got = np.bincount(np.searchsorted(bins, counts, side="right"), minlength=3) / count
    np.testing.assert_allclose(got, np.array(shares) / sum(shares), atol=0.03)
    assert counts.mean() == pytest.approx(mean, rel=0.03)


def test_frames_are_of_two_sizes_for_pigs_and_one_for_cows():
    assert (planned("pig", 400)["width_px"] == 1280).mean() == pytest.approx(1172 / 4303, abs=0.04)
    assert set(planned("cow", 100)["width_px"]) == {1920}


@pytest.mark.slow
def test_drawn_counts_unlabelled_shares_and_sizes_follow_the_ai_hub_set(tmp_path):
    folder = drawing.write_sample(tmp_path, 240, 0, seed=5, scale=0.2)
    truth = drawing.read_truth(folder)
    truth["area_px2"] = boxes.area(truth[boxes.XYXY]) / 0.2**2
    pigs, cows = truth[truth["species"] == "pig"], truth[truth["species"] == "cow"]
    assert len(pigs) / 60 == pytest.approx(45898 / 4303, rel=0.05)
    assert cows["labelled"].sum() / 180 == pytest.approx(39943 / 12152, rel=0.05)
    assert 0.1 <= 1 - cows["labelled"].mean() <= 0.17
    for drawn in (pigs, cows):
        assert (drawn["area_px2"] < 4000).mean() < 0.01
        assert (drawn["area_px2"] > 10_000).mean() > 0.95


def test_the_box_is_where_the_animal_changes_the_picture():
    rng = np.random.default_rng(4)
    barn = dataclasses.replace(compose.build_barn(rng, "cow", 480, 270), front=(), night=False)
    herd = compose.populate(rng, barn, "cow", 1)
    empty = compose.draw_scene(np.random.default_rng(1), barn, []).picture.astype(int)
    scene = compose.draw_scene(np.random.default_rng(1), barn, herd)
    x_min, y_min, x_max, y_max = scene.xyxy[0].astype(int)
    changed = np.abs(scene.picture.astype(int) - empty).max(axis=2) > 12
    # The shadow lies outside the box too; right at each border of the box something must have
    # changed.
    box = changed[y_min:y_max, x_min:x_max]
    assert box[:, :2].any() and box[:, -2:].any() and box[:2].any() and box[-2:].any()
    assert box.mean() > 0.3


def test_animals_that_would_hardly_show_are_left_out():
    rng = np.random.default_rng(4)
    barn = compose.build_barn(rng, "pig", 480, 270)
    herd = compose.populate(rng, barn, "pig", 3)
    away = dataclasses.replace(herd[0], place_m=herd[0].place_m + (50.0, 0, 0))
    assert len(compose.draw_scene(rng, barn, [*herd, away]).xyxy) == 3
    beneath = [*herd, *herd]
    assert len(compose.draw_scene(rng, barn, beneath).xyxy) == 3


def test_pixels_of_the_floor_project_back_onto_themselves():
    eye = camera.Camera(640, 360, 500.0, 6.0, 0.9)
    px = np.array([[10.0, 20.0], [320.0, 180.0], [600.0, 350.0]])
    np.testing.assert_allclose(eye.project(eye.floor(px)), px, atol=1e-9)
    assert np.abs(eye.floor(px)[:, 2]).max() < 1e-9


def test_the_tangent_is_the_projections_derivative():
    eye, point, step = camera.Camera(640, 360, 500.0, 6.0, 0.9), np.array([0.7, 0.4, 0.3]), 1e-6
    slope, toward = eye.tangent(point)
    moved = [eye.project(point + d)[0] - eye.project(point - d)[0] for d in np.eye(3) * step]
    np.testing.assert_allclose(slope, np.stack(moved, axis=1) / (2 * step), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(slope @ toward, 0, atol=1e-9)


@pytest.mark.parametrize("pose", ["standing", "lying", "side"])
def test_bodies_stand_on_the_floor(pose):
    make = bodies.pig if pose == "side" else bodies.cow
    body = make(np.random.default_rng(0), compose._PIG_COATS[0][0], pose)
    low = body.centres[:, 2] - np.sqrt((body.shapes[:, 2] ** 2).sum(axis=1))
    assert low.min() == pytest.approx(0)


def test_the_command_writes_the_sample(tmp_path):
    from livestock_utils.cli import cli

    arguments = [
        "sample",
        str(tmp_path / "s"),
        "--images",
        "4",
        "--test-images",
        "0",
        "--scale",
        "0.1",
        "--seed",
        "7",
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0 and "4 training and 0 test images" in result.output
    assert json.loads((tmp_path / "s" / "sample.json").read_text())["arguments"]["seed"] == 7
    refused = CliRunner().invoke(cli, ["sample", str(tmp_path / "t"), "--images", "0"])
    assert refused.exit_code == 1 and "at least 2 images" in refused.output


def test_the_starting_weights_come_from_other_seeds_than_a_run_uses():
    from livestock_utils.cli import cli

    default = next(p.default for p in cli.commands["sample"].params if p.name == "seed")
    assert default not in drawing.WARM_START_SEEDS
    assert len(set(drawing.WARM_START_SEEDS)) == len(drawing.WARM_START_SEEDS)
    assert "--seed" not in (Path(__file__).parents[1] / "Makefile").read_text()


def test_the_starting_weights_are_small_half_precision_and_of_our_classes():
    from livestock_utils.core import species
    from livestock_utils.detect import checkpoints

    assert checkpoints.SAMPLE_WEIGHTS.stat().st_size <= 4.5e6
    weights = checkpoints.read_weights(checkpoints.SAMPLE_WEIGHTS)
    assert list(weights.names) == list(species.names())


def test_the_recipe_draws_only_from_its_own_seeds(monkeypatch, tmp_path):
    recipe = benchmark_module("train_start_weights")
    seeds = []
    monkeypatch.setattr(
        recipe,
        "write_sample",
        lambda folder, n, t, seed, scale: (
            seeds.append(seed) or drawing.write_sample(folder, 4, 0, seed, 0.1)
        ),
    )
    data_yaml = recipe.write_sets(tmp_path)
    assert tuple(seeds) == drawing.WARM_START_SEEDS and data_yaml.is_file()


@pytest.mark.parametrize("place", ["data/my_photos.zip", "data_test/[원천]소_bbox.zip"])
def test_archives_beside_the_sample_s_own_are_not_touched(tmp_path, place):
    drawing.write_sample(tmp_path, 4, 0, seed=1, scale=SCALE)
    before = (tmp_path / ARCHIVES[0]).read_bytes()
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"mine")
    with pytest.raises(
        LivestockError, match="was not written by the sample: choose an empty folder"
    ):
        drawing.write_sample(tmp_path, 5, 0, seed=1, scale=SCALE)
    assert (tmp_path / place).read_bytes() == b"mine" and (
        tmp_path / ARCHIVES[0]
    ).read_bytes() == before


def test_a_sample_that_was_stopped_is_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(
        drawing, "_answers", lambda animals: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        drawing.write_sample(tmp_path, 4, 0, seed=1, scale=SCALE)
    monkeypatch.undo()
    assert list(tmp_path.glob("data/*.zip")), "it stopped too early to show anything"
    drawing.write_sample(tmp_path, 4, 0, seed=1, scale=SCALE)
    assert (tmp_path / "answer.csv").is_file()
