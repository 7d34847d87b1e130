"""The light of a moment: sun, sky and when lamps are lit."""

import math
from typing import Final, NamedTuple

from core.facade_materials import Colour

Gains = tuple[float, float, float]


class Light(NamedTuple):
    """Gains are BGR (1 leaves a colour as it is); `sun` is the direction in which shadows fall (x, y)."""

    sun: tuple[float, float]
    direct: Gains
    ambient: Gains
    zenith: Colour
    horizon: Colour
    night: float  # 0 by day, 1 at night: how bright lit windows shine


MORNING: Final = Light((0.8, 1.0), (0.55, 0.60, 0.64), (0.47, 0.44, 0.42), (206, 164, 122), (232, 222, 210), 0.0)


def _mix(a: Gains | Colour, b: Gains | Colour, t: float) -> Gains:
    x, y, z = ((1.0 - t) * p + t * q for p, q in zip(a, b, strict=True))
    return (x, y, z)


def _colour(a: Gains | Colour, b: Gains | Colour, t: float) -> Colour:
    x, y, z = _mix(a, b, t)
    return (round(x), round(y), round(z))


def daylight(hour: float) -> Light:
    """Light at `hour` in [0, 24): the sun crosses from left to right between 6 and 18."""
    height = math.sin(math.pi * (hour - 6.0) / 12.0)
    day = min(1.0, max(0.0, 0.5 + 2.2 * height))
    low = max(0.0, 1.0 - abs(height) * 2.5)  # near sunrise and sunset
    direct = _mix((0.0, 0.0, 0.0), _mix(MORNING.direct, (0.28, 0.50, 0.80), low), min(1.0, max(0.0, height * 4.0)))
    ambient = _mix((0.34, 0.25, 0.20), _mix(MORNING.ambient, (0.46, 0.41, 0.46), low), day)
    zenith = _colour((58, 32, 20), _mix(MORNING.zenith, (158, 112, 108), low), day)
    horizon = _colour((92, 60, 44), _mix(MORNING.horizon, (130, 176, 240), low), day)
    across = max(-1.6, min(1.6, (12.0 - hour) / 3.5)) if height > 0.0 else 0.0
    return Light((across, 1.0), direct, ambient, zenith, horizon, 1.0 - day)
