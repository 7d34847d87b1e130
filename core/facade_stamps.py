"""The small pictures stamped for each box of a facade: windows, doors, shops, balconies and ornaments.

A stamp is a colour picture and a relief (height above the wall's plane, 100 is the plane), so that light is worked
out once for the whole facade and falls on a mullion as it does on a cornice.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from core.facade_elements import Box, FacadeClass, Form, fill
from core.facade_materials import PALETTES, RELIEF, Colour, Gray, Palette


class Stamp(NamedTuple):
    """A drawn box: colour uint8 [h, w, 3] BGR, relief uint8 [h, w], mask bool [h, w] or None where it is all of it."""

    colour: Gray
    relief: Gray
    mask: NDArray[np.bool_] | None


def _shade(colour: Colour, gain: float) -> Colour:
    b, g, r = (min(255, max(0, round(c * gain))) for c in colour)
    return (b, g, r)


@lru_cache(maxsize=1024)
def stamp(kind: FacadeClass, width: int, height: int, form: Form, variant: int, style: int, size: int) -> Stamp:
    """Picture of a box of `kind`, drawn once per look; treat the arrays as read-only."""
    # Small pictures are drawn larger and averaged, or frames of one whole pixel would hide the glass.
    scale = max(1, round(256 / size))
    palette, unit = PALETTES[style], max(1, round(size * scale / 256))
    high, wide = height * scale, width * scale
    colour = np.empty((high, wide, 3), np.uint8)
    relief = np.full((high, wide), RELIEF[kind], np.uint8)
    _DRAW[kind](colour, relief, palette, unit, variant)
    if form is Form.arch and min(wide, high) >= 8 * unit:
        _arch_rim(colour, relief, palette, unit, kind)
    if scale > 1:
        colour = np.asarray(cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        relief = np.asarray(cv2.resize(relief, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if form is Form.rectangle:
        return Stamp(colour, relief, None)
    mask = np.zeros((height, width), np.uint8)
    fill(mask, Box(kind, 0, 0, width, height, form), 1)
    return Stamp(colour, relief, mask != 0)


def _arch_rim(colour: Gray, relief: Gray, palette: Palette, unit: int, kind: FacadeClass) -> None:
    """Along the curve: the window's frame, or the stones around a door or a shop."""
    height, width = relief.shape
    mask = np.zeros((height + 2, width + 2), np.uint8)
    fill(mask, Box(kind, 1, 1, width + 1, height + 1, Form.arch), 1)
    inner = np.asarray(cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=unit))
    rim = (mask > inner)[1:-1, 1:-1]
    colour[rim], relief[rim] = (palette.frame, 84) if kind is FacadeClass.window else (palette.trim, 118)


def _fill(colour: Gray, value: Colour) -> None:
    cv2.rectangle(colour, (0, 0), (colour.shape[1], colour.shape[0]), value, -1)  # three times as fast as NumPy's


def _gradient(colour: Gray, top: Colour, bottom: Colour) -> None:
    steps = max(1, colour.shape[0] - 1)
    start = np.array(top, np.float32)
    slope = (np.array(bottom, np.float32) - start) / steps
    column = start + np.arange(steps + 1, dtype=np.float32)[: colour.shape[0], None] * slope
    colour[:] = cv2.repeat(column.astype(np.uint8)[:, None], 1, colour.shape[1])


def _streak(colour: Gray, strength: int) -> None:
    """A band of the sky, mirrored aslant."""
    height, width = colour.shape[:2]
    band = np.array([[0, height * 0.75], [0, height * 0.45], [width, -height * 0.1], [width, height * 0.2]])
    layer = np.zeros((height, width, 3), np.uint8)
    cv2.fillConvexPoly(layer, band.astype(np.int32), (strength, strength, strength))
    colour += np.minimum(layer, 255 - colour)


