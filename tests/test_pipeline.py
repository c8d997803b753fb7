"""The papermill driver on two tiny notebooks, called as a user calls it."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from livestock_utils.core import species
from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import driver, notebook_files, records
from livestock_utils.show.pipeline import parameters as run_parameters

ROOT = Path(__file__).resolve().parents[1]
TINY = Path(__file__).with_name("notebooks_tiny")


def command(*arguments, cwd, **environment):
    """The run command in a process of its own, without an activated environment and with a
    misleading kernel."""
    env = {**os.environ, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "livestock_utils", "run", *map(str, arguments)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def write_numbers(folder, text="n\n1\n2\n3\n"):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "numbers.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A folder in which both tiny notebooks have run once, and what the command said."""
    folder = tmp_path_factory.mktemp("run {1} [x]")
    write_numbers(folder / "my data")
    kernel = folder / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        '{"argv": ["/bin/false"], "display_name": "Wrong", "language": "python"}'
    )
    parameters = ("-p", "02.factor", "5", "-p", "scale", "1e-1")
    done = command(
        "--data",
        "my data",
        "--out",
        "out",
        "--notebooks",
        TINY,
        *parameters,
        cwd=folder,
        JUPYTER_PATH=str(folder / "jupyter"),
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def finished(first_run, tmp_path):
    """A copy of the first run to change, with its notebooks, values and out folder."""
    shutil.copytree(first_run[0] / "out", tmp_path / "out")
    write_numbers(tmp_path / "data")
    shutil.copytree(TINY, tmp_path / "notebooks")
    return tmp_path


def states(folder, given=None):
    """Which notebooks count as done, by number."""
    found = notebook_files.find(folder / "notebooks")
    given = {"02.factor": 5, "scale": 0.1} | (given or {})
    values = run_parameters.resolve(found, [given], str(folder / "data"), str(folder / "out"))
    return {n.number: records.is_done(n, values[n.name], folder / "out") for n in found}


def test_a_run_tells_its_way_and_where_the_results_are(first_run):
    _, done = first_run
    lines = done.stdout.splitlines()
    assert [line.rsplit(" in ")[0] for line in lines[:4]] == [
        "[1/2] 01_count: running",
        "[1/2] 01_count: done",
        "[2/2] 02_double: running",
        "[2/2] 02_double: done",
    ]
    assert lines[4:] == ["report:  out/report/index.html", "metrics: out/metrics.json"]
    assert done.stderr == ""


@pytest.mark.parametrize("end", ["os._exit(0)", "faulthandler.enable(); os.abort()"])
def test_a_process_that_dies_leaves_its_last_words(tmp_path, end):
    write_numbers(tmp_path / "data")
    (tmp_path / "notebooks").mkdir()
    text = (TINY / "01_count.py").read_text(encoding="utf-8")
    text += f"\n# %%\nimport faulthandler, os\n\n{end}\n"
    (tmp_path / "notebooks" / "01_count.py").write_text(text, encoding="utf-8")
    done = command(*("--data", "data", "--out", "out", "--notebooks", "notebooks"), cwd=tmp_path)
    words = Path("out/.state/running/01_count.stderr.txt")
    assert (done.returncode, f"its last words in {words})" in done.stderr) == (1, True), done.stderr
    assert "Fatal Python error" not in done.stderr
    said = (tmp_path / words).read_text(encoding="utf-8")
    assert ("Fatal Python error: Aborted" in said) == ("abort" in end)


def test_the_kernel_is_this_python_in_the_callers_folder(first_run):
    folder, _ = first_run
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert metrics["01_count"]["python"] == sys.executable
    assert metrics["01_count"]["folder"] == str(folder)


def test_results_lie_where_the_design_says(first_run):
    folder, _ = first_run
    files = {
        p.relative_to(folder / "out").as_posix() for p in (folder / "out").rglob("*") if p.is_file()
    }
    assert {f for f in files if not f.startswith(".state")} == {
        "notebooks/01_count.ipynb",
        "notebooks/02_double.ipynb",
        "tables/numbers.csv",
        "double.txt",
        "metrics.json",
        "figures/01/numbers.png",
        "report/index.html",
        "report/01_count.html",
        "report/02_double.html",
        "report/files/01_count.ipynb",
        "report/files/02_double.ipynb",
    }
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert {name: part["total"] for name, part in metrics.items()} == {
        "01_count": 6,
        "02_double": 30,
    }


def test_nothing_is_said_on_stderr_inside_the_notebooks(first_run):
    nb = nbformat.read(first_run[0] / "out" / "notebooks" / "01_count.ipynb", as_version=4)
    assert [
        o for cell in nb.cells for o in cell.get("outputs", []) if o.output_type == "stream"
    ] == []


def test_finished_notebooks_are_skipped_also_after_moving(finished):
    said = []
    done = driver.run(
        finished / "data",
        finished / "out",
        notebooks=finished / "notebooks",
        tell=said.append,
        parameters={"02.factor": 5, "scale": 0.1},
    )
    assert done == {"01_count": "unchanged", "02_double": "unchanged"}
    assert said == ["[1/2] 01_count: unchanged, skipped", "[2/2] 02_double: unchanged, skipped"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: None, {"01": True, "02": True}),
        (lambda f: write_numbers(f / "data", "n\n1\n2\n4\n"), {"01": False, "02": True}),
        (lambda f: (f / "data" / "data" / "more.csv").touch(), {"01": False, "02": True}),
        (
            lambda f: (f / "out" / "tables" / "numbers.csv").write_text("n\n9\n"),
            {"01": True, "02": False},
        ),
        (lambda f: (f / "out" / "double.txt").unlink(), {"01": True, "02": False}),
        (
            lambda f: (f / "out" / "notebooks" / "01_count.ipynb").unlink(),
            {"01": False, "02": True},
        ),
        (lambda f: (f / "out" / ".state" / "02.json").unlink(), {"01": True, "02": False}),
        (
            lambda f: (f / "notebooks" / "01_count.py").open("a").write("\n# a word\n"),
            {"01": False, "02": True},
        ),
        (lambda f: os.utime(f / "data" / "data" / "numbers.csv", (1, 1)), {"01": True, "02": True}),
    ],
    ids=[
        "nothing",
        "input",
        "new input",
        "middle",
        "output",
        "executed",
        "record",
        "text",
        "time only",
    ],
)
def test_what_makes_a_notebook_run_again(finished, change, expected):
    change(finished)
    assert states(finished) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"02.factor": 6}, {"01": True, "02": False}), ({"note": "x"}, {"01": False, "02": True})],
)
def test_changed_parameters_run_again(finished, given, expected):
    assert states(finished, given) == expected


