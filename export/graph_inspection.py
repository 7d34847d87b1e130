"""What an ONNX graph is made of: its layers, their names and their work, and what ONNX Runtime executes them in."""

import math
import tempfile
from pathlib import Path
from typing import Final

import onnx
import onnxruntime

from core.errors import InvalidInputError, UnavailableError
from core.formats import InputShape
from core.precision import Precision

LAYERS: Final = ("Conv", "ConvTranspose")
"""Operations with nearly all of a generator's work."""
FUSED_LAYERS: Final = ("FusedConv", "NhwcFusedConv")
INTEGER_LAYERS: Final = ("QLinearConv", "QLinearConvTranspose", "ConvInteger")
"""What ONNX Runtime makes of them."""
KINDS: Final = {
    onnx.TensorProto.FLOAT: "fp32",
    onnx.TensorProto.FLOAT16: "fp16",
    onnx.TensorProto.BFLOAT16: "bf16",
    onnx.TensorProto.DOUBLE: "fp64",
}
SMALL: Final = 64
"""Values in a constant that a shape may depend on."""


def name_layers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The layers of ``model`` by name, in the order of its nodes; every node gets a name of its own.

    A layer without a name takes its weight's, and of equal names the later ones get a number.
    """
    taken: set[str] = set()
    layers = {}
    for node in model.graph.node:
        is_layer = node.op_type in LAYERS and node.domain in ("", "ai.onnx")
        plain = node.name or (node.input[1].removesuffix(".weight") if is_layer else f"{node.op_type}:{node.output[0]}")
        name, number = plain, 1
        while name in taken:
            number += 1
            name = f"{plain}#{number}"
        taken.add(name)
        node.name = name
        if is_layer:
            layers[name] = node
    return layers


def ends(layers: tuple[str, ...]) -> tuple[str, ...]:
    """The first and the last of ``layers``."""
    return tuple(dict.fromkeys((*layers[:1], *layers[-1:])))


def executed_precisions(path: Path) -> dict[str, str]:
    """What ONNX Runtime's CPU kernels compute each layer of the graph at ``path`` in, by name: int8, fp32, fp16, ...

    Read from the graph that ONNX Runtime makes of it here. A layer around which the quantization was not fused runs in
    float, and so does fp16, for which there are no kernels.

    Raises:
        UnavailableError: if ONNX Runtime refuses the graph.
    """
    graph = optimized(path, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    kinds |= {info.name: info.type.tensor_type.elem_type for info in graph.value_info}
    executed = {}
    for node in graph.node:
        if node.op_type in INTEGER_LAYERS:
            executed[node.name] = str(Precision.INT8)
        elif node.op_type in (*LAYERS, *FUSED_LAYERS):
            executed[node.name] = KINDS[kinds[node.input[1]]]
        elif node.op_type == "Cast":
            kinds[node.output[0]] = next(attribute.i for attribute in node.attribute if attribute.name == "to")
        elif node.op_type == "DequantizeLinear":
            kinds[node.output[0]] = kinds[node.input[1]]
    return executed


def optimized(path: Path, level: onnxruntime.GraphOptimizationLevel) -> onnx.ModelProto:
    """The graph that ONNX Runtime makes of the one at ``path`` for this machine's CPU.

    Raises:
        UnavailableError: if it refuses the graph.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 3
        try:
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own kinds of errors have no root but this
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UnavailableError(f"ONNX Runtime refuses {path.name}: {reason}") from error
        return onnx.load(target)


def layer_operations(path: Path, shape: InputShape | None = None) -> dict[str, int]:
    """Multiplications and additions in each layer of the deploy graph at ``path``, quantized or not, by name.

    Args:
        path: of an ONNX file.
        shape: what a dynamic graph is given; of any other the batch and size that it was made for count.

    Raises:
        InvalidInputError: if a layer's sizes do not follow from that.
    """
    model = onnx.load(path)
    layers = name_layers(model)
    if shape is not None:
        sides = model.graph.input[0].type.tensor_type.shape.dim
        for side, length in zip(sides, (shape.batch, *shape.size), strict=False):
            side.dim_value = length
    dims = _inferred_shapes(model)
    operations = {}
    for name, node in layers.items():
        values, weight = dims.get(node.output[0] if node.op_type == "Conv" else node.input[0]), dims.get(node.input[1])
        if not values or not weight or 0 in values:
            raise InvalidInputError(f"{path.name}: the sizes of layer {name} do not follow from the graph's input")
        operations[name] = 2 * math.prod(values) * math.prod(weight[1:])
    return operations


def _inferred_shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Shapes of all tensors; an unknown side is 0. Weights are taken out of ``model``: only their shapes count."""
    graph = model.graph
    large = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > SMALL]
    small = [tensor for tensor in graph.initializer if math.prod(tensor.dims) <= SMALL]
    given = {tensor.name for tensor in graph.input}
    graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in large
        if tensor.name not in given
    )
    kept = onnx.ModelProto()
    for tensor in small:
        kept.graph.initializer.add().CopyFrom(tensor)
    del graph.initializer[:]
    graph.initializer.extend(kept.graph.initializer)
    del graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in kept.graph.initializer}
    for info in (*inferred.input, *inferred.value_info, *inferred.output):
        shapes[info.name] = [side.dim_value for side in info.type.tensor_type.shape.dim]
    return shapes
