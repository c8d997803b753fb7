"""The folder of a run on disk: its record, saves and mirror."""

import contextlib
import dataclasses
import logging
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from livestock_utils.core import files, locks, mirror
from livestock_utils.core.errors import TrainingError
from livestock_utils.core.photos import Photos
from livestock_utils.core.project import PACKAGE
from livestock_utils.detect import checkpoints
from livestock_utils.detect.settings import METRICS, Recorded
from livestock_utils.detect.train import loggers, records
from livestock_utils.detect.train import state as training_state
from livestock_utils.detect.train.data import Data
from livestock_utils.detect.train.validation import validate
from livestock_utils.detect.tune.looking import seen
from livestock_utils.evaluate.scoring import metrics, submission
from livestock_utils.install import YOLOV5_VERSION

log = logging.getLogger(__name__)

_FINAL_WEIGHTS = ("weights/best.pt", "weights/last.pt")
_PACKAGES = "torch torchvision numpy pandas opencv-python-headless albumentations pillow".split()


class RunFolder:
    """An opened run folder; `train` drives it, `Run` reads what it leaves."""

    def __init__(
        self,
        folder: Path,
        settings: Recorded,
        data: Data,
        second: mirror.Mirror | None,
        tags: Mapping[str, Any] | None = None,
        decided: Mapping[str, str] | None = None,
    ) -> None:
        """Look at what is there; nothing is written yet. `decided` is why the recipe chose so."""
        self.folder, self.settings, self.data, self.second = folder, settings, data, second
        self.resume = folder / "resume"
        self.loggers: list[Any] = []
        self.record = records.read_record(folder)
        self.tags = dict(tags or self.record.get("tags") or {})
        self.decided = dict(decided or self.record.get("recipe") or {})
        self.notes: list[str] = list(self.record.get("warnings", []))
        self.finished = bool(self.record.get("finished"))
        self.status = "The run had finished before: nothing was trained now."
        self.notes_of_weights: dict[str, Any] = {}

    def check(self) -> None:
        """Refuse changed settings, count what the set lacks, write a fresh run's settings. A
        finished run must have its weights; what a kill in its last moments left is done now."""
        started = records.check_settings(self.folder, self.settings)
        if self.finished:
            if gone := _missing_weights(self.folder):
                raise TrainingError(
                    f"{self.folder} has finished, but {gone} is gone; bring it back from a copy or "
                    "the mirror, or delete the run folder (and its mirror) to train again"
                )
            with records.storing("complete the run", self.folder):
                self._complete()
            return
        findings = self.data.train.findings + self.data.valid.findings
        for kind in sorted({kind for kind, _ in findings}):
            names = [name for found, name in findings if found == kind]
            self.note(f"{len(names)} of the images: {kind} (first: {names[0]})")
        with records.storing("begin", self.folder):
            if not started:
                hyp = yaml.safe_dump(self.settings.hyp, sort_keys=False)
                files.write_text(self.folder / "hyp.yaml", hyp)
                self._write_settings()
            # Which photos a run has seen, so that a later comparison never judges it on them.
            ids = "".join(f"{Path(file).stem}\n" for file in self.data.train.files)
            files.write_text(self.folder / "train_images.txt", ids)
            self._write_record({"finished": False})

    def _write_settings(self) -> None:
        recorded = yaml.safe_dump(self.settings.plain(), allow_unicode=True)
        files.write_text(self.folder / "settings.yaml", recorded)

    def note(self, message: str) -> None:
        """Count a warning: logged, and a line of run.json."""
        log.warning("%s", message)
        if message not in self.notes:
            self.notes.append(message)

    def restore(self, trainer: Any) -> Path | None:
        """Continue from the newest valid resume file of the folder; its path, or None."""
        path = training_state.newest(self.resume)
        self.status = "The model was trained in this run."
        if path is not None:
            state = training_state.read(path)
            training_state.check_same(state, self.settings.plain(), path)
            training_state.restore(trainer, state)
            trainer.stopped = trainer.stopped or self.record.get("ended_after") == trainer.epoch
            self.status = f"The run was continued after epoch {trainer.epoch}."
            log.info("%s: %s", self.folder, self.status)
            with records.storing("go on", self.folder):
                self._write_epoch(trainer, is_best=trainer.best_epoch >= 0)
        self.loggers = loggers.opened(self.settings, self.folder, trainer.epoch, self.note)
        return path

    def save(self, trainer: Any) -> None:
        """Save an epoch: resume file, results.csv, weights; then ask the mirror for a copy."""
        with records.storing(f"save epoch {trainer.epoch}", self.folder):
            if self.settings.epochs != trainer.settings.epochs:  # by the first epoch's pace
                self.settings = dataclasses.replace(self.settings, epochs=trainer.settings.epochs)
                self._write_settings()
            path = training_state.save(trainer, self.resume)
            self._write_epoch(trainer, is_best=trainer.best_epoch == trainer.epoch - 1)
            for logger in self.loggers:
                logger.log(trainer.rows[-1])
            if self.second:
                self.second.request([path, *self._small_files()], remove=["resume/resume-*.pt"])

    def end(self, trainer: Any) -> None:
        """Let the epoch that was just saved be the last, also after a kill."""
        trainer.stopped = True
        self.record["ended_after"] = trainer.epoch
        self.note(f"ended after epoch {trainer.epoch} by the caller")
        with records.storing("end the run", self.folder):
            self._rewrite_record()

    def _write_epoch(self, trainer: Any, is_best: bool) -> None:
        results = pd.DataFrame(trainer.rows).to_csv(index=False, float_format="%.8g")
        files.write_text(self.folder / "results.csv", results)
        if is_best:  # the last epoch's are in the resume file until the run has finished
            self._write_weights("best", trainer, trainer.best_weights, trainer.best_epoch)

    def _write_weights(self, name: str, trainer: Any, state: dict[str, Any], epoch: int) -> None:
        """Write weights/`name`.pt in yolov5's own form: the EMA's model, fp16."""
        path, model = self.folder / "weights" / f"{name}.pt", trainer.ema.ema
        drawn = self.settings.init_weights == files.sha256(checkpoints.SAMPLE_WEIGHTS)
        names, train = self.data.names, self.data.train
        classes = np.concatenate(train.labels)[:, 0]  # regions that nobody knows are of none
        boxes = {name: int((classes == index).sum()) for index, name in enumerate(names)}
        checkpoints.write_weights(
            *(path, model, state, epoch),
            yolov5pip_version=YOLOV5_VERSION,
            image_size=self.settings.image_size,
            trained_on={"photos": len(train.files), "boxes": boxes, "drawn": drawn},
            **self.notes_of_weights,
        )

    def finish(
        self,
        trainer: Any,
        final_evaluation: bool,
        draw: Callable[[Path, pd.DataFrame, str], None] | None,
    ) -> None:
        """Write the final weights and figures, mark the run as finished, drop the resume files."""
        best, last = (self.folder / name for name in _FINAL_WEIGHTS)
        with records.storing("finish the run", self.folder):
            self._write_weights("last", trainer, trainer.keep().state_dict(), -1)
            self._write_weights("best", trainer, trainer.best_weights, -1)
            if best.stat().st_size > submission.WEIGHTS_BUDGET_BYTES:
                self.note(
                    f"best.pt has {best.stat().st_size / 1e6:.1f} x 10^6 bytes, the contest allows "
                    "100; take a smaller model for a submission"
                )
            if final_evaluation:
                model, names = checkpoints.load(best, str(trainer.device)), self.data.names
                loader = trainer.loaders.valid
                table = evaluation(trainer.y5, model, loader, names, plots=self.folder)
                files.write_text(self.folder / "per_class.csv", table.to_csv(float_format="%.6f"))
                ids = sorted({Path(file).stem for file in self.data.valid.files})
                valid = Photos(pd.DataFrame({"image_id": ids}), table.attrs["boxes"])
                looking = seen(valid, table.attrs["predictions"])[1]
                self.notes_of_weights["looking"] = looking.to_dict()
                self._write_weights("best", trainer, trainer.best_weights, -1)
                if trainer.first_batch is not None:  # None when no epoch was trained now
                    shown = self.folder / "train_batch0.jpg", dict(enumerate(names))
                    trainer.y5.plots.plot_images(*trainer.first_batch, *shown)
                if draw is not None:
                    column = METRICS[self.settings.best_metric]
                    draw(self.folder, pd.DataFrame(trainer.rows), column)
            if self.second is not None:
                self.second.wait()  # a copy under way must not take run.json before the weights
            done = {"finished": True, "epochs": trainer.epoch, "best_epoch": trainer.best_epoch}
            done |= {"best_value": trainer.best_value, "weights_bytes": best.stat().st_size}
            digests = {"best": files.sha256(best), "last": files.sha256(last)}
            self._write_record({**done, "weights_sha256": digests})
            self._complete()

    def _complete(self) -> None:
        """Drop a finished run's resume files and fill its mirror, unless run.json is there."""
        training_state.prune(self.resume)
        with contextlib.suppress(OSError):
            self.resume.rmdir()
        if self.second is None:
            return
        with contextlib.suppress(OSError, TrainingError):
            if records.read_record(self.second.target) == self.record:
                return
        earlier = self.record.pop("mirror_failure", None)
        self.notes = [note for note in self.notes if note != earlier]
        self._rewrite_record()
        self.second.request(self._small_files(), remove=["resume/resume-*.pt"])
        if failure := self.second.wait():
            self.record["mirror_failure"] = failure
            self.note(failure)
            self._rewrite_record()

    def _write_record(self, values: dict[str, Any]) -> None:
        """Write run.json anew; versions of earlier sessions are kept beside today's."""
        versions = {"python": platform.python_version(), "yolov5": YOLOV5_VERSION}
        for name in _PACKAGES:
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions[name] = metadata.version(name)
        now = {"versions": versions, "git_revision": _git_revision()}
        before = {name: self.record.get(name) for name in now}
        earlier = list(self.record.get("earlier", []))
        if before["versions"] and before != now:
            earlier.append(before)
        kept: dict[str, Any] = {"tags": self.tags, "recipe": self.decided, "earlier": earlier}
        kept["ended_after"] = self.record.get("ended_after")
        self.record = {
            **values,
            **{name: value for name, value in kept.items() if value},
            **now,
            "train_images": len(self.data.train.files),
            "valid_images": len(self.data.valid.files),
        }
        self._rewrite_record()

    def _rewrite_record(self) -> None:
        self.record = {**self.record, "warnings": self.notes}
        files.write_json(self.folder / "run.json", self.record)

    def _small_files(self) -> list[Path]:
        return [path for path in mirror.whole_files(self.folder) if path.parent != self.resume]


