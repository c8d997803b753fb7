"""Find animals in images, folders, videos or a camera with an exported model: one file, no other of
its project.

    python run.py photo.jpg                      boxes as CSV on the screen
    python run.py folder --out boxes.json        ... as JSON; .csv: CSV; .jsonl: a line an image
    python run.py video.mp4 --every 25 --draw seen --out boxes.csv
    python run.py 0                              camera number 0 (Ctrl-C ends)
    python run.py rtsp://... --reconnect 5 --health 60 --track --counts counts.csv
                                                 a network camera, for days; with a password in
                                                 its address: LIVESTOCK_SOURCE=rtsp://... run.py
    python run.py folder --watch 2 --out boxes.jsonl     new photos, looked for every 2 seconds
    python run.py video.mp4 --track --counts counts.csv  median a minute, and how many animals
    python run.py folder --confidence 0.4        fewer, surer boxes
    python run.py --benchmark                    what an image costs on this device
    python run.py selftest                       are the files whole, does it find what it should?
    python run.py web-runtime                    once: the files that the page needs, from npm
    python run.py serve                          the page, at http://127.0.0.1:8000/

Needs onnxruntime, numpy, and Pillow or OpenCV (videos and cameras: OpenCV). What cannot be read is
told in one line and counted, and the run goes on. Exit codes: 0 done, 1 something could not be read
or used, 2 wrong usage.
"""

import argparse
import contextlib
import functools
import hashlib
import io
import json
import os
import re
import signal
import statistics
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # an absent camera is told in our one line
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
try:
    import cv2
except ImportError:
    cv2 = None  # type: ignore[assignment]  # a module or nothing
try:
    from PIL import Image, ImageDraw, ImageOps
except ImportError:
    Image = None  # type: ignore[assignment]  # a module or nothing

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
HEIC = (".heic", ".heif", ".hif")
LARGEST = 128_000_000  # pixels of a photo
PNG = b"\x89PNG\r\n\x1a\n"
GREY = 114
VOTE_SHARE = 0.1  # candidates below this share of a box's confidence do not move its edges
CAP = 3000  # candidates of one image that reach suppression, the most confident first
FEATURES = [  # what the re-scorer of a bundle reads of a box, see `features`
    *("logit_confidence", "log_voters", "log_votes", "mean_iou", "widest_edge", "mean_edge"),
    *("log_area", "log_ratio", "at_border", "surer_overlap", "log_surer"),
]
SUPPRESSION = (  # an ONNX file of one node, NonMaxSuppression
    b'\x08\x06:\xb2\x01\n5\n\x05boxes\n\x06scores\n\x04most\n\x05limit\x12\x04kept"\x11NonMaxSup'
    b"pression\x12\x03nmsZ\x19\n\x05boxes\x12\x10\n\x0e\x08\x01\x12\n\n\x02\x08\x01\n\x00\n\x02"
    b"\x08\x04Z\x1a\n\x06scores\x12\x10\n\x0e\x08\x01\x12\n\n\x02\x08\x01\n\x02\x08\x01\n\x00Z"
    b"\x12\n\x04most\x12\n\n\x08\x08\x07\x12\x04\n\x02\x08\x01Z\x13\n\x05limit\x12\n\n\x08\x08"
    b"\x01\x12\x04\n\x02\x08\x01b\x14\n\x04kept\x12\x0c\n\n\x08\x07\x12\x06\n\x00\n\x02\x08\x03B"
    b"\x04\n\x00\x10\x0b"
)
COLUMNS = ("image", "frame", "species", "x_min", "y_min", "x_max", "y_max", "confidence")


LOOKING = {
    "method": "nms",
    "iou_threshold": 0.45,
    "confidence_threshold": 0.25,
    "class_agnostic": True,
    "multi_label": False,
    "voting_iou": None,
    "rescorer": None,
}
"""To look and count with where model.json has nothing better."""


class Problem(ValueError):
    """What the user is told in one line."""


# ---- the network


class Detector:
    """A network with its thresholds; `detect` takes a frame as `decode` gives it."""

    def __init__(self, about, network):
        """`about`: what model.json says; `network`: a call that turns (1, 3, h, w) into the raw
        output."""
        self.about, self.call = about, network
        self.names = list(about["names"])
        self.image_size, self.stride = int(about["image_size"]), int(about["stride"])
        self.shape, self.inside = tuple(about.get("shape") or ()), about.get("nms")
        self.place, self.canvas = (), np.empty(0, dtype=np.float32)  # of the frame before
        self.use(about["settings"])

    def use(self, settings):
        """Take these thresholds and this suppression from now on."""
        self.settings = dict(settings)
        self.most, self.sigma = int(self.settings["max_detections"]), float(self.settings["sigma"])
        self.method, self.agnostic = self.settings["method"], bool(self.settings["class_agnostic"])
        self.multi_label = bool(self.settings["multi_label"])
        self.voting = self.settings.get("voting_iou")
        self.by_iou = self.settings.get("voting_weight", "confidence_iou") == "confidence_iou"
        self.rescorer = self.settings.get("rescorer")
        if self.rescorer and self.rescorer["features"] != FEATURES:
            raise Problem("the re-scorer was trained on other features; make the bundle again")
        self.limits = self._numbers(self.settings["iou_threshold"], np.float64)
        self.set_confidence(self.settings["confidence_threshold"])

    def look(self):
        """Take what is best to look and count with: one box an animal, and no faint ones."""
        self.use(self.about.get("looking") or {**self.settings, **LOOKING})

    def set_confidence(self, confidence):
        """Keep boxes from `confidence` up: one number, or class name -> number."""
        floors = self._numbers(confidence, np.float32)
        inside = (self.inside or {}).get("confidence_threshold", 0)
        if floors.min() < np.float32(inside):
            raise Problem(
                f"confidence {floors.min():g} is below {inside:g}, under which this network drops "
                "boxes itself; use a bundle without suppression inside"
            )
        self.settings["confidence_threshold"] = confidence
        self.floors, self.lowest = floors, floors.min()

    def detect(self, frame):
        """Animals in a frame (h, w, 3) uint8 -> float64 rows x_min, y_min, x_max, y_max (px),
        confidence, class."""
        place = fit(frame.shape[1], frame.shape[0], self.image_size, self.stride)
        return self.boxes(self.network(self.prepare(frame, place)), place)

    def prepare(self, frame, place):
        """Letterbox a frame and turn it into the network's input (1, 3, h, w), float32 RGB in [0,
        1].

        The array is this object's own: the next frame of the same size is written into it, inside
        the same border.
        """
        _, resized, (width, height), (left, top) = place
        if place != self.place:
            if self.shape:
                if height > self.shape[1] or width > self.shape[2]:
                    raise Problem(
                        f"frames of {frame.shape[1]} x {frame.shape[0]} px need {width} x "
                        f"{height}, this model takes {self.shape[2]} x {self.shape[1]}; use a "
                        "bundle without a fixed shape"
                    )
                height, width = self.shape[1:]
            self.canvas = np.full(
                (1, 3, height, width), np.float32(GREY) / np.float32(255), dtype=np.float32
            )
            self.place = place
        planes = resize(frame, resized).transpose(2, 0, 1)
        np.divide(
            planes[::-1] if cv2 is not None else planes,
            np.float32(255),
            out=self.canvas[0, :, top : top + resized[1], left : left + resized[0]],
        )
        return self.canvas

    def network(self, network_input):
        """The network's raw output for one prepared image."""
        try:
            raw = self.call(network_input)
        except Exception as error:  # the engines' exceptions have no common base
            height, width = network_input.shape[2:]
            raise Problem(
                f"the network does not take {width} x {height} px "
                f"({' '.join(str(error).split())[:120]}); unpack the bundle again"
            ) from error
        columns = 7 if self.inside else 5 + len(self.names)
        if raw.ndim != (2 if self.inside else 3) or raw.shape[-1] != columns:
            raise Problem(
                f"the network gives {raw.shape}, model.json tells of {columns} columns; unpack the "
                "bundle again"
            )
        return raw

    def boxes(self, raw, place):
        """Raw output -> rows as of `detect`: thresholds, suppression, frame coordinates, at most
        max_detections."""
        if self.inside:
            score, label, box = raw[:, 5], raw[:, 6].astype(int), raw[:, 1:5]
            is_best = np.ones(len(raw), dtype=bool)
        else:
            alone = self.voting is None and self.rescorer is None
            lowest = self.lowest * np.float32(1 if alone else VOTE_SHARE)
            rows = raw[0].take(np.flatnonzero(raw[0][:, 4] >= lowest), axis=0)
            scores = rows[:, 5:] * rows[:, 4:5]
            anchor, label = np.nonzero(scores >= lowest)
            score = scores[anchor, label]
            is_best = label == 0
            if not self.multi_label and len(anchor):
                is_best = scores[anchor].argmax(axis=1) == label
        order = np.argsort(-score, kind="stable")[:CAP]
        if not self.multi_label:
            order = order[is_best[order]]
        score, label = score[order], label[order]
        box = box[order] if self.inside else rows.take(anchor[order], axis=0)
        xyxy = to_frame(box, place)
        voters = xyxy, score, label
        sure = score >= self.floors[label]
        if not sure.all():
            xyxy, score, label = xyxy[sure], score[sure], label[sure]
        kept, score = self._suppressed(xyxy, score, label)
        kept = kept[np.argsort(-score[kept], kind="stable")][: self.most]
        xyxy, score, label = xyxy[kept], score[kept], label[kept]
        if self.voting is not None:
            for number in np.unique(label):
                mine, others = label == number, voters[2] == number
                sides = xyxy[mine], score[mine], voters[0][others], voters[1][others]
                xyxy[mine] = vote(*sides, self.voting, self.by_iou)
        width, height = place[0]
        xyxy = np.clip(xyxy, 0, np.array([width, height, width, height], dtype=np.float32))
        if self.rescorer is not None:
            first = score.copy()
            for number in np.unique(label):
                mine, others = label == number, voters[2] == number
                sides = xyxy[mine], first[mine], voters[0][others], voters[1][others]
                values = features(*sides, place[0]) @ np.array(self.rescorer["weights"])
                bias = self.rescorer["bias"][self.names[number]]
                score[mine] = 1 / (1 + np.exp(-(values + bias)))
        found = np.column_stack([xyxy, score, label]).astype(np.float64)
        return found[np.argsort(-found[:, 4], kind="stable")][: self.most]

    def _suppressed(self, xyxy, score, label):
        """Indices that stay, and the scores (n,), which soft-NMS lowers."""
        if self.inside:  # the network has done it
            return np.arange(len(xyxy)), score
        group = np.zeros(len(label), dtype=int) if self.agnostic else label
        if self.method == "nms":
            return nms(xyxy, group, self.limits, self.most), score
        if self.method == "diou_nms":
            return greedy_nms(xyxy, group, self.limits, self.most, apart=True), score
        # a pick of all classes may fall below its own class's floor and make room for another
        mixed = self.agnostic and self.floors.min() < self.floors.max()
        floors = self.floors[self.floors.argmin() :][:1] if self.agnostic else self.floors
        most, how = len(score) if mixed else self.most, (self.sigma, self.method)
        score = soft_nms(xyxy, score, group, self.limits, *how, floors, most)
        return np.flatnonzero((score > 0) & (score >= self.floors[label])), score

    def _numbers(self, value, kind):
        values = (
            [value[name] for name in self.names]
            if isinstance(value, dict)
            else [value] * len(self.names)
        )
        return np.array(values, dtype=kind)


