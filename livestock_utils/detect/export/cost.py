"""What a model costs where it runs: size, parameters, arithmetic, latency, memory."""

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import frames
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.core.progress import progress
from livestock_utils.detect import checkpoints
from livestock_utils.detect.backends import exported, onnx
from livestock_utils.detect.export import bundle, formats, latency
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

COLUMNS = [
    "size_mb",
    "budget_share",
    "parameters_million",
    "gflops",
    "latency_ms",
    "p95_ms",
    "whole_ms",
    "decode_ms",
    "images_per_s",
    "threads",
    "peak_memory_mb",
]
_TURNS = 3
"""Rows are timed in turns and the best turn counts: a busy moment is no slow export."""
NOISY = 2.0
"""A 95th percentile above so many medians is noise of the machine, not of the network."""
UNEQUAL = 1.25
"""Latencies of one network ("onnx", "onnx-static") that differ by more are noise."""


def arithmetic(
    weights: str | os.PathLike, height_px: int, width_px: int, trust: bool = False
) -> tuple[float, float]:
    """Millions of parameters of the fused network, and GFLOPs of one image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = checkpoints.load(weights, device="cpu", trust=trust, check_names=False)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, height_px, width_px))
    return sum(
        parameter.numel() for parameter in model.parameters()
    ) / 1e6, counter.get_total_flops() / 1e9


def latencies(jobs: Sequence[latency.Job]) -> list[dict[str, Any]]:
    """Of each job (one file with a photo): latency_ms and p95_ms of the network alone at batch 1,
    whole_ms and decode_ms of the runner (medians), images_per_s, threads, peak_memory_mb.

    First each in a process of its own, which tells its memory, then _TURNS - 1 times all after each
    other; the turn of the least latency_ms counts. Errors as `edge_latency.run`.
    """
    if not jobs:
        return []
    turns = [[latency.run([job])[0] for job in progress(jobs, desc="latency")]]
    again = latency.run(list(jobs) * (_TURNS - 1))
    turns += [again[start : start + len(jobs)] for start in range(0, len(again), len(jobs))]
    found = []
    for job, first, *others in zip(jobs, *turns, strict=True):
        ms = min(
            (turn["files"][0] for turn in (first, *others)), key=lambda ms: np.median(ms["network"])
        )
        network, whole, decode = (
            float(np.median(ms[name])) for name in ("network", "whole", "decode")
        )
        found.append(
            {
                "latency_ms": network,
                "p95_ms": float(np.percentile(ms["network"], 95)),
                "whole_ms": whole,
                "decode_ms": decode,
                "images_per_s": 1e3 / whole,
                "threads": job["threads"],
                "peak_memory_mb": first["peak_memory_mb"],
            }
        )
    return found


def cost_table(
    exports: pd.DataFrame,
    weights: str | os.PathLike,
    images: pd.DataFrame,
    folder: str | os.PathLike,
    *,
    settings: Settings | None = None,
    inside: Settings | None = None,
    max_size_mb: float = 100.0,
    threads: int | None = None,
    rounds: int = 20,
    trust: bool = False,
) -> pd.DataFrame:
    """`exports` (of `export_all` or `parity_table`) with the columns COLUMNS added.

    The network alone is timed on the letterboxed frame that the formats of one shape have too (see
    `edge.common_shape`), so that rows of one size compare; whole_ms is from letterbox to boxes by
    the bundle's code under `settings` (of "onnx-nms": `inside`) on a photo of `images` (in
    `folder`) that fills this frame best, and images_per_s is of that. `threads`: default all cores;
    `rounds` are shared out over _TURNS turns. Rows without a file stay without numbers.
    """
    threads = threads or os.cpu_count() or 1
    counted: dict[tuple[int, int], tuple[float, float]] = {}
    rows = [{str(key): value for key, value in row.items()} for row in exports.to_dict("records")]
    jobs: dict[int, latency.Job] = {}
    with tempfile.TemporaryDirectory() as place:
        for number, row in enumerate(rows):
            if not row["path"]:
                continue
            about = read_about(row["path"], trust)
            height, width = (
                about["shape"][1:]
                or formats.common_shape(images, row["image_size"], about["stride"])[1:]
            )
            if (height, width) not in counted:
                counted[height, width] = arithmetic(weights, height, width, trust)
            size_mb = formats.size_bytes(row["path"]) / 1e6
            row |= {
                "size_mb": size_mb,
                "budget_share": size_mb / max_size_mb,
                "parameters_million": counted[height, width][0],
                "gflops": counted[height, width][1],
            }
            chosen = (inside or settings) if about.get("nms") else settings
            jobs[number] = {
                "files": [str(Path(row["path"]).resolve())],
                "height": height,
                "width": width,
                "threads": threads,
                "rounds": max(round(rounds / _TURNS), 1),
                "photo": _photo(images, folder, row["image_size"], place),
                "about": bundle.model_settings(about, row["image_size"], chosen or Settings()),
            }
        for number, timed in zip(jobs, latencies([*jobs.values()]), strict=True):
            rows[number] |= timed
    return pd.DataFrame(rows).reindex(columns=[*exports.columns, *COLUMNS])


def read_about(path: str | os.PathLike, trust: bool = False) -> dict[str, Any]:
    """Names, stride, shape ([] where free) of an export or of the weights themselves."""
    suffix = Path(path).suffix.lower()
    if suffix == ".pt":
        model = checkpoints.load(path, device="cpu", trust=trust, check_names=False)
        return {
            "names": [str(model.names[index]) for index in sorted(model.names)],
            "stride": int(model.stride.max()),
            "shape": [],
            "weights": str(path),
        }
    if suffix == ".torchscript":
        about = exported.read_torchscript(path)
        return {key: value for key, value in about.items() if key != "network"}
    return exported.read_openvino(path)[1] if suffix == ".xml" else onnx.read_about(path)


def front(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that no other beats in both AP75 and whole_ms, by whole_ms; red ones out."""
    rows = table[table["AP75"].notna() & table["whole_ms"].notna() & ~table["red"]]
    rows = rows.sort_values(["whole_ms", "AP75"], ascending=[True, False])
    return rows[rows["AP75"] > rows["AP75"].cummax().shift(fill_value=-np.inf)].reset_index(
        drop=True
    )


