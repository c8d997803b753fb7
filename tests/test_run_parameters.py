"""Parameters of a run: parsing, addressing, typo protection."""

from pathlib import Path

import pytest

import livestock_utils as lu
from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import notebook_files
from livestock_utils.show.pipeline import parameters as run_parameters
from livestock_utils.show.pipeline.notebook_files import NotebookFile


def notebook(name, **parameters):
    return NotebookFile(
        name, Path(f"{name}.py"), None, {"data": "", "out": ""} | parameters, (), (), ""
    )


NOTEBOOKS = [
    notebook("01_eda", seed=0),
    notebook("05_train", seed=0, epochs=10, lr0=0.01, hyp="", lighter=False, size=None),
]


def resolved(*given):
    return run_parameters.resolve(NOTEBOOKS, given, "D", "O")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("3", 3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("-2E4", -20000.0),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ("hyp/search.yaml", "hyp/search.yaml"),
        ("../x", "../x"),
        ("2024-01-01", "2024-01-01"),
        ("{a: 1}", {"a": 1}),
        ("'3'", "3"),
        ("a: b: c", "a: b: c"),
        ("*.tar", "*.tar"),
        ("2024-13-01", "2024-13-01"),
        ("0x_", "0x_"),
        ("[" * 2000, "[" * 2000),
    ],
)
def test_values_are_yaml_literals(text, value):
    assert run_parameters.parse(text) == value
    assert type(run_parameters.parse(text)) is type(value)


def test_defaults_and_folders():
    assert run_parameters.resolve([], [], "D", "O") == {}
    assert resolved()["01_eda"] == {"data": "D", "out": "O", "seed": 0}


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ([{"seed": 3}], (3, 3)),
        ([{"05.seed": 3}], (0, 3)),
        ([{"5.seed": 3}], (0, 3)),
        ([{"05.seed": 3, "seed": 1}], (1, 3)),  # the narrower address wins within one mapping
        ([{"05.seed": 3}, {"seed": 1}], (1, 1)),  # a later mapping wins over an earlier one
    ],
)
def test_addresses(given, seeds):
    values = resolved(*given)
    assert (values["01_eda"]["seed"], values["05_train"]["seed"]) == seeds


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("lr0", 1, 1.0),
        ("hyp", 5, "5"),
        ("hyp", True, "true"),
        ("size", [1, 2], [1, 2]),
        ("epochs", None, None),
    ],
)
def test_types_follow_the_default(name, value, expected):
    got = resolved({name: value})["05_train"][name]
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epohcs": 3}, "no notebook has the parameter 'epohcs'; did you mean 'epochs'?"),
        (
            {"zzz": 3},
            "no notebook has the parameter 'zzz'; known: epochs, hyp, lighter, lr0, seed, size",
        ),
        ({"01.epochs": 3}, "notebook 01 has no parameter 'epochs'; known: seed"),
        ({"07.epochs": 3}, "parameter 07.epochs: there is no notebook 07"),
        ({"data": "x"}, "parameter data: the folders are given by --data and --out"),
        ({"epochs": "ten"}, "parameter 05.epochs: expected int like 10, got 'ten'"),
        ({"epochs": 1.5}, "parameter 05.epochs: expected int like 10, got 1.5"),
        ({"lighter": 1}, "parameter 05.lighter: expected bool like False, got 1"),
        ({"hyp": [1]}, "parameter 05.hyp: expected str like '', got [1]"),
    ],
)
def test_refused(given, message):
    with pytest.raises(NotebookError) as error:
        resolved(given)
    assert str(error.value) == message


def test_a_profile_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("all: {seed: 7}\n5: {epochs: 2}\n08: {epochs: 3}\n'11':\n", encoding="utf-8")
    assert run_parameters.read_profile(str(path)) == {"seed": 7, "05.epochs": 2, "08.epochs": 3}
    assert run_parameters.read_profile(None) == {}


@pytest.mark.parametrize("text", ["- 1", "all: 3"])
def test_a_profile_of_another_shape(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NotebookError, match="expected `all:` and notebook numbers"):
        run_parameters.read_profile(str(path))


