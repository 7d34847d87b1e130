"""An ONNX file made elsewhere becomes a deploy graph that makes the same pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from core.configuration import DataConfig
from core.errors import InvalidInputError, UnavailableError
from core.export_record import Normalization
from core.formats import TARGETS, InputShape
from core.frames import Frame, Size
from core.precision import Precision
from export.engine_plan import build_engine
from export.foreign_graph import ForeignGraph, open_foreign_graph
from export.foreign_input import ValueRange, is_onnx
from tests.export.foreign_graphs import FRAMES, SIDE, Network, by_torch, export, graph_of, mixed, node, opened, saved

SIZE = Size(SIDE, SIDE)
ONE = InputShape(size=SIZE)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("fixed") / "facades.onnx", Network())


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("dynamic") / "facades.onnx", Network(), dynamic=True)


def wrapped(graph: ForeignGraph, path: Path, precision: Precision = Precision.FP32, shape: InputShape = ONE) -> Path:
    graph.write_graph(path, precision, shape, Normalization.NONE)
    onnx.checker.check_model(path, full_check=True)
    return path


def run(path: Path, *frames: Frame) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (translation,) = session.run(["translation"], {"frames": np.stack(frames)})
    return np.asarray(translation)


def steps(one: Any, other: Any) -> int:
    assert np.shape(one) == np.shape(other)
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


@pytest.mark.parametrize(("last", "expected"), [(nn.Tanh, ValueRange.SIGNED), (nn.Sigmoid, ValueRange.UNIT)])
def test_pictures_are_pytorchs(tmp_path: Path, last: type[nn.Module], expected: ValueRange) -> None:
    network = Network(last=last)
    graph = opened(export(tmp_path / "net.onnx", network))
    assert graph.value_range is expected
    full, half = (wrapped(graph, tmp_path / f"{precision}.onnx", precision) for precision in list(Precision)[:2])
    for frame, own in zip(FRAMES, graph.translate(FRAMES), strict=True):
        reference = by_torch(network, frame, expected)
        assert reference.std() > 20, "a picture with something to lose"
        assert steps(own, reference) <= 1
        assert steps(run(full, frame)[0], reference) <= 1
        assert 0 < steps(run(half, frame)[0], reference) <= 8


@pytest.mark.parametrize(("channels_in", "channels_out"), [(1, 3), (3, 1)])
def test_one_channel_is_brightness(tmp_path: Path, channels_in: int, channels_out: int) -> None:
    network = Network(channels_in, channels_out)
    graph = opened(export(tmp_path / "gray.onnx", network, channels=channels_in))
    frame = FRAMES[0]
    weights = np.array([0.114, 0.587, 0.299]) if channels_in == 1 else None
    images = frame @ weights if weights is not None else frame[..., ::-1].transpose(2, 0, 1)
    with torch.no_grad():
        answer = network(torch.from_numpy(images / 127.5 - 1).float().reshape(1, channels_in, SIDE, SIDE))
    levels = np.rint((answer[0].numpy()[::-1].transpose(1, 2, 0) + 1) * 127.5)
    expected = np.broadcast_to(levels, (SIDE, SIDE, 3))
    assert steps(graph.translate([frame])[0], expected) <= 1
    assert steps(run(wrapped(graph, tmp_path / "out.onnx"), frame)[0], expected) <= 1


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 17, 22])
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_opsets(tmp_path: Path, opset: int, precision: Precision) -> None:
    """Enlarging is where opsets differ: before 11, pixels lay elsewhere, and factors were an operand of Upsample."""
    factors = np.float32([1, 1, 2, 2])
    if opset < 10:
        larger = node("Upsample", "small", "factors", "large", mode="linear")
    elif opset == 10:
        larger = node("Resize", "small", "factors", "large", mode="linear")
    else:
        larger = node("Resize", "small", "everywhere", "factors", "large", mode="linear")
    layers = [
        node("AveragePool", "mixed", "small", kernel_shape=[2, 2], strides=[2, 2]),
        larger,
        node("Clip", "large", "y", min=-1.0, max=1.0) if opset < 11 else node("Clip", "large", "low", "high", "y"),
    ]
    weights = {"factors": factors, "everywhere": np.zeros(0, np.float32)}
    weights |= {"low": np.float32(-1), "high": np.float32(1)} if opset >= 11 else {}
    graph = opened(saved(tmp_path / "old.onnx", mixed(*layers, weights=weights, opset=opset)))
    assert graph.value_range is ValueRange.SIGNED
    out = wrapped(graph, tmp_path / "new.onnx", precision)
    own = graph.translate(FRAMES[:1])[0]
    assert own.std() > 20
    assert steps(run(out, FRAMES[0])[0], own) <= (1 if precision is Precision.FP32 else 2)
    assert onnx.load(out).opset_import[0].version >= 13


@pytest.mark.parametrize("stated", [True, False])
def test_half_precision_leaves_in_float_what_must_be(tmp_path: Path, stated: bool) -> None:
    """Two layers share the factors of their enlargement: a constant, or a weight whose type is stated twice."""
    factors = np.float32([1, 1, 3.05, 3.05])  # no number of half precision
    layers = [
        node("AveragePool", "mixed", "small", kernel_shape=[3, 3], strides=[3, 3]),
        node("Resize", "small", "", "factors", "large", mode="linear"),
        node("AveragePool", "large", "again", kernel_shape=[3, 3], strides=[3, 3]),
        node("Resize", "again", "", "factors", "end", mode="linear"),
        node("Constant", "gain", value_float=1.5),
        node("Mul", "end", "gain", "more"),
        node("Max", "more", "gain", "high"),  # two that ONNX Runtime's converter keeps in float, of the same value
        node("Min", "more", "gain", "low"),
        node("Add", "high", "low", "sum"),  # which is more + gain
        node("Sub", "sum", "gain", "back"),
        node("Tanh", "back", "y"),
    ]
    if not stated:
        layers.insert(0, node("Constant", "factors", value=numpy_helper.from_array(factors)))
    model = mixed(*layers, weights={"factors": factors} if stated else {}, shape=(1, 3, 33, 33))
    if stated:
        model.graph.value_info.append(helper.make_tensor_value_info("factors", TensorProto.FLOAT, [4]))
    graph = opened(saved(tmp_path / "shared.onnx", model))
    out = wrapped(graph, tmp_path / "half.onnx", Precision.FP16, InputShape(size=Size(33, 33)))
    frame = np.ascontiguousarray(np.pad(FRAMES[0], ((0, 1), (0, 1), (0, 0)), mode="edge"))
    assert steps(run(out, frame)[0], graph.translate([frame])[0]) <= 2
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph_of(out).initializer}
    assert weights["kernel"].dtype == np.float16
    assert np.array_equal(weights["factors"], factors)


def test_shapes_that_the_file_states_wrongly(tmp_path: Path) -> None:
    """As exporters do that trace one size and call it any."""
    model = mixed(node("Tanh", "mixed", "y"), shape=(1, 3, "h", "w"))
    model.graph.value_info.append(helper.make_tensor_value_info("mixed", TensorProto.FLOAT, [1, 3, 256, 256]))
    out = wrapped(opened(saved(tmp_path / "net.onnx", model)), tmp_path / "out.onnx")
    assert run(out, FRAMES[0]).shape == (1, SIDE, SIDE, 3)


def test_weights_beside_the_file_end_up_inside(tmp_path: Path, fixed: Path) -> None:
    inside = opened(fixed)
    path = export(tmp_path / "two.onnx", Network(), external=True)
    assert (tmp_path / "two.onnx.data").is_file()
    graph = opened(path)
    for file in tmp_path.glob("two.*"):
        file.unlink()
    assert np.array_equal(graph.translate(FRAMES), inside.translate(FRAMES))
    moved = wrapped(graph, tmp_path / "elsewhere.onnx")
    assert steps(run(moved, FRAMES[0])[0], inside.translate(FRAMES)[0]) <= 1


def test_a_fixed_graph_has_one_size_and_one_picture(tmp_path: Path, fixed: Path) -> None:
    graph = open_foreign_graph(fixed, value_range=None, data=DataConfig(height=256, width=512), size=None)
    assert (graph.data.height, graph.data.width) == SIZE
    with pytest.raises(InvalidInputError, match="fixed at 32x32 and cannot take 64x64: use 32x32"):
        graph.check_size(Size(64, 64))
    with pytest.raises(InvalidInputError, match="fixed at 32x32"):
        opened(fixed, size=Size(64, 64))
    for shape, says in (
        (InputShape(size=SIZE, batch=2), "dynamic batch"),
        (InputShape(size=SIZE, dynamic=True), "siz"),
    ):
        with pytest.raises(UnavailableError, match=says):
            graph.write_graph(tmp_path / "out.onnx", Precision.FP32, shape, Normalization.NONE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_a_dynamic_graph_takes_what_is_asked_for(tmp_path: Path, dynamic: Path, precision: Precision) -> None:
    graph = opened(dynamic)
    assert (graph.data.height, graph.data.width) == SIZE
    allowed = 1 if precision is Precision.FP32 else 8
    own = graph.translate(FRAMES)

    batch = wrapped(graph, tmp_path / "batch.onnx", precision, InputShape(size=SIZE, batch=3))
    assert [side.dim_value for side in graph_of(batch).input[0].type.tensor_type.shape.dim] == [3, SIDE, SIDE, 3]
    assert steps(run(batch, *FRAMES), own) <= allowed

    any_size = wrapped(graph, tmp_path / "any.onnx", precision, InputShape(size=SIZE, dynamic=True))
    assert steps(run(any_size, *FRAMES), own) <= allowed
    wide = np.ascontiguousarray(np.concatenate(FRAMES[:2], axis=1))
    assert steps(run(any_size, wide)[0], graph.translate([wide])[0]) <= allowed


def test_a_size_that_does_not_go_through_is_refused_with_one_that_does(dynamic: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot take 30x42 \(.*\): use 32x4[04]"):
        opened(dynamic, size=Size(30, 42))
    assert opened(dynamic, size=Size(40, 64)).data.width == 64


def test_names_of_the_graph_do_not_get_in_the_way(tmp_path: Path) -> None:
    model = mixed(node("Tanh", "frames", "translation"), node("Identity", "translation", "y"), name="frames")
    graph = opened(saved(tmp_path / "names.onnx", model))
    assert steps(run(wrapped(graph, tmp_path / "out.onnx"), FRAMES[0])[0], graph.translate(FRAMES)[0]) <= 1


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    model = mixed(node("Tanh", "mixed", "y"), opset=9)
    model.ir_version = 3  # the way of 2018
    model.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [3, 3, 1, 1]))
    graph = opened(saved(tmp_path / "old.onnx", model))
    out = wrapped(graph, tmp_path / "out.onnx")
    assert [value.name for value in graph_of(out).input] == ["frames"]
    assert steps(run(out, FRAMES[0])[0], graph.translate(FRAMES)[0]) <= 1


def test_functions_of_the_file_are_written_out(tmp_path: Path) -> None:
    model = mixed(helper.make_node("Squash", ["mixed"], ["y"], domain="own"))
    opset = helper.make_opsetid("", 20)
    model.functions.append(helper.make_function("own", "Squash", ["a"], ["b"], [node("Tanh", "a", "b")], [opset]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    graph = opened(saved(tmp_path / "functions.onnx", model))
    assert graph.value_range is ValueRange.SIGNED
    out = wrapped(graph, tmp_path / "out.onnx", Precision.FP16)
    assert steps(run(out, FRAMES[0])[0], graph.translate(FRAMES)[0]) <= 2


def test_layers_have_names_of_their_own(tmp_path: Path, fixed: Path) -> None:
    names = [layer.name for layer in graph_of(wrapped(opened(fixed), tmp_path / "out.onnx")).node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert {"down.0", "deep.0", "deep.4", "up"} <= set(names)


def test_weights_stay_as_they_are(tmp_path: Path, fixed: Path) -> None:
    before = {tensor.name: tensor.raw_data for tensor in graph_of(fixed).initializer}
    after = {
        tensor.name: tensor.raw_data for tensor in graph_of(wrapped(opened(fixed), tmp_path / "out.onnx")).initializer
    }
    assert before.items() <= after.items()


def test_what_is_known_of_it(fixed: Path) -> None:
    graph = opened(fixed)
    assert graph.origin is not None
    assert graph.origin.startswith("facades.onnx, an ONNX graph made by pytorch")
    assert (graph.name, graph.path, graph.step, graph.batch) == ("facades", fixed, 0, 1)
    assert graph.generator is None
    assert graph.normalizations == (Normalization.NONE,)


def test_openvino_makes_the_same_pictures(tmp_path: Path, fixed: Path) -> None:
    graph = opened(fixed)
    model = openvino.Core().compile_model(
        openvino.convert_model(wrapped(graph, tmp_path / "out.onnx")), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    assert steps(model(FRAMES[0][np.newaxis])[0], graph.translate(FRAMES)[:1]) <= 1


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_tensorrt_builds_an_engine(tmp_path: Path, fixed: Path, precision: Precision) -> None:
    source = wrapped(opened(fixed), tmp_path / "out.onnx", precision)
    build_engine(source, tmp_path / "out.engine", TARGETS["tensorrt_rtx"], shape=ONE)
    assert (tmp_path / "out.engine").stat().st_size > 1000


def test_onnx_is_told_by_its_suffix() -> None:
    assert is_onnx(Path("a/net.ONNX"))
    assert not is_onnx(Path("a.onnx/net.pth"))
