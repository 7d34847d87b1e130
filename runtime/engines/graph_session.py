"""ONNX artifacts, run by ONNX Runtime."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import BundleError, InvalidInputError, UnavailableError
from runtime.engines.base import Engine, EngineSettings
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
    """

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        """Load the graph at ``path``.

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
        self._session = _session(path, options, settings.device)
        self.device = _used(self._session)
        if settings.device is not None and self.device != find_device(settings.device):
            raise UnavailableError(
                f"ONNX Runtime has {CUDA} but could not start it, and would run on {self.device}: "
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
        self._callers = ThreadPoolExecutor(callers, "p2p-engine") if self.depth > 1 else None
        self._input = node.name
        if [self.batch, *self.size] != node.shape[:3]:
            self._try()

    def _try(self) -> None:
        """Translate a black frame: a graph for any size says only then that it does not take this one.

        Raises:
            InvalidInputError: if it does not.
        """
        try:
            self._run(np.zeros((self.batch, *self.size, 3), dtype=np.uint8))
        except UnavailableError as error:
            raise InvalidInputError(
                f"the graph does not take frames of {self.size}: most take multiples of 256, some of less, as --size"
            ) from error

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


def _session(path: Path, options: onnxruntime.SessionOptions, device: str | None) -> onnxruntime.InferenceSession:
    """The graph at ``path``, on ``device`` or by default on the best that ONNX Runtime has."""
    wanted = None if device is None else find_device(device)
    index = None if device is None else cuda_index(device)
    # TF32 is the CUDA provider's default, and not what anyone means by fp32.
    offered = {CUDA: {"use_tf32": "0", "device_id": str(index or 0)}, CPU: {}}
    available = onnxruntime.get_available_providers()
    providers = [
        (name, chosen) for name, chosen in offered.items() if name in available and (name == CPU or wanted != "cpu")
    ]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=device is None)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
        if index is not None:
            raise UnavailableError(
                f"{path} cannot be loaded by ONNX Runtime on {wanted} ({_reason(error)}): give another --device"
            ) from error
        raise BundleError(f"{path} cannot be loaded by ONNX Runtime ({_reason(error)}): export it again") from error
    session.disable_fallback()  # it would go on with another device than was reported
    return session


def _used(session: onnxruntime.InferenceSession) -> str:
    """What ``session`` really runs on; it may have passed over what it could not start."""
    provider = session.get_providers()[0]
    if provider != CUDA:
        return str(provider).removesuffix("ExecutionProvider").lower()
    return _device_name(int(session.get_provider_options()[CUDA].get("device_id", 0)))


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
