"""The two stages of a stream that run in threads of their own, and what all three share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from core.frames import Frame
from runtime.handover import Handover
from runtime.latency import StageTimes
from runtime.sources import VideoSource

STAGES: Final = ("capture", "convert", "infer", "output")


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame on its way to translation."""

    frame: Frame
    index: int
    name: str | None
    captured_ns: int


@dataclass(frozen=True, slots=True)
class Translated:
    """A translation on its way out, with the converted frame it was made from."""

    input: Frame
    output: Frame
    source: Captured


@dataclass(slots=True)
class Stream:
    """State that the three stages share."""

    source: VideoSource
    convert: Callable[[Frame], Frame] | None
    translate: Callable[[Frame], Frame]
    max_frames: int | None
    captured: Handover[Captured]
    translated: Handover[Translated]
    times: dict[str, StageTimes] = field(default_factory=lambda: {name: StageTimes() for name in STAGES})
    captured_count: int = 0
    source_failure: BaseException | None = None
    failure: BaseException | None = None
    source_ended: bool = False
    stopping: bool = False
    interrupted: bool = False

    @property
    def failed(self) -> BaseException | None:
        """What the stream is to end with at once; a live source that is lost lets what is under way be finished."""
        return self.failure or (None if self.source.live else self.source_failure)

    def capture(self) -> None:
        """Read frames until the source ends, the limit is reached or the stream is stopped."""
        limit = None if self.source.live else self.max_frames
        try:
            while limit is None or self.captured_count < limit:
                start = time.perf_counter_ns()
                frame = self.source.read()
                if frame is None:
                    self.source_ended = not self.stopping
                    break
                now = self.times["capture"].since(start)
                moment = self.source.captured_ns or now
                if not self.captured.put(Captured(frame, self.captured_count, self.source.frame_name, moment)):
                    break
                self.captured_count += 1
        except BaseException as error:
            self.source_failure = error
            if not self.source.live:
                self.cancel()
        finally:
            self.captured.close()

    def translate_all(self) -> None:
        """Convert and translate captured frames until no more come."""
        try:
            while (item := self.captured.get()) is not None:
                start = time.perf_counter_ns()
                image = self.convert(item.frame) if self.convert else item.frame
                start = self.times["convert"].since(start)
                output = self.translate(image)
                self.times["infer"].since(start)
                if not self.translated.put(Translated(image, output, item)):
                    break
        except BaseException as error:
            self.failure = error
            self.cancel()
        finally:
            self.captured.close()
            self.translated.close()

    def stop(self) -> None:
        """Capture no more; what was captured still goes its way."""
        self.stopping = True
        self.source.stop()
        self.captured.close()

    def cancel(self) -> None:
        """Capture no more, and forget what is under way."""
        self.stopping = True
        self.source.stop()
        self.captured.cancel()
        self.translated.cancel()
