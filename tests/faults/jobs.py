"""What is killed besides trainings: small jobs of each kind, with what they start from."""

import csv
import dataclasses
import importlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_network

import livestock_utils as lu
from livestock_utils.detect import yolov5

ROOT = Path(__file__).parents[2]
TUNED = {"image_size": 64, "passes": "plain", "n_random": 2, "n_resamples": 20}
"""One pass: among equally good ones the choice falls on what took the clock less time."""


def _nothing(shared: Path, out: Path) -> None:
    pass


def _as_it_is(path: Path) -> bytes:
    return path.read_bytes()


@dataclasses.dataclass(frozen=True)
class Job:
    """`prepare` writes what all runs start from, `begin` what lies in the folder of each, `do` is
    the command, in one of several `variants`. Files like `dated` hold times and do not count, nor
    does what `lasting` takes from the others. `done_already`: what a command says that was killed
    after its last step, and refuses to write twice."""

    name: str
    prepare: Callable[[Path], Any]
    do: Callable[[Path, Path, str], Any]
    variants: tuple[str, ...] = ("",)
    begin: Callable[[Path, Path], Any] = _nothing
    dated: tuple[str, ...] = ()
    lasting: Callable[[Path], bytes] = _as_it_is
    done_already: str = ""
    is_slow: bool = False


def load() -> None:
    """Import what jobs need, yolov5 too, so that kills strike their work and no child imports
    again; nothing is computed here: threads would not outlive the fork."""
    for name in (
        *(
            "torch",
            "torchvision",
            "pandas.io.formats.csvs",
            "nbconvert",
            "papermill",
            "onnx",
            "onnxruntime",
            "sklearn.linear_model",
        ),
        *(f"livestock_utils.{place}" for place in set(lu._HOME.values())),
        *("livestock_utils.cli", "livestock_utils.show.pipeline.batch"),
        *("livestock_utils.show.pipeline.report", "livestock_utils.detect.export.bundle"),
        "livestock_utils.evaluate.silver.sets",
    ):
        importlib.import_module(name)
    yolov5.modules()


def _drawn(shared: Path) -> lu.Photos:
    return lu.read_archives(shared / "drawn" / "data")


def _draw(shared: Path) -> None:
    lu.write_sample(shared / "drawn", 12, 3, scale=0.1)


def _draw_and_weigh(shared: Path) -> None:
    _draw(shared)
    made_network.write_network(shared / "best.pt")


def _convert(shared: Path, out: Path, to: str) -> None:
    from livestock_utils import cli

    arguments = ["convert", str(shared / "drawn"), str(out / to), "--to", to]
    cli.cli(arguments, standalone_mode=False)


def _sets(shared: Path, out: Path, kind: str) -> None:
    lu.write_set(out / "set.tar", _drawn(shared))
    lu.open_set(out / "set.tar", out / "local" / "set")


def _predict(shared: Path, out: Path, kind: str) -> None:
    from livestock_utils.detect.tune import steps

    options = {"image_size": 64, "passes": ("plain", "flip"), "part_images": 2, "workers": 1}
    found = steps.collect(shared / "best.pt", _drawn(shared), "valid", out, **options)
    assert found.complete
    lu.predict(shared / "best.pt", _drawn(shared), image_size=64, parts_folder=out / "own")


def _tune(shared: Path, out: Path, kind: str) -> None:
    weights = {"weights": str(shared / "best.pt"), "tuning_weights": str(shared / "best.pt")}
    settings = {**TUNED, **weights, "check_images": 0, "workers": 1}
    tuning = lu.tune(_drawn(shared), shared / "drawn", out, settings, part_images=2)
    tuning.submit()


def _silver(shared: Path, out: Path, mode: str) -> None:
    from livestock_utils.evaluate.silver import sets

    every = _drawn(shared)
    photos, found = every.with_boxes(every.boxes[::2]), every.boxes.assign(confidence=0.9)
    settings = lu.SilverSettings(mode, 0.5, min_boxes=1, max_ignored_share=1.0)
    made = lu.make_silver(photos, found, settings, "best.pt")
    sets.write_silver(out / "silver", made, shared / "drawn" / "data")
    sets.open_silver(out / "silver", out / "local" / "plus")


def _bundle(shared: Path, out: Path, kind: str) -> None:
    from livestock_utils.detect.export import bundle, formats
    from livestock_utils.detect.predict.postprocess import PostprocessSettings

    settings = PostprocessSettings()
    model = formats.export(
        shared / "best.pt", out / "exports", "onnx", image_size=64, settings=settings
    )
    bundle.write_bundle(out, "killed", model, 64, settings)


def _executed(shared: Path, out: Path) -> None:
    (out / "notebooks").mkdir()
    for name in ("01_eda", "04_make_dataset_mini"):
        shutil.copy2(ROOT / "notebooks" / f"{name}.ipynb", out / "notebooks")


def _report(shared: Path, out: Path, kind: str) -> None:
    from livestock_utils.show.pipeline import report

    report.write_report(out)


def _numbers(shared: Path) -> None:
    (shared / "data" / "data").mkdir(parents=True)
    (shared / "data" / "data" / "numbers.csv").write_text("n\n1\n2\n3\n")
    (shared / "batch.yaml").write_text(
        "prepare: ['01']\nnotebooks: ['02']\ngrid: {factor: [2, 3]}\n"
    )


def _batch(shared: Path, out: Path, kind: str) -> None:
    from livestock_utils.show.pipeline import batch

    batch.run(
        shared / "batch.yaml", shared / "data", out, notebooks=ROOT / "tests" / "notebooks_tiny"
    )


def _without_times(path: Path) -> bytes:
    """What a batch's files say, without how long it took."""
    if path.name == "metrics.json":
        content = json.loads(path.read_text())
        for part in content.values():
            part.pop("seconds", None)
        return json.dumps(content, sort_keys=True).encode()
    if path.name == "batch.csv":
        rows = csv.DictReader(io.StringIO(path.read_text()))
        return repr([(row["run"], row["reason"]) for row in rows]).encode()
    return path.read_bytes()


JOBS = [
    Job(
        "conversion",
        _draw,
        _convert,
        ("coco", "yolo", "voc", "aihub"),
        done_already="is not an empty folder",
    ),
    Job("extraction", _draw, _sets),
    Job("prediction parts", _draw_and_weigh, _predict),
    Job("tuning", _draw_and_weigh, _tune),
    Job("silver", _draw, _silver, ("merge", "replace"), is_slow=True),
    Job("bundle", _draw_and_weigh, _bundle, is_slow=True),
    Job("report", lambda shared: None, _report, begin=_executed, is_slow=True),
    Job(
        "batch",
        _numbers,
        _batch,
        dated=("*.ipynb", ".state/*"),
        lasting=_without_times,
        is_slow=True,
    ),
]
