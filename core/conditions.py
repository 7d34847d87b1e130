"""From a frame to the condition image that the generator sees: the same code in training and live."""

from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from core.frames import Frame

CANNY_LOW: Final = 60
CANNY_HIGH: Final = 160
"""Canny's hysteresis thresholds on 8-bit gradients (Canny 1986). A bundle names the condition it was trained with, so
changing them changes what a trained generator sees."""


class Condition(StrEnum):
    """What is made of a frame before the generator sees it."""

    IDENTITY = "identity"
    EDGES = "edges"
    GRAYSCALE = "grayscale"

    def apply(self, frame: Frame) -> Frame:
        """The condition image of ``frame``: a frame of the same size. Edges are black on white, as in edges2shoes."""
        if self is Condition.IDENTITY:
            return frame
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if self is Condition.EDGES:
            smooth = cv2.GaussianBlur(gray, (3, 3), 0)  # camera noise would else make edges that flicker
            gray = cv2.bitwise_not(cv2.Canny(smooth, CANNY_LOW, CANNY_HIGH))
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
