"""Facades to pixels: the map of classes, and the picture with sky, light, shadow and lit windows."""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from core.facade_elements import Box, FacadeClass, Form, Motion, fill
from core.facade_layout import Facade
from core.facade_lighting import Light
from core.facade_materials import PALETTES, RELIEF, Colour, Gray, noise, ramp, wall_texture
from core.facade_stamps import stamp
from core.frames import Frame


class Placed(NamedTuple):
    """A facade and where its plot begins in the picture, in pixels."""

    facade: Facade
    x: int


class Staged(NamedTuple):
    """A facade at one moment: its wall and the boxes on it, in pixels of the picture and in painting order."""

    facade: Facade
    wall: Box
    boxes: list[Box]


def stage(scene: list[Placed], size: int, time: float) -> list[Staged]:
    """Move every facade to its place and its blinds and doors to `time` (seconds); boxes out of sight are dropped."""
    staged = []
    for facade, x in scene:
        boxes = []
        for element in facade.elements:
            # A shutter reaches beyond its window by half of the window's width.
            reach = (element.box.x1 - element.box.x0) // 2 if element.motion is Motion.shutter else 0
            if element.box.x1 + reach + x > 0 and element.box.x0 - reach + x < size:
                boxes += [
                    Box(kind, x0 + x, y0, x1 + x, y1, form, variant)
                    for kind, x0, y0, x1, y1, form, variant in element.boxes(time)
                    if x1 + x > 0 and x0 + x < size
                ]
        wall = facade.wall._replace(x0=facade.wall.x0 + x, x1=facade.wall.x1 + x)
        staged.append(Staged(facade, wall, boxes))
    return staged


def paint_classes(staged: list[Staged], size: int) -> Gray:
    """Map of classes, uint8 [size, size], values of FacadeClass."""
    canvas = np.zeros((size, size), np.uint8)
    for _, wall, boxes in staged:
        fill(canvas, wall, FacadeClass.wall)
        for box in boxes:
            fill(canvas, box, box.kind)
    return canvas


