"""TensorRT and the CUDA runtime, acted out in ordinary memory, so that the engine's own logic runs without a GPU.

"Device" memory is heap memory at its real address; a stream is a list of work that is done when it is waited for, which
is what catches an engine that reads its output before the stream is done.
"""

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from core.frames import Size


class FakeCuda:
    """The part of ``cuda.bindings.runtime`` that the engine uses; every call answers ``(error, ...)`` as there."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, *, devices: int = 1) -> None:
        self.devices = devices
        self.memory: dict[int, Any] = {}
        self.pending: list[Callable[[], None]] = []
        self.captured: list[Callable[[], None]] | None = None
        self.graphs_launched = 0
        self.handles: set[tuple[str, int]] = set()
        self._next = 100

    def _make(self, kind: str) -> int:
        self._next += 1
        self.handles.add((kind, self._next))
        return self._next

    def _drop(self, kind: str, handle: int) -> tuple[int]:
        if (kind, handle) not in self.handles:
            return (400,)  # cudaErrorInvalidResourceHandle
        self.handles.remove((kind, handle))
        return (0,)

    def submit(self, work: Callable[[], None]) -> None:
        (self.pending if self.captured is None else self.captured).append(work)

    def _allocate(self, size: int) -> int:
        block = (ctypes.c_uint8 * size)()
        self.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def _free(self, pointer: int) -> tuple[int]:
        return (0,) if self.memory.pop(pointer, None) is not None else (1,)

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return (0, self.devices) if self.devices else (100, 0)

    def cudaGetDeviceProperties(self, _device: int) -> tuple[int, Any]:
        return 0, SimpleNamespace(name=b"Fake GPU\0\0\0")

    def cudaStreamCreateWithFlags(self, _flags: int) -> tuple[int, int]:
        return 0, self._make("stream")

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        return self._drop("stream", stream)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        return 0, self._allocate(size)

    def cudaHostAlloc(self, size: int, _flags: int) -> tuple[int, int]:
        return 0, self._allocate(size)

    def cudaFree(self, pointer: int) -> tuple[int]:
        return self._free(pointer)

    def cudaFreeHost(self, pointer: int) -> tuple[int]:
        return self._free(pointer)

    def cudaMemcpyAsync(self, target: int, source: int, size: int, _kind: int, _stream: int) -> tuple[int]:
        self.submit(lambda: ctypes.memmove(target, source, size))
        return (0,)

    def cudaStreamSynchronize(self, _stream: int) -> tuple[int]:
        for work in self.pending:
            work()
        self.pending.clear()
        return (0,)

    def cudaStreamBeginCapture(self, _stream: int, _mode: int) -> tuple[int]:
        self.captured = []
        return (0,)

    def cudaStreamEndCapture(self, _stream: int) -> tuple[int, int]:
        self.work, self.captured = self.captured or [], None
        return 0, self._make("graph")

    def cudaGraphInstantiate(self, graph: int, _flags: int) -> tuple[int, int]:
        return (0, self._make("executable")) if ("graph", graph) in self.handles else (400, 0)

    def cudaGraphDestroy(self, graph: int) -> tuple[int]:
        return self._drop("graph", graph)

    def cudaGraphExecDestroy(self, executable: int) -> tuple[int]:
        return self._drop("executable", executable)

    def cudaGraphLaunch(self, executable: int, _stream: int) -> tuple[int]:
        if ("executable", executable) not in self.handles:
            return (400,)
        self.graphs_launched += 1
        self.pending.extend(self.work)
        return (0,)


class FakeContext:
    """An execution context that inverts every value."""

    def __init__(self, cuda: FakeCuda, count: int) -> None:
        self._cuda = cuda
        self._count = count
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address in self._cuda.memory

    def execute_async_v3(self, _stream: int) -> bool:
        self._cuda.submit(self._invert)
        return True

    def _invert(self) -> None:
        views = {
            name: np.frombuffer((ctypes.c_uint8 * self._count).from_address(address), dtype=np.uint8)
            for name, address in self._addresses.items()
        }
        np.subtract(255, views["frames"], out=views["translation"])


class FakePlan:
    """A deserialized engine for one frame of ``size``."""

    num_io_tensors = 2

    def __init__(self, cuda: FakeCuda, size: Size) -> None:
        self._cuda = cuda
        self._shape = (1, *size, 3)
        self.out_of_memory = False

    def get_tensor_name(self, index: int) -> str:
        return ("translation", "frames")[index]  # the output first: order must not matter

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name == "frames" else "output"

    def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
        return self._shape

    def create_execution_context(self, config: Any = None) -> FakeContext | None:
        self.config = config
        if self.out_of_memory:
            return None
        return FakeContext(self._cuda, int(np.prod(self._shape)))


class FakeRtxPlan(FakePlan):
    """The same with what only TensorRT-RTX has."""

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(cuda_graph_strategy=None)


def fake_tensorrt(cuda: FakeCuda, size: Size, *, rtx: bool = False) -> Any:
    """A TensorRT module that reads the plan ``b"plan"`` and no other."""
    plan = (FakeRtxPlan if rtx else FakePlan)(cuda, size)

    class ILogger:
        INTERNAL_ERROR, ERROR = 0, 1

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> FakePlan | None:
            if data == b"plan":
                return plan
            self.logger.log(1, "the magic tag does not match\n")
            return None

    module = SimpleNamespace(
        __version__="0.fake", ILogger=ILogger, Runtime=Runtime, TensorIOMode=SimpleNamespace(INPUT="input"), plan=plan
    )
    if rtx:
        module.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
    return module
