"""ONNX Runtime on CUDA, with its CPU acting the GPU: what is bound, recorded, kept apart and given up."""

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import pytest

from core.errors import BundleError, InvalidInputError, UnavailableError
from core.frames import Size
from runtime.engines import Engine, EngineSettings, graph_session, open_engine
from runtime.engines.bound_session import load_cuda_libraries, missing_library
from runtime.engines.graph_session import GraphSessionEngine
from tests.runtime.conftest import write_inverting_graph
from tests.runtime.engine_contract import SIZE, DeepEngineContract

CUDA: Final = "CUDAExecutionProvider"
CPU: Final = "CPUExecutionProvider"
REAL_SESSION: Final = onnxruntime.InferenceSession
REAL_MEMORY: Final = onnxruntime.OrtValue.ortvalue_from_shape_and_type


class ActedSession:
    """A session on the CPU that calls itself one on CUDA, and plays a CUDA graph as ONNX Runtime does.

    Attributes:
        starts: whether CUDA starts at all.
        records: whether a session with a CUDA graph can be made; otherwise some node runs on the CPU.
        plays: whether its first run can be recorded.
        refusal: what no session on CUDA can be made for.
    """

    made: Final[list["ActedSession"]] = []
    starts = records = plays = True
    refusal: Exception | None = None

    def __init__(
        self,
        path: Path,
        options: onnxruntime.SessionOptions,
        *,
        providers: list[tuple[str, dict[str, str]]],
        enable_fallback: bool,
    ) -> None:
        assert not enable_fallback, "it would go on with another device than was reported, and print so"
        self.asked = dict(providers)
        self.options = {name: values for name, values in providers if name != CUDA or self.starts}
        self.graph = self.options.get(CUDA, {}).get("enable_cuda_graph") == "1"
        if CUDA in self.asked and self.refusal is not None:
            raise self.refusal
        if self.graph and not self.records:
            raise RuntimeError("This session cannot use the graph capture feature")
        self._real = REAL_SESSION(path, options, providers=[CPU])
        self.ran_in: list[int] = []
        self.bindings: set[int] = set()
        self.made.append(self)

    def get_providers(self) -> list[str]:
        return list(self.options)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return self.options

    def run_with_iobinding(self, binding: onnxruntime.IOBinding) -> None:
        if self.graph and not self.plays:
            raise RuntimeError("CUDA failure 900: operation not permitted when stream is capturing")
        self.ran_in.append(threading.get_ident())
        self.bindings.add(id(binding))
        self._real.run_with_iobinding(binding)

    def run(self, names: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert CUDA not in self.options, "frames would go through pageable memory"
        return list(self._real.run(names, given))

    def io_binding(self) -> onnxruntime.IOBinding:
        return self._real.io_binding()

    def get_inputs(self) -> Any:
        return self._real.get_inputs()

    def get_outputs(self) -> Any:
        return self._real.get_outputs()


@pytest.fixture(autouse=True)
def acted(monkeypatch: pytest.MonkeyPatch) -> type[ActedSession]:
    """ONNX Runtime has CUDA."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", ActedSession)
    monkeypatch.setattr(
        onnxruntime.OrtValue, "ortvalue_from_shape_and_type", lambda shape, kind, _device, _id: REAL_MEMORY(shape, kind)
    )
    monkeypatch.setattr(graph_session, "load_cuda_libraries", lambda: None)
    for name, value in (("made", []), ("starts", True), ("records", True), ("plays", True), ("refusal", None)):
        monkeypatch.setattr(ActedSession, name, value)
    return ActedSession


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
        return open_engine("onnx", damaged)


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
        assert isinstance(engine, GraphSessionEngine)
        assert (engine.device, engine.graphs) == ("cuda", False)
        assert np.array_equal(engine.translate(frame), 255 - frame)
    assert not any(session.graph for session in acted.made[-depth:])


def test_a_graph_may_be_left_out_and_options_added(tmp_path: Path, acted: type[ActedSession]) -> None:
    path, settings = write_graph(tmp_path), EngineSettings(threads=1, device="cuda", graphs=False)
    with GraphSessionEngine(path, settings, cuda_options={"prefer_nhwc": "1"}) as engine:
        assert not engine.graphs
    (made,) = acted.made
    assert made.options[CUDA] == {"use_tf32": "0", "device_id": "0", "enable_cuda_graph": "0", "prefer_nhwc": "1"}


def test_cuda_that_does_not_start_is_an_error_only_where_it_was_asked_for(
    tmp_path: Path, acted: type[ActedSession], frame: np.ndarray
) -> None:
    acted.starts = False
    with open_engine("onnx", write_graph(tmp_path)) as engine:
        assert isinstance(engine, GraphSessionEngine)
        assert (engine.device, engine.graphs) == ("cpu", False), "what is really used"
        assert np.array_equal(engine.translate(frame), 255 - frame)
    with pytest.raises(UnavailableError, match=r"could not start it, and would run on cpu: .*driver") as failure:
        open_engine("onnx", write_graph(tmp_path), device="cuda")
    assert "\n" not in str(failure.value)


def test_a_gpu_that_is_not_found_is_one_line(tmp_path: Path, acted: type[ActedSession], frame: np.ndarray) -> None:
    acted.refusal = RuntimeError("CUDA failure 101: invalid device ordinal\nat line 1")
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
    with pytest.raises(UnavailableError, match=r"no memory on cuda \(CUDA failure 2: out of memory\)"):
        open_engine("onnx", write_graph(tmp_path), device="cuda")


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
    monkeypatch.setattr(graph_session, "load_cuda_libraries", load_cuda_libraries.__wrapped__)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcudnn.so.9"))
    loads: list[str] = []
    open_engine("onnx", write_graph(tmp_path), device="cuda").close()
    assert capfd.readouterr().out == ""
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loads.append("loaded"))
    open_engine("onnx", write_graph(tmp_path), device="cpu").close()
    assert not loads
    open_engine("onnx", write_graph(tmp_path)).close()
    assert loads


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
