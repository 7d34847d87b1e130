"""ONNX artifacts, run by ONNX Runtime."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import BundleError, EdgeError, InvalidInputError, UnavailableError
from runtime.engines.base import Engine, EngineSettings
from runtime.engines.bound_session import BoundSession, load_cuda_libraries, missing_library
from runtime.engines.devices import cuda_index

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"


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
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu; or give --device cpu"
        )
    return _device_name(index)


def _device_name(index: int | None) -> str:
    return "cpu" if index is None else "cuda" if index == 0 else f"cuda:{index}"


class GraphSessionEngine(Engine):
    """An ONNX graph in an ONNX Runtime session: on CUDA where this build of ONNX Runtime has it, else on the CPU.

    On a device that was asked for it runs or fails; never on another one.

    With several calls under way, each runs in a thread of this engine's. ONNX Runtime's own asynchronous call
    (``run_async``) would take a thread of the session's pool for that, and there is none when every call has one core.
    On CUDA each of them has a session of its own, as a CUDA graph plays from and to one place.

    Attributes:
        graphs: whether its kernels are launched as one CUDA graph: on CUDA, unless some of its nodes run on the CPU.
    """

    def __init__(
        self, path: Path, settings: EngineSettings, *, cuda_options: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Load the graph at ``path``.

        Args:
            path: a file that ``p2p-export`` wrote.
            settings: how to load it.
            cuda_options: further options of the CUDA provider, to measure what they do.

        Raises:
            BundleError: if it is none.
            InvalidInputError: for a size that it does not take.
            UnavailableError: if it does not run on the device that ``settings`` ask for.
        """
        callers = min(settings.depth, settings.threads)
        options = onnxruntime.SessionOptions()
        # A call works in its caller's thread and in those of the session's pool, which all calls share.
        options.intra_op_num_threads = settings.threads - callers + 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: they are raised as well
        if settings.spinning is not None:
            options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
        self._open = partial(_session, path, options, settings.device, cuda_options)
        self._session, self.graphs = self._open_first(graphs=settings.graphs)
        self.device = _used(self._session)
        if settings.device is not None and self.device != find_device(settings.device):
            missing = missing_library()
            raise UnavailableError(
                f"ONNX Runtime has {CUDA} but could not start it{f' ({missing})' * bool(missing)}, and would run on "
                f"{self.device}: "
                "NVIDIA's driver, CUDA and cuDNN of the versions that it is made for are needed; or give --device cpu"
            )
        node = self._session.get_inputs()[0]
        nodes = [*self._session.get_inputs(), *self._session.get_outputs()]
        as_frames = [("tensor(uint8)", 4, 3)] * 2
        if [(other.type, len(other.shape), other.shape[-1]) for other in nodes if other.shape] != as_frames:
            raise BundleError(f"{path} takes {node.type} {node.shape}, not uint8 frames: export it with p2p-export")
        self._set_shape(node.shape, settings.size)
        self.threads = settings.threads
        self.depth = settings.depth
        self._input = node.name
        self._bound: list[BoundSession] = []
        on_cuda = cuda_index(self.device) is not None
        # On CUDA one for each session: what that keeps for a thread is made when the thread first runs it.
        pools = () if self.depth == 1 else (1,) * self.depth if on_cuda else (callers,)
        self._callers = [ThreadPoolExecutor(threads, "p2p-engine") for threads in pools]
        takes_any_size = [self.batch, *self.size] != node.shape[:3]
        try:
            if on_cuda:
                self._bind_and_try()
            elif takes_any_size:
                self._try()
        except UnavailableError as error:
            self._release()
            if not takes_any_size:
                raise
            raise InvalidInputError(
                f"the graph does not take frames of {self.size}: most take multiples of 256, some of less, as --size"
            ) from error

    def _open_first(self, *, graphs: bool) -> tuple[onnxruntime.InferenceSession, bool]:
        """A session, and whether it plays a CUDA graph: it does not where some nodes run on the CPU, as INT8's do."""
        if graphs:
            with suppress(EdgeError):
                session = self._open(graphs=True)
                return session, session.get_providers()[0] == CUDA
        return self._open(graphs=False), False

    def _bind_and_try(self) -> None:
        self._bind()
        try:
            self._try()
        except UnavailableError:
            if not self.graphs:
                raise
            self.graphs = False  # it was made, and what it does cannot be recorded
            self._session = self._open(graphs=False)
            self._bind()
            self._try()

    def _bind(self) -> None:
        """Have a session, and memory of the GPU, for each call that may be under way."""
        others = [self._open(graphs=self.graphs) for _ in range(self.depth - 1)]
        shape, index = (self.batch, *self.size, 3), cuda_index(self.device) or 0
        try:
            self._bound = [BoundSession(session, shape, "cuda", index) for session in (self._session, *others)]
        except Exception as error:  # as in ``_run``
            raise UnavailableError(f"ONNX Runtime has no memory on {self.device} ({_reason(error)})") from error

    def _try(self) -> None:
        """Translate a black frame: a graph for any size says only then that it does not take this one.

        On CUDA by each session, in the thread that will run it: libraries are loaded there, and convolutions chosen.

        Raises:
            UnavailableError: if it does not.
        """
        black = np.zeros((self.batch, *self.size, 3), dtype=np.uint8)
        for slot in range(self.depth if self._bound else 1):
            self._start(black, slot)()

    def _start(self, frames: NDArray[np.uint8], slot: int) -> Callable[[], NDArray[np.uint8]]:
        if not self._callers:
            translated = self._run(frames)
            return lambda: translated
        return self._callers[slot % len(self._callers)].submit(self._run, frames, slot).result

    def _release(self) -> None:
        for caller in self._callers:
            caller.shutdown()
        self._bound.clear()
        del self._session

    def _run(self, frames: NDArray[np.uint8], slot: int = 0) -> NDArray[np.uint8]:
        try:
            if self._bound:
                return self._bound[slot].run(frames)
            translated: NDArray[np.uint8] = self._session.run(None, {self._input: frames})[0]
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here too
            raise UnavailableError(f"ONNX Runtime could not translate a frame ({_reason(error)})") from error
        return translated


