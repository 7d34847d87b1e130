"""The live stream: capture, translation and output side by side, over bounded queues.

Capture and translation run in a thread each; output runs in the caller's thread, since windows must be drawn from the
main one. OpenCV and the engines release the interpreter's lock while they work, so the three do overlap. Where an
engine works on several frames at a time, one more thread takes what it finishes.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from core.command_line import ENDING
from core.frames import Frame
from runtime.handover import Handover
from runtime.latency import NS_PER_S, StageTimes
from runtime.resources import CpuTime, peak_memory_bytes
from runtime.result import DropObserver, Observer, PipelineResult
from runtime.sinks import Picture, VideoSink
from runtime.sources import VideoSource
from runtime.stages import Stream, Translated
from runtime.stillness import Stillness
from runtime.translating import FunctionTranslator, Translating

FILE_QUEUE: Final = 2
"""Translations of a source that loses none that may wait for output; a live one has room for the newest only."""

POLL_SECONDS: Final = 0.02
"""How often the sinks are looked after while no frame comes: a window stays responsive."""

JOIN_SECONDS: Final = 12.0
"""How long a thread may take to end. Longer than any read or inference takes; after it, the thread is left behind."""


def run_pipeline(
    source: VideoSource,
    translate: Translating | Callable[[Frame], Frame],
    sinks: Sequence[VideoSink],
    *,
    max_frames: int | None = None,
    depth: int = 1,
    still: Stillness | None = None,
    observers: Sequence[Observer] = (),
    started_ns: int | None = None,
) -> PipelineResult:
    """Translate ``source`` frame by frame into ``sinks``, until it ends or the user does.

    A live source never waits: its newest frame wins, and those it replaces are counted. Any other source loses none
    and keeps its order; its frames are read just before they are needed. Ctrl-C (or SIGTERM), when this runs in the
    main thread, ends the capture, puts out what is under way and returns; a second one raises ``KeyboardInterrupt`` at
    once.

    The sinks are closed when this returns and aborted when it raises, so that no half-written file stays. One
    exception: a live source that is lost for good has its recording finished before its error is raised. The source
    and the engine stay the caller's to close.

    Args:
        source: where frames come from; read in a thread of its own.
        translate: a ``Translator``, or any function from frame to frame; called in a thread of its own.
        sinks: where pictures go, in this order; called in the caller's thread.
        max_frames: how many translations to put out; default: no limit.
        depth: frames that the engine may work on at a time; no more than it was opened for.
        still: which frames are given the last translation instead of one of their own; default: none.
        observers: told of every frame.
        started_ns: what ``first_frame_seconds`` counts from (``time.perf_counter_ns``); default: now.

    Raises:
        Exception: whatever source, ``translate`` or a sink raised first.
    """
    started = time.perf_counter_ns() if started_ns is None else started_ns
    stream = Stream(
        source=source,
        translator=translate if isinstance(translate, Translating) else FunctionTranslator(translate),
        depth=depth,
        max_frames=max_frames,
        still=still,
        captured=Handover(1, newest_wins=source.live),
        translated=Handover(1 if source.live else FILE_QUEUE, newest_wins=source.live),
    )
    for observer in observers:
        if isinstance(observer, DropObserver):
            observer.count_drops(stream.dropped)
    output = _Output(stream, sinks, observers)
    try:
        with _interrupts(stream, sinks):
            _run_stages(stream, output)
            for sink in sinks:
                if not output.complete:
                    sink.cut_short()
                sink.close()
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    if stream.source_failure is not None:
        raise stream.source_failure
    return output.result(started)


def _run_stages(stream: Stream, output: "_Output") -> None:
    """Run all stages to their end, and raise what one of them failed with."""
    threads = [
        threading.Thread(target=target, name=f"p2p-{name}", daemon=True)
        for name, target in (
            ("capture", stream.capture),
            ("translate", stream.translate_all),
            ("collect", stream.collect),
        )
        if name != "collect" or stream.depth > 1
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

    def __init__(self, stream: Stream, sinks: Sequence[VideoSink], observers: Sequence[Observer]) -> None:
        self.stream = stream
        self.sinks = sinks
        self.observers = observers
        self.frames = 0
        self.end_to_end = StageTimes()
        self.first_capture = self.first_output = self.last_output = 0
        self.cpu = CpuTime()
        self.notice: str | None = None

    def run(self) -> None:
        """Put out translations until no more come, the limit is reached or a sink's user wants to end."""
        stream, queue = self.stream, self.stream.translated
        while not queue.finished or self._busy:
            stream.paced = stream.paced or (self._busy and not stream.source.live)
            if not self._busy and (item := self._next_translated()) is not None:
                self._put_out(item)
                if self.frames == stream.max_frames:
                    stream.cancel()
            self._say_what_is_lost()
            wishes = [sink.poll() for sink in self.sinks]  # all of them: each wants to be looked after
            if any(wishes):
                stream.cancel()
                break
            if stream.interrupted:  # not in the signal's handler, which may have come upon a held lock
                stream.stop()

    def _next_translated(self) -> Translated | None:
        stream = self.stream
        if stream.output_idle_since_ns is None:
            stream.output_idle_since_ns = time.perf_counter_ns()
        item = stream.translated.get(POLL_SECONDS)
        if item is not None:
            stream.output_idle_since_ns = None
        if item is not None and stream.paced and not item.source.times.late:
            stream.pace.frame_waited(item.source.times.waited + time.perf_counter_ns() - item.ready_ns)
        return item

    @property
    def _busy(self) -> bool:
        """Whether a sink is to be waited for: not once the stream has been interrupted or has failed."""
        return not self.stream.interrupted and not self.stream.failed and any(sink.busy for sink in self.sinks)

    def _say_what_is_lost(self) -> None:
        """Tell the sinks, once a second, since when a live source is lost, and when it has come back."""
        since = self.stream.source.lost_since_ns
        notice = None
        if since is not None:
            seconds = (time.perf_counter_ns() - since) // NS_PER_S
            notice = f"{self.stream.source.describe()} is lost since {seconds} s, trying again"
        if notice != self.notice:
            self.notice = notice
            for sink in self.sinks:
                sink.notice(notice)

    def _put_out(self, item: Translated) -> None:
        start = time.perf_counter_ns()
        source, times = item.source, item.source.times
        frame, seen = self.stream.translator.show(item.prepared, item.output)
        picture = Picture(
            frame=frame,
            seen=seen,
            index=source.index,
            name=source.name,
            captured_ns=times.captured_ns,
            label=self.stream.translator.label,
        )
        for sink in self.sinks:
            sink.write(picture)
        self.last_output = self.stream.times["output"].since(start)
        times.output, times.end_to_end = self.last_output - start, self.last_output - times.captured_ns
        self.end_to_end.add(times.end_to_end)
        if self.frames == 0:
            self.first_capture, self.first_output = times.captured_ns, self.last_output
            self.cpu.start()
        self.frames += 1
        for observer in self.observers:
            observer.frame_done(source.index, times)

    @property
    def complete(self) -> bool:
        """Whether the source came to its end, and all of it was put out."""
        return self.stream.source_ended and not self.stream.interrupted

    def result(self, started_ns: int) -> PipelineResult:
        """What the stream did."""
        stream, span = self.stream, self.last_output - self.first_capture
        return PipelineResult(
            frames=self.frames,
            captured=stream.captured_count,
            dropped=stream.dropped(),
            seconds=span / NS_PER_S,
            fps=self.frames * NS_PER_S / span if span > 0 else None,
            first_frame_seconds=(self.first_output - started_ns) / NS_PER_S if self.frames else None,
            source_ended=stream.source_ended,
            interrupted=stream.interrupted,
            reused=stream.reused,
            outages=tuple(stream.source.outages),
            cpu_cores=self.cpu.cores() if self.frames > 1 else None,
            peak_memory_bytes=peak_memory_bytes(),
            stages={name: times.summary() for name, times in stream.times.items()},
            end_to_end=self.end_to_end.summary(),
        )


def _join(threads: Sequence[threading.Thread]) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def _interrupts(stream: Stream, sinks: Sequence[VideoSink]) -> Iterator[None]:
    """Within the block, the first Ctrl-C, SIGTERM or hang-up stops the stream, the second raises KeyboardInterrupt."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if stream.interrupted:
            raise KeyboardInterrupt
        stream.interrupted = True
        for sink in sinks:
            sink.interrupt()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
