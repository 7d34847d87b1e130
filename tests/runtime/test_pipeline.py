"""What the stream promises: files lose nothing, live sources drop and count, and all of it is measured."""

import signal
import threading
import time
from collections.abc import Callable

import pytest

from core.frames import Frame
from runtime import pipeline
from runtime.handover import Handover
from runtime.pipeline import run_pipeline
from runtime.stages import FrameTimes
from runtime.translating import Pending, Prepared
from tests.runtime.pipeline_stand_ins import PATIENCE, EndlessSource, ListSink, ListSource, pause, run_in_time, slowly
from tests.runtime.stream_helpers import read_number


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


def test_who_watches_is_told_of_drops_while_the_stream_runs() -> None:
    seen: list[int] = []

    class Watcher:
        def count_drops(self, dropped: Callable[[], dict[str, int]]) -> None:
            self.dropped = dropped

        def frame_done(self, _index: int, _times: FrameTimes) -> None:
            seen.append(sum(self.dropped().values()))

    sink = ListSink()
    sink.on_write = pause
    result = run_in_time(lambda: run_pipeline(EndlessSource(), slowly, [sink], max_frames=10, observers=[Watcher()]))
    assert seen == sorted(seen)
    assert 0 < seen[-1] <= sum(result.dropped.values())


def test_the_limit_holds_for_files_and_live_sources() -> None:
    for source in (ListSource(50), EndlessSource()):
        sink = ListSink()
        result = run_in_time(lambda source=source, sink=sink: run_pipeline(source, slowly, [sink], max_frames=7))
        assert (result.frames, len(sink.pictures)) == (7, 7)
        assert not result.source_ended


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


class Workshop:
    """Translates several frames at a time, each in a thread, the later ones of each group first."""

    label = "workshop"
    changes = False

    def __init__(self, depth: int, *, fail_at: int | None = None) -> None:
        self.depth = depth
        self.fail_at = fail_at
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

    def prepare(self, frame: Frame) -> Prepared:
        return Prepared(frame)

    def submit(self, prepared: Prepared) -> Pending:
        with self.lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        return Job(self, prepared.image)

    def show(self, prepared: Prepared, output: Frame) -> tuple[Frame, Frame]:
        return output, prepared.image


class Job:
    def __init__(self, shop: Workshop, image: Frame) -> None:
        self.shop, self.image = shop, image
        self.number = read_number(image)
        self.done = threading.Event()
        threading.Timer(0.004 if self.number % 2 == 0 else 0.001, self.done.set).start()

    def result(self) -> Frame:
        assert self.done.wait(PATIENCE)
        with self.shop.lock:
            self.shop.under_way -= 1
        if self.number == self.shop.fail_at:
            raise RuntimeError("the engine broke")
        return self.image


@pytest.mark.parametrize("depth", [2, 3])
def test_several_frames_under_way_come_out_in_order(depth: int) -> None:
    shop, sink = Workshop(depth), ListSink()
    result = run_in_time(lambda: run_pipeline(ListSource(60), shop, [sink], depth=depth))
    assert sink.numbers == list(range(60))
    assert shop.most_under_way == depth
    assert result.stages["infer"].count == 60


@pytest.mark.parametrize("live", [False, True])
def test_a_failure_of_one_of_several_under_way_surfaces(live: bool) -> None:
    sink = ListSink()
    source = EndlessSource() if live else ListSource(200)
    with pytest.raises(RuntimeError, match="the engine broke"):
        run_in_time(lambda: run_pipeline(source, Workshop(2, fail_at=9), [sink], depth=2))
    assert sink.aborted


def test_sinks_are_told_while_a_source_is_lost() -> None:
    class Lost(EndlessSource):
        def read(self) -> Frame | None:
            if self.next == 3:
                self.lost_since_ns = time.perf_counter_ns()
                told.wait(PATIENCE)
                self.lost_since_ns = None
            return super().read()

    told = threading.Event()
    notices: list[str | None] = []

    class Listener(ListSink):
        def notice(self, text: str | None) -> None:
            notices.append(text)
            told.set()

    sink = Listener()
    sink.on_write = lambda: None
    run_in_time(lambda: run_pipeline(Lost(), slowly, [sink], max_frames=8))
    assert notices[0] == "a list is lost since 0 s, trying again"
    assert notices[-1] is None
