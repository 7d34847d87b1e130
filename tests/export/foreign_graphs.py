"""ONNX files as other tools write them: PyTorch's exporter, and old ones, by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from core.configuration import DataConfig
from core.facades import facade_pair
from core.frames import Frame, Size
from export.foreign_graph import ForeignGraph, open_foreign_graph
from export.foreign_input import ValueRange
from export.quiet import quiet

SIDE = 32
DATA = DataConfig(height=SIDE, width=SIDE)
FRAMES = [facade_pair(i, size=SIDE).labels for i in range(3)]


class Network(nn.Module):
    """A small U-Net of another project: strided convolutions, batch norm, a skip connection."""

    def __init__(self, channels_in: int = 3, channels_out: int = 3, last: type[nn.Module] = nn.Tanh) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Sequential(nn.Conv2d(channels_in, 8, 4, 2, 1), nn.LeakyReLU(0.2))
        self.deep = nn.Sequential(
            nn.Conv2d(8, 16, 4, 2, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(16, 8, 3, 1, 1),
        )
        self.up = nn.ConvTranspose2d(16, channels_out, 4, 2, 1)
        self.last = last()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter *= 2.5  # full use of the range
            for _ in range(20):
                self(torch.rand(2, channels_in, SIDE, SIDE) * 2 - 1)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        first = self.down(images)
        answer: Tensor = self.last(self.up(torch.cat([self.deep(first), first], 1)))
        return answer


def export(path: Path, network: nn.Module, *, channels: int = 3, dynamic: bool = False, external: bool = False) -> Path:
    """``network`` as PyTorch's exporter writes it."""
    shapes: Any = None
    if dynamic:
        sides = (4 * torch.export.Dim(name, min=2, max=256) for name in ("rows", "columns"))
        shapes = (dict(zip((0, 2, 3), (torch.export.Dim("pictures"), *sides), strict=True)),)
    with quiet():
        example = torch.zeros(2 if dynamic else 1, channels, SIDE, SIDE + 8 if dynamic else SIDE)
        program = torch.onnx.export(network, (example,), dynamo=True, dynamic_shapes=shapes, verbose=False)
        assert program is not None
        program.save(str(path), external_data=external)
    return path


def by_hand(
    nodes: Sequence[NodeProto],
    weights: dict[str, Any] | None = None,
    *,
    shape: Sequence[int | str] = (1, 3, SIDE, SIDE),
    out_shape: Sequence[int | str] | None = None,
    opset: int = 20,
    element_type: int = TensorProto.FLOAT,
) -> ModelProto:
    """A graph from ``x`` to ``y`` of ``nodes``."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", element_type, list(shape))],
        [helper.make_tensor_value_info("y", element_type, list(out_shape or shape))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(kind: str, *values: str, **attributes: Any) -> NodeProto:
    """A node whose last value is its output."""
    return helper.make_node(kind, values[:-1], values[-1:], **attributes)


def mixed(*after: NodeProto, name: str = "mixed", **changes: Any) -> ModelProto:
    """A 1 x 1 convolution that mixes colours, to ``mixed``, and what comes ``after`` it, to ``y``."""
    kernel = np.float32([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.1, 0.6]]).reshape(3, 3, 1, 1)
    weights = {"kernel": kernel, **changes.pop("weights", {})}
    return by_hand([node("Conv", "x", "kernel", name), *after], weights, **changes)


def saved(path: Path, model: ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def opened(path: Path, value_range: ValueRange | None = None, size: Size | None = None) -> ForeignGraph:
    return open_foreign_graph(path, value_range=value_range, data=DATA, size=size)


def by_torch(network: nn.Module, frame: Frame, value_range: ValueRange) -> Frame:
    """What ``network`` makes of ``frame``, by PyTorch."""
    rgb = torch.from_numpy(frame[..., ::-1].copy()).double().permute(2, 0, 1)[None] / 255
    unit = value_range is ValueRange.UNIT
    with torch.no_grad():
        images = network.double()(rgb if unit else rgb * 2 - 1)
    network.float()
    levels = (images if unit else (images + 1) / 2)[0].permute(1, 2, 0).numpy() * 255
    return np.ascontiguousarray(np.clip(np.rint(levels), 0, 255)[..., ::-1].astype(np.uint8))


def graph_of(path: Path) -> GraphProto:
    return onnx.load(path).graph