def _glass(colour: Gray, unit: int, variant: int) -> None:
    """Sky in the upper panes, a dark room in the lower ones, and curtains or a streak of light by variant."""
    width = colour.shape[1]
    _gradient(colour, (156, 126, 92), (54, 42, 34))
    if variant == 1 and width >= 6 * unit:
        curtain = max(1, width // 5)
        colour[:, :curtain] = colour[:, :curtain] // 2 + np.uint8(88)
        colour[:, width - curtain :] = colour[:, width - curtain :] // 2 + np.uint8(88)
    elif variant == 2:
        _streak(colour, 34)
    elif variant == 4:
        _gradient(colour, (52, 62, 76), (24, 28, 34))


def _window(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height, width = relief.shape
    if variant == 4 or min(width, height) < 5 * unit:
        _glass(colour, unit, variant)
        return
    rim = 2 * unit if width >= 18 * unit else unit
    middle, cross = width // 2 - (unit // 2), round(height * 0.32)
    panes = (slice(rim, height - rim), slice(rim, width - rim))
    _fill(colour, palette.frame)
    _glass(colour[panes], unit, variant)
    relief[:], relief[panes] = 84, RELIEF[FacadeClass.window]
    for canvas, value in ((colour, palette.frame), (relief, 84)):
        canvas[cross : cross + unit] = value
        if width >= 9 * unit:
            canvas[:, middle : middle + unit] = value


def _door(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height, width = relief.shape
    _fill(colour, palette.door)
    colour[:unit], colour[:, :unit], colour[:, width - unit :] = (palette.trim,) * 3
    if min(width, height) < 10 * unit:
        return
    light = height // 4
    _glass(colour[2 * unit : light, 2 * unit : width - 2 * unit], unit, 0)
    colour[light : light + unit] = _shade(palette.door, 1.5)
    half = width // 2
    for x0, x1 in ((2 * unit, half - unit), (half + unit, width - 2 * unit)):
        for y0, y1 in (
            (light + 3 * unit, light + (height - light) // 2),
            (light + (height - light) // 2 + 2 * unit, height - 3 * unit),
        ):
            colour[y0:y1, x0:x1] = _shade(palette.door, 1.3)
            relief[y0:y1, x0:x1] = 74
    colour[light:, half : half + unit] = _shade(palette.door, 0.4)
    relief[light:, half : half + unit] = 40
    knob = light + (height - light) // 2
    colour[knob : knob + unit, half + unit : half + 2 * unit] = (90, 190, 220)


def _cornice(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height, width = relief.shape
    _gradient(colour, _shade(palette.trim, 1.04), _shade(palette.trim, 0.9))
    relief[height // 2 :] = 135
    if variant == 1 and height >= 6 * unit:
        step = 3 * unit
        teeth = (np.arange(width) // step) % 2 == 0
        rows = slice(height // 2 + unit, height - unit)
        colour[rows, teeth] = _shade(palette.trim, 0.72)
        relief[rows, teeth] = 112
        colour[height // 2] = _shade(palette.trim, 0.82)


def _sill(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    _fill(colour, _shade(palette.trim, 1.03))
    colour[-1:] = _shade(palette.trim, 0.8)


def _balcony(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height, width = relief.shape
    slab = max(1, height // 4)
    step = 3 * unit
    bars = np.arange(width) % step < unit
    if palette.iron:
        _gradient(colour, (112, 104, 98), (84, 82, 82))
        colour[:, bars] = (34, 30, 28)
        colour[: max(1, unit)] = colour[height // 2 : height // 2 + unit] = (30, 26, 24)
        relief[:], relief[:, bars] = 96, 140
    else:
        _fill(colour, _shade(palette.trim, 0.62))
        colour[:, np.arange(width) % step < max(1, step * 2 // 3)] = _shade(palette.trim, 0.98)
        colour[: max(1, height // 6)] = _shade(palette.trim, 1.08)
        relief[:] = 160
    colour[height - slab :] = _shade(palette.trim, 1.0)
    relief[height - slab :] = RELIEF[FacadeClass.balcony]
    colour[-1:] = _shade(palette.trim, 0.72)


def _blind(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height, width = relief.shape
    _fill(colour, palette.blind)
    slats = np.arange(height) % (3 * unit) < unit
    colour[slats] = _shade(palette.blind, 0.72)
    colour[:, :unit] = colour[:, width - unit :] = _shade(palette.blind, 0.9)


def _shop(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    """Glass lit from within, with goods behind it; variant 0 has an awning and a board, 1 is an arcade's arch."""
    height, width = relief.shape
    board, awning = (round(height * 0.16), round(height * 0.36)) if variant == 0 else (0, round(height * 0.3))
    _gradient(colour, (96, 84, 74), (104, 132, 152))
    goods, pitch = round(height * 0.72), max(3, 4 * unit)
    for k, x in enumerate(range(2 * unit, width - 2 * unit, pitch)):
        top = goods + (k * 7 % 5) * unit
        colour[top:, x : x + pitch - unit] = ((72, 86, 150), (96, 140, 120), (150, 190, 206), (60, 66, 80))[k * 3 % 4]
    _streak(colour, 30)
    colour[height - 2 * unit :] = _shade(palette.accent, 0.9)
    for x in (0, width // 3, 2 * width // 3, width - unit):
        colour[awning:, x : x + unit] = palette.accent
        relief[awning:, x : x + unit] = 90
    if variant == 1:
        colour[awning : awning + unit], relief[awning : awning + unit] = palette.accent, 90
        return
    colour[board:awning] = (214, 222, 226)
    colour[board:awning, (np.arange(width) // max(2, 5 * unit)) % 2 == 0] = palette.accent
    relief[board:awning] = 178
    colour[:board] = _shade(palette.accent, 0.8)
    relief[:board] = 120
    if board >= 5 * unit and width > 20 * unit:
        letters = np.arange(width // 4, 3 * width // 4)
        letters = letters[letters % (3 * unit) < 2 * unit]
        colour[2 * unit : board - 2 * unit, letters] = (150, 214, 232)


def _pillar(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height, width = relief.shape
    if variant == 1:  # quoins: long and short stones in turn
        _fill(colour, palette.trim)
        course = np.arange(height) // max(3, 9 * unit)
        joint = np.arange(height) % max(3, 9 * unit) < unit
        colour[course % 2 == 0] = _shade(palette.trim, 0.93)
        colour[joint], relief[joint] = _shade(palette.trim, 0.66), 104
        return
    round_off = 0.8 + 0.24 * np.sin(np.linspace(0.35, 2.9, width, dtype=np.float32))
    flutes = 1.0 - 0.1 * (np.arange(width) % (2 * unit) < unit)
    colour[:] = np.clip((round_off * flutes)[None, :, None] * np.array(palette.trim, np.float32), 0, 255)
    capital = max(2, 4 * unit)
    for rows in (slice(0, capital), slice(height - capital, height)):
        colour[rows], relief[rows] = _shade(palette.trim, 1.05), 150
    colour[capital : capital + unit] = _shade(palette.trim, 0.7)


def _molding(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height = relief.shape[0]
    _gradient(colour, _shade(palette.trim, 1.06), _shade(palette.trim, 0.92))
    relief[: max(1, height // 3)] = 150
    colour[max(1, height // 3)] = _shade(palette.trim, 0.8) if height > 2 else palette.trim


def _deco(colour: Gray, relief: Gray, palette: Palette, unit: int, variant: int) -> None:
    height, width = relief.shape
    _fill(colour, _shade(palette.trim, 0.9))
    centre = (width // 2, height // 2)
    bright, dark = _shade(palette.trim, 1.06), _shade(palette.trim, 0.68)
    cv2.rectangle(colour, (0, 0), (width - 1, height - 1), bright, unit)
    radius = max(1, min(width, height) // 3)
    for dx in (-2 * radius, 0, 2 * radius):
        cv2.circle(colour, (centre[0] + dx, centre[1]), radius, dark, -1)
        cv2.circle(relief, (centre[0] + dx, centre[1]), radius, 146, -1)
        cv2.circle(colour, (centre[0] + dx, centre[1]), max(1, radius - unit), bright, -1)
    cv2.circle(colour, centre, max(1, radius // 3), dark, -1)


_DRAW: Final = {
    FacadeClass.window: _window,
    FacadeClass.door: _door,
    FacadeClass.cornice: _cornice,
    FacadeClass.sill: _sill,
    FacadeClass.balcony: _balcony,
    FacadeClass.blind: _blind,
    FacadeClass.shop: _shop,
    FacadeClass.pillar: _pillar,
    FacadeClass.molding: _molding,
    FacadeClass.deco: _deco,
}
