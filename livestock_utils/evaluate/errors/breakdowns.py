"""Where a detector errs: labels and detections in groups (species, size, shape, crowding, place,
frame, light)."""

import io
import logging
import os

import numpy as np
import pandas as pd
from PIL import Image

from livestock_utils.core import overlaps
from livestock_utils.core import species as classes
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ArchiveError, DatasetError, ScoringError
from livestock_utils.core.progress import progress
from livestock_utils.core.text import first_up, percent
from livestock_utils.data.eda import bins
from livestock_utils.evaluate.errors import inputs
from livestock_utils.evaluate.labels.features import MATCHED_IOU
from livestock_utils.evaluate.scoring import intervals

log = logging.getLogger(__name__)

GROUPINGS = {
    "species": "species",
    "size": "box size",
    "shape": "box shape",
    "crowding": "crowding",
    "place": "place in the frame",
    "frame": "image size",
    "light": "brightness of the image",
}
"""Columns of `attributes` and what they are called in a figure."""
LABEL_STATES = ("found", "loose or swapped", "missed")
DETECTION_STATES = ("right", "loose or swapped", "false")
CROWDING = ("alone", "touching", "overlapped")
"""Largest IoU with another label of the image: 0, up to .2, above."""
PLACES = ("middle", "outer", "cut by the frame")
"""Centre in the middle of a 3 x 3 grid, elsewhere, or within 1 % of the frame's edge with a
side."""
LIGHT = ("dark third", "middle third", "bright third")
_FRAMES_SHOWN = 4


def check(images: pd.DataFrame, boxes: pd.DataFrame, predictions: pd.DataFrame) -> None:
    """Raise ScoringError or DatasetError, in one line, for tables that an analysis cannot use."""
    if predictions.empty:
        raise ScoringError(
            "there are no predictions: check the weights, or lower the confidence threshold"
        )
    inputs.require_predictions(predictions, images)
    without = sorted(set(images["species"]) - set(boxes["species"]))
    if without:
        raise DatasetError(
            f"there is not a single label of {without[0]}: nothing to compare predictions with; "
            "label some, or leave its images out"
        )


def brightness(images: pd.DataFrame, folder: str | os.PathLike) -> pd.Series:
    """Mean luminance in [0, 1] of each image (Series by image_id), from small decodes; `folder` as
    for `archive`.

    NaN for images that cannot be decoded, which one logged line counts.
    """
    values, damaged = [], []
    with ImageReader(folder) as reader:
        for row in progress(images.to_dict("records"), desc="brightness", unit="image"):
            try:
                with Image.open(io.BytesIO(reader.bytes(row["archive"], row["member"]))) as opened:
                    opened.draft("L", (64, 64))
                    values.append(float(np.asarray(opened.convert("L")).mean()) / 255)
            except (ArchiveError, OSError, SyntaxError, ValueError):  # PIL's for damaged files
                values.append(np.nan)
                damaged.append(row["image_id"])
    if damaged:
        log.warning(
            "%d images cannot be decoded and have no brightness, the first is %s",
            len(damaged),
            damaged[0],
        )
    return pd.Series(
        values, index=pd.Index(images["image_id"], name="image_id"), name="brightness", dtype=float
    )


