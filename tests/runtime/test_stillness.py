"""Frames that did not change, and frames that wait: neither is translated, or read, at the wrong time."""

import time

import numpy as np

from core.frames import Frame
from runtime.pacing import JustInTime
from runtime.pipeline import run_pipeline
from runtime.sinks import Picture
from runtime.stages import FrameTimes
from runtime.stillness import Stillness
from runtime.translating import Done, Pending, Prepared
from tests.runtime.pipeline_stand_ins import ListSink, ListSource, run_in_time
from tests.runtime.stream_helpers import numbered_frame, read_number

PERIOD = 0.04
"""Seconds for which a watched picture stays."""


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


def test_pictures_of_a_film_that_is_watched_are_young() -> None:
    """A window shows them at the film's own pace; they are read for it, and not as soon as there is room."""

    class Paced(ListSink):
        due = 0.0

        def write(self, picture: Picture) -> None:
            super().write(picture)
            self.due = max(self.due, time.monotonic()) + PERIOD

        @property
        def busy(self) -> bool:
            return time.monotonic() < self.due

        def poll(self) -> bool:
            time.sleep(0.002)  # as a window waits for keys
            return False

    times: list[FrameTimes] = []

    class Log:
        def frame_done(self, _index: int, one: FrameTimes) -> None:
            times.append(one)

    run_in_time(lambda: run_pipeline(ListSource(100), lambda frame: 255 - frame, [Paced()], observers=[Log()]))
    assert len(times) == 100
    ages = sorted(one.end_to_end / 1e9 / PERIOD for one in times[60:])
    assert ages[len(ages) // 2] < 1.5, "periods; four frames wait if each is read as soon as there is room"


def test_a_pause_is_no_reason_to_read_later() -> None:
    pace = JustInTime()
    for _ in range(4):  # as many as are under way
        pace.frame_waited(20_000_000_000)
    assert pace.delay_ns < 60_000_000
    for _ in range(1000):
        pace.frame_waited(20_000_000_000)
    assert pace.delay_ns <= 500_000_000


def test_slow_changes_add_up_until_they_are_seen() -> None:
    still = Stillness(2.0)
    seen = [still.unchanged(np.full((64, 64, 3), level, dtype=np.uint8)) for level in range(100, 108)]
    assert seen == [False, True, True, False, True, True, False, True]
    still.forget()
    assert not still.unchanged(np.full((64, 64, 3), 107, dtype=np.uint8))
