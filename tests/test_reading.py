"""Files that people write: whatever is wrong with one is one line with path, line, advice."""

import pytest
import training_sets

import livestock_utils as lu
from livestock_utils.core import reading, species, tables
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.data.sample import drawing
from livestock_utils.data.split import folds
from livestock_utils.detect.predict import out_of_fold, postprocess
from livestock_utils.detect.search import best, genes
from livestock_utils.detect.settings import read_hyp
from livestock_utils.detect.train import augment
from livestock_utils.detect.train.data import list_files, read_data
from livestock_utils.evaluate.compare import runs
from livestock_utils.evaluate.labels import exchange
from livestock_utils.evaluate.silver import sets as silver_sets
from livestock_utils.show.pipeline import batch, notebook_files, parameters


def _species(path):
    return species._read.__wrapped__(str(path))


YAML = {
    "data.yaml": list_files,
    "species.yaml": _species,
    "hyp.yaml": read_hyp,
    "augment.yaml": augment.read,
    "groups.yaml": genes.read_groups,
    "profile.yaml": lambda path: parameters.read_profile(str(path)),
    "batch.yaml": batch.read,
    "postprocess.yaml": postprocess.load_settings,
    "hyp/hyp_own.yaml": lambda path: runs.find_runs(path.parents[1]),
}
TEXT = {
    "05_own.py": notebook_files.read,
    "obj.names": lambda path: exchange._read_yolo(path.parent, None),
    "train_images.txt": lambda path: runs.trained_ids(path.parent),
}
JSON = {
    "silver.json": lambda path: silver_sets.read_settings(path.parent),
    "hyp/search.json": lambda path: best.resolve_hyp("search", path.parents[1]),
}
CSV = {
    "groups.csv": lambda path: folds.read_groups(path, None),
    "images.csv": lambda path: tables.read_tables(path.parent),
    "folds.csv": tables.read_folds,
    "predictions.csv": out_of_fold.read,
    "truth.csv": lambda path: drawing.read_truth(path.parent),
    "results.csv": lambda path: runs.results(path.parent),
    "training/results.csv": lambda path: lu.Run(path.parent).results,
}


def refused(read, path, content):
    """The one line that a reader has for a file with this content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(LivestockError) as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", YAML)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"names:\n\t- pig\n", ", line 2: not YAML (found character '\\t' that cannot start any"),
        (b'a: 1\npath: "D:\\Users"\n', ", line 2: not YAML (expected escape sequence of 8"),
        (b'path: "D:\\data"\n', ", line 1: not YAML (found unknown escape character 'd'"),
        ("a: 1\nname: 돼지\n".encode("cp949"), ", line 2: not UTF-8 (byte 0xb5); save it as"),
        ("names: [돼지]\n".encode("utf-16"), ", line 1: not UTF-8 (UTF-16); save it as UTF-8"),
        (b"a: [1\n", ", line 2: not YAML (expected ',' or ']'"),
        (b"day: 2020-13-45\n", ": not YAML (month must be in 1..12)"),
        (b"a: \x00\n", ", line 1: not UTF-8 (byte 0x00); save it as UTF-8"),
        (b"a: \x07\n", ": not YAML (unacceptable character #x0007"),
        (b"[" * 5000, ": not YAML ("),
    ],
)
def test_yaml(tmp_path, name, content, message):
    assert message in refused(YAML[name], tmp_path / name, content)


@pytest.mark.parametrize("name", TEXT)
def test_text(tmp_path, name):
    content = b"a\nb\n" + "돼지".encode("cp949")
    told = refused(TEXT[name], tmp_path / name, content)
    assert f"{tmp_path / name}, line 3: not UTF-8 (byte 0xb5); save it as UTF-8" in told


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("content", [b"", b'{\n"a": ', b"\xff\xfe{", b"[" * 100_000])
def test_json(tmp_path, name, content):
    assert "not " in refused(JSON[name], tmp_path / name, content)


@pytest.mark.parametrize("name", CSV)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a table (No columns to parse from file)"),
        (b"a,b\n1,2\n1,2,3\n", "not a table (Error tokenizing data."),
        ("image_id,group\n돼지,a\n".encode("cp949"), "not a table ('utf-8' codec can't decode"),
        (b'a,b\n"1,2\n', "not a table (Error tokenizing data. C error: EOF inside string"),
    ],
)
def test_csv(tmp_path, name, content, message):
    assert message in refused(CSV[name], tmp_path / name, content)


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_matter(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("﻿a\r\nb\r돼지\n".encode())
    assert reading.read_text(path) == "a\nb\n돼지\n"
    path.write_bytes(b"")
    assert reading.read_text(path) == "" and reading.read_yaml(path) is None
    with pytest.raises(DatasetError, match="cannot be read: Is a directory; check the path"):
        reading.read_text(tmp_path)


@pytest.mark.parametrize(
    ("names", "read"),
    [
        ("[pig, cow]", ("pig", "cow")),
        ("{0: pig, 1: cow}", ("pig", "cow")),
        ("{'0': pig, 1: cow}", ("pig", "cow")),
        ("{1: cow, '0': pig}", ("pig", "cow")),
        ("{1: pig, 2: cow}", None),
        ("{a: pig}", None),
        ("pig", None),
        ("{null: pig}", None),
    ],
)
def test_names_of_a_data_yaml_are_numbered_from_0(tmp_path, names, read):
    data_yaml = training_sets.write_set(tmp_path, 1, 1)
    head = "train: train/images\nval: valid/images\n"
    data_yaml.write_bytes(f"﻿{head}names: {names}\n".encode())
    if read is None:
        with pytest.raises(DatasetError, match="names must be a list, or have the numbers from 0"):
            list_files(data_yaml)
    else:
        assert list_files(data_yaml)[0] == read


def test_an_entry_that_is_no_name_for_a_file_is_told(tmp_path):
    data_yaml = training_sets.write_set(tmp_path, 1, 1)
    data_yaml.write_text(f"train: {'a' * 300}\nval: valid/images\nnames: [pig, cow]\n")
    with pytest.raises(DatasetError, match=r"a is no folder and no \.txt list; extract"):
        list_files(data_yaml)


def test_lists_of_images_with_a_byte_order_mark_and_labels_in_utf_16(tmp_path):
    data_yaml = training_sets.write_set(tmp_path, 2, 1)
    (tmp_path / "train.txt").write_bytes("﻿train/images/livestock_pig_bbox_000000.jpg\r\n".encode())
    data_yaml.write_text("train: train.txt\nval: valid/images\nnames: [pig, cow]\n")
    assert len(read_data(data_yaml).train.files) == 1
    label = tmp_path / "train" / "labels" / "livestock_pig_bbox_000000.txt"
    label.write_bytes(label.read_text().encode("utf-16"))
    with pytest.raises(DatasetError, match=rf"{label}, line 1: not UTF-8 \(UTF-16\); save it"):
        read_data(data_yaml)
