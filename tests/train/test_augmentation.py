"""Jitter and mirroring: the same for both images, the same for the same numbers."""

import numpy as np

from core.frames import Size
from core.pairs import Pair
from train.augmentation import Cut, cut_out, draw_cut, generator_for, jitter_size

SIZE = Size(32, 48)


def augment(pair: Pair, size: Size, random: np.random.Generator) -> Pair:
    large = Size(*pair.input.shape[:2])
    return cut_out(pair, size, draw_cut(large, size, random))


def coordinates(size: Size) -> Pair:
    """A frame whose pixels say where they are, twice."""
    rows, columns = np.indices(size, dtype=np.uint8)
    frame = np.stack([rows, columns, rows], axis=-1)
    return Pair(frame, frame.copy())


def test_jitter_enlarges_256_to_286_as_in_the_paper() -> None:
    assert jitter_size(Size(256, 256)) == (286, 286)
    assert jitter_size(Size(384, 640)) == (429, 715)


def test_both_images_are_cut_and_mirrored_alike() -> None:
    pair = coordinates(jitter_size(SIZE))
    for index in range(20):
        cut = augment(pair, SIZE, generator_for(0, 0, index))
        assert cut.input.shape == (*SIZE, 3)
        assert cut.input.flags.c_contiguous
        assert np.array_equal(cut.input, cut.target)


def test_every_place_and_both_orientations_occur() -> None:
    large = jitter_size(SIZE)
    pair = coordinates(large)
    cuts = [augment(pair, SIZE, generator_for(0, 0, index)).input for index in range(400)]
    assert {int(cut[0, 0, 0]) for cut in cuts} == set(range(large.height - SIZE.height + 1))
    mirrored = [bool(cut[0, 0, 1] > cut[0, -1, 1]) for cut in cuts]
    assert 150 < sum(mirrored) < 250
    lefts = {int(min(cut[0, 0, 1], cut[0, -1, 1])) for cut in cuts}
    assert lefts == set(range(large.width - SIZE.width + 1))
    assert all(
        np.all(np.diff(cut[0, :, 1].astype(int)) == (-1 if m else 1)) for cut, m in zip(cuts, mirrored, strict=True)
    )


def test_no_pair_shares_the_random_numbers_of_the_order() -> None:
    order = np.random.default_rng((3, 1)).integers(2**32, size=4)
    assert not any(np.array_equal(generator_for(3, 1, index).integers(2**32, size=4), order) for index in range(100))


def test_the_numbers_decide_and_nothing_else() -> None:
    pair = coordinates(jitter_size(SIZE))
    first = augment(pair, SIZE, generator_for(3, 1, 7))
    again = augment(pair, SIZE, generator_for(3, 1, 7))
    assert np.array_equal(first.input, again.input)
    others = [augment(pair, SIZE, generator_for(3, epoch, 7)).input for epoch in range(2, 8)]
    assert any(not np.array_equal(first.input, other) for other in others)


def test_jitter_and_mirroring_can_be_left_out() -> None:
    assert jitter_size(SIZE, 1.0) == SIZE
    cuts = {draw_cut(SIZE, SIZE, generator_for(0, 0, index), mirror=False) for index in range(20)}
    assert cuts == {Cut(0, 0, False)}
