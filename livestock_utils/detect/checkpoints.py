"""YOLOv5 weights files: read without running what they contain, rebuilt, written."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from livestock_utils.core import species
from livestock_utils.core.errors import CheckpointError
from livestock_utils.core.files import whole_file
from livestock_utils.core.project import PACKAGE
from livestock_utils.core.text import one_line
from livestock_utils.detect import layers, yolov5
from livestock_utils.detect.pickles import LAYERS, TORCH_LAYERS, load_pickle

RELEASE_URL = "https://github.com/ultralytics/yolov5/releases/download/v7.0"
_RELEASE_NAMES = tuple(f"yolov5{size}{suffix}.pt" for suffix in ("", "6") for size in "nsmlx")
"""Weights trained on COCO that yolov5's release page offers."""
DOWNLOADS = Path.home() / ".cache" / "livestock_utils" / "weights"
"""Where trainings keep weights of the release page, fetched once."""
_MODULE_WORDS = {
    *("nc", "anchors", "nearest", "None", "True", "False", "Detect", *LAYERS),
    *(f"nn.{name}" for name in TORCH_LAYERS),
}


_NOTES = ("image_size", "looking", "trained_on")
"""What our trainings write beside the tensors: px of the long side, settings to look and count with
(`PostprocessSettings` as a mapping), and the number of photos, boxes by class, whether `drawn`."""
SAMPLE_WEIGHTS = PACKAGE / "assets" / "yolov5n_sample.pt"


@dataclasses.dataclass(frozen=True)
class Weights:
    """A checkpoint: architecture, tensors by name (fp32, CPU), class names."""

    architecture: dict[str, Any]
    state: dict[str, Any]
    names: tuple[str, ...]
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Those of _NOTES that the file tells."""


def load_checkpoint(path: str | os.PathLike, trust: bool = False) -> dict[str, Any]:
    """The mapping that a YOLOv5 weights file holds ("model", "ema", ...), on the CPU. Only the
    classes of YOLOv5 detection checkpoints are unpickled, under old (`models.yolo`) and new names;
    others are refused by CheckpointError unless `trust`, which runs what the file says."""
    if not Path(path).is_file():
        told = f"weights file not found: {path}; give the path of a .pt file that is there"
        raise CheckpointError(told)
    found = load_pickle(yolov5.modules(), path, "cpu", trust)
    is_mapping = isinstance(found, Mapping)
    if not is_mapping or not hasattr(found.get("ema") or found.get("model"), "yaml"):
        got = sorted(map(str, found))[:6] if is_mapping else type(found).__name__
        raise CheckpointError(
            f"{path}: not a YOLOv5 detection checkpoint (found {got}); give one that yolov5 trained"
        )
    return dict(found)


def read_weights(path: str | os.PathLike, trust: bool = False) -> Weights:
    """Architecture, tensors and class names of a checkpoint's EMA (else its model)."""
    checkpoint = load_checkpoint(path, trust=trust)
    model = checkpoint.get("ema") or checkpoint["model"]
    with _undamaged(path):
        architecture = dict(model.yaml)
        check_architecture(architecture, str(path))
        names = model.names if isinstance(model.names, Mapping) else dict(enumerate(model.names))
        ordered = tuple(str(names[index]) for index in sorted(names))
        notes = {name: checkpoint[name] for name in _NOTES if name in checkpoint}
        if Path(path).name == SAMPLE_WEIGHTS.name:
            notes["trained_on"] = {"drawn": True}
        return Weights(architecture, model.float().state_dict(), ordered, notes)


@contextlib.contextmanager
def _undamaged(path: str | os.PathLike) -> Iterator[None]:
    """CheckpointError for whatever parts that do not fit together lead to."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path}: its parts do not fit together ({one_line(error, 140)}); copy or download it "
            "again"
        ) from error


def check_architecture(architecture: Mapping[str, Any], where: str) -> None:
    """CheckpointError for words that are no layers: yolov5's parse_model evaluates every string."""
    bad = [
        word
        for row in [*architecture.get("backbone", []), *architecture.get("head", [])]
        for word in [row[2], *row[3]]
        if isinstance(word, str) and word not in _MODULE_WORDS
    ]
    activation = str(architecture.get("activation") or "nn.SiLU()")
    if not re.fullmatch(r"nn\.\w+\((inplace=(True|False))?\)", activation):
        bad.append(activation)
    if bad:
        raise CheckpointError(
            f"{where}: the architecture names {bad[0]!r}, which is no layer of YOLOv5; use weights "
            "from a source that you know"
        )


