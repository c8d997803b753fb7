"""Scores of detections: the contest's number, COCO's and yolov5's, by class.

A definition is a matching rule (`matching`) and an AP (`average_precision`). `contest_score` equals
map-boxes' `mean_average_precision_for_boxes` on sorted input, whatever the order of rows here.
"""

import dataclasses
import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import species
from livestock_utils.core.arrays import Array, Flags, Floats, Places
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import average_precision, contest, matching

log = logging.getLogger(__name__)

COCO_THRESHOLDS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
DEFINITIONS = {
    "contest": "best-overlap match, all-points AP; false positives on images without any answer "
    "cost nothing",
    "coco": "next-best free match, 101-point AP, 100 detections an image and class; every image "
    "counts",
    "yolov5": "best-overlap match, interpolated 101-point AP; every image counts",
}


def contest_score(
    answers: pd.DataFrame,
    predictions: pd.DataFrame,
    iou_threshold: float = 0.75,
    normaliser: str = "contest",
    images: pd.DataFrame | None = None,
    units: str = "px",
) -> tuple[float, dict[str, float]]:
    """The contest's score: mean over classes of the all-points AP at one IoU.

        mean_ap, by_class = lu.contest_score(pandas.read_csv("answer.csv"), predictions)

    As in map-boxes: boxes are cast to float32, a detection is tried only against the answer that it
    overlaps best, there is no cap on detections, and false positives on images or classes that the
    answers lack cost nothing. Detections go by descending confidence; equal confidences by image
    id, then x_min, x_max, y_min, y_max; of answers overlapped equally the first by the same corners
    is tried. Ids in the column ImageID compare as text: "a.JPG" is not "a.jpg", which is logged;
    those of our tables count without their file suffix.

    Args:
        answers: the contest's columns (ImageID, LabelName, XMin, XMax, YMin, YMax), as shares of
            the frame.
        predictions: the same with Conf, or our table (image_id, species, confidence, x_min, ...),
            in pixels. Without rows the score is 0.
        iou_threshold: from this overlap on a detection is right, in (0, 1].
        normaliser: frames that pixels are divided by: "contest" takes constants of the image's
            species, "image" the true size in `images`.
        images: image_id, width_px, height_px.
        units: of the predictions, "px" or "shares" (divided already).

    Returns:
        (mean AP, {class: AP}), shares of 1.

    Raises:
        ScoringError: for tables it cannot take, naming the row.
    """
    matches = contest_matches(answers, predictions, normaliser, images, units)
    if doubt := _spelling_doubt(answers, predictions):
        log.warning("%s", doubt)
    per_class = average_precisions(matches, iou_threshold)
    return float(np.mean(list(per_class.values()))), per_class


def contest_matches(
    answers: pd.DataFrame,
    predictions: pd.DataFrame,
    normaliser: str = "contest",
    images: pd.DataFrame | None = None,
    units: str = "px",
) -> matching.Matches:
    """The matched arrays behind `contest_score`: one pass, then any threshold, mask or draw."""
    truth, found, image, xyxy = _contest_arrays(answers, predictions, normaliser, images, units)
    labels = truth.label, truth.image, truth.xyxy
    detections = found.label, image, xyxy, found.confidence
    sides = matching.sort_sides(species.names(), truth.image_ids, labels, detections)
    return matching.match_best(sides)


