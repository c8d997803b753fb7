"""What label files say -> tables: classes by name, each photo once, frames and boxes checked."""

import os
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from livestock_utils.core import species as known
from livestock_utils.core.archives import HERE, open_archive
from livestock_utils.core.boxes import Boxes, clip_to_frame
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.reading import read_csv
from livestock_utils.core.tables import require_columns
from livestock_utils.core.text import nfc
from livestock_utils.data.aihub.labels import Label, stem
from livestock_utils.data.aihub.reading import Photo, checked_boxes, with_sizes
from livestock_utils.data.findings import Findings
from livestock_utils.data.layouts.labels import Labels

_BETWEEN = re.compile(r"[/\\:]+")
_PARTS = ("train", "valid", "test")
_SAME_ASPECT = 0.02
"""Frames whose sides have ratios closer than that share show the same at another size."""
_ROUNDING_PX = 0.01
"""Six digits of a share in a frame of 10,000 px."""
WITHOUT_BOXES = "photos_without_boxes.csv"
"""Beside the labels: the species of photos without boxes, which no layout can say."""
_NOT_WANTED = "none"
"""The name that classes to be left out are given in `classes`."""


def read_classes(classes: str | Mapping[str, Sequence[str]] | None) -> dict[str, str]:
    """Class in lower case -> species, or "" for what is not wanted: those of species.yaml, then
    `classes`, which is {"pig": ["hog"], "none": ["sheep"]} or "pig=hog,piglet; none=sheep"."""
    found = {name: one.name for one in known.all_species() for name in one.names}
    if isinstance(classes, str):
        parts = [text.partition("=") for text in classes.split(";") if text.strip()]
        if not all(names.strip() for _, _, names in parts):
            raise DatasetError(
                f"classes {classes!r}: expected species=class,class; such as "
                "pig=hog,piglet; none=sheep"
            )
        classes = {species.strip(): names.split(",") for species, _, names in parts}
    for species, names in (classes or {}).items():
        if species not in (_NOT_WANTED, *known.names()):
            raise DatasetError(
                f"classes: {species!r} is no species; expected one of "
                f"{', '.join((*known.names(), _NOT_WANTED))}"
            )
        for name in names:
            found[nfc(str(name)).strip().lower()] = "" if species == _NOT_WANTED else species
    return found


