"""Notebook pairs: the text is the truth, the .ipynb is clean, small and the same every time; the
rules for both."""

import ast
import base64
import io
import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
from PIL import Image

from livestock_utils.core import project
from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import notebook_files, pairing

ROOT = Path(__file__).resolve().parents[1]
TINY = Path(__file__).with_name("notebooks_tiny")
TEXTS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))


@pytest.fixture
def text(tmp_path):
    """A tiny notebook's text with the set-up cell in it."""
    path = Path(shutil.copy(TINY / "01_count.py", tmp_path))
    pairing.synchronise_set_up(path)
    return path


def executed(text, **outputs):
    """What papermill would leave behind: `outputs` by the position of the code cell, marks and
    injected parameters."""
    nb = jupytext.read(text, fmt="py:percent")
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for position, values in outputs.items():
        code[int(position[1:])].outputs = values
    for cell in nb.cells:
        cell.metadata["papermill"] = {"start_time": "2026-11-22T20:57:00", "status": "completed"}
    injected = nbformat.v4.new_code_cell(
        'data = "/home/me/data"', metadata={"tags": ["injected-parameters"]}
    )
    nb.cells.insert(3, injected)
    nb.metadata["papermill"] = {"output_path": "/tmp/x.ipynb"}
    target = text.parent / "executed.ipynb"
    nbformat.write(nb, target)
    return target


def stream(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def picture(width_px, height_px):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return nbformat.v4.new_output(
        "display_data", {"image/png": data}, metadata={"image/png": {"alt": "Noise."}}
    )


def test_the_set_up_cell_goes_first_and_stays_one(text):
    once = text.read_text()
    assert not pairing.synchronise_set_up(text)
    text.write_text(once.replace("import os, sys", "import os, sys, subprocess"))
    assert pairing.synchronise_set_up(text)
    assert text.read_text() == once
    cells = [cell for cell in jupytext.read(text).cells if cell.cell_type == "code"]
    assert cells[0].source == pairing.SET_UP_CELL.read_text().strip()
    assert sum("REPOSITORY" in cell.source for cell in cells) == 1


def test_without_outputs(text):
    target = pairing.rebuild(text)
    assert pairing.faults(text) == []
    assert {
        len(cell.outputs) for cell in nbformat.read(target, 4).cells if cell.cell_type == "code"
    } == {0}


def test_outputs_go_in_without_what_differs_from_run_to_run(text):
    noisy = (
        f"read {ROOT}/a.csv and /tmp/xyz/b.csv at 2026-11-22 20:57:01, <x at 0x7f12ab34cd56>\n"
        " 10%|#   |\r100%|####|\n"
    )
    target = pairing.rebuild(text, executed(text, c3=[stream(noisy)], c4=[stream("four")]))
    nb = nbformat.read(target, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert code[3].outputs[0].text == "read a.csv and  at , <x>\n100%|####|\n"
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert "papermill" not in target.read_text()
    assert "/home/me" not in target.read_text()
    assert pairing.faults(text) == []


def test_rebuilding_is_stable_and_keeps_outputs_of_unchanged_cells(text):
    first = pairing.rebuild(
        text, executed(text, c2=[stream("two")], c3=[stream("three")])
    ).read_bytes()
    assert pairing.rebuild(text).read_bytes() == first
    text.write_text(text.read_text().replace("numbers.plot()", "numbers.plot(lw=2)"))
    nb = nbformat.read(pairing.rebuild(text), as_version=4)
    assert [len(cell.outputs) for cell in nb.cells if cell.cell_type == "code"] == [0, 0, 1, 0, 0]


def test_large_pictures_are_made_to_fit(text):
    target = pairing.rebuild(text, executed(text, c2=[picture(600, 500)], c3=[picture(500, 400)]))
    assert target.stat().st_size < pairing.MAX_BYTES
    outputs = [o for cell in nbformat.read(target, 4).cells for o in cell.get("outputs", [])]
    assert [o.metadata["image/jpeg"]["alt"] for o in outputs] == ["Noise.", "Noise."]


def test_too_much_text_is_refused(text):
    with pytest.raises(
        NotebookError, match=r"01_count\.py: .* bytes with outputs, expected less than 590,000"
    ):
        pairing.rebuild(text, executed(text, c2=[stream("x" * 700_000)]))
    assert not text.with_suffix(".ipynb").exists()


def test_small_pictures_stay_and_the_large_ones_share_the_rest(text):
    small, large = picture(60, 40), picture(1100, 800)
    nb = nbformat.read(
        pairing.rebuild(text, executed(text, c2=[small] * 8, c3=[large])), as_version=4
    )
    widths = [opened_width(o) for cell in nb.cells for o in cell.get("outputs", [])]
    assert widths[:8] == [60] * 8
    assert widths[8] > 700


def opened_width(output):
    mime = next(mime for mime in ("image/png", "image/jpeg") if mime in output.data)
    return Image.open(io.BytesIO(base64.b64decode(output.data[mime]))).width


def test_an_edited_cell_that_shows_nothing_is_told(text):
    pairing.rebuild(text, executed(text, c3=[stream("three")], c4=[stream("four")]))
    assert pairing.faults(text) == []
    text.write_text(text.read_text().replace("The numbers themselves.", "The numbers."))
    pairing.rebuild(text)
    assert pairing.faults(text) == [
        f"{text.with_suffix('.ipynb')} shows nothing in code cell 5 (step.table(numbers, "
        '"The numbers.")): `make notebooks` runs it'
    ]


def edit(text, change):
    path = text.with_suffix(".ipynb")
    nb = nbformat.read(path, as_version=4)
    change(nb)
    nbformat.write(nb, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nb: nb.cells.pop(), "disagree in their cells"),
        (lambda nb: nb.cells[0].update(id="other"), "disagree in their cells"),
        (lambda nb: nb.metadata.update(papermill={}), "has other metadata"),
        (
            lambda nb: nb.cells[1].outputs.append(stream("in /tmp/x")),
            "holds an absolute path in an output: /tmp/x",
        ),
        (
            lambda nb: nb.cells[1].outputs.append(stream("2026-11-22 20:57")),
            "holds a time stamp in an output",
        ),
        (
            lambda nb: nb.cells[1].outputs.append(stream("<x at 0x7f12ab34cd56>")),
            "holds a memory address",
        ),
        (
            lambda nb: nb.cells[1].outputs.append(
                nbformat.v4.new_output("error", ename="ValueError", evalue="x")
            ),
            "holds an error: ValueError: x",
        ),
        (
            lambda nb: nb.cells[1].outputs.append(stream("x" * pairing.MAX_BYTES)),
            "expected less than 590,000",
        ),
        (lambda nb: nb.cells[1].update(source="1"), "does not begin with the set-up cell"),
    ],
)
def test_faults_are_told(text, change, message):
    pairing.rebuild(text)
    edit(text, change)
    assert any(message in line for line in pairing.faults(text))


