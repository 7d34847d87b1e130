"""INT8 for OpenVINO: what is quantized, what that costs, and what the processor makes of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from openvino import opset13

from core.configuration import Decoder, Norm, Padding
from core.errors import InvalidInputError, UnavailableError
from core.export_record import Normalization, RangeMethod
from core.formats import InputShape
from core.frames import Frame, Size
from core.metrics import Comparison
from core.networks import Generator, UNetGenerator
from core.precision import Precision
from core.signal_stack import signal_stack
from export.deploy_graph import DeployGraph
from export.graph_file import write_graph
from export.graph_inspection import name_layers
from export.intermediate_representation import LAYERS, write_ir
from export.openvino_int8 import ModelQuantizer, batches_of, quantized_layers
from runtime.engines import EngineSettings
from runtime.engines.compiled_model import CompiledModelEngine
from tests.export.conftest import CONFIG, SIDE, lively_generator
from tests.export.hard_generator import HARMFUL_LAYER, hard_generator
from tests.export.test_resnet_graph import lively_resnet

CALIBRATION = 6
"""Frames that ranges are measured on; the rest are held out."""
MIN_MAX = RangeMethod.MIN_MAX


def graph_of(
    generator: Generator,
    path: Path,
    *,
    normalization: Normalization = Normalization.RUNNING,
    shape: InputShape | None = None,
) -> Path:
    write_graph(path, DeployGraph(generator, normalization, Precision.FP32), shape or InputShape(size=Size(SIDE, SIDE)))
    return path


@pytest.fixture(scope="module")
def graph(generator: UNetGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graph_of(generator, tmp_path_factory.mktemp("graphs") / "lively.onnx")


@pytest.fixture(scope="module")
def hard_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graph_of(hard_generator(), tmp_path_factory.mktemp("graphs") / "hard.onnx")


@pytest.fixture(scope="module")
def quantizer(graph: Path, frames: list[Frame]) -> ModelQuantizer:
    return ModelQuantizer(graph, frames[:CALIBRATION], saturates=False)


@pytest.fixture(scope="module")
def hard(hard_graph: Path, frames: list[Frame]) -> ModelQuantizer:
    return ModelQuantizer(hard_graph, frames[:CALIBRATION], saturates=False)


def translate(path: Path, frames: Sequence[Frame], size: Size | None = None) -> list[Frame]:
    with CompiledModelEngine(path, EngineSettings(threads=1, size=size)) as engine:
        batches = [np.stack(frames[i : i + engine.batch]) for i in range(0, len(frames), engine.batch)]
        return [frame for batch in batches for frame in engine.infer(batch)]


def in_float(graph: Path, folder: Path, frames: Sequence[Frame], size: Size | None = None) -> list[Frame]:
    write_ir(graph, folder / "float.xml", Precision.FP32)
    return translate(folder / "float.xml", frames, size)


def psnr(ones: Sequence[Frame], others: Sequence[Frame]) -> float:
    comparison = Comparison()
    for one, other in zip(ones, others, strict=True):
        comparison.add(one, other)
    return comparison.psnr_db


def read(path: Path) -> openvino.Model:
    return openvino.Core().read_model(path)


def ranges(path: Path) -> dict[str, float]:
    """Upper ends of the ranges of the layers' inputs."""
    return {
        reader.get_node().get_friendly_name(): float(op.input_value(2).get_node().data)
        for op in read(path).get_ops()
        if op.get_type_name() == "FakeQuantize"
        for reader in op.output(0).get_target_inputs()
        if reader.get_index() == 0  # the other input is the weights
    }


@pytest.mark.parametrize("kind", ["u-net", "u-net, instance norm", "resnet, instance norm"])
def test_quantizers_stand_before_the_layers_and_nowhere_else(kind: str, frames: list[Frame], tmp_path: Path) -> None:
    """Before additions and normalizations they would cost much and gain nothing."""
    if kind.startswith("resnet"):
        generator: Generator = lively_resnet(frames, norm=Norm.BATCH, padding=Padding.REFLECT, blocks=1)
    else:
        generator = lively_generator(CONFIG.model_copy(update={"decoder": Decoder.RESIZE}))
    normalization = Normalization.INSTANCE if kind.endswith("norm") else Normalization.RUNNING
    graph = graph_of(generator, tmp_path / "graph.onnx", normalization=normalization)
    quantizer = ModelQuantizer(graph, frames[:2], saturates=False)
    names = tuple(name_layers(onnx.load(graph)))
    assert quantizer.layers == names[1:-1], "the ONNX graph's names, in its order"
    assert quantizer.outer == (names[0], names[-1])
    quantizer.write(tmp_path / "int8.xml", method=MIN_MAX, layers=quantizer.layers)
    fed = [
        reader.get_node()
        for op in read(tmp_path / "int8.xml").get_ops()
        if op.get_type_name() == "FakeQuantize"
        for reader in op.output(0).get_target_inputs()
    ]
    assert {op.get_type_name() for op in fed} <= set(LAYERS)
    assert {op.get_friendly_name() for op in fed} == set(quantizer.layers)


