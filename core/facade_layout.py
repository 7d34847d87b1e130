"""Seeded composition of one facade: architectural style in, boxes with a class out (no pixels of a photo here).

Every random draw is made in fractions of the picture and rounded to pixels last, so that facade 7 is the same house
at 128 and at 512 pixels.
"""

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


class Style(NamedTuple):
    """Grammar of one architectural style. Its index also chooses the materials: layout and colour go together."""

    floors: tuple[int, int]  # upper floors, both ends included
    pitch: tuple[float, float]  # bay width, fraction of the picture
    window: tuple[float, float]  # window width and height, fractions of bay and floor
    form: Form = Form.rectangle
    paired: bool = False
    roof: bool = False
    quoins: bool = False
    pilasters: bool = False
    head: Form | None = None  # molding above windows
    motion: Motion = Motion.still
    balcony: float = 0.0  # probability for a floor
    deco: float = 0.0  # probability for a floor
    shop: float = 0.5


STYLES: Final = (
    Style((3, 4), (0.17, 0.21), (0.42, 0.62), roof=True, head=Form.rectangle, balcony=0.6, shop=0.8),
    Style((2, 3), (0.18, 0.23), (0.44, 0.62), form=Form.arch, quoins=True, deco=0.7, shop=0.4),
    Style((2, 3), (0.21, 0.26), (0.34, 0.54), motion=Motion.shutter, balcony=0.35, shop=0.35),
    Style((2, 3), (0.19, 0.24), (0.40, 0.54), pilasters=True, head=Form.pediment, deco=0.6, shop=0.35),
    Style((3, 4), (0.24, 0.31), (0.58, 0.46), paired=True, motion=Motion.roller, balcony=0.65, shop=0.4),
    Style((2, 4), (0.20, 0.25), (0.52, 0.54), paired=True, quoins=True, head=Form.rectangle, motion=Motion.roller),
)


class Facade(NamedTuple):
    """A composed building: wall box, elements in painting order, look, and where its ground floor begins (y)."""

    style: int
    hue: float  # in [-1, 1]: shade of the style's wall
    wall: Box
    elements: tuple[Element, ...]
    ground_floor: int
    offset: int  # where its wall texture begins


