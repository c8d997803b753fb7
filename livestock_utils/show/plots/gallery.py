"""Photos with boxes: examples, ground truth beside prediction, pairs of look-alikes."""

import dataclasses
import io
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from PIL import Image, ImageOps

from livestock_utils.core.arrays import Pixels
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos, Reader
from livestock_utils.core.text import count
from livestock_utils.show.plots import style

_THUMBNAIL_PX = 640
"""Longer side of a gallery's photo: sharp at notebook width, small in bytes."""

_LABEL_IN = 0.26, 0.13
"""Width and height in inches of a confidence on a photo."""

_Picture = Pixels


def read_photo(
    reader: Reader, archive: str, member: str, longest_px: int = _THUMBNAIL_PX
) -> _Picture:
    """(h, w, 3) RGB thumbnail of a member, at most `longest_px`, EXIF applied.
    JPEGs are decoded at about that scale already (libjpeg's draft mode)."""
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
    picture: _Picture,
    width_px: float,
    height_px: float,
    boxes: pd.DataFrame | None = None,
    ax: Axes | None = None,
    title: str = "",
    line_width: float = 1.6,
) -> Axes:
    """A photo with boxes in the species' colours, in px of the full frame. A `confidence` stands at
    a corner of its box where no more confident one stands, else nowhere."""
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
        tone = style.colour(box["species"])
        style.outline(ax, box, edgecolor=tone, linewidth=line_width, path_effects=halo)
        if "confidence" in box:
            wide, tall = _LABEL_IN[0] * px_per_in, _LABEL_IN[1] * px_per_in
            x, y, right, bottom = box["x_min"], box["y_min"], box["x_max"] - wide, box["y_max"]
            corners = [(x, y - tall), (right, y - tall), (x, bottom), (right, bottom)]
            apart = np.abs(np.array(corners)[:, None] - np.reshape(taken, (-1, 2)))
            is_free = ~(apart < (wide, tall)).all(axis=2).any(axis=1)
            if is_free.any():
                free = corners[int(is_free.argmax())]
                taken.append(free)
                style.confidence_tag(ax, box, (free[0], free[1] + tall))
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


@dataclasses.dataclass(frozen=True)
class Cell:
    """One photo of a grid: which, the boxes on it, its title. `decode` makes the picture of the
    file's bytes, else it is a thumbnail; `finish` draws on top."""

    image_id: str
    boxes: pd.DataFrame | None
    title: str = ""
    decode: Callable[[bytes], _Picture] | None = None
    finish: Callable[[Axes], object] | None = None


def photo_grid(
    photos: Photos,
    cells: Sequence[Cell],
    columns: int,
    tall: float | Sequence[float],
    nothing: str = "no images to show",
    longest_px: int = _THUMBNAIL_PX,
    title_in: float = 0.25,
) -> np.ndarray:
    """Photos in rows of `columns`, each with its boxes and title; (rows, columns) Axes. `tall` is
    height / width of all cells, or of each row; `nothing` is said where there are none."""
    n_rows = math.ceil(len(cells) / columns)
    ratios, each = (None, [tall] * n_rows) if isinstance(tall, float) else (list(tall), tall)
    if not cells:
        axes = style.grid_of_axes(1, 1 if ratios is None else columns, 1.2)
        for ax in axes.flat:
            style.say_empty(ax, nothing)
        return axes
    height_in = float((style.WIDTH_IN / columns * np.array(each) + title_in).sum())
    axes = style.grid_of_axes(n_rows, columns, height_in, height_ratios=ratios)
    rows = _rows(photos.images, [cell.image_id for cell in cells]).to_dict("records")
    with photos.reader() as reader:
        for ax, cell, row in zip(axes.flat, cells, rows, strict=False):
            archive, member = row.get("archive", ""), row["member"]
            if cell.decode is not None:
                picture = cell.decode(reader.bytes(archive, member))
            else:
                picture = read_photo(reader, archive, member, longest_px)
            photo(picture, row["width_px"], row["height_px"], cell.boxes, ax, cell.title)
            if cell.finish is not None:
                cell.finish(ax)
    for ax in axes.flat[len(cells) :]:
        ax.set_axis_off()
    return axes