def test_another_species_file_runs_again(finished, monkeypatch):
    settings = (species.PACKAGE / "assets" / "species.yaml").read_text(encoding="utf-8")
    (finished / "same.yaml").write_text(settings, encoding="utf-8")
    (finished / "other.yaml").write_text(
        settings.replace("count_bins: [4, 6]", "count_bins: [4, 7]"), encoding="utf-8"
    )
    monkeypatch.setenv("LIVESTOCK_SPECIES", str(finished / "same.yaml"))
    assert states(finished) == {"01": True, "02": True}
    monkeypatch.setenv("LIVESTOCK_SPECIES", str(finished / "other.yaml"))
    assert states(finished) == {"01": False, "02": False}


def test_large_data_files_are_told_apart_by_size_and_time(finished, monkeypatch):
    monkeypatch.setattr(records, "HASHED_BYTES", 4)
    found = notebook_files.find(finished / "notebooks")
    values = run_parameters.resolve(found, [], str(finished / "data"), str(finished / "out"))[
        found[0].name
    ]
    before = records.fingerprint(found[0], values, finished / "out")
    os.utime(finished / "data" / "data" / "numbers.csv", (1, 1))
    assert records.fingerprint(found[0], values, finished / "out") != before


def test_a_refusal_leaves_what_had_finished_as_it_was(finished):
    out, figure = finished / "out", finished / "out" / "figures" / "02" / "double.png"
    figure.parent.mkdir(parents=True)
    figure.write_bytes(b"drawn")
    text = (finished / "notebooks" / "02_double.py").read_text()
    text = text.replace(
        "if fail:",
        'step.path("figures", "02", "double.png").write_bytes(b"x")\n'
        'step.path("figures", "02", "new.png").write_bytes(b"x")\nif fail:',
    )
    (finished / "notebooks" / "02_double.py").write_text(text)
    arguments = ("--data", "data", "--out", "out", "--notebooks", "notebooks", "-p", "scale", "0.1")
    assert command(*arguments, cwd=finished).returncode == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    refused = command(*arguments, "--only", "02", "-p", "fail", "true", cwd=finished)
    assert refused.returncode == 1 and refused.stderr.endswith(
        "(traceback in out/.state/refused/02_double.ipynb; what was finished is as it was)\n"
    )
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    told = after.pop(out / ".state" / "refused" / "02_double.ipynb")
    assert b"the numbers are odd: expected even ones" in told and after == before
    assert "[2/2] 02_double: unchanged, skipped" in command(*arguments, cwd=finished).stdout


