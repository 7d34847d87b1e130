"""CUDA in ONNX Runtime, acted by its CPU: sessions are real ones, and say that they are on a GPU."""

import threading
import weakref
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import pytest

from runtime.engines import cuda_session

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
        room: for how many sessions on CUDA at a time there is memory.
    """

    made: Final[list["ActedSession"]] = []
    alive: Final[weakref.WeakSet["ActedSession"]] = weakref.WeakSet()
    starts = records = plays = True
    refusal: Exception | None = None
    room = 100

    def __init__(
        self,
        path: Path,
        options: onnxruntime.SessionOptions,
        *,
        providers: list[Any],
        enable_fallback: bool,
    ) -> None:
        assert not enable_fallback, "it would go on with another device than was reported, and print so"
        self.threads = options.intra_op_num_threads
        self.asked = dict((one, {}) if isinstance(one, str) else one for one in providers)
        self.options = {name: values for name, values in self.asked.items() if name != CUDA or self.starts}
        self.graph = self.options.get(CUDA, {}).get("enable_cuda_graph") == "1"
        if CUDA in self.asked and self.refusal is not None:
            raise self.refusal
        if self.graph and not self.records:
            raise RuntimeError("This session cannot use the graph capture feature")
        if CUDA in self.options and len(self.alive) >= self.room:
            raise RuntimeError("/onnxruntime_src/cuda_call.cc:129 CudaCall(...) CUDA failure 2: out of memory ; GPU=0")
        self._real = REAL_SESSION(path, options, providers=[CPU])
        if CUDA in self.options:
            self.alive.add(self)
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


def act(monkeypatch: pytest.MonkeyPatch) -> type[ActedSession]:
    """Let ONNX Runtime have CUDA."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", ActedSession)
    monkeypatch.setattr(
        onnxruntime.OrtValue, "ortvalue_from_shape_and_type", lambda shape, kind, _device, _id: REAL_MEMORY(shape, kind)
    )
    monkeypatch.setattr(cuda_session, "load_cuda_libraries", lambda: None)
    defaults = {"made": [], "alive": weakref.WeakSet(), "starts": True, "records": True, "plays": True}
    for name, value in (defaults | {"refusal": None, "room": 100}).items():
        monkeypatch.setattr(ActedSession, name, value)
    return ActedSession