def to_tables(labels: Labels, classes: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Images (with `part` where the layout gives parts) and boxes; faults go to `findings`. A photo
    with a label but no usable box in it is left out: it is not known to be without animals."""
    findings = labels.findings
    at, kept, species = _checked_classes(labels, classes, findings)
    xyxy = np.frombuffer(labels.xyxy).reshape(-1, 4)[kept]
    rows = _once(labels, findings)
    ids = _image_ids(labels.member)
    archive = open_archive(labels.folder, HERE)
    photos = {ids[row]: Photo("", archive, labels.member[row]) for row in rows}
    photos = with_sizes(photos, {}, True, findings, keep_all=False)
    row_of = {ids[row]: row for row in rows if ids[row] in photos}
    names = sorted(row_of)
    order = np.array([row_of[name] for name in names], dtype=np.int64)
    sizes = [(photos[i].width_px, photos[i].height_px) for i in names]
    true = np.array(sizes, dtype=float).reshape(-1, 2)
    scale, fits = _scales(labels, order, true, findings)
    place = np.full(len(labels.member), -1, dtype=np.int64)
    place[order[fits]] = np.flatnonzero(fits)
    image = place[at]
    sort = np.argsort(image, kind="stable")[int((image < 0).sum()) :]
    xyxy = _snapped(xyxy[sort] * np.tile(scale[image[sort]], 2), true[image[sort]])
    if labels.in_shares:  # whole pixels come back whole, as edges of bins are
        xyxy = xyxy.round(4)
    ends = np.searchsorted(image[sort], np.arange(len(names) + 1))
    images = pd.DataFrame(
        {
            "image_id": pd.Series(names, dtype=str),
            "species": "",
            "width_px": true[:, 0].astype(np.int64),
            "height_px": true[:, 1].astype(np.int64),
            "archive": HERE,
            "member": pd.Series([labels.member[row] for row in order], dtype=str),
            "part": pd.Series([labels.part[row] for row in order], dtype=str),
        }
    )
    checked = [
        Label("", "", labels.source[row], member, xyxy=array("d", xyxy[start:end].tobytes()))
        for row, member, start, end in zip(order, images["member"], ends, ends[1:], strict=False)
    ]
    kept_images, boxes = checked_boxes(images, checked, findings, species[sort])
    had_box = np.bincount(np.frombuffer(labels.at, dtype=np.int64), minlength=len(labels.member))
    unwanted = np.bincount(at[species == ""], minlength=len(labels.member))
    boxes = boxes[boxes["species"] != ""].reset_index(drop=True)
    has_box = images["image_id"].isin(boxes["image_id"]).to_numpy()
    is_told = ~images["image_id"].isin(kept_images["image_id"]).to_numpy()
    is_lost = fits & ~has_box & (had_box[order] > unwanted[order])
    for number in np.flatnonzero(is_lost & ~is_told):
        row = order[number]
        what = f"none of its boxes can be used ({had_box[row]})"
        findings.add_member("image_lost", HERE, labels.member[row], names[number], what)
    images = images[fits & ~is_lost].reset_index(drop=True)
    images["species"] = _commonest(images["image_id"], boxes)
    if (file := labels.folder / WITHOUT_BOXES).is_file():
        table = read_csv(file, dtype=str, keep_default_na=False)
        require_columns(table, ("image_id", "species"), str(file))
        if odd := set(table["species"]) - set(known.names()):
            raise DatasetError(f"{file}: {min(odd)!r} is no species; write one of {known.names()}")
        told = images["image_id"].map(table.set_index("image_id")["species"].to_dict())
        images["species"] = images["species"].where(images["species"] != "", told.fillna(""))
    return images, boxes


def _checked_classes(
    labels: Labels, classes: Mapping[str, str], findings: Findings
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    """(photo, number, species) of the boxes that count; those of classes that are not wanted stay,
    with no species, as their photos are known to be without animals."""
    counts = Counter(labels.name)
    of_class = {name: classes.get(nfc(name).strip().lower()) for name in counts}
    for name, species in of_class.items():
        if species is None:
            where = next(
                labels.source[labels.at[i]] for i, n in enumerate(labels.name) if n == name
            )
            what = f"class {name!r} has {counts[name]:,} boxes, which are left out"
            advice = (
                f"add it to label_names of its species in species.yaml, or say --classes "
                f"{known.names()[0]}={name}; none={name} if it is not wanted"
            )
            message = f"{where}: {what}"
            findings.add("class_unknown", message, where, value=counts[name], advice=advice)
        elif not species:
            message = f"class {name!r} is not wanted; photos with no other box have no animals"
            findings.add("class_unwanted", message, value=counts[name])
    if counts and not any(of_class.values()):
        listed = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(20))
        raise DatasetError(
            f"none of the classes is known: {listed}; say which species they are, such as "
            f"--classes {known.names()[0]}={counts.most_common(1)[0][0]}, or add them to "
            "label_names in species.yaml"
        )
    for kind, marked in labels.marked.items():
        for row, number in Counter(labels.at[i] for i in marked).items():
            what = f"{number} of its boxes"
            findings.add_member(kind, HERE, labels.member[row], "", what, number)
    of_box = np.array([of_class[name] for name in labels.name], dtype=object)
    is_kept = np.array([one is not None for one in of_box], dtype=bool)
    is_kept[labels.marked["group_box"]] = False
    kept = np.flatnonzero(is_kept)
    return np.frombuffer(labels.at, dtype=np.int64)[kept], kept, of_box[kept]


def _once(labels: Labels, findings: Findings) -> list[int]:
    """The rows of the photos, each once: the first part counts; two label files are an error."""
    first: dict[str, int] = {}
    ranks = {part: rank for rank, part in enumerate(_PARTS)}
    order = sorted(range(len(labels.member)), key=lambda row: ranks.get(labels.part[row], 0))
    for row in order:
        member, source = labels.member[row], labels.source[row]
        other = first.setdefault(member, row)
        if other == row:
            continue
        if labels.source[other] != source or labels.part[other] == labels.part[row]:
            message = f"{member} is labelled in {labels.source[other]} and again in {source}"
            advice = (
                "remove one of the two labels, or give the file that counts in place of a folder"
            )
            findings.add("repeated_id", message, source, member, advice=advice)
        else:
            what = f"in {labels.part[other]} and in {labels.part[row]}"
            findings.add_member("in_two_parts", HERE, member, "", what)
    return sorted(first.values())


def _image_ids(members: Sequence[str]) -> list[str]:
    """The stem of each photo where no other has it, else its path with "__" between the folders,
    as ids are names of files; with its ending where two differ by that only."""
    ids = {path: nfc(stem(path)) for path in members}
    for longer in (lambda path: nfc(os.path.splitext(path)[0].strip("/")), nfc):
        times = Counter(ids.values())
        ids = {path: name if times[name] == 1 else longer(path) for path, name in ids.items()}
    return [_BETWEEN.sub("__", ids[path]).lstrip(".") for path in members]


def _scales(
    labels: Labels, order: npt.NDArray[np.int64], true: npt.NDArray[np.float64], findings: Findings
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(what x and y of each photo's boxes are multiplied by (n, 2), photos whose frame fits). The
    labels of a smaller copy are scaled; another shape of frame, sides exchanged, does not fit."""
    if labels.in_shares:
        return true, np.ones(len(true), dtype=bool)
    scale, told = frame_scales(np.array(labels.size, dtype=float).reshape(-1, 2)[order], true)
    fits = np.ones(len(true), dtype=bool)
    for number, (what, fits[number]) in told.items():
        row, kind = order[number], "box_scaled" if fits[number] else "frame_differs"
        findings.add_member(kind, labels.source[row], labels.member[row], "", what)
    return scale, fits


def frame_scales(said: Boxes, true: Boxes) -> tuple[Boxes, dict[int, tuple[str, bool]]]:
    """What x and y of labels are multiplied by, (n, 2), where they say frames `said` (0: nothing)
    and the photos have `true`; and by row where these differ: (what is said, same shape?)."""
    is_said = (said > 0).all(axis=1, keepdims=True)
    scale = np.divide(true, said, out=np.ones_like(true), where=is_said)
    fits = np.isclose(scale[:, :1], scale[:, 1:], rtol=_SAME_ASPECT, atol=0).tolist()
    told = {}
    for row in np.flatnonzero((scale != 1).any(axis=1)).tolist():
        what = "{:g} x {:g} px in its label, the photo has {:g} x {:g}".format(
            *said[row], *true[row]
        )
        if (said[row] == true[row][::-1]).all():
            what += ": the sides are exchanged (labelled before its EXIF turn?)"
        told[row] = what, fits[row][0]
    return scale, told


def _snapped(xyxy: Boxes, size: Boxes) -> Boxes:
    """Boxes moved into frames that they leave by the rounding of shares only."""
    inside = clip_to_frame(xyxy, size[:, 0], size[:, 1])
    return np.where(np.abs(inside - xyxy) < _ROUNDING_PX, inside, xyxy)


def _commonest(image_ids: pd.Series, boxes: pd.DataFrame) -> pd.Series:
    """The species that most boxes of an image have, at a tie the first of species.yaml; "" for an
    image without boxes."""
    names = np.array(["", *known.names()])
    counts = np.zeros((len(image_ids), len(names)))
    counts[:, 0] = 0.5  # below one box
    rows = pd.Index(image_ids).get_indexer(boxes["image_id"])
    np.add.at(counts, (rows, pd.Index(names).get_indexer(boxes["species"])), 1)
    return pd.Series(names[counts.argmax(axis=1)], dtype=str)
