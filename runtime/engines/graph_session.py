"""ONNX artifacts, run by ONNX Runtime."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import BundleError, InvalidInputError, UnavailableError
from runtime.engines.base import Engine, EngineSettings


class GraphSessionEngine(Engine):
    """An ONNX graph in an ONNX Runtime session: on CUDA where this build of ONNX Runtime has it, else on the CPU.

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
        options = onnxruntime.SessionOptions()
        # A call works in its caller's thread and in those of the session's pool, which all calls share.
        options.intra_op_num_threads = settings.threads - callers + 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: they are raised as well
        if settings.spinning is not None:
            options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
        available = onnxruntime.get_available_providers()
        # TF32 is the CUDA provider's default, and not what anyone means by fp32.
        offered: dict[str, dict[str, str]] = {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}
        providers = [(name, chosen) for name, chosen in offered.items() if name in available]
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
            reason = str(error).splitlines()[0]
            raise BundleError(f"{path} cannot be loaded by ONNX Runtime ({reason}): export it again") from error
        node = self._session.get_inputs()[0]
        nodes = [*self._session.get_inputs(), *self._session.get_outputs()]
        as_frames = [("tensor(uint8)", 4, 3)] * 2
        if [(other.type, len(other.shape), other.shape[-1]) for other in nodes if other.shape] != as_frames:
            raise BundleError(f"{path} takes {node.type} {node.shape}, not uint8 frames: export it with p2p-export")
        self._set_shape(node.shape, settings.size)
        self.threads = settings.threads
        self.depth = settings.depth
        self._callers = ThreadPoolExecutor(callers, "p2p-engine") if self.depth > 1 else None
        self.device = self._session.get_providers()[0].removesuffix("ExecutionProvider").lower()
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
            reason = str(error).splitlines()[0]
            raise UnavailableError(f"ONNX Runtime could not translate a frame ({reason})") from error
        return translated
