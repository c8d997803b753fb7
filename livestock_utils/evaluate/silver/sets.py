"""Silver sets on disk: plus_image.tar (images/plus_<id>.jpg) and plus_label.tar (labels/, manifest,
provenance.csv with a row a box, silver.json with the settings), and the lists of images that a
training with them reads. The original's name for the second, plus_lable.tar, is spelt right."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from livestock_utils.core import files
from livestock_utils.core import species as classes
from livestock_utils.core.archives import ImageReader
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.progress import progress
from livestock_utils.core.reading import read_csv, read_json
from livestock_utils.core.tables import COLUMN_TYPES, require_columns
from livestock_utils.data.sets import folder as set_folder
from livestock_utils.data.sets import reading, tars, yolo
from livestock_utils.evaluate.silver import making

IMAGE_TAR, LABEL_TAR = "plus_image.tar", "plus_label.tar"
PROVENANCE, SETTINGS = "provenance.csv", "silver.json"
_SAW_VALIDATION = "teachers_saw_validation"


class SilverLists(NamedTuple):
    """Two trainings as data.yaml files, what they hold, and the silver set's mode and teachers;
    `regions`: those of the second where nobody knows, a predictions table of confidence 1."""

    gold: Path
    expanded: Path
    table: pd.DataFrame
    mode: str
    saw_validation: bool | None
    regions: pd.DataFrame


def write_silver(
    folder: str | os.PathLike,
    made: making.Silver,
    archives: str | os.PathLike,
    folds: pd.Series | None = None,
    seed: int = 0,
    teachers_saw_validation: bool | None = None,
) -> None:
    """Write both tars of a silver set into `folder`, each whole or as it was. `archives` is what
    the `archive` column counts from; `folds` (image_id -> fold, of the sources) puts each copy into
    the fold of its source. `teachers_saw_validation` (None: not known) is kept in silver.json for
    the comparison that the validation fold judges. Same input, same bytes."""
    image_tar, label_tar = Path(folder) / IMAGE_TAR, Path(folder) / LABEL_TAR
    plan = yolo.plan(made.images, made.boxes, None if folds is None else made.folds(folds), seed)
    table = plan.manifest
    sizes, hashes = [], []
    with ImageReader(archives) as reader, set_folder.no_space_error(image_tar):
        members = zip(table["archive"], table["member"], strict=True)
        needed = sum(reader.archive(name).size(member) for name, member in members)
        set_folder.check_space(image_tar, needed)
        with files.whole_file(image_tar) as file:
            tar = tars.TarWriter(file)
            for row in progress(table.to_dict("records"), desc=IMAGE_TAR, unit="image"):
                data = reader.bytes(row["archive"], row["member"])
                tar.add(f"images/{row['image_id']}.jpg", data)
                sizes.append(len(data))
                hashes.append(hashlib.sha256(data).hexdigest())
            tar.close()
    table["bytes"], table["sha256"] = sizes, hashes
    with set_folder.no_space_error(label_tar), files.whole_file(label_tar) as file:
        tar = tars.TarWriter(file)
        tar.add(yolo.MANIFEST, yolo.manifest_bytes(table))
        boxes = made.labels.assign(**made.labels[XYXY].round(2))
        text = boxes.to_csv(index=False, lineterminator="\n", float_format="%.7g")
        tar.add(PROVENANCE, text.encode())
        record = dataclasses.asdict(made.settings) | {_SAW_VALIDATION: teachers_saw_validation}
        tar.add(SETTINGS, f"{json.dumps(record, indent=2, sort_keys=True)}\n".encode())
        for image_id, label in zip(table["image_id"], plan.labels, strict=True):
            tar.add(f"labels/{image_id}.txt", label)
        tar.close()


def open_silver(folder: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Extract the two tars in `folder` to a set folder, checked against the manifest, unless it is
    there already; returns `target`."""
    image_tar, label_tar, place = Path(folder) / IMAGE_TAR, Path(folder) / LABEL_TAR, Path(target)
    texts = {name: tars.read_whole(label_tar, name, file) for name, file in tars.members(label_tar)}
    absent = [name for name in (yolo.MANIFEST, PROVENANCE, SETTINGS) if name not in texts]
    if absent:
        raise DatasetError(f"{label_tar} lacks {absent[0]}; write the silver set again")
    manifest = yolo.parse_manifest(texts[yolo.MANIFEST], label_tar)
    if set_folder.holds(place, texts[yolo.MANIFEST], manifest) and all(
        (place / name).is_file() and (place / name).read_bytes() == texts[name]
        for name in (PROVENANCE, SETTINGS)
    ):
        set_folder.clear_caches(place)
        return place
    set_folder.check_target(place, is_tar=False)
    set_folder.check_space(place, int(manifest["bytes"].sum()))
    hashes = zip(manifest["image_id"], manifest["sha256"], strict=True)
    wanted = {f"images/{image_id}.jpg": digest for image_id, digest in hashes}
    known = set(manifest["image_id"])
    with set_folder.no_space_error(place), set_folder.whole_folder(place) as part:
        for name, text in texts.items():
            if "/" in name and name.removeprefix("labels/").removesuffix(".txt") not in known:
                raise DatasetError(
                    f"{label_tar}, member {name!r}: not in the manifest; write the silver set again"
                )
            (part / name).write_bytes(text)
        for name, file in tars.members(image_tar):
            data = tars.read_whole(image_tar, name, file)
            if hashlib.sha256(data).hexdigest() != wanted.pop(name, ""):
                raise DatasetError(
                    f"{image_tar}, member {name!r}: not what {LABEL_TAR} says; the two are not of "
                    "one writing, copy or write both again"
                )
            (part / name).write_bytes(data)
        if not set_folder.holds(part, texts[yolo.MANIFEST], manifest):
            lacking = f"{label_tar} lacks labels"
            if wanted:
                lacking = f"{image_tar} lacks {next(iter(wanted))!r}"
            raise DatasetError(
                f"{lacking} or they are damaged; copy both tars again, or write them again"
            )
    return place


