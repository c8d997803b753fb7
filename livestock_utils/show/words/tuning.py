"""Sentences on tuned post-processing: what was predicted, chosen, checked and submitted."""

import pandas as pd

from livestock_utils.core.text import count, first_up, listed
from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.detect.tune.choice import Choice, describe, good_band
from livestock_utils.detect.tune.rescore import calibration_error
from livestock_utils.detect.tune.steps import Collected
from livestock_utils.detect.tune.tuning import Checked, Submitted, Tuning


def collected(found: Collected) -> str:
    """How many photos and candidates there are, and what was left out."""
    if not found.complete:
        return (
            f"{found.state}: run the other shards, then the same command once more, with any "
            "shard. Until then nothing is tuned, submitted or scored."
        )
    table = found.candidates
    floor = table.made_with.get("floor", 0)
    said = (
        f"{len(table.images):,} images, {len(table):,} candidates of confidence {floor:g} and above"
    )
    if table.unreadable:
        images = count(len(table.unreadable), "image")
        said += f"; {images} could not be read and will have no boxes"
    if table.capped:
        images, cap = count(table.capped, "image"), f"{table.made_with['cap']:,}"
        said += f"; {images} had more than {cap}: the least confident were left out"
    return f"{said}."


def tested(found: Collected) -> str:
    """What was predicted for the submission."""
    if not found.lacking:
        return f"Test photos: {collected(found)}"
    return (
        f"There are no test photos, so the {len(found.photos):,} images of the validation fold "
        "are predicted instead. They chose the settings: their score says nothing about new "
        f"images. {collected(found)}"
    )


def tuned_on(found: Collected) -> str:
    """What the settings are tuned on, and why not on what was asked for."""
    note = f"Validation is used in place of the folds ({found.lacking}). " if found.lacking else ""
    return f"{note}Tuned on {found.name}: {collected(found)}"


def band(choice: Choice) -> str:
    """How wide the best part of the grid is."""
    found = good_band(choice)
    if not found:
        return "No settings were tried yet."
    return (
        f"{found['settings']} of {found['of']} settings of hard NMS come within "
        f"{found['within']:g} of the best AP75, {found['ap75']:.4f}: IoU "
        f"{found['iou_threshold_low']:g} to {found['iou_threshold_high']:g}, confidence "
        f"{found['confidence_threshold_low']:g} to {found['confidence_threshold_high']:g}. Among "
        "these the choice hardly matters."
    )


def chosen(choice: Choice) -> str:
    """What the choice is worth, and whether that is noise."""
    if choice.compared.empty:
        return "Nothing is chosen yet: there are no predicted images to tune on."
    row = choice.compared.iloc[0]
    noise = "within noise; the write-up's setting would do as well"
    before = ", before re-scoring," * (choice.settings.rescorer is not None)
    worth = noise if row["gain_low"] <= 0 else "significant"
    return (
        f"Chosen: {describe(choice.settings)}. AP75 on {choice.tuned_on}{before} {_value(row)}, "
        f"{_gain(row)} over the write-up's setting (IoU .68, confidence .001): {worth}."
    )


def checked(found: Checked) -> str:
    """Whether the choice also wins on photos that did not choose it."""
    if found.table.empty:
        return f"Nothing is checked: {found.why}."
    row = found.table.iloc[0]
    verdict = "these images show no difference"
    if row["gain_low"] > 0:
        verdict = "the gain holds"
    elif row["gain_high"] < 0:
        verdict = "the choice does harm here; take the write-up's setting"
    return (
        f"On {found.photos:,} images that did not choose it, each predicted by a model of notebook "
        f"06 that has not seen it: AP75 {row['value']:.4f}, {_gain(row)} over the write-up's "
        f"setting: {verdict}. These models are not the submitted one."
    )


def quality(table: pd.DataFrame, looking: PostprocessSettings) -> str:
    """What `Tuning.quality` says of the photos as a whole, and which boxes are shown."""
    if table.empty:
        return "There are no images with labels or boxes to show yet."
    return (
        f"Of {len(table):,} images {(table['f1'] == 1).sum():,} have no error; the median F1 is "
        f"{table['f1'].median():.2f}. Shown, as in all galleries, is one box per animal: "
        f"{describe(looking)}."
    )