def attributes(
    boxes: pd.DataFrame,
    images: pd.DataFrame,
    neighbours: pd.DataFrame | None = None,
    light: pd.Series | None = None,
) -> pd.DataFrame:
    """The group of each box in every grouping of GROUPINGS, ordered categoricals, with the index of
    `boxes`.

    Crowding is counted against `neighbours` (labels; by default `boxes` themselves: a box is not
    its own neighbour). `light` is from `brightness`; without it that column is left out. Boxes of
    images whose brightness is NaN are in no group of it. Raises ScoringError for boxes of images
    that are not in `images` or `light`.
    """
    for known in (images["image_id"], *([] if light is None else [light.index])):
        inputs.require_known(boxes["image_id"], known, "boxes")
    frame = images.set_index("image_id").loc[boxes["image_id"]]
    width, height = (frame[name].to_numpy(float) for name in ("width_px", "height_px"))
    xyxy = boxes[XYXY].to_numpy(float)
    found = pd.DataFrame(index=boxes.index)
    found["species"] = _ordered(boxes["species"].to_numpy(object), classes.names())
    found["size"], found["shape"] = bins.area_bin(boxes), bins.ratio_bin(boxes)
    closest = _closest(boxes, neighbours)
    found["crowding"] = _ordered(
        np.select([closest <= 0, closest <= 0.2], CROWDING[:2], CROWDING[2]), CROWDING
    )
    x, y = (xyxy[:, 0] + xyxy[:, 2]) / 2 / width, (xyxy[:, 1] + xyxy[:, 3]) / 2 / height
    middle = (np.abs(x - 0.5) <= 1 / 6) & (np.abs(y - 0.5) <= 1 / 6)
    cut = (
        (xyxy[:, 0] <= 0.01 * width)
        | (xyxy[:, 1] <= 0.01 * height)
        | (xyxy[:, 2] >= 0.99 * width)
        | (xyxy[:, 3] >= 0.99 * height)
    )
    found["place"] = _ordered(np.select([cut, middle], [PLACES[2], PLACES[0]], PLACES[1]), PLACES)
    found["frame"] = _frames(frame, images)
    if light is not None:
        measured, own = (
            light.dropna().to_numpy(float),
            np.asarray(light.loc[boxes["image_id"]], dtype=float),
        )
        third = np.searchsorted(
            np.quantile(measured, [1 / 3, 2 / 3]) if len(measured) else [], own, side="right"
        )
        found["light"] = _ordered(
            np.array([*LIGHT, None], dtype=object)[np.where(np.isnan(own), 3, third)], LIGHT
        )
    return found


def label_states(labels: pd.DataFrame) -> pd.Series:
    """LABEL_STATES of each label of `error_types.classify`: matched; only a mendable detection is
    near; nothing is."""
    state = np.where(
        labels["found"],
        LABEL_STATES[0],
        np.where(labels["missed"], LABEL_STATES[2], LABEL_STATES[1]),
    )
    return pd.Series(_ordered(state, LABEL_STATES), index=labels.index)


def detection_states(detections: pd.DataFrame) -> pd.Series:
    """DETECTION_STATES of each detection of `error_types.classify`; "false": background, duplicate,
    or both wrong."""
    error = detections["error"].to_numpy(object)
    mendable = np.isin(error, ["localisation", "classification"])
    state = np.select([error == "correct", mendable], DETECTION_STATES[:2], DETECTION_STATES[2])
    return pd.Series(_ordered(state, DETECTION_STATES), index=detections.index)


def breakdown(groups: pd.DataFrame, states: pd.Series) -> pd.DataFrame:
    """One row a grouping and group that occurs: grouping, group, n, and the share of each state
    (they sum to 1)."""
    parts = []
    for grouping in groups.columns:
        known = (
            groups[grouping].notna().to_numpy()
        )  # boxes of damaged photos are in no group of light
        counts = pd.crosstab(groups[grouping][known], states[known], dropna=False)
        counts = counts.reindex(columns=list(states.cat.categories), fill_value=0)
        total = counts.sum(axis=1)
        shares = counts[total > 0].div(total[total > 0], axis=0)
        shares.insert(0, "n", total[total > 0].astype(int))
        shares.insert(0, "group", [str(name) for name in shares.index])
        shares.insert(0, "grouping", grouping)
        parts.append(shares.reset_index(drop=True))
    table = pd.concat(parts, ignore_index=True)
    table.columns.name = None
    return table