def read_settings(plus_folder: str | os.PathLike) -> tuple[making.SilverSettings, bool | None]:
    """The settings that an extracted silver set was made with, and whether its models were trained
    on validation images; None: not known."""
    path = Path(plus_folder) / SETTINGS
    if not path.is_file():
        raise DatasetError(f"{path} is missing: extract the silver set there first")
    values = read_json(path, advice="write the silver set again")
    saw_validation = values.pop(_SAW_VALIDATION, None)
    known = [field.name for field in dataclasses.fields(making.SilverSettings)]
    if sorted(values) != sorted(known):
        raise DatasetError(
            f"{path}: expected the settings {', '.join(known)}, got {', '.join(sorted(values))}; "
            "write the silver set again with this version"
        )
    settings = making.SilverSettings(**values | {"species": tuple(values["species"])})
    return settings, saw_validation


def write_silver_lists(
    folder: str | os.PathLike,
    gold: str | os.PathLike,
    plus: str | os.PathLike,
    valid: str | os.PathLike,
    share: float = 1.0,
    seed: int = 0,
) -> SilverLists:
    """Two data.yaml files, of set folders, that differ in nothing but labels. `share`: of the
    silver images, drawn by `seed`, that take part. In mode "duplicate" the second copy of an image
    carries silver labels in the one list and gold labels in the other, so that both trainings see
    the same photos as often; in the other modes a silver image takes its source's place. Silver
    images whose source is not in `gold` (held out for validation) are left out and counted. The
    table has a row a training."""
    if not 0 < share <= 1:
        raise DatasetError(f"the share of silver images must be above 0 and at most 1, got {share}")
    (settings, saw_validation), manifest = read_settings(plus), reading.read_manifest(plus)
    source = manifest["image_id"].str.removeprefix(making.PREFIX)
    gold_files = list(map(Path, yolo.image_files("images", Path(gold).resolve(), f"{gold}")))
    there = source.isin([file.stem for file in gold_files])
    usable = manifest.loc[there, "image_id"].reset_index(drop=True)
    if usable.empty:
        raise DatasetError(
            f"no source of the {len(manifest)} silver images is in {gold}; make silver from the "
            "images of the training set"
        )
    count = max(round(share * len(usable)), 1)
    chosen = usable.iloc[np.sort(np.random.default_rng(seed).permutation(len(usable))[:count])]
    sources = set(chosen.str.removeprefix(making.PREFIX))
    copies = [Path(plus).resolve() / "images" / f"{image_id}.jpg" for image_id in chosen]
    kept, again = [file for file in gold_files if file.stem not in sources], []
    if settings.mode == "duplicate":
        kept, again = gold_files, [file for file in gold_files if file.stem in sources]
    names, paths, rows = classes.names(), [], []
    lists = {"gold": (gold_files + again, 0, 0)}
    lists["expanded"] = (kept + copies, len(copies), int((~there).sum()))
    for name, (photos, n_silver, held_out) in lists.items():
        text = "".join(f"{photo.as_posix()}\n" for photo in photos)
        listed = files.write_text(Path(folder) / f"{name}.txt", text)
        valid_images = (Path(valid).resolve() / "images").as_posix()
        text = yolo.data_yaml(listed.resolve().as_posix(), valid_images, names)
        paths.append(files.write_text(Path(folder) / f"{name}.yaml", text))
        boxes = sum(len(yolo.read_label(yolo.label_file(photo), len(names))) for photo in photos)
        distinct = len({photo.stem.removeprefix(making.PREFIX) for photo in photos})
        rows.append((name, len(photos), distinct, boxes, n_silver, held_out))
    columns = ["training", "images", "distinct", "boxes", "silver_images", "held_out"]
    table = pd.DataFrame(rows, columns=columns)
    path = Path(plus) / PROVENANCE
    labels = read_csv(path, advice="write the silver set again", dtype=COLUMN_TYPES)
    require_columns(labels, making.LABEL_COLUMNS, path)
    regions = labels[labels["image_id"].isin(chosen) & (labels["origin"] == making.IGNORED)]
    regions = regions.assign(confidence=1.0).reset_index(drop=True)
    return SilverLists(paths[0], paths[1], table, settings.mode, saw_validation, regions)