class Model(Detector):
    """The network of an unpacked bundle on ONNX Runtime."""

    def __init__(self, folder, threads=None):
        """Open `folder`/model.json and the ONNX file that it names; `threads`: default all
        cores."""
        path = Path(folder) / "model.json"
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            super().__init__(about, None)
            self.file = Path(folder) / about["file"]
        except KeyError as error:
            raise Problem(
                f"{path}: no readable model settings ({error} is absent); unpack the bundle again"
            ) from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise Problem(
                f"{path}: no readable model settings ({error}); unpack the bundle again"
            ) from error
        try:
            import onnxruntime
        except ImportError as error:
            raise Problem(
                "onnxruntime is not installed: pip install -r requirements.txt"
            ) from error
        if not self.file.is_file():
            raise Problem(f"{self.file}: the model is missing; unpack the bundle again")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        try:
            providers = [
                name
                for name in onnxruntime.get_available_providers()
                if name in ("CUDAExecutionProvider", "CPUExecutionProvider")
            ]
            session = onnxruntime.InferenceSession(str(self.file), options, providers=providers)
        except Exception as error:  # its exceptions have no common base of their own
            why = " ".join(str(error).split())[:120]
            raise Problem(
                f"{self.file}: damaged or not an ONNX file ({why}); unpack the bundle again"
            ) from error
        taken = [(entry.name, len(entry.shape), entry.type) for entry in session.get_inputs()]
        if taken != [("images", 4, "tensor(float)")]:
            raise Problem(
                f"{self.file}: takes {taken}, expected one input 'images' of four float axes; "
                "unpack the bundle again"
            )
        known = session.get_modelmeta().custom_metadata_map.get("livestock_utils")
        if known and json.loads(known).get("names", self.names) != self.names:
            raise Problem(
                f"{self.file}: finds {', '.join(json.loads(known)['names'])}, model.json says "
                f"{', '.join(self.names)}: a model of another bundle; unpack the bundle again"
            )
        for problem in changed_files(folder, [self.file.name]):
            raise Problem(problem)
        self.call = lambda network_input: session.run(None, {"images": network_input})[0]
        self.threads = threads or os.cpu_count()


