"""ONNX Runtime on CUDA, with its CPU acting the GPU: what is bound, recorded, kept apart and given up."""

import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from core.errors import BundleError, InvalidInputError, UnavailableError
from core.frames import Size
from runtime.engines import Engine, EngineSettings, cuda_session, open_engine
from runtime.engines.cuda_session import CudaSessionEngine, load_cuda_libraries, missing_library
from runtime.engines.graph_session import GraphSessionEngine
from tests.runtime.acted_cuda import CPU, CUDA, ActedSession, act
from tests.runtime.conftest import write_inverting_graph
from tests.runtime.engine_contract import SIZE, DeepEngineContract


@pytest.fixture(autouse=True)
def acted(monkeypatch: pytest.MonkeyPatch) -> type[ActedSession]:
    """ONNX Runtime has CUDA."""
    return act(monkeypatch)


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def write_graph(folder: Path) -> Path:
    write_inverting_graph(folder / "model.onnx", SIZE)
    return folder / "model.onnx"


class TestOnnxRuntimeActingCuda(DeepEngineContract):
    def open(self, folder: Path) -> Engine:
        return open_engine("onnx", write_graph(folder), device="cuda")

    def open_deep(self, folder: Path, depth: int) -> Engine:
        return open_engine("onnx", write_graph(folder), device="cuda", depth=depth)

    def open_damaged(self, folder: Path) -> Engine:
        damaged = folder / "damaged.onnx"
        damaged.write_bytes(write_graph(folder).read_bytes()[:-40])
        return open_engine("onnx", damaged, device="cuda")


@pytest.mark.parametrize(
    ("device", "providers", "used"),
    [
        (None, [CUDA, CPU], "cuda"),
        ("cpu", [CPU], "cpu"),
        ("cuda", [CUDA, CPU], "cuda"),
        ("CUDA:1", [CUDA, CPU], "cuda:1"),
    ],
)
def test_it_is_given_the_device_and_reports_it(
    device: str | None, providers: list[str], used: str, tmp_path: Path, acted: type[ActedSession]
) -> None:
    with open_engine("onnx", write_graph(tmp_path), device=device) as engine:
        assert engine.device == used
    (made,) = acted.made
    assert made.get_providers() == providers
    if used == "cuda:1":
        assert made.options[CUDA]["device_id"] == "1"


def test_each_call_under_way_has_a_session_a_thread_and_memory_of_its_own(
    tmp_path: Path, acted: type[ActedSession], frame: np.ndarray
) -> None:
    with open_engine("onnx", write_graph(tmp_path), device="cuda", depth=3) as engine:
        for _ in range(4):
            pending = [engine.submit(frame) for _ in range(3)]
            assert all(np.array_equal(one.result(), 255 - frame) for one in pending)
    assert len(acted.made) == 3
    for session in acted.made:
        assert session.graph
        assert len(session.ran_in) == 5, "once before the first frame, while nobody waits"
        assert len(set(session.ran_in)) == len(session.bindings) == 1
    assert len({session.ran_in[0] for session in acted.made}) == 3


def test_results_stay_when_the_memory_is_used_again(tmp_path: Path, frame: np.ndarray) -> None:
    with open_engine("onnx", write_graph(tmp_path), device="cuda") as engine:
        first = engine.translate(frame)
        engine.translate(255 - frame)
    assert np.array_equal(first, 255 - frame)


@pytest.mark.parametrize("failing", ["records", "plays"])
@pytest.mark.parametrize("depth", [1, 2])
def test_what_cannot_be_recorded_is_launched_kernel_by_kernel(
    failing: str, depth: int, tmp_path: Path, acted: type[ActedSession], frame: np.ndarray
) -> None:
    setattr(acted, failing, False)
    with open_engine("onnx", write_graph(tmp_path), device="cuda", depth=depth) as engine:
        assert isinstance(engine, CudaSessionEngine)
        assert (engine.device, engine.graphs) == ("cuda", False)
        assert np.array_equal(engine.translate(frame), 255 - frame)
    assert not any(session.graph for session in acted.made[-depth:])


