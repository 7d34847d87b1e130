"""What a stream did, and who is told of it while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from runtime.latency import LatencySummary
from runtime.sources import Outage
from runtime.stages import FrameTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineResult:
    """What a stream did.

    Latencies are in milliseconds. ``stages`` has ``capture`` (reading, including the wait for the source's next
    frame), ``convert``, ``infer`` and ``output``; ``end_to_end`` is from the moment a frame was captured until every
    sink had taken its translation.
    """

    frames: int
    """Translated and given to the sinks."""
    captured: int
    """Read from the source and handed on."""
    dropped: dict[str, int]
    """Frames of a live source that a newer one replaced while they waited for ``translation`` or for ``output``."""
    seconds: float
    """From the first frame's capture to the last frame's output."""
    fps: float | None
    """``frames / seconds``, the first frame's warm-up included; None without frames."""
    first_frame_seconds: float | None
    """From the start (of the process, where the caller knows it) until the first translation was put out."""
    source_ended: bool
    """Whether the source came to its end; else the limit or the user ended the stream."""
    interrupted: bool
    """Whether Ctrl-C ended it; what had been captured was still put out."""
    reused: int
    """Frames that were still and given the last translation; they are not among those of ``stages["infer"]``."""
    outages: tuple[Outage, ...]
    """Times during which a live source was lost."""
    cpu_cores: float | None
    """Cores that this process kept busy on average, from the first frame's output on."""
    peak_memory_bytes: int | None
    """The most memory that this process has held so far; None where the system does not tell."""
    stages: dict[str, LatencySummary]
    end_to_end: LatencySummary


@runtime_checkable
class DropObserver(Protocol):
    """An observer that also wants to know what is dropped."""

    def count_drops(self, dropped: Callable[[], dict[str, int]]) -> None:
        """Told before the first frame how to ask for the frames that were dropped so far, by what they waited for."""


class Observer(Protocol):
    """Is told of every frame that was put out, in the thread of the output."""

    def frame_done(self, index: int, times: FrameTimes) -> None:
        """Frame ``index`` was put out."""
