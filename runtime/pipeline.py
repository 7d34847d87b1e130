"""The live stream: capture, translation and output side by side, over bounded queues.

Capture and translation run in a thread each; output runs in the caller's thread, since windows must be drawn from the
main one. OpenCV and the engines release the interpreter's lock while they work, so the three do overlap.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from core.frames import Frame
from runtime.handover import Handover
from runtime.latency import NS_PER_S, LatencySummary, StageTimes
from runtime.sinks import Picture, VideoSink
from runtime.sources import VideoSource
from runtime.stages import Stream, Translated

FILE_QUEUE: Final = 4
"""Frames that may wait between two stages of a source that loses none; a live one has room for the newest only."""

POLL_SECONDS: Final = 0.02
"""How often the sinks are looked after while no frame comes: a window stays responsive."""

JOIN_SECONDS: Final = 12.0
"""How long a thread may take to end. Longer than any read or inference takes; after it, the thread is left behind."""


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
    stages: dict[str, LatencySummary]
    end_to_end: LatencySummary


def run_pipeline(
    source: VideoSource,
    translate: Callable[[Frame], Frame],
    sinks: Sequence[VideoSink],
    *,
    convert: Callable[[Frame], Frame] | None = None,
    compose: Callable[[Frame, Frame], Frame] | None = None,
    max_frames: int | None = None,
    started_ns: int | None = None,
) -> PipelineResult:
    """Translate ``source`` frame by frame into ``sinks``, until it ends or the user does.

    A live source never waits: its newest frame wins, and those it replaces are counted. Any other source loses none
    and keeps its order. Ctrl-C (or SIGTERM), when this runs in the main thread, ends the capture, puts out what is
    under way and returns; a second one raises ``KeyboardInterrupt`` at once.

    The sinks are closed when this returns and aborted when it raises, so that no half-written file stays. One
    exception: a live source that is lost for good has its recording finished before its error is raised. The source
    and the engine stay the caller's to close.

    Args:
        source: where frames come from; read in a thread of its own.
        translate: ``Engine.translate``, or anything from frame to frame; called in a thread of its own.
        sinks: where pictures go, in this order; called in the caller's thread.
        convert: from a frame as captured to the one that ``translate`` takes; default: as it is.
        compose: from the converted frame and its translation to the picture put out; default: the translation.
        max_frames: how many translations to put out; default: no limit.
        started_ns: what ``first_frame_seconds`` counts from (``time.perf_counter_ns``); default: now.

    Raises:
        Exception: whatever source, ``convert``, ``translate``, ``compose`` or a sink raised first.
    """
    started = time.perf_counter_ns() if started_ns is None else started_ns
    room = 1 if source.live else FILE_QUEUE
    stream = Stream(
        source=source,
        convert=convert,
        translate=translate,
        max_frames=max_frames,
        captured=Handover(room, newest_wins=source.live),
        translated=Handover(room, newest_wins=source.live),
    )
    output = _Output(stream, sinks, compose)
    try:
        with _interrupts(stream):
            _run_stages(stream, output)
            for sink in sinks:
                sink.close()
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    if stream.source_failure is not None:
        raise stream.source_failure
    return output.result(started)


def _run_stages(stream: Stream, output: "_Output") -> None:
    """Run all three stages to their end, and raise what one of them failed with."""
    threads = [
        threading.Thread(target=target, name=f"p2p-{name}", daemon=True)
        for name, target in (("capture", stream.capture), ("translate", stream.translate_all))
    ]
    try:
        for thread in threads:
            thread.start()
        output.run()
    except BaseException:
        stream.cancel()
        raise
    finally:
        stream.source.stop()
        _join(threads)
    if stream.failed is not None:
        raise stream.failed


class _Output:
    """The last stage, in the caller's thread."""

    def __init__(
        self, stream: Stream, sinks: Sequence[VideoSink], compose: Callable[[Frame, Frame], Frame] | None
    ) -> None:
        self.stream = stream
        self.sinks = sinks
        self.compose = compose
        self.frames = 0
        self.end_to_end = StageTimes()
        self.first_capture = self.first_output = self.last_output = 0

    def run(self) -> None:
        """Put out translations until no more come, the limit is reached or a sink's user wants to end."""
        stream, queue = self.stream, self.stream.translated
        while not queue.finished or self._busy:
            if not self._busy and (item := queue.get(POLL_SECONDS)) is not None:
                self._put_out(item)
                if self.frames == stream.max_frames:
                    stream.cancel()
            wishes = [sink.poll() for sink in self.sinks]  # all of them: each wants to be looked after
            if any(wishes):
                stream.cancel()
                break
            if stream.interrupted:  # not in the signal's handler, which may have come upon a held lock
                stream.stop()

    @property
    def _busy(self) -> bool:
        """Whether a sink is to be waited for: not once the stream has been interrupted or has failed."""
        return not self.stream.interrupted and not self.stream.failed and any(sink.busy for sink in self.sinks)

    def _put_out(self, item: Translated) -> None:
        start = time.perf_counter_ns()
        frame = self.compose(item.input, item.output) if self.compose else item.output
        source = item.source
        picture = Picture(frame=frame, index=source.index, name=source.name, captured_ns=source.captured_ns)
        for sink in self.sinks:
            sink.write(picture)
        self.last_output = self.stream.times["output"].since(start)
        self.end_to_end.add(self.last_output - source.captured_ns)
        if self.frames == 0:
            self.first_capture, self.first_output = source.captured_ns, self.last_output
        self.frames += 1

    def result(self, started_ns: int) -> PipelineResult:
        """What the stream did."""
        stream, span = self.stream, self.last_output - self.first_capture
        return PipelineResult(
            frames=self.frames,
            captured=stream.captured_count,
            dropped={"translation": stream.captured.dropped, "output": stream.translated.dropped},
            seconds=span / NS_PER_S,
            fps=self.frames * NS_PER_S / span if span > 0 else None,
            first_frame_seconds=(self.first_output - started_ns) / NS_PER_S if self.frames else None,
            source_ended=stream.source_ended,
            interrupted=stream.interrupted,
            stages={name: times.summary() for name, times in stream.times.items()},
            end_to_end=self.end_to_end.summary(),
        )


def _join(threads: Sequence[threading.Thread]) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def _interrupts(stream: Stream) -> Iterator[None]:
    """Within the block, the first Ctrl-C or SIGTERM stops the stream and the second raises KeyboardInterrupt."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if stream.interrupted:
            raise KeyboardInterrupt
        stream.interrupted = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
