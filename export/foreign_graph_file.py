"""An ONNX file that another tool wrote, read without trusting it.

Weights may lie in files of their own ("external data"): which ones the graph says itself. They are read here, and
nothing that comes later, ONNX Runtime least of all, opens a file because the graph names it.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto
from onnx.inliner import inline_local_functions

from core.errors import CheckpointError
from core.foreign_checkpoints.tensor_file import printable

MAX_BYTES: Final = 2**31 - 2**20
"""Of a graph with its weights: Protocol Buffers end at 2 GiB, and what is put around the network needs a little."""


def read_model(path: Path) -> ModelProto:
    """The graph in ``path`` with all of its weights inside and its local functions inlined.

    Raises:
        CheckpointError: if there is no such file, it is damaged or too large, holds no graph, needs newer libraries,
            or names files for its weights that are not whole ones of its own folder.
    """
    data = _read(path)
    damaged = f"{path} is not an ONNX graph, or it is damaged: copy it again"
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise CheckpointError(damaged) from error
    if not all(map(_is_text, _messages(model))):
        raise CheckpointError(damaged)
    if not model.HasField("graph") or not model.graph.node:
        raise CheckpointError(f"{path} holds no graph: give an ONNX file of an image-to-image network")
    _check_versions(path, model)
    _embed_weights(path, model, room=MAX_BYTES - len(data))
    return _inlined(path, model)


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators that ``model`` is written in."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"there is no ONNX file {path}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path} is larger than 2 GiB, which an ONNX graph in one file cannot be")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def _check_versions(path: Path, model: ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > newest:
            raise CheckpointError(
                f"{path} is of opset {opset.version}, and onnx {onnx.__version__} knows up to {newest}: "
                "export it with opset 20, or install a newer onnx"
            )
    if model.ir_version > onnx.IR_VERSION:
        raise CheckpointError(
            f"{path} is of IR version {model.ir_version}, and onnx {onnx.__version__} knows up to {onnx.IR_VERSION}: "
            "save it with an older onnx, or install a newer one"
        )


def _embed_weights(path: Path, model: ModelProto, *, room: int) -> None:
    """Read the tensors that lie in other files, ``room`` bytes at most, into ``model``."""
    for tensor in _messages(model):
        if not isinstance(tensor, TensorProto):
            continue
        if tensor.data_location == TensorProto.EXTERNAL:
            data = _external_data(path, tensor, room)
            room -= len(data)
            tensor.raw_data = data
        # Also where nothing was external: what is left could only mislead whoever reads the graph next.
        tensor.ClearField("data_location")
        tensor.ClearField("external_data")


def _messages(message: Message) -> Iterator[Message]:
    """``message`` and all that is in it: nodes, weights, attributes, those of sub-graphs and functions."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if isinstance(value, Message) else value:
                yield from _messages(part)


def _is_text(message: Message) -> bool:
    """Whether all names in ``message`` itself can be read: Protocol Buffers hand over bytes that are no UTF-8."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            for text in (value,) if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    return False
    return True


def _external_data(path: Path, tensor: TensorProto, room: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = _within_folder(path, entries.get("location", ""))
    try:
        size = file.stat().st_size
        start = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - start)))
        if start < 0 or length < 0 or start + length > size:
            raise CheckpointError(f"{path} wants more of {file.name} than there is: copy both files again")
        if length > room:
            raise CheckpointError(f"{path} and its weights are larger than 2 GiB, which one graph cannot be")
        with file.open("rb") as stream:
            stream.seek(start)
            return stream.read(length)
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: where {printable(tensor.name)} begins is no number") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {file}, which holds weights of {path}: {error.strerror}") from error


def _within_folder(path: Path, location: str) -> Path:
    """The file of ``location``; only a plain one in the folder of ``path``, or in a folder within it, will do."""
    shown = printable(location)
    for kind in (PurePosixPath(location), PureWindowsPath(location)):
        if kind.anchor or ".." in kind.parts or not kind.parts or "\0" in location:
            raise CheckpointError(
                f"{path} is refused: it takes weights from {shown!r}, outside of its own folder: save it in one file"
            )
    try:
        folder = path.parent.resolve()
        file = (folder / location).resolve()
        leads_out, is_file = not file.is_relative_to(folder), file.is_file()
    except (OSError, RuntimeError) as error:  # a name too long; links in a circle
        raise CheckpointError(f"{path} keeps weights in {shown!r}, which cannot be opened: copy both again") from error
    if leads_out:
        raise CheckpointError(
            f"{path} is refused: {shown!r}, which holds its weights, is a link that leads out of its folder: "
            "copy both files into one"
        )
    if not is_file:
        raise CheckpointError(f"{path} keeps weights in {shown!r}, which is not beside it: copy that file as well")
    return file


def _inlined(path: Path, model: ModelProto) -> ModelProto:
    if not model.functions:
        return model
    try:
        return inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        reason = printable(str(error).strip(), longest=200)
        raise CheckpointError(
            f"{path} has functions of its own that cannot be resolved ({reason}): export it without"
        ) from error
