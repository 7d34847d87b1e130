"""What is exported: the network whose pictures every artifact is compared with."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from core.configuration import DataConfig, GeneratorConfig
from core.export_record import Normalization
from core.formats import InputShape
from core.frames import Frame, Size
from core.precision import Precision


class Original(ABC):
    """A network to export.

    Attributes:
        path: the file it was read from.
        name: of the run, or of what comes nearest: a plain file name, which names the bundle.
        step: training steps, as far as they are known.
        batch: batch size in training.
        origin: another project's file, and what network it was; None for a run of this project.
        generator: its configuration; None for a graph that was made elsewhere.
        data: where its held-out frames are, at which size it was trained, and what live frames are made into.
        normalizations: the ways it can be made to normalize; the one that it was meant for comes first.
        notes: lines that the user should read of what is exported.
    """

    path: Path
    name: str
    step: int
    batch: int
    origin: str | None
    generator: GeneratorConfig | None
    data: DataConfig
    normalizations: tuple[Normalization, ...]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def check_size(self, size: Size) -> None:
        """Refuse a size it cannot take (``InvalidInputError``, with one that it can)."""

    @abstractmethod
    def write_graph(self, path: Path, precision: Precision, shape: InputShape, normalization: Normalization) -> None:
        """Write the deploy graph (``uint8 [N, H, W, 3]`` BGR in and out) in fp32 or fp16 to ``path``, one ONNX file.

        Raises:
            UnavailableError: if it cannot be made in that shape.
        """

    @abstractmethod
    def translate(self, frames: Sequence[Frame]) -> list[Frame]:
        """Its own translations of ``frames`` (``uint8 [H, W, 3]`` BGR), one at a time, in the mode it was meant for."""
