"""Sentences that say what a table or figure shows, computed from the data."""

import pandas as pd

from livestock_utils.core.text import count, first_up, listed, percent

NOT_AIHUB = (
    "These are not AI Hub's archives, which hold 4,303 pig and 12,152 cow images: nothing to "
    "compare."
)


def small_boxes(table: pd.DataFrame) -> str:
    """What a minimum area would cost, from `counts.below_area`."""
    parts = [
        f"{count(n, f'{name} box', f'{name} boxes')} ({percent(share)})"
        for name, n, share in zip(table["species"], table["boxes"], table["share"], strict=True)
    ]
    return (
        f"Leaving out boxes of 1,000 to 4,000 px² would lose {listed(parts)}. Nothing is left out "
        "here; the set-making notebooks take `min_box_area_px`."
    )


def empty_images(empty: pd.DataFrame) -> str:
    """How many images have no box, and which."""
    if empty.empty:
        return "Every image has at least one box."
    ids = ", ".join(f"`{name}`" for name in empty["image_id"].head(5))
    each = listed([f"{n} {name}" for name, n in empty["species"].value_counts(sort=False).items()])
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    return f"{count(len(empty), 'image has', 'images have')} no box ({each}): {ids}{more}."


def completeness(table: pd.DataFrame) -> str:
    """What `counts.completeness_table` hints at."""
    parts = [
        f"of {row['images']:,} {row['species']} images, {row['suspect']:,} "
        f"({percent(row['suspect_share'])}) have far fewer boxes than their neighbours, "
        f"{row['no_box']:,} have none and {row['one_box']:,} have one"
        for row in table.to_dict("records")
    ]
    said = first_up("; ".join(parts) or "there is nothing to count")
    return f"{said}. A hint only: notebook 06 looks again with a trained model."


def suspects(hints: pd.DataFrame, unlabelled: pd.DataFrame | None) -> str:
    """How many of `counts.completeness_hints` are right, by the truth; "" where there is none."""
    if unlabelled is None:
        return ""
    lacking = hints["image_id"].isin(unlabelled["image_id"])
    right = f"{(lacking & hints['suspect']).sum():,} of the"
    suspects, photos = count(hints["suspect"].sum(), "suspect"), count(lacking.sum(), "photo")
    return f"By the truth {right} {suspects} lack a label; in all {photos} do."


def folds(assigned: pd.Series, table: pd.DataFrame) -> str:
    """How many folds there are, how large they are, and which label of `folds.fold_table` with as
    many images as folds is furthest from an even share."""
    number = assigned.value_counts()
    span = " to ".join(f"{size:,}" for size in sorted({number.min(), number.max()}))
    said = f"{count(len(assigned), 'image')} in {count(len(number), 'fold')} of {span} images each."
    totals = table.groupby(["kind", "label"])["images"].transform("sum")
    table = table.assign(total=totals)[totals >= len(number)]
    if table.empty:
        return said
    worst = table.iloc[int((table["share"] - 1 / len(number)).abs().argmax())]
    return (
        f"{said} Furthest from an even share of {percent(1 / len(number))}: {worst['label']} in "
        f"fold {worst['fold']}, with {percent(worst['share'])} of {count(worst['total'], 'image')}."
    )


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
