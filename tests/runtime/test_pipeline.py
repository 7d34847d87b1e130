"""What the stream promises: files lose nothing, live sources drop and count, and every failure surfaces."""

import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from core.errors import SinkError, SourceError
from core.frames import Frame
from runtime import pipeline
from runtime.handover import Handover
from runtime.pipeline import PipelineResult, run_pipeline
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


@pytest.mark.parametrize("slow_sink", [False, True])
def test_a_file_loses_no_frame_and_keeps_order(slow_sink: bool) -> None:
    sink = ListSink()
    if slow_sink:
        sink.on_write = pause
    translate = slowly if not slow_sink else (lambda frame: frame)
    result = run_in_time(lambda: run_pipeline(ListSource(100), translate, [sink]))
    assert sink.numbers == list(range(100))
    assert [picture.index for picture in sink.pictures] == list(range(100))
    assert (result.frames, result.captured, sum(result.dropped.values())) == (100, 100, 0)
    assert sink.closed
    assert not sink.aborted


def test_every_stage_is_measured_for_every_frame() -> None:
    result = run_in_time(lambda: run_pipeline(ListSource(12), slowly, [ListSink()]))
    assert {name: summary.count for name, summary in result.stages.items()} == dict.fromkeys(
        ("capture", "convert", "infer", "output"), 12
    )
    assert result.end_to_end.count == 12
    assert result.end_to_end.p99 is None
    infer, whole = result.stages["infer"], result.end_to_end
    assert infer.p50 is not None
    assert whole.p50 is not None
    assert 2.0 <= infer.p50 <= whole.p50
    assert result.first_frame_seconds is not None
    assert result.first_frame_seconds > 0


def test_a_live_source_drops_old_frames_and_counts_them() -> None:
    """The engine waits until the source has gone on by ten frames, so nine are replaced by the tenth each time."""
    source, sink = ListSource(200, live=True), ListSink()

    def translate(frame: Frame) -> Frame:
        wanted = min(source.next + 10, source.count)
        while source.next < wanted:
            threading.Event().wait(0.0005)
        return frame

    result = run_in_time(lambda: run_pipeline(source, translate, [sink]))
    assert result.captured == 200
    assert result.dropped["translation"] > 50
    assert result.frames + sum(result.dropped.values()) == 200
    assert sink.numbers == sorted(sink.numbers)
    assert sink.numbers[-1] == 199, "the newest frame wins"


def test_a_slow_output_of_a_live_source_is_a_cause_of_its_own() -> None:
    source, sink = EndlessSource(), ListSink()
    translated = threading.Semaphore(0)

    def translate(frame: Frame) -> Frame:
        translated.release()
        return frame

    def wait_for_three() -> None:
        for _ in range(3):
            translated.acquire()

    sink.on_write = wait_for_three
    result = run_in_time(lambda: run_pipeline(source, translate, [sink], max_frames=10))
    assert result.frames == 10
    assert result.dropped["output"] >= 9


def test_the_limit_holds_for_files_and_live_sources() -> None:
    for source in (ListSource(50), EndlessSource()):
        sink = ListSink()
        result = run_in_time(lambda source=source, sink=sink: run_pipeline(source, slowly, [sink], max_frames=7))
        assert (result.frames, len(sink.pictures)) == (7, 7)
        assert not result.source_ended


def test_convert_and_compose_are_applied() -> None:
    sink = ListSink()
    run_in_time(
        lambda: run_pipeline(
            ListSource(3),
            lambda frame: np.full_like(frame, 9),
            [sink],
            convert=lambda frame: frame[::2],
            compose=lambda seen, made: np.concatenate((seen, made), axis=1),
        )
    )
    assert sink.pictures[2].frame.shape == (24, 128, 3)
    assert read_number(np.ascontiguousarray(sink.pictures[2].frame[:, :64])) == 2
    assert (sink.pictures[2].frame[:, 64:] == 9).all()


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("fail_at", [0, 5])
def test_a_failing_engine_surfaces(live: bool, fail_at: int) -> None:
    calls = []

    def translate(frame: Frame) -> Frame:
        calls.append(1)
        if len(calls) > fail_at:
            raise RuntimeError("the engine broke")
        return frame

    sink = ListSink()
    source = EndlessSource() if live else ListSource(500)
    with pytest.raises(RuntimeError, match="the engine broke"):
        run_in_time(lambda: run_pipeline(source, translate, [sink]))
    assert sink.aborted
    assert not sink.closed


@pytest.mark.parametrize("fail_at", [0, 20])
def test_a_failing_file_surfaces(fail_at: int) -> None:
    sink = ListSink()
    with pytest.raises(SourceError, match="the source broke"):
        run_in_time(lambda: run_pipeline(ListSource(50, fail_at=fail_at), slowly, [sink]))
    assert sink.aborted
    assert not sink.closed


