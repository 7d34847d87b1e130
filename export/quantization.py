"""INT8 ONNX graphs: one kind for ONNX Runtime's CPU kernels, and another for TensorRT."""

import tempfile
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import onnx

from calibration.activation_ranges import ActivationHistogram, measure_ranges
from core.export_record import RangeMethod
from core.formats import OWN_RANGES
from core.frames import Frame
from export.graph_inspection import name_layers
from export.layered_graph import LayeredGraph, fold, read_graph
from export.quantized_graph import QuantizedGraph, Scheme

TENSORRT: Final = Scheme(
    words="signed symmetric activations, signed symmetric weights per channel, float bias",
    signed=True,
    largest_weight=127,
    integer=False,
)
"""As TensorRT reads it: zero point 0, the bias in float, and only what convolutions read quantized; it fuses around."""


def cpu_scheme(*, saturates: bool) -> Scheme:
    """For ONNX Runtime's CPU kernels.

    A CPU that ``saturates`` (``Machine.saturates_at_16_bits``) adds products in 16 bits: 7-bit weights fit.
    """
    return Scheme(
        words=f"unsigned activations, signed symmetric weights per channel, {7 if saturates else 8}-bit weights",
        signed=False,
        largest_weight=64 if saturates else 127,
        integer=True,
    )


class MeasuredRanges:
    """What the layers of an fp32 graph read and write, measured on frames once, when it is first asked for.

    A graph in another precision with the same layer names (the fp16 one) is quantized with the same ranges.

    Attributes:
        source: the fp32 graph.
        frames: ``uint8 [H, W, 3]`` BGR.
    """

    def __init__(self, source: Path, frames: Sequence[Frame]) -> None:
        self.source = source
        self.frames = frames

    @cached_property
    def graph(self) -> LayeredGraph:
        """The graph, with all that can be folded into its convolutions folded."""
        model = read_graph(self.source)
        name_layers(model)
        return LayeredGraph(fold(model))

    @cached_property
    def _histograms(self) -> dict[str, ActivationHistogram]:
        graph = self.graph
        tensors = [tensor for layer in graph.layers for tensor in (graph.reads(layer), graph.writes(layer))]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.onnx"
            onnx.save(QuantizedGraph(graph.skeleton, graph.weights, TENSORRT).finish(), path)
            return measure_ranges(path, tensors, self.frames)

    def read_by(self, layer: str) -> ActivationHistogram:
        """Of the layer's input."""
        return self._histograms[self.graph.reads(layer)]

    def written_by(self, layer: str) -> ActivationHistogram:
        """Of the layer's output, after its ReLU where the two are fused."""
        return self._histograms[self.graph.writes(layer)]


class GraphQuantizer:
    """Quantizes the convolutions of a deploy graph; see ``Quantizer``.

    Args:
        ranges: measured on the fp32 graph, and shared by the quantizers of all graphs made of the same network.
        scheme: ``cpu_scheme(...)`` or ``TENSORRT``.
        source: the graph to quantize, if it is not the one that ``ranges`` are measured on.
    """

    scheme: str
    methods: tuple[RangeMethod, ...]
    layers: tuple[str, ...]
    outer: tuple[str, ...]

    @classmethod
    def for_cpu(cls, source: Path, frames: Sequence[Frame], *, saturates: bool) -> Self:
        """For ONNX Runtime's CPU kernels, of the fp32 graph in ``source``."""
        return cls(MeasuredRanges(source, frames), cpu_scheme(saturates=saturates))

    @classmethod
    def for_tensorrt(cls, source: Path, frames: Sequence[Frame], *, ranges_from: Path) -> Self:
        """For TensorRT, of the fp16 graph in ``source``, with ranges measured on the fp32 graph in ``ranges_from``."""
        return cls(MeasuredRanges(ranges_from, frames), TENSORRT, source)

    def __init__(self, ranges: MeasuredRanges, scheme: Scheme, source: Path | None = None) -> None:
        self._ranges = ranges
        self._scheme = scheme
        self._graph = ranges.graph if source is None else LayeredGraph(read_graph(source))
        self.scheme = scheme.words
        self.methods = OWN_RANGES
        self.outer = self._graph.outer
        self.layers = tuple(name for name in self._graph.layers if name in ranges.graph.layers)

    def write(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        """Write the graph with ``layers`` quantized to ``path``, one ONNX file."""
        onnx.save(self._quantize(self._graph, method, layers).finish(), path)

    def write_draft(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        """The same of the fp32 graph, which ONNX Runtime runs without casts.

        What is not quantized lies in a file beside it that all drafts in a folder share: the folder should be a
        temporary one.
        """
        graph = self._ranges.graph
        onnx.save(self._quantize(graph, method, layers).finish(graph.shared_weights(path.parent)), path)

    def _quantize(self, graph: LayeredGraph, method: RangeMethod, layers: Collection[str]) -> QuantizedGraph:
        assert set(layers) <= set(self.layers), "layers that cannot be quantized"
        quantized = QuantizedGraph(graph.skeleton, graph.weights, self._scheme)
        symmetric = self._scheme.signed
        for layer in self.layers:
            if layer not in layers:
                continue
            reads = self._ranges.read_by(layer).range(method, symmetric=symmetric)
            writes = None
            if self._scheme.integer:
                writes = graph.writes(layer), self._ranges.written_by(layer).range(method, symmetric=symmetric)
            quantized.quantize(layer, reads, writes)
        return quantized