def test_a_missing_partner_is_told(text):
    assert pairing.faults(text) == [f"{text.with_suffix('.ipynb')} is missing"]


def test_the_command_rebuilds_and_checks(text, capsys):
    folder = ["--notebooks", str(text.parent)]
    assert pairing.main([*folder, "--check"]) == 1
    assert "is missing" in capsys.readouterr().err
    assert pairing.main(folder) == 0
    assert pairing.main([*folder, "--check"]) == 0
    assert pairing.main(["--notebooks", str(text.parent / "none")]) == 1
    assert capsys.readouterr().err.startswith("error: no notebooks")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("owner/name", "https://github.com/owner/name"),
        ("https://git.example.org/a/b", "https://git.example.org/a/b"),
    ],
)
def test_the_address_has_one_place(tmp_path, monkeypatch, address, url):
    monkeypatch.setattr(pairing, "SET_UP_CELL", Path(shutil.copy(pairing.SET_UP_CELL, tmp_path)))
    pairing.write_repository(address)
    assert f'\nREPOSITORY = "{url}"  #' in pairing.SET_UP_CELL.read_text()


@pytest.mark.parametrize("address", ["", "name", 'a/b"; import os'])
def test_a_strange_address_is_refused(tmp_path, monkeypatch, address):
    monkeypatch.setattr(pairing, "SET_UP_CELL", Path(shutil.copy(pairing.SET_UP_CELL, tmp_path)))
    with pytest.raises(NotebookError, match="expected owner/name or a URL"):
        pairing.write_repository(address)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://git.example.org/a/b", "badges need a repository on GitHub"),
        ("name", "expected owner/name or a URL"),
    ],
)
def test_an_address_that_is_refused_changes_no_file(
    text, tmp_path, monkeypatch, capsys, address, told
):
    cell = Path(shutil.copy(pairing.SET_UP_CELL, tmp_path))
    (tmp_path / "README.md").write_text(
        "| [01_eda](notebooks/01_eda.ipynb) | 15 s |\n", encoding="utf-8"
    )
    monkeypatch.setattr(pairing, "SET_UP_CELL", cell)
    monkeypatch.setattr(project, "PACKAGE", tmp_path / "livestock_utils")
    before = cell.read_text(encoding="utf-8"), (tmp_path / "README.md").read_text(encoding="utf-8")
    assert pairing.main(["--notebooks", str(text.parent), "--repository", address]) == 1
    assert told in capsys.readouterr().err
    assert (
        cell.read_text(encoding="utf-8"),
        (tmp_path / "README.md").read_text(encoding="utf-8"),
    ) == before


# The rules that every committed notebook keeps.


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_committed_pairs_agree_and_are_clean(path):
    assert pairing.faults(path) == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_notebooks_declare_parameters_reads_and_writes(path):
    notebook = notebook_files.read(path)
    assert {"data", "out"} <= set(notebook.parameters)
    assert notebook.reads
    assert notebook.writes
    notebook_files.expand(notebook.reads + notebook.writes, notebook.parameters)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_notebooks_hold_short_calls_only(path):
    forbidden = (
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Lambda,
        ast.For,
        ast.While,
    )
    for cell in notebook_files.read(path).nb.cells:
        if cell.cell_type == "code" and pairing.SET_UP_TAG not in cell.metadata.get("tags", []):
            found = [
                type(node).__name__
                for node in ast.walk(ast.parse(cell.source))
                if isinstance(node, forbidden)
            ]
            assert not found, f"{found} in a cell: belongs in the library\n{cell.source}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_notebooks_begin_with_a_title_and_name_the_next(path):
    cells = notebook_files.read(path).nb.cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    (named,) = re.findall(
        r"^step\.finish\((.*)\)", "\n".join(cell.source for cell in cells), flags=re.M
    )
    later = [text.stem for text in TEXTS if text.stem > path.stem]
    if later:
        assert path.stem < ast.literal_eval(named) <= later[0]
