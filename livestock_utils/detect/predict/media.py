"""Anyone's own photos and videos: found, predicted, written as a table and as drawn images."""

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import files, frames, species
from livestock_utils.core.arrays import Pixels
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos, Reader
from livestock_utils.core.progress import progress
from livestock_utils.detect.backends import base, loading
from livestock_utils.detect.predict import candidates, engine, postprocess

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
_FRAMES = 32
"""Frames of a video that are in memory at once: those of 4K are 25 MB each."""
_GREY = "#787878"
log = logging.getLogger(__name__)


def find(source: str | os.PathLike, without: str | os.PathLike | None = None) -> Photos:
    """The photos of an image file or a folder (with its subfolders, but not `without`); of no
    species. image_id is the path below the folder without its ending (with it where two differ by
    the ending only)."""
    path = Path(source)
    if not path.exists():
        raise DatasetError(
            f"{path}: no such file or folder; give an image, a folder of images or a video"
        )
    if path.is_file():
        if path.suffix.lower() not in _IMAGE_ENDINGS:
            raise DatasetError(
                f"{path}: neither an image ({', '.join(_IMAGE_ENDINGS)}) nor a video "
                f"({', '.join(VIDEO_ENDINGS)}); convert it, or give a folder"
            )
        return Photos(_table([path.stem], [path.name]), folder=path.parent)
    inside = [p for p in path.rglob("*") if p.is_file()]
    videos = sorted(p.name for p in inside if p.suffix.lower() in VIDEO_ENDINGS)
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


def video_frames(path: str | os.PathLike, every: int = 1) -> Iterator[tuple[int, Pixels]]:
    """Every `every`-th frame of a video (h, w, 3), BGR, with its number: read to the end whatever
    number the file promises, which is often wrong; the edge runner reads alike."""
    import cv2

    video, number = cv2.VideoCapture(str(path)), 0
    try:
        if not video.isOpened():
            raise DatasetError(f"{path}: not a readable video; convert it to .mp4 first")
        promised = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        while True:
            is_wanted = number % every == 0
            there, frame = video.read() if is_wanted else (video.grab(), None)
            if not there:
                break
            if is_wanted:
                yield number, np.asarray(frame, dtype=np.uint8)
            number += 1
    finally:
        video.release()
    if number == 0:
        raise DatasetError(f"{path}: gives no pictures; is it a whole video?")
    if number < promised - max(2, promised // 50):  # some formats only estimate their number
        log.warning(f"{path}: ends after {number} of {promised} pictures: cut short or damaged")


@dataclasses.dataclass(frozen=True)
class _Frames:
    """A `photos.Reader` of a few frames of a video."""

    frames: dict[str, Pixels]

    def bytes(self, archive: str, member: str) -> bytes:
        """Frame `member` as BMP bytes."""
        import cv2

        return cv2.imencode(".bmp", self.frames[member])[1].tobytes()

    def stamp(self, archive: str, member: str) -> str:
        """See `photos.Reader`."""
        return ""


def _video_photos(path: Path, every: int) -> Iterator[Photos]:
    """A video's frames as photos, a few at a time; image_id ends in the frame's number."""
    read = video_frames(path, every)
    while some := list(itertools.islice(read, _FRAMES)):
        held = {f"{number:06d}": frame for number, frame in some}
        yield Photos(_table([f"{path.stem}_{n}" for n in held], list(held)), source=_Frames(held))


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
    if every < 1:
        raise DatasetError(f"every must be at least 1, got {every}")
    path, out = Path(source), Path(out)
    own = out / "drawn" if out.resolve() == path.resolve() else out
    is_video = path.is_file() and path.suffix.lower() in VIDEO_ENDINGS
    chunks = _video_photos(path, every) if is_video else [find(path, without=own)]
    names = ("backend", "device", "half", "trust")
    opening = {name: options.pop(name) for name in names if name in options}
    opening["any_classes"] = any_classes
    if isinstance(weights, list):
        looking = looking or postprocess.LOOKING
    else:
        network = loading.open_backend(weights, **opening)
        opening, looking = {"network": network}, looking or _own_settings(network)
    chosen = scoring or looking
    run = engine.prepare(weights, **{**chosen.needs, **opening, **options})
    parts, shown, tables = [], [], []
    for photos in chunks:
        with photos.reader() as reader:
            parts.append(run(photos, reader)("1/1"))
            shown.append(postprocess.apply(parts[-1], looking))
            if draw:
                _draw_all(photos, reader, parts[-1], shown[-1], out / "drawn")
        tables.append(postprocess.apply(parts[-1], chosen) if scoring else shown[-1])
    alike = [dataclasses.replace(part, made_with=parts[0].made_with) for part in parts]
    found, seen, table = candidates.merge(alike), _stacked(shown), _stacked(tables)
    engine.report(found, found.images)
    rounded, images = table.round(dict.fromkeys(XYXY, 3)), found.images.drop(columns="found")
    numbers = pd.crosstab(seen["image_id"], seen["species"]).reindex(
        index=images["image_id"], columns=found.names, fill_value=0
    )
    written = {"predictions": rounded, "images": images, "counts": numbers.reset_index()}
    for name, one in written.items():
        files.write_text(out / f"{name}.csv", one.to_csv(index=False, lineterminator="\n"))
    return seen, found


def _stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    full = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(full, ignore_index=True)


def _draw_all(
    photos: Photos, reader: Reader, found: candidates.Candidates, boxes: pd.DataFrame, folder: Path
) -> None:
    """Write the photos that could be read as JPEGs with their boxes."""
    import cv2

    by_image = dict(list(boxes.groupby("image_id")))
    ready = found.images.loc[found.images["status"] == "ok", "image_id"]
    rows = photos.images[photos.images["image_id"].isin(ready)].to_dict("records")
    for row in progress(rows, desc="draw", unit="img"):
        frame = frames.decode(reader.bytes(row["archive"], row["member"]))
        drawn = _draw(frame, by_image.get(row["image_id"], boxes.iloc[:0]))
        jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        with files.whole_file(folder / f"{row['image_id']}.jpg") as file:
            file.write(jpeg.tobytes())


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
