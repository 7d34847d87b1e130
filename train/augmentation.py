"""Random jitter and mirroring of a pair, on frames (Isola et al. 2017, section 6.2)."""

from typing import Final

import cv2
import numpy as np

from core.frames import Frame, Size
from core.pairs import Pair

JITTER: Final = 286 / 256
"""Pairs are enlarged by this much, then cropped at random: 286 for 256, as in the paper."""


def jitter_size(size: Size) -> Size:
    """The size pairs are read at so that a random part of ``size`` can be cut from them."""
    return Size(round(size.height * JITTER), round(size.width * JITTER))


def generator_for(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Random numbers for pair ``index`` in pass ``epoch``: the same ones whichever thread asks, and when."""
    # From 1 on: NumPy takes (seed, epoch, 0) for (seed, epoch), which the order of the pass is drawn with.
    return np.random.default_rng((seed, epoch, index + 1))


def augment(pair: Pair, size: Size, random: np.random.Generator) -> Pair:
    """Cut one random part of ``size`` out of both frames of ``pair``, and mirror both in half of the cases.

    The frames are at least as large as ``size``; what comes back is C-contiguous and shares no memory with them.
    """
    height, width = pair.input.shape[:2]
    top = int(random.integers(height - size.height + 1))
    left = int(random.integers(width - size.width + 1))
    mirror = bool(random.integers(2))

    def transform(frame: Frame) -> Frame:
        part = frame[top : top + size.height, left : left + size.width]
        return np.asarray(cv2.flip(part, 1) if mirror else part.copy(), dtype=np.uint8)

    return Pair(transform(pair.input), transform(pair.target))
