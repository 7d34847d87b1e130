"""An image-to-image network that another tool exported to ONNX, as the original of a bundle."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calibration.frames import held_out_frames
from core.configuration import DataConfig, build_settings, is_plain_name
from core.errors import InvalidInputError, UnavailableError
from core.export_record import Normalization
from core.foreign_checkpoints.tensor_file import printable
from core.formats import InputShape
from core.frames import Frame, Size
from core.precision import Precision
from export.foreign_graph_file import read_model
from export.foreign_input import ValueRange
from export.foreign_network import ForeignNetwork, first_line, load_session
from export.foreign_statistics import notes_on
from export.graph_wrapping import wrap
from export.original import Original
from export.range_detection import PROBES, check_range, detect_range


class ForeignGraph(Original):
    """A network ``float32 [N, C, H, W]`` to the same, RGB or brightness, whose pictures are in ``value_range``.

    Its translations are those of the graph as it came, run by ONNX Runtime on the CPU, with NumPy before and after:
    nothing of what ``write_graph`` puts around it.
    """

    def __init__(self, network: ForeignNetwork, value_range: ValueRange, data: DataConfig, *, stated: bool) -> None:
        """Of ``network``; ``stated`` says whether the user gave ``value_range``."""
        path, model = network.path, network.model
        producer = f"{model.producer_name} {model.producer_version}".strip()
        self.path = path
        self.name = path.stem if is_plain_name(path.stem) else "imported"
        self.step = 0
        self.batch = 1
        self.origin = (
            f"{printable(path.name, longest=200)}, an ONNX graph made by {printable(producer) or 'an unknown tool'}, "
            f"pictures in {value_range} ({'as stated' if stated else 'found out'})"
        )
        self.generator = None
        self.data = data
        self.normalizations = (Normalization.NONE,)
        self.notes = notes_on(path, model)
        self.value_range = value_range
        self._network = network

    def check_size(self, size: Size) -> None:
        """Refuse a size it cannot take, found out by trying (``InvalidInputError``, with one that it can if found)."""
        self._network.check_size(size)

    def write_graph(self, path: Path, precision: Precision, shape: InputShape, normalization: Normalization) -> None:
        """Write the network with the way from frames and back around it; see ``Original.write_graph``.

        Its weights stay as they are; in fp16 they are rounded, and what comes after the network stays in float.
        """
        assert normalization in self.normalizations
        assert precision is not Precision.INT8, "INT8 graphs are quantized from an fp32 or fp16 one"
        network = self._network
        if shape.batch > 1 and not network.any_batch:
            raise UnavailableError(f"{self.path} takes one picture at a time: export it with a dynamic batch")
        if shape.dynamic and any(network.sides):
            raise UnavailableError(f"{self.path} has a fixed size: export it with dynamic height and width")
        try:
            network.check_size(shape.size, batch=shape.batch)
        except InvalidInputError as error:
            raise UnavailableError(str(error)) from error
        graph = wrap(network, self.value_range, precision, shape).SerializeToString()
        try:  # a conversion can leave types that do not fit
            load_session(graph, optimize=False)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
            raise UnavailableError(
                f"{self.path} cannot be made in {precision} for {shape} ({first_line(error)})"
            ) from error
        path.write_bytes(graph)

    def translate(self, frames: Sequence[Frame]) -> list[Frame]:
        """Its own translations of ``frames`` (``uint8 [H, W, 3]`` BGR), one at a time."""
        return [self._translate(frame) for frame in frames]

    def _translate(self, frame: Frame) -> Frame:
        network = self._network
        answer = network.answer(self.value_range.images(frame[np.newaxis], network.input_encoding))
        return np.asarray(self.value_range.frames(answer, network.output_encoding)[0])


def open_foreign_graph(
    path: Path, *, value_range: ValueRange | None, data: DataConfig, size: Size | None
) -> ForeignGraph:
    """The network in the ONNX file at ``path``.

    Args:
        path: of the file; its weights may lie in files beside it.
        value_range: the values of its pictures, in and out; None to find out (see ``export.range_detection``).
        data: where frames to try it on come from, and the size that a network of any size is exported at.
        size: that was asked for; None for the one the graph is fixed at, or that of ``data``.

    Raises:
        CheckpointError: if it cannot be read, or is no network that makes one picture of one picture.
        InvalidInputError: if it cannot take the size, its last layer gives another range than the stated one, the
            range cannot be told, or the data cannot be read.
    """
    network = ForeignNetwork(path, read_model(path))
    wanted = size or Size(data.height, data.width)
    chosen = size or Size(*(own or other for own, other in zip(network.sides, wanted, strict=True)))
    network.check_size(chosen)
    data = build_settings(DataConfig, **(data.model_dump() | {"height": chosen.height, "width": chosen.width}))
    if value_range is not None:
        check_range(network, value_range)
    # Built-in frames where there are no pairs to validate with.
    frames, _ = held_out_frames(data, chosen, count=PROBES)
    frames = frames or held_out_frames(DataConfig(), chosen, count=PROBES)[0]
    found = detect_range(network, frames) if value_range is None else value_range
    graph = ForeignGraph(network, found, data, stated=value_range is not None)
    graph.translate(frames[:1])  # fails now rather than after other work
    return graph
