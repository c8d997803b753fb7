"""A notebook's step: folders, figures, tables and metrics."""

import dataclasses
import hashlib
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from PIL import Image

from livestock_utils import colab
from livestock_utils.core import project as project_files
from livestock_utils.core import settings, tables
from livestock_utils.core.errors import NotebookError, TrainingError
from livestock_utils.data.sample import drawing
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import preflight
from livestock_utils.show import notebook, output
from livestock_utils.show.display import Display


@pytest.fixture
def step(tmp_path):
    return notebook.Step("03_make_dataset_full", tmp_path / "data", tmp_path / "out")


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr(
        output, "display", lambda data, metadata=None: shown.append((data, metadata or {}))
    )
    return shown


def axes():
    return pyplot.subplots(figsize=(6, 3))[1]


@pytest.mark.parametrize("kind", ["axes", "figure", "array"])
def test_a_figure_is_saved_and_shown_with_its_caption(step, displayed, kind):
    one = axes()
    step.figure(
        {"axes": one, "figure": one.figure, "array": np.array([[one]])}[kind],
        "shares",
        "Shares by stratum.",
    )
    with Image.open(step.out / "figures" / "03" / "shares.png") as saved:
        assert 600 < saved.width <= 930  # 6 inches at 150 dpi, cut to what is drawn and its margin
    (picture, metadata), (caption, _) = displayed
    mime = next(key for key in picture if key.startswith("image/"))
    assert metadata[mime]["alt"] == "Shares by stratum."
    assert metadata["livestock"] == {"figure": "03/shares.png"}
    assert caption["text/markdown"] == "*Shares by stratum.*"
    assert not pyplot.get_fignums()


def test_a_figure_must_be_a_figure(step):
    with pytest.raises(
        NotebookError, match=r"step\.figure got int: expected Axes, a Figure or a seaborn grid"
    ):
        step.figure(3, "shares", "Shares.")


