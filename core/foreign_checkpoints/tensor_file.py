"""The tensors in a file of ``torch.save``, read without running what the file says."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from core.errors import CheckpointError

_WRAPPERS: Final = ("state_dict", "model_state_dict")
"""Keys under which a training loop keeps the weights, beside its optimizer and whatever else."""
_PREFIXES: Final = ("module.", "_orig_mod.")
"""What ``DataParallel`` and ``torch.compile`` put before every name."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in ``path``, on the CPU, without wrappers and prefixes; never empty.

    Raises:
        CheckpointError: if there is no such file, it is damaged, holds objects, or something else than tensors.
    """
    content = _unwrap(_load(path))
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__} instead of named weights: {_HOW_TO_SAVE}")
    if not content:
        raise CheckpointError(f"{path} is an empty state dict: save the trained generator's again")
    if not all(isinstance(name, str) for name in content):
        raise CheckpointError(f"{path} holds no named weights: {_HOW_TO_SAVE}")
    if not any(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds {list_names(content)}, and no weights: {_HOW_TO_SAVE}")
    for name, value in content.items():
        if not isinstance(value, Tensor) or not _is_plain(value):
            raise CheckpointError(f"{path}: {printable(name)} is not an ordinary tensor: {_HOW_TO_SAVE}")
    return _strip({name: value.detach() for name, value in content.items()})


_HOW_TO_SAVE: Final = "save it with torch.save(generator.state_dict(), ...)"


def _load(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats: what cannot be used is refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle can end in any error
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"{path} is a TorchScript program instead of named weights: {_HOW_TO_SAVE}"
            ) from error
        forbidden = re.search(r"GLOBAL ([\w.]+) w", str(error))  # "was not allowed", "whose module is blocked"
        if forbidden is None:
            raise CheckpointError(f"{path} is not a checkpoint, or it is damaged: copy it again") from error
        raise CheckpointError(
            f"{path} is refused, as opening it could run code (it needs {forbidden[1]}): {_HOW_TO_SAVE}"
        ) from error


def _unwrap(content: object) -> object:
    """The state dict within ``content``, if that is what it is wrapped in."""
    if isinstance(content, Mapping):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                return content[key]
    return content


def _strip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` without a prefix that all their names share."""
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            return _strip({name.removeprefix(prefix): tensor for name, tensor in tensors.items()})
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    """Whether ``tensor`` is dense, of real numbers, and no larger than the memory it was read into."""
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        return False
    if tensor.is_quantized or tensor.is_complex():
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def printable(text: str, *, longest: int = 60) -> str:
    """``text`` of an unknown file, fit for a line on a terminal."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:longest])
    return shown + "..." if len(text) > longest else shown


def list_names(names: Mapping[str, object], *, most: int = 4) -> str:
    """The first of ``names`` and how many more there are."""
    shown = ", ".join(printable(name) for name in list(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
