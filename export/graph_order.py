"""What an ONNX graph's nodes are called and wait for, those of graphs within it included."""

from collections.abc import Iterator, Sequence

from onnx import GraphProto, NodeProto


def ordered(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """``nodes`` such that each follows those whose results it takes, and otherwise as they came.

    Converters append nodes where it suits them; ONNX wants them in order, and not every reader puts up with less.
    """
    made = {output for node in nodes for output in node.output}
    waiting = list(nodes)
    known: set[str] = set()
    placed: list[NodeProto] = []
    while waiting:
        left = []
        for node in waiting:
            if all(name in known or name not in made for name in _taken_by(node)):
                placed.append(node)
                known.update(node.output)
            else:
                left.append(node)
        assert len(left) < len(waiting), "a graph that ONNX Runtime loaded has no circles"
        waiting = left
    return placed


def used_names(graph: GraphProto) -> set[str]:
    """All names of values in ``graph``."""
    names = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    names |= {tensor.values.name for tensor in graph.sparse_initializer}
    for node in graph.node:
        names.update(node.input, node.output)
        for inner in _graphs_in(node):
            names |= used_names(inner)
    return names


def read_names(graph: GraphProto) -> set[str]:
    """Names of the values in ``graph`` that a node reads or that it gives out."""
    return {name for node in graph.node for name in _taken_by(node)} | {value.name for value in graph.output}


def _taken_by(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for inner in _graphs_in(node):
        for within in inner.node:
            yield from _taken_by(within)


def _graphs_in(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
