"""What tuning starts from: the weights, and the candidates of photos in part files."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import colab
from livestock_utils.core import files, species, tables
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.layouts import reading as layouts
from livestock_utils.detect.backends import loading
from livestock_utils.detect.predict import candidates, engine, foreign, out_of_fold
from livestock_utils.detect.predict.candidates import Candidates
from livestock_utils.detect.predict.passes import parse_pass


def find_weights(
    out: str | os.PathLike,
    weights: str | os.PathLike = "",
    runs: Sequence[str] = ("full", "multilabel_split"),
) -> tuple[Path, ...]:
    """The weights as given (with commas: an ensemble), else the best of the first of `runs` below
    OUT/training."""
    training = Path(out) / "training"
    if weights:
        paths = tuple(Path(part.strip()) for part in str(weights).split(",") if part.strip())
        for path in paths:
            if not path.is_file():
                raise NotebookError(
                    f"weights file not found: {path}; give the path of a .pt or .onnx that is there"
                )
        return paths
    for run in runs:
        if (path := training / run / "weights" / "best.pt").is_file():
            return (path,)
    raise NotebookError(
        f"no trained weights below {training} (looked for {', '.join(runs)}); run notebook 05 or "
        "08 first, or set the parameter weights"
    )


def named(path: Path) -> str:
    """Weights with the run that they are of: full/best.pt; elsewhere the file's name."""
    return f"{path.parent.parent.name}/{path.name}" if path.parent.name == "weights" else path.name


