"""One pass of a network over images, in part files that a stopped run goes on from."""

import contextlib
import dataclasses
import functools
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import frames
from livestock_utils.core.arrays import Array
from livestock_utils.core.errors import ArchiveError, DatasetError, LivestockError
from livestock_utils.core.photos import Reader
from livestock_utils.core.progress import progress
from livestock_utils.detect.backends import base
from livestock_utils.detect.predict import candidates
from livestock_utils.detect.predict.candidates import Candidates

log = logging.getLogger(__name__)

PART_IMAGES = 256
"""Images a part file, about, unless told otherwise."""


def parse_pass(name: str) -> tuple[float, bool]:
    """Scale and mirroring of a pass: "plain", "flip", "x0.83", "x1.2-flip"."""
    scale, _, flip = (
        name.partition("-") if name.startswith("x") else ("x1", "", "" if name == "plain" else name)
    )
    number = scale[1:]
    factor = float(number) if number.replace(".", "", 1).isdecimal() else 0.0
    if not name or flip not in ("", "flip") or not 0.1 <= factor <= 4:
        raise LivestockError(
            "pass must be 'plain', 'flip', or a scale of .1 to 4 such as 'x0.83' or 'x0.83-flip', "
            f"got {name!r}"
        )
    return factor, flip == "flip"


def extract(raw: npt.NDArray[np.floating], floor: float, cap: int) -> tuple[dict[str, Array], int]:
    """The network's rows of an image -> candidates from `floor`, and how many before the cap. `raw`
    (m, 5 + classes): centre x, y, width, height px, objectness, class scores; an anchor gives one
    candidate for each class above the floor (yolov5's val.py). By falling confidence (stable)."""
    scores = raw[:, 5:] * raw[:, 4:5]
    anchor, class_index = np.nonzero(scores >= np.float32(floor))
    confidence = scores[anchor, class_index]
    order = np.argsort(-confidence, kind="stable")[:cap]
    anchor, class_index = anchor[order], class_index[order]
    centre, half_size = raw[anchor, :2], raw[anchor, 2:4] / 2
    return {
        "xyxy": np.hstack([centre - half_size, centre + half_size]),
        "class_index": class_index,
        "best_class": scores[anchor].argmax(axis=1) == class_index,
        "confidence": confidence[order],
    }, len(confidence)


