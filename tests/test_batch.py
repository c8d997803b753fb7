"""Batches: grids expanded, runs in folders of their own, failures listed, continued where they
stopped."""

import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from livestock_utils.cli import cli
from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import batch, parameters

TINY = Path(__file__).with_name("notebooks_tiny")
SHIPPED = sorted((Path(__file__).parents[1] / "notebooks" / "batches").glob("*.yaml"))


def write(folder, **content):
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def runs_of(folder, **content):
    return batch.read(write(folder, notebooks=["02"], **content), notebooks=TINY).runs


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data" / "data" / "numbers.csv").write_text("n\n1\n2\n3\n")
    return tmp_path / "data"


# ---- what a file stands for


@pytest.mark.parametrize(
    ("content", "runs"),
    [
        ({"runs": {"a": None}}, {"a": {}}),
        ({"grid": {"factor": [2, 3]}}, {"factor2": {"factor": 2}, "factor3": {"factor": 3}}),
        ({"grid": {"02.factor": [2]}}, {"factor2": {"02.factor": 2}}),
        (
            {"runs": {"a": {"fail": True}, "b": {}}, "grid": {"factor": [1, 2]}},
            {
                "a-factor1": {"fail": True, "factor": 1},
                "a-factor2": {"fail": True, "factor": 2},
                "b-factor1": {"factor": 1},
                "b-factor2": {"factor": 2},
            },
        ),
        ({"runs": {"a / b": {}}}, {"a_b": {}}),
    ],
)
def test_a_grid_is_every_combination(tmp_path, content, runs):
    assert runs_of(tmp_path, **content) == runs


def test_a_profile_takes_the_place_of_keys(tmp_path):
    path = write(
        tmp_path,
        notebooks=["02"],
        runs={"a": {}},
        grid={"factor": [1, 2]},
        profiles={"small": {"grid": {"factor": [1]}}},
    )
    assert list(batch.read(path, "small", TINY).runs) == ["a-factor1"]
    for known in (None, "sample"):
        assert list(batch.read(path, known, TINY).runs) == ["a-factor1", "a-factor2"]


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("smal", "no profile 'smal'; did you mean 'small'"),
        ("sampel", "no profile 'sampel'; did you mean 'sample'"),
        ("x", "no profile 'x'; expected one of colab, sample, small"),
    ],
)
def test_an_unknown_profile_is_refused(tmp_path, data, profile, message):
    path = write(
        tmp_path, notebooks=["02"], runs={"a": {}}, profiles={"small": {"grid": {"factor": [1]}}}
    )
    with pytest.raises(NotebookError, match=message):
        batch.run(path, data, tmp_path / "out", profile=profile, notebooks=TINY)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_batches_fit_the_notebooks(path):
    whole, small = batch.read(path), batch.read(path, "sample")
    assert 1 <= len(small.runs) <= len(whole.runs)
    known = {file.stem for file in parameters.PROFILES.glob("*.yaml")}
    assert "sample" in known and "sample" in yaml.safe_load(path.read_text())["profiles"]


