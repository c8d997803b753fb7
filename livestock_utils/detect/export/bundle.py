"""One zip to copy to a device: model, labels, thresholds, a runner of one file and what to type."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils.assets import edge_runner
from livestock_utils.core import files
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.core.project import PACKAGE
from livestock_utils.core.reading import read_csv
from livestock_utils.detect.backends import onnx
from livestock_utils.detect.export import formats, parity
from livestock_utils.detect.predict import engine, postprocess
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

_ASSETS = PACKAGE / "assets"
_TEMPLATES = ("README.md", "MODEL_CARD.md")
_NOT_FOR_TENSORRT = """#!/bin/sh
# Quantized for processors, with zero points other than 0: not TensorRT's.
echo 'this INT8 model is not for TensorRT: export onnx-int8-trt, or onnx' >&2
exit 1
"""


def write_bundle(
    out: str | os.PathLike,
    name: str,
    model: str | os.PathLike,
    image_size: int,
    settings: Settings,
    notes: Mapping[str, Any] | None = None,
    looking: Settings = postprocess.LOOKING,
    card: str = "",
) -> Path:
    """Write OUT/dist/edge_<name>.zip from an exported ONNX file; same inputs, same bytes. The
    runner applies `settings`, and `looking` where it counts; `notes` are measured numbers for the
    README (text -> value), `card` is the model card's part on training and scores."""
    about = onnx.read_about(model)
    content = model_settings(about, image_size, settings) | {"looking": looking.to_dict()}
    folder = f"edge_{name}"
    texts = {
        "model.json": json.dumps(content, indent=1, sort_keys=True) + "\n",
        "labels.txt": "".join(f"{label}\n" for label in about["names"]),
        "tensorrt.sh": tensorrt_commands(about, image_size),
        **_documents(name, content, formats.size_bytes(model) / 1e6, notes or {}, card),
    }
    members = {member: text.encode() for member, text in texts.items()}
    members["run.py"] = (_ASSETS / "edge_runner.py").read_bytes()
    members["model.onnx"] = Path(model).read_bytes()
    for path in (*(_ASSETS / "bundle").iterdir(), *(_ASSETS / "web").iterdir()):
        if path.name not in _TEMPLATES:
            members[path.name if path.parent.name == "bundle" else f"web/{path.name}"] = (
                path.read_bytes()
            )
    members["selftest.json"] = _expected(members)
    sums = {member: hashlib.sha256(data).hexdigest() for member, data in members.items()}
    members["SHA256SUMS"] = "".join(f"{sums[key]}  {key}\n" for key in sorted(sums)).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        for member, data in sorted(members.items()):
            packed = zipfile.ZIP_STORED if member == "model.onnx" else zipfile.ZIP_DEFLATED
            bundle.writestr(_entry(f"{folder}/{member}"), data, packed)
    target = Path(out) / "dist" / f"edge_{name}.zip"
    with files.whole_file(target) as file:
        file.write(stream.getbuffer())
    return target


