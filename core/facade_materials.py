"""What the classes of a facade are made of: heights, colours of the styles and the textures of their walls."""

from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Gray = NDArray[np.uint8]

# Height of each class, in the order of FacadeClass.
RELIEF: Final[Gray] = np.zeros(256, np.uint8)
RELIEF[:12] = [0, 100, 62, 58, 165, 140, 175, 108, 72, 132, 128, 114]


class Palette(NamedTuple):
    """BGR colours of one architectural style, and the pattern of its wall."""

    pattern: str
    wall: Colour
    trim: Colour
    frame: Colour
    door: Colour
    blind: Colour
    accent: Colour
    roof: Colour
    iron: bool  # balconies of iron bars rather than stone


PALETTES: Final = (
    Palette(
        pattern="ashlar",
        wall=(152, 182, 198),
        trim=(172, 200, 214),
        frame=(222, 228, 230),
        door=(54, 64, 42),
        blind=(190, 196, 198),
        accent=(92, 58, 42),
        roof=(108, 96, 88),
        iron=True,
    ),
    Palette(
        pattern="brick",
        wall=(76, 92, 152),
        trim=(176, 200, 214),
        frame=(216, 226, 228),
        door=(56, 70, 40),
        blind=(120, 130, 140),
        accent=(58, 74, 44),
        roof=(90, 84, 84),
        iron=False,
    ),
    Palette(
        pattern="plaster",
        wall=(104, 160, 208),
        trim=(172, 200, 218),
        frame=(196, 212, 220),
        door=(44, 66, 98),
        blind=(82, 102, 58),
        accent=(56, 68, 160),
        roof=(72, 98, 160),
        iron=True,
    ),
    Palette(
        pattern="plaster",
        wall=(148, 196, 216),
        trim=(218, 228, 232),
        frame=(228, 232, 234),
        door=(46, 60, 92),
        blind=(180, 190, 196),
        accent=(64, 52, 118),
        roof=(80, 90, 130),
        iron=False,
    ),
    Palette(
        pattern="plaster",
        wall=(184, 172, 156),
        trim=(218, 218, 214),
        frame=(230, 230, 228),
        door=(88, 70, 56),
        blind=(202, 206, 208),
        accent=(112, 88, 50),
        roof=(96, 92, 90),
        iron=False,
    ),
    Palette(
        pattern="plaster",
        wall=(152, 180, 168),
        trim=(206, 220, 222),
        frame=(226, 230, 230),
        door=(54, 62, 106),
        blind=(150, 174, 190),
        accent=(72, 92, 52),
        roof=(78, 86, 116),
        iron=True,
    ),
)


@lru_cache(maxsize=8)
def noise(size: int) -> Gray:
    """Fractal noise around 128, uint8 [2 * size, 2 * size]; the same for every seed."""
    rng = np.random.Generator(np.random.PCG64(20130))
    side = 2 * size
    total = np.zeros((side, side), np.float32)
    for cells, weight in ((6, 20.0), (16, 16.0), (48, 12.0), (160, 9.0), (512, 8.0)):
        grid = rng.standard_normal((cells, cells), dtype=np.float32)
        smooth = cv2.INTER_AREA if cells > side else cv2.INTER_CUBIC
        total += weight * np.asarray(cv2.resize(grid, (side, side), interpolation=smooth), np.float32)
    return np.asarray(np.clip(128.0 + total, 0, 255), np.uint8)


def _courses(size: int, height: int, length: int, spread: float, joint: int, seed: int) -> Gray:
    """Blocks in staggered rows, each with its own shade around 128; joints have the value `joint`."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows, columns = 2 * size // height + 1, 2 * size // length + 2
    blocks = np.clip(128.0 + spread * rng.standard_normal((rows, columns)), 40, 200).astype(np.uint8)
    texture = np.repeat(np.repeat(blocks, height, axis=0), length, axis=1)
    mortar = max(1, height // 9)
    for row in range(rows):
        band = texture[row * height : (row + 1) * height]
        shift = (length // 2) * (row % 2)
        if height >= 3:
            band[-mortar:] = joint
        if length >= 4:
            for k in range(mortar):
                band[:, shift + k :: length] = joint
        if shift and length < 4:
            band[:] = np.roll(band, shift, axis=1)
    return np.ascontiguousarray(texture[: 2 * size, : 2 * size])


@lru_cache(maxsize=32)
def wall_texture(pattern: str, size: int) -> Gray:
    """Brightness of a wall around 128, uint8 [2 * size, 2 * size]; `pattern` is one of those in PALETTES or roof."""
    if size < 192:  # courses thinner than a pixel are averaged, not coarsened
        fine = wall_texture(pattern, size * max(2, round(256 / size)))
        return np.asarray(cv2.resize(fine, (2 * size, 2 * size), interpolation=cv2.INTER_AREA), np.uint8)
    unit = size / 256.0
    base = noise(size)
    if pattern == "brick":
        courses = _courses(size, max(2, round(3 * unit)), max(3, round(8 * unit)), 9.0, 166, 1)
        return np.asarray(cv2.addWeighted(courses, 1.0, base, 0.35, -45.0), np.uint8)
    if pattern == "ashlar":
        courses = _courses(size, max(4, round(11 * unit)), max(6, round(30 * unit)), 4.0, 108, 2)
        return np.asarray(cv2.addWeighted(courses, 1.0, base, 0.35, -45.0), np.uint8)
    if pattern == "rustic":
        courses = _courses(size, max(4, round(9 * unit)), max(8, round(26 * unit)), 3.0, 92, 3)
        return np.asarray(cv2.addWeighted(courses, 1.0, base, 0.3, -38.0), np.uint8)
    if pattern == "roof":
        courses = _courses(size, max(3, round(4 * unit)), max(4, round(6 * unit)), 9.0, 96, 4)
        return np.asarray(cv2.addWeighted(courses, 1.0, base, 0.4, -51.0), np.uint8)
    # Rain streaks: the same noise, drawn out downwards.
    streaks = cv2.resize(base[: size // 8 + 1], (2 * size, 2 * size), interpolation=cv2.INTER_LINEAR)
    mixed = cv2.addWeighted(base, 0.35, streaks, 0.15, 64.0)
    return np.ascontiguousarray(mixed)


def ramp(colour: Colour, mortar: Colour | None = None) -> Gray:
    """Look-up table uint8 [256, 1, 3] from wall brightness to colour; above 148 it turns to `mortar`, if given."""
    level = np.arange(256, dtype=np.float32)[:, None] / 128.0
    table = level * np.array(colour, np.float32)
    if mortar is not None:
        blend = 0.55 * np.clip((level - 1.16) * 8.0, 0.0, 1.0)
        table = table * (1.0 - blend) + blend * np.array(mortar, np.float32)
    return np.asarray(np.clip(table, 0, 255), np.uint8).reshape(256, 1, 3)
