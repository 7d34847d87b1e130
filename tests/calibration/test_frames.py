"""Which frames are chosen: different ones that show something, spread over all there are, the same ones every time."""

from itertools import combinations, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.frames import ENOUGH, CalibrationSet, choose_frames, held_out_frames, split_held_out
from core.conditions import Condition
from core.configuration import DataConfig, Direction, Layout
from core.errors import InvalidInputError
from core.frames import Frame, Size, write_image
from core.pairs import Split, open_pairs
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame, read_number

SIZE = Size(HEIGHT, WIDTH)
LIVE = DataConfig(condition=Condition.IDENTITY)


def write_numbered(folder: Path, numbers: list[int]) -> Path:
    for i, number in enumerate(numbers):
        write_image(folder / f"{i:03}.png", numbered_frame(number))
    return folder


def choose(folder: Path, count: int, *, seed: int = 0) -> CalibrationSet:
    return choose_frames(LIVE, SIZE, source=str(folder), count=count, seed=seed)


def numbers(chosen: CalibrationSet) -> list[int]:
    return [read_number(frame) for frame in chosen.frames]


def test_one_frame_of_each_stretch_is_chosen_by_the_seed(tmp_path: Path) -> None:
    folder = write_numbered(tmp_path, list(range(1, 101)))
    chosen = choose(folder, 10)
    stretches = [(number - 1) // 10 for number in numbers(chosen)]
    assert stretches == list(range(10))
    assert numbers(choose(folder, 10)) == numbers(chosen)
    assert numbers(choose(folder, 10, seed=1)) != numbers(chosen)
    assert chosen.record.model_dump() == {
        "source": str(folder),
        "frames": 10,
        "seed": 0,
        "seen": 10,
        "near_duplicates": 0,
        "flat": 0,
    }
    for frame in chosen.frames:
        assert frame.dtype == np.uint8
        assert frame.shape == (*SIZE, 3)
        assert frame.flags.c_contiguous


def test_others_take_the_place_of_copies_and_of_empty_frames(tmp_path: Path) -> None:
    shown = [*range(1, 31), *[31] * 20]  # the last two fifths stand still
    write_numbered(tmp_path, shown)
    blue = np.full((HEIGHT, WIDTH, 3), (200, 30, 0), np.uint8)
    for i in range(10):
        write_image(tmp_path / f"9{i:02}.png", blue)
    chosen = choose(tmp_path, 25)
    kept = numbers(chosen)
    assert len(kept) == 25
    assert len(set(kept)) == 25
    assert kept == sorted(kept)
    record = chosen.record
    assert record.near_duplicates > 0
    assert record.flat > 0
    assert record.seen == 25 + record.near_duplicates + record.flat

    everything = choose(tmp_path, 60)
    assert sorted(numbers(everything)) == list(range(1, 32))
    assert (everything.record.seen, everything.record.near_duplicates, everything.record.flat) == (60, 19, 10)


def test_noise_makes_no_new_frame_but_a_colour_does(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for i in range(20):
        frame = numbered_frame(85).astype(int) + noise.integers(-4, 5, (HEIGHT, WIDTH, 3))
        write_image(tmp_path / f"noise{i}.png", np.clip(frame, 0, 255).astype(np.uint8))
    with pytest.raises(InvalidInputError, match=r"only 1 frame to calibrate with.*19 near-duplicates"):
        choose(tmp_path, 20)

    hues = write_hues(tmp_path / "hues", 12)
    gray = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in choose(hues, 12).frames]
    assert len(gray) == 12
    assert max(np.abs(a.astype(int) - b).max() for a, b in combinations(gray, 2)) < 6, "the gray pictures are alike"


def write_hues(folder: Path, count: int) -> Path:
    """Pictures whose middle differs in colour and not in brightness."""
    for i in range(count):
        blue, red = 20 * i, 60
        green = round((120 - 0.114 * blue - 0.299 * red) / 0.587)
        frame = numbered_frame(85)
        frame[16:32] = (blue, green, red)
        write_image(folder / f"{i:02}.png", frame)
    return folder


def test_of_many_images_only_some_are_read(tmp_path: Path) -> None:
    for i in range(300):
        write_image(tmp_path / f"{i:03}.png", numbered_frame(1 + i // 60))  # 5 different ones
    with pytest.raises(InvalidInputError, match=r"only 5 frames .*looked at (\d+)") as refused:
        choose(tmp_path, 10)
    looked_at = int(str(refused.value).split("looked at ")[1].split(":")[0])
    assert 20 <= looked_at <= 50


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ([1, 2, 3], "only 3 frames to calibrate with, and 8 are needed"),
        ([0] * 40, "only 0 frames to calibrate with.* 40 that show nothing.*--calibrate"),
        ([5] * 40, "only 1 frame to calibrate with.* 39 near-duplicates"),
    ],
)
def test_too_few_that_show_something_and_differ_are_refused(tmp_path: Path, shown: list[int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as refused:
        choose(write_numbered(tmp_path, shown), 40)
    assert "\n" not in str(refused.value)


def test_few_are_warned_about_and_enough_are_not(tmp_path: Path) -> None:
    folder = write_numbered(tmp_path, list(range(1, ENOUGH + 10)))
    few = choose(folder, ENOUGH - 1)
    assert few.warning is not None
    assert f"only {ENOUGH - 1} frames" in few.warning
    assert "--calibrate" in few.warning
    assert choose(folder, ENOUGH).warning is None
    with pytest.raises(InvalidInputError, match="--frames 8 or more"):
        choose(folder, 7)


def pairs_data(folder: Path, count: int) -> DataConfig:
    """Side by side: the number, and its complement; two more are held out."""
    for split, shown in (("train", range(1, count + 1)), ("val", (200, 201))):
        for number in shown:
            image = np.concatenate([numbered_frame(number), numbered_frame(255 - number)], axis=1)
            write_image(folder / split / f"{number:03}.png", image)
    return DataConfig(source=str(folder), height=HEIGHT, width=WIDTH)


@pytest.mark.parametrize("direction", list(Direction))
def test_without_a_source_they_are_inputs_of_training(tmp_path: Path, direction: Direction) -> None:
    data = pairs_data(tmp_path, 20).model_copy(update={"direction": direction})
    chosen = choose_frames(data, SIZE, source=None, count=50, seed=0)
    expected = list(range(1, 21))
    assert numbers(chosen) == (expected if direction is Direction.A_TO_B else [255 - number for number in expected])
    assert chosen.record.source == str(tmp_path)

    inputs, targets = held_out_frames(data, SIZE, count=50)
    assert targets is not None
    shown = [[read_number(frame) for frame in frames] for frames in (inputs, targets)]
    assert shown == ([[200, 201], [55, 54]] if direction is Direction.A_TO_B else [[55, 54], [200, 201]])


def test_the_built_in_set_gives_the_same_frames_every_time_and_none_that_is_held_out() -> None:
    data = DataConfig(height=64, width=64)
    once, again = (choose_frames(data, Size(64, 64), source=None, count=8, seed=3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once.frames, again.frames, strict=True))
    assert once.record.source == "builtin:facades"
    held_out, _ = held_out_frames(data, Size(64, 64), count=8)
    assert not any(np.array_equal(a, b) for a in once.frames for b in held_out)


def test_held_out_frames_reach_from_the_first_to_the_last() -> None:
    data = DataConfig(height=64, width=64)
    pairs = open_pairs(data, Split.VAL)
    inputs, targets = held_out_frames(data, Size(64, 64), count=3)
    assert targets is not None
    for frames, which in ((inputs, 0), (targets, 1)):
        assert len(frames) == 3
        np.testing.assert_array_equal(frames[0], pairs.read(0, Size(64, 64))[which])
        np.testing.assert_array_equal(frames[-1], pairs.read(len(pairs) - 1, Size(64, 64))[which])


def test_the_condition_is_applied_to_what_was_cropped_and_resized(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sources: list[Frame] = []
    for i in range(8):
        frame = cv2.resize(rng.integers(0, 256, (6, 12, 3)).astype(np.uint8), (120, 60), interpolation=cv2.INTER_CUBIC)
        write_image(tmp_path / f"{i}.png", frame)
        sources.append(np.asarray(cv2.resize(frame[:, 30:90], (30, 30), interpolation=cv2.INTER_AREA), np.uint8))
    data = DataConfig(layout=Layout.PHOTOS, condition=Condition.EDGES)
    chosen = choose_frames(data, Size(30, 30), source=str(tmp_path), count=8, seed=0)
    for frame, source in zip(chosen.frames, sources, strict=True):
        np.testing.assert_array_equal(frame, Condition.EDGES.apply(source))


def test_a_split_leaves_both_parts_spread_and_apart(tmp_path: Path) -> None:
    whole = choose(write_numbered(tmp_path, list(range(1, 49))), 48)
    rest, held_out = split_held_out(whole, 16)
    kept_apart = [read_number(frame) for frame in held_out]
    assert {b - a for a, b in pairwise(kept_apart)} == {3}
    assert sorted(numbers(rest) + kept_apart) == list(range(1, 49))
    assert rest.record.frames == 32
    assert rest.warning is None
    assert rest.record.seen == 48


@pytest.mark.parametrize(("total", "taken"), [(9, 1), (16, 8), (20, 10)])
def test_a_split_of_few_frames_leaves_enough_to_calibrate(tmp_path: Path, total: int, taken: int) -> None:
    rest, held_out = split_held_out(choose(write_numbered(tmp_path, list(range(1, total + 1))), 40), 16)
    assert len(held_out) == taken
    assert len(rest.frames) == rest.record.frames == total - taken
    assert rest.warning is not None


def test_what_cannot_be_split_is_refused(tmp_path: Path) -> None:
    whole = choose(write_numbered(tmp_path, list(range(1, 9))), 40)
    with pytest.raises(InvalidInputError, match="all 8 frames"):
        split_held_out(whole, 4)
