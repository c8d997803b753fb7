"""An exported ONNX network made over: suppression inside, float16, INT8."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from livestock_utils.core.arrays import Float32s, Pixels
from livestock_utils.core.errors import LivestockError
from livestock_utils.detect.backends import onnx as onnx_backend

_LAYER = re.compile(r"[^/]*/model\.(\d+)(/|$)")
_QUANTIZED = ["Conv", "Mul", "Sigmoid", "Concat", "Add", "MaxPool", "Resize"]
"""Operators that INT8 covers, up to the head. The whole head stays in float32: boxes need more than
256 steps, and the last three convolutions in INT8 cost twice the AP75 for no time (measured on the
sample)."""

_FOR_TENSORRT = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "QuantizeBias": False,
}


def with_nms(path: Path, target: Path, made: dict[str, Any]) -> Path:
    """Append ONNX's NonMaxSuppression with `made["settings"]`, class by class, by the rule of
    `suppression.nms` (IoU strictly above goes); `max_detections` holds for each class. The output
    becomes (m, 7): batch index, centre x, y, width, height in px of the input, confidence, class
    index."""
    onnx = onnx_backend.need("onnx")
    about, settings = onnx_backend.read_about(path), made["settings"]
    model = onnx.load(str(path))
    graph = model.graph

    def constant(name: str, values: list[Any], dtype: Any = np.int64) -> str:
        name = f"nms_constant_{name}"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(kind: str, name: str, *inputs: str, output: str = "", **options: Any) -> str:
        output = output or f"nms_{name}"
        graph.node.append(
            onnx.helper.make_node(kind, inputs, [output], name=f"nms/{name}", **options)
        )
        return output

    # ONNX keeps scores above its threshold, the library those from it up: the next smaller float
    # makes them agree.
    lowest = np.nextafter(np.float32(settings["confidence_threshold"]), np.float32(-1))
    limits = [
        constant("limit", [settings["max_detections"]]),
        constant("iou", [settings["iou_threshold"]], np.float32),
        constant("confidence", [lowest], np.float32),
    ]
    raw, whole, parts = graph.output[0].name, np.iinfo(np.int64).max, []
    for name, first, last in (("boxes", 0, 4), ("objectness", 4, 5), ("classes", 5, whole)):
        ends = (("from", first), ("to", last), ("axis", 2))
        places = [constant(f"{name}_{end}", [value]) for end, value in ends]
        parts.append(add("Slice", name, raw, *places))
    boxes, objectness, classes = parts
    by_class = add(
        "Transpose", "by_class", add("Mul", "scores", objectness, classes), perm=[0, 2, 1]
    )
    kept = add("NonMaxSuppression", "kept", boxes, by_class, *limits, center_point_box=1)
    image_and_box = add("Gather", "places", kept, constant("image_and_box", [0, 2]), axis=1)
    kept_boxes = add("GatherND", "kept_boxes", boxes, image_and_box)
    kept_scores = add("GatherND", "kept_scores", by_class, kept)
    confidence = add("Unsqueeze", "confidence", kept_scores, constant("column", [1]))
    numbers = add("Cast", "numbers", kept, to=onnx.TensorProto.FLOAT)
    image = add("Gather", "image", numbers, constant("first", [0]), axis=1)
    species = add("Gather", "class", numbers, constant("second", [1]), axis=1)
    columns = (image, kept_boxes, confidence, species)
    found = add("Concat", "detections", *columns, output="detections", axis=1)
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info(found, onnx.TensorProto.FLOAT, ["found", 7])
    )
    return onnx_backend.write(target, model, about | {"nms": settings, "made": made})


def to_float16(path: Path, target: Path, made: dict[str, Any]) -> Path:
    """Weights and arithmetic in float16; input and output stay float32. The decoding of boxes does
    too: at 640 px a float16 coordinate is only right to half a pixel."""
    onnx_backend.need("onnxruntime")
    from onnxruntime.transformers import float16, onnx_model

    onnx = onnx_backend.need("onnx")
    about = onnx_backend.read_about(path)
    model = onnx.load(str(path))
    decoding = [node.name for node in _head(model.graph) if node.op_type != "Conv"]
    small = float16.convert_float_to_float16(model, keep_io_types=True, node_block_list=decoding)
    # the converter appends its casts at the end
    onnx_model.OnnxModel.graph_topological_sort(small.graph)
    return onnx_backend.write(target, small, about | {"made": made})


def to_int8(
    path: Path, target: Path, images: Iterable[Pixels], made: dict[str, Any], tensorrt: bool = False
) -> Path:
    """Static INT8 by ONNX Runtime: weights per channel, activations by the range on `images`,
    letterboxed training photos (h, w, 3) BGR. tensorrt: the form that TensorRT parses instead of
    the one that is fastest on a processor: signed and symmetric (every zero point 0), convolutions
    only, weights as float32 behind a QuantizeLinear (so the file stays large, the engine does not),
    no INT32 bias (onnxruntime issue 14229)."""
    onnx_backend.need("onnxruntime")
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    onnx = onnx_backend.need("onnx")
    about = onnx_backend.read_about(path)
    kinds = quantization.QuantType
    with tempfile.TemporaryDirectory() as folder:
        prepared, raw = f"{folder}/prepared.onnx", f"{folder}/int8.onnx"
        shape_inference.quant_pre_process(str(path), prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            raw,
            _reader(images, quantization.CalibrationDataReader),
            per_channel=True,
            weight_type=kinds.QInt8,
            op_types_to_quantize=["Conv"] if tensorrt else _QUANTIZED,
            activation_type=kinds.QInt8 if tensorrt else kinds.QUInt8,
            nodes_to_exclude=[node.name for node in _head(onnx.load(prepared).graph)],
            extra_options=_FOR_TENSORRT if tensorrt else {},
        )
        model = onnx.load(raw)
    return onnx_backend.write(target, model, about | {"made": made})


def _reader(images: Iterable[Pixels], base: type) -> Any:
    """ONNX Runtime's calibration interface over images, one at a time."""

    def feeds() -> Iterator[dict[str, Float32s]]:
        image = None
        for image in images:
            pixels = image[None, ..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
            yield {"images": pixels / np.float32(255)}
        if image is None:
            raise LivestockError(
                "the calibration set is empty: INT8 needs some training images (32 or more)"
            )

    class Reader(base):
        """Hands out one image a call, then None."""

        def __init__(self) -> None:
            self.left = feeds()

        def get_next(self) -> dict[str, Float32s] | None:
            return next(self.left, None)

    return Reader()


def _head(graph: Any) -> list[Any]:
    """The nodes of the last layer, which turns features into boxes and scores."""
    layers = [int(found[1]) for node in graph.node if (found := _LAYER.match(node.name))]
    if not layers:
        raise LivestockError(
            "the ONNX file names no layers of a YOLOv5 network; export it with onnx_backend.export"
        )
    return [node for node in graph.node if node.name.startswith(f"/model.{max(layers)}/")]
