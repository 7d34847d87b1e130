"""Generators on disk: one safetensors file whose header carries, as JSON, everything needed to use the weights."""

import json
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from core.atomic import atomic_file
from core.configuration import CheckpointInfo
from core.errors import CheckpointError
from core.networks import UNetGenerator

_HEADER_KEY: Final = "pix2pix_edge"


def save_generator(path: Path, generator: UNetGenerator, info: CheckpointInfo) -> None:
    """Write ``generator``'s weights and ``info`` to ``path``, whole or not at all."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    with atomic_file(path) as partial:
        save_file(weights, partial, metadata={_HEADER_KEY: info.model_dump_json()})


def read_info(path: Path) -> CheckpointInfo:
    """What the checkpoint at ``path`` says of itself.

    Raises:
        CheckpointError: if it is missing, damaged or not one of this project's.
    """
    return _read(path, weights=False)[0]


def load_generator(path: Path) -> tuple[UNetGenerator, CheckpointInfo]:
    """The generator in ``path``, on the CPU and in evaluation mode, and what the checkpoint says of itself.

    Raises:
        CheckpointError: if the file is missing, damaged or not one of this project's.
    """
    info, generator = _read(path, weights=True)
    assert generator is not None
    return generator.eval(), info


def _read(path: Path, *, weights: bool) -> tuple[CheckpointInfo, UNetGenerator | None]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: train one with p2p-train")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_HEADER_KEY)
            if header is None:
                raise CheckpointError(f"{path} was not written by p2p-train (its header names no generator)")
            info = CheckpointInfo.model_validate(json.loads(header))
            if not weights:
                return info, None
            generator = UNetGenerator(info.generator)
            generator.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, ValidationError, json.JSONDecodeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} is damaged or incomplete ({reason}): train again, or copy it again") from error
    return info, generator
