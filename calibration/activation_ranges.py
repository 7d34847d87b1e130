"""The ranges activations take on calibration frames: histograms gathered in one pass, and what follows from them.

ONNX Runtime's own calibrators keep every activation of every frame until the last one (tens of GB for 300 frames of the
full U-Net). Here one frame's activations are in memory at a time, and one pass serves every method.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from calibration.range_search import least_divergent, least_squares
from core.errors import InvalidInputError, UnavailableError
from core.export_record import RangeMethod
from core.frames import Frame

BINS: Final = 16384
"""Of a histogram: a multiple of 4. Between a quarter and half of them lie on the side of zero that reaches further."""
PERCENTILE: Final = 99.99
"""How much of an activation the percentile method keeps, in percent; what is cut is shared by both ends.

On three generators in three schemes, 99.9 gave pictures 1 to 7 dB worse, and 99.999 within 1 dB of these either way."""
CHUNK: Final = 1 << 20
"""Values counted at a time, so that counting takes a few MB whatever the activation's size."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class ActivationRange:
    """The values that the outermost INT8 steps stand for; ``low <= 0 <= high``, since zero must be a step."""

    low: float
    high: float


class ActivationHistogram:
    """How often an activation took which values; it grows with them, so that one pass suffices.

    The width of a bin is a power of two, and zero lies between two bins. A value beyond the last bin doubles the width:
    pairs of bins are merged, which loses nothing but resolution. Exact zeros are counted apart: every range represents
    them, and after a ReLU they would drown everything else.

    Attributes:
        low: the smallest value seen; 0 if none was smaller.
        high: the largest value seen; 0 if none was larger.
        counts: ``int64 [BINS]``; bin i counts values from ``(i - BINS / 2) * width`` on.
        width: of a bin.
        zeros: values that were exactly 0.
    """

    def __init__(self) -> None:
        self.low = 0.0
        self.high = 0.0
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.width = 0.0
        self.zeros = 0

    def add(self, values: Floats) -> None:
        """Count ``values``, of any shape.

        Raises:
            InvalidInputError: if they are not all finite.
        """
        flat = values.reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InvalidInputError("values that are not finite have no range: the network overflows on such a frame")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._reach(max(-low, high))
        for start in range(0, flat.size, CHUNK):
            self._count(flat[start : start + CHUNK])

    def _reach(self, magnitude: float) -> None:
        """Make the bins reach beyond ``magnitude`` on both sides."""
        if magnitude == 0:
            return
        if not self.width:
            self.width = 2.0 ** (np.floor(np.log2(magnitude)) + 2) / BINS
        while magnitude >= self.width * (BINS // 2):
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[BINS // 4 : BINS * 3 // 4] = merged
            self.width *= 2

    def _count(self, values: Floats) -> None:
        zeros = values.size - int(np.count_nonzero(values))
        self.zeros += zeros
        if not self.width:
            return
        bins = np.floor(values.astype(np.float32, copy=False) * np.float32(1 / self.width)).astype(np.int64)
        bins += BINS // 2
        self.counts += np.bincount(bins, minlength=BINS)
        self.counts[BINS // 2] -= zeros

    @property
    def edges(self) -> NDArray[np.float64]:
        """``[BINS + 1]``: where the bins begin and end."""
        return (np.arange(BINS + 1, dtype=np.float64) - BINS // 2) * self.width

    def range(self, method: RangeMethod, *, symmetric: bool = False) -> ActivationRange:
        """The range to quantize over: 256 steps from low to high, or, if ``symmetric``, 255 from -high to high."""
        if self.low == self.high:
            return ActivationRange(0.0, 0.0)
        match method:
            case RangeMethod.MIN_MAX:
                low, high = self.low, self.high
            case RangeMethod.PERCENTILE:
                low, high = self._percentile(PERCENTILE, symmetric=symmetric)
            case RangeMethod.ENTROPY:
                low, high = least_divergent(self.counts, self.edges, self.low, self.high, symmetric=symmetric)
            case RangeMethod.LEAST_SQUARES:
                low, high = least_squares(self.counts, self.edges, self.low, self.high, symmetric=symmetric)
        if symmetric:
            high = max(-low, high)
            return ActivationRange(-high, high)
        return ActivationRange(low, high)

    def _percentile(self, percent: float, *, symmetric: bool) -> tuple[float, float]:
        counts, edges = self.counts.copy(), self.edges
        if symmetric:  # of the magnitudes
            counts, edges = counts[BINS // 2 :] + counts[: BINS // 2][::-1], edges[BINS // 2 :]
            counts[0] += self.zeros
            below = counts.cumsum()
            high = float(edges[1 + np.searchsorted(below, below[-1] * percent / 100)])
            high = min(high, max(-self.low, self.high))
            return -high, high
        counts[BINS // 2] += self.zeros
        below = counts.cumsum()
        cut = below[-1] * (1 - percent / 100) / 2
        low = float(edges[np.searchsorted(below, cut, side="right")])
        high = float(edges[1 + np.searchsorted(below, below[-1] - cut)])
        return min(max(low, self.low), 0.0), max(min(high, self.high), 0.0)


def measure_ranges(graph: Path, tensors: Sequence[str], frames: Sequence[Frame]) -> dict[str, ActivationHistogram]:
    """Histograms of ``tensors`` of the ONNX graph in ``graph``, run on ``frames`` by ONNX Runtime.

    Args:
        graph: takes ``uint8 [N, H, W, 3]`` frames. One that takes several at a time gets them in groups, the last one
            filled up with its last frame.
        tensors: names of float tensors in it.
        frames: ``uint8 [H, W, 3]`` BGR.

    Raises:
        UnavailableError: if ONNX Runtime cannot run the graph on the frames.
        InvalidInputError: if a value is not finite.
    """
    wanted = list(dict.fromkeys(tensors))
    histograms = {name: ActivationHistogram() for name in wanted}
    if not wanted:
        return histograms
    with tempfile.TemporaryDirectory() as folder:
        session = _session(_with_outputs(graph, wanted, Path(folder) / "graph.onnx"))
    feed = session.get_inputs()[0]
    at_a_time = feed.shape[0] if feed.shape and isinstance(feed.shape[0], int) else 1
    for group in _groups(frames, at_a_time):
        try:
            outputs = session.run(wanted, {feed.name: group})
        except Exception as error:  # ONNX Runtime's own kinds of errors have no root but this
            raise UnavailableError(f"ONNX Runtime cannot run the graph on frames: {_first_line(error)}") from error
        for name in wanted:
            try:
                histograms[name].add(outputs.pop(0))
            except InvalidInputError as error:
                raise InvalidInputError(f"tensor {name}: {error}") from error
    return histograms


def _with_outputs(graph: Path, tensors: Sequence[str], path: Path) -> Path:
    """Write the graph with ``tensors`` as further outputs, which no optimization may change, to ``path``."""
    model = onnx.load(graph)
    present = {output.name for output in model.graph.output}
    half = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    kinds = {info.name: info.type.tensor_type.elem_type for info in (*model.graph.value_info, *model.graph.input)}
    for name in tensors:
        if name not in present:
            kind = kinds.get(name, onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT)
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    onnx.save(model, path)
    return path


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Idle workers would spin on the core that counts.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
        raise UnavailableError(f"ONNX Runtime refuses the graph: {_first_line(error)}") from error


def _groups(frames: Sequence[Frame], size: int) -> Iterator[NDArray[np.uint8]]:
    """``uint8 [size, H, W, 3]`` at a time."""
    for start in range(0, len(frames), size):
        group = list(frames[start : start + size])
        yield np.stack(group + group[-1:] * (size - len(group)))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