def test_the_same_figure_gives_the_same_file(step, displayed):
    step.figure(axes(), "first", "Empty axes.")
    step.figure(axes(), "second", "Empty axes.")
    first, second = (step.out / "figures" / "03" / f"{name}.png" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_a_table_is_formatted_for_reading(step, displayed):
    frame = pd.DataFrame(
        {
            "images": [16455, 7],
            "box_share": [0.12345, math.nan],
            "y": [True, False],
            "a": ["<b>", 1],
        }
    )
    step.table(frame, "All & more.", digits=2)
    html = displayed[0][0]["text/html"]
    for part in (
        "<th>box share</th>",
        "16,455",
        "0.12",
        "–",
        "yes",
        "&lt;b&gt;",
        "<caption>All &amp; more.</caption>",
    ):
        assert part in html


def test_more_numbers_are_folded_below_the_table(step, displayed):
    some = pd.DataFrame({"form": ["onnx"]})
    step.show(Display("cost", table=some, shows_table=True, table_caption="<All>", rest=some))
    table, folded = (page["text/html"] for page, *_ in displayed)
    assert folded.startswith("<details><summary>&lt;All&gt;</summary><table")
    assert "All" not in table and "details" not in table


def test_an_empty_table_still_shows_its_columns(step, displayed):
    step.table(pd.DataFrame({"images": pd.Series(dtype=int)}))
    assert "images" in displayed[0][0]["text/html"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (math.nan, None),
        (float("inf"), None),
        (None, None),
        (True, True),
        ("text", "text"),
        ((1, 2), [1, 2]),
        (np.array([1.5]), [1.5]),
        (pd.Series({"pig": 1}), {"pig": 1}),
        (pd.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        ({"pig": np.int64(1)}, {"pig": 1}),
    ],
)
def test_metrics_become_plain_json(step, value, expected):
    step.metrics(value=value)
    step.finish(None)
    assert json.loads((step.out / "metrics.json").read_text()) == {
        "03_make_dataset_full": {"value": expected}
    }


def test_metrics_refuse_what_json_cannot_hold(step):
    with pytest.raises(
        NotebookError, match="metrics take numbers, texts, lists, mappings, tables, got object"
    ):
        step.metrics(value=object())


def test_each_notebook_has_one_key_and_loses_no_others(step):
    other = notebook.Step("01_eda", step.data, step.out)
    other.metrics(images=3)
    other.finish("03_make_dataset_full")
    step.metrics(images=2, boxes=5)
    step.finish(None)
    other.metrics(images=4)
    other.finish("03_make_dataset_full")
    merged = json.loads((step.out / "metrics.json").read_text())
    assert merged == {"01_eda": {"images": 4}, "03_make_dataset_full": {"images": 2, "boxes": 5}}


def test_finish_shows_the_numbers_and_names_the_next(step, displayed):
    step.metrics(images=12152, by_species={"pig": 1})
    step.finish("04_make_dataset_mini")
    assert "12,152" in displayed[0][0]["text/html"]
    assert (
        displayed[1][0]["text/markdown"]
        == "**Next:** [04_make_dataset_mini](04_make_dataset_mini.ipynb)"
    )


def test_finish_answers_the_notebooks_questions_and_folds_the_numbers(step, displayed):
    step.metrics(train_images=8, watched_images=2)
    step.finish(None)
    said = "- *How many photos can train?* 8, while 2 are held out to watch the training."
    assert displayed[0][0]["text/markdown"] == f"## In short\n\n{said}"
    folded = (
        "<details><summary>Key numbers of 03_make_dataset_full, also in metrics.json.</summary>"
    )
    assert displayed[1][0]["text/html"].startswith(folded)


def test_start_tells_the_parameters_that_are_not_the_texts(tmp_path, displayed):
    asked = {"data": str(tmp_path), "out": str(tmp_path / "out"), "epochs": 3, "seed": 0}
    notebook.start("08_train_full", {**asked, "model": "yolov5n"})
    (said,) = [text["text/markdown"] for text, *_ in displayed if "Set for" in str(text)]
    assert said == "Set for this run, other than in the cell above: model `yolov5n`, epochs `3`"
    displayed.clear()
    notebook.start("08_train_full", {**asked, "epochs": 20})
    assert "Set for" not in str(displayed)


def test_need_names_who_writes_what_is_missing(step):
    step.path("datasets", "Train.tar").write_text("x")
    assert step.need("datasets", "Train.tar", made_by="02").is_file()
    with pytest.raises(
        NotebookError, match=r"Valid\.tar is missing: notebook 02_split writes it; run that first"
    ):
        step.need("datasets", "Valid.tar", made_by="02_split")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder as the library sees it, with the drawing of the sample recorded instead of
    done."""
    monkeypatch.setattr(project_files, "PACKAGE", tmp_path / "livestock_utils")
    (tmp_path / "setup.py").touch()
    (tmp_path / "requirements.txt").touch()
    drawn = []
    monkeypatch.setattr(drawing, "write_sample", lambda folder, **options: drawn.append(folder))
    return types.SimpleNamespace(root=tmp_path, drawn=drawn)


def test_given_folders_are_taken_as_they_are(project):
    assert [p.as_posix() for p in notebook.folders("some/data", "some/out")] == [
        "some/data",
        "some/out",
    ]
    assert project.drawn == []


def test_without_folders_the_projects_own_archives_come_first(project):
    (project.root / "data" / "data").mkdir(parents=True)
    assert notebook.folders() == (project.root / "data", project.root / "runs" / "main")
    assert project.drawn == []


def test_without_archives_the_sample_is_drawn_once(project):
    expected = project.root / "data" / "sample", project.root / "runs" / "sample"
    assert notebook.folders() == expected
    assert project.drawn == [expected[0]]
    (expected[0] / "data").mkdir(parents=True)
    assert notebook.folders() == expected
    assert len(project.drawn) == 1


class Refused(Exception):
    """As google.colab's own error for a consent that was not given."""


@pytest.fixture
def runtime(project, monkeypatch):
    """A Colab kernel whose Drive is mounted at ROOT/drive, unless `refused`; its own disk is
    ROOT/content."""
    state = types.SimpleNamespace(root=project.root, drawn=project.drawn, mounted=[], refused=False)
    state.drive = project.root / "drive" / "MyDrive" / "livestock"

    def mount(folder, force_remount=False):
        if state.refused:
            raise Refused("credential propagation was unsuccessful")
        state.mounted.append(folder)
        state.drive.parent.mkdir(parents=True, exist_ok=True)

    monkeypatch.setitem(
        sys.modules,
        "google.colab",
        types.SimpleNamespace(
            drive=types.SimpleNamespace(mount=mount), errors=types.SimpleNamespace(Error=Refused)
        ),
    )
    monkeypatch.setattr(notebook, "DRIVE", state.drive)
    monkeypatch.setattr(notebook, "LOCAL", project.root / "content")
    return state


DRIVE, CONTENT = "drive/MyDrive/livestock", "content"


@pytest.mark.parametrize(
    ("archives", "refused", "data", "out"),
    [
        ([], False, f"{CONTENT}/data/sample", f"{DRIVE}/runs/sample"),
        ([DRIVE], False, DRIVE, f"{DRIVE}/runs/main"),
        ([f"{CONTENT}/data"], False, f"{CONTENT}/data", f"{DRIVE}/runs/main"),
        ([f"{CONTENT}/data", DRIVE], False, DRIVE, f"{DRIVE}/runs/main"),
        ([], True, f"{CONTENT}/data/sample", f"{CONTENT}/runs/sample"),
        ([f"{CONTENT}/data"], True, f"{CONTENT}/data", f"{CONTENT}/runs/main"),
    ],
)
def test_on_colab_results_go_to_drive_wherever_it_may_be_mounted(
    runtime, archives, refused, data, out
):
    for place in archives:
        (runtime.root / place / "data").mkdir(parents=True)
    runtime.refused = refused
    assert notebook.folders() == (runtime.root / data, runtime.root / out)
    assert runtime.mounted == ([] if refused else [str(runtime.root / "drive")])
    assert runtime.drawn == ([runtime.root / data] if not archives else [])


def test_on_colab_a_second_runtime_goes_on_with_the_results_of_the_first(runtime, displayed):
    first = notebook.start("01_eda")
    first.path("tables", "images.csv").write_text("x")
    second = notebook.start("02_make_dataset_multilabel")
    assert second.need("tables", "images.csv", made_by="01").is_file()
    assert not any("gone when the runtime ends" in data["text/plain"] for data, _ in displayed)


def test_without_drive_the_reader_is_told_that_nothing_is_kept(runtime, displayed):
    runtime.refused = True
    step = notebook.start("01_eda")
    told = displayed[-1][0]["text/plain"]
    assert "gone when the runtime ends" in told
    assert told.endswith(
        f"`!cd {runtime.root} && python -m livestock_utils run --data {step.data} --out {step.out} "
        "--profile sample`"
    )


def test_folders_that_are_given_need_drive_only_where_they_are_on_it(runtime):
    assert (
        notebook.folders("/content/elsewhere", "/content/out")[0].as_posix() == "/content/elsewhere"
    )
    assert runtime.mounted == []
    assert notebook.folders(runtime.drive, "/content/out") == (runtime.drive, Path("/content/out"))
    assert runtime.mounted == [str(runtime.root / "drive")]
    runtime.refused = True
    with pytest.raises(
        NotebookError,
        match=r"livestock is on Google Drive, to which access was refused; run the cell",
    ):
        notebook.folders(runtime.drive, "/content/out")


def test_a_notebook_tells_of_an_interrupted_training(project, displayed, tmp_path):
    content = b"state"
    resume = tmp_path / "out" / "training" / "full" / "resume"
    resume.mkdir(parents=True)
    (resume / f"resume-e0001-{hashlib.sha256(content).hexdigest()[:16]}.pt").write_bytes(content)
    notebook.start("08_train_full", tmp_path / "data", tmp_path / "out")
    assert "`full` was interrupted" in str(displayed)


@pytest.mark.parametrize(("uses_gpu", "lines"), [(False, 1), (True, 2)])
def test_a_notebook_that_trains_says_which_gpu_there_is(
    project, displayed, tmp_path, monkeypatch, uses_gpu, lines
):
    monkeypatch.setattr(preflight, "gpus", lambda: [])
    notebook.start("05_train", tmp_path / "data", tmp_path / "out", uses_gpu=uses_gpu)
    told = [data["text/plain"] for data, _ in displayed]
    assert len(told) == lines
    assert [line for line in told if "Change runtime type" in line] == told[1:]


def test_a_named_index_is_a_column_of_its_own(step, displayed):
    step.table(pd.DataFrame({"images": [40]}, index=pd.Index(["all"], name="class")), index=True)
    html = displayed[0][0]["text/html"]
    assert html.index("class</th>") < html.index("images</th>")
    assert html.count("<tr") == 2


@dataclasses.dataclass(frozen=True)
class Asked(settings.Settings):
    """Two settings of a notebook."""

    hyp: str | None = settings.setting(None, "A file.")
    epochs: int = settings.setting(10, "Passes.", low=1)


def test_a_notebook_hands_its_parameters_over_at_once(project, displayed, tmp_path):
    asked = {"data": tmp_path / "data", "out": tmp_path / "out", "hyp": "search", "epochs": 3}
    step = notebook.start("05_train", asked | {"step": None})
    assert (step.data, step.out) == (tmp_path / "data", tmp_path / "out")
    assert step.parameters["epochs"] == 3 and step.local == tmp_path / "out" / "local"
    with pytest.raises(NotebookError, match="notebook 07 writes it"):
        step.settings(Asked)
    best = step.path("hyp", "best.yaml")
    best.touch()
    (best.parent / "search.json").write_text(json.dumps({"file": best.name}))
    assert step.settings(Asked) == Asked(str(best), 3)


@pytest.mark.parametrize(
    ("estimate", "share"),
    [
        (None, None),
        ('{"suggestions": 3}', None),
        ('{"missing_share": 0.3}', 0.3),
        ('{"missing_share": 1.2}', TrainingError),
        ("{", NotebookError),
    ],
)
def test_the_share_of_missing_labels_comes_from_notebook_06(project, tmp_path, estimate, share):
    asked = {"data": tmp_path / "data", "out": tmp_path / "out", "negatives": "auto"}
    step = notebook.start("08_train", asked)
    if estimate is not None:
        step.path(".state", "metrics", "06_error_analysis.json").write_text(estimate)
    if isinstance(share, type):
        with pytest.raises(share, match=r"missing_share must|run notebook 06 again"):
            step.settings(TrainSettings)
    else:
        assert step.settings(TrainSettings) == TrainSettings(missing_share=share)


def test_a_step_reads_what_earlier_notebooks_wrote(step):
    with pytest.raises(NotebookError, match="notebook 01_eda writes it"):
        step.photos()
    with pytest.raises(NotebookError, match="notebook 02_make_dataset_multilabel writes it"):
        step.folds()
    frame = {"image_id": ["a"], "species": ["pig"]}
    images = pd.DataFrame(frame | {"width_px": 4, "height_px": 3, "archive": "", "member": "a.png"})
    boxes = pd.DataFrame(frame | {"x_min": 0.0, "y_min": 0.0, "x_max": 2.0, "y_max": 2.0})
    tables.write_tables(step.path("tables"), images, boxes)
    tables.write_folds(step.path("datasets", "folds.csv"), pd.Series({"a": 1}))
    photos, (folds, groups) = step.photos(), step.folds()
    assert len(photos) == 1 and photos.folder == step.data / "data"
    assert folds.to_dict() == {"a": 1} and groups is None


def test_a_run_folder_is_a_path_that_knows_its_mirror(step, monkeypatch):
    folder = step.run_folder("full")
    assert Path(folder) == step.out / "training" / "full" and folder.mirror is None
    monkeypatch.setattr(colab, "on_colab", lambda: True)
    assert step.run_folder("full").mirror == step.out / "training" / "full"


def test_several_displays_are_shown_in_their_order(step, displayed):
    step.show(Display("one", verdict="First.", metrics={"one": 1}), Display("two", verdict="Then."))
    assert [data["text/plain"] for data, _ in displayed] == ["First.", "Then."]
    assert step.values == {"one": 1}
