"""What is fuzzed: a folder that a reader reads as it is, and the call that reads it."""

import dataclasses
import functools
import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import archive_makers
import cv2
import data_sets
import detections
import layout_makers
import made_candidates
import numpy as np
import pandas as pd
import training_sets
import yaml

import livestock_utils as lu
from livestock_utils.core import frames, species, tables
from livestock_utils.data import lookalikes
from livestock_utils.data.aihub import integrity
from livestock_utils.data.layouts import writing
from livestock_utils.data.split import folds
from livestock_utils.detect import checkpoints
from livestock_utils.detect.predict import candidates, media, out_of_fold, postprocess
from livestock_utils.detect.search import genes, samplers, storage, study, trials
from livestock_utils.detect.settings import read_hyp
from livestock_utils.detect.train import augment, records
from livestock_utils.detect.train.data import image_size, read_data
from livestock_utils.evaluate.compare import runs
from livestock_utils.evaluate.labels import exchange
from livestock_utils.evaluate.scoring import report, submission
from livestock_utils.show.pipeline import batch, notebook_files, parameters


@dataclasses.dataclass(frozen=True)
class Target:
    """`make` writes the folder, `read` reads it and may write below `out`; `files` (a pattern of
    their names) are bent. `cost`: how many inputs of the cheapest target one of this is worth."""

    name: str
    make: Callable[[Path], Any]
    read: Callable[[Path, Path], Any]
    files: str = ""
    cost: int = 1


def warm_up() -> None:
    """Load what is large before memory is counted."""
    checkpoints.load(checkpoints.SAMPLE_WEIGHTS)
    augment.read("light")


def _archives(folder: Path) -> None:
    archive_makers.write(folder / "data", archive_makers.four_archives())


def _sets(folder: Path) -> None:
    images, boxes = data_sets.write_archives(folder / "data", 4)
    photos = lu.Photos(images, boxes, folder / "data")
    lu.write_set(folder / "set.tar", photos)
    lu.write_set(folder / "set", photos)
    tables.write_tables(folder / "tables", images, boxes)
    fold = pd.Series(range(len(images)), index=images["image_id"]) % 2
    tables.write_folds(folder / "folds.csv", fold)
    groups = pd.DataFrame({"image_id": images["image_id"], "group": "a"})
    groups.to_csv(folder / "groups.csv", index=False)
    exchange.write_coco(folder / "coco.json", photos, boxes.iloc[:0].assign(score=1.0))
    exchange.write_yolo(folder / "yolo", photos, boxes.iloc[:0].assign(score=1.0))
    teacher = boxes.assign(confidence=0.9)
    teacher.to_csv(folder / "teacher.csv", index=False)
    out_of_fold.write(folder / "oof.csv.gz", teacher.assign(fold=0)[out_of_fold.COLUMNS])
    boxes.assign(labelled=True).to_csv(folder / "truth.csv", index=False)


@functools.cache
def _sized(folder: Path) -> pd.DataFrame:
    return tables.read_tables(folder / "tables")[0]


def _training(folder: Path) -> None:
    training_sets.write_set(folder, 2, 1)
    (folder / "train.txt").write_text("train/images/livestock_pig_bbox_000000.jpg\n")
    (folder / "data.yaml").write_text(
        "path: .\ntrain: [train.txt, train/images]\nval: valid/images\nnames: {0: pig, 1: cow}\n"
    )


def _copies(*names: str) -> Callable[[Path], None]:
    """The project's own files."""

    def make(folder: Path) -> None:
        for name in names:
            source = Path(__file__).parents[2] / name
            (folder / source.name).write_bytes(source.read_bytes())

    return make


def _species(folder: Path, out: Path) -> None:
    species._read.__wrapped__(str(folder / "species.yaml"))


def _scoring(folder: Path) -> None:
    images, truth, found = detections.scene(0, 4)
    answers = detections.answers_from_boxes(truth, images)
    answers.to_csv(folder / "answer.csv", index=False)
    detections.as_contest(found).to_csv(folder / "submission.csv", index=False)


def _score(folder: Path, out: Path) -> None:
    def silent(_: str) -> None:
        pass

    submission.validate_submission(folder / "submission.csv")
    report.score_files(folder / "answer.csv", folder / "submission.csv", tell=silent)


