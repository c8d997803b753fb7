"""Another species is an entry in a settings file: notebooks and commands take it without a change
of code."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import three_species
import yaml
from click.testing import CliRunner

from livestock_utils.cli import cli
from livestock_utils.core import species
from livestock_utils.core.errors import LivestockError
from livestock_utils.data.aihub import names
from livestock_utils.detect import checkpoints

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ("01", "02", "05", "11")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "LIVESTOCK_SPECIES", str(three_species.write_settings(tmp_path / "species.yaml"))
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("[원천]소_bbox.zip", "cow"), ("[원천]염소_bbox.zip", "goat"), ("[원천]돼지_bbox.zip", "pig")],
)
def test_an_archive_belongs_to_the_species_of_the_longest_word(settings, tmp_path, name, expected):
    (tmp_path / name).touch()
    assert [a.species for a in names.find_archives(tmp_path)[0]] == [expected]


def test_the_third_class_has_the_next_index_and_a_colour(settings):
    assert species.class_index() == {"pig": 0, "cow": 1, "goat": 2}
    assert len(set(species.colours().values())) == 3


GOAT = {
    "archive_words": ["염소"],
    "id_prefix": "goat_",
    "count_bins": [3, 5],
    "contest_size_px": [1920, 1080],
    "colour": "#009E73",
}


def with_goat(**changes):
    return yaml.safe_dump({"goat": GOAT | changes}, allow_unicode=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a mapping of species names, got NoneType"),
        ("[goat]", "expected a mapping of species names, got list"),
        ("goat: [", "line 1: not YAML ("),
        ("goat: 염소".encode("cp949"), "line 1: not UTF-8 (byte"),
        ("goat: 3", "'goat': expected the keys ['archive_words', 'colour', "),
        (yaml.safe_dump({"goat": GOAT | {"color": "#009E73"}}), "'goat': expected the keys ["),
        (
            yaml.safe_dump({1: GOAT}),
            "1: expected a text as the name of a species; put it in quotes",
        ),
        (
            with_goat(archive_words="염소"),
            "archive_words: expected a list of words, such as [소, 한우], got '염소'",
        ),
        (
            with_goat(archive_words=[]),
            "archive_words: expected a list of words, such as [소, 한우], got []",
        ),
        (with_goat(archive_words=["염소", " "]), "archive_words: expected a list of words"),
        (with_goat(archive_words=[1]), "archive_words: expected a list of words"),
        (with_goat(id_prefix=7), "id_prefix: expected a text, such as livestock_cow_bbox_, got 7"),
        (
            with_goat(count_bins=[5]),
            "count_bins: expected two rising whole numbers, such as [4, 6], got [5]",
        ),
        (
            with_goat(count_bins=[8, 3]),
            "count_bins: expected two rising whole numbers, such as [4, 6], got [8, 3]",
        ),
        (with_goat(count_bins=[3, 3]), "count_bins: expected two rising whole numbers"),
        (with_goat(count_bins=[0.5, 3]), "count_bins: expected two rising whole numbers"),
        (with_goat(count_bins="3, 5"), "count_bins: expected two rising whole numbers"),
        (
            with_goat(contest_size_px=[1920]),
            "contest_size_px: expected width and height, such as [1920, 1080], got [1920]",
        ),
        (with_goat(contest_size_px=[0, 1080]), "contest_size_px: expected width and height"),
        (
            with_goat().replace("'#009E73'", "#009E73"),
            'colour: expected "#rrggbb" in quotes, such as "#0072B2", got None',
        ),
        (
            with_goat(colour="gren"),
            'colour: expected "#rrggbb" in quotes, such as "#0072B2", got \'gren\'',
        ),
        (with_goat(colour="#09E"), 'colour: expected "#rrggbb" in quotes'),
        (
            yaml.safe_dump(
                {
                    "goat": GOAT,
                    "sheep": GOAT | {"archive_words": [unicodedata.normalize("NFD", "염소")]},
                }
            ),
            "is that of 'goat' and of 'sheep'; each needs words of its own",
        ),
    ],
)
def test_a_faulty_settings_file_is_told_in_one_line(text, told, tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setenv("LIVESTOCK_SPECIES", str(path))
    done = CliRunner().invoke(cli, ["check", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ") and f"{path}" in done.stderr and told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_settings_file_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("LIVESTOCK_SPECIES", str(tmp_path / "absent.yaml"))
    with pytest.raises(
        LivestockError, match=r"species file not found: .*absent\.yaml; unset LIVESTOCK_SPECIES"
    ):
        species.all_species()


def test_an_entry_alone_is_enough(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(with_goat(), encoding="utf-8")
    monkeypatch.setenv("LIVESTOCK_SPECIES", str(tmp_path / "mine.yaml"))
    assert species.all_species() == (
        species.Species("goat", 0, ("염소",), "goat_", (3, 5), (1920, 1080), "#009E73"),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(data folder, out folder, call): notebooks 01, 02, 05 and 11 on a tiny sample of three
    species."""
    folder = tmp_path_factory.mktemp("three")
    data, out = three_species.write_data(folder), folder / "out"
    environment = os.environ | {
        "LIVESTOCK_SPECIES": str(three_species.write_settings(folder / "species.yaml")),
        "PYTHONPATH": str(ROOT),
    }

    def call(*arguments, **more):
        return subprocess.run(
            [sys.executable, "-m", "livestock_utils", *map(str, arguments)],
            cwd=folder,
            check=False,
            env=environment | more,
            capture_output=True,
            text=True,
        )

    tiny = {
        "model": "yolov5n",
        "init_weights": "",
        "image_size": 64,
        "batch_size": 8,
        "epochs": 1,
        "workers": 0,
        "warmup_min_iterations": 1,
        "n_resamples": 20,
        "examples": 2,
    }
    done = call(
        "run",
        "--data",
        data,
        "--out",
        out,
        "--only",
        ",".join(NOTEBOOKS),
        *[word for pair in tiny.items() for word in ("-p", *pair)],
    )
    assert done.returncode == 0, done.stderr
    return data, out, call


