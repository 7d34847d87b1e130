"""What all sources share that OpenCV reads: opening for FFmpeg, and one thread reading while another closes."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from core.frames import Frame, Size, check_frame
from core.machine import usable_cores
from runtime.sources.base import VideoSource

SECRETS: Final = re.compile(
    r"([^=&;/?]*(?:user|usr|login|pass|pwd|token|secret|key|auth|sig|code)[^=&;/?]*)=[^&;/?]*", re.IGNORECASE
)
"""Of an address's path and query: what is not to be shown."""

CLOSE_SECONDS: Final = 10.0
"""How long ``close`` waits for a read or an attempt to connect that is under way."""
GRACE_SECONDS: Final = 1.0
"""How much longer than its time-out an attempt to connect may take: looking up a host's name heeds none."""
FEW_CORES: Final = 2
HIGHEST_FPS: Final = 240.0
"""What is above it is the clock of a stream of variable rate (1000, 90000), not its rate."""
CAPTURE_OPTIONS: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
LOW_LATENCY: Final = "fflags;nobuffer|flags;low_delay"
_TRANSPORT: Final = {"rtsp": "rtsp_transport;tcp|", "rtsps": "rtsp_transport;tcp|", "udp": "overrun_nonfatal;1|"}
_options_lock: Final = threading.Lock()


class CaptureSource(VideoSource):
    """An OpenCV capture. ``close`` may come from another thread than ``read``: OpenCV itself would not bear that."""

    def __init__(self) -> None:
        self._capture: cv2.VideoCapture | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def _hold(self, capture: cv2.VideoCapture) -> None:
        """Read from ``capture`` from now on."""
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= HIGHEST_FPS else None
        height, width = (round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.frame_size = Size(height, width) if height > 0 and width > 0 else None

    def _grab(self) -> Frame | None:
        """The next frame and, in ``captured_ns``, when it came; None if none does."""
        with self._lock:
            if self._capture is None or not self._capture.grab():
                return None
            self.captured_ns = time.perf_counter_ns()
            found, image = self._capture.retrieve()
        return as_frame(image) if found else None

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


def as_frame(image: NDArray[np.integer[Any] | np.floating[Any]]) -> Frame:
    """What a capture hands over as a frame: some backends give gray, alpha, or 16 bits of a camera that has them.

    ``uint8`` or ``uint16``, ``[H, W]`` or ``[H, W, 1, 3 or 4]``.
    """
    if image.dtype == np.uint16:
        image = (image // 256).astype(np.uint8)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    elif channels == 4:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR))
    return check_frame(image)


def open_ffmpeg(
    location: str, *, timeout_seconds: float, low_latency: bool = False, stopped: threading.Event | None = None
) -> cv2.VideoCapture | None:
    """An opened capture of a file, or of the URL ``location`` within ``timeout_seconds`` (and ``GRACE_SECONDS``).

    None if it cannot be opened, takes longer, or ``stopped`` is set before.
    """
    if "://" not in location:
        # From the root, or FFmpeg takes what stands before a colon in a name for a protocol.
        capture = cv2.VideoCapture(str(Path(location).absolute()), cv2.CAP_FFMPEG, decoder_threads())
        return capture if capture.isOpened() else None
    milliseconds = max(1, round(1000 * timeout_seconds))
    # Both can be given only here: a capture that is open heeds no other.
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
    limits += decoder_threads()
    with _capture_options(location if low_latency else None):
        return _within(
            timeout_seconds + GRACE_SECONDS,
            lambda: cv2.VideoCapture(location, cv2.CAP_FFMPEG, limits),
            stopped or threading.Event(),
        )


def decoder_threads() -> list[int]:
    """How many threads FFmpeg decodes with, as OpenCV takes it.

    By default it has one for each core, and each of them a frame: on two cores that made files no faster beside an
    engine, and every frame older (docs/runtime.md). Where there are more cores, FFmpeg decides.
    """
    return [cv2.CAP_PROP_N_THREADS, 1] if usable_cores() <= FEW_CORES else []


def _within(
    seconds: float, connect: Callable[[], cv2.VideoCapture], stopped: threading.Event
) -> cv2.VideoCapture | None:
    """What ``connect`` opens in a thread of its own, which is left alone if it hangs longer than ``seconds``."""
    lock, done = threading.Lock(), threading.Event()
    opened: list[cv2.VideoCapture] = []
    failed: list[BaseException] = []
    abandoned = False

    def work() -> None:
        try:
            capture = connect()
            with lock:
                if capture.isOpened() and not abandoned:
                    opened.append(capture)
                else:
                    capture.release()
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="connect", daemon=True).start()
    deadline = time.monotonic() + seconds
    while not done.wait(0.02) and time.monotonic() < deadline and not stopped.is_set():
        pass
    with lock:
        abandoned = not opened
    if failed:
        raise failed[0]
    return opened[0] if opened else None


@contextmanager
def _capture_options(url: str | None) -> Iterator[None]:
    """Have OpenCV's FFmpeg open the live ``url`` for low latency, in the only way there is; None leaves it as it is.

    The user's own wish goes first. The environment is the whole process's, so only one thread at a time changes it.
    """
    if url is None:
        yield
        return
    with _options_lock:
        if CAPTURE_OPTIONS in os.environ:
            yield
            return
        os.environ[CAPTURE_OPTIONS] = low_latency_options(url)
        try:
            yield
        finally:
            del os.environ[CAPTURE_OPTIONS]


def low_latency_options(url: str) -> str:
    """FFmpeg's options for a live ``url``, as OpenCV takes them.

    RTSP comes over TCP, as over UDP a lost packet is a broken picture; of UDP that comes faster than it is read, what
    does not fit is dropped instead of ending the stream.
    """
    return _TRANSPORT.get(url.partition(":")[0].lower(), "") + LOW_LATENCY


def hide_password(text: str) -> str:
    """An address without the user and password it may hold, also in its path or query, as many cameras have them.

    Passwords hold what an address should not (``/``, ``?``, ``@``), so in doubt more is left out than need be. What is
    no address, such as a mistyped one, is treated alike.
    """
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "", text
    before, _, after = rest.rpartition("@")
    begin = re.split(r"[/?]", before, maxsplit=1)[0] if mark else before
    if ":" in begin or (mark and begin == before):  # else the @ is a path's own
        rest = after
    if scheme.strip().lower().startswith("rtmp") and rest.count("/") > 1:
        rest = re.sub(r"[^/]+$", "***", rest)  # the name of a stream is its key
    return scheme + mark + SECRETS.sub(r"\1=***", rest)


def rate_of(times_ms: Sequence[float]) -> float | None:
    """Frames per second of frames shown at these times, in any order; None if they do not tell."""
    span = max(times_ms, default=0.0) - min(times_ms, default=0.0)
    return 1000 * (len(times_ms) - 1) / span if span > 0 else None
