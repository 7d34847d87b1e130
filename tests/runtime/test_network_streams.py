"""Streams over the network: opened for low latency, within the time-out, and never with a password in a message."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from core.errors import SourceError
from runtime.sources import SourceOptions, StreamSource, VideoFileSource, VideoSource, captures, open_source
from runtime.sources.captures import CAPTURE_OPTIONS, decoder_threads, hide_password, low_latency_options
from runtime.sources.streams import open_url
from tests.runtime.capture_doubles import SIZE, FakeCapture
from tests.runtime.media_helpers import read_all
from tests.runtime.stream_helpers import numbered_frame, read_number, write_clip

SOON = SourceOptions(timeout_seconds=0.3)


class Recorder(FakeCapture):
    """Notes the environment and the parameters that it is opened with."""

    seen: list[str | None]
    parameters: Sequence[int]

    def __init__(self, _url: str, backend: int, parameters: Sequence[int]) -> None:
        super().__init__(1)
        assert backend == cv2.CAP_FFMPEG
        self.properties[cv2.CAP_PROP_FRAME_COUNT] = -1.0
        type(self).parameters = parameters
        self.seen.append(os.environ.get(CAPTURE_OPTIONS))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The options in the environment at each opening; nothing is really opened."""
    Recorder.seen = []
    monkeypatch.delenv(CAPTURE_OPTIONS, raising=False)
    monkeypatch.setattr(captures.cv2, "VideoCapture", Recorder)
    return Recorder.seen


def test_a_stream_is_opened_for_low_latency_and_leaves_the_environment_alone(
    seen: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("rtsp://user:secret@camera/1", size=SIZE, options=SourceOptions(timeout_seconds=2.5))
    assert source.live
    assert source.describe() == "rtsp://camera/1"
    assert seen == ["rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"]
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 2500, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2500]
    assert Recorder.parameters == limits + decoder_threads()
    assert CAPTURE_OPTIONS not in os.environ
    monkeypatch.setenv(CAPTURE_OPTIONS, "rtsp_transport;udp")
    open_source("rtsp://camera/1", size=SIZE)
    assert seen[-1] == "rtsp_transport;udp", "the user's own wish"
    assert os.environ[CAPTURE_OPTIONS] == "rtsp_transport;udp"


@pytest.mark.parametrize("scheme", ["udp", "tcp", "srt", "rtp", "rtmp", "RTSPS"])
def test_every_kind_of_stream_is_live(seen: list[str | None], scheme: str) -> None:
    assert open_source(f"{scheme}://127.0.0.1:9", size=SIZE).live
    assert seen[0] is not None
    assert "nobuffer" in seen[0]
    assert low_latency_options("udp://x").startswith("overrun_nonfatal;1|")


def test_an_http_stream_without_an_end_is_opened_for_low_latency(seen: list[str | None]) -> None:
    source = open_source("http://me:secret@camera/live", size=SIZE)
    assert source.live
    assert source.describe() == "http://camera/live"
    assert seen == [None, "fflags;nobuffer|flags;low_delay"]


