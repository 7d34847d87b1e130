"""How a picture of any shape meets a generator of one size, and how the translation goes back to where it came from."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import cv2
import numpy as np

from core.errors import InvalidInputError
from core.frames import Frame, Size, crop_to_aspect, resize

HALVES: Final = ("A", "B")
_TURNS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Fit(StrEnum):
    """What becomes of a picture whose proportions are not the generator's."""

    CROP = "crop"
    """Its centre is used: what training does with pictures."""
    LETTERBOX = "letterbox"
    """All of it is used; what is missing is filled with its mirror image, which is black in the translation."""
    STRETCH = "stretch"
    """All of it is used, out of proportion."""


class Region(NamedTuple):
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing the picture: ``frame[region.slices]``."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture on its way through a generator.

    Attributes:
        whole: the picture, upright: ``uint8 [H, W, 3]`` BGR.
        used: the part of it that the generator sees.
        image: that part, ``uint8`` BGR of the generator's size.
        place: where in ``image`` it lies; the rest is filling.
    """

    whole: Frame
    used: Region
    image: Frame
    place: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """From pictures of any shape to those of a generator, and back.

    Attributes:
        size: of the generator.
        fit: what becomes of other proportions.
        mirror: left and right are exchanged, as in a mirror.
        rotate: degrees clockwise that the picture is turned first: 0, 90, 180 or 270.
        half: ``A`` or ``B``: only the left or right half is used, as of side-by-side training images.
    """

    size: Size
    fit: Fit = Fit.CROP
    mirror: bool = False
    rotate: int = 0
    half: str | None = None

    def __post_init__(self) -> None:
        """Raise ``InvalidInputError`` for a rotation or half that there is not."""
        if self.rotate not in (0, *_TURNS):
            raise InvalidInputError(f"--rotate {self.rotate} is not understood: give 90, 180 or 270")
        if self.half is not None and self.half not in HALVES:
            raise InvalidInputError(f"--half {self.half} is not understood: A is the left half, B the right one")

    def place(self, frame: Frame) -> Placed:
        """``frame`` (``uint8 [H, W, 3]`` BGR, any size) as the generator is to see it.

        Raises:
            InvalidInputError: if it is one pixel wide and is to be halved.
        """
        whole = self._upright(frame)
        height, width = whole.shape[:2]
        if self.fit is Fit.CROP:
            part = crop_to_aspect(whole, self.size)
            used = Region((height - part.shape[0]) // 2, (width - part.shape[1]) // 2, *part.shape[:2])
            return Placed(whole, used, np.ascontiguousarray(resize(part, self.size)), Region(0, 0, *self.size))
        used = Region(0, 0, height, width)
        if self.fit is Fit.STRETCH:
            return Placed(whole, used, np.ascontiguousarray(resize(whole, self.size)), Region(0, 0, *self.size))
        scale = min(self.size.height / height, self.size.width / width)
        inner = Size(
            *(max(1, min(room, round(side * scale))) for side, room in zip((height, width), self.size, strict=True))
        )
        place = Region((self.size.height - inner.height) // 2, (self.size.width - inner.width) // 2, *inner)
        below, right = self.size.height - place.top - inner.height, self.size.width - place.left - inner.width
        image = cv2.copyMakeBorder(resize(whole, inner), place.top, below, place.left, right, cv2.BORDER_REFLECT)
        return Placed(whole, used, np.asarray(image, dtype=np.uint8), place)

    def shown(self, picture: Frame, placed: Placed) -> Frame:
        """``picture``, of the generator's size and made of ``placed``, with its filling black; may be ``picture``."""
        if placed.place[2:] == self.size:
            return picture
        shown = np.zeros_like(picture)
        inside = placed.place.slices
        shown[inside] = picture[inside]
        return shown

    def back(self, picture: Frame, placed: Placed) -> Frame:
        """``picture``, of the generator's size and made of ``placed``, where it came from: of ``placed.whole``'s size.

        What the generator did not see (at the sides of a crop) is the original's.
        """
        inside = np.ascontiguousarray(picture[placed.place.slices])
        enlarged = resize(inside, Size(placed.used.height, placed.used.width))
        if placed.used[2:] == placed.whole.shape[:2]:
            return enlarged
        canvas = placed.whole.copy()
        canvas[placed.used.slices] = enlarged
        return canvas

    def _upright(self, frame: Frame) -> Frame:
        if self.half is not None:
            middle = frame.shape[1] // 2
            if middle == 0:
                raise InvalidInputError("a frame one pixel wide has no halves: leave out --half")
            frame = frame[:, :middle] if self.half == "A" else frame[:, -middle:]
        if self.rotate:
            frame = np.asarray(cv2.rotate(frame, _TURNS[self.rotate]), dtype=np.uint8)
        return np.asarray(cv2.flip(frame, 1), dtype=np.uint8) if self.mirror else frame
