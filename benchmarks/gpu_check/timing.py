"""Time as the device keeps it."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from runtime.latency import percentiles

WARM_UP: Final = 5


def synchronize(device: str) -> None:
    """Wait until the device has done all it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def device_times(work: Callable[[], object], *, device: str, runs: int, warm_up: int = WARM_UP) -> list[float]:
    """Milliseconds of each of ``runs`` times ``work``, as the device counts them: between two events of its stream."""
    for _ in range(warm_up):
        work()
    synchronize(device)
    if device != "cuda":
        return host_times(work, device=device, runs=runs, warm_up=0)
    events = [(_event(), _event()) for _ in range(runs)]
    for begin, end in events:
        begin.record()
        work()
        end.record()
    synchronize(device)
    return [begin.elapsed_time(end) for begin, end in events]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def host_times(work: Callable[[], object], *, device: str, runs: int, warm_up: int = WARM_UP) -> list[float]:
    """Milliseconds of each of ``runs`` times ``work`` until the device has done it, as who waits for it sees them."""
    for _ in range(warm_up):
        work()
    synchronize(device)
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        work()
        synchronize(device)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times


def latency_figures(times_ms: Sequence[float]) -> dict[str, Any]:
    """Percentiles of ``times_ms``, those that so many carry, and how many there are."""
    p50, p90, p99 = percentiles(times_ms)
    named = {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99}
    return {name: round(value, 4) for name, value in named.items() if value is not None} | {"runs": len(times_ms)}


def median(values: Sequence[float]) -> float:
    """Their median, to four digits behind the point."""
    return round(statistics.median(values), 4)