def test_an_unknown_profile():
    with pytest.raises(
        NotebookError,
        match="profile 'smaple' not found: expected one of colab, sample or a YAML file",
    ):
        run_parameters.read_profile("smaple")


@pytest.mark.parametrize(
    "profile", sorted(path.stem for path in run_parameters.PROFILES.glob("*.yaml"))
)
def test_the_packages_profiles_fit_the_notebooks(profile):
    values = run_parameters.resolve(
        notebook_files.find(), [run_parameters.read_profile(profile)], "D", "O"
    )
    assert {part["out"] for part in values.values()} == {"O"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("hyp", "", ""),
        ("hyp", "03", "03"),
        ("hyp", "007", "007"),
        ("hyp", "no", "no"),
        ("hyp", "1e3", "1e3"),
        ("hyp", "12:30", "12:30"),
        ("hyp", "1_0", "1_0"),
        ("hyp", "'03'", "03"),
        ("hyp", "a b.yaml", "a b.yaml"),
        ("hyp", "null", None),
        ("epochs", "3", 3),
        ("lr0", "1e-3", 1e-3),
        ("lighter", "no", False),
    ],
)
def test_text_parameters_keep_what_was_typed(name, text, expected):
    got = resolved({name: run_parameters.Typed(text)})["05_train"][name]
    assert got == expected and type(got) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "1", 1),
        ("image_size", 160.0, 160),
        ("image_size", "160.0", 160),
        ("batch_size", "auto", "auto"),
        ("batch_size", "8", 8),
        ("batch_size", 8.0, 8),
        ("warmup_min_iterations", "100", 100),
        ("warmup_min_iterations", None, None),
        ("minutes", 0, 0.0),
        ("minutes", "0.0", 0.0),
        ("check_gpu", "false", False),
        ("hyp", None, None),
        ("hyp", {"lr0": 0.1}, {"lr0": 0.1}),
        ("hyp", "007", "007"),
        ("model", "null", "null"),
        ("loggers", ["wandb"], ["wandb"]),
        ("seed", 10**6, 10**6),
    ],
)
def test_what_papermill_hands_over_is_converted_where_nothing_is_lost(name, value, expected):
    got = run_parameters.at_start("05_train_multilabel_split", {name: value, "other": 1})
    assert got == {name: expected} and type(got[name]) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "ten", "parameter 05.epochs: expected int like 10, got 'ten'"),
        ("epochs", 1.5, "parameter 05.epochs: expected int like 10, got 1.5"),
        ("epochs", [1], "parameter 05.epochs: expected int like 10, got [1]"),
        ("epochs", True, "parameter 05.epochs: expected int like 10, got True"),
        ("image_size", None, "parameter 05.image_size: expected int like 1280, got None"),
        ("image_size", 31, "parameter 05.image_size must be a whole number of at least 32, got 31"),
        ("image_size", float("nan"), "parameter 05.image_size: expected int like 1280, got nan"),
        ("check_gpu", 1, "parameter 05.check_gpu: expected bool like False, got 1"),
        ("warmup_min_iterations", "x", "parameter 05.warmup_min_iterations: expected int, got 'x'"),
        ("model", ["a"], "parameter 05.model: expected str like 'yolov5m6', got ['a']"),
        ("cache", "tape", "parameter 05.cache must be one of ram, disk, None, got 'tape'"),
    ],
)
def test_what_does_not_fit_is_told_when_the_notebook_starts(tmp_path, name, value, message):
    out = tmp_path / "out"
    with pytest.raises(NotebookError) as error:
        lu.start("05_train_multilabel_split", {name: value, "data": tmp_path, "out": out})
    assert str(error.value) == message and not out.exists()


def test_a_notebook_goes_on_with_what_was_converted(tmp_path):
    given = {"epochs": "3", "data": str(tmp_path), "out": str(tmp_path / "out"), "mine": "3"}
    step = lu.start("05_train_multilabel_split", given, uses_gpu=False)
    assert given["epochs"] == 3 and given["mine"] == "3"
    assert step.settings(lu.TrainSettings).epochs == 3
    assert run_parameters.at_start("no_notebook_of_ours", {"epochs": "x"}) == {}
