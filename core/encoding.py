"""What the channels of a network's images are, and how they come from those of a frame and become them again.

The arithmetic of ``core.frames``, on ``float32`` planes: written with what tensors and arrays share.
"""

from enum import StrEnum
from typing import Final

from core import cielab
from core.cielab import PlaneT

HALF_RANGE: Final = 127.5
"""8-bit value 0..255 = (network value -1..1 + 1) * HALF_RANGE."""

LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601), as in OpenCV's conversion to gray."""

CHROMA_RANGE: Final = 110.0
"""a and b of Lab = network value * CHROMA_RANGE; no sRGB colour reaches it."""


class Encoding(StrEnum):
    """What the channels of images in network layout are."""

    RGB = "rgb"
    """Red, green, blue: 8-bit value / 127.5 - 1."""
    GRAY = "gray"
    """One channel, brightness (``LUMA``), scaled likewise; a frame gets it three times."""
    LIGHTNESS = "lightness"
    """One channel, L of CIE Lab / 50 - 1; a frame gets the gray of that lightness."""
    CHROMA = "chroma"
    """Two channels, a and b of CIE Lab / 110; a frame gets them with the lightness of another frame."""


def encode(levels: PlaneT, encoding: Encoding) -> tuple[PlaneT, ...]:
    """The channels ``[N, H, W]`` of an ``encoding`` other than RGB, from frames ``[N, H, W, 3]`` as floats."""
    # Planes are cut out and worked on one by one. Behind a transposition ONNX Runtime would compute with the channels
    # innermost, and OpenVINO pads three channels to sixteen: both are several times slower.
    if encoding is Encoding.GRAY:
        blue, green, red = (levels[..., i] for i in range(3))
        return ((LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue) / HALF_RANGE - 1,)
    light = cielab.linear(levels / 255)
    blue, green, red = (light[..., i] for i in range(3))
    if encoding is Encoding.LIGHTNESS:
        return (cielab.lightness(red, green, blue) / 50 - 1,)
    a, b = cielab.chroma(red, green, blue)
    return a / CHROMA_RANGE, b / CHROMA_RANGE


def decode(images: PlaneT, encoding: Encoding, lightness: PlaneT | None) -> tuple[PlaneT, ...]:
    """A frame's channels ``[N, H, W]``, BGR or one for all, as 8-bit values not yet rounded: the way back.

    ``CHROMA`` needs the ``lightness`` the frame is to have, encoded as such, ``[N, 1, H, W]``.
    """
    match encoding:
        case Encoding.GRAY:
            return ((images[:, 0] + 1) * HALF_RANGE,)
        case Encoding.LIGHTNESS:
            return (cielab.gray((images[:, 0] + 1) * 50) * 255,)
        case _:
            assert lightness is not None, "two channels of colour make no frame without a lightness"
            a, b = images[:, 0] * CHROMA_RANGE, images[:, 1] * CHROMA_RANGE
            red, green, blue = cielab.rgb((lightness[:, 0] + 1) * 50, a, b)
            return blue * 255, green * 255, red * 255
