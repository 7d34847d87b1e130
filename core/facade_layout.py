"""Seeded composition of one facade: architectural style in, boxes with a class out (no pixels of a photo here).

Every random draw is made in fractions of the picture and rounded to pixels last, so that facade 7 is the same house
at 128 and at 512 pixels.
"""

from typing import Final, NamedTuple

import numpy as np

from core.facade_elements import Box, Element, FacadeClass, Form, Motion


class Style(NamedTuple):
    """Grammar of one architectural style. Its index also chooses the materials: layout and colour go together."""

    floors: tuple[int, int]  # upper floors, both ends included
    pitch: tuple[float, float]  # bay width, fraction of the picture
    window: tuple[float, float]  # window width and height, fractions of bay and floor
    form: Form = Form.rectangle
    paired: bool = False
    roof: float = 0.0  # probability of a roof with dormers
    gable: float = 0.0  # probability of a gable over the middle, where there is no roof
    quoins: bool = False
    pilasters: bool = False
    head: Form | None = None  # molding above windows
    motion: Motion = Motion.still
    balcony: float = 0.0  # probability for a floor
    deco: float = 0.0  # probability for a floor
    shop: float = 0.5


STYLES: Final = (
    Style((3, 3), (0.17, 0.21), (0.46, 0.66), roof=1.0, head=Form.rectangle, balcony=0.6, shop=0.8),
    Style((2, 3), (0.18, 0.23), (0.48, 0.64), form=Form.arch, quoins=True, deco=0.7, shop=0.4),
    Style((2, 3), (0.20, 0.26), (0.36, 0.58), roof=0.5, motion=Motion.shutter, balcony=0.35, shop=0.35),
    Style((2, 3), (0.18, 0.24), (0.44, 0.56), gable=0.6, pilasters=True, head=Form.pediment, deco=0.6, shop=0.35),
    Style((3, 4), (0.22, 0.30), (0.66, 0.52), paired=True, motion=Motion.roller, balcony=0.65, shop=0.4),
    Style(
        (2, 3),
        (0.20, 0.25),
        (0.58, 0.58),
        paired=True,
        roof=0.5,
        quoins=True,
        head=Form.rectangle,
        motion=Motion.roller,
    ),
)


class Facade(NamedTuple):
    """A composed building: wall box, elements in painting order, look, and where its ground floor begins (y)."""

    style: int
    hue: float  # in [-1, 1]: shade of the style's wall
    wall: Box
    elements: tuple[Element, ...]
    ground_floor: int
    offset: int  # where its wall texture begins


