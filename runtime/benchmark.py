"""Latency of several engines in one run, so that their ratios hold.

Engines are timed in blocks, one engine alive at a time, in an order that rotates from block to block: idle workers of
one library spin for a while and rob another that is timed meanwhile, and a shared machine's speed drifts.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.frames import Size, fit
from core.manifest import Latency
from runtime.engines.base import Engine
from runtime.engines.under_way import UnderWay
from runtime.latency import NS_PER_MS, LatencySummary, summarize
from runtime.sources.demo import DemoSource

BLOCKS: Final = 3
"""Where latencies are one figure among others; a benchmark that is to tell changes from noise takes more."""
WARM_UP: Final = 5
"""Calls at the start of every block that are not counted: lazy allocations, cold caches, threads that wake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something to be timed: ``open`` loads it anew for every block.

    Attributes:
        name: what it is called.
        open: loads it.
        frames: what it translates: ``uint8 [batch, H, W, 3]`` BGR.
        depth: calls kept under way at a time, at most as many as it is opened for; with one, each is waited for before
            the next begins.
    """

    name: str
    open: Callable[[], AbstractContextManager[Engine]]
    frames: NDArray[np.uint8] = field(repr=False)
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """What was timed in one go."""

    raw_ms: list[float]
    """Of every call, from its frames being handed over until its translations were there."""
    seconds: float
    """Of all of them, from the first one's begin to the last one's end."""


@dataclass(slots=True)
class Measured:
    """What was measured of a candidate."""

    device: str = ""
    threads: int = 0
    load_seconds: float = 0.0
    """Of the last time it was loaded: reading, compiling and the first translation."""
    blocks: list[Block] = field(default_factory=list)

    @property
    def raw_ms(self) -> list[float]:
        """Every call of every block."""
        return [value for block in self.blocks for value in block.raw_ms]

    @property
    def calls_per_second(self) -> float:
        """Over all blocks, as they went by: what a stream that never waits for its source would see."""
        return len(self.raw_ms) / sum(block.seconds for block in self.blocks)

    @property
    def latency(self) -> LatencySummary:
        """Percentiles over all blocks."""
        return summarize(self.raw_ms)

    def entry(self) -> Latency:
        """The same as a manifest keeps it: milliseconds to the microsecond, percentiles with too few runs absent."""
        summary = self.latency
        assert summary.p50 is not None, "at least two runs are needed for a median"
        return Latency(
            p50=round(summary.p50, 3),
            p90=None if summary.p90 is None else round(summary.p90, 3),
            p99=None if summary.p99 is None else round(summary.p99, 3),
            runs=summary.count,
            threads=self.threads,
            device=self.device,
        )


def measure(
    candidates: Sequence[Candidate],
    *,
    runs: int,
    blocks: int = BLOCKS,
    on_block: Callable[[str], None] = lambda _name: None,
) -> dict[str, Measured]:
    """Time every candidate on its frames, ``runs`` times in all, in ``blocks`` rotating blocks.

    A latency is the time from frames in memory to their translations in memory; of a candidate that has several calls
    under way, that includes the time in which its engine works on the others. ``on_block`` is told the name of the
    candidate whose block begins.
    """
    measured = {candidate.name: Measured() for candidate in candidates}
    for block in range(blocks):
        share = runs * (block + 1) // blocks - runs * block // blocks
        start = block * len(candidates) // blocks
        for candidate in (*candidates[start:], *candidates[:start]):
            on_block(candidate.name)
            _time_block(candidate, share, measured[candidate.name])
    return measured


def _time_block(candidate: Candidate, runs: int, measured: Measured) -> None:
    begin = time.perf_counter_ns()
    with candidate.open() as engine:
        engine.infer(candidate.frames)
        measured.load_seconds = (time.perf_counter_ns() - begin) / 1e9
        measured.device, measured.threads = engine.device, engine.threads
        for _ in range(WARM_UP):
            engine.infer(candidate.frames)
        timed = _one_by_one if candidate.depth == 1 else _overlapping
        measured.blocks.append(timed(engine, candidate, runs))


def _one_by_one(engine: Engine, candidate: Candidate, runs: int) -> Block:
    raw_ms, begin = [], time.perf_counter_ns()
    for _ in range(runs):
        start = time.perf_counter_ns()
        engine.infer(candidate.frames)
        raw_ms.append((time.perf_counter_ns() - start) / NS_PER_MS)
    return Block(raw_ms, (time.perf_counter_ns() - begin) / 1e9)


def _overlapping(engine: Engine, candidate: Candidate, runs: int) -> Block:
    raw_ms: list[float] = []
    under_way: deque[tuple[int, UnderWay]] = deque()

    def take_oldest() -> None:
        start, oldest = under_way.popleft()
        oldest.frames()
        raw_ms.append((time.perf_counter_ns() - start) / NS_PER_MS)

    begin = time.perf_counter_ns()
    for _ in range(runs):
        if len(under_way) == candidate.depth:
            take_oldest()
        under_way.append((time.perf_counter_ns(), engine.submit_frames(candidate.frames)))
    while under_way:
        take_oldest()
    return Block(raw_ms, (time.perf_counter_ns() - begin) / 1e9)


def street_frames(size: Size, batch: int = 1) -> NDArray[np.uint8]:
    """Something to translate: ``uint8 [batch, H, W, 3]`` BGR, a label map of the built-in street ``batch`` times."""
    frame = DemoSource(size).read()
    assert frame is not None, "the street never ends"
    return np.repeat(fit(frame, size)[np.newaxis], batch, axis=0)


def matrix_rate_gflops(size: int = 2048, repeats: int = 5) -> float:
    """The machine's own ceiling: 10^9 operations a second in an fp32 matrix product, the best of ``repeats``.

    All cores are used (by NumPy's BLAS); an engine that reaches this on convolutions leaves nothing to gain.
    """
    generator = np.random.default_rng(0)
    one = generator.random((size, size), dtype=np.float32)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        np.matmul(one, one)
        seconds.append((time.perf_counter_ns() - start) / 1e9)
    return 2 * size**3 / min(seconds) / 1e9
