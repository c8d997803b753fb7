"""Where a detector errs: labels and detections in groups (species, size, place, light, ...)."""

import io
import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
from PIL import Image

from livestock_utils.core import overlaps
from livestock_utils.core import species as classes
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ArchiveError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
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
_DETECTION_STATES = ("right", "loose or swapped", "false")
_CROWDING = ("alone", "touching", "overlapped")
"""Largest IoU with another label of the image: 0, up to .2, above."""
_PLACES = ("middle", "outer", "cut by the frame")
"""Centre in the middle of a 3 x 3 grid; elsewhere; a side within 1 % of the frame's edge."""
_LIGHT = ("dark third", "middle third", "bright third")
_FRAMES_SHOWN = 4


def attributes(
    boxes: pd.DataFrame,
    images: pd.DataFrame,
    neighbours: pd.DataFrame | None = None,
    light: pd.Series | None = None,
) -> pd.DataFrame:
    """The group of each box in every grouping of GROUPINGS, ordered categoricals. Crowding is
    counted against `neighbours` (labels; by default `boxes`), `light` is of `brightness`; boxes of
    images where it is NaN are in no group of it."""
    for known in (images["image_id"], *([] if light is None else [light.index])):
        inputs.require_known(boxes["image_id"], known, "boxes")
    frame = images.set_index("image_id").loc[boxes["image_id"]]
    width, height = (frame[name].to_numpy(float) for name in ("width_px", "height_px"))
    xyxy = boxes[XYXY].to_numpy(float)
    found = pd.DataFrame(index=boxes.index)
    found["species"] = _ordered(boxes["species"].to_numpy(object), classes.names())
    found["size"], found["shape"] = bins.area_bin(boxes), bins.ratio_bin(boxes)
    closest = _closest(boxes, neighbours)
    crowding = np.select([closest <= 0, closest <= 0.2], _CROWDING[:2], _CROWDING[2])
    found["crowding"] = _ordered(crowding, _CROWDING)
    x, y = (xyxy[:, 0] + xyxy[:, 2]) / 2 / width, (xyxy[:, 1] + xyxy[:, 3]) / 2 / height
    middle = (np.abs(x - 0.5) <= 1 / 6) & (np.abs(y - 0.5) <= 1 / 6)
    frame_xy = np.column_stack([width, height])
    cut = ((xyxy[:, :2] <= 0.01 * frame_xy) | (xyxy[:, 2:] >= 0.99 * frame_xy)).any(axis=1)
    place = np.select([cut, middle], [_PLACES[2], _PLACES[0]], _PLACES[1])
    found["place"] = _ordered(place, _PLACES)
    found["frame"] = _frames(frame, images)
    if light is not None:
        measured = light.dropna().to_numpy(float)
        own = np.asarray(light.loc[boxes["image_id"]], dtype=float)
        edges = np.quantile(measured, [1 / 3, 2 / 3]) if len(measured) else []
        third = np.where(np.isnan(own), 3, np.searchsorted(edges, own, side="right"))
        found["light"] = _ordered(np.array([*_LIGHT, None], dtype=object)[third], _LIGHT)
    return found


def brightness(photos: Photos) -> pd.Series:
    """Mean luminance in [0, 1] by image_id, from small decodes; NaN where a photo is damaged."""
    values = {}
    with photos.reader() as reader:
        for row in progress(photos.images.to_dict("records"), desc="brightness", unit="image"):
            try:
                data = reader.bytes(row["archive"], row["member"])
                with Image.open(io.BytesIO(data)) as opened:
                    opened.draft("L", (64, 64))
                    value = float(np.asarray(opened.convert("L")).mean()) / 255
            except (ArchiveError, OSError, SyntaxError, ValueError):  # PIL's for damaged files
                value = np.nan
            values[row["image_id"]] = value
    light = pd.Series(values, name="brightness", dtype=float).rename_axis("image_id")
    if damaged := light.index[light.isna()].tolist():
        text = "%d images cannot be decoded and have no brightness, the first is %s"
        log.warning(text, len(damaged), damaged[0])
    return light


def label_states(labels: pd.DataFrame) -> pd.Series:
    """LABEL_STATES of each label of `types.classify`; loose: only a mendable detection is near."""
    found, missed = labels["found"].to_numpy(bool), labels["missed"].to_numpy(bool)
    state = np.select([found, missed], LABEL_STATES[::2], LABEL_STATES[1])
    return pd.Series(_ordered(state, LABEL_STATES), index=labels.index)


def detection_states(detections: pd.DataFrame) -> pd.Series:
    """The _DETECTION_STATES of `types.classify`; "false": background, duplicate, or both."""
    error = detections["error"].to_numpy(object)
    mendable = np.isin(error, ["localisation", "classification"])
    state = np.select([error == "correct", mendable], _DETECTION_STATES[:2], _DETECTION_STATES[2])
    return pd.Series(_ordered(state, _DETECTION_STATES), index=detections.index)


