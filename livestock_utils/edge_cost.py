"""What a model costs where it runs: size, parameters, arithmetic, latency, memory; a row an export and pixel size."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils import checkpoints, edge, exported_backends, onnx_backend
from livestock_utils.errors import LivestockError
from livestock_utils.progress import progress

COLUMNS = ["size_mb", "budget_share", "parameters_million", "gflops", "latency_ms", "p95_ms", "images_per_s", "threads",
           "peak_memory_mb"]


def arithmetic(weights: str | os.PathLike, height_px: int, width_px: int, trust: bool = False) -> tuple[float, float]:
    """Millions of parameters of the fused network, and GFLOPs of one image (torch's counter: a multiply-add is two)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = checkpoints.load_model(weights, device="cpu", trust=trust, check_names=False)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, height_px, width_px))
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6, counter.get_total_flops() / 1e9


def latency(path: str | os.PathLike, height_px: int, width_px: int, threads: int, rounds: int = 20) -> dict[str, Any]:
    """Latency of the network alone at batch 1 in a process of its own: latency_ms (median), p95_ms, images_per_s,
    threads, peak_memory_mb. Raises LivestockError with the reason if that process fails."""
    command = [sys.executable, "-m", "livestock_utils.edge_latency", str(Path(path).resolve()), str(height_px),
               str(width_px), str(threads), str(rounds)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    package = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LivestockError(f"{path} could not be timed: {reason}")
    found = json.loads(done.stdout.splitlines()[-1])
    median = float(np.median(found["ms"]))
    return {"latency_ms": median, "p95_ms": float(np.percentile(found["ms"], 95)), "images_per_s": 1e3 / median,
            "threads": threads, "peak_memory_mb": found["peak_memory_mb"]}


def cost_table(exports: pd.DataFrame, weights: str | os.PathLike, images: pd.DataFrame, *, max_size_mb: float = 100.0,
               threads: int | None = None, rounds: int = 20, trust: bool = False) -> pd.DataFrame:
    """`exports` (of `edge.export_all` or `edge_parity.parity_table`) with the columns COLUMNS added.

    Every row is timed on the letterboxed frame that the formats of one shape have too (see `edge.common_shape`), so
    that rows of one size compare. `threads`: default all cores. Rows without a file stay without numbers.
    """
    threads = threads or os.cpu_count() or 1
    counted: dict[tuple[int, int], tuple[float, float]] = {}
    rows = []
    for row in progress(exports.to_dict("records"), desc="latency"):
        if row["path"]:
            height, width = _shape(row, images)
            if (height, width) not in counted:
                counted[height, width] = arithmetic(weights, height, width, trust)
            size_mb = edge.size_bytes(row["path"]) / 1e6
            row |= {"size_mb": size_mb, "budget_share": size_mb / max_size_mb,
                    "parameters_million": counted[height, width][0], "gflops": counted[height, width][1],
                    **latency(row["path"], height, width, threads, rounds)}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=[*exports.columns, *COLUMNS])


def front(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that no other beats in both AP75 and latency, by latency; red ones are left out."""
    rows = table[table["AP75"].notna() & table["latency_ms"].notna() & ~table["red"]]
    rows = rows.sort_values(["latency_ms", "AP75"], ascending=[True, False])
    return rows[rows["AP75"] > rows["AP75"].cummax().shift(fill_value=-np.inf)].reset_index(drop=True)


def speed_sentence(table: pd.DataFrame) -> str:
    """How much faster the exports are than PyTorch at the largest size, and what INT8 costs."""
    rows = table[(table["image_size"] == table["image_size"].max()) & table["latency_ms"].notna()].set_index("export")
    if "pytorch" not in rows.index or len(rows) < 2:
        return "Nothing to compare: only one network was timed."
    base = float(rows.loc["pytorch", "latency_ms"])
    others = rows.drop(index="pytorch").sort_values("latency_ms")
    ratios = ", ".join(f"{name} {base / value:.1f} x" for name, value in others["latency_ms"].items())
    text = (f"At {int(rows['image_size'].iloc[0])} px, batch 1 and {int(rows['threads'].iloc[0])} threads PyTorch "
            f"takes {base:.0f} ms; as fast as it times: {ratios}.")
    if "onnx-int8" in rows.index and "onnx" in rows.index and "difference" in rows:
        ratio = rows.loc["onnx", "latency_ms"] / rows.loc["onnx-int8", "latency_ms"]
        text += (f" INT8 is {ratio:.1f} x as fast as float32 ONNX and {rows.loc['onnx-int8', 'difference']:+.3f} in "
                 "AP75.")
    return text


def notes(table: pd.DataFrame, path: str | os.PathLike, image_size: int) -> dict[str, str]:
    """What was measured of one file, in words for a bundle's README."""
    rows = table[(table["path"] == str(path)) & (table["image_size"] == image_size)]
    if rows.empty or pd.isna(rows["latency_ms"].iloc[0]):
        return {}
    row = rows.iloc[0]
    return {"AP75 on validation": f"{row['AP75']:.3f} ({row['difference']:+.3f} against the PyTorch weights)",
            "network alone, batch 1": f"{row['latency_ms']:.1f} ms, 95th percentile {row['p95_ms']:.1f} ms, "
                                      f"{row['threads']:.0f} threads of a {platform.machine()} processor",
            "arithmetic": f"{row['gflops']:.2f} GFLOPs, {row['parameters_million']:.2f} million parameters",
            "peak memory": f"{row['peak_memory_mb']:.0f} MB"}


def _shape(row: dict[str, Any], images: pd.DataFrame) -> tuple[int, int]:
    """Height and width of the network's input in px: the file's fixed shape, else what all `images` fit into."""
    path = Path(row["path"])
    if path.suffix == ".torchscript":
        shape = exported_backends.read_torchscript(path)["shape"]
    else:
        shape = onnx_backend.read_about(path)["shape"] if path.suffix == ".onnx" else []
    _, height, width = shape or edge.common_shape(images, row["image_size"])
    return height, width
