"""Video files: every frame, in order."""

import time
from pathlib import Path
from typing import Final, NamedTuple

import cv2

from core.errors import SourceError
from core.frames import Frame, Size
from core.video import is_text
from runtime.sources.captures import CaptureSource, hide_password, open_ffmpeg, rate_of

SURVEYED: Final = 1500
"""Frames whose times are looked at before a file is played: a few milliseconds, as none is decoded."""
VARIES: Final = 0.95
"""A file whose frames come slower than so much of the rate that it tells has a variable rate."""


class Survey(NamedTuple):
    """What the packets of a file tell."""

    frames: int
    fps: float | None
    """On average."""
    ended: bool
    """Whether these were all of them."""


class VideoFileSource(CaptureSource):
    """All frames of a video file (or of one behind a URL), in order, upright, without their alpha, in 8 bits.

    FFmpeg turns frames as the file says they were held, drops alpha and makes 8-bit BGR of any other format. The rate
    of a file of variable rate is its average: Matroska tells the highest, and some files tell a clock's ticks. It is
    found from the times of the packets, of the first ``SURVEYED`` if there are more and the rate told cannot be one.
    """

    live = False

    def __init__(
        self, location: Path | str, capture: cv2.VideoCapture | None = None, *, timeout_seconds: float = 5.0
    ) -> None:
        """Open it and read its first frame.

        Args:
            location: a path, or a URL as text.
            capture: what was opened there already, if it was.
            timeout_seconds: for opening a URL.

        Raises:
            SourceError: if it cannot be opened or has no frames.
        """
        shown = hide_password(location) if isinstance(location, str) else str(location)
        if isinstance(location, Path):
            _check_file(location)
            self.files = (location,)
        capture = capture or open_ffmpeg(str(location), timeout_seconds=timeout_seconds)
        if capture is None:
            raise SourceError(f"{shown} cannot be opened as a video: it is damaged, incomplete or something else")
        super().__init__()
        self._hold(capture)
        self.shown = shown
        """The location as people may read it: without a password."""
        self.varies = False
        """Whether the frames come at a variable rate, of which ``fps`` is the average."""
        count = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 else None
        self._first = self._grab()
        if self._first is None:
            capture.release()
            raise SourceError(f"{shown} has no frames that can be decoded")
        self.frame_size = Size(*self._first.shape[:2])
        if isinstance(location, Path):
            self._heed(survey(location))

    def _heed(self, found: Survey) -> None:
        """Correct rate and count by what was ``found``."""
        if self.fps is not None and found.fps is not None and found.ended:
            # More packets than the rate allows are no higher rate, but halves of interlaced frames.
            self.varies = found.fps < VARIES * self.fps
        wrong = self.varies or self.fps is None
        if found.ended and (wrong or self.frame_count is None):
            self.frame_count = found.frames  # what is told is often the length times the wrong rate
        if wrong:
            self.fps = found.fps

    def read(self) -> Frame | None:
        """The next frame; None at the end."""
        if self._first is None:
            return None if self._stopped.is_set() else self._grab()
        frame, self._first = self._first, None
        self.captured_ns = time.perf_counter_ns()
        return frame

    def describe(self) -> str:
        """The location and the rate."""
        if not self.fps:
            return self.shown
        return f"{self.shown} ({self.fps:.4g} fps{' on average' if self.varies else ''})"


def survey(path: Path) -> Survey:
    """Look at the times of up to ``SURVEYED`` packets of the video at ``path``, and decode nothing."""
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    times: list[float] = []
    try:
        while (grabbed := capture.grab()) and len(times) < SURVEYED:
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        fps = rate_of(times)
        plausible = fps is not None and 0 < fps <= 1000
        return Survey(frames=len(times), fps=fps if plausible else None, ended=not grabbed)
    finally:
        capture.release()


def _check_file(path: Path) -> None:
    """Raise ``SourceError`` for a file that can be no video, and of which FFmpeg may make one."""
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty (0 bytes): was it written, or copied, to its end?")
        if is_text(path):
            raise SourceError(f"{path} is a text file, not a video or an image")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