def changed_files(folder, names=None):
    """A line for each file of a bundle (or those of `names`) that is not as SHA256SUMS has it."""
    path = Path(folder) / "SHA256SUMS"
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        expected, name = line.split("  ", 1)
        if names is not None and name not in names:
            continue
        try:
            digest = hashlib.sha256()
            with open(Path(folder) / name, "rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
            if digest.hexdigest() == expected:
                continue
            what = "changed since the bundle was made (SHA-256)"
        except OSError:
            what = "missing"
        yield f"{Path(folder) / name}: {what}; unpack the bundle again"


def fit(width, height, image_size, stride):
    """The letterbox of a frame: its size, resized size, padded size and left top corner, each (x,
    y) in px."""
    ratio = image_size / max(width, height)
    resized = max(round(width * ratio), 1), max(round(height * ratio), 1)
    padded = tuple(side + (image_size - side) % stride for side in resized)
    corner = tuple(round((padded[axis] - resized[axis]) / 2 - 0.1) for axis in (0, 1))
    return (width, height), resized, padded, corner


def to_frame(box, place):
    """Boxes (n, 4 or more) of the letterboxed image, centre and size in px -> their corners (n, 4)
    in px of the frame."""
    frame, resized, _, corner = place
    centre, size = np.ascontiguousarray(box[:, :4].T).reshape(2, 2, len(box))  # long rows
    size /= 2
    xyxy = np.concatenate([centre - size, centre + size]).astype(np.float64)
    xyxy -= np.array(corner * 2)[:, None]
    xyxy *= np.array([frame[0] / resized[0], frame[1] / resized[1]] * 2)[:, None]
    return np.ascontiguousarray(xyxy.T.astype(np.float32))


def nms(xyxy, group, limits, most):
    """Indices of the first `most` boxes (by falling confidence) that no better one of their group
    overlaps too much: with an IoU above `limits[group]`."""
    suppress = _by_runtime()
    if suppress is None:
        return greedy_nms(xyxy, group, limits, most)
    kept = np.zeros(0, dtype=int)
    for n in dict.fromkeys((min(5 * most, len(xyxy)), len(xyxy))):  # the surest are often enough
        parts = [(np.flatnonzero(group[:n] == number), lim) for number, lim in enumerate(limits)]
        parts = [rows[suppress(xyxy[rows], limit, most)] for rows, limit in parts if len(rows)]
        kept = np.sort(np.concatenate([kept[:0], *parts]))[:most]
        if len(kept) == most:
            break
    return kept


@functools.cache
def _by_runtime():
    """A call that suppresses boxes of one group by ONNX Runtime, some five times as fast as numpy;
    None without it."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(SUPPRESSION, options, providers=["CPUExecutionProvider"])

    def suppress(xyxy, limit, most):
        given = {
            "boxes": xyxy[None],
            "scores": np.arange(len(xyxy), 0, -1, dtype=np.float32)[None, None],
            "most": np.array([most]),
            "limit": np.array([_largest_float32(limit)]),
        }
        return session.run(None, given)[0][:, 2]

    return suppress


def _largest_float32(limit):
    """The largest float32 not above `limit`: exactly the float32 numbers above the one lie above
    the other."""
    near = np.float32(limit)
    return np.nextafter(near, np.float32(-1)) if near > limit else near


def soft_nms(xyxy, confidence, group, limits, sigma, method, floors, most):
    """Confidences (n,) after linear or gaussian soft-NMS within each group; those that end below
    `floors[group]` are 0.

    Ends after `most` boxes: each is at most as confident as the one before. Boxes lie sorted by
    x_min, group by group, so that a step looks only at those that can overlap enough.
    """
    scores, result = confidence.astype(np.float64), np.zeros(len(confidence))
    corners = xyxy.astype(np.float64)
    corners[:, ::2] += (group * (np.ptp(corners) + 1 if len(corners) else 0))[:, None]
    order = np.argsort(corners[:, 0], kind="stable")
    low, high = (
        np.ascontiguousarray(corners[order, :2].T),
        np.ascontiguousarray(corners[order, 2:].T),
    )
    area, place = (high - low).prod(axis=0), np.argsort(order)
    # gaussian: whatever touches; linear: as in `near`
    first = np.searchsorted(np.maximum.accumulate(high[0]), low[0], "right")
    last = np.searchsorted(low[0], high[0])
    if method == "soft_nms_linear":
        limit, width = np.maximum(limits[group[order]], 1e-9), (high - low)[0] * 1.001 + 1e-3
        first = np.maximum(first, np.searchsorted(low[0], low[0] - width * (1 / limit - 1)))
        last = np.minimum(last, np.searchsorted(low[0], low[0] + width * (1 - limit), "right"))
    lowest, least = float(floors.min()), np.finfo(np.float64).tiny
    floors, limits, group = floors.tolist(), limits.tolist(), group.tolist()
    first, last, place = first.tolist(), last.tolist(), place.tolist()
    while most:
        row = int(scores.argmax()) if len(scores) else 0
        if not len(scores) or scores[row] < lowest or scores[row] <= 0:
            break
        score, scores[row] = float(scores[row]), -1
        if score < floors[group[row]]:
            continue  # of a class with a floor of its own
        result[row], most, at = score, most - 1, place[row]
        part, own = slice(first[at], last[at]), slice(at, at + 1)
        shared = np.minimum(high[:, part], high[:, own])
        shared -= np.maximum(low[:, part], low[:, own])
        shared = np.maximum(shared, 0, out=shared)[0] * shared[1]
        union = area[part] + area[own]
        union -= shared
        iou = np.divide(shared, np.maximum(union, least, out=union), out=shared)
        rows = order[part]
        if method == "soft_nms_linear":
            scores[rows] *= 1 - iou * (iou > limits[group[row]])
        else:
            scores[rows] *= np.exp(-(iou**2) / sigma)
    return result.astype(np.float32)


def greedy_nms(xyxy, group, limits, most, apart=False):
    """As `nms`, a box at a time; `apart`: by DIoU, the IoU less the squared distance of the centres
    over the squared diagonal of the box around both."""
    boxes = xyxy.astype(np.float64) if apart else xyxy
    area, centre = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), (boxes[:, :2] + boxes[:, 2:]) / 2
    kept: list = []
    rows = np.arange(len(boxes))
    while len(rows) and len(kept) < most:
        at, rows = rows[0], rows[1:]
        kept.append(at)
        low, high = np.minimum(boxes[at], boxes[rows]), np.maximum(boxes[at], boxes[rows])
        shared = np.maximum(low[:, 2:] - high[:, :2], 0).prod(axis=1)
        union = area[at] + area[rows] - shared
        with np.errstate(invalid="ignore", divide="ignore"):
            iou = np.where(union > 0, shared / union, 0)
            if apart:
                diagonal = ((high[:, 2:] - low[:, :2]) ** 2).sum(axis=1)
                distance = ((centre[at] - centre[rows]) ** 2).sum(axis=1)
                iou = iou - np.where(diagonal > 0, distance / diagonal, 0)
        rows = rows[(group[rows] != group[at]) | (iou <= limits[group[at]])]
    return np.array(kept, dtype=int)


def iou_matrix(boxes, others):
    """IoU of every pair of boxes, (n, 4) x (m, 4) -> (n, m)."""
    return _iou(boxes.T[:, :, None], others.T[:, None])


def _iou(one, other):
    """IoU of boxes given as arrays (x_min, y_min, x_max, y_max); 0 where both are empty."""
    shared = np.minimum(one[2:], other[2:])
    shared -= np.maximum(one[:2], other[:2])
    shared = np.maximum(shared, 0, out=shared)[0] * shared[1]
    union = np.maximum(one[2:] - one[:2], 0).prod(axis=0)
    union = union + np.maximum(other[2:] - other[:2], 0).prod(axis=0)
    union -= shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def near(boxes, others, least):
    """(rows, columns, IoU) of the pairs of boxes (n, 4) and others (m, 4) with an IoU of at least
    `least`.

    Such boxes begin side by side, within what `least` leaves of their width: sorted by x_min, few
    pairs are looked at.
    """
    order, sides = np.argsort(others[:, 0]), np.ascontiguousarray(boxes.T)
    planes = np.ascontiguousarray(others[order].T)
    reach = np.maximum(sides[2:] - sides[:2], 1) * (1.001 - least)
    low, high = sides[:2] - reach / max(least, 1e-9), sides[:2] + (reach if least > 0 else np.inf)
    start = planes[0].searchsorted(low[0])
    count = np.maximum(planes[0].searchsorted(high[0]) - start, 0)
    place = np.arange(count.sum()) + np.repeat(start - np.cumsum(count) + count, count)
    y_min = planes[1].take(place)
    there = y_min >= np.repeat(low[1], count)
    there &= y_min <= np.repeat(high[1], count)
    row = np.repeat(np.arange(len(boxes)), count)[there]
    place = place[there]
    iou = _iou(sides.take(row, axis=1), planes.take(place, axis=1))
    there = np.flatnonzero(iou >= least)
    return row[there], order[place[there]], iou[there]


def _sums(row, n):
    """A call that adds up values of pairs by their row -> (n,)."""
    return lambda values: np.bincount(row, values, minlength=n)


def features(xyxy, confidence, voters_xyxy, voters, frame):
    """FEATURES of the kept boxes (n, 4) of a class, from its candidates (m, 4) with their
    confidences `voters`, in a frame of (width, height) px."""
    boxes, others = xyxy.astype(np.float64), voters_xyxy.astype(np.float64)
    own = confidence.astype(np.float64)
    row, column, iou = near(boxes, others, 0.6)
    voting = voters[column] >= np.float32(VOTE_SHARE) * confidence[row]
    row, column, iou = row[voting], column[voting], iou[voting]
    add, weight = _sums(row, len(boxes)), voters[column].astype(np.float64)
    total = add(weight) + 1e-9
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    apart = [add(weight * (others[column, e] - boxes[row, e]) ** 2) for e in range(4)]
    spread = np.sqrt(np.stack(apart, axis=1) / total[:, None]) / np.tile(sides, 2)
    edges = boxes / np.tile(np.asarray(frame, dtype=np.float64), 2)
    surer = own[None] > own[:, None]
    sure = own.clip(1e-4, 1 - 1e-4)
    overlap = iou_matrix(boxes, boxes) * surer
    columns = [
        np.log(sure / (1 - sure)),
        np.log1p(add(np.ones(len(row)))),
        np.log(total),
        add(weight * iou) / total,
        np.log(spread.max(axis=1) + 0.01),
        np.log(spread.mean(axis=1) + 0.01),
        np.log(sides.prod(axis=1) / (frame[0] * frame[1]) + 1e-9),
        np.log(sides[:, 0] / sides[:, 1]),
        (edges[:, :2] < 0.005).any(axis=1) | (edges[:, 2:] > 0.995).any(axis=1),
        overlap.max(axis=1, initial=0),
        np.log1p(surer.sum(axis=1)),
    ]
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def vote(xyxy, confidence, voters_xyxy, voters, limit, by_iou=True):
    """Boxes moved to the mean of the candidates that overlap them by at least `limit`, weighted by
    confidence (x IoU); candidates of less than VOTE_SHARE of a box's confidence have no vote."""
    boxes, others = xyxy.astype(np.float64), voters_xyxy.astype(np.float64)
    row, column, iou = near(boxes, others, limit)
    weight = (iou if by_iou else 1.0) * voters[column].astype(np.float64)
    weight *= voters[column] >= np.float32(VOTE_SHARE) * confidence[row]
    add = _sums(row, len(boxes))
    total = add(weight)[:, None]
    moved = np.stack([add(weight * others[column, e]) for e in range(4)], axis=1)
    return np.divide(moved, total, out=boxes, where=total > 0).astype(np.float32)


# ---- pictures: OpenCV where it is installed (frames in BGR), else Pillow (frames in RGB)
# -----------------------------


def decode(data):
    """Image bytes -> (h, w, 3) uint8; grey, 16 bit and alpha become plain colour, EXIF orientation
    is applied."""
    if not data:
        raise Problem("empty file")
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        raise Problem("an HEIC photo, which is not read here: save it as JPEG")
    if _is_truncated(data):
        raise Problem("truncated image")
    if (pixels := _promised_pixels(data)) > LARGEST:
        raise _too_large(pixels)
    if data[:8] == PNG and 0 in (
        int.from_bytes(data[16:20], "big"),
        int.from_bytes(data[20:24], "big"),
    ):
        raise Problem("an image of no pixels")
    if cv2 is not None:
        try:
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise Problem(f"not a readable image ({' '.join(str(error).split())[:80]})") from error
    else:
        frame = _decode_by_pillow(data)
    if frame is None or 0 in frame.shape:
        raise Problem("not a readable image")
    if frame.shape[0] * frame.shape[1] > LARGEST:
        raise _too_large(frame.shape[0] * frame.shape[1])
    return frame


def _too_large(pixels):
    return Problem(
        f"a photo of {pixels / 1e6:.0f} megapixels, at most {LARGEST / 1e6:.0f} are read: make it "
        "smaller"
    )


def _promised_pixels(data):
    """Pixels that a JPEG's or PNG's header promises, before memory is taken for them; else 0."""
    if data[:8] == PNG:
        return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 9 < len(data) and data[at] == 0xFF:
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 5 : at + 7], data[at + 7 : at + 9]
            return int.from_bytes(height, "big") * int.from_bytes(width, "big")
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def _is_truncated(data):
    """True for a JPEG without an end mark after its picture data, or a PNG without its last
    chunk."""
    if data[:8] == PNG:
        return b"IEND\xaeB`\x82" not in data  # with its CRC; what follows it is no damage
    if data[:2] != b"\xff\xd8":
        return False
    at = 2
    while (
        at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA
    ):  # segments before the picture data
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(b"\xff\xd9", at) < 0  # picture data never holds these two bytes side by side


