"""Whether a frame shows what the last translated one showed."""

from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInputError
from core.frames import Frame

AnyT = TypeVar("AnyT", np.uint8, np.float32)

GRAIN: Final = 4
"""Pixels of a side that are averaged first: what is left of a camera's noise is a quarter."""
CELL: Final = 4
"""Averaged pixels of a cell's side: something that moves within 16 x 16 pixels is seen, however small the rest is."""


class Stillness:
    """Compares frames with the last one that was not still, so that slow changes add up and are seen.

    A frame is still if in no cell of 16 x 16 pixels any colour changed by more than ``threshold`` 8-bit steps on
    average, noise averaged out over 4 x 4 pixels first.
    """

    def __init__(self, threshold: float) -> None:
        """``threshold`` in 8-bit steps; ``InvalidInputError`` if it is negative or no number."""
        if not 0 <= threshold <= 255:
            raise InvalidInputError(f"--skip-still {threshold:g} is not a number of 8-bit steps from 0 to 255: try 2")
        self.threshold = threshold
        self._last: Frame | None = None

    def unchanged(self, frame: Frame) -> bool:
        """Whether ``frame`` (``uint8 [H, W, 3]``) is still; if it is not, the next ones are compared with it."""
        small = _averaged(frame, GRAIN)
        last = self._last
        if last is not None and last.shape == small.shape:
            changes = _averaged(cv2.absdiff(small, last).astype(np.float32), CELL)
            if float(changes.max()) <= self.threshold:
                return True
        self._last = small
        return False

    def forget(self) -> None:
        """Compare with nothing: the next frame is a new one."""
        self._last = None


def _averaged(picture: NDArray[AnyT], side: int) -> NDArray[AnyT]:
    """``picture`` with one value for each ``side`` x ``side`` pixels, their mean."""
    height, width = (max(1, length // side) for length in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=picture.dtype)