def test_a_stream_without_a_picture_says_that_a_key_frame_may_be_late(seen: list[str | None]) -> None:
    source = open_source("udp://127.0.0.1:9", size=SIZE)
    assert seen
    assert isinstance(source, StreamSource)
    assert source._capture is not None
    source._capture.left = 0  # type: ignore[attr-defined]
    with pytest.raises(SourceError, match=r"no picture came within .* key frame.*--timeout 20"):
        source.read()


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


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:S3CRET@host:80/a?b", "http://host:80/a?b"),
        ("http://host/a@2x.png", "http://host/a@2x.png"),
        ("rtsp://me:S3/CRET@host/live", "rtsp://host/live"),
        ("rtsp://me:12/S3CRET@host/live", "rtsp://host/live"),
        ("rtsp://me:S3C?RET@host/live", "rtsp://host/live"),
        ("rtsp://me:S3C@RET@host/live", "rtsp://host/live"),
        ("rtsp://me:/S3CRET@host/live", "rtsp://host/live"),
        (
            "http://host:80/v?user=S3CRET&size=2&Password=S3CRET",
            "http://host:80/v?user=***&size=2&Password=***",
        ),
        (
            "rtsp://1.2.3.4:554/user=admin&password=S3CRET&channel=1&stream=0.sdp?real_stream",
            "rtsp://1.2.3.4:554/user=***&password=***&channel=1&stream=0.sdp?real_stream",
        ),
        ("rtsp://1.2.3.4/user=admin_password=S3CRET_channel=1", "rtsp://1.2.3.4/user=***"),
        ("rtsp://1.2.3.4/live;password=S3CRET", "rtsp://1.2.3.4/live;password=***"),
        ("ftp://me:S3CRET@host/clip.mp4", "ftp://host/clip.mp4"),
        (" rtsp://me:S3CRET@host/live", " rtsp://host/live"),
        ("me:S3CRET@host/live", "host/live"),
        ("http://host/a.mp4?X-Amz-Signature=S3CRET&x=1", "http://host/a.mp4?X-Amz-Signature=***&x=1"),
        ("rtmp://host/live/S3CRET", "rtmp://host/live/***"),
        ("rtsp:/me:S3CRET@host", "host"),
        ("rtsp://[::1]:8554/live", "rtsp://[::1]:8554/live"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234"),
        ("clips/a@2.mp4", "clips/a@2.mp4"),
    ],
)
def test_a_password_is_never_shown(address: str, shown: str) -> None:
    assert hide_password(address) == shown
    assert "S3CRET" not in shown


@pytest.mark.parametrize(
    "address",
    ["ftp://me:S3CRET@host/clip.mp4", "rtsp:/me:S3CRET@host", "mms://me:S3CRET@h/*.asf", " rtsp://me:S3CRET@h"],
)
def test_not_even_of_an_address_that_is_not_understood(address: str) -> None:
    with pytest.raises(SourceError) as refusal:
        open_source(address, size=SIZE)
    assert "S3CRET" not in str(refusal.value)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
def test_a_server_that_says_nothing_is_given_up_after_the_time_out(silent: int, scheme: str) -> None:
    with pytest.raises(SourceError, match=rf"{scheme}://127\.0\.0\.1:{silent} could not be opened \(tried for"):
        open_source(f"{scheme}://127.0.0.1:{silent}", size=SIZE, options=SOON)


def test_nobody_sending_is_found_out_within_the_time_out() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceError, match=rf"udp://127\.0\.0\.1:{port} could not be opened"):
        open_source(f"udp://127.0.0.1:{port}", size=SIZE, options=SOON)


def test_an_opening_that_heeds_no_time_out_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up a name may hang for as long as the system likes; what is opened after that is given back."""
    go_on = threading.Event()
    late: list[FakeCapture] = []

    def hang(*_: object) -> FakeCapture:
        assert go_on.wait(10)
        late.append(FakeCapture(1))
        return late[0]

    monkeypatch.setattr(captures, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(captures.cv2, "VideoCapture", hang)
    with pytest.raises(SourceError, match="could not be opened"):
        open_source("rtsp://far.away/1", size=SIZE, options=SourceOptions(timeout_seconds=0.05))
    go_on.set()
    deadline = time.monotonic() + 10
    while not (late and late[0].released) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert late[0].released


def test_an_opening_that_hangs_does_not_keep_a_stopped_source(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, asked = threading.Event(), threading.Event()
    captured = [FakeCapture(1)]

    def connect(*_: object) -> FakeCapture:
        if captured:
            return captured.pop()
        asked.set()
        assert go_on.wait(60)
        return FakeCapture(0)

    monkeypatch.setattr(captures.cv2, "VideoCapture", connect)
    source = open_source("udp://127.0.0.1:9", size=SIZE, options=SourceOptions(timeout_seconds=50))
    assert source.read() is not None
    thread = threading.Thread(target=source.read, daemon=True)
    thread.start()
    assert asked.wait(10)
    source.stop()
    thread.join(10)
    assert not thread.is_alive()
    source.close()
    go_on.set()


def test_a_python_error_while_opening_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> FakeCapture:
        raise RuntimeError("not OpenCV's usual way")

    monkeypatch.setattr(captures.cv2, "VideoCapture", broken)
    with pytest.raises(RuntimeError, match="usual way"):
        open_source("udp://127.0.0.1:9", size=SIZE)
