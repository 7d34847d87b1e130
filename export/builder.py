"""Making the artifacts of a bundle, all from one deploy graph."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.frames import Frame, Size
from core.machine import this_machine
from core.manifest import Normalization
from core.networks import Generator
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.plan import Planned


@dataclass(slots=True, kw_only=True)
class ArtifactBuilder:
    """Makes artifacts into ``folder``; graphs that several of them start from are written once, to ``workshop``.

    Attributes:
        generator: the trained generator.
        normalization: how the graphs normalize.
        size: of the frames the artifacts take.
        folder: where artifacts go.
        workshop: a temporary folder for intermediate graphs.
        calibration: frames that INT8 ranges are measured on; may be empty when no INT8 is asked for.
    """

    generator: Generator
    normalization: Normalization
    size: Size
    folder: Path
    workshop: Path
    calibration: Sequence[Frame]
    _written: set[Path] = field(default_factory=set)

    def build(self, planned: Planned) -> list[Path]:
        """Make one artifact; returns its files, the main one first.

        Raises:
            UnavailableError: if the target's library refuses the graph.
        """
        path = self.folder / planned.target.file_name(planned.precision)
        match planned.target.name:
            case "onnx":
                self._build_onnx(path, planned.precision)
            case "openvino":
                self._build_openvino(path, planned.precision)
            case _:
                self._build_engine(path, planned)
        return [path, *(self.folder / name for name in planned.target.companion_names(planned.precision))]

    def _graph(self, precision: Precision) -> Path:
        """The fp32 or fp16 deploy graph."""
        path = self.workshop / f"{precision}.onnx"
        if path not in self._written:
            from export.graph_file import write_graph

            write_graph(path, DeployGraph(self.generator, self.normalization, precision), self.size)
            self._written.add(path)
        return path

    def _build_onnx(self, path: Path, precision: Precision) -> None:
        if precision is Precision.INT8:
            from export.quantization import quantize_for_cpu

            quantize_for_cpu(
                self._graph(Precision.FP32), path, self.calibration, saturates=this_machine().saturates_at_16_bits
            )
        else:
            path.write_bytes(self._graph(precision).read_bytes())

    def _build_openvino(self, path: Path, precision: Precision) -> None:
        from export.intermediate_representation import write_ir, write_quantized_ir

        source = self._graph(Precision.FP32)
        if precision is Precision.INT8:
            write_quantized_ir(source, path, self.calibration, saturates=this_machine().saturates_at_16_bits)
        else:
            write_ir(source, path, precision)

    def _build_engine(self, path: Path, planned: Planned) -> None:
        from export.engine_plan import build_engine

        if planned.precision is Precision.INT8:
            from export.quantization import quantize_for_tensorrt

            # What is not quantized runs at the graph's own type, so the rest is FP16.
            source = self.workshop / "int8.tensorrt.onnx"
            if source not in self._written:
                quantize_for_tensorrt(self._graph(Precision.FP16), source, self.calibration)
                self._written.add(source)
        else:
            source = self._graph(planned.precision)
        build_engine(source, path, planned.target)
