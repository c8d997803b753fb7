"""Anyone's own photos and videos: found, predicted, written as a table and as drawn images."""

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import files, frames, species
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import ArchiveError, DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.detect.backends import base, loading
from livestock_utils.detect.predict import candidates, engine, postprocess

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")
_GREY = "#787878"
log = logging.getLogger(__name__)


def find(
    source: str | os.PathLike, every: int = 1, without: str | os.PathLike | None = None
) -> Photos:
    """The photos of an image file, a folder (with its subfolders, but not `without`) or a video; of
    no species. image_id is the path below the folder without its ending (with it where two differ
    by the ending only); of a video the number of every `every`-th frame."""
    path = Path(source)
    if not path.exists():
        raise DatasetError(
            f"{path}: no such file or folder; give an image, a folder of images or a video"
        )
    if every < 1:
        raise DatasetError(f"every must be at least 1, got {every}")
    if path.is_file() and path.suffix.lower() in _VIDEO_ENDINGS:
        video = VideoReader(path, every)
        digits = max(len(str(max(video.count - 1, 0))), 6)
        numbers = [f"{number:0{digits}d}" for number in range(0, video.count, every)]
        if not numbers:
            raise DatasetError(f"{path}: no frames could be counted; is it a whole video?")
        table = _table([f"{path.stem}_{number}" for number in numbers], numbers)
        table = table.assign(width_px=video.size[0], height_px=video.size[1])
        return Photos(table, folder=path.parent, source=video)
    if path.is_file():
        if path.suffix.lower() not in _IMAGE_ENDINGS:
            raise DatasetError(
                f"{path}: neither an image ({', '.join(_IMAGE_ENDINGS)}) nor a video "
                f"({', '.join(_VIDEO_ENDINGS)}); convert it, or give a folder"
            )
        return Photos(_table([path.stem], [path.name]), folder=path.parent)
    inside = [p for p in path.rglob("*") if p.is_file()]
    videos = sorted(p.name for p in inside if p.suffix.lower() in _VIDEO_ENDINGS)
    pictures = [p for p in inside if p.suffix.lower() in _IMAGE_ENDINGS and p.name[0] != "."]
    if without is not None:
        apart = Path(without).resolve()
        pictures = [p for p in pictures if not p.resolve().is_relative_to(apart)]
    found = sorted(p.relative_to(path) for p in pictures)
    if not found:
        hint = f"; give a video by itself, such as {videos[0]}" if videos else ""
        raise DatasetError(
            f"{path}: no images in this folder (looked for {', '.join(_IMAGE_ENDINGS)}){hint}"
        )
    if videos:
        log.warning(
            f"{path}: {len(videos)} videos (first: {videos[0]}) are left out; give each by itself"
        )
    stems = pd.Series([p.with_suffix("").as_posix() for p in found])
    names = pd.Series([p.as_posix() for p in found])
    ids = stems.where(~stems.duplicated(keep=False), names)
    return Photos(_table(ids, names), folder=path)


def _table(image_ids: Sequence[str] | pd.Series, members: Sequence[str] | pd.Series) -> Any:
    return pd.DataFrame({"image_id": image_ids, "species": "", "archive": "", "member": members})


