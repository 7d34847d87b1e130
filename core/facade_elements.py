"""The parts a facade is made of: classes and their colours, outlines, boxes that move, and how a box is filled."""

import math
from enum import IntEnum
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class FacadeClass(IntEnum):
    """The twelve classes of the CMP Facade Database (Tylecek & Sara, GCPR 2013); "facade" is called wall here."""

    background = 0
    wall = 1
    window = 2
    door = 3
    cornice = 4
    sill = 5
    balcony = 6
    blind = 7
    shop = 8
    pillar = 9
    molding = 10
    deco = 11


# BGR, in the order of FacadeClass: the colours of the label maps that the pix2pix paper (Isola et al. 2017) trains on.
CLASS_COLOURS: Final[NDArray[np.uint8]] = np.array(
    [
        [222, 0, 0],
        [255, 48, 0],
        [255, 128, 0],
        [255, 208, 0],
        [0, 80, 255],
        [144, 255, 112],
        [64, 255, 192],
        [0, 240, 255],
        [0, 0, 176],
        [0, 0, 255],
        [224, 255, 32],
        [0, 160, 255],
    ],
    dtype=np.uint8,
)
CLASS_COLOURS.setflags(write=False)


class Form(IntEnum):
    """Outline of a box."""

    rectangle = 0
    arch = 1
    pediment = 2
    roof = 3


class Motion(IntEnum):
    """How a box changes with time; see `Element.boxes`."""

    still = 0
    roller = 1
    shutter = 2
    door = 3


class Box(NamedTuple):
    """One shape in pixels; x1 and y1 are exclusive. `variant` chooses among looks of the same class."""

    kind: FacadeClass
    x0: int
    y0: int
    x1: int
    y1: int
    form: Form = Form.rectangle
    variant: int = 0


class Element(NamedTuple):
    """A box with its movement: `phase` in [0, 1) and `period` in seconds."""

    box: Box
    motion: Motion = Motion.still
    phase: float = 0.0
    period: float = 1.0

    def boxes(self, time: float) -> tuple[Box, ...]:
        """Shapes of this element at `time` seconds, in painting order."""
        box = self.box
        if self.motion is Motion.still:
            return (box,)
        wave = math.sin(2.0 * math.pi * (time / self.period + self.phase))
        opening = min(1.0, max(0.0, 0.5 + 0.9 * wave))  # rests at both ends, as blinds do
        x0, y0, x1, y1 = box[1:5]
        if self.motion is Motion.roller:
            drop = round((y1 - y0) * 0.9 * (1.0 - opening))
            return (box._replace(y1=y0 + drop),) if drop > 1 else ()
        if self.motion is Motion.shutter:
            # A leaf hinged at the window's edge, seen from the front: its width is the cosine of its angle.
            leaf = round(0.5 * (x1 - x0) * math.cos(math.pi * opening))
            if abs(leaf) < 2:
                return ()
            left = box._replace(x0=min(x0, x0 + leaf), x1=max(x0, x0 + leaf))
            right = box._replace(x0=min(x1, x1 - leaf), x1=max(x1, x1 - leaf))
            return (left, right)
        gap = round(0.3 * (x1 - x0) * max(0.0, 2.0 * opening - 1.0))
        middle = (x0 + x1) // 2
        inside = Box(FacadeClass.window, middle - gap, y0 + (y1 - y0) // 4, middle + gap, y1, variant=4)
        return (box, inside) if gap else (box,)


_ARC: Final = np.array([(math.cos(a), math.sin(a)) for a in np.linspace(0.0, math.pi, 25)])


def fill(canvas: NDArray[np.uint8], box: Box, value: int) -> None:
    """Fill `box` in `canvas` (uint8 [H, W]) with `value`, clipped to the canvas."""
    kind, x0, y0, x1, y1, form, _ = box
    if form is Form.rectangle or x1 - x0 < 4:
        canvas[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = value
    elif form is Form.arch:
        half = (x1 - x0) / 2.0
        rise = min(half * 0.8, 0.4 * (y1 - y0)) if kind is not FacadeClass.door else min(half, 0.5 * (y1 - y0))
        spring = min(y1, y0 + round(rise))
        canvas[max(spring, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = value
        reach = ((half - 0.5), float(y0 - spring))
        curve = _ARC * reach + ((x0 + x1 - 1) / 2.0, spring)
        cv2.fillConvexPoly(canvas, np.rint(curve).astype(np.int32), value)
    else:
        inset = (x1 - x0) // 2 if form is Form.pediment else round(0.55 * (y1 - y0))
        corners = [[x0, y1 - 1], [x0 + inset, y0], [x1 - 1 - inset, y0], [x1 - 1, y1 - 1]]
        cv2.fillConvexPoly(canvas, np.array(corners, dtype=np.int32), value)
