"""The steps of notebook 11: which weights, candidates of tuning and test images, the file, the
score.

The choice of settings between them is `tuning_choice`.
"""

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import colab
from livestock_utils.core import files, text
from livestock_utils.core.errors import ArchiveError, NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.core.tables import require_columns
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.detect.backends import loading
from livestock_utils.detect.predict import engine as prediction
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.passes import parse_pass
from livestock_utils.detect.tune import choice as tuning_choice
from livestock_utils.evaluate.scoring import contest, intervals
from livestock_utils.evaluate.scoring import submission as submissions
from livestock_utils.evaluate.scoring.metrics import (
    average_precisions,
    contest_matches,
    normaliser_doubt,
)

log = logging.getLogger(__name__)

RUNS = ("full", "multilabel_split")
"""Run folders below OUT/training whose best weights predict the test images, the first that exists
(08, 05)."""
TUNING_RUNS = ("multilabel_split",)
"""Runs that have not seen the validation images, so that settings can be tuned on these (05)."""


def find_weights(
    out: str | os.PathLike, weights: str | os.PathLike = "", runs: Sequence[str] = RUNS
) -> Path:
    """The weights to use: as given, else the best of the first of `runs` that exists below
    OUT/training."""
    if weights:
        if not Path(weights).is_file():
            raise NotebookError(
                f"weights file not found: {weights}; give the path of a .pt or .onnx that is there"
            )
        return Path(weights)
    for run in runs:
        path = Path(out) / "training" / run / "weights" / "best.pt"
        if path.is_file():
            return path
    raise NotebookError(
        f"no trained weights below {Path(out) / 'training'} (looked for {', '.join(runs)}); run "
        "notebook 05 or 08 first, or set the parameter weights"
    )


def test_images(
    data: str | os.PathLike, valid_images: pd.DataFrame, valid_folder: str | os.PathLike
) -> tuple[pd.DataFrame, Path, str]:
    """Images to submit, what their paths count from, and a sentence: the test archives, else the
    validation images."""
    folder = colab.at_hand(Path(data) / "data_test")
    try:
        images = (
            data_folder.read_test_archives(folder).images
            if folder.is_dir()
            else valid_images.iloc[:0]
        )
    except ArchiveError:
        if any(folder.iterdir()):
            raise
        images = valid_images.iloc[:0]
    if len(images):
        return images, folder, f"{len(images):,} test images from the archives in `{folder.name}/`."
    return (
        valid_images,
        Path(valid_folder),
        (
            f"There are no test archives: the {len(valid_images):,} images of the validation fold "
            "are predicted instead. They chose the settings, so their score says nothing about new "
            "images."
        ),
    )


@dataclasses.dataclass(frozen=True)
class Collected:
    """Candidates of all images, or of none while part files of other shards are missing: `there` of
    `total` parts.

    A share of the images would give a score of its own and settings of its own, so it gives
    neither.
    """

    candidates: Candidates
    there: int
    total: int

    @property
    def complete(self) -> bool:
        """True when the candidates are of all images."""
        return 0 < self.there == self.total

    @property
    def state(self) -> str:
        """How many parts are there, in words."""
        if not self.there:
            return "no part is there yet"
        return f"{self.there} of {self.total or 'more'} parts are there"

    @property
    def sentence(self) -> str:
        """How many images and candidates there are, and what was left out; or how many parts are
        there."""
        if not self.complete:
            return (
                f"{self.state}: run the other shards, then the same command once more, with any "
                "shard. Until then nothing is tuned, submitted or scored."
            )
        found = self.candidates
        parts = [
            f"{len(found.images):,} images, {len(found):,} candidates of confidence "
            f"{found.made_with.get('floor', 0):g} and above"
        ]
        if found.unreadable:
            parts.append(f"{len(found.unreadable)} images could not be read and stay without boxes")
        if found.capped:
            parts.append(
                f"{found.capped} images hold more than {found.made_with['cap']:,} and were capped"
            )
        return "; ".join(parts) + "."


