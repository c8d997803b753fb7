"""The one set-up path, for `make setup` and the notebooks' first cell: adds what is missing.

`python -m livestock_utils.install [--extras dev,edge] [--lock requirements.lock]`

Two tricks keep a Colab runtime as it was:
- every package that is already installed is handed to pip as a constraint, so pip either leaves it
  or fails loudly;
- yolov5 goes into a folder of its own, without dependencies: its metadata caps huggingface-hub
  below 0.25 and asks for roboflow, sahi, fire, boto3 and more, none of which training or inference
  uses. `livestock_utils.detect.yolov5` knows it.

Only the standard library is used: this runs before anything else is installed.
"""

import argparse
import configparser
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from livestock_utils.core.threads import share_cores

YOLOV5_VERSION = "7.0.14"
NEEDED = ("numpy", "pandas", "matplotlib", "iterstrat", "papermill")
"""Modules without which no notebook runs."""
_BROUGHT_BY_VENV = {"pip", "setuptools", "wheel"}


def set_up() -> None:
    """What a notebook's first cell does once the project is found: on Colab add what is missing,
    elsewhere only look."""
    share_cores()
    if "google.colab" in sys.modules:
        done = install(("edge", "search"))
        sys.stdout.write(f"Project: {Path(__file__).resolve().parents[1]}. {done}\n")
        importlib.invalidate_caches()
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise ModuleNotFoundError(f"no module {', '.join(absent)}")


def yolov5_folder() -> Path:
    """The folder below this environment's own that holds the pinned yolov5 package."""
    packages = Path(sysconfig.get_path("purelib"))
    usual = packages / "livestock_utils_vendor" / f"yolov5-{YOLOV5_VERSION}"
    return Path(os.environ.get("LIVESTOCK_YOLOV5") or usual)


def install(extras: tuple[str, ...] = (), lock: str | os.PathLike | None = None) -> str:
    """Install what is missing; returns a line on what was added. `extras` are names of setup.py's
    extras, `lock` is a file of exact versions. Raises RuntimeError where pip cannot install, or
    when a package that was there has changed."""
    before = _installed()
    if set(before) <= _BROUGHT_BY_VENV:  # nothing to protect, and a setuptools too old for torch
        before = {}
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "already-here.txt"
        constraints.write_text(
            "".join(f"{name}=={version}\n" for name, version in before.items()), encoding="utf-8"
        )
        arguments = ["--constraint", str(constraints)]
        if lock:
            lines = Path(lock).read_text(encoding="utf-8").splitlines()
            new = [line for line in lines if line.split("==")[0].strip().lower() not in before]
            (Path(folder) / "lock.txt").write_text("\n".join(new), encoding="utf-8")
            arguments += ["--constraint", str(Path(folder) / "lock.txt")]
        _pip("install", "--quiet", *arguments, *_requirements(extras))
        if not (yolov5_folder() / "yolov5").is_dir():
            target = Path(folder) / "yolov5"
            alone = ("--no-deps", "--target", str(target))
            _pip("install", "--quiet", *alone, f"yolov5=={YOLOV5_VERSION}")
            yolov5_folder().parent.mkdir(parents=True, exist_ok=True)
            staging = yolov5_folder().with_suffix(".part")
            shutil.rmtree(staging, ignore_errors=True)
            shutil.copytree(target, staging)
            staging.rename(yolov5_folder())
    after = _installed()
    changed = [
        f"{name} {version} -> {after.get(name, 'gone')}"
        for name, version in before.items()
        if after.get(name) != version
    ]
    if changed:
        raise RuntimeError(
            f"set-up changed packages that were there: {', '.join(changed)}; restart the runtime"
        )
    return f"ready: {len(set(after) - set(before))} packages added, none changed"


def _requirements(extras: tuple[str, ...]) -> list[str]:
    """The requirement lines of the checkout, or of the installed package's metadata outside one."""
    root = Path(__file__).resolve().parents[1]
    if (root / "setup.py").is_file() and (root / "requirements.txt").is_file():
        listing = configparser.ConfigParser(
            allow_no_value=True, delimiters="\0", inline_comment_prefixes="#"
        )
        listing.optionxform = str  # type: ignore[assignment]
        required = (root / "requirements.txt").read_text(encoding="utf-8")
        listing.read_string(f"[required]\n{required}")
        listing.read(root / "extras.txt", encoding="utf-8")
        if unknown := sorted(set(extras) - set(listing.sections())):
            raise RuntimeError(f"unknown extra {unknown[0]!r}; extras.txt lists them")
        return [line for part in ("required", *extras) for line in listing[part]]
    from importlib import metadata

    rows = [row.partition(";") for row in metadata.requires("livestock_utils") or []]
    return [
        name.strip()
        for name, _, marker in rows
        if not marker or any(f'"{extra}"' in marker.replace("'", '"') for extra in extras)
    ]


def _installed() -> dict[str, str]:
    """Installed distributions, lower-case name -> version, as pip sees them (ours left out)."""
    rows = _pip("list", "--format=freeze").splitlines()  # --quiet would silence the list itself
    pairs = (row.partition("==") for row in rows if "==" in row)
    return {
        name.lower(): version
        for name, _, version in pairs
        if name.lower().replace("-", "_") != "livestock_utils"
    }


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise RuntimeError(
            f"pip {arguments[0]} failed; check the network and the versions named here:\n{tail}"
        )
    return done.stdout


def main() -> None:
    """Parse the command line and install."""
    parser = argparse.ArgumentParser(
        prog="python -m livestock_utils.install", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--extras", default="", help="comma-separated extras of setup.py, such as dev,edge"
    )
    parser.add_argument("--lock", default=None, help="a file of exact versions to hold to")
    arguments = parser.parse_args()
    extras = tuple(name for name in arguments.extras.split(",") if name)
    try:
        sys.stderr.write(f"{install(extras, arguments.lock)}\n")
    except RuntimeError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
