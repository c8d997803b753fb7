"""Counts of the exploratory notebook as plain tables, with the original's bins (`eda.bins`).

Images without a box are kept in the counts; species come in label order.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.boxes import XYXY, area
from livestock_utils.core.errors import DatasetError
from livestock_utils.data.eda import bins, write_up

WINDOW = 25
"""Images around one, itself included, whose median box count is what one would expect of it."""


def by_species(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(name, rows) of each species of the table, in label order; unknown names come last, and
    photos of no species as "none"."""
    present = set(table["species"])
    order = [name for name in species.names() if name in present]
    return [
        (name or bins.NO_SPECIES, table[table["species"] == name])
        for name in order + sorted(present - set(order))
    ]


def species_counts(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """A row per species and "all": images, boxes, shares in [0, 1], boxes per image, empty_images.
    Boxes an image come as mean_boxes, median_boxes and max_boxes."""
    counts = boxes_per_image(images, boxes)
    groups = [(name, part["boxes"]) for name, part in by_species(counts)]
    groups += [("all", counts["boxes"])]
    own = {"all": len(boxes), **boxes["species"].value_counts()}
    rows = [
        {
            "species": name,
            "images": len(n),
            "images_share": _share(len(n), len(counts)),
            "boxes": int(own.get(name, 0)),
            "boxes_share": _share(own.get(name, 0), len(boxes)),
            "mean_boxes": n.mean() if len(n) else 0.0,
            "median_boxes": n.median() if len(n) else 0.0,
            "max_boxes": int(n.max()) if len(n) else 0,
            "empty_images": int((n == 0).sum()),
        }
        for name, n in groups
    ]
    return pd.DataFrame(rows)


def size_counts(images: pd.DataFrame, top: int = 5) -> pd.DataFrame:
    """Images of each frame size and species: species, size, width_px, height_px, images, share. The
    `top` commonest of a species come first, then one row "N other sizes" of width and height 0."""
    rows = []
    for name, part in by_species(images):
        sizes = part.groupby(["width_px", "height_px"], as_index=False).size()
        sizes = sizes.sort_values("size", ascending=False, kind="stable")
        shown = sizes if len(sizes) <= top + 1 else sizes.iloc[:top]
        rows += [
            (name, f"{w} x {h}", w, h, n, n / len(part))
            for w, h, n in shown.itertuples(index=False)
        ]
        if rest := len(sizes) - len(shown):
            n = int(sizes["size"].iloc[len(shown) :].sum())
            rows.append((name, f"{rest} other sizes", 0, 0, n, n / len(part)))
    return pd.DataFrame(
        rows, columns=["species", "size", "width_px", "height_px", "images", "share"]
    )


def boxes_per_image(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """A row per image, in the order of `images`: image_id, species, boxes (0 if empty)."""
    counts = images["image_id"].map(boxes["image_id"].value_counts()).fillna(0).astype(int)
    return images[["image_id", "species"]].assign(boxes=counts.to_numpy())


def count_histogram(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Images of each box count from 0 to the species' maximum: species, boxes, images."""
    rows = []
    for name, part in by_species(boxes_per_image(images, boxes)):
        tally = np.bincount(part["boxes"].to_numpy())
        rows += [(name, count, int(n)) for count, n in enumerate(tally)]
    return pd.DataFrame(rows, columns=["species", "boxes", "images"])


def count_bin_table(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Images with little, medium and many boxes: species, bin, boxes ("4-5"), images, share. The
    original's notebook has the names "medium" and "many" swapped; these are the true ones."""
    rows = []
    for name, part in by_species(boxes_per_image(images, boxes)):
        if name == bins.NO_SPECIES:
            continue
        low, high = species.by_name(name).count_bins
        middle = f"{low}-{high - 1}" if high - 1 > low else f"{low}"
        which = bins.count_bin(part["species"], part["boxes"])
        for label, text in zip(bins.COUNT_BINS, (f"< {low}", middle, f">= {high}"), strict=True):
            n = int((which == label).sum())
            rows.append((name, label, text, n, _share(n, len(part))))
    return pd.DataFrame(rows, columns=["species", "bin", "boxes", "images", "share"])


def ratio_table(boxes: pd.DataFrame) -> pd.DataFrame:
    """Boxes by shape (`bins.RATIO_BINS`): species, bin, boxes, share (of the species' boxes)."""
    return _binned(boxes, bins.ratio_bin(boxes), bins.RATIO_BINS)


def area_table(boxes: pd.DataFrame) -> pd.DataFrame:
    """Boxes by area (`bins.AREA_BINS`): species, bin, boxes, share (of the species' boxes)."""
    return _binned(boxes, bins.area_bin(boxes), bins.AREA_BINS)


def small_box_table(boxes: pd.DataFrame) -> pd.DataFrame:
    """The area bin "small" in detail: species, bin ("1-2k" ...), boxes, share of all."""
    return _binned(boxes, bins.small_bin(boxes), bins.SMALL_BINS)


def below_area(boxes: pd.DataFrame) -> pd.DataFrame:
    """Boxes of 1,000 to 4,000 px2: species, boxes, share (of the species' boxes). The write-up asks
    what dropping those under 4,000 px2 would lose."""
    areas = area(boxes[XYXY].to_numpy())
    inside = (areas >= 1000) & (areas < 4000)
    rows = []
    for name, part in by_species(boxes.assign(inside=inside)):
        n = int(part["inside"].sum())
        rows.append((name, n, _share(n, len(part))))
    return pd.DataFrame(rows, columns=["species", "boxes", "share"])


def empty_images(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """The rows of `images` that have no box."""
    return images[~images["image_id"].isin(boxes["image_id"])].reset_index(drop=True)


def coverage_map(
    images: pd.DataFrame, boxes: pd.DataFrame, columns: int = 96, rows: int = 54
) -> np.ndarray:
    """(rows, columns) grid over the frame: mean number of boxes that cover each cell's centre.
    Boxes are shares of their own frame, put down as differences at their corners and summed up once
    (the inverse of Crow's summed-area table, 1984), so time grows with boxes + cells."""
    strange = boxes.loc[~boxes["image_id"].isin(images["image_id"]), "image_id"]
    if len(strange):
        raise DatasetError(
            f"{len(strange)} boxes are of images that the images table lacks, the first of "
            f"{strange.iloc[0]!r}; pass the images that the boxes belong to"
        )
    grid = np.zeros((rows + 1, columns + 1))
    if len(boxes):
        frames = images.set_index("image_id")[["width_px", "height_px"]]
        frame = frames.loc[boxes["image_id"]].to_numpy(dtype=float)
        share = boxes[XYXY].to_numpy() / np.hstack([frame, frame])
        cell = np.ceil(share * [columns, rows, columns, rows] - 0.5).astype(int)
        cell = np.clip(cell, 0, [columns, rows, columns, rows])
        x0, y0, x1, y1 = cell.T
        for y, x, sign in ((y0, x0, 1), (y0, x1, -1), (y1, x0, -1), (y1, x1, 1)):
            np.add.at(grid, (y, x), sign)
    return grid.cumsum(axis=0).cumsum(axis=1)[:rows, :columns] / max(len(images), 1)


def covered_shares(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """The median share of its frame that a box takes: species, median_share (in [0, 1])."""
    frame = images.set_index("image_id")["width_px"] * images.set_index("image_id")["height_px"]
    frame = boxes["image_id"].map(frame).where(lambda px2: px2 > 0)
    share = pd.Series(area(boxes[XYXY].to_numpy()), index=boxes.index, name="median_share") / frame
    medians = share.groupby(boxes["species"], sort=False).median().dropna()
    return medians.rename("median_share").rename_axis("species").reset_index()


def densest_points(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Where boxes are densest: species, x and y as shares of the frame, and `quiet_share`.
    `quiet_share` is the part of the frame that sees less than a tenth of the densest point."""
    rows = []
    for name, mine in by_species(images):
        grid = coverage_map(mine, boxes[boxes["species"] == name])
        if grid.max() > 0:
            y, x = np.unravel_index(grid.argmax(), grid.shape)
            quiet = float((grid < grid.max() / 10).mean())
            rows.append((name, (x + 0.5) / grid.shape[1], (y + 0.5) / grid.shape[0], quiet))
    return pd.DataFrame(rows, columns=["species", "x", "y", "quiet_share"])


def highest_suspect_count(local_median: npt.ArrayLike) -> np.ndarray:
    """The largest suspect box count at this median: half of it, and 2 below; -1 for none."""
    median = np.asarray(local_median, dtype=float)
    return np.maximum(np.minimum(np.floor(median / 2), np.floor(median - 2)), -1).astype(int)


def completeness_hints(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """Images with few boxes for their surroundings: `boxes_per_image` + local_median, suspect.
    `local_median` is of the `WINDOW` images around (same species, by image_id). A hint for where to
    look, not a verdict: animals also leave the frame."""
    parts = []
    for _, part in by_species(boxes_per_image(images, boxes)):
        part = part.sort_values("image_id", kind="stable")
        local = part["boxes"].rolling(WINDOW, center=True, min_periods=1).median()
        low = part["boxes"] <= highest_suspect_count(local)
        parts.append(part.assign(local_median=local, suspect=low))
    if not parts:
        return boxes_per_image(images, boxes).assign(local_median=0.0, suspect=False)
    return pd.concat(parts, ignore_index=True)


def most_suspect(hints: pd.DataFrame, n: int = 3) -> list[str]:
    """Ids of the `n` suspect images that lack most boxes against their local median."""
    missing = (hints["local_median"] - hints["boxes"])[hints["suspect"]]
    most = missing.sort_values(ascending=False, kind="stable").index[:n]
    return hints.loc[most, "image_id"].tolist()


def completeness_table(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """A row per species: images, no_box, one_box, suspect, suspect_share of its images."""
    rows = []
    for name, part in by_species(completeness_hints(images, boxes)):
        n, suspects = len(part), int(part["suspect"].sum())
        no_box, one_box = (int((part["boxes"] == count).sum()) for count in (0, 1))
        rows.append((name, n, no_box, one_box, suspects, _share(suspects, n)))
    return pd.DataFrame(
        rows, columns=["species", "images", "no_box", "one_box", "suspect", "suspect_share"]
    )


def is_aihub_size(images: pd.DataFrame) -> bool:
    """True when each species has the write-up's number of images, within 2 %."""
    known = write_up.counts()["images"]
    counts = images["species"].value_counts()
    return all(abs(int(counts.get(name, 0)) - n) <= 0.02 * n for name, n in known.items())


def beside_write_up(images: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """The write-up's counts beside these: what, species, here, write_up, difference."""
    totals = species_counts(images, boxes).set_index("species")
    sizes = images.groupby(["species", "width_px", "height_px"]).size()
    strata = count_bin_table(images, boxes).set_index(["species", "bin"])["images"]
    small = below_area(boxes).set_index("species")["boxes"]
    rows = []
    for what, per_species in write_up.counts().items():
        for name, value in per_species.items():
            if what == "sizes":
                for w, h, n in value:
                    rows.append((f"images of {w} x {h}", name, sizes.get((name, w, h), 0), n))
            elif what == "strata":
                for label, n in value.items():
                    here = strata.get((name, label), 0)
                    rows.append((f"images with {label} boxes", name, here, n))
            elif what == "small_boxes":
                rows.append(("boxes of 1,000 to 4,000 px2", name, small.get(name, 0), value))
            else:
                rows.append((what.replace("_", " "), name, totals[what].get(name, 0), value))
    table = pd.DataFrame(rows, columns=["what", "species", "here", "write_up"])
    table = table.astype({"here": int, "write_up": int})
    return table.assign(difference=table["here"] - table["write_up"])


def _binned(boxes: pd.DataFrame, labels: pd.Series, order: tuple[str, ...]) -> pd.DataFrame:
    """Boxes of each species in each bin, in the order of the bins; empty bins are rows of 0."""
    rows = []
    for name, part in by_species(boxes.assign(bin=labels)):
        tally = part["bin"].value_counts()
        for label in order:
            rows.append((name, label, int(tally[label]), _share(tally[label], len(part))))
    return pd.DataFrame(rows, columns=["species", "bin", "boxes", "share"])


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
