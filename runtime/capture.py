"""Videos, cameras and network streams, through OpenCV."""

import os
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2

from core.errors import SourceError
from core.frames import Frame, Size, check_frame
from core.video import is_text
from runtime.sources import VideoSource

RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Waits before each attempt to get a lost camera or stream back: half a minute, then it is given up."""

TIMEOUT_MS: Final = 5000
"""For opening a stream and for each read."""

CLOSE_SECONDS: Final = 10.0
CAPTURE_OPTIONS: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
LOW_LATENCY: Final = "fflags;nobuffer|flags;low_delay"
CAMERA_FPS: Final = 30
CAMERA_SIZES: Final = (Size(480, 640), Size(720, 1280), Size(1080, 1920))


class _CaptureSource(VideoSource):
    """An OpenCV capture. ``close`` may come from another thread than ``read``: OpenCV itself would not bear that."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture: cv2.VideoCapture | None = capture
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else None  # no rate, or the ticks of a stream of variable rate

    def _grab(self) -> Frame | None:
        """The next frame and, in ``captured_ns``, when it came; None if none does."""
        with self._lock:
            if self._capture is None or not self._capture.grab():
                return None
            self.captured_ns = time.perf_counter_ns()
            found, frame = self._capture.retrieve()
        return check_frame(frame) if found else None

    def stop(self) -> None:
        """Wait no longer for a lost source."""
        self._stopped.set()

    def close(self) -> None:
        """Release the capture, unless a read in another thread hangs."""
        self.stop()
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            try:
                if self._capture is not None:
                    self._capture.release()
                    self._capture = None
            finally:
                self._lock.release()


class VideoFileSource(_CaptureSource):
    """All frames of a video file (or of one behind a URL), in order."""

    live = False

    def __init__(self, location: Path | str, capture: cv2.VideoCapture | None = None) -> None:
        """Open it and read its first frame.

        Args:
            location: a path, or a URL as text.
            capture: what was opened there already, if it was.

        Raises:
            SourceError: if it cannot be opened or has no frames.
        """
        shown = hide_password(location) if isinstance(location, str) else str(location)
        if isinstance(location, Path) and _is_text(location):
            raise SourceError(f"{shown} is a text file, not a video or an image")
        capture = capture or _open_ffmpeg(str(location))
        if capture is None:
            raise SourceError(f"{shown} cannot be opened as a video: it is damaged, incomplete or something else")
        super().__init__(capture)
        self.shown = shown
        """The location as people may read it: without a password."""
        count = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 else None
        self._first = self._grab()
        if self._first is None:
            capture.release()
            raise SourceError(f"{shown} has no frames that can be decoded")

    def read(self) -> Frame | None:
        """The next frame; None at the end."""
        if self._first is None:
            return self._grab()
        frame, self._first = self._first, None
        self.captured_ns = time.perf_counter_ns()
        return frame

    def describe(self) -> str:
        """The location and the rate."""
        return f"{self.shown} ({self.fps:g} fps)" if self.fps else self.shown


class LiveSource(_CaptureSource):
    """A camera or stream: one that is lost is tried again for a while."""

    live = True
    retry_seconds: Sequence[float] = RETRY_SECONDS

    def __init__(self) -> None:
        """Connect; ``SourceError`` if the first attempt fails."""
        capture = self._connect()
        if capture is None:
            raise SourceError(self._no_connection())
        super().__init__(capture)
        self.reconnections = 0
        """How often the source was lost and came back."""

    @abstractmethod
    def _connect(self) -> cv2.VideoCapture | None:
        """An opened capture; None if that fails."""

    @abstractmethod
    def _no_connection(self) -> str:
        """What to tell the user when the first connection fails."""

    def read(self) -> Frame | None:
        """The next frame, waiting for it; None once stopped.

        Raises:
            SourceError: if the source was lost and did not come back.
        """
        frame = self._grab()
        if frame is not None or self._stopped.is_set():
            return frame
        for seconds in self.retry_seconds:
            if self._stopped.wait(seconds):
                return None
            with self._lock:
                if self._capture is not None:
                    self._capture.release()
                self._capture = self._connect()
            frame = self._grab()
            if frame is not None:
                self.reconnections += 1
                return frame
        raise SourceError(
            f"{self.describe()} was lost and did not come back within {sum(self.retry_seconds):g} s: "
            "check its cable or network and start again"
        )


