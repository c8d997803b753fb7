"""Tune post-processing on labelled photos, apply the choice to test photos, score it once."""

import dataclasses
import functools
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.archives import HERE
from livestock_utils.core.errors import DatasetError, NotebookError, ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.core.settings import Settings, setting
from livestock_utils.core.tables import read_tables
from livestock_utils.detect.predict import engine, postprocess
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.tune import answers, quality, rescore, steps, sweep
from livestock_utils.detect.tune import choice as choosing
from livestock_utils.detect.tune import front as fronts
from livestock_utils.detect.tune.looking import for_looking
from livestock_utils.detect.tune.steps import Collected
from livestock_utils.evaluate.scoring import counts, metrics, submission

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TuneSettings(Settings):
    """What `tune` can be asked for."""

    error = NotebookError

    weights: str | os.PathLike = setting(
        "", "Predict the test photos; none: of 08, else of 05; with commas: an ensemble."
    )
    tuning_weights: str | os.PathLike = setting(
        "", "A model that has not seen the validation fold, to tune with; none: 05's."
    )
    predictions: str = setting(
        "", "Another detector's predictions of the test photos in place of weights; with commas."
    )
    tuning_predictions: str = setting("", "The same of the photos that choose, in the same order.")
    image_size: int = setting(1280, "Longer side that the network sees.", unit="px", low=32)
    passes: str = setting(
        "plain, x1.2, x1.2-flip",
        "Passes to try, with commas: plain, flip, x1.2 (1.2 times the pixels), x1.2-flip.",
    )
    budget_ms: float = setting(
        0.0, "Most time that the passes of an image may take here; 0: any.", unit="ms", low=0
    )
    backend: str = setting(
        "torch", "What runs the network; onnx is faster without a GPU.", choices=("torch", "onnx")
    )
    engine: str = setting("local", "local, or a cluster: ray, ray:ADDRESS.")
    shard: str = setting("1/1", "Which share of the photos this session predicts, i/n.")
    tune_on: str = setting(
        "validation",
        "Photos that choose; out_of_fold: with 06's fold models.",
        choices=("validation", "out_of_fold"),
    )
    normaliser: str = setting(
        "auto",
        "What the answers were divided by: fixed frames (contest), or each image's size; auto: "
        "contest for AI Hub's photos.",
        choices=("auto", "contest", "image"),
    )
    looking_aim: str = setting(
        "f1", "What the settings to look and count with are best at.", choices=counts.AIMS
    )
    n_random: int = setting(20, "Settings drawn at random, besides the grid.", low=0)
    n_resamples: int = setting(1000, "Draws of images behind an interval.", low=1)
    check_images: int = setting(
        1000, "The choice is checked on at most so many photos that did not choose; 0: not.", low=0
    )
    workers: int = setting(2, "Threads that read photos; 0: none of their own.", low=0)
    seed: int = setting(0, "Of everything drawn.", low=0)


@dataclasses.dataclass(frozen=True)
class Checked:
    """The chosen setting on `photos` that did not choose it (no row: `why` says why not)."""

    table: pd.DataFrame
    photos: int = 0
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Submitted:
    """A submission: its file (None: other shards are missing), and what the check found in it."""

    path: Path | None
    predictions: pd.DataFrame
    images: pd.DataFrame
    findings: pd.DataFrame


