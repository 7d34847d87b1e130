"""What is said about a graph, against the network it was made of."""

from pathlib import Path

import pytest
import torch
from torch import nn

from core.configuration import Decoder
from core.errors import InvalidInputError, UnavailableError
from core.export_record import Normalization, RangeMethod
from core.formats import InputShape
from core.frames import Frame, Size
from core.networks import Generator, UNetGenerator
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.graph_file import write_graph
from export.graph_inspection import executed_precisions, layer_operations
from export.quantization import GraphQuantizer
from export.sub_pixel import SubPixelConvolution
from tests.export.conftest import CONFIG, SIDE

SHAPE = InputShape(size=Size(SIDE, SIDE))


def counted(generator: Generator, size: Size) -> dict[str, int]:
    """Multiplications and additions in each layer, from the shapes that PyTorch runs it with."""
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in generator.modules())
    operations = {}

    def count(name: str):
        def hook(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            height, width = output.shape[-2:]
            if isinstance(module, SubPixelConvolution):  # blocks of 2 x 2, cut across at the borders
                height, width = height // 2 + 1, width // 2 + 1
            operations[name] = 2 * height * width * module.weight.numel()

        return hook

    hooks = [
        module.register_forward_hook(count(name))
        for name, module in generator.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        generator(torch.zeros(1, 3, *size))
    for hook in hooks:
        hook.remove()
    return operations


@pytest.fixture(scope="module")
def network() -> UNetGenerator:
    return UNetGenerator(CONFIG.model_copy(update={"decoder": Decoder.RESIZE})).eval()


@pytest.mark.parametrize("decoder", [Decoder.TRANSPOSED, Decoder.RESIZE])
def test_the_work_of_each_layer_is_pytorchs_quantized_or_not(
    decoder: Decoder, frames: list[Frame], tmp_path: Path
) -> None:
    network = UNetGenerator(CONFIG.model_copy(update={"decoder": decoder})).eval()
    path = tmp_path / "graph.onnx"
    graph = DeployGraph(network, Normalization.RUNNING, Precision.FP32)
    write_graph(path, graph, SHAPE)
    expected = counted(graph.generator, SHAPE.size)
    assert layer_operations(path) == expected
    assert set(executed_precisions(path).values()) == {"fp32"}
    assert set(executed_precisions(path)) == set(expected)
    quantizer = GraphQuantizer.for_cpu(path, frames, saturates=False)
    quantizer.write(tmp_path / "int8.onnx", method=RangeMethod.MIN_MAX, layers=quantizer.layers)
    assert layer_operations(tmp_path / "int8.onnx") == expected
    assert executed_precisions(tmp_path / "int8.onnx") == {
        name: "int8" if name in quantizer.layers else "fp32" for name in expected
    }


def test_the_work_in_a_dynamic_graph_is_that_of_the_size_it_is_given(network: UNetGenerator, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    size = Size(32, 48)
    graph = DeployGraph(network, Normalization.RUNNING, Precision.FP32)
    write_graph(path, graph, InputShape(size=size, dynamic=True))
    expected = counted(graph.generator, size)
    assert layer_operations(path, InputShape(size=size)) == expected
    assert layer_operations(path, InputShape(size=size, batch=3)) == {name: 3 * work for name, work in expected.items()}
    with pytest.raises(InvalidInputError, match=r"sizes of layer encoder\.0\.0"):
        layer_operations(path)


def test_a_half_precision_graph_runs_in_float_on_this_cpu(network: UNetGenerator, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    write_graph(path, DeployGraph(network, Normalization.RUNNING, Precision.FP16), SHAPE)
    assert set(executed_precisions(path).values()) == {"fp32"}


def test_garbage_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"\x00garbage")
    with pytest.raises(UnavailableError, match=r"ONNX Runtime refuses graph\.onnx[^\n]*$"):
        executed_precisions(tmp_path / "graph.onnx")
