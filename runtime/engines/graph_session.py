"""ONNX artifacts, run by ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import BundleError
from core.frames import Size
from runtime.engines.base import Engine


class GraphSessionEngine(Engine):
    """An ONNX graph in an ONNX Runtime session: on CUDA where this build of ONNX Runtime has it, else on the CPU."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Load the graph at ``path``; ``BundleError`` if it is none."""
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
        fixed = len(node.shape) == 4 and all(isinstance(side, int) for side in node.shape)
        frames = ("tensor(uint8)", [1, *node.shape[1:3], 3])
        if len(nodes) != 2 or not fixed or any((other.type, other.shape) != frames for other in nodes):
            raise BundleError(f"{path} takes {node.type} {node.shape}, not uint8 frames: export it with p2p-export")
        self.batch, height, width, _ = node.shape
        self.size = Size(height, width)
        self.threads = threads
        self.device = self._session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        self._input = node.name

    def _release(self) -> None:
        del self._session

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        translated: NDArray[np.uint8] = self._session.run(None, {self._input: frames})[0]
        return translated
