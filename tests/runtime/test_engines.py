import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from core.errors import BundleError, InvalidInputError, UnavailableError
from core.frames import Size
from runtime.engines import Engine, open_engine
from runtime.engines.compiled_model import CompiledModelEngine
from runtime.engines.graph_session import GraphSessionEngine
from tests.runtime.conftest import write_inverting_graph
from tests.runtime.engine_contract import SIZE, DeepEngineContract


class TestOnnxRuntime(DeepEngineContract):
    def open(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        return open_engine("onnx", folder / "model.onnx", threads=1)

    def open_deep(self, folder: Path, depth: int) -> Engine:
        self.open(folder).close()
        return open_engine("onnx", folder / "model.onnx", depth=depth)

    def open_damaged(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        damaged = folder / "damaged.onnx"
        damaged.write_bytes((folder / "model.onnx").read_bytes()[:-40])
        return open_engine("onnx", damaged, threads=1)


class TestOpenVino(DeepEngineContract):
    def open(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        openvino.save_model(openvino.convert_model(folder / "model.onnx"), folder / "model.xml")
        return open_engine("openvino", folder / "model.xml", threads=1)

    def open_deep(self, folder: Path, depth: int) -> Engine:
        self.open(folder).close()
        return open_engine("openvino", folder / "model.xml", depth=depth)

    def open_damaged(self, folder: Path) -> Engine:
        self.open(folder).close()
        damaged = folder / "damaged.xml"
        damaged.write_bytes((folder / "model.xml").read_bytes()[:-200])
        return open_engine("openvino", damaged, threads=1)


def test_an_unknown_target_has_no_engine(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="coreml"):
        open_engine("coreml", tmp_path / "model.mlpackage")


@pytest.mark.parametrize(
    ("takes", "gives"),
    [
        ((TensorProto.FLOAT, [1, 3, 48, 64]), (TensorProto.FLOAT, [1, 3, 48, 64])),
        ((TensorProto.UINT8, [1, 48, 64, 3]), (TensorProto.FLOAT, [1, 48, 64, 3])),
        ((TensorProto.UINT8, [1, 48, 64, 4]), (TensorProto.UINT8, [1, 48, 64, 4])),
    ],
    ids=["floats", "floats out", "four channels"],
)
def test_a_graph_that_does_not_translate_frames_is_refused(
    tmp_path: Path, takes: tuple[int, list[int | str]], gives: tuple[int, list[int | str]]
) -> None:
    source, target = (helper.make_tensor_value_info(name, *kind) for name, kind in (("x", takes), ("y", gives)))
    node = helper.make_node("Cast", ["x"], ["y"], to=gives[0])
    model = helper.make_model(
        helper.make_graph([node], "naive", [source], [target]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="not uint8 frames"):
        open_engine("onnx", tmp_path / "model.onnx")


def write_moody(path: Path) -> None:
    """A graph that gives frames of ``SIZE`` as they are, and fails for one whose first value is 255."""
    shape = [1, *SIZE, 3]
    nodes = [
        helper.make_node("Slice", ["x", "zeros", "ones"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["value"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["value", "one"], ["first"]),
        helper.make_node("Div", ["first", "white"], ["mood"]),
        helper.make_node("Add", ["mood", "wide"], ["columns"]),  # one unknown side would be taken for what is left
        helper.make_node("Add", ["mood", "deep"], ["channels"]),
        helper.make_node("Concat", ["tall", "columns", "channels"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    numbers = {"zeros": [0] * 4, "ones": [1] * 4, "one": [1], "white": [255]}
    numbers |= {"tall": shape[:2], "wide": shape[2:3], "deep": shape[3:]}
    graph = helper.make_graph(
        nodes,
        "moody",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, shape)],
        [helper.make_tensor(name, TensorProto.INT64, [len(values)], values) for name, values in numbers.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


# OpenVINO 2026.4 sometimes passes over the failure that this graph is made of, and gives what its memory held before;
# so its failures are left to the stand-ins below.
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_inference_that_fails_says_so_in_one_line_and_only_for_its_frame(tmp_path: Path, depth: int) -> None:
    write_moody(tmp_path / "moody.onnx")
    good, bad = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 255, np.uint8)
    with open_engine("onnx", tmp_path / "moody.onnx", threads=2, depth=depth) as engine:
        pending = [engine.submit(frame) for frame in (good, bad, good)]
        assert np.array_equal(pending[0].result(), good)
        for failing in (pending[1].result, lambda: engine.translate(bad)):
            with pytest.raises(UnavailableError, match="ONNX Runtime could not translate a frame") as failure:
                failing()
            assert "\n" not in str(failure.value)
        assert np.array_equal(pending[2].result(), good)
        assert np.array_equal(engine.translate(good), good)


class FailingRequest:
    """An OpenVINO request that fails where it is told, with as many lines as OpenVINO's errors have."""

    def __init__(self, where: str, message: str) -> None:
        self._where = where
        self._message = message

    def _fail(self, where: str) -> None:
        if self._where == where:
            raise RuntimeError(self._message)

    def infer(self, *_frames: object, **_options: object) -> None:
        self._fail("infer")

    def start_async(self, *_frames: object, **_options: object) -> None:
        self._fail("start_async")

    def wait(self) -> None:
        self._fail("wait")


LINES = "Exception from core.cpp:117:\nCheck failed at node.cpp:54:\n[CPU] the node failed\n\n"


def assert_one_frame_fails(engine: Engine, restore: Callable[[], None], message: str) -> None:
    """What is under way fails in one line, and the next frame is translated once the fault is gone."""
    frame = np.full((*SIZE, 3), 7, np.uint8)
    failing = [engine.submit(frame) for _ in range(engine.depth)]
    calls = [one.result for one in failing] + [lambda: engine.translate(frame)]
    for call in calls:
        with pytest.raises(UnavailableError) as failure:
            call()
        assert str(failure.value) == message
    restore()
    assert np.array_equal(engine.submit(frame).result(), 255 - frame)
    assert np.array_equal(engine.translate(frame), 255 - frame)


@pytest.mark.parametrize(("said", "told"), [(LINES, "[CPU] the node failed"), ("", "RuntimeError")])
@pytest.mark.parametrize(
    ("depth", "where"), [(1, "infer"), (2, "start_async"), (3, "start_async"), (2, "wait"), (3, "wait")]
)
def test_openvino_failing_anywhere_is_one_line(tmp_path: Path, depth: int, where: str, said: str, told: str) -> None:
    with TestOpenVino().open_deep(tmp_path, depth) as engine:
        assert isinstance(engine, CompiledModelEngine)
        requests = list(engine._requests)

        def restore() -> None:
            engine._requests[:] = requests

        engine._requests[:] = [FailingRequest(where, said) for _ in requests]
        assert_one_frame_fails(engine, restore, f"OpenVINO could not translate a frame ({told})")


class FailingSession:
    """An ONNX Runtime session that fails, with a class of its own as ONNX Runtime's are."""

    class FaultError(Exception):
        pass

    def __init__(self, message: str) -> None:
        self._message = message
        self.threads: set[str] = set()

    def run(self, *_arguments: object) -> None:
        self.threads.add(threading.current_thread().name)
        raise self.FaultError(self._message)


@pytest.mark.parametrize(
    ("said", "told"),
    [("[ONNXRuntimeError] : 1 : FAIL\nmore of it\n", "[ONNXRuntimeError] : 1 : FAIL"), ("", "FaultError")],
)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_onnx_runtime_failing_anywhere_is_one_line(tmp_path: Path, depth: int, said: str, told: str) -> None:
    with TestOnnxRuntime().open_deep(tmp_path, depth) as engine:
        assert isinstance(engine, GraphSessionEngine)
        session, failing = engine._session, FailingSession(said)

        def restore() -> None:
            engine._session = session

        engine._session = failing
        assert_one_frame_fails(engine, restore, f"ONNX Runtime could not translate a frame ({told})")
        workers = {name for name in failing.threads if name.startswith("p2p-engine")}
        assert bool(workers) == (depth > 1), "several calls under way run in threads of the engine's"


@pytest.mark.parametrize(("threads", "depth"), [(0, 1), (2, 0), (2, -1)])
def test_no_threads_or_no_depth_is_refused(tmp_path: Path, threads: int, depth: int) -> None:
    write_inverting_graph(tmp_path / "model.onnx", SIZE)
    with pytest.raises(InvalidInputError, match=f"not {threads} and {depth}"):
        open_engine("onnx", tmp_path / "model.onnx", threads=threads, depth=depth)


def write_doubling(path: Path, height: int | str) -> None:
    """A graph of frames of any height (or one) that are 64 wide; halving and doubling takes even heights only."""
    shape = [1, height, 64, 3]
    nodes = [
        helper.make_node("Reshape", ["x", "pairs"], ["rows"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["rows", "shape"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "any height",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, shape)],
        [helper.make_tensor("pairs", TensorProto.INT64, [2], [-1, 2 * 64 * 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def test_a_graph_for_several_sizes_takes_the_one_it_is_told(tmp_path: Path) -> None:
    write_doubling(tmp_path / "model.onnx", "height")
    frame = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    with open_engine("onnx", tmp_path / "model.onnx", size=Size(32, 64)) as engine:
        assert engine.size == (32, 64)
        assert np.array_equal(engine.translate(frame), frame)


@pytest.mark.parametrize(
    ("height", "size", "complaint"),
    [
        ("height", None, "any size: say which"),
        ("height", Size(32, 48), "takes frames of 32x64, not 32x48"),
        ("height", Size(33, 64), "does not take frames of 33x64"),
        (32, Size(48, 64), "takes frames of 32x64, not 48x64: give --size 32x64"),
    ],
)
def test_a_size_that_a_graph_does_not_take_is_refused(
    tmp_path: Path, height: int | str, size: Size | None, complaint: str
) -> None:
    write_doubling(tmp_path / "model.onnx", height)
    with pytest.raises(InvalidInputError, match=complaint) as refusal:
        open_engine("onnx", tmp_path / "model.onnx", size=size)
    assert "\n" not in str(refusal.value)