def examples(
    photos: Photos,
    image_ids: Sequence[str] | None = None,
    n: int = 6,
    seed: int = 0,
    columns: int = 3,
) -> np.ndarray:
    """Photos with their boxes: `image_ids`, else `n` drawn by `seed`, evenly over the species."""
    ids = draw(photos.images, n, seed) if image_ids is None else list(image_ids)
    cells = []
    for image_id in ids:
        mine = photos.boxes[photos.boxes["image_id"] == image_id]
        cells.append(Cell(image_id, mine, f"{image_id}: {count(len(mine), 'box', 'boxes')}"))
    tall = max(float(np.median(_tall(photos.images, ids))), 0.3) if ids else 1.0
    return photo_grid(photos, cells, min(columns, len(ids) or 1), tall)


def truth_beside_prediction(
    photos: Photos,
    predictions: pd.DataFrame,
    image_ids: Sequence[str] | None = None,
    n: int = 4,
    seed: int = 0,
) -> np.ndarray:
    """Each photo twice: left its labels, right the predictions; (images, 2) Axes."""
    ids = draw(photos.images, n, seed) if image_ids is None else list(image_ids)
    cells = []
    for image_id in ids:
        sides = photos.boxes, predictions
        labels, found = (table[table["image_id"] == image_id] for table in sides)
        cells.append(Cell(image_id, labels, f"{image_id}: {len(labels)} labelled"))
        cells.append(Cell(image_id, found, f"{len(found)} predicted"))
    return photo_grid(photos, cells, 2, _tall(photos.images, ids))


def pairs(nearest: pd.DataFrame, photos: Photos, n: int = 3) -> np.ndarray:
    """The first `n` look-alikes of `nearest` (image_id, train_id, distance in bits): valid left,
    train right; (pairs, 2) Axes."""
    shown = nearest.head(n)[["image_id", "train_id", "distance"]]
    cells = []
    for valid, train, bits in shown.itertuples(index=False):
        cells.append(Cell(valid, None, f"valid: {valid}"))
        cells.append(Cell(train, None, f"train: {train}, {count(bits, 'bit')} apart"))
    valid_tall, train_tall = (_tall(photos.images, shown[k].tolist()) for k in shown.columns[:2])
    tall = [max(pair) for pair in zip(valid_tall, train_tall, strict=True)]
    return photo_grid(photos, cells, 2, tall, "no pairs to show")


def _tall(images: pd.DataFrame, image_ids: Sequence[str]) -> list[float]:
    """Height / width of these images."""
    rows = _rows(images, image_ids)
    return (rows["height_px"] / rows["width_px"]).tolist()


def draw(images: pd.DataFrame, n: int, seed: int = 0) -> list[str]:
    """`n` image ids drawn by `seed`, evenly over the species, in label order."""
    shuffled = images.sample(frac=1, random_state=seed)
    turn = shuffled.groupby("species").cumcount()
    picked = shuffled.assign(turn=turn).sort_values(["turn", "species"], kind="stable").head(n)
    order = {name: place for place, name in enumerate(style.in_label_order(images["species"]))}
    return picked.sort_values("species", key=lambda names: names.map(order), kind="stable")[
        "image_id"
    ].tolist()


def _rows(images: pd.DataFrame, image_ids: Sequence[str]) -> pd.DataFrame:
    """The rows of `images` with these ids, in order; LivestockError for others."""
    known = images.set_index("image_id", drop=False)
    absent = [image_id for image_id in image_ids if image_id not in known.index]
    if absent:
        raise LivestockError(
            f"image {absent[0]!r} is not in the images table ({len(images)} images); check the id"
        )
    return known.loc[list(image_ids)]
