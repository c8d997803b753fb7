"""The steps of notebook 11: which weights, candidates of validation and test, the choice of settings, the file."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import aihub, contest_tables, files, inference, intervals, matching, postprocess, scoring, sweep
from livestock_utils import submission as submissions
from livestock_utils.candidates import Candidates
from livestock_utils.errors import ArchiveError, NotebookError
from livestock_utils.postprocess import Settings

RUNS = ("full", "multilabel_split")
"""Run folders below OUT/training whose best weights predict the test images, the first that exists (08, 05)."""
TUNING_RUNS = ("multilabel_split",)
"""Runs that have not seen the validation images, so that settings can be tuned on these (05)."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Settings chosen on validation: all that were tried (by falling AP75) and the best ones against the write-up's."""

    settings: Settings
    tried: pd.DataFrame
    compared: pd.DataFrame

    @property
    def sentence(self) -> str:
        """What the choice is worth, in one sentence that tells gain from noise."""
        row = self.compared.iloc[0]
        worth = ("more than the noise of the choice of images" if row["gain_low"] > 0 else
                 "within the noise of the choice of images: the write-up's setting would do as well")
        return (f"Chosen: {describe(self.settings)}. AP75 on validation {row['value']:.4f} "
                f"[{row['low']:.4f}, {row['high']:.4f}], {row['gain']:+.4f} [{row['gain_low']:+.4f}, "
                f"{row['gain_high']:+.4f}] over the write-up's IoU .68, confidence .001: {worth}.")


def find_weights(out: str | os.PathLike, weights: str | os.PathLike = "", runs: Sequence[str] = RUNS) -> Path:
    """The weights to use: as given, else the best of the first of `runs` that exists below OUT/training."""
    if weights:
        if not Path(weights).is_file():
            raise NotebookError(f"weights file not found: {weights}; give the path of a .pt or .onnx that is there")
        return Path(weights)
    for run in runs:
        path = Path(out) / "training" / run / "weights" / "best.pt"
        if path.is_file():
            return path
    raise NotebookError(f"no trained weights below {Path(out) / 'training'} (looked for {', '.join(runs)}); "
                        "run notebook 05 or 08 first, or set the parameter weights")


def test_images(data: str | os.PathLike, valid_images: pd.DataFrame,
                valid_folder: str | os.PathLike) -> tuple[pd.DataFrame, Path, str]:
    """Images to submit, what their paths count from, and a sentence: the test archives, else the validation images."""
    folder = Path(data) / "data_test"
    try:
        images = aihub.read_test_archives(folder) if folder.is_dir() else valid_images.iloc[:0]
    except ArchiveError:
        if any(folder.iterdir()):
            raise
        images = valid_images.iloc[:0]
    if len(images):
        return images, folder, f"{len(images):,} test images from the archives in `{folder.name}/`."
    return valid_images, Path(valid_folder), (
        f"There are no test archives: the {len(valid_images):,} images of the validation fold are predicted instead. "
        "They chose the settings, so their score says nothing about new images.")


def collect(weights: str | os.PathLike, images: pd.DataFrame, folder: str | os.PathLike, name: str,
            out: str | os.PathLike, shard: str = "1/1", engine: str = "local",
            **options: Any) -> tuple[Candidates, bool]:
    """Candidates kept below OUT/predictions, and whether they are of all images; `options` of `collect_candidates`.

    With shard "i/n" this session computes its share. Once all shards are done, in any session, the whole is given;
    until then the share alone and False. engine="ray" runs all shards as a Ray job (see `ray_engine`); "ray:ADDRESS"
    on an existing cluster.
    """
    name_of, _, address = engine.partition(":")
    if name_of not in ("local", "ray"):
        raise NotebookError(f"engine must be 'local', 'ray' or 'ray:ADDRESS', got {engine!r}")
    size = options.get("image_size", 640)
    store = Path(out) / "predictions" / f"{name}-{files.sha256(weights)[:8]}-{size}px"
    if name_of == "ray":
        from livestock_utils import ray_engine

        return ray_engine.collect_candidates(weights, images, folder, parts_folder=store, address=address or None,
                                             **options), True
    found = inference.collect_candidates(weights, images, folder, parts_folder=store, shard=shard, **options)
    passes = tuple(options.get("passes", ("plain",)))
    if inference.parse_shard(shard)[1] == 1:
        return found, True
    if inference.missing_parts(store, passes):
        return found, False
    return inference.gather(store, passes), True


