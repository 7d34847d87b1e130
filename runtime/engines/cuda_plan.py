"""TensorRT and TensorRT-RTX engines ("plans") on an NVIDIA GPU.

Both have one Python API; the module that reads the plan is handed in. What only TensorRT-RTX has (CUDA graphs of its
own, kernels compiled when the plan is opened and kept for the next time) is found with ``hasattr``. Memory is pinned
and all work goes to a stream of its own (NVIDIA, "TensorRT best practices": asynchronous copies need pinned memory, the
default stream serializes).
"""

import ctypes
import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.cache_folder import keep_cached, read_cached
from core.errors import InvalidInputError, UnavailableError
from core.formats import TARGETS
from core.frames import Size
from runtime.engines.base import Engine, EngineSettings
from runtime.engines.tensorrt_log import collecting_logger


class CudaPlanEngine(Engine):
    """A plan, its execution context, its pinned and device buffers, and its CUDA graph."""

    def __init__(
        self,
        path: Path,
        settings: EngineSettings,
        *,
        flavour: str,
        trt: ModuleType | None = None,
        cuda: ModuleType | None = None,
    ) -> None:
        """Load the plan at ``path``.

        Args:
            path: a file that ``p2p-export`` wrote.
            settings: the size of the frames, for a plan that takes several. Threads are recorded only: the work is
                the GPU's.
            flavour: ``tensorrt`` or ``tensorrt_rtx``.
            trt: the TensorRT module; default: the flavour's own.
            cuda: the CUDA runtime bindings; default: ``cuda.bindings.runtime``.

        Raises:
            UnavailableError: for a depth above 1; if there is no NVIDIA GPU or driver, or the plan is not for this GPU
                or library version.
            InvalidInputError: for a ``size`` that the plan does not take, or none where it takes several.
        """
        title = TARGETS[flavour].title
        if settings.depth > 1:
            raise UnavailableError(f"{title} engines work on one frame at a time here: leave out --depth")
        trt = trt or importlib.import_module(TARGETS[flavour].modules[0])
        self._cuda = _Cuda(cuda or importlib.import_module("cuda.bindings.runtime"))
        self.device = self._cuda.device_name(title)
        self.threads = settings.threads
        self._log = collecting_logger(trt)
        self._context: Any = None
        self._kernels: _Kernels | None = None
        content = path.read_bytes()
        self._plan = trt.Runtime(self._log).deserialize_cuda_engine(content)
        if self._plan is None:
            raise UnavailableError(
                f"{path.name} cannot be read by {title} {trt.__version__} on {self.device}: export it on this machine"
                + f" ({self._log.errors[0]})" * bool(self._log.errors)
            )
        try:
            if hasattr(trt, "CudaGraphStrategy"):
                digest = hashlib.sha256(content).hexdigest()[:16]
                self._kernels = _Kernels(self._plan, trt, f"{flavour}-{trt.__version__}-{self.device}-{digest}")
                self._log.errors.clear()  # what it thinks of old kernels is no reason for what follows
            self._prepare(trt, settings.size)
        except BaseException:
            self.close()
            raise

    def _prepare(self, trt: ModuleType, size: Size | None) -> None:
        """Make the context, the buffers and the CUDA graph."""
        kernels = self._kernels
        self._context = kernels.execution_context() if kernels else self._plan.create_execution_context()
        if self._context is None:
            raise UnavailableError(f"the GPU cannot run the engine: {'; '.join(self._log.errors) or 'no reason given'}")
        names = [self._plan.get_tensor_name(i) for i in range(self._plan.num_io_tensors)]
        is_input = {name: self._plan.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        source = next(name for name in names if is_input[name])
        target = next(name for name in names if not is_input[name])
        shape = self._choose_shape(source, target, size)
        self._stream = self._cuda.stream()
        self._host_input, self._host_output = self._cuda.pinned(shape), self._cuda.pinned(shape)
        self._device_input = self._cuda.allocate(self._host_input.nbytes)
        self._device_output = self._cuda.allocate(self._host_output.nbytes)
        for name, address in ((source, self._device_input), (target, self._device_output)):
            if not self._context.set_tensor_address(name, address):
                raise UnavailableError(f"TensorRT refuses the address of tensor {name}")
        self._enqueue()  # the first run allocates and compiles, which must not be captured
        self._cuda.wait(self._stream)
        if kernels:
            kernels.keep()
        self._graph = None if kernels else self._cuda.capture(self._stream, self._enqueue)

    def _choose_shape(self, source: str, target: str, size: Size | None) -> tuple[int, ...]:
        """The shape ``[N, H, W, 3]`` of input and output, which a plan for several sizes has to be told."""
        declared = tuple(self._plan.get_tensor_shape(source))
        self._set_shape(declared, size)
        shape = (self.batch, *self.size, 3)
        if declared == shape:
            return shape
        takes = self._context.set_input_shape(source, shape)
        # A side between two of the graph's steps is within the bounds and still comes out as another one, or as -1.
        if not takes or tuple(self._context.get_tensor_shape(target)) != shape:
            least, best, most = (Size(*tuple(bound)[1:3]) for bound in self._plan.get_tensor_profile_shape(source, 0))
            raise InvalidInputError(
                f"this engine takes frames from {least} to {most} in steps of its network, not {self.size}: "
                f"give --size {best}, or export it for that size"
            )
        return shape

    def _enqueue(self) -> None:
        source, target = self._host_input, self._host_output
        self._cuda.copy(self._device_input, source.ctypes.data, source.nbytes, self._stream, up=True)
        if not self._context.execute_async_v3(self._stream):
            raise UnavailableError("TensorRT could not run the engine: export it again on this machine")
        self._cuda.copy(target.ctypes.data, self._device_output, target.nbytes, self._stream, up=False)

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        np.copyto(self._host_input, frames)
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph, self._stream)
        self._cuda.wait(self._stream)
        return self._host_output.copy()

    def _release(self) -> None:
        """Give everything back, in the order it depends on: work, graph, context, plan, memory, stream."""
        self._cuda.finish()
        self._context = self._kernels = self._plan = None
        self._cuda.free()


