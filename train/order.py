"""Which pairs a step is made of, and which part of each: decided by the seed alone, for any step, in any process."""

from typing import NamedTuple

import numpy as np

from core.frames import Size
from train.augmentation import Cut, draw_cut, generator_for
from train.world import World


class Draw(NamedTuple):
    """One pair of a batch."""

    number: int
    """Of the pair."""
    cut: Cut


class DataOrder:
    """The order of a run's data. Every pass goes through all pairs anew; a batch may lie across two passes.

    Args:
        pairs: how many there are.
        batch: pairs a step, of all processes together.
        large: size of the pairs as they are read.
        size: size of the parts that are cut out of them.
        seed: of the order and of the cuts.
        mirror: whether half of the pairs are mirrored.
        world: of several processes, each takes its own part of every batch.
    """

    def __init__(
        self, *, pairs: int, batch: int, large: Size, size: Size, seed: int, mirror: bool = True, world: World
    ) -> None:
        self._pairs = pairs
        self._batch = batch
        self._large = large
        self.size = size
        self._seed = seed
        self._mirror = mirror
        self._world = world
        self._epoch, self._permutation = -1, np.empty(0, np.intp)

    @property
    def local_batch(self) -> int:
        """Pairs a step of this process."""
        return self._batch // self._world.size

    def draw(self, step: int) -> list[Draw]:
        """This process's part of the batch of step ``step`` (from 0)."""
        first = step * self._batch + self._world.rank * self.local_batch
        return [self._draw(position) for position in range(first, first + self.local_batch)]

    def _draw(self, position: int) -> Draw:
        epoch, place = divmod(position, self._pairs)
        if epoch != self._epoch:  # it seldom is: one pass's order is kept
            self._epoch = epoch
            self._permutation = np.random.default_rng((self._seed, epoch)).permutation(self._pairs)
        index = int(self._permutation[place])
        random = generator_for(self._seed, epoch, index)
        return Draw(index, draw_cut(self._large, self.size, random, mirror=self._mirror))
