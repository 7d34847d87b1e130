"""OpenVINO artifacts."""

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from core.errors import BundleError
from core.frames import Size
from runtime.engines.base import Engine


class CompiledModelEngine(Engine):
    """An OpenVINO model compiled for the CPU."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Load and compile the model at ``path`` (its weights lie beside it); ``BundleError`` if it is none."""
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Some hosts would run BF16 by default; an artifact runs in the type it was measured in.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            model = openvino.Core().compile_model(path, "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(f"{path} cannot be loaded by OpenVINO ({reason}): export it again") from error
        shape = list(model.input(0).shape)
        if len(shape) != 4 or model.input(0).element_type != openvino.Type.u8:
            raise BundleError(f"{path} takes {shape}, not uint8 frames: export it with p2p-export")
        self.batch, height, width, _ = shape
        self.size = Size(height, width)
        self.threads = threads
        self.device = ",".join(model.get_property("EXECUTION_DEVICES")).lower()
        self._request = model.create_infer_request()

    def _release(self) -> None:
        del self._request

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # The input is read in place; the output lies in the request's own memory, so it is copied out.
        self._request.infer([frames], share_inputs=True, share_outputs=True)
        return np.array(self._request.get_output_tensor(0).data, dtype=np.uint8)