def test_a_graph_may_be_left_out_and_options_added(tmp_path: Path, acted: type[ActedSession]) -> None:
    path, settings = write_graph(tmp_path), EngineSettings(threads=1, device="cuda", graphs=False)
    with CudaSessionEngine(path, settings, cuda_options={"prefer_nhwc": "1"}) as engine:
        assert not engine.graphs
    (made,) = acted.made
    assert made.options[CUDA] == {"use_tf32": "0", "device_id": "0", "enable_cuda_graph": "0", "prefer_nhwc": "1"}


def test_cuda_that_does_not_start_is_an_error_only_where_it_was_asked_for(
    tmp_path: Path, acted: type[ActedSession], frame: np.ndarray
) -> None:
    acted.starts = False
    with open_engine("onnx", write_graph(tmp_path)) as engine:
        assert isinstance(engine, GraphSessionEngine)
        assert engine.device == "cpu", "what is really used"
        assert (engine.note or "").startswith("not on the GPU: ONNX Runtime has CUDAExecutionProvider but could not")
        assert np.array_equal(engine.translate(frame), 255 - frame)
    with pytest.raises(UnavailableError, match=r"could not start it, and would run on cpu: .*driver") as failure:
        open_engine("onnx", write_graph(tmp_path), device="cuda")
    assert "\n" not in str(failure.value)


def test_a_gpu_that_is_not_found_is_one_line(tmp_path: Path, acted: type[ActedSession], frame: np.ndarray) -> None:
    acted.refusal = RuntimeError(
        "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:129 std::conditional_t<THRW, void, Status> "
        "onnxruntime::CudaCall(ERRTYPE, const char*) [with ERRTYPE = cudaError; bool THRW = true] "
        "CUDA failure 101: invalid device ordinal ; GPU=32767 ; hostname=box ; file=cuda_execution_provider_info.cc\n"
    )
    with pytest.raises(UnavailableError, match=r"on cuda:7 \(CUDA failure 101: invalid device ordinal\)") as failure:
        open_engine("onnx", write_graph(tmp_path), device="cuda:7")
    assert "\n" not in str(failure.value)
    with open_engine("onnx", write_graph(tmp_path)) as engine:
        assert engine.device == "cpu", "nobody asked for the GPU"
        assert np.array_equal(engine.translate(frame), 255 - frame)


def test_a_gpu_without_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", full)
    write_inverting_graph(tmp_path / "any.onnx", ("height", "width"))
    for path in (write_graph(tmp_path), tmp_path / "any.onnx"):
        with pytest.raises(
            UnavailableError, match=r"no memory for frames on cuda \(CUDA failure 2: out of memory\): give --device"
        ):
            open_engine("onnx", path, size=SIZE, device="cuda")


def test_a_size_that_a_graph_for_any_size_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "any.onnx"
    write_inverting_graph(path, ("height", "width"))
    with open_engine("onnx", path, size=Size(32, 48), device="cuda") as engine:
        assert engine.size == Size(32, 48)

    def fail(*_: object) -> None:
        raise RuntimeError("Got invalid dimensions")

    monkeypatch.setattr(ActedSession, "run_with_iobinding", fail)
    with pytest.raises(InvalidInputError, match="does not take frames of 32x48"):
        open_engine("onnx", path, size=Size(32, 48), device="cuda")


def test_cudas_libraries_are_loaded_where_it_is_meant_and_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    severities: list[int] = []
    monkeypatch.setattr(onnxruntime, "set_default_logger_severity", severities.append)
    monkeypatch.setattr(onnxruntime, "print", print, raising=False)
    monkeypatch.setattr(cuda_session, "load_cuda_libraries", load_cuda_libraries.__wrapped__)
    monkeypatch.setattr(onnxruntime, "cuda_version", "11.8")  # for which it prints that it loads nothing
    onnxruntime.preload_dlls()
    assert "WARNING" in capfd.readouterr().out, "or else there were nothing to be silent about"
    open_engine("onnx", write_graph(tmp_path), device="cpu").close()
    assert not severities
    open_engine("onnx", write_graph(tmp_path), device="cuda").close()
    open_engine("onnx", write_graph(tmp_path)).close()
    assert severities == [4, 4]
    assert capfd.readouterr().out == ""