def _decode_by_pillow(data):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd TIFF tags and large images
            opened = Image.open(io.BytesIO(data))
            if opened.width * opened.height > LARGEST:
                raise _too_large(opened.width * opened.height)
            if opened.format == "TIFF" and opened.mode in ("I", "F"):
                raise Problem("a TIFF of 32 bits, which is not read: save it with 8")
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bit
                image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            elif image.mode in ("RGBA", "LA"):  # the alpha channel goes, nothing is blended
                image = image.convert("RGBA")
            return np.array(image.convert("RGB"))
    except Problem:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Problem(f"not a readable image ({' '.join(str(error).split())[:80]})") from error


def resize(frame, size):
    """Bilinear, without smoothing first, as the network was measured with."""
    if (frame.shape[1], frame.shape[0]) == tuple(size):
        return frame
    factor = frame.shape[1] // size[0]
    if factor % 2 and (frame.shape[1], frame.shape[0]) == (factor * size[0], factor * size[1]):
        return frame[
            factor // 2 :: factor, factor // 2 :: factor
        ]  # 1920 px to 640: every third pixel, nothing between
    if cv2 is not None:
        return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
    left, right, near, far = _taps(frame.shape[1], size[0])
    upper, lower, high, low = _taps(frame.shape[0], size[1])
    rows, place = np.unique(np.concatenate([upper, lower]), return_inverse=True)
    used = frame[rows]
    across = (used[:, left] * near[:, None] + used[:, right] * far[:, None]) >> 4
    above, below = across[place[: size[1]]], across[place[size[1] :]]
    return (
        (((above * high[:, None, None]) >> 16) + ((below * low[:, None, None]) >> 16) + 2) >> 2
    ).astype(np.uint8)


def _taps(side, wanted):
    """For each pixel of `wanted`: its two neighbours among `side`, and their weights in 2048ths, as
    OpenCV has them."""
    at = ((np.arange(wanted) + 0.5) * (side / wanted) - 0.5).astype(np.float32)
    first = np.clip(np.floor(at).astype(int), 0, side - 1)
    share = np.where((at < 0) | (first == side - 1), np.float32(0), at - first)
    weights = [
        np.rint(part * np.float32(2048)).astype(np.int32) for part in (np.float32(1) - share, share)
    ]
    return first, np.minimum(first + 1, side - 1), *weights


def draw(frame, found, names, path):
    """Write a frame with its boxes as JPEG, each with its species and confidence."""
    tones = [
        (213, 94, 0),
        (0, 114, 178),
        (0, 158, 115),
        (204, 121, 167),
    ]  # RGB, told apart by the colour-blind
    width = max(2, round(max(frame.shape) / 500))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if cv2 is not None:
        picture = frame.copy()
        for row in found:
            tone, corner = tones[int(row[5]) % 4][::-1], (int(row[0]), int(row[1]))
            cv2.rectangle(picture, corner, (int(row[2]), int(row[3])), tone, width)
            cv2.putText(
                picture,
                f"{names[int(row[5])]} {row[4]:.2f}",
                (corner[0], max(corner[1] - 4, 12)),
                cv2.FONT_HERSHEY_SIMPLEX,
                width / 4,
                tone,
                max(width // 2, 1),
                cv2.LINE_AA,
            )
        written, data = cv2.imencode(".jpg", picture)
        if not written:
            raise Problem("could not be drawn")
        Path(path).write_bytes(data.tobytes())
        return
    picture = Image.fromarray(frame)
    pen = ImageDraw.Draw(picture)
    for row in found:
        tone = tones[int(row[5]) % 4]
        pen.rectangle([float(v) for v in row[:4]], outline=tone, width=width)
        pen.text(
            (row[0] + width, max(row[1] - 12, 0)), f"{names[int(row[5])]} {row[4]:.2f}", fill=tone
        )
    picture.save(path, quality=90)


# ---- what to look at


def frames(source, every=1):
    """(name, frame number, frame or Problem) of an image, a folder, a video, a camera number or a
    stream's address."""
    path = Path(source)
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")  # but not a Mac's ._photo.jpg, nor a folder called x.jpg
            if file.suffix.lower() in IMAGES + HEIC and file.name[0] != "." and file.is_file()
        )
        if not files:
            raise Problem(f"{source}: no images in this folder (expected {', '.join(IMAGES)})")
        for file in files:
            yield file.relative_to(path).as_posix(), 0, _read(file)
    elif path.is_file() and path.suffix.lower() not in VIDEOS:
        yield path.name, 0, _read(path)
    elif path.is_file():
        yield from _video(str(source), path.name, str(source), every)
    elif str(source).isdecimal():
        yield from _video(int(source), f"camera {source}", f"camera {source}", every)
    elif "://" in str(source):
        # the address may hold a password: not told
        yield from _video(str(source), "stream", "stream", every)
    else:
        raise Problem(
            f"{source}: not found; give an image, a folder, a video, a camera number or rtsp://..."
        )


def ahead(pictures):
    """The same pictures, each next one read while the caller looks at this one."""
    from concurrent.futures import ThreadPoolExecutor

    try:
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(next, pictures, None)
            while (picture := coming.result()) is not None:
                coming = reader.submit(next, pictures, None)
                yield picture
    finally:
        pictures.close()


