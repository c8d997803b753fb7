"""A YOLOv5n with random weights that "finds" many boxes, and small photos for it: no training, no
download."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from livestock_utils.detect import checkpoints, yolov5


def write_network(
    path: Path, names: tuple[str, ...] = ("pig", "cow"), seed: int = 0, **notes
) -> Path:
    """Weights of a randomly initialised YOLOv5n whose last layer is stirred, so that confidences
    spread over (0, 1); `notes` as our trainings leave them."""
    import torch

    torch.manual_seed(seed)
    with yolov5.yolov5() as y5:
        model = y5.yolo.Model(y5.model_file("yolov5n"), ch=3, nc=len(names))
    for module in (
        model.modules()
    ):  # statistics of noise, as training would leave them: else deep layers fade out
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(4, 3, 128, 128))
    for layer in model.model[-1].m:
        torch.nn.init.normal_(layer.weight, std=2 / layer.in_channels**0.5)
        layer.bias.data.view(3, -1)[:, 4:] = -2.0
    model.names = dict(enumerate(names))
    return checkpoints.write_weights(path, model, **notes)


def write_photos(
    folder: Path, sizes=((96, 64), (96, 64), (64, 96), (96, 54), (96, 64)), seed: int = 0
) -> pd.DataFrame:
    """JPEGs of noise with blobs below `folder`, and their images table (archive "")."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (width, height) in enumerate(sizes):
        picture = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (width, height))
        name = f"photo_{number:03d}"
        cv2.imwrite(str(folder / f"{name}.jpg"), picture)
        rows.append(
            {
                "image_id": name,
                "species": "pig",
                "width_px": width,
                "height_px": height,
                "archive": "",
                "member": f"{name}.jpg",
            }
        )
    return pd.DataFrame(rows)
