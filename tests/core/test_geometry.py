"""Pictures of any shape go through a generator of one size and come back to where they were."""

import numpy as np
import pytest

from core.errors import InvalidInputError
from core.frames import Frame, Size, fit
from core.geometry import Fit, Geometry

SIZE = Size(64, 96)
SHAPES = [(64, 96), (480, 640), (1080, 1920), (90, 30), (16, 16), (1, 1), (65, 97), (7, 4000)]


def picture(height: int, width: int) -> Frame:
    """Smooth, so that resizing there and back costs little; each channel rises another way."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    rows, columns = rows / max(1, height - 1), columns / max(1, width - 1)
    levels = np.stack((255 * rows, 255 * columns, 127 * (rows + columns)), axis=2)
    return np.ascontiguousarray(levels.round().astype(np.uint8))


@pytest.mark.parametrize("how", list(Fit))
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_goes_in_and_comes_back(how: Fit, shape: tuple[int, int]) -> None:
    geometry, frame = Geometry(size=SIZE, fit=how), picture(*shape)
    placed = geometry.place(frame)
    assert placed.image.shape == (*SIZE, 3)
    assert placed.image.flags["C_CONTIGUOUS"]
    assert geometry.shown(placed.image, placed).shape == (*SIZE, 3)
    assert geometry.back(placed.image, placed).shape == frame.shape


@pytest.mark.parametrize("how", list(Fit))
def test_what_comes_back_lies_where_it_was(how: Fit) -> None:
    frame = picture(300, 500)
    geometry = Geometry(size=Size(256, 256), fit=how)
    placed = geometry.place(frame)
    back = geometry.back(placed.image, placed)
    assert np.abs(back.astype(int) - frame).mean() < 1.5


def test_a_crop_is_the_one_of_training_and_its_sides_stay_the_originals() -> None:
    frame = picture(100, 300)
    geometry = Geometry(size=Size(64, 64))
    placed = geometry.place(frame)
    assert np.array_equal(placed.image, fit(frame, Size(64, 64)))
    back = geometry.back(np.zeros((64, 64, 3), np.uint8), placed)
    assert (back[:, 100:200] == 0).all()
    assert np.array_equal(back[:, :100], frame[:, :100])
    assert np.array_equal(back[:, 200:], frame[:, 200:])


def test_a_letterbox_shows_all_between_black_bars() -> None:
    geometry = Geometry(size=Size(64, 64), fit=Fit.LETTERBOX)
    placed = geometry.place(np.full((100, 200, 3), 200, np.uint8))
    assert (placed.image == 200).all(), "the filling is the picture's mirror image, not an edge of its own"
    shown = geometry.shown(placed.image, placed)
    assert (shown[:16] == 0).all()
    assert (shown[48:] == 0).all()
    assert (shown[16:48] == 200).all()


def test_mirroring_and_turning() -> None:
    frame = picture(64, 96)
    assert np.array_equal(Geometry(size=SIZE, mirror=True).place(frame).image, frame[:, ::-1])
    turned = Geometry(size=Size(96, 64), rotate=90).place(frame).image
    assert np.array_equal(turned, np.rot90(frame, k=-1))
    assert np.array_equal(Geometry(size=SIZE, rotate=180).place(frame).image, frame[::-1, ::-1])
    assert np.array_equal(Geometry(size=Size(96, 64), rotate=270).place(frame).image, np.rot90(frame))


def test_halves() -> None:
    both = np.concatenate((np.zeros((64, 96, 3), np.uint8), np.full((64, 96, 3), 255, np.uint8)), axis=1)
    assert (Geometry(size=SIZE, half="A").place(both).image == 0).all()
    assert (Geometry(size=SIZE, half="B").place(both).image == 255).all()
    with pytest.raises(InvalidInputError, match="no halves"):
        Geometry(size=SIZE, half="A").place(np.zeros((5, 1, 3), np.uint8))


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="--rotate 45"):
        Geometry(size=SIZE, rotate=45)
    with pytest.raises(InvalidInputError, match="--half C"):
        Geometry(size=SIZE, half="C")
