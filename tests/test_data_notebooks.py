"""Notebooks 01 to 04 on a tiny sample: what they leave behind fits together, and their cells stay
short."""

import ast
import json

import nbformat
import pandas as pd
import pytest

from livestock_utils.core import tables
from livestock_utils.data.sample import drawing
from livestock_utils.data.sets import reading
from livestock_utils.show.pipeline import driver, notebook_files

NAMES = ["01_eda", "02_make_dataset_multilabel", "03_make_dataset_full", "04_make_dataset_mini"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = drawing.write_sample(
        tmp_path_factory.mktemp("data"), n_images=30, n_test_images=2, scale=0.15
    )
    out = tmp_path_factory.mktemp("out")
    driver.run(data, out, only=NAMES)
    return data, out


@pytest.fixture(scope="module")
def metrics(run):
    return json.loads((run[1] / "metrics.json").read_text(encoding="utf-8"))


def ids(out, name):
    return set(reading.read_manifest(out / "datasets" / f"{name}.tar")["image_id"])


def test_counts_in_the_metrics_are_those_of_the_tables(run, metrics):
    images, boxes = tables.read_tables(run[1] / "tables")
    assert metrics["01_eda"]["images"] == len(images) == 30
    assert metrics["01_eda"]["boxes"] == len(boxes)
    assert sum(row["images"] for row in metrics["01_eda"]["count_bins"]) == 30


def test_train_and_valid_part_the_images_as_folds_csv_says(run):
    folds, groups = tables.read_folds(run[1] / "datasets" / "folds.csv")
    train, valid = ids(run[1], "Train_Dataset"), ids(run[1], "Valid_Dataset")
    assert train | valid == set(folds.index) and not train & valid
    assert valid == set(folds.index[folds == 0])
    assert not set(groups[list(train)]) & set(groups[list(valid)])


def test_the_watched_images_of_the_full_set_come_from_the_validation_fold(run):
    full, watched = ids(run[1], "Train_Dataset_Full"), ids(run[1], "Valid_Dataset_Full")
    assert watched and watched <= ids(run[1], "Valid_Dataset")
    assert len(full | watched) == 30 and not full & watched


def test_mini_sets_are_parts_of_their_own_side(run):
    train = ids(run[1], "Train_Dataset")
    assert ids(run[1], "Train_Dataset_mini") < train
    assert ids(run[1], "Valid_Dataset_mini") == ids(run[1], "Valid_Dataset")
    assert abs(len(ids(run[1], "Train_Dataset_mini")) - len(train) / 2) <= 2


def test_boxes_come_out_of_the_tar_as_they_went_in(run):
    images, boxes = reading.read_tables(run[1] / "datasets" / "Valid_Dataset.tar")
    wanted = tables.read_tables(run[1] / "tables")[1]
    wanted = wanted[wanted["image_id"].isin(images["image_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(boxes, wanted, check_exact=False, atol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_speaks_in_figures_with_captions_and_computed_sentences(run, name):
    cells = nbformat.read(run[1] / "notebooks" / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    pictures = [o for o in outputs if "livestock" in o.get("metadata", {})]
    assert pictures and all(
        (run[1] / "figures" / o.metadata["livestock"]["figure"]).is_file() for o in pictures
    )
    assert any(
        character.isdigit()
        for o in outputs
        for character in o.get("data", {}).get("text/markdown", "")
    )
    assert not [o for o in outputs if o.output_type == "stream"], (
        "a notebook of clean data has nothing to warn of"
    )


def test_without_a_watched_part_the_full_set_is_all_images_and_says_so(run):
    data, out = run
    driver.run(data, out, only=["03"], parameters={"watch_share": 0.0})
    assert len(ids(out, "Train_Dataset_Full")) == 30
    assert not (out / "datasets" / "Valid_Dataset_Full.tar").exists()
    assert "No validation" in (out / "notebooks" / "03_make_dataset_full.ipynb").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("found", notebook_files.find(), ids=lambda found: found.name)
def test_cells_hold_no_functions_loops_or_helpers(found):
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda, ast.Try, ast.With)
    for cell in found.nb.cells:
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", []):
            names = [
                type(node).__name__
                for node in ast.walk(ast.parse(cell.source))
                if isinstance(node, forbidden)
            ]
            assert not names, f"{found.name}: move {names} into the library:\n{cell.source}"
