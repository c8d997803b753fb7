"""Photos with boxes: examples, ground truth beside prediction, pairs of look-alikes."""

import io
import math
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps

from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import LivestockError
from livestock_utils.show.plots import style

THUMBNAIL_PX = 640
"""Longer side of a photo in a gallery: sharp at notebook width, small enough to keep notebooks
under their limit."""

LABEL_IN = 0.26, 0.13
"""Width and height in inches of a confidence on a photo."""

Picture = npt.NDArray[np.uint8]


def read_photo(
    reader: ImageReader, archive: str, member: str, longest_px: int = THUMBNAIL_PX
) -> Picture:
    """(h, w, 3) RGB thumbnail of an archive's member, at most `longest_px` long, EXIF rotation
    applied.

    JPEGs are decoded at about that scale already (libjpeg's draft mode). LivestockError for bytes
    that are no image.
    """
    try:
        with Image.open(io.BytesIO(reader.bytes(archive, member))) as opened:
            opened.draft("RGB", (longest_px, longest_px))
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except OSError as error:
        raise LivestockError(
            f"{archive}, {member}: not a readable image ({error}); replace or remove it"
        ) from error
    upright.thumbnail((longest_px, longest_px))
    return np.asarray(upright)


def photo(
    picture: Picture,
    width_px: float,
    height_px: float,
    boxes: pd.DataFrame | None = None,
    ax: Axes | None = None,
    title: str = "",
    line_width: float = 1.6,
) -> Axes:
    """One photo with boxes in the species' colours; boxes in pixels of the full frame (width_px x
    height_px).

    Boxes with a `confidence` column carry it (two decimals) at their upper left corner, else at
    another corner; where a more confident box's number stands at each of these, it is left out.
    """
    ax = style.axes_or_new(ax, height_in=style.WIDTH_IN * height_px / width_px)
    ax.imshow(picture, extent=(0, width_px, height_px, 0), interpolation="antialiased")
    px_per_in = width_px / _width_in(ax)
    taken: list[tuple[float, float]] = []
    if boxes is not None and "confidence" in boxes:
        boxes = boxes.sort_values("confidence", ascending=False, kind="stable")
    halo = [
        patheffects.Stroke(linewidth=line_width + 1.4, foreground="white", alpha=0.7),
        patheffects.Normal(),
    ]
    for box in [] if boxes is None else boxes.to_dict("records"):
        tone, x, y = style.colour(box["species"]), box["x_min"], box["y_min"]
        ax.add_patch(
            Rectangle(
                (x, y),
                box["x_max"] - x,
                box["y_max"] - y,
                fill=False,
                edgecolor=tone,
                linewidth=line_width,
                path_effects=halo,
            )
        )
        if "confidence" in box:
            wide, tall = LABEL_IN[0] * px_per_in, LABEL_IN[1] * px_per_in
            right, bottom = box["x_max"] - wide, box["y_max"]
            corners = [(x, y - tall), (right, y - tall), (x, bottom), (right, bottom)]
            free = next(
                (
                    corner
                    for corner in corners
                    if not any(
                        abs(corner[0] - other[0]) < wide and abs(corner[1] - other[1]) < tall
                        for other in taken
                    )
                ),
                None,
            )
            if free is None:
                continue
            taken.append(free)
            ax.text(
                free[0],
                free[1] + tall,
                f"{box['confidence']:.2f}",
                fontsize=6.5,
                color="white",
                va="bottom",
                ha="left",
                clip_on=True,
                bbox={"facecolor": tone, "edgecolor": "none", "pad": 0.8},
            )
    ax.set(xlim=(0, width_px), ylim=(height_px, 0), xticks=[], yticks=[])
    ax.set_title(title, fontsize=8, fontweight="normal")
    for edge in ax.spines.values():
        edge.set_visible(False)
    return ax


def _width_in(ax: Axes) -> float:
    """About how wide axes will be: a column of their figure's grid."""
    place = ax.get_subplotspec()
    return float(style.figure_of(ax).get_size_inches()[0]) / (
        place.get_gridspec().ncols if place is not None else 1
    )


def examples(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    folder: str | os.PathLike,
    image_ids: Sequence[str] | None = None,
    n: int = 6,
    seed: int = 0,
    columns: int = 3,
) -> np.ndarray:
    """Photos with their boxes, `columns` in a row; returns the (rows, columns) array of Axes.

    `folder` is what the `archive` column counts from. Shown are `image_ids` in their order, else
    `n` drawn by `seed`, as evenly over the species as they come. Look for: boxes that are loose,
    doubled, or missing on an animal in plain sight.
    """
    chosen = _rows(images, draw(images, n, seed) if image_ids is None else image_ids)
    if chosen.empty:
        axes = style.grid_of_axes(1, 1, 1.2)
        style.say_empty(axes[0, 0], "no images to show")
        return axes
    columns = min(columns, len(chosen))
    tall = max((chosen["height_px"] / chosen["width_px"]).median(), 0.3)
    rows = math.ceil(len(chosen) / columns)
    axes = style.grid_of_axes(rows, columns, rows * (style.WIDTH_IN / columns * tall + 0.25))
    with ImageReader(folder) as reader:
        for ax, row in zip(axes.flat, chosen.to_dict("records"), strict=False):
            mine = boxes[boxes["image_id"] == row["image_id"]]
            count = f"{len(mine)} box" if len(mine) == 1 else f"{len(mine)} boxes"
            photo(
                read_photo(reader, row["archive"], row["member"]),
                row["width_px"],
                row["height_px"],
                mine,
                ax,
                f"{row['image_id']}: {count}",
            )
    for ax in axes.flat[len(chosen) :]:
        ax.set_axis_off()
    return axes