@contextlib.contextmanager
def opened(
    folder: Path,
    settings: Recorded,
    data: Data,
    second: Any = None,
    tags: Mapping[str, Any] | None = None,
    decided: Mapping[str, str] | None = None,
) -> Iterator[RunFolder]:
    """Open a run folder for `train`: locked, restored, checked; all closed after."""
    target = None if second is None else records.mirror_folder(folder, second)
    with contextlib.ExitStack() as held:
        if target is None and records.read_record(folder).get("finished"):
            run = RunFolder(folder, settings, data, None)  # only looked at
        else:
            with records.storing("make the run folder", folder):
                folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(locks.held(folder))
            mirror.sweep(folder)
            notes = [
                f"{path.name} was damaged (its bytes did not fit its name) and has been deleted"
                for path in training_state.drop_damaged(folder / "resume")
            ]
            copier = None
            if target is not None:
                notes += _bring_back(folder, target, settings)
                copier = held.enter_context(contextlib.closing(mirror.Mirror(folder, target)))
            run = RunFolder(folder, settings, data, copier, tags, decided)
            for note in notes:
                run.note(note)
        held.callback(lambda: [logger.close() for logger in run.loggers])
        run.check()
        yield run


def _missing_weights(folder: Path) -> str | None:
    """The first of a finished run's weights that is not in its folder, or None."""
    return next((name for name in _FINAL_WEIGHTS if not (folder / name).is_file()), None)


