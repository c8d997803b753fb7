"""Sentences that say what a table or figure shows, computed from the data."""

import pandas as pd

from livestock_utils.core.text import count, first_up, listed, percent


def _sentence(parts: list[str]) -> str:
    """The parts as one sentence; "There is nothing to count." for none."""
    text = "; ".join(parts) or "there is nothing to count"
    return f"{first_up(text)}."


NOT_AIHUB = (
    "These are not AI Hub's archives, which hold 4,303 pig and 12,152 cow images: nothing to "
    "compare."
)


def species_counts(counts: pd.DataFrame) -> str:
    """What `counts.species_counts` shows: totals, and how the species share images and boxes."""
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


def covered(table: pd.DataFrame) -> str:
    """How much of its frame a box takes, from `counts.covered_shares`."""
    rows = zip(table["species"], table["median_share"], strict=True)
    return _sentence(
        [f"the median {name} box takes {percent(share)} of its frame" for name, share in rows]
    )


def box_sizes(medians: pd.Series) -> str:
    """How far apart the species' median areas are; `medians` is in px2, smallest first."""
    if len(medians) < 2 or not medians.iloc[0]:
        return ""
    factor = medians.iloc[-1] / medians.iloc[0]
    return f"The median {medians.index[-1]} box is {factor:.1f} times a {medians.index[0]} box."


def suspects(table: pd.DataFrame) -> str:
    """That no image with boxes has far fewer than its neighbours, or nothing."""
    return "" if len(table) else "No image with boxes has far fewer than its neighbours."


def small_boxes(table: pd.DataFrame, below_px2: float = 4000) -> str:
    """What a minimum area would cost, from `counts.below_area`."""
    parts = [
        f"{count(n, f'{name} box', f'{name} boxes')} ({percent(share)})"
        for name, n, share in zip(table["species"], table["boxes"], table["share"], strict=True)
    ]
    return (
        f"Leaving out boxes of 1,000 to {below_px2:,.0f} px² would lose {listed(parts)}. Nothing "
        "is left out here; the set-making notebooks take `min_box_area_px`."
    )


def empty_images(empty: pd.DataFrame, shown: int = 5) -> str:
    """How many images have no box, and which."""
    if empty.empty:
        return "Every image has at least one box."
    ids = ", ".join(f"`{name}`" for name in empty["image_id"].head(shown))
    each = listed([f"{n} {name}" for name, n in empty["species"].value_counts(sort=False).items()])
    more = f" and {len(empty) - shown} more" if len(empty) > shown else ""
    return f"{count(len(empty), 'image has', 'images have')} no box ({each}): {ids}{more}."


def completeness(table: pd.DataFrame) -> str:
    """What `counts.completeness_table` hints at."""
    parts = [
        f"of {row['images']:,} {row['species']} images, {row['suspect']:,} "
        f"({percent(row['suspect_share'])}) have far fewer boxes than their neighbours, "
        f"{row['no_box']:,} have none and {row['one_box']:,} have one"
        for row in table.to_dict("records")
    ]
    return f"{_sentence(parts)} A hint only: notebook 06 looks again with a trained model."


def write_up(table: pd.DataFrame) -> str:
    """How many counts of `counts.beside_write_up` agree, and the largest difference."""
    equal = int((table["difference"] == 0).sum())
    if equal == len(table):
        return f"All {len(table)} counts are the write-up's."
    worst = table.iloc[int(table["difference"].abs().to_numpy().argmax())]
    return (
        f"{equal} of {len(table)} counts are the write-up's; the largest difference is "
        f"{worst['difference']:+,} ({worst['species']}, {worst['what']})."
    )


def balance(table: pd.DataFrame, part: str = "train") -> str:
    """How well strata meet their target, large and small ones apart."""
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
    """Which label spreads least evenly over the folds, of those with 20 images each."""
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
    """The closest validation and training image of `lookalikes.nearest_train`."""
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


def leakage(nearest: pd.DataFrame, max_distance: int) -> str:
    """How many validation images have a look-alike in train, from `lookalikes.nearest_train`."""
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
    """How many images the full set leaves out to watch, or that none is left."""
    if not number:
        return (
            f"**No validation:** all {count(total, 'image')} are trained on, so nothing can tell "
            "when to stop, and every score of this training is of images that it has seen."
        )
    return (
        f"{count(number, 'image')} of {total:,} ({percent(number / total)}) stay out to watch the "
        "training; all others are trained on."
    )
