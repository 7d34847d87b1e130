"""Live sources: newest frames, and patience with one that is lost."""

import math
import random
import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Final

import cv2

from core.errors import SourceError
from core.frames import Frame
from runtime.sources.base import Outage
from runtime.sources.captures import CaptureSource

FIRST_WAIT: Final = 0.5
"""The first wait is anything up to this: a quarter of a second on average."""
LONGEST_WAIT: Final = 15.0


def backoff(seconds: float, chance: random.Random) -> Iterator[float]:
    """Waits before each attempt, in seconds, for about ``seconds`` in all (infinite: for ever).

    Exponential with full jitter (Brooker, "Exponential Backoff And Jitter", 2015): anything from nothing to a bound
    that doubles from ``FIRST_WAIT`` to ``LONGEST_WAIT``, so that many boxes do not return to one camera at the same
    moment. What attempts took counts as well, and the last one comes when the time is over.
    """
    deadline = time.monotonic() + seconds
    bound = FIRST_WAIT
    while (left := deadline - time.monotonic()) > 0:
        yield min(chance.uniform(0, bound), left)
        bound = min(2 * bound, LONGEST_WAIT)


class LiveSource(CaptureSource):
    """A camera or stream: one that is lost is tried again for a while.

    Lost is one that cannot be read, and one that gives no frame for longer than its time-out. One that never gave a
    frame is not lost: that is an error at once.
    """

    live = True

    def __init__(self, *, retry_seconds: float = 300.0, chance: random.Random | None = None) -> None:
        """Connect.

        Args:
            retry_seconds: how long it is tried again once lost.
            chance: for the waits in between.

        Raises:
            SourceError: if the first attempt fails.
        """
        super().__init__()
        start = time.monotonic()
        capture = self._connect()
        if capture is None:
            raise SourceError(self._no_connection(time.monotonic() - start))
        self._hold(capture)
        self._retry_seconds = retry_seconds
        self._chance = chance or random.Random()
        self._shown_frame = False
        self.outages: list[Outage] = []

    @abstractmethod
    def _connect(self) -> cv2.VideoCapture | None:
        """An opened capture; None if that fails."""

    @abstractmethod
    def _no_connection(self, seconds: float) -> str:
        """What to tell the user when the first connection failed, after ``seconds``."""

    @abstractmethod
    def _no_frame(self, seconds: float) -> str:
        """What to tell the user when there was a connection, but no frame came for ``seconds``."""

    @property
    def name(self) -> str:
        """What the source is called in messages."""
        return self.describe()

    def read(self) -> Frame | None:
        """The next frame, waiting for it; None once stopped.

        Raises:
            SourceError: if none ever came, or the source was lost and did not come back.
        """
        start = time.perf_counter_ns()
        frame = self._grab()
        if self._stopped.is_set():
            return None
        if frame is not None:
            self._shown_frame = True
            return frame
        if not self._shown_frame:
            raise SourceError(self._no_frame((time.perf_counter_ns() - start) / 1e9))
        return self._recover(start)

    def _recover(self, start: int) -> Frame | None:
        """The first frame after an outage that began at ``start``; None once stopped."""
        self.lost_since_ns = start
        try:
            for seconds in backoff(self._retry_seconds, self._chance):
                if self._stopped.wait(seconds):
                    return None
                frame = self._reconnect()
                if self._stopped.is_set():
                    return None
                if frame is not None:
                    self.outages.append(Outage(start, time.perf_counter_ns()))
                    return frame
        finally:
            self.lost_since_ns = None
        tried = (time.perf_counter_ns() - start) / 1e9
        ended = f"did not come back within {tried:.0f} s" if self._retry_seconds else "is not to be tried again"
        raise SourceError(
            f"{self.name} was lost and {ended}: check cable, network and sender, or try for longer (--retry)"
        )

    def _reconnect(self) -> Frame | None:
        with self._lock:
            if self._capture is not None:
                self._capture.release()  # first: a camera, and a port, has one reader
            self._capture = None
            capture = self._connect()
            if capture is not None and self._stopped.is_set():  # closed in the meantime: nobody else would
                capture.release()
                return None
            self._capture = capture
        return self._grab()


def in_seconds(seconds: float) -> str:
    """``5 s`` or ``0.2 s``."""
    return f"{seconds:.0f} s" if seconds >= 1 and math.isfinite(seconds) else f"{seconds:.1f} s"
