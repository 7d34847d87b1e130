"""Random jitter and mirroring of a pair, on frames (Isola et al. 2017, section 6.2)."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from core.frames import Frame, Size
from core.pairs import Pair

JITTER: Final = 286 / 256
"""Pairs are enlarged by this much, then cropped at random: 286 for 256, as in the paper."""


def jitter_size(size: Size, jitter: float = JITTER) -> Size:
    """The size pairs are read at so that a random part of ``size`` can be cut from them."""
    return Size(round(size.height * jitter), round(size.width * jitter))


class Cut(NamedTuple):
    """Which part of a pair to take, and whether to mirror it."""

    top: int
    left: int
    mirrored: bool


def generator_for(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Random numbers for pair ``index`` in pass ``epoch``: the same ones whichever thread asks, and when."""
    # From 1 on: NumPy takes (seed, epoch, 0) for (seed, epoch), which the order of the pass is drawn with.
    return np.random.default_rng((seed, epoch, index + 1))


def draw_cut(large: Size, size: Size, random: np.random.Generator, *, mirror: bool = True) -> Cut:
    """A random part of ``size`` of pairs as large as ``large``, mirrored in half of the cases if ``mirror``."""
    top = int(random.integers(large.height - size.height + 1))
    left = int(random.integers(large.width - size.width + 1))
    return Cut(top, left, bool(random.integers(2)) and mirror)


def cut_out(pair: Pair, size: Size, cut: Cut) -> Pair:
    """The same part of ``size`` of both frames of ``pair``; C-contiguous, and no memory is shared with them."""

    def transform(frame: Frame) -> Frame:
        part = frame[cut.top : cut.top + size.height, cut.left : cut.left + size.width]
        return np.asarray(cv2.flip(part, 1) if cut.mirrored else part.copy(), dtype=np.uint8)

    return Pair(transform(pair.input), transform(pair.target))
