"""Frames that did not change, and frames that wait: neither is translated, or read, at the wrong time."""

import time

import numpy as np
import pytest

from core.frames import Frame
from runtime.pacing import JustInTime
from runtime.pipeline import run_pipeline
from runtime.stages import FrameTimes
from runtime.stillness import Stillness
from runtime.translating import Done, Pending, Prepared
from tests.runtime.pipeline_stand_ins import ListSink, ListSource, run_in_time, slowly
from tests.runtime.stream_helpers import numbered_frame, read_number


def test_still_frames_are_given_the_last_translation_and_counted() -> None:
    class Standing(ListSource):
        def read(self) -> Frame | None:
            frame = super().read()
            return None if frame is None else numbered_frame((self.next - 1) // 5)

    sink, calls = ListSink(), []
    times: list[FrameTimes] = []

    class Log:
        def frame_done(self, index: int, one: FrameTimes) -> None:
            times.append(one)

    def translate(frame: Frame) -> Frame:
        calls.append(read_number(frame))
        return 255 - frame

    result = run_in_time(lambda: run_pipeline(Standing(20), translate, [sink], still=Stillness(2.0), observers=[Log()]))
    assert calls == [0, 1, 2, 3]
    assert [255 - number for number in sink.numbers] == [i // 5 for i in range(20)]
    assert (result.frames, result.reused, result.stages["infer"].count) == (20, 16, 4)
    assert [one.reused for one in times] == [i % 5 != 0 for i in range(20)]
    assert all(one.end_to_end > 0 for one in times)


def test_a_still_scene_is_translated_again_by_what_takes_over() -> None:
    class Standing(ListSource):
        def read(self) -> Frame | None:
            frame = super().read()
            return None if frame is None else numbered_frame(1)

    class Changing:
        """As a translator is whose next artifact has been loaded when five frames were prepared."""

        label = ""
        prepared = submitted = 0

        @property
        def changes(self) -> bool:
            return self.prepared == 5

        def prepare(self, frame: Frame) -> Prepared:
            self.prepared += 1
            return Prepared(frame)

        def submit(self, prepared: Prepared) -> Pending:
            calls.append(self.prepared)
            return Done(255 - prepared.image)

        def show(self, prepared: Prepared, output: Frame) -> tuple[Frame, Frame]:
            return output, prepared.image

    calls: list[int] = []
    run_in_time(lambda: run_pipeline(Standing(20), Changing(), [ListSink()], still=Stillness(2.0)))
    assert calls == [1, 5]


def test_what_waits_for_the_output_is_no_reason_to_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a window that is paused: the next pictures come at once when it goes on."""
    sink, waits = ListSink(), [0]
    sink.on_write = lambda: time.sleep(0.6) if len(sink.pictures) in (3, 4, 5) else None
    monkeypatch.setattr(JustInTime, "frame_waited", lambda _pace, nanoseconds: waits.append(nanoseconds))
    run_in_time(lambda: run_pipeline(ListSource(40), slowly, [sink]))
    assert max(waits) < 300e6, "not the 600 ms of the output"


def test_slow_changes_add_up_until_they_are_seen() -> None:
    still = Stillness(2.0)
    seen = [still.unchanged(np.full((64, 64, 3), level, dtype=np.uint8)) for level in range(100, 108)]
    assert seen == [False, True, True, False, True, True, False, True]
    still.forget()
    assert not still.unchanged(np.full((64, 64, 3), 107, dtype=np.uint8))
