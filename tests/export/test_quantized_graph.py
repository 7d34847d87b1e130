"""Quantization of graphs that other tools wrote, and of layers at the edge of what 8 bits hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from core.errors import UnavailableError
from core.export_record import RangeMethod
from core.frames import Frame
from export.graph_inspection import executed_precisions
from export.quantization import TENSORRT, GraphQuantizer, MeasuredRanges, cpu_scheme

SIDE = 8
MOST = 0.2
"""Relative error of a few layers in 8 bits; a layer that is wrong has one of 1 and more."""
RANDOM = np.random.default_rng(0)
FRAMES: list[Frame] = list(RANDOM.integers(0, 256, (5, SIDE, SIDE, 3), np.uint8))
IN = [
    helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
    helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
]


def weight(inputs: int = 4, outputs: int = 4) -> NDArray[np.float32]:
    return RANDOM.normal(0, 0.5, (outputs, inputs, 1, 1)).astype(np.float32)


def convolution(source: str, weights: str, target: str, *bias: str, name: str = "") -> NodeProto:
    return helper.make_node("Conv", [source, weights, *bias], [target], name)


def save(
    path: Path, nodes: Sequence[NodeProto], weights: dict[str, NDArray[np.float32]], *, opset: int = 20, batch: int = 1
) -> Path:
    """A graph from frames to float planes ``out``; in opset 13, weights are inputs as well, as once they had to be."""
    stored = {"first": weight(3), "last": weight(4, 3), **weights}
    inputs = [helper.make_tensor_value_info("frames", TensorProto.UINT8, [batch, SIDE, SIDE, 3])]
    if opset == 13:
        inputs += [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in stored.items()
        ]
    graph = helper.make_graph(
        [*IN, convolution("planes", "first", "a", name="first"), *nodes, convolution("z", "last", "out", name="last")],
        "graph",
        inputs,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7), path)
    return path


def outputs(path: Path, batch: int = 1) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    groups = [np.stack(FRAMES[i : i + batch]) for i in range(0, len(FRAMES) - batch + 1, batch)]
    return np.concatenate([session.run(None, {"frames": group})[0] for group in groups])


def error_of(quantizer: GraphQuantizer, source: Path, batch: int = 1) -> float:
    """The quantized graph's largest, relative to the spread of the outputs."""
    path = source.with_name("int8.onnx")
    quantizer.write(path, method=RangeMethod.MIN_MAX, layers=quantizer.layers)
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(source)
    for node in model.graph.node:
        node.name = ""  # ONNX Runtime refuses two of the same name
    onnx.save(model, source.with_name("nameless.onnx"))
    expected = outputs(source.with_name("nameless.onnx"), batch)
    return float(np.abs(outputs(path, batch) - expected).max() / expected.std())


def for_cpu(source: Path) -> GraphQuantizer:
    return GraphQuantizer.for_cpu(source, FRAMES, saturates=False)


def test_layers_without_a_name_or_with_a_common_one_are_told_apart(tmp_path: Path) -> None:
    nodes = [
        convolution("a", "w.weight", "b"),
        convolution("b", "w.weight", "c"),
        convolution("c", "x", "d", name="same"),
        convolution("d", "y", "z", name="same"),
    ]
    source = save(tmp_path / "graph.onnx", nodes, {name: weight() for name in ("w.weight", "x", "y")})
    quantizer = for_cpu(source)
    assert quantizer.layers == ("w", "w#2", "same", "same#2")
    assert error_of(quantizer, source) < MOST
    executed = executed_precisions(tmp_path / "int8.onnx")
    assert executed == {"first": "fp32", "w": "int8", "w#2": "int8", "same": "int8", "same#2": "int8", "last": "fp32"}
    # One of two layers that share a weight.
    quantizer.write(tmp_path / "one.onnx", method=RangeMethod.MIN_MAX, layers=["w#2"])
    executed = executed_precisions(tmp_path / "one.onnx")
    assert [name for name in executed if executed[name] == "int8"] == ["w#2"]


