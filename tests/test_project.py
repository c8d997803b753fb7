"""The project's papers: one version in all of them, hooks and requirements that hold together."""

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from livestock_utils import __version__

ROOT = Path(__file__).resolve().parents[1]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version_everywhere():
    assert yaml.safe_load(text("CITATION.cff"))["version"] == __version__
    assert f"## {__version__} " in text("CHANGELOG.md")


def test_the_citation_says_what_a_reader_needs():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert any("YOLOv5" in reference["title"] for reference in citation["references"])


def test_hooks_are_local_and_run_what_set_up_installs():
    hooks = [
        hook
        for repo in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
        for hook in repo["hooks"]
    ]
    assert [repo["repo"] for repo in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]] == [
        "local"
    ]
    assert {hook["id"] for hook in hooks} == {"pairing", "ruff-format", "ruff", "mypy"}
    assert all(
        hook["entry"].startswith(".venv/bin/") and hook["language"] == "system" for hook in hooks
    )
    watched = re.compile(next(hook["files"] for hook in hooks if hook["id"] == "pairing"))
    assert all(
        watched.search(f"notebooks/{path.name}")
        for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.py")
    )


@pytest.mark.parametrize("name", ["requirements.txt", "extras.txt"])
def test_every_package_has_a_reason_and_can_be_parsed(name):
    lines = [line for line in text(name).splitlines() if line and not line.startswith(("#", "["))]
    assert lines
    for line in lines:
        package, _, reason = line.partition("#")
        Requirement(package.strip())
        assert reason.strip(), f"{name}: say why {package.strip()} is needed"


def test_every_package_stands_once():
    lines = [line.partition("#")[0].strip() for line in text("requirements.txt").splitlines()]
    names = [Requirement(line).name.lower() for line in lines if line]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["dev", "edge", "search"])
def test_the_extras_that_set_up_names_are_there(name):
    assert f"[{name}]" in text("extras.txt")
    assert name in re.search(r"^EXTRAS := (.*)$", text("Makefile"), re.M)[1].split(",")
