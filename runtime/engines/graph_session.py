"""ONNX artifacts, run by ONNX Runtime."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import BundleError, InvalidInputError, UnavailableError
from core.frames import Size
from runtime.engines.base import Engine, EngineSettings
from runtime.engines.devices import cuda_index

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
DAMAGE: Final = ("InvalidGraph", "InvalidProtobuf", "NoSuchFile")
"""Classes of ONNX Runtime's errors that are about a file."""


def find_device(named: str) -> str:
    """The device that ONNX Runtime would run on if asked for ``named``: ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UnavailableError: if it runs on no such device, or as installed cannot.
    """
    index = cuda_index(named)
    if index is None and named != "cpu":
        raise UnavailableError(f"ONNX Runtime runs on cpu and cuda (cuda:1 for the second GPU), not on {named}")
    available = onnxruntime.get_available_providers()
    if index is not None and CUDA not in available:
        raise UnavailableError(
            f"ONNX Runtime {onnxruntime.__version__} as installed has no {CUDA}, only {', '.join(available)}: "
            "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'; or give --device cpu"
        )
    return device_name(index)


def device_name(index: int | None) -> str:
    """What engines report of the GPU of that number, or of the CPU."""
    return "cpu" if index is None else "cuda" if index == 0 else f"cuda:{index}"


def open_graph(
    path: Path, settings: EngineSettings, *, cuda_options: Mapping[str, str] = MappingProxyType({})
) -> Engine:
    """The graph at ``path``: on CUDA where this ONNX Runtime has it and it can be started, else on the CPU.

    On a device that was asked for it runs or fails; never on another one.

    Raises:
        as ``CudaSessionEngine`` and ``GraphSessionEngine``.
    """
    wanted = None if settings.device is None else find_device(settings.device)
    if wanted == "cpu" or CUDA not in onnxruntime.get_available_providers():
        return GraphSessionEngine(path, settings)
    from runtime.engines.cuda_session import CudaSessionEngine

    try:
        return CudaSessionEngine(path, settings, cuda_options=cuda_options)
    except UnavailableError as error:
        if wanted is not None:
            raise
        reason = str(error)
    engine = GraphSessionEngine(path, settings)
    engine.note = f"not on the GPU: {reason}"
    return engine


class GraphSessionEngine(Engine):
    """An ONNX graph in an ONNX Runtime session on the CPU.

    With several calls under way, each runs in a thread of this engine's. ONNX Runtime's own asynchronous call
    (``run_async``) would take a thread of the session's pool for that, and there is none when every call has one core.
    """

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        """Load the graph at ``path``.

        Raises:
            BundleError: if it is none.
            InvalidInputError: for a size that it does not take.
        """
        callers = min(settings.depth, settings.threads)
        # A call works in its caller's thread and in those of the session's pool, which all calls share.
        options = session_options(threads=settings.threads - callers + 1, spinning=settings.spinning)
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[CPU], enable_fallback=False)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
            raise BundleError(f"{path} cannot be loaded by ONNX Runtime ({_reason(error)}): export it again") from error
        self.device = device_name(None)
        shape = shape_of_frames(path, self._session)
        self._set_shape(shape, settings.size)
        self.threads = settings.threads
        self.depth = settings.depth
        self._callers = ThreadPoolExecutor(callers, "p2p-engine") if self.depth > 1 else None
        self._input = self._session.get_inputs()[0].name
        if [self.batch, *self.size] != shape[:3]:
            self._try()

    def _try(self) -> None:
        """Translate a black frame: a graph for any size says only then that it does not take this one.

        Raises:
            InvalidInputError: if it does not.
        """
        try:
            self._run(np.zeros((self.batch, *self.size, 3), dtype=np.uint8))
        except UnavailableError as error:
            raise size_refused(self.size) from error

    def _start(self, frames: NDArray[np.uint8], slot: int) -> Callable[[], NDArray[np.uint8]]:
        return super()._start(frames, slot) if self._callers is None else self._callers.submit(self._run, frames).result

    def _release(self) -> None:
        if self._callers is not None:
            self._callers.shutdown()
        del self._session

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        try:
            translated: NDArray[np.uint8] = self._session.run(None, {self._input: frames})[0]
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here too
            raise UnavailableError(f"ONNX Runtime could not translate a frame ({_reason(error)})") from error
        return translated


def session_options(*, threads: int, spinning: bool | None) -> onnxruntime.SessionOptions:
    """Options of a session with a pool of ``threads``, the caller's own counted in."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what ends a process only: errors are raised as well
    if spinning is not None:
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return options


def shape_of_frames(path: Path, session: onnxruntime.InferenceSession) -> list[int | str | None]:
    """The shape of what the graph at ``path`` takes, names where it may change.

    Raises:
        BundleError: if it does not take frames and give frames.
    """
    node = session.get_inputs()[0]
    nodes = [*session.get_inputs(), *session.get_outputs()]
    as_frames = [("tensor(uint8)", 4, 3)] * 2
    if [(other.type, len(other.shape), other.shape[-1]) for other in nodes if other.shape] != as_frames:
        raise BundleError(f"{path} takes {node.type} {node.shape}, not uint8 frames: export it with p2p-export")
    return list(node.shape)


def size_refused(size: Size) -> InvalidInputError:
    """That a graph for any size does not take this one."""
    return InvalidInputError(
        f"the graph does not take frames of {size}: most take multiples of 256, some of less, as --size"
    )


def damage(path: Path, error: Exception) -> BundleError | None:
    """What ``error`` says of the file, whatever the device; None if it is about something else."""
    if type(error).__name__ not in DAMAGE:
        return None
    return BundleError(f"{path} cannot be loaded by ONNX Runtime ({_reason(error)}): export it again")


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