def test_the_issues_batches_are_shipped():
    assert {path.stem for path in SHIPPED} == {
        "models",
        "optimisers",
        "hyperparameters",
        "full_or_split",
        "silver",
        "scratch_longer",
        "recipes",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"notebooks is empty; name at least one, such as \[\"05\"\]"),
        ({"notebooks": ["02"]}, "there is no run; give `runs` with different names, or a `grid`"),
        (
            {"notebooks": ["99"], "runs": {"a": {}}},
            "no notebook '99'; there are 01_count, 02_double",
        ),
        ({"notebooks": ["02"], "prepare": ["98"], "runs": {"a": {}}}, "no notebook '98'"),
        (
            {"notebooks": ["02"], "runs": {"a": {"factr": 1}}},
            "run a: .*parameter 'factr'; did you mean 'factor'",
        ),
        (
            {"notebooks": ["02"], "runs": {"a": {"factor": "x"}}},
            "run a: parameter .*factor: expected int like 2, got 'x'",
        ),
        (
            {"notebooks": ["02"], "parameters": {"x": 1}, "runs": {"a": {}}},
            "no notebook has the parameter 'x'",
        ),
        ({"notebooks": ["02"], "grid": {3: [1]}}, "run 31: no notebook has the parameter '3'"),
        (
            {"notebooks": ["02"], "runs": {"a": {None: 1}}},
            "run a: no notebook has the parameter 'None'",
        ),
        (
            {"notebooks": ["02"], "parameters": {3: 1}, "runs": {"a": {}}},
            "no notebook has the parameter '3'",
        ),
        (
            {"notebooks": ["02"], "grid": {"factor": 3}},
            "grid: factor must be a list of values, got 3",
        ),
        ({"notebooks": ["02"], "grid": {"factor": [3, 3]}}, "two runs are called 'factor3'"),
        ({"notebooks": ["02"], "runs": {"a": 3}}, "run 'a' must be a mapping of parameters, got 3"),
        ({"notebooks": "02"}, "notebooks must be a list, got '02'"),
        ({"notebook": ["02"]}, "unknown key 'notebook'; expected about, prepare, notebooks"),
        ({"profiles": ["x"]}, "profiles: got a list; expected a mapping of names"),
        (
            {"profiles": {"small": [1]}},
            "profile small: got a list; expected about, prepare, notebooks",
        ),
        (
            {"profiles": {"small": {"grids": {}}}},
            "profile small: unknown key 'grids'; expected about",
        ),
        ({"profiles": {"small": {"profiles": {}}}}, "profile small: unknown key 'profiles'"),
        (
            {"profiles": {"small": {"grid": {"factor": 3}}}},
            "profile small: grid: factor must be a list of values, got 3",
        ),
        (
            {"profiles": {"small": {"runs": {"a": {"factr": 1}}}}},
            "profile small: run a: .*parameter 'factr'; did you mean",
        ),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path, content, message):
    content = (
        {"notebooks": ["02"], "runs": {"a": {}}, **content} if "profiles" in content else content
    )
    with pytest.raises(NotebookError, match=message) as error:
        batch.read(write(tmp_path, **content), notebooks=TINY)
    assert "\n" not in str(error.value) and "batch.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [("- a", "got|a list; expected"), ("a: [", "line 1: not YAML")]
)
def test_a_file_of_another_shape(tmp_path, text, message):
    path = tmp_path / "batch.yaml"
    path.write_text(text)
    with pytest.raises(NotebookError, match=message):
        batch.read(path, notebooks=TINY)
    with pytest.raises(
        NotebookError, match=r"absent.yaml not found; notebooks/batches/ holds some"
    ):
        batch.read(tmp_path / "absent.yaml", notebooks=TINY)


# ---- runs


def test_runs_share_the_preparation_fail_alone_and_go_on(tmp_path, data):
    out, told, prepared = tmp_path / "out", [], []
    content = {
        "prepare": ["01"],
        "notebooks": ["02"],
        "runs": {"good": {"factor": 3}, "bad": {"fail": True}},
    }
    first = batch.run(
        write(tmp_path, **content),
        data,
        out,
        workers=2,
        notebooks=TINY,
        tell=told.append,
        say=prepared.append,
    )
    assert first.set_index("run")["state"].to_dict() == {"good": "done", "bad": "failed"}
    reason = first.set_index("run")["reason"].to_dict()
    assert (
        "DatasetError: the numbers are odd: expected even ones" in reason["bad"]
        and reason["good"] == ""
    )
    assert (out / "runs" / "good" / "double.txt").read_text() == "18"
    assert not (out / "runs" / "good" / "notebooks" / "01_count.ipynb").exists()
    assert (out / "prepared" / "notebooks" / "01_count.ipynb").is_file()
    assert len(told) == 4 and told[0]["state"].tolist().count("running") == 1
    assert pd.read_csv(out / "batch.csv")["state"].tolist() == ["failed", "done"]
    assert prepared[-1].startswith("preparing [1/1] 01_count: done in")
    took = pd.read_csv(out / "batch.csv").set_index("run")["seconds"]["good"]
    content["runs"]["bad"] = {"fail": False}
    again = batch.run(write(tmp_path, **content), data, out, notebooks=TINY)
    assert again.set_index("run")["state"].to_dict() == {"good": "unchanged", "bad": "done"}
    assert pd.read_csv(out / "batch.csv").set_index("run")["seconds"]["good"] == took > 0
    counts, failed = batch.summary(first).splitlines()
    assert counts == "1 failed, 1 done" and failed.startswith("bad: 02_double, cell")


