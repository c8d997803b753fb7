"""Reading the notebooks' texts: parameters, declared files, and what is refused."""

import re
from pathlib import Path

import pytest

from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import notebook_files, parameters

HEADER = (
    '# ---\n# jupyter:\n#   livestock:\n#     reads: ["{data}/data"]\n#     writes: '
    '["{out}/a.csv"]\n# ---\n\n'
)


def written(tmp_path, text, name="01_eda.py"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_no_notebooks(tmp_path):
    with pytest.raises(
        NotebookError, match=r"no notebooks NN_name\.py in .*; run from the project or pass"
    ):
        notebook_files.find(tmp_path)


def test_found_in_reading_order(tmp_path):
    for name in ("10_train.py", "02_split.py", "helper.py"):
        written(tmp_path, '# %% tags=["parameters"]\nout = ""\n', name)
    assert [n.number for n in notebook_files.find(tmp_path)] == ["02", "10"]


def test_a_text_is_read(tmp_path):
    cells = (
        '# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\ndata = ""  # @param '
        '{type:"string"}\nn: int = -3'
    )
    text = HEADER + cells
    read = notebook_files.read(written(tmp_path, text))
    assert (read.name, read.number, read.parameters) == ("01_eda", "01", {"data": "", "n": -3})
    assert (read.reads, read.writes) == (("{data}/data",), ("{out}/a.csv",))
    assert [cell.cell_type for cell in read.nb.cells] == ["markdown", "code"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", {}),
        (
            "a = 1\nb = 'x'\nc = [0.5, None]\nd = {'k': True}",
            {"a": 1, "b": "x", "c": [0.5, None], "d": {"k": True}},
        ),
    ],
)
def test_literals(source, expected):
    assert notebook_files.literals(source) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("n = 2 * 3", r"parameter 'n' must be a literal, got 2 \* 3"),
        ("p = Path('x')", r"parameter 'p' must be a literal, got Path\('x'\)"),
        ("import os", "parameters cell, line 1: expected `name = literal`"),
        ("a = 1\nb, c = 1, 2", "parameters cell, line 2: expected `name = literal`"),
        ("n: int", "parameters cell, line 1: expected `name = literal`"),
    ],
)
def test_parameters_are_literals_only(source, message):
    with pytest.raises(NotebookError, match=message):
        notebook_files.literals(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# %%\nx = 1\n", 'expected one cell tagged "parameters", found 0'),
        ('# %% tags=["parameters"]\nx = 1\n# %% tags=["parameters"]\ny = 1\n', "found 2"),
        (
            HEADER.replace("reads", "needs") + '# %% tags=["parameters"]\nx = 1\n',
            r"reads and writes, got \['needs'\]",
        ),
        (HEADER.replace("reads: ", "reads: [{"), "no percent-format text .*; mend it"),
        (
            "# ---\n# jupyter:\n#   livestock: {reads: 5}\n# ---\n# %%\nx = 1\n",
            "no percent-format text .*; mend it",
        ),
        (f'# %% tags=["parameters"]\nx = {"-" * 100_000}1\n', "no Python"),
    ],
)
def test_bad_texts_are_named(tmp_path, text, message):
    with pytest.raises(NotebookError, match=rf"01_eda\.py: .*{message}"):
        notebook_files.read(written(tmp_path, text))


def test_patterns_expand_to_files_in_folders_with_glob_characters(tmp_path):
    data = tmp_path / "[a]*{b}"
    (data / "data").mkdir(parents=True)
    for name in ("[원천]소_bbox.zip", "b.zip"):
        (data / "data" / name).touch()
    parameters = {"data": str(data), "weights": ""}
    found = notebook_files.expand(
        ("{data}/data", "{data}/data/*.zip", "{data}/none/*", "{weights}"), parameters
    )
    assert [len(paths) for paths in found.values()] == [2, 2, 0, 0]


def test_patterns_know_only_parameters():
    with pytest.raises(
        NotebookError, match=r"'\{wieghts\}': 'wieghts' is not a parameter; known: data, weights"
    ):
        notebook_files.expand(("{wieghts}",), {"data": "", "weights": ""})


PARAMETERS = Path(__file__).resolve().parents[1] / "notebooks" / "PARAMETERS.md"


def test_the_table_of_parameters_lists_every_one_with_its_notebooks():
    text = PARAMETERS.read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", text, flags=re.M))
    found = {}
    for notebook in notebook_files.find():
        for name in notebook.parameters:
            found.setdefault(name, []).append(notebook.number)
    numbers = [notebook.number for notebook in notebook_files.find()]
    assert listed == {
        name: "all" if where == numbers else ", ".join(where) for name, where in found.items()
    }


def test_meanings_come_from_the_settings():
    text, notebooks = PARAMETERS.read_text(encoding="utf-8"), notebook_files.find()
    assert parameters.parameters_table(text, notebooks) == text
    assert (
        "| `epochs` | 05, 06, 07, 08, 09, 10, 12 | Passes over the training images; none: 10, or "
        "what fits the minutes; at least 1 |" in text
    )
    stale = text.replace("Passes over", "Times around").replace("| 05, 06, 07,", "| 05,")
    assert parameters.parameters_table(stale, notebooks) == text
    with pytest.raises(NotebookError, match="parameter 'n_splits' has no row in PARAMETERS"):
        parameters.parameters_table(text.replace("`n_splits`", "`splits`"), notebooks)
