"""Deploy graphs that several artifacts start from, written once."""

from dataclasses import dataclass, field
from pathlib import Path

from core.export_record import Normalization
from core.formats import InputShape
from core.precision import Precision
from export.original import Original


@dataclass(slots=True)
class DeployGraphs:
    """The deploy graphs of ``original``, each written to ``folder`` when it is first asked for."""

    original: Original
    folder: Path
    _written: dict[tuple[Precision, InputShape, Normalization], Path] = field(default_factory=dict)

    def get(self, precision: Precision, shape: InputShape, normalization: Normalization) -> Path:
        """The fp32 or fp16 graph for frames of ``shape``, as an ONNX file that is not to be changed.

        Raises:
            UnavailableError: if the original cannot be had in that shape.
        """
        key = (precision, shape, normalization)
        if key not in self._written:
            path = self.folder / f"{normalization}.{shape.size}.{precision}.onnx"
            self.original.write_graph(path, precision, shape, normalization)
            self._written[key] = path
        return self._written[key]
