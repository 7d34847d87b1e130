"""Rate, latency and messages, written over the picture."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import cv2

from core.frames import Frame
from runtime.latency import NS_PER_MS, NS_PER_S

WINDOW_NS: Final = NS_PER_S
"""The figures are those of the last second."""

FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
LINE_HEIGHT: Final = 1 / 18
"""Of the picture's height; text stays legible when the window enlarges a small picture."""
SMALLEST: Final = 7
"""Pixels of a letter's height, below which it cannot be read."""

KEEP: Final = "\N{NO-BREAK SPACE}"
"""A space at which no line ends."""
OUTLINE: Final = ((-1, -1), (-1, 1), (1, -1), (1, 1))
WHITE: Final = (255, 255, 255)
AMBER: Final = (60, 190, 255)
RED: Final = (60, 60, 255)
Line = tuple[str, tuple[int, int, int]]
"""A text and its colour (BGR)."""


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


def draw_overlay(frame: Frame, lines: Sequence[Line]) -> Frame:
    """A copy of ``frame`` with ``lines`` from its upper left corner on, each on a dark outline, none wider than it."""
    drawn = frame.copy()
    height, width = frame.shape[:2]
    margin, step = round(height * 0.02), max(10, round(height * LINE_HEIGHT))
    bottom = 0
    for text, colour in lines:
        for part in _wrapped(text, width - 2 * margin, step):
            bottom += step
            scale = cv2.getFontScaleFromHeight(FONT, max(SMALLEST, round(step * 0.7)))
            for right, down in OUTLINE:  # a thicker pen would draw wider letters
                cv2.putText(drawn, part, (margin + right, bottom + down), FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)
            cv2.putText(drawn, part, (margin, bottom), FONT, scale, colour, 1, cv2.LINE_AA)
    return drawn


def _wrapped(text: str, width: int, step: int) -> list[str]:
    """``text`` in parts that are no wider than ``width`` pixels, broken at spaces and in too long words.

    Not at a ``KEEP``, which is drawn as a space.
    """
    scale = cv2.getFontScaleFromHeight(FONT, max(SMALLEST, round(step * 0.7)))

    def fits(part: str) -> bool:
        return cv2.getTextSize(part.replace(KEEP, " "), FONT, scale, 1)[0][0] <= width

    parts: list[str] = []
    for word in text.split(" "):
        longer = f"{parts[-1]} {word}" if parts else word
        if parts and fits(longer):
            parts[-1] = longer
            continue
        parts.append("")
        for letter in word:
            if parts[-1] and not fits(parts[-1] + letter):
                parts.append("")
            parts[-1] += letter
    return [part.replace(KEEP, " ").strip() for part in parts if part.strip()]
