"""Another species is an entry in a settings file: notebooks and commands take it without a change of code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import three_species

from livestock_utils import archive_names, checkpoints, species

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ("01", "02", "05", "11")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("LIVESTOCK_SPECIES", str(three_species.write_settings(tmp_path / "species.yaml")))


@pytest.mark.parametrize(("name", "expected"), [
    ("[원천]소_bbox.zip", "cow"), ("[원천]염소_bbox.zip", "goat"), ("[원천]돼지_bbox.zip", "pig")])
def test_an_archive_belongs_to_the_species_of_the_longest_word(settings, tmp_path, name, expected):
    (tmp_path / name).touch()
    assert [a.species for a in archive_names.find_archives(tmp_path)[0]] == [expected]


def test_the_third_class_has_the_next_index_and_a_colour(settings):
    assert species.class_index() == {"pig": 0, "cow": 1, "goat": 2}
    assert len(set(species.colours().values())) == 3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(data folder, out folder, call): notebooks 01, 02, 05 and 11 on a tiny sample of three species."""
    folder = tmp_path_factory.mktemp("three")
    data, out = three_species.write_data(folder), folder / "out"
    environment = os.environ | {"LIVESTOCK_SPECIES": str(three_species.write_settings(folder / "species.yaml")),
                                "PYTHONPATH": str(ROOT)}

    def call(*arguments, **more):
        return subprocess.run([sys.executable, "-m", "livestock_utils", *map(str, arguments)], cwd=folder, check=False,
                              env=environment | more, capture_output=True, text=True)

    tiny = {"model": "yolov5n", "init_weights": "", "image_size": 64, "batch_size": 8, "epochs": 1, "workers": 0,
            "warmup_min_iterations": 1, "n_resamples": 20, "examples": 2}
    done = call("run", "--data", data, "--out", out, "--only", ",".join(NOTEBOOKS),
                *[word for pair in tiny.items() for word in ("-p", *pair)])
    assert done.returncode == 0, done.stderr
    return data, out, call


@pytest.fixture(scope="module")
def metrics(run):
    return json.loads((run[1] / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_notebook_counts_three_species(metrics):
    assert [row["species"] for row in metrics["01_eda"]["by_species"]] == ["pig", "cow", "goat", "all"]
    assert {row["species"] for row in metrics["02_make_dataset_multilabel"]["balance"]} >= {"goat"}
    for name, key in (("05_train_multilabel_split", "per_class"), ("11_inference", "per_class_valid")):
        assert [row["class"] for row in metrics[name][key]] == ["all", "pig", "cow", "goat"]


@pytest.mark.slow
def test_the_weights_carry_three_names(run):
    weights = checkpoints.load_checkpoint(run[1] / "training" / "multilabel_split" / "weights" / "best.pt")
    assert list(dict(weights["model"].names).values()) == ["pig", "cow", "goat"]


@pytest.mark.slow
def test_no_notebook_speaks_of_two_where_there_are_three(run):
    for path in sorted((run[1] / "notebooks").glob("*.ipynb")):
        outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
        shown = "\n".join(str(value) for output in outputs for value in output.get("data", {}).values())
        assert "goat" in shown, path.name
        assert "both species" not in shown and "two species" not in shown, path.name


@pytest.mark.slow
def test_the_commands_know_the_third_species(run, tmp_path):
    data, _, call = run
    checked = call("check", data, "--quick", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "goat" in checked.stdout
    answers = pd.read_csv(data / "answer.csv")
    perfect = answers.assign(Conf=0.9)
    frames = {name: (1280, 960) if name == "pig" else (1920, 1080) for name in answers["LabelName"].unique()}
    for axis, side in (("X", 0), ("Y", 1)):
        for end in ("Min", "Max"):
            sizes = answers["LabelName"].map(lambda name, side=side: frames[name][side])
            perfect[f"{axis}{end}"] = answers[f"{axis}{end}"] * sizes
    columns = ["ImageID", "LabelName", "Conf", "XMin", "XMax", "YMin", "YMax"]
    perfect[columns].sort_values("ImageID", kind="stable").to_csv(tmp_path / "perfect.csv", index=False)
    scored = call("score", data / "answer.csv", tmp_path / "perfect.csv", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["score"] == pytest.approx(1)
    assert "goat" in scored.stdout
    assert "unknown LabelName" not in call("validate", tmp_path / "perfect.csv").stdout
    assert "unknown LabelName" in call("validate", tmp_path / "perfect.csv", LIVESTOCK_SPECIES="").stdout