def _read(file):
    try:
        return decode(file.read_bytes())
    except (Problem, OSError) as error:
        return Problem(str(error))


def _video(opened, name, what, every):
    live = what == name  # a camera or stream, which has no end of its own
    if cv2 is None:
        raise Problem(f"{what}: videos and cameras need OpenCV: pip install opencv-python-headless")
    video = cv2.VideoCapture(opened)
    try:
        if not video.isOpened():
            raise Problem(
                f"{what}: not there, or in use by another program"
                if live
                else f"{what}: not a readable video"
            )
        promised, number = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        while True:
            wanted = number % every == 0
            there, frame = video.read() if wanted else (video.grab(), None)
            if not there:
                break
            if wanted:
                yield name, number, frame
            number += 1
        if live or number == 0:
            raise Problem(f"{what}: gives no {'more ' if number else ''}pictures")
        if number < promised - max(2, promised // 50):  # some formats only estimate their number
            yield (
                name,
                number,
                Problem(f"ends after {number} of {promised} pictures: cut short or damaged"),
            )
    finally:
        video.release()


class Lines:
    """A text file (None: the screen) that takes its name when it is whole, or that is added to."""

    def __init__(self, path, header="", added_to=False):
        """`added_to`: lines go behind what is there, at once, as a source without end needs it."""
        self.path, self.n, self.part = Path(path) if path else None, 0, None
        self.stream = sys.stdout
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.part = None if added_to else self.path.with_name(self.path.name + ".part")
            self.stream = open(  # noqa: SIM115
                self.part or self.path, "w" if self.part else "a", encoding="utf-8", newline=""
            )
        if not added_to or not self.path or self.stream.tell() == 0:
            self.stream.write(header)

    def write(self, text):
        self.n += 1
        self.stream.write(text)
        self.stream.flush()

    def close(self, whole, footer=""):
        """Finish the file; one that is not `whole` leaves an earlier result alone and keeps its
        name.part."""
        if not self.path:
            return
        try:
            self.stream.write(footer)
        finally:
            self.stream.close()
        if not self.part:
            return
        if whole:
            os.replace(self.part, self.path)
        elif self.n:
            tell(f"{self.part}: what was found until then")
        else:
            self.part.unlink()


class Output:
    """Boxes as CSV (screen or file), JSON or JSON lines (files)."""

    def __init__(self, path, endless=False, track=False):
        """`path`: a .csv, .json or .jsonl file, or None for CSV on the screen; with `endless` lines
        are added to what is there and carry the time; with `track` boxes carry their number."""
        self.kind, self.endless = Path(path).suffix.lower() if path else ".csv", endless
        if self.kind not in (".csv", ".json", ".jsonl"):
            raise Problem(f"--out {path}: expected a name that ends in .csv, .json or .jsonl")
        if self.kind == ".json" and endless:
            raise Problem(f"--out {path}: JSON ends with its source; take .jsonl or .csv")
        self.columns = (*COLUMNS, *["track"] * track)
        header = {".csv": ",".join(self.columns) + "\n", ".json": "[", ".jsonl": ""}[self.kind]
        self.lines = Lines(path, header, endless)

    def add(self, name, number, frame, found, names, tracks=()):
        """One image's boxes."""
        rows = [
            (names[int(row[5])], *(round(float(v), 3) for v in row[:4]), round(float(row[4]), 6))
            for row in found
        ]
        if len(self.columns) > len(COLUMNS):
            rows = [(*row, int(tracks[at])) for at, row in enumerate(rows)]
        if self.kind != ".csv":
            boxes = [
                {column: row[place] for place, column in enumerate(self.columns[2:])}
                for row in rows
            ]
            image = {
                **({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z")} if self.endless else {}),
                "image": name,
                "frame": number,
                "width_px": frame.shape[1],
                "height_px": frame.shape[0],
                "boxes": boxes,
            }
            if self.kind == ".jsonl":
                self.lines.write(json.dumps(image) + "\n")
            else:  # as json.dump writes the list, an image at a time
                text = json.dumps(image, indent=1).replace("\n", "\n ")
                self.lines.write(f"{',' if self.lines.n else ''}\n {text}")
            return
        shown = (
            '"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"\n') else name
        )
        self.lines.write("".join(",".join(map(str, (shown, number, *row))) + "\n" for row in rows))

    def close(self, whole):
        """Finish the file."""
        footer = ("\n]" if self.lines.n else "]") if self.kind == ".json" else ""
        self.lines.close(whole, footer)


# ---- sources without end


class Live:
    """The newest picture of a camera or stream, which is opened again whenever it is gone.

    It is read beside the network: no picture waits in a queue, an old one is dropped.
    """

    def __init__(self, source, wait):
        """`source`: a camera number or an address; `wait`: seconds between two tries."""
        self.opened = int(source) if str(source).isdecimal() else str(source)
        self.name = f"camera {source}" if str(source).isdecimal() else "stream"
        if cv2 is None:
            raise Problem(
                f"{self.name}: videos and cameras need OpenCV: pip install opencv-python-headless"
            )
        self.wait, self.wanted, self.outages = wait, 0, 0
        self.newest: tuple = ()
        self.changed, self.ended = threading.Condition(), threading.Event()

    def frames(self, every=1):
        """(name, frame number, frame) without end; numbers count what the camera gave."""
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                with self.changed:
                    if not self.changed.wait_for(self._is_new, timeout=1):
                        continue
                    (number, frame), self.newest = self.newest, ()
                self.wanted = number + every
                yield self.name, number, frame
            raise Problem(f"{self.name}: reading it failed")
        finally:
            self.ended.set()
            reader.join(1)

    def _is_new(self):
        return bool(self.newest) and self.newest[0] >= self.wanted

    def _read(self):
        number, away = 0, False
        while not self.ended.is_set():
            video = cv2.VideoCapture(self.opened)
            try:
                while not self.ended.is_set():
                    there, frame = video.read()
                    if not there:
                        break
                    if away:
                        tell(f"{self.name}: back")
                    away = False
                    with self.changed:
                        self.newest, number = (number, frame), number + 1
                        self.changed.notify()
            except cv2.error as error:
                tell(f"{self.name}: {' '.join(str(error).split())[:120]}")
            finally:
                video.release()
            if not away and not self.ended.is_set():
                self.outages += 1
                what = "gone" if number else "not there"
                tell(f"{self.name}: {what}, trying again every {self.wait:g} s")
            away = True
            self.ended.wait(self.wait)


def watched(folder, seconds):
    """(name, 0, frame or Problem) of each image of a folder, then of every new or changed one.

    A file is read once it has not changed for `seconds`: one that is being written waits.
    """
    folder, away = Path(folder), False
    done: dict = {}
    before: dict = {}
    if not folder.is_dir():
        raise Problem(f"{folder}: --watch needs a folder")
    while True:
        there = {}
        for file in sorted(folder.rglob("*")):
            with contextlib.suppress(OSError):  # gone since
                if file.suffix.lower() in IMAGES + HEIC:
                    there[file] = file.stat().st_mtime_ns, file.stat().st_size
        if away != (not folder.is_dir()):
            away = not away
            tell(f"{folder}: {f'gone, looking every {seconds:g} s' if away else 'back'}")
        for file, state in there.items():
            settled = before.get(file) == state or time.time() - state[0] / 1e9 >= seconds
            if done.get(file) != state and settled:
                yield file.relative_to(folder).as_posix(), 0, _read(file)
                done[file] = state
        if not away:  # what is gone is forgotten: memory follows the folder
            done = {file: state for file, state in done.items() if file in there}
        before = there
        time.sleep(seconds)


class Health:
    """A line every so often: frames a second, how old the last one is, temperature, memory."""

    def __init__(self, live=None):
        self.live, self.frames, self.failed = live, 0, 0
        self.begun = self.last = time.monotonic()
        self.ended = threading.Event()

    def every(self, seconds):
        """Tell `line` every `seconds` until `ended`, from a thread: also when no frame comes."""

        def tell_it():
            while not self.ended.wait(seconds):
                tell(self.line())

        threading.Thread(target=tell_it, daemon=True).start()

    def seen(self):
        """One more frame."""
        self.frames, self.last = self.frames + 1, time.monotonic()

    def line(self):
        """What is told; frames a second since the line before."""
        now = time.monotonic()
        rate, age = self.frames / max(now - self.begun, 1e-9), now - self.last
        self.frames, self.begun = 0, now
        parts = [f"health: {rate:.1f} frames/s", f"last frame {age:.1f} s ago"]
        heat = temperature()
        parts += [f"{heat:.0f} degrees C"] if heat is not None else []
        parts += [f"peak memory {peak_memory_mb():.0f} MB", f"{self.failed} could not be used"]
        parts += [f"{self.live.outages} outages"] if self.live else []
        return ", ".join(parts)


def temperature(root="/sys/class/thermal"):
    """The hottest sensor in degrees Celsius; None where the system tells none."""
    found = []
    for path in Path(root).glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(path.read_text(encoding="ascii")) / 1e3)
    return max((heat for heat in found if 0 < heat < 150), default=None)


# ---- counts over time


class Tracker:
    """A number for every animal that stays with it: a box goes on with the track that it overlaps
    most.

    Sure boxes begin tracks, doubtful ones only keep one alive. A track without a box for `patience`
    frames ends. It is an animal once it had a sure box in `hits` frames.
    """

    def __init__(self, iou=0.3, patience=30, hits=3):
        self.iou, self.patience, self.hits = iou, patience, hits
        self.tracks: list = []
        self.begun = 0

    def follow(self, found, sure):
        """The track's number for each row of `Detector.detect`, 0 for none, frame by frame;
        `sure`: which rows may begin one."""
        numbers = np.zeros(len(found), dtype=int)
        free = list(self.tracks)
        for track in self.tracks:
            track["missed"] += 1
        for rows in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            for row, track in self._pairs(found, rows, free):
                numbers[row] = track["number"]
                track.update(xyxy=found[row, :4], missed=0, seen=track["seen"] + int(sure[row]))
            free = [track for track in free if track["missed"]]
        flat = (found[:, 2:4] <= found[:, :2]).any(axis=1)  # cut off by the frame's edge
        for row in np.flatnonzero(sure & (numbers == 0) & ~flat):
            self.begun += 1
            track = {"number": self.begun, "label": int(found[row, 5]), "missed": 0, "seen": 1}
            self.tracks.append({**track, "xyxy": found[row, :4]})
            numbers[row] = self.begun
        self.tracks = [track for track in self.tracks if track["missed"] <= self.patience]
        return numbers

    def animals(self):
        """(number, class) of the tracks that are animals by now and have a box in this frame."""
        return [
            (track["number"], track["label"])
            for track in self.tracks
            if track["seen"] >= self.hits and not track["missed"]
        ]

    def _pairs(self, found, rows, tracks):
        """(row, track) one to one, by falling IoU, of one class each."""
        if not len(rows) or not tracks:
            return []
        boxes, others = found[rows, :4], np.array([track["xyxy"] for track in tracks])
        low = np.maximum(boxes[:, None, :2], others[None, :, :2])
        shared = np.clip(np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - low, 0, None)
        shared = shared.prod(axis=2)
        area = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
        iou = shared / np.maximum(area[0][:, None] + area[1] - shared, 1e-9)
        iou[found[rows, 5][:, None] != np.array([track["label"] for track in tracks])] = 0
        pairs, taken = [], set()
        for flat in np.argsort(-iou, axis=None, kind="stable"):
            row, column = divmod(int(flat), len(tracks))
            if iou[row, column] < self.iou:
                break
            if (0, row) not in taken and (1, column) not in taken:
                taken |= {(0, row), (1, column)}
                pairs.append((rows[row], tracks[column]))
        return pairs


class Counts:
    """Counts by minute and species as CSV: frames, median and most boxes of a frame, and animals,
    the tracks that were seen in that minute (empty without --track)."""

    HEADER = "minute,source,species,frames,median,most,animals\n"

    def __init__(self, path, names, endless=False):
        self.lines, self.names = Lines(path, self.HEADER, endless), names
        self.key: tuple = ()
        self.boxes: list = []
        self.animals: set | None = None

    def add(self, key, counts, animals=None):
        """One frame; `key`: its minute and source; `counts`: boxes of each class; `animals`: of
        `Tracker.animals`, or None."""
        if key != self.key:
            self.flush()
            self.key, self.boxes, self.animals = key, [], None if animals is None else set()
        self.boxes.append(counts)
        if self.animals is not None:
            self.animals.update(animals or ())

    def flush(self):
        """Write the minute that ends."""
        if not self.boxes:
            return
        text, (minute, source) = "", self.key
        for label, name in enumerate(self.names):
            counts = [int(frame[label]) for frame in self.boxes]
            seen = self.animals
            own = "" if seen is None else len([1 for _, kind in seen if kind == label])
            median = f"{statistics.median(counts):g}"
            row = (minute, source, name, len(counts), median, max(counts), own)
            text += ",".join(map(str, row)) + "\n"
        self.boxes = []
        self.lines.write(text)

    def close(self, whole):
        """Write what is left and finish the file."""
        try:
            self.flush()
        finally:
            self.lines.close(whole)


def _minutes(source, endless):
    """A call that turns (name, frame number) into the minute and source of `Counts`."""
    where = "stream" if "://" in str(source) else str(source).replace(",", " ")
    if endless:
        return lambda name, number: (time.strftime("%Y-%m-%dT%H:%M"), where)
    path, rate = Path(where if where == "stream" else source), 0.0
    if path.is_file() and path.suffix.lower() in VIDEOS and cv2 is not None:
        video = cv2.VideoCapture(str(path))
        rate = video.get(cv2.CAP_PROP_FPS)
        video.release()
    if not rate > 0:
        return lambda name, number: ("", path.name.replace(",", " "))

    def minute(name, number):
        whole = int(number / rate // 60)
        return f"{whole // 60:02d}:{whole % 60:02d}", path.name.replace(",", " ")

    return minute


class CountError:
    """How far counts are off from labelled frames: a CSV as run.py writes it (image, frame,
    species; a row without a species is a frame without animals)."""

    def __init__(self, path, names):
        import csv

        self.names, self.pairs = names, []
        self.labels: dict = {}
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file):
                    key = row["image"], int(row.get("frame") or 0)
                    counts = self.labels.setdefault(key, [0] * len(names))
                    if row["species"]:
                        counts[names.index(row["species"])] += 1
        except (OSError, ValueError, KeyError) as error:
            raise Problem(
                f"--labels {path}: expected a CSV with image, frame and species, one of "
                f"{', '.join(names)} ({error})"
            ) from error

    def add(self, name, number, counts):
        """One frame's boxes of each class, where it is labelled."""
        if (name, number) in self.labels:
            self.pairs.append((self.labels[name, number], counts))

    def report(self):
        """A line for each species."""
        if not self.pairs:
            return ["none of the frames is labelled: names are as in this program's CSV"]
        labelled, found = (np.array(side, dtype=float) for side in zip(*self.pairs))  # noqa: B905
        off = found - labelled
        return [
            f"{name}: {len(off)} labelled frames, {labelled[:, at].mean():.2f} a frame labelled, "
            f"{found[:, at].mean():.2f} found, off by {np.abs(off[:, at]).mean():.2f} "
            f"(mean {off[:, at].mean():+.2f}), exact in {(off[:, at] == 0).mean():.0%}"
            for at, name in enumerate(self.names)
        ]


def run(
    model,
    source,
    out=None,
    drawn=None,
    every=1,
    limit=None,
    reconnect=None,
    watch=None,
    health=None,
    track=False,
    counts=None,
    labels=None,
):
    """Detect over a source; returns (images seen, boxes found, images that could not be used).

    `reconnect` (s): a camera is opened again when it is gone; `watch` (s): a folder's new images;
    `health` (s): a line so often; `track`: boxes carry their animal's number; `counts`: a CSV by
    minute; `labels`: a CSV that counts are held against.
    """
    endless, live = reconnect is not None or watch is not None, None
    seen = boxes = failed = 0
    if reconnect is not None:
        if not str(source).isdecimal() and "://" not in str(source):
            raise Problem(f"{source}: --reconnect needs a camera number or an address")
        live = Live(source, reconnect)
    error = CountError(labels, model.names) if labels else None
    floors, tracker, tracks = model.floors, None, ()
    if track:
        tracker, inside = Tracker(), (model.inside or {}).get("confidence_threshold", 0)
        model.set_confidence(
            {
                name: max(float(floor) / 2, inside)
                for name, floor in zip(model.names, floors)  # noqa: B905
            }
        )
    minute, state, table, whole = _minutes(source, endless), Health(live), None, False
    output = None if counts and not out else Output(out, endless, track)
    pictures = frames(source, every)
    if endless:
        pictures = live.frames(every) if live else watched(source, watch)
    elif Path(source).exists():
        pictures = ahead(pictures)
    if health:
        state.every(health)
    try:
        table = Counts(counts, model.names, endless) if counts else None
        for name, number, frame in pictures:
            try:
                if isinstance(frame, Problem):
                    raise frame
                found = model.detect(frame)
                sure = found[:, 4] >= floors[found[:, 5].astype(int)]
                if tracker:
                    tracks = tracker.follow(found, sure)
                    found, tracks = found[sure], tracks[sure]
                # the whole name: a.jpg and a.png, or one name in two folders, are two pictures
                if drawn:
                    draw(frame, found, model.names, Path(drawn) / f"{name}_{number:06d}.jpg")
            except Problem as problem:
                failed += 1
                state.failed = failed
                tell(f"{name}: {problem}")
                continue
            seen, boxes = seen + 1, boxes + len(found)
            state.seen()
            if output:
                output.add(name, number, frame, found, model.names, tracks)
            numbers = np.bincount(found[:, 5].astype(int), minlength=len(model.names))
            if table:
                table.add(minute(name, number), numbers, tracker.animals() if tracker else None)
            if error:
                error.add(name, number, numbers)
            if limit and seen >= limit:
                break
        whole = True
    except KeyboardInterrupt:
        tell("ended by Ctrl-C")
        whole = seen > 0
    except Problem as problem:  # of the source itself
        if not seen + failed:
            raise
        failed, whole = failed + 1, True
        tell(str(problem))
    finally:
        state.ended.set()
        pictures.close()
        try:
            if output:
                output.close(whole)
        finally:
            if table:
                table.close(whole)
    for line in error.report() if error else ():
        tell(line)
    return seen, boxes, failed


# ---- what it costs


def benchmark(model, data=None, rounds=50):
    """Rows (name, median ms, 95th percentile ms) of decoding, network, and letterbox to boxes, at
    batch 1."""
    data = _picture() if data is None else data
    frame = decode(data)
    place = fit(frame.shape[1], frame.shape[0], model.image_size, model.stride)
    prepared = model.prepare(frame, place).copy()
    steps = {
        f"decode {frame.shape[1]}x{frame.shape[0]}": lambda: decode(data),
        "network": lambda: model.network(prepared),
        "letterbox to boxes": lambda: model.detect(frame),
    }
    taken: dict = {name: [] for name in steps}
    for turn in range(rounds + 3):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= 3:  # the first ones warm up
                taken[name].append((time.perf_counter() - start) * 1e3)
    return [
        (name, float(np.median(ms)), float(np.percentile(ms, 95))) for name, ms in taken.items()
    ]


def _picture():
    """A JPEG of 1920 x 1080 px with grain and without animals; give a photo of your own for its
    number of boxes."""
    across, down = np.linspace(60, 160, 1920), np.linspace(-40, 40, 1080)
    grain = np.random.default_rng(0).normal(0, 6, (1080, 1920, 3))
    frame = np.clip(down[:, None, None] + across[None, :, None] + grain, 0, 255).astype(np.uint8)
    if cv2 is not None:
        return cv2.imencode(".jpg", frame)[1].tobytes()
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=95)
    return stream.getvalue()


