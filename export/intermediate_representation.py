"""OpenVINO IR: the ONNX graph converted, its layers under the names that they have there."""

import re
from pathlib import Path
from typing import Final

import onnx
import openvino

from core.errors import InvalidInputError, UnavailableError
from core.foreign_checkpoints.tensor_file import printable
from core.precision import Precision
from export.graph_inspection import LAYERS as ONNX_LAYERS
from export.graph_inspection import ends, name_layers
from export.quiet import quiet

LAYERS: Final = (
    "Convolution",
    "ConvolutionBackpropData",
    "GroupConvolution",
    "GroupConvolutionBackpropData",
)
NOT_COMPUTED: Final = ("Parameter", "Constant", "Result")
_PLACES: Final = re.compile(r"Check '.*?' failed at \S+:\d+:")
_SAYS_NOTHING: Final = re.compile(
    r"FrontEnd API failed|Model wasn't fully converted|\[ONNX Frontend\] Conversion failed|.* with a message:$"
    r"|While validating node|Loading input model|Summary:|Conversion is failed for"
)
"""Lines of OpenVINO's refusals: what is wrong stands between them, under the name of the node."""


def write_ir(source: Path, target: Path, precision: Precision) -> None:
    """Convert the fp32 ONNX graph in ``source`` to ``target`` (.xml, weights in .bin beside it).

    FP16 is a storage format here: what the weights are executed in is the engine's choice, and on a CPU that is fp32.

    Raises:
        UnavailableError: if OpenVINO refuses the graph.
        InvalidInputError: if there is no space for it.
    """
    assert precision is not Precision.INT8
    save(convert(source), target, compress=precision is Precision.FP16)


def convert(source: Path) -> openvino.Model:
    """The ONNX graph in ``source`` as an OpenVINO model, in which layers have the names of ``name_layers``.

    OpenVINO gives a layer's name to the addition of its bias, if it has one, and makes up another for the layer.

    Raises:
        UnavailableError: if OpenVINO refuses the graph.
    """
    try:
        with quiet():
            model = openvino.convert_model(source)
    except Exception as error:  # a dozen classes of its own, with no root but this
        raise UnavailableError(f"OpenVINO refuses the graph: {_reason(error, source)}") from error
    graph = onnx.load(source)
    named = name_layers(graph)
    makers = {tensor: node for node in graph.graph.node if node.input for tensor in node.output}
    for layer in layers_of(model):
        # The first operation that carries a tensor of the ONNX graph ends what became of that graph's layer.
        ends_with = next((op for op in (layer, *readers(layer)) if op.output(0).get_names()), layer)
        for tensor in ends_with.output(0).get_names():
            name = _layer_before(tensor, makers)
            if name in named:
                ends_with.set_friendly_name(f"{name}/bias")
                layer.set_friendly_name(name)
    return model


def _reason(error: Exception, source: Path) -> str:
    """What ``error`` says of the graph in ``source``, in one line: of a dozen lines, two or three do."""
    text = _PLACES.sub("", str(error)).replace(str(source), "the graph").replace(source.name, "the graph")
    lines = (" ".join(line.split()).removeprefix("-- ") for line in text.splitlines())
    told = dict.fromkeys(line for line in lines if line and not _SAYS_NOTHING.match(line))
    reason = "; ".join(told).replace(":; ", ": ")
    return printable(reason or type(error).__name__, longest=300)


def _layer_before(tensor: str, makers: dict[str, onnx.NodeProto]) -> str | None:
    """Name of the layer that made ``tensor``, or what it was made of: a factor goes into the weights of its layer."""
    while node := makers.get(tensor):
        if node.op_type in ONNX_LAYERS:
            return str(node.name)
        tensor = next((name for name in node.input if name in makers), "")
    return None


def save(model: openvino.Model, target: Path, *, compress: bool = False) -> None:
    """Write ``model`` to ``target`` (.xml) and a .bin beside it; ``compress`` keeps its weights in fp16.

    Raises:
        InvalidInputError: if there is no space for it.
    """
    try:
        openvino.save_model(model, target, compress_to_fp16=compress)
    except RuntimeError as error:  # OpenVINO's answer to a full disk
        reason = str(error).strip().splitlines()[-1]
        raise InvalidInputError(f"cannot write {target.name} ({reason}): is there space left?") from error


def layers_of(model: openvino.Model) -> list[openvino.Node]:
    """The convolutions of ``model``, transposed and grouped ones too, in the order in which they are computed."""
    return [op for op in model.get_ordered_ops() if op.get_type_name() in LAYERS]


def outer_layers(model: openvino.Model) -> tuple[str, ...]:
    """Names of the first convolution and of the last layer of ``model``."""
    return ends(tuple(layer.get_friendly_name() for layer in layers_of(model)))


def readers(op: openvino.Node) -> list[openvino.Node]:
    """The operations that read what ``op`` gives."""
    return [reader.get_node() for value in op.outputs() for reader in value.get_target_inputs()]
