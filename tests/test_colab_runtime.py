"""Colab simulated: google.colab, Drive, /content; set-up changes nothing, the notebooks run from
their cells.

Twice, as no machine without a GPU has all of it:
- "releases": Python 3.13 with the releases of Colab's package list. Torch stands there by name only
(it has 6 GB), so
  notebook 01 runs alone; with LIVESTOCK_COLAB_TORCH=1 torch is there, and 02, 05 and 11 run too.
  LIVESTOCK_COLAB=FOLDER keeps the runtime for the next time.
- "torch": the Python and packages that run these tests. 01, 02, 05 and 11 run, each in a runtime of
its own: between
  them /content is emptied, as if every notebook had been opened by its badge, and only Drive keeps
  the results.
Not simulated: a GPU, Google's own Drive client with its delays and drop-outs, the page that asks
for access.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import colab_runtime
import jupytext
import nbformat
import pytest
from papermill.parameterize import parameterize_notebook

from livestock_utils import install
from livestock_utils.data.sample import drawing
from livestock_utils.show.pipeline import pairing

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ("livestock_utils", "hyp", "notebooks", "setup.py", "requirements.txt", "extras.txt")
WITH_TORCH = bool(os.environ.get("LIVESTOCK_COLAB_TORCH"))
NEED_TORCH = ("02_make_dataset_multilabel", "05_train_multilabel_split", "11_inference")
NOTEBOOKS = {
    "releases": ("01_eda", *(NEED_TORCH if WITH_TORCH else ())),
    "torch": ("01_eda", *NEED_TORCH),
}
TINY = {
    "examples": 2,
    "model": "yolov5n",
    "init_weights": "yolov5n_sample.pt",
    "image_size": 64,
    "batch_size": 8,
    "epochs": 1,
    "workers": 0,
    "warmup_min_iterations": 1,
    "n_resamples": 20,
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=list(NOTEBOOKS))
def kind(request):
    """Whose packages the runtime has: Colab's releases, or those of the tests."""
    return request.param


@pytest.fixture(scope="module")
def python(kind, tmp_path_factory):
    """The Python of a runtime."""
    if kind == "torch":
        return colab_runtime.build_over_this(tmp_path_factory.mktemp("runtime") / "torch")
    shared = os.environ.get("LIVESTOCK_SHARED")
    freeze = Path(shared or "", "colab", "pip-freeze.gpu.txt")
    if not shared or not freeze.is_file():
        pytest.skip("LIVESTOCK_SHARED is not set, or has no colab/pip-freeze.gpu.txt")
    interpreter = colab_runtime.python_3_13()
    if interpreter is None:
        pytest.skip("no Python 3.13 here, which Colab has")
    kept = os.environ.get("LIVESTOCK_COLAB")
    folder = (Path(kept) if kept else tmp_path_factory.mktemp("runtime")) / (
        "torch" if WITH_TORCH else "light"
    )
    return colab_runtime.build(folder, interpreter, freeze, ROOT / "requirements.txt", WITH_TORCH)


@pytest.fixture(scope="module")
def drive(kind, tmp_path_factory):
    """A user's Drive: the project and the archives below livestock/."""
    drive = tmp_path_factory.mktemp("drive")
    copy_project(drive / "livestock" / "project")
    drawing.write_sample(drive / "livestock", n_images=24, n_test_images=8, scale=0.15)
    return drive


@pytest.fixture(scope="module")
def runtime(kind, python, drive, tmp_path_factory):
    """(call(*arguments) of its Python, packages before, complaints before) with an empty
    /content."""
    if reason := colab_runtime.make_content():
        pytest.skip(reason)
    fake = colab_runtime.google_colab(tmp_path_factory.mktemp("google"), drive)
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LIVESTOCK", "JUPYTER"))
    }
    yolov5 = (
        install.yolov5_folder()
        if kind == "torch"
        else tmp_path_factory.mktemp("yolov5") / "yolov5-7.0.14"
    )
    environment |= {
        "PYTHONPATH": str(fake),
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "LIVESTOCK_YOLOV5": str(yolov5),
    }

    def call(*arguments):
        return subprocess.run(
            [str(python), *map(str, arguments)],
            cwd=colab_runtime.CONTENT,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )

    before = colab_runtime.packages(python)
    yield call, before, colab_runtime.complaints(python)
    if added := sorted(
        set(colab_runtime.packages(python)) - set(before)
    ):  # a runtime that is kept stays as Colab's
        call("-m", "pip", "uninstall", "--yes", *added)
    colab_runtime.remove_content()


