"""What makes INT8 artifacts of one graph, whichever library does it."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.export_record import RangeMethod
from core.frames import Frame


class Quantizer(Protocol):
    """Quantizes the layers of one graph, all or some of them.

    Attributes:
        scheme: signs of activations and weights, and their bits, in words.
        methods: the ways it can find ranges, its default first.
        layers: names of the layers that it can quantize, in the order in which they are computed.
        outer: names of the layers that it leaves in float in any case.
    """

    scheme: str
    methods: tuple[RangeMethod, ...]
    layers: tuple[str, ...]
    outer: tuple[str, ...]

    def write(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        """Write an artifact to ``path`` in which ``layers`` (of ``self.layers``) are quantized and nothing else is.

        Raises:
            UnavailableError: if the library refuses the graph.
        """

    def write_draft(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        """The same, as quickly as can be, for finding out what the quantization of ``layers`` costs."""


@runtime_checkable
class AccuracyControl(Protocol):
    """A quantizer whose library can choose by itself which layers stay in float."""

    def write_with_accuracy_control(
        self,
        path: Path,
        *,
        method: RangeMethod,
        frames_held: Sequence[Frame],
        references: Sequence[Frame],
        min_psnr: float,
    ) -> tuple[str, ...]:
        """Write an artifact that reaches ``min_psnr`` on ``frames_held``; the layers that stayed in float.

        Raises:
            UnavailableError: if that cannot be had.
        """
