"""Which of several training processes this one is. No PyTorch here: the input is checked before it is loaded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from core.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class World:
    """The processes that ``torchrun`` started, or the only one."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among those on this machine: which GPU to take."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As ``torchrun`` describes it (RANK, WORLD_SIZE, LOCAL_RANK); a world of one where it does not.

        Raises:
            InvalidInputError: if only some of the variables are there, or they are no numbers.
        """
        given = [environment.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
        if "LOCAL_RANK" not in environment and "RANK" not in environment:
            return cls()
        try:
            rank, size, local_rank = (int(text or "") for text in given)
        except ValueError as error:
            raise InvalidInputError(
                "the variables RANK, WORLD_SIZE and LOCAL_RANK are not those of a distributed run: "
                "start p2p-train with torchrun, or unset them"
            ) from error
        return cls(rank, size, local_rank)
