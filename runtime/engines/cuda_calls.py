"""The few calls of the CUDA runtime that an engine needs."""

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UnavailableError


class CudaCalls:
    """Each call is checked; memory, streams and graphs are remembered, so that all can be given back."""

    def __init__(self, bindings: ModuleType) -> None:
        self._api = bindings
        self._device: list[int] = []
        self._host: list[int] = []
        self._streams: list[int] = []
        self._graphs: list[Any] = []

    def _check(self, answer: tuple[Any, ...], what: str) -> Any:
        if int(answer[0]) != 0:
            raise UnavailableError(f"CUDA could not {what}: {getattr(answer[0], 'name', answer[0])}")
        return answer[1] if len(answer) > 1 else None

    def device_name(self, title: str) -> str:
        """The first GPU, as ``cuda:0`` and its name; if there is none, an error that says what ``title`` needs."""
        advice = f"{title} engines run on an NVIDIA GPU, and CUDA finds none here"
        try:
            answer = self._api.cudaGetDeviceCount()
        except RuntimeError as error:  # the bindings raise where there is no driver to ask
            raise UnavailableError(f"{advice} (no CUDA driver): choose another target") from error
        if int(answer[0]) != 0 or answer[1] < 1:
            raise UnavailableError(f"{advice} ({getattr(answer[0], 'name', answer[0])}): choose another target")
        name = self._check(self._api.cudaGetDeviceProperties(0), "name the GPU").name
        return f"cuda:0 {bytes(name).split(bytes(1))[0].decode()}"

    def stream(self) -> int:
        """A stream that does not wait for the default one."""
        made = self._check(self._api.cudaStreamCreateWithFlags(self._api.cudaStreamNonBlocking), "create a stream")
        self._streams.append(int(made))
        return int(made)

    def allocate(self, size: int) -> int:
        """The address of ``size`` bytes on the GPU."""
        pointer = int(self._check(self._api.cudaMalloc(size), f"allocate {size} bytes on the GPU"))
        self._device.append(pointer)
        return pointer

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An array in host memory that the GPU can copy to and from by itself."""
        size = int(np.prod(shape))
        pointer = int(self._check(self._api.cudaHostAlloc(size, 0), f"allocate {size} pinned bytes"))
        self._host.append(pointer)
        memory = (ctypes.c_uint8 * size).from_address(pointer)
        return np.ctypeslib.as_array(memory).reshape(shape)

    def copy(self, target: int, source: int, size: int, stream: int, *, up: bool) -> None:
        """Put a copy between addresses onto ``stream``: ``up`` to the GPU, or down from it."""
        kinds = self._api.cudaMemcpyKind
        kind = kinds.cudaMemcpyHostToDevice if up else kinds.cudaMemcpyDeviceToHost
        self._check(self._api.cudaMemcpyAsync(target, source, size, kind, stream), "copy a frame")

    def wait(self, stream: int) -> None:
        """Wait until everything on ``stream`` is done."""
        self._check(self._api.cudaStreamSynchronize(stream), "finish a frame")

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """A CUDA graph of what ``work`` puts onto ``stream``, which is not done now."""
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._check(self._api.cudaStreamBeginCapture(stream, mode), "begin a CUDA graph")
        try:
            work()
        finally:
            graph = self._check(self._api.cudaStreamEndCapture(stream), "end a CUDA graph")
        executable = self._check(self._api.cudaGraphInstantiate(graph, 0), "instantiate a CUDA graph")
        self._graphs.append(executable)
        self._check(self._api.cudaGraphDestroy(graph), "free a CUDA graph")
        return executable

    def launch(self, graph: Any, stream: int) -> None:
        """Put a CUDA graph onto ``stream``."""
        self._check(self._api.cudaGraphLaunch(graph, stream), "launch a CUDA graph")

    def finish(self) -> None:
        """Wait for all work, and free the CUDA graphs."""
        for stream in self._streams:
            self.wait(stream)
        while self._graphs:
            self._check(self._api.cudaGraphExecDestroy(self._graphs.pop()), "free a CUDA graph")

    def free(self) -> None:
        """Free memory and streams; a handle is forgotten before it is freed, so that none is freed twice."""
        while self._device:
            self._check(self._api.cudaFree(self._device.pop()), "free GPU memory")
        while self._host:
            self._check(self._api.cudaFreeHost(self._host.pop()), "free pinned memory")
        while self._streams:
            self._check(self._api.cudaStreamDestroy(self._streams.pop()), "destroy a stream")