def breakdown(groups: pd.DataFrame, states: pd.Series) -> pd.DataFrame:
    """One row a grouping and group: grouping, group, n, and the share of each state (sum 1)."""
    parts = []
    for grouping in groups.columns:
        # Boxes of damaged photos are in no group of light.
        known = groups[grouping].notna().to_numpy()
        counts = pd.crosstab(groups[grouping][known], states[known], dropna=False)
        counts = counts.reindex(columns=list(states.cat.categories), fill_value=0)
        counts = counts[counts.sum(axis=1) > 0]
        shares = counts.div(counts.sum(axis=1), axis=0)
        shares.insert(0, "n", counts.sum(axis=1).astype(int))
        shares.insert(0, "group", [str(name) for name in shares.index])
        shares.insert(0, "grouping", grouping)
        parts.append(shares.reset_index(drop=True))
    return pd.concat(parts, ignore_index=True).rename_axis(columns=None)


def gaps(table: pd.DataFrame, good: str, least: int = 20) -> pd.DataFrame:
    """How far the weakest and the strongest group of `least` boxes or more of each grouping lie
    apart in their share of `good`, with the gap's 95 % interval (Newcombe 1998, from Wilson's). The
    largest gap_low comes first, so that a wide gap between small groups does not win."""
    rows = []
    for grouping, mine in table[table["n"] >= least].groupby("grouping", sort=False):
        shares = mine[good].to_numpy(float)
        ends = [int(shares.argmin()), int(shares.argmax())]
        groups, n, share = (mine[name].iloc[ends].tolist() for name in ("group", "n", good))
        lows, highs = intervals.wilson(share, n)
        gap = share[1] - share[0]
        gap_low = gap - np.hypot(share[1] - lows[1], highs[0] - share[0])
        gap_high = min(gap + np.hypot(highs[1] - share[1], share[0] - lows[0]), 1.0)
        rows.append([grouping, *groups, *n, *share, gap, gap_low, gap_high])
    sides = [f"{end}{what}" for what in ("", "_n", "_share") for end in ("weakest", "strongest")]
    found = pd.DataFrame(rows, columns=["grouping", *sides, "gap", "gap_low", "gap_high"])
    return found.sort_values("gap_low", ascending=False, kind="stable", ignore_index=True)


def calibration(detections: pd.DataFrame, least_confidence: float = 0.1) -> pd.DataFrame:
    """Confidence against the share that is right with its interval, by species and tenth. Below
    `least_confidence` hundreds of faint ones an image would drown the rest. `error` is the species'
    expected calibration error (mean |confidence - right|, weighted by n), `lean` the mean of
    confidence - right."""
    iou_threshold = detections.attrs.get("iou_threshold")
    detections = detections[detections["confidence"] >= least_confidence]
    edges = np.clip((detections["confidence"].to_numpy(float) * 10).astype(int), 0, 9)
    table = detections.assign(bin=edges, right=(detections["error"] == "correct").to_numpy(float))
    grouped = table.groupby(["species", "bin"], observed=True)
    result = grouped.agg(
        confidence=("confidence", "mean"), right=("right", "mean"), n=("right", "size")
    )
    result = result.reset_index("bin", drop=True).reset_index()
    species, n = result["species"], result["n"]
    off = result["confidence"] - result["right"]
    for name, values in (("error", off.abs()), ("lean", off)):
        mean = (values * n).groupby(species).sum() / n.groupby(species).sum()
        result[name] = species.map(mean).astype(float)
    result["low"], result["high"] = intervals.wilson(result["right"], n)
    result.attrs["iou_threshold"] = iou_threshold
    return result


def counts_by_part(parts: Mapping[str, Photos]) -> pd.DataFrame:
    """Boxes of each photo of named parts: columns part, image_id, species, boxes."""
    rows = []
    for name, photos in parts.items():
        number = photos.images["image_id"].map(photos.boxes["image_id"].value_counts())
        table = photos.images[["image_id", "species"]].assign(boxes=number.fillna(0).astype(int))
        table.insert(0, "part", name)
        rows.append(table)
    return pd.concat(rows, ignore_index=True)


def parts_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Images, boxes and quartiles of boxes an image by part and species, from `counts_by_part`."""
    grouped = counts.groupby(["part", "species"], sort=False)["boxes"]
    table = grouped.agg(images="size", boxes="sum", mean="mean", median="median", most="max")
    return table.reset_index()


def _ordered(values: np.ndarray, order: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical(values, categories=list(order), ordered=True)


def _closest(boxes: pd.DataFrame, neighbours: pd.DataFrame | None) -> np.ndarray:
    """Largest IoU of each box with another label of its image; a detection's own is no other."""
    first, second, iou = overlaps.pairs(boxes, boxes if neighbours is None else neighbours)
    if neighbours is None:
        return overlaps.largest(np.where(first == second, 0, iou), first, len(boxes))
    # A detection's own is the label that it overlaps most, from MATCHED_IOU on.
    best = overlaps.largest(iou, first, len(boxes))[first]
    own = (iou >= best) & (best >= MATCHED_IOU)
    return overlaps.largest(np.where(own, 0, iou), first, len(boxes))


def _frames(frame: pd.DataFrame, images: pd.DataFrame) -> pd.Categorical:
    """Frame sizes as text, the commonest few, the rest as "other"."""

    def text(table: pd.DataFrame) -> pd.Series:
        width, height = (table[name].astype(int).astype(str) for name in ("width_px", "height_px"))
        return width + " × " + height

    common = text(images).value_counts().index[:_FRAMES_SHOWN].tolist()
    names = text(frame).to_numpy(object)
    return _ordered(np.where(np.isin(names, common), names, "other"), (*common, "other"))
