"""Batch norm of an ONNX file made elsewhere: each picture's own statistics, or stored ones, of which the user hears."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from core.export_record import Normalization
from core.formats import TARGETS, InputShape
from core.frames import Frame, Size
from core.precision import Precision
from export.engine_plan import build_engine
from export.foreign_input import ValueRange
from export.quiet import quiet
from tests.export.foreign_graphs import FRAMES, SIDE, Network, by_torch, export, graph_of, mixed, node, opened, saved

TRAINING, PRESERVE = torch.onnx.TrainingMode.TRAINING, torch.onnx.TrainingMode.PRESERVE
ONE = InputShape(size=Size(SIDE, SIDE))


def network(*, dropout: float = 0.5) -> Network:
    """As pix2pix has it: a layer with batch norm and dropout on the way up, too."""
    made = Network()
    made.deep.extend([nn.ReLU(), nn.ConvTranspose2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.Dropout(dropout)])
    return made


def export_training(
    path: Path, mode: torch.onnx.TrainingMode = TRAINING, *, opset: int = 17, any_batch: bool = False
) -> Path:
    """As the older of PyTorch's exporters does it, which alone keeps the mode of batch norm."""
    made = network().train(mode is PRESERVE)
    axes = {"images": {0: "pictures"}} if any_batch else None
    with quiet():
        torch.onnx.export(
            made,
            (torch.zeros(1, 3, SIDE, SIDE),),
            path,
            dynamo=False,
            training=mode,
            do_constant_folding=False,
            input_names=["images"],
            dynamic_axes=axes,
            opset_version=opset,
        )
    assert {"BatchNormalization", "Dropout"} <= kinds(path)
    return path


def kinds(path: Path) -> set[str]:
    return {layer.op_type for layer in graph_of(path).node}


def reference(frame: Frame) -> Frame:
    """By PyTorch, in training mode, without the dropout."""
    return by_torch(network(dropout=0).train(), frame, ValueRange.SIGNED)


def steps(one: Frame, other: Frame) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def wrapped(source: Path, path: Path, precision: Precision = Precision.FP32, shape: InputShape = ONE) -> Path:
    opened(source).write_graph(path, precision, shape, Normalization.NONE)
    onnx.checker.check_model(path, full_check=True)
    return path


def run(path: Path, *frames: Frame) -> list[Frame]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(["translation"], {"frames": np.stack(frames)})[0])


@pytest.mark.parametrize(("mode", "opset"), [(TRAINING, 17), (PRESERVE, 17), (TRAINING, 20), (TRAINING, 12)])
def test_a_graph_in_training_mode_makes_the_same_pictures_everywhere(
    tmp_path: Path, mode: torch.onnx.TrainingMode, opset: int
) -> None:
    source = export_training(tmp_path / "net.onnx", mode, opset=opset)
    stored = by_torch(network(), FRAMES[0], ValueRange.SIGNED)
    own = opened(source).translate(FRAMES)
    assert steps(own[0], stored) > 20, "stored statistics make another picture"
    full, half = (wrapped(source, tmp_path / f"{kind}.onnx", kind) for kind in (Precision.FP32, Precision.FP16))
    engine = openvino.Core().compile_model(openvino.convert_model(full), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for frame, picture in zip(FRAMES, own, strict=True):
        assert steps(picture, reference(frame)) <= 1
        assert steps(run(full, frame)[0], picture) <= 1
        assert steps(engine(frame[np.newaxis])[0][0], picture) <= 1
        assert steps(run(half, frame)[0], picture) <= 8
    assert not {"BatchNormalization", "Dropout"} & kinds(full)
    assert not [tensor.name for tensor in graph_of(full).initializer if "running" in tensor.name]


def test_several_pictures_keep_their_own_statistics(tmp_path: Path) -> None:
    source = export_training(tmp_path / "net.onnx", any_batch=True)
    batch = wrapped(source, tmp_path / "batch.onnx", shape=InputShape(size=Size(SIDE, SIDE), batch=3))
    for translation, alone in zip(run(batch, *FRAMES), opened(source).translate(FRAMES), strict=True):
        assert steps(translation, alone) <= 1


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_tensorrt_builds_an_engine_of_it(tmp_path: Path, precision: Precision) -> None:
    source = wrapped(export_training(tmp_path / "net.onnx"), tmp_path / "out.onnx", precision)
    build_engine(source, tmp_path / "out.engine", TARGETS["tensorrt_rtx"], shape=ONE)
    assert (tmp_path / "out.engine").stat().st_size > 1000


def test_a_mask_that_is_read_stays(tmp_path: Path) -> None:
    model = mixed(
        helper.make_node("Dropout", ["mixed"], ["kept", "mask"]),
        node("Cast", "mask", "ones", to=TensorProto.FLOAT),
        node("Mul", "kept", "ones", "more"),
        node("Tanh", "more", "y"),
    )
    source = saved(tmp_path / "net.onnx", model)
    out = wrapped(source, tmp_path / "out.onnx")
    assert steps(run(out, FRAMES[0])[0], opened(source).translate(FRAMES)[0]) <= 1


def test_the_user_hears_what_it_is_compared_with(tmp_path: Path) -> None:
    first, *more = opened(export_training(tmp_path / "net.onnx")).notes
    assert "compared with net.onnx as it is" in first
    assert not more, "each picture has its own statistics, as it should"


@pytest.mark.parametrize("folded", [True, False])
def test_the_user_hears_of_stored_statistics(tmp_path: Path, folded: bool) -> None:
    path = tmp_path / "net.onnx"
    if folded:
        export(path, network())
    else:
        with quiet():
            torch.onnx.export(network(), (torch.zeros(1, 3, SIDE, SIDE),), path, dynamo=False)
    assert ("BatchNormalization" in kinds(path)) is not folded
    _, note = opened(path).notes
    assert "\n" not in note
    assert "stored statistics" in note
    assert ("if it had batch norm" in note) is folded
    assert "p2p-export NET.pth" in note
    assert "training=torch.onnx.TrainingMode.TRAINING" in note


@pytest.mark.parametrize("stated", [True, False])
def test_the_range_is_part_of_the_origin(tmp_path: Path, stated: bool) -> None:
    graph = opened(export(tmp_path / "net.onnx", Network()), ValueRange.SIGNED if stated else None)
    assert graph.origin is not None
    assert graph.origin.endswith(f"pictures in -1..1 ({'as stated' if stated else 'found out'})")