# ---- is it the bundle that was made, and does it find here what it found there?


SAME_PX, SAME_CONFIDENCE = 0.5, 0.01


def expectation(model, name, data):
    """What selftest.json says: the surest boxes that `model` finds in an image's bytes, here."""
    found = model.detect(decode(data))[:20]
    return {
        "image": name,
        "same_px": SAME_PX,
        "same_confidence": SAME_CONFIDENCE,
        "boxes": [
            {
                "species": model.names[int(row[5])],
                **{COLUMNS[3 + side]: round(float(row[side]), 3) for side in range(4)},
                "confidence": round(float(row[4]), 6),
            }
            for row in found
        ],
    }


def differing_boxes(model, expected, found):
    """How many of the expected boxes are not found, and the largest difference (px) of the rest."""
    missed, largest = 0, 0.0
    for box in expected["boxes"]:
        sides = np.array([box[side] for side in COLUMNS[3:7]])
        like = found[
            (found[:, 5] == model.names.index(box["species"]))
            & (np.abs(found[:, 4] - box["confidence"]) <= expected["same_confidence"])
        ]
        least = np.abs(like[:, :4] - sides).max(axis=1, initial=0).min(initial=np.inf)
        if least > expected["same_px"]:
            missed += 1
        else:
            largest = max(largest, float(least))
    return missed, largest