def both_weights(
    out: str | os.PathLike, weights: str | os.PathLike = "", tuning_weights: str | os.PathLike = ""
) -> tuple[Path, Path]:
    """Weights for the test images and for tuning, both opened once, so that a wrong file is told
    before any prediction.

    Raises NotebookError for weights that are not there, CheckpointError for damaged ones and those
    of other classes.
    """
    found = find_weights(out, weights), find_weights(out, tuning_weights, TUNING_RUNS)
    for path in dict.fromkeys(found):
        loading.open_backend(path, device="cpu")
    return found


def pass_names(passes: str) -> tuple[str, ...]:
    """ "plain, flip" -> ("plain", "flip"); raises LivestockError for a name that is no pass."""
    names = tuple(name.strip() for name in passes.split(",") if name.strip())
    for name in names:
        parse_pass(name)
    if not names:
        raise NotebookError(
            f"passes must name at least one pass, such as 'plain' or 'plain, flip', got {passes!r}"
        )
    return names


def collect(
    weights: str | os.PathLike,
    images: pd.DataFrame,
    folder: str | os.PathLike,
    name: str,
    out: str | os.PathLike,
    shard: str = "1/1",
    engine: str = "local",
    **options: Any,
) -> Collected:
    """Candidates of images in part files below OUT/predictions; `options` of `collect_candidates`.

    With shard "i/n" this session computes its share, which may be none. Once all shards are done,
    in any session, the whole is given. engine="ray" runs all shards as a Ray job (see
    `ray_engine`); "ray:ADDRESS" on an existing cluster.
    """
    name_of, _, address = engine.partition(":")
    if name_of not in ("local", "ray"):
        raise NotebookError(f"engine must be 'local', 'ray' or 'ray:ADDRESS', got {engine!r}")
    size = options.get("image_size", 640)
    store = Path(out) / "predictions" / f"{name}-{files.sha256(weights)[:8]}-{size}px"
    passes = tuple(options.get("passes", ("plain",)))
    photos = Photos(images, folder=folder)
    if name_of == "ray":
        from livestock_utils.detect.predict import ray_engine

        found = ray_engine.collect_candidates(
            weights, photos, parts_folder=store, address=address or None, **options
        )
    else:
        found = prediction.collect_candidates(
            weights, photos, parts_folder=store, shard=shard, **options
        )
    there, total = prediction.parts_there(store, passes)
    if prediction.missing_parts(store, passes):
        return Collected(found.of_images([]), there, total)
    if name_of == "local" and prediction.parse_shard(shard)[1] > 1:
        found = prediction.gather(store, passes)
    return Collected(found, there, total)


def frames_seen(images: pd.DataFrame, found: Candidates, complete: bool = True) -> pd.DataFrame:
    """The images that were predicted, with the sizes of their decoded frames (0 for what could not
    be read).

    None while the candidates that the notebook needs are not `complete`: then nothing is to be
    shown or scored.
    """
    if not complete:
        return images.iloc[:0]
    sizes = found.images[["image_id", "width_px", "height_px"]]
    return (
        images.drop(columns=["width_px", "height_px"])
        .merge(sizes, on="image_id")
        .reindex(columns=images.columns)
    )


def found_sentence(images: pd.DataFrame, sure: pd.DataFrame, confidence_threshold: float) -> str:
    """How many boxes of at least that confidence the images hold, and how many images hold none."""
    if images.empty:
        return "There are no test images to show yet."
    empty = int((~images["image_id"].isin(sure["image_id"])).sum())
    counts = (
        ", ".join(f"{count:,} {name}" for name, count in sure["species"].value_counts().items())
        or "no animals"
    )
    return (
        f"{counts} on {len(images):,} images at confidence {confidence_threshold:g} and above; "
        f"{text.count(empty, 'image')} {'is' if empty == 1 else 'are'} left without a box."
    )


