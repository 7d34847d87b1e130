"""CIE Lab (D65) from sRGB and back, plane by plane: written with operators that tensors and arrays share.

Sources: IEC 61966-2-1 (sRGB's transfer curve and primaries); CIE 15:2004, section 8.2.1 (Lab). Matrix and white point
are OpenCV's; scikit-image, with which junyanz's colorization makes its data, has the same to four digits.

Each curve is straight near black and a power above. Both parts are taken of the value clamped to their own range, and
added: no power of a negative number and no branch, so that every engine computes the same.
"""

from typing import TYPE_CHECKING, Any, Final, TypeVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

PlaneT = TypeVar("PlaneT", "Tensor", NDArray[Any])
"""One colour channel: a ``float32`` tensor or array of any shape."""

XYZ_OF_RGB: Final = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
"""CIE XYZ of linear red, green and blue."""
WHITE: Final = (0.950456, 1.0, 1.088754)
"""XYZ of white (D65): the sums of the rows above, so that gray has no colour."""
RGB_OF_XYZ: Final = (
    (3.2404813432, -1.5371515163, -0.4985363262),
    (-0.9692549500, 1.8759900015, 0.0415559266),
    (0.0556466391, -0.2040413384, 1.0573110696),
)
"""The inverse of ``XYZ_OF_RGB``."""

_SRGB_JOINT: Final = 0.04045
_LINEAR_JOINT: Final = _SRGB_JOINT / 12.92
_F_JOINT: Final = 6 / 29
_XYZ_JOINT: Final = _F_JOINT**3
_F_SLOPE: Final = 1 / (3 * _F_JOINT**2)
_F_OFFSET: Final = 4 / 29


def linear(srgb: PlaneT) -> PlaneT:
    """Light, 0 to 1, of sRGB values in [0, 1]."""
    power = ((srgb.clip(_SRGB_JOINT, None) + 0.055) / 1.055) ** 2.4
    return srgb.clip(None, _SRGB_JOINT) / 12.92 + (power - _LINEAR_JOINT)


def lightness(red: PlaneT, green: PlaneT, blue: PlaneT) -> PlaneT:
    """L, 0 (black) to 100 (white), of light in [0, 1]."""
    return 116 * _f(_part_of_white(1, red, green, blue)) - 16


def chroma(red: PlaneT, green: PlaneT, blue: PlaneT) -> tuple[PlaneT, PlaneT]:
    """Green to red (a) and blue to yellow (b) of light in [0, 1]: within -108..99, and 0 for gray."""
    x, y, z = (_f(_part_of_white(row, red, green, blue)) for row in range(3))
    return 500 * (x - y), 200 * (y - z)


def rgb(lightness: PlaneT, a: PlaneT, b: PlaneT) -> tuple[PlaneT, PlaneT, PlaneT]:
    """Red, green and blue, sRGB, of a Lab colour: outside [0, 1] where there is no such colour."""
    y = (lightness + 16) / 116
    xyz = (_f_inverse(y + a / 500), _f_inverse(y), _f_inverse(y - b / 200))
    red, green, blue = (_gamma(_mix([w * c for w, c in zip(WHITE, row, strict=True)], *xyz)) for row in RGB_OF_XYZ)
    return red, green, blue


def gray(lightness: PlaneT) -> PlaneT:
    """The sRGB value, 0 to 1, that all three channels of a gray of this lightness have."""
    return _gamma(_f_inverse((lightness + 16) / 116))


def _part_of_white(row: int, red: PlaneT, green: PlaneT, blue: PlaneT) -> PlaneT:
    """X, Y or Z of light, as a part of white's."""
    return _mix([c / WHITE[row] for c in XYZ_OF_RGB[row]], red, green, blue)


def _mix(weights: list[float], one: PlaneT, two: PlaneT, three: PlaneT) -> PlaneT:
    # Not a matrix product: autocast and TF32 would shorten it.
    return weights[0] * one + weights[1] * two + weights[2] * three


def _gamma(light: PlaneT) -> PlaneT:
    """Value in sRGB of light; negative light gives negative values."""
    power = 1.055 * light.clip(_LINEAR_JOINT, None) ** (1 / 2.4) - 0.055
    return light.clip(None, _LINEAR_JOINT) * 12.92 + (power - _SRGB_JOINT)


def _f(part: PlaneT) -> PlaneT:
    """The cube root of a part of white's X, Y or Z, straight below (6/29)**3."""
    straight = part.clip(None, _XYZ_JOINT) * _F_SLOPE + _F_OFFSET
    return straight + (part.clip(_XYZ_JOINT, None) ** (1 / 3) - _F_JOINT)


def _f_inverse(value: PlaneT) -> PlaneT:
    straight = (value.clip(None, _F_JOINT) - _F_OFFSET) / _F_SLOPE
    above = value.clip(_F_JOINT, None)
    cube: PlaneT = above * above * above
    return straight + (cube - _XYZ_JOINT)