@pytest.mark.parametrize(
    ("workers", "given", "seen"), [(1, None, None), (2, None, "3"), (7, None, "3"), (2, "5", "5")]
)
def test_runs_at_once_share_the_cores(tmp_path, data, monkeypatch, workers, given, seen):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    found = []
    monkeypatch.setattr(
        batch.driver, "run", lambda *_, **__: found.append(os.environ.get("OMP_NUM_THREADS")) or {}
    )
    batch.run(
        write(tmp_path, notebooks=["02"], runs={"a": {}, "b": {}}),
        data,
        tmp_path / "out",
        workers=workers,
        notebooks=TINY,
    )
    assert found == [seen, seen] and os.environ.get("OMP_NUM_THREADS") == given


def test_the_command_lists_failures_and_says_so_with_its_exit_code(tmp_path, data):
    path = write(tmp_path, prepare=["01"], notebooks=["02"], runs={"bad": {"fail": True}})
    done = CliRunner().invoke(
        cli,
        [
            "batch",
            str(path),
            "--out",
            str(tmp_path / "out"),
            "--data",
            str(data),
            "--notebooks",
            str(TINY),
            "--no-compare",
        ],
    )
    assert done.exit_code == 1, done.output
    assert "bad  running" in done.output and "1 failed\nbad: 02_double, cell" in done.output


def test_no_workers(tmp_path, data):
    with pytest.raises(NotebookError, match="workers must be at least 1, got 0"):
        batch.run(
            write(tmp_path, notebooks=["02"], runs={"a": {}}),
            data,
            tmp_path,
            workers=0,
            notebooks=TINY,
        )


def test_the_live_table_is_redrawn_or_told_line_by_line():
    table = pd.DataFrame({"run": ["a", "bb"], "state": "waiting", "seconds": 0.0, "reason": ""})
    later = table.assign(state=["running", "waiting"])
    plain, drawn = [], []
    for said, redraw in ((plain, False), (drawn, True)):
        show = batch.Live(said.append, redraw)
        show(table)
        show(later)
        show(later)
    assert plain == ["a  running        0 s"]
    assert [text.startswith("\x1b[2F\x1b[J") for text in drawn] == [False, True, True]
    assert all("bb  waiting" in text for text in drawn)


def test_prepared_sets_are_linked_or_copied(tmp_path, monkeypatch):
    source = tmp_path / "prepared" / "datasets" / "a.tar"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"x")
    (tmp_path / "prepared" / "local" / "a").mkdir(parents=True)
    batch.share(tmp_path / "prepared", tmp_path / "linked")
    assert (tmp_path / "linked" / "datasets" / "a.tar").samefile(source)
    assert (tmp_path / "linked" / "local" / "a").resolve() == tmp_path / "prepared" / "local" / "a"

    def refuse(*arguments, **options):
        raise OSError("no links on this file system")

    monkeypatch.setattr(batch.os, "link", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    batch.share(tmp_path / "prepared", tmp_path / "copied")
    assert (tmp_path / "copied" / "datasets" / "a.tar").read_bytes() == b"x"
    assert not (tmp_path / "copied" / "local" / "a").exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_new_preparation_replaces_what_the_run_had_but_not_its_own(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(batch.os, "link", lambda *a: (_ for _ in ()).throw(OSError("no links")))
    source, target = (tmp_path / name / "datasets" / "a.tar" for name in ("prepared", "run"))
    source.parent.mkdir(parents=True)
    for text, changed in (("old", 100), ("new", 200)):
        source.unlink(missing_ok=True)
        source.write_text(text)
        os.utime(source, (changed, changed))
        for _ in range(2):
            batch.share(tmp_path / "prepared", tmp_path / "run")
            assert target.read_text() == text and target.samefile(source) == links
    target.unlink()
    target.write_text("the run's own")
    batch.share(tmp_path / "prepared", tmp_path / "run")
    assert target.read_text() == "the run's own" and [
        path.name for path in target.parent.iterdir()
    ] == ["a.tar"]
