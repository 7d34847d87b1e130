"""Pictures for other programs: raw frames on standard output, and the virtual camera."""

import io
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from core.errors import MissingDependencyError, SinkError
from core.frames import Frame
from runtime.sinks import RawSink, open_sink
from tests.runtime.stream_helpers import environment, numbered_frame
from tests.runtime.test_sinks import picture


class Pipe(io.BytesIO):
    """A stream that takes ``room`` bytes, and a terminal if it is one."""

    def __init__(self, *, room: int = 1 << 30, terminal: bool = False) -> None:
        super().__init__()
        self.room, self.terminal = room, terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, data: bytes) -> int:
        self.room -= len(bytes(data))
        if self.room < 0:
            raise BrokenPipeError
        return super().write(data)


def test_raw_frames_are_bgr24() -> None:
    pipe = Pipe()
    sink = RawSink(pipe)
    for index in range(3):
        sink.write(picture(index))
    assert not sink.poll()
    assert pipe.getvalue() == b"".join(numbered_frame(index).tobytes() for index in range(3))


def test_a_reader_who_goes_away_ends_the_stream() -> None:
    sink = RawSink(Pipe(room=10_000))
    sink.write(picture(0))
    assert not sink.poll()
    sink.write(picture(1))
    sink.write(picture(2))
    assert sink.poll()
    sink.close()


def test_raw_frames_have_one_size() -> None:
    sink = RawSink(Pipe())
    sink.write(picture(0))
    with pytest.raises(SinkError, match="standard output has pictures of 48x64, and now one of 96x64 comes"):
        sink.write(picture(1, frame=numbered_frame(1, 96, 64)))
    pipe = Pipe()
    live = RawSink(pipe, fitted=True)
    live.write(picture(0))
    live.write(picture(1, frame=numbered_frame(1, 96, 64)))
    assert len(pipe.getvalue()) == 2 * 48 * 64 * 3
    assert "were cut to the first one's 48x64" in (live.note or "")


def test_a_terminal_is_no_place_for_raw_frames() -> None:
    with pytest.raises(SinkError, match="pipe them"):
        RawSink(Pipe(terminal=True))


ENDLESS = """
from runtime.sinks import open_sink
from tests.runtime.test_sinks import picture
sink = open_sink("-", fps=None, live=True, frames=None)
while not sink.poll():
    sink.write(picture(5))
sink.close()
"""


def test_a_program_whose_reader_has_gone_ends_without_a_word() -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    frame = numbered_frame(5)
    assert writer.stdout.read(2 * frame.nbytes) == 2 * frame.tobytes()
    writer.stdout.close()
    writer.stdout = None
    _, complaints = writer.communicate(timeout=60)
    assert (writer.returncode, complaints) == (0, b"")


class FakeCamera:
    """pyvirtualcam's camera."""

    opened: "list[FakeCamera]"

    def __init__(self, **options: Any) -> None:
        if options["device"] == "/dev/video9":
            raise RuntimeError("device not found:\n/dev/video9")
        self.options = options
        self.device = options["device"] or "/dev/video2"
        self.sent: list[Frame] = []
        self.closed = False
        self.opened.append(self)

    def send(self, frame: Frame) -> None:
        if len(self.sent) == 3:
            raise RuntimeError("error writing frame")
        self.sent.append(frame.copy())

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[FakeCamera]:
    opened: list[FakeCamera] = []
    monkeypatch.setattr(FakeCamera, "opened", opened, raising=False)
    library = ModuleType("pyvirtualcam")
    vars(library).update(Camera=FakeCamera, PixelFormat=type("PixelFormat", (), {"BGR": "bgr"}))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", library)
    return opened


@pytest.mark.parametrize(("name", "device"), [("camera:", None), ("camera:/dev/video2", "/dev/video2")])
def test_a_virtual_camera_is_sent_every_picture(cameras: list[FakeCamera], name: str, device: str | None) -> None:
    sink = open_sink(name, fps=25, live=True, frames=None)
    assert not cameras, "its size is that of the first picture"
    for index in range(3):
        sink.write(picture(index))
    (camera,) = cameras
    assert camera.options == {"width": 64, "height": 48, "fps": 25, "fmt": "bgr", "device": device}
    np.testing.assert_array_equal(camera.sent, [numbered_frame(index) for index in range(3)])
    with pytest.raises(SinkError, match="/dev/video2 takes no more pictures: error writing frame"):
        sink.write(picture(3))
    sink.abort()
    assert camera.closed
    sink.close()


def test_a_virtual_camera_keeps_its_size(cameras: list[FakeCamera]) -> None:
    sink = open_sink("camera:", fps=None, live=True, frames=None)
    sink.write(picture(0))
    with pytest.raises(SinkError, match="a frame of"):
        sink.write(picture(1, frame=numbered_frame(1, 96, 64)))
    assert len(cameras[0].sent) == 1


@pytest.mark.usefixtures("cameras")
def test_a_virtual_camera_that_is_not_there_is_one_line() -> None:
    sink = open_sink("camera:/dev/video9", fps=25, live=True, frames=None)
    with pytest.raises(SinkError, match=r"/dev/video9 cannot be opened .*v4l2loopback") as caught:
        sink.write(picture(0))
    assert "\n" not in str(caught.value)
    sink.abort()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*virtual-camera"):
        open_sink("camera:", fps=25, live=True, frames=None)