def notes(table: pd.DataFrame, path: str | os.PathLike, image_size: int) -> dict[str, str]:
    """What was measured of one file, in words for a bundle's README."""
    rows = table[(table["path"] == str(path)) & (table["image_size"] == image_size)]
    if rows.empty or pd.isna(rows["latency_ms"].iloc[0]):
        return {}
    row = rows.iloc[0]
    return {
        "AP75 on validation": f"{row['AP75']:.3f} ({row['difference']:+.3f} against the PyTorch "
        "weights under the "
        "same thresholds)",
        "network alone, batch 1": f"{row['latency_ms']:.1f} ms, 95th percentile "
        f"{row['p95_ms']:.1f} ms, "
        f"{row['threads']:.0f} threads of a {platform.machine()} processor",
        "letterbox to boxes": f"{row['whole_ms']:.1f} ms; decoding a photo {row['decode_ms']:.1f} "
        "ms more",
        "arithmetic": f"{row['gflops']:.2f} GFLOPs, {row['parameters_million']:.2f} million "
        "parameters",
        "peak memory": f"{row['peak_memory_mb']:.0f} MB",
    }


def headline(table: pd.DataFrame, recommended: Mapping[str, Any] | None) -> dict[str, Any]:
    """The few numbers to show large: file size and time of the recommended or fastest."""
    timed = table[table["whole_ms"].notna()].sort_values("whole_ms")
    if timed.empty:
        return {}
    row = timed.iloc[0] if recommended is None else pd.Series(dict(recommended))
    kind = "recommended" if recommended is not None else "fastest, over budget or red"
    return {
        f"{kind} export": f"{row['export']}, {row['image_size']} px",
        "file MB": round(float(row["size_mb"]), 1),
        "letterbox to boxes, ms": round(float(row["whole_ms"]), 1),
    }


def _photo(images: pd.DataFrame, folder: str | os.PathLike, image_size: int, place: str) -> str:
    """The photo of the largest letterbox, written into the folder `place`; its path."""

    def area(row: Any) -> int:
        return int(
            np.prod(frames.fit(int(row["width_px"]), int(row["height_px"]), image_size).padded)
        )

    known = images[(images["width_px"] > 0) & (images["height_px"] > 0)].sort_values("image_id")
    if known.empty:
        raise LivestockError(
            "no image of known size to time the runner on; give a table with width_px and height_px"
        )
    row = known.iloc[int(np.argmax([area(row) for row in known.to_dict("records")]))]
    target = Path(place) / f"{image_size}{Path(row['member']).suffix}"
    if not target.exists():
        with Photos(images, folder=folder).reader() as reader:
            target.write_bytes(reader.bytes(row.get("archive", ""), row["member"]))
    return str(target)
