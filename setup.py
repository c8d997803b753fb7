"""Package metadata; the dependencies and their reasons stand in requirements.txt and extras.txt."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


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


setup(
    name="livestock_utils",
    version="0.1.0",
    description="Finding pigs and cows in barn photos with YOLOv5: research notebooks over a thin library",
    license="GPL-3.0-only",
    python_requires=">=3.11",
    packages=find_packages(include=["livestock_utils", "livestock_utils.*"]),
    package_data={"livestock_utils": ["*.yaml", "assets/*", "profiles/*.yaml", "report_templates/*/*"]},
    install_requires=lines("requirements.txt"),
    extras_require=extras(),
)
