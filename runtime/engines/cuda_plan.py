"""TensorRT and TensorRT-RTX engines ("plans") on an NVIDIA GPU.

Both have one Python API; the module that reads the plan is handed in. What only TensorRT-RTX has (CUDA graphs of its
own, kernels compiled when the plan is opened and kept for the next time) is found with ``hasattr``. Memory is pinned
and all work goes to a stream of its own (NVIDIA, "TensorRT best practices": asynchronous copies need pinned memory, the
default stream serializes).
"""

import hashlib
import importlib
from collections.abc import Callable
from contextlib import suppress
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
from runtime.engines.cuda_calls import CudaCalls
from runtime.engines.devices import cuda_index
from runtime.engines.tensorrt_log import collecting_logger


def find_device(named: str, *, flavour: str, cuda: ModuleType | None = None) -> str:
    """The GPU that ``named`` (``cuda``, ``cuda:1``) means, as engines report it: ``cuda:1`` and its name.

    Args:
        named: what the user calls it.
        flavour: ``tensorrt`` or ``tensorrt_rtx``.
        cuda: the CUDA runtime bindings; default: ``cuda.bindings.runtime``.

    Raises:
        UnavailableError: if it is no NVIDIA GPU, or not here.
    """
    return _open_cuda(named, flavour, cuda)[1]


def _open_cuda(named: str | None, flavour: str, cuda: ModuleType | None) -> tuple[CudaCalls, str]:
    """CUDA, with the GPU ``named`` or the first one; and what that is."""
    title = TARGETS[flavour].title
    index = 0 if named is None else cuda_index(named)
    if index is None:
        raise UnavailableError(f"{title} runs on cuda (cuda:1 for the second GPU), not on {named}")
    calls = CudaCalls(cuda or importlib.import_module("cuda.bindings.runtime"))
    return calls, calls.open_device(title, index)


