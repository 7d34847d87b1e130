"""The deploy graph around a network that is an ONNX graph already: what ``export.deploy_graph`` is for PyTorch's.

The arithmetic is that of ``core.frames`` and ``core.encoding``, in the same order. TensorRT takes ``uint8`` for inputs
and outputs only, so the cast comes first on the way in and last on the way out.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper, version_converter

from core.encoding import HALF_RANGE, LUMA
from core.errors import UnavailableError
from core.formats import InputShape
from core.frames import Encoding
from core.precision import Precision
from export.foreign_graph_file import opset_of
from export.foreign_input import ValueRange
from export.foreign_network import ForeignNetwork, first_line
from export.foreign_training_mode import leave_training_mode
from export.graph_file import INPUT_NAME, OUTPUT_NAME
from export.graph_order import ordered, used_names

LEAST_OPSET: Final = 13
"""INT8 per channel needs it; what is newer stays as it is, since each conversion can go wrong."""
_RESIZE_OPSET: Final = 11
_IR_VERSION: Final = 8
"""From 4 on, weights are no inputs; with 8, everything that is read here knows the file."""
_TO, _FROM = "to_network/", "to_frames/"


def wrap(network: ForeignNetwork, value_range: ValueRange, precision: Precision, shape: InputShape) -> ModelProto:
    """The deploy graph of ``network``, in fp32 or fp16.

    It stays as it is, but for what is in training mode; see ``export.foreign_training_mode``.

    Args:
        network: one that has taken a picture of that shape.
        value_range: the values of its pictures.
        precision: of the network; the way from frames and back is in float.
        shape: of the frames; a dynamic one is of any batch too if the network's is.

    Raises:
        UnavailableError: if it cannot be brought to a usable opset, to that shape, or to fp16.
    """
    model = _prepared(network)
    sides = ("height", "width") if shape.dynamic else shape.size
    batch = ("batch" if network.any_batch else 1) if shape.dynamic else shape.batch
    half = precision is Precision.FP16
    try:
        _fix_shapes(model, [batch, 1 if network.input_encoding is Encoding.GRAY else 3, *sides])
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        if half:
            model = _half(model)
    except Exception as error:  # neither library says what it raises
        raise UnavailableError(
            f"{network.path} cannot be made in {precision} for {shape} ({first_line(error)})"
        ) from error
    graph = model.graph
    before, after = (_Surroundings(TensorProto.FLOAT16 if half else TensorProto.FLOAT) for _ in range(2))
    before.to_network(graph.input[0].name, network.input_encoding, value_range)
    after.to_frames(graph.output[0].name, network.output_encoding, value_range)
    frames = [batch, *sides, 3]
    _replace(graph.node, [*before.nodes, *ordered(graph.node), *after.nodes])
    _replace(graph.input, [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, frames)])
    _replace(graph.output, [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.UINT8, frames)])
    graph.initializer.extend({**before.constants, **after.constants}.values())
    _name_nodes(graph)
    return model


class _Surroundings:
    """Collects nodes before or after a network that computes in ``element_type``, and their constants."""

    def __init__(self, element_type: int) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self._element_type = element_type

    def to_network(self, output: str, encoding: Encoding, value_range: ValueRange) -> None:
        """From ``INPUT_NAME`` to ``output``; see ``core.frames.to_network``."""
        value = self._add("Cast", INPUT_NAME, name=f"{_TO}levels", to=TensorProto.FLOAT)
        if encoding is Encoding.RGB:
            value = self._add("Transpose", value, name=f"{_TO}channels_first", perm=[0, 3, 1, 2])
            value = self._flip(value, f"{_TO}rgb")
        else:
            value = self._brightness(value)
        signed = value_range is ValueRange.SIGNED
        value = self._add("Div", value, self._float(HALF_RANGE if signed else 2 * HALF_RANGE), name=f"{_TO}scaled")
        if signed:
            value = self._add("Sub", value, self._float(1.0), name=f"{_TO}signed")
        if encoding is Encoding.GRAY:
            value = self._add("Unsqueeze", value, self._ints([1]), name=f"{_TO}plane")
        self._add("Cast", value, name=f"{_TO}images", output=output, to=self._element_type)

    def _brightness(self, levels: str) -> str:
        # One plane after the other: see core.encoding.encode.
        total = ""
        for weight, channel, colour in zip(LUMA, (2, 1, 0), ("red", "green", "blue"), strict=True):
            index = self._constant(np.int64(channel), f"index_{channel}")
            plane = self._add("Gather", levels, index, name=f"{_TO}{colour}", axis=3)
            part = self._add("Mul", plane, self._float(weight), name=f"{_TO}{colour}_part")
            total = self._add("Add", total, part, name=f"{_TO}with_{colour}") if total else part
        return total

    def to_frames(self, images: str, encoding: Encoding, value_range: ValueRange) -> None:
        """From ``images`` to ``OUTPUT_NAME``; see ``core.frames.to_frames``."""
        value = self._add("Cast", images, name=f"{_FROM}images", to=TensorProto.FLOAT)
        signed = value_range is ValueRange.SIGNED
        if signed:
            value = self._add("Add", value, self._float(1.0), name=f"{_FROM}unsigned")
        if encoding is Encoding.RGB:
            value = self._flip(value, f"{_FROM}bgr")
        value = self._add("Mul", value, self._float(HALF_RANGE if signed else 2 * HALF_RANGE), name=f"{_FROM}levels")
        value = self._add("Round", value, name=f"{_FROM}rounded")
        value = self._add("Clip", value, self._float(0.0), self._float(255.0), name=f"{_FROM}clamped")
        value = self._add("Transpose", value, name=f"{_FROM}channels_last", perm=[0, 2, 3, 1])
        if encoding is Encoding.GRAY:
            value = self._add("Expand", value, self._ints([1, 1, 1, 3]), name=f"{_FROM}three_channels")
        self._add("Cast", value, name=f"{_FROM}frames", output=OUTPUT_NAME, to=TensorProto.UINT8)

    def _flip(self, value: str, name: str) -> str:
        back, beyond, channels = self._ints([-1]), self._ints([np.iinfo(np.int64).min]), self._ints([1])
        return self._add("Slice", value, back, beyond, channels, back, name=name)

    def _add(self, kind: str, *inputs: str, name: str, output: str | None = None, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output or name], name=name, **attributes))
        return output or name

    def _float(self, value: float) -> str:
        return self._constant(np.float32(value), f"{value:g}")

    def _ints(self, values: list[int]) -> str:
        return self._constant(np.array(values, dtype=np.int64), "_".join(["list", *map(str, values)]))

    def _constant(self, value: ArrayLike, name: str) -> str:
        name = f"{_TO}constants/{name}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name


def _prepared(network: ForeignNetwork) -> ModelProto:
    """A copy of the network's graph whose one input is its real one, of an opset and with names to build upon."""
    copy = ModelProto()
    copy.CopyFrom(network.model)
    real = [value for value in copy.graph.input if value.name == network.input_name]
    _replace(copy.graph.input, real)
    copy.ir_version = max(copy.ir_version, _IR_VERSION)
    opset = opset_of(copy)
    leave_training_mode(copy)  # first: converting versions fails at what is in it
    if opset < LEAST_OPSET:
        try:
            copy = version_converter.convert_version(copy, LEAST_OPSET)
        except Exception as error:  # as it comes from C++
            raise UnavailableError(
                f"{network.path} is of opset {opset} and cannot be raised to {LEAST_OPSET} ({first_line(error)}): "
                f"export it with opset {LEAST_OPSET} or newer"
            ) from error
    if opset < _RESIZE_OPSET:
        _resize_as_before(copy.graph)
    taken = used_names(copy.graph)
    if any(name in (INPUT_NAME, OUTPUT_NAME) or name.startswith((_TO, _FROM)) for name in taken):
        copy = compose.add_prefix(copy, "network/")
    return copy


