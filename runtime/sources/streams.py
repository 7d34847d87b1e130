"""Network streams: RTSP, RTMP, UDP, TCP, SRT, HTTP."""

import random
import time
from typing import Final

import cv2

from core.errors import SourceError
from runtime.sources.base import SourceOptions, VideoSource
from runtime.sources.captures import hide_password, open_ffmpeg
from runtime.sources.live import LiveSource, in_seconds
from runtime.sources.video_files import VideoFileSource

DEFAULTS: Final = SourceOptions()


class StreamSource(LiveSource):
    """A live network stream."""

    def __init__(self, url: str, options: SourceOptions = DEFAULTS, *, chance: random.Random | None = None) -> None:
        """Connect to ``url``; ``SourceError`` if that fails."""
        self.url = url
        self._timeout_seconds = options.timeout_seconds
        super().__init__(retry_seconds=options.retry_seconds, chance=chance)

    def _connect(self) -> cv2.VideoCapture | None:
        return open_ffmpeg(self.url, timeout_seconds=self._timeout_seconds, low_latency=True, stopped=self._stopped)

    def _no_connection(self, seconds: float) -> str:
        return _not_opened(self.url, seconds)

    def _no_frame(self, seconds: float) -> str:
        more = max(10, round(4 * self._timeout_seconds))
        return (
            f"{self.describe()} was opened, but no picture came within {in_seconds(seconds)}: the first one needs a "
            f"key frame; give it more time (--timeout {more}), or have the sender send key frames more often"
        )

    def describe(self) -> str:
        """The address, without a password."""
        return hide_password(self.url)


def open_url(url: str, options: SourceOptions = DEFAULTS) -> VideoSource:
    """A live stream; over HTTP it may also be a file of known length, none of whose frames is to be lost.

    Raises:
        SourceError: if it cannot be opened.
    """
    if url.lower().startswith("http"):
        # The options for low latency have FFmpeg lose frames of a file.
        start = time.monotonic()
        capture = open_ffmpeg(url, timeout_seconds=options.timeout_seconds)
        if capture is not None and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            return VideoFileSource(url, capture)
        if capture is None:
            raise SourceError(_not_opened(url, time.monotonic() - start))
        capture.release()
    return StreamSource(url, options)


def _not_opened(url: str, seconds: float) -> str:
    return (
        f"{hide_password(url)} could not be opened (tried for {in_seconds(seconds)}): check address, network and sender"
    )