def file_order_score(
    answers: pd.DataFrame,
    predictions: pd.DataFrame,
    iou_threshold: float = 0.75,
    normaliser: str = "contest",
    images: pd.DataFrame | None = None,
    units: str = "px",
) -> float:
    """What map-boxes gives for the rows as they stand: inside an image detections take answers in
    the order of the rows, not by confidence."""
    check_threshold(iou_threshold)
    truth, found, image, xyxy = _contest_arrays(answers, predictions, normaliser, images, units)
    first_row = np.full(len(truth.image_ids), len(truth.image))
    np.minimum.at(first_row, truth.image, np.arange(len(truth.image)))
    answer = np.lexsort((truth.image, truth.label))  # stable: rows of an image stay in their order
    row = np.flatnonzero(image >= 0)
    row = row[np.lexsort((row, first_row[image[row]], found.label[row]))]
    ranked: list[Any] = [side[answer] for side in (truth.label, truth.image, truth.xyxy)]
    ranked += [*(side[row] for side in (found.label, image, xyxy, found.confidence)), row]
    sides = matching.Sides(species.names(), truth.image_ids, *ranked)
    is_hit = matching.hits(matching.match_best(sides), iou_threshold)
    scores = []
    for code in np.unique(truth.label):
        mine = sides.detection_class == code
        # Unstable, as there: equal ones may swap.
        order = np.argsort(-sides.confidence[mine].astype(np.float32))
        labels = int((truth.label == code).sum())
        scores.append(average_precision.average_precision(is_hit[mine][order], labels, "contest"))
    return float(np.mean(scores))


def average_precisions(
    matches: matching.Matches, iou_threshold: float = 0.75, kept: npt.ArrayLike | None = None
) -> dict[str, float]:
    """AP of each class that has answers, from matched arrays; `kept` (n,) masks detections."""
    is_hit = matching.hits(matches, check_threshold(iou_threshold), kept)
    used = np.ones(len(is_hit), dtype=bool) if kept is None else np.asarray(kept, dtype=bool)
    found = {}
    for code, name in enumerate(matches.classes):
        if n_answers := matches.n_answers[code].sum():
            mine = is_hit[used & (matches.detection_class == code)]
            found[name] = average_precision.average_precision(mine, n_answers)
    return found


def contest_table(matches: matching.Matches, iou_threshold: float = 0.75) -> pd.DataFrame:
    """The contest's AP from matched arrays, "all" (the mean) and each class: images, labels,
    AP50, AP75, AP50-95, and one more where `iou_threshold` is another."""
    columns = {"AP50": [0.5], "AP75": [0.75], "AP50-95": list(COCO_THRESHOLDS)}
    columns.setdefault(f"AP{100 * iou_threshold:g}", [iou_threshold])
    table = pd.DataFrame()
    for name, levels in columns.items():
        table[name] = pd.DataFrame([average_precisions(matches, at) for at in levels]).mean()
    table = pd.concat([table.mean().to_frame("all").T, table])
    counts = dict(zip(matches.classes, matches.n_answers, strict=True))
    counts["all"] = matches.n_answers.sum(axis=0)
    table.insert(0, "images", [int((counts[name] > 0).sum()) for name in table.index])
    table.insert(1, "labels", [int(counts[name].sum()) for name in table.index])
    table.index.name = "class"
    return table


def table_sides(
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    images: pd.DataFrame | None = None,
    definition: str = "contest",
) -> matching.Sides:
    """Our two tables (px) as sorted arrays; `images` says which images are scored, else the tables.
    The contest never looks at images without an answer."""
    if definition not in DEFINITIONS:
        raise ScoringError(f"definition must be one of {list(DEFINITIONS)}, got {definition!r}")
    truth = contest.read_boxes(boxes, "boxes", with_confidence=False)
    found = contest.read_boxes(predictions, "predictions", with_confidence=True)
    contest.check_units(found, "px")
    scored = np.union1d(truth.image_ids, found.image_ids)
    if images is not None:
        scored = np.unique(contest.stems(images))
        _check_one_set(scored, found)
    if definition == "contest":
        scored = np.intersect1d(scored, truth.image_ids)
    place = pd.Index(scored).get_indexer(pd.Index(truth.image_ids))
    inside = place[truth.image] >= 0
    cast = np.float32 if definition == "yolov5" else np.float64
    return matching.sort_sides(
        species.names(),
        scored,
        (truth.label[inside], place[truth.image[inside]], truth.xyxy[inside].astype(cast)),
        (found.label, _index_in(scored, found), found.xyxy.astype(cast), found.confidence),
    )


