"""What a model costs where it runs: size, parameters, arithmetic, latency, memory."""

import functools
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
from livestock_utils.detect.export import bundle, formats, latency
from livestock_utils.detect.predict.postprocess import PostprocessSettings as Settings

COLUMNS = (
    "size_mb budget_share parameters_million gflops latency_ms p95_ms whole_ms decode_ms "
    "images_per_s threads peak_memory_mb"
).split()
_TURNS = 3
"""Rows are timed in turns and the best turn counts: a busy moment is no slow export."""
NOISY = 2.0
"""A 95th percentile above so many medians is noise of the machine, not of the network."""
UNEQUAL = 1.25
"""Latencies of one network ("onnx", "onnx-static") that differ by more are noise."""


def arithmetic(weights: str | os.PathLike, height_px: int, width_px: int) -> tuple[float, float]:
    """Millions of parameters of the fused network, and GFLOPs of one image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = checkpoints.load(weights, device="cpu", check_names=False)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, height_px, width_px))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters / 1e6, counter.get_total_flops() / 1e9


def _latencies(jobs: Sequence[latency.Job]) -> list[dict[str, Any]]:
    """Of each job (one file with a photo): latency_ms and p95_ms of the network alone at batch 1,
    whole_ms and decode_ms of the runner (medians), images_per_s, threads, peak_memory_mb. First
    each in a process of its own, which tells its memory, then _TURNS - 1 times all after each
    other; the turn of the least latency_ms counts."""
    alone = [latency.run([job])[0] for job in progress(jobs, desc="latency")]
    again = latency.run(list(jobs) * (_TURNS - 1)) if jobs else []
    rows = []
    for number, (job, first) in enumerate(zip(jobs, alone, strict=True)):
        turns = [turn["files"][0] for turn in (first, *again[number :: len(jobs)])]
        ms = min(turns, key=lambda ms: np.median(ms["network"]))
        whole = float(np.median(ms["whole"]))
        rows.append(
            {
                "latency_ms": float(np.median(ms["network"])),
                "p95_ms": float(np.percentile(ms["network"], 95)),
                "whole_ms": whole,
                "decode_ms": float(np.median(ms["decode"])),
                "images_per_s": 1e3 / whole,
                "threads": job["threads"],
                "peak_memory_mb": first["peak_memory_mb"],
            }
        )
    return rows


def cost_table(
    exports: pd.DataFrame,
    photos: Photos,
    settings: Settings,
    inside: Settings,
    max_size_mb: float = 100.0,
    threads: int | None = None,
    rounds: int = 20,
) -> pd.DataFrame:
    """`exports` (of `export_all` or `parity_table`) with the columns COLUMNS added. The network
    alone is timed on the letterboxed frame that the formats of one shape have too (see
    `formats.common_shape`), so that rows of one size compare; whole_ms is from letterbox to boxes
    by the bundle's code under `settings` (of "onnx-nms": `inside`) on the one of `photos` that
    fills this frame best. `threads`: default all cores; `rounds` are shared out over _TURNS turns.
    Rows without a file stay without numbers."""
    counted = functools.cache(functools.partial(arithmetic, exports["path"].iloc[0]))
    rows: list[dict[Any, Any]] = exports.to_dict("records")
    made = [row for row in rows if row["path"]]
    jobs: list[latency.Job] = []
    with tempfile.TemporaryDirectory() as place:
        for row in made:
            path, size = row["path"], row["image_size"]
            about = formats.read_about(path)
            _, height, width = about["shape"] or formats.common_shape(
                photos.images, size, about["stride"]
            )
            row["size_mb"] = formats.size_bytes(path) / 1e6
            row["budget_share"] = row["size_mb"] / max_size_mb
            row["parameters_million"], row["gflops"] = counted(height, width)
            chosen = inside if about.get("nms") else settings
            jobs.append(
                {
                    "files": [str(Path(path).resolve())],
                    "height": height,
                    "width": width,
                    "threads": threads or os.cpu_count() or 1,
                    "rounds": max(round(rounds / _TURNS), 1),
                    "photo": _photo(photos, size, place),
                    "about": bundle.model_settings(about, size, chosen),
                }
            )
        for row, timed in zip(made, _latencies(jobs), strict=True):
            row |= timed
    return pd.DataFrame(rows).reindex(columns=[*exports.columns, *COLUMNS])


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
        "weights under the same thresholds)",
        "network alone, batch 1": f"{row['latency_ms']:.1f} ms, 95th percentile "
        f"{row['p95_ms']:.1f} ms, {row['threads']:.0f} threads of a {platform.machine()} processor",
        "letterbox to boxes": f"{row['whole_ms']:.1f} ms; decoding a photo {row['decode_ms']:.1f} "
        "ms more",
        "arithmetic": f"{row['gflops']:.2f} GFLOPs, {row['parameters_million']:.2f} million "
        "parameters",
        "peak memory": f"{row['peak_memory_mb']:.0f} MB",
    }


def headline(table: pd.DataFrame, recommended: Mapping[str, Any] | None) -> dict[str, Any]:
    """The few numbers to show large: file size and time of the recommended or fastest."""
    kind, row = "recommended", pd.Series(recommended)
    if recommended is None:
        timed = table[table["whole_ms"].notna()].sort_values("whole_ms")
        if timed.empty:
            return {}
        kind, row = "fastest, over budget or red", timed.iloc[0]
    return {
        f"{kind} export": f"{row['export']}, {row['image_size']} px",
        "file MB": round(float(row["size_mb"]), 1),
        "ms per photo": round(float(row["whole_ms"]), 1),
    }


def _photo(photos: Photos, image_size: int, place: str) -> str:
    """The photo of the largest letterbox, written into the folder `place`; its path."""
    images = photos.images.sort_values("image_id")
    known = images[(images["width_px"] > 0) & (images["height_px"] > 0)]
    if known.empty:
        raise LivestockError(
            "no image of known size to time the runner on; give a table with width_px and height_px"
        )
    sides = zip(known["width_px"].astype(int), known["height_px"].astype(int), strict=True)
    areas = [np.prod(frames.fit(*side, image_size).padded) for side in sides]
    row = known.iloc[int(np.argmax(areas))]
    target = Path(place) / f"{image_size}{Path(row['member']).suffix}"
    if not target.exists():
        with photos.reader() as reader:
            target.write_bytes(reader.bytes(row.get("archive", ""), row["member"]))
    return str(target)
