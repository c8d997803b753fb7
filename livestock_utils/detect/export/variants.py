"""An exported ONNX network made over: suppression inside, float16, INT8."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livestock_utils.core.errors import LivestockError
from livestock_utils.detect.backends import onnx as onnx_backend

_QUANTIZED = ("Conv", "Mul", "Sigmoid", "Concat", "Add", "MaxPool", "Resize")
"""Operators that INT8 covers, up to the head. The whole head stays in float32: boxes need more than
256 steps, and the last three convolutions in INT8 cost twice the AP75 for no time (measured on the
sample)."""

_FOR_TENSORRT = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "QuantizeBias": False,
}


def with_nms(
    path: str | os.PathLike,
    target: str | os.PathLike,
    *,
    iou_threshold: float,
    confidence_threshold: float,
    max_detections: int = 300,
    made: dict[str, Any] | None = None,
) -> Path:
    """Append ONNX's NonMaxSuppression, class by class; returns `target`.

    The output becomes (m, 7): batch index, centre x, y, width, height in px of the input,
    confidence, class index. `max_detections` holds for each class. The same rule as
    `suppression.nms` (IoU strictly above goes).
    """
    onnx = onnx_backend.need("onnx")
    about = onnx_backend.read_about(path)
    model = onnx.load(str(path))
    graph, node = model.graph, onnx.helper.make_node
    raw = graph.output[0].name

    def constant(name: str, value: npt.NDArray) -> str:
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.asarray(value), f"nms_constant_{name}")
        )
        return f"nms_constant_{name}"

    # ONNX keeps scores above its threshold, the library those from it up: the next smaller float
    # makes them agree.
    lowest = np.nextafter(np.float32(confidence_threshold), np.float32(-1))
    limits = [
        constant("limit", np.array([max_detections], dtype=np.int64)),
        constant("iou", np.array([iou_threshold], dtype=np.float32)),
        constant("confidence", np.array([lowest], dtype=np.float32)),
    ]
    whole = np.iinfo(np.int64).max
    for name, first, last in (("boxes", 0, 4), ("objectness", 4, 5), ("classes", 5, whole)):
        ends = [
            constant(f"{name}_{end}", np.array([value], dtype=np.int64))
            for end, value in (("from", first), ("to", last), ("axis", 2))
        ]
        graph.node.append(node("Slice", [raw, *ends], [f"nms_{name}"], name=f"nms/{name}"))
    graph.node.extend(
        [
            node("Mul", ["nms_objectness", "nms_classes"], ["nms_scores"], name="nms/scores"),
            node(
                "Transpose", ["nms_scores"], ["nms_by_class"], name="nms/by_class", perm=[0, 2, 1]
            ),
            node(
                "NonMaxSuppression",
                ["nms_boxes", "nms_by_class", *limits],
                ["nms_kept"],
                name="nms/kept",
                center_point_box=1,
            ),
            node(
                "Gather",
                ["nms_kept", constant("image_and_box", np.array([0, 2]))],
                ["nms_places"],
                name="nms/places",
                axis=1,
            ),
            node(
                "GatherND", ["nms_boxes", "nms_places"], ["nms_kept_boxes"], name="nms/kept_boxes"
            ),
            node(
                "GatherND",
                ["nms_by_class", "nms_kept"],
                ["nms_kept_scores"],
                name="nms/kept_scores",
            ),
            node(
                "Unsqueeze",
                ["nms_kept_scores", constant("column", np.array([1]))],
                ["nms_confidence"],
                name="nms/confidence",
            ),
            node(
                "Cast", ["nms_kept"], ["nms_numbers"], name="nms/numbers", to=onnx.TensorProto.FLOAT
            ),
            node(
                "Gather",
                ["nms_numbers", constant("first", np.array([0]))],
                ["nms_image"],
                name="nms/image",
                axis=1,
            ),
            node(
                "Gather",
                ["nms_numbers", constant("second", np.array([1]))],
                ["nms_class"],
                name="nms/class",
                axis=1,
            ),
            node(
                "Concat",
                ["nms_image", "nms_kept_boxes", "nms_confidence", "nms_class"],
                ["detections"],
                name="nms/detections",
                axis=1,
            ),
        ]
    )
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info("detections", onnx.TensorProto.FLOAT, ["found", 7])
    )
    settings = {
        "iou_threshold": iou_threshold,
        "confidence_threshold": confidence_threshold,
        "max_detections": max_detections,
    }
    return onnx_backend.write(target, model, about | {"nms": settings, "made": made or {}})


def to_float16(
    path: str | os.PathLike, target: str | os.PathLike, made: dict[str, Any] | None = None
) -> Path:
    """Weights and arithmetic in float16; input and output stay float32; returns `target`.

    The decoding of boxes stays in float32: at 640 px a float16 coordinate is only right to half a
    pixel.
    """
    onnx_backend.need("onnxruntime")
    from onnxruntime.transformers import float16, onnx_model

    onnx = onnx_backend.need("onnx")
    about = onnx_backend.read_about(path)
    model = onnx.load(str(path))
    small = float16.convert_float_to_float16(
        model, keep_io_types=True, node_block_list=_decoding(model.graph.node)
    )
    onnx_model.OnnxModel.graph_topological_sort(
        small.graph
    )  # the converter appends its casts at the end
    return onnx_backend.write(target, small, about | {"made": made or {}})


def to_int8(
    path: str | os.PathLike,
    target: str | os.PathLike,
    batches: Iterable[npt.NDArray[np.uint8]],
    made: dict[str, Any] | None = None,
    tensorrt: bool = False,
) -> Path:
    """Static INT8 by ONNX Runtime: weights per channel, activations by `batches`' range.

    `batches`: letterboxed training images (n, h, w, 3) BGR, see `edge.Calibration`. Returns
    `target`. Raises LivestockError for no images, and for sizes that a file of fixed shape does not
    take. tensorrt: the form that TensorRT parses instead of the one that is fastest on a processor:
    signed and symmetric (every zero point 0), convolutions only, weights as float32 behind a
    QuantizeLinear (so the file stays large, the engine does not), no INT32 bias (onnxruntime issue
    14229).
    """
    onnx_backend.need("onnxruntime")
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    onnx = onnx_backend.need("onnx")
    about = onnx_backend.read_about(path)
    with tempfile.TemporaryDirectory() as folder:
        prepared, raw = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        shape_inference.quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(str(prepared)).graph.node
        quantization.quantize_static(
            str(prepared),
            str(raw),
            _reader(batches, about["shape"], quantization.CalibrationDataReader),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["Conv"] if tensorrt else list(_QUANTIZED),
            activation_type=quantization.QuantType.QInt8
            if tensorrt
            else quantization.QuantType.QUInt8,
            nodes_to_exclude=_head(nodes),
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options=_FOR_TENSORRT if tensorrt else {},
        )
        model = onnx.load(str(raw))
    return onnx_backend.write(target, model, about | {"made": made or {}})


def _reader(batches: Iterable[npt.NDArray[np.uint8]], shape: Sequence[int], base: type) -> Any:
    """ONNX Runtime's calibration interface over images, one at a time."""

    def images() -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        count = 0
        for batch in batches:
            for pixels in batch:
                image = pixels[None]
                if shape:
                    image = onnx_backend.fill_shape(image, (shape[0], shape[1], shape[2]))
                count += 1
                yield {
                    "images": image[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
                    / np.float32(255)
                }
        if not count:
            raise LivestockError(
                "the calibration set is empty: INT8 needs some training images (32 or more)"
            )

    class Reader(base):
        """Hands out one image a call, then None."""

        def __init__(self) -> None:
            self.left = images()

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            return next(self.left, None)

    return Reader()


def _decoding(nodes: Iterable[Any]) -> list[str]:
    """Names of the nodes after the last convolutions: those of the head that are no convolution."""
    nodes = list(nodes)
    head = set(_head(nodes))
    return [node.name for node in nodes if node.name in head and node.op_type != "Conv"]


def _head(nodes: Iterable[Any]) -> list[str]:
    """Names of the nodes of the last layer, which turns features into boxes and scores."""
    nodes = list(nodes)
    layers = {
        int(part[6:])
        for node in nodes
        for part in node.name.split("/")[1:2]
        if part.startswith("model.") and part[6:].isdecimal()
    }
    if not layers:
        raise LivestockError(
            "the ONNX file names no layers of a YOLOv5 network; export it with onnx_backend.export"
        )
    last = f"/model.{max(layers)}/"
    return [node.name for node in nodes if node.name.startswith(last)]
