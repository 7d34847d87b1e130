"""An image-to-image network in an ONNX graph, as it was made: run by ONNX Runtime, pictures in, pictures out."""

import re
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from core.errors import CheckpointError, InvalidInputError
from core.foreign_checkpoints.tensor_file import printable
from core.frames import Encoding, Size
from export.quiet import quiet

ENCODINGS: Final = {3: Encoding.RGB, 1: Encoding.GRAY}
_STEPS: Final = (2, 4, 8, 16, 32, 64, 128, 256, 512)


class ForeignNetwork:
    """A network of one input and one output, ``float32 [N, C, H, W]``, of 3 channels (RGB) or 1 (brightness) each.

    Attributes:
        path: the file it is from.
        model: the graph, with its weights.
        input_name, output_name: of its real input and its output.
        any_batch: whether it takes several pictures at a time.
        sides: height and width that it is fixed at; None where any will do as far as the graph says.
        input_encoding: what its input's channels are.
        output_encoding: what its output's are; known after the first picture.
    """

    def __init__(self, path: Path, model: ModelProto) -> None:
        """Load ``model``, which is in ``path``; ``CheckpointError`` if it is no such network, or cannot be loaded."""
        self.path, self.model = path, model
        try:
            self._session = load_session(model.SerializeToString())
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes of its own here
            raise CheckpointError(
                f"{path} cannot be loaded by ONNX Runtime ({first_line(error)}): export it again"
            ) from error
        self.input_name, shape = self._tensor("input", self._session.get_inputs())
        self.output_name, _ = self._tensor("output", self._session.get_outputs())
        batch, channels, *sides = shape
        if channels not in (1, 3) and sides[1] in (1, 3):
            raise CheckpointError(f"{path} takes {_list(shape)}, channels last: export it channels first (NCHW)")
        if isinstance(channels, int) and channels not in ENCODINGS:
            raise CheckpointError(
                f"{path} takes {channels} channels, and a frame has 3 (colours) or 1 (brightness): "
                "export a network that takes one of these"
            )
        if isinstance(batch, int) and batch != 1:
            raise CheckpointError(f"{path} takes {batch} pictures at a time: export it with a batch of 1")
        self.any_batch = not isinstance(batch, int)
        self.sides = tuple(side if isinstance(side, int) else None for side in sides)
        self.input_encoding = ENCODINGS[channels if isinstance(channels, int) else 3]
        self.output_encoding = Encoding.RGB
        self._taken: set[tuple[int, Size]] = set()

    def _tensor(self, kind: str, nodes: list[onnxruntime.NodeArg]) -> tuple[str, list[int | str | None]]:
        """Name and shape of the one tensor in ``nodes``, in which weights listed as inputs are not."""
        if len(nodes) != 1:
            names = ", ".join(printable(node.name) for node in nodes[:4]) or "none"
            raise CheckpointError(
                f"{self.path} has {len(nodes)} {kind}s ({names}): one picture in and one out is needed"
            )
        node = nodes[0]
        if node.type != "tensor(float)":
            raise CheckpointError(
                f"{self.path}: its {kind} is {printable(node.type)}, not tensor(float): export it in float32, "
                "from which p2p-export makes other precisions"
            )
        # An output's shape may be left out: what comes of the first picture tells.
        if len(node.shape) != 4 and (kind == "input" or node.shape):
            raise CheckpointError(
                f"{self.path}: its {kind} is {_list(node.shape)}, not [N, C, H, W]: export it as such"
            )
        return node.name, node.shape

    def answer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's answer to ``images``, ``float32 [N, C, H, W]`` both.

        Raises:
            InvalidInputError: if it fails on them.
            CheckpointError: if the answer is not finite.
        """
        answer = self._run(images)
        if not np.isfinite(answer).all():
            raise CheckpointError(f"{self.path} answers a picture with values that are not finite: export it again")
        return answer

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        try:
            answer: NDArray[np.float32] = self._session.run(None, {self.input_name: images}, options)[0]
        except Exception as error:  # as in __init__
            pictures = _pictures(images.shape)
            raise InvalidInputError(f"{self.path} cannot take {pictures} ({first_line(error)})") from error
        return answer

    def check_size(self, size: Size, *, batch: int = 1) -> None:
        """Try ``batch`` pictures of ``size``.

        Raises:
            InvalidInputError: if it cannot take them, with a size that it can where one is found nearby.
            CheckpointError: if what it answers is no picture of that size.
        """
        fixed = Size(*(own or asked for own, asked in zip(self.sides, size, strict=True)))
        if fixed != size:
            raise InvalidInputError(f"{self.path} is fixed at {fixed} and cannot take {size}: use {fixed}")
        try:
            self._try(size, batch)
        except InvalidInputError as error:
            if batch > 1 or all(self.sides):
                raise
            better = self._nearest(size)
            advice = f"use {better}" if better else "no size near it will do"
            raise InvalidInputError(f"{error}: {advice}") from error

    def _try(self, size: Size, batch: int) -> None:
        if (batch, size) in self._taken:
            return
        channels = 3 if self.input_encoding is Encoding.RGB else 1
        asked = (batch, channels, *size)
        shape = self._run(np.zeros(asked, dtype=np.float32)).shape
        if len(shape) == 4 and shape[1] not in ENCODINGS and shape[3] in ENCODINGS:
            raise CheckpointError(f"{self.path} gives {_list(shape)}, channels last: export it channels first (NCHW)")
        if len(shape) != 4 or shape[1] not in ENCODINGS:
            raise CheckpointError(f"{self.path} gives {_list(shape)}, and a picture has 3 channels or 1")
        if (shape[0], *shape[2:]) != (batch, *size):
            raise InvalidInputError(
                f"{self.path} makes {_pictures(shape)} of {_pictures(asked)}, and a translation keeps its size"
            )
        self.output_encoding = ENCODINGS[shape[1]]
        self._taken.add((batch, size))

    def _nearest(self, size: Size) -> Size | None:
        """A size near ``size`` that the network takes; None if it takes no multiple of a power of two."""
        for step in _STEPS:
            near = Size(
                *(own or max(step, round(side / step) * step) for own, side in zip(self.sides, size, strict=True))
            )
            try:
                self._try(near, 1)
            except InvalidInputError:
                continue
            return near
        return None


def first_line(error: Exception) -> str:
    """What a library says went wrong, fit for a line on a terminal."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", lines[0]), longest=200)


def _list(shape: object) -> str:
    sides = shape if isinstance(shape, list | tuple) else ()
    return f"[{', '.join(printable(str(side), longest=20) for side in sides)}]"


def _pictures(shape: tuple[int, ...]) -> str:
    size = Size(*shape[2:])
    return f"{shape[0]} x {size}" if shape[0] != 1 else str(size)


def load_session(graph: bytes, *, optimize: bool = True) -> onnxruntime.InferenceSession:
    """A session on the CPU that prints nothing and leaves the processor alone between pictures."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    # Idle workers would spin, and rob the artifacts that are timed in the meantime.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with quiet():
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
