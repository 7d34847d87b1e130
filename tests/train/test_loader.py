"""Batches made in the background: complete, repeatable, and no failure is lost."""

import threading
import time

import numpy as np
import pytest

from core.errors import InvalidInputError
from core.frames import Size
from core.pairs import Pair
from train.loader import BATCHES_AHEAD, BatchStream, CachedPairs
from train.order import DataOrder
from train.world import World

SIZE = Size(8, 8)
LARGE = Size(9, 9)


class Numbered:
    """Pairs that are filled with their number; numbers in ``broken`` cannot be read."""

    def __init__(self, count: int, broken: frozenset[int] = frozenset()) -> None:
        self.count = count
        self.broken = broken
        self.reads: list[int] = []

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{index}.png"

    def read(self, index: int, size: Size) -> Pair:
        self.reads.append(index)
        if index in self.broken:
            raise InvalidInputError(f"{index}.png is broken")
        return Pair(np.full((*size, 3), index % 100, np.uint8), np.full((*size, 3), index % 100 + 100, np.uint8))


def stream(source: Numbered, *, threads: int = 1, batch: int = 2, steps: int = 6, first_step: int = 0) -> BatchStream:
    order = DataOrder(pairs=len(source), batch=batch, large=LARGE, size=SIZE, seed=1, world=World())
    return BatchStream(CachedPairs(source, LARGE), order, steps=steps, threads=threads, first_step=first_step)


def test_every_pass_has_every_pair_once_in_a_new_order() -> None:
    with stream(Numbered(6)) as batches:
        numbers = [int(n) for batch in batches for n in batch.input[:, 0, 0, 0]]
    assert sorted(numbers[:6]) == sorted(numbers[6:]) == list(range(6))
    assert numbers[:6] != numbers[6:]


def test_input_and_target_stay_together() -> None:
    with stream(Numbered(5)) as batches:
        for batch in batches:
            assert batch.input.shape == batch.target.shape == (2, 8, 8, 3)
            assert np.array_equal(batch.input + 100, batch.target)


def test_the_number_of_threads_changes_nothing_and_a_run_can_begin_anywhere() -> None:
    with stream(Numbered(5)) as one, stream(Numbered(5), threads=3) as three:
        first, second = list(one), list(three)
    assert len(first) == len(second) == 6
    assert all(np.array_equal(a.input, b.input) for a, b in zip(first, second, strict=True))
    with stream(Numbered(5), first_step=4) as late:
        assert all(np.array_equal(a.input, b.input) for a, b in zip(first[4:], late, strict=True))


def test_a_failure_in_the_background_reaches_the_loop() -> None:
    with stream(Numbered(6, broken=frozenset({3}))) as batches, pytest.raises(InvalidInputError, match=r"3\.png"):
        for _ in batches:
            pass


def test_only_a_few_batches_are_made_ahead_and_closing_ends_the_threads() -> None:
    source = Numbered(1000)
    batches = stream(source, batch=1, steps=1000)
    next(batches)
    time.sleep(0.1)
    assert len(source.reads) <= BATCHES_AHEAD + 1
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_pairs_are_read_once_while_they_fit_the_budget() -> None:
    source = Numbered(4)
    pairs = CachedPairs(source, LARGE, budget=2 * 2 * 9 * 9 * 3)
    for _ in range(2):
        for index in range(4):
            pairs.read(index)
    assert source.reads == [0, 1, 2, 3, 2, 3]
