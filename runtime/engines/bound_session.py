"""An ONNX Runtime session on a GPU: its frames in fixed memory there, its kernels launched as one CUDA graph.

Source: ONNX Runtime documentation, "I/O Binding" and "CUDA Execution Provider", on CUDA graphs: a session that was made
with ``enable_cuda_graph`` records its kernels the first time it is run, and plays them afterwards, from and to the same
memory. All of its nodes must run on the GPU, or it cannot be made.
"""

import ctypes
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class BoundSession:
    """A session, and its input and output in memory of the device; for one call after the other."""

    def __init__(self, session: onnxruntime.InferenceSession, shape: Sequence[int], device: str, index: int) -> None:
        """Bind what ``session`` takes and gives, both ``uint8`` of ``shape``, to memory of ``device`` (``cuda``)."""
        self._session = session
        self._input, self._output = (
            onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), np.uint8, device, index) for _ in range(2)
        )
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, self._input)
        self._binding.bind_ortvalue_output(session.get_outputs()[0].name, self._output)

    def run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The translations of ``frames``, in an array of its own."""
        self._input.update_inplace(frames)
        self._session.run_with_iobinding(self._binding)
        return np.array(self._output.numpy())


@cache
def load_cuda_libraries() -> None:
    """Load CUDA's and cuDNN's libraries where they were installed as Python packages: the linker does not look there.

    From now on ONNX Runtime says nothing on standard error: what it cannot start is told by ``missing_library``, and
    what it raises by whoever catches it.
    """
    onnxruntime.set_default_logger_severity(4)
    with redirect_stdout(io.StringIO()):  # it prints, and standard output is for what was asked for
        onnxruntime.preload_dlls()


def missing_library() -> str | None:
    """What the linker lacks of ONNX Runtime's CUDA provider, in its words; None if nothing, or the provider itself."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            if (folder / name).is_file():
                ctypes.CDLL(str(folder / name))
    except OSError as error:
        return str(error).splitlines()[0]
    return None