def _candidates(folder: Path) -> None:
    candidates.save(folder / "part.npz", made_candidates.made(3, 8)[0])


def _run_folder(folder: Path) -> None:
    run = folder / "training" / "one"
    run.mkdir(parents=True)
    settings = lu.TrainSettings(epochs=1)
    plain = {"hyp": read_hyp("default"), "seed": settings.seed, "model": settings.model}
    (run / "settings.yaml").write_text(yaml.safe_dump({**plain, "epochs": 1, "image_size": 64}))
    (run / "run.json").write_text('{"finished": true, "best_epoch": 0, "tags": {}, "warnings": []}')
    (run / "results.csv").write_text("epoch,metrics/mAP75\n0,0.5\n")
    (run / "per_class.csv").write_text("class,P\nall,0.5\n")
    (run / "train_images.txt").write_text("a\nb\n")


_known_hyps = functools.cache(runs._known_hyps)
"""The project's own files, which nobody bends: once, not for each input."""


def _batch(folder: Path, out: Path) -> None:
    with mock.patch.object(notebook_files, "find", lambda _=None: _NOTEBOOKS):
        batch.read(folder / "silver.yaml")


def _read_run(folder: Path, out: Path) -> None:
    run = folder / "training" / "one"
    with mock.patch.object(runs, "_known_hyps", _known_hyps):
        runs.find_runs(folder)
    runs.trained_ids(run)
    records.read_settings(run)
    _ = lu.Run(run).results, lu.Run(run).per_class, lu.Run(run).finished


def _images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (96, 64))
    for ending in ("jpg", "png", "bmp", "webp", "tif"):
        cv2.imwrite(str(folder / f"photo.{ending}"), picture)


def _decode(folder: Path, out: Path) -> None:
    photos = media.find(folder)
    for name in photos.images["member"]:
        data = (folder / name).read_bytes()
        lookalikes._phash(data)
        frames.is_truncated(data)
        image_size(str(folder / name))
    with photos.reader() as reader:
        for name in photos.images["member"]:
            frames.decode(reader.bytes("", name))


