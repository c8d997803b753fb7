"""The README and its Korean twin: every command is one that exists, the cheap ones run, both say
the same."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import livestock_utils as lu
from livestock_utils import cli
from livestock_utils.assets import edge_runner
from livestock_utils.show.pipeline import notebook_files

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README.md", "README.ko.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
CODE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.M | re.S)


def commands(text):
    """The lines of the shell blocks without their comments, and the make commands of tables."""
    blocks = [body for language, body in CODE.findall(text) if language == "bash"]
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line] + re.findall(r"^\| `(make [^`]*)`", text, re.M)


def headings(text):
    return [len(mark) for mark in re.findall(r"^(#+) ", CODE.sub("", text), re.M)]


def outside_code(text):
    return CODE.sub("", text)


OURS = [
    line for line in commands(TEXTS["README.md"]) if line.startswith("python -m livestock_utils ")
]
MAKES = [line for line in commands(TEXTS["README.md"]) if line.startswith("make")]


def test_there_are_commands_to_test():
    assert len(OURS) >= 10 and len(MAKES) >= 6
    known = (
        "python -m livestock_utils",
        "python run.py ",
        "make ",
        "source .venv/bin/activate",
        "export LIVESTOCK_SPECIES=",
        "pip install git+https://github.com/",
    )
    assert [line for line in commands(TEXTS["README.md"]) if not line.startswith(known)] == []


@pytest.mark.parametrize("line", OURS)
def test_the_commands_parser_takes_it(line, monkeypatch):
    monkeypatch.setattr(
        click.Path, "convert", lambda self, value, param, ctx: Path(value)
    )  # DATA stands for a path
    words = shlex.split(line)[3:]
    if words[0].startswith("-"):
        assert words == ["--help"]
        return
    command = cli.cli.commands[words[0]]
    context = command.make_context(words[0], words[1:])
    for name in filter(None, (context.params.get("only") or "").split(",")):
        assert name in {found.number for found in notebook_files.find()}
    known = {key for found in notebook_files.find() for key in found.parameters}
    assert {name.split(".")[-1] for name, _ in context.params.get("pairs", ())} <= known


RUNS = [line for line in commands(TEXTS["README.md"]) if line.startswith("python run.py ")]


@pytest.mark.parametrize("line", RUNS)
def test_a_bundles_runner_knows_it(line, capsys):
    words = shlex.split(line)[2:]
    asked = words[:1] if words[0].isidentifier() or "-" in words[0] else []
    with pytest.raises(SystemExit) as ended:
        edge_runner.main([*asked, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and told.startswith(" ".join(["usage: run.py", *asked]))
    assert all(word in told for word in words if word.startswith("--"))


@pytest.mark.parametrize("line", MAKES)
def test_make_knows_it(line):
    done = subprocess.run(
        [*shlex.split(line), "--dry-run"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_program_is_told():
    assert {line.split()[3] for line in OURS} >= set(cli.cli.commands) - {"fail-for-test"}


@pytest.mark.slow
def test_the_cheap_commands_run(tmp_path):
    cheap = [line for line in OURS if line.split()[3] in ("sample", "check", "--help")]
    assert len(cheap) >= 3
    for line in sorted(cheap, key=lambda line: "sample DIR" not in line):
        line = line.replace("python", shlex.quote(sys.executable), 1)
        line = line.replace("data/sample", "DIR").replace("DATA", "DIR")
        done = subprocess.run(
            line,
            shell=True,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.slow
def test_the_lines_of_python_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = (body for language, body in CODE.findall(TEXTS["README.md"]) if language == "python")
    for large, small in (
        ("epochs=8", "epochs=1, batch_size=8"),
        ("image_size=320", "image_size=64"),
    ):
        assert large in code
        code = code.replace(large, small)
    lu.write_sample("data/sample", n_images=24, n_test_images=0, scale=0.15)
    exec(code, {})
    assert "mAP75" in capsys.readouterr().out
    assert (tmp_path / "runs" / "first" / "weights" / "best.pt").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_links_and_pictures_are_there(name):
    links = re.findall(r"\]\(([^)#]+)\)", outside_code(TEXTS[name]))
    missing = [link for link in links if "://" not in link and not (ROOT / link).is_file()]
    assert [link for link in missing if not link.endswith(".ipynb")] == []
    texts = [link.replace(".ipynb", ".py") for link in missing]
    assert all((ROOT / text).is_file() for text in texts)
    assert sum(path.stat().st_size for path in (ROOT / "notebooks" / "figures").iterdir()) < 200_000


@pytest.mark.parametrize("name", NAMES)
def test_the_table_lists_every_notebook_in_order(name):
    listed = re.findall(r"^\| \[(\w+)\]\(notebooks/\w+\.ipynb\)", TEXTS[name], re.M)
    assert listed == [found.name for found in notebook_files.find()]


def test_the_messages_to_look_up_are_the_librarys_own():
    table = TEXTS["README.md"].split("## Troubleshooting")[1].split("##")[0]
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "livestock_utils").rglob("*.py")
    )
    told = [
        part
        for line in re.findall(r"^\| (.*?) \| ", table, re.M)
        for part in re.findall(r"`([^`]+)`", line)
    ]
    foreign = {
        "CUDA out of memory",
        "No module named 'pkg_resources'",
        "np.trapz",
        "UnpicklingError",
        "No module named 'livestock_utils'",
    }
    own = [message for message in told if message not in foreign]
    assert len(own) >= 8
    for message in own:
        words = [
            w
            for w in re.split(r"\.\.\.|\[\.\.\.\]|\b0\d\b|sm_60|\b2\b", message)
            if len(w.strip(" ,[]")) > 3
        ]
        assert all(word.strip(" ,[]") in source for word in words), message


def test_both_have_the_same_headings_commands_links_and_figures():
    english, korean = (TEXTS[name] for name in NAMES)
    assert headings(korean) == headings(english)
    assert commands(korean) == commands(english)
    for pattern in (r"\]\(([^)]+)\)", r"^\|(?:[^|\n]*\|)+", r"`(--?\w[\w-]*)`"):
        found = [re.findall(pattern, outside_code(text), re.M) for text in (english, korean)]
        assert len(found[0]) == len(found[1]), pattern
    assert re.findall(r"\]\(([^)]+)\)", english) == re.findall(r"\]\(([^)]+)\)", korean)
    assert re.findall(r"\.\d{3,5}\b", english) == re.findall(r"\.\d{3,5}\b", korean)