def test_only_the_layers_asked_for_are_quantized(
    graph: Path, quantizer: ModelQuantizer, frames: list[Frame], tmp_path: Path
) -> None:
    wanted = {"encoder.2.0", "decoder.1.0"}
    quantizer.write(tmp_path / "two.xml", method=MIN_MAX, layers=wanted)
    assert quantized_layers(read(tmp_path / "two.xml")) == wanted
    quantizer.write(tmp_path / "none.xml", method=MIN_MAX, layers=())
    assert np.array_equal(translate(tmp_path / "none.xml", frames), in_float(graph, tmp_path, frames))


def test_a_draft_returns_layers_to_float_exactly(
    graph: Path, quantizer: ModelQuantizer, frames: list[Frame], tmp_path: Path
) -> None:
    draft = tmp_path / "draft.xml"
    quantizer.write_draft(draft, method=MIN_MAX, layers=())
    assert np.array_equal(translate(draft, frames), in_float(graph, tmp_path, frames))
    wanted = {"encoder.2.0", "decoder.1.0"}
    quantizer.write_draft(draft, method=MIN_MAX, layers=wanted)
    assert quantized_layers(read(draft)) == wanted
    quantizer.write(tmp_path / "real.xml", method=MIN_MAX, layers=wanted)
    assert ranges(draft) == pytest.approx(ranges(tmp_path / "real.xml"), rel=1e-5)


def test_drafts_find_the_harmful_layer(
    hard_graph: Path, hard: ModelQuantizer, frames: list[Frame], tmp_path: Path
) -> None:
    held_out = frames[CALIBRATION:]
    references = in_float(hard_graph, tmp_path, held_out)
    kept = {}
    for layer in hard.layers:
        hard.write_draft(tmp_path / "draft.xml", method=MIN_MAX, layers={layer})
        kept[layer] = psnr(translate(tmp_path / "draft.xml", held_out), references)
    assert kept.pop(HARMFUL_LAYER) < 32 < 45 < min(kept.values())


def test_biases_are_corrected_layer_after_layer(
    graph: Path, quantizer: ModelQuantizer, frames: list[Frame], tmp_path: Path
) -> None:
    """Fast correction, which drafts make do with, kept 49 dB here, and the thorough one 55."""
    held_out = frames[CALIBRATION:]
    references = in_float(graph, tmp_path, held_out)
    quantizer.write(tmp_path / "real.xml", method=MIN_MAX, layers=quantizer.layers)
    quantizer.write_draft(tmp_path / "draft.xml", method=MIN_MAX, layers=quantizer.layers)
    real, draft = (psnr(translate(tmp_path / f"{name}.xml", held_out), references) for name in ("real", "draft"))
    assert real > draft + 2
    assert draft > 40


def test_weights_keep_to_7_bits_where_sums_saturate(graph: Path, frames: list[Frame], tmp_path: Path) -> None:
    largest = {}
    for saturates in (True, False):
        quantizer = ModelQuantizer(graph, frames[:2], saturates=saturates)
        quantizer.write(tmp_path / "int8.xml", method=MIN_MAX, layers=quantizer.layers)
        weights = [op.data for op in read(tmp_path / "int8.xml").get_ops() if op.get_type_name() == "Constant"]
        largest[saturates] = max(int(np.abs(data.astype(int)).max()) for data in weights if data.dtype == np.int8)
        assert f"{7 if saturates else 8}-bit weights" in quantizer.scheme
    assert largest == {True: 64, False: 127}


def test_percentiles_leave_the_outermost_values_out(quantizer: ModelQuantizer, tmp_path: Path) -> None:
    assert quantizer.methods[0] is MIN_MAX
    for method in quantizer.methods:
        quantizer.write_draft(tmp_path / f"{method}.xml", method=method, layers=quantizer.layers)
    whole, clipped = ranges(tmp_path / "minmax.xml"), ranges(tmp_path / "percentile.xml")
    assert all(clipped[name] <= whole[name] for name in whole)
    assert min(clipped[name] / whole[name] for name in whole) < 0.98


def test_accuracy_control_leaves_the_harmful_layer_in_float(
    hard_graph: Path, hard: ModelQuantizer, frames: list[Frame], tmp_path: Path
) -> None:
    held_out = frames[CALIBRATION:]
    references = in_float(hard_graph, tmp_path, held_out)
    path = tmp_path / "int8.xml"
    hard.write(path, method=MIN_MAX, layers=hard.layers)
    assert psnr(translate(path, held_out), references) < 32
    before = signal_stack()
    kept = hard.write_with_accuracy_control(
        path, method=RangeMethod.MIN_MAX, frames_held=held_out, references=references, min_psnr=40
    )
    after = signal_stack()
    assert (after.address, after.flags, after.size) == (before.address, before.flags, before.size), "or Ctrl-C crashes"
    assert kept == (HARMFUL_LAYER,)
    assert quantized_layers(read(path)) == set(hard.layers) - {HARMFUL_LAYER}
    assert psnr(translate(path, held_out), references) >= 40


