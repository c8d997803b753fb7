"""The networks behind prediction: one small interface, and PyTorch."""

import os
from typing import Any, Protocol

from livestock_utils.core.arrays import Float32s, Pixels
from livestock_utils.core.errors import LivestockError


class Backend(Protocol):
    """A network: class names in order, multiple of its sides, float16 or not, best batch size."""

    names: tuple[str, ...]
    stride: int
    half: bool
    best_batch: int

    def __call__(self, batch_bgr: Pixels, floor: float) -> list[Float32s]:
        """(n, h, w, 3) bytes -> per image the rows (m, 5 + classes) from objectness `floor` up.
        Columns: centre x, y, width, height in px of the input, objectness, class scores."""


class TorchBackend:
    """A YOLOv5 model in PyTorch: fused, float16 on a GPU unless told otherwise."""

    def __init__(
        self,
        weights_or_model: Any,
        *,
        device: str | None = None,
        half: bool | None = None,
        any_classes: bool = False,
        trust: bool = False,
    ) -> None:
        """`weights_or_model`: the path of a .pt, or a model of `lu.load`, which is not changed."""
        import copy

        import torch

        from livestock_utils.detect import checkpoints

        if isinstance(weights_or_model, str | os.PathLike):
            model = checkpoints.load(
                weights_or_model, device=device, trust=trust, check_names=False
            )
            where = str(weights_or_model)
        else:
            model, where = copy.deepcopy(weights_or_model), "the model"
        names = model.names if isinstance(model.names, dict) else dict(enumerate(model.names))
        self.names = tuple(str(names[index]) for index in sorted(names))
        if not any_classes:
            checkpoints.check_class_names(self.names, where)
        self.device = torch.device(device) if device else next(model.parameters()).device
        self.half = self.device.type == "cuda" if half is None else half
        if self.half and self.device.type == "cpu":
            raise LivestockError(
                "half precision needs a GPU; leave half out, or set device to 'cuda'"
            )
        self.best_batch = 4 if self.device.type == "cpu" else 16
        # channels_last is how the decoded bytes lie in memory: no re-ordering before the first
        # layer
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()
        self.model = self.model.half() if self.half else self.model.float()
        self.stride = int(model.stride.max())
        self.notes = getattr(model, "notes", {})

    def __call__(self, batch_bgr: Pixels, floor: float) -> list[Float32s]:
        """See `Backend`."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(batch_bgr).to(self.device).permute(0, 3, 1, 2).flip(1)
            batch = (batch.half() if self.half else batch.float()).div_(255)
            raw = self.model(batch)[0]
            return [rows[rows[:, 4] >= floor].float().cpu().numpy() for rows in raw]