def submit(
    out: str | os.PathLike,
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    weights: str | os.PathLike,
    complete: bool = True,
) -> str:
    """Write OUT/submission.csv and check it; a sentence on what was done. A share of the images
    writes nothing."""
    if not complete:
        return "No submission is written yet: other shards are still missing."
    path = submissions.write_submission(Path(out) / "submission.csv", predictions, images)
    findings = submissions.validate_submission(path, images, weights=[weights])
    errors, notes = (int((findings["severity"] == kind).sum()) for kind in ("error", "note"))
    listed = "".join(f"; {problem}" for problem in findings["problem"].drop_duplicates().head(3))
    return (
        f"`submission.csv`: {len(predictions):,} boxes on {predictions['image_id'].nunique():,} of "
        f"{len(images):,} images; checked: {text.count(errors, 'error')}, "
        f"{text.count(notes, 'note')}{listed}."
    )


def test_scores(
    data: str | os.PathLike,
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    normaliser: str = "contest",
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The contest's AP75 on DATA/answer.csv with its bootstrap interval, and AP50; no rows where
    there are no answers.

    Index "all" and each class; columns AP75, low, high, AP50. Test images that the answers lack
    cost nothing. Images that were not predicted (another shard's, or the validation fold stands in)
    leave nothing to score either.
    """
    path = Path(data) / "answer.csv"
    answers = submissions.read_table(path) if path.is_file() else pd.DataFrame({"ImageID": []})
    require_columns(answers, ["ImageID"], path, NotebookError)
    known = answers["ImageID"].map(contest.image_stem).isin(images["image_id"])
    if not known.any():
        return pd.DataFrame(
            columns=["AP75", "low", "high", "AP50"], index=pd.Index([], name="class"), dtype=float
        )
    matches = contest_matches(answers[known], predictions, normaliser, images)
    if doubt := normaliser_doubt(answers[known], predictions, normaliser, images):
        log.warning("%s", doubt)
    table = intervals.bootstrap(matches, (0.75,), n_resamples=n_resamples, seed=seed)
    loose = average_precisions(matches, 0.5)
    table = table.rename(columns={"value": "AP75"})
    table["AP50"] = pd.Series({"all": sum(loose.values()) / len(loose), **loose}).reindex(
        table.index
    )
    return table


def metrics(
    choice: tuning_choice.Choice,
    labelled: Collected,
    tested: Collected,
    predictions: pd.DataFrame,
    scores: pd.DataFrame,
    per_class: pd.DataFrame,
) -> dict[str, Any]:
    """The numbers of notebook 11 that metrics.json takes, the scores first; `scores` is from
    `test_scores`.

    `headline` are the few that a reader wants first; `per_class` is `scoring.per_class_table` of
    the labelled images. Of a share of the images there are no numbers, only how many parts are
    there.
    """
    if not (labelled.complete and tested.complete):
        return {"images_to_tune_on": labelled.state, "test_images": tested.state}
    row, found = choice.compared.iloc[0], tested.candidates
    values: dict[str, Any] = {}
    if "all" in scores.index:
        total = scores.loc["all"]
        interval = f"[{total['low']:.4f}, {total['high']:.4f}]"
        values["headline"] = {
            f"test mAP75, 95 % from {total['low']:.3f} to {total['high']:.3f}": total["AP75"],
            "test mAP50": total["AP50"],
        }
        values |= {
            "mAP75": total["AP75"],
            "mAP75_interval": interval,
            "mAP50": total["AP50"],
            "valid_gain_over_write_up": row["gain"],
            "mAP75_low": total["low"],
            "mAP75_high": total["high"],
        }
        values |= {f"mAP75_{name}": value for name, value in scores["AP75"].drop("all").items()}
    else:
        values["headline"] = {f"mAP75 on {choice.tuned_on}": row["value"]}
    return values | {
        "valid_gain_over_write_up": row["gain"],
        "setting": tuning_choice.describe(choice.settings),
        "settings_tried": len(choice.tried),
        "tuned_on": choice.tuned_on,
        "valid_mAP75": row["value"],
        "valid_gain_low": row["gain_low"],
        "valid_gain_high": row["gain_high"],
        "test_images": len(found.images),
        "test_boxes": len(predictions),
        "unreadable": len(found.unreadable),
        "capped": found.capped,
        "per_class_valid": per_class.reset_index(),
    }