def test_a_failure_stops_in_one_line_and_the_next_run_goes_on(finished):
    (finished / "out" / ".state" / "02.json").unlink()  # it had not finished
    arguments = ("--data", "data", "--out", "out", "--notebooks", "notebooks", "-p", "scale", "0.1")
    failed = command(*arguments, "-p", "fail", "true", cwd=finished)
    assert failed.returncode == 1
    assert failed.stdout.splitlines() == [
        "[1/2] 01_count: unchanged, skipped",
        "[2/2] 02_double: running",
        "report:  out/report/index.html",
    ]
    assert failed.stderr.splitlines() == [
        'error: 02_double, cell [4] `numbers = pd.read_csv(step.need("tables", "numbers.csv", '
        "mad`: "
        "DatasetError: the numbers are odd: expected even ones "
        "(traceback in out/notebooks/02_double.ipynb; the same command goes on from here)"
    ]
    nb = nbformat.read(finished / "out" / "notebooks" / "02_double.ipynb", as_version=4)
    errors = [o for cell in nb.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert [error.evalue for error in errors] == ["the numbers are odd: expected even ones"]
    assert len(errors[0].traceback) == 1
    assert states(finished) == {"01": True, "02": False}
    assert "Stopped with an error." in (finished / "out" / "report" / "index.html").read_text(
        encoding="utf-8"
    )
    page = (finished / "out" / "report" / "02_double.html").read_text(encoding="utf-8")
    assert "the numbers are odd: expected even ones" in page
    again = command(*arguments, cwd=finished)
    assert "[2/2] 02_double: done" in again.stdout
    assert "Stopped with an error." not in (finished / "out" / "report" / "index.html").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("only", "start", "expected"),
    [
        ((), None, ["01_count", "02_double"]),
        (("02",), None, ["02_double"]),
        (("2",), None, ["02_double"]),
        ((), "2", ["02_double"]),
        (("02_double", "01"), None, ["01_count", "02_double"]),
        ((), "02", ["02_double"]),
        (("01",), "02", []),
    ],
)
def test_choosing(only, start, expected):
    assert [n.name for n in driver.choose(notebook_files.find(TINY), only, start)] == expected


@pytest.mark.parametrize(
    ("only", "start"), [(("03",), None), ((), "03"), (("3",), None), (("002",), None)]
)
def test_choosing_what_there_is_not(only, start):
    with pytest.raises(NotebookError, match=r"no notebook '\d+'; there are 01_count, 02_double"):
        driver.choose(notebook_files.find(TINY), only, start)


def test_a_missing_data_folder(tmp_path):
    with pytest.raises(
        NotebookError, match=r"data folder .*none does not exist; `python -m livestock_utils sample"
    ):
        driver.run(tmp_path / "none", tmp_path / "out", notebooks=TINY)
    assert not (tmp_path / "out").exists()


def test_a_notebook_must_keep_its_headers_promise(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_lazy.py").write_text(
        '# ---\n# jupyter:\n#   livestock:\n#     writes: ["{out}/a.csv"]\n# ---\n\n# %% '
        'tags=["parameters"]\n'
        'data = ""\nout = ""\n'
    )
    with pytest.raises(
        NotebookError,
        match=r"01_lazy ended without writing \{out\}/a\.csv, which its header promises",
    ):
        driver.run(tmp_path, tmp_path / "out", notebooks=tmp_path / "notebooks")
    assert not (tmp_path / "out" / ".state" / "01.json").exists()


SLOW = """# ---
# jupyter:
#   livestock:
#     writes: ["{out}/end.txt"]
# ---

# %% tags=["parameters"]
data = ""
out = ""
hang = True

# %%
import pathlib
import threading

hang and pathlib.Path(out, "begun").write_text("yes")
hang and threading.Event().wait(600)

# %%
pathlib.Path(out, "end.txt").write_text("whole")
"""


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_half_written_and_goes_on(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_slow.py").write_text(SLOW)
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "begun")
    pipe = os.open(tmp_path / "out" / "begun", os.O_RDONLY | os.O_NONBLOCK)
    arguments = ["--data", ".", "--out", "out", "--notebooks", "notebooks"]
    process = subprocess.Popen(
        [sys.executable, "-m", "livestock_utils", "run", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    begun, _, _ = select.select([pipe], [], [], 60)
    os.close(pipe)
    assert begun
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "notebooks").exists()
    assert not (tmp_path / "out" / ".state" / "01.json").exists()
    done = command(*arguments, "-p", "hang", "false", cwd=tmp_path)
    assert "[1/1] 01_slow: done" in done.stdout
    assert not list((tmp_path / "out" / ".state" / "running").iterdir())


SHARES = """# ---
# jupyter:
#   livestock:
#     writes: ["{out}/whole.txt"]
# ---

# %% tags=["parameters"]
data = ""
out = ""

# %%
from livestock_utils.show import notebook

step = notebook.start("01_shares", data, out)
complete = step.path("part-2").exists()
complete and step.path("whole.txt").write_text("whole")
step.metrics(complete=complete)
step.finish(None)
"""


def test_a_notebook_that_waits_for_other_shards_is_not_done(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_shares.py").write_text(SHARES)
    run = {"data": tmp_path, "out": tmp_path / "out", "notebooks": tmp_path / "notebooks"}
    said = []
    assert driver.run(**run, tell=said.append) == {"01_shares": "share"}
    assert said[-1].startswith("[1/1] 01_shares: its share done in")
    assert said[-1].endswith("the same command again goes on when the other shards are there")
    (tmp_path / "out" / "part-2").touch()  # by another session
    assert driver.run(**run) == {"01_shares": "done"}
    assert driver.run(**run) == {"01_shares": "unchanged"}
