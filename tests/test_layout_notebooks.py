"""The same photos in each layout: notebooks 01 and 02 write the same, and 05, 06, 11 go on."""

import json
import shutil
import tarfile

import layout_makers as make
import numpy as np
import pandas as pd
import pytest

from livestock_utils.core import tables
from livestock_utils.core.boxes import XYXY
from livestock_utils.data.layouts import writing
from livestock_utils.data.sets.yolo import MANIFEST
from livestock_utils.show.pipeline import driver

TINY = {
    **{"model": "yolov5n", "init_weights": "yolov5n_sample.pt", "image_size": 96, "epochs": 1},
    **{"batch_size": 8, "workers": 0, "06.oof_image_size": 96},
    **{"11.passes": "plain", "11.n_random": 2, "11.n_resamples": 20},
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return make.sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def run(sample, tmp_path_factory):
    """Layout -> (data, out), 01 and 02 done."""
    done = {"aihub": (sample, tmp_path_factory.mktemp("aihub"))}
    for to in ("coco", "yolo", "voc"):
        data = tmp_path_factory.mktemp("data") / to
        writing.convert(sample, data, to)
        shutil.copy(sample / "truth.csv", data)  # it is of the photos, whatever their layout
        done[to] = data, tmp_path_factory.mktemp(to)
    for data, out in done.values():
        driver.run(data, out, only=["01", "02"])
    return done


def metrics(out):
    return json.loads((out / "metrics.json").read_text(encoding="utf-8"))


def members(tar):
    with tarfile.open(tar) as file:
        return {one.name: file.extractfile(one).read() for one in file if one.name != MANIFEST}


@pytest.mark.parametrize("layout", ["coco", "yolo", "voc"])
def test_tables_folds_and_sets_are_those_of_the_archives(layout, run):
    there, out = run[layout][1], run["aihub"][1]
    (images, boxes), (mine, my_boxes) = (tables.read_tables(f / "tables") for f in (out, there))
    same = ["image_id", "species", "width_px", "height_px"]
    pd.testing.assert_frame_equal(mine[same], images[same])
    assert not images["image_id"].isin(boxes["image_id"]).all()
    pd.testing.assert_frame_equal(my_boxes.drop(columns=XYXY), boxes.drop(columns=XYXY))
    np.testing.assert_allclose(my_boxes[XYXY], boxes[XYXY], atol=1e-3, rtol=0)
    folds = [f / "datasets" / "folds.csv" for f in (out, there)]
    assert folds[0].read_bytes() == folds[1].read_bytes()
    for name in ("Train_Dataset.tar", "Valid_Dataset.tar"):
        sets = [members(f / "datasets" / name) for f in (out, there)]
        assert len(sets[0]) > 5 and sets[0] == sets[1]
    for name in ("01_eda", "02_make_dataset_multilabel"):
        told, mine = (metrics(f)[name] for f in (out, there))
        assert told == mine and len(told) > 5


def test_trainings_errors_and_submissions_are_the_same(run):
    found, sent = [], []
    for layout in ("coco", "yolo"):
        data, out = run[layout]
        done = driver.run(data, out, only=["05", "06", "11"], parameters=TINY)
        assert set(done.values()) == {"done"}
        sent.append((out / "submission.csv").read_bytes())
        found.append({name: metrics(out)[name] for name in done})
    assert sent[0] == sent[1] and sent[0].count(b"\n") > 4
    assert found[0] == found[1]
    assert found[0]["11_inference"]["test_images"] == 4


def test_given_parts_are_kept_and_the_test_part_gives_answers(run, tmp_path):
    data, out = shutil.copytree(run["yolo"][0], tmp_path / "data"), tmp_path / "out"
    valid = sorted(path.stem for path in (data / "images" / "train").iterdir())[::6]
    for kind, ending in (("images", "jpg"), ("labels", "txt")):
        (data / kind / "valid").mkdir()
        for name in valid:
            (data / kind / "train" / f"{name}.{ending}").rename(
                data / kind / "valid" / f"{name}.{ending}"
            )
    described = (data / "data.yaml").read_text()
    (data / "data.yaml").write_text(described.replace("val: images/train", "val: images/valid"))
    driver.run(data, out, only=["01", "02"], parameters={"02.folds": "given"})
    folds, _ = tables.read_folds(out / "datasets" / "folds.csv")
    assert folds.index[folds == 0].tolist() == valid and len(valid) == 5
    assert sorted(folds.unique()) == [0, 1, 2, 3, 4]
    images, boxes = tables.read_tables(out / "tables" / "test")
    assert len(images) == 4 and len(boxes)
    balance = metrics(out)["02_make_dataset_multilabel"]["balance"]
    assert {row["target"] for row in balance} == {25 / 30}