class CameraSource(LiveSource):
    """A camera of this machine."""

    def __init__(self, index: int, *, size: Size) -> None:
        """Open camera ``index`` in the smallest usual mode that covers ``size``; ``SourceError`` if there is none."""
        self.index = index
        self._mode = next(
            (mode for mode in CAMERA_SIZES if mode.height >= size.height and mode.width >= size.width), CAMERA_SIZES[-1]
        )
        super().__init__()

    def _connect(self) -> cv2.VideoCapture | None:
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(self.index, backend)
        # In this order: the driver offers large sizes at full rate only once it knows that they come compressed.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._mode.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._mode.height)
        capture.set(cv2.CAP_PROP_FPS, CAMERA_FPS)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where it is heeded; the capture thread empties the rest
        return capture if capture.isOpened() else None

    def _no_connection(self) -> str:
        device = Path(f"/dev/video{self.index}")
        if sys.platform == "linux" and not device.exists():
            reason = f"there is no {device}"
        else:
            reason = "is it in use, or closed to your user?"
        return f"no camera {self.index} could be opened: {reason}; try --source demo"

    def describe(self) -> str:
        """Which camera."""
        return f"camera {self.index}"


class StreamSource(LiveSource):
    """A live network stream."""

    def __init__(self, url: str) -> None:
        """Connect to ``url``; ``SourceError`` if that fails."""
        self.url = url
        super().__init__()

    def _connect(self) -> cv2.VideoCapture | None:
        return _open_ffmpeg(self.url, low_latency=True)

    def _no_connection(self) -> str:
        return _not_opened(self.url)

    def describe(self) -> str:
        """The address, without a password."""
        return hide_password(self.url)


def open_url(url: str) -> VideoSource:
    """A live stream; over HTTP it may also be a file of known length, none of whose frames is to be lost.

    Raises:
        SourceError: if it cannot be opened.
    """
    if url.lower().startswith("http"):
        capture = _open_ffmpeg(url)  # the options for low latency have FFmpeg lose frames of a file
        if capture is None:
            raise SourceError(_not_opened(url))
        if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            return VideoFileSource(url, capture)
        capture.release()
    return StreamSource(url)


def hide_password(url: str) -> str:
    """``url`` without the user and password it may hold."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _not_opened(url: str) -> str:
    return f"{hide_password(url)} could not be opened within {TIMEOUT_MS / 1000:g} s: check address and network"


def _open_ffmpeg(location: str, *, low_latency: bool = False) -> cv2.VideoCapture | None:
    remote = "://" in location
    parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    with _capture_options(location if low_latency else None):
        capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG, parameters if remote else [])
    return capture if capture.isOpened() else None


@contextmanager
def _capture_options(url: str | None) -> Iterator[None]:
    """Have OpenCV's FFmpeg open the live ``url`` for low latency, in the only way there is; None leaves it as it is.

    The user's own wish goes first.
    """
    if url is None or CAPTURE_OPTIONS in os.environ:
        yield
        return
    transport = "rtsp_transport;tcp|" if url.lower().startswith("rtsp") else ""
    os.environ[CAPTURE_OPTIONS] = transport + LOW_LATENCY
    try:
        yield
    finally:
        del os.environ[CAPTURE_OPTIONS]


def _is_text(path: Path) -> bool:
    """``core.video.is_text``; ``SourceError`` if the file cannot be read."""
    try:
        return is_text(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
