"""A trained generator in pieces small enough to be carried: ``python -m benchmarks.generator_pieces DIR`` joins them.

Pieces are of half precision and at most 16 MiB; ``pieces.json`` beside them has the SHA-256 of each and of the whole.
Joined, it is a checkpoint like any other: ``p2p-export DIR``.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Final

import torch
import typer
from pydantic import Field, ValidationError
from safetensors.torch import save

from core.atomic import atomic_file, make_folder, write_text
from core.checkpoint import HEADER_KEY, load_generator
from core.command_line import run_command
from core.configuration import GENERATOR_FILE, Settings
from core.errors import InvalidInputError
from core.manifest import ArtifactFile, describe_file

LIMIT_BYTES: Final = 16 * 2**20
INDEX: Final = "pieces.json"


class Pieces(Settings):
    """What lies in a folder of pieces."""

    format_version: int = 1
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the whole."""
    bytes: Annotated[int, Field(ge=1)]
    pieces: Annotated[tuple[ArtifactFile, ...], Field(min_length=1)]
    """In order."""


def split(checkpoint: Path, folder: Path, *, limit: int = LIMIT_BYTES) -> Pieces:
    """Write the generator of ``checkpoint`` into ``folder`` in half precision, in pieces of at most ``limit`` bytes.

    Raises:
        CheckpointError: if it is no checkpoint.
        InvalidInputError: if a weight is too large for half precision, or the pieces cannot be written.
    """
    generator, info = load_generator(checkpoint)
    weights = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in generator.state_dict().items()
    }
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values() if tensor.dtype is torch.float16):
        raise InvalidInputError(f"{checkpoint} has weights beyond what half precision holds: carry it as it is")
    content = save(weights, metadata={HEADER_KEY: info.model_dump_json()})
    make_folder(folder)
    written = []
    for number, start in enumerate(range(0, len(content), limit)):
        path = folder / f"{GENERATOR_FILE}.{number:03}"
        with atomic_file(path) as partial:
            partial.write_bytes(content[start : start + limit])
        written.append(describe_file(path))
    pieces = Pieces(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), pieces=tuple(written))
    write_text(folder / INDEX, pieces.model_dump_json(indent=1) + "\n")
    return pieces


def join(folder: Path, out: Path) -> None:
    """Put the pieces in ``folder`` together as the file ``out``, whole or not at all.

    Raises:
        InvalidInputError: if one is missing, damaged, or the whole is not what was split.
    """
    try:
        pieces = Pieces.model_validate(json.loads((folder / INDEX).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise InvalidInputError(f"{folder / INDEX} cannot be read: bring it along with the pieces") from error
    whole = hashlib.sha256()
    with atomic_file(out) as partial, partial.open("wb") as file:
        for piece in pieces.pieces:
            path = folder / piece.name
            if not path.is_file():
                raise InvalidInputError(f"{path} is missing: bring all {len(pieces.pieces)} pieces")
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != piece.sha256:
                raise InvalidInputError(f"{path} is damaged: bring it again")
            whole.update(content)
            file.write(content)
        if whole.hexdigest() != pieces.sha256:
            raise InvalidInputError(f"the pieces in {folder} are not those of one generator: split it again")


def main(
    folder: Annotated[Path, typer.Argument(help="Where the pieces lie.")],
    out: Annotated[Path | None, typer.Option(help=f"What they become. [default: {GENERATOR_FILE} beside them]")] = None,
) -> None:
    """Put the pieces of a generator together again, ready for p2p-export."""
    path = out or folder / GENERATOR_FILE
    join(folder, path)
    _, info = load_generator(path)
    print(f"{path}: step {info.step} of {info.name}; next: p2p-export {path.parent}")


if __name__ == "__main__":
    run_command(main, name="generator-pieces")