def selftest(folder, threads=None):
    """Check an unpacked bundle's files and boxes; prints what was checked, returns the exit code.

    Boxes equal the expected ones to SAME_PX and SAME_CONFIDENCE: INT8 may differ on a processor
    of another kind, and then this says so.
    """
    folder = Path(folder)
    if not (folder / "SHA256SUMS").is_file():
        raise Problem(f"{folder}: no SHA256SUMS here; give the unpacked bundle by --model")
    changed = list(changed_files(folder))
    for line in changed:
        tell(line)
    files = len((folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    print(f"files       {files - len(changed)} of {files} as they were made (SHA-256)")
    model = Model(folder, threads)
    try:
        expected = json.loads((folder / "selftest.json").read_text(encoding="utf-8"))
        data = (folder / expected["image"]).read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise Problem(f"{folder}: no test image ({error}); unpack the bundle again") from error
    start = time.perf_counter()
    found = model.detect(decode(data))
    ms = (time.perf_counter() - start) * 1e3
    missed, largest = differing_boxes(model, expected, found)
    n = len(expected["boxes"])
    print(f"test image  {n - missed} of {n} boxes as expected, largest difference {largest:.2f} px")
    print(f"time        {ms:.0f} ms, the first image")
    if missed:
        tell(f"{missed} of {n} boxes differ: on this device the model finds something else")
    return 1 if missed or changed else 0


# ---- the page


RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_FILES = {
    "ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".onnx": "application/octet-stream",
    ".png": "image/png",
    ".wasm": "application/wasm",
}
HEADERS = {
    # the browser itself refuses what is not this server's: no request can leave the machine
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: mediastream:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",  # both: threads of WebAssembly
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def web_runtime(folder, package=None):
    """Put the page's runtime into `folder`/web/ort, from an npm package file or by `npm pack`."""
    import shutil
    import subprocess
    import tarfile
    import tempfile

    address = "https://registry.npmjs.org/onnxruntime-web/-/" + RUNTIME.replace("@", "-") + ".tgz"
    with tempfile.TemporaryDirectory() as place:
        if package is None:
            npm = shutil.which("npm")
            advice = f"fetch {address} elsewhere and give its path"
            if npm is None:
                raise Problem(f"npm is not installed; {advice}")
            done = subprocess.run(
                [npm, "pack", RUNTIME], cwd=place, capture_output=True, text=True, check=False
            )
            package = next(Path(place).glob("*.tgz"), None)
            if done.returncode or package is None:
                why = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise Problem(f"npm pack {RUNTIME} failed ({why[:160]}); {advice}")
        found = {}
        try:
            with tarfile.open(package) as archive:
                for name in RUNTIME_FILES:
                    member = archive.extractfile(f"package/dist/{name}")
                    found[name] = member.read() if member else b""
        except (OSError, KeyError, tarfile.TarError) as error:
            why = " ".join(str(error).split())[:80]
            raise Problem(f"{package}: not {RUNTIME} ({why}); fetch {address}") from error
    for name, data in found.items():
        if hashlib.sha256(data).hexdigest() != RUNTIME_FILES[name]:
            raise Problem(f"{package}: {name} is not the one of {RUNTIME}; fetch {address}")
    target = Path(folder) / "web" / "ort"
    target.mkdir(parents=True, exist_ok=True)
    for name, data in found.items():
        part = target / f"{name}.part"
        part.write_bytes(data)
        os.replace(part, target / name)
    return target


def page_server(folder, host="127.0.0.1", port=8000):
    """A server of an unpacked bundle's page: its web files, model and test image, nothing else."""
    import http.server
    import shutil
    from urllib.parse import unquote, urlsplit

    root = Path(folder).resolve()
    open_names = {"model.json", "model.onnx", "selftest.json", "selftest.png"}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            name = unquote(urlsplit(self.path).path).lstrip("/")
            if name in ("", "web"):
                self.send_response(302)
                self.send_header("Location", "/web/")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path = (root / (name + "index.html" * name.endswith("/"))).resolve()
            inside = path.is_relative_to(root / "web") or name in open_names
            if not (inside and path.is_file() and path.suffix in KINDS):
                self.send_error(404)
                return
            with open(path, "rb") as file:
                self.send_response(200)
                self.send_header("Content-Type", KINDS[path.suffix])
                self.send_header("Content-Length", str(path.stat().st_size))
                for header, value in HEADERS.items():
                    self.send_header(header, value)
                self.end_headers()
                if self.command == "GET":
                    shutil.copyfileobj(file, self.wfile)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

        def handle(self):
            with contextlib.suppress(ConnectionError):  # a browser that has seen enough
                super().handle()

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = os.name != "nt"

    try:
        return Server((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise Problem(
            f"{host}:{port} cannot be used ({error}); is the page running already? Else give "
            "another --port"
        ) from error


def serve(folder, host="127.0.0.1", port=8000):
    """Serve the page until Ctrl-C."""
    folder = Path(folder)
    if not (folder / "web" / "index.html").is_file() or not (folder / "model.json").is_file():
        raise Problem(f"{folder}: no page here; give the unpacked bundle by --model")
    for problem in changed_files(folder, ["model.onnx"]):
        raise Problem(problem)
    with page_server(folder, host, port) as server:
        if not all((folder / "web" / "ort" / name).is_file() for name in RUNTIME_FILES):
            tell("the page's runtime is not there yet: python run.py web-runtime")
        shown = f"[{host}]" if ":" in host else host
        tell(f"http://{shown}:{server.server_address[1]}/  (Ctrl-C ends)")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def peak_memory_mb():
    """Most memory that this process held so far, MB of 10^6 bytes; NaN where the system does not
    tell."""
    with contextlib.suppress(OSError, StopIteration):
        text = Path("/proc/self/status").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    with contextlib.suppress(ImportError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1e6 if sys.platform == "darwin" else 1e3
        )
    return float("nan")


def tell(line):
    """One line for the user, beside the results."""
    sys.stderr.write(f"{_hidden(line)}\n")


def _hidden(text):
    """The text without the passwords of addresses."""
    return re.sub(r"\S+:\S+@|(?<=password=)[^&\s]+", "***", str(text))


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        super().error(_hidden(message))


@contextlib.contextmanager
def _terminated():
    """Let a service manager's stop end a run as Ctrl-C does, with its files finished."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def command(name, arguments):
    """`run.py selftest`, `web-runtime` or `serve`; returns the exit code."""
    parser = _Parser(prog=f"run.py {name}")
    parser.add_argument(
        "--model", default=Path(__file__).parent, help="the unpacked bundle, by default this folder"
    )
    if name == "web-runtime":
        parser.add_argument("package", nargs="?", help=f"{RUNTIME} as a file, else `npm pack`")
    elif name == "serve":
        parser.add_argument("--host", default="127.0.0.1", help="by default this machine alone")
        parser.add_argument("--port", type=int, default=8000)
    else:
        parser.add_argument("--threads", type=int, help="processor threads, by default all cores")
    options = parser.parse_args(arguments)
    try:
        if name == "web-runtime":
            tell(f"{web_runtime(options.model, options.package)}: {RUNTIME}")
        elif name == "serve":
            serve(options.model, options.host, options.port)
        else:
            return selftest(options.model, options.threads)
    except (Problem, OSError) as problem:
        tell(f"error: {problem}")
        return 1
    return 0


def main(arguments=None):
    """The command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] in (["selftest"], ["web-runtime"], ["serve"]):
        return command(arguments[0], arguments[1:])
    parser = _Parser(prog="run.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "source",
        nargs="?",
        help="an image, a folder, a video, a camera number, or rtsp://...; without it the "
        "environment's LIVESTOCK_SOURCE, which `ps` does not show",
    )
    parser.add_argument(
        "--model", default=Path(__file__).parent, help="the unpacked bundle, by default this folder"
    )
    parser.add_argument(
        "--out",
        help="boxes.csv, .json or .jsonl; without it, and without --counts, CSV on the screen",
    )
    parser.add_argument("--draw", metavar="FOLDER", help="write every image with its boxes there")
    parser.add_argument(
        "--every", type=int, default=1, help="of a video or camera, every n-th frame only"
    )
    parser.add_argument("--limit", type=int, help="stop after so many images")
    seconds: dict = {"type": float, "metavar": "SECONDS"}
    parser.add_argument(
        "--reconnect", **seconds, help="open a camera again when it is gone, every so often"
    )
    parser.add_argument(
        "--watch", **seconds, help="look for new images in a folder, every so often"
    )
    parser.add_argument(
        "--health", **seconds, help="tell frames/s, age, temperature every so often"
    )
    parser.add_argument(
        "--look",
        action="store_true",
        help="one box an animal and no faint ones; always so with --track, --counts and --labels",
    )
    parser.add_argument("--track", action="store_true", help="number the animals over frames")
    parser.add_argument("--counts", metavar="CSV", help="write counts by minute and species there")
    parser.add_argument("--labels", metavar="CSV", help="tell how far counts are off from these")
    parser.add_argument("--threads", type=int, help="processor threads, by default all cores")
    parser.add_argument(
        "--confidence",
        type=float,
        help="show boxes from this confidence up, by default model.json's",
    )
    parser.add_argument(
        "--benchmark", action="store_true", help="measure instead; a source gives the picture"
    )
    parser.add_argument("--rounds", type=int, default=50, help="repeats of --benchmark")
    options = parser.parse_args(arguments)
    if not options.benchmark:
        options.source = options.source or os.environ.get("LIVESTOCK_SOURCE")
    if options.source is None and not options.benchmark:
        parser.error("give an image, a folder, a video or a camera number, or --benchmark")
    if options.watch is not None and options.reconnect is not None:
        parser.error("--watch is for a folder, --reconnect for a camera: give one of them")
    for name in ("reconnect", "watch", "health"):
        if (value := getattr(options, name)) is not None and not value > 0:
            parser.error(f"--{name} must be above 0, got {value:g}")
    for name in ("every", "rounds", "limit", "threads"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if options.confidence is not None and not 0 < options.confidence <= 1:
        parser.error(f"--confidence must lie in (0, 1], got {options.confidence:g}")
    try:
        if cv2 is None and Image is None:
            raise Problem("neither OpenCV nor Pillow is installed: pip install -r requirements.txt")
        model = Model(options.model, options.threads)
        if options.look or options.track or options.counts or options.labels:
            model.look()
        if options.confidence is not None:
            model.set_confidence(options.confidence)
        if options.benchmark:
            data = Path(options.source).read_bytes() if options.source is not None else None
            rows = benchmark(model, data, options.rounds)
            for name, median, p95 in rows:
                sys.stdout.write(f"{name:22} median {median:8.2f} ms   p95 {p95:8.2f} ms\n")
            sys.stdout.write(
                f"images a second {1e3 / rows[2][1]:.1f} (letterbox to boxes), threads "
                f"{model.threads}, "
                f"peak memory {peak_memory_mb():.0f} MB, {model.file.stat().st_size / 1e6:.1f} MB "
                "model\n"
            )
            return 0
        names = "every limit reconnect watch health track counts labels".split()
        with _terminated():
            seen, boxes, failed = run(
                model,
                options.source,
                options.out,
                options.draw,
                **{name: getattr(options, name) for name in names},
            )
    except (Problem, OSError) as problem:
        tell(f"error: {problem}")
        return 1
    tell(f"{seen} images, {boxes} boxes; {failed} could not be used")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
