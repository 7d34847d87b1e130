"""Every failure of a stage ends the stream and surfaces, and leaves nothing half-written."""

import threading

import pytest

from core.errors import SinkError, SourceError
from core.frames import Frame
from runtime.pipeline import run_pipeline
from tests.runtime.pipeline_stand_ins import PATIENCE, EndlessSource, ListSink, ListSource, run_in_time, slowly
from tests.runtime.stream_helpers import read_number


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
