"""What cannot be wrapped is refused in one line that says why; no file is opened because a graph names it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from core.errors import CheckpointError, EdgeError, InvalidInputError
from export import foreign_graph_file
from export.foreign_input import ValueRange
from tests.export.foreign_graphs import SIDE, by_hand, mixed, node, opened, saved


def tanh(**changes: Any) -> ModelProto:
    return by_hand([node("Tanh", "x", "y")], **changes)


def refusal(path: Path, kind: type[EdgeError] = CheckpointError) -> str:
    with pytest.raises(kind) as refused:
        opened(path)
    line = str(refused.value)
    assert path.name in line
    assert "\n" not in line
    assert len(line) < 600
    return line


WHOLE = mixed(node("Tanh", "mixed", "y")).SerializeToString()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no graph"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX graph, or it is damaged"),
        (b"<html>404: not found</html>", "not an ONNX graph, or it is damaged"),
        (WHOLE[:-7], "not an ONNX graph, or it is damaged"),
        (WHOLE[: len(WHOLE) // 2], "not an ONNX graph, or it is damaged"),
        (WHOLE.replace(b"mixed", b"mi\xffed"), "not an ONNX graph, or it is damaged"),
        (helper.make_model(helper.make_graph([], "empty", [], [])).SerializeToString(), "holds no graph"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert says in refusal(path)


def test_no_file(tmp_path: Path) -> None:
    assert "there is no ONNX file" in refusal(tmp_path / "missing.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "there is no ONNX file" in refusal(tmp_path / "folder.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "there is no ONNX file" in refusal(tmp_path / "pipe.onnx")


def test_a_file_too_large_for_one_graph(tmp_path: Path) -> None:
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(2**31)
    assert "larger than 2 GiB" in refusal(tmp_path / "large.onnx")


PAIR = [TensorProto.FLOAT, [1, 3, SIDE, SIDE]]


def with_two_inputs() -> ModelProto:
    model = by_hand([node("Add", "x", "noise", "y")])
    model.graph.input.append(helper.make_tensor_value_info("noise", *PAIR))
    return model


def with_two_outputs() -> ModelProto:
    model = by_hand([node("Tanh", "x", "y"), node("Sigmoid", "x", "mask")])
    model.graph.output.append(helper.make_tensor_value_info("mask", *PAIR))
    return model


def of_newer_ir() -> ModelProto:
    model = tanh()
    model.ir_version = 99
    return model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (with_two_inputs(), "has 2 inputs (x, noise): one picture in and one out is needed"),
        (with_two_outputs(), "has 2 outputs (y, mask)"),
        (tanh(element_type=TensorProto.FLOAT16), "tensor(float16), not tensor(float): export it in float32"),
        (tanh(element_type=TensorProto.DOUBLE), "tensor(double), not tensor(float)"),
        (tanh(shape=(3, SIDE, SIDE)), "its input is [3, 32, 32], not [N, C, H, W]"),
        (tanh(shape=(1, SIDE, SIDE, 3)), "takes [1, 32, 32, 3], channels last: export it channels first (NCHW)"),
        (tanh(shape=("n", "h", "w", 3)), "takes [n, h, w, 3], channels last"),
        (
            by_hand([node("Transpose", "x", "y", perm=[0, 2, 3, 1])], out_shape=(1, SIDE, SIDE, 3)),
            "gives [1, 32, 32, 3]",
        ),
        (tanh(shape=(1, 4, SIDE, SIDE)), "takes 4 channels"),
        (by_hand([node("Concat", "x", "x", "y", axis=1)], out_shape=(1, 6, SIDE, SIDE)), "gives [1, 6, 32, 32]"),
        (tanh(shape=(2, 3, SIDE, SIDE)), "takes 2 pictures at a time: export it with a batch of 1"),
        (by_hand([helper.make_node("Magic", ["x"], ["y"], domain="other.tools")]), "cannot be loaded by ONNX Runtime"),
        (tanh(opset=99), "is of opset 99"),
        (of_newer_ir(), "is of IR version 99"),
        (by_hand([node("Log", "x", "low"), node("Log", "low", "y")]), "values that are not finite"),
    ],
)
def test_graphs_that_are_no_picture_to_picture_network(tmp_path: Path, model: ModelProto, says: str) -> None:
    assert says in refusal(saved(tmp_path / "net.onnx", model))


def test_a_network_that_changes_the_size(tmp_path: Path) -> None:
    shape = ("n", 3, "h", "w")
    larger = by_hand([node("Concat", "x", "x", "y", axis=3)], shape=shape, out_shape=("n", 3, "h", "w2"))
    line = refusal(saved(tmp_path / "net.onnx", larger), InvalidInputError)
    assert "makes 32x64 of 32x32, and a translation keeps its size: no size near it will do" in line


def with_weights_in(tmp_path: Path, location: str, *, offset: str = "0", length: str = "36") -> Path:
    """A network whose nine weights lie in ``location``."""
    model = mixed(node("Tanh", "mixed", "y"))
    kernel = model.graph.initializer[0]
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        kernel.external_data.add(key=key, value=value)
    folder = tmp_path / "model"
    folder.mkdir()
    return saved(folder / "net.onnx", model)


WEIGHTS = np.eye(3, dtype=np.float32).tobytes()


def test_weights_within_the_folder_are_read(tmp_path: Path) -> None:
    """So that what is refused below is refused for its place."""
    path = with_weights_in(tmp_path, "data/weights.bin", offset="4")
    (path.parent / "data").mkdir()
    (path.parent / "data" / "weights.bin").write_bytes(b"skip" + WEIGHTS)
    assert opened(path).value_range is ValueRange.SIGNED


@pytest.mark.parametrize(
    "location",
    ["../secret.bin", "data/../../secret.bin", "{outside}", "..\\secret.bin", "C:\\secret.bin", "", ".", "a\0b"],
)
def test_weights_outside_of_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(WEIGHTS)
    path = with_weights_in(tmp_path, location.format(outside=tmp_path / "secret.bin"))
    line = refusal(path)
    assert "is refused: it takes weights from" in line or "not beside it" in line


@pytest.mark.parametrize("where", ["file", "folder"])
def test_links_that_lead_out_of_the_folder(tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "weights.bin").write_bytes(WEIGHTS)
    path = with_weights_in(tmp_path, "weights.bin" if where == "file" else "link/weights.bin")
    link, target = ("weights.bin", outside / "weights.bin") if where == "file" else ("link", outside)
    (path.parent / link).symlink_to(target)
    assert "a link that leads out of its folder: copy both files into one" in refusal(path)


@pytest.mark.parametrize(
    ("offset", "length", "says"),
    [
        ("4", "36", "wants more of weights.bin than there is"),
        ("0", "37", "wants more of weights.bin than there is"),
        ("-36", "36", "wants more of weights.bin than there is"),
        ("0", "-1", "wants more of weights.bin than there is"),
        ("0", str(2**62), "wants more of weights.bin than there is"),
        ("here", "36", "where kernel begins is no number"),
        ("0", "32", "cannot be loaded by ONNX Runtime"),
    ],
)
def test_weights_that_are_not_all_there(tmp_path: Path, offset: str, length: str, says: str) -> None:
    path = with_weights_in(tmp_path, "weights.bin", offset=offset, length=length)
    (path.parent / "weights.bin").write_bytes(WEIGHTS)
    assert says in refusal(path)


def test_weights_that_are_missing_or_no_file(tmp_path: Path) -> None:
    path = with_weights_in(tmp_path, "weights.bin")
    assert "keeps weights in 'weights.bin', which is not beside it: copy that file as well" in refusal(path)
    os.mkfifo(path.parent / "weights.bin")
    assert "not beside it" in refusal(path)
    (path.parent / "weights.bin").unlink()
    (path.parent / "weights.bin").symlink_to("weights.bin")  # in a circle
    assert "cannot be opened" in refusal(path)


def test_weights_in_a_file_of_an_impossible_name(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(with_weights_in(tmp_path, "w" * 300))


def test_weights_larger_than_one_graph_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_weights_in(tmp_path, "weights.bin")
    (path.parent / "weights.bin").write_bytes(WEIGHTS)
    monkeypatch.setattr(foreign_graph_file, "MAX_BYTES", path.stat().st_size + 35)
    assert "and its weights are larger than 2 GiB" in refusal(path)


def in_a_constant(model: ModelProto) -> TensorProto:
    model.graph.node.append(node("Constant", "unused", value=helper.make_tensor("t", TensorProto.FLOAT, [1], [0.0])))
    return model.graph.node[-1].attribute[0].t


def in_a_branch(model: ModelProto) -> TensorProto:
    value = helper.make_tensor("t", TensorProto.FLOAT, [1], [0.0])
    branch = helper.make_graph([node("Identity", "t", "z")], "b", [], [], [value])
    model.graph.node.append(helper.make_node("If", ["x"], ["unused"], then_branch=branch, else_branch=branch))
    return model.graph.node[-1].attribute[0].g.initializer[0]


def in_a_function(model: ModelProto) -> TensorProto:
    constant = node("Constant", "b", value=helper.make_tensor("t", TensorProto.FLOAT, [1], [0.0]))
    opset = helper.make_opsetid("", 20)
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [constant], [opset]))
    return model.functions[0].node[0].attribute[0].t


def in_a_sparse_weight(model: ModelProto) -> TensorProto:
    sparse = model.graph.sparse_initializer.add(dims=[4])
    sparse.values.CopyFrom(helper.make_tensor("t", TensorProto.FLOAT, [1], [0.0]))
    return sparse.values


@pytest.mark.parametrize("hide", [in_a_constant, in_a_branch, in_a_function, in_a_sparse_weight])
def test_no_tensor_is_overlooked(tmp_path: Path, hide: Callable[[ModelProto], TensorProto]) -> None:
    model = mixed(node("Tanh", "mixed", "y"))
    tensor = hide(model)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    assert "it takes weights from '/etc/hostname', outside of its own folder" in refusal(
        saved(tmp_path / "n.onnx", model)
    )


def test_memory_of_the_process_is_no_file(tmp_path: Path) -> None:
    """ONNX Runtime takes this location for an address in its own memory."""
    path = with_weights_in(tmp_path, "*/_ORT_MEM_ADDR_/*", offset=str(2**20))
    assert "not beside it" in refusal(path)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refusal(saved(tmp_path / "net.onnx", by_hand([helper.make_node("Magic", ["x"], ["y"], domain="other.tools")])))
    shape = ("n", 3, "h", "w")
    weights = {"odd": np.zeros((1, 3, 31, 31), np.float32)}
    refusal(
        saved(tmp_path / "odd.onnx", by_hand([node("Add", "x", "odd", "y")], weights, shape=shape)), InvalidInputError
    )
    assert capfd.readouterr() == ("", "")


def test_names_of_a_stranger_are_printable(tmp_path: Path) -> None:
    model = tanh()
    model.producer_name = "\x1b[31mred\n"
    model.graph.input[0].name = model.graph.node[0].input[0] = "x" * 500 + "\x1b"
    graph = opened(saved(tmp_path / "net.onnx", model), ValueRange.SIGNED)
    assert graph.origin is not None
    assert graph.origin.isprintable()
    model.graph.output.append(onnx.helper.make_tensor_value_info(model.graph.input[0].name, *PAIR))
    assert refusal(saved(tmp_path / "two.onnx", model)).isprintable()
