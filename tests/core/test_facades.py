"""The built-in data set: repeatable, coloured as the CMP facades are, and a picture that follows its label map."""

import hashlib
import subprocess
import sys
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import InvalidInputError
from core.facades import CLASS_COLOURS, FacadeClass, FacadePair, FacadeStream, facade_classes, facade_pair


def digest(*frames: NDArray[np.uint8]) -> str:
    """Fingerprint of frames."""
    return hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest()


@lru_cache(maxsize=1)
def houses() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Classes and photos of the first 40 houses at 128 pixels."""
    photos = np.stack([facade_pair(index, size=128).photo for index in range(40)])
    return np.stack([facade_classes(index, size=128) for index in range(40)]), photos


def mean_colour(kind: FacadeClass) -> NDArray[np.float64]:
    """Mean BGR of all pixels of a class."""
    classes, photos = houses()
    return np.asarray(photos[classes == kind].mean(axis=0), np.float64)


def luma(colour: NDArray[np.float64]) -> float:
    """Brightness of a BGR colour."""
    return float(colour @ (0.114, 0.587, 0.299))


def test_same_pair_in_a_fresh_process_and_in_another_order() -> None:
    """Neither what was asked before nor the process may show in the pixels."""
    pairs = {index: digest(*facade_pair(index, seed=4, size=96)) for index in (0, 3, 11)}
    stream = FacadeStream(seed=4, size=96)
    frames = {index: digest(stream.labels(index), stream.photo(index)) for index in (5, 900)}
    code = (
        "import sys, hashlib\n"
        "from core.facades import *\n"
        "s = FacadeStream(seed=4, size=96)\n"
        "sha = lambda *f: hashlib.sha256(b''.join(x.tobytes() for x in f)).hexdigest()\n"
        "facade_pair(7, size=200)\n"
        "views = [sha(s.labels(i), s.photo(i)) for i in (900, 5)]\n"
        "print(views + [sha(*facade_pair(i, seed=4, size=96)) for i in (11, 3, 0)])"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert fresh == str([frames[900], frames[5], pairs[11], pairs[3], pairs[0]])


def test_every_index_and_seed_is_another_house() -> None:
    """Neither indices nor seeds repeat a house."""
    unlike = {digest(facade_pair(i, seed=s, size=64).labels) for i in range(30) for s in (0, 1)}
    assert len(unlike) == 60


@pytest.mark.parametrize("size", [32, 64, 128, 181, 200, 256, 257, 512])
def test_pair_is_two_frames_of_the_size_asked_for(size: int) -> None:
    """Shape, type and memory layout are those of a frame at any size."""
    pair = facade_pair(2, size=size)
    assert isinstance(pair, FacadePair)
    for frame in pair:
        assert frame.shape == (size, size, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert frame.flags.writeable


def test_labels_hold_class_colours_and_nothing_else() -> None:
    """No blended colour at an edge: label maps are flat."""
    assert len({tuple(colour) for colour in CLASS_COLOURS.tolist()}) == len(FacadeClass) == 12
    for index in range(12):
        np.testing.assert_array_equal(
            facade_pair(index, size=128).labels, CLASS_COLOURS[facade_classes(index, size=128)]
        )


def test_every_class_is_met_and_walls_fill_most_of_the_picture() -> None:
    """All twelve classes are there to learn, in the proportions of a close, frontal view."""
    classes, _ = houses()
    shares = np.bincount(classes.ravel(), minlength=12) / classes.size
    assert np.all(shares > 0.0)
    assert shares[FacadeClass.wall] > 0.3
    assert shares[FacadeClass.background] < 0.3


def test_the_same_house_at_another_size() -> None:
    """The index names a house, the size only its resolution."""
    small, large = facade_classes(6, size=128), facade_classes(6, size=256)[::2, ::2]
    assert np.mean(small == large) > 0.85


def test_the_picture_shows_what_the_label_map_says() -> None:
    """Glass is darker and bluer than wall, doors are dark, stone trims are bright."""
    wall, window = mean_colour(FacadeClass.wall), mean_colour(FacadeClass.window)
    assert luma(window) < luma(wall) - 25
    assert window[0] - window[2] > wall[0] - wall[2] + 20  # bluer
    assert luma(mean_colour(FacadeClass.door)) < luma(wall) - 30
    for bright in (FacadeClass.cornice, FacadeClass.pillar, FacadeClass.molding, FacadeClass.sill):
        assert luma(mean_colour(bright)) > luma(wall), bright.name


def test_a_style_of_house_has_its_colour() -> None:
    """A translator can learn the wall's hue from the layout: quoins and blinds mean sage plaster."""
    met = 0
    for classes, photo in zip(*houses(), strict=True):
        blue, green, red = photo[classes == FacadeClass.wall].mean(axis=0)
        upper = classes[16:80]  # the ground floor may have pillars between shops in every style
        if np.any(upper == FacadeClass.pillar) and np.any(upper == FacadeClass.blind):
            assert green > red > blue
            met += 1
    assert met >= 3