class _Composer:
    """Collects the elements of one facade; all arguments in fractions of `size`, stored in pixels."""

    def __init__(self, rng: np.random.Generator, size: int, width: float, style: int | None) -> None:
        self.rng, self.size = rng, size
        drawn, crop = int(rng.integers(len(STYLES))), style is not None
        self.index = drawn if style is None else style
        self.style = STYLES[self.index]
        self.elements: list[Element] = []
        side = 0.0 if crop else float(rng.uniform(0.0, 0.05))
        side = 0.0 if side < 0.015 else side
        self.left, self.right = side, width - side
        self.top = float(rng.uniform(0.02, 0.09))
        self.bottom = 0.955 if crop else float(rng.uniform(0.94, 0.98))
        self.bays = max(2, round((self.right - self.left) / float(rng.uniform(*self.style.pitch))))
        margin = float(rng.uniform(0.015, 0.03)) + (0.02 if self.style.quoins else 0.0)
        # A wider middle, or wider ends: mirrored, as such houses are.
        shares = np.ones(self.bays)
        emphasis, ends = float(rng.choice([1.0, 1.25, 1.4])), bool(rng.random() < 0.4)
        shares[[0, -1] if ends else [(self.bays - 1) // 2, self.bays // 2]] = emphasis
        walls = np.cumsum(np.concatenate([[0.0], shares / shares.sum()]))
        self.edges: list[float] = (self.left + margin + (self.right - self.left - 2.0 * margin) * walls).tolist()
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
        return 0.5 * (self.edges[bay] + self.edges[bay + 1])

    def pitch(self, bay: int) -> float:
        return self.edges[bay + 1] - self.edges[bay]

    def middle(self, bay: int) -> bool:
        """Whether a bay is on the axis of symmetry."""
        return bay in {(self.bays - 1) // 2, self.bays // 2}


def _modular(length: float, module: float = 1.0 / 64.0) -> float:
    """Nearest whole number of modules: joiners make windows in stock sizes, and each is then drawn once."""
    return max(1, round(length / module)) * module


def _window(c: _Composer, bay: int, y: tuple[float, float], plan: "_FloorPlan") -> None:
    style, x = c.style, c.centre(bay)
    half = 0.5 * _modular(style.window[0] * c.pitch(bay))
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
    y = (y0, y0 + _modular(height * style.window[1]))
    for bay in range(c.bays):
        _window(c, bay, y, plan)
        if plan.deco and y[1] + 0.05 < bottom:
            half = 0.36 * style.window[0] * c.pitch(bay)
            c.add(FacadeClass.deco, (c.centre(bay) - half, c.centre(bay) + half), (y[1] + 0.02, bottom - 0.012))
    if plan.balcony == 3 and first:
        c.add(FacadeClass.balcony, (c.left + 0.012, c.right - 0.012), (y[1] - 0.045, y[1] + 0.014))
    if style.pilasters:
        for edge in c.edges:
            x = min(max(edge, c.left + 0.014), c.right - 0.014)
            c.add(FacadeClass.pillar, (x - 0.014, x + 0.014), (top + 0.004, bottom))


def _ground_floor(c: _Composer, top: float) -> None:
    shops, height = c.chance(c.style.shop), c.bottom - top
    arched = c.style.form is Form.arch or c.chance(0.25)
    door_bay = c.bays // 2
    half = 0.5 * _modular(min(c.pitch(door_bay) - 0.04, 0.12))
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
            wide = 0.5 * _modular(c.pitch(bay) - 0.03)
            form, variant = (Form.arch, 1) if arched else (Form.rectangle, 0)
            y = (c.bottom - 0.012 - _modular(0.8 * height), c.bottom - 0.012)
            c.add(FacadeClass.shop, (x - wide, x + wide), y, form=form, variant=variant)
        else:
            wide = 0.5 * _modular(min(0.6, c.style.window[0] + 0.08) * c.pitch(bay))
            y = (top + 0.26 * height, top + 0.26 * height + _modular(0.48 * height))
            form = Form.arch if arched else Form.rectangle
            c.add(FacadeClass.window, (x - wide, x + wide), y, form=form, variant=bay % 3)
            c.add(FacadeClass.sill, (x - wide - 0.008, x + wide + 0.008), (y[1], y[1] + 0.013))
        if shops and bay > 0:
            edge = c.edges[bay]
            c.add(FacadeClass.pillar, (edge - 0.011, edge + 0.011), (top, c.bottom))


def _roof(c: _Composer) -> float:
    """Roof with dormers, gable, or neither; returns where the cornice begins."""
    style, height, top = c.style, float(c.rng.uniform(0.09, 0.13)), c.top
    kind = float(c.rng.random())
    if kind < style.roof:
        c.add(FacadeClass.wall, (c.left, c.right), (top, top + height), form=Form.roof)
        for bay in range(c.bays):
            x, y = c.centre(bay), (top + 0.34 * height, top + height)
            c.add(FacadeClass.window, (x - 0.026, x + 0.026), y, variant=bay % 3)
            c.add(FacadeClass.molding, (x - 0.032, x + 0.032), (y[0] - 0.02, y[0]), form=Form.pediment)
        return top + height
    if kind < style.gable:
        middle = 0.5 * (c.edges[0] + c.edges[-1])
        half = 0.28 * (c.right - c.left)
        c.add(FacadeClass.molding, (middle - half, middle + half), (top, top + 0.8 * height), form=Form.pediment)
        ornament = (top + 0.5 * height - 0.012, top + 0.5 * height + 0.024)
        c.add(FacadeClass.deco, (middle - 0.3 * half, middle + 0.3 * half), ornament)
        return top + 0.79 * height
    return top


def compose_facade(seed: int, index: int, size: int, width: float = 1.0, *, street: int | None = None) -> Facade:
    """Compose facade `index` for a picture `size` pixels high; `width` is a fraction of `size`.

    With `street`, the index of a style, the house stands in a street: it has that style, its wall reaches both sides
    of its plot and its foot is where all others have it.
    """
    rng = np.random.Generator(np.random.PCG64([seed, index]))
    c = _Composer(rng, size, width, street)
    style = c.style
    hue, offset = float(rng.uniform(-1.0, 1.0)), int(rng.integers(size))
    top = _roof(c)
    eaves = _modular(float(rng.uniform(0.028, 0.042)), 1.0 / 128.0)
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
    overhang = 0.0 if street is not None else min(c.left, 0.008)
    c.add(FacadeClass.cornice, (c.left - overhang, c.right + overhang), (top, top + eaves), variant=1)
    c.add(FacadeClass.cornice, (c.left, c.right), (ground - 0.012, ground + 0.008))
    s = size
    wall = Box(FacadeClass.wall, round(c.left * s), round(top * s), round(c.right * s), round(c.bottom * s))
    return Facade(c.index, hue, wall, tuple(c.elements), round(ground * s), offset)
