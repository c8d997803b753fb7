"""What is in the photos: species, frames, boxes, and whether all animals are labelled."""

import os
from functools import partial

import pandas as pd

from livestock_utils.core.boxes import XYXY, area
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import integrity
from livestock_utils.data.eda import counts
from livestock_utils.data.layouts import reading
from livestock_utils.evaluate.labels import ranking
from livestock_utils.show.display import Display
from livestock_utils.show.plots import eda as plots
from livestock_utils.show.plots import gallery
from livestock_utils.show.words import eda as words


def archives(source: str | os.PathLike, layout: str | None = None) -> Display:
    """What lies in a folder of archives, or of labels in another layout."""
    table = integrity.list_archives(reading.find(source, layout, or_aihub=True))
    return Display("archives", "What was found.", table, shows_table=True)


def examples(photos: Photos, n: int = 6, seed: int = 0) -> Display:
    """Photos drawn at random with their boxes; the table has the share of its frame a box takes."""
    table = counts.covered_shares(photos.images, photos.boxes)
    caption = "Photos drawn at random with their labelled boxes in the colours of the species."
    return Display("examples", caption, table, lambda: gallery.examples(photos, n=n, seed=seed))


def species(photos: Photos) -> Display:
    """Images and boxes of each species."""
    table = counts.species_counts(photos.images, photos.boxes)
    caption = "Images and boxes of each species."
    draw = partial(plots.species_overview, table)
    return Display("species", caption, table, draw, metrics={"by_species": table})


def image_sizes(photos: Photos) -> Display:
    """Frame sizes by species, the rare ones gathered."""
    table = counts.size_counts(photos.images)
    caption = "Images of each frame size; pale bars gather the rare sizes."
    draw = partial(plots.image_sizes, table)
    return Display("image_sizes", caption, table, draw, metrics={"sizes": table})


def boxes_per_image(photos: Photos) -> Display:
    """How many boxes an image holds."""
    table = counts.count_histogram(photos.images, photos.boxes)
    caption = (
        "Images by their number of boxes; dashed lines part the bins, the number is that of the "
        "bin's images."
    )
    return Display("boxes_per_image", caption, table, partial(plots.boxes_per_image, table))


def count_bins(photos: Photos) -> Display:
    """Images with little, medium and many boxes."""
    table = counts.count_bin_table(photos.images, photos.boxes)
    caption = (
        "The write-up's bins under their true names (its columns “medium” and “many” were swapped)."
    )
    return Display("count_bins", caption, table, metrics={"count_bins": table}, shows_table=True)


def box_ratios(photos: Photos) -> Display:
    """Boxes by shape."""
    table = counts.ratio_table(photos.boxes)
    caption = "Boxes by their ratio of width to height; the number is that of the boxes."
    draw = partial(plots.box_ratios, table)
    return Display("box_ratios", caption, table, draw, metrics={"ratios": table})


def box_areas(photos: Photos) -> Display:
    """Boxes by the write-up's bins of area."""
    table = counts.area_table(photos.boxes)
    caption = "Boxes by their area; the number is that of the boxes."
    draw = partial(plots.box_areas, table)
    return Display("box_areas", caption, table, draw, metrics={"areas": table})


def box_sizes(photos: Photos) -> Display:
    """The distribution of box area on a log scale; the table holds the medians in px2."""
    areas = pd.Series(area(photos.boxes[XYXY].to_numpy()), name="median_area_px2")
    medians = areas.groupby(photos.boxes["species"].to_numpy()).median().sort_values()
    return Display(
        "box_sizes",
        "Distribution of box area, log scale; dashed lines part the bins, thick marks are the "
        "medians.",
        medians.rename_axis("species").reset_index(),
        partial(plots.box_sizes, photos.boxes),
    )


def small_boxes(photos: Photos) -> Display:
    """What a minimum area would lose; `.table` counts the boxes of 1,000 to 4,000 px2."""
    table = counts.below_area(photos.boxes)
    detail = counts.small_box_table(photos.boxes)
    metrics = {"boxes_of_1000_to_4000_px2": int(table["boxes"].sum()), "small_boxes": detail}
    return Display("small_boxes", "", table, None, words.small_boxes(table), metrics)


def box_positions(photos: Photos) -> Display:
    """Where boxes lie; the table has the densest point and the share of the frame that is quiet."""
    table = counts.densest_points(photos.images, photos.boxes)
    return Display(
        "box_positions",
        "How many boxes cover each part of the frame, mean per image.",
        table,
        partial(plots.box_positions, photos.images, photos.boxes),
    )


def empty_images(photos: Photos, n: int = 3) -> Display:
    """Images without a box, the first `n` of them to look at."""
    table = counts.empty_images(photos.images, photos.boxes)
    return Display(
        "empty_images",
        "Images without a box: empty pens, or animals that nobody labelled?",
        table,
        lambda: gallery.examples(photos, table["image_id"].head(n).tolist()),
        words.empty_images(table),
        {"images_without_box": len(table)},
    )


def completeness(photos: Photos) -> Display:
    """Box counts beside those of the neighbours by name; the table counts the suspects."""
    hints = counts.completeness_hints(photos.images, photos.boxes)
    table = counts.completeness_table(photos.images, photos.boxes)
    caption = "Boxes in an image against its neighbours' median; darker: more images (log scale)."
    draw = partial(plots.completeness, hints)
    metrics = {"suspect_images": int(hints["suspect"].sum())}
    return Display("completeness", caption, table, draw, words.completeness(table), metrics)


def suspects(photos: Photos, n: int = 3, data: str | os.PathLike = "") -> Display:
    """The `n` photos that fall furthest below their neighbours; the table has their counts. With
    `data`/truth.csv the verdict says how many of all suspects lack a label."""
    hints = counts.completeness_hints(photos.images, photos.boxes)
    ids = list(counts.most_suspect(hints[hints["boxes"] > 0], n))
    table = hints.set_index("image_id").loc[ids, ["boxes", "local_median"]].reset_index()
    caption = "Of the images with boxes, those that fall furthest below their neighbours."
    unlabelled, metrics = ranking.unlabelled(data, photos.images), {}
    if unlabelled is not None:
        right = hints["suspect"] & hints["image_id"].isin(unlabelled["image_id"])
        metrics["suspects_right"] = int(right.sum())
    said = words.suspects(hints, unlabelled)
    return Display("suspects", caption, table, lambda: gallery.examples(photos, ids), said, metrics)


def beside_write_up(photos: Photos) -> Display:
    """The counts beside those of the original's write-up, where these are its archives."""
    if not counts.is_aihub_size(photos.images):
        return Display("beside_write_up", verdict=words.NOT_AIHUB)
    table = counts.beside_write_up(photos.images, photos.boxes)
    return Display("beside_write_up", "Counts here and in the write-up.", table, shows_table=True)
