"""From a frame to the condition image that the generator sees: the same code in training and live."""

from enum import StrEnum
from typing import Final, NamedTuple

import cv2
import numpy as np

from core.errors import InvalidInputError
from core.frames import Frame

CANNY_LOW: Final = 60
CANNY_HIGH: Final = 160
"""Canny's hysteresis thresholds on 8-bit gradients (Canny 1986). A bundle names the condition it was trained with, so
changing them changes what a trained generator sees."""


class EdgeThresholds(NamedTuple):
    """Canny's hysteresis: gradients above ``high`` are edges, and those above ``low`` that touch one."""

    low: int = CANNY_LOW
    high: int = CANNY_HIGH


def parse_thresholds(text: str) -> EdgeThresholds:
    """``"60,160"`` as thresholds of 8-bit gradients.

    Raises:
        InvalidInputError: for anything else.
    """
    parts = [int(part) for part in text.split(",") if part.strip().isdecimal() and len(part) < 8]
    if len(parts) != 2 or len(text.split(",")) != 2 or not 0 < parts[0] <= parts[1]:
        raise InvalidInputError(
            f"--edge-thresholds {text[:40]!r} is not understood: give LOW,HIGH such as {CANNY_LOW},{CANNY_HIGH}"
        )
    return EdgeThresholds(*parts)


class Condition(StrEnum):
    """What is made of a frame before the generator sees it."""

    IDENTITY = "identity"
    EDGES = "edges"
    GRAYSCALE = "grayscale"

    def apply(self, frame: Frame, *, edges: EdgeThresholds | None = None) -> Frame:
        """The condition image of ``frame``: a frame of the same size. Edges are black on white, as in edges2shoes.

        ``edges`` tunes what is an edge to a camera's light and noise; default: as in training.
        """
        if self is Condition.IDENTITY:
            return frame
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if self is Condition.EDGES:
            smooth = cv2.GaussianBlur(gray, (3, 3), 0)  # camera noise would else make edges that flicker
            gray = cv2.bitwise_not(cv2.Canny(smooth, *(edges or EdgeThresholds())))
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
