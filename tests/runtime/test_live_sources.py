"""Cameras and streams that vanish: tried again with patience, never waited for longer than asked."""

import math
import random
import threading
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import InvalidInputError, SourceError
from core.frames import Frame, Size
from runtime.sources import CameraSource, Outage, SourceOptions, cameras, live, open_source
from runtime.sources.captures import as_frame
from runtime.sources.live import LONGEST_WAIT, backoff
from tests.runtime.capture_doubles import SIZE, FakeCapture, FakeLive
from tests.runtime.stream_helpers import read_number


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of at most a few milliseconds."""
    monkeypatch.setattr(live, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(live, "LONGEST_WAIT", 0.004)


def test_a_first_connection_that_fails_is_an_error() -> None:
    with pytest.raises(SourceError, match="not there"):
        FakeLive([None])


def test_a_source_that_never_gave_a_frame_is_not_tried_again() -> None:
    source = FakeLive([FakeCapture(0), FakeCapture(5)])
    with pytest.raises(SourceError, match="gave no picture"):
        source.read()
    assert source.attempts == 1


@pytest.mark.usefixtures("quick")
def test_a_lost_camera_is_tried_again_and_the_outage_kept() -> None:
    first, second, third = FakeCapture(3), FakeCapture(2), FakeCapture(1)
    source = FakeLive([first, None, None, second, FakeCapture(0), third])
    before = time.perf_counter_ns()
    numbers = [read_number(frame) for _ in range(6) if (frame := source.read()) is not None]
    assert numbers == [2, 1, 0, 1, 0, 0]
    assert first.released
    assert second.released
    assert not third.released
    assert source.lost_since_ns is None
    assert len(source.outages) == 2
    assert before < source.outages[0].start_ns < source.outages[0].end_ns < source.outages[1].start_ns
    assert source.outages[1].end_ns < time.perf_counter_ns()


def test_an_outage_knows_how_long_it_was() -> None:
    assert Outage(1_000_000_000, 3_500_000_000).seconds == 2.5


@pytest.mark.usefixtures("quick")
def test_a_camera_that_does_not_come_back_is_given_up_when_the_time_is_over() -> None:
    source = FakeLive([FakeCapture(1)], retry_seconds=0.05)
    assert source.read() is not None
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"camera X was lost and did not come back within \d+ s: .*--retry"):
        source.read()
    assert time.monotonic() - start >= 0.05
    assert source.attempts > 3
    assert list(source.outages) == []


def test_without_retries_a_lost_camera_is_an_error_at_once() -> None:
    source = FakeLive([FakeCapture(1), FakeCapture(1)], retry_seconds=0)
    assert source.read() is not None
    with pytest.raises(SourceError, match="camera X was lost and is not to be tried again"):
        source.read()
    assert source.attempts == 1


@pytest.mark.parametrize("patience", [1000.0, math.inf])
def test_waiting_for_a_lost_camera_ends_when_stopped(monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    monkeypatch.setattr(live, "backoff", lambda seconds, _: iter([seconds]))
    source = FakeLive([FakeCapture(1)], retry_seconds=min(patience, 1e6))
    assert source.read() is not None
    answers: list[Frame | None] = []
    thread = threading.Thread(target=lambda: answers.append(source.read()), daemon=True)
    before = time.perf_counter_ns()
    thread.start()
    while (since := source.lost_since_ns) is None and time.perf_counter_ns() - before < 10e9:
        time.sleep(0.001)
    assert since is not None
    assert before < since < time.perf_counter_ns()
    source.stop()
    thread.join(10)
    assert answers == [None]
    source.close()
    source.close()
    assert source.read() is None


@pytest.mark.usefixtures("quick")
def test_what_is_opened_after_closing_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    late = FakeCapture(1)
    source = FakeLive([FakeCapture(1)])
    opening, go_on = threading.Event(), threading.Event()

    def connect() -> FakeCapture:
        opening.set()
        assert go_on.wait(10)
        return late

    assert source.read() is not None
    monkeypatch.setattr(source, "_connect", connect)
    answers: list[Frame | None] = []
    thread = threading.Thread(target=lambda: answers.append(source.read()), daemon=True)
    thread.start()
    assert opening.wait(10)
    source.stop()
    go_on.set()
    thread.join(10)
    assert answers == [None]
    assert late.released


def test_waits_grow_are_random_and_bounded() -> None:
    waits = [list(islice(backoff(math.inf, random.Random(seed)), 40)) for seed in range(200)]
    means = np.mean(waits, axis=0)
    for attempt, bound in enumerate((0.5, 1, 2, 4, 8, LONGEST_WAIT, LONGEST_WAIT)):
        column = [run[attempt] for run in waits]
        assert 0 <= min(column) < 0.1 * bound
        assert 0.9 * bound < max(column) <= bound
        assert means[attempt] == pytest.approx(bound / 2, rel=0.2)
    assert max(map(max, waits)) <= LONGEST_WAIT
    assert waits[0] == list(islice(backoff(math.inf, random.Random(0)), 40))


def test_the_last_attempt_comes_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    for wait in backoff(60.0, random.Random(1)):
        now[0] += wait + 0.5  # the attempt takes half a second
    assert 160.0 <= now[0] <= 160.5
    assert list(backoff(0.0, random.Random(1))) == []


class FakeCamera(FakeCapture):
    """A camera that gives 640 x 480 at 30 fps as YUYV whatever it is asked for."""

    opened: "list[FakeCamera]"

    def __init__(self, index: int, backend: int) -> None:
        super().__init__(1)
        self.index, self.backend = index, backend
        self.asked: dict[int, float] = {}
        self.properties |= {
            cv2.CAP_PROP_FRAME_WIDTH: 640,
            cv2.CAP_PROP_FRAME_HEIGHT: 480,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
        }
        self.opened.append(self)

    def set(self, prop: int, value: float) -> bool:
        self.asked[prop] = value
        return True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[FakeCamera]:
    """The cameras that are opened instead of real ones."""
    FakeCamera.opened = []
    monkeypatch.setattr(cameras.cv2, "VideoCapture", FakeCamera)
    return FakeCamera.opened


@pytest.mark.parametrize("text", ["camera:3", "3", "/dev/video3", "CAMERA:3"])
def test_a_camera_is_asked_for_compressed_frames_before_size_and_rate(opened: list[FakeCamera], text: str) -> None:
    source = open_source(text, size=Size(512, 512))
    assert source.live
    assert opened[0].index == 3
    first = list(opened[0].asked.items())[:4]
    assert first == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 30),
    ]
    assert source.describe() == "camera 3 (640x480, 30 fps, YUYV)", "what it gives, for it was not asked by the user"
    assert source.frame_size == Size(480, 640)


def test_a_camera_is_asked_for_what_the_user_wants_and_tells_what_it_gives(opened: list[FakeCamera]) -> None:
    options = SourceOptions(input_size=Size(720, 1280), input_fps=60, fourcc="YUYV", backend="ANY")
    camera = CameraSource(0, size=Size(64, 64), options=options)
    assert opened[0].backend == cv2.CAP_ANY
    assert opened[0].asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert opened[0].asked[cv2.CAP_PROP_FPS] == 60
    assert opened[0].asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"YUYV")
    assert camera.mode == cameras.CameraMode(Size(480, 640), 30.0, "YUYV")
    assert camera.describe() == "camera 0 (640x480, 30 fps, YUYV; not 1280x720, 60 fps as asked)"


def test_a_camera_without_pictures_says_what_to_try(opened: list[FakeCamera]) -> None:
    camera = CameraSource(0, size=SIZE)
    opened[0].left = 0
    with pytest.raises(SourceError, match=r"camera 0 was opened .*gave no picture .*--fourcc"):
        camera.read()


@pytest.mark.parametrize("text", ["camera:97", "97", "Camera:97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match=r"no camera 97 could be opened.*--source demo"):
        open_source(text, size=SIZE)


def test_a_link_to_a_device_that_is_no_camera_is_refused(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    with pytest.raises(SourceError, match="is a device or a socket"):
        open_source(str(tmp_path / "null"), size=SIZE)


def test_a_camera_known_by_a_link_is_found_under_its_new_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = ["/dev/video0"]
    opened: list[int] = []

    def open_camera(index: int, _backend: int) -> FakeCapture:
        opened.append(index)
        return FakeCapture(1)

    monkeypatch.setattr(Path, "resolve", lambda _path: Path(now[0]))
    monkeypatch.setattr(cameras.cv2, "VideoCapture", open_camera)
    source = CameraSource(0, size=SIZE, device=Path("/dev/v4l/by-id/usb-cam"), chance=random.Random(0))
    assert source.read() is not None
    now[0] = "/dev/video2"  # pulled out, and put in again
    assert source.read() is not None
    assert opened == [0, 2]
    assert source.name == "camera 2"
    source.close()


def test_backends_that_this_opencv_lacks_are_refused_with_those_it_has() -> None:
    for name in ("kinect", "gstreamer" if "GStreamer:                   NO" in cv2.getBuildInformation() else "x"):
        with pytest.raises(InvalidInputError, match=f"--backend {name}: this OpenCV opens cameras with any, .*v4l2"):
            open_source("camera:0", size=SIZE, options=SourceOptions(backend=name))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"fourcc": "MJPEG"}, "--fourcc"),
        ({"fourcc": "Ä123"}, "--fourcc"),
        ({"input_fps": 0.0}, "--input-fps"),
        ({"input_fps": math.nan}, "--input-fps"),
        ({"retry_seconds": -1.0}, "--retry"),
        ({"retry_seconds": math.nan}, "--retry"),
        ({"timeout_seconds": 0.0}, "--timeout"),
        ({"timeout_seconds": math.inf}, "--timeout"),
    ],
)
def test_options_that_cannot_be_met_are_refused_by_name(options: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{named} "):
        SourceOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((2, 3), 9, np.uint8), 9),
        (np.full((2, 3, 1), 9, np.uint8), 9),
        (np.full((2, 3, 4), 9, np.uint8), 9),
        (np.full((2, 3), 9 * 257, np.uint16), 9),
        (np.full((2, 3, 3), 65535, np.uint16), 255),
    ],
)
def test_whatever_a_backend_gives_becomes_a_frame(image: Frame, expected: int) -> None:
    np.testing.assert_array_equal(as_frame(image), np.full((2, 3, 3), expected, np.uint8))
