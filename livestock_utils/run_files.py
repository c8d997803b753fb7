"""The folder of a run on disk: what it records, its saves and mirror, and what it holds when it has finished."""

import contextlib
import json
import logging
import platform
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import yaml

from livestock_utils import checkpoints, files, mirror, scoring, training_loggers, training_state
from livestock_utils.errors import TrainingError
from livestock_utils.install import YOLOV5_VERSION
from livestock_utils.training_data import Data
from livestock_utils.training_settings import METRICS, Settings
from livestock_utils.validation import validate

log = logging.getLogger(__name__)

RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "pandas", "opencv-python-headless", "albumentations", "pillow")


class RunFolder:
    """An opened run folder; `train` drives it, `Run` reads what it leaves."""

    def __init__(self, folder: Path, settings: Settings, data: Data, second: mirror.Mirror | None) -> None:
        """Look at what is there; nothing is written yet."""
        self.folder, self.settings, self.data, self.second = folder, settings, data, second
        self.resume = folder / "resume"
        self.notes: list[str] = []
        self.loggers: list[Any] = []
        record = folder / "run.json"
        self.finished = record.is_file() and bool(json.loads(record.read_text(encoding="utf-8")).get("finished"))

    def check(self) -> None:
        """Refuse changed settings; count what the data set lacks; write settings.yaml and hyp.yaml of a fresh run."""
        started = check_settings(self.folder, self.settings)
        counts = pd.Series([kind for part in (self.data.train, self.data.valid) for kind, _ in part.findings])
        names = {kind: name for part in (self.data.train, self.data.valid) for kind, name in reversed(part.findings)}
        for kind, count in counts.value_counts().sort_index().items():
            self.note(f"{count} of the images: {kind} (first: {names[str(kind)]})")
        if not started:
            files.write_text(self.folder / "hyp.yaml", yaml.safe_dump(self.settings.hyp, sort_keys=False))
            recorded = yaml.safe_dump(self.settings.recorded(), allow_unicode=True)
            files.write_text(self.folder / "settings.yaml", recorded)
        if not self.finished:
            self._write_record({"finished": False})

    def note(self, message: str) -> None:
        """Count a warning: logged, and a line of run.json."""
        if message not in self.notes:
            log.warning("%s", message)
            self.notes.append(message)

    def restore(self, trainer: Any) -> Path | None:
        """Continue from the newest valid resume file of the folder and its mirror; returns its path, None without."""
        path = self._continue(trainer)
        self.loggers = training_loggers.opened(self.settings, self.folder, trainer.epoch, self.note)
        return path

    def _continue(self, trainer: Any) -> Path | None:
        places = [self.resume] + ([self.second.target / "resume"] if self.second else [])
        path = training_state.newest(*places)
        if path is None:
            return None
        state = training_state.read(path)
        training_state.check_same(state, self.settings.recorded(), path)
        training_state.restore(trainer, state)
        log.info("continuing after epoch %d (%s)", trainer.epoch, path)
        self._write_epoch(trainer, is_best=trainer.best_epoch >= 0)
        return path

    def save(self, trainer: Any) -> None:
        """Save an epoch: resume file, results.csv, weights; then ask the mirror for a copy."""
        path = training_state.save(trainer, self.resume)
        self._write_epoch(trainer, is_best=trainer.best_epoch == trainer.epoch - 1)
        for logger in self.loggers:
            logger.log(trainer.rows[-1])
        if self.second:
            self.second.request([path, *self._small_files()], remove=["resume/resume-*.pt"])

    def _write_epoch(self, trainer: Any, is_best: bool) -> None:
        results = pd.DataFrame(trainer.rows).to_csv(index=False, float_format="%.8g")
        files.write_text(self.folder / "results.csv", results)
        if is_best:  # the last epoch's are in the resume file until the run has finished
            self._write_weights("best", trainer, trainer.best_weights, trainer.best_epoch)

    def _write_weights(self, name: str, trainer: Any, state: dict[str, Any], epoch: int) -> None:
        """Write weights/`name`.pt in yolov5's own form: the EMA's model with these tensors, fp16."""
        checkpoints.write_weights(self.folder / "weights" / f"{name}.pt", trainer.ema.ema, state, epoch=epoch,
                                  yolov5pip_version=YOLOV5_VERSION)

    def finish(self, trainer: Any, final_evaluation: bool) -> None:
        """Write the final weights and figures, mark the run as finished, drop the resume files."""
        best, last = self.folder / "weights" / "best.pt", self.folder / "weights" / "last.pt"
        self._write_weights("last", trainer, trainer.ema.ema.state_dict(), -1)
        self._write_weights("best", trainer, trainer.best_weights, -1)
        if not checkpoints.within_budget(best):
            self.note(f"best.pt has {best.stat().st_size / 1e6:.1f} x 10^6 bytes, the contest allows 100; "
                      "take a smaller model for a submission")
        if final_evaluation:
            model = checkpoints.load_model(best, device=str(trainer.device))
            table = evaluation(trainer.y5, model, trainer.loaders.valid, self.data, plots=self.folder)
            files.write_text(self.folder / "per_class.csv", table.to_csv(float_format="%.6f"))
            self._draw(trainer)
        record = {"finished": True, "epochs": trainer.epoch, "best_epoch": trainer.best_epoch,
                  "best_value": trainer.best_value, "weights_bytes": best.stat().st_size,
                  "weights_sha256": {"best": files.sha256(best), "last": files.sha256(last)}}
        if self.second and (failure := self.second.wait()):
            self.note(failure)
        self._write_record(record)
        training_state.prune(self.resume, kept=0)
        with contextlib.suppress(OSError):
            self.resume.rmdir()
        if self.second:
            self.second.request(self._small_files(), remove=["resume/resume-*.pt"])
            if failure := self.second.wait():
                self.notes = [note for note in self.notes if "mirror" not in note]
                self.note(failure)
                self._write_record(record)

    def _draw(self, trainer: Any) -> None:
        """Curves of the epochs, and the first batch as the network saw it (absent when no epoch was trained now)."""
        from livestock_utils.plots import training as curves

        results = pd.DataFrame(trainer.rows)
        chosen_by = METRICS[self.settings.best_metric]
        for name, drawn in (("losses", curves.loss_curves(results)[0]),
                            ("metrics", curves.metric_curves(results, best=chosen_by))):
            figure: Any = drawn.figure
            figure.savefig(self.folder / f"{name}.png", dpi=120, bbox_inches="tight")
            plt.close(figure)
        if trainer.first_batch is not None:
            images, targets, paths = trainer.first_batch
            trainer.y5.plots.plot_images(images, targets, paths, self.folder / "train_batch0.jpg",
                                         dict(enumerate(self.data.names)))

    def _write_record(self, values: dict[str, Any]) -> None:
        versions = {"python": platform.python_version(), "yolov5": YOLOV5_VERSION}
        for name in RECORDED_PACKAGES:
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions[name] = metadata.version(name)
        files.write_json(self.folder / "run.json", {
            **values, "warnings": self.notes, "versions": versions, "git_revision": git_revision(),
            "train_images": len(self.data.train.files), "valid_images": len(self.data.valid.files)})

    def _small_files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and path.parent != self.resume
                      and not path.name.endswith((".part", ".new")))


