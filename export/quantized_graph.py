"""Quantization written into an ONNX graph: QuantizeLinear and DequantizeLinear around some of its convolutions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.activation_ranges import ActivationRange

LARGEST_BIAS: Final = 2**30
"""In steps of an integer bias: half of what 32 bits hold, so that the sum it starts does not overflow."""
SMALLEST_SCALE: Final = {np.dtype(np.float32): 2.0**-60, np.dtype(np.float16): 2.0**-20}
"""Of a weight or an activation; what would need a smaller one is zeros, or as good as zeros in the graph's type."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How activations and weights become integers.

    Attributes:
        words: the same, for people.
        signed: whether activations are int8 around a zero point of 0, and not uint8 with any zero point.
        largest_weight: in steps; weights are int8, per output channel, around 0.
        integer: whether the engine computes in integers from end to end, and so wants the output quantized and the bias
            in 32 bits. If not, inputs and weights alone are quantized.
    """

    words: str
    signed: bool
    largest_weight: int
    integer: bool


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Names of a scale and a zero point among the initializers, and the scale itself."""

    scale_name: str
    zero_point_name: str
    scale: float


class QuantizedGraph:
    """A graph in the making, some of whose convolutions are quantized.

    Args:
        skeleton: the graph without its initializers; it is copied.
        weights: its initializers by name; they are read.
        scheme: how to quantize.
    """

    def __init__(self, skeleton: onnx.ModelProto, weights: Mapping[str, onnx.TensorProto], scheme: Scheme) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(skeleton)
        self._nodes = {node.name: node for node in self._model.graph.node}
        self._producers = {tensor: node for node in self._model.graph.node for tensor in node.output}
        self._weights = weights
        self._scheme = scheme
        self._parameters: dict[str, _Parameters] = {}
        """Of every tensor that holds dequantized values."""
        self._made: list[onnx.TensorProto] = []
        self._before: dict[str, list[onnx.NodeProto]] = {}
        """By the name of a node."""
        self._after: dict[str, list[onnx.NodeProto]] = {}
        """By the name of a tensor."""

    def quantize(self, layer: str, reads: ActivationRange, writes: tuple[str, ActivationRange] | None) -> None:
        """Quantize the convolution ``layer``; a layer whose output another one reads comes first.

        Args:
            layer: name of its node.
            reads: the range of its input.
            writes: if its output is to be quantized, the tensor to do it at (its own, or that of the ReLU that alone
                reads it), with its range.
        """
        node = self._nodes[layer]
        weight = numpy_helper.to_array(self._weights[node.input[1]])
        bias = numpy_helper.to_array(self._weights[node.input[2]]) if len(node.input) > 2 and node.input[2] else None
        source = self._dequantized(node.input[0], reads, weight.dtype)
        scale = self._parameters[source].scale
        magnitudes = np.abs(weight.astype(np.float32)).reshape(len(weight), -1).max(axis=1)
        scales = _scale(magnitudes / self._scheme.largest_weight, weight.dtype)
        if bias is not None and self._scheme.integer:
            scales = np.maximum(scales, np.abs(bias) / np.float32(scale * LARGEST_BIAS))
        inputs = [source, self._integer_weight(node, weight, scales)]
        if bias is not None:
            integer = self._scheme.integer
            inputs.append(self._integer_bias(node, bias, np.float32(scale) * scales) if integer else node.input[2])
        del node.input[:]
        node.input.extend(inputs)
        if writes is not None:
            self._round_trip(*writes, weight.dtype)

    def finish(self, stored: Mapping[str, onnx.TensorProto] | None = None) -> onnx.ModelProto:
        """The graph, with those of its initializers (or of what is ``stored`` in their place) that are still read."""
        graph = self._model.graph
        nodes = [added for tensor in graph.input for added in self._after.get(tensor.name, ())]
        for node in graph.node:
            nodes += [*self._before.get(node.name, ()), node]
            nodes += [added for tensor in node.output for added in self._after.get(tensor, ())]
        read = {name for node in nodes for name in node.input} | {tensor.name for tensor in graph.output}
        finished = onnx.ModelProto()
        finished.CopyFrom(self._model)
        del finished.graph.node[:]
        finished.graph.node.extend(nodes)
        finished.graph.initializer.extend(self._made)
        kept = self._weights if stored is None else stored
        finished.graph.initializer.extend(tensor for name, tensor in kept.items() if name in read)
        return finished

    def _dequantized(self, tensor: str, values: ActivationRange, kind: np.dtype[Any]) -> str:
        """The tensor that holds ``tensor`` after quantization and back."""
        name = f"{tensor}_dequantized"
        if tensor in self._parameters:
            return tensor
        if name not in self._parameters:
            self._after[tensor] = self._pair(tensor, name, self._choose(tensor, values, kind))
        return name

    def _round_trip(self, tensor: str, values: ActivationRange, kind: np.dtype[Any]) -> None:
        """Have everything that reads ``tensor`` read it after quantization and back."""
        raw = f"{tensor}_before_int8"
        outputs = self._producers[tensor].output
        outputs[list(outputs).index(tensor)] = raw
        self._after[raw] = self._pair(raw, tensor, self._choose(tensor, values, kind))

    def _choose(self, tensor: str, values: ActivationRange, kind: np.dtype[Any]) -> _Parameters:
        """Scale and zero point for ``values``."""
        if self._scheme.signed:
            scale = _scale(np.float32(max(-values.low, values.high) / 127), kind)
            zero = np.array(0, np.int8)
        else:
            scale = _scale(np.float32((values.high - values.low) / 255), kind)
            zero = np.clip(np.round(-values.low / float(scale)), 0, 255).astype(np.uint8)
        names = self._add(f"{tensor}_int8_scale", scale.astype(kind)), self._add(f"{tensor}_int8_zero_point", zero)
        return _Parameters(*names, float(scale))

    def _pair(self, source: str, target: str, parameters: _Parameters) -> list[onnx.NodeProto]:
        """QuantizeLinear and DequantizeLinear from ``source`` to ``target``."""
        self._parameters[target] = parameters
        steps = f"{source}_int8"
        names = [parameters.scale_name, parameters.zero_point_name]
        return [
            helper.make_node("QuantizeLinear", [source, *names], [steps], f"{source}_QuantizeLinear"),
            helper.make_node("DequantizeLinear", [steps, *names], [target], f"{source}_DequantizeLinear"),
        ]

    def _integer_weight(self, layer: onnx.NodeProto, weight: Array, scales: Array) -> str:
        largest = self._scheme.largest_weight
        steps = weight / scales.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float32)
        np.clip(np.round(steps, out=steps), -largest, largest, out=steps)
        return self._constant(layer, "weight", steps.astype(np.int8), scales.astype(weight.dtype))

    def _integer_bias(self, layer: onnx.NodeProto, bias: Array, scales: Array) -> str:
        return self._constant(layer, "bias", np.round(bias / scales).astype(np.int32), scales.astype(bias.dtype))

    def _constant(self, layer: onnx.NodeProto, what: str, steps: Array, scales: Array) -> str:
        """A weight or bias stored as ``steps``, with a scale for each of its first axis."""
        name = f"{layer.name}.{what}"
        inputs = [
            self._add(f"{name}_quantized", steps),
            self._add(f"{name}_scale", scales),
            self._add(f"{name}_zero_point", np.zeros(len(steps), steps.dtype)),
        ]
        target = f"{name}_dequantized"
        node = helper.make_node("DequantizeLinear", inputs, [target], f"{name}_DequantizeLinear", axis=0)
        self._before.setdefault(layer.name, []).append(node)
        return target

    def _add(self, name: str, values: Array) -> str:
        self._made.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def _scale(ideal: Array | np.floating[Any], kind: np.dtype[Any]) -> Array:
    """The nearest scale that the graph's type holds, in float32: what is divided by is what will be multiplied by."""
    return np.maximum(ideal, SMALLEST_SCALE[kind]).astype(kind).astype(np.float32)