def found_on(images: pd.DataFrame, seen: pd.DataFrame) -> str:
    """How many animals were found, and how many photos hold none."""
    if images.empty:
        return "There are no test images to show yet."
    empty = int((~images["image_id"].isin(seen["image_id"])).sum())
    kinds = seen["species"].value_counts().items()
    animals = ", ".join(f"{name} {number:,}" for name, number in kinds) or "nothing"
    found = f"Found on {count(len(images), 'image')}: {animals}"
    return f"{found}; {count(empty, 'image')} without a box."


def front(tuning: Tuning) -> str:
    """Which passes are chosen, what they gain over the first alone, and what they cost."""
    table = tuning.front
    if table.empty:
        return "No passes are chosen yet."
    row = table[table["chosen"]].iloc[0]
    first = table[table["passes"] == tuning.labelled.candidates.passes[0]].iloc[0]
    if tuning.asked.tuning_predictions:
        return (
            f"Chosen: {row['passes']}, AP75 {_gain(row)} over {first['passes']} alone. What the "
            "detectors cost is not known here: each counts as 1 ms."
        )
    if row["passes"] == first["passes"]:
        return f"{first['passes']} alone is chosen: {row['ms']:.0f} ms per image."
    worth = "within noise" if row["gain_low"] <= 0 else "significant"
    return (
        f"Chosen: {row['passes']}, {row['ms']:.0f} ms per image instead of {first['ms']:.0f} for "
        f"{first['passes']} alone, AP75 {_gain(row)}: {worth}, and the best of many looks better "
        "than it is. Each set has its own best setting. `budget_ms` limits the time."
    )


def rescored(table: pd.DataFrame, bins: pd.DataFrame) -> str:
    """What the re-scorer gains on photos that it has not seen, and whether it is taken."""
    if table.empty:
        return "Nothing was re-scored: there are too few labelled images, or boxes are fused."
    row = table.iloc[0]
    errors = {name: calibration_error(part) for name, part in bins.groupby("boxes")}
    verdict = "taken" if row["taken"] else "not taken"
    return (
        f"Each photo re-scored by a function fitted on the others: AP75 {row['after']:.4f} instead "
        f"of {row['before']:.4f}, {_gain(row)}, better in {row['better']:.0%} of the draws: "
        f"{verdict}. Confidences were off by {errors['as predicted']:.2f}, now by "
        f"{errors['re-scored']:.2f}."
    )


def counts(table: pd.DataFrame, animals: pd.Series) -> str:
    """How far the counts are from the labels, by species; `animals` there are by the truth."""
    if table.empty:
        return "There is nothing to count yet."
    parts = [
        f"{name}: {row['counted']:,.0f} counted where {row['labelled']:,.0f} are labelled, "
        f"{row['bias']:+.2f} per image [{row['bias_low']:+.2f}, {row['bias_high']:+.2f}], wrong by "
        f"{row['error']:.2f} on average"
        for name, row in table.iterrows()
    ]
    said = f"{first_up('; '.join(parts))}. An animal that nobody labelled counts as one too many"
    if truth := [f"{animals[name]:,} {name}" for name in table.index if name in animals]:
        said += f"; by the truth there are {listed(truth)}"
    return f"{said}."


def submitted(done: Submitted) -> str:
    """What the submission holds, and whether it is valid."""
    if done.path is None:
        return "No submission is written yet: other shards are still missing."
    kinds = done.findings["severity"]
    errors, notes = (count(int((kinds == kind).sum()), kind) for kind in ("error", "note"))
    listed = "".join(f"; {text}" for text in done.findings["problem"].drop_duplicates().head(3))
    with_boxes = done.predictions["image_id"].nunique()
    return (
        f"`{done.path.name}`: {len(done.predictions):,} boxes on {with_boxes:,} of "
        f"{count(len(done.images), 'image')}; checked: {errors}, {notes}{listed}."
    )


def _value(row: pd.Series) -> str:
    return f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"


def _gain(row: pd.Series) -> str:
    return f"{row['gain']:+.4f} [{row['gain_low']:+.4f}, {row['gain_high']:+.4f}]"
