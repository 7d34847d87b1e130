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
    local_size: int = 1
    """Processes on this machine, which share its cores."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def own_seed(self, seed: int) -> int:
        """A seed of this process alone, made of the run's; the main process has the run's own."""
        return seed + 1_000_003 * self.rank

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As ``torchrun`` describes it in RANK, WORLD_SIZE and the like; a world of one where it does not.

        Raises:
            InvalidInputError: if only some of the variables are there, or they are no numbers.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if "LOCAL_RANK" not in environment and "RANK" not in environment:
            return cls()
        try:
            rank, size, local_rank, local_size = (int(environment.get(name, "")) for name in names)
        except ValueError as error:
            raise InvalidInputError(
                f"the variables {', '.join(names)} are not those of a distributed run: "
                "start p2p-train with torchrun, or unset them"
            ) from error
        return cls(rank, size, local_rank, local_size)
