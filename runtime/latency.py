"""Latencies: monotonic, never clipped, and no percentile that the number of samples cannot carry."""

import os
import random
import sys
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

MAX_KEPT: Final = 1 << 15
"""Samples kept per stage: 18 minutes at 30 frames per second are exact, a longer stream is sampled evenly."""

_CLOCK_TICKS_FIELD: Final = 19
"""Of the fields behind the program's name in ``/proc/self/stat``: start time in clock ticks after boot (proc(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """Milliseconds; what ``count`` samples do not carry is None."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


def percentiles(values_ms: Sequence[float], wanted: Sequence[int] = (50, 90, 99)) -> list[float | None]:
    """The percentiles of ``values_ms``, linearly interpolated (as NumPy's are); None where samples are too few.

    Percentile p needs at least one sample above it, ``count * (100 - p) / 100 >= 1``: 2 samples for the 50th, 10 for
    the 90th, 100 for the 99th.
    """
    ordered = sorted(values_ms)
    return [_interpolate(ordered, p) if len(ordered) * (100 - p) >= 100 else None for p in wanted]


def _interpolate(ordered: Sequence[float], percentile: int) -> float:
    below, rest = divmod((len(ordered) - 1) * percentile, 100)
    if rest == 0:
        return ordered[below]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * rest / 100


def summarize(values_ms: Iterable[float]) -> LatencySummary:
    """The summary of latencies in milliseconds; every value counts, outliers too."""
    values = list(values_ms)
    p50, p90, p99 = percentiles(values)
    return LatencySummary(
        count=len(values),
        mean=sum(values) / len(values) if values else None,
        p50=p50,
        p90=p90,
        p99=p99,
        max=max(values, default=None),
    )


class StageTimes:
    """Durations of one stage of a stream, in bounded memory however long it runs.

    Up to ``MAX_KEPT`` samples are all kept. Beyond that a uniformly random subset stands for them (Vitter 1985,
    "Random sampling with a reservoir", algorithm R); count, mean and maximum stay exact. Written by one thread.
    """

    def __init__(self) -> None:
        """Begin without samples."""
        self.count = 0
        self._kept = array("q", bytes(8 * MAX_KEPT))  # all at once: a stream's memory does not grow
        self._total = 0
        self._largest = 0
        self._random = random.Random(0)

    def add(self, nanoseconds: int) -> None:
        """Take in one duration."""
        self.count += 1
        self._total += nanoseconds
        self._largest = max(self._largest, nanoseconds)
        if self.count <= MAX_KEPT:
            self._kept[self.count - 1] = nanoseconds
        elif (slot := self._random.randrange(self.count)) < MAX_KEPT:
            self._kept[slot] = nanoseconds

    def since(self, start_ns: int) -> int:
        """Take in the time from ``start_ns`` until now; returns now (both as of ``time.perf_counter_ns``)."""
        now = time.perf_counter_ns()
        self.add(now - start_ns)
        return now

    def summary(self) -> LatencySummary:
        """The summary of what was taken in so far."""
        p50, p90, p99 = percentiles([value / NS_PER_MS for value in self._kept[: self.count]])
        return LatencySummary(
            count=self.count,
            mean=self._total / self.count / NS_PER_MS if self.count else None,
            p50=p50,
            p90=p90,
            p99=p99,
            max=self._largest / NS_PER_MS if self.count else None,
        )


def process_start_ns() -> int:
    """When this process was started, on the scale of ``time.perf_counter_ns`` (to 10 ms, the kernel's tick).

    On Linux the interpreter's own start is included; elsewhere, where this is not known, the answer is now.
    """
    now = time.perf_counter_ns()
    if sys.platform != "linux":
        return now
    try:
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        ticks = int(stat.rpartition(")")[2].split()[_CLOCK_TICKS_FIELD])
    except (OSError, ValueError, IndexError):
        return now
    age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks * NS_PER_S // os.sysconf("SC_CLK_TCK")
    return now - age if age >= 0 else now