def _resize_as_before(graph: GraphProto) -> None:
    """Say where pixels lie as it was meant before opset 11: onnx 1.23 raises Upsample and Resize without."""
    for node in graph.node:
        if node.op_type == "Resize":
            stated = {attribute.name for attribute in node.attribute}
            for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
                if name not in stated:
                    node.attribute.append(helper.make_attribute(name, value))


def _fix_shapes(model: ModelProto, input_shape: list[int | str]) -> None:
    """Give the input ``input_shape``, and forget all that was said of shapes for another one."""
    graph = model.graph
    for value in (*graph.value_info, *graph.output):
        value.type.tensor_type.ClearField("shape")
    name = graph.input[0].name
    graph.input[0].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, input_shape))


def _half(model: ModelProto) -> ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # The converter keeps in float what has to be (the factors of a Resize) in weights only, and not in those whose type
    # the graph states a second time.
    _make_weights_of_constants(model.graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    _replace(model.graph.value_info, [value for value in model.graph.value_info if value.name not in weights])
    converted: ModelProto = convert_float_to_float16(model, disable_shape_infer=True)
    # Where two layers take the same value in float, it casts that twice, under one name.
    once = {tuple(node.output): node for node in converted.graph.node}
    _replace(converted.graph.node, once.values())
    _replace(converted.graph.value_info, {value.name: value for value in converted.graph.value_info}.values())
    return converted


def _make_weights_of_constants(graph: GraphProto) -> None:
    nodes = []
    for node in graph.node:
        attribute = node.attribute[0] if node.op_type == "Constant" and len(node.attribute) == 1 else None
        if attribute is not None and attribute.name == "value":
            graph.initializer.add().CopyFrom(attribute.t)
        elif attribute is not None and attribute.name in ("value_float", "value_floats"):
            numbers = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            graph.initializer.append(numpy_helper.from_array(np.asarray(numbers, dtype=np.float32)))
        else:
            nodes.append(node)
            continue
        graph.initializer[-1].name = node.output[0]
    _replace(graph.node, nodes)


def _replace(fields: Any, values: Iterable[Any]) -> None:
    """Make ``values`` (which may be of ``fields`` themselves) the content of ``fields`` of a message."""
    kept = list(values)
    del fields[:]
    fields.extend(kept)


def _name_nodes(graph: GraphProto) -> None:
    """Give every node a name of its own: layers are left out of quantization by name, and people read it."""
    weights = {tensor.name for tensor in graph.initializer}
    taken: set[str] = set()
    for node in graph.node:
        name = node.name
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1] in weights and node.input[1].endswith(".weight"):
            name = node.input[1].removesuffix(".weight")  # after the module, as in graphs of this project
        node.name = next(free for free in _numbered(name or node.op_type) if free not in taken)
        taken.add(node.name)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 1
    while True:
        yield f"{name}_{number}"
        number += 1