def test_a_weight_that_is_computed_cannot_be_quantized(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["a"], ["peak"], keepdims=1),
        helper.make_node("Mul", ["w", "peak"], ["scaled"]),
        convolution("a", "scaled", "b", name="computed"),
        convolution("b", "x", "c", "peak_1", name="computed bias"),
        helper.make_node("Reshape", ["four_peaks", "one"], ["peak_1"]),
        helper.make_node("Tile", ["peak", "repeats"], ["four_peaks"]),
        convolution("c", "y", "z", name="stored"),
    ]
    nodes = [nodes[i] for i in (0, 1, 5, 4, 2, 3, 6)]
    shapes = {"one": np.array([-1], np.int64), "repeats": np.array([1, 4, 1, 1], np.int64)}
    source = save(tmp_path / "graph.onnx", nodes, {name: weight() for name in ("w", "x", "y")} | shapes)
    quantizer = for_cpu(source)
    assert quantizer.layers == ("stored",)
    assert error_of(quantizer, source) < MOST


def test_batch_norm_is_folded_before(tmp_path: Path) -> None:
    """Between a quantized convolution and its batch norm, values would be rounded once more, for nothing."""
    norm = helper.make_node("BatchNormalization", ["b", "gain", "shift", "mean", "variance"], ["z"])
    statistics = {name: RANDOM.uniform(0.5, 2, 4).astype(np.float32) for name in ("gain", "shift", "mean", "variance")}
    source = save(tmp_path / "graph.onnx", [convolution("a", "w", "b", name="w"), norm], {"w": weight(), **statistics})
    assert error_of(for_cpu(source), source) < MOST
    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert "BatchNormalization" not in kinds
    assert executed_precisions(tmp_path / "int8.onnx")["w"] == "int8"


@pytest.mark.parametrize("scheme", [cpu_scheme(saturates=False), TENSORRT], ids=["cpu", "tensorrt"])
def test_an_old_graph_that_takes_several_frames(tmp_path: Path, scheme: object) -> None:
    nodes = [convolution("a", "w", "b", "bias", name="w"), helper.make_node("Relu", ["b"], ["z"])]
    weights = {"w": weight(), "bias": np.array([1, -50, 0, 200], np.float32)}
    source = save(tmp_path / "graph.onnx", nodes, weights, opset=13, batch=2)
    assert error_of(GraphQuantizer(MeasuredRanges(source, FRAMES), scheme), source, batch=2) < MOST
    assert [tensor.name for tensor in onnx.load(tmp_path / "int8.onnx").graph.input] == ["frames"]


def test_a_bias_far_larger_than_the_products_does_not_overflow(tmp_path: Path) -> None:
    """An integer bias counts in steps of input times weight; of a channel that is nearly off, these are tiny."""
    values = weight()
    values[1] = 1e-12
    weights = {"w": values, "bias": np.array([0, 300, -300, 0], np.float32), "x": weight()}
    nodes = [convolution("a", "w", "b", "bias", name="w"), convolution("b", "x", "z", name="x")]
    source = save(tmp_path / "graph.onnx", nodes, weights)
    assert error_of(for_cpu(source), source) < 2 * MOST


def test_channels_of_zeros_stay_zero(tmp_path: Path) -> None:
    values = weight()
    values[2] = 0
    nodes = [convolution("a", "w", "b", name="w"), convolution("b", "dead", "c", name="dead")]
    nodes.append(helper.make_node("Add", ["c", "b"], ["z"]))
    source = save(tmp_path / "graph.onnx", nodes, {"w": values, "dead": np.zeros((4, 4, 1, 1), np.float32)})
    assert error_of(for_cpu(source), source) < MOST


def test_an_output_that_is_also_given_out_is_still_there(tmp_path: Path) -> None:
    nodes = [convolution("a", "w", "b", name="w"), helper.make_node("Relu", ["b"], ["z"])]
    source = save(tmp_path / "graph.onnx", nodes, {"w": weight()})
    model = onnx.load(source)
    model.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 4, SIDE, SIDE]))
    onnx.save(model, source)
    assert error_of(for_cpu(source), source) < MOST
    assert [tensor.name for tensor in onnx.load(tmp_path / "int8.onnx").graph.output] == ["out", "b"]


def test_a_graph_that_onnx_runtime_refuses_is_one_line(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["nowhere"], ["z"])]
    source = save(tmp_path / "graph.onnx", nodes, {})
    with pytest.raises(UnavailableError, match=r"ONNX Runtime refuses[^\n]*$"):
        for_cpu(source)