def _bring_back(folder: Path, target: Path, settings: Recorded) -> list[str]:
    """Take from a mirror what the folder lacks, or a run finished there; returns warnings.
    TrainingError if another uses it, or if it does not answer and there is no run here."""

    def take() -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.listdir(target)  # a mount that is gone raises here what some of the calls below hide
        records.check_settings(folder, settings)
        records.check_settings(target, settings)
        here, there = records.read_record(folder), records.read_record(target)
        if here.get("finished") and here == there and not _missing_weights(folder):
            return []
        note = locks.Note(target)
        if other := note.other():
            raise TrainingError(
                f"the mirror {target} is in use by {other}; if that has ended, wait "
                f"{locks.FRESH_S // 60} minutes or delete {note.path}, and start the same training "
                "again"
            )
        if not target.is_dir():
            return []
        note.renew()
        mirror.sweep(target)
        newest = training_state.newest(folder / "resume")
        done = -1 if newest is None else training_state.epochs_in(newest)
        return mirror.restore_missing(
            folder,
            target,
            replace=bool(there.get("finished") and not here.get("finished")),
            leave=lambda path: 0 <= training_state.epochs_in(path) <= done,
        )

    try:
        if back := mirror.retried(take):
            log.info("%d files came back from the mirror %s", len(back), target)
        return []
    except OSError as error:
        is_here = records.read_record(folder).get("finished")
        if not (is_here or training_state.newest(folder / "resume")):
            raise TrainingError(
                f"the mirror {target} does not answer ({error}) and may hold this run; mount it "
                "again, or start without a mirror or with another"
            ) from error
        return [
            f"the mirror {target} did not answer at the start ({error}); went on with what is in "
            "the run folder"
        ]


def evaluation(
    y5: Any, model: Any, loader: Any, names: Sequence[str], plots: Path | None = None
) -> pd.DataFrame:
    """The table of `run.evaluate` for a loaded model, with `y5` the open door."""
    result = validate(y5, model, loader, names, plots=plots)
    table = contest = result.per_class
    images = result.boxes.groupby("species")["image_id"].nunique()
    table.insert(0, "images", [len(loader.dataset), *images.reindex(table.index[1:])])
    if len(result.boxes):
        contest = metrics.per_class_table(result.boxes, result.predictions)
    table["mAP75_contest"] = contest["mAP75"].reindex(table.index)
    table.attrs |= {"predictions": result.predictions, "boxes": result.boxes}
    return table


def _git_revision() -> str | None:
    """Commit of the checkout that the library runs from, or None outside one."""
    command = ["git", "-C", str(PACKAGE), "rev-parse", "HEAD"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip() or None
    return None
