"""Sentences for the notebooks that say what a table or figure shows, computed from the data at
hand."""

import numpy as np
import pandas as pd

from livestock_utils.core.boxes import XYXY, area
from livestock_utils.core.text import count, first_up, listed, percent
from livestock_utils.data.eda import counts as count_tables


def _sentence(parts: list[str]) -> str:
    """The parts as one sentence, a semicolon between them; "There is nothing to count." for
    none."""
    text = "; ".join(parts) or "there is nothing to count"
    return f"{first_up(text)}."


def species_counts(counts: pd.DataFrame) -> str:
    """What `eda.species_counts` shows: totals, and how the species share images and boxes."""
    *each, total = counts.to_dict("records")
    if not total["images"]:
        return "There are no images."
    shares = [
        f"{row['species']} {percent(row['images_share'])} of the images and "
        f"{percent(row['boxes_share'])} of the boxes, {row['mean_boxes']:.1f} an image"
        for row in each
    ]
    return (
        f"**{count(total['images'], 'image')} hold {count(total['boxes'], 'box', 'boxes')}**: "
        f"{'; '.join(shares)}."
    )


def covered(images: pd.DataFrame, boxes: pd.DataFrame) -> str:
    """How much of its frame a box takes, by species."""
    frame = images.set_index("image_id")["width_px"] * images.set_index("image_id")["height_px"]
    frame = boxes["image_id"].map(frame).where(lambda px2: px2 > 0)
    share = pd.Series(area(boxes[XYXY].to_numpy()), index=boxes.index) / frame
    parts = [
        f"the median {name} box takes {percent(median)} of its frame"
        for name, median in share.groupby(boxes["species"], sort=False).median().dropna().items()
    ]
    return _sentence(parts)


def suspects(hints: pd.DataFrame, image_ids: list[str]) -> str:
    """What makes these images of `eda.completeness_hints` suspect: their boxes beside their
    neighbours'."""
    rows = hints.set_index("image_id").loc[image_ids]
    parts = [
        f"`{image_id}` has {count(row['boxes'], 'box', 'boxes')} where its neighbours have "
        f"{row['local_median']:g}"
        for image_id, row in rows.iterrows()
    ]
    return _sentence(parts) if parts else "No image with boxes has far fewer than its neighbours."


def sizes(table: pd.DataFrame) -> str:
    """What `eda.size_counts` shows: one size, or the commonest of several, by species."""
    parts = []
    for name, rows in count_tables.by_species(table):
        others = rows.loc[rows["width_px"] == 0, "size"]
        number = len(rows) - len(others) + (int(others.iloc[0].split()[0]) if len(others) else 0)
        first = rows.iloc[0]
        size = first["size"].replace(" x ", " × ")
        parts.append(
            f"all {count(first['images'], f'{name} image')} are {size} px"
            if number == 1
            else f"{name} images come in {number} sizes, most often {size} px "
            f"({percent(first['share'])})"
        )
    return _sentence(parts)


def count_bins(table: pd.DataFrame, counts: pd.DataFrame) -> str:
    """What `eda.count_bin_table` shows, with the medians of `eda.species_counts`."""
    medians = counts.set_index("species")["median_boxes"]
    parts = []
    for name, rows in count_tables.by_species(table):
        largest = rows.iloc[int(rows["images"].to_numpy().argmax())]
        parts.append(
            f"half of the {name} images have at most {medians[name]:g} boxes, and the largest bin "
            f"is “{largest['bin']}” ({largest['boxes']}) with {percent(largest['share'])}"
        )
    return _sentence(parts)


def largest_bins(table: pd.DataFrame) -> str:
    """The commonest bin of each species in a table of `eda.ratio_table` or `eda.area_table`."""
    parts = []
    for name, rows in count_tables.by_species(table):
        largest = rows.iloc[int(rows["boxes"].to_numpy().argmax())]
        parts.append(f"{percent(largest['share'])} of the {name} boxes are {largest['bin']}")
    return _sentence(parts)