@lru_cache(maxsize=4)
def _sky(size: int, zenith: Colour, horizon: Colour, haze: float, drift: int) -> Frame:
    """Gradient with clouds; read-only, for it is shared."""
    t = np.clip(np.linspace(0.0, 2.2, size, dtype=np.float32), 0.0, 1.0)[:, None]
    column = (1.0 - t) * np.array(zenith, np.float32) + t * np.array(horizon, np.float32)
    x = abs(drift % (2 * size) - size)  # there and back, for the noise does not tile
    clouds = cv2.blur(noise(size)[size // 4 : size // 4 + size, x : x + size], (size // 20 | 1, size // 40 | 1))
    cover = np.clip((clouds.astype(np.float32) - 124.0) / 36.0, 0.0, 0.75)[..., None] * haze
    white = np.array(horizon, np.float32) * 0.4 + 148.0
    sky: Frame = (column[:, None] * (1.0 - cover) + white * cover).astype(np.uint8)
    sky.setflags(write=False)
    return sky


def _texture(albedo: Frame, box: Box, pattern: str, table: Gray, offset: int) -> None:
    size = albedo.shape[0]
    x0, x1, y0, y1 = max(box.x0, 0), min(box.x1, size), max(box.y0, 0), min(box.y1, size)
    if x0 < x1 and y0 < y1:
        # The offset belongs to the wall, not to the picture: bricks move with their house when the view pans.
        shift = offset % (size // 2) + x0 - box.x0
        texture = wall_texture(pattern, size)[y0:y1, shift : shift + x1 - x0]
        albedo[y0:y1, x0:x1] = cv2.applyColorMap(texture, table)


def _walls(albedo: Frame, staged: Staged) -> None:
    facade, wall, boxes = staged
    palette = PALETTES[facade.style]
    b, g, r = palette.wall
    shade = 1.0 + 0.06 * facade.hue
    colour = (round(b * (shade - 0.05 * facade.hue)), round(g * shade), min(255, round(r * (shade + 0.01))))
    for box in boxes:
        if box.form is Form.roof:
            _texture(albedo, box, "roof", ramp(palette.roof), facade.offset)
    brick = palette.pattern == "brick"
    foot = wall.y1 if brick else facade.ground_floor
    _texture(
        albedo, wall._replace(y1=foot), palette.pattern, ramp(colour, palette.trim if brick else None), facade.offset
    )
    if not brick:
        base = (round(colour[0] * 0.88), round(colour[1] * 0.88), round(colour[2] * 0.88))
        _texture(albedo, wall._replace(y0=facade.ground_floor), "rustic", ramp(base), facade.offset)


def _stamp_boxes(albedo: Frame, relief: Gray, glow: Gray | None, staged: Staged) -> None:
    size = albedo.shape[0]
    for kind, x0, y0, x1, y1, form, variant in staged.boxes:
        left, right, top, bottom = max(x0, 0), min(x1, size), max(y0, 0), min(y1, size)
        if form is Form.roof or top >= bottom:
            continue
        look = 0 if variant == 3 else variant  # 3 differs at night only, when its lamp is lit
        colour, height, mask = stamp(kind, x1 - x0, y1 - y0, form, look, staged.facade.style, size)
        outer = (slice(top, bottom), slice(left, right))
        if (left, right, top, bottom) != (x0, x1, y0, y1):
            inner = (slice(top - y0, bottom - y0), slice(left - x0, right - x0))
            colour, height = colour[inner], height[inner]
            mask = None if mask is None else mask[inner]
        if mask is None:
            albedo[outer] = colour
            relief[outer] = height
        else:
            np.copyto(albedo[outer], colour, where=mask[..., None])
            np.copyto(relief[outer], height, where=mask)
        if glow is not None:
            lit = kind is FacadeClass.shop or (kind is FacadeClass.window and variant in {1, 3, 4})
            glow[outer] = 255 if lit else 0


_SHADOW_STRENGTH: Final = np.clip((np.arange(256) - 4) * 12, 0, 225).astype(np.uint8)
_SLOPE: Final = np.array([[-0.5, 0.0, 0.5], [-1.0, 0.0, 1.0], [-0.5, 0.0, 0.5]], np.float32)
_LAMP: Final = (0.36, 0.70, 0.93)


def _shadow(relief: Gray, light: Light, unit: float) -> Gray:
    """How much of the sun is taken at each pixel, uint8: the highest neighbour towards the sun, less its distance."""
    size = relief.shape[0]
    pad = math.ceil(8 * unit * max(1.0, abs(light.sun[0]))) + 1
    padded = np.asarray(cv2.copyMakeBorder(relief, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)
    highest = relief
    for reach in (1, 2, 3.5, 5.5, 8):
        dx, dy = round(reach * unit * light.sun[0]), round(reach * unit * light.sun[1])
        drop = np.full_like(relief, 8.0 * reach)
        towards = padded[pad - dy : pad - dy + size, pad - dx : pad - dx + size]
        highest = np.maximum(highest, cv2.subtract(towards, drop))
    return np.asarray(cv2.blur(cv2.LUT(highest - relief, _SHADOW_STRENGTH), (round(3 * unit) | 1,) * 2), np.uint8)


@lru_cache(maxsize=4)
def _exposure(size: int) -> NDArray[np.float32]:
    """Vignette and film grain, a gain float32 [size, size]."""
    axis = np.linspace(-1.0, 1.0, size, dtype=np.float32) ** 2
    vignette = 1.04 - 0.08 * (axis[:, None] + axis[None, :])
    grain = np.random.Generator(np.random.PCG64(35)).standard_normal((size, size), dtype=np.float32)
    gain: NDArray[np.float32] = vignette * (1.0 + 0.018 * grain)
    return gain


def _lit(albedo: Frame, relief: Gray, light: Light) -> Frame:
    """Sunlight, with shadows and bevels, and light of the sky, less where a pixel lies lower than those around it."""
    size = albedo.shape[0]
    unit, body = size / 256.0, _exposure(size)
    hollow = cv2.subtract(cv2.blur(relief, (round(11 * unit) | 1,) * 2), relief)
    rising = light.sun[0] * _SLOPE + light.sun[1] * _SLOPE.T  # towards the sun: edges that face it are bright
    bevel = np.clip(cv2.filter2D(relief, cv2.CV_16S, rising, borderType=cv2.BORDER_REPLICATE), -120, 120)
    edges = cv2.addWeighted(bevel, 0.00275, bevel, 0.0, 1.0, dtype=cv2.CV_32F)
    open_sun = 255 - _shadow(relief, light, unit)
    sun = cv2.multiply(cv2.multiply(open_sun, edges, scale=1 / 255, dtype=cv2.CV_32F), body)
    sky = cv2.multiply(cv2.addWeighted(hollow, -0.0065, hollow, 0.0, 1.0, dtype=cv2.CV_32F), body)
    # A lens is softer than a drawing.
    soft = cv2.GaussianBlur(albedo, (3, 3), 0.5)
    planes = []
    for plane, direct, ambient in zip(cv2.split(soft), light.direct, light.ambient, strict=True):
        planes.append(cv2.multiply(plane, cv2.addWeighted(sun, direct, sky, ambient, 0.0), dtype=cv2.CV_8U))
    return np.asarray(cv2.merge(planes), np.uint8)


def _shine(photo: Frame, relief: Gray, glow: Gray, night: float) -> Frame:
    """Add lamps behind the glass of lit windows, and a little of it on the walls around."""
    size = photo.shape[0]
    glow[relief > 76] = 0
    halo = cv2.blur(glow, (round(size / 16) | 1,) * 2)
    lamp = cv2.addWeighted(glow, 0.82 * night, halo, 0.3 * night, 0.0)
    light = np.asarray(lamp, np.float32)[..., None] * np.array(_LAMP, np.float32)
    return np.asarray(cv2.add(photo, light.astype(np.uint8)), np.uint8)


def render(staged: list[Staged], classes: Gray, light: Light, *, drift: int = 0) -> Frame:
    """The photograph of a scene whose classes are `classes`: uint8 [size, size, 3] BGR.

    `drift` moves the clouds, in pixels.
    """
    size = classes.shape[0]
    sky = _sky(size, light.zenith, light.horizon, 1.0 - 0.8 * light.night, drift)
    ground = min(size, max((house.wall.y1 for house in staged), default=size))
    albedo = sky.copy()
    if ground < size:
        texture = noise(size)[: size - ground, :size]
        albedo[ground:] = cv2.applyColorMap(texture, ramp((128, 132, 136)))
    relief = np.asarray(cv2.LUT(classes, RELIEF), np.uint8)
    relief[ground:] = 84  # just below the wall's plane: only a narrow shadow at its foot
    glow = np.zeros((size, size), np.uint8) if light.night > 0.0 else None
    for house in staged:
        _walls(albedo, house)
        _stamp_boxes(albedo, relief, glow, house)
    photo = _lit(albedo, relief, light)
    if glow is not None:
        photo = _shine(photo, relief, glow, light.night)
    above = (classes == int(FacadeClass.background)).view(np.uint8)
    above[ground:] = 0
    cv2.copyTo(sky, above, photo)
    return photo