def both_weights(
    out: str | os.PathLike, weights: str | os.PathLike = "", tuning_weights: str | os.PathLike = ""
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Weights for test (08's or 05's) and tuning (05's: these have not seen the validation images),
    each opened once, so that a wrong file stops early."""
    found = find_weights(out, weights), find_weights(out, tuning_weights, ["multilabel_split"])
    if len(found[0]) != len(found[1]):
        raise NotebookError(
            f"weights are {len(found[0])} files, tuning_weights {len(found[1])}: an ensemble is "
            "tuned with as many networks, in the same order"
        )
    for path in dict.fromkeys((*found[0], *found[1])):
        loading.open_backend(path, device="cpu")
    return found


def pass_names(passes: str) -> tuple[str, ...]:
    """ "plain, flip" -> ("plain", "flip"); raises LivestockError for a name that is no pass."""
    names = tuple(name.strip() for name in passes.split(",") if name.strip())
    for name in names:
        parse_pass(name)
    if not names:
        raise NotebookError(
            f"passes must name at least one pass, such as 'plain' or 'plain, flip', got {passes!r}"
        )
    return names


@dataclasses.dataclass(frozen=True)
class Collected:
    """Candidates of photos, or of none while parts of other shards are missing: a share would give
    a score and settings of its own. `name`: which photos; `lacking`: why not those asked for."""

    photos: Photos
    candidates: Candidates
    there: int
    total: int
    name: str = ""
    lacking: str = ""

    @property
    def complete(self) -> bool:
        """True when the candidates are of all photos."""
        return 0 < self.there == self.total

    @property
    def state(self) -> str:
        """How many parts are there, for metrics.json."""
        told = f"{self.there} of {self.total or 'more'} parts are there"
        return told if self.there else "no part is there yet"

    def seen(self) -> Photos:
        """The photos with the sizes of their decoded frames (0: unreadable); none before."""
        images = self.photos.images
        if not self.complete:
            return dataclasses.replace(self.photos, images=images.iloc[:0])
        sizes = self.candidates.images[["image_id", "width_px", "height_px"]]
        sized = images.drop(columns=["width_px", "height_px"]).merge(sizes, on="image_id")
        return dataclasses.replace(self.photos, images=sized.reindex(columns=images.columns))


def collect_members(
    weights: Sequence[Path], photos: Photos, name: str, out: str | os.PathLike, **options: Any
) -> Collected:
    """`collect` for each network of an ensemble, their candidates as passes of one."""
    done: list[Collected] = []

    def run(one: Path, passes: tuple[str, ...]) -> candidates.Candidates:
        done.append(collect(one, photos, name, out, **options | {"passes": passes}))
        return done[-1].candidates

    found = engine.of_members(weights, options["passes"], run)
    there, total = (sum(getattr(one, each) for one in done) for each in ("there", "total"))
    return Collected(photos, found, there, total, name)


def collect(
    weights: str | os.PathLike,
    photos: Photos,
    name: str,
    out: str | os.PathLike,
    shard: str = "1/1",
    engine_name: str = "local",
    **options: Any,
) -> Collected:
    """Candidates in part files OUT/predictions/<name>-...; `options` of `collect_candidates`. With
    shard "i/n" this session computes its share; once all are done, in any session, the whole is
    given. engine_name "ray" runs all as a Ray job; "ray:ADDRESS" on an existing cluster."""
    kind, _, address = engine_name.partition(":")
    if kind not in ("local", "ray"):
        raise NotebookError(f"engine must be 'local', 'ray' or 'ray:ADDRESS', got {engine_name!r}")
    size = options.get("image_size", 640)
    store = Path(out) / "predictions" / f"{name}-{files.sha256(weights)[:8]}-{size}px"
    passes = tuple(options.get("passes", ("plain",)))
    if kind == "ray":
        from livestock_utils.detect.predict import ray_engine

        found = ray_engine.collect_candidates(
            weights, photos, parts_folder=store, address=address or None, **options
        )
    else:
        options |= {"parts_folder": store, "shard": shard}
        found = engine.collect_candidates(weights, photos, **options)
    there, total = engine.parts_there(store, passes)
    if not 0 < there == total:
        found = found.of_images([])
    elif kind == "local" and engine.parse_shard(shard)[1] > 1:
        found = engine.gather(store, passes)
    return Collected(photos, found, there, total, name)


def given(photos: Photos, files: str, name: str) -> Collected:
    """Predictions of any detector as candidates: files with commas, a pass each; "results.json@
    annotations.json" for COCO's."""
    runs = []
    for text in (part.strip() for part in files.split(",") if part.strip()):
        path, _, annotations = text.partition("@")
        table = foreign.read_predictions(path, photos, annotations or None)
        runs.append(candidates.of_table(table, photos.images, species.names(), Path(path).stem))
    found = candidates.stack(runs)
    return Collected(photos, found, 1, 1, name)


def test_photos(
    data: str | os.PathLike, valid: Photos, out: str | os.PathLike = ""
) -> tuple[Photos, str]:
    """The photos to submit, and why they are not the test archives' where `valid` stands in. Those
    of a test part come from notebook 01's tables in `out`, with their boxes."""
    if (Path(out) / "tables" / "test").is_dir():
        images, boxes = tables.read_tables(Path(out) / "tables" / "test")
        return Photos(images, boxes, layouts.home(data, images)), ""
    folder = colab.at_hand(Path(data) / "data_test")
    photos = None
    if folder.is_dir() and any(folder.iterdir()):
        photos = data_folder.read_test_archives(folder)
    return (photos, "") if photos else (valid, "there are no test photos")


def out_of_folds(
    out: str | os.PathLike,
    data: str | os.PathLike,
    keep: pd.Series | None = None,
    name: str = "fold",
    **options: Any,
) -> Collected:
    """Candidates of all images (or `keep`), each by the model trained without its fold;
    DatasetError where notebook 06 left none for these. `options` of `collect`."""
    images, boxes = tables.read_tables(Path(out) / "tables")
    folds, _ = tables.read_folds(Path(out) / "datasets" / "folds.csv")
    models, of_image = out_of_fold.trained(out, images, folds)
    # For a few images a copy of all archives is not worth it.
    folder = layouts.home(data, images, copy=keep is None)
    photos = Photos(images, boxes, folder)
    if keep is not None:
        photos = photos.select(keep)
    assigned = photos.images["image_id"].map(of_image)
    parts = []
    for number in sorted(assigned.unique().tolist()):
        mine = dataclasses.replace(photos, images=photos.images[assigned == number])
        parts.append(collect(models[number], mine, f"{name}{number}", out, **options))
    found = candidates.merge([part.candidates for part in parts], out_of_fold=True)
    # A fold without any part does not tell how many it will have.
    total = sum(part.total for part in parts) if all(part.total for part in parts) else 0
    there = sum(part.there for part in parts)
    if not all(part.complete for part in parts):
        found = found.of_images([])
    which = f"{len(models)} folds, each by the model that has not seen it"
    return Collected(photos, found, there, total, which)