def small_boxes(table: pd.DataFrame, below_px2: float = 4000) -> str:
    """What a minimum area would cost, from `eda.below_area`."""
    parts = [
        f"{count(n, f'{name} box', f'{name} boxes')} ({percent(share)})"
        for name, n, share in zip(table["species"], table["boxes"], table["share"], strict=True)
    ]
    return (
        f"Leaving out boxes of 1,000 to {below_px2:,.0f} px² would lose {listed(parts)}. Nothing "
        "is left out here; the set-making notebooks take `min_box_area_px`."
    )


def box_sizes(boxes: pd.DataFrame) -> str:
    """Median box area by species, and how far apart the largest and smallest are."""
    if boxes.empty:
        return "There are no boxes."
    medians = (
        pd.Series(area(boxes[XYXY].to_numpy()))
        .groupby(boxes["species"].to_numpy())
        .median()
        .sort_values()
    )
    texts = listed([f"{median:,.0f} px² for {name}" for name, median in medians.items()])
    ratio = (
        f", a factor of {medians.iloc[-1] / medians.iloc[0]:.1f}"
        if len(medians) > 1 and medians.iloc[0]
        else ""
    )
    return f"The median box measures {texts}{ratio}."


def positions(images: pd.DataFrame, boxes: pd.DataFrame) -> str:
    """Where boxes are densest, and how much of the frame hardly sees any, by species."""
    parts = []
    for name, mine in count_tables.by_species(images):
        grid = count_tables.coverage_map(mine, boxes[boxes["species"] == name])
        if grid.max() > 0:
            y, x = np.unravel_index(grid.argmax(), grid.shape)
            quiet = float((grid < grid.max() / 10).mean())
            parts.append(
                f"{name} boxes are densest at {percent((x + 0.5) / grid.shape[1])} of the width "
                f"and {percent((y + 0.5) / grid.shape[0])} of the height, and {percent(quiet)} of "
                "the frame sees less than a tenth of that"
            )
    return _sentence(parts)


def empty_images(empty: pd.DataFrame, shown: int = 5) -> str:
    """How many images have no box, and which."""
    if empty.empty:
        return "Every image has at least one box."
    ids = ", ".join(f"`{name}`" for name in empty["image_id"].head(shown))
    each = listed([f"{n} {name}" for name, n in empty["species"].value_counts(sort=False).items()])
    more = f" and {len(empty) - shown} more" if len(empty) > shown else ""
    return f"{count(len(empty), 'image has', 'images have')} no box ({each}): {ids}{more}."


def completeness(table: pd.DataFrame) -> str:
    """What `eda.completeness_table` hints at."""
    parts = [
        f"of {row['images']:,} {row['species']} images, {row['suspect']:,} "
        f"({percent(row['suspect_share'])}) have far fewer boxes than their neighbours, "
        f"{row['no_box']:,} have none and {row['one_box']:,} have one"
        for row in table.to_dict("records")
    ]
    return f"{_sentence(parts)} A hint only: notebook 06 looks again with a trained model."


def write_up(table: pd.DataFrame) -> str:
    """How many counts of `eda.beside_write_up` agree, and the largest difference."""
    equal = int((table["difference"] == 0).sum())
    if equal == len(table):
        return f"All {len(table)} counts are the write-up's."
    worst = table.iloc[int(table["difference"].abs().to_numpy().argmax())]
    return (
        f"{equal} of {len(table)} counts are the write-up's; the largest difference is "
        f"{worst['difference']:+,} ({worst['species']}, {worst['what']})."
    )


def balance(table: pd.DataFrame, part: str = "train") -> str:
    """How well `split.balance_table` (or `set_summary.kept_strata`) meets its target, large and
    small strata apart."""
    if table.empty:
        return "There are no strata."
    if (table["off_images"].abs() < 0.05).all():
        return f"Every stratum has exactly its share in {part}."
    large, small = table[table["images"] >= 200], table[table["images"] < 200]
    parts = []
    if len(large):
        worst = large.iloc[int(large["off_points"].abs().to_numpy().argmax())]
        parts.append(
            f"of {count(len(large), 'stratum', 'strata')} of 200 images or more, "
            f"{worst['stratum']} is furthest off, by {worst['off_points']:+.2f} percentage points "
            f"of its share in {part}"
        )
    if len(small):
        worst = small.iloc[int(small["off_images"].abs().to_numpy().argmax())]
        parts.append(
            f"of {count(len(small), 'smaller stratum', 'smaller strata')}, {worst['stratum']} is "
            f"furthest off: {worst['train']:,} of {worst['images']:,} images in {part} "
            f"({worst['off_images']:+.1f})"
        )
    return _sentence(parts)


