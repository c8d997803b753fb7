"""Tuned post-processing: what was tried and chosen, whether it holds, what it finds."""

import pandas as pd

from livestock_utils.core.photos import Photos
from livestock_utils.detect.tune import choice as choosing
from livestock_utils.detect.tune import looking, quality
from livestock_utils.detect.tune.steps import Collected
from livestock_utils.detect.tune.tuning import Submitted, Tuning
from livestock_utils.evaluate.scoring import counts as counting
from livestock_utils.show.display import Display
from livestock_utils.show.plots import gallery, scores
from livestock_utils.show.plots import sweep as plots
from livestock_utils.show.words import tuning as words


def candidates(found: Collected) -> Display:
    """What was found before suppression, a row an image; of `Tuning.tested` or `.labelled`."""
    verdict = words.tested(found) if found.name == "test" else words.tuned_on(found)
    return Display("candidates", table=found.candidates.images, verdict=verdict)


def pass_front(tuning: Tuning) -> Display:
    """AP75 of sets of passes against their milliseconds an image, and which is chosen."""
    table = tuning.front
    return Display(
        "pass_front",
        "AP75 by time per image: each point is a set of passes.",
        table.drop(columns=["settings", "names", "n"], errors="ignore"),
        lambda ax=None: plots.pass_front(table, ax=ax),
        words.front(tuning),
    )


def counts(
    photos: Photos | Tuning,
    predictions: pd.DataFrame | None = None,
    groups: pd.Series | None = None,
) -> Display:
    """Animals counted against animals labelled, a photo a point: of a `Tuning`, or of photos and
    their `predictions`, of which one box an animal counts. With `groups` (image_id -> camera, farm,
    ...) the table has a row for each."""
    animals = pd.DataFrame(columns=["species"])
    if isinstance(photos, Tuning):
        table = photos.counts
        if len(table) and (photos.data / "truth.csv").is_file():
            mine = photos.labelled.photos.select(table["image_id"].unique())
            animals = mine.complete(photos.data).boxes
    else:
        shown, _ = looking.seen(photos, pd.DataFrame(predictions), "count")
        table = counting.counted(photos.boxes, shown, photos.images)
    errors = counting.count_table(table)
    many = groups is not None and table["image_id"].map(groups).nunique() > 20  # of look-alikes
    return Display(
        "counts",
        "Animals counted and labelled on each photo.",
        errors if groups is None or many else counting.count_table(table, groups),
        lambda ax=None: scores.counts(table, ax=ax),
        words.counts(errors, animals["species"].value_counts()),
        {"count_error": errors["error"], "count_bias": errors["bias"]},
        shows_table=True,
        table_caption="Error of the counts per image, with 95 % intervals over images.",
        digits=2,
        index=True,
    )


def heat_map(tuning: Tuning) -> Display:
    """AP75 over both thresholds of hard NMS, how wide the best part is, and the best settings."""
    tried = tuning.choice.tried
    return Display(
        "heat_map",
        "AP75 over the NMS IoU threshold and the confidence threshold.",
        choosing.tried_table(tuning.choice),
        lambda ax=None: plots.sweep_heat_map(tried, ax=ax),
        words.band(tuning.choice),
        shows_table=True,
        table_caption="The best settings and the write-up's, by AP75; of equal scores only one.",
        digits=4,
    )


def gains(tuning: Tuning) -> Display:
    """What the best settings gain over the write-up's, and whether that is noise."""
    compared = tuning.choice.compared
    caption = "Gain of the five best settings over the write-up's, with 95 % intervals over images."
    verdict = words.chosen(tuning.choice)
    return Display(
        "gains", caption, compared, lambda ax=None: plots.sweep_gains(compared, ax=ax), verdict
    )


def rescored(tuning: Tuning) -> Display:
    """Whether confidences that mean "the outline is right" rank boxes better, and what they
    promise."""
    found = tuning.choice.rescored
    table = pd.DataFrame() if found is None else found.table
    bins = pd.DataFrame() if found is None else found.bins
    return Display(
        "rescored",
        "Confidence against the share of boxes that are right at IoU .75, before and after.",
        table,
        lambda ax=None: plots.rescored(bins, ax=ax),
        words.rescored(table, bins),
    )


def choice_check(tuning: Tuning) -> Display:
    """Whether the choice also wins on photos that did not choose it."""
    found = tuning.checked
    gains = {"gain": "difference", "gain_low": "low", "gain_high": "high"}
    told = (
        {f"elsewhere_{new}": found.table[old].iloc[0] for old, new in gains.items()}
        if len(found.table)
        else {}
    )
    return Display(
        "choice_check",
        "The chosen setting on images that did not choose it.",
        found.table,
        verdict=words.checked(found),
        metrics=told | {"elsewhere_images": found.photos},
        shows_table=True,
        digits=4,
        index=True,
    )


def best_median_worst(tuning: Tuning) -> Display:
    """The labelled photos that were found best, middling and worst."""
    table = tuning.quality
    ids = quality.best_median_worst(table)
    photos, seen = tuning.labelled.photos, tuning.seen
    return Display(
        "best_median_worst",
        "The best, the median and the worst labelled image: labels left, predictions right.",
        table,
        lambda: gallery.truth_beside_prediction(photos, seen, ids),
        words.quality(table, tuning.choice.looking),
    )


def test_examples(tuning: Tuning) -> Display:
    """Test photos with the boxes that were found, one an animal."""
    seen, images = tuning.seen_on_test, tuning.photos.images
    readable = tuning.photos.select(images.loc[images["width_px"] > 0, "image_id"])
    return Display(
        "test_examples",
        "Test images with one box per animal.",
        seen,
        lambda: gallery.examples(readable.with_boxes(seen), seed=tuning.asked.seed),
        words.found_on(images, seen),
    )


def submission(done: Submitted) -> Display:
    """What the submission holds, and whether it is valid."""
    return Display("submission", table=pd.DataFrame(done.findings), verdict=words.submitted(done))


def test_scores(tuning: Tuning) -> Display:
    """The test score by the contest's definition, with its interval; no rows without answers."""
    caption = "Test, the contest's definition."
    return Display("test_scores", caption, tuning.scores, shows_table=True, digits=4, index=True)
