"""What is to be known of graphs made elsewhere before any library is loaded."""

from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.frames import Encoding, array_to_frames, frames_to_array


class ValueRange(StrEnum):
    """The values that a network's pictures have, black to white, on the way in and on the way out."""

    SIGNED = "-1..1"
    UNIT = "0..1"

    @property
    def ends(self) -> tuple[float, float]:
        """Black and white."""
        return (-1.0, 1.0) if self is ValueRange.SIGNED else (0.0, 1.0)

    def images(self, frames: NDArray[np.uint8], encoding: Encoding) -> NDArray[np.float32]:
        """Frames ``uint8 [N, H, W, 3]`` BGR as a network of this range takes them, ``float32 [N, C, H, W]``."""
        signed = frames_to_array(frames, encoding)
        return signed if self is ValueRange.SIGNED else np.asarray((signed + 1) / 2, dtype=np.float32)

    def frames(self, images: NDArray[np.float32], encoding: Encoding) -> NDArray[np.uint8]:
        """The way back, rounded and clamped."""
        signed = images if self is ValueRange.SIGNED else np.asarray(images * 2 - 1, dtype=np.float32)
        return array_to_frames(signed, encoding)


def is_onnx(path: Path) -> bool:
    """Whether ``path`` is, by its suffix, an ONNX graph."""
    return path.suffix.lower() == ".onnx"