def _video(folder: Path) -> None:
    writer = cv2.VideoWriter(str(folder / "barn.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for shade in range(4):
        writer.write(np.full((48, 64, 3), 60 * shade, dtype=np.uint8))
    writer.release()


def _frames(folder: Path, out: Path) -> None:
    for _ in itertools.islice(media.video_frames(folder / "barn.avi"), 10):
        pass


def _refused_archives(folder: Path, out: Path) -> None:
    lu.read_archives(folder / "data")
    integrity.survey(folder / "data")


def _pairs(folder: Path, out: Path) -> None:
    exchange.read_corrected(folder / "coco.json", _sized(folder))


def _yolo(folder: Path, out: Path) -> None:
    exchange.read_corrected(folder / "yolo", _sized(folder))


def _read_layout(folder: Path, out: Path) -> None:
    lu.read_photos(folder)
    lu.check(folder)
    writing.convert(folder, out, "voc" if (folder / "data.yaml").exists() else "yolo")


def _joined(url: str) -> "study.optuna.Study":
    opened = storage.open_storage(url)
    study.recorded("lr", opened)
    return study.join(
        "lr", opened, {"data": "x"}, study.optuna.samplers.RandomSampler(0), samplers.pruner("none")
    )


def _study(url: str) -> None:
    study.work(_joined(url), lambda trial: trial.suggest_float("lr0", 0.001, 0.1), 3)


def _journal(folder: Path) -> None:
    """A study of three trials; its times and workers are always the same, and long ago."""
    path = folder / "study.log"
    _study(f"journal://{path}")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+", "2020-01-01T00:00:00.000001", path.read_text())
    text = re.sub(r'("worker_id": ?")[^"]+', r"\1host-1", text)
    path.write_text(re.sub(r'("worker": ?")[^"]+', r"\1host 1 1.00", text))


def _go_on(kind: str, name: str, folder: Path, out: Path) -> None:
    """Two more trials in a copy, as what was cut short is dropped in place."""
    out.mkdir()
    shutil.copy2(folder / name, out / name)
    url = f"{kind}{out / name}"
    with storage.one_line(url):
        joined = _joined(url)
        study.work(joined, lambda trial: trial.suggest_float("lr0", 0.001, 0.1), 5, poll_s=0.0)
        trials.trials_table(joined)


TARGETS = [
    Target("archives", _archives, _refused_archives, "*.zip", 2),
    Target("set.tar", _sets, lambda f, out: lu.open_set(f / "set.tar", out / "set"), "set.tar", 2),
    Target("set", _sets, lambda f, out: lu.open_set(f / "set"), "set/*", 2),
    Target("set labels", _sets, lambda f, out: lu.open_set(f / "set"), "set/labels/*.txt", 2),
    Target("tables", _sets, lambda f, out: tables.read_tables(f / "tables"), "tables/*.csv"),
    Target("folds", _sets, lambda f, out: tables.read_folds(f / "folds.csv"), "folds.csv"),
    Target(
        "groups.csv", _sets, lambda f, out: folds.read_groups(f / "groups.csv", _sized(f)), "g*.csv"
    ),
    Target("out of fold", _sets, lambda f, out: out_of_fold.read(f / "oof.csv.gz"), "*.gz"),
    Target("coco", _sets, _pairs, "coco.json"),
    Target("yolo", _sets, _yolo, "yolo/*"),
    Target("yolo labels", _sets, _yolo, "obj_train_data/*.txt"),
    Target("data.yaml", _training, lambda f, out: read_data(f / "data.yaml"), "*.yaml", 4),
    Target("labels", _training, lambda f, out: read_data(f / "data.yaml"), "*.txt", 4),
    Target("photos", _training, lambda f, out: read_data(f / "data.yaml"), "*.jpg", 4),
    Target("hyp", _copies("hyp/default.yaml"), lambda f, out: read_hyp(f / "default.yaml")),
    Target(
        "pipeline",
        _copies("hyp/augment_barn_night.yaml"),
        lambda f, out: augment.read(f / "augment_barn_night.yaml"),
        cost=20,
    ),
    Target(
        "genes", _copies("hyp/groups.yaml"), lambda f, out: genes.read_groups(f / "groups.yaml")
    ),
    Target(
        "profile",
        _copies("livestock_utils/assets/profiles/sample.yaml"),
        lambda f, out: parameters.resolve(
            _NOTEBOOKS, [parameters.read_profile(str(f / "sample.yaml"))], "d", "o"
        ),
        cost=2,
    ),
    Target(
        "batch",
        _copies("notebooks/batches/silver.yaml"),
        _batch,
        cost=2,
    ),
    Target("species", _copies("livestock_utils/assets/species.yaml"), _species),
    Target(
        "notebook",
        _copies("notebooks/05_train_multilabel_split.py"),
        lambda f, out: notebook_files.read(f / "05_train_multilabel_split.py"),
        cost=4,
    ),
    Target(
        "settings",
        lambda f: postprocess.save_settings(f / "s.yaml", postprocess.PostprocessSettings()),
        lambda f, out: postprocess.load_settings(f / "s.yaml"),
    ),
    Target("scoring", _scoring, _score, cost=6),
    Target("candidates", _candidates, lambda f, out: candidates.load(f / "part.npz")),
    Target("run folder", _run_folder, _read_run),
    Target(
        "weights",
        lambda f: (f / "w.pt").write_bytes(checkpoints.SAMPLE_WEIGHTS.read_bytes()),
        lambda f, out: checkpoints.load(f / "w.pt"),
        cost=20,
    ),
    Target("images", _images, _decode),
    *(
        Target(f"layout {name}", layout_makers.LAYOUTS[name], _read_layout, files, 2)
        for name, files in (
            ("yolo", "*.[yt]*"),
            ("coco", "*.json"),
            ("voc", "*.xml"),
            ("cvat", "*.xml"),
            ("label_studio", "*.json"),
        )
    ),
    Target("study", _journal, functools.partial(_go_on, "journal://", "study.log"), "*.log", 4),
    Target(
        "study.db",
        lambda f: _study(f"sqlite:///{f / 'study.db'}"),
        functools.partial(_go_on, "sqlite:///", "study.db"),
        cost=60,
    ),
    Target("video", _video, _frames, cost=2),
]
_NOTEBOOKS = notebook_files.find()
