"""Broken images are all found before training."""

from pathlib import Path

import numpy as np
import pytest

from core.conditions import Condition
from core.configuration import DataConfig, Layout
from core.errors import InvalidInputError
from core.frames import Size, write_image
from core.pairs import SelectedPairs, Split, open_pairs
from train.data_check import check_splits
from train.loader import CachedPairs


class Reader:
    """Reads pairs by their number; those in ``broken`` cannot be read."""

    def __init__(self, *broken: int) -> None:
        self.broken = broken
        self.read_numbers: list[int] = []

    def __call__(self, index: int) -> None:
        self.read_numbers.append(index)
        if index in self.broken:
            raise InvalidInputError(f"{index}.png is broken")


NAMES = [f"train/{i}" for i in range(9)]


def test_all_broken_pairs_are_listed_and_the_error_names_the_first() -> None:
    lines: list[str] = []
    with pytest.raises(InvalidInputError) as caught:
        check_splits([(Reader(2, 5, 7), NAMES)], threads=3, say=lines.append)
    assert str(caught.value) == (
        "2.png is broken (of 9 pairs 3 are broken, all listed above: --skip-broken goes on without)"
    )
    assert lines == [f"broken: train/{i}: {i}.png is broken" for i in (2, 5, 7)]


def test_broken_pairs_of_all_splits_are_found_at_once() -> None:
    lines: list[str] = []
    with pytest.raises(InvalidInputError, match=r"^8\.png .*of 11 pairs 2 are broken"):
        check_splits([(Reader(8), NAMES), (Reader(1), ["val/0", "val/1"])], threads=2, say=lines.append)
    assert [line.split(":")[1] for line in lines] == [" train/8", " val/1"]


def test_skipped_pairs_are_named_and_what_is_whole_says_nothing() -> None:
    lines: list[str] = []
    reader = Reader(0, 8)
    assert check_splits([(reader, NAMES)], threads=2, say=lines.append, skip=True) == ["train/0", "train/8"]
    assert sorted(reader.read_numbers) == list(range(9))
    assert len(lines) == 2
    assert check_splits([(Reader(), NAMES)], threads=2, say=lines.append) == []
    assert len(lines) == 2


@pytest.mark.parametrize("skip", [False, True])
def test_nothing_left_of_a_split_is_an_error_in_any_case(skip: bool) -> None:
    splits = [(Reader(), NAMES), (Reader(0, 1), ["val/0", "val/1"])]
    with pytest.raises(InvalidInputError, match="all pairs of its split"):
        check_splits(splits, threads=1, say=lambda _: None, skip=skip)


def test_what_was_skipped_is_left_out_when_the_data_is_opened_again(tmp_path: Path) -> None:
    root = tmp_path
    for i in range(12):
        write_image(root / "train" / f"{i:02}.png", np.full((8, 8, 3), i, np.uint8))
    write_image(root / "val" / "v.png", np.zeros((8, 8, 3), np.uint8))
    (root / "train" / "03.png").write_bytes(b"no image")
    whole = (root / "train" / "07.png").read_bytes()
    (root / "train" / "07.png").write_bytes(whole[:-20])  # a copy that was interrupted
    data = DataConfig(source=str(root), layout=Layout.PHOTOS, condition=Condition.GRAYSCALE)
    source = open_pairs(data, Split.TRAIN)
    names = [source.name(i) for i in range(len(source))]
    cached = CachedPairs(source, Size(8, 8))
    broken = check_splits([(cached.read, names)], threads=2, say=lambda _: None, skip=True)
    assert broken == ["train/03.png", "train/07.png"]

    again = open_pairs(data.model_copy(update={"skipped": tuple(broken)}), Split.TRAIN)
    left = [i for i in range(12) if i not in (3, 7)]
    assert [int(again.read(i, Size(8, 8)).target[0, 0, 0]) for i in range(len(again))] == left
    selected = SelectedPairs(source, left)
    assert [selected.name(i) for i in range(len(selected))] == [again.name(i) for i in range(len(again))]