def test_a_lost_live_source_surfaces_and_its_recording_is_finished() -> None:
    sink = ListSink()
    with pytest.raises(SourceError, match="the source broke"):
        run_in_time(lambda: run_pipeline(ListSource(50, live=True, fail_at=20), slowly, [sink]))
    assert sink.closed
    assert not sink.aborted
    assert sink.numbers[-1] == 19


@pytest.mark.parametrize("live", [False, True])
def test_a_failing_sink_surfaces_and_the_others_leave_nothing(live: bool) -> None:
    sinks = [ListSink(), ListSink(fail_at=4)]
    with pytest.raises(SinkError, match="the sink broke"):
        run_in_time(lambda: run_pipeline(EndlessSource() if live else ListSource(500), slowly, sinks))
    assert all(sink.aborted and not sink.closed for sink in sinks)


def test_a_sink_that_fails_at_the_end_surfaces() -> None:
    with pytest.raises(SinkError, match="the end broke"):
        run_in_time(lambda: run_pipeline(ListSource(5), slowly, [ListSink(fail_on_close=True)]))


def test_a_sink_that_its_user_ends_is_closed() -> None:
    sink = ListSink()
    sink.quits_at = 5
    result = run_in_time(lambda: run_pipeline(EndlessSource(), slowly, [sink]))
    assert result.frames == 5
    assert sink.closed
    assert not result.interrupted


def test_a_busy_sink_gets_its_pictures_one_by_one() -> None:
    class Paced(ListSink):
        polls = 0

        @property
        def busy(self) -> bool:
            return self.polls < 3 * len(self.pictures)

        def poll(self) -> bool:
            self.polls += 1
            return False

    sink = Paced()
    run_in_time(lambda: run_pipeline(ListSource(6), lambda frame: frame, [sink]))
    assert sink.numbers == list(range(6))
    assert sink.polls >= 18


class BusySink(ListSink):
    """Holds every picture until a key is pressed, and nobody is there to press one."""

    @property
    def busy(self) -> bool:
        return bool(self.pictures)


def test_a_failing_engine_surfaces_while_a_sink_is_busy() -> None:
    sink = BusySink()
    shown = threading.Event()
    sink.on_write = shown.set

    def translate(frame: Frame) -> Frame:
        if read_number(frame) == 1:
            shown.wait(PATIENCE)
            raise RuntimeError("the engine broke")
        return frame

    with pytest.raises(RuntimeError, match="the engine broke"):
        run_in_time(lambda: run_pipeline(ListSource(5), translate, [sink]))
    assert sink.aborted


def test_a_failing_file_surfaces_while_a_sink_is_busy() -> None:
    sink = BusySink()
    shown = threading.Event()
    sink.on_write = shown.set

    class Broken(ListSource):
        def read(self) -> Frame | None:
            if self.next == 1:
                shown.wait(PATIENCE)
            return super().read()

    with pytest.raises(SourceError, match="the source broke"):
        run_in_time(lambda: run_pipeline(Broken(5, fail_at=1), lambda frame: frame, [sink]))
    assert sink.aborted


def test_an_interrupt_drains_and_a_second_one_does_not_wait() -> None:
    sink = ListSink()
    before = signal.getsignal(signal.SIGINT)
    sink.on_write = lambda: signal.raise_signal(signal.SIGINT) if len(sink.pictures) == 3 else None
    result = run_pipeline(ListSource(10_000), slowly, [sink])
    assert result.interrupted
    assert sink.closed
    assert result.frames == result.captured, "what was captured is put out"
    assert sink.numbers == list(range(len(sink.numbers)))
    assert signal.getsignal(signal.SIGINT) is before

    sink, source = ListSink(), ListSource(10_000)

    def interrupt() -> None:
        while source.next < 4:  # something must be left to drain when the second interrupt comes
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    sink.on_write = interrupt
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(source, slowly, [sink])
    assert sink.aborted
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_does_not_come_back_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "JOIN_SECONDS", 0.05)
    release = threading.Event()

    class Stuck(EndlessSource):
        def read(self) -> Frame | None:
            if self.next == 3:
                release.wait()
                return None
            return super().read()

    sink = ListSink()
    sink.quits_at = 1
    try:
        assert run_pipeline(Stuck(), lambda frame: frame, [sink]).frames == 1
    finally:
        release.set()


def test_a_closed_handover_wakes_both_sides() -> None:
    for wait in (lambda queue: queue.put(2), lambda queue: (queue.get(), queue.get())):
        queue: Handover[int] = Handover(1, newest_wins=False)
        assert queue.put(1)
        thread = threading.Thread(target=wait, args=(queue,), daemon=True)
        thread.start()
        queue.cancel()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert queue.finished
        assert not queue.put(3)
        assert queue.get() is None