def build(weights: Weights) -> Any:
    """A fresh fp32 model with these weights, in training mode; CheckpointError if unfit."""
    with yolov5.yolov5() as y5:
        model = y5.yolo.Model(weights.architecture, ch=3, nc=len(weights.names))
    if "lighter" in weights.architecture:  # pruned or decomposed
        layers.fit_shapes(model, weights.state)
    try:
        model.load_state_dict(weights.state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(
            f"weights do not fit their own architecture ({first[:140]}); use a file that was not "
            "fused or cut"
        ) from error
    model.names = dict(enumerate(weights.names))
    model.nc = len(weights.names)
    model.notes = weights.notes
    return model


def load(
    path: str | os.PathLike,
    device: str | None = None,
    trust: bool = False,
    fuse: bool = True,
    check_names: bool = True,
) -> Any:
    """A model ready for inference: fp32, eval mode.

        model = lu.load(run.best)
        raw = model(batch)[0]  # (images, anchors, 5 + classes)

    Args:
        path: a weights file of YOLOv5.
        device: "cpu", "cuda", "cuda:1"; None: a GPU if there is one.
        trust: unpickle whatever the file holds; only for files you know.
        fuse: join convolutions and batch normalisations: faster, no more training.
        check_names: refuse weights of other classes than the project's.

    Returns:
        The model. Raw predictions are centre x, y, width, height in px of the input, objectness,
        class scores. `model.names` maps class index to name, `model.stride.max()` is what sizes
        must be a multiple of.

    Raises:
        CheckpointError: for a file that is absent, damaged, refused or of other classes, and for a
            device that cannot be used.
    """
    weights = read_weights(path, trust=trust)
    if check_names:
        check_class_names(weights.names, where=str(path))
    with _undamaged(path):
        model = build(weights)
        for parameter in model.parameters():
            parameter.requires_grad = False
        if fuse:
            model.fuse()
    return model.to(_device(device)).eval()


def _device(name: str | None) -> Any:
    """The torch device of that name, None for a GPU if there is one; else CheckpointError."""
    import torch

    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(chosen)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA
        raise CheckpointError(
            f"device {chosen!r} cannot be used ({one_line(error, 100)}); give cpu, or "
            "leave it out to take a GPU only if there is one"
        ) from error
    return device


def check_class_names(
    names: Sequence[str],
    where: str,
    expected: Sequence[str] | None = None,
    advice: str = "use weights trained on these classes, predict with --any-classes "
    "(any_classes=True), or pass them as init_weights to a training",
) -> None:
    """Raise CheckpointError unless `names` are the expected classes in their order."""
    wanted = list(expected if expected is not None else species.names())
    if list(names) != wanted:
        got = f"{list(names)[:4]}{' ...' if len(names) > 4 else ''} ({len(names)} classes)"
        raise CheckpointError(
            f"{where}: classes {got}, expected {wanted} in this order", advice=advice
        )


def write_weights(
    path: str | os.PathLike,
    model: Any,
    state: Mapping[str, Any] | None = None,
    epoch: int = -1,
    **extra: Any,
) -> Path:
    """Write `model` with the tensors of `state` (fp16) and `extra` entries in yolov5's form."""
    import copy

    import torch

    # In torch's own layout: yolov5 7.0.14 cannot fuse channels_last.
    light = copy.deepcopy(model).half().cpu().to(memory_format=torch.contiguous_format)
    if state is not None:
        light.load_state_dict(state)
    for parameter in light.parameters():
        parameter.requires_grad = False
    head = light.model[-1]
    # Of the last pass; so that equal weights are equal files.
    for cache in {"grid", "anchor_grid"} & set(vars(head)):
        setattr(head, cache, [torch.empty(0) for _ in range(head.nl)])
    none = dict.fromkeys(("ema", "updates", "optimizer", "best_fitness"))
    with whole_file(path) as file:
        torch.save({"epoch": epoch, "model": light, **none, **extra}, file)
    return Path(path)


def find_weights(name: str | os.PathLike, download_to: str | os.PathLike = DOWNLOADS) -> Path:
    """Absolute path of a weights file, else CheckpointError; a release's is fetched, no hub asked.
    The name of a file in the package's assets ("yolov5n_sample.pt") is found from everywhere."""
    path = Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    shipped = PACKAGE / "assets" / path.name
    if path == Path(path.name) and path.suffix == ".pt" and shipped.is_file():
        return shipped
    if path.name not in _RELEASE_NAMES:
        raise CheckpointError(
            f"weights file not found: {path}; give a path, or one of {', '.join(_RELEASE_NAMES)}"
        )
    url, target = f"{RELEASE_URL}/{path.name}", Path(download_to).resolve() / path.name
    if not target.is_file():
        import torch

        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(target), progress=False)
        except OSError as error:
            raise CheckpointError(
                f"could not download {url} ({error}); fetch it by hand to {target}"
            ) from error
    return target