def breakdown_sentence(table: pd.DataFrame, good: str, least: int = 20) -> str:
    """The grouping that parts the boxes most surely, and its weakest and strongest group of `least`
    boxes or more.

    Most surely: the lower end of the 95 % interval of the difference (Newcombe 1998, from Wilson's)
    is the largest, so a wide gap between small groups does not win.
    """
    found = []
    for grouping, rows in table[table["n"] >= least].groupby("grouping", sort=False):
        low, high = (
            rows.iloc[int(pick)]
            for pick in (rows[good].to_numpy().argmin(), rows[good].to_numpy().argmax())
        )
        ends = [intervals.wilson(row[good], row["n"]) for row in (low, high)]
        gap = float(high[good] - low[good])
        down = float(np.hypot(high[good] - ends[1][0], ends[0][1] - low[good]))
        up = float(np.hypot(ends[1][1] - high[good], low[good] - ends[0][0]))
        found.append((gap - down, gap, min(gap + up, 1.0), str(grouping), low, high))
    if not found or max(row[1] for row in found) <= 0:
        return f"No grouping tells boxes apart: there are too few groups of at least {least}."
    sure, gap, most, grouping, low, high = max(found, key=lambda row: row[0])
    text = (
        f"{percent(low[good])} {good} where it is “{low['group']}” (n = {low['n']:,}) against "
        f"{percent(high[good])} where it is “{high['group']}” (n = {high['n']:,}), {gap * 100:.0f} "
        f"points apart (95 % interval {sure * 100:.0f} to {most * 100:.0f})"
    )
    if sure <= 0:
        return (
            f"No grouping parts them beyond chance; the nearest to it is {GROUPINGS[grouping]}: "
            f"{text}."
        )
    return f"What parts them most surely is {GROUPINGS[grouping]}: {text}."


def calibration(
    detections: pd.DataFrame, n_bins: int = 10, least_confidence: float = 0.1
) -> pd.DataFrame:
    """Confidence against the share that is right, by species and bin of equal width.

    Detections below `least_confidence` are left out: hundreds of faint ones an image would drown
    the rest. Columns species, confidence (mean in the bin), right (share with error "correct"), n,
    low and high (95 % interval of right, see `intervals.wilson`); empty bins are left out.
    `attrs["error"]` maps each species to its expected calibration error (mean |confidence - right|,
    weighted by n), `attrs["iou_threshold"]` is that of `classify`.
    """
    iou_threshold = detections.attrs.get("iou_threshold")
    detections = detections[detections["confidence"] >= least_confidence]
    edges = np.clip((detections["confidence"].to_numpy(float) * n_bins).astype(int), 0, n_bins - 1)
    table = detections.assign(bin=edges, right=(detections["error"] == "correct").to_numpy(float))
    grouped = table.groupby(["species", "bin"], observed=True)
    result = grouped.agg(
        confidence=("confidence", "mean"), right=("right", "mean"), n=("right", "size")
    ).reset_index()
    off = (result["confidence"] - result["right"]).abs() * result["n"]
    error = off.groupby(result["species"]).sum() / result.groupby("species")["n"].sum()
    result = result.drop(columns="bin")
    result["low"], result["high"] = intervals.wilson(result["right"], result["n"])
    result.attrs = {
        "error": {str(name): float(value) for name, value in error.items()},
        "iou_threshold": iou_threshold,
    }
    return result


def calibration_sentence(table: pd.DataFrame) -> str:
    """How far the confidences are from what they promise, by species, and whether that is too much
    or too little."""
    parts = []
    for name, rows in table.groupby("species", sort=False):
        gap = float(((rows["confidence"] - rows["right"]) * rows["n"]).sum() / rows["n"].sum())
        error = table.attrs["error"][str(name)]
        # Where the signed mean is much the smaller, bins that promise too much cancel those that
        # promise too little.
        lean = (
            "promise too much in some bins and too little in others"
            if abs(gap) < error / 2
            else "promise too much"
            if gap > 0
            else "promise too little"
        )
        parts.append(
            f"{name} confidences {lean}: {error * 100:.1f} points away from the share that is "
            f"right in the mean (expected calibration error {error:.3f}), {gap * 100:+.1f} points "
            "when over and under cancel"
        )
    text = "; ".join(parts) or "there are no detections"
    return f"{first_up(text)}."