def _expected(members: Mapping[str, bytes]) -> bytes:
    """selftest.json: the boxes that the bundle's runner finds in its test image, here."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("model.json", "model.onnx"):
            Path(place, name).write_bytes(members[name])
        model = edge_runner.Model(place, threads=1)
        expected = edge_runner.expectation(model, "selftest.png", members["selftest.png"])
    return (json.dumps(expected, indent=1, sort_keys=True) + "\n").encode()


def runner_settings(path: str | os.PathLike) -> tuple[Settings, str]:
    """Notebook 11's settings that a runner can follow, else the write-up's; and which."""
    if not Path(path).is_file():
        return Settings(), (
            f"`{Path(path).name}` is not there (notebook 11 writes it): the write-up's thresholds "
            "go in."
        )
    settings = postprocess.load_settings(path, "one_pass")
    if settings.method == "fusion" or settings.passes not in (None, ("plain",)):
        return Settings(), (
            "The tuned settings merge several passes, a device makes one: the write-up's "
            "thresholds go in instead."
        )
    return settings, (
        f"Thresholds: those that notebook 11 found best for one pass, as a device makes one "
        f"({settings.method}, IoU {settings.iou_threshold}, confidence from "
        f"{settings.confidence_threshold}); its submission may take others, for several passes."
    )


def choose(
    table: pd.DataFrame, recommended: Mapping[str, Any] | None, max_size_mb: float = 100.0
) -> tuple[Path, int, str]:
    """The ONNX file to bundle, its pixel size, and why: the recommended or the nearest. Of the ONNX
    files within the budget that is one of the same pixels (without a recommendation the smallest
    ones), not red before red, in the order of `FORMATS`."""
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
    asked = recommended or {"export": "", "image_size": rows["image_size"].min()}
    ranked = rows.assign(
        pixels=(rows["image_size"] - asked["image_size"]).abs(),
        other=rows["export"] != asked["export"],
        kind=rows["export"].map(formats.FORMATS.index),
    ).sort_values(["pixels", "other", "red", "kind"], kind="stable")
    row = ranked.iloc[0]
    taken = f"{row['export']} at {row['image_size']} px"
    if recommended is None:
        why = (
            f"Nothing is recommended, so the bundle holds {taken}, which comes nearest: over a "
            "budget, or red."
        )
    elif row["pixels"] == 0 and not row["other"]:
        why = f"The bundle holds what is recommended, {taken}."
    else:
        why = (
            f"The runner takes ONNX only, so the bundle holds {taken} in place of "
            f"{asked['export']}."
        )
    return Path(row["path"]), int(row["image_size"]), why


def verify(
    bundle: str | os.PathLike, photos: Photos, model: str | os.PathLike, n: int = 8
) -> tuple[dict[str, float], str]:
    """Run an unpacked bundle over `n` photos and compare with `lu.predict`: numbers, a sentence.
    The numbers are those of `parity.same_detections` at confidence .05. Raises LivestockError with
    the runner's last line if it fails."""
    some = dataclasses.replace(photos, images=photos.images.head(n))
    with tempfile.TemporaryDirectory() as place, some.reader() as reader:
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(place)
        unpacked = next(path.parent for path in Path(place).rglob("model.json"))
        seen, table = Path(place) / "photos", Path(place) / "found.csv"
        seen.mkdir()
        for row in some.images.to_dict("records"):
            name = row["image_id"] + Path(row["member"]).suffix
            (seen / name).write_bytes(reader.bytes(row.get("archive", ""), row["member"]))
        done = subprocess.run(
            [sys.executable, str(unpacked / "run.py"), str(seen), "--out", str(table)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LivestockError(f"the bundle does not run: {reason}")
        found = read_csv(table).rename(columns={"image": "image_id"})
        content = json.loads((unpacked / "model.json").read_text(encoding="utf-8"))
    found["image_id"] = found["image_id"].map(lambda name: Path(str(name)).stem)
    library = engine.predict(
        model,
        some,
        image_size=content["image_size"],
        batch_size=1,
        settings=Settings.from_dict(content["settings"]),
    )
    same = parity.same_detections(library, found, 0.05)
    return same, (
        f"The unpacked bundle, run as a program of its own on {len(some)} validation images: "
        f"{same['equal_share']:.0%} of {same['pairs']:.0f} detections equal the library's (largest "
        f"difference {same['largest_difference_px']:.3f} px)."
    )


def write_commands(exports: pd.DataFrame) -> list[Path]:
    """Write <model>.tensorrt.sh beside each "onnx" and "onnx-int8-trt" file; returns the paths."""
    rows = exports[exports["export"].isin(["onnx", "onnx-int8-trt"]) & (exports["path"] != "")]
    found = []
    for model, size in rows.groupby("path", sort=False)["image_size"].max().items():
        path = Path(str(model))
        text = tensorrt_commands(onnx.read_about(path), int(size), path.name)
        found.append(files.write_text(path.with_suffix(".tensorrt.sh"), text))
    return found


def model_settings(about: dict[str, Any], image_size: int, settings: Settings) -> dict[str, Any]:
    """What model.json of a bundle says of a network and the `settings` that its runner follows."""
    if image_size % about["stride"]:
        raise LivestockError(
            f"image_size must be a multiple of the network's stride {about['stride']}, got "
            f"{image_size}"
        )
    return {
        "file": "model.onnx",
        "image_size": image_size,
        "nms": about.get("nms"),
        "settings": settings.to_dict(),
        "made": about.get("made", {}),
        **{key: about[key] for key in ("names", "stride", "shape", "weights")},
    }


def tensorrt_commands(about: dict[str, Any], image_size: int, model: str = "model.onnx") -> str:
    """A shell script with trtexec's commands for a Jetson and the network's shape."""
    kind = about.get("made", {}).get("kind")
    if kind == "onnx-int8":
        return _NOT_FOR_TENSORRT
    shape, stride = about["shape"], about["stride"]
    if shape:
        profile, size = "", f"{shape[0]}x3x{shape[1]}x{shape[2]}"
    else:
        wide = -(-image_size * 9 // 16 // stride) * stride
        size = f"1x3x{wide}x{image_size}"
        # from the narrowest frame, tall or wide, to a square: the long side is image_size, the
        # short one any multiple
        profile = (
            f" \\\n    --minShapes=images:1x3x{stride}x{stride} --optShapes=images:{size} "
            f"--maxShapes=images:4x3x{image_size}x{image_size}"
        )

    def build(engine: str, flags: str = "") -> str:
        return f"trtexec --onnx={model} --saveEngine=model_{engine}.engine{flags}{profile}"

    if kind == "onnx-int8-trt":
        best = "int8"
        commands = [
            "# This model holds symmetric INT8 ranges (Q/DQ, every zero point 0), which TensorRT "
            "uses.",
            build("int8", " --int8 --fp16"),
        ]
    else:
        best = "fp16"
        commands = [
            build("fp32"),
            build("fp16", " --fp16"),
            "# For INT8 export onnx-int8-trt: this model holds no ranges, and --int8 without them "
            "gives a speed, not usable boxes.",
        ]
    listed = "\n".join(commands)
    inside = (
        "Suppression is inside as ONNX NonMaxSuppression; TensorRT 8.6 and later build it with "
        "output of a size known only at run time."
        if about.get("nms")
        else "Suppression is outside: the engine's output is what run.py's Model.boxes takes."
    )
    return f"""#!/bin/sh
# TensorRT engines from {model}; run on the Jetson itself, an engine fits one GPU and version.
# NOT run when this was written (no NVIDIA GPU there): the ONNX model was checked, run and scored \
on a CPU.
# Input `images`: float32 RGB in [0, 1], batch x 3 x height x width, multiples of {stride}, \
profile for {size}.
# {inside}
set -e
{listed}
# latency of the engine alone:
trtexec --loadEngine=model_{best}.engine --shapes=images:{size} --iterations=200 --avgRuns=50
"""


def _entry(name: str) -> zipfile.ZipInfo:
    """A member with a fixed time and mode, so that equal content gives equal bytes."""
    entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    entry.external_attr = (0o755 if name.endswith((".py", ".sh")) else 0o644) << 16
    return entry


def _documents(
    name: str, content: dict[str, Any], size_mb: float, notes: Mapping[str, Any], card: str
) -> dict[str, str]:
    """The texts of _TEMPLATES by file name."""
    settings, shape = content["settings"], content["shape"]
    frames = (
        f"one shape, {shape[2]} x {shape[1]} px"
        if shape
        else f"any frame, resized to {content['image_size']} px on its long side"
    )
    measured = "\n\nMeasured when it was made (on that machine, not on yours):\n" * bool(notes)
    measured += "".join(f"\n- {key}: {value}" for key, value in notes.items())
    values = {"name": name, "content": content, "settings": settings, "card": card}
    values |= {"names": " and ".join(content["names"]), "weights": content["weights"]}
    values |= {"size_mb": size_mb, "frames": frames, "measured": measured}
    values |= {"runtime": edge_runner.RUNTIME}
    templates = {file: _ASSETS / "bundle" / file for file in _TEMPLATES}
    return {
        file: path.read_text(encoding="utf-8").format(**values) for file, path in templates.items()
    }