class VideoReader:
    """Frames of a video by number, read front to back whatever threads ask for."""

    def __init__(self, path: str | os.PathLike, every: int = 1) -> None:
        """Open the video; `count` frames of `size` px. DatasetError if it cannot be opened."""
        import cv2

        self.path, self.every = Path(path), every
        self.video = cv2.VideoCapture(str(path))
        if not self.video.isOpened():
            raise DatasetError(f"{path}: not a readable video; convert it to .mp4 first")
        self.count = max(int(self.video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
        self.size = tuple(int(self.video.get(side)) for side in sides)
        self.next, self.lock = 0, threading.Lock()
        self.waiting: dict[int, np.ndarray] = {}

    def bytes(self, archive: str, member: str) -> bytes:
        """Frame `member` as BMP bytes; ArchiveError past the end of the video."""
        import cv2

        number = int(member)
        with self.lock:
            if number < self.next and number not in self.waiting:  # a second pass starts over
                self.video.set(cv2.CAP_PROP_POS_FRAMES, 0)
                self.next, self.waiting = 0, {}
            while self.next <= number:
                is_wanted = self.next % self.every == 0
                ready, frame = self.video.read() if is_wanted else (self.video.grab(), None)
                if not ready:
                    raise ArchiveError(f"{self.path.name} ends before frame {number}")
                if frame is not None:
                    self.waiting[self.next] = frame
                self.next += 1
            frame = self.waiting.pop(number)
        return cv2.imencode(".bmp", frame)[1].tobytes()

    def stamp(self, archive: str, member: str) -> str:
        """See `photos.Reader`: the size of the video."""
        return str(self.path.stat().st_size)


def predict(
    weights: str | os.PathLike | list[Path],
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    looking: postprocess.PostprocessSettings | None = None,
    scoring: postprocess.PostprocessSettings | None = None,
    draw: bool = True,
    every: int = 1,
    any_classes: bool = False,
    **options: Any,
) -> tuple[pd.DataFrame, candidates.Candidates]:
    """Predict photos or a video, but not what lies in `out`, into `out`: predictions.csv,
    counts.csv, images.csv, drawn/*.jpg with the boxes of `looking` (None: what the weights say is
    best, else LOOKING). With `scoring`, predictions.csv holds its boxes instead. `options`: of
    `engine.collect_candidates`. Returns the boxes of `looking` (px) and the candidates."""
    import cv2

    out = Path(out)
    own = out / "drawn" if out.resolve() == Path(source).resolve() else out
    photos = find(source, every, without=own)
    names = ("backend", "device", "half", "trust")
    opening = {name: options.pop(name) for name in names if name in options}
    opening["any_classes"] = any_classes
    if isinstance(weights, list):
        looking = looking or postprocess.LOOKING
    else:
        network = loading.open_backend(weights, **opening)
        opening, looking = {"network": network}, looking or _own_settings(network)
    needs = (scoring or looking).needs
    found = engine.collect_candidates(weights, photos, **{**needs, **opening, **options})
    seen = postprocess.apply(found, looking)
    table = seen if scoring is None else postprocess.apply(found, scoring)
    rounded, images = table.round(dict.fromkeys(XYXY, 3)), found.images.drop(columns="found")
    numbers = pd.crosstab(seen["image_id"], seen["species"]).reindex(
        index=images["image_id"], columns=found.names, fill_value=0
    )
    written = {"predictions": rounded, "images": images, "counts": numbers.reset_index()}
    for name, one in written.items():
        files.write_text(out / f"{name}.csv", one.to_csv(index=False, lineterminator="\n"))
    if draw:
        predictions = sure = seen
        by_image = dict(list(sure.groupby("image_id")))
        ready = found.images.loc[found.images["status"] == "ok", "image_id"]
        rows = photos.images[photos.images["image_id"].isin(ready)].to_dict("records")
        with photos.reader() as reader:
            for row in progress(rows, desc="draw", unit="img"):
                frame = frames.decode(reader.bytes(row["archive"], row["member"]))
                drawn = _draw(frame, by_image.get(row["image_id"], predictions.iloc[:0]))
                jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
                with files.whole_file(out / "drawn" / f"{row['image_id']}.jpg") as file:
                    file.write(jpeg.tobytes())
    return seen, found


def _own_settings(network: base.Backend) -> postprocess.PostprocessSettings:
    """The settings to look and count with that a network's weights carry, else LOOKING; a warning
    for one that has seen drawings only."""
    notes = getattr(network, "notes", {})
    if notes.get("trained_on", {}).get("drawn"):
        log.warning("these weights know drawn scenes only: expect little of them on photos")
    known = notes.get("looking")
    return postprocess.PostprocessSettings.from_dict(known) if known else postprocess.LOOKING


def _draw(frame_bgr: np.ndarray, boxes: pd.DataFrame) -> np.ndarray:
    """A copy of the frame with its boxes in the species' colours, name and confidence."""
    import cv2

    picture = frame_bgr.copy()
    width = max(round(max(picture.shape[:2]) / 500), 1)
    scale, font = max(picture.shape[:2]) / 1400, cv2.FONT_HERSHEY_SIMPLEX
    for box in boxes.sort_values("confidence").to_dict("records"):
        red, green, blue = bytes.fromhex(species.colours().get(box["species"], _GREY)[1:])
        tone = blue, green, red
        left, upper, right, lower = (round(box[name]) for name in XYXY)
        cv2.rectangle(picture, (left, upper), (right, lower), tone, width, cv2.LINE_AA)
        # Letters alone, without a ground: a tag never hides an animal.
        text = f"{box['species']} {box['confidence']:.2f}"
        (wide, tall), base = cv2.getTextSize(text, font, scale, width)
        place = min(left, max(picture.shape[1] - wide, 0)), max(upper - base - width, tall)
        for ink, thick in (((255, 255, 255), 2 * width + 2), (tone, width)):
            cv2.putText(picture, text, place, font, scale, ink, thick, cv2.LINE_AA)
    return picture
