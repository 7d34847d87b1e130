"""What a GPU does in a training step: its longest kernels, and how long it waits between them."""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_check.checks import Figures, Setting
from benchmarks.gpu_check.networks import make_batches, make_trainer
from benchmarks.gpu_check.timing import synchronize

STEPS: Final = 5
MOST: Final = 12
"""Kernels that are named."""
LONGEST_NAME: Final = 90


@dataclass(frozen=True, slots=True)
class Interval:
    """Something that the device did, in microseconds on one clock."""

    name: str
    start: float
    end: float


def busy_share(intervals: Iterable[Interval]) -> float | None:
    """Share of the time from the first begin to the last end in which at least one interval was under way.

    Several streams may be busy at a time; that counts once. None without any time at all.
    """
    ordered = sorted((interval.start, interval.end) for interval in intervals)
    if not ordered or (last := max(end for _, end in ordered)) <= ordered[0][0]:
        return None
    busy, reached = 0.0, ordered[0][0]
    for start, end in ordered:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return busy / (last - ordered[0][0])


def longest(intervals: Iterable[Interval], *, steps: int) -> list[dict[str, Any]]:
    """The kernels that took most time in all: share of the time of all kernels, and calls and microseconds a step."""
    times: dict[str, list[float]] = defaultdict(list)
    for interval in intervals:
        times[interval.name].append(interval.end - interval.start)
    total = sum(map(sum, times.values()))
    ranked = sorted(times.items(), key=lambda item: -sum(item[1]))[:MOST]
    return [
        {
            "kernel": name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "...",
            "share": round(sum(each) / total, 4) if total else 0.0,
            "calls_a_step": round(len(each) / steps, 2),
            "us_a_step": round(sum(each) / steps, 2),
        }
        for name, each in ranked
    ]


def profile_step(setting: Setting, *, options: dict[str, Any]) -> Figures:
    """The step at batch 1 under PyTorch's profiler: kernels of the GPU (on a CPU, operators)."""
    trainer = make_trainer(setting, **options)
    batches = itertools.cycle(make_batches(setting, batch=1))
    for _ in range(setting.runs(8)):
        trainer.step(next(batches))
    synchronize(setting.device)
    steps = min(STEPS, setting.runs(STEPS))
    on_gpu = setting.device == "cuda"
    # Only the GPU's side: to note the host's operators would slow the host, and the GPU would wait for it.
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU], acc_events=True) as seen:
        for _ in range(steps):
            trainer.step(next(batches))
        synchronize(setting.device)
    wanted = DeviceType.CUDA if on_gpu else DeviceType.CPU
    intervals = [
        Interval(event.name, event.time_range.start, event.time_range.end)
        for event in seen.events() or ()
        # The optimizer's name lies over all of its kernels, like one of them.
        if event.device_type == wanted and not event.is_user_annotation and (on_gpu or not event.cpu_children)
    ]
    busy = busy_share(intervals)
    return {
        "steps": steps,
        "kernels_a_step": round(len(intervals) / steps, 1),
        "idle_share": None if busy is None else round(1 - busy, 4),
        "longest": longest(intervals, steps=steps),
    }
