"""Batches of augmented frames, made ahead of time by background threads. No PyTorch here: NumPy arrays come out."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from core.frames import Size
from core.pairs import Pair, PairSource
from train.augmentation import cut_out
from train.order import DataOrder, Draw

CACHE_BYTES: Final = 2**30
"""Memory that decoded frames may take: the 400 facades of the paper at 286 x 286 take a fifth of it."""
BATCHES_AHEAD: Final = 4


class Batch(NamedTuple):
    """Frames of one step: ``uint8 [N, H, W, 3]`` BGR each."""

    input: NDArray[np.uint8]
    target: NDArray[np.uint8]


@dataclass
class CachedPairs:
    """Pairs read at one size and kept in memory, first come, first kept, until ``budget`` bytes are taken."""

    source: PairSource
    size: Size
    budget: int = CACHE_BYTES
    _kept: dict[int, Pair] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.source)

    def read(self, index: int) -> Pair:
        """Pair number ``index``: two frames of ``size``, not to be written to."""
        pair = self._kept.get(index)
        if pair is None:
            pair = self.source.read(index, self.size)
            if (len(self._kept) + 1) * (pair.input.nbytes + pair.target.nbytes) <= self.budget:
                self._kept[index] = pair
        return pair

    def forget(self) -> None:
        """Keep nothing any more."""
        self._kept.clear()


class BatchStream:
    """The batches of a run in ``order``, from ``first_step`` up to ``steps``.

    Batches are made by ``threads`` background threads, ``BATCHES_AHEAD`` of them at most; an exception there is raised
    by ``next`` here.
    """

    def __init__(
        self, pairs: CachedPairs, order: DataOrder, *, steps: int, first_step: int = 0, threads: int = 1
    ) -> None:
        self._pairs = pairs
        self._order = order
        self._to_come = iter(range(first_step, steps))
        self._pool = ThreadPoolExecutor(threads, "batches")
        self._ahead: deque[Future[Batch]] = deque()
        self.waited = 0.0
        """Seconds that ``next`` has waited for a batch so far."""
        for _ in range(BATCHES_AHEAD):
            self._request()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next step's batch; what went wrong in the background is raised here."""
        if not self._ahead:
            raise StopIteration
        started = time.perf_counter()
        batch = self._ahead.popleft().result()
        self.waited += time.perf_counter() - started
        self._request()
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the background threads; batches that nobody will ask for are not made."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ahead.clear()

    def _request(self) -> None:
        step = next(self._to_come, None)
        if step is not None:
            self._ahead.append(self._pool.submit(self._make, self._order.draw(step)))

    def _make(self, draws: list[Draw]) -> Batch:
        pairs = [cut_out(self._pairs.read(draw.number), self._order.size, draw.cut) for draw in draws]
        return Batch(np.stack([pair.input for pair in pairs]), np.stack([pair.target for pair in pairs]))
