"""The model card of a bundle: what it was trained on, how good it is, where it fails."""

import os
from typing import Any

import pandas as pd

from livestock_utils.core.errors import CheckpointError
from livestock_utils.core.photos import Photos
from livestock_utils.detect import checkpoints
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings
from livestock_utils.evaluate.errors import breakdowns, types
from livestock_utils.evaluate.scoring import counts, intervals, matching, metrics

_SHOWN = 4
_LEAST = 20
"""Labels of a group below which its share says little."""


def write(
    weights: str | os.PathLike,
    model: str | os.PathLike,
    image_size: int,
    valid: Photos,
    settings: Settings,
    looking: Settings,
) -> str:
    """Markdown on training, scores with intervals, counts and weak groups of an exported `model`,
    as measured on the labelled `valid`."""
    parts = [f"## Trained on\n\n{_training(weights)}"]
    if len(valid) < 2 or valid.boxes.empty:
        return "\n\n".join([*parts, "## Scores\n\nNo labelled photos judged it."])
    options: dict[str, Any] = {"image_size": image_size, "batch_size": 1}
    found = engine.predict(model, valid, settings=settings, **options)
    matches = matching.match_best(metrics.table_sides(valid.boxes, found, valid.images))
    scores = [
        f"| {name} | {row['value']:.3f} | {row['low']:.3f} to {row['high']:.3f} |"
        for name, row in intervals.bootstrap(matches).iterrows()
    ]
    heading = "## Scores"
    table = ["| AP75 | value | 95 % interval |", "|---|---|---|", *scores]
    parts += [heading, f"On {len(valid)} validation photos:", "\n".join(table)]
    seen = engine.predict(model, valid, settings=looking, **options)
    counted = counts.count_table(counts.counted(valid.boxes, seen, valid.images))
    parts += ["Counts (one box per animal, `--look`), off by so many animals per photo:"]
    parts += [
        "\n".join(
            f"- {name}: {row['error']:.2f} ({row['error_low']:.2f} to {row['error_high']:.2f}), "
            f"mean {row['bias']:+.2f}, exact in {row['right']:.0%} of {row['images']:.0f}"
            for name, row in counted.iterrows()
        )
    ]
    return "\n\n".join([*parts, "## Where it fails", _weakest(valid, seen)])


def _training(weights: str | os.PathLike) -> str:
    """What the training that wrote the weights noted in them: other sets may lie beside it."""
    try:
        noted = checkpoints.read_weights(weights).notes.get("trained_on", {})
    except CheckpointError:  # not a .pt file
        noted = {}
    if "photos" not in noted:
        return "These weights do not say on what."
    boxes = ", ".join(f"{number} of {name}" for name, number in noted.get("boxes", {}).items())
    told = (
        f"{noted['photos']} photos with {boxes} boxes." if boxes else f"{noted['photos']} photos."
    )
    if noted.get("drawn"):
        told += "\n\n**Drawn scenes only: expect little of it on photos of a real barn.**"
    return told


def _weakest(valid: Photos, seen: pd.DataFrame) -> str:
    """A line for each grouping whose weakest group of labels is found least, the widest first."""
    _, labels = types.classify(valid.boxes, seen, 0.5)
    groups = breakdowns.attributes(labels, valid.images)
    shares = breakdowns.breakdown(groups, breakdowns.label_states(labels))
    gaps = breakdowns.gaps(shares, "found", _LEAST).head(_SHOWN)
    lines = []
    for row in gaps[gaps["gap"] > 0].to_dict("records"):
        weak, strong = (
            f"{row[end]} {row[f'{end}_share']:.0%} (of {row[f'{end}_n']:.0f})"
            for end in ("weakest", "strongest")
        )
        lines.append(f"- by {breakdowns.GROUPINGS[row['grouping']]}: {weak}, {strong}")
    words = "Labels that a sure box overlaps by half, where groups differ most:\n\n"
    return words + "\n".join(lines) if lines else f"No group of {_LEAST} labels stands out."
