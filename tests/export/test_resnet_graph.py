"""The residual generator on its way to the engines."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from core.configuration import Architecture, Decoder, GeneratorConfig, Norm, Padding
from core.export_record import Normalization
from core.formats import InputShape
from core.frames import Frame, Size, to_frames, to_network
from core.networks import Generator, build_generator
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.graph_file import INPUT_NAME, write_graph
from tests.export.conftest import SIDE


def lively_resnet(frames: list[Frame], **values: object) -> Generator:
    """Weights that use the full range, and running statistics of the frames."""
    torch.manual_seed(0)
    small: dict[str, object] = {"architecture": Architecture.RESNET, "levels": 2, "width": 4, "blocks": 2}
    generator = build_generator(GeneratorConfig.model_validate(small | values))
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight)
        for _ in range(30):
            generator(to_network(torch.from_numpy(np.stack(frames[:4]))))
    return generator.eval()


@pytest.mark.parametrize(
    ("norm", "decoder", "normalization", "padding"),
    [
        (Norm.BATCH, Decoder.TRANSPOSED, Normalization.INSTANCE, Padding.ZEROS),
        (Norm.BATCH, Decoder.TRANSPOSED, Normalization.RUNNING, Padding.REFLECT),
        (Norm.INSTANCE, Decoder.TRANSPOSED, Normalization.INSTANCE, Padding.REFLECT),
        (Norm.BATCH, Decoder.RESIZE, Normalization.RUNNING, Padding.ZEROS),
    ],
)
def test_onnx_runtime_translates_as_pytorch(
    frames: list[Frame], tmp_path: Path, norm: Norm, decoder: Decoder, normalization: Normalization, padding: Padding
) -> None:
    generator = lively_resnet(frames, norm=norm, decoder=decoder, padding=padding)
    graph = DeployGraph(generator, normalization, Precision.FP32)
    write_graph(tmp_path / "resnet.onnx", graph, InputShape(size=Size(SIDE, SIDE)))
    session = onnxruntime.InferenceSession(tmp_path / "resnet.onnx", providers=["CPUExecutionProvider"])
    frame = frames[5][np.newaxis]
    (translated,) = session.run(None, {INPUT_NAME: frame})
    for module in generator.modules():  # the reference: batch norm as in training, on this one picture
        if isinstance(module, nn.BatchNorm2d):
            module.train(normalization is Normalization.INSTANCE)
    with torch.no_grad():
        expected = to_frames(generator(to_network(torch.from_numpy(frame)))).numpy()
    assert expected.std() > 20
    assert np.abs(translated.astype(int) - expected).max() <= 1
