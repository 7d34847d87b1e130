"""What is inside the quantized graphs: each engine fuses, or even accepts, one kind only."""

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, numpy_helper

from core.errors import UnavailableError
from core.formats import TARGETS
from core.frames import Frame, Size
from core.manifest import Normalization
from core.networks import UNetGenerator
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.engine_plan import build_engine, build_plan
from export.graph_file import write_graph
from export.intermediate_representation import write_quantized_ir
from export.quantization import outer_layers, quantize_for_cpu, quantize_for_tensorrt
from tests.export.conftest import SIDE


@pytest.fixture(scope="module")
def graphs(generator: UNetGenerator, tmp_path_factory: pytest.TempPathFactory) -> dict[Precision, Path]:
    folder = tmp_path_factory.mktemp("graphs")
    written = {}
    for precision in (Precision.FP32, Precision.FP16):
        written[precision] = folder / f"{precision}.onnx"
        graph = DeployGraph(generator, Normalization.RUNNING, precision)
        write_graph(written[precision], graph, Size(SIDE, SIDE))
    return written


def initializers(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def dequantized_kinds(path: Path) -> set[int]:
    graph = onnx.load(path).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {
        kinds[node.input[0]] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in kinds
    }


def activation_zero_points(path: Path) -> list[np.ndarray]:
    values = initializers(path)
    return [values[node.input[2]] for node in onnx.load(path).graph.node if node.op_type == "QuantizeLinear"]


def quantized_layers(path: Path) -> set[str]:
    graph = onnx.load(path).graph
    dequantized = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return {node.name for node in graph.node if "Conv" in node.op_type and node.input[0] in dequantized}


def test_for_the_cpu_activations_are_unsigned_and_weights_signed(
    graphs: dict[Precision, Path], frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    quantize_for_cpu(graphs[Precision.FP32], path, frames, saturates=True)
    assert {zero.dtype for zero in activation_zero_points(path)} == {np.dtype(np.uint8)}
    assert TensorProto.INT8 in dequantized_kinds(path)
    weights = [value for value in initializers(path).values() if value.dtype == np.int8 and value.ndim == 4]
    assert weights
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) <= 64, "7 bits where sums saturate"


def test_the_outer_layers_stay_in_float(graphs: dict[Precision, Path], frames: list[Frame], tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize_for_cpu(graphs[Precision.FP32], path, frames, saturates=False)
    assert quantized_layers(path)
    assert quantized_layers(path).isdisjoint(outer_layers(path))


def test_every_calibration_frame_counts(graphs: dict[Precision, Path], frames: list[Frame], tmp_path: Path) -> None:
    """ONNX Runtime can be set to forget what it saw; the loudest frame must widen the ranges wherever it comes."""
    flat = [np.full_like(frames[0], 128)] * 9
    scales = []
    for name, order in (("first", [frames[0], *flat]), ("last", [*flat, frames[0]]), ("never", flat)):
        quantize_for_cpu(graphs[Precision.FP32], tmp_path / name, order, saturates=True)
        values = initializers(tmp_path / name)
        scales.append(
            {key: float(value) for key, value in values.items() if key.endswith("_scale") and value.ndim == 0}
        )
    first, last, never = scales
    assert first == last
    assert max(first[name] / never[name] for name in first) > 2


def test_for_tensorrt_everything_is_symmetric_and_bias_stays_float(
    graphs: dict[Precision, Path], frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    quantize_for_tensorrt(graphs[Precision.FP16], path, frames)
    zeros = activation_zero_points(path)
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    assert not any(zero.any() for zero in zeros)
    assert TensorProto.INT32 not in dequantized_kinds(path), "TensorRT refuses integer biases"
    assert quantized_layers(path)
    assert quantized_layers(path).isdisjoint(outer_layers(path))


def test_openvino_quantizes_by_nncf_and_leaves_the_outer_layers(
    graphs: dict[Precision, Path], frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.xml"
    write_quantized_ir(graphs[Precision.FP32], path, frames, saturates=True)
    operations = openvino.Core().read_model(path).get_ordered_ops()
    convolutions = [op for op in operations if op.get_type_name() in ("Convolution", "ConvolutionBackpropData")]
    quantized = [op.input_value(0).get_node().get_type_name() == "FakeQuantize" for op in convolutions]
    assert not quantized[0]
    assert not quantized[-1]
    assert any(quantized)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8])
def test_tensorrt_rtx_builds_engines_without_a_gpu(
    graphs: dict[Precision, Path], frames: list[Frame], tmp_path: Path, precision: Precision
) -> None:
    source = graphs.get(precision, tmp_path / "int8.onnx")
    if precision is Precision.INT8:
        quantize_for_tensorrt(graphs[Precision.FP16], source, frames)
    build_engine(source, tmp_path / "plan", TARGETS["tensorrt_rtx"])
    assert (tmp_path / "plan").stat().st_size > 100_000


def test_a_graph_that_tensorrt_refuses_is_one_line_with_the_nodes_name(
    graphs: dict[Precision, Path], frames: list[Frame], tmp_path: Path
) -> None:
    quantize_for_cpu(graphs[Precision.FP32], tmp_path / "cpu.onnx", frames, saturates=True)
    with pytest.raises(UnavailableError, match=r"refuses the graph: node .*bias_DequantizeLinear"):
        build_engine(tmp_path / "cpu.onnx", tmp_path / "plan", TARGETS["tensorrt_rtx"])
    assert not (tmp_path / "plan").exists()


def test_garbage_is_refused_by_the_parser() -> None:
    import tensorrt_rtx

    with pytest.raises(UnavailableError, match="TensorRT-RTX refuses the graph"):
        build_plan(tensorrt_rtx, b"not a graph", title="TensorRT-RTX")
