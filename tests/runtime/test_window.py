"""The window: its pace, its keys, and what it says; OpenCV's own windows are stood in for."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import SinkError
from core.frames import Frame, read_image
from runtime import overlay
from runtime.overlay import AMBER, WHITE, RecentRate, draw_overlay
from runtime.sinks import display as display_module
from runtime.sinks import window
from runtime.sinks.window import WindowSink
from tests.runtime.stream_helpers import numbered_frame, read_clip, read_number
from tests.runtime.test_sinks import contents, picture


class FakeDisplay:
    """A display with a user who presses keys one after the other, or closes the window."""

    def __init__(self) -> None:
        self.shown: list[Frame] = []
        self.keys: list[int] = []
        self.visible = True
        self.opened: tuple[int, ...] = ()

    def open(self, height: int, width: int) -> None:
        self.opened = (height, width)

    def show(self, frame: Frame) -> None:
        self.shown.append(frame)

    def key(self, _milliseconds: int) -> int:
        return self.keys.pop(0) if self.keys else -1

    def close(self) -> None:
        self.visible = False


class Said(list[str]):
    """What the window wrote over its last picture."""


@pytest.fixture
def display() -> FakeDisplay:
    return FakeDisplay()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    texts = Said()

    def draw(frame: Frame, lines: list[tuple[str, tuple[int, int, int]]]) -> Frame:
        texts[:] = [text for text, _ in lines]
        return frame

    monkeypatch.setattr(window, "draw_overlay", draw)
    return texts


def press(sink: WindowSink, display: FakeDisplay, keys: str) -> bool:
    """Whether one of ``keys`` ended the stream."""
    ended = False
    for key in keys:
        display.keys.append(ord(key))
        ended = sink.poll() or ended
    return ended


@pytest.mark.parametrize(
    ("display_name", "message"), [(None, "no display"), (":9876", ":9876 does not answer"), ("junk", "does not answer")]
)
def test_no_display_is_found_out_before_qt_does(
    monkeypatch: pytest.MonkeyPatch, display_name: str | None, message: str
) -> None:
    monkeypatch.setattr(display_module.sys, "platform", "linux")
    monkeypatch.setattr(display_module.cv2, "currentUIFramework", lambda: "QT")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if display_name is not None:
        monkeypatch.setenv("DISPLAY", display_name)
    with pytest.raises(SinkError, match=rf"{message}.*--no-show.*--output"):
        WindowSink()


def test_an_opencv_without_windows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display_module.cv2, "currentUIFramework", lambda: "")
    with pytest.raises(SinkError, match="headless"):
        WindowSink()


@pytest.mark.parametrize("key", ["q", "Q", "\x1b"])
def test_a_key_ends_the_window(display: FakeDisplay, key: str) -> None:
    sink = WindowSink(display=display)
    assert not sink.poll()
    sink.write(picture(0))
    assert display.opened == (480, 640)
    assert not press(sink, display, "x")
    assert press(sink, display, key)
    sink.close()
    sink.abort()


def test_closing_the_window_ends_it(display: FakeDisplay) -> None:
    sink = WindowSink(display=display)
    sink.write(picture(0))
    display.visible = False
    assert sink.poll()


def test_a_key_that_comes_while_a_picture_is_drawn_is_obeyed(display: FakeDisplay) -> None:
    sink = WindowSink(display=display)
    display.keys.append(ord("q"))
    sink.write(picture(0))
    assert sink.poll()


def test_a_held_picture_stays_until_a_key_that_means_nothing_else(display: FakeDisplay) -> None:
    sink = WindowSink(hold=True, display=display)
    sink.write(picture(0))
    assert not sink.poll()
    assert sink.busy
    press(sink, display, "b")
    assert sink.busy
    press(sink, display, " ")
    assert not sink.busy


def test_a_paced_window_shows_each_picture_for_a_period(display: FakeDisplay, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(window.time, "monotonic", lambda: now)
    sink = WindowSink(fps=10, display=display)
    shown = []
    for index, ready in enumerate((100.0, 100.0, 100.0, 101.0, 101.0, 101.0)):  # the fourth one comes late
        now = max(now, ready)
        while sink.busy:
            now += 0.001
        sink.write(picture(index))
        shown.append(now)
    assert shown == pytest.approx([100.0, 100.1, 100.2, 101.0, 101.1, 101.2], abs=0.01)


def test_pause_holds_a_file_and_freezes_a_camera(display: FakeDisplay, said: Said) -> None:
    for live in (False, True):
        sink = WindowSink(live=live, display=display)
        sink.write(picture(1))
        press(sink, display, " ")
        assert "paused" in said
        assert sink.busy is not live
        sink.write(picture(2))
        assert read_number(display.shown[-1]) == (1 if live else 2)
        press(sink, display, " ")
        assert not sink.busy
        sink.write(picture(3))
        assert read_number(display.shown[-1]) == 3
        assert "paused" not in said


def test_side_by_side_and_overlay_are_switched(display: FakeDisplay, said: Said) -> None:
    sink = WindowSink(display=display)
    sink.write(picture(5))
    assert said
    said.clear()
    press(sink, display, "B")
    assert display.shown[-1].shape == (480, 1280, 3)
    assert read_number(255 - display.shown[-1][:, :640]) == 5
    press(sink, display, "b")
    assert display.shown[-1].shape == (*display.opened, 3) == (480, 640, 3)
    said.clear()
    press(sink, display, "o")
    assert not said


def test_a_snapshot_is_what_is_shown_without_overlay(display: FakeDisplay, said: Said, tmp_path: Path) -> None:
    sink = WindowSink(display=display, folder=tmp_path)
    sink.write(picture(9))
    press(sink, display, "ss")
    names = contents(tmp_path)
    assert len(names) == 2, "none is written over"
    assert read_number(read_image(tmp_path / names[0])) == 9
    assert any(text.startswith("saved") for text in said)


def test_a_recording_is_what_was_shown_between_two_keys(display: FakeDisplay, said: Said, tmp_path: Path) -> None:
    sink = WindowSink(fps=10, live=True, display=display, folder=tmp_path)
    for index in range(20):
        if index in (5, 15):
            press(sink, display, "r")
        sink.write(picture(index, seconds=index / 10))
    (name,) = contents(tmp_path)
    assert [read_number(frame) for frame in read_clip(tmp_path / name)] == list(range(5, 15))
    assert "REC" not in said


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_recording_is_not_lost_with_the_stream(display: FakeDisplay, tmp_path: Path, end: str) -> None:
    sink = WindowSink(fps=10, live=True, display=display, folder=tmp_path)
    sink.write(picture(0))
    press(sink, display, "r")
    for index in range(5):
        sink.write(picture(index, seconds=index / 10))
    getattr(sink, end)()
    (name,) = contents(tmp_path)
    assert len(read_clip(tmp_path / name)) == 5


def test_a_recording_that_cannot_be_is_said_and_ends_nothing(display: FakeDisplay, said: Said, tmp_path: Path) -> None:
    sink = WindowSink(display=display, folder=tmp_path / "file")
    (tmp_path / "file").write_text("no folder")
    sink.write(picture(0))
    assert not press(sink, display, "r")
    assert any("is not a folder" in text for text in said)
    assert not press(sink, display, "s")
    sink.write(picture(1))
    sink.close()


def test_a_recording_ends_where_the_pictures_change_size(display: FakeDisplay, said: Said, tmp_path: Path) -> None:
    sink = WindowSink(fps=10, live=True, display=display, folder=tmp_path)
    sink.write(picture(0))
    press(sink, display, "r")
    for index in range(5):
        sink.write(picture(index, seconds=index / 10))
    sink.write(picture(5, frame=numbered_frame(5, 96, 64), seconds=0.5))
    assert "REC" not in said
    assert any("saved" in text for text in said)
    (name,) = contents(tmp_path)
    assert len(read_clip(tmp_path / name)) == 5


def test_a_window_that_was_closed_is_not_opened_anew(display: FakeDisplay) -> None:
    sink = WindowSink(display=display)
    sink.write(picture(0))
    display.visible = False
    sink.notice("the camera is lost")
    sink.write(picture(1))
    assert len(display.shown) == 1
    assert sink.poll()


def test_the_next_artifact_is_asked_for(display: FakeDisplay, said: Said) -> None:
    asked = []
    sink = WindowSink(display=display, next_artifact=lambda: asked.append(1))
    sink.write(picture(0))
    press(sink, display, "nN")
    assert len(asked) == 2
    press(sink, display, "h")
    assert any("next artifact" in text.replace(overlay.KEEP, " ") for text in said)


def test_what_is_lost_is_said_until_it_is_back(display: FakeDisplay, said: Said) -> None:
    sink = WindowSink(display=display)
    sink.notice("the camera is lost")
    sink.write(picture(0))
    assert "the camera is lost" in said
    shown = len(display.shown)
    sink.notice("the camera is lost since 2 s")
    assert len(display.shown) == shown + 1, "also while no picture comes"
    sink.notice(None)
    assert not any("lost" in text for text in said)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (64, 64), (1080, 1920), (512, 128)])
def test_the_overlay_is_drawn_on_a_copy_and_fits(height: int, width: int) -> None:
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    drawn = draw_overlay(
        frame, [("30.0 fps 12 ms openvino int8", WHITE), ("saved snapshot-20260102-030405.png", AMBER)]
    )
    assert not frame.any()
    assert drawn.max() == 255
    assert not drawn[:, -2:].any(), "no word is cut off at the right"


@pytest.mark.parametrize("width", [120, 200, 256, 400, 1000])
def test_no_line_ends_between_a_key_and_what_it_does(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(overlay.cv2, "putText", lambda _picture, text, *_: drawn.append(text))
    draw_overlay(np.zeros((144, width, 3), dtype=np.uint8), [(window.HELP, WHITE)])
    lines = list(dict.fromkeys(drawn))
    assert " ".join(lines) == window.HELP.replace(overlay.KEEP, " ")
    assert "space pause" in " ".join(lines)
    assert all(line.endswith(",") for line in lines[:-1])
    assert len(lines) > 1 or width >= 400


def test_the_rate_is_told_from_the_second_picture_on() -> None:
    rate = RecentRate()
    assert rate.text == ""
    rate.add(0)
    assert "fps" not in rate.text
    rate.add(0)
    assert "fps" in rate.text
