"""Where frames come from: complete, in order, and with one line for what cannot be read."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import SourceError
from core.frames import Frame, Size, write_image
from runtime import capture
from runtime.capture import CameraSource, LiveSource, VideoFileSource, hide_password, open_url
from runtime.sources import DemoSource, ImageSource, VideoSource, natural_key, open_source
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame, read_clip, read_number, write_clip

SIZE = Size(HEIGHT, WIDTH)


def read_all(source: VideoSource) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        frames.append(frame)
    return frames


def test_a_video_gives_every_frame_in_order(clip: Path) -> None:
    with open_source(str(clip), size=SIZE) as source:
        assert (source.live, source.fps, source.frame_count) == (False, 25.0, 40)
        frames = read_all(source)
    assert [read_number(frame) for frame in frames] == list(range(40))
    for mine, theirs in zip(frames, read_clip(clip), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert source.captured_ns is not None


def test_a_video_that_breaks_off_ends_early_and_its_announced_length_stays_known(tmp_path: Path) -> None:
    whole = write_clip(
        tmp_path / "whole.avi",
        (np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8) for i in range(30)),
    )
    broken = tmp_path / "broken.avi"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with VideoFileSource(broken) as source:
        assert source.frame_count == 30
        assert 1 <= len(read_all(source)) < 30


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"hello\n" * 200),
        ("clip.mp4", b"hello\n" * 200),
        ("noise.mp4", bytes(range(256)) * 20),
        ("empty.mp4", b""),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=name):
        open_source(str(path), size=SIZE)


def test_images_come_in_natural_order_with_their_names(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_image(tmp_path / f"shot{number}.png", numbered_frame(number))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path), size=SIZE)
    names, numbers = [], []
    while (frame := source.read()) is not None:
        names.append(source.frame_name)
        numbers.append(read_number(frame))
    assert numbers == [1, 2, 10]
    assert names == ["shot1", "shot2", "shot10"]
    assert (source.live, source.frame_count) == (False, 3)


def test_images_of_one_stem_keep_different_names(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png"):
        write_image(tmp_path / name, numbered_frame(0))
    source = ImageSource(tmp_path)
    names = []
    while source.read() is not None:
        names.append(source.frame_name)
    assert names == ["a.bmp", "a.png", "b"]


def test_natural_order_counts_numbers_as_numbers() -> None:
    names = ["b1", "a10b2", "a10b10", "a9", "2", "10", "A1"]
    assert sorted(names, key=natural_key) == ["2", "10", "A1", "a9", "a10b2", "a10b10", "b1"]


def test_one_image_is_one_frame(tmp_path: Path) -> None:
    write_image(tmp_path / "one.png", numbered_frame(77))
    frames = read_all(open_source(str(tmp_path / "one.png"), size=SIZE))
    assert [read_number(frame) for frame in frames] == [77]


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", numbered_frame(0))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    source = ImageSource(tmp_path)
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"b\.png"):
        source.read()


@pytest.mark.parametrize("text", ["nowhere.mp4", "nowhere/", "demos", "camera"])
def test_a_missing_source_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(SourceError, match=r"camera:0 or demo"):
        open_source(text, size=SIZE)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no images"):
        open_source(str(tmp_path), size=SIZE)


@pytest.mark.parametrize("text", ["camera:97", "97", "Camera:97"])
def test_a_camera_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match=r"no camera 97 could be opened.*--source demo"):
        open_source(text, size=SIZE)


def test_the_demo_is_endless_and_the_same_every_time() -> None:
    source, again = DemoSource(SIZE), DemoSource(SIZE)
    assert (source.live, source.frame_count, source.fps) == (False, None, 30.0)
    frames = [source.read() for _ in range(12)]
    assert all(frame is not None and frame.shape == (64, 64, 3) for frame in frames)
    for frame in frames:
        np.testing.assert_array_equal(frame, again.read())
    assert not np.array_equal(frames[0], frames[-1]), "it moves"


def test_a_live_demo_waits_for_its_moment_and_can_be_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    source = DemoSource(SIZE, live=True)
    assert source.read() is not None
    source._start += 1000  # the next moment is far away
    thread = threading.Thread(target=lambda: frames.append(source.read()), daemon=True)
    frames: list[Frame | None] = []
    thread.start()
    source.stop()
    thread.join(10)
    assert frames == [None]


class FakeCapture:
    """An OpenCV capture of ``frames`` frames, then lost."""

    def __init__(self, frames: int) -> None:
        self.left = frames
        self.released = False

    def get(self, _property: int) -> float:
        return 30.0

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, Frame]:
        return True, numbered_frame(self.left)

    def release(self) -> None:
        self.released = True


class FakeLive(LiveSource):
    """Connects to ``captures`` one after the other; None is a connection that fails."""

    def __init__(self, captures: Sequence[FakeCapture | None], retry_seconds: Sequence[float] = (0, 0, 0)) -> None:
        self.captures = list(captures)
        self.retry_seconds = retry_seconds
        super().__init__()

    def _connect(self) -> cv2.VideoCapture | None:
        return self.captures.pop(0)  # type: ignore[return-value]

    def _no_connection(self) -> str:
        return "not there"

    def describe(self) -> str:
        return "camera X"


def test_a_first_connection_that_fails_is_an_error() -> None:
    with pytest.raises(SourceError, match="not there"):
        FakeLive([None])


def test_a_lost_camera_is_tried_again() -> None:
    first, second = FakeCapture(3), FakeCapture(2)
    source = FakeLive([first, None, second, None, None, None])
    numbers = [read_number(frame) for _ in range(5) if (frame := source.read()) is not None]
    assert numbers == [2, 1, 0, 1, 0]
    assert source.reconnections == 1
    assert first.released
    with pytest.raises(SourceError, match="camera X was lost and did not come back"):
        source.read()


def test_waiting_for_a_lost_camera_ends_when_stopped() -> None:
    source = FakeLive([FakeCapture(0)], retry_seconds=(1000,))
    answers: list[Frame | None] = []
    thread = threading.Thread(target=lambda: answers.append(source.read()), daemon=True)
    thread.start()
    source.stop()
    thread.join(10)
    assert answers == [None]
    source.close()
    source.close()


def test_a_camera_is_asked_for_compressed_frames_before_size_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Recorder(FakeCapture):
        def __init__(self, *_: object) -> None:
            super().__init__(1)

        def set(self, prop: int, _value: float) -> bool:
            asked.append(prop)
            return True

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

    monkeypatch.setattr(capture.cv2, "VideoCapture", Recorder)
    camera = CameraSource(0, size=Size(512, 512))
    assert camera.live
    assert asked[:4] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    ]


def test_a_stream_is_opened_for_low_latency_and_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    class Recorder(FakeCapture):
        def __init__(self, _url: str, backend: int, parameters: Sequence[int]) -> None:
            super().__init__(1)
            assert backend == cv2.CAP_FFMPEG
            assert {cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC} <= set(parameters)
            seen.append(capture.os.environ.get(capture.CAPTURE_OPTIONS))

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

    monkeypatch.delenv(capture.CAPTURE_OPTIONS, raising=False)
    monkeypatch.setattr(capture.cv2, "VideoCapture", Recorder)
    source = open_source("rtsp://user:secret@camera/1", size=SIZE)
    assert source.live
    assert source.describe() == "rtsp://camera/1"
    assert seen == ["rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"]
    assert capture.CAPTURE_OPTIONS not in capture.os.environ
    monkeypatch.setenv(capture.CAPTURE_OPTIONS, "rtsp_transport;udp")
    open_source("rtsp://camera/1", size=SIZE)
    assert seen[-1] == "rtsp_transport;udp"


class QuietHandler(SimpleHTTPRequestHandler):
    """Files of a folder over HTTP, without a log."""

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Where the files of ``tmp_path`` can be had over HTTP, with a user and a password in it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://me:secret@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi"])
def test_a_video_behind_a_url_loses_no_frame_and_shows_no_password(name: str, web: str, tmp_path: Path) -> None:
    write_clip(tmp_path / name, (numbered_frame(i) for i in range(40)))
    with open_source(f"{web}/{name}", size=SIZE) as source:
        assert (source.live, source.frame_count) == (False, 40)
        assert [read_number(frame) for frame in read_all(source)] == list(range(40))
        assert source.describe() == f"{web.replace('me:secret@', '')}/{name} (25 fps)"


@pytest.mark.parametrize("opener", [open_url, VideoFileSource, partial(open_source, size=SIZE)])
def test_a_url_that_cannot_be_opened_is_named_without_its_password(
    opener: Callable[[str], VideoSource], web: str
) -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:\d+/nothing\.mp4") as caught:
        opener(f"{web}/nothing.mp4")
    assert "secret" not in str(caught.value)


def test_an_http_stream_without_an_end_is_opened_for_low_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    class Endless(FakeCapture):
        def __init__(self, *_: object) -> None:
            super().__init__(1)
            seen.append(capture.os.environ.get(capture.CAPTURE_OPTIONS))

        def get(self, prop: int) -> float:
            return -1.0 if prop == cv2.CAP_PROP_FRAME_COUNT else 30.0

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

    monkeypatch.delenv(capture.CAPTURE_OPTIONS, raising=False)
    monkeypatch.setattr(capture.cv2, "VideoCapture", Endless)
    source = open_source("http://me:secret@camera/live", size=SIZE)
    assert source.live
    assert source.describe() == "http://camera/live"
    assert seen == [None, "fflags;nobuffer|flags;low_delay"]


def test_a_password_is_never_shown() -> None:
    assert hide_password("http://me:pass@host:80/a@b?c") == "http://host:80/a@b?c"


def test_no_two_images_of_a_folder_share_a_name(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "a.png.bmp", "b.png"):
        write_image(tmp_path / name, numbered_frame(1))
    source = open_source(str(tmp_path), size=Size(HEIGHT, WIDTH))
    names = []
    while source.read() is not None:
        names.append(source.frame_name)
    assert len(set(names)) == 4
    assert "b" in names
