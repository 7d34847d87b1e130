"""The built-in paired data set: label maps of facades and their pictures, procedural, seeded and endless.

The classes and their colours are those of the CMP Facade Database (Tylecek & Sara, "Spatial Pattern Templates for
Recognition of Objects with Regular Structure", GCPR 2013), on which the pix2pix paper draws houses. No picture of it
is used: every house is composed from a grammar of six architectural styles, and lit.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInputError
from core.facade_elements import CLASS_COLOURS, FacadeClass
from core.facade_layout import STYLES, compose_facade
from core.facade_lighting import MORNING, daylight
from core.facade_rendering import Placed, paint_classes, render, stage
from core.frames import Frame

__all__ = ["CLASS_COLOURS", "FacadeClass", "FacadePair", "FacadeStream", "facade_classes", "facade_pair"]

MIN_SIZE, MAX_SIZE = 32, 1024


class FacadePair(NamedTuple):
    """A label map in the colours of CLASS_COLOURS and its picture, two frames of one size."""

    labels: Frame
    photo: Frame


def _check(index: int, seed: int, size: int) -> None:
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InvalidInputError(
            f"facade size {size} is out of range: choose {MIN_SIZE} to {MAX_SIZE} pixels, or data of your own"
        )
    if index < 0 or seed < 0:
        raise InvalidInputError(f"facade index {index} and seed {seed} must not be negative.")


def _colour(classes: NDArray[np.uint8]) -> Frame:
    table = np.zeros((256, 1, 3), np.uint8)
    table[: len(CLASS_COLOURS), 0] = CLASS_COLOURS
    return np.asarray(cv2.applyColorMap(classes, table), np.uint8)


def facade_classes(index: int, *, seed: int = 0, size: int = 256) -> NDArray[np.uint8]:
    """Class of every pixel of facade `index`: uint8 [size, size], values of FacadeClass.

    Raises InvalidInputError for a size outside 32 to 1024 or a negative index or seed.
    """
    _check(index, seed, size)
    return paint_classes(stage([Placed(compose_facade(seed, index, size), 0)], size, 0.0), size)


def facade_pair(index: int, *, seed: int = 0, size: int = 256) -> FacadePair:
    """Label map and picture of facade `index`: two frames, uint8 [size, size, 3] BGR, C-contiguous.

    The same (seed, index, size) always gives the same pixels, whatever was asked before; at another size it is the
    same house. There is no last index.

    Raises InvalidInputError for a size outside 32 to 1024 or a negative index or seed.
    """
    _check(index, seed, size)
    staged = stage([Placed(compose_facade(seed, index, size), 0)], size, 0.0)
    classes = paint_classes(staged, size)
    return FacadePair(_colour(classes), render(staged, classes, MORNING))


_BLOCK = len(STYLES)  # houses in a block; blocks have a fixed length, so any moment is found without walking there
_SPEED = 44.0 / 256.0  # pan in picture widths a second


@lru_cache(maxsize=4)
def _block(seed: int, index: int, size: int) -> tuple[Placed, ...]:
    rng = np.random.Generator(np.random.PCG64([seed, index, 1]))
    widths = rng.uniform(0.75, 1.1, _BLOCK)
    styles = rng.permutation(_BLOCK)
    edges = np.rint(np.concatenate([[0.0], np.cumsum(widths / widths.sum())]) * _BLOCK * size).astype(int)
    houses = []
    for k in range(_BLOCK):
        width = int(edges[k + 1] - edges[k]) / size
        facade = compose_facade(seed, index * _BLOCK + k, size, width, street=int(styles[k]))
        houses.append(Placed(facade, int(edges[k])))
    return tuple(houses)


class FacadeStream:
    """An endless street seen from a slow tram: the source `demo` of `p2p-run`.

    The label maps pan along the houses while blinds and doors open and close. The picture of the same moment also has
    the day turn: the sun crosses, dusk falls, windows light up.
    """

    DAY_SECONDS = 60.0

    def __init__(self, *, seed: int = 0, size: int = 256, fps: float = 30.0) -> None:
        """Street `seed`, frames of `size` x `size`, `fps` frames a second.

        Raises InvalidInputError for a size outside 32 to 1024, a negative seed or fps that is not positive.
        """
        _check(0, seed, size)
        if not 0.0 < fps < float("inf"):
            raise InvalidInputError(f"fps {fps} must be positive.")
        self.seed, self.size, self.fps = seed, size, fps

    def _scene(self, frame_index: int) -> tuple[list[Placed], float, int]:
        if frame_index < 0:
            raise InvalidInputError(f"frame index {frame_index} must not be negative.")
        time = frame_index / self.fps
        pan = int(time * _SPEED * self.size)
        length = _BLOCK * self.size
        scene = []
        for block in (pan // length, pan // length + 1):
            for house in _block(self.seed, block, self.size):
                x = house.x + block * length - pan
                if x < self.size and x + 2 * self.size > 0:
                    scene.append(house._replace(x=x))
        return scene, time, pan

    def labels(self, frame_index: int) -> Frame:
        """Label map at `frame_index` / fps seconds: uint8 [size, size, 3] BGR in the colours of CLASS_COLOURS.

        Any index may be asked in any order. Raises InvalidInputError for a negative one.
        """
        scene, time, _ = self._scene(frame_index)
        return _colour(paint_classes(stage(scene, self.size, time), self.size))

    def photo(self, frame_index: int) -> Frame:
        """Picture of the same moment, uint8 [size, size, 3] BGR, in the light of its hour.

        Any index may be asked in any order. Raises InvalidInputError for a negative one.
        """
        scene, time, pan = self._scene(frame_index)
        hour = (9.0 + 24.0 * time / self.DAY_SECONDS) % 24.0
        staged = stage(scene, self.size, time)
        return render(staged, paint_classes(staged, self.size), daylight(hour), drift=pan // 6)
