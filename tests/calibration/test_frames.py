from pathlib import Path

import numpy as np
import pytest

from calibration.frames import calibration_frames, spread
from core.configuration import DataConfig
from core.errors import InvalidInputError
from core.frames import Size, write_image
from core.pairs import Split, open_pairs


def write_pairs(folder: Path, count: int, *, flat: bool = False) -> DataConfig:
    for i in range(count):
        image = np.full((16, 32, 3), i, np.uint8)
        if not flat:
            image[:8] = 255 - i
        write_image(folder / "train" / f"{i:03}.png", image)
    write_image(folder / "val" / "000.png", np.full((16, 32, 3), 99, np.uint8))
    return DataConfig(source=str(folder), height=16, width=16)


def test_frames_are_inputs_of_training_spread_over_the_whole_set(tmp_path: Path) -> None:
    data = write_pairs(tmp_path, 40)
    frames = calibration_frames(data, count=10)
    assert [frame.shape for frame in frames] == [(16, 16, 3)] * 10
    numbers = [int(frame[-1, 0, 0]) for frame in frames]
    assert numbers[0] == 0
    assert numbers[-1] == 39
    assert max(np.diff(numbers)) <= 5
    assert 99 not in numbers, "held-out frames must stay unseen"


def test_a_small_set_is_used_whole_and_once(tmp_path: Path) -> None:
    frames = calibration_frames(write_pairs(tmp_path, 9), count=64)
    assert len(frames) == 9


def test_the_same_frames_every_time() -> None:
    pairs = open_pairs(DataConfig(), Split.TRAIN)
    once, again = (spread(pairs, Size(64, 64), 4) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize(("count", "flat"), [(40, True), (3, False)])
def test_too_few_frames_that_show_something_are_refused(tmp_path: Path, count: int, flat: bool) -> None:
    with pytest.raises(InvalidInputError, match="to calibrate INT8: leave out --int8"):
        calibration_frames(write_pairs(tmp_path, count, flat=flat), count=16)
