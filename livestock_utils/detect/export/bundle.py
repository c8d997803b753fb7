"""One zip to copy to a device: model, labels, thresholds, a runner of one file and what to type."""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.core import files
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.core.project import PACKAGE
from livestock_utils.detect.backends import onnx
from livestock_utils.detect.export import formats, parity
from livestock_utils.detect.predict import engine as prediction
from livestock_utils.detect.predict import postprocess
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

_RUNNER = PACKAGE / "assets" / "edge_runner.py"
_REQUIREMENTS = """numpy
onnxruntime
# one of the two; OpenCV is faster and also reads videos and cameras
pillow
# opencv-python-headless
"""


def write_bundle(
    out: str | os.PathLike,
    name: str,
    model: str | os.PathLike,
    image_size: int,
    settings: Settings | None = None,
    max_size_mb: float = 100.0,
    notes: dict[str, Any] | None = None,
) -> Path:
    """Write OUT/dist/edge_<name>.zip from an exported ONNX file; same inputs, same bytes.

    image_size: px of the long side that frames are resized to. settings: the tuned thresholds,
    applied by the runner. notes: measured numbers for the README (text -> value). Raises
    LivestockError for settings that a runner with one network and one pass cannot follow (fusion,
    several passes), or that differ from those inside the network; CheckpointError for a model over
    `max_size_mb` or a file that is damaged or not ours.
    """
    settings = settings or Settings()
    if Path(model).suffix.lower() != ".onnx":
        raise LivestockError(
            f"{model}: the runner takes an ONNX file; export with one of the onnx kinds"
        )
    about = onnx.read_about(model)
    content = model_settings(about, image_size, settings)
    size_mb = formats.check_budget(model, max_size_mb)
    folder = f"edge_{name}"
    texts = {
        "model.json": json.dumps(content, indent=1, sort_keys=True) + "\n",
        "labels.txt": "".join(f"{label}\n" for label in about["names"]),
        "requirements.txt": _REQUIREMENTS,
        "run.py": _RUNNER.read_text(encoding="utf-8"),
        "tensorrt.sh": tensorrt_commands(about, image_size),
        "README.md": _readme(name, content, size_mb, notes or {}),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        for member, text in sorted(texts.items()):
            bundle.writestr(_entry(f"{folder}/{member}"), text.encode(), zipfile.ZIP_DEFLATED)
        bundle.writestr(
            _entry(f"{folder}/model.onnx"), Path(model).read_bytes(), zipfile.ZIP_STORED
        )
    target = Path(out) / "dist" / f"edge_{name}.zip"
    stream.seek(0)
    with files.whole_file(target) as file:
        shutil.copyfileobj(stream, file)
    return target


def runner_settings(path: str | os.PathLike) -> tuple[Settings, str]:
    """Notebook 11's settings that a runner can follow, else the write-up's; and which."""
    if not Path(path).is_file():
        return (
            Settings(),
            f"`{Path(path).name}` is not there (notebook 11 writes it): the write-up's thresholds "
            "go in.",
        )
    settings = postprocess.load_settings(path)
    if settings.method == "fusion" or settings.passes not in (None, ("plain",)):
        return Settings(), (
            "The tuned settings merge several passes, a device makes one: the write-up's "
            "thresholds go in instead."
        )
    return settings, (
        f"Thresholds as tuned on validation: {settings.method}, IoU {settings.iou_threshold}, "
        f"confidence from {settings.confidence_threshold}."
    )


def choose(
    table: pd.DataFrame, recommended: Mapping[str, Any] | None, max_size_mb: float = 100.0
) -> tuple[Path, int, str]:
    """The ONNX file to bundle, its pixel size, and why: the recommended or the nearest.

    Of the ONNX files within the budget that is one of the same pixels (without a recommendation the
    smallest ones), not red before red, in the order of `FORMATS`. Raises LivestockError if no ONNX
    file was made, or none is small enough.
    """
    made = table[table["export"].str.startswith("onnx") & (table["path"] != "")]
    if made.empty:
        raise LivestockError(
            "no ONNX file was made, so there is nothing to bundle; see the notes of the exports"
        )
    rows = made[made["size_mb"] <= max_size_mb]
    if rows.empty:
        least = made.sort_values("size_mb", kind="stable").iloc[0]
        raise LivestockError(
            f"every ONNX file is over {max_size_mb:g} MB, the smallest is {least['export']} with "
            f"{least['size_mb']:.1f} MB: allow more, or take a smaller model"
        )
    size = rows["image_size"].min() if recommended is None else recommended["image_size"]
    asked = "" if recommended is None else recommended["export"]
    order = pd.DataFrame(
        {
            "pixels": (rows["image_size"] - size).abs(),
            "other": rows["export"] != asked,
            "red": rows["red"],
            "kind": rows["export"].map(list(formats.FORMATS).index),
        }
    )
    row: Any = rows.loc[
        order.sort_values(["pixels", "other", "red", "kind"], kind="stable").index[0]
    ]
    taken = f"{row['export']} at {row['image_size']} px"
    if recommended is None:
        why = (
            f"Nothing is recommended, so the bundle holds {taken}, which comes nearest: over a "
            "budget, or red."
        )
    elif (row["export"], row["image_size"]) == (recommended["export"], recommended["image_size"]):
        why = f"The bundle holds what is recommended, {taken}."
    else:
        why = (
            f"The runner takes ONNX only, so the bundle holds {taken} in place of "
            f"{recommended['export']}."
        )
    return Path(row["path"]), int(row["image_size"]), why


def settings_for(model: str | os.PathLike, settings: Settings, inside: Settings) -> Settings:
    """Thresholds of a bundle of `model`: `inside` where it suppresses itself, or `settings`."""
    return inside if onnx.read_about(model).get("nms") else settings


def verify(
    bundle: str | os.PathLike,
    images: pd.DataFrame,
    folder: str | os.PathLike,
    model: str | os.PathLike,
    n: int = 8,
) -> tuple[dict[str, float], str]:
    """Run an unpacked bundle over `n` images and compare with `lu.predict`: numbers, a sentence.

    The numbers are those of `parity.same_detections` at confidence .05. Raises LivestockError
    with the runner's last line if it fails.
    """
    images = images.head(n)
    with (
        tempfile.TemporaryDirectory() as place,
        Photos(images, folder=folder).reader() as reader,
    ):
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(place)
        unpacked = next(path.parent for path in Path(place).rglob("model.json"))
        photos = Path(place) / "photos"
        photos.mkdir()
        for row in images.to_dict("records"):
            name = row["image_id"] + Path(row["member"]).suffix
            (photos / name).write_bytes(reader.bytes(row.get("archive", ""), row["member"]))
        command = [
            sys.executable,
            str(unpacked / "run.py"),
            str(photos),
            "--out",
            str(Path(place) / "found.csv"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LivestockError(
                "the bundle does not run: "
                f"{(done.stderr.strip().splitlines() or ['no message'])[-1]}"
            )
        found = pd.read_csv(Path(place) / "found.csv").rename(columns={"image": "image_id"})
        content = json.loads((unpacked / "model.json").read_text(encoding="utf-8"))
    found["image_id"] = found["image_id"].map(lambda name: Path(str(name)).stem)
    library = prediction.predict(
        model,
        Photos(images, folder=folder),
        image_size=content["image_size"],
        batch_size=1,
        settings=Settings.from_dict(content["settings"]),
    )
    same = parity.same_detections(library, found, 0.05)
    return same, (
        f"The unpacked bundle, run as a program of its own on {len(images)} validation images: "
        f"{same['equal_share']:.0%} of {same['pairs']:.0f} detections equal the library's (largest "
        f"difference {same['largest_difference_px']:.3f} px)."
    )


def write_commands(exports: pd.DataFrame) -> list[Path]:
    """Write TensorRT's commands beside each "onnx" and "onnx-int8-trt" file.

    Returns the paths, <model>.tensorrt.sh.
    """
    rows = exports[exports["export"].isin(["onnx", "onnx-int8-trt"]) & (exports["path"] != "")]
    found = []
    for path, size in rows.groupby("path", sort=False)["image_size"].max().items():
        text = tensorrt_commands(onnx.read_about(str(path)), int(size), Path(str(path)).name)
        found.append(files.write_text(Path(str(path)).with_suffix(".tensorrt.sh"), text))
    return found


def model_settings(about: dict[str, Any], image_size: int, settings: Settings) -> dict[str, Any]:
    """What model.json of a bundle says; LivestockError if the runner cannot follow the settings."""
    if settings.method == "fusion" or (
        settings.passes is not None and settings.passes != ("plain",)
    ):
        raise LivestockError(
            f"the runner makes one plain pass, the settings ask for {settings.method} over "
            f"{list(settings.passes or ('several passes',))}; tune with passes 'plain' for the edge"
        )
    inside = about.get("nms")
    if inside and formats.inside_settings(settings) != inside:
        raise LivestockError(
            f"the network holds {inside}, the settings ask for "
            f"{formats.inside_settings(settings)}; export onnx-nms again with these settings"
        )
    if image_size % about["stride"]:
        raise LivestockError(
            f"image_size must be a multiple of the network's stride {about['stride']}, got "
            f"{image_size}"
        )
    return {
        "file": "model.onnx",
        "names": about["names"],
        "stride": about["stride"],
        "image_size": image_size,
        "shape": about["shape"],
        "nms": inside,
        "settings": settings.to_dict(),
        "weights": about["weights"],
        "made": about.get("made", {}),
    }


def tensorrt_commands(about: dict[str, Any], image_size: int, model: str = "model.onnx") -> str:
    """A shell script with trtexec's commands for a Jetson and the network's shape."""
    shape = about["shape"]
    if shape:
        profile, size = "", f"{shape[0]}x3x{shape[1]}x{shape[2]}"
    else:
        stride = about["stride"]
        wide = -(-image_size * 9 // 16 // stride) * stride
        size = f"1x3x{wide}x{image_size}"
        # from the narrowest frame, tall or wide, to a square: the long side is image_size, the
        # short one any multiple
        profile = (
            f" \\\n    --minShapes=images:1x3x{stride}x{stride} --optShapes=images:{size} "
            f"--maxShapes=images:4x3x{image_size}x{image_size}"
        )

    def build(kind: str, flags: str) -> str:
        return f"trtexec --onnx={model} --saveEngine=model_{kind}.engine{flags}{profile}"

    kind = about.get("made", {}).get("kind")
    if kind == "onnx-int8":
        return "\n".join(
            [
                "#!/bin/sh",
                "# Quantized for processors, with zero points other than 0: not TensorRT's.",
                "echo 'this INT8 model is not for TensorRT: export onnx-int8-trt, or onnx' >&2",
                "exit 1",
                "",
            ]
        )
    engine = "int8" if kind == "onnx-int8-trt" else "fp16"
    if kind == "onnx-int8-trt":
        commands = [
            "# This model holds symmetric INT8 ranges (Q/DQ, every zero point 0), which TensorRT "
            "uses.",
            build("int8", " --int8 --fp16"),
        ]
    else:
        commands = [
            build("fp32", ""),
            build("fp16", " --fp16"),
            "# For INT8 export onnx-int8-trt: this model holds no ranges, and --int8 without them "
            "gives a speed, not usable boxes.",
        ]
    loaded = (
        f"trtexec --loadEngine=model_{engine}.engine --shapes=images:{size} --iterations=200 "
        "--avgRuns=50"
    )
    inside = (
        "# Suppression is inside as ONNX NonMaxSuppression; TensorRT 8.6 and later build it with "
        "output of a size known only at run time."
        if about.get("nms")
        else "# Suppression is outside: the engine's output is what run.py's Model.boxes takes."
    )
    return "\n".join(
        [
            "#!/bin/sh",
            f"# TensorRT engines from {model}; run on the Jetson itself, an engine fits one GPU "
            "and version.",
            "# NOT run when this was written (no NVIDIA GPU there): the ONNX model was checked, "
            "run and scored on a CPU.",
            "# Input `images`: float32 RGB in [0, 1], batch x 3 x height x width, multiples of "
            f"{about['stride']}, profile for {size}.",
            inside,
            "set -e",
            *commands,
            "# latency of the engine alone:",
            loaded,
            "",
        ]
    )


def _entry(name: str) -> zipfile.ZipInfo:
    """A member with a fixed time and mode, so that equal content gives equal bytes."""
    entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    entry.external_attr = (0o755 if name.endswith((".py", ".sh")) else 0o644) << 16
    return entry


def _readme(name: str, content: dict[str, Any], size_mb: float, notes: dict[str, Any]) -> str:
    settings = content["settings"]
    shape = (
        f"one shape, {content['shape'][2]} x {content['shape'][1]} px"
        if content["shape"]
        else f"any frame, resized to {content['image_size']} px on its long side"
    )
    lines = [
        f"# edge_{name}",
        "",
        f"Finds {' and '.join(content['names'])} in barn photos: a YOLOv5 network as ONNX "
        f"({size_mb:.1f} MB); {shape}.",
        "",
        "    pip install -r requirements.txt",
        "    python run.py photo.jpg",
        "    python run.py folder --out boxes.csv --draw seen",
        "    python run.py 0            # camera 0, needs OpenCV",
        "    python run.py --benchmark  # what an image costs on this device",
        "",
        f"Suppression: {settings['method']}, IoU {settings['iou_threshold']}, confidence from "
        f"{settings['confidence_threshold']}, at most {settings['max_detections']} boxes an image "
        "(`model.json`). That keeps the doubtful boxes that a score counts; `--confidence 0.4` "
        "shows fewer, surer ones.",
        "",
        "Pillow and OpenCV give the same boxes; OpenCV is faster, and reads videos and cameras.",
        "",
        "`tensorrt.sh` holds the commands for a Jetson's GPU; it says what was not run.",
    ]
    if notes:
        lines += ["", "Measured when it was made (on that machine, not on yours):", ""]
        lines += [f"- {key}: {value}" for key, value in notes.items()]
    return "\n".join(lines) + "\n"