def test_stream_moves_smoothly_and_without_end() -> None:
    """Frames follow each other closely, far along the street too."""
    stream = FacadeStream(seed=1, size=256, fps=30)
    for start in (0, 450, 5_000_000):
        first, second = stream.labels(start), stream.labels(start + 1)
        changed = np.mean(np.any(first != second, axis=2))
        assert 0.0 < changed < 0.25
    views = {digest(stream.labels(index)) for index in range(0, 3000, 100)}
    assert len(views) == 30


def test_stream_pans_by_whole_pixels() -> None:
    """Most of a later view is an earlier one moved to the left; only blinds and doors differ."""
    stream = FacadeStream(seed=2, size=128, fps=10)
    before, after = stream.labels(40), stream.labels(44)
    likeness = [np.mean(np.all(before[:, shift:] == after[:, : 128 - shift], axis=2)) for shift in range(24)]
    assert int(np.argmax(likeness)) in range(6, 12)
    assert max(likeness) > 0.95


def test_stream_is_random_access_and_rate_only_changes_time() -> None:
    """A frame is a function of its time alone."""
    stream = FacadeStream(seed=3, size=64, fps=30)
    ahead = stream.labels(600).copy()
    for index in (0, 1_000_000, 599):
        stream.labels(index)
    np.testing.assert_array_equal(stream.labels(600), ahead)
    np.testing.assert_array_equal(FacadeStream(seed=3, size=64, fps=60).labels(1200), ahead)


def test_the_day_turns_in_the_photo_and_windows_light_up() -> None:
    """Night is dark, with lamps behind warm windows."""
    stream = FacadeStream(size=128, fps=1)
    brightness = [float(stream.photo(t).mean()) for t in range(int(FacadeStream.DAY_SECONDS))]
    assert max(brightness) > 2.0 * min(brightness)
    night = stream.photo(int(np.argmin(brightness)))
    assert np.any((night[..., 2] > 190) & (night[..., 0] < 160))


@pytest.mark.parametrize("size", [-1, 0, 31, 1025])
def test_size_out_of_range_is_refused(size: int) -> None:
    """The message names the sizes there are."""
    for ask in (lambda: facade_pair(0, size=size), lambda: FacadeStream(size=size)):
        with pytest.raises(InvalidInputError, match="32 to 1024"):
            ask()


def test_bad_index_seed_and_rate_are_refused() -> None:
    """What cannot be drawn is refused, not clipped."""
    with pytest.raises(InvalidInputError, match="negative"):
        facade_pair(-1)
    with pytest.raises(InvalidInputError, match="negative"):
        facade_pair(0, seed=-1)
    with pytest.raises(InvalidInputError, match="positive"):
        FacadeStream(fps=0.0)
    with pytest.raises(InvalidInputError, match="negative"):
        FacadeStream().labels(-1)