def test_what_the_linker_lacks_is_told(
    tmp_path: Path, acted: type[ActedSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "capi").mkdir()
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    assert missing_library() is None, "no CUDA provider, and so nothing that it lacks"
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(b"no library")
    acted.starts = False
    with pytest.raises(UnavailableError, match=r"could not start it \(.*libonnxruntime_providers_cuda.so: .*\), and"):
        open_engine("onnx", write_graph(tmp_path), device="cuda")


def test_damage_is_told_from_a_missing_gpu(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match="export it again"):
        open_engine("onnx", tmp_path / "bad.onnx")
    with pytest.raises(BundleError, match="export it again"):
        open_engine("onnx", tmp_path / "bad.onnx", device="cuda")


@pytest.mark.parametrize("room", [0, 1, 2])
def test_where_memory_ends_no_session_is_on_another_device(
    room: int, tmp_path: Path, acted: type[ActedSession], frame: np.ndarray
) -> None:
    acted.room = room
    with pytest.raises(UnavailableError, match=r"on cuda \(CUDA failure 2: out of memory\): give another --device$"):
        open_engine("onnx", write_graph(tmp_path), device="cuda", depth=3)
    with open_engine("onnx", write_graph(tmp_path), depth=3) as engine:
        assert isinstance(engine, GraphSessionEngine)
        assert np.array_equal(engine.translate(frame), 255 - frame)
    assert acted.made[-1].get_providers() == [CPU]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_what_failed_is_gone_before_it_is_tried_in_another_way(
    depth: int, tmp_path: Path, acted: type[ActedSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(list["ActedSession"]):
        def append(self, _session: "ActedSession") -> None:
            pass

    monkeypatch.setattr(ActedSession, "made", Forgetful())
    acted.plays, acted.room = False, depth
    with open_engine("onnx", write_graph(tmp_path), device="cuda", depth=depth) as engine:
        assert isinstance(engine, CudaSessionEngine)
        assert not engine.graphs
        assert len(acted.alive) == depth


def test_cores_are_shared_by_the_sessions(tmp_path: Path, acted: type[ActedSession]) -> None:
    for depth, threads in ((1, 8), (3, 2), (16, 1)):
        acted.made.clear()
        open_engine("onnx", write_graph(tmp_path), device="cuda", depth=depth, threads=8).close()
        assert [session.threads for session in acted.made] == [threads] * depth


def test_a_session_is_run_by_one_thread_whoever_asks(
    tmp_path: Path, acted: type[ActedSession], frame: np.ndarray
) -> None:
    with open_engine("onnx", write_graph(tmp_path), device="cuda") as engine:
        engine.translate(frame)
        other = threading.Thread(target=lambda: engine.translate(frame))
        other.start()
        other.join()
        engine.submit(frame).result()
    (session,) = acted.made
    assert len(session.ran_in) == 4
    assert len(set(session.ran_in)) == 1
    assert threading.get_ident() not in session.ran_in


def test_a_recording_is_alone(tmp_path: Path, frame: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one engine at work, another one is loaded, as key n does it."""
    running = threading.Semaphore(0)
    run, under_way = ActedSession.run_with_iobinding, [0]
    overlaps: list[bool] = []

    def watched(session: ActedSession, binding: onnxruntime.IOBinding) -> None:
        records = session.graph and not session.ran_in
        under_way[0] += 1
        for _ in range(5):
            time.sleep(0.002)
            overlaps.append(records and under_way[0] > 1)
        run(session, binding)
        under_way[0] -= 1
        running.release()

    monkeypatch.setattr(ActedSession, "run_with_iobinding", watched)
    with open_engine("onnx", write_graph(tmp_path), device="cuda") as engine:
        stop = threading.Event()
        stream = threading.Thread(target=lambda: [engine.translate(frame) for _ in iter(stop.is_set, True)])
        stream.start()
        running.acquire()
        open_engine("onnx", write_graph(tmp_path), device="cuda").close()
        stop.set()
        stream.join()
    assert overlaps
    assert not any(overlaps)