def _session(
    path: Path,
    options: onnxruntime.SessionOptions,
    device: str | None,
    cuda_options: Mapping[str, str],
    *,
    graphs: bool = False,
) -> onnxruntime.InferenceSession:
    """The graph at ``path``, on ``device`` or by default on the best that ONNX Runtime has."""
    wanted = None if device is None else find_device(device)
    index = None if device is None else cuda_index(device)
    # TF32 is the CUDA provider's default, and not what anyone means by fp32.
    cuda = {"use_tf32": "0", "device_id": str(index or 0), "enable_cuda_graph": str(int(graphs)), **cuda_options}
    offered = {CUDA: cuda, CPU: {}}
    available = onnxruntime.get_available_providers()
    providers = [
        (name, chosen) for name, chosen in offered.items() if name in available and (name == CPU or wanted != "cpu")
    ]
    if providers[0][0] == CUDA:
        load_cuda_libraries()
    try:
        # Without its own fallback, which tells of itself on standard output.
        return onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=False)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
        if index is not None:
            raise UnavailableError(
                f"{path} cannot be loaded by ONNX Runtime on {wanted} ({_reason(error)}): give another --device"
            ) from error
        if providers[0][0] == CUDA and not graphs:
            return _session(path, options, "cpu", cuda_options)
        raise BundleError(f"{path} cannot be loaded by ONNX Runtime ({_reason(error)}): export it again") from error


def _used(session: onnxruntime.InferenceSession) -> str:
    """What ``session`` really runs on; it may have passed over what it could not start."""
    provider = session.get_providers()[0]
    if provider != CUDA:
        return str(provider).removesuffix("ExecutionProvider").lower()
    return _device_name(int(session.get_provider_options()[CUDA].get("device_id", 0)))


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
