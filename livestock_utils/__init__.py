"""Finding pigs and cows in barn photos with YOLOv5: the door of the library.

    import livestock_utils as lu

The names below are all that notebooks and scripts need; each is loaded when it is first used.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_HOME: dict[str, str] = {
    "start": "show.notebook",
    "Step": "show.notebook",
    "Display": "show.display",
    "displays": "show.displays",
    "plots": "show.plots",
    "Photos": "core.photos",
    "read_photos": "data.layouts.reading",
    "read_archives": "data.aihub.folder",
    "read_test_archives": "data.aihub.folder",
    "check": "data.aihub.integrity",
    "write_sample": "data.sample.drawing",
    "stratified_folds": "data.split.folds",
    "mini": "data.split.folds",
    "lookalikes": "data.split.groups",
    "write_set": "data.sets.writing",
    "open_set": "data.sets.reading",
    "TrainSettings": "detect.settings",
    "train": "show.training",
    "train_pairs": "show.training",
    "Run": "detect.train.run",
    "preflight": "detect.train.preflight",
    "plan": "detect.train.planner",
    "load": "detect.checkpoints",
    "predict": "detect.predict.engine",
    "read_predictions": "detect.predict.foreign",
    "predict_out_of_fold": "detect.predict.out_of_fold",
    "PostprocessSettings": "detect.predict.postprocess",
    "find_runs": "evaluate.compare.runs",
    "conclude": "show.conclusions",
    "compare": "detect.predict.runs",
    "tune": "detect.tune.tuning",
    "search": "detect.search.run",
    "export": "detect.export.exports",
    "ExportSettings": "detect.export.exports",
    "contest_score": "evaluate.scoring.metrics",
    "error_types": "evaluate.errors.types",
    "SilverSettings": "evaluate.silver.making",
    "make_silver": "evaluate.silver.making",
    "predict_for_silver": "detect.predict.silver_sources",
    "missing_labels": "evaluate.labels.report",
    "score": "evaluate.scoring.tables",
    "validate_submission": "evaluate.scoring.submission",
    "write_submission": "evaluate.scoring.submission",
}
"""Name -> module below livestock_utils that holds it, or that it is (displays, plots)."""

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """The name from the module where it lives, imported now."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOME[name]}")
    found = home if name in ("displays", "plots") else getattr(home, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The names of the door, whether loaded or not."""
    return __all__
