"""Generators on disk: one safetensors file whose header carries, as JSON, everything needed to use the weights.

Other projects' files are read as well (``core.foreign_checkpoints``), and never written.
"""

import json
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from core.atomic import atomic_file
from core.configuration import CheckpointInfo
from core.errors import CheckpointError, InvalidInputError
from core.foreign_checkpoints import import_checkpoint, is_foreign
from core.networks import Generator
from core.networks.assembly import assemble_generator

HEADER_KEY: Final = "pix2pix_edge"


def save_generator(path: Path, generator: Generator, info: CheckpointInfo) -> None:
    """Write ``generator``'s weights and ``info`` to ``path``, whole or not at all.

    Raises:
        InvalidInputError: if it cannot be written.
    """
    save_weights(path, generator, {HEADER_KEY: info.model_dump_json()})


def save_weights(path: Path, network: nn.Module, header: dict[str, str]) -> None:
    """Write ``network``'s weights to ``path`` with ``header``, whole or not at all.

    Raises:
        InvalidInputError: if it cannot be written.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_file(path) as partial:
        try:
            save_file(weights, partial, metadata=header)
        except SafetensorError as error:
            raise InvalidInputError(f"cannot write {path}: {str(error).splitlines()[0]}") from error


def read_info(path: Path) -> CheckpointInfo:
    """What the checkpoint at ``path`` says of itself, or what is known of another project's.

    Raises:
        CheckpointError: as ``load_generator`` does.
    """
    return import_checkpoint(path)[1] if is_foreign(path) else _read(path, with_weights=False)[0]


def load_generator(path: Path) -> tuple[Generator, CheckpointInfo]:
    """The generator in ``path``, on the CPU and in evaluation mode, and what the checkpoint says of itself.

    Files that other projects wrote (``core.foreign_checkpoints``) are converted.

    Raises:
        CheckpointError: if the file is missing, damaged, or not a generator that is known.
    """
    if is_foreign(path):
        return import_checkpoint(path)
    info, generator = _read(path, with_weights=True)
    assert generator is not None
    return generator, info


def _read(path: Path, *, with_weights: bool) -> tuple[CheckpointInfo, Generator | None]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: train one with p2p-train")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            if header is None:
                raise CheckpointError(f"{path} was not written by p2p-train (its header names no generator)")
            info = CheckpointInfo.model_validate(json.loads(header))
            if not with_weights:
                return info, None
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        generator = assemble_generator(info.generator, weights)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} is damaged or incomplete ({reason}): train again, or copy it again") from error
    return info, generator
