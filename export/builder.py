"""Making the artifacts of a bundle, all from one deploy graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from core.export_record import Normalization, Quantization
from core.formats import InputShape
from core.frames import Frame
from core.precision import Precision
from export.fidelity import HeldOut
from export.graph_inspection import layer_operations
from export.graphs import DeployGraphs
from export.int8 import Int8Maker, Int8Options
from export.plan import Planned
from export.quantization import TENSORRT, GraphQuantizer, MeasuredRanges, cpu_scheme
from export.quantizer import Quantizer
from runtime.engines import Engine, open_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeFrames:
    """Artifacts of one shape, and the frames that they are made and measured with.

    Attributes:
        shape: of their input.
        calibration: frames that INT8 ranges are measured on; empty when no INT8 is asked for.
        held_out: frames that fidelity is measured on.
    """

    shape: InputShape
    calibration: Sequence[Frame]
    held_out: HeldOut


@dataclass(slots=True, kw_only=True)
class ArtifactBuilder:
    """Makes artifacts into ``folder``.

    Attributes:
        graphs: the deploy graphs.
        normalization: how they normalize.
        folder: where artifacts go.
        workshop: a temporary folder.
        int8: what is asked of INT8 artifacts.
        saturates: whether the CPU they are for adds pairs of 8-bit products in 16 bits
            (``Machine.saturates_at_16_bits``).
        capabilities: compute capabilities that engines are built for, where that can be chosen.
        say: told, in a few words, what is being done.
    """

    graphs: DeployGraphs
    normalization: Normalization
    folder: Path
    workshop: Path
    int8: Int8Options
    saturates: bool
    capabilities: Sequence[str]
    say: Callable[[str], None]
    _for_tensorrt: dict[InputShape, tuple[Path, Quantization]] = field(default_factory=dict)
    _measured: dict[InputShape, MeasuredRanges] = field(default_factory=dict)

    def build(self, planned: Planned, frames: ShapeFrames) -> tuple[list[Path], Quantization | None]:
        """Make one artifact; returns its files, the main one first, and how it was quantized.

        Raises:
            UnavailableError: if the target's library refuses the graph.
        """
        size = None if frames.shape.primary else frames.shape.size
        path = self.folder / planned.target.file_name(planned.precision, size)
        match planned.target.name:
            case "onnx":
                quantization = self._build_onnx(path, planned.precision, frames)
            case "openvino":
                quantization = self._build_openvino(path, planned.precision, frames)
            case "onnx_tensorrt":
                source, quantization = self._quantize_for_tensorrt(frames)
                path.write_bytes(source.read_bytes())
            case _:
                quantization = self._build_engine(path, planned, frames)
        companions = planned.target.companion_names(planned.precision, size)
        return [path, *(self.folder / name for name in companions)], quantization

    def operations(self, shape: InputShape) -> dict[str, int]:
        """Multiplications and additions in each layer for one call with frames of ``shape``, by the layer's name."""
        return layer_operations(self._graph(Precision.FP32, shape), shape)

    def _graph(self, precision: Precision, shape: InputShape) -> Path:
        return self.graphs.get(precision, shape, self.normalization)

    def _ranges(self, frames: ShapeFrames) -> MeasuredRanges:
        """Ranges of activations, measured once for all graphs of a shape."""
        if frames.shape not in self._measured:
            self._measured[frames.shape] = MeasuredRanges(self._graph(Precision.FP32, frames.shape), frames.calibration)
        return self._measured[frames.shape]

    def _build_onnx(self, path: Path, precision: Precision, frames: ShapeFrames) -> Quantization | None:
        if precision is Precision.INT8:
            quantizer = GraphQuantizer(self._ranges(frames), cpu_scheme(saturates=self.saturates))
            return self._int8_maker(quantizer, frames, "onnx", ".onnx").make(path)
        path.write_bytes(self._graph(precision, frames.shape).read_bytes())
        return None

    def _build_openvino(self, path: Path, precision: Precision, frames: ShapeFrames) -> Quantization | None:
        source = self._graph(Precision.FP32, frames.shape)
        if precision is Precision.INT8:
            from export.openvino_int8 import ModelQuantizer

            quantizer = ModelQuantizer(source, frames.calibration, saturates=self.saturates)
            return self._int8_maker(quantizer, frames, "openvino", ".xml").make(path)
        from export.intermediate_representation import write_ir

        write_ir(source, path, precision)
        return None

    def _build_engine(self, path: Path, planned: Planned, frames: ShapeFrames) -> Quantization | None:
        from export.engine_plan import build_engine

        quantization = None
        if planned.precision is Precision.INT8:
            source, quantization = self._quantize_for_tensorrt(frames)
        else:
            source = self._graph(planned.precision, frames.shape)
        build_engine(source, path, planned.target, shape=frames.shape, capabilities=self.capabilities)
        return quantization

    def _quantize_for_tensorrt(self, frames: ShapeFrames) -> tuple[Path, Quantization]:
        """The INT8 graph that TensorRT reads; what is not quantized runs at the graph's own type, so that is FP16."""
        shape = frames.shape
        if shape not in self._for_tensorrt:
            path = self.workshop / f"int8.{shape.size}.tensorrt.onnx"
            quantizer = GraphQuantizer(self._ranges(frames), TENSORRT, self._graph(Precision.FP16, shape))
            # ONNX Runtime computes the same graph, slowly: that shows what INT8 does to the picture.
            maker = self._int8_maker(quantizer, frames, "onnx", ".onnx")
            self._for_tensorrt[shape] = path, maker.make(path)
        return self._for_tensorrt[shape]

    def _int8_maker(self, quantizer: Quantizer, frames: ShapeFrames, target: str, suffix: str) -> Int8Maker:
        opener: Callable[[Path], Engine] = partial(open_engine, target, size=frames.shape.size)
        return Int8Maker(
            quantizer=quantizer,
            open_engine=opener,
            calibration=frames.calibration,
            held_out=frames.held_out,
            translate=self.graphs.original.translate,
            # One size tells what the layers are like; others are measured only where they miss the gate.
            options=self.int8 if frames.shape.primary else replace(self.int8, sensitivity=False),
            workshop=self.workshop,
            suffix=suffix,
            say=self.say,
        )