def choose(candidates: Candidates, boxes: pd.DataFrame, shown: int = 5, n_random: int = 0, n_resamples: int = 1000,
           seed: int = 0) -> Choice:
    """Tune on labelled images: a grid of hard NMS, then variants of its best (one threshold a class, soft-NMS, ...).

    `n_random` more settings are drawn by `seed`. The `shown` best, the chosen one first, are compared with the
    write-up's setting on the same resampled images. Only labels of images in `candidates` count.
    """
    boxes = boxes[boxes["image_id"].isin(candidates.images["image_id"])]
    first = sweep.evaluate(candidates, boxes)
    top = sweep.best(first)
    variants = [
        sweep.best_per_class(first),
        dataclasses.replace(top, class_agnostic=True),
        dataclasses.replace(top, multi_label=False),
        *sweep.grid(Settings(method="soft_nms_linear"), iou_threshold=[0.5, 0.6, 0.7]),
        *sweep.grid(Settings(method="soft_nms_gaussian"), sigma=[0.1, 0.3, 0.5]),
    ]
    if len(candidates.passes) > 1:
        variants += sweep.grid(Settings(method="fusion", fusion_nms=top_number(top)), iou_threshold=[0.55, 0.65, 0.75],
                               confidence_threshold=[0.001, 0.01], fusion_confidence=["avg", "max"])
        variants.append(dataclasses.replace(top, passes=candidates.passes[:1]))
    variants += sweep.random_settings(n_random, top, seed, iou_threshold=(0.4, 0.9), confidence_threshold=(5e-4, 0.1),
                                      method=["nms", "soft_nms_linear", "soft_nms_gaussian"], sigma=(0.05, 0.6))
    tried = pd.concat([first, sweep.evaluate(candidates, boxes, variants)], ignore_index=True)
    order = tried.assign(score=-tried["ap75"].round(9)).sort_values(["score", "detections_per_image"], kind="stable")
    tried = order.drop(columns="score").reset_index(drop=True)
    named = {describe(setting): setting for setting in distinct(tried)["settings"].head(shown)}
    compared = sweep.compare(candidates, boxes, named, n_resamples=n_resamples, seed=seed)
    return Choice(tried["settings"].iloc[0], tried, compared)


def distinct(tried: pd.DataFrame) -> pd.DataFrame:
    """The first of settings that score the same to 1e-6: of a row of confidences below which nothing changes, one."""
    return tried[~tried["ap75"].round(6).duplicated()]


def top_number(setting: Settings) -> float:
    """The IoU threshold of a setting that has one number for all classes."""
    return setting.iou_threshold if isinstance(setting.iou_threshold, float) else min(setting.iou_threshold.values())


def describe(setting: Settings) -> str:
    """A setting in a few words: "NMS, IoU 0.68, confidence 0.001"."""
    def number(value: float | dict[str, float]) -> str:
        if isinstance(value, dict):
            return " / ".join(f"{name} {one:g}" for name, one in value.items())
        return f"{value:g}"

    name = {"nms": "NMS", "soft_nms_linear": "linear soft-NMS", "soft_nms_gaussian": "gaussian soft-NMS",
            "fusion": "fusion"}[setting.method]
    parts = [name]
    if setting.method == "soft_nms_gaussian":
        parts.append(f"sigma {setting.sigma:g}")
    else:
        parts.append(f"IoU {number(setting.iou_threshold)}")
    parts.append(f"confidence {number(setting.confidence_threshold)}")
    if setting.method == "fusion":
        parts.append(f"{setting.fusion_confidence} confidence")
    parts += ["class-agnostic"] * setting.class_agnostic + ["best class only"] * (not setting.multi_label)
    if setting.passes is not None:
        parts.append("+".join(setting.passes))
    return ", ".join(parts)


def tried_table(choice: Choice, n: int = 10) -> pd.DataFrame:
    """The `n` best settings tried and the write-up's, in words, with AP75 by class and boxes an image.

    Of settings that score the same only the one with the fewest boxes is listed.
    """
    rows = distinct(choice.tried).head(n)
    write_up = choice.tried[[setting == sweep.WRITE_UP for setting in choice.tried["settings"]]]
    shown = pd.concat([rows, write_up[~write_up.index.isin(rows.index)]])
    table = shown.drop(columns="settings")
    table.insert(0, "rank", shown.index + 1)
    table.insert(1, "setting", [describe(setting) + (" (write-up)" if setting == sweep.WRITE_UP else "")
                                for setting in shown["settings"]])
    return table.reset_index(drop=True)


def image_quality(boxes: pd.DataFrame, predictions: pd.DataFrame, images: pd.DataFrame,
                  confidence_threshold: float = 0.25, iou_threshold: float = 0.75) -> pd.DataFrame:
    """How well each image's animals were found: image_id, labels, found, false_alarms, f1; from best to worst.

    Counts predictions from `confidence_threshold` up; images with neither labels nor predictions are left out.
    """
    sure = predictions[predictions["confidence"] >= confidence_threshold]
    matches = matching.match_best(scoring.table_sides(boxes, sure, images, "coco"))
    n = len(matches.image_ids)
    table = pd.DataFrame({"image_id": matches.image_ids, "labels": matches.n_answers.sum(axis=0)})
    is_hit = matching.hits(matches, iou_threshold)
    counts = pd.Series(matches.detection_image)
    table["found"] = counts[is_hit].value_counts().reindex(range(n), fill_value=0).to_numpy()
    table["false_alarms"] = counts[~is_hit].value_counts().reindex(range(n), fill_value=0).to_numpy()
    table = table[table["labels"] + table["false_alarms"] > 0]
    table["f1"] = 2 * table["found"] / (table["labels"] + table["found"] + table["false_alarms"])
    return table.sort_values(["f1", "labels", "image_id"], ascending=[False, False, True]).reset_index(drop=True)


