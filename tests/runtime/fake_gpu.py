"""TensorRT and the CUDA runtime, acted out in ordinary memory, so that the engine's own logic runs without a GPU.

"Device" memory is heap memory at its real address; a stream is a list of work that is done when that stream is waited
for, which is what catches an engine that reads its output before the stream is done.
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
        self.pending: dict[int, list[Callable[[], None]]] = {}
        self.captured: list[Callable[[], None]] | None = None
        self.captured_stream = 0
        self.works: dict[int, list[Callable[[], None]]] = {}
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

    def submit(self, work: Callable[[], None], stream: int) -> None:
        assert ("stream", stream) in self.handles, "work for a stream that is not there"
        if self.captured is None:
            self.pending.setdefault(stream, []).append(work)
        else:
            assert stream == self.captured_stream, "work for another stream than the one that is captured"
            self.captured.append(work)

    def _allocate(self, size: int) -> int:
        block = (ctypes.c_uint8 * size)()
        self.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def _free(self, pointer: int) -> tuple[int]:
        return (0,) if self.memory.pop(pointer, None) is not None else (1,)

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return (0, self.devices) if self.devices else (100, 0)

    def cudaGetDevice(self) -> tuple[int, int]:
        return 0, 0

    def cudaSetDevice(self, _index: int) -> tuple[int]:
        return (0,)

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

    def cudaMemcpyAsync(self, target: int, source: int, size: int, _kind: int, stream: int) -> tuple[int]:
        self.submit(lambda: ctypes.memmove(target, source, size), stream)
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        for work in self.pending.pop(stream, []):
            work()
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, _mode: int) -> tuple[int]:
        self.captured, self.captured_stream = [], stream
        return (0,)

    def cudaStreamEndCapture(self, _stream: int) -> tuple[int, int]:
        graph = self._make("graph")
        self.works[graph], self.captured = self.captured or [], None
        return 0, graph

    def cudaGraphInstantiate(self, graph: int, _flags: int) -> tuple[int, int]:
        if ("graph", graph) not in self.handles:
            return 400, 0
        executable = self._make("executable")
        self.works[executable] = self.works[graph]
        return 0, executable

    def cudaGraphDestroy(self, graph: int) -> tuple[int]:
        return self._drop("graph", graph)

    def cudaGraphExecDestroy(self, executable: int) -> tuple[int]:
        return self._drop("executable", executable)

    def cudaGraphLaunch(self, executable: int, stream: int) -> tuple[int]:
        if ("executable", executable) not in self.handles:
            return (400,)
        self.graphs_launched += 1
        for work in self.works[executable]:
            self.submit(work, stream)
        return (0,)


class FakeContext:
    """An execution context that inverts every value of frames of its shape."""

    def __init__(self, cuda: FakeCuda, plan: "FakePlan") -> None:
        self._cuda = cuda
        self._plan = plan
        self._shape = plan.shape
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self._plan.profile
        if not all(low <= side <= high for low, side, high in zip(least, shape, most, strict=True)):
            return False
        self._shape = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """As a U-Net's: what it gives is known only for frames in whole steps."""
        batch, height, width, channels = self._shape
        whole = height % self._plan.step == 0 and width % self._plan.step == 0
        return self._shape if whole or name == "frames" else (batch, -1, -1, channels)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address in self._cuda.memory

    def execute_async_v3(self, stream: int) -> bool:
        assert min(self._shape) > 0, "enqueued before the input's shape was set"
        self._cuda.submit(self._invert, stream)
        return True

    def _invert(self) -> None:
        count = int(np.prod(self._shape))
        views = {
            name: np.frombuffer((ctypes.c_uint8 * count).from_address(address), dtype=np.uint8)
            for name, address in self._addresses.items()
        }
        np.subtract(255, views["frames"], out=views["translation"])


class FakePlan:
    """A deserialized engine: for one frame of ``size``, or if that is None for frames within its profile."""

    num_io_tensors = 2
    step = 16
    profile = ((1, 16, 16, 3), (4, 48, 64, 3), (4, 128, 128, 3))

    def __init__(self, cuda: FakeCuda, size: Size | None) -> None:
        self._cuda = cuda
        self.shape = (1, *size, 3) if size else (-1, -1, -1, 3)
        self.out_of_memory = False

    def get_tensor_name(self, index: int) -> str:
        return ("translation", "frames")[index]  # the output first: order must not matter

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name == "frames" else "output"

    def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
        return self.shape

    def get_tensor_profile_shape(self, _name: str, _profile: int) -> list[tuple[int, ...]]:
        return list(self.profile)

    def create_execution_context(self, config: Any = None) -> FakeContext | None:
        self.config = config
        if self.out_of_memory:
            return None
        if config is not None:
            config.compile()
        return FakeContext(self._cuda, self)


class FakeRuntimeCache:
    """Compiled kernels; ``reads`` is what this version and GPU understand."""

    reads = b"kernels"

    def __init__(self) -> None:
        self.content = b""

    def deserialize(self, content: bytes) -> bool:
        if content == self.reads:
            self.content = content
        return content == self.reads

    def serialize(self) -> bytes:
        return self.content


class FakeRuntimeConfig:
    """What a context is made with; making one compiles what its cache does not hold."""

    def __init__(self) -> None:
        self.cuda_graph_strategy = "disabled"
        self.dynamic_shapes_kernel_specialization_strategy = "lazy"
        self.compiled = 0
        self._cache = FakeRuntimeCache()

    def create_runtime_cache(self) -> FakeRuntimeCache:
        return FakeRuntimeCache()

    def set_runtime_cache(self, cache: FakeRuntimeCache) -> bool:
        self._cache = cache
        return True

    def compile(self) -> None:
        if not self._cache.content:
            self.compiled += 1
            self._cache.content = FakeRuntimeCache.reads


class FakeRtxPlan(FakePlan):
    """The same with what only TensorRT-RTX has."""

    def create_runtime_config(self) -> FakeRuntimeConfig:
        return FakeRuntimeConfig()


def fake_tensorrt(cuda: FakeCuda, size: Size | None, *, rtx: bool = False) -> Any:
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
        module.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole", DISABLED="disabled")
        module.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")
    return module
