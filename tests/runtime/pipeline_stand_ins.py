"""Sources and sinks that count, fail and wait on command, and a pipeline that must end."""

import threading
from collections.abc import Callable

from core.errors import SinkError, SourceError
from core.frames import Frame
from runtime.result import PipelineResult
from runtime.sinks import Picture, VideoSink
from runtime.sources import VideoSource
from tests.runtime.stream_helpers import numbered_frame, read_number

PATIENCE = 10.0
"""Seconds after which something hangs."""


class ListSource(VideoSource):
    """Numbered frames; fails instead of giving number ``fail_at``."""

    def __init__(self, count: int, *, live: bool = False, fail_at: int | None = None) -> None:
        self.live = live
        self.count = count
        self.fail_at = fail_at
        self.next = 0
        self.stopped = threading.Event()

    def read(self) -> Frame | None:
        if self.next == self.fail_at:
            raise SourceError("the source broke")
        if self.next == self.count or self.stopped.is_set():
            return None
        self.next += 1
        return numbered_frame((self.next - 1) % 256)

    def describe(self) -> str:
        return "a list"

    def stop(self) -> None:
        self.stopped.set()


class EndlessSource(ListSource):
    """A live source that waits for nobody and does not end by itself."""

    def __init__(self) -> None:
        super().__init__(-1, live=True)


class ListSink(VideoSink):
    """Keeps what it is given; fails on picture number ``fail_at``, or at the end."""

    def __init__(self, *, fail_at: int | None = None, fail_on_close: bool = False) -> None:
        self.pictures: list[Picture] = []
        self.fail_at = fail_at
        self.fail_on_close = fail_on_close
        self.closed = self.aborted = False
        self.on_write: Callable[[], None] = lambda: None
        self.quits_at: int | None = None

    def write(self, picture: Picture) -> None:
        if len(self.pictures) == self.fail_at:
            raise SinkError("the sink broke")
        self.pictures.append(picture)
        self.on_write()

    def poll(self) -> bool:
        return len(self.pictures) == self.quits_at

    def close(self) -> None:
        if self.fail_on_close:
            raise SinkError("the end broke")
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    @property
    def numbers(self) -> list[int]:
        return [read_number(picture.frame) for picture in self.pictures]


def run_in_time(work: Callable[[], PipelineResult]) -> PipelineResult:
    """``work``'s result or error, in a thread that must end."""
    answer: list[PipelineResult | BaseException] = []

    def target() -> None:
        try:
            answer.append(work())
        except BaseException as error:
            answer.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the pipeline hangs"
    assert not [other.name for other in threading.enumerate() if other.name.startswith("p2p-")]
    if isinstance(answer[0], BaseException):
        raise answer[0]
    return answer[0]


def pause() -> None:
    threading.Event().wait(0.002)


def slowly(frame: Frame) -> Frame:
    pause()
    return frame