def check_settings(folder: Path, settings: Settings) -> bool:
    """False for a folder without a run; raises TrainingError if its run was started with other settings."""
    path = folder / "settings.yaml"
    if not path.is_file():
        return False
    before = yaml.safe_load(path.read_text(encoding="utf-8"))
    training_state.check_same({"settings": before}, settings.recorded(), folder)
    return True


@contextlib.contextmanager
def opened(folder: Path, settings: Settings, data: Data, second: Any = None) -> Iterator[RunFolder]:
    """Open a run folder for `train`: brings back what a mirror has, checks the settings, closes the mirror after."""
    copier = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot make the run folder {folder} ({error.strerror}); name another one") from error
    if second is not None:
        target = Path(second).expanduser().resolve()
        if target == folder.resolve():
            raise TrainingError(f"mirror and run folder are both {target}; give the mirror a folder of its own")
        check_settings(folder, settings)
        check_settings(target, settings)
        if back := mirror.restore_missing(folder, target) if target.is_dir() else []:
            log.info("%d files came back from the mirror %s", len(back), target)
        copier = mirror.Mirror(folder, target)
    run = None
    try:
        run = RunFolder(folder, settings, data, copier)
        run.check()
        yield run
    finally:
        for logger in run.loggers if run else []:
            logger.close()
        if copier is not None:
            copier.close()


def evaluation(y5: Any, model: Any, loader: Any, data: Data, confidence_threshold: float = 0.001,
               iou_threshold: float = 0.6, plots: Path | None = None) -> pd.DataFrame:
    """The table of `training.evaluate` for a loaded model, with `y5` the open door."""
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
    result = validate(y5, model, loader, data.names, confidence_threshold=confidence_threshold,
                      iou_threshold=iou_threshold, plots=plots)
    table = result.per_class.copy()
    images = result.boxes.groupby("species")["image_id"].nunique()
    table.insert(0, "images", [len(loader.dataset), *(int(images.get(name, 0)) for name in table.index[1:])])
    contest = scoring.per_class_table(result.boxes, result.predictions) if len(result.boxes) else table
    table["mAP75_contest"] = contest["mAP75"].reindex(table.index)
    table.attrs["predictions"] = result.predictions
    return table


def git_revision() -> str | None:
    """Commit of the checkout that the library runs from, or None outside one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True,
                              text=True, timeout=10, check=True)
        return done.stdout.strip() or None
    return None
