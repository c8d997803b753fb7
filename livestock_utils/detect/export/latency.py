"""Exported files, timed in a process of its own (`python -m` this, a `Job` on stdin).

A process that times one file holds what a deployment does: its peak memory is the same. Several
files of one job are timed in turns, so that a busy moment meets all. Prints one line of JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from livestock_utils.core.errors import LivestockError
from livestock_utils.core.project import PACKAGE

WARM_UP = 3
_LIMIT_S = 5.0
"""No further rounds after so long a file: a busy machine may be 100 times as slow."""
PROCESSES = 3


class Job(TypedDict):
    """What to time: `files`, input in px, repeats; with `about` (see `bundle.model_settings`) and
    `photo`, the path of an image, the whole runner too."""

    files: list[str]
    height: int
    width: int
    threads: int
    rounds: int
    about: dict[str, Any] | None
    photo: str


def open_network(path: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """The network alone: float32 batch (n, 3, h, w) in, raw rows out, nothing before or after."""
    if Path(path).suffix.lower() == ".pt":
        import torch

        from livestock_utils.detect.backends import base

        torch.set_num_threads(threads)
        model = base.TorchBackend(path, device="cpu", any_classes=True).model

        def by_torch(images: np.ndarray) -> np.ndarray:
            batch = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():
                return model(batch)[0].numpy()

        return by_torch
    from livestock_utils.detect.backends import exported, onnx

    network = exported.open_exported(path, any_classes=True, threads=threads)
    if isinstance(network, onnx.OnnxBackend):
        return lambda images: network.session.run(None, {"images": images})[0]
    return network._run  # type: ignore[attr-defined]  # both other kinds have it


def measure(job: Job) -> dict[str, Any]:
    """Milliseconds of up to `rounds` runs at batch 1, interleaved, and peak_memory_mb. A file's
    mapping holds "network" (on noise), and with a photo "decode" and "whole" (letterbox to boxes,
    by the bundle's own code)."""
    from livestock_utils.assets import edge_runner

    images = np.random.default_rng(0).random((1, 3, job["height"], job["width"]), dtype=np.float32)
    steps = [_steps(open_network(path, job["threads"]), images, job) for path in job["files"]]
    taken: list[dict[str, list[float]]] = [{name: [] for name in step} for step in steps]
    for step in steps * WARM_UP:
        step["network"]()
    start = time.perf_counter()
    for turn in range(job["rounds"]):
        if turn and time.perf_counter() - start > _LIMIT_S * len(steps):
            break
        for step, ms in zip(steps, taken, strict=True):
            for name, call in step.items():
                before = time.perf_counter()
                call()
                ms[name].append((time.perf_counter() - before) * 1e3)
    return {"files": taken, "peak_memory_mb": edge_runner.peak_memory_mb()}


def run(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """`measure` of each job, one after the other, in one process of its own."""
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = str(max(job["threads"] for job in jobs))
    done = subprocess.run(
        [sys.executable, "-m", "livestock_utils.detect.export.latency"],
        input=json.dumps(list(jobs)),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(paths)},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        listed = ", ".join(dict.fromkeys(file for job in jobs for file in job["files"]))
        raise LivestockError(f"{listed} could not be timed: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def in_turns(
    files: Sequence[str | os.PathLike],
    height_px: int,
    width_px: int,
    threads: int,
    rounds: int = 20,
) -> list[np.ndarray]:
    """(PROCESSES, rounds) ms of each file's network at batch 1, one run a file a round. Fresh
    processes, because where a process has its memory makes one network faster and another slower in
    all of its rounds. Rows of fewer rounds (see _LIMIT_S) are cut to the shortest."""
    job: Job = {
        "files": [str(Path(path).resolve()) for path in files],
        "height": height_px,
        "width": width_px,
        "threads": threads,
        "rounds": rounds,
        "about": None,
        "photo": "",
    }
    taken = [[ms["network"] for ms in run([job])[0]["files"]] for _ in range(PROCESSES)]
    shortest = min(len(times) for of_process in taken for times in of_process)
    return [np.array([of_process[k][:shortest] for of_process in taken]) for k in range(len(files))]


def _steps(
    network: Callable[[np.ndarray], np.ndarray], images: np.ndarray, job: Job
) -> dict[str, Callable[[], Any]]:
    """What is timed of one network; the whole runs once here, which warms it up."""
    steps: dict[str, Callable[[], Any]] = {"network": lambda: network(images)}
    if job["about"] is None:
        return steps
    from livestock_utils.assets import edge_runner

    detector = edge_runner.Detector(job["about"], network)
    data = Path(job["photo"]).read_bytes()
    frame = edge_runner.decode(data)
    detector.detect(frame)
    return steps | {
        "decode": lambda: edge_runner.decode(data),
        "whole": lambda: detector.detect(frame),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps([measure(job) for job in json.load(sys.stdin)]) + "\n")
