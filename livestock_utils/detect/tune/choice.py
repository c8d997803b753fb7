"""The choice of post-processing settings: what is tried, how it is named, what is kept of it."""

import dataclasses
import os
from pathlib import Path

import pandas as pd

from livestock_utils.detect.predict import postprocess
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.detect.tune import sweep
from livestock_utils.detect.tune.rescore import Rescored

_LIMITS = [100, 300, 1000]
"""Boxes an image at most, tried: the contest has no limit of its own, 300 is yolov5's."""
_WRITE_UP = "NMS, IoU 0.68, confidence 0.001"
"""`describe` of the write-up's setting."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Chosen settings, all that were tried, and the best against the write-up's. Without images to
    tune on, the tables are empty and the settings the write-up's."""

    settings: PostprocessSettings
    tried: pd.DataFrame
    compared: pd.DataFrame
    tuned_on: str = "validation"
    looking: PostprocessSettings = postprocess.LOOKING
    rescored: Rescored | None = None


def choose(
    candidates: Candidates,
    boxes: pd.DataFrame,
    shown: int = 5,
    n_random: int = 20,
    n_resamples: int = 1000,
    seed: int = 0,
    tuned_on: str = "validation",
) -> Choice:
    """Tune on labelled images: a grid of hard NMS, then variants of its best and `n_random` more.
    The `shown` best, the chosen one first, are compared with the write-up's setting on the same
    resampled images."""
    if candidates.images.empty:
        tried = pd.DataFrame(columns=["settings", "ap75", "detections_per_image"])
        columns = ["value", "low", "high", "gain", "gain_low", "gain_high", "better"]
        return Choice(sweep.WRITE_UP, tried, pd.DataFrame(columns=columns), tuned_on)
    boxes = boxes[boxes["image_id"].isin(candidates.images["image_id"])]
    first = sweep.evaluate(candidates, boxes)
    top = sweep.best(first)
    others = [*_variants(candidates, first, top), *random_settings(candidates, n_random, top, seed)]
    more = sweep.evaluate(candidates, boxes, others)
    # From what was just tried: one threshold a class.
    soft = sweep.best_per_class(more, method="soft_nms_linear")
    tried = pd.concat([first, more, sweep.evaluate(candidates, boxes, [soft])], ignore_index=True)
    kept = [one for one in sweep.ranked(tried)["settings"] if one.method != "fusion"]
    ends = [sweep.WRITE_UP, *kept[:1], *[one for one in kept if one.method == "nms"][:1]]
    voted = [one for end in ends for one in sweep.grid(end, voting_iou=[0.6, 0.7, 0.8])]
    tried = pd.concat([tried, sweep.evaluate(candidates, boxes, voted)], ignore_index=True)
    tried = sweep.ranked(tried).reset_index(drop=True)
    named = {describe(setting): setting for setting in _distinct(tried)["settings"].head(shown)}
    compared = sweep.compare(candidates, boxes, named, n_resamples=n_resamples, seed=seed)
    return Choice(tried["settings"].iloc[0], tried, compared, tuned_on)


def random_settings(
    candidates: Candidates, n: int, base: PostprocessSettings, seed: int = 0
) -> list[PostprocessSettings]:
    """`n` settings drawn by `seed`, a third of them fusion where there are several passes."""
    several = len(candidates.passes) > 1
    n_fusion = n // 3 if several else 0
    common = {
        "iou_threshold": (0.4, 0.9),
        "confidence_threshold": (5e-4, 0.1),
        "max_detections": _LIMITS,
        "multi_label": [True, False],
    }
    suppressed = sweep.random_settings(
        n - n_fusion,
        base,
        seed,
        method=["nms", "soft_nms_linear", "soft_nms_gaussian"],
        sigma=(0.05, 0.6),
        class_agnostic=[False, True],
        passes=[None, candidates.passes[:1]] if several else [None],
        **common,
    )
    return suppressed + sweep.random_settings(
        n_fusion,
        base,
        seed + 1,
        method=["fusion"],
        fusion_confidence=["avg", "max"],
        fusion_nms=[None, 0.5, 0.7, 0.9],
        **common,
    )


def _variants(
    candidates: Candidates, first: pd.DataFrame, top: PostprocessSettings
) -> list[PostprocessSettings]:
    """What else to try once the best hard NMS is known."""
    confidences = [0.001, 0.01]
    variants = [
        sweep.best_per_class(first),
        dataclasses.replace(top, class_agnostic=True),
        dataclasses.replace(top, multi_label=False),
        *sweep.grid(top, max_detections=[n for n in _LIMITS if n != top.max_detections]),
        *sweep.grid(PostprocessSettings(method="diou_nms"), iou_threshold=[0.45, 0.55, 0.65]),
        *sweep.grid(
            PostprocessSettings(method="soft_nms_linear"),
            iou_threshold=[0.4, 0.5, 0.6, 0.7],
            confidence_threshold=confidences,
        ),
        *sweep.grid(
            PostprocessSettings(method="soft_nms_gaussian"),
            sigma=[0.1, 0.3, 0.5],
            confidence_threshold=confidences,
        ),
    ]
    if len(candidates.passes) > 1:
        variants += sweep.grid(
            PostprocessSettings.from_dict({"method": "fusion", "fusion_nms": top.iou_threshold}),
            iou_threshold=[0.55, 0.65, 0.75],
            confidence_threshold=confidences,
            fusion_confidence=["avg", "max"],
        )
        variants.append(dataclasses.replace(top, passes=candidates.passes[:1]))
    return variants