def truth_beside_prediction(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    folder: str | os.PathLike,
    image_ids: Sequence[str] | None = None,
    n: int = 4,
    confidence_threshold: float = 0.25,
    seed: int = 0,
) -> np.ndarray:
    """Each photo twice: left its labels, right the predictions from `confidence_threshold` up;
    (images, 2) Axes.

    Look for: boxes on the right without a partner on the left (missing labels or false alarms), and
    the reverse (misses).
    """
    chosen = _rows(images, draw(images, n, seed) if image_ids is None else image_ids)
    if chosen.empty:
        axes = style.grid_of_axes(1, 2, 1.2)
        for ax in axes.flat:
            style.say_empty(ax, "no images to show")
        return axes
    half = style.WIDTH_IN / 2
    axes = style.grid_of_axes(
        len(chosen),
        2,
        float((half * chosen["height_px"] / chosen["width_px"] + 0.25).sum()),
        height_ratios=(chosen["height_px"] / chosen["width_px"]).tolist(),
    )
    sure = predictions[predictions["confidence"] >= confidence_threshold]
    with ImageReader(folder) as reader:
        for (left, right), row in zip(axes, chosen.to_dict("records"), strict=True):
            picture, frame = (
                read_photo(reader, row["archive"], row["member"]),
                (row["width_px"], row["height_px"]),
            )
            labels, found = (
                boxes[boxes["image_id"] == row["image_id"]],
                sure[sure["image_id"] == row["image_id"]],
            )
            photo(picture, *frame, labels, left, f"{row['image_id']}: {len(labels)} labelled")
            photo(
                picture,
                *frame,
                found,
                right,
                f"{len(found)} predicted (confidence ≥ {confidence_threshold:g})",
            )
    return axes


def pairs(
    nearest: pd.DataFrame, images: pd.DataFrame, folder: str | os.PathLike, n: int = 3
) -> np.ndarray:
    """The first `n` pairs of `neighbours.nearest_train` side by side, valid left, train right;
    (pairs, 2) Axes.

    Look for: two photos of the same moment; in train and valid at once they make the validation
    score too good.
    """
    shown = nearest.head(n)
    if shown.empty:
        axes = style.grid_of_axes(1, 2, 1.2)
        for ax in axes.flat:
            style.say_empty(ax, "no pairs to show")
        return axes
    frames = images.set_index("image_id", drop=False)
    tall = frames["height_px"] / frames["width_px"]
    tallest = np.maximum(
        tall.loc[shown["image_id"]].to_numpy(), tall.loc[shown["train_id"]].to_numpy()
    )
    axes = style.grid_of_axes(
        len(shown),
        2,
        float((style.WIDTH_IN / 2 * tallest + 0.25).sum()),
        height_ratios=tallest.tolist(),
    )
    rows = frames.to_dict("index")
    with ImageReader(folder) as reader:
        for cells, pair in zip(axes, shown.to_dict("records"), strict=True):
            bits = "bit" if pair["distance"] == 1 else "bits"
            titles = (
                f"valid: {pair['image_id']}",
                f"train: {pair['train_id']}, {pair['distance']} {bits} apart",
            )
            for ax, image_id, title in zip(
                cells, (pair["image_id"], pair["train_id"]), titles, strict=True
            ):
                row = rows[image_id]
                picture = read_photo(reader, row["archive"], row["member"])
                photo(picture, row["width_px"], row["height_px"], None, ax, title)
    return axes


def draw(images: pd.DataFrame, n: int, seed: int = 0) -> list[str]:
    """`n` image ids drawn by `seed`, as evenly over the species as they come, species in label
    order."""
    shuffled = images.sample(frac=1, random_state=seed)
    turn = shuffled.groupby("species").cumcount()
    picked = shuffled.assign(turn=turn).sort_values(["turn", "species"], kind="stable").head(n)
    order = {name: place for place, name in enumerate(style.in_label_order(images["species"]))}
    return picked.sort_values("species", key=lambda names: names.map(order), kind="stable")[
        "image_id"
    ].tolist()


def _rows(images: pd.DataFrame, image_ids: Sequence[str]) -> pd.DataFrame:
    """The rows of `images` with these ids, in their order; LivestockError names the first that is
    unknown."""
    known = images.set_index("image_id", drop=False)
    absent = [image_id for image_id in image_ids if image_id not in known.index]
    if absent:
        raise LivestockError(
            f"image {absent[0]!r} is not in the images table ({len(images)} images); check the id"
        )
    return known.loc[list(image_ids)]
