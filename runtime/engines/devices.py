"""The names of devices as users give them."""

import re
from typing import Final

from core.errors import InvalidInputError

CUDA: Final = re.compile(r"cuda(?::([0-9]{1,3}))?")


def parse_device(text: str | None) -> str | None:
    """``text`` without spaces and in lower case, such as ``cuda:1`` or ``gpu``; None for None.

    Whether there is such a device is another question, and each engine's own (``runtime.engines.find_device``).

    Raises:
        InvalidInputError: if it cannot be the name of a device.
    """
    if text is None:
        return None
    named = text.strip().lower()
    if not re.fullmatch(r"[a-z0-9_.:]{1,40}", named):
        raise InvalidInputError(
            f"--device {text[:40]!r} is not understood: give cpu, cuda, cuda:1, "
            "or what OpenVINO calls a device, such as GPU, NPU or AUTO"
        )
    return named


def cuda_index(named: str) -> int | None:
    """The number of the NVIDIA GPU that ``named`` means, 0 for plain ``cuda``; None if it means something else."""
    match = CUDA.fullmatch(named)
    return None if match is None else int(match[1] or 0)
