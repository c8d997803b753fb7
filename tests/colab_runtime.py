"""A stand-in for a Colab runtime: google.colab, Drive and /content, over the releases of Colab or
of the tests."""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

PACKAGES = (
    "transformers",
    "huggingface_hub",
    "ipykernel",
    "nbconvert",
    "jupytext",
    "opencv-python",
    "opencv-contrib-python",
    "setuptools",
)
"""What Colab has and the notebooks could upset, beside the packages of requirements.txt."""
HEAVY = ("torch", "torchvision")
CONTENT = Path("/content")
MARK = CONTENT / "made_by_the_tests"

DRIVE = '''
from pathlib import Path
def mount(folder, force_remount=False):
    """Makes the user's Drive appear, as the real one does after the consent."""
    place = Path(folder, "MyDrive")
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to({drive!r})
'''


def python_3_13() -> str | None:
    """A Python 3.13 that starts, on PATH or among pyenv's, or None."""
    of_pyenv = sorted(map(str, Path.home().glob(".pyenv/versions/3.13*/bin/python3.13")))
    for name in [*filter(None, map(shutil.which, ("python3.13", "python3"))), *of_pyenv]:
        shown = subprocess.run(
            [name, "-c", "import sys; print(sys.executable, *sys.version_info[:2])"],
            check=False,
            capture_output=True,
            text=True,
        ).stdout.split()
        if shown[1:] == ["3", "13"]:
            return shown[0]
    return None


def build(
    folder: Path, interpreter: str, freeze: Path, requirements: Path, with_torch: bool
) -> Path:
    """An environment below `folder` with Colab's releases; returns its Python. One that is whole
    already is kept.

    Without torch, its two heavy packages stand there by name and release only.
    """
    python, stamp = folder / "bin" / "python", folder / "whole"
    if stamp.is_file():
        return python
    lines = [
        line.split("+")[0]
        for line in freeze.read_text(encoding="utf-8").splitlines()
        if "==" in line
    ]
    versions = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower(): line.split("==")[1] for line in lines
    }
    ours = [
        re.split(r"[<>=#\s]", line)[0].lower()
        for line in requirements.read_text(encoding="utf-8").splitlines()
    ]
    wanted = [
        name
        for name in dict.fromkeys([*filter(None, ours), *PACKAGES])
        if name.replace("_", "-") in versions
    ]
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
    constraints = folder / "constraints.txt"
    # Colab's torch is a build for another CUDA than the package index's of the same release.
    held = [line for line in lines if not line.startswith(("pip==", "nvidia", "cuda", "triton"))]
    constraints.write_text("\n".join(held), encoding="utf-8")
    names = [name for name in wanted if with_torch or name not in HEAVY]
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *names],
        check=True,
    )
    for name in () if with_torch else HEAVY:
        info = (
            next((folder / "lib").glob("python3*"))
            / "site-packages"
            / f"{name}-{versions[name]}.dist-info"
        )
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {versions[name]}\n"
        )
        (info / "RECORD").write_text("")
    stamp.touch()
    return python


def build_over_this(folder: Path) -> Path:
    """An environment below `folder` that sees the packages of the one that runs the tests; returns
    its Python."""
    venv.create(folder, symlinks=True)  # without pip: an old setuptools would come with it
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    # A plain line in a .pth adds the folder without reading the .pth files in it, such as that of
    # our own checkout.
    (site / "packages_of_the_tests.pth").write_text(
        sysconfig.get_path("purelib") + "\n", encoding="utf-8"
    )
    return folder / "bin" / "python"


def google_colab(folder: Path, drive: Path) -> Path:
    """A folder for PYTHONPATH: google.colab, imported when Python starts as Colab's kernel does."""
    package = folder / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from google.colab import drive, errors\n")
    (package / "errors.py").write_text("class Error(Exception):\n    pass\n")
    (package / "drive.py").write_text(DRIVE.format(drive=str(drive)))
    (folder / "sitecustomize.py").write_text("import google.colab\n")
    return folder


def packages(python: Path) -> dict[str, str]:
    """Name -> version of all packages, as pip lists them."""
    shown = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return dict(line.split("==") for line in shown.splitlines() if "==" in line)


def complaints(python: Path) -> set[str]:
    """The lines of `pip check`."""
    done = subprocess.run(
        [str(python), "-m", "pip", "check", "--disable-pip-version-check"],
        check=False,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.splitlines()) if done.returncode else set()


def make_content() -> str | None:
    """Make /content anew; returns the reason where that cannot be."""
    if CONTENT.exists() and not MARK.is_file():
        return f"{CONTENT} is in use on this machine"
    if not os.access(CONTENT.parent, os.W_OK):
        return f"no right to make {CONTENT}"
    remove_content()
    CONTENT.mkdir()
    MARK.touch()
    return None


def remove_content() -> None:
    """Take away the /content that `make_content` made."""
    if MARK.is_file():
        shutil.rmtree(CONTENT)