@dataclasses.dataclass(eq=False)
class NetworkPass:
    """One pass (`name`) of one network over images; `made_with` says how (image_size, floor, cap,
    ...), `parts_folder` takes the part files of all passes."""

    network: base.Backend
    images: pd.DataFrame
    reader: Reader
    made_with: dict[str, Any]
    name: str
    workers: int
    batch_size: int
    part_images: int
    parts_folder: str | os.PathLike | None

    def __post_init__(self) -> None:
        """Check the name, and tell what it says."""
        scale, self.flipped = parse_pass(self.name)
        stride = self.network.stride
        self.pixels = max(round(self.made_with["image_size"] * scale / stride), 1) * stride
        n = len(self.images)
        self.archives = self.images["archive"].tolist() if "archive" in self.images else [""] * n
        self.members = self.images["member"].tolist()

    def all_parts(self, index: int, count: int) -> Candidates:
        """The candidates of shard `index`/`count`; part files on disk are taken as they are."""
        parts = self.plan
        mine = list(range(index - 1, len(parts), count))
        folder = None if self.parts_folder is None else Path(self.parts_folder) / self.name
        if folder is not None:
            self._clear(folder, len(parts))
        total = sum(len(rows) for k in mine for rows in parts[k])
        done = []
        with progress(total=total, desc=f"predict {self.name}", unit="img") as bar:
            for k in mine:
                path = None if folder is None else part_path(folder, k, len(parts))
                ready = self._from_disk(path, parts[k])
                if ready is not None:
                    bar.update(len(ready.images))
                else:
                    ready = self._compute(parts[k], bar)
                    if path is not None:
                        candidates.save(path, ready)
                done.append(ready)
            return candidates.merge(done) if done else self._compute([], bar)

    @functools.cached_property
    def plan(self) -> list[list[list[int]]]:
        """For each part its batches of rows: runs of one letterboxed shape. Which images make a
        part does not depend on `batch_size`, so that unlike machines can share."""
        step, like = self.batch_size, self.made_with["like"]
        parts: list[list[list[int]]] = []
        room = 0
        for rows in frames.plan_batches(
            self.images, self.pixels, self.part_images, self.network.stride, like
        ):
            if not parts or len(rows) > room:
                parts.append([])
                room = self.part_images
            parts[-1] += [rows[i : i + step] for i in range(0, len(rows), step)]
            room -= len(rows)
        return parts or [[]]

    def _clear(self, folder: Path, total: int) -> None:
        """Remove part files of other images or settings. LivestockError, and nothing removed, where
        these very images were cut another way: they may be another session's."""
        whole = f"-{total:05d}"
        others = [
            path for path in sorted(folder.glob("part-*-of-*.npz")) if not path.stem.endswith(whole)
        ]
        for path in others:
            with contextlib.suppress(DatasetError):
                if candidates.load(path).made_with == self.made_with:
                    raise LivestockError(
                        f"{path} is of the same images in parts of another size: give the "
                        "part_images that it was made with, or another parts_folder"
                    )
        for path in others:
            log.warning("%s is of other images or settings; removed", path)
            path.unlink(missing_ok=True)

    def _from_disk(self, path: Path | None, batches: list[list[int]]) -> Candidates | None:
        if path is None or not path.is_file():
            return None
        try:
            found = candidates.load(path)
        except DatasetError as error:
            log.warning("predicted again: %s", error)
            return None
        ids = sorted(self.images["image_id"].iloc[[row for rows in batches for row in rows]])
        if found.made_with == self.made_with and found.images["image_id"].tolist() == ids:
            return found
        log.warning("%s was made with other settings or images; predicted again", path)
        return None

    def _compute(self, batches: list[list[int]], bar: Any) -> Candidates:
        rows = [row for batch in batches for row in batch]
        place = {row: i for i, row in enumerate(rows)}
        sizes, found = np.zeros((len(rows), 2), dtype=int), np.zeros(len(rows), dtype=int)
        status = ["ok"] * len(rows)
        floor, cap = self.made_with["floor"], self.made_with["cap"]
        nothing, _ = extract(np.zeros((0, 5 + len(self.network.names)), dtype=np.float32), 0, 1)
        pieces = [{"image_index": np.zeros(0, dtype=int), **nothing}]
        for batch in frames.read_ahead(batches, self._load, self.workers):
            shapes: dict[tuple[int, ...], list[Any]] = {}
            for frame in batch:
                if frame.pixels is None:
                    status[place[frame.row]] = frame.problem
                else:
                    shapes.setdefault(frame.pixels.shape, []).append(frame)
            for same in shapes.values():
                raw = self.network(np.stack([frame.pixels for frame in same]), floor)
                for frame, rows_of_image in zip(same, raw, strict=True):
                    at = place[frame.row]
                    sizes[at] = frame.box.frame
                    piece, found[at] = extract(rows_of_image, floor, cap)
                    piece["xyxy"] = frame.box.to_frame(piece["xyxy"], self.flipped)
                    pieces.append({"image_index": np.full(len(piece["confidence"]), at), **piece})
            bar.update(len(batch))
        arrays = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
        arrays["pass_index"] = np.zeros(len(arrays["confidence"]))
        images = pd.DataFrame({"image_id": self.images["image_id"].iloc[rows].to_numpy()})
        images = images.assign(
            width_px=sizes[:, 0], height_px=sizes[:, 1], status=status, found=found
        )
        return candidates.build(images, self.network.names, (self.name,), self.made_with, **arrays)

    def _load(self, row: int) -> frames.Frame:
        """Read, decode and letterbox an image; what cannot be read is told in the frame."""
        try:
            frame_bgr = frames.decode(self.reader.bytes(self.archives[row], self.members[row]))
        except (ArchiveError, OSError) as error:
            return frames.Frame(row, None, None, " ".join(str(error).split()))
        height, width = frame_bgr.shape[:2]
        like = self.made_with["like"]
        box = frames.fit(width, height, self.pixels, self.network.stride, like)
        return frames.Frame(row, frames.letterbox(frame_bgr, box, like, self.flipped), box)


def part_path(folder: Path, part: int, total: int) -> Path:
    """File of part `part` (from 0) of `total`."""
    return folder / f"part-{part + 1:05d}-of-{total:05d}.npz"
