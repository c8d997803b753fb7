"""From weights to a bundle for a device: exports compared with the weights, timed, packed."""

import dataclasses
import functools
import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core.errors import NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.core.settings import Settings, setting
from livestock_utils.detect.export import bundle, card, cost, formats, parity
from livestock_utils.detect.export import lighter as lighter_networks
from livestock_utils.detect.predict import postprocess
from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.tune import steps
from livestock_utils.evaluate.compare import runs

log = logging.getLogger(__name__)

_KINDS = "onnx,onnx-static,onnx-nms,onnx-fp16,onnx-int8,onnx-int8-trt,torchscript"


@dataclasses.dataclass(frozen=True)
class ExportSettings(Settings):
    """What `export` can be asked for."""

    error = NotebookError

    weights: str | os.PathLike = setting("", "What to export; none: the best of 08, else of 05.")
    name: str = setting("livestock", "Of the bundle, OUT/dist/edge_NAME.zip.")
    pixel_sizes: str = setting("1280,960,640", "Longer sides that the network sees.", unit="px")
    exports: str = setting(_KINDS, "Formats with commas.")
    max_latency_ms: float = setting(100.0, "Budget from letterbox to boxes.", unit="ms", low=0)
    max_size_mb: float = setting(100.0, "Budget of a model file, 10^6 bytes.", unit="MB", low=0)
    n_calibration: int = setting(64, "Training photos that INT8 ranges are measured on.", low=1)
    n_images: int = setting(200, "At most so many validation photos compare exports.", low=1)
    rounds: int = setting(30, "Timed runs of each network.", low=1)
    threads: int = setting(0, "Threads of a network; 0: all cores.", low=0)
    confidence_shown: float = setting(0.25, "Detections count as equal from here.", low=0, high=1)
    lighter: bool = setting(False, "Also train pruned, decomposed and taught networks.")
    lighter_epochs: int = setting(10, "Epochs of each of these.", low=1)
    prune_share: float = setting(0.3, "Share of the channels that pruning removes.", low=0, high=1)
    tucker_share: float = setting(0.5, "Share of the ranks that decomposing keeps.", low=0, high=1)
    teacher: str | os.PathLike = setting("", "CSV of predictions, or weights; with commas several.")
    seed: int = setting(0, "Of the photos drawn and the trainings.", low=0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """`pixel_sizes` as numbers."""
        return tuple(int(size) for size in str(self.pixel_sizes).split(","))


@dataclasses.dataclass(frozen=True, eq=False)
class Exports:
    """Exports whose parts are made when first asked for; from `export`."""

    asked: ExportSettings
    train: Photos
    valid: Photos
    out: Path
    weights: Path
    size_mb: float
    training: TrainSettings

    @functools.cached_property
    def thresholds(self) -> tuple[PostprocessSettings, PostprocessSettings, str]:
        """The runner's settings, those of suppression inside a network, and a sentence on both."""
        settings, which = bundle.runner_settings(self.out / "predictions" / "settings.yaml")
        inside, addition = parity.hard_settings(
            settings, self.weights, self.valid, max(self.asked.sizes)
        )
        return settings, inside, f"{which} {addition}"

    @property
    def about(self) -> str:
        """Which weights, how large, and the thresholds that all exports share."""
        size = f"{self.size_mb:.1f} MB of {self.asked.max_size_mb:g} MB (10^6 bytes)"
        return f"`{steps.named(self.weights)}`: {size}. {self.thresholds[2]}"

    @functools.cached_property
    def files(self) -> pd.DataFrame:
        """What was made: export, image_size, path, note; with TensorRT's commands beside them."""
        asked, sets = self.asked, (self.train, self.valid, self.thresholds[1])
        kinds, chosen = asked.exports.split(","), (asked.n_calibration, asked.seed)
        made = formats.export_all(
            self.weights, self.out / "edge", kinds, asked.sizes, *sets, *chosen
        )
        made.attrs["commands"] = [path.name for path in bundle.write_commands(made)]
        return made

    @functools.cached_property
    def scored(self) -> pd.DataFrame:
        """Every export against the weights at the same pixels, see `parity.parity_table`."""
        shown, seed = self.asked.confidence_shown, self.asked.seed
        return parity.parity_table(self.files, self.valid, *self.thresholds[:2], shown, seed)

    @functools.cached_property
    def measured(self) -> pd.DataFrame:
        """`scored` with size, arithmetic, latency and memory; also in OUT/edge/cost.csv."""
        asked, (settings, inside, _) = self.asked, self.thresholds
        megabytes, threads, rounds = asked.max_size_mb, asked.threads or None, asked.rounds
        table = cost.cost_table(
            self.scored, self.valid, settings, inside, megabytes, threads, rounds
        )
        table.drop(columns="path").to_csv(self.out / "edge" / "cost.csv", index=False)
        return table

    @functools.cached_property
    def recommended(self) -> tuple[Any, str]:
        """The row to deploy (None where nothing fits), and why."""
        return parity.recommend(self.measured, self.asked.max_latency_ms, self.asked.max_size_mb)

    @functools.cached_property
    def bundle(self) -> tuple[Path, float, str]:
        """The bundle, the share of boxes that it finds like the library, and a sentence on both."""
        settings, inside, _ = self.thresholds
        file, size, reason = bundle.choose(
            self.measured, self.recommended[0], self.asked.max_size_mb
        )
        suppression = inside if formats.read_about(file).get("nms") else settings
        notes = cost.notes(self.measured, file, size)
        chosen = self.out / "predictions" / "settings.yaml"
        looking = postprocess.LOOKING
        if chosen.is_file():
            # A device makes one pass, and a file of a fixed shape can make no other.
            looking = postprocess.load_settings(chosen, "looking")
            looking = dataclasses.replace(looking, passes=None)
        text = card.write(self.weights, file, size, self.valid, suppression, looking)
        path = bundle.write_bundle(
            self.out, self.asked.name, file, size, suppression, notes, looking, text
        )
        same, proof = bundle.verify(path, self.valid, file)
        with zipfile.ZipFile(path) as packed:
            packed.extractall(path.parent)
        megabytes = path.stat().st_size / 1e6
        sentence = (
            f"`dist/{path.name}`, {megabytes:.1f} MB. {reason} {proof} It lies unpacked beside the "
            f"zip: [the page that finds animals in a browser](../dist/{path.stem}/web/index.html) "
            f"works after `python run.py web-runtime` (once) and `serve` in `dist/{path.stem}`."
        )
        return path, same["equal_share"], sentence

    @functools.cached_property
    def lighter(self) -> pd.DataFrame:
        """Pruned, decomposed and taught networks after equal epochs; no rows unless asked for."""
        if not self.asked.lighter:
            return pd.DataFrame(columns=lighter_networks.COLUMNS)
        names = "model hyp batch_size nominal_batch warmup_min_iterations workers".split()
        training = TrainSettings(
            epochs=self.asked.lighter_epochs,
            image_size=max(self.asked.sizes),
            seed=self.asked.seed,
            **{name: getattr(self.training, name) for name in names},
        )
        return lighter_networks.study(
            self.weights,
            self.train,
            self.valid,
            self.out / "edge" / "lighter",
            training,
            prune_share=self.asked.prune_share,
            tucker_share=self.asked.tucker_share,
            teacher=self.asked.teacher,
            settings=self.thresholds[0],
            threads=self.asked.threads or None,
            rounds=self.asked.rounds,
        )

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers that metrics.json takes."""
        row = self.recommended[0]
        return {
            "headline": cost.headline(self.measured, row),
            "weights_mb": self.size_mb,
            "weights": steps.named(self.weights),
            "images": len(self.valid),
            "recommended": None if row is None else row["export"],
            "recommended_image_size": None if row is None else row["image_size"],
            "exports": len(self.files) - len(self.asked.sizes),
            "red": int(self.measured["red"].sum()),
            "max_size_mb": self.asked.max_size_mb,
            "max_latency_ms": self.asked.max_latency_ms,
            "bundle_equal_share": self.bundle[1],
            "bundle": self.bundle[0].name,
            "table": self.measured.drop(columns=["path", "note"]),
            "lighter": self.lighter,
        }


def export(
    train: Photos,
    valid: Photos,
    out: str | os.PathLike,
    settings: ExportSettings = ExportSettings(),
    training: TrainSettings = TrainSettings(),
) -> Exports:
    """Exports of trained weights, each held to the weights and timed, and a bundle of the best.

        exports = lu.export(train, valid, "runs/main", lu.ExportSettings(pixel_sizes="640"))
        exports.measured[["export", "AP75", "whole_ms"]]

    Args:
        train: photos of a set folder that INT8 is calibrated on, never those that judge.
        valid: photos of a set folder that judge; `settings.n_images` of them are drawn.
        out: the out folder: weights in training/, files go to edge/ and dist/.
        settings: formats, sizes, budgets, see `ExportSettings`.
        training: how lighter networks are trained, where asked for.

    Returns:
        The exports: `.files`, `.scored`, `.measured`, `.recommended`, `.bundle`, `.lighter`, each
        made when first asked for.

    Raises:
        CheckpointError: for weights over the budget, with the name of a model that fits.
        NotebookError: for settings that cannot be, and weights that are not there.
    """
    weights, *more = steps.find_weights(Path(out), str(settings.weights))
    if more:
        raise NotebookError(f"one network is exported, got {1 + len(more)} weights; give one")
    size_mb = formats.check_budget(weights, settings.max_size_mb)
    if known := runs.trained_ids(weights.parent.parent):
        ids = valid.images["image_id"]
        unseen = valid.select(ids[~ids.isin(known)])
        if not len(unseen):
            raise NotebookError(
                f"all {len(valid)} photos to judge on were in {weights}'s training: give others"
            )
        if n := len(valid) - len(unseen):
            told = "%d of %d photos to judge on were in the training of these weights: left out"
            log.warning(told, n, len(valid))
        valid = unseen
    if len(valid) > settings.n_images:
        drawn = valid.images.sample(settings.n_images, random_state=settings.seed)
        images = drawn.sort_values("image_id", ignore_index=True)
        valid = dataclasses.replace(valid, images=images).with_boxes(valid.boxes)
    return Exports(settings, train, valid, Path(out), weights, size_mb, training)
