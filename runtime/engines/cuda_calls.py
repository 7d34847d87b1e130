"""The few calls of the CUDA runtime that an engine needs."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UnavailableError


class CudaCalls:
    """Each call is checked; memory, streams and graphs are remembered, so that all can be given back."""

    def __init__(self, bindings: ModuleType) -> None:
        self._api = bindings
        self._index = 0
        self._device: list[int] = []
        self._host: list[int] = []
        self._streams: list[int] = []
        self._graphs: list[Any] = []

    def _check(self, answer: tuple[Any, ...], what: str) -> Any:
        if int(answer[0]) != 0:
            raise UnavailableError(f"CUDA could not {what}: {getattr(answer[0], 'name', answer[0])}")
        return answer[1] if len(answer) > 1 else None

    def open_device(self, title: str, index: int = 0) -> str:
        """Take the GPU of this ``index`` for what is done while ``active``; gives ``cuda:0`` (its index) and its name.

        Raises:
            UnavailableError: if there is none, with what ``title`` needs, or none of this index, with those there are.
        """
        advice = f"{title} engines run on an NVIDIA GPU, and CUDA finds none here"
        try:
            answer = self._api.cudaGetDeviceCount()
        except RuntimeError as error:  # the bindings raise where there is no driver to ask
            raise UnavailableError(f"{advice} (no CUDA driver): choose another target") from error
        if int(answer[0]) != 0 or answer[1] < 1:
            raise UnavailableError(f"{advice} ({getattr(answer[0], 'name', answer[0])}): choose another target")
        if index >= answer[1]:
            there = ", ".join(self._device_name(one) for one in range(answer[1]))
            raise UnavailableError(f"CUDA finds no GPU cuda:{index} here, only {there}: choose another --device")
        self._index = index
        return self._device_name(index)

    def _device_name(self, index: int) -> str:
        name = self._check(self._api.cudaGetDeviceProperties(index), "name the GPU").name
        return f"cuda:{index} {bytes(name).split(bytes(1))[0].decode()}"

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let this thread's calls go to the GPU that was opened, and afterwards to the one that they went to before."""
        before = int(self._check(self._api.cudaGetDevice(), "tell which GPU is in use"))
        self._check(self._api.cudaSetDevice(self._index), f"use GPU {self._index}")
        try:
            yield
        finally:
            if before != self._index:
                self._check(self._api.cudaSetDevice(before), f"use GPU {before} again")

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
        """Wait for all work, and free the CUDA graphs. All is tried; what failed first is raised at the end."""
        self._all(
            [partial(self.wait, stream) for stream in self._streams],
            _emptied(
                self._graphs, lambda graph: self._check(self._api.cudaGraphExecDestroy(graph), "free a CUDA graph")
            ),
        )

    def free(self) -> None:
        """Free memory and streams; all is tried, and what failed first is raised at the end."""
        api = self._api
        self._all(
            _emptied(self._device, lambda pointer: self._check(api.cudaFree(pointer), "free GPU memory")),
            _emptied(self._host, lambda pointer: self._check(api.cudaFreeHost(pointer), "free pinned memory")),
            _emptied(self._streams, lambda stream: self._check(api.cudaStreamDestroy(stream), "destroy a stream")),
        )

    def _all(self, *groups: list[Callable[[], object]]) -> None:
        first: UnavailableError | None = None
        for work in chain(*groups):
            try:
                work()
            except UnavailableError as error:
                first = first or error
        if first is not None:
            raise first


def _emptied(handles: list[Any], free: Callable[[Any], object]) -> list[Callable[[], object]]:
    """What frees each of ``handles``, which are forgotten first, so that none is freed twice."""
    work = [partial(free, handle) for handle in reversed(handles)]
    handles.clear()
    return list(work)