@pytest.fixture(scope="module")
def executed(kind, runtime):
    """The notebooks as a user runs them: opened from their .ipynb form, all cells, nothing but
    sizes changed."""
    call, _, _ = runtime
    done = {}
    for name in NOTEBOOKS[kind]:
        colab_runtime.make_content()
        text = jupytext.read(ROOT / "notebooks" / f"{name}.py", fmt="py:percent")
        code = [
            cell
            for cell in text.cells
            if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", [])
        ]
        code.insert(0, nbformat.v4.new_code_cell(set_up_cell()))
        for cell in code:
            cell.metadata.setdefault("tags", [])  # papermill looks for them on every cell
        text.cells = code
        text.metadata.setdefault("papermill", {})
        known = next(cell.source for cell in code if "parameters" in cell.metadata.get("tags", []))
        changed = {key: value for key, value in TINY.items() if f"\n{key} = " in known}
        path = colab_runtime.CONTENT / f"{name}.ipynb"
        nbformat.write(
            parameterize_notebook(text, changed, kernel_name="python3", language="python"), path
        )
        ran = call(
            "-m",
            "nbconvert",
            "--to",
            "notebook",
            "--execute",
            "--inplace",
            "--ExecutePreprocessor.timeout=-1",
            path,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        done[name] = nbformat.read(path, as_version=4)
    return done


def set_up_cell():
    """The first cell of a checkout that has no address yet: the project is on Drive."""
    return re.sub(
        'REPOSITORY = ".*?"', 'REPOSITORY = ""', pairing.SET_UP_CELL.read_text(encoding="utf-8")
    )


def copy_project(target):
    for name in PROJECT:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.part")
            )
        else:
            shutil.copy2(ROOT / name, target / name)


def test_set_up_changes_no_release_and_breaks_no_requirement(runtime, executed, python):
    _, before, complaints = runtime
    after = colab_runtime.packages(python)
    assert {name: after.get(name) for name in before} == before
    assert "papermill" in after and "yolov5" not in after
    assert colab_runtime.complaints(python) <= complaints


def test_the_first_cell_tells_what_it_did(executed):
    cells = [cell for cell in executed["01_eda"].cells if cell.cell_type == "code"]
    assert any("none changed" in output.get("text", "") for output in cells[0].outputs)


def test_the_archives_on_drive_are_found_and_the_results_go_there(kind, executed, drive):
    runs = drive / "livestock" / "runs" / "main"
    metrics = json.loads((runs / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics) == list(NOTEBOOKS[kind])
    assert metrics["01_eda"]["images"] == 24
    if "11_inference" in NOTEBOOKS[kind]:
        assert (runs / "training" / "multilabel_split" / "weights" / "best.pt").is_file()
        assert (runs / "submission.csv").is_file()


def test_a_clone_is_fetched_where_the_address_is_known(runtime, executed, tmp_path):
    call, _, _ = runtime
    copy_project(tmp_path / "repository")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path / "repository"), *command], check=True)
    cell = pairing.SET_UP_CELL.read_text(encoding="utf-8")
    cell = cell.replace(', f"{drive}/MyDrive/livestock/project"', "")
    cell = re.sub('REPOSITORY = ".*?"', f'REPOSITORY = "file://{tmp_path}/repository"', cell)
    done = call("-c", cell + "\nimport livestock_utils as lu; print(lu.__file__)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "/content/project/livestock_utils/__init__.py"


def test_without_the_project_the_first_cell_says_where_to_put_it(runtime, executed, drive):
    call, _, _ = runtime
    shutil.rmtree(colab_runtime.CONTENT / "project", ignore_errors=True)
    (drive / "livestock" / "project").rename(drive / "elsewhere")
    try:
        done = call("-c", set_up_cell())
    finally:
        (drive / "elsewhere").rename(drive / "livestock" / "project")
    assert done.returncode != 0
    assert "put the project's folder there as livestock/project" in done.stderr
