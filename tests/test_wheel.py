"""The wheel, built and installed outside the checkout: everything that the project carries is
there, and works."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from livestock_utils import __version__, install
from livestock_utils.core import project

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "livestock_utils",
    "hyp",
    "notebooks",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "requirements.txt",
    "extras.txt",
    "requirements.lock",
)


@pytest.mark.parametrize("name", ["hyp", "notebooks"])
def test_in_the_checkout_the_projects_own_folders_are_used(name):
    assert project.folder(name) == ROOT / name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the project, so that no left-over of an earlier build can be in it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, target = ROOT / name, folder / "project" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.part"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--wheel-dir",
            str(folder),
            str(folder / "project"),
        ],
        check=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """(folder to work in, call(*command) in it): an environment that has this one's packages, and
    the wheel."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    # A plain line in a .pth adds the folder without reading the .pth files in it, such as that of
    # our own checkout.
    (site / "packages_of_the_tests.pth").write_text(
        sysconfig.get_path("purelib") + "\n", encoding="utf-8"
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--ignore-installed",
            str(wheel),
        ],
        check=True,
    )
    (folder / "venv" / "share").symlink_to(
        Path(sys.prefix, "share")
    )  # nbconvert looks for its templates there
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "LIVESTOCK"))
    }
    environment |= {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "LIVESTOCK_YOLOV5": str(folder / "yolov5"),
    }

    def call(*command, **more):
        return subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=environment | more,
            check=False,
            capture_output=True,
            text=True,
        )

    return folder, call


@pytest.mark.slow
def test_the_wheel_carries_what_the_library_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (("hyp", "*.yaml"), ("notebooks", "*.py")):
        assert {
            f"livestock_utils/{folder}/{path.name}" for path in (ROOT / folder).glob(pattern)
        } <= names
    folders = ("", "bundle/", "profiles/", "report_templates/*/", "web/")
    for pattern in (f"assets/{folder}*" for folder in folders):
        wanted = {
            p.relative_to(ROOT).as_posix()
            for p in (ROOT / "livestock_utils").glob(pattern)
            if p.is_file()
        }
        assert wanted and wanted <= names
    assert not [
        name for name in names if name.startswith(("tests", "benchmarks", "hyp", "notebooks"))
    ]


@pytest.mark.slow
def test_the_library_is_the_wheels_own(installed):
    folder, call = installed
    code = (
        "from livestock_utils.core import project; from livestock_utils.detect import settings; "
        "from livestock_utils.show.pipeline import notebook_files; "
        "print(project.folder('hyp')); settings.read_hyp('experiment_hyp_v1'); "
        "print(len(notebook_files.find()))"
    )
    done = call("python", "-c", code)
    assert done.returncode == 0, done.stderr
    place, count = done.stdout.split()
    assert Path(place).is_relative_to(folder / "venv")
    assert int(count) == len(list((ROOT / "notebooks").glob("[0-9][0-9]_*.py")))


@pytest.mark.slow
@pytest.mark.parametrize("command", [["python", "-m", "livestock_utils"], ["livestock_utils"]])
def test_help_and_version_under_both_names(installed, command):
    _, call = installed
    assert "score" in call(*command, "--help").stdout
    assert __version__ in call(*command, "--version").stdout
    usage = call(*command, "no-such-command")
    assert usage.returncode == 2
    assert usage.stderr.startswith(f"Usage: {' '.join(command)} ")


@pytest.mark.slow
def test_tab_completion_knows_the_commands(installed):
    _, call = installed
    done = call(
        "livestock_utils",
        _LIVESTOCK_UTILS_COMPLETE="bash_complete",
        COMP_WORDS="livestock_utils sco",
        COMP_CWORD="1",
    )
    assert done.stdout.split() == ["plain,score"]


@pytest.mark.slow
def test_set_up_reads_the_requirements_from_the_wheels_metadata(installed):
    _, call = installed
    extras = ("edge", "tracking")
    code = (
        "import json; from livestock_utils import install; "
        f"print(json.dumps(install._requirements({extras})))"
    )
    done = call("python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert set(map(Requirement, json.loads(done.stdout))) == set(
        map(Requirement, install._requirements(extras))
    )


@pytest.mark.slow
def test_the_sample_and_a_notebook_run_outside_the_checkout(installed):
    folder, call = installed
    drawn = call(
        "python",
        "-m",
        "livestock_utils",
        "sample",
        "my data",
        "--images",
        8,
        "--test-images",
        2,
        "--scale",
        0.1,
    )
    assert drawn.returncode == 0, drawn.stderr
    ran = call(
        "python",
        "-m",
        "livestock_utils",
        "run",
        "--data",
        "my data",
        "--out",
        "out",
        "--profile",
        "sample",
        "--only",
        "01",
    )
    assert ran.returncode == 0, ran.stderr
    assert (
        json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))["01_eda"][
            "images"
        ]
        == 8
    )
    assert (folder / "out" / "report" / "index.html").is_file()
