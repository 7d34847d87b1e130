from pathlib import Path

import numpy as np
import pytest

from core.conditions import Condition
from core.configuration import DataConfig, Direction
from core.errors import InvalidInputError
from core.facades import facade_pair
from core.frames import Size, fit, write_image
from core.pairs import Split, open_pairs

SIZE = Size(16, 16)


def write_pairs(folder: Path, count: int) -> None:
    """Side-by-side images: left half black, right half white."""
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, 16:] = 255
    for i in range(count):
        write_image(folder / f"{i:03}.png", image)


def config(folder: Path, direction: Direction = Direction.A_TO_B) -> DataConfig:
    return DataConfig(source=str(folder), direction=direction, height=16, width=16)


@pytest.mark.parametrize(("direction", "first"), [(Direction.A_TO_B, 0), (Direction.B_TO_A, 255)])
def test_direction_says_which_half_is_the_input(tmp_path: Path, direction: Direction, first: int) -> None:
    write_pairs(tmp_path, 3)
    pair = open_pairs(config(tmp_path, direction), Split.TRAIN).read(0, SIZE)
    assert np.all(pair.input == first)
    assert np.all(pair.target == 255 - first)


def test_splits_are_folders_where_there_are_folders(tmp_path: Path) -> None:
    write_pairs(tmp_path / "train", 5)
    write_pairs(tmp_path / "val", 2)
    sizes = [len(open_pairs(config(tmp_path), split)) for split in Split]
    assert sizes == [5, 2, 0]


def test_without_a_validation_folder_every_tenth_image_is_kept_apart(tmp_path: Path) -> None:
    write_pairs(tmp_path, 25)
    train, val = (open_pairs(config(tmp_path), split) for split in (Split.TRAIN, Split.VAL))
    kept_apart = {path.name for path in val.images}
    assert kept_apart == {"000.png", "010.png", "020.png"}
    assert kept_apart.isdisjoint(path.name for path in train.images)
    assert len(train) + len(val) == 25


def test_the_built_in_set_has_splits_that_do_not_meet() -> None:
    train, val = (open_pairs(DataConfig(), split) for split in (Split.TRAIN, Split.VAL))
    first = val.read(0, Size(64, 64))
    assert first.input.shape == first.target.shape == (64, 64, 3)
    assert not any(np.array_equal(first.target, train.read(i, Size(64, 64)).target) for i in range(20))


def test_frames_of_other_proportions_are_cropped_as_live_ones_are(tmp_path: Path) -> None:
    size = Size(32, 64)
    wide, live = (open_pairs(DataConfig(), Split.TRAIN).read(3, size), facade_pair(3, size=64))
    np.testing.assert_array_equal(wide.input, fit(live.labels, size))
    np.testing.assert_array_equal(wide.target, fit(live.photo, size))

    picture = np.random.default_rng(0).integers(0, 256, (48, 128, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", picture)
    pair = open_pairs(config(tmp_path), Split.TRAIN).read(0, size)
    np.testing.assert_array_equal(pair.input, picture[8:40, :64])
    np.testing.assert_array_equal(pair.target, picture[8:40, 64:])


def test_two_tall_halves_are_a_pair(tmp_path: Path) -> None:
    image = np.zeros((300, 200, 3), np.uint8)
    image[:, 100:] = 255
    write_image(tmp_path / "tall.png", image)
    pair = open_pairs(config(tmp_path), Split.TRAIN).read(0, Size(150, 50))
    assert np.all(pair.input == 0)
    assert np.all(pair.target == 255)
    assert pair.input.shape == (150, 50, 3)


@pytest.mark.parametrize("condition", [Condition.EDGES, Condition.GRAYSCALE])
@pytest.mark.parametrize("split", [Split.TRAIN, Split.VAL])
def test_built_in_pairs_of_a_condition_are_made_of_the_picture(condition: Condition, split: Split) -> None:
    size = Size(64, 64)
    plain = open_pairs(DataConfig(), split).read(5, size)
    pair = open_pairs(DataConfig(condition=condition), split).read(5, size)
    np.testing.assert_array_equal(pair.target, plain.target)
    np.testing.assert_array_equal(pair.input, condition.apply(plain.target))


def test_the_condition_of_a_folder_is_for_live_frames_only(tmp_path: Path) -> None:
    write_pairs(tmp_path, 2)
    edges = config(tmp_path).model_copy(update={"condition": Condition.EDGES})
    assert np.all(open_pairs(edges, Split.TRAIN).read(0, SIZE).input == 0)


def test_missing_empty_and_odd_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no folder"):
        open_pairs(config(tmp_path / "missing"), Split.TRAIN)
    with pytest.raises(InvalidInputError, match="holds no images"):
        open_pairs(config(tmp_path), Split.TRAIN)
    write_image(tmp_path / "odd.png", np.zeros((16, 33, 3), np.uint8))
    with pytest.raises(InvalidInputError, match=r"odd\.png is 33 x 16 pixels, which is not two equal halves"):
        open_pairs(config(tmp_path), Split.TRAIN).read(0, SIZE)
