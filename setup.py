"""Package metadata; the dependencies and their reasons stand in requirements.txt and extras.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
ADDRESS = "livestock_utils/assets/set_up_cell.py"


def lines(name: str) -> list[str]:
    """The lines of a requirements file without comments."""
    text = (HERE / name).read_text(encoding="utf-8")
    return [line for line in (raw.split("#")[0].strip() for raw in text.splitlines()) if line]


def extras() -> dict[str, list[str]]:
    """The sections of extras.txt."""
    found: dict[str, list[str]] = {}
    for line in lines("extras.txt"):
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        else:
            section.append(line)
    return found


def found(pattern: str, name: str) -> str:
    """The first group of a pattern in a file: version and address stand in one place each."""
    match = re.search(pattern, (HERE / name).read_text(encoding="utf-8"), re.M)
    return match.group(1) if match else ""


repository = found(r'^REPOSITORY = "(.*?)"', ADDRESS)
setup(
    name="livestock_utils",
    version=found(r'^__version__ = "(.*?)"', "livestock_utils/__init__.py"),
    description="Finding pigs and cows in barn photos with YOLOv5: research notebooks over a thin "
    "library",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="GPL-3.0-only",
    keywords=["livestock", "object detection", "YOLOv5", "Colab", "papermill"],
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    project_urls={"Source": repository} if repository else {},
    python_requires=">=3.11",
    # The wheel carries hyperparameter files and the notebooks' text in the package: see
    # livestock_utils.core.project.
    packages=[
        *find_packages(include=["livestock_utils", "livestock_utils.*"]),
        "livestock_utils.hyp",
        "livestock_utils.notebooks",
    ],
    package_dir={"livestock_utils.hyp": "hyp", "livestock_utils.notebooks": "notebooks"},
    package_data={
        "livestock_utils": [
            "assets/*",
            "assets/bundle/*",
            "assets/profiles/*",
            "assets/report_templates/*/*",
            "assets/web/*",
        ],
        "livestock_utils.hyp": ["*.yaml"],
        "livestock_utils.notebooks": ["*.py", "batches/*.yaml"],
    },
    include_package_data=False,
    entry_points={"console_scripts": ["livestock_utils = livestock_utils.cli:main"]},
    install_requires=lines("requirements.txt"),
    extras_require=extras(),
)
