"""The stages of a stream that run in threads of their own, and what all of them share."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from core.frames import Frame
from runtime.handover import Handover
from runtime.latency import StageTimes
from runtime.pacing import JustInTime
from runtime.sources import VideoSource
from runtime.stillness import Stillness
from runtime.translating import Pending, Prepared, Translating

STAGES: Final = ("capture", "convert", "infer", "output")


@dataclass(slots=True)
class FrameTimes:
    """What one frame took, in nanoseconds, and when it was captured (``time.perf_counter_ns``)."""

    captured_ns: int
    capture: int = 0
    convert: int = 0
    infer: int = 0
    output: int = 0
    end_to_end: int = 0
    waited: int = 0
    """From when it was there until the engine took it."""
    late: bool = False
    """Whether engine and output were waiting for it."""
    reused: bool = False
    """Whether it was still, and given the last frame's translation."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame on its way to translation."""

    frame: Frame
    index: int
    name: str | None
    times: FrameTimes
    ready_ns: int
    """When it was handed on."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A frame that an engine works on; None: the last frame's translation is to be taken."""

    prepared: Prepared
    pending: Pending | None
    source: Captured
    start_ns: int


@dataclass(frozen=True, slots=True)
class Translated:
    """A translation on its way out."""

    prepared: Prepared
    output: Frame
    source: Captured
    ready_ns: int
    """When it was there."""


@dataclass(slots=True, kw_only=True)
class Stream:
    """State that the stages share."""

    source: VideoSource
    translator: Translating
    depth: int
    max_frames: int | None
    still: Stillness | None
    captured: Handover[Captured]
    translated: Handover[Translated]
    times: dict[str, StageTimes] = field(default_factory=lambda: {name: StageTimes() for name in STAGES})
    captured_count: int = 0
    reused: int = 0
    source_failure: BaseException | None = None
    failure: BaseException | None = None
    source_ended: bool = False
    stopping: bool = False
    interrupted: bool = False
    _stop_waiting: threading.Event = field(default_factory=threading.Event)
    pace: JustInTime = field(default_factory=JustInTime)
    paced: bool = False
    """Whether the output goes at a pace of its own."""
    output_idle_since_ns: int | None = None
    """Since when the output waits for a translation; None while it does not."""
    _under_way: Handover[UnderWay] = field(init=False)
    _places: threading.Semaphore = field(init=False)
    _last: Frame | None = None

    def __post_init__(self) -> None:
        """Make room for ``depth`` frames under way."""
        self._under_way = Handover(self.depth, newest_wins=False)
        self._places = threading.Semaphore(self.depth)

    @property
    def failed(self) -> BaseException | None:
        """What the stream is to end with at once; a live source that is lost lets what is under way be finished."""
        return self.failure or (None if self.source.live else self.source_failure)

    def dropped(self) -> dict[str, int]:
        """Frames of a live source that a newer one replaced, by what they waited for."""
        return {"translation": self.captured.dropped, "output": self.translated.dropped}

    def capture(self) -> None:
        """Read frames until the source ends, the limit is reached or the stream is stopped."""
        limit = None if self.source.live else self.max_frames
        try:
            while limit is None or self.captured_count < limit:
                if not self.source.live and not self._wait_until_needed():
                    break
                start = time.perf_counter_ns()
                frame = self.source.read()
                if frame is None:
                    self.source_ended = not self.stopping
                    break
                now = self.times["capture"].since(start)
                times = FrameTimes(self.source.captured_ns or now, capture=now - start)
                if not self.captured.put(Captured(frame, self.captured_count, self.source.frame_name, times, now)):
                    break
                self.captured_count += 1
        except BaseException as error:
            self.source_failure = error
            if not self.source.live:
                self.cancel()
        finally:
            self.captured.close()

    def _wait_until_needed(self) -> bool:
        """Wait until the next frame of a file is to be read; False if no more are wanted."""
        if not self.captured.wait_for_room():
            return False
        return not (self.pace.delay_ns and self._stop_waiting.wait(self.pace.delay_ns / 1e9))

    def translate_all(self) -> None:
        """Convert captured frames and have them translated until no more come."""
        try:
            while (item := self._next_captured()) is not None:
                start = time.perf_counter_ns()
                prepared = self.translator.prepare(item.frame)
                submitted = self.times["convert"].since(start)
                item.times.convert = submitted - start
                if not self._translate(prepared, item, submitted):
                    break
        except BaseException as error:
            self.failure = error
            self.cancel()
        finally:
            self.captured.close()
            self._under_way.close()
            if self.depth == 1:
                self.translated.close()

    def _next_captured(self) -> Captured | None:
        # With several frames under way a place must be free first: only then is the next frame needed.
        if self.depth > 1:
            self._places.acquire()
        asked = time.perf_counter_ns()
        item = self.captured.get()
        if item is not None and not self.source.live:
            self._learn(item.times, asked - item.ready_ns)
        return item

    def _learn(self, times: FrameTimes, waited: int) -> None:
        """When to read the next frame, from how long this one waited for the engine, or if negative the engine for it.

        Where the output goes at a pace of its own, as a window that plays a film, the engine idles in any case: frames
        are late only if the output waits for them, and what they wait for the output counts when it takes them.
        """
        if not self.paced:
            (self.pace.frame_waited if waited >= 0 else self.pace.engine_waited)(abs(waited))
            return
        times.waited = max(0, waited)
        since = self.output_idle_since_ns
        late = 0 if since is None else min(-waited, time.perf_counter_ns() - since)
        if late > 0:
            times.late = True
            self.pace.engine_waited(late)

    def _translate(self, prepared: Prepared, item: Captured, start: int) -> bool:
        if self.still is not None:
            if self.translator.changes:
                self.still.forget()
            item.times.reused = self.still.unchanged(prepared.image)
        self.reused += item.times.reused
        pending = None if item.times.reused else self.translator.submit(prepared)
        under_way = UnderWay(prepared, pending, item, start)
        return self._finish(under_way) if self.depth == 1 else self._under_way.put(under_way)

    def collect(self) -> None:
        """Where several frames are under way: take their translations, in order."""
        try:
            while (item := self._under_way.get()) is not None:
                done = self._finish(item)
                self._places.release()
                if not done:
                    break
        except BaseException as error:
            self.failure = error
            self.cancel()
        finally:
            self.captured.close()
            self._under_way.close()
            self.translated.close()
            self._places.release()

    def _finish(self, item: UnderWay) -> bool:
        """Wait for a translation and hand it on; False if nobody wants it."""
        if item.pending is not None:
            self._last = item.pending.result()
            item.source.times.infer = self.times["infer"].since(item.start_ns) - item.start_ns
        assert self._last is not None, "the first frame is not still"
        return self.translated.put(Translated(item.prepared, self._last, item.source, time.perf_counter_ns()))

    def stop(self) -> None:
        """Capture no more; what was captured still goes its way."""
        self.stopping = True
        self._stop_waiting.set()
        self.source.stop()
        self.captured.close()

    def cancel(self) -> None:
        """Capture no more, and forget what is under way."""
        self.stopping = True
        self._stop_waiting.set()
        self.source.stop()
        self.captured.cancel()
        self._under_way.cancel()
        self.translated.cancel()