def test_accuracy_control_says_what_float_itself_does_not_reach(hard: ModelQuantizer, frames: list[Frame]) -> None:
    black = [np.zeros_like(frame) for frame in frames[:2]]
    with pytest.raises(UnavailableError, match=r"cannot reach 32 dB: the graph has \d+\.\d dB in float"):
        hard.write_with_accuracy_control(
            Path("x.xml"), method=RangeMethod.MIN_MAX, frames_held=frames[:2], references=black, min_psnr=32
        )


def test_a_batch_is_quantized_as_its_frames_are(
    generator: UNetGenerator, quantizer: ModelQuantizer, frames: list[Frame], tmp_path: Path
) -> None:
    graph = graph_of(generator, tmp_path / "three.onnx", shape=InputShape(size=Size(SIDE, SIDE), batch=3))
    three = ModelQuantizer(graph, frames[:CALIBRATION], saturates=False)
    for one, name in ((quantizer, "one"), (three, "three")):
        one.write(tmp_path / f"{name}.xml", method=MIN_MAX, layers=one.layers)
    assert ranges(tmp_path / "three.xml") == pytest.approx(ranges(tmp_path / "one.xml"), rel=0.02)
    held_out = frames[CALIBRATION:]
    assert psnr(translate(tmp_path / "three.xml", held_out), in_float(graph, tmp_path, held_out)) > 45


def test_the_last_batch_is_filled_up(frames: list[Frame]) -> None:
    model = openvino.Model([opset13.relu(taken := opset13.parameter([3, SIDE, SIDE, 3]))], [taken])
    first, last = batches_of(frames[:5], model)
    assert np.array_equal(first, frames[:3])
    assert np.array_equal(last, [frames[3], frames[4], frames[0]])


def test_layers_without_names_are_called_as_in_the_onnx_graph(graph: Path, frames: list[Frame], tmp_path: Path) -> None:
    model = onnx.load(graph)
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, tmp_path / "unnamed.onnx")
    quantizer = ModelQuantizer(tmp_path / "unnamed.onnx", frames[:1], saturates=False)
    assert [quantizer.outer[0], *quantizer.layers, quantizer.outer[1]] == list(name_layers(model))


def test_a_dynamic_model_is_int8_at_every_size(generator: UNetGenerator, frames: list[Frame], tmp_path: Path) -> None:
    graph = graph_of(generator, tmp_path / "any.onnx", shape=InputShape(size=Size(SIDE, SIDE), dynamic=True))
    quantizer = ModelQuantizer(graph, frames[:CALIBRATION], saturates=False)
    path = tmp_path / "any.xml"
    quantizer.write(path, method=MIN_MAX, layers=quantizer.layers)
    executed = dict.fromkeys(quantizer.layers, "int8") | dict.fromkeys(quantizer.outer, "fp32")
    for size in (Size(SIDE, SIDE), Size(SIDE // 2, SIDE)):
        cut = [np.ascontiguousarray(frame[: size.height]) for frame in frames[CALIBRATION:]]
        assert psnr(translate(path, cut, size), in_float(graph, tmp_path, cut, size)) > 40
        with CompiledModelEngine(path, EngineSettings(threads=1, size=size)) as engine:
            assert engine.executed_precisions() == executed
    with pytest.raises(InvalidInputError, match="cannot take frames of 60x64: give a size"):
        CompiledModelEngine(path, EngineSettings(threads=1, size=Size(60, 64)))


def test_fp16_is_storage_and_executed_in_float(graph: Path, quantizer: ModelQuantizer, tmp_path: Path) -> None:
    write_ir(graph, tmp_path / "float.xml", Precision.FP16)
    with CompiledModelEngine(tmp_path / "float.xml", EngineSettings(threads=1)) as engine:
        assert engine.executed_precisions() == dict.fromkeys((*quantizer.layers, *quantizer.outer), "fp32")


def test_a_graph_that_openvino_refuses_is_one_line(graph: Path, frames: list[Frame], tmp_path: Path) -> None:
    model = onnx.load(graph)
    model.graph.node[3].op_type = "Unheard"
    onnx.save(model, tmp_path / "unheard.onnx")
    with pytest.raises(UnavailableError, match=r"^OpenVINO refuses the graph: ") as caught:
        ModelQuantizer(tmp_path / "unheard.onnx", frames, saturates=False)
    assert "\n" not in str(caught.value)
