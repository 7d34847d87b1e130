"""From another project's file to a generator of this one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from core.configuration import CheckpointInfo, DataConfig, is_plain_name
from core.errors import CheckpointError
from core.foreign_checkpoints.conversion import Layout, MismatchError, convert
from core.foreign_checkpoints.nested_unet import NESTED_UNET
from core.foreign_checkpoints.reflect_unet import REFLECT_UNET
from core.foreign_checkpoints.sequential_resnet import SEQUENTIAL_RESNET
from core.foreign_checkpoints.tensor_file import list_names, printable, read_tensors
from core.networks import Generator

LAYOUTS: Final = (NESTED_UNET, SEQUENTIAL_RESNET, REFLECT_UNET)
"""The generators that are recognised."""

SUFFIXES: Final = frozenset({".pth", ".pt", ".tar", ".ckpt"})
_MAGIC: Final = (b"PK\x03\x04", b"\x80\x02")
"""What ``torch.save`` begins its files with: a zip archive, and before version 1.6 a pickle."""


def is_foreign(path: Path) -> bool:
    """Whether ``path`` is, by its suffix or its first bytes, a file of ``torch.save``: no checkpoint of this project.

    A file that cannot be opened is foreign by its suffix only.
    """
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_MAGIC)
    except OSError:
        return False  # whoever reads it next says what is wrong


def import_checkpoint(path: Path) -> tuple[Generator, CheckpointInfo]:
    """The generator that another project saved in ``path``, on the CPU and in evaluation mode, and what is known of it.

    What the file does not tell is taken for what that project does unless told otherwise: the batch size, and the size
    of the pictures. Nothing is known of the data: ``DataConfig`` is the built-in set's.

    Raises:
        CheckpointError: if it is not such a file, or no generator that is known.
    """
    tensors = read_tensors(path)
    layout = _recognise(path, tensors)
    try:
        plan = layout.plan(tensors)
        generator = convert(plan, tensors)
    except MismatchError as error:
        raise CheckpointError(
            f"{path} looks like the {layout.title}, but {printable(str(error), longest=240)}: it cannot be imported"
        ) from error
    return generator, CheckpointInfo(
        generator=plan.config,
        data=DataConfig(height=plan.size, width=plan.size),
        step=0,
        batch=plan.batch,
        name=_name(path),
        origin=f"{printable(path.name, longest=200)}, {layout.title}",
    )


def _recognise(path: Path, tensors: Mapping[str, Tensor]) -> Layout:
    for layout in LAYOUTS:
        if layout.matches(tensors.keys()):
            return layout
    if _is_discriminator(tensors):
        raise CheckpointError(f"{path} is a discriminator, which translates nothing: give the generator's file (net_G)")
    expected = "; ".join(f"{layout.expected} ({layout.title})" for layout in LAYOUTS)
    raise CheckpointError(f"{path} is no generator that is known: expected {expected}; found {list_names(tensors)}")


def _is_discriminator(tensors: Mapping[str, Tensor]) -> bool:
    """Whether ``tensors`` are a patch or pixel discriminator's: convolutions in a row, the last one to one channel."""
    if not tensors.keys() & {"model.0.weight", "net.0.weight", "initial.0.weight", "layers.0.weight"}:
        return False
    convolutions = [tensor for tensor in tensors.values() if tensor.ndim == 4]
    return bool(convolutions) and convolutions[-1].shape[0] == 1


def _name(path: Path) -> str:
    """A run's name for ``path``: NAME of ``checkpoints/NAME/latest_net_G.pth``, else the file's without suffixes."""
    numbered = re.fullmatch(r"[^/]+_net_G(_[AB])?\.pth", path.name)
    folder = path.absolute().parent
    if numbered and folder.parent.name == "checkpoints":
        name = folder.name + (numbered[1] or "")
    else:
        name = path.name
        while Path(name).suffix.lower() in SUFFIXES:
            name = Path(name).stem
    name = printable(name, longest=200).removesuffix("...")
    return name if is_plain_name(name) else "imported"
