"""Generators of other channels than three: the deployed artifacts against PyTorch, and what INT8 leaves alone."""

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch
from torch import nn

from core.checkpoint import save_generator
from core.configuration import (
    GENERATOR_FILE,
    Architecture,
    CheckpointInfo,
    DataConfig,
    Direction,
    GeneratorConfig,
    Norm,
    Padding,
    Task,
)
from core.encoding import Encoding
from core.errors import InvalidInputError
from core.facades import facade_pair
from core.fidelity import GATES
from core.formats import TARGETS
from core.frames import Frame, Size, array_to_frames, frames_to_array, input_images
from core.networks import Generator, build_generator
from core.precision import Precision
from export.baseline import EagerEngine
from export.exporter import ExportRequest, export_bundle
from export.fidelity import translate_all
from export.intermediate_representation import LAYERS, outer_layers
from export.plan import Planned
from export.trained_generator import TrainedGenerator
from tests.export.deployment import Deployment, deploy

SIDE = 32
COLORIZE = GeneratorConfig(width=4, levels=4, task=Task.COLORIZE, in_channels=1, out_channels=2)
CONFIGS = {
    "colorize": COLORIZE,
    "1 to 3": GeneratorConfig(width=4, levels=4, in_channels=1),
    "3 to 1": GeneratorConfig(width=4, levels=4, out_channels=1),
    "resnet, colorize": GeneratorConfig(
        architecture=Architecture.RESNET, width=4, levels=2, blocks=1, task=Task.COLORIZE, in_channels=1,
        out_channels=2, norm=Norm.BATCH, padding=Padding.REFLECT,
    ),
}  # fmt: skip


def photos(count: int) -> list[Frame]:
    return [np.ascontiguousarray(facade_pair(i, size=SIDE)[1]) for i in range(count)]


def lively(config: GeneratorConfig) -> Generator:
    """Weights a few times the initial ones, and running statistics of photographs: full use of the range."""
    torch.manual_seed(0)
    generator = build_generator(config)
    with torch.no_grad():
        layers = [module for module in generator.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
        for layer in layers:
            layer.weight *= 4
        if config.architecture is Architecture.UNET:
            layers[-1].weight *= 6
        frames = torch.from_numpy(np.stack(photos(4)))
        for _ in range(20):
            generator(input_images(frames, config))
    return generator.eval()


def deployed(config: GeneratorConfig, folder: Path) -> Deployment:
    frames = photos(13)
    return deploy(lively(config), folder, calibration=frames[:10], held_out=frames[10:])


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_encoding_is_deployed_faithfully(config: GeneratorConfig, target: str, tmp_path: Path) -> None:
    deployment = deployed(config, tmp_path)
    held_out = deployment.held_out
    assert min(reference.std() for reference in held_out.references) > 10, "flat ones would pass whatever is wrong"
    for precision in (Precision.FP32, Precision.INT8):
        with deployment.open(target, deployment.build(target, precision)) as engine:
            fidelity, _ = held_out.judge(translate_all(engine, held_out.frames))
        complaint = GATES[precision].complaint(fidelity)
        assert complaint is None, f"{precision}: {complaint}"


def test_a_colorization_in_half_precision_is_faithful(tmp_path: Path) -> None:
    """Only the generator is in half precision: colours come and go in full."""
    deployment = deployed(COLORIZE, tmp_path)
    path = deployment.build("onnx", Precision.FP16)
    with deployment.open("onnx", path) as engine:
        fidelity, _ = deployment.held_out.judge(translate_all(engine, deployment.held_out.frames))
    assert GATES[Precision.FP16].complaint(fidelity) is None
    values = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    powers = [node for node in onnx.load(path).graph.node if node.op_type == "Pow"]
    assert powers
    assert {values[node.input[1]] for node in powers} == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_baseline_around_which_numpy_handles_pixels_agrees(config: GeneratorConfig, tmp_path: Path) -> None:
    held_out = deployed(config, tmp_path).held_out
    with EagerEngine(lively(config), Size(SIDE, SIDE), batch=4, threads=1) as baseline:
        fidelity, _ = held_out.judge(translate_all(baseline, held_out.frames))
    assert fidelity.max_abs <= 1


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_tensorrt_rtx_takes_the_colour_conversion(precision: Precision, tmp_path: Path) -> None:
    path = deployed(COLORIZE, tmp_path).build("tensorrt_rtx", precision)
    assert path.stat().st_size > 10_000


def test_int8_leaves_the_colour_conversion_in_float(tmp_path: Path) -> None:
    deployment = deployed(COLORIZE, tmp_path)
    quantized = openvino.Core().read_model(deployment.build("openvino", Precision.INT8))
    kinds = {op.get_type_name() for op in quantized.get_ordered_ops()}
    assert {"Power", "Clamp", "Tanh", "Round"} <= kinds
    readers = [
        reader.get_node()
        for op in quantized.get_ordered_ops()
        if op.get_type_name() == "FakeQuantize"
        for reader in op.output(0).get_target_inputs()
    ]
    assert readers
    assert {reader.get_type_name() for reader in readers} <= set(LAYERS)
    assert not {reader.get_friendly_name() for reader in readers} & set(outer_layers(quantized))
    graph = onnx.load(deployment.build("onnx", Precision.INT8)).graph
    dequantized = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    fed = {node.op_type for node in graph.node if dequantized & set(node.input)}
    assert "Conv" in fed
    assert not fed & {"Pow", "Clip", "Round", "Tanh", "Cast", "Mul", "Add", "Sub", "Div"}


def test_a_deployed_colorization_keeps_the_lightness_of_a_colour_frame(tmp_path: Path) -> None:
    """What it sees is gray; a frame and its gray of equal lightness give the same picture."""
    deployment = deployed(COLORIZE, tmp_path)
    frame = photos(1)[0]
    gray = array_to_frames(frames_to_array(frame[None], Encoding.LIGHTNESS), Encoding.LIGHTNESS)[0]
    assert np.abs(frame.astype(int) - gray).max() > 10, "the frame must have colours for this to mean anything"
    with deployment.open("onnx", deployment.build("onnx", Precision.FP32)) as engine:
        # The 8-bit gray is the frame's lightness rounded, and rounding has a say in every channel.
        assert np.abs(engine.translate(frame).astype(int) - engine.translate(gray)).mean() < 1


def save_run(folder: Path, config: GeneratorConfig) -> Path:
    folder.mkdir()
    data = DataConfig(height=SIDE, width=SIDE, direction=Direction.B_TO_A)
    info = CheckpointInfo(generator=config, data=data, step=20, batch=4, name=folder.name)
    save_generator(folder / GENERATOR_FILE, build_generator(config), info)
    return folder / GENERATOR_FILE


def test_a_bundle_carries_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = ExportRequest(
        original=TrainedGenerator(save_run(tmp_path / "run", COLORIZE)),
        planned=[Planned(TARGETS["onnx"], Precision.FP32)],
        runs=4,
    )
    result = export_bundle(request)
    assert not result.failed
    assert result.manifest.generator == COLORIZE


def test_channels_that_frames_do_not_have_are_refused_in_one_line(tmp_path: Path) -> None:
    checkpoint = save_run(tmp_path / "run", GeneratorConfig(width=4, levels=4, out_channels=4))
    with pytest.raises(InvalidInputError, match="cannot be exported: out_channels = 4, but a frame has 3") as refusal:
        TrainedGenerator(checkpoint)
    assert "\n" not in str(refusal.value)