def costs_sentence(table: pd.DataFrame) -> str:
    """The costliest error type of `error_types.ap_lost`, and the next; says so where no error costs
    anything."""
    main = table[~table["error"].str.startswith("false ")].sort_values(
        "ap_lost", ascending=False, kind="stable"
    )
    first, second = main.iloc[0], main.iloc[1]
    start = f"From an AP of {table.attrs['ap']:.3f} (101 points{at_iou(table, ', IoU')})"
    if not main["count"].any():
        return f"{start} there are no errors to mend."
    if first["ap_lost"] <= 0:
        return (
            f"{start}, no error costs anything: all {int(main['count'].sum()):,} rank behind what "
            "is right."
        )
    return (
        f"{start}, the costliest error is **{first['error']}**: mending it alone would add "
        f"{first['ap_lost']:.3f}; next comes {second['error']} with {second['ap_lost']:.3f}."
    )


def at_iou(table: pd.DataFrame, before: str) -> str:
    """The threshold that a table of errors was made with, after `before`: " at IoU 0.75"; "" where
    it is not known."""
    threshold = table.attrs.get("iou_threshold")
    return "" if threshold is None else f"{before} {threshold:g}"


def counts_by_part(parts: dict[str, tuple[pd.DataFrame, pd.DataFrame]]) -> pd.DataFrame:
    """Boxes of each image: columns part, image_id, species, boxes; `parts` maps a name to (images,
    boxes)."""
    rows = []
    for name, (images, boxes) in parts.items():
        number = images["image_id"].map(boxes["image_id"].value_counts()).fillna(0).astype(int)
        rows.append(
            pd.DataFrame(
                {
                    "part": name,
                    "image_id": images["image_id"].to_numpy(),
                    "species": images["species"].to_numpy(),
                    "boxes": number.to_numpy(),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def parts_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Images, boxes and quartiles of boxes an image by part and species, from `counts_by_part`."""
    grouped = counts.groupby(["part", "species"], sort=False)["boxes"]
    table = grouped.agg(
        images="size", boxes="sum", mean="mean", median="median", most="max"
    ).reset_index()
    return table


def parts_sentence(counts: pd.DataFrame) -> str:
    """How far the parts' mean box counts lie apart, by species."""
    means = counts.groupby(["species", "part"], sort=False)["boxes"].mean().unstack("part")
    parts = [
        f"{name} images hold "
        + " against ".join(f"{value:.1f} boxes in {part}" for part, value in row.items())
        for name, row in means.iterrows()
    ]
    return "On average " + "; ".join(parts) + "."


def _ordered(values: np.ndarray, order: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical(values, categories=list(order), ordered=True)


def _closest(boxes: pd.DataFrame, neighbours: pd.DataFrame | None) -> np.ndarray:
    """Largest IoU of each box with another label of its image; a detection's own label, if it has
    one, is no other."""
    others = boxes if neighbours is None else neighbours
    first, second = overlaps.same_image(
        *overlaps.image_codes(boxes["image_id"], others["image_id"])
    )
    iou = overlaps.overlaps(
        boxes[XYXY].to_numpy(float), others[XYXY].to_numpy(float), first, second
    )[0]
    if neighbours is None:
        return overlaps.largest(np.where(first == second, 0, iou), first, len(boxes))
    # A detection belongs to the label that it overlaps most, from MATCHED_IOU on; to a false one
    # all are others.
    best = overlaps.largest(iou, first, len(boxes))[first]
    return overlaps.largest(
        np.where((iou >= best) & (best >= MATCHED_IOU), 0, iou), first, len(boxes)
    )


def _frames(frame: pd.DataFrame, images: pd.DataFrame) -> pd.Categorical:
    """Frame sizes as text, the commonest few, the rest as "other"."""

    def text(table: pd.DataFrame) -> pd.Series:
        return (
            table["width_px"].astype(int).astype(str)
            + " × "
            + table["height_px"].astype(int).astype(str)
        )

    common = text(images).value_counts().index[:_FRAMES_SHOWN].tolist()
    names = text(frame).to_numpy(object)
    return _ordered(np.where(np.isin(names, common), names, "other"), (*common, "other"))
