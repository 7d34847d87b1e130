"""What is inside the quantized graphs: each engine fuses, or even accepts, one kind only."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import export.quantization
from core.configuration import Decoder
from core.export_record import Normalization, RangeMethod
from core.formats import InputShape
from core.frames import Frame, Size
from core.networks import UNetGenerator
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.graph_file import INPUT_NAME, write_graph
from export.graph_inspection import executed_precisions
from export.quantization import TENSORRT, GraphQuantizer, MeasuredRanges, cpu_scheme
from tests.export.conftest import CONFIG, SIDE, lively_generator

Graphs = dict[Precision, Path]
SHAPE = InputShape(size=Size(SIDE, SIDE))


def write_graphs(generator: UNetGenerator, folder: Path) -> Graphs:
    written = {}
    for precision in (Precision.FP32, Precision.FP16):
        written[precision] = folder / f"{precision}.onnx"
        graph = DeployGraph(generator, Normalization.RUNNING, precision)
        write_graph(written[precision], graph, SHAPE)
    return written


INNER_LAYERS = ("encoder.1.0", "encoder.2.0", "encoder.3.0", "decoder.0.0", "decoder.1.0", "decoder.2.0")


@pytest.fixture(scope="module")
def graphs(generator: UNetGenerator, tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    return write_graphs(generator, tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def resizing(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """Of a generator that quantizes whole."""
    generator = lively_generator(CONFIG.model_copy(update={"decoder": Decoder.RESIZE}))
    return write_graphs(generator, tmp_path_factory.mktemp("resizing"))


def quantize_for_cpu(
    graphs: Graphs, path: Path, frames: list[Frame], *, saturates: bool, method: RangeMethod = RangeMethod.MIN_MAX
) -> GraphQuantizer:
    quantizer = GraphQuantizer.for_cpu(graphs[Precision.FP32], frames, saturates=saturates)
    quantizer.write(path, method=method, layers=quantizer.layers)
    return quantizer


def quantize_for_tensorrt(graphs: Graphs, path: Path, frames: list[Frame]) -> GraphQuantizer:
    quantizer = GraphQuantizer.for_tensorrt(graphs[Precision.FP16], frames, ranges_from=graphs[Precision.FP32])
    quantizer.write(path, method=quantizer.methods[0], layers=quantizer.layers)
    return quantizer


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
    return {node.name for node in graph.node if "Conv" in node.op_type and {*node.input[:2]} <= dequantized}


def translations(path: Path, frames: list[Frame]) -> list[Frame]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [session.run(None, {INPUT_NAME: frame[np.newaxis]})[0][0] for frame in frames]


def mean_psnr(found: list[Frame], expected: list[Frame]) -> float:
    squares = np.mean((np.stack(found).astype(float) - np.stack(expected)) ** 2)
    return float(10 * np.log10(255**2 / max(squares, 1e-9)))


def test_for_the_cpu_activations_are_unsigned_and_weights_signed(
    graphs: Graphs, frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    for saturates, largest in ((True, 64), (False, 127)):
        quantizer = quantize_for_cpu(graphs, path, frames, saturates=saturates)
        assert {zero.dtype for zero in activation_zero_points(path)} == {np.dtype(np.uint8)}
        assert TensorProto.INT8 in dequantized_kinds(path)
        weights = [value for value in initializers(path).values() if value.dtype == np.int8 and value.ndim == 4]
        assert weights
        assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) == largest, "7 bits where sums saturate"
        assert f"{7 if saturates else 8}-bit" in quantizer.scheme


def test_onnx_runtime_computes_all_but_the_outer_layers_in_integers(
    resizing: Graphs, frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    quantizer = quantize_for_cpu(resizing, path, frames, saturates=False)
    executed = executed_precisions(path)
    assert {name for name, precision in executed.items() if precision == "int8"} == set(quantizer.layers)
    assert set(executed) - set(quantizer.layers) == set(quantizer.outer) == {"encoder.0.0", "decoder.3.1"}


def test_all_but_the_outer_layers_are_quantized_enlargements_too(
    graphs: Graphs, frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    quantizer = quantize_for_cpu(graphs, path, frames, saturates=False)
    assert quantizer.layers == INNER_LAYERS
    assert quantizer.outer == ("encoder.0.0", "decoder.3.0")
    assert quantized_layers(path) == set(quantizer.layers)


@pytest.mark.parametrize("method", [RangeMethod.MIN_MAX, RangeMethod.PERCENTILE, RangeMethod.LEAST_SQUARES])
def test_the_picture_is_no_worse_than_by_onnx_runtimes_own_quantizer(
    resizing: Graphs, frames: list[Frame], tmp_path: Path, method: RangeMethod
) -> None:
    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.frames = iter(frames)

        def get_next(self) -> dict[str, np.ndarray] | None:
            frame = next(self.frames, None)
            return None if frame is None else {INPUT_NAME: frame[np.newaxis]}

    quantizer = quantize_for_cpu(resizing, tmp_path / "ours.onnx", frames, saturates=False, method=method)
    quantize_static(
        resizing[Precision.FP32],
        tmp_path / "theirs.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=list(quantizer.outer),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    expected = translations(resizing[Precision.FP32], frames)
    ours, theirs = (mean_psnr(translations(tmp_path / name, frames), expected) for name in ("ours.onnx", "theirs.onnx"))
    assert ours > max(30, theirs - 0.5)


def test_every_calibration_frame_counts(graphs: Graphs, frames: list[Frame], tmp_path: Path) -> None:
    """ONNX Runtime can be set to forget what it saw; the loudest frame must widen the ranges wherever it comes."""
    flat = [np.full_like(frames[0], 128)] * 9
    scales = []
    for name, order in (("first", [frames[0], *flat]), ("last", [*flat, frames[0]]), ("never", flat)):
        quantize_for_cpu(graphs, tmp_path / name, order, saturates=True)
        values = initializers(tmp_path / name)
        scales.append(
            {key: float(value) for key, value in values.items() if key.endswith("_scale") and value.ndim == 0}
        )
    first, last, never = scales
    assert first == last
    assert max(first[name] / never[name] for name in first) > 2


@pytest.mark.parametrize("draft", [False, True])
def test_exactly_the_given_layers_are_quantized_and_nothing_else_is_touched(
    resizing: Graphs, frames: list[Frame], tmp_path: Path, draft: bool
) -> None:
    quantizer = GraphQuantizer.for_cpu(resizing[Precision.FP32], frames, saturates=False)
    expected = translations(resizing[Precision.FP32], frames)
    chosen = ("encoder.2.0", "decoder.1.1")
    write = quantizer.write_draft if draft else quantizer.write
    for layers in ((), chosen):
        write(tmp_path / "some.onnx", method=RangeMethod.MIN_MAX, layers=layers)
        assert quantized_layers(tmp_path / "some.onnx") == set(layers)
        values, before = initializers(tmp_path / "some.onnx"), initializers(resizing[Precision.FP32])
        kept = {name for name in before if not any(layer in name for layer in layers)}
        assert all(np.array_equal(values[name], before[name]) for name in kept if name.endswith(("weight", "bias")))
        quality = mean_psnr(translations(tmp_path / "some.onnx", frames), expected)
        assert quality > 100 if not layers else 30 < quality < 100


def test_a_draft_is_what_will_be_written_but_small(resizing: Graphs, frames: list[Frame], tmp_path: Path) -> None:
    quantizer = GraphQuantizer.for_cpu(resizing[Precision.FP32], frames, saturates=False)
    options = {"method": RangeMethod.PERCENTILE, "layers": quantizer.layers[:1]}
    quantizer.write(tmp_path / "whole.onnx", **options)
    sizes = []
    for name in ("one.onnx", "another.onnx"):
        quantizer.write_draft(tmp_path / name, **options)
        sizes.append((tmp_path / name).stat().st_size)
        assert np.array_equal(
            translations(tmp_path / name, frames[:3]), translations(tmp_path / "whole.onnx", frames[:3])
        )
    assert max(sizes) < 0.5 * (tmp_path / "whole.onnx").stat().st_size
    assert len([path for path in tmp_path.iterdir() if path.suffix != ".onnx"]) == 1, "the rest is shared"


def test_ranges_are_measured_once_for_two_quantizers(
    resizing: Graphs, frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    measure = export.quantization.measure_ranges
    monkeypatch.setattr(export.quantization, "measure_ranges", lambda *given: calls.append(given) or measure(*given))
    ranges = MeasuredRanges(resizing[Precision.FP32], frames)
    for quantizer in (
        GraphQuantizer(ranges, cpu_scheme(saturates=False)),
        GraphQuantizer(ranges, TENSORRT, resizing[Precision.FP16]),
    ):
        for method in quantizer.methods:
            quantizer.write(tmp_path / "int8.onnx", method=method, layers=quantizer.layers)
    assert len(calls) == 1


def test_for_tensorrt_everything_is_symmetric_and_bias_stays_float(
    graphs: Graphs, frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    quantizer = quantize_for_tensorrt(graphs, path, frames)
    zeros = activation_zero_points(path)
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    assert not any(zero.any() for zero in zeros)
    assert dequantized_kinds(path) == {TensorProto.INT8}, "TensorRT refuses integer biases"
    assert quantized_layers(path) == set(quantizer.layers)
    assert quantizer.layers == INNER_LAYERS


def test_for_tensorrt_only_what_layers_read_is_quantized_and_the_rest_is_half_precision(
    resizing: Graphs, frames: list[Frame], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    quantizer = quantize_for_tensorrt(resizing, path, frames)
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    kinds = {info.name: info.type.tensor_type.elem_type for info in graph.value_info}
    producers = {name: node for node in graph.node for name in node.output}
    readers = {name: [node for node in graph.node if name in node.input] for node in graph.node for name in node.output}
    quantizing = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantizing) == len(quantizer.layers)
    for node in quantizing:
        # One scale for all that a Concat joins, since it is behind it: the activation comes between.
        assert producers[node.input[0]].op_type in ("LeakyRelu", "Relu")
        (dequantizing,) = readers[node.output[0]]
        assert [reader.op_type for reader in readers[dequantizing.output[0]]] == ["Conv"]
    joined = [node for node in graph.node if node.op_type == "Concat"]
    assert len(joined) == CONFIG.levels - 1
    assert not {producers[name].op_type for node in joined for name in node.input} & {"DequantizeLinear"}
    assert {kinds[node.output[0]] for node in graph.node if "Conv" in node.op_type} == {TensorProto.FLOAT16}


def test_tensorrts_graph_and_its_draft_show_the_same_picture(
    resizing: Graphs, frames: list[Frame], tmp_path: Path
) -> None:
    quantizer = quantize_for_tensorrt(resizing, tmp_path / "int8.onnx", frames)
    quantizer.write_draft(tmp_path / "draft.onnx", method=quantizer.methods[0], layers=quantizer.layers)
    expected = translations(resizing[Precision.FP32], frames)
    whole, draft = (translations(tmp_path / name, frames) for name in ("int8.onnx", "draft.onnx"))
    assert mean_psnr(draft, expected) > 30
    assert mean_psnr(whole, draft) > mean_psnr(draft, expected) - 3