def _distinct(tried: pd.DataFrame) -> pd.DataFrame:
    """The first of settings that score the same to 1e-6."""
    return tried[~tried["ap75"].round(6).duplicated()]


def describe(setting: PostprocessSettings) -> str:
    """A setting in a few words: "NMS, IoU 0.68, confidence 0.001"."""

    def number(value: float | dict[str, float]) -> str:
        if isinstance(value, dict):
            return " / ".join(f"{name} {one:g}" for name, one in value.items())
        return f"{value:g}"

    name = {
        "nms": "NMS",
        "diou_nms": "DIoU-NMS",
        "soft_nms_linear": "linear soft-NMS",
        "soft_nms_gaussian": "gaussian soft-NMS",
        "fusion": "fusion",
    }[setting.method]
    is_gaussian, is_fusion = (setting.method == m for m in ("soft_nms_gaussian", "fusion"))
    parts = {
        name: True,
        f"sigma {setting.sigma:g}": is_gaussian,
        f"IoU {number(setting.iou_threshold)}": not is_gaussian,
        f"confidence {number(setting.confidence_threshold)}": True,
        f"{setting.fusion_confidence} confidence": is_fusion,
        f"NMS {setting.fusion_nms or 0:g} first": is_fusion and setting.fusion_nms is not None,
        f"voting {setting.voting_iou or 0:g}": setting.voting_iou is not None,
        "re-scored": setting.rescorer is not None,
        "by confidence": setting.voting_weight == "confidence",
        f"at most {setting.max_detections:,} boxes": (
            setting.max_detections != sweep.WRITE_UP.max_detections
        ),
        "class-agnostic": setting.class_agnostic,
        "best class only": not setting.multi_label,
        "+".join(setting.passes or ()): setting.passes is not None,
    }
    return ", ".join(part for part, is_told in parts.items() if is_told)


def good_band(choice: Choice, within: float = 0.005) -> dict[str, float]:
    """How wide the best part of the grid is: how many `settings` (of `of`) are `within` so much
    AP75 of the best, and the low and high end of both thresholds; nothing where nothing was
    tried."""
    grid = {repr(setting) for setting in sweep.grid()}
    rows = choice.tried[[repr(setting) in grid for setting in choice.tried["settings"]]]
    if rows.empty:
        return {}
    best = float(rows["ap75"].max())
    near = rows.loc[rows["ap75"] >= best - within, "settings"]
    band = {"settings": len(near), "of": len(rows), "ap75": best, "within": within}
    for name in ("iou_threshold", "confidence_threshold"):
        values = [getattr(setting, name) for setting in near]
        band |= {f"{name}_low": min(values), f"{name}_high": max(values)}
    return band


def tried_table(choice: Choice, n: int = 10) -> pd.DataFrame:
    """The `n` best settings tried and the write-up's, in words, with AP75 by class; of those that
    score the same only the one with the fewest boxes."""
    rows = _distinct(choice.tried).head(n)
    write_up = choice.tried[[setting == sweep.WRITE_UP for setting in choice.tried["settings"]]]
    shown = pd.concat([rows, write_up.drop(rows.index, errors="ignore")])
    table = shown.drop(columns="settings")
    table["detections_per_image"] = table["detections_per_image"].round().astype(int)
    table.insert(0, "rank", shown.index + 1)
    names = [describe(setting) for setting in shown["settings"]]
    table.insert(1, "setting", [f"{n} (write-up)" if n == _WRITE_UP else n for n in names])
    return table.reset_index(drop=True)


def save(
    out: str | os.PathLike,
    choice: Choice,
    candidates: Candidates,
    one_pass: PostprocessSettings | None = None,
) -> Path | None:
    """Write the chosen settings, if any, to OUT/predictions/settings.yaml, with all that a later
    prediction needs, also passes by name and the image size; `one_pass`: None where that is the
    choice."""
    if choice.compared.empty:
        return None
    settings, looking = (
        dataclasses.replace(one, passes=one.passes or candidates.passes)
        for one in (choice.settings, choice.looking)
    )
    return postprocess.save_settings(
        Path(out) / "predictions" / "settings.yaml",
        settings,
        looking,
        one_pass,
        objective=f"contest AP75 on {choice.tuned_on}",
        images=len(candidates.images),
        settings_tried=len(choice.tried),
        **{str(k): round(float(v), 6) for k, v in choice.compared.iloc[0].drop("better").items()},
        reference="IoU 0.68, confidence 0.001",
        weights_sha256=candidates.made_with.get("weights"),
        image_size=candidates.made_with.get("image_size"),
    )
