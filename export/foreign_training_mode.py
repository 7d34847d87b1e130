"""Graphs that were exported in training mode, as every engine computes them.

ONNX Runtime runs them; TensorRT refuses batch normalization in training mode, OpenVINO dropout.
"""

from onnx import GraphProto, ModelProto, NodeProto

from export.foreign_graph_file import opset_of
from export.graph_order import read_names

_MODE_IS_STATED = 14
"""Opset from which batch normalization has an attribute for its mode; before, it told by the number of its outputs."""


def leave_training_mode(model: ModelProto) -> None:
    """Rewrite what is in training mode in ``model`` to what it gives for one picture.

    Batch normalization with the statistics of what it is given becomes instance normalization: at N = 1 the same
    function (docs/architecture.md). Where N is more, each picture keeps its own statistics, as one at a time; that is
    the mode the paper tests in (Isola et al. 2017, section 3.4). Dropout goes: ONNX Runtime, the reference, drops
    nothing. A node of which further results are read (the mask, the running statistics) stays.
    """
    opset, read, dropped = opset_of(model), read_names(model.graph), set[str]()
    for node in model.graph.node:
        if any(name in read for name in node.output[1:]):
            continue
        if has_own_statistics(node, opset):
            dropped |= _rewrite(node, "InstanceNormalization", inputs=3, attributes=("epsilon",))
        elif node.op_type == "Dropout":
            dropped |= _rewrite(node, "Identity", inputs=1, attributes=())
    _forget(model.graph, dropped - read_names(model.graph))


def has_own_statistics(node: NodeProto, opset: int) -> bool:
    """Whether ``node`` is batch normalization with statistics of what it is given rather than with stored ones."""
    if node.op_type != "BatchNormalization":
        return False
    if opset < _MODE_IS_STATED:
        return any(node.output[1:])
    return any(attribute.name == "training_mode" and attribute.i == 1 for attribute in node.attribute)


def _rewrite(node: NodeProto, operator: str, *, inputs: int, attributes: tuple[str, ...]) -> set[str]:
    """Make ``node`` an ``operator`` of its first ``inputs`` and one result; the names that it no longer reads."""
    kept = [attribute for attribute in node.attribute if attribute.name in attributes]
    dropped = set(node.input[inputs:])
    node.op_type = operator
    del node.input[inputs:], node.output[1:], node.attribute[:]
    node.attribute.extend(kept)
    return dropped


def _forget(graph: GraphProto, names: set[str]) -> None:
    """Remove the weights and constants called ``names``: ONNX Runtime warns of what nobody reads."""
    nodes = [node for node in graph.node if node.op_type != "Constant" or node.output[0] not in names]
    weights = [tensor for tensor in graph.initializer if tensor.name not in names]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