class CudaPlanEngine(Engine):
    """A plan, and for each call under way what it needs for itself: a context, a stream, buffers and a CUDA graph.

    The contexts of one plan may run at the same time on streams of their own, each used by one thread at a time
    (NVIDIA, "TensorRT best practices", on thread safety).
    """

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
            settings: threads are recorded only: the work is the GPU's, of its ``device`` or else of the first one.
            flavour: ``tensorrt`` or ``tensorrt_rtx``.
            trt: the TensorRT module; default: the flavour's own.
            cuda: the CUDA runtime bindings; default: ``cuda.bindings.runtime``.

        Raises:
            UnavailableError: if there is no NVIDIA GPU or driver, or the plan is not for this GPU or library version.
            InvalidInputError: for a size that the plan does not take, or none where it takes several.
        """
        trt = trt or importlib.import_module(TARGETS[flavour].modules[0])
        self._cuda, self.device = _open_cuda(settings.device, flavour, cuda)
        self.threads, self.depth = settings.threads, settings.depth
        self._graphs = settings.graphs
        self._log = collecting_logger(trt)
        self._slots: list[_Slot] = []
        self._kernels: _Kernels | None = None
        with self._cuda.active():
            self._load(path, trt, flavour, settings.size)

    def _load(self, path: Path, trt: ModuleType, flavour: str, size: Size | None) -> None:
        """Read the plan and prepare it; what fails gives everything back."""
        content = path.read_bytes()
        self._plan = trt.Runtime(self._log).deserialize_cuda_engine(content)
        if self._plan is None:
            reader = f"{TARGETS[flavour].title} {trt.__version__}"
            raise UnavailableError(
                f"{path.name} cannot be read by {reader} on {self.device}: export it on this machine"
                + f" ({self._log.errors[0]})" * bool(self._log.errors)
            )
        try:
            if hasattr(trt, "CudaGraphStrategy"):
                digest = hashlib.sha256(content).hexdigest()[:16]
                name = f"{flavour}-{trt.__version__}-{self.device}-{digest}"
                self._kernels = _Kernels(self._plan, trt, name, graphs=self._graphs)
                self._log.errors.clear()  # what it thinks of old kernels is no reason for what follows
            self._prepare(trt, size)
        except BaseException:
            with suppress(UnavailableError):  # what failed first is to be told
                self.close()
            raise

    def _prepare(self, trt: ModuleType, size: Size | None) -> None:
        """Make everything for as many calls as may be under way, and run each once."""
        kernels = self._kernels
        names = [self._plan.get_tensor_name(i) for i in range(self._plan.num_io_tensors)]
        is_input = {name: self._plan.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        source = next(name for name in names if is_input[name])
        target = next(name for name in names if not is_input[name])
        for _ in range(self.depth):
            context = kernels.execution_context() if kernels else self._plan.create_execution_context()
            if context is None:
                reason = "; ".join(self._log.errors) or "no reason given"
                raise UnavailableError(f"the GPU cannot run the engine: {reason}")
            shape = self._choose_shape(context, source, target, size)
            slot = _Slot(self._cuda, context, shape, self._log)
            self._slots.append(slot)
            slot.bind(source, target)
            slot.enqueue()  # the first run allocates and compiles, which must not be captured
            self._cuda.wait(slot.stream)
            if self._graphs and not kernels:
                slot.graph = self._cuda.capture(slot.stream, slot.enqueue)
        if kernels:
            kernels.keep()

    def _choose_shape(self, context: Any, source: str, target: str, size: Size | None) -> tuple[int, ...]:
        """The shape ``[N, H, W, 3]`` of input and output, which a plan for several sizes has to be told."""
        declared = tuple(self._plan.get_tensor_shape(source))
        self._set_shape(declared, size)
        shape = (self.batch, *self.size, 3)
        if declared == shape:
            return shape
        takes = context.set_input_shape(source, shape)
        # A side between two of the graph's steps is within the bounds and still comes out as another one, or as -1.
        if not takes or tuple(context.get_tensor_shape(target)) != shape:
            least, best, most = (Size(*tuple(bound)[1:3]) for bound in self._plan.get_tensor_profile_shape(source, 0))
            raise InvalidInputError(
                f"this engine takes frames from {least} to {most} in steps of its network, not {self.size}: "
                f"give --size {best}, or export it for that size"
            )
        return shape

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._start(frames, 0)()

    def _start(self, frames: NDArray[np.uint8], slot: int) -> Callable[[], NDArray[np.uint8]]:
        with self._cuda.active():
            self._slots[slot].start(frames)
        return lambda: self._finish(slot)

    def _finish(self, slot: int) -> NDArray[np.uint8]:
        with self._cuda.active():
            return self._slots[slot].finish()

    def _release(self) -> None:
        """Give everything back, in the order it depends on: work, graphs, contexts, plan, memory, streams."""
        with self._cuda.active():
            try:
                self._cuda.finish()
            finally:
                self._slots = []
                self._kernels = self._plan = None
                self._cuda.free()


class _Slot:
    """What one call under way needs for itself."""

    def __init__(self, cuda: CudaCalls, context: Any, shape: tuple[int, ...], log: Any) -> None:
        self._cuda = cuda
        self._context = context
        self._log = log
        self.graph: Any = None
        self.stream = cuda.stream()
        self._host_input, self._host_output = cuda.pinned(shape), cuda.pinned(shape)
        self._device_input = cuda.allocate(self._host_input.nbytes)
        self._device_output = cuda.allocate(self._host_output.nbytes)

    def bind(self, source: str, target: str) -> None:
        """Tell the context where its tensors ``source`` and ``target`` lie."""
        for name, address in ((source, self._device_input), (target, self._device_output)):
            if not self._context.set_tensor_address(name, address):
                raise UnavailableError(f"TensorRT refuses the address of tensor {name}")

    def enqueue(self) -> None:
        """Put the copy in, the inference and the copy out onto the stream."""
        source, target = self._host_input, self._host_output
        self._cuda.copy(self._device_input, source.ctypes.data, source.nbytes, self.stream, up=True)
        if not self._context.execute_async_v3(self.stream):
            reason = f" ({self._log.errors[-1]})" if self._log.errors else ""
            raise UnavailableError(f"TensorRT could not run the engine{reason}: export it again on this machine")
        self._cuda.copy(target.ctypes.data, self._device_output, target.nbytes, self.stream, up=False)

    def start(self, frames: NDArray[np.uint8]) -> None:
        """Begin to infer on ``frames``, which are copied."""
        np.copyto(self._host_input, frames)
        if self.graph is None:
            self.enqueue()
        else:
            self._cuda.launch(self.graph, self.stream)

    def finish(self) -> NDArray[np.uint8]:
        """Wait for the translations."""
        self._cuda.wait(self.stream)
        return self._host_output.copy()


class _Kernels:
    """The kernels that TensorRT-RTX compiles of a plan for the GPU at hand, kept between two starts.

    It must live as long as the context made with it (NVIDIA, "Working with Runtime Cache").
    """

    def __init__(self, plan: Any, trt: ModuleType, name: str, *, graphs: bool) -> None:
        self._name = f"{name}.kernels"
        self._plan = plan
        self._config = plan.create_runtime_config()
        strategies = trt.CudaGraphStrategy
        self._config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE if graphs else strategies.DISABLED
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
