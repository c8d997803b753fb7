"""Notebooks 09 and 10 on a tiny sample, end to end: silver labels, two trainings, the difference
with its interval."""

import json

import pandas as pd
import pytest
import yaml

import livestock_utils as lu
from livestock_utils.core import tables
from livestock_utils.data.sample import drawing
from livestock_utils.data.sets import reading
from livestock_utils.detect.checkpoints import SAMPLE_WEIGHTS
from livestock_utils.detect.predict import engine
from livestock_utils.evaluate.silver import sets
from livestock_utils.show.pipeline import driver

TINY = {
    "model": "yolov5n",
    "init_weights": "yolov5n_sample.pt",
    "hyp": "few_epochs",
    "image_size": 160,
    "batch_size": 8,
    "nominal_batch": 8,
    "warmup_min_iterations": 2,
    "workers": 0,
    "epochs": 1,
    "09.merge_confidence": 0.1,
    "09.merge_ignore_confidence": 0.05,
}

SMALL = {
    **{"epochs": 1, "image_size": 160, "batch_size": 4, "workers": 0, "loggers": ()},
    **{"autoanchor": False, "nominal_batch": 4, "warmup_min_iterations": 1},
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = drawing.write_sample(
        tmp_path_factory.mktemp("data"), n_images=40, n_test_images=0, scale=0.15
    )
    out = tmp_path_factory.mktemp("out")
    driver.run(data, out, only=["01", "02"])
    outcome = driver.run(data, out, only=["09", "10"], parameters=TINY)
    assert outcome == {"09_silver_dataset": "done", "10_train_expanded": "done"}
    return data, out


def test_a_second_round_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    data = drawing.write_sample(tmp_path / "data", n_images=12, n_test_images=0, scale=0.15)
    photos = lu.read_archives(data / "data")
    folds = lu.stratified_folds(photos, n_splits=2)
    settings = lu.TrainSettings("yolov5n", init_weights=SAMPLE_WEIGHTS, **SMALL)
    asked = photos, folds, tmp_path / "out", settings
    predict, done = engine.predict, []

    def killed(*args, **options):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(args)
        return predict(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "predict", killed)
        with pytest.raises(KeyboardInterrupt):
            lu.predict_for_silver(*asked, rounds=2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.pt")}
    assert len(before) == 4
    sources = lu.predict_for_silver(*asked, rounds=2)
    assert set(sources.tables) == {"out of fold", "out of fold, round 2"}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.pt")} == before
    again = lu.predict_for_silver(*asked, rounds=2)
    pd.testing.assert_frame_equal(again.predictions, sources.predictions)


def test_no_silver_image_has_a_source_that_validates(run):
    folds, _ = tables.read_folds(run[1] / "datasets" / "folds.csv")
    plus = sets.open_silver(run[1] / "datasets", run[1] / "plus")
    sources = reading.read_manifest(plus)["image_id"].str.removeprefix("plus_")
    assert len(sources) and (folds[sources] != 0).all()
    provenance = pd.read_csv(plus / "provenance.csv")
    teachers = set(provenance.loc[provenance["origin"] != "gold", "source"])
    assert teachers <= {"out of fold 0", "out of fold 1"} and teachers


def test_the_difference_is_reported_with_its_interval(run):
    metrics = json.loads((run[1] / "metrics.json").read_text(encoding="utf-8"))["10_train_expanded"]
    for kind in ("", "_lacking"):
        assert metrics[f"low{kind}"] <= metrics[f"difference{kind}"] <= metrics[f"high{kind}"]
        assert metrics[f"difference{kind}"] == pytest.approx(
            metrics[f"mAP75_expanded{kind}"] - metrics[f"mAP75_gold{kind}"]
        )
    assert metrics["effect"][0]["answers"] == "complete"


def test_both_trainings_were_asked_for_the_same(run):
    first, second = (
        yaml.safe_load((run[1] / "training" / name / "settings.yaml").read_text(encoding="utf-8"))
        for name in ("expanded_gold", "expanded")
    )
    assert first.pop("data") != second.pop("data")
    assert (first.pop("negatives"), second.pop("negatives")) == ("plain", "masked")
    assert first == second


def test_a_second_run_finds_all_unchanged(run):
    assert set(driver.run(*run, only=["09", "10"], parameters=TINY).values()) == {"unchanged"}
