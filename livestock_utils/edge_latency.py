"""One exported file, timed in a process of its own: `python -m livestock_utils.edge_latency FILE HEIGHT WIDTH ...`.

The process holds one network and what it needs, so its peak memory is that of a deployment. Prints one line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 3
LIMIT_S = 5.0
"""No further rounds after so long: a busy machine makes a network a hundred times as slow."""


def network_call(path: str, threads: int, images: np.ndarray) -> Callable[[], Any]:
    """The network alone as a call without arguments: float32 batch in, raw rows out, nothing before or after."""
    if Path(path).suffix.lower() == ".pt":
        import torch

        from livestock_utils import backends

        torch.set_num_threads(threads)
        model = backends.TorchBackend(path, device="cpu", any_classes=True).model
        batch = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)

        def by_torch() -> Any:
            with torch.inference_mode():
                return model(batch)[0]

        return by_torch
    from livestock_utils import exported_backends, onnx_backend

    network = exported_backends.open_exported(path, any_classes=True, threads=threads)
    if isinstance(network, onnx_backend.OnnxBackend):
        return lambda: network.session.run(None, {"images": images})
    return lambda: network._run(images)  # type: ignore[attr-defined]  # both other kinds have it


def measure(path: str, height: int, width: int, threads: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of each of at most `rounds` runs at batch 1 on noise of (height, width) px, and peak memory."""
    from livestock_utils import edge_runner

    images = np.random.default_rng(0).random((1, 3, height, width), dtype=np.float32)
    call = network_call(path, threads, images)
    for _ in range(WARM_UP):
        call()
    taken: list[float] = []
    while len(taken) < rounds and sum(taken) < LIMIT_S * 1e3:
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1e3)
    return {"ms": taken, "peak_memory_mb": edge_runner.peak_memory_mb()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], *(int(word) for word in sys.argv[2:6]))) + "\n")
