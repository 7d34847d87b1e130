"""Folders A and B, photographs, names, what is left out, and how a layout is found out."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.conditions import Condition
from core.configuration import DataConfig, Direction, Layout, Task
from core.data_layout import check_layout, find_data
from core.errors import InvalidInputError
from core.frames import Size, fit, write_image
from core.pairs import Split, open_pairs

SIZE = Size(16, 16)


def write(path: Path, value: int, *, size: tuple[int, int] = (16, 16)) -> None:
    write_image(path, np.full((*size, 3), value, np.uint8))


def config(folder: Path, layout: Layout, **values: object) -> DataConfig:
    return DataConfig(source=str(folder), layout=layout, height=16, width=16, **values)


def values(data: DataConfig, split: Split) -> list[tuple[int, int]]:
    """First pixel of input and target of each pair."""
    source = open_pairs(data, split)
    pairs = [source.read(index, SIZE) for index in range(len(source))]
    return [(int(pair.input[0, 0, 0]), int(pair.target[0, 0, 0])) for pair in pairs]


NESTED = {"A/{split}": "B/{split}", "{split}/A": "{split}/B", "{split}A": "{split}B"}


@pytest.mark.parametrize("a", NESTED)
def test_every_spelling_of_a_and_b_folders_has_its_splits(tmp_path: Path, a: str) -> None:
    for number, split in enumerate(Split):
        for i in range(number + 1):
            # Suffixes differ in kind and case between the folders, and a name is not ASCII.
            write(tmp_path / a.format(split=split) / f"ä{i}.png", 10 * number + i)
            write(tmp_path / NESTED[a].format(split=split) / f"ä{i}.BMP", 100 + 10 * number + i)
    root, layout = find_data(tmp_path, layout=None, condition=Condition.IDENTITY, task=Task.TRANSLATE)
    assert (root, layout) == (tmp_path, Layout.FOLDERS)
    assert values(config(tmp_path, layout), Split.TRAIN) == [(0, 100)]
    assert values(config(tmp_path, layout), Split.VAL) == [(10, 110), (11, 111)]
    assert values(config(tmp_path, layout), Split.TEST) == [(20, 120), (21, 121), (22, 122)]
    swapped = config(tmp_path, layout, direction=Direction.B_TO_A)
    assert values(swapped, Split.TRAIN) == [(100, 0)]
    assert open_pairs(swapped, Split.TRAIN).name(0) == f"{a.format(split='train')}/ä0.png"


def test_two_flat_folders_keep_every_tenth_pair_apart(tmp_path: Path) -> None:
    for i in range(12):
        write(tmp_path / "A" / f"{i:02}_A.png", i)
        write(tmp_path / "B" / f"{i:02}_B.png", 100 + i)
    write(tmp_path / "B" / "._00_B.png", 0)  # macOS leaves such files beside the real ones
    data = config(tmp_path, Layout.FOLDERS)
    assert values(data, Split.VAL) == [(0, 100), (10, 110)]
    assert values(data, Split.TRAIN) == [(i, 100 + i) for i in range(12) if i not in (0, 10)]
    assert values(data, Split.TEST) == []


def test_images_without_a_partner_are_counted_and_a_few_are_named(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "A" / f"{i}.png", 0)
    for i in range(2, 6):
        write(tmp_path / "B" / f"{i}.png", 0)
    with pytest.raises(
        InvalidInputError, match=r"^5 images have no partner .*A/0\.png, .*A/1\.png, .* and 2 more; add"
    ):
        open_pairs(config(tmp_path, Layout.FOLDERS), Split.TRAIN)


def test_folders_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "A" / "1.png", 0)
    data = config(tmp_path, Layout.FOLDERS)
    with pytest.raises(InvalidInputError, match=r"no folder .*B beside .*A"):
        open_pairs(data, Split.TRAIN)
    write(tmp_path / "B" / "1.png", 0, size=(16, 24))
    with pytest.raises(
        InvalidInputError, match=r"16 x 16 pixels and its partner .*24 x 16, which are other proportions"
    ):
        open_pairs(data, Split.TRAIN).read(0, SIZE)
    write(tmp_path / "B" / "1.jpg", 0)
    with pytest.raises(InvalidInputError, match=r"both 1\.jpg and 1\.png"):
        open_pairs(data, Split.TRAIN)


@pytest.mark.parametrize("condition", list(Condition))
def test_a_photograph_is_the_target_and_its_condition_the_input(tmp_path: Path, condition: Condition) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8)
    write_image(tmp_path / "train" / "a.png", picture)
    write_image(tmp_path / "val" / "b.PNG", picture[::-1].copy())
    data = config(tmp_path, Layout.PHOTOS, condition=condition)
    train, val = (open_pairs(data, split) for split in (Split.TRAIN, Split.VAL))
    pair = train.read(0, SIZE)
    np.testing.assert_array_equal(pair.target, fit(picture, SIZE))
    np.testing.assert_array_equal(pair.input, condition.apply(fit(picture, SIZE)))
    assert (len(train), len(val), train.name(0), val.name(0)) == (1, 1, "train/a.png", "val/b.PNG")


def test_the_built_in_pictures_are_photographs_too() -> None:
    photos = open_pairs(DataConfig(layout=Layout.PHOTOS), Split.VAL)
    pair = photos.read(17, Size(64, 64))
    np.testing.assert_array_equal(pair.input, pair.target)
    np.testing.assert_array_equal(pair.target, open_pairs(DataConfig(), Split.VAL).read(17, Size(64, 64)).target)
    assert open_pairs(DataConfig(), Split.TRAIN).name(17) == "house 17" != photos.name(17)


def test_gray_deep_and_transparent_images_are_pictures(tmp_path: Path) -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "1gray.png"), gray)
    cv2.imwrite(str(tmp_path / "2deep.tiff"), gray.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "3alpha.png"), np.dstack([gray, gray, gray, 255 - gray]))
    data = config(tmp_path, Layout.PHOTOS, condition=Condition.GRAYSCALE, skipped=("nothing of that name",))
    read = [
        open_pairs(data, split).read(i, SIZE).target for split, i in ((Split.VAL, 0), (Split.TRAIN, 0), ("train", 1))
    ]
    for frame in read:
        np.testing.assert_array_equal(frame, np.dstack([gray] * 3))


@pytest.mark.parametrize("layout", list(Layout))
def test_skipped_pairs_are_left_out_of_their_split_only(tmp_path: Path, layout: Layout) -> None:
    folders = ("A", "B") if layout is Layout.FOLDERS else (".",)
    for folder in folders:
        for i in range(12):
            write(tmp_path / folder / f"{i:02}.png", i, size=(16, 32))
    data = config(tmp_path, layout)
    prefix = "A/" if layout is Layout.FOLDERS else ""
    without = data.model_copy(update={"skipped": (f"{prefix}10.png", f"{prefix}03.png")})
    names = {split: [s.name(i) for i in range(len(s))] for split in Split for s in [open_pairs(without, split)]}
    assert names[Split.VAL] == [f"{prefix}00.png"]
    assert names[Split.TRAIN] == [f"{prefix}{i:02}.png" for i in (1, 2, 4, 5, 6, 7, 8, 9, 11)]
    assert [v for v, _ in values(without, Split.TRAIN)] == [1, 2, 4, 5, 6, 7, 8, 9, 11]


def wrapped(root: Path, *, wide: bool = True) -> Path:
    for split in ("train", "val"):
        write(root / split / "1.jpg", 0, size=(16, 32 if wide else 31))
    return root


@pytest.mark.parametrize("inside", [".", "maps", "maps/maps", "a/b/c"])
def test_wrapping_folders_are_passed_through(tmp_path: Path, inside: str) -> None:
    wrapped(tmp_path / inside)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".hidden").mkdir()
    found = find_data(tmp_path, layout=None, condition=Condition.IDENTITY, task=Task.TRANSLATE)
    assert found == (tmp_path / inside, Layout.PAIRS)


@pytest.mark.parametrize(
    ("wide", "condition", "task", "layout"),
    [
        (True, Condition.IDENTITY, Task.TRANSLATE, Layout.PAIRS),
        (False, Condition.IDENTITY, Task.TRANSLATE, Layout.PAIRS),
        (True, Condition.EDGES, Task.TRANSLATE, Layout.PAIRS),
        (False, Condition.EDGES, Task.TRANSLATE, Layout.PHOTOS),
        (True, Condition.IDENTITY, Task.COLORIZE, Layout.PHOTOS),
    ],
)
def test_the_layout_follows_from_the_images_and_what_is_asked(
    tmp_path: Path, wide: bool, condition: Condition, task: Task, layout: Layout
) -> None:
    wrapped(tmp_path, wide=wide)
    assert find_data(tmp_path, layout=None, condition=condition, task=task)[1] is layout
    asked = find_data(tmp_path, layout=Layout.PHOTOS, condition=Condition.EDGES, task=task)
    assert asked[1] is Layout.PHOTOS


def test_what_is_no_data_is_refused_in_a_line_that_helps(tmp_path: Path) -> None:
    def refused(path: Path, layout: Layout | None = None, condition: Condition = Condition.EDGES) -> str:
        with pytest.raises(InvalidInputError) as caught:
            find_data(path, layout=layout, condition=condition, task=Task.TRANSLATE)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "there is no" in refused(tmp_path / "none")
    assert "holds no images" in refused(tmp_path)
    assert "too long" in refused(tmp_path / ("x" * 300))
    for name in ("one", "two"):
        write(tmp_path / name / "1.png", 0)
    assert "folders (one, two)" in refused(tmp_path)
    assert "single image" in refused(tmp_path / "one" / "1.png")
    (tmp_path / "set.zip").touch()
    assert "unpack it" in refused(tmp_path / "set.zip")
    (tmp_path / "clip.mp4").touch()
    assert "leave out --layout" in refused(tmp_path / "clip.mp4", Layout.PAIRS)
    assert "has no folders A and B" in refused(tmp_path / "one", Layout.FOLDERS)
    assert "--condition edges" in refused(tmp_path / "one", Layout.PHOTOS, Condition.IDENTITY)
    (tmp_path / "empty" / "train").mkdir(parents=True)
    assert "train holds no images" in refused(tmp_path / "empty")


def test_photographs_have_one_direction(tmp_path: Path) -> None:
    wrapped(tmp_path)
    data = config(tmp_path, Layout.PHOTOS, condition=Condition.EDGES, direction=Direction.B_TO_A)
    with pytest.raises(InvalidInputError, match="leave out --direction"):
        open_pairs(data, Split.TRAIN)
    check_layout(Layout.PAIRS, condition=Condition.EDGES, task=Task.TRANSLATE, direction=Direction.B_TO_A)


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped(tmp_path)
    iterdir = Path.iterdir

    def closed(path: Path) -> Iterator[Path]:  # a mode of 000 does not keep root out
        if path.name == "val":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(InvalidInputError, match=r"cannot read .*val: Permission denied"):
        open_pairs(config(tmp_path, Layout.PAIRS), Split.VAL)
