"""Generators on disk: one safetensors file whose header carries, as JSON, everything needed to use the weights."""

import json
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from core.atomic import atomic_file
from core.configuration import CheckpointInfo, GeneratorConfig
from core.errors import CheckpointError, InvalidInputError
from core.networks import Generator, build_generator

_HEADER_KEY: Final = "pix2pix_edge"


def save_generator(path: Path, generator: Generator, info: CheckpointInfo) -> None:
    """Write ``generator``'s weights and ``info`` to ``path``, whole or not at all.

    Raises:
        InvalidInputError: if it cannot be written.
    """
    save_weights(path, generator, {_HEADER_KEY: info.model_dump_json()})


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
    """What the checkpoint at ``path`` says of itself.

    Raises:
        CheckpointError: if it is missing, damaged or not one of this project's.
    """
    return _read(path, with_weights=False)[0]


def load_generator(path: Path) -> tuple[Generator, CheckpointInfo]:
    """The generator in ``path``, on the CPU and in evaluation mode, and what the checkpoint says of itself.

    Raises:
        CheckpointError: if the file is missing, damaged or not one of this project's.
    """
    info, generator = _read(path, with_weights=True)
    assert generator is not None
    return generator.eval(), info


def _read(path: Path, *, with_weights: bool) -> tuple[CheckpointInfo, Generator | None]:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: train one with p2p-train")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_HEADER_KEY)
            if header is None:
                raise CheckpointError(f"{path} was not written by p2p-train (its header names no generator)")
            info = CheckpointInfo.model_validate(json.loads(header))
            if not with_weights:
                return info, None
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        generator = _rebuild(info.generator, weights)
    except (OSError, SafetensorError, ValidationError, json.JSONDecodeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} is damaged or incomplete ({reason}): train again, or copy it again") from error
    return info, generator


def _rebuild(config: GeneratorConfig, weights: dict[str, Tensor]) -> Generator:
    """The generator of ``config`` with ``weights``; RuntimeError if they are not its own, or not numbers."""
    first = weights.get("encoder.0.0.weight")
    deepest = max((int(name.split(".")[1]) for name in weights if name.startswith("encoder.")), default=-1)
    if first is None or first.shape[0] != config.width or deepest != config.levels - 1:
        raise RuntimeError(f"its weights are not those of a generator of width {config.width}, {config.levels} levels")
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise RuntimeError("some of its weights are not finite numbers")
    generator = build_generator(config)
    generator.load_state_dict(weights)
    return generator
