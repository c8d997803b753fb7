"""Notebooks 09 and 10 on a tiny sample, end to end: silver labels, two trainings, the difference
with its interval."""

import json

import pandas as pd
import pytest
import yaml

from livestock_utils.core import tables
from livestock_utils.data.sample import drawing
from livestock_utils.data.sets import reading
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