def per_class_table(
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    images: pd.DataFrame | None = None,
    definition: str = "contest",
    iou_threshold: float = 0.75,
) -> pd.DataFrame:
    """`lu.score` for tables in px; `images` says which photos are scored."""
    sides = table_sides(boxes, predictions, images, definition)
    asked = f"mAP{100 * check_threshold(iou_threshold):g}"
    is_hit, counted = _found(sides, definition, [*COCO_THRESHOLDS, iou_threshold])
    curves, rows = {}, {}
    for code, name in enumerate(sides.classes):
        labels = int((sides.answer_class == code).sum())
        if not labels:
            continue
        mine = counted & (sides.detection_class == code)
        hits = is_hit[:, mine]
        aps = [average_precision.average_precision(row, labels, definition) for row in hits]
        curves[name] = (sides.confidence[mine], hits[0], labels)
        holding = len(np.unique(sides.answer_image[sides.answer_class == code]))
        rows[name] = [holding, labels, aps[0], aps[5], float(np.mean(aps[:-1])), aps[-1]]
    confidence, at_best = average_precision.best_f1(curves)
    scores = {name: [*at_best[name], *row[2:]] for name, row in rows.items()}
    whole = np.mean(list(scores.values()), axis=0).tolist() if rows else [np.nan] * 6
    lines = {"all": [len(sides.image_ids), len(sides.answer_class), *whole]}
    lines |= {name: [*row[:2], *scores[name]] for name, row in rows.items()}
    columns = ["images", "labels", "P", "R", "mAP50", "mAP75", "mAP50-95", asked]
    index = pd.Index(list(lines), name="class")
    table = pd.DataFrame(list(lines.values()), index, columns)
    table = table.loc[:, ~table.columns.duplicated()]
    table.attrs = {"definition": definition, "description": DEFINITIONS[definition]}
    table.attrs["confidence_at_best_f1"] = confidence
    return table