def fold_balance(table: pd.DataFrame) -> str:
    """Which label of `split.fold_table` spreads least evenly, among those with 20 images a fold or
    more."""
    folds = table["fold"].nunique()
    totals = table.groupby(["kind", "label"], sort=False)["images"].transform("sum")
    large = table[totals >= 20 * folds]
    if large.empty:
        return (
            f"No label has 20 images for each of the {count(folds, 'fold')}: a few images decide "
            "every panel."
        )
    worst = large.iloc[int((large["share"] - 1 / folds).abs().to_numpy().argmax())]
    labels = count(len(large[["kind", "label"]].drop_duplicates()), "label")
    return (
        f"Among {labels} with 20 images a fold or more, none strays further from an even "
        f"{percent(1 / folds)} than {worst['label'].replace('-', ' ')} in fold {worst['fold']}, "
        f"with {percent(worst['share'])}."
    )


def closest_pair(nearest: pd.DataFrame) -> str:
    """The closest validation and training image of `neighbours.nearest_train`."""
    if nearest.empty:
        return "There are no validation images."
    pair = nearest.iloc[int(nearest["distance"].to_numpy().argmin())]
    return (
        f"The closest two, `{pair['image_id']}` and `{pair['train_id']}`, differ in "
        f"{pair['distance']} of the hash's 64 bits."
    )


def folds(assigned: pd.Series) -> str:
    """How many folds there are and how large they are."""
    number = assigned.value_counts()
    span = (
        f"{number.min():,} to {number.max():,}"
        if number.min() != number.max()
        else f"{number.max():,}"
    )
    return f"{count(len(assigned), 'image')} in {count(len(number), 'fold')} of {span} images each."


def sets(table: pd.DataFrame) -> str:
    """What `set_summary.set_table` holds."""
    parts = [
        f"`{row['file']}` holds {count(row['images'], 'image')} and "
        f"{count(row['boxes'], 'box', 'boxes')}"
        f"{' and ' + count(row['backgrounds'], 'background') if row['backgrounds'] else ''} "
        f"({row['megabytes']:,.0f} MB)"
        for row in table.to_dict("records")
    ]
    return _sentence(parts)


def groups(table: pd.DataFrame) -> str:
    """What `grouping.group_sizes` holds: how many images must stay together, and in how large
    groups."""
    parts = [
        f"{row['species']}: {row['grouped_images']:,} of {count(row['images'], 'image')} have "
        f"company, the largest group holds {row['largest_group']:,}"
        for row in table.to_dict("records")
    ]
    return _sentence(parts)


def leakage(nearest: pd.DataFrame, max_distance: int) -> str:
    """How many validation images have a look-alike in train, from `neighbours.nearest_train`."""
    close = int((nearest["distance"] <= max_distance).sum())
    if not close:
        return (
            "No validation image has a look-alike in train: the nearest pair differs in "
            f"{nearest['distance'].min()} of 64 bits, more than the {max_distance} that count as "
            "alike."
        )
    return (
        f"{close:,} of {count(len(nearest), 'validation image')} ({percent(close / len(nearest))}) "
        f"have a look-alike in train (at most {max_distance} of 64 bits differ)."
    )


def watched(number: int, total: int) -> str:
    """How many images the full training set leaves out to watch the training, or that there is no
    validation."""
    if not number:
        return (
            f"**No validation:** all {count(total, 'image')} are trained on, so nothing can tell "
            "when to stop, and every score of this training is of images that it has seen."
        )
    return (
        f"{count(number, 'image')} of {total:,} ({percent(number / total)}) stay out to watch the "
        "training; all others are trained on."
    )