class _Kernels:
    """The kernels that TensorRT-RTX compiles of a plan for the GPU at hand, kept between two starts.

    It must live as long as the context made with it (NVIDIA, "Working with Runtime Cache").
    """

    def __init__(self, plan: Any, trt: ModuleType, name: str) -> None:
        self._name = f"{name}.kernels"
        self._plan = plan
        self._config = plan.create_runtime_config()
        self._config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
            # The frames keep their size: better to wait for its kernels once than to change over in mid-stream.
            strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
            self._config.dynamic_shapes_kernel_specialization_strategy = strategy
        self._cache = self._config.create_runtime_cache() if hasattr(self._config, "create_runtime_cache") else None
        self._kept = b""
        if self._cache is not None:
            kept = read_cached(self._name)
            if kept and self._cache.deserialize(kept):  # it checks that they are of this GPU, driver and version
                self._kept = kept
            self._config.set_runtime_cache(self._cache)

    def execution_context(self) -> Any:
        """A context that uses these kernels and compiles those that are missing."""
        return self._plan.create_execution_context(self._config)

    def keep(self) -> None:
        """Write down what has been compiled, if anything has been."""
        content = self._cache.serialize() if self._cache is not None else None
        if content is not None and bytes(content) != self._kept:
            self._kept = bytes(content)
            keep_cached(self._name, self._kept)


class _Cuda:
    """The few calls of the CUDA runtime that an engine needs, each checked."""

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
        made = self._check(self._api.cudaStreamCreateWithFlags(self._api.cudaStreamNonBlocking), "create a stream")
        self._streams.append(int(made))
        return int(made)

    def allocate(self, size: int) -> int:
        pointer = int(self._check(self._api.cudaMalloc(size), f"allocate {size} bytes on the GPU"))
        self._device.append(pointer)
        return pointer

    def pinned(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        size = int(np.prod(shape))
        pointer = int(self._check(self._api.cudaHostAlloc(size, 0), f"allocate {size} pinned bytes"))
        self._host.append(pointer)
        memory = (ctypes.c_uint8 * size).from_address(pointer)
        return np.ctypeslib.as_array(memory).reshape(shape)

    def copy(self, target: int, source: int, size: int, stream: int, *, up: bool) -> None:
        kinds = self._api.cudaMemcpyKind
        kind = kinds.cudaMemcpyHostToDevice if up else kinds.cudaMemcpyDeviceToHost
        self._check(self._api.cudaMemcpyAsync(target, source, size, kind, stream), "copy a frame")

    def wait(self, stream: int) -> None:
        self._check(self._api.cudaStreamSynchronize(stream), "finish a frame")

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
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