@pytest.fixture(scope="module")
def metrics(run):
    return json.loads((run[1] / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_notebook_counts_three_species(metrics):
    assert [row["species"] for row in metrics["01_eda"]["by_species"]] == [
        "pig",
        "cow",
        "goat",
        "all",
    ]
    assert {row["species"] for row in metrics["02_make_dataset_multilabel"]["balance"]} >= {"goat"}
    for name, key in (
        ("05_train_multilabel_split", "per_class"),
        ("11_inference", "per_class_valid"),
    ):
        assert [row["class"] for row in metrics[name][key]] == ["all", "pig", "cow", "goat"]


@pytest.mark.slow
def test_the_weights_carry_three_names(run):
    weights = checkpoints.load_checkpoint(
        run[1] / "training" / "multilabel_split" / "weights" / "best.pt"
    )
    assert list(dict(weights["model"].names).values()) == ["pig", "cow", "goat"]


@pytest.mark.slow
def test_no_notebook_speaks_of_two_where_there_are_three(run):
    for path in sorted((run[1] / "notebooks").glob("*.ipynb")):
        outputs = [
            output
            for cell in nbformat.read(path, as_version=4).cells
            for output in cell.get("outputs", [])
        ]
        shown = "\n".join(
            str(value) for output in outputs for value in output.get("data", {}).values()
        )
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
    frames = {
        name: (1280, 960) if name == "pig" else (1920, 1080)
        for name in answers["LabelName"].unique()
    }
    for axis, side in (("X", 0), ("Y", 1)):
        for end in ("Min", "Max"):
            sizes = answers["LabelName"].map(lambda name, side=side: frames[name][side])
            perfect[f"{axis}{end}"] = answers[f"{axis}{end}"] * sizes
    columns = ["ImageID", "LabelName", "Conf", "XMin", "XMax", "YMin", "YMax"]
    perfect[columns].sort_values("ImageID", kind="stable").to_csv(
        tmp_path / "perfect.csv", index=False
    )
    scored = call("score", data / "answer.csv", tmp_path / "perfect.csv", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["score"] == pytest.approx(1)
    assert "goat" in scored.stdout
    assert "unknown LabelName" not in call("validate", tmp_path / "perfect.csv").stdout
    assert (
        "unknown LabelName"
        in call("validate", tmp_path / "perfect.csv", LIVESTOCK_SPECIES="").stdout
    )