@dataclasses.dataclass(frozen=True, eq=False)
class Tuning:
    """A tuning whose parts are computed when first asked for; made by `tune`."""

    asked: TuneSettings
    valid: Photos
    data: Path
    out: Path
    weights: tuple[Path, ...]
    tuning_weights: tuple[Path, ...]
    options: dict[str, Any]

    @functools.cached_property
    def tested(self) -> Collected:
        """Candidates of the test photos, or of the validation fold where there are none, in the
        chosen passes (a share of the photos: in all, as nothing is chosen yet)."""
        photos, lacking = steps.test_photos(self.data, self.valid, self.out)
        if files := self.asked.predictions:
            found = steps.given(photos, files, "test")
            return dataclasses.replace(found, lacking=lacking)
        found = steps.collect_members(self.weights, photos, "test", self.out, **self._chosen_passes)
        return dataclasses.replace(found, lacking=lacking)

    @functools.cached_property
    def labelled(self) -> Collected:
        """Candidates of the photos that choose; their models have not seen them."""
        lacking = ""
        if files := self.asked.tuning_predictions:
            return steps.given(self.valid, files, "validation")
        try:
            if self.asked.tune_on == "out_of_fold" and len(self.weights) == 1:
                return steps.out_of_folds(self.out, self.data, **self.options)
        except DatasetError as error:
            lacking = str(error)
        found = steps.collect_members(
            self.tuning_weights, self.valid, "valid", self.out, **self.options
        )
        return dataclasses.replace(found, name="validation", lacking=lacking)

    @property
    def complete(self) -> bool:
        """Whether all shards are there; until then nothing is chosen, submitted or scored."""
        return self.labelled.complete and self.tested.complete

    @functools.cached_property
    def front(self) -> pd.DataFrame:
        """Sets of passes by their cost, see `front.front`; no rows until all shards are there."""
        found, asked = self.labelled, self.asked
        if not found.complete:
            return pd.DataFrame(columns=["passes", "ms", "ap75", "chosen"])
        names = found.candidates.passes
        ms = dict.fromkeys(names, 1.0)
        if not asked.tuning_predictions:  # what their networks cost is not known here
            known = ("image_size", "backend", "device")
            options = {name: self.options[name] for name in known if name in self.options}
            ms = fronts.milliseconds(self.tuning_weights, found.photos, names, **options)
        how = asked.budget_ms, asked.n_resamples, asked.seed
        return fronts.front(found.candidates, found.photos.boxes, ms, *how)

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes chosen on the labelled photos; all until they are."""
        chosen = self.front.loc[self.front["chosen"].astype(bool), "passes"]
        asked = self.labelled.candidates.passes
        return tuple(chosen.iloc[0].split("+")) if len(chosen) else asked

    @property
    def _chosen_passes(self) -> dict[str, Any]:
        alone = self.options.get("shard", "1/1") == "1/1"
        return self.options | ({"passes": self.passes} if alone else {})

    @functools.cached_property
    def candidates(self) -> Candidates:
        """Candidates of the labelled photos in the chosen passes."""
        return self.labelled.candidates.of_passes(self.passes)

    @functools.cached_property
    def choice(self) -> choosing.Choice:
        """The settings chosen, also in OUT/predictions/settings.yaml, and all that were tried."""
        found, asked = self.labelled, self.asked
        chosen = choosing.choose(
            self.candidates,
            found.photos.boxes,
            n_random=asked.n_random,
            n_resamples=asked.n_resamples,
            seed=asked.seed,
            tuned_on=found.name,
        )
        how = asked.n_resamples, asked.seed
        anew = rescore.rescored(self.candidates, found.photos.boxes, chosen.settings, *how)
        one_pass = None
        alone = self.front.loc[self.front["passes"] == "plain", "settings"].tolist()
        if alone and self.passes != ("plain",):
            plain = found.candidates.of_passes(("plain",))
            one_pass = rescore.rescored(plain, found.photos.boxes, alone[0], *how).settings
        voting = chosen.settings.voting_iou
        looking = for_looking(self.candidates, found.photos.boxes, asked.looking_aim, voting)
        chosen = dataclasses.replace(chosen, settings=anew.settings, looking=looking, rescored=anew)
        choosing.save(self.out, chosen, self.candidates, one_pass)
        return chosen

    @functools.cached_property
    def checked(self) -> Checked:
        """Whether the choice also beats the write-up's setting (paired bootstrap) on at most
        `check_images` photos that did not choose it, each predicted by 06's model that has not seen
        it."""
        is_alone = len(self.weights) == 1 and not self.asked.predictions
        n = self.asked.check_images if is_alone else 0
        nothing = self.choice.compared.iloc[:0].rename_axis("setting").astype(float)
        if self.choice.tried.empty or not self.complete or not n:
            return Checked(
                nothing,
                why="no setting was chosen" if n else "check_images is 0, or no single network",
            )
        try:
            images, _ = read_tables(self.out / "tables")
            used = self.labelled.candidates.images["image_id"]
            others = images.loc[~images["image_id"].isin(used), "image_id"]
            others = others.sample(min(n, len(others)), random_state=self.asked.seed).sort_values()
            if len(others) < 2:
                left = f"{len(others)} labelled images are left that did not choose the setting"
                return Checked(nothing, len(others), left)
            name, options = f"check{len(others)}-fold", self._chosen_passes | {"shard": "1/1"}
            found = steps.out_of_folds(self.out, self.data, others, name, **options)
        except DatasetError as error:
            return Checked(nothing, why=str(error))
        named = {choosing.describe(self.choice.settings): self.choice.settings}
        n, seed = self.asked.n_resamples, self.asked.seed
        table = sweep.compare(found.candidates, found.photos.boxes, named, n_resamples=n, seed=seed)
        return Checked(table, len(others))

    @functools.cached_property
    def found(self) -> pd.DataFrame:
        """Predictions on the labelled photos with the chosen setting."""
        return postprocess.apply(self.candidates, self.choice.settings)

    @functools.cached_property
    def seen(self) -> pd.DataFrame:
        """Boxes on the labelled photos to look at and count, one an animal."""
        return postprocess.apply(self.candidates, self.choice.looking)

    @functools.cached_property
    def photos(self) -> Photos:
        """The test photos with the sizes of their frames; none until all shards are there."""
        photos = self.tested.seen()
        return photos if self.complete else dataclasses.replace(photos, images=photos.images[:0])

    @functools.cached_property
    def predictions(self) -> pd.DataFrame:
        """Predictions on the test photos with the chosen setting."""
        found = self.tested.candidates.of_passes(self.passes)
        return postprocess.apply(found, self.choice.settings, self.photos.images)

    @functools.cached_property
    def seen_on_test(self) -> pd.DataFrame:
        """Boxes on the test photos to look at and count, one an animal."""
        found = self.tested.candidates.of_passes(self.passes)
        return postprocess.apply(found, self.choice.looking, self.photos.images)

    @property
    def quality(self) -> pd.DataFrame:
        """How well each labelled photo's animals were found, from best to worst."""
        photos = self.labelled
        return quality.image_quality(photos.photos.boxes, self.seen, photos.candidates.images)

    @functools.cached_property
    def counts(self) -> pd.DataFrame:
        """Animals of each labelled photo, labelled and counted."""
        photos = self.labelled.seen() if self.labelled.complete else self.labelled.photos
        return counts.counted(photos.boxes, self.seen, photos.images)

    def submit(self) -> Submitted:
        """Write OUT/submission.csv and check it; a share of the photos writes nothing."""
        images = self.photos.images
        if not self.complete:
            return Submitted(None, self.predictions, images, pd.DataFrame())
        path = submission.write_submission(self.out / "submission.csv", self.predictions, images)
        own = () if self.asked.predictions else self.weights
        findings = submission.validate_submission(path, images, weights=own)
        return Submitted(path, self.predictions, images, findings)

    @functools.cached_property
    def scores(self) -> pd.DataFrame:
        """See `answers.test_scores`; ScoringError for the contest's frames of photos that are not
        AI Hub's."""
        images, boxes = self.photos.images, self.photos.boxes
        is_own = len(images) > 0 and set(images.get("archive", [""])) == {HERE}
        if is_own and self.asked.normaliser == "contest":
            raise ScoringError(
                "normaliser 'contest' divides by the frames of AI Hub's contest, and these photos "
                "are not AI Hub's: leave it 'auto', or say 'image'"
            )
        normaliser = self.asked.normaliser
        if normaliser == "auto":
            normaliser = "image" if is_own else "contest"
        how = normaliser, self.asked.n_resamples, self.asked.seed
        own = None if self.tested.lacking or boxes.empty else boxes
        return answers.test_scores(self.data, self.predictions, images, *how, own)

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers for metrics.json; of a share of the photos only how many parts are there."""
        weights = ", ".join(map(steps.named, self.weights))
        last = {"complete": self.complete, "weights": weights}
        if not self.complete:
            states = {"images_to_tune_on": self.labelled.state, "test_images": self.tested.state}
            return states | last
        row, found = self.choice.compared.iloc[0], self.tested.candidates
        values: dict[str, Any] = {}
        if "all" in self.scores.index:
            total = self.scores.loc["all"]
            low, high = total["low"], total["high"]
            values = {
                "headline": {"test mAP75": total["AP75"], "test mAP50": total["AP50"]},
                "mAP75": total["AP75"],
                "mAP75_interval": f"[{low:.4f}, {high:.4f}]",
                "mAP50": total["AP50"],
                "valid_gain_over_write_up": row["gain"],
                "mAP75_low": low,
                "mAP75_high": high,
            }
            values |= {f"mAP75_{n}": ap for n, ap in self.scores["AP75"].drop("all").items()}
        else:
            values["headline"] = {f"mAP75 on {self.choice.tuned_on}": row["value"]}
        per_class = metrics.per_class_table(
            self.labelled.photos.boxes, self.found, self.labelled.candidates.images
        )
        return values | {
            "valid_gain_over_write_up": row["gain"],
            "setting": choosing.describe(self.choice.settings),
            "passes": "+".join(self.passes),
            "count_error": counts.count_table(self.counts, n_resamples=1)["error"].to_dict(),
            "settings_tried": len(self.choice.tried),
            "tuned_on": self.choice.tuned_on,
            "valid_mAP75": row["value"],
            "valid_gain_low": row["gain_low"],
            "valid_gain_high": row["gain_high"],
            "test_images": len(found.images),
            "test_boxes": len(self.predictions),
            "unreadable": len(found.unreadable),
            "capped": found.capped,
            "per_class_valid": per_class.reset_index(),
            **last,
        }


def tune(
    valid: Photos,
    data: str | os.PathLike,
    out: str | os.PathLike,
    settings: TuneSettings | Mapping[str, Any] = TuneSettings(),
    **options: Any,
) -> Tuning:
    """Choose post-processing on labelled photos, and apply the choice to the test photos.

        tuning = lu.tune(valid, "DATA", "runs/main")
        tuning.choice.settings, tuning.scores

    Args:
        valid: labelled photos that the network of `tuning_weights` has not seen.
        data: holds data_test/ with the test archives, and answer.csv where there is one; without
            test archives `valid` is predicted in their place.
        out: results of earlier notebooks, which give the weights by default; takes predictions/
            with raw candidates and settings.yaml, and submission.csv.
        settings: a `TuneSettings`, or a mapping that holds some of its fields.
        options: of `collect_candidates`, besides those of `settings`.

    Returns:
        A `Tuning`: `.choice`, `.checked`, `.predictions` (px), `.scores`, `.submit()`, `.metrics`;
        each computed, and the photos predicted, when first asked for.

    Raises:
        NotebookError: weights that are not there, settings out of range.
        CheckpointError: weights that are damaged or of other classes.
    """
    asked = settings if isinstance(settings, TuneSettings) else TuneSettings.of(settings)
    files = asked.predictions, asked.tuning_predictions
    if any(files) and not all(files):
        raise NotebookError(
            "predictions and tuning_predictions go together: give both detectors' files, or neither"
        )
    weights = (
        ((Path(files[0]),), (Path(files[1]),))
        if all(files)
        else steps.both_weights(out, asked.weights, asked.tuning_weights)
    )
    names = ("image_size", "backend", "workers", "shard")
    options = {
        **{name: getattr(asked, name) for name in names},
        "passes": engine.pass_names(steps.pass_names(asked.passes), len(weights[0])),
        "engine_name": asked.engine,
        **options,
    }
    return Tuning(asked, valid, Path(data), Path(out), *weights, options)