def fill(canvas: NDArray[np.uint8], box: Box, value: int) -> None:
    """Fill `box` in `canvas` (uint8 [H, W]) with `value`, clipped to the canvas."""
    kind, x0, y0, x1, y1, form, _ = box
    if form is Form.rectangle or x1 - x0 < 4:
        canvas[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = value
    elif form is Form.arch:
        half = (x1 - x0) / 2.0
        rise = half if kind is not FacadeClass.window else half * 0.8
        spring = min(y1, y0 + round(rise))
        canvas[max(spring, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = value
        angle = np.linspace(0.0, np.pi, 13)
        x = (x0 + x1 - 1) / 2.0 + (half - 0.5) * np.cos(angle)
        y = spring - (spring - y0) * np.sin(angle)
        cv2.fillConvexPoly(canvas, np.rint(np.stack([x, y], axis=1)).astype(np.int32), value)
    else:
        inset = (x1 - x0) // 2 if form is Form.pediment else round(0.55 * (y1 - y0))
        corners = [[x0, y1 - 1], [x0 + inset, y0], [x1 - 1 - inset, y0], [x1 - 1, y1 - 1]]
        cv2.fillConvexPoly(canvas, np.array(corners, dtype=np.int32), value)


class _Composer:
    """Collects the elements of one facade; all arguments in fractions of `size`, stored in pixels."""

    def __init__(self, rng: np.random.Generator, size: int, width: float, crop: bool) -> None:
        self.rng, self.size = rng, size
        self.index = int(rng.integers(len(STYLES)))
        self.style = STYLES[self.index]
        self.elements: list[Element] = []
        side = 0.0 if crop else float(rng.uniform(0.0, 0.05))
        side = 0.0 if side < 0.015 else side
        self.left, self.right = side, width - side
        self.top = float(rng.uniform(0.02, 0.09))
        self.bottom = 0.955
        self.bays = max(2, round((self.right - self.left) / float(rng.uniform(*self.style.pitch))))
        self.margin = float(rng.uniform(0.015, 0.03)) + (0.02 if self.style.quoins else 0.0)
        self.pitch = (self.right - self.left - 2.0 * self.margin) / self.bays
        self.phases = rng.uniform(size=256)  # drawn once, so that no count of windows shifts later draws

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def add(
        self,
        kind: FacadeClass,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        form: Form = Form.rectangle,
        variant: int = 0,
        motion: Motion = Motion.still,
    ) -> None:
        s = self.size
        # Width and height are rounded by themselves: all windows of a floor then share one drawn picture.
        width, height = max(1, round((x[1] - x[0]) * s)), max(1, round((y[1] - y[0]) * s))
        x0, y0 = round((x[0] + x[1]) * s / 2.0 - width / 2.0), round(y[0] * s)
        box = Box(kind, x0, y0, x0 + width, y0 + height, form, variant)
        n = len(self.elements)
        phase, period = float(self.phases[n % 256]), 6.0 + 8.0 * float(self.phases[(n + 101) % 256])
        self.elements.append(Element(box, motion, phase, period))

    def centre(self, bay: int) -> float:
        return self.left + self.margin + self.pitch * (bay + 0.5)

    def middle(self, bay: int) -> bool:
        """Whether a bay is on the axis of symmetry."""
        return bay in {(self.bays - 1) // 2, self.bays // 2}


def _window(c: _Composer, bay: int, y: tuple[float, float], plan: "_FloorPlan") -> None:
    style, x = c.style, c.centre(bay)
    half = 0.5 * style.window[0] * c.pitch
    variant = int(c.phases[(bay * 17 + round(y[0] * 640)) % 256] * 4.0)
    if style.head is not None and plan.head:
        rise = 0.032 if style.head is Form.pediment else 0.018
        c.add(
            FacadeClass.molding,
            (x - half - 0.012, x + half + 0.012),
            (y[0] - rise - 0.006, y[0] - 0.006),
            form=style.head,
        )
    spans = [(x - half, x + half)]
    if style.paired:
        spans = [(x - half, x - 0.008), (x + 0.008, x + half)]
    for span in spans:
        c.add(FacadeClass.window, span, y, form=style.form, variant=variant)
        if style.motion is not Motion.still and plan.blinds:
            c.add(FacadeClass.blind, span, y, motion=style.motion)
    if plan.balcony == 2 or (plan.balcony == 1 and c.middle(bay)):
        c.add(FacadeClass.balcony, (x - half - 0.03, x + half + 0.03), (y[1] - 0.042, y[1] + 0.012))
    elif plan.sill:
        c.add(FacadeClass.sill, (x - half - 0.01, x + half + 0.01), (y[1], y[1] + 0.013))


class _FloorPlan(NamedTuple):
    head: bool
    blinds: bool
    sill: bool
    balcony: int  # 0 none, 1 on the axis, 2 every bay, 3 one along the whole floor
    deco: bool


def _upper_floor(c: _Composer, top: float, bottom: float, *, first: bool) -> None:
    style, height = c.style, bottom - top
    balcony = int(c.rng.integers(1, 4)) if c.chance(style.balcony) else 0
    plan = _FloorPlan(c.chance(0.8), c.chance(0.75), c.chance(0.85), balcony, c.chance(style.deco))
    y0 = top + height * (0.24 if style.form is Form.rectangle else 0.16)
    y = (y0, y0 + height * style.window[1])
    for bay in range(c.bays):
        _window(c, bay, y, plan)
        if plan.deco and y[1] + 0.05 < bottom:
            half = 0.32 * style.window[0] * c.pitch
            c.add(FacadeClass.deco, (c.centre(bay) - half, c.centre(bay) + half), (y[1] + 0.02, bottom - 0.012))
    if plan.balcony == 3 and first:
        c.add(FacadeClass.balcony, (c.left + 0.012, c.right - 0.012), (y[1] - 0.045, y[1] + 0.014))
    if style.pilasters:
        for bay in range(c.bays + 1):
            x = min(max(c.left + c.margin + c.pitch * bay, c.left + 0.014), c.right - 0.014)
            c.add(FacadeClass.pillar, (x - 0.014, x + 0.014), (top + 0.004, bottom))


def _ground_floor(c: _Composer, top: float) -> None:
    shops, height = c.chance(c.style.shop), c.bottom - top
    arched = c.style.form is Form.arch or c.chance(0.25)
    door_bay = c.bays // 2
    half = min(0.5 * c.pitch - 0.02, 0.06)
    for bay in range(c.bays):
        x = c.centre(bay)
        if bay == door_bay:
            form = Form.arch if arched else Form.rectangle
            c.add(FacadeClass.door, (x - half, x + half), (top + 0.2 * height, c.bottom), form=form, motion=Motion.door)
            if not arched:
                c.add(
                    FacadeClass.molding, (x - half - 0.014, x + half + 0.014), (top + 0.1 * height, top + 0.19 * height)
                )
        elif shops:
            wide = 0.5 * c.pitch - 0.014
            c.add(FacadeClass.shop, (x - wide, x + wide), (top + 0.14 * height, c.bottom - 0.012))
        else:
            wide = 0.5 * c.style.window[0] * c.pitch
            y = (top + 0.26 * height, top + 0.74 * height)
            form = Form.arch if arched else Form.rectangle
            c.add(FacadeClass.window, (x - wide, x + wide), y, form=form, variant=bay % 3)
            c.add(FacadeClass.sill, (x - wide - 0.008, x + wide + 0.008), (y[1], y[1] + 0.013))
        if shops and bay > 0:
            edge = c.centre(bay) - 0.5 * c.pitch
            c.add(FacadeClass.pillar, (edge - 0.011, edge + 0.011), (top, c.bottom))


def compose_facade(seed: int, index: int, size: int, width: float = 1.0, *, crop: bool = False) -> Facade:
    """Compose facade `index` for a picture `size` pixels high; `width` is a fraction of `size`.

    With `crop` the wall reaches both sides of its plot, as houses in a street do.
    """
    rng = np.random.Generator(np.random.PCG64([seed, index]))
    c = _Composer(rng, size, width, crop)
    style = c.style
    hue, offset = float(rng.uniform(-1.0, 1.0)), int(rng.integers(size))
    top = c.top
    if style.roof:
        height = float(rng.uniform(0.09, 0.13))
        c.add(FacadeClass.wall, (c.left, c.right), (top, top + height), form=Form.roof)
        for bay in range(c.bays):
            c.add(
                FacadeClass.window, (c.centre(bay) - 0.024, c.centre(bay) + 0.024), (top + 0.35 * height, top + height)
            )
        top += height
    eaves = float(rng.uniform(0.028, 0.042))
    ground = c.bottom - float(rng.uniform(0.19, 0.25))
    floors = int(rng.integers(style.floors[0], style.floors[1] + 1))
    body, step = top + eaves, (ground - top - eaves) / floors
    for floor in range(floors):
        _upper_floor(c, body + floor * step, body + (floor + 1) * step, first=floor == floors - 1)
    if style.quoins:
        for x in (c.left + 0.014, c.right - 0.014):
            c.add(FacadeClass.pillar, (x - 0.014, x + 0.014), (body, c.bottom), variant=1)
    if floors > 2 and c.chance(0.5):
        c.add(FacadeClass.cornice, (c.left, c.right), (body + step - 0.006, body + step + 0.006))
    _ground_floor(c, ground)
    overhang = 0.0 if crop else min(c.left, 0.008)
    c.add(FacadeClass.cornice, (c.left - overhang, c.right + overhang), (top, top + eaves), variant=1)
    c.add(FacadeClass.cornice, (c.left, c.right), (ground - 0.012, ground + 0.008))
    s = size
    wall = Box(FacadeClass.wall, round(c.left * s), round(top * s), round(c.right * s), round(c.bottom * s))
    return Facade(c.index, hue, wall, tuple(c.elements), round(ground * s), offset)
