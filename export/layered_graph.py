"""An ONNX graph as quantization looks at it: layers with names, weights apart from the rest."""

import tempfile
from pathlib import Path
from typing import Final

import onnx
import onnxruntime

from core.errors import UnavailableError
from export.graph_inspection import ends, name_layers, optimized

FLOATS: Final = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
LARGE: Final = 4096
"""Bytes from which a weight of a draft is shared with other drafts."""
OPSET: Final = 19
"""The least that quantization is written in: DequantizeLinear gives fp16 from here on."""


class LayeredGraph:
    """An ONNX graph whose layers have names, and whose weights are apart from the rest.

    Attributes:
        skeleton: the graph without its initializers.
        weights: its initializers by name.
        nodes: its Conv and ConvTranspose by name, in the order in which they are computed.
        layers: those that can be quantized: the Conv but ``outer`` whose weight and bias are stored in the graph.
            ConvTranspose has no INT8 kernel in ONNX Runtime, and for TensorRT sources disagree on its channel axis.
        outer: the first and the last of ``nodes``: quantization spoils them most.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = name_layers(model)
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.skeleton = model
        self.outer = ends(tuple(self.nodes))
        self.layers = tuple(name for name, node in self.nodes.items() if name not in self.outer and self._fits(node))
        del model.graph.initializer[:]
        self._shared: dict[Path, tuple[Path, dict[str, onnx.TensorProto]]] = {}

    def _fits(self, node: onnx.NodeProto) -> bool:
        stored = [self.weights.get(name) for name in node.input[1:] if name]
        return (
            node.op_type == "Conv"
            and bool(stored)
            and all(tensor is not None and tensor.data_type in FLOATS for tensor in stored)
            and node.input[0] not in self.weights
        )

    def reads(self, layer: str) -> str:
        """The tensor that ``layer`` reads."""
        return str(self.nodes[layer].input[0])

    def shared_weights(self, folder: Path) -> dict[str, onnx.TensorProto]:
        """The weights as references to a file in ``folder``, which is written when it is first asked for."""
        path, references = self._shared.get(folder, (folder, {}))
        if path.is_file():
            return references
        with tempfile.NamedTemporaryFile(dir=folder, prefix="weights-", delete=False) as file:
            for name, tensor in self.weights.items():
                references[name] = reference = onnx.TensorProto()
                if len(tensor.raw_data) < LARGE:
                    reference.CopyFrom(tensor)
                    continue
                reference.name, reference.data_type = name, tensor.data_type
                reference.dims.extend(tensor.dims)
                reference.data_location = onnx.TensorProto.EXTERNAL
                place = {"location": Path(file.name).name, "offset": file.tell(), "length": len(tensor.raw_data)}
                reference.external_data.extend(
                    onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in place.items()
                )
                file.write(tensor.raw_data)
        self._shared[folder] = Path(file.name), references
        return references

    def writes(self, layer: str) -> str:
        """The tensor that ``layer`` writes, or what a ReLU makes of it if nothing else reads it: the two are fused."""
        tensor = str(self.nodes[layer].output[0])
        readers = [node for node in self.skeleton.graph.node if tensor in node.input]
        given_out = any(output.name == tensor for output in self.skeleton.graph.output)
        fused = len(readers) == 1 and readers[0].op_type == "Relu" and not given_out
        return str(readers[0].output[0]) if fused else tensor


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph at ``path`` in an opset that quantization can be written in, its constants among the initializers."""
    model = onnx.load(path)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(f"{path.name} cannot be brought to ONNX opset {OPSET}: {reason}") from error
    _store_constants(model.graph)
    return model


def _store_constants(graph: onnx.GraphProto) -> None:
    """Make initializers of constants, and have no initializer among the inputs, as old graphs have them."""
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        value = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            graph.initializer.add().CopyFrom(value)
            graph.initializer[-1].name = node.output[0]
        else:
            graph.node.append(node)
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in stored]
    del graph.input[:]
    graph.input.extend(inputs)


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph after ONNX Runtime folded constants and batch norm: later, quantization would stand between."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        onnx.save(model, path)
        folded = optimized(path, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    # ONNX Runtime declares every set of operations that it knows.
    used = [opset for opset in folded.opset_import if opset.domain in {node.domain for node in folded.graph.node}]
    del folded.opset_import[:]
    folded.opset_import.extend(used)
    return folded
