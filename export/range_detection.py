"""Which values a network's pictures have, found out from its graph and from what it answers.

A graph does not say whether white is 1 because black is -1 or because black is 0. What is assumed: the pictures that
go in have the range of those that come out. What is looked at: the last layer, where it bounds the values (tanh,
sigmoid, a clip, and sums and products with constants behind them), and the answers to pictures that were scaled either
way, which must stay within the range they are taken to have and must show something.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from core.errors import InvalidInputError
from core.frames import Frame
from export.foreign_input import ValueRange
from export.foreign_network import ForeignNetwork

TOLERANCE: Final = 0.05
"""How far the answers of a network that nothing bounds may stray from the range."""
PROBES: Final = 4
"""Pictures looked at: each takes two passes through the network."""
_CLOSE: Final = 1e-3
_LEVELS: Final = (0.0, 255.0)
"""Pictures in 8-bit steps, which some networks take; none of the ranges that can be stated."""
_FLAT: Final = 1 / 255
"""Answers that differ by no more than this show nothing."""
_NUMBERS: Final = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64)
_UNCHANGED: Final = frozenset(
    {"Identity", "Cast", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "DepthToSpace", "Slice"}
)


def detect_range(network: ForeignNetwork, frames: Sequence[Frame]) -> ValueRange:
    """The range that fits ``network``, tried on the first of ``frames`` (at least one, of a size that it takes).

    Raises:
        InvalidInputError: if none fits, or both do, with the values that were seen and the option that settles it.
        CheckpointError: if an answer is not finite.
    """
    assert frames, "a range cannot be seen without pictures"
    bounds = output_bounds(network.model.graph)
    fitting, seen = [], []
    for value_range in ValueRange:
        pictures = [value_range.images(frame[np.newaxis], network.input_encoding) for frame in frames[:PROBES]]
        answers = [network.answer(picture) for picture in pictures]
        low, high = float(min(map(np.min, answers))), float(max(map(np.max, answers)))
        seen.append(f"{low:.3g} to {high:.3g} for pictures in {value_range}")
        black, white = value_range.ends
        bounded = bounds is None or np.allclose(bounds, value_range.ends, atol=_CLOSE)
        if bounded and low >= black - TOLERANCE and high <= white + TOLERANCE and high - low > _FLAT:
            fitting.append(value_range)
    if len(fitting) == 1:
        return fitting[0]
    verdict = "which fits both ranges" if fitting else "which fits neither range"
    raise InvalidInputError(
        f"{network.path} gives values of {', and of '.join(seen)}, {verdict}: "
        f"say which is meant, --range={ValueRange.SIGNED} or --range={ValueRange.UNIT}"
    )


def check_range(network: ForeignNetwork, value_range: ValueRange) -> None:
    """Refuse a ``value_range`` that was stated where the last layer of ``network`` is made for another one.

    Raises:
        InvalidInputError: saying what the last layer gives.
    """
    bounds = output_bounds(network.model.graph)
    if bounds is None:
        return
    for ends in {*(other.ends for other in ValueRange), _LEVELS} - {value_range.ends}:
        if np.allclose(bounds, ends, atol=_CLOSE):
            mend = f"export it with values in {value_range}" if ends == _LEVELS else "leave --range out"
            raise InvalidInputError(
                f"--range={value_range} does not fit {network.path}, whose last layer gives {ends[0]:g}..{ends[1]:g}: "
                f"{mend}"
            )


def output_bounds(graph: GraphProto) -> tuple[float, float] | None:
    """Least and largest value that the output of ``graph`` can have by its last layers; None if these do not tell."""
    producers = {output: node for node in graph.node for output in node.output}
    constants = dict(_constants(graph))
    name, factor, offset = graph.output[0].name, 1.0, 0.0  # the output is factor * name + offset
    while (node := producers.get(name)) is not None:
        known = [constants[other] for other in node.input if other in constants]
        match node.op_type:
            case "Tanh" | "Sigmoid" | "HardSigmoid" | "Clip":
                ends = _ends(node, known)
                return None if ends is None else (min(values := [factor * end + offset for end in ends]), max(values))
            case "Add" | "Sub" | "Mul" | "Div" if len(node.input) == 2 and len(known) == 1:
                first_is_known = node.input[0] in constants
                change = _affine(node.op_type, known[0], first_is_known=first_is_known)
                if change is None:
                    return None
                factor, offset = factor * change[0], factor * change[1] + offset
                name = node.input[int(first_is_known)]
            case kind if kind in _UNCHANGED:
                name = node.input[0]
            case _:
                return None
    return None


def _ends(node: NodeProto, known: list[float]) -> tuple[float, float] | None:
    match node.op_type:
        case "Tanh":
            return -1.0, 1.0
        case "Clip":  # its ends are inputs, and were attributes before opset 11
            attributes = {attribute.name: attribute.f for attribute in node.attribute}
            ends = known or [attributes[end] for end in ("min", "max") if end in attributes]
            return (ends[0], ends[1]) if len(ends) == 2 else None
        case _:
            return 0.0, 1.0


def _affine(operation: str, constant: float, *, first_is_known: bool) -> tuple[float, float] | None:
    """Factor and offset of ``operation`` on a value and ``constant``."""
    match operation:
        case "Add":
            return 1.0, constant
        case "Sub":
            return (-1.0, constant) if first_is_known else (1.0, -constant)
        case "Mul":
            return constant, 0.0
        case _:
            return None if first_is_known or constant == 0 else (1 / constant, 0.0)


def _constants(graph: GraphProto) -> Iterator[tuple[str, float]]:
    """Names and values of the single numbers in ``graph``."""
    tensors = [(tensor.name, tensor) for tensor in graph.initializer]
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                tensors.append((node.output[0], attribute.t))
            elif attribute.name == "value_float":
                yield node.output[0], attribute.f
    for name, tensor in tensors:
        if tensor.data_type in _NUMBERS and all(side == 1 for side in tensor.dims):
            yield name, float(numpy_helper.to_array(tensor).item())