def pr_curves(
    boxes: pd.DataFrame,
    predictions: pd.DataFrame,
    images: pd.DataFrame | None = None,
    iou_thresholds: Iterable[float] = (0.5, 0.75),
    definition: str = "contest",
) -> pd.DataFrame:
    """Precision-recall curves as a long table, one row a detection by falling confidence; envelope
    is the highest precision at this recall or later."""
    sides = table_sides(boxes, predictions, images, definition)
    thresholds = [check_threshold(value) for value in iou_thresholds]
    is_hit, counted = _found(sides, definition, thresholds)
    columns = ["species", "iou_threshold", "confidence", "recall", "precision", "envelope"]
    parts = []
    for code, name in enumerate(sides.classes):
        labels = int((sides.answer_class == code).sum())
        mine = counted & (sides.detection_class == code)
        for threshold, level in zip(thresholds, is_hit, strict=True):
            if labels:
                precision, recall = average_precision.precision_recall(level[mine], labels)
                height = average_precision.envelope(precision)
                values = [name, threshold, sides.confidence[mine], recall, precision, height]
                parts.append(pd.DataFrame(dict(zip(columns, values, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def normaliser_doubt(
    answers: pd.DataFrame,
    predictions: pd.DataFrame,
    normaliser: str = "contest",
    images: pd.DataFrame | None = None,
) -> str | None:
    """A line if AP50 by the other normaliser is more than twice as high and .1 higher, else None;
    needs `images` with known sizes."""
    if images is None or not (images[["width_px", "height_px"]] > 0).all(axis=None):
        return None
    other = next(name for name in contest.NORMALISERS if name != normaliser)
    try:
        means = [
            contest_score(answers, predictions, 0.5, kind, images)[0]
            for kind in (normaliser, other)
        ]
    except ScoringError:  # the contest's frames need ids that tell the species
        return None
    if means[1] <= max(2 * means[0], means[0] + 0.1):
        return None
    frames = "the true frames" if other == "image" else "the contest frames"
    return (
        f"with normaliser '{normaliser}' mAP50 is {means[0]:.3f}, with '{other}' {means[1]:.3f}: "
        f"these answers are divided by {frames}; set normaliser '{other}'"
    )


def _spelling_doubt(answers: pd.DataFrame, predictions: pd.DataFrame) -> str | None:
    """A line if images are spelled otherwise than in the answers (ids compare as text), or None."""
    if "ImageID" not in answers or "ImageID" not in predictions:
        return None
    ids = pd.Series(predictions["ImageID"].dropna().astype(str).unique())
    expected = contest.spelt_as(ids, answers)
    if not (others := ids[ids != expected]).size:
        return None
    return (
        f"{len(others)} of {len(ids)} predicted images are spelled otherwise in the answers "
        f"(first: {others.iloc[0]!r}, there {expected[others.index[0]]!r}): ids compare as text, "
        "so their detections find nothing; spell them as there"
    )


def check_threshold(iou_threshold: float) -> float:
    """`iou_threshold` itself; raises ScoringError when it is not above 0 and at most 1."""
    if not 0 < iou_threshold <= 1:
        raise ScoringError(f"iou_threshold must be above 0 and at most 1, got {iou_threshold}")
    return float(iou_threshold)


def _found(sides: matching.Sides, definition: str, thresholds: list[float]) -> tuple[Flags, Flags]:
    """Hits (thresholds, n) by a definition's rule, and which detections it looks at (n,)."""
    if definition == "coco":
        return matching.match_coco(sides, thresholds)
    matches = matching.match_best(sides, epsilon=1e-7 if definition == "yolov5" else 0.0)
    is_hit = np.array([matching.hits(matches, level) for level in thresholds])
    return is_hit, np.ones(len(sides.row), dtype=bool)


def _contest_arrays(
    answers: pd.DataFrame,
    predictions: pd.DataFrame,
    normaliser: str,
    images: pd.DataFrame | None,
    units: str,
) -> tuple[contest.BoxArrays, contest.BoxArrays, Places, Floats]:
    """Checked answers and predictions, the index of each prediction's image, its boxes as shares.
    map-boxes casts boxes to float32 and computes in float64; doing the same keeps the numbers equal
    at the threshold."""
    as_text = "ImageID" in answers and "ImageID" in predictions
    truth = contest.read_boxes(answers, "answers", False, as_text)
    found = contest.read_boxes(predictions, "predictions", True, as_text)
    if not len(truth.image):
        raise ScoringError("the answers hold no boxes: there is nothing to score against")
    contest.check_answers_are_shares(truth)
    contest.check_units(found, units)
    _check_one_set(truth.image_ids, found)
    image = _index_in(truth.image_ids, found)
    xyxy = found.xyxy
    if units == "px":
        sizes = np.ones((len(truth.image_ids), 2))  # without predictions it may be unknown
        used = np.unique(image[image >= 0])
        sizes[used] = contest.frame_sizes(truth.image_ids[used], normaliser, images, truth)
        xyxy = xyxy / np.tile(sizes, 2)[image]
    truth = dataclasses.replace(truth, xyxy=_float32(truth.xyxy))
    return truth, found, image, _float32(xyxy)


def _check_one_set(image_ids: Array, found: contest.BoxArrays) -> None:
    """Raise ScoringError when there are predictions and not one is of a known image."""
    stems = [*map(contest.image_stem, found.image_ids)]
    if len(stems) and not np.isin(stems, [*map(contest.image_stem, image_ids)]).any():
        raise ScoringError(
            f"answers and predictions are of different sets: none of the {len(found.image_ids)} "
            f"predicted images (first: {found.image_ids[0]}) is among the {len(image_ids)} scored; "
            "pass tables of one set"
        )


def _index_in(image_ids: Array, found: contest.BoxArrays) -> Places:
    """For each prediction the index of its image in `image_ids`, -1 for others."""
    place = pd.Index(image_ids).get_indexer(pd.Index(found.image_ids))
    absent = found.image_ids[place < 0]
    if len(absent):
        text = "%d of %d predicted images (first: %s) are not among the scored: left out"
        log.info(text, len(absent), len(place), absent[0])
    return place[found.image]


def _float32(xyxy: Floats) -> Floats:
    """Rounded to float32, held as float64."""
    return xyxy.astype(np.float32).astype(np.float64)
