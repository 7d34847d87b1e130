"""Rate and latency, written into a corner of the picture."""

import time
from collections import deque
from typing import Final

import cv2

from core.frames import Frame
from runtime.latency import NS_PER_MS, NS_PER_S

WINDOW_NS: Final = NS_PER_S
"""The figures are those of the last second."""

FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
LINE_HEIGHT: Final = 1 / 18
"""Of the picture's height; text stays legible when the window enlarges a small picture."""


class RecentRate:
    """Frame rate and median latency of the last second."""

    def __init__(self) -> None:
        """Begin without frames."""
        self._shown: deque[tuple[int, int]] = deque()

    def add(self, captured_ns: int) -> None:
        """Take in a frame that was captured at ``captured_ns`` and is shown now (``time.perf_counter_ns``)."""
        now = time.perf_counter_ns()
        self._shown.append((now, now - captured_ns))
        while now - self._shown[0][0] > WINDOW_NS:
            self._shown.popleft()

    @property
    def text(self) -> str:
        """For the overlay, e.g. ``"29.8 fps  21 ms"``; the rate is left out until it can be told."""
        if not self._shown:
            return ""
        latencies = sorted(latency for _, latency in self._shown)
        milliseconds = f"{latencies[len(latencies) // 2] / NS_PER_MS:.0f} ms"
        span = self._shown[-1][0] - self._shown[0][0]
        if span <= 0:
            return milliseconds
        return f"{(len(self._shown) - 1) * NS_PER_S / span:.1f} fps  {milliseconds}"


def draw_overlay(frame: Frame, text: str) -> Frame:
    """A copy of ``frame`` with ``text`` in the upper left corner, white on a dark outline."""
    drawn = frame.copy()
    scale = cv2.getFontScaleFromHeight(FONT, max(8, round(frame.shape[0] * LINE_HEIGHT * 0.7)))
    origin = (round(frame.shape[0] * 0.02), max(10, round(frame.shape[0] * LINE_HEIGHT)))
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(drawn, text, origin, FONT, scale, colour, thickness, cv2.LINE_AA)
    return drawn
