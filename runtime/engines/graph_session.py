"""ONNX artifacts, run by ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import BundleError, InvalidInputError
from core.frames import Size
from runtime.engines.base import Engine


class GraphSessionEngine(Engine):
    """An ONNX graph in an ONNX Runtime session: on CUDA where this build of ONNX Runtime has it, else on the CPU."""

    def __init__(self, path: Path, *, threads: int, size: Size | None = None) -> None:
        """Load the graph at ``path``, for frames of ``size`` if it takes any.

        Raises:
            BundleError: if it is none.
            InvalidInputError: for a size that it does not take.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: they are raised as well
        available = onnxruntime.get_available_providers()
        # TF32 is the CUDA provider's default, and not what anyone means by fp32.
        settings: dict[str, dict[str, str]] = {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}
        providers = [(name, chosen) for name, chosen in settings.items() if name in available]
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
        self._set_shape(node.shape, size)
        self.threads = threads
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
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
            raise InvalidInputError(
                f"the graph does not take frames of {self.size}: most take multiples of 256, some of less, as --size"
            ) from error

    def _release(self) -> None:
        del self._session

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        translated: NDArray[np.uint8] = self._session.run(None, {self._input: frames})[0]
        return translated