def best_median_worst(quality: pd.DataFrame) -> list[str]:
    """Ids of the best, the median and the worst image of `image_quality`, without repeats."""
    places = [0, len(quality) // 2, len(quality) - 1] if len(quality) else []
    return list(dict.fromkeys(quality["image_id"].iloc[place] for place in places))


def submit(out: str | os.PathLike, predictions: pd.DataFrame, images: pd.DataFrame, weights: str | os.PathLike,
           complete: bool) -> str:
    """Write OUT/submission.csv and check it; a sentence on what was done. Nothing is written from one shard alone."""
    if not complete:
        return ("Other shards are still missing, so no submission is written yet: run them, then this notebook once "
                "more, with any of the shards.")
    path = submissions.write_submission(Path(out) / "submission.csv", predictions, images)
    findings = submissions.validate(path, images, weights=[weights])
    errors, notes = (int((findings["severity"] == kind).sum()) for kind in ("error", "note"))
    listed = "".join(f"; {problem}" for problem in findings["problem"].drop_duplicates().head(3))
    return (f"`submission.csv`: {len(predictions):,} boxes on {predictions['image_id'].nunique():,} of {len(images):,} "
            f"images; checked: {errors} errors, {notes} notes{listed}.")


def test_scores(data: str | os.PathLike, predictions: pd.DataFrame, images: pd.DataFrame,
                normaliser: str = "contest", n_resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The contest's AP75 on DATA/answer.csv with its bootstrap interval, and AP50; no rows where there are no answers.

    Index "all" and each class; columns AP75, low, high, AP50. Test images that the answers lack cost nothing. Images
    that were not predicted (another shard's, or the validation fold stands in) leave nothing to score either.
    """
    path = Path(data) / "answer.csv"
    answers = submissions.read_table(path) if path.is_file() else pd.DataFrame({"ImageID": []})
    if "ImageID" not in answers:
        raise NotebookError(f"{path} has no column ImageID: expected {', '.join(contest_tables.ANSWER_COLUMNS)}, got "
                            f"{', '.join(map(str, answers.columns))}")
    known = answers["ImageID"].map(contest_tables.image_stem).isin(images["image_id"])
    if not known.any():
        return pd.DataFrame(columns=["AP75", "low", "high", "AP50"], index=pd.Index([], name="class"), dtype=float)
    matches = scoring.contest_matches(answers[known], predictions, normaliser, images)
    table = intervals.bootstrap(matches, (0.75,), n_resamples=n_resamples, seed=seed)
    loose = scoring.average_precisions(matches, 0.5)
    table = table.rename(columns={"value": "AP75"})
    table["AP50"] = pd.Series({"all": sum(loose.values()) / len(loose), **loose}).reindex(table.index)
    return table


def save(out: str | os.PathLike, choice: Choice, candidates: Candidates, complete: bool) -> Path:
    """Write the chosen settings to OUT/predictions/settings.yaml with how they were chosen; returns the path."""
    row = choice.compared.iloc[0]
    return postprocess.save_settings(
        Path(out) / "predictions" / "settings.yaml", choice.settings, objective="contest AP75 on validation",
        images=len(candidates.images), all_images=complete, settings_tried=len(choice.tried),
        **{key: round(float(row[key]), 6) for key in ("value", "low", "high", "gain", "gain_low", "gain_high")},
        reference="IoU 0.68, confidence 0.001", weights_sha256=candidates.made_with.get("weights"),
        image_size=candidates.made_with.get("image_size"))


def metrics(choice: Choice, found: Candidates, predictions: pd.DataFrame, scores: pd.DataFrame) -> dict[str, Any]:
    """The numbers of notebook 11 that metrics.json takes; `scores` is from `test_scores`."""
    row = choice.compared.iloc[0]
    values = {"setting": describe(choice.settings), "settings_tried": len(choice.tried), "valid_mAP75": row["value"],
              "valid_gain_over_write_up": row["gain"], "valid_gain_low": row["gain_low"],
              "valid_gain_high": row["gain_high"], "test_images": len(found.images), "test_boxes": len(predictions),
              "unreadable": len(found.unreadable), "capped": found.capped}
    if "all" in scores.index:
        values |= {"mAP75": scores.loc["all", "AP75"], "mAP75_low": scores.loc["all", "low"],
                   "mAP75_high": scores.loc["all", "high"], "mAP50": scores.loc["all", "AP50"]}
        values |= {f"mAP75_{name}": value for name, value in scores["AP75"].drop("all").items()}
    return values


def collected_sentence(found: Candidates, complete: bool) -> str:
    """How many images and candidates there are, and what was left out."""
    parts = [f"{len(found.images):,} images, {len(found):,} candidates of confidence "
             f"{found.made_with.get('floor', 0):g} and above"]
    if found.unreadable:
        parts.append(f"{len(found.unreadable)} images could not be read and stay without boxes")
    if found.capped:
        parts.append(f"{found.capped} images hold more than {found.made_with['cap']:,} and were capped")
    if not complete:
        parts.append("this is one shard: others are still to be run, and what follows shows this share alone")
    return "; ".join(parts) + "."
